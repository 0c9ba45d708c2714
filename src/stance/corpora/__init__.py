"""Corpora: where annotated articles come from. One module a format, and the checks of the guidelines."""

from pathlib import Path

from stance import jsonl
from stance.errors import StanceError
from stance.records import Article, article_from_json


def read(path: Path) -> list[Article]:
    """Read one JSON Lines file of articles, or every `*.jsonl` of a directory in the order of their names.

    Raises:
        StanceError: nothing is there, a line can't be used, or two articles share an id.
    """
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise StanceError(f"{path}: no *.jsonl file in this directory; expected annotated articles")
    else:
        files = [path]
    articles = [article_from_json(row, where) for file in files for where, row in jsonl.read(file)]
    seen: dict[str, str] = {}
    for article in articles:
        if article.id in seen:
            raise StanceError(f"{article.where}: the id {article.id!r} stands at {seen[article.id]} already")
        seen[article.id] = article.where
    return articles
