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

    A label's weight is the inverse of its share in its corpus to the power of `exponent` (1: all labels of a corpus
    have the same say). An answer shared between labels is weighed label by label, so that a teacher's answers count
    as annotations do. A corpus has as much say as before.
    """
    if not exponent:
        return list(examples)
    weights = {corpus: _weights(masses, exponent) for corpus, masses in _masses(examples).items()}
    return [_weighed(example, weights[example.corpus]) for example in examples]


def _masses(examples: Sequence[Example]) -> dict[str, list[float]]:
    """For each corpus how much its examples say for each label, by their weights."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(LABELS))
    for example in examples:
        masses = found[example.corpus]
        for i, share in enumerate(example.shares()):
            masses[i] += example.weight * share
    return found


def _weights(masses: Sequence[float], exponent: float) -> dict[str, float]:
    """The weight of each label, 1 on average over what the examples say."""
    total = sum(masses)
    rare = [(total / mass) ** exponent if mass else 0.0 for mass in masses]
    scale = total / sum(weight * mass for weight, mass in zip(rare, masses, strict=True)) if total else 1.0
    return {label: weight * scale for label, weight in zip(LABELS, rare, strict=True)}


def _weighed(example: Example, weights: Mapping[str, float]) -> Example:
    """The example whose answer is weighed label by label: its weight, and the shares of an answer that is shared."""
    shares = [share * weights[label] for label, share in zip(LABELS, example.shares(), strict=True)]
    total = sum(shares)
    soft = tuple(share / total for share in shares) if example.soft and total else example.soft
    return replace(example, weight=example.weight * total, soft=soft)
