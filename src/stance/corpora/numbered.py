"""Names of Label Studio's tasks that have only numbers: the same in every export of a project."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Numbered:
    """Names tasks by their project, if known: each export of one has another file name.

    Projects of two servers may have the same number: of two texts under one name the second has a digest behind it.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def name(self, task: Mapping[str, Any], file: Path, place: int) -> str:
        """The name of a task, the `place`-th of its file."""
        counted, project = task.get("id"), task.get("project")
        if counted is None:
            return f"{file.stem}-{place}"
        if not isinstance(project, int):
            return f"{file.stem}-{counted}"
        name = f"project-{project}-{counted}"
        text = str(task["data"]["text"]).encode("utf-8", "surrogatepass")
        mark = hashlib.blake2b(text, digest_size=4).hexdigest()
        return name if self._first.setdefault(name, mark) == mark else f"{name}-{mark}"
