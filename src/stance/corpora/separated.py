"""Tables as text: CSV and TSV in any common encoding, one row at a time."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stance.corpora import texts
from stance.corpora.source import CountedError, Rows, Table
from stance.errors import StanceError

if TYPE_CHECKING:
    from _csv import Reader

MAX_CELL = 20_000_000
"""Characters of a cell."""
_WIDE = ("utf-16", "utf-32")
_ALL_QUOTED = re.compile('"[^\t]*"(\t"[^\t]*")*[\r\n]*')
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Csv:
    """How the lines of a file are divided into cells, and how many stand above the names of the columns."""

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    above: int = 0
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL

    def reader(self, lines: Iterable[str]) -> "Reader":
        return csv.reader(lines, delimiter=self.delimiter, quoting=self.quoting, strict=True)

    @contextmanager
    def lines(self) -> Iterator["_Lines"]:
        """The lines of the file from the names of the columns on."""
        with _open(self.path, self.encoding) as file:
            yield _Lines(islice(file, self.above, None))


def table(path: Path, wanted: Collection[str], delimiters: str) -> Table:
    """The table in a file whose cells are divided by one of `delimiters`: that which gives most `wanted` columns.

    Raises:
        StanceError: the file is empty or binary.
    """
    encoding, note = _encoding(path)
    csv.field_size_limit(MAX_CELL)
    with _open(path, encoding) as lines:
        head = list(islice(lines, 20))
    if told := _EXCEL.fullmatch("".join(head[:1])):
        delimiters = told[1]
    above = 1 if told else 0
    if not "".join(head[above:]).strip():
        raise StanceError(f"{path}: the file is empty; expected a line with the names of the columns")
    names = {d: tuple(name.strip() for name in next(csv.reader(head[above:], delimiter=d))) for d in delimiters}
    delimiter = max(names, key=lambda d: (len(set(names[d]) & set(wanted)), len(names[d])))
    how = _Csv(path, encoding, delimiter, names[delimiter], above)
    if delimiter == "\t" and not _quoted(how):
        how = replace(how, quoting=csv.QUOTE_NONE)
        unquoted = "quotation marks are read as text: they stand around no cells here"
        note = f"{note}; {unquoted}" if note else unquoted
    return Table(path, how.columns, note, lambda _: _rows(how), stray=True)


class _Lines:
    """Lines as they come; `read` holds those since it was cleared."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = iter(lines)
        self.read: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.read.append(next(self.lines))
        return self.read[-1]


def _quoted(how: _Csv) -> bool:
    """Whether quotation marks stand around cells in a file divided by tabs: in many they are part of the text.

    Against it tell rows that can't be read so, and those whose lines are whole rows each; for it those that hold what
    has to be quoted, and those whose cells all stand in quotation marks, as the names of the columns may.
    """
    told, tabs = 0, len(how.columns) - 1
    with how.lines() as source:
        reader = how.reader(source)
        while True:
            source.read.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return told >= 0
            except csv.Error:
                told -= 1
            else:
                first, *others = source.read
                if others and tabs and all(line.count("\t") == tabs for line in source.read):
                    told -= 1
                elif others or ('""' in first and '"' in "".join(cells)) or (tabs and _ALL_QUOTED.fullmatch(first)):
                    told += 1


def _rows(how: _Csv) -> Rows:
    """The rows of a CSV. A quotation mark that is not closed may swallow many lines, each of which counts as a row."""
    path, wide, wanted = how.path, how.encoding.startswith(_WIDE), len(how.columns)
    with how.lines() as source:
        reader = how.reader(source)
        with suppress(csv.Error, StopIteration):
            next(reader)
        while True:
            source.read.clear()
            first = reader.line_num + 1
            where = f"{path}:{first + how.above}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if (trimmed := _trimmed(source.read, how)) is not None:
                    yield where, dict(zip(how.columns, trimmed, strict=True))
                    continue
                last = reader.line_num + how.above
                what = f"{error} up to line {last}; is a quotation mark not closed, or one inside a cell not doubled?"
                yield where, CountedError(what, reader.line_num - first + 1)
                continue
            if wide and "\ufffd" in "".join(cells):
                yield where, StanceError(f"characters that are no {how.encoding}; save the file as UTF-8")
            elif len(cells) == wanted:
                yield where, dict(zip(how.columns, cells, strict=True))
            elif any(cell.strip() for cell in cells):
                over = f" up to line {reader.line_num + how.above}" if reader.line_num > first else ""
                what = f"expected {wanted} cells, found {len(cells)}{over}"
                what += f"; cells that hold {how.delimiter!r} want quotation marks" if how.quoting == 0 else ""
                yield where, CountedError(what, reader.line_num - first + 1)


def _trimmed(lines: Sequence[str], how: _Csv) -> list[str] | None:
    """The cells of a line that has blanks between a closing quotation mark and what divides the cells."""
    behind = re.compile(rf'(?<!")("(?:"")*) +(?=[{re.escape(how.delimiter)}\r\n]|$)')
    with suppress(csv.Error, StopIteration):
        cells = next(how.reader([behind.sub(r"\1", lines[0])])) if len(lines) == 1 else []
        return cells if len(cells) == len(how.columns) else None
    return None


def _open(path: Path, encoding: str) -> Any:
    """Bytes that are not of the encoding become halves of surrogate pairs, or U+FFFD in UTF-16 and UTF-32."""
    errors = "replace" if encoding.startswith(_WIDE) else "surrogateescape"
    return path.open(encoding=encoding, errors=errors, newline="")


def _encoding(path: Path) -> tuple[str, str]:
    """The encoding of a file, told by its byte order mark or by its lines that are not ASCII, and a note of it."""
    sample, size = [], 0
    with path.open("rb") as lines:
        begin = lines.read(4096)
        if mark := texts.marked(begin):
            return mark, ""
        try:
            mark = texts.wide(begin)
        except StanceError as error:
            raise StanceError(f"{path}: {error}") from error
        if mark:
            return mark, f"read as {mark}, without a byte order mark"
        lines.seek(0)
        for line in iter(lambda: lines.readline(texts.SAMPLE), b""):
            if not line.isascii():
                sample.append(line)
                size += len(line)
                if size > texts.SAMPLE:
                    break
    raw = b"".join(sample)
    escaped = raw.decode("utf-8", "surrogateescape")
    if texts.mostly_utf8(re.sub("[\udc80-\udcff]{1,3}$", "", escaped)):
        return "utf-8", ""
    found = texts.detect(raw)
    return (found, f"not UTF-8, read as {found}") if found else ("utf-8", "")
