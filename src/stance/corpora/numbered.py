"""Names of Label Studio's tasks that have only numbers: the same in every export of a project."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ADVICE = (
    "both are kept; where one was corrected remove the older export, where they are of two servers give each server's "
    "exports a corpus of its own, so that names don't depend on the order of the files"
)


class Numbered:
    """Names tasks by their project, if known: each export of one has another file name.

    Projects of two servers may have the same number, and a text may have been corrected between two exports: of two
    texts under one name the one that is read first keeps it, and the other has a digest behind it.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}

    def name(self, task: Mapping[str, Any], file: Path, place: int) -> tuple[str, str]:
        """The name of a task, the `place`-th of its file, and what is to know of it: nothing, unless it was taken."""
        counted, project = task.get("id"), task.get("project")
        if counted is None:
            return f"{file.stem}-{place}", ""
        if not isinstance(project, int):
            return f"{file.stem}-{counted}", ""
        name = f"project-{project}-{counted}"
        text = str(task["data"]["text"]).encode("utf-8", "surrogatepass")
        mark = hashlib.blake2b(text, digest_size=4).hexdigest()
        first, where = self._first.setdefault(name, (mark, f"{file}:{place}"))
        if first == mark:
            return name, ""
        return f"{name}-{mark}", f"{name} is another text at {where}: {ADVICE}"
