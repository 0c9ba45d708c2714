"""The project's own format, that of the annotation guidelines: JSON Lines, one article a line."""

from pathlib import Path

from stance import jsonl
from stance.errors import StanceError
from stance.records import Article, article_from_json


def read(path: Path) -> list[Article]:
    """Read one JSON Lines file of articles, or every `*.jsonl` of a directory in the order of their names."""
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise StanceError(f"{path}: no *.jsonl file in this directory; expected annotated articles")
    else:
        files = [path]
    return [article_from_json(row, where) for file in files for where, row in jsonl.read(file)]
