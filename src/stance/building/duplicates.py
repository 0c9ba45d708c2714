"""Texts that repeat each other, word for word or nearly, among a million of them in bounded memory.

A text is the set of its word 5-grams; two are near duplicates when these sets overlap by a Jaccard similarity. MinHash
(Broder, 1997) in bands (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, ch. 3) finds candidates; every one of
them is then counted exactly. A text is part of another one when the larger set has most of the smaller one's 5-grams.
Knows nothing of articles or splits.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt
from datasketch import MinHash
from tqdm import tqdm
from xxhash import xxh32_intdigest, xxh64_intdigest

from stance.errors import StanceError
from stance.lookup import composed

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
BANDS, ROWS = 32, 3
"""A pair of similarity 0.5 shares a band with probability 0.986, one of 0.6 with 0.9996, one of 0.1 with 0.03."""
LEAST = 0.4
"""The smallest threshold: of the pairs that are just so similar the bands miss 12 %, of those of 0.3 already 42 %."""
_REPRESENTATIVES = 24
MIN_SHARED = 4
"""Fewest word 5-grams that a text and one which it is part of share: eight words in a row."""
MAX_OWNERS = 100
"""A 5-gram of more texts than this is a turn of phrase, and says of none that it is part of another."""
_WORD = re.compile(r"\w+")
_FIRST = MinHash(num_perm=BANDS * ROWS, seed=1, hashfunc=xxh32_intdigest)  # permutations are drawn once


def check(key: str, threshold: float) -> None:
    """Refuse a smallest similarity without a meaning, and one at which many near duplicates are never compared."""
    if not 0 < threshold <= 1:
        raise StanceError(f"{key}={threshold}: expected a similarity above 0, up to 1")
    if threshold < LEAST:
        missed = (1 - threshold**ROWS) ** BANDS
        raise StanceError(
            f"{key}={threshold}: expected {LEAST} or more; sketches choose which texts are compared, and would miss "
            f"{missed:.0%} of the pairs that are just so similar"
        )


def shingles(text: str, size: int = 5) -> frozenset[str]:
    """Sequences of `size` words of a text in small letters and NFC; a shorter text is one sequence."""
    words = _WORD.findall(composed(text).casefold())
    return frozenset(" ".join(words[i : i + size]) for i in range(max(len(words) - size + 1, 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity of two sets of shingles, from 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def sketch(text: str) -> Hashes:
    """One hash a band, shape `(BANDS,)`: near duplicates share at least one with high probability."""
    minhash = _FIRST.copy()
    whole = [shingle.encode() for shingle in shingles(text)]
    for start in range(0, len(whole), 4096):  # a batch takes 768 bytes a shingle
        minhash.update_batch(whole[start : start + 4096])
    bands = np.ascontiguousarray(minhash.hashvalues.astype(np.uint32).reshape(BANDS, ROWS))
    return np.fromiter((xxh64_intdigest(band.tobytes()) for band in bands), np.uint64, BANDS)


def sketches(texts: Iterable[str], count: int) -> Hashes:
    """Sketches of `count` texts, shape `(count, BANDS)`."""
    found = np.empty((count, BANDS), np.uint64)
    for number, text in enumerate(texts):
        found[number] = sketch(text)
    return found


class Index:
    """Texts by their numbers, with the groups of near duplicates among them.

    Args:
        text: gives the text of a number; asked again and again, so it should be quick.
        bands: sketches, shape `(texts, BANDS)`.
        threshold: smallest similarity of near duplicates.
    """

    def __init__(self, text: Callable[[int], str], bands: Hashes, threshold: float) -> None:
        self.threshold = threshold
        self.shingles = lru_cache(maxsize=4000)(lambda number: shingles(text(number)))
        self.bands = bands

    def near(self, one: int, other: int) -> bool:
        """Whether two texts are near duplicates, counted exactly."""
        mine, theirs = self.shingles(one), self.shingles(other)
        small, large = sorted((len(mine), len(theirs)))
        return small >= self.threshold * large and similarity(mine, theirs) >= self.threshold

    def groups(self, numbers: Numbers | None = None) -> Numbers:
        """The group of each text (the number of its first member), transitively; only `numbers` are linked.

        In a bucket of many texts each is compared with the first ones that no earlier one was near to, so that a
        thousand copies cost a thousand comparisons.
        """
        chosen = np.arange(len(self.bands)) if numbers is None else numbers
        sets = UnionFind(len(self.bands))
        bands = range(self.bands.shape[1])
        for band in tqdm(bands, "near duplicates", disable=len(chosen) < 100_000, unit="band"):
            for bucket in _buckets(self.bands[chosen, band]):
                self._link(chosen[bucket], sets)
        return sets.roots()

    def _link(self, members: Numbers, sets: "UnionFind") -> None:
        first: list[int] = []
        for number in members.tolist():
            root = sets.find(number)
            if any(sets.find(other) == root for other in first):
                continue
            match = next((other for other in first if self.near(number, other)), None)
            if match is not None:
                sets.union(number, match)
            elif len(first) < _REPRESENTATIVES:
                first.append(number)

    def repeats(self, asked: Numbers, known: Numbers, groups: Numbers) -> npt.NDArray[np.bool_]:
        """For each of `asked`, whether some text of `known` is a near duplicate of it (not only of its group)."""
        found = np.isin(asked, known)
        open_ = ~found & np.isin(groups[asked], groups[known])
        rivals = known[np.isin(groups[known], groups[asked[open_]])]
        # Only texts that share a band are compared: a group may be long chains of what is near to the next one alone.
        shared: dict[tuple[int, int], list[int]] = {}
        for number in rivals.tolist():
            for band, value in enumerate(self.bands[number].tolist()):
                shared.setdefault((band, value), []).append(number)
        for place in np.flatnonzero(open_).tolist():
            number = int(asked[place])
            mine = enumerate(self.bands[number].tolist())
            others = dict.fromkeys(chain.from_iterable(shared.get(key, ()) for key in mine))
            found[place] = any(self.near(number, other) for other in others)
        return found

    def parts(self, numbers: Numbers, held: Numbers, share: float) -> Numbers:
        """Pairs of texts one of which is part of the other, shape `(pairs, 2)`: one of `numbers` and one of `held`.

        Args:
            numbers: what is looked at.
            held: what it is compared with, some of `numbers`; their 5-grams are in memory.
            share: of the 5-grams of the smaller text, how many the other has too (Chowdhery et al., PaLM, 2022, take
                0.7 of the 8-grams).
        """
        grams, owners, usual, sharing = self._owned(numbers, held)
        sizes = np.bincount(owners, minlength=len(held))
        found = [np.zeros((0, 2), np.int64)]
        for number in _shown(sharing, "parts of texts"):
            mine = self._hashes(number)
            places = np.searchsorted(grams, mine), np.searchsorted(grams, mine, "right")
            there = [owners[a:b] for a, b in zip(*map(np.ndarray.tolist, places), strict=True) if a < b]
            if len(there) < MIN_SHARED:
                continue
            near, counts = np.unique(np.concatenate(there), return_counts=True)
            smaller = np.minimum(len(mine) - np.isin(mine, usual).sum(), sizes[near])
            others = held[near[(counts >= MIN_SHARED) & (counts >= share * smaller)]]
            others = others[others != number]
            found.append(np.stack([np.full_like(others, number), others], 1))
        return np.concatenate(found)

    def _owned(self, numbers: Numbers, held: Numbers) -> tuple[Hashes, npt.NDArray[np.int32], Hashes, Numbers]:
        """The 5-grams of held texts in order, with the place of the text that has each; the usual ones, each once.

        And the numbers of the texts that have enough of them to be worth a closer look.
        """
        own = [self._hashes(number) for number in _shown(held, "held-out texts")]
        owners = np.repeat(np.arange(len(own), dtype=np.int32), [len(grams) for grams in own])
        grams = np.concatenate([np.zeros(0, np.uint64), *own])
        del own
        order = np.argsort(grams, kind="stable")
        grams, owners = grams[order], owners[order]
        each, repeated = np.unique(grams, return_counts=True)
        counts, ended = np.zeros(len(each) + 1, np.int64), np.append(each, np.uint64(0))
        sharing = list[int]()
        for number in _shown(numbers, "turns of phrase"):
            mine = self._hashes(number)
            places = np.searchsorted(each, mine)
            there = places[ended[places] == mine]
            counts[there] += 1
            if len(there) >= MIN_SHARED:
                sharing.append(number)
        rare = np.repeat(counts[:-1] <= MAX_OWNERS, repeated)
        return grams[rare], owners[rare], each[counts[:-1] > MAX_OWNERS], np.array(sharing, np.int64)

    def _hashes(self, number: int) -> Hashes:
        """The hashes of a text's 5-grams."""
        grams = self.shingles(number)
        return np.fromiter((xxh64_intdigest(gram.encode()) for gram in grams), np.uint64, len(grams))


