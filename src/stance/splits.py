"""Splitting articles: no article, and no two articles of nearly the same text, on both sides of a split."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from stance.errors import StanceError
from stance.records import Article

SPLITS = ("train", "validation", "test")
_WORD = re.compile(r"\w+")


@dataclass
class SplitConfig:
    """How articles are divided."""

    validation: float = 0.15
    """Share of the articles for choosing epochs and settings."""
    test: float = 0.15
    """Share of the articles for the final scores."""
    near_duplicate: float = 0.5
    """Articles whose word 5-grams overlap by at least this Jaccard similarity stay together."""
    seed: int = 7
    """Of the division."""


def groups(articles: Sequence[Article], threshold: float) -> list[list[int]]:
    """Indices of articles that must stay together: the same or nearly the same text, transitively."""
    parent = list(range(len(articles)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    # The index misses about half of the pairs that lie at its own threshold: ask it for more, then count exactly.
    index = MinHashLSH(threshold=threshold / 2, num_perm=128, weights=(0.05, 0.95))
    shingles = [_shingles(article.text) for article in articles]
    for number, own in enumerate(shingles):
        sketch = MinHash(num_perm=128, seed=1)
        sketch.update_batch([shingle.encode() for shingle in own])
        for other in map(int, index.query(sketch)):
            if len(own & shingles[other]) >= threshold * len(own | shingles[other]):
                parent[root(number)] = root(other)
        index.insert(str(number), sketch)
    members: dict[int, list[int]] = {}
    for number in range(len(articles)):
        members.setdefault(root(number), []).append(number)
    return list(members.values())


def assign(articles: Sequence[Article], config: SplitConfig) -> dict[str, str]:
    """The split of each article id. The order of the groups depends on the seed and the ids alone.

    How many go to each split depends on the number of articles, so a few move when articles are added.

    Raises:
        StanceError: the shares leave a split without an article.
    """
    if not (config.validation > 0 and config.test > 0 and config.validation + config.test < 1):
        raise StanceError(
            f"split.validation={config.validation}, split.test={config.test}: "
            "expected shares above 0 that leave something to train on"
        )
    if not 0 < config.near_duplicate <= 1:
        raise StanceError(f"split.near_duplicate={config.near_duplicate}: expected a similarity above 0, up to 1")

    def order(group: list[int]) -> str:
        first = min(articles[i].id for i in group)
        return hashlib.sha256(f"{config.seed}:{first}".encode()).hexdigest()

    wanted = {
        "test": round(config.test * len(articles)),
        "validation": round(config.validation * len(articles)),
    }
    chosen: dict[str, str] = {}
    counts = dict.fromkeys(SPLITS, 0)
    for group in sorted(groups(articles, config.near_duplicate), key=order):
        split = next((s for s, n in wanted.items() if counts[s] + len(group) <= n), "train")
        counts[split] += len(group)
        chosen |= {articles[i].id: split for i in group}
    empty = [split for split in SPLITS if not counts[split]]
    if empty:
        raise StanceError(
            f"the {' and '.join(empty)} split would be empty with {len(articles)} articles; "
            "give more articles or other shares (split.validation, split.test)"
        )
    return chosen


def _shingles(text: str, size: int = 5) -> frozenset[str]:
    words = _WORD.findall(text.casefold())
    return frozenset(" ".join(words[i : i + size]) for i in range(max(len(words) - size + 1, 1)))
