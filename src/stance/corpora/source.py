"""What readers of corpora have in common: what they yield, and how they are called."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stance.errors import StanceError
from stance.records import Article
from stance.settings.building import SourceConfig

BESIDE = ("readme", "licence", "license", "splits")
"""Names, without a suffix, of files that stand beside a corpus and are no part of it."""


class CountedError(StanceError):
    """What can't be used, with the number of rows that are lost with it, see `Dropped`."""

    def __init__(self, message: str, unusable: int) -> None:
        super().__init__(message)
        self.unusable = unusable


def unusable(error: StanceError) -> int:
    """How many rows are lost with an error: one, where it does not count them."""
    return error.unusable if isinstance(error, CountedError) else 1


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row, an article or an annotation that can't be used, and why. What is unknown is empty.

    `unusable` is how many rows of the corpus are lost with it, as far as that is known: those of a whole article, say;
    0 for what is left out on purpose.
    """

    where: str
    article_id: str
    actor: str
    target: str
    reason: str
    unusable: int = 1

    @classmethod
    def by(cls, error: StanceError, where: str, article_id: str = "", *, lost: int | None = None) -> "Dropped":
        """What an error, which may name the place itself, makes unusable: `lost` rows, or as many as it counts."""
        reason = str(error).removeprefix(f"{where}: ")
        return cls(where, article_id, "", "", reason, unusable(error) if lost is None else lost)


@dataclass(frozen=True, slots=True)
class Repair:
    """Something of a corpus that was mended while it was read, such as an offset that was off by a few characters."""

    where: str
    article_id: str
    what: str


def files(path: Path, pattern: str, expected: str) -> list[Path]:
    """The file itself, or those of a directory that match, in the order of their names.

    Raises:
        StanceError: the directory has none.
    """
    found = sorted(path.glob(pattern)) if path.is_dir() else [path]
    if not found:
        raise StanceError(f"{path}: no {pattern} file in this directory; expected {expected}")
    return found


def left_out(folder: Path, files: Iterable[Path], read: Sequence[str]) -> Iterator[Repair]:
    """A note of those files of a folder whose suffix is none of `read`, but for hidden ones and `BESIDE`."""
    counts = Counter[str]()
    for file in files:
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix.lower() not in read and not hidden and file.stem.lower() not in BESIDE and file.is_file():
            counts[file.suffix.lower() or "without a suffix"] += 1
    if counts:
        kinds = [f"{n} {suffix}" for suffix, n in counts.most_common(10)] + ["…"] * (len(counts) > 10)
        what = f"{counts.total()} files of other kinds are left out ({', '.join(kinds)})"
        yield Repair(str(folder), "", f"{what}; {', '.join(read)} are read")


Row = dict[str, Any]
Rows = Iterator[tuple[str, Row | StanceError]]
"""`(file:line, row)`; a row that can't be read comes as the error about it, and reading goes on."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file: its columns, what is worth a note about its encoding, and a way to read some columns row by row.

    `stray` says that its text has bytes of another encoding as halves of surrogate pairs.
    """

    path: Path
    columns: tuple[str, ...]
    note: str
    read: Callable[[Collection[str]], Rows]
    stray: bool = False


Found = Article | Dropped | Repair
"""What a reader yields: an article, something that can't be used, or a note of what was mended."""
_NAMED = {
    Article: ("id", "where"),
    Dropped: ("where", "article_id", "actor", "target", "reason"),
    Repair: ("where", "article_id", "what"),
}


def printable(item: Found) -> Found:
    """The item with halves of surrogate pairs written out (`\\udce9`), as names of files may have them: no file can."""
    given = {name: str(getattr(item, name)) for name in _NAMED[type(item)]}
    shown: dict[str, Any] = {name: value.encode("utf-8", "backslashreplace").decode() for name, value in given.items()}
    return item if shown == given else replace(item, **shown)


Reader = Callable[[SourceConfig], Iterator[Found]]
"""Yields what it finds in the order of the files, reading as it goes; what is dropped of an article comes before it.
Raises StanceError only when nothing can be read (no such path, another format, a missing column), or nothing further (a
damaged file); one unusable row is a `Dropped`, and reading goes on."""
