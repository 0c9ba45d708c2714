"""From one format to another: annotated articles to our JSONL or to an annotation tool, there with predictions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from stance import corpora, jsonl
from stance.corpora import brat, doccano, labelstudio
from stance.corpora.source import Dropped, Repair
from stance.errors import StanceError
from stance.files import check_outside
from stance.forms import annotation_from_json, article_to_json, number, string
from stance.records import Article, Triple
from stance.settings.building import SourceConfig

PREDICTING = "labelstudio"
"""The format that has a place for predictions."""
CONFIGS = {"labelstudio": labelstudio.CONFIG, "brat": brat.CONFIG}
"""What the tools want to be told about our labels."""


@dataclass
class Converted:
    """What was written, and everything that could not be used or was mended."""

    articles: int = 0
    annotations: int = 0
    predictions: int = 0
    remarks: list[Dropped | Repair] = field(default_factory=list)


def _own(path: Path, articles: Iterable[Article]) -> None:
    jsonl.write(path, map(article_to_json, articles))


WRITERS: dict[str, Callable[[Path, Iterable[Article]], None]] = {
    "labelstudio": labelstudio.write,
    "doccano": doccano.write,
    "brat": brat.write,
    "jsonl": _own,
}
"""Writers by the name of the format; each writes its output whole or not at all."""


def convert(source: SourceConfig, to: str, output: Path, predictions: Path | None = None) -> Converted:
    """Read a corpus and write it as it is read, with the triples in `predictions` (JSON Lines) as pre-annotations.

    Raises:
        StanceError: an unknown format, nothing to read, an output that is read or lies in what is read, or predictions
            that fit no article or not its text.
    """
    if to not in WRITERS:
        raise StanceError(f"unknown format {to!r} to write; expected one of {', '.join(WRITERS)}")
    if predictions and to != PREDICTING:
        raise StanceError(f"{to} has no place for predictions; expected {PREDICTING}")
    for read in filter(None, (Path(source.path), predictions)):
        check_outside(output, read)
    given = _by_article(predictions) if predictions else {}
    found, write = Converted(), WRITERS[to]
    triples: dict[str, list[Triple]] = {}  # those of the article that is being written
    if to == PREDICTING:
        write = partial(labelstudio.write, predictions=triples)

    def articles() -> Iterator[Article]:
        for item in corpora.stream(source):
            if not isinstance(item, Article):
                found.remarks.append(item)
                continue
            triples.clear()
            triples[item.id] = [_triple(row, item, where) for where, row in given.pop(item.id, [])]
            found.articles += 1
            found.annotations += len(item.annotations)
            found.predictions += len(triples[item.id])
            yield item
        if not found.articles:
            raise StanceError(f"{source.path}: no article that can be used; nothing was written{_why(found)}")
        if given:
            raise StanceError(
                f"{predictions}: predictions for {next(iter(given))!r}, which {source.path} does not have"
            )

    write(output, articles())
    return found


def _why(found: Converted) -> str:
    """The first thing that was dropped, to go on with; empty where nothing was."""
    lost = next((item for item in found.remarks if isinstance(item, Dropped)), None)
    return f"; first {lost.where}: {lost.reason}" if lost else ""


def _by_article(path: Path) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    rows: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for where, row in jsonl.read(path):
        rows.setdefault(string(row, "article_id", where), []).append((where, row))
    return rows


def _triple(row: Mapping[str, Any], article: Article, where: str) -> Triple:
    note = annotation_from_json(row, article.text, where)
    confidence = number(row.get("confidence"), f"{where}: confidence")
    if confidence > 1:
        raise StanceError(f"{where}: confidence: expected a probability, found {confidence}")
    return Triple(article.id, note.actor, note.target, note.stance, confidence, note.evidence)