def _shown(numbers: Numbers, what: str) -> Iterable[int]:
    """The numbers, with a progress bar where there are many."""
    shown: Iterable[int] = tqdm(numbers.tolist(), what, disable=len(numbers) < 100_000, unit="text")
    return shown


class Links:
    """Which texts repeat each other, among some that are given by their numbers.

    Args:
        index: of all texts.
        numbers: the texts that are looked at.
        held: those of them that none of the others may be part of, or hold.
        share: of the smaller one's 5-grams, from which on a text is part of another one.
    """

    def __init__(self, index: Index, numbers: Numbers, held: Numbers, *, share: float) -> None:
        self.index = index
        self.groups = index.groups(numbers)
        found = index.parts(numbers, held, share)
        self.parts: Numbers = np.concatenate([found, found[:, ::-1]])

    def near(self, asked: Numbers, known: Numbers) -> npt.NDArray[np.bool_]:
        """For each of `asked`, whether some text of `known` is the same or nearly the same."""
        return self.index.repeats(asked, known, self.groups)

    def part(self, asked: Numbers, known: Numbers) -> npt.NDArray[np.bool_]:
        """For each of `asked`, whether it is part of some text of `known` or holds one; one of the two is held."""
        return np.isin(asked, self.parts[np.isin(self.parts[:, 1], known), 0])


