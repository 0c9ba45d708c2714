"""Reading and writing JSON and JSON Lines, with the file and the line in every error. Knows nothing of records."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from stance.errors import StanceError
from stance.files import replacing, write_text

MAX_LINE_BYTES = 16_000_000
MAX_ELEMENT_CHARACTERS = 64_000_000
_CHUNK = 1 << 20
_GAP = re.compile(r"[\s,]*")


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
    if path.is_dir():
        raise StanceError(f"{path}: is a directory; expected a JSON Lines file (one JSON object a line, UTF-8)")
    if not path.exists():  # a pipe is fine
        raise StanceError(f"{path}: no such file; expected a JSON Lines file (one JSON object a line, UTF-8)")
    found = False
    with path.open("rb") as lines:
        for number, raw in enumerate(short_lines(lines), 1):
            if raw.strip():
                found = True
                where = f"{path}:{number}"
                try:
                    yield where, _parse(raw, where)
                except StanceError as error:
                    yield where, error
    if not found:
        raise StanceError(f"{path}: the file is empty; expected one JSON object a line")


def short_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one over `MAX_LINE_BYTES` the first bytes, one more than that."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        yield raw
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES + 1)  # the rest of the same line


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise StanceError(f"{where}: a line of over {MAX_LINE_BYTES:,} bytes, the most that is read; split the text")
    try:
        value = _DECODER.decode(raw.decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise StanceError(
            f"{where}: not UTF-8 (byte {raw[error.start]:#04x} at column {error.start + 1}); save it as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise StanceError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}; expected one complete object a line"
        ) from error
    except ValueError as error:  # a doubled key, or a number with more digits than Python takes
        raise StanceError(f"{where}: broken JSON: {error}; expected one complete object a line") from error
    except RecursionError as error:
        raise StanceError(f"{where}: JSON nested too deeply; expected one flat object a line") from error
    if not isinstance(value, dict):
        raise StanceError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. JSON lets a key stand twice, and Python would forget what the first one says."""
    value = dict(members)
    if len(value) < len(members):
        twice, _ = Counter(key for key, _ in members).most_common(1)[0]
        raise ValueError(f"the key {twice[:40]!r} stands twice in an object")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def read_text(path: Path) -> str:
    """The text of a file, line ends as they are.

    Raises:
        StanceError: it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise StanceError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def document(path: Path, advice: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        path: a file that is there; what its absence means, the caller knows.
        advice: what the user does about a broken file, the end of the error's sentence.

    Raises:
        StanceError: it is larger than `MAX_ELEMENT_CHARACTERS`, not UTF-8, broken, or holds something else.
    """
    if path.stat().st_size > MAX_ELEMENT_CHARACTERS:
        raise StanceError(f"{path}: over {MAX_ELEMENT_CHARACTERS:,} bytes, the most that is read; {advice}")
    try:
        value = _DECODER.decode(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise StanceError(f"{path}: not UTF-8 (byte {error.object[error.start]:#04x}); {advice}") from error
    except RecursionError as error:
        raise StanceError(f"{path}: not valid JSON (nested too deeply); {advice}") from error
    except ValueError as error:  # broken, a doubled key, or a number with more digits than Python takes
        raise StanceError(f"{path}: not valid JSON ({error}); {advice}") from error
    if not isinstance(value, dict):
        raise StanceError(f"{path}: expected a JSON object, found {type(value).__name__}; {advice}")
    return value


def elements(path: Path) -> Iterator[Any]:
    """The objects of a JSON array, read as they come: the file may be larger than the memory.

    Raises:
        StanceError: the file is missing, not UTF-8, no array, broken from some element on, or goes on behind it.
    """
    if not path.is_file():
        raise StanceError(f"{path}: no such file; expected a JSON array of objects")
    with path.open(encoding="utf-8-sig") as file:
        try:
            yield from _elements(file, path)
        except UnicodeDecodeError as error:
            raise StanceError(f"{path}: not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8") from error


def _elements(file: TextIO, path: Path) -> Iterator[Any]:
    decode, buffer, number = _DECODER.raw_decode, file.read(_CHUNK), 1
    place = _gap(buffer, 0)
    if not buffer.startswith("[", place):
        raise StanceError(f"{path}: expected a JSON array of objects, found {buffer[place : place + 20]!r}")
    place += 1
    while not buffer.startswith("]", place := _gap(buffer, place)):
        try:
            value, place = decode(buffer, place)
        except json.JSONDecodeError as error:  # cut by the end of the buffer, or broken
            rest = len(buffer) - place
            more = file.read(max(_CHUNK, rest)) if rest < MAX_ELEMENT_CHARACTERS else ""
            if not more:
                raise StanceError(f"{path}: broken JSON in element {number}: {error.msg}; expected it whole") from error
            buffer, place = buffer[place:] + more, 0
        except (ValueError, RecursionError) as error:
            raise StanceError(f"{path}: broken JSON in element {number}: {error}; expected a plain object") from error
        else:
            number += 1
            yield value
    behind = buffer[place + 1 :]
    while not behind.strip() and (more := file.read(_CHUNK)):
        behind = more
    if behind := behind.strip():
        what = "expected one array; take off the rest"
        raise StanceError(f"{path}: goes on behind the array: {behind[:20]!r}; {what}")


def _gap(buffer: str, place: int) -> int:
    found = _GAP.match(buffer, place)
    return found.end() if found else place


def dumps(value: Mapping[str, Any]) -> str:
    """One line of JSON with the keys in the order given."""
    return json.dumps(value, ensure_ascii=False)


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one with `a.b.c` keys."""
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            flat |= flatten(inner, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = inner
    return flat


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The dotted keys whose values differ."""
    first, second = flatten(one), flatten(other)
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def check_writable(row: Mapping[str, Any], where: str) -> None:
    """Refuse a row that can't be written again: half a surrogate pair, or a number that JSON does not have."""
    try:
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise StanceError(f"{where}: has half a surrogate pair, which UTF-8 can't write; write it whole") from error
    except ValueError as error:
        raise StanceError(f"{where}: has NaN or an infinite number, which JSON does not have; write null") from error


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as JSON Lines, as they come; the file appears under its name only when it is whole."""
    with replacing(path) as out:
        for row in rows:
            out.write(dumps(row) + "\n")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one indented JSON document with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def finite(value: Any) -> Any:
    """The value with null for the numbers that JSON does not have, NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
