"""Batches under a token budget, as properties, and the rows that training feeds to the model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from stance.encoding import PairEncoder
from stance.network import encoders
from stance.records import LABELS, Example, Stance
from stance.training.batches import IGNORED, Rows, TokenBudget, target

lengths = st.lists(st.integers(1, 300), max_size=80)
budgets = st.integers(1, 3000)
seeds = st.integers(0, 2**31)


def epoch(sampler: TokenBudget, number: int) -> list[list[int]]:
    sampler.set_epoch(number)
    return list(sampler)


@given(lengths, budgets, seeds, st.integers(0, 20), st.booleans())
def test_every_row_comes_once_an_epoch(rows: list[int], budget: int, seed: int, number: int, shuffle: bool) -> None:
    batches = epoch(TokenBudget(rows, budget, seed=seed, shuffle=shuffle), number)
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    assert all(batches)


@given(lengths, budgets, seeds)
def test_a_padded_batch_exceeds_the_budget_only_when_one_row_does(rows: list[int], budget: int, seed: int) -> None:
    for batch in TokenBudget(rows, budget, seed=seed):
        assert len(batch) == 1 or max(rows[i] for i in batch) * len(batch) <= budget


@given(lengths, budgets, seeds, st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_each_epoch_has_the_same_number_of_batches(rows: list[int], budget: int, seed: int, numbers: list[int]) -> None:
    sampler = TokenBudget(rows, budget, seed=seed)
    expected = len(sampler)
    assert {len(epoch(sampler, number)) for number in numbers} == {expected}


@given(lengths, budgets, seeds, st.integers(0, 50))
def test_same_seed_and_epoch_give_the_same_batches(rows: list[int], budget: int, seed: int, number: int) -> None:
    first, second = (TokenBudget(rows, budget, seed=seed) for _ in range(2))
    epoch(first, number + 1)
    assert epoch(first, number) == epoch(second, number)


@given(st.lists(st.integers(1, 8), min_size=40, max_size=80), seeds)
def test_another_epoch_or_seed_puts_other_rows_together(rows: list[int], seed: int) -> None:
    def together(sampler: TokenBudget, number: int) -> set[frozenset[int]]:
        return {frozenset(batch) for batch in epoch(sampler, number)}

    sampler = TokenBudget(rows, 64, seed=seed)
    assert together(sampler, 0) != together(sampler, 1)
    assert together(sampler, 0) != together(TokenBudget(rows, 64, seed=seed + 1), 0)


@given(lengths, budgets, seeds)
def test_no_batch_reaches_into_the_lengths_of_another(rows: list[int], budget: int, seed: int) -> None:
    steps = [-(-length // TokenBudget.STEP) for length in rows]
    batches = TokenBudget(rows, budget, seed=seed)
    spans = sorted((min(steps[i] for i in batch), max(steps[i] for i in batch)) for batch in batches)
    assert all(shorter[1] <= longer[0] for shorter, longer in pairwise(spans))


def test_batches_come_in_no_order_of_length_and_in_another_one_each_epoch() -> None:
    rows = [8 * (1 + number // 8) for number in range(160)]
    sampler = TokenBudget(rows, 64, seed=1)
    first, second = ([rows[batch[0]] for batch in epoch(sampler, number)] for number in (0, 1))
    assert first != second
    assert first != sorted(first)
    assert second != sorted(second)


def test_without_shuffling_all_epochs_are_alike() -> None:
    sampler = TokenBudget([3, 50, 7, 50, 9], 64, seed=1, shuffle=False)
    assert epoch(sampler, 0) == epoch(sampler, 5)


@pytest.fixture(scope="module")
def encoder() -> PairEncoder:
    """A pair encoder in the one-pass layout."""
    tokens = tiny.tokenizer("bert")
    pretrained = encoders.prepare(tiny.encoder("bert", tokens), tokens, tiny.config())
    return PairEncoder(pretrained.tokenizer, pretrained.encoding)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Five pairs of three passages; each has a weight of its own."""
    return [replace(example, weight=0.5 + i) for i, example in enumerate(tiny.examples(5))]


def test_rows_group_the_pairs_of_a_passage(encoder: PairEncoder, examples: list[Example]) -> None:
    rows = Rows(examples, encoder)
    assert [row.encoded.pairs for row in rows.rows] == [[0, 1], [2, 3], [4]]
    assert sum(len(row.labels) for row in rows.rows) == 5
    assert rows.lengths() == [len(row.encoded.ids) for row in rows.rows]


def test_each_pair_keeps_its_own_label_and_weight(encoder: PairEncoder, examples: list[Example]) -> None:
    rows = Rows(examples[::-1], encoder)
    backwards = examples[::-1]
    for row in rows.rows:
        for place, index in enumerate(row.encoded.pairs):
            assert LABELS[row.labels[place]] == backwards[index].stance.value
            assert row.weights[place] == backwards[index].weight


def test_collate_pads_labels_and_weights_where_there_is_no_pair(encoder: PairEncoder, examples: list[Example]) -> None:
    rows = Rows(examples, encoder)
    batch = rows.collate([rows[0], rows[2]])
    labels = [LABELS.index(example.stance) for example in examples]
    assert batch["labels"].tolist() == [labels[:2], [labels[4], IGNORED]]
    assert batch["weights"].tolist() == [[0.5, 1.5], [4.5, 0.0]]
    assert batch["markers"].shape == (2, 2, 2)
    assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64


def test_collate_marks_padding_tokens(encoder: PairEncoder, examples: list[Example]) -> None:
    rows = Rows(examples, encoder)
    batch = rows.collate(rows.rows)
    real = (batch["block_ids"] >= 0).sum(1).tolist()
    assert real == rows.lengths()
    padding = batch["input_ids"][batch["block_ids"] < 0].numpy()
    assert padding.size > 0
    assert np.all(padding == encoder.settings.pad_id)


def test_the_target_of_a_pair_is_its_label_or_the_shares_of_a_vote_and_never_an_unknown_class() -> None:
    one = replace(tiny.examples(1, seed=4)[0], stance=Stance.SUPPORT)
    assert target(one) == (0.0, 0.0, 1.0)
    assert target(replace(one, soft=(0.25, 0.0, 0.75))) == (0.25, 0.0, 0.75)
    assert target(replace(one, labels=("oppose", "support"))) == (0.0, -1.0, 1.0)
    voted = replace(one, labels=("oppose", "support"), soft=(0.2, 0.5, 0.3))
    assert target(voted) == (pytest.approx(0.4), -1.0, pytest.approx(0.6)), "as much as a pair with one label"
    assert target(replace(voted, soft=(0.0, 1.0, 0.0))) == (0.0, -1.0, 1.0), "nobody voted for what it can be"
