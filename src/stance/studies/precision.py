"""The precision that `training.precision=auto` comes to in a study: one for all its trainings, also after a restart.

A measurement has noise. Another one in the same study would train again what is trained, or compare trainings of two
precisions.
"""

from collections.abc import Callable

from optuna import Study

from stance.errors import StanceError
from stance.network.precision import choose_precision

PRECISIONS = ("fp32", "bf16")
SHARED = "precision"
"""The attribute of an Optuna study."""


def settled(known: Callable[[str], int], where: str) -> str:
    """The precision of most of the finished parts that `where` keeps, else the one that is measured.

    Args:
        known: how many of the parts that are wanted have been trained in a precision.
        where: what is named in the line about another precision than the measured one.
    """
    measured = choose_precision("auto")
    (other,) = (each for each in PRECISIONS if each != measured)
    return again(other, where) if known(other) > known(measured) else measured


def again(before: str, where: str) -> str:
    """The precision in which `where` was begun if this machine has it, else the measured one; a line if both differ."""
    measured = choose_precision("auto")
    if before == measured:
        return measured
    try:
        choose_precision(before)
    except StanceError:
        print(f"training.precision=auto: {measured}; {where} was begun in {before}, which this machine does not have")
        return measured
    print(f"training.precision=auto: {before}, in which {where} was begun; measured now it would be {measured}")
    return before


def shared(study: Study) -> str:
    """The precision of all trials of a study: what the process measured that began it.

    A study that was begun before there was this knows none; the next process measures for it.
    """
    if SHARED not in study.user_attrs:
        study.set_user_attr(SHARED, choose_precision("auto"))
    return again(study.user_attrs[SHARED], f"study {study.study_name!r}")
