"""The outputs of the jobs that Hydra's `-m` starts, and what an earlier try of them left. Needs no torch.

The names in a training's work folder are here, since `stance.training.resume`, which keeps it, needs torch.
"""

import re
from pathlib import Path

from stance.errors import StanceError

WORK = "partial"
"""The work folder of a training is named as its output, a dot and this."""
JOB = "job.json"
"""What is trained in a work folder; without it nothing there is taken for a checkpoint."""


def numbered(output: Path, number: int, *, suffixed: bool) -> Path:
    """The output of one of several jobs; if it is `suffixed`, a file, the number stands before its suffix.

    Raises:
        StanceError: the output has no name.
    """
    if not output.name:
        raise StanceError(f"output={output}: expected a name to which the number of a job can be added")
    suffix = output.suffix if suffixed else ""
    return output.with_name(f"{output.name.removesuffix(suffix)}-{number}{suffix}")


def check_left(output: Path) -> None:
    """Refuse, before the first of several trainings, what a later one would be refused for: that it was interrupted.

    Raises:
        StanceError: one was, which nobody has said to go on with.
    """
    for folder in sorted(path.parent for path in output.parent.glob(f"*.{WORK}/{JOB}")):
        named = re.fullmatch(rf"{re.escape(output.name)}-\d+\.{WORK}", folder.name)
        if named and any(folder.glob("checkpoint-*")):
            raise StanceError(
                f"{folder}: an interrupted training of several; resume=auto goes on with it and takes those "
                "before it as they are, resume=never trains all of them anew; move it away if it is none of these"
            )
