"""Scores of predicted stances: an in-tree `evaluate.Metric` that needs no network, and bootstrap intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import datasets
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import confusion_matrix

import evaluate
from stance.bootstrap import Estimate, Rates, intervals
from stance.records import LABELS, Example

Counts = npt.NDArray[np.int64]
Name = TypeVar("Name", str, tuple[str, str])
ALL = tuple(range(len(LABELS)))
"""The classes of all labels."""
SUMMARY = ("macro_f1", "accuracy", "mcc")


def confusion(references: Sequence[int], predictions: Sequence[int]) -> Counts:
    """Counts of shape `(3, 3)`: rows are the true class, columns the predicted one."""
    matrix: Counts = confusion_matrix(references, predictions, labels=range(len(LABELS)))
    return matrix


def rates(matrix: npt.NDArray[Any], labels: Sequence[int] = ALL) -> dict[str, npt.NDArray[np.float64]]:
    """Scores of one or many confusion matrices, shape `(..., 3, 3)`; each value has shape `(...)`.

    Macro-F1 is the mean over the classes `labels` (see `choices`), present or not; a label that is neither there
    nor predicted scores 0. MCC is the multi-class coefficient of Gorodkin (2004), 0 where it is not defined.
    """
    counts = np.asarray(matrix, np.float64)
    true, predicted = counts.sum(-1), counts.sum(-2)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    total = counts.sum((-2, -1))
    precision, recall = _ratio(right, predicted), _ratio(right, true)
    f1 = _ratio(2 * right, true + predicted)
    covariance = right.sum(-1) * total - (true * predicted).sum(-1)
    spread = np.sqrt((total**2 - (predicted**2).sum(-1)) * (total**2 - (true**2).sum(-1)))
    scores = {
        "macro_f1": f1[..., list(labels)].mean(-1),
        "accuracy": _ratio(right.sum(-1), total),
        "mcc": _ratio(covariance, spread),
    }
    for i, label in enumerate(LABELS):
        scores |= dict(zip(scores_of(label), (precision[..., i], recall[..., i], f1[..., i]), strict=True))
    return scores


def scores_of(label: str) -> tuple[str, str, str]:
    """The names of a label's own scores among `rates`."""
    return f"{label}_precision", f"{label}_recall", f"{label}_f1"


def pointless(labels: Sequence[int]) -> set[str]:
    """The names of the scores of labels that are none of the classes `labels` (see `choices`): they tell nothing."""
    return {name for index, label in enumerate(LABELS) if index not in labels for name in scores_of(label)}


def present(references: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """The classes that some row has; of no rows all."""
    return tuple(np.unique(references).tolist()) or ALL


def slice_rates(references: npt.NDArray[np.int64]) -> Rates:
    """What computes `f1` and `accuracy` of a slice, which may lack a label: `f1` is over the labels that it has.

    These are the same in every bootstrap sample of it, also in one that has no row of a rare label.

    Args:
        references: the true classes of the slice, shape `(rows,)`.
    """
    labels = present(references)

    def of(matrix: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float64]]:
        found = rates(matrix, labels)
        return {"f1": found["macro_f1"], "accuracy": found["accuracy"]}

    return of


def _ratio(above: npt.NDArray[np.float64], below: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)


