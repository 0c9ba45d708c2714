"""Folders for models that are thrown away. One that a killed process has left is removed by the next study.

A temporary folder may be shared by machines whose locks are their own, so each removes what it has left itself.
"""

import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "stance-study-" + re.sub(r"\W", "_", platform.node()) + "-"
"""With the name of this machine."""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is removed at the end, in one of this process's own among the temporary ones."""
    _remove_left()
    own = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    with own, FileLock(Path(own.name) / "lock"):
        inside = Path(own.name) / "work"
        inside.mkdir()  # only now: where it is and the lock is free, the process is gone
        yield inside


def _remove_left() -> None:
    """Remove what killed processes of this user have left here. No link is followed; living ones hold their locks."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            found, lock = left.lstat(), left / "lock"
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            if (left / "work").is_dir() and lock.is_file():
                with FileLock(lock, timeout=0):
                    shutil.rmtree(left)
