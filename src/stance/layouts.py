"""How pairs become rows of tokens, as artifacts and checkpoints keep it. The rows are made in `stance.encoding`."""

from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from stance.errors import StanceError

LAYOUTS = ("one_pass", "pair")
QUESTIONS = ("markers", "hypothesis", "typed")
MAX_VERB_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Encoding:
    """Everything but the vocabulary that decides how pairs become ids. Stored in the artifact.

    Lengths are in tokens. `position_offset` is what the encoder adds to positions (RoBERTa: 2).
    """

    layout: str
    cls_id: int
    sep_id: int
    pad_id: int
    actor_id: int
    target_id: int
    max_passage_tokens: int
    max_name_tokens: int
    max_pairs: int
    position_offset: int = 0
    space_before_name: bool = False
    question: str = "markers"

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)

    @property
    def longest_position(self) -> int:
        """The largest position id that this encoding can give out."""
        behind = 2 * (1 + self.max_name_tokens)
        words = {"markers": 0, "hypothesis": MAX_VERB_TOKENS, "typed": 2}[self.question]
        return self.max_passage_tokens + 4 + behind + words + self.position_offset


def read_encoding(values: Any, path: Path, advice: str) -> Encoding:
    """The encoding that a document holds.

    Raises:
        StanceError: it has other keys, a length that is no whole number, or an unknown layout or question.
    """
    expected = {field.name for field in fields(Encoding)}
    required = {field.name for field in fields(Encoding) if field.default is MISSING}
    if not isinstance(values, dict) or not required <= set(values) <= expected:
        found = f"has the keys {sorted(values)}" if isinstance(values, dict) else f"is {values!r}"
        raise StanceError(f"{path}: 'encoding' {found}, expected {sorted(expected)}; {advice}")
    encoding = Encoding(**values)
    whole = {f.name: getattr(encoding, f.name) for f in fields(Encoding) if f.type in (int, "int")}
    for name, value in whole.items():
        least = 1 if name.startswith("max_") else 0
        if not isinstance(value, int) or value < least:
            raise StanceError(f"{path}: encoding.{name} {value!r}, expected a whole number from {least}; {advice}")
    if encoding.layout not in LAYOUTS or encoding.question not in QUESTIONS:
        raise StanceError(
            f"{path}: encoding.layout {encoding.layout!r} and question {encoding.question!r}, expected one of "
            f"{', '.join(LAYOUTS)} and of {', '.join(QUESTIONS)}; {advice}"
        )
    return encoding


def check_question(question: str, layout: str) -> None:
    """Refuse a question that is unknown or that the layout can't ask."""
    if question not in QUESTIONS:
        raise StanceError(f"model.question={question}: expected one of {', '.join(QUESTIONS)}")
    if question == "typed" and layout != "pair":
        raise StanceError(
            "model.question=typed: markers in the passage are those of one pair, but in the layout one_pass pairs "
            "share it; use model.layout=pair"
        )
