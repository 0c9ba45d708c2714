"""Files and directories that appear whole or not at all, what an output may replace, sums of files."""

import glob
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from stance.errors import StanceError


@contextmanager
def replace_directory(path: Path, *, marker: str, own: Set[str] | None = None) -> Iterator[Path]:
    """Fill a temporary directory beside `path`; when the block ends well it takes the place of `path`.

    A link stays, and the directory that it points at is replaced.

    Args:
        path: the directory to write.
        marker: the file whose presence shows that an existing `path` is an earlier output of the same kind.
        own: see `check_replaceable`.

    Raises:
        StanceError: `path` exists and is something else, which is left as it is.
    """
    check_replaceable(path, marker=marker, own=own)
    path = resolved(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    folder.mkdir()  # with the rights that the user's umask leaves
    try:
        yield folder
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(old / path.name)
            try:
                folder.replace(path)
            except BaseException:
                (old / path.name).replace(path)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            folder.replace(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def flush(path: Path) -> None:
    """Wait until a file, or which files a directory has, is on the disk, so that a power cut leaves it.

    Some file systems know no such thing for a directory.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if path.is_dir() else nullcontext():
            os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The hexadecimal sha256 of a file's content."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def remove_leftovers(path: Path) -> None:
    """Remove what a killed `replace_directory` left beside `path`. Nobody else may be writing `path` meanwhile."""
    path = path.resolve()
    prefix = f".{path.name}."
    for folder in path.parent.glob(glob.escape(prefix) + "*"):
        name = folder.name.removeprefix(prefix)
        new, old = re.fullmatch(r"[0-9a-f]{8}", name), re.fullmatch(r"old\.[a-z0-9_]{8}", name)
        if (new and folder.is_dir()) or (old and (folder / path.name).is_dir()):
            shutil.rmtree(folder)


def check_outside(output: Path, source: Path) -> None:
    """Refuse an output that is what is read, or lies in it: it would replace it, or be read as part of it later.

    Raises:
        StanceError: it is, or it does.
    """
    place, read = resolved(output), resolved(source)
    if place == read or read in place.parents:
        raise StanceError(
            f"{output}: is read as part of {source}; nothing was overwritten: choose a place outside of it"
        )


def resolved(path: Path) -> Path:
    """What is written when `path` is: itself, or what it points at as a link.

    Raises:
        StanceError: links point at each other.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise StanceError(f"{path}: a link that leads nowhere ({error}); choose another place") from error


def check_above(path: Path) -> Path:
    """The lowest directory above `path`, or above what it points at as a link, that is there.

    Raises:
        StanceError: a file stands in its place, or links point at each other.
    """
    above = next((folder for folder in resolved(path).parents if folder.exists()), path)
    if not above.is_dir():
        raise StanceError(f"{path}: {above} is a file, no directory; choose another output")
    return above


def check_permitted(path: Path) -> None:
    """Refuse an output that can't be written: for want of permission, or where the system makes no file, as in /proc.

    Raises:
        StanceError: so it is, or see `check_above`.
    """
    above = check_above(path)
    if not os.access(above, os.W_OK | os.X_OK):
        raise StanceError(f"output={path}: no permission to write into {above}; choose another output")
    try:
        tempfile.TemporaryFile(dir=above).close()
    except OSError as error:
        raise StanceError(f"output={path}: can't be made ({error.strerror}); choose another output") from error


def check_replaceable(path: Path, *, marker: str, own: Set[str] | None = None) -> None:
    """Refuse a `path` that holds something other than an earlier output with `marker` in it.

    Args:
        path: the directory to write.
        marker: see `replace_directory`.
        own: names that an output may hold; anything else is somebody's work. None accepts all names.

    Raises:
        StanceError: `path` or something above it is a file, nothing can be written there, a disk is mounted there, or
            it holds files that are no earlier output.
    """
    check_permitted(path)
    if path.exists() and not path.is_dir():
        raise StanceError(f"{path}: is a file; expected a directory to write to, nothing was overwritten")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).is_file():
        raise StanceError(
            f"{path}: holds files but no {marker}, so it is no earlier output of this command; "
            "nothing was overwritten: choose another output or empty it"
        )
    if resolved(path).is_mount():
        raise StanceError(f"{path}: a disk is mounted there, so it can't be replaced; expected a folder in it")
    foreign = sorted(p.name for p in path.iterdir() if p.name not in own) if own and path.is_dir() else []
    if foreign:
        raise StanceError(
            f"{path}: holds {foreign[0]}, which is no part of an earlier output; "
            "nothing was overwritten: choose another output or move it away"
        )


def check_output(path: Path, *read: str | Path) -> None:
    """Refuse, before the work, a file that can't be written, or is or lies in what is `read`; an empty name is nothing.

    Raises:
        StanceError: it is a directory, a pipe or a device, something above it is a file, there is no permission to
            write there, or see `check_outside`.
    """
    if path.is_dir():
        raise StanceError(f"output={path}: is a directory; expected the name of a file to write")
    _check_regular(path)
    check_permitted(path)
    for place in read:
        if place:
            check_outside(path, Path(place))


def _check_regular(path: Path) -> None:
    """Refuse what a finished file must not take the place of: a pipe or a device, a process's own descriptors too."""
    systems = [place.parts[1:3] for place in (path.absolute(), resolved(path))]
    system = any(parts[:1] in (("dev",), ("proc",)) and parts != ("dev", "shm") for parts in systems)
    if system or (path.exists() and not path.is_file()):
        raise StanceError(f"output={path}: is no regular file, and it would be replaced; expected the name of a file")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as out:
        out.write(text)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a binary file, whole or not at all."""
    with _renamed(path) as handle, os.fdopen(handle, "wb") as out:
        out.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file with a temporary name beside `path`, renamed to it when the block ends well."""
    with _renamed(path) as handle, os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
        yield out


@contextmanager
def _renamed(path: Path) -> Iterator[int]:
    """The descriptor of a temporary file beside `path`, renamed to it when the block, which closes it, ends well.

    A link stays, and what it points at is replaced.
    """
    _check_regular(path)
    path = resolved(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = os.fsdecode(os.fsencode(path.name)[:200])  # the file system takes 255 bytes
    temporary = path.with_name(f".{name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less what the user's umask takes
    try:
        yield handle
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
