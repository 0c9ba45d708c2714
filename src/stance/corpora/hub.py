"""Any dataset of the Hugging Face hub by its name, or a local directory of one, read as a table with named columns.

`path` is `user/name`, with `:config` and `@revision` where it needs them. Rows come one at a time over the network;
no code of a dataset is run. All its splits are kept as the splits of the articles. Ids of rows are prefixed with the
split, since many datasets count from 0 in each.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from stance.corpora import rows, tables
from stance.corpora.source import Found, Rows, Table
from stance.errors import StanceError
from stance.settings.building import SourceConfig

_NAME = re.compile(r"(?P<path>[\w.-]+(?:/[\w.-]+)?)(?::(?P<name>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?")
_SAVED = ("dataset_dict.json", "dataset_info.json")


def read(source: SourceConfig) -> Iterator[Found]:
    """Read all splits of a dataset, in its own order."""
    parts = _splits(source.path)
    for name, part in parts.items():
        table = Table(Path(f"{source.path}[{name}]"), _columns(part, source.path), "", _reader(source.path, name, part))
        how = tables.form(source, table, split=rows.split_of(name), prefix=name if len(parts) > 1 else "")
        yield from tables.articles(table.read(set(how.columns.values())), how)


def _splits(path: str) -> dict[str, Any]:
    import datasets

    try:
        if Path(path).is_dir():
            saved = any((Path(path) / name).is_file() for name in _SAVED)
            found = datasets.load_from_disk(path) if saved else datasets.load_dataset(path, streaming=True)
        else:
            if not (match := _NAME.fullmatch(path)) or path.startswith("."):
                raise StanceError(f"{path}: no such directory, and no name of a dataset (user/name@revision)")
            found = datasets.load_dataset(**match.groupdict(), streaming=True)
    except (OSError, ValueError, RuntimeError, TypeError, datasets.exceptions.DatasetsError) as error:
        what = "a local dataset" if Path(path).is_dir() else "a dataset of the Hugging Face hub"
        raise StanceError(f"{path}: can't be read as {what}: {_line(error)}") from error
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


def _columns(part: Any, path: str) -> tuple[str, ...]:
    names = part.column_names
    if names is None:  # a stream does not know its columns before its first row
        try:
            names = next(iter(part), {})
        except (OSError, ValueError, RuntimeError) as error:
            raise StanceError(f"{path}: can't be read: {_line(error)}") from error
    return tuple(names)


def _reader(path: str, split: str, part: Any) -> Any:
    def read(wanted: Collection[str]) -> Rows:
        names = {column: feature for column, feature in (part.features or {}).items() if hasattr(feature, "int2str")}
        number = 0
        try:
            for row in part.select_columns(sorted(wanted)):
                number += 1
                for column in wanted & names.keys():
                    value = row[column]
                    row[column] = names[column].int2str(value) if isinstance(value, int) and value >= 0 else None
                yield f"{path}[{split}]:{number}", row
        except (OSError, ValueError, RuntimeError, EOFError) as error:
            where = f"{path}[{split}]:{number + 1}"
            raise StanceError(f"{where}: can't be read from here: {_line(error)}; try again") from error
        except (KeyError, TypeError) as error:
            where, what = f"{path}[{split}]:{number + 1}", _line(error)
            raise StanceError(f"{where}: its files differ in columns or types, here {what}; make them alike") from error

    return read


def _line(error: Exception) -> str:
    """The first sentence of what a library says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
