"""Scores of a pass over the validation split, beside what a model must beat there: a guess, and the names alone.

Each pass is compared with both on the same articles, so that a run can say while it lasts whether it learns anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from transformers import EvalPrediction

from stance.records import LABELS, Example
from stance.scoring import baselines
from stance.scoring.scores import (
    StanceScore,
    by_group,
    choices,
    difference,
    independent,
    pointless,
    present,
    rates,
    score,
)
from stance.training.batches import IGNORED, target
from stance.training.objective import cross_entropy

NAMES, GUESS = "names", "guess"
RESAMPLES, IN_TAIL = 1000, 5
"""Bootstrap samples of a difference: so many at least, and so many of them outside the interval on each side."""
MOST_PASSES = 50
"""Passes that the intervals hold for at once, at most: each that is reckoned with adds 200 samples to a difference."""


@dataclass(frozen=True)
class Rival:
    """What a baseline answers: the numbers of the examples it was asked, shape `(n,)`, and its class indices."""

    asked: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]


class Validation:
    """Computes the metrics of a validation pass; its prediction's labels are `(labels, numbers of the examples)`.

    Args:
        train: what the baselines learn from.
        examples: the validation split.
        seed: of the baselines and of the bootstrap.
        passes: how many there will be. The best one is kept, so the intervals hold for all of them at once
            (Bonferroni): each has its share of the 5 %. At most `MOST_PASSES` are reckoned with.
    """

    def __init__(self, train: Sequence[Example], examples: Sequence[Example], *, seed: int, passes: int = 1) -> None:
        self.train = train
        self.examples = examples
        self.seed = seed
        self.level = 1 - 0.05 / min(passes, MOST_PASSES)

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """Loss, all scores, the share of the answers that is each label, and how far the model is above each rival.

        The loss takes the place of the trainer's own, which counts a passage of one pair like a passage of thirty.
        """
        logits = np.asarray(prediction.predictions).reshape(-1, len(LABELS))
        numbers, first = np.unique(np.asarray(prediction.label_ids[1]).reshape(-1), return_index=True)
        there = numbers != IGNORED
        numbers, logits = numbers[there], logits[first[there]]
        return {"loss": self.loss(numbers, logits), **self.scores(numbers, logits.argmax(1))}

    def loss(self, numbers: npt.NDArray[np.int64], logits: npt.NDArray[np.float32]) -> float:
        """Mean cross-entropy in nats of `logits`, shape `(n, 3)`, for the examples of these numbers.

        Like the scores beside it, and unlike the loss in training, it knows neither weights nor label smoothing.
        """
        targets = torch.tensor([target(self.examples[i]) for i in numbers])
        return float(cross_entropy(torch.from_numpy(logits), targets).mean())

    def scores(self, numbers: npt.NDArray[np.int64], answers: npt.NDArray[np.int64]) -> dict[str, float]:
        """The metrics of class indices `answers`, shape `(n,)`, to the examples of these numbers.

        A label that no corpus of the split knows has no scores of its own.
        """
        unknown = pointless(self._labels)
        every = StanceScore().compute(predictions=answers, references=self._truth[numbers], labels=self._labels)
        found: dict[str, float] = {name: value for name, value in every.items() if name not in unknown}
        for index, label in enumerate(LABELS):
            found[f"{label}_predicted"] = float((answers == index).mean())
        everything = np.full(len(self.examples), IGNORED)
        everything[numbers] = answers
        for name, rival in self._rivals.items():
            there = everything[rival.asked] != IGNORED
            found |= self._above(name, everything[rival.asked[there]], Rival(rival.asked[there], rival.answers[there]))
        return found

    def _above(self, name: str, answers: npt.NDArray[np.int64], rival: Rival) -> dict[str, float]:
        groups = self._articles[rival.asked].tolist()
        truth = self._truth[rival.asked].tolist()
        ours, theirs = (by_group(truth, found.tolist(), groups) for found in (answers, rival.answers))
        labels = self._labels if name == GUESS else present(self._truth[rival.asked])
        drawn = max(RESAMPLES, round(2 * IN_TAIL / (1 - self.level)))
        above = difference(ours, theirs, resamples=drawn, seed=self.seed, level=self.level, labels=labels)
        scores = {
            f"{name}_macro_f1": float(rates(theirs.sum(0), labels)["macro_f1"]),
            f"above_{name}": above.value,
            f"above_{name}_low": above.low,
            f"above_{name}_high": above.high,
        }
        return {key: value for key, value in scores.items() if math.isfinite(value)}

    @cached_property
    def _truth(self) -> npt.NDArray[np.int64]:
        return np.array([LABELS.index(example.stance) for example in self.examples], np.int64)

    @cached_property
    def _articles(self) -> npt.NDArray[np.str_]:
        return independent(self.examples)

    @cached_property
    def _labels(self) -> tuple[int, ...]:
        return choices(self.examples)

    @cached_property
    def _rivals(self) -> dict[str, Rival]:
        """The better of two guesses on all pairs; names on annotated pairs alone, as in `stance.scoring.evaluation`.

        Sampled pairs have names of another kind, which would give them away. Without annotated pairs, or with one
        label among those of training, there is nothing to learn from names and they are left out. Where a corpus knows
        one label there is nothing to guess.
        """
        guesses = baselines.predictions(
            self.train, self.examples, seed=self.seed, systems=(baselines.MAJORITY, baselines.CHANCE)
        )
        best = max(guesses.values(), key=lambda guess: score(self.examples, guess)["macro_f1"])
        rivals = {GUESS: Rival(np.arange(len(self.examples)), best)} if len(self._labels) > 1 else {}
        asked = [i for i, example in enumerate(self.examples) if example.provenance != "sampled"]
        learned = [example for example in self.train if example.provenance != "sampled"]
        if asked and len({example.stance for example in learned}) > 1:
            pairs = [self.examples[i] for i in asked]
            found = baselines.predictions(learned, pairs, seed=self.seed, systems=(baselines.NAMES_ONLY,))
            rivals[NAMES] = Rival(np.array(asked, np.int64), found[baselines.NAMES_ONLY])
        return rivals