def known(examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Which labels each example's corpus knows, shape `(examples, 3)`: no other can be the answer."""
    rows = [[label in example.labels for label in LABELS] for example in examples]
    return np.array(rows, np.bool_).reshape(-1, len(LABELS))


def choices(examples: Sequence[Example]) -> tuple[int, ...]:
    """The classes that some example's corpus knows; of no examples all."""
    return tuple(np.flatnonzero(known(examples).any(0)).tolist()) or ALL


def only_known(probabilities: npt.NDArray[Any], examples: Sequence[Example]) -> npt.NDArray[Any]:
    """Probabilities over the labels that each example's corpus knows, shape `(examples, 3)`."""
    kept = np.where(known(examples), probabilities, 0)
    return np.asarray(kept / kept.sum(1, keepdims=True).clip(1e-12), probabilities.dtype)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to rows with true labels.

    `probabilities` has shape `(rows, 3)`, `references` are the true classes, `groups` the articles (`independent`).
    Confidence is the probability of the answer, the most probable label.
    """

    probabilities: npt.NDArray[Any]
    references: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]

    @classmethod
    def to(cls, examples: Sequence[Example], probabilities: npt.NDArray[Any]) -> Self:
        """Answers to examples; probabilities of labels that a corpus does not know go to the others."""
        return cls.shipped(examples, only_known(probabilities, examples))

    @classmethod
    def shipped(cls, examples: Sequence[Example], probabilities: npt.NDArray[Any]) -> Self:
        """Answers as a user gets them, who says nothing of a corpus: over all labels, with that confidence."""
        references = np.array([LABELS.index(example.stance) for example in examples], np.int64)
        return cls(probabilities, references, independent(examples))

    def only(self, kept: npt.NDArray[Any]) -> Self:
        """Those of some rows, by index or mask."""
        return type(self)(self.probabilities[kept], self.references[kept], self.groups[kept])

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Shape `(rows,)`."""
        return np.asarray(self.probabilities.max(1), np.float64)

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Shape `(rows,)`."""
        return np.asarray(self.probabilities.argmax(1) != self.references)


class StanceScore(evaluate.Metric):  # type: ignore[misc]
    """`StanceScore().compute(predictions=[...], references=[...])` over class indices, offline.

    `labels=choices(examples)` leaves labels that no corpus of theirs knows out of macro-F1.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Macro-F1, accuracy, MCC and per-class precision, recall and F1 of actor-target stances.",
            citation="",
            inputs_description=f"predictions, references: class indices, in the order {', '.join(LABELS)}",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(
        self, *, predictions: Sequence[int], references: Sequence[int], labels: Sequence[int] = ALL
    ) -> dict[str, float]:
        return {name: float(value) for name, value in rates(confusion(references, predictions), labels).items()}


def score(examples: Sequence[Example], answers: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, float]:
    """`StanceScore` of class indices, shape `(examples,)`, over and of the labels that the examples' corpora know."""
    references, labels = [LABELS.index(example.stance) for example in examples], choices(examples)
    found: dict[str, float] = StanceScore().compute(predictions=answers, references=references, labels=labels)
    return {name: value for name, value in found.items() if name not in pointless(labels)}


def flat(prefix: str, values: Mapping[str, Estimate]) -> dict[str, float]:
    """Scores with the bounds of their intervals as names `PREFIX_NAME`, `…_low` and `…_high`, but for NaN."""
    found: dict[str, float] = {}
    for name, estimate in values.items():
        found[f"{prefix}_{name}"] = estimate.value
        found |= {f"{prefix}_{name}_low": estimate.low, f"{prefix}_{name}_high": estimate.high}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def together(articles: Sequence[Name], texts: Sequence[str]) -> list[Name]:
    """For each row the first name of the articles that its own has a passage in common with, also by way of others.

    Args:
        articles: the name of each row's article.
        texts: the passage of each row.
    """
    names: list[Name] = sorted(set(articles))
    place = {name: number for number, name in enumerate(names)}
    behind = {text: number for number, text in enumerate(dict.fromkeys(texts), len(names))}
    rows, columns = [place[name] for name in articles], [behind[text] for text in texts]
    shape = (len(names) + len(behind),) * 2
    _, group = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=shape), directed=False)
    first: dict[int, Name] = {}
    for name in names:
        first.setdefault(group[place[name]], name)
    return [first[group[place[name]]] for name in articles]


def independent(examples: Sequence[Example]) -> npt.NDArray[np.str_]:
    """The article of each example, as bootstrap and bounds count articles: those of one passage are copies, and one.

    Copies may still be two: the same evidence may be a passage in its context in some and alone in others
    (`examples.alone`).
    """
    names = together([example.article_id for example in examples], [example.text for example in examples])
    return np.array(names, np.str_)


def by_group(references: Sequence[int], predictions: Sequence[int], groups: Sequence[str]) -> Counts:
    """One confusion matrix a group (article), shape `(groups, 3, 3)`."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), len(LABELS), len(LABELS)), np.int64)
    np.add.at(counts, (index, np.asarray(references, np.int64), np.asarray(predictions, np.int64)), 1)
    return counts


def estimates(
    counts: Counts, *, resamples: int, seed: int, level: float = 0.95, of: Rates = rates
) -> dict[str, Estimate]:
    """Every score with its interval over articles (`bootstrap.intervals`).

    Args:
        counts: one confusion matrix an article, `(articles, 3, 3)`.
        resamples: bootstrap samples drawn.
        seed: of the draws.
        level: share of the samples inside the interval.
        of: the scores of confusion matrices.
    """
    return intervals(lambda drawn: of(counts[drawn].sum(-3)), len(counts), resamples=resamples, seed=seed, level=level)


def difference(
    first: Counts, second: Counts, *, resamples: int, seed: int, level: float = 0.95, labels: Sequence[int] = ALL
) -> Estimate:
    """How far the macro-F1 of `first` is above that of `second`, with the percentile interval of the difference.

    Both have shape `(articles, 3, 3)` over the same articles, which are drawn for both alike (paired bootstrap,
    Efron & Tibshirani, 1993). Macro-F1 is over the classes `labels`.
    """

    def of(drawn: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float64]]:
        ours, theirs = (rates(counts[drawn].sum(-3), labels)["macro_f1"] for counts in (first, second))
        return {"difference": ours - theirs}

    return intervals(of, len(first), resamples=resamples, seed=seed, level=level)["difference"]
