"""Corpora: where annotated articles come from. One module a format, and the checks of docs/ANNOTATING.md."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stance.corpora import brat, cells, doccano, dse, hub, labelstudio, newsmtsc, offsets, own, seesaw, tables, web
from stance.corpora.source import Dropped, Found, Reader, Repair, printable
from stance.errors import StanceError
from stance.records import PHENOMENA, Article
from stance.settings.building import CorpusConfig, SourceConfig

FORMATS: dict[str, Reader] = {
    "jsonl": own.read,
    "seesaw": seesaw.read,
    "dse": dse.read,
    "newsmtsc": newsmtsc.read,
    "table": tables.read,
    "hub": hub.read,
    "web": web.read,
    "labelstudio": labelstudio.read,
    "doccano": doccano.read,
    "brat": brat.read,
}
"""Readers by the name of the format."""


COLUMNS = ("table", "hub", "web")
"""The formats that `SourceConfig.columns` is for."""
LABELLED = ("table", "hub", "labelstudio", "doccano", "brat")
"""The formats that `SourceConfig.labels` is for."""
TAGGED = ("labelstudio", "brat")
"""Those whose relations have tags beside the stance, which labels may give other names too."""


def check_settings(source: SourceConfig) -> None:
    """Refuse settings without a meaning, or without one for the format.

    Raises:
        StanceError: names the setting.
    """
    of = f" of the corpus {source.name!r}" if source.name else ""
    at = "corpora.KEY." if isinstance(source, CorpusConfig) else ""
    if source.format not in FORMATS:
        raise StanceError(f"unknown corpus format {source.format!r}; expected one of {', '.join(FORMATS)}")
    if not source.path:
        raise StanceError(f"the path{of} is not set; give a file or a directory, as in corpora.KEY.path or source.path")
    if source.limit < 0:
        raise StanceError(f"{at}limit={source.limit}{of}: expected 0 or more; 0 takes all articles")
    for name, given, formats in (("columns", source.columns, COLUMNS), ("labels", source.labels, LABELLED)):
        if given and source.format not in formats:
            what = f"expected none with format={source.format}, found {', '.join(map(str, given))}"
            raise StanceError(f"{at}{name}{of}: {what}; leave them out, or choose {', '.join(formats)}")
    cells.check_labels(source.labels, PHENOMENA if source.format in TAGGED else ())


def stream(source: SourceConfig, *, mend: bool = False) -> Iterator[Found]:
    """Everything in a corpus, as it is read. An article whose id stood before is dropped.

    An article of which something was dropped is no longer exhaustive: the pair must not be sampled as neutral. With
    `mend` places that cut words are mended, see `offsets.whole_words`.

    Raises:
        StanceError: a setting has no meaning, or nothing can be read.
    """
    check_settings(source)
    seen: dict[str, str] = {}
    articles = 0
    lost: set[str] = set()  # of what was dropped since the last article
    for item in map(printable, FORMATS[source.format](source)):
        if isinstance(item, Dropped):
            lost.add(item.article_id)
        elif isinstance(item, Article):
            if item.exhaustive and item.id in lost:
                yield Repair(item.where, item.id, "something of it was dropped, so it is not taken as exhaustive")
                item = replace(item, exhaustive=False)
            lost.clear()
            if item.id in seen:
                reason = f"the id {item.id!r} stands at {seen[item.id]} already"
                yield Dropped(item.where, item.id, "", "", reason, max(len(item.annotations), 1))
                continue
            seen[item.id] = item.where
            articles += 1
            if mend:
                item, mended = offsets.whole_words(item)
                yield from (Repair(item.where, item.id, what) for what in mended)
        yield item
        if articles == source.limit > 0:
            return


def size(source: SourceConfig) -> int | None:
    """About how many articles a corpus has, for a progress bar: lines of its text files, or files; None if unknown."""
    path = Path(source.path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] if path.is_file() else []
    if source.limit or not files:
        return source.limit or None
    if source.format in ("web", "brat") and path.is_dir():  # a file is an article, in BRAT with another one beside it
        return sum(file.suffix != ".ann" for file in files)
    listed = [file for file in files if file.suffix in (".jsonl", ".csv", ".tsv", ".txt")]
    if listed and len(listed) < 100:
        return sum(_lines(file) for file in listed)
    return len(files) if len(files) > 1 else None


def _lines(file: Path) -> int:
    with file.open("rb") as content:
        return sum(block.count(b"\n") for block in iter(lambda: content.read(1 << 20), b""))


def read(path: Path, format_name: str = "jsonl") -> list[Article]:
    """Read a corpus that is expected to be sound: a file or a directory, as the format has it.

    Raises:
        StanceError: the format is unknown, nothing is there, something can't be used, or two articles share an id.
    """
    return sound(SourceConfig(format=format_name, path=str(path)))


def sound(source: SourceConfig, *, mend: bool = False) -> list[Article]:
    """The articles of a corpus of which nothing may be unusable, besides what its labels drop; raises like `read`."""
    articles = []
    for item in stream(source, mend=mend):
        if isinstance(item, Dropped) and item.unusable:
            raise StanceError(f"{item.where}: {item.reason}")
        if isinstance(item, Article):
            articles.append(item)
    return articles
