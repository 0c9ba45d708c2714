"""The values that travel through stance: labels, pairs, articles, annotations, examples, triples.

Every record is frozen. Offsets are `[start, end)` into the text they belong to, in characters, so that
`text[start:end]` is the surface form. `*_from_json` functions check at the door; inside, types are trusted.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from stance.errors import StanceError

Span = tuple[int, int]

PHENOMENA = (
    "passive", "nominalised", "implied", "cross-sentence", "pronoun", "metonym", "nested-report", "late-speaker",
    "negation", "conditional", "coordination", "both-sides", "change-of-mind", "neutral-participation",
    "denied-allegation", "personal-criticism", "praise", "abstention", "deed", "irony", "crowded",
)  # fmt: skip
"""Linguistic phenomena that an annotation's `tags` may name; evaluation can slice by them."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class Stance(StrEnum):
    """The position of an actor towards a target. The order of the members is the order of the classes."""

    OPPOSE = "oppose"
    NEUTRAL = "neutral"
    SUPPORT = "support"


LABELS: tuple[str, ...] = tuple(stance.value for stance in Stance)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question to the model: what is the stance of `actor` towards `target` in `text`?

    The spans say where the passage prints the names; without them the name is looked up in the text, and a
    name that the text does not print is fine too.
    """

    text: str
    actor: str
    target: str
    actor_span: Span | None = None
    target_span: Span | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer: the most probable stance, its probability, and all three in the order of `LABELS`."""

    stance: Stance
    confidence: float
    probabilities: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """`{"stance", "confidence", "oppose", "neutral", "support"}`."""
        named = dict(zip(LABELS, self.probabilities, strict=True))
        return {"stance": self.stance.value, "confidence": self.confidence, **named}


@dataclass(frozen=True, slots=True)
class Mention:
    """A name and where it is printed; both offsets are None when the evidence does not print it."""

    name: str
    start: int | None = None
    end: int | None = None

    @property
    def span(self) -> Span | None:
        """`(start, end)`, or None."""
        return None if self.start is None or self.end is None else (self.start, self.end)


