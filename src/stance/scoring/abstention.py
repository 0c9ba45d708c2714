"""When to give no answer: the confidence below which a model stays silent to keep to a target risk.

Selective classification with guaranteed risk (Geifman and El-Yaniv, 2017): the largest coverage is taken whose risk has
an upper confidence bound within the target. Coverage is the share of the pairs that are answered, risk the share of
wrong answers among these.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

from stance.artifact import WAYS
from stance.bootstrap import Estimate, intervals
from stance.predictor import StancePredictor
from stance.records import Example
from stance.scoring.scores import Answers

COVERAGES = 20
"""Coverages that are tried, in equal steps. Fixed beforehand: no search that follows the labels."""
UNTOLD = 0.3
"""How much alike the pairs of an article are taken to fare among answers of which none is wrong, at least."""
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
        found = (
            f"answers {self.coverage:.0%} of {self.pairs} pairs, {self.risk:.1%} of them wrongly, at most "
            f"{self.bound:.1%} with {self.risk_confidence:.0%} confidence"
        )
        if not self.pairs:
            return "none: no pair's corpus knows all labels, so there is nothing to choose one on"
        if self.threshold is None:
            return f"none keeps to the target risk {self.target_risk:.1%}; the closest {found}"
        return f"{self.threshold:.{DIGITS}f} for the target risk {self.target_risk:.1%}: {found}"


def choose(answers: Answers, *, target_risk: float, risk_confidence: float) -> Abstention:
    """The threshold with the largest coverage whose risk is within the target.

    `COVERAGES` are tested from the strictest on with the bound of Clopper and Pearson. Each has an equal share of the
    allowed error, and one that passes hands its share on to the next (the fallback procedure; Wiens, 2003), so that all
    that pass hold at once with the probability `risk_confidence`.

    Args:
        answers: calibrated, as the shipped model gives them; of none there is no threshold. How much alike the pairs of
            an article fare is what all of them say or the surer half of those answered, whichever is more (`UNTOLD`
            where nothing of it is wrong).
        target_risk: the largest share of wrong answers, above 0 and below 1.
        risk_confidence: how probable it is that new pairs of the same kind keep to the target, above 0 and below 1.
    """
    if not len(answers.references):
        return Abstention(target_risk, risk_confidence, None, coverage=0.0, risk=0.0, bound=1.0, pairs=0)
    confidence, wrong = answers.confidence, answers.wrong
    articles = np.unique(answers.groups, return_inverse=True)[1]
    all_alike = intraclass(wrong, articles)
    tried, allowed = [], 0.0
    for threshold in _thresholds(confidence):
        allowed += (1 - risk_confidence) / COVERAGES
        answered = confidence >= threshold
        surest = confidence >= np.median(confidence[answered])  # which may fare more alike than all do
        untold = not wrong[surest].any()
        alike = max(all_alike, UNTOLD if untold else intraclass(wrong[surest], articles[surest]))
        bound = upper_bound(wrong[answered], articles[answered], 1 - allowed, alike=alike)
        coverage, risk = float(answered.mean()), float(wrong[answered].mean())
        tried.append(Abstention(target_risk, risk_confidence, threshold, coverage, risk, bound, len(wrong)))
        if bound > target_risk:
            allowed = 0.0
    kept = [one for one in tried if one.bound <= target_risk]
    if kept:
        return max(kept, key=lambda one: one.coverage)
    return replace(min(tried, key=lambda one: one.bound), threshold=None)


def _thresholds(confidence: npt.NDArray[np.float64]) -> list[float]:
    """The confidence that each of the coverages reaches, cut off after `DIGITS` decimals."""
    ranked = np.sort(confidence)[::-1]
    last = np.ceil(np.arange(1, COVERAGES + 1) * len(ranked) / COVERAGES).astype(int) - 1
    return [float(value) for value in np.floor(ranked[last] * 10**DIGITS) / 10**DIGITS]


def intraclass(wrong: npt.NDArray[np.bool_], articles: npt.NDArray[np.int64]) -> float:
    """How much alike the pairs of an article fare: the intraclass correlation, estimated by analysis of variance.

    From 0, each for itself, to 1, all of an article right or all wrong (Donner, 1986, Int. Stat. Review 54); 1 where
    the answers don't tell, since all are right or all wrong, or no article has two pairs or there is but one.
    """
    articles = np.unique(articles, return_inverse=True)[1]
    sizes = np.bincount(articles)
    pairs, number = len(wrong), len(sizes)
    between_freedom, within_freedom = number - 1, pairs - number
    if not between_freedom or not within_freedom or wrong.all() or not wrong.any():
        return 1.0
    means = np.bincount(articles, wrong) / sizes
    between = (sizes * (means - wrong.mean()) ** 2).sum() / between_freedom
    within = (sizes * means * (1 - means)).sum() / within_freedom
    usual = (pairs - (sizes**2).sum() / pairs) / between_freedom
    return float(np.clip((between - within) / (between + (usual - 1) * within), 0, 1))


def upper_bound(
    wrong: npt.NDArray[np.bool_], articles: npt.NDArray[np.int64], level: float, *, alike: float = 0.0
) -> float:
    """The one-sided bound of Clopper and Pearson on the risk of the population that the answers are drawn from.

    Pairs of one article tend to be right or wrong together. So the bound takes the number of independent pairs that
    tell as much, as Korn and Graubard (1998) do in surveys, and fewer where few articles say how much they do
    together (their quotient of t quantiles); with an article for each pair it is the exact bound. With few errors they
    hardly say it themselves: `alike` does, the intraclass correlation of more answers, where that makes them fewer.
    """
    risk, number = wrong.mean(), len(np.unique(articles))
    if risk == 1 or (len(wrong) > 1 and number == 1):  # one article tells nothing of others
        return 1.0
    apart = wrong - risk
    together = (np.bincount(articles, apart) ** 2).sum()
    drawn = (number / (number - 1)) / (len(wrong) / (len(wrong) - 1)) if number < len(wrong) else 1.0  # few articles
    effect = 1 + ((np.bincount(articles) ** 2).sum() / len(wrong) - 1) * alike
    if risk > 0:
        effect = max(drawn * together / (apart**2).sum(), effect)
    few = (t.ppf(level, len(wrong) - 1) / t.ppf(level, number - 1)) ** 2 if level > 0.5 and number < len(wrong) else 1.0
    pairs = len(wrong) / effect * few
    return float(beta.ppf(level, pairs * risk + 1, pairs * (1 - risk)))


@dataclass(frozen=True, slots=True)
class Kept:
    """What an artifact's thresholds do on other pairs than those that they were chosen on."""

    target_risk: float
    coverage: Estimate
    risk: Estimate

    def to_json(self) -> dict[str, Any]:
        """Numbers and `[value, low, high]`; a risk of NaN where nothing is answered."""
        return {
            "target_risk": self.target_risk,
            "coverage": list(astuple(self.coverage)),
            "risk": list(astuple(self.risk)),
        }

    def __str__(self) -> str:
        if self.coverage.value == 0:
            return f"nothing is answered within the target risk {self.target_risk:.1%}"
        verdict = "kept" if self.risk.value <= self.target_risk else "missed"
        return f"coverage {self.coverage}, risk {self.risk}: the target risk {self.target_risk:.1%} is {verdict}"


