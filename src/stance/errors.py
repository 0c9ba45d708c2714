"""The one exception for a user's mistake, which scripts print as a line with exit code 2, and what its texts share."""

import errno
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USER = re.compile(r"(?<=://)[^:/?\s]*:(?!\d+:?(?:\s|$))")  # no host with its port
_REST = re.compile(r"[?\s]")
_TOKEN = re.compile(r"(https?://)[^:/?@\s]+:?@", re.IGNORECASE)
_PARAMETER = re.compile(r"([?&;]([^=&?;\s]*)=)[^&\s]+")
_SECRET = re.compile(
    "(?:pass|password|passwd|passphrase|pwd|token|secret|credentials?|signature|(?:api|access)_?key|odbc_connect)$",
    re.IGNORECASE,
)
"""How the name of a parameter ends whose value is nobody's business: `sslpassword`, `access_token`, no `max_tokens`."""
_TORN = re.compile(r"unexpected pos \d|PytorchStreamWriter|iostream error")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 2000


class StanceError(Exception):
    """Bad input or configuration: says where, what was expected, what was found and what to do."""


class MachineError(StanceError):
    """The machine lacks something, such as room on a disk: the same settings may do when it no longer does."""


def no_room(error: BaseException) -> str:
    """What to do about a file system that takes no more, none at all, or no such name; empty for any other error.

    torch wraps its failed writes in errors that tell of no number.
    """
    number = error.errno if isinstance(error, OSError) else 0
    if number == errno.ENAMETOOLONG:
        return f"{getattr(error, 'filename', None)}: a longer name than the file system takes; choose a shorter one"
    if number == errno.EROFS:
        return f"{getattr(error, 'filename', None) or 'output'}: a read-only file system; choose another output"
    full = number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)
    if full or (isinstance(error, RuntimeError) and _TORN.search(str(error))):
        return f"no space left on the disk ({str(error).splitlines()[0]}); free some, or choose another output"
    return ""


def printable(text: str, most: int = _LONGEST) -> str:
    """Text that a terminal takes for nothing but text, its middle left out where it is longer than `most`.

    Without control characters, those that turn what follows around, and halves of surrogate pairs.
    """
    if len(text) > most:
        text = f"{text[: most // 2]} … {text[len(text) - most // 2 :]}"
    return _CONTROL.sub("\ufffd", text)


def replace_unprintable() -> None:
    """Let standard output write "?" for letters that a terminal's or a pipe's encoding lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def password(address: str) -> str:
    """The password in an address, as it is written there; empty where it has none.

    Up to the last @ before a query or a space, else the first: user and password may have one too.
    """
    return next((address[start:end] for start, end in _passwords(address)), "")


def hidden(text: str) -> str:
    """The text without the passwords of the addresses in it.

    They stand before a host, for `http` also without a user (`https://TOKEN@…`), and in a query (`?token=…`).
    """
    said = _TOKEN.sub(r"\1***@", "\n".join(map(_without_passwords, text.split("\n"))))
    return _PARAMETER.sub(lambda found: f"{found[1]}***" if _SECRET.search(found[2]) else found[0], said)


def _without_passwords(line: str) -> str:
    parts, done = [], 0
    for start, end in _passwords(line):
        parts += [line[done:start], "***"]
        done = end
    return "".join([*parts, line[done:]])


def _passwords(line: str) -> Iterator[tuple[int, int]]:
    """Where passwords stand before hosts, `[start, end)`; in a time that grows with the line, whatever it says."""
    end = 0
    while user := _USER.search(line, end):
        start = user.end()
        rest = _REST.search(line, start)
        end = line.rfind("@", start, rest.start() if rest else None)
        if end < 0 and (end := line.find("@", start)) < 0:
            return
        if end > start:
            yield start, end


@contextmanager
def naming(path: Path, problem: str, remedy: str) -> Iterator[None]:
    """Name the file that a library can't use: some raise whatever they like."""
    try:
        yield
    except StanceError:
        raise
    except Exception as error:
        said = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise StanceError(f"{path}: {problem} ({said}); {remedy}") from error


def install(extra: str) -> str:
    """What to do where a package of an extra is missing: this project is in a repository, not on PyPI."""
    return f"run `pip install -e '.[{extra}]'` in the folder of the repository"
