"""Whether confidence means what it says: the temperature, errors of calibration, proper scores, risk over coverage.

When to give no answer is decided in `stance.scoring.abstention`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from stance.bootstrap import Estimate, intervals
from stance.records import LABELS, Example
from stance.scoring.scores import Answers

Values = npt.NDArray[np.float64]
MEASURES = {
    "calibration_error": "ECE",
    "overconfidence": "overconfidence",
    "brier": "Brier",
    "aurc": "AURC",
}
"""The measures that stand beside every score, with their headings; all but the second are better when lower."""
BINS = 10
FEW = 100
"""Fewer pairs than this tell little of a temperature."""
_DOUBT = 5.0
"""How much a temperature other than 1 must earn: `1 / (2 σ²)` of the prior on its logarithm."""


def softmax(logits: npt.NDArray[Any]) -> Values:
    """Probabilities along the last axis."""
    exp = np.exp(logits - logits.max(-1, keepdims=True)).astype(np.float64)
    return np.asarray(exp / exp.sum(-1, keepdims=True))


def fit_temperature(logits: npt.NDArray[Any], labels: Sequence[int]) -> float:
    """The temperature with the lowest negative log-likelihood (Guo et al., 2017), between 0.25 and 8.

    Its logarithm has a normal prior around 0, of standard deviation 0.32: a dozen pairs that are all answered right do
    not make a model sure of everything, and a thousand decide alone.
    """

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits / np.exp(log_temperature))
        right = probabilities[np.arange(len(labels)), labels]
        return float(-np.log(right + 1e-12).sum() + _DOUBT * log_temperature**2)

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.25, 8.0]), method="bounded").x))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The temperature that was fitted on `pairs`, and their `measures` at temperature 1 and at this one."""

    temperature: float
    pairs: int
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        changes = ", ".join(
            f"{MEASURES[name]} {self.before[name]:.3f} -> {self.after[name]:.3f}"
            for name in ("calibration_error", "brier")
        )
        return f"{changes} at temperature {self.temperature:.2f} on {self.pairs} pairs"


def calibrate(logits: npt.NDArray[Any], examples: Sequence[Example]) -> Calibration:
    """Fit the temperature to logits of shape `(examples, 3)` and say what it does."""
    temperature = fit_temperature(logits, [LABELS.index(example.stance) for example in examples])
    before, after = (measures(Answers.to(examples, softmax(logits / t))) for t in (1.0, temperature))
    return Calibration(temperature, len(examples), before, after)


def measures(answers: Answers) -> dict[str, float]:
    """Errors of calibration, proper scores and the area under risk over coverage.

    * `calibration_error`: expected calibration error with ten equal-width bins of confidence (Naeini et al., 2015). A
      mean of absolute gaps is above 0 by chance alone, the more the fewer pairs (Kumar et al., 2019), and so are all
      samples of it: its interval says what would be measured again, not how small the true gap may be.
    * `overconfidence`: mean confidence less accuracy; below 0 the model is more often right than it says.
    * `brier`: squared distance to the true label, summed over labels, 0 to 2 (Brier, 1950).
    * `nll`: mean negative log-likelihood.
    * `aurc`: area under the curve of `risk_coverage` (Geifman et al., 2019), the error rate
      when confidence tells nothing.
    """
    found = _weighted(answers)(np.ones(len(answers.references)))
    return {name: float(value) for name, value in found.items()}


def estimates(answers: Answers, *, resamples: int, seed: int) -> dict[str, Estimate]:
    """`measures` with percentile intervals over articles (see `stance.bootstrap.intervals`)."""
    names, index = np.unique(answers.groups, return_inverse=True)
    weighted = _weighted(answers)

    def of(drawn: npt.NDArray[np.int64]) -> dict[str, Values]:
        counts = np.apply_along_axis(np.bincount, -1, drawn, minlength=len(names))
        return weighted(counts[..., index].astype(np.float64))

    return intervals(of, len(names), resamples=resamples, seed=seed)


def _weighted(answers: Answers) -> Callable[[Values], dict[str, Values]]:
    """The measures as a function of how often each row counts, shape `(..., rows)`; nan where none does."""
    probabilities, confidence, wrong = answers.probabilities, answers.confidence, answers.wrong
    truth = np.eye(probabilities.shape[1])[answers.references]
    gap = confidence - ~wrong
    bins = np.eye(BINS)[_bin(confidence)] * gap[:, None]
    brier = ((probabilities - truth) ** 2).sum(1)
    surprise = -np.log((probabilities * truth).sum(1).clip(1e-12))
    order = np.argsort(-confidence, kind="stable")
    last = np.searchsorted(-confidence[order], -confidence[order], side="right") - 1

    def of(weights: Values) -> dict[str, Values]:
        total = weights.sum(-1)
        ranked = weights[..., order]
        answered = ranked.cumsum(-1)[..., last]
        risk = (ranked * wrong[order]).cumsum(-1)[..., last] / answered.clip(1)
        sums = {
            "calibration_error": np.abs(weights @ bins).sum(-1),
            "overconfidence": weights @ gap,
            "brier": weights @ brier,
            "nll": weights @ surprise,
            "aurc": (ranked * risk).sum(-1),
        }
        return {name: np.where(total > 0, value / total.clip(1), np.nan) for name, value in sums.items()}

    return of


def risk_coverage(answers: Answers) -> tuple[Values, Values, Values]:
    """Thresholds of confidence, the strictest first, with the coverage and the risk of what reaches each.

    Coverage is the share of the rows that are answered, risk the share of wrong answers among these (El-Yaniv and
    Wiener, 2010; Geifman and El-Yaniv, 2017).
    """
    thresholds, index, counts = np.unique(-answers.confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(index, answers.wrong, minlength=len(thresholds))
    answered = counts.cumsum()
    return -thresholds, answered / counts.sum(), wrong.cumsum() / answered


def reliability(answers: Answers) -> list[tuple[float, float, float, float, float]]:
    """`(low, high, accuracy, mean confidence, share of rows)` of each bin of confidence that has rows."""
    confidence, right = answers.confidence, ~answers.wrong
    edges, index = np.linspace(0, 1, BINS + 1), _bin(confidence)
    return [
        (
            float(edges[b]),
            float(edges[b + 1]),
            float(right[index == b].mean()),
            float(confidence[index == b].mean()),
            float((index == b).mean()),
        )
        for b in np.unique(index)
    ]


def table(title: str, rows: Mapping[str, Mapping[str, Estimate]]) -> list[list[str]]:
    """Rows for a reader: the measures of each named set of answers, with their intervals."""
    header = [title, *(f"{heading} [95 %]" for heading in MEASURES.values())]
    return [header, *([name, *(str(values[m]) for m in MEASURES)] for name, values in rows.items())]


def _bin(confidence: Values) -> npt.NDArray[np.int64]:
    return np.clip(np.digitize(confidence, np.linspace(0, 1, BINS + 1)) - 1, 0, BINS - 1)
