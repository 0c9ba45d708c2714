"""Class weights: how much a label says in the loss, by how rare its corpus has it.

A corpus of mostly neutral pairs teaches a model that is right most often, which for rare labels is seldom sure enough
to be told: its macro-F1 asks for more of them.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stance.errors import StanceError
from stance.records import LABELS, Example

NAMED = {"none": 0.0, "balanced": 1.0}


def power(setting: str) -> float:
    """The exponent that `training.class_weights` stands for.

    Raises:
        StanceError: it is neither one of `NAMED` nor a number from 0 to 1.
    """
    try:
        found = NAMED[setting] if setting in NAMED else float(setting)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise StanceError(f"training.class_weights={setting}: expected none or balanced, or a number from 0 to 1")
    return found


def balance(examples: Sequence[Example], exponent: float) -> list[Example]:
    """The examples with weights that give the rare labels of a corpus more say, and its frequent ones less.

    A label's weight is the inverse of its share, among those of a corpus that may have the same labels, to the power of
    `exponent` (1: all labels have the same say there). An answer shared between labels is weighed label by label, so
    that a teacher's answers count as annotations do. A corpus has as much say as before.
    """
    if not exponent:
        return list(examples)
    weights = {group: _weights(masses, exponent) for group, masses in _masses(examples).items()}
    return [_weighed(example, weights[_group(example)]) for example in examples]


def _group(example: Example) -> tuple[str, tuple[str, ...]]:
    """What an example's label is rare or frequent among.

    Pairs that were made of a corpus of two labels can have the third (`training.deny`): rare only as seen from there.
    """
    return example.corpus, example.labels


def _masses(examples: Sequence[Example]) -> dict[tuple[str, tuple[str, ...]], dict[str, float]]:
    """For each group how much its examples say for each label that one of them has, by their weights."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, float]] = defaultdict(dict)
    for example in examples:
        found[_group(example)].setdefault(example.stance, 0.0)
    for example in examples:
        masses = found[_group(example)]
        for label, share in zip(LABELS, example.shares(), strict=True):
            if label in masses:  # else a teacher's doubt about a label that nobody gave would become a label's say
                masses[label] += example.weight * share
    return found


def _weights(masses: Mapping[str, float], exponent: float) -> dict[str, float]:
    """The weight of each label: 1 on average over what the examples say for `masses`, and 1 for all others."""
    total = sum(masses.values())
    rare = {label: (total / mass) ** exponent for label, mass in masses.items() if mass}
    said = sum(weight * masses[label] for label, weight in rare.items())
    return {label: rare[label] * total / said if label in rare else 1.0 for label in LABELS}


def _weighed(example: Example, weights: Mapping[str, float]) -> Example:
    """The example whose answer is weighed label by label: its weight, and the shares of an answer that is shared."""
    shares = [share * weights[label] for label, share in zip(LABELS, example.shares(), strict=True)]
    total = sum(shares)
    soft = tuple(share / total for share in shares) if example.soft else example.soft
    return replace(example, weight=example.weight * total, soft=soft)