@dataclass(frozen=True, slots=True)
class Annotation:
    """ACTOR takes STANCE towards TARGET in an article, and this is the evidence."""

    actor: Mention
    target: Mention
    stance: Stance
    evidence: tuple[Span, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """A news article with its annotations. `where` is the `file:line` it came from.

    `exhaustive` says that every stance in the text is annotated, so that other pairs may serve as neutral.
    `split` is the published one of a public corpus, empty where there is none.
    """

    id: str
    text: str
    title: str = ""
    date: str = ""
    outlet: str = ""
    theme: str = ""
    topic: str = ""
    region: str = ""
    outlet_kind: str = ""
    split: str = ""
    exhaustive: bool = False
    annotations: tuple[Annotation, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a dataset. The spans are offsets into `text`, or None when it does not print the name."""

    id: str
    text: str
    actor: str
    target: str
    actor_span: Span | None
    target_span: Span | None
    stance: Stance
    article_id: str
    corpus: str
    date: str
    provenance: str
    weight: float
    tags: tuple[str, ...] = ()

    def pair(self) -> Pair:
        """The question that this example answers."""
        return Pair(self.text, self.actor, self.target, self.actor_span, self.target_span)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary; spans become lists."""
        row = asdict(self)
        for key in ("actor_span", "target_span"):
            row[key] = None if row[key] is None else list(row[key])
        return row | {"stance": self.stance.value, "tags": list(self.tags)}


SOMEONE = "someone"
"""The actor of a pair that leaves open who holds the stance."""


def as_printed(example: Example) -> Example:
    """The example with its names in the words of the passage, where it prints them."""
    text = example.text
    return replace(
        example,
        actor=text[slice(*example.actor_span)] if example.actor_span else example.actor,
        target=text[slice(*example.target_span)] if example.target_span else example.target,
    )


@dataclass(frozen=True, slots=True)
class Triple:
    """What a reader finds in an article; all offsets are into the article's text."""

    article_id: str
    actor: Mention
    target: Mention
    stance: Stance
    confidence: float
    evidence: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as written to JSON Lines."""
        return asdict(self) | {
            "stance": self.stance.value,
            "evidence": [list(span) for span in self.evidence],
        }


def pair_from_json(row: Mapping[str, Any], where: str) -> Pair:
    """Check a request `{text, actor, target}` with optional `actor_span` and `target_span`."""
    text = string(row, "text", where)
    return Pair(
        text=text,
        actor=string(row, "actor", where),
        target=string(row, "target", where),
        actor_span=span(row.get("actor_span"), text, f"{where}: actor_span"),
        target_span=span(row.get("target_span"), text, f"{where}: target_span"),
    )


def article_from_json(row: Mapping[str, Any], where: str) -> Article:
    """Check one article in the form of the annotation guidelines. Unknown keys are ignored."""
    text = string(row, "text", where)
    exhaustive = row.get("exhaustive", False)
    if not isinstance(exhaustive, bool):
        raise StanceError(f"{where}: 'exhaustive' must be true or false, found {exhaustive!r}")
    annotations = row.get("annotations", [])
    if not isinstance(annotations, list):
        raise StanceError(f"{where}: 'annotations' must be a list, found {type(annotations).__name__}")
    names = ("title", "date", "outlet", "theme", "topic", "region", "outlet_kind", "split")
    return Article(
        id=string(row, "id", where),
        text=text,
        exhaustive=exhaustive,
        annotations=tuple(
            annotation_from_json(item, text, f"{where}: annotation {number}")
            for number, item in enumerate(annotations, 1)
        ),
        where=where,
        **{name: string(row, name, where, empty=True) for name in names if row.get(name) is not None},
    )


def annotation_from_json(row: Any, text: str, where: str) -> Annotation:
    """Check one annotation against the article's text: labels, tags, and every span inside the text."""
    _object(row, where)
    evidence = row.get("evidence")
    if not isinstance(evidence, list) or not evidence:
        raise StanceError(f"{where}: 'evidence' must be a list of [start, end] spans, found {evidence!r}")
    spans = tuple(_evidence(item, text, f"{where}: evidence") for item in evidence)
    tags = row.get("tags", [])
    if not isinstance(tags, list):
        raise StanceError(f"{where}: 'tags' must be a list, found {tags!r}")
    for tag in tags:
        if tag not in PHENOMENA:
            raise StanceError(f"{where}: unknown tag {tag!r}; expected some of {', '.join(PHENOMENA)}")
    return Annotation(
        actor=_mention(row.get("actor"), text, f"{where}: actor"),
        target=_mention(row.get("target"), text, f"{where}: target"),
        stance=stance(row.get("stance"), where),
        evidence=spans,
        tags=tuple(tags),
    )


def stance(value: Any, where: str) -> Stance:
    """The label named `value`."""
    if value not in LABELS:
        raise StanceError(f"{where}: unknown stance {value!r}; expected one of {', '.join(LABELS)}")
    return Stance(value)


def string(row: Mapping[str, Any], key: str, where: str, *, empty: bool = False) -> str:
    """The string under `key`, which must be there and, unless `empty`, hold more than white space."""
    value = row.get(key)
    if value is None:
        raise StanceError(f"{where}: '{key}' is missing; found the keys {', '.join(sorted(row)) or 'none'}")
    if not isinstance(value, str):
        raise StanceError(f"{where}: '{key}' must be a string, found {type(value).__name__}")
    if found := _SURROGATE.search(value):  # JSON can write half a pair; neither UTF-8 nor a tokenizer can
        raise StanceError(f"{where}: '{key}' has half a surrogate pair at character {found.start()}; write it whole")
    if not empty and not value.strip():
        raise StanceError(f"{where}: '{key}' is empty")
    return value


def span(value: Any, text: str, where: str) -> Span | None:
    """`[start, end]` checked to lie inside `text`, or None for null."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2 or any(type(n) is not int for n in value):
        raise StanceError(f"{where}: expected [start, end] or null, found {value!r}")
    start, end = value
    if not 0 <= start < end <= len(text):
        raise StanceError(f"{where}: span [{start}, {end}] is outside the text of {len(text)} characters")
    return start, end


def _mention(row: Any, text: str, where: str) -> Mention:
    _object(row, where)
    start, end = row.get("start"), row.get("end")
    if (start is None) != (end is None):
        raise StanceError(f"{where}: 'start' and 'end' must both be numbers or both null, found {start}, {end}")
    if start is not None:
        span([start, end], text, where)
    return Mention(string(row, "name", where), start, end)


def _evidence(value: Any, text: str, where: str) -> Span:
    found = span(value, text, where)
    if found is None:
        raise StanceError(f"{where}: expected [start, end], found null")
    if not text[slice(*found)].strip():
        raise StanceError(f"{where}: span {list(found)} holds no words")
    return found


def _object(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise StanceError(f"{where}: expected a JSON object, found {type(row).__name__}")
