"""Splits: what is nearly the same text stays on one side, and nothing but seed and ids decides which side."""

import random
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance import corpora, splits
from stance.errors import StanceError
from stance.records import Article
from stance.splits import SPLITS, SplitConfig

ARTICLES = corpora.read(Path(__file__).resolve().parents[1] / "data" / "corpus")[:40]
THRESHOLD = SplitConfig().near_duplicate


def edited(article: Article, share: float, seed: int) -> Article:
    """A copy in which a share of the words was replaced."""
    draw = random.Random(seed)  # noqa: S311
    words = [f"edit{i}" if draw.random() < share else w for i, w in enumerate(article.text.split(" "))]
    return replace(article, id=f"{article.id}-{seed}", text=" ".join(words))


def overlap(one: Article, other: Article) -> float:
    """Jaccard similarity of the word 5-grams, counted without sketches."""
    grams = []
    for article in (one, other):
        words = re.findall(r"\w+", article.text.casefold())
        grams.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def together(articles: list[Article], threshold: float = THRESHOLD) -> set[frozenset[str]]:
    return {frozenset(articles[i].id for i in group) for group in splits.groups(articles, threshold)}


def test_articles_that_differ_are_groups_of_their_own() -> None:
    assert together(ARTICLES) == {frozenset([a.id]) for a in ARTICLES}


@settings(max_examples=40, deadline=None)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=3, unique=True), data=st.data())
def test_articles_over_the_threshold_are_always_in_one_group(seeds: list[int], data: st.DataObject) -> None:
    article = data.draw(st.sampled_from(ARTICLES))
    copies = [article, *(edited(article, data.draw(st.floats(0, 0.12)), seed) for seed in seeds)]
    found = together(copies)
    for one, other in combinations(copies, 2):
        if overlap(one, other) >= THRESHOLD:
            assert any({one.id, other.id} <= group for group in found), overlap(one, other)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.08, 0.5), number=st.integers(0, 39))
def test_two_articles_under_the_threshold_are_two_groups(seed: int, share: float, number: int) -> None:
    pair = [ARTICLES[number], edited(ARTICLES[number], share, seed)]
    assert (len(together(pair)) == 1) == (overlap(*pair) >= THRESHOLD)


def test_a_chain_of_near_duplicates_is_one_group() -> None:
    first = ARTICLES[0]
    second = edited(first, 0.04, 1)
    third = edited(second, 0.04, 2)
    threshold = min(overlap(first, second), overlap(second, third))
    assert overlap(first, third) < threshold - 0.05
    assert together([first, third, second], threshold - 0.01) == {frozenset({first.id, second.id, third.id})}


def test_case_and_punctuation_do_not_part_duplicates() -> None:
    shouted = replace(ARTICLES[0], id="loud", text=ARTICLES[0].text.upper().replace(",", " -"))
    assert together([ARTICLES[0], shouted]) == {frozenset({ARTICLES[0].id, "loud"})}


def test_at_threshold_1_only_equal_texts_stay_together() -> None:
    same = replace(ARTICLES[0], id="same")
    near = edited(ARTICLES[0], 0.02, 3)
    assert overlap(ARTICLES[0], near) < 1
    assert together([ARTICLES[0], same, near], 1.0) == {frozenset({ARTICLES[0].id, "same"}), frozenset({near.id})}


@settings(max_examples=15, deadline=None)
@given(
    copied=st.lists(st.integers(0, 39), min_size=1, max_size=8, unique=True),
    copies=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_no_article_and_no_near_duplicate_spans_two_splits(copied: list[int], copies: int, seed: int) -> None:
    clusters = [[ARTICLES[i], *(edited(ARTICLES[i], 0.03, n) for n in range(copies))] for i in copied]
    alone = [a for i, a in enumerate(ARTICLES) if i not in copied]
    chosen = splits.assign([*alone, *(a for cluster in clusters for a in cluster)], SplitConfig(seed=seed))
    assert set(chosen) == {a.id for a in alone} | {a.id for cluster in clusters for a in cluster}
    assert set(chosen.values()) == set(SPLITS)
    for cluster in clusters:
        assert len({chosen[a.id] for a in cluster}) == 1


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(40)), seed=st.integers(0, 10**6))
def test_the_split_does_not_depend_on_the_order_of_the_articles(order: list[int], seed: int) -> None:
    articles = [*ARTICLES[:36], *(edited(a, 0.03, 9) for a in ARTICLES[:4])]
    config = SplitConfig(seed=seed)
    assert splits.assign([articles[i] for i in order], config) == splits.assign(articles, config)


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    assert splits.assign(ARTICLES, SplitConfig()) == splits.assign(ARTICLES, SplitConfig())
    assert splits.assign(ARTICLES, SplitConfig()) != splits.assign(ARTICLES, SplitConfig(seed=8))


def test_the_shares_are_kept_to_the_article() -> None:
    counts = Counter(splits.assign(ARTICLES, SplitConfig(validation=0.1, test=0.25)).values())
    assert counts == {"train": 26, "validation": 4, "test": 10}


def test_a_cluster_that_is_too_large_for_the_small_splits_goes_to_train() -> None:
    cluster = [replace(ARTICLES[0], id=f"copy-{n}") for n in range(12)]
    chosen = splits.assign([*ARTICLES[1:], *cluster], SplitConfig())
    assert {chosen[a.id] for a in cluster} == {"train"}


@pytest.mark.parametrize(
    ("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (-0.1, 0.2), (0.5, 0.5), (0.9, 0.9), (float("nan"), 0.2)]
)
def test_shares_that_leave_a_split_empty_are_refused(validation: float, test: float) -> None:
    with pytest.raises(
        StanceError, match=rf"split\.validation={validation}, split\.test={test}: expected shares above"
    ):
        splits.assign(ARTICLES, SplitConfig(validation=validation, test=test))


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01])
def test_a_similarity_that_has_no_meaning_is_refused(threshold: float) -> None:
    with pytest.raises(StanceError, match=rf"split\.near_duplicate={threshold}: expected a similarity above 0"):
        splits.assign(ARTICLES, SplitConfig(near_duplicate=threshold))


def test_too_few_articles_are_refused() -> None:
    with pytest.raises(StanceError, match="the validation and test split would be empty with 3 articles; give more"):
        splits.assign(ARTICLES[:3], SplitConfig())


def test_copies_of_one_article_are_refused() -> None:
    copies = [replace(ARTICLES[0], id=f"copy-{n}") for n in range(20)]
    with pytest.raises(StanceError, match="the validation and test split would be empty with 20 articles"):
        splits.assign(copies, SplitConfig())