class UnionFind:
    """Disjoint sets of numbers below `size` in one array; a set is known by its smallest member (`find`)."""

    def __init__(self, size: int) -> None:
        self.parent = np.arange(size)

    def find(self, number: int) -> int:
        parent = self.parent
        while (above := int(parent[number])) != number:
            parent[number] = parent[above]
            number = above
        return number

    def union(self, one: int, other: int) -> None:
        low, high = sorted((self.find(one), self.find(other)))
        self.parent[high] = low

    def roots(self) -> Numbers:
        return np.fromiter((self.find(number) for number in range(len(self.parent))), np.int64, len(self.parent))


def _buckets(hashes: Hashes) -> Iterable[Numbers]:
    """Places of equal values, ascending, for each value that stands more than once."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    borders = np.flatnonzero(np.diff(ordered)) + 1
    starts, ends = np.r_[0, borders], np.r_[borders, len(ordered)]
    for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
        yield order[start:end]


def groups(texts: Sequence[str], threshold: float) -> list[list[int]]:
    """Indices of texts that are the same or nearly the same, transitively; each text is in one group."""
    index = Index(texts.__getitem__, sketches(texts, len(texts)), threshold)
    members: dict[int, list[int]] = {}
    for number, root in enumerate(index.groups().tolist()):
        members.setdefault(root, []).append(number)
    return list(members.values())
