"""Corpora: where annotated articles come from. One module a format, and the checks of the guidelines."""

from collections.abc import Iterator
from pathlib import Path

from stance.corpora import brat, doccano, dse, labelstudio, newsmtsc, own, seesaw
from stance.corpora.source import CorpusConfig, Dropped, Found, Reader
from stance.errors import StanceError
from stance.records import Article

FORMATS: dict[str, Reader] = {
    "jsonl": own.read,
    "seesaw": seesaw.read,
    "dse": dse.read,
    "newsmtsc": newsmtsc.read,
    "labelstudio": labelstudio.read,
    "doccano": doccano.read,
    "brat": brat.read,
}
"""Readers by the name of the format."""


def stream(source: CorpusConfig) -> Iterator[Found]:
    """Everything in a corpus, as it is read. An article whose id stood before is dropped.

    Raises:
        StanceError: the format is unknown, or nothing can be read.
    """
    if source.format not in FORMATS:
        raise StanceError(f"unknown corpus format {source.format!r}; expected one of {', '.join(FORMATS)}")
    if not source.path:
        raise StanceError(f"the path of the corpus {source.name!r} is not set; give a file or a directory")
    if source.limit < 0:
        raise StanceError(f"corpus limit={source.limit}: expected 0 or more; 0 takes all articles")
    seen: dict[str, str] = {}
    articles = 0
    for item in FORMATS[source.format](source):
        if isinstance(item, Article):
            if item.id in seen:
                reason = f"the id {item.id!r} stands at {seen[item.id]} already"
                yield Dropped(item.where, item.id, "", "", reason)
                continue
            seen[item.id] = item.where
            articles += 1
        yield item
        if articles == source.limit > 0:
            return


def read(path: Path, format_name: str = "jsonl") -> list[Article]:
    """Read a corpus that is expected to be sound: a file or a directory, as the format has it.

    Raises:
        StanceError: the format is unknown, nothing is there, something can't be used, or two articles share an id.
    """
    articles = []
    for item in stream(CorpusConfig(format=format_name, path=str(path))):
        if isinstance(item, Dropped):
            raise StanceError(f"{item.where}: {item.reason}")
        if isinstance(item, Article):
            articles.append(item)
    return articles
