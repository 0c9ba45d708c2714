"""NewsMTSC (Hamborg, Donnay, EACL 2021): sentiment towards a marked target in a sentence, whoever holds it. MIT.

Published at https://github.com/fhamborg/NewsMTSC as JSON Lines. The corpus names no holder, so the actor is "someone"
without a place. Rows of one sentence make one article.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stance import jsonl
from stance.corpora.source import Dropped, Found, files
from stance.errors import StanceError
from stance.forms import span, string
from stance.records import SOMEONE, Annotation, Article, Mention, Span, Stance
from stance.settings.building import SourceConfig

_EXPECTED = "the published files of NewsMTSC (`python scripts/fetch_corpus.py name=newsmtsc` fetches them)"
_STANCES = {-1: Stance.OPPOSE, 0: Stance.NEUTRAL, 1: Stance.SUPPORT}


def read(source: SourceConfig) -> Iterator[Found]:
    """Read one file of the published format, or every `*.jsonl` of a directory; its name says the split."""
    path = Path(source.path)
    if not path.exists():
        raise StanceError(f"{path}: no such file or directory; expected {_EXPECTED}")
    for file in files(path, "*.jsonl", _EXPECTED):
        yield from _file(file)


def _file(path: Path) -> Iterator[Found]:
    name = path.stem.rpartition("_")[2]
    split = {"dev": "validation"}.get(name, name)
    rows: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for where, row in jsonl.scan(path):
        try:
            if isinstance(row, StanceError):
                raise row
            rows.setdefault(string(row, "sentence", where), []).append((where, row))
        except StanceError as error:
            yield Dropped.by(error, where)
    for number, (text, group) in enumerate(rows.items(), 1):
        name, notes = f"newsmtsc-{path.stem}-{number:05}", list[Annotation]()
        for where, row in group:
            try:
                notes.append(_annotation(row, text, where))
            except StanceError as error:
                yield Dropped.by(error, where, name)
        yield Article(id=name, text=text, split=split, annotations=tuple(notes), where=group[0][0])


def _annotation(row: dict[str, Any], text: str, where: str) -> Annotation:
    place: Span | None = span([row.get("from"), row.get("to")], text, where)
    polarity = row.get("polarity")
    if type(polarity) not in (int, float) or polarity not in _STANCES or place is None:
        raise StanceError(f"{where}: polarity {polarity!r}; expected -1, 0 or 1")
    target = Mention(text[slice(*place)], *place)
    return Annotation(Mention(SOMEONE), target, _STANCES[polarity], ((0, len(text)),))
