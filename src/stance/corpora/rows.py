"""Rows of tables, one at a time: CSV and TSV in any common encoding, Parquet, JSON Lines. Knows nothing of stances."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stance import jsonl
from stance.corpora import cells, separated, texts
from stance.corpora.source import Row, Rows, Table
from stance.corpora.texts import Cleaned
from stance.errors import StanceError
from stance.settings.building import SourceConfig

META = ("title", "date", "outlet", "theme", "split")
"""What a row may say about its article."""

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
SPLITS = {"train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
          "dev": "validation", "development": "validation", "test": "test", "testing": "test"}  # fmt: skip
"""What tables and files call the splits, and what we do."""
_BATCH = 64  # rows of Parquet at once: a row may hold megabytes


def files(path: Path) -> list[Path]:
    """The table at `path`, or those of a directory in the order of their names.

    Raises:
        StanceError: no table is there.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not found:
            raise StanceError(f"{path}: no {', '.join(SUFFIXES)} file in this directory; expected tables")
        return found
    if not path.is_file():
        raise StanceError(f"{path}: no such file; expected a table ({', '.join(SUFFIXES)}) or a directory of them")
    return [path]


def split_of(name: str) -> str:
    """The split that a cell or a published split names; other names stay as they are."""
    return SPLITS.get(name.strip().lower(), name.strip())


def of_file(path: Path) -> str:
    """The split that the last word of a file's name says; "vaccine-testing" says none, but what it is about."""
    word = re.split(r"[_.-]", path.stem.lower())[-1]
    return "" if word in ("training", "development", "testing") else SPLITS.get(word, "")


def open_table(path: Path, wanted: Collection[str]) -> Table:
    """The table in a file; `wanted` columns tell which character divides the cells of a CSV.

    Raises:
        StanceError: the file is empty or of no known kind.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".jsonl":
        keys = {key: None for _, row in jsonl.scan(path) if isinstance(row, dict) for key in row}  # some come late
        return Table(path, tuple(keys), "", lambda _: jsonl.scan(path))
    if suffix in (".csv", ".tsv"):
        return separated.table(path, wanted, "\t" if suffix == ".tsv" else ",;\t|")
    raise StanceError(f"{path}: expected a table ({', '.join(SUFFIXES)}), found {suffix or 'no suffix'}")


def named(source: SourceConfig, table: Table, known: Sequence[str], required: Sequence[str]) -> dict[str, str]:
    """Our names of columns -> theirs, for those that are there; a column of our name needs no mapping.

    Raises:
        StanceError: columns names a column that is not there, or one that no reader knows.
    """
    if unknown := sorted(set(source.columns) - set(known)):
        raise StanceError(f"columns: unknown name {unknown[0]!r}; expected some of {', '.join(known)}")
    there = f"the columns there are {', '.join(table.columns) or 'none'}"
    found = {}
    for name in known:
        theirs = source.columns.get(name, name)
        if theirs and table.columns.count(theirs) > 1:
            raise StanceError(f"{table.path}: the column {theirs!r} stands twice; {there}")
        if theirs and theirs in table.columns:  # an index column is called nothing, too
            found[name] = theirs
        elif name in required or source.columns.get(name):
            hint = "" if name in source.columns else f" (set columns.{name})"
            raise StanceError(f"{table.path}: no column {theirs!r} for {name}{hint}; {there}")
    return found


def only(row: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    """The row under our names."""
    return {name: row.get(theirs) for name, theirs in columns.items()}


def _parquet(path: Path) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = tuple(file.schema_arrow.names)
    except (pyarrow.ArrowException, OSError) as error:
        raise StanceError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from error

    def read(wanted: Collection[str]) -> Rows:
        number = 0
        try:
            with parquet.ParquetFile(path) as opened:
                for batch in opened.iter_batches(_BATCH, columns=sorted(wanted)):
                    for row in _batch(batch):
                        number += 1
                        yield f"{path}:{number}", row
        except (pyarrow.ArrowException, OSError) as error:
            what = f"the file is damaged from here ({str(error).splitlines()[0]}); fetch it or write it again"
            raise StanceError(f"{path}:{number + 1}: {what}") from error

    return Table(path, columns, "", read)


def _batch(batch: Any) -> Iterator[Row]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError, KeyError):
        for number in range(batch.num_rows):
            yield {name: _cell(batch.column(name)[number]) for name in batch.schema.names}


def _cell(value: Any) -> Any:
    """A value of Parquet, or the error about it, which `cells.text` raises."""
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return StanceError(f"not UTF-8 ({error.reason})")
    except (ValueError, OverflowError) as error:  # a time that Python does not have
        return StanceError(f"a value out of range ({error})")
    except KeyError as error:
        return StanceError(f"the time zone {error} is not known")


def clean(row: Row, column: str) -> Cleaned:
    """A cell as clean text; an error names its column."""
    try:
        return texts.clean(cells.text(row.get(column)))
    except StanceError as error:
        raise StanceError(f"{column}: {error}") from error


def meta(row: Row) -> tuple[dict[str, str], list[str]]:
    """What a row says about its article, and what was left out of it, since it can't be read."""
    found, notes = dict.fromkeys(META, ""), list[str]()
    for column in META:
        try:
            found[column] = clean(row, column).text.strip()
        except StanceError as error:
            notes.append(f"{error}; left out")
    return found, notes


def mended(row: Row) -> tuple[Row, str]:
    """The row with its stray bytes mended, and a note of them."""
    notes = []
    for name, value in row.items():
        if isinstance(value, str) and not value.isascii():
            row[name], note = texts.mend(value)
            notes += [f"{name}: {note}"] if note else []
    return row, ", ".join(notes)
