"""A progress bar for the pairs that a model answers, shown where that takes more than a few seconds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from stance.encoding import Cuts
from stance.predictor import StancePredictor
from stance.records import Example

PATIENCE = 5.0
"""Seconds before a bar shows itself."""


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """Give what takes the number of pairs that were answered, out of a `total`."""
    with tqdm(total=total, desc=what, unit="pair", delay=PATIENCE) as shown:
        yield shown.update


def logits(predictor: StancePredictor, rows: Sequence[Example], what: str) -> npt.NDArray[np.float32]:
    """What `StancePredictor.logits` gives for the pairs of `rows`, under a bar that is named `what`."""
    with bar(what, len(rows)) as done:
        return predictor.logits([row.pair() for row in rows], _counted(done))


def probabilities(predictor: StancePredictor, rows: Sequence[Example], what: str) -> npt.NDArray[np.float32]:
    """What `StancePredictor.probabilities` gives for the pairs of `rows`, under a bar that is named `what`."""
    with bar(what, len(rows)) as done:
        return predictor.probabilities([row.pair() for row in rows], _counted(done))


def _counted(done: Callable[[int], object]) -> Callable[[Cuts], None]:
    def report(cuts: Cuts) -> None:
        done(cuts.pairs)

    return report