def judge(
    given: npt.NDArray[Any], predictor: StancePredictor, rows: Sequence[Example], *, resamples: int, seed: int
) -> Kept | None:
    """Whether the target risk of an artifact's export is kept; None for an artifact that can't abstain.

    Args:
        given: the artifact's probabilities, shape `(rows, 3)`, over all labels: that is what it abstains by, also
            where the rows' corpus knows fewer. An answer that is none of these is wrong.
        predictor: the artifact.
        rows: as they were asked.
        resamples: bootstrap samples of articles for each interval.
        seed: of the bootstrap.
    """
    if not predictor.abstains:
        return None
    thresholds = predictor.thresholds([row.pair() for row in rows])
    found = estimates(Answers.shipped(rows, given), thresholds, resamples=resamples, seed=seed)
    return Kept(predictor.metadata["abstention"][WAYS[0]]["target_risk"], found["coverage"], found["selective_risk"])


def estimates(
    answers: Answers, thresholds: npt.NDArray[np.float32] | float, *, resamples: int, seed: int
) -> dict[str, Estimate]:
    """`coverage` and `selective_risk` (NaN where nothing is answered) at thresholds, with intervals over articles."""
    names, articles = np.unique(answers.groups, return_inverse=True)
    answered = answers.confidence >= thresholds
    columns = (np.ones(len(answered)), answered, answered & answers.wrong)
    sums = np.stack([np.bincount(articles, column) for column in columns], 1)

    def of(drawn: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        pairs, kept, missed = np.moveaxis(sums[drawn].sum(-2), -1, 0)
        return {"coverage": kept / pairs, "selective_risk": np.where(kept > 0, missed / kept.clip(1), np.nan)}

    return intervals(of, len(names), resamples=resamples, seed=seed)
