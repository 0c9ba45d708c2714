"""Corpora: where annotated articles come from. One module a format, and the checks of the guidelines."""

from collections.abc import Callable
from pathlib import Path

from stance.corpora import dse, newsmtsc, own, seesaw
from stance.errors import StanceError
from stance.records import Article

FORMATS: dict[str, Callable[[Path], list[Article]]] = {
    "jsonl": own.read,
    "seesaw": seesaw.read,
    "dse": dse.read,
    "newsmtsc": newsmtsc.read,
}
"""Readers by the name of the format."""


def read(path: Path, format_name: str = "jsonl") -> list[Article]:
    """Read a corpus: a file or a directory, as the format has it.

    Raises:
        StanceError: the format is unknown, nothing is there, a line can't be used, or two articles share an id.
    """
    if format_name not in FORMATS:
        raise StanceError(f"unknown corpus format {format_name!r}; expected one of {', '.join(FORMATS)}")
    articles = FORMATS[format_name](path)
    seen: dict[str, str] = {}
    for article in articles:
        if article.id in seen:
            raise StanceError(f"{article.where}: the id {article.id!r} stands at {seen[article.id]} already")
        seen[article.id] = article.where
    return articles
