"""Bootstrap intervals over articles: whole articles are drawn, as what stands in one article is not independent."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import DegenerateDataWarning, bootstrap

Rates = Callable[[npt.NDArray[Any]], dict[str, npt.NDArray[np.float64]]]
DRAWN_AT_ONCE = 50
"""Bootstrap samples that are computed together: more need memory and save no time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its bootstrap interval over articles; not a number where there is nothing to score."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "–" if math.isnan(self.value) else f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def intervals(of: Rates, articles: int, *, resamples: int, seed: int, level: float = 0.95) -> dict[str, Estimate]:
    """Every score with its percentile interval; whole articles are drawn, since their pairs are not independent.

    A draw of which a score is NaN, as of a risk where nothing is answered, does not count for the score's interval.

    Args:
        of: the scores of drawn articles: from their indices, shape `(..., articles)`, to values of shape `(...)`.
        articles: how many there are.
        resamples: bootstrap samples drawn.
        seed: of the draws.
        level: share of the samples inside the interval.
    """
    whole = of(np.arange(articles))
    if articles < 2:
        return {name: Estimate(float(v) if articles else math.nan, math.nan, math.nan) for name, v in whole.items()}

    def statistic(drawn: npt.NDArray[np.int64], axis: int = -1) -> npt.NDArray[np.float64]:
        return np.stack(list(of(np.moveaxis(drawn, axis, -1)).values()))

    with warnings.catch_warnings(action="ignore", category=DegenerateDataWarning):  # all draws give one value
        drawn = bootstrap(
            (np.arange(articles),),
            statistic,
            n_resamples=resamples,
            batch=DRAWN_AT_ONCE,
            method="percentile",
            vectorized=True,
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    told = (values[~np.isnan(values)] for values in drawn)
    tails = [(1 - level) / 2, (1 + level) / 2]
    bounds = (np.quantile(values, tails).tolist() if len(values) else (math.nan, math.nan) for values in told)
    return {name: Estimate(float(v), *found) for (name, v), found in zip(whole.items(), bounds, strict=True)}
