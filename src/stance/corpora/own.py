"""The project's own format, that of docs/DATA.md: JSON Lines, one article a line."""

from collections.abc import Iterator
from pathlib import Path

from stance import jsonl
from stance.corpora.source import Dropped, Found, files
from stance.errors import StanceError
from stance.forms import article_from_json
from stance.settings.building import SourceConfig


def read(source: SourceConfig) -> Iterator[Found]:
    """Read one JSON Lines file of articles, or every `*.jsonl` of a directory in the order of their names."""
    for file in files(Path(source.path), "*.jsonl", "annotated articles"):
        for where, row in jsonl.scan(file):
            try:
                if isinstance(row, StanceError):
                    raise row
                yield article_from_json(row, where)
            except StanceError as error:
                notes = row.get("annotations") if isinstance(row, dict) else None
                lost = max(len(notes), 1) if isinstance(notes, list) else 1
                yield Dropped.by(error, where, lost=lost)
