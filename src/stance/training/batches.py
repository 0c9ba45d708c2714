"""Batches for training: examples grouped by passage, rows bucketed by length under a token budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from stance.encoding import Cuts, Encoded, PairEncoder, collate
from stance.records import LABELS, Example

IGNORED = -100
ANSWERS = ("labels", "weights", "targets", "examples")
"""What a batch holds beside the model's inputs."""


@dataclass(frozen=True, slots=True)
class Row:
    """An encoded passage and, for each of its pairs, the class index, the weight, and what the model should answer.

    `targets` has a share for each class; a class that the pair's corpus does not know is no choice and is -1.
    """

    encoded: Encoded
    labels: list[int]
    weights: list[float]
    targets: list[tuple[float, ...]]


def target(example: Example) -> tuple[float, ...]:
    """The share of each class in the answer that is wanted: 1 for one label, a vote's shares, -1 for no choice."""
    shares = zip(LABELS, example.shares(), strict=True)
    return tuple(share if label in example.labels else -1.0 for label, share in shares)


class Rows(Dataset[Row]):
    """Encoded examples, tokenised once. `cuts` says what the length limits took away, `ids` what each one is called."""

    def __init__(self, examples: Sequence[Example], encoder: PairEncoder) -> None:
        encoded, cuts = encoder.encode([example.pair() for example in examples])
        self.cuts: Cuts = cuts
        self.pad_id = encoder.settings.pad_id
        self.ids = [example.id for example in examples]
        self.rows = [
            Row(
                row,
                [LABELS.index(examples[i].stance) for i in row.pairs],
                [examples[i].weight for i in row.pairs],
                [target(examples[i]) for i in row.pairs],
            )
            for row in encoded
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(row.encoded.ids) for row in self.rows]

    def collate(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The model's inputs with `labels` (padded with -100), `weights` and `targets` (padded with 0).

        Their shapes are `(batch, pairs)`, and `(batch, pairs, classes)` for `targets`. `examples` are the pairs'
        numbers in what the rows were made from, padded with -100.
        """
        inputs = collate([row.encoded for row in rows], self.pad_id)
        width = inputs["markers"].shape[1]
        labels = np.full((len(rows), width), IGNORED, np.int64)
        weights = np.zeros((len(rows), width), np.float32)
        targets = np.zeros((len(rows), width, len(LABELS)), np.float32)
        examples = np.full((len(rows), width), IGNORED, np.int64)
        for i, row in enumerate(rows):
            labels[i, : len(row.labels)] = row.labels
            weights[i, : len(row.weights)] = row.weights
            targets[i, : len(row.targets)] = row.targets
            examples[i, : len(row.encoded.pairs)] = row.encoded.pairs
        arrays = {**inputs, "labels": labels, "weights": weights, "targets": targets, "examples": examples}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class TokenBudget(Sampler[list[int]]):
    """Batches of rows of like length, each of at most `budget` tokens with its padding; a longer row is one by itself.

    Lengths count rounded up to a multiple of 8. Rows of one rounded length are interchangeable, so that every
    epoch draws other batches, in another order, but always the same number of them; the same seed and epoch
    give the same batches.
    """

    STEP = 8

    def __init__(self, lengths: Sequence[int], budget: int, *, seed: int, shuffle: bool = True) -> None:
        self.lengths = -(-np.asarray(lengths, np.int64) // self.STEP) * self.STEP
        self.budget = budget
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches())

    def _batches(self) -> list[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        batches: list[list[int]] = []
        for index in order[np.argsort(self.lengths[order], kind="stable")].tolist():
            # Lengths ascend, so the row at hand is the longest of its batch.
            length = int(self.lengths[index])
            if not batches or length * (len(batches[-1]) + 1) > self.budget:
                batches.append([])
            batches[-1].append(index)
        if self.shuffle:
            random.shuffle(batches)
        return batches
