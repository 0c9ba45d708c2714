"""When to give no answer: the confidence below which a model stays silent to keep to a target risk.

Selective classification with guaranteed risk (Geifman and El-Yaniv, 2017): the largest coverage is taken whose risk has
an upper confidence bound within the target. Coverage is the share of the pairs that are answered, risk the share of
wrong answers among these.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from stance.scores import Answers, Estimate, intervals

COVERAGES = 20
"""Coverages that are tried, in equal steps. Fixed beforehand: no search that follows the labels."""
DIGITS = 4
"""Decimals of a threshold."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """The least confidence of an answer, and what it did on the `pairs` that it was chosen on.

    `threshold` is None when no coverage keeps to the target; coverage, risk and bound are then those of the one that
    came closest. `bound` is an upper bound of the risk that holds with the probability `risk_confidence`.
    """

    target_risk: float
    risk_confidence: float
    threshold: float | None
    coverage: float
    risk: float
    bound: float
    pairs: int

    def __str__(self) -> str:
        target = f"target risk {self.target_risk:.1%}"
        found = (
            f"answers {self.coverage:.0%} of {self.pairs} pairs, {self.risk:.1%} of them wrongly, at most "
            f"{self.bound:.1%} with {self.risk_confidence:.0%} confidence"
        )
        if self.threshold is None:
            return f"abstention: no threshold keeps to the {target}; the closest {found}"
        return f"abstention: below confidence {self.threshold:.{DIGITS}f} for the {target}: {found}"


def choose(answers: Answers, *, target_risk: float, risk_confidence: float) -> Abstention:
    """The threshold with the largest coverage whose risk is within the target.

    The bound is that of Clopper and Pearson, at a level that lets it hold for all `COVERAGES` at once (Bonferroni).

    Args:
        answers: calibrated, as the shipped model gives them; at least one.
        target_risk: the largest share of wrong answers, above 0 and below 1.
        risk_confidence: how probable it is that new pairs of the same kind keep to the target, above 0 and below 1.
    """
    confidence, wrong = answers.confidence, answers.wrong
    articles = np.unique(answers.groups, return_inverse=True)[1]
    level = 1 - (1 - risk_confidence) / COVERAGES
    tried = []
    for threshold in _thresholds(confidence):
        answered = confidence >= threshold
        bound = upper_bound(wrong[answered], articles[answered], level)
        coverage, risk = float(answered.mean()), float(wrong[answered].mean())
        tried.append(Abstention(target_risk, risk_confidence, threshold, coverage, risk, bound, len(wrong)))
    kept = [one for one in tried if one.bound <= target_risk]
    if kept:
        return max(kept, key=lambda one: one.coverage)
    return replace(min(tried, key=lambda one: one.bound), threshold=None)


def _thresholds(confidence: npt.NDArray[np.float64]) -> list[float]:
    """The confidence that each of the coverages reaches, cut off after `DIGITS` decimals."""
    ranked = np.sort(confidence)[::-1]
    last = np.ceil(np.arange(1, COVERAGES + 1) * len(ranked) / COVERAGES).astype(int) - 1
    return [float(value) for value in np.floor(ranked[last] * 10**DIGITS) / 10**DIGITS]


def upper_bound(wrong: npt.NDArray[np.bool_], articles: npt.NDArray[np.int64], level: float) -> float:
    """The one-sided bound of Clopper and Pearson on the risk of the population that the answers are drawn from.

    Pairs of one article tend to be right or wrong together. So the bound takes the number of independent pairs that
    tell as much, as Korn and Graubard (1998) do in surveys; with an article for each pair it is the exact bound.
    """
    risk = wrong.mean()
    if risk == 1:
        return 1.0
    apart = wrong - risk
    together = (np.bincount(articles, apart) ** 2).sum()
    effect = max(together / (apart**2).sum(), 1.0) if risk > 0 else 1.0
    pairs = len(wrong) / effect
    return float(beta.ppf(level, pairs * risk + 1, pairs * (1 - risk)))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a threshold does on other pairs than those that it was chosen on, with intervals over articles."""

    target_risk: float
    threshold: float
    coverage: Estimate
    risk: Estimate

    def to_json(self) -> dict[str, Any]:
        """Numbers and `[value, low, high]`."""
        found = {"target_risk": self.target_risk, "threshold": self.threshold}
        return found | {"coverage": list(astuple(self.coverage)), "risk": list(astuple(self.risk))}

    def __str__(self) -> str:
        verdict = "kept" if self.risk.value <= self.target_risk else "missed"
        return (
            f"abstention below confidence {self.threshold:.{DIGITS}f}: coverage {self.coverage}, risk {self.risk}; "
            f"the target risk {self.target_risk:.1%} is {verdict}"
        )


def judge(answers: Answers, metadata: Mapping[str, Any], *, resamples: int, seed: int) -> Kept | None:
    """Whether an artifact's threshold keeps its promise; None for an artifact without one.

    Args:
        answers: of the artifact.
        metadata: the content of the artifact's `stance.json`.
        resamples: bootstrap samples of articles for each interval.
        seed: of the bootstrap.
    """
    chosen = metadata.get("abstention")
    if not chosen or chosen["threshold"] is None:
        return None
    found = estimates(answers, chosen["threshold"], resamples=resamples, seed=seed)
    return Kept(chosen["target_risk"], chosen["threshold"], found["coverage"], found["selective_risk"])


def estimates(answers: Answers, threshold: float, *, resamples: int, seed: int) -> dict[str, Estimate]:
    """`coverage` and `selective_risk` (0 where nothing is answered) at a threshold, with intervals over articles."""
    names, articles = np.unique(answers.groups, return_inverse=True)
    answered = answers.confidence >= threshold
    columns = (np.ones(len(answered)), answered, answered & answers.wrong)
    sums = np.stack([np.bincount(articles, column) for column in columns], 1)

    def of(drawn: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        pairs, kept, missed = np.moveaxis(sums[drawn].sum(-2), -1, 0)
        return {"coverage": kept / pairs, "selective_risk": missed / kept.clip(1)}

    return intervals(of, len(names), resamples=resamples, seed=seed)
