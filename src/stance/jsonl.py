"""Reading and writing JSON Lines, with the file and the line in every error. Knows nothing of records."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from stance.errors import StanceError

MAX_LINE_BYTES = 16_000_000


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `(where, object)` for each line that is not blank; `where` is `file:line`.

    Raises:
        StanceError: the file is missing, empty or not UTF-8, or a line is not a JSON object.
    """
    for where, value in scan(path):
        if isinstance(value, StanceError):
            raise value
        yield where, value


def scan(path: Path) -> Iterator[tuple[str, dict[str, Any] | StanceError]]:
    """Like `read`, but a line that is no object comes as the error about it, and reading goes on.

    Raises:
        StanceError: the file is missing or empty.
    """
    if not path.is_file():
        raise StanceError(f"{path}: no such file; expected a JSON Lines file (one JSON object a line, UTF-8)")
    found = False
    with path.open("rb") as lines:
        for number, raw in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES + 1), b""), 1):
            if raw.strip():
                found = True
                where = f"{path}:{number}"
                try:
                    yield where, _parse(raw, where)
                except StanceError as error:
                    yield where, error
                if len(raw) > MAX_LINE_BYTES:
                    return  # the rest of such a line can't be told from lines
    if not found:
        raise StanceError(f"{path}: the file is empty; expected one JSON object a line")


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise StanceError(f"{where}: a line of over {MAX_LINE_BYTES:,} bytes, the most that is read; split the text")
    try:
        value = json.loads(raw.decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise StanceError(
            f"{where}: not UTF-8 (byte {raw[error.start]:#04x} at column {error.start + 1}); save it as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise StanceError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}; expected one complete object a line"
        ) from error
    except ValueError as error:  # a number with more digits than Python takes
        raise StanceError(f"{where}: broken JSON: {error}; expected one complete object a line") from error
    except RecursionError as error:
        raise StanceError(f"{where}: JSON nested too deeply; expected one flat object a line") from error
    if not isinstance(value, dict):
        raise StanceError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


def dumps(value: Mapping[str, Any]) -> str:
    """One line of JSON with the keys in the order given."""
    return json.dumps(value, ensure_ascii=False)


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as JSON Lines, as they come; the file appears under its name only when it is whole."""
    with _whole(path) as out:
        for row in rows:
            out.write(dumps(row) + "\n")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one indented JSON document with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with _whole(path) as out:
        out.write(text)


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A temporary file beside `path` that takes its name when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            yield out
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
