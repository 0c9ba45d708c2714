"""Fixed splits: a file that gives each article id its split, which is how a corpus that grows keeps its test rows.

New articles get one so that themes and phenomena are balanced. Splits by shares, time or names are made in
`stance.building.division`.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stance import jsonl
from stance.building import duplicates
from stance.corpora.rows import SPLITS as NAMES
from stance.corpora.rows import split_of
from stance.errors import StanceError
from stance.records import UNLABELLED, Article
from stance.settings.building import CorpusConfig, SplitConfig

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SPLITS = ("train", "validation", "test")
PARTS = (*SPLITS, UNLABELLED)
"""What a dataset has: its splits, and questions about training articles that nobody has answered."""
BY = ("article", "story", "time", "actor", "target", "fold")
NONE = "none"
"""In the place of a split: of an article that has none and gets none, since its corpus names those of others."""
USERS = {
    "validation": BY[:-1], "test": BY[:-1], "folds": ("fold",), "fold": ("fold",),
    "seed": tuple(by for by in BY if by != "time"),
}  # fmt: skip
"""The kinds of division that make use of a setting."""
SIZE = 5
"""How much more the number of articles counts than any other feature when splits are balanced."""


def groups(articles: Sequence[Article], threshold: float) -> list[list[int]]:
    """Indices of articles that must stay together: the same or nearly the same text, transitively."""
    return duplicates.groups([article.text for article in articles], threshold)


def complete(articles: Sequence[Article], config: SplitConfig, fixed: Mapping[str, str]) -> dict[str, str]:
    """`fixed`, and a split for each article that it does not know, balanced over what the articles are about.

    The balance is a chi-squared distance between what the splits have and their shares of each theme, region, kind of
    outlet, stance and phenomenon, and of the articles. In an order that depends on the seed and the ids alone, groups
    of near duplicates go where it grows least; then they move between splits as long as that makes it smaller.
    """
    check(config)
    together = _ordered(articles, config)
    known = [next((fixed[articles[i].id] for i in group if articles[i].id in fixed), None) for group in together]
    balance = _Balance([sum((_features(articles[i]) for i in group), Counter[str]()) for group in together], config)
    for number, split in enumerate(known):
        if split is not None:
            balance.put(number, SPLITS.index(split))
    free = [number for number, split in enumerate(known) if split is None]
    for number in free:
        balance.put(number, int(balance.costs(number).argmin()))
    balance.improve(free)
    return {
        articles[i].id: fixed.get(articles[i].id, SPLITS[balance.split_of[number]])
        for number, group in enumerate(together)
        for i in group
    }


class _Balance:
    """What each split has of each feature, and what a group would change."""

    def __init__(self, groups: Sequence[Counter[str]], config: SplitConfig) -> None:
        names = sorted({name for group in groups for name in group})
        self.own = np.array([[group[name] for name in names] for group in groups], np.float64)
        shares = np.array([1 - config.validation - config.test, config.validation, config.test])
        self.wanted = shares[:, None] * self.own.sum(0)
        self.weights = np.array([SIZE if name == "article" else 1.0 for name in names])
        self.have = np.zeros_like(self.wanted)
        self.split_of = np.full(len(groups), -1)

    def put(self, group: int, split: int) -> None:
        self.have[split] += self.own[group]
        self.split_of[group] = split

    def costs(self, group: int) -> Floats:
        """What the distance grows by with a group that has no split yet in each split, shape `(3,)`."""
        change = 2 * (self.have - self.wanted) * self.own[group] + self.own[group] ** 2
        costs: Floats = (self.weights * change / self.wanted).sum(1)
        return costs

    def improve(self, free: Sequence[int]) -> None:
        """Take each group out and put it where it fits best, or in another one's place, until nothing gets better."""
        others, better = np.array(free, np.int64), True
        while better:
            better = False
            for group in free:
                before = int(self.split_of[group])
                self.have[before] -= self.own[group]
                costs = self.costs(group)
                best = int(costs.argmin())
                moved = costs[best] < costs[before] - 1e-9
                self.put(group, best if moved else before)
                better |= moved or self._swap(group, others)

    def _swap(self, group: int, free: Numbers) -> bool:
        """Swap a group with the one of another split that makes the distance smallest, if it gets smaller at all."""
        here = int(self.split_of[group])
        error = 2 * self.weights * (self.have - self.wanted) / self.wanted
        others = free[self.split_of[free] != here]
        if not len(others):
            return False
        theirs = self.split_of[others]
        difference = self.own[others] - self.own[group]  # what this split would gain
        square = difference**2 * self.weights
        change = (difference * (error[here] - error[theirs])).sum(1)
        change += (square / self.wanted[here]).sum(1) + (square / self.wanted[theirs]).sum(1)
        best = int(change.argmin())
        if change[best] >= -1e-9:
            return False
        other, there = int(others[best]), int(theirs[best])
        self.have[here] += difference[best]
        self.have[there] -= difference[best]
        self.split_of[group], self.split_of[other] = there, here
        return True


def beside(corpus: Path) -> Path:
    """Where the fixed splits of a corpus (a file or a directory) are kept."""
    return (corpus if corpus.is_dir() else corpus.parent) / "splits.json"


def find(corpus: Path, choice: str) -> dict[str, str] | None:
    """The fixed splits: of the file `choice`, of `splits.json` beside the corpus for `auto`, or None."""
    if choice == "none" or (choice == "auto" and not beside(corpus).is_file()):
        return None
    return read(beside(corpus) if choice == "auto" else Path(choice))


def read(path: Path) -> dict[str, str]:
    """The split of each article id, from `{"train": [ids], "validation": [ids], "test": [ids]}`.

    Raises:
        StanceError: the file is missing or of another form, or an id stands twice.
    """
    if not path.is_file():
        raise StanceError(
            f"{path}: no such file of fixed splits; write it with `python -m stance.corpora splits CORPUS --write`"
        )
    expected = f"expected an object with lists of article ids under {', '.join(SPLITS)}"
    value = jsonl.document(path, expected)
    if set(value) != set(SPLITS) or not all(map(_names, value.values())):
        raise StanceError(f"{path}: {expected}")
    counts = Counter(name for split in SPLITS for name in value[split])
    twice = [name for name, n in counts.items() if n > 1]
    if twice:
        raise StanceError(f"{path}: the id {twice[0]!r} stands {counts[twice[0]]} times; each article has one split")
    return {name: split for split in SPLITS for name in value[split]}


def given(source: CorpusConfig, ids: Sequence[str], where: Sequence[str], named: Sequence[str]) -> list[str]:
    """The given split of each article: empty where it is to be chosen, another word where it can have none.

    Args:
        source: the corpus.
        ids: of its articles.
        where: they stand.
        named: what they name as their split themselves.

    Raises:
        StanceError: an article has no fixed split, or the corpus's own are none that we know.
    """
    if source.official:
        return _official(source, where, [split_of(name) for name in named])
    found = find(Path(source.path), source.splits)
    if found is None:
        if source.splits == "auto" and (told := sum(bool(split_of(name)) for name in named)):
            print(
                f"{source.name}: {told} articles name a split, which is not kept; corpora.KEY.splits=official keeps "
                "it, and none says that it does not matter",
                file=sys.stderr,
            )
        return [""] * len(ids)
    missing = [place for place, name in enumerate(ids) if name not in found]
    if missing:
        raise StanceError(
            f"{where[missing[0]]}: {len(missing)} articles have no fixed split, first {ids[missing[0]]!r}; give them "
            "one with `python -m stance.corpora splits CORPUS --write`, or divide by shares with splits=none"
        )
    return [found[name] for name in ids]


def _official(source: CorpusConfig, where: Sequence[str], named: Sequence[str]) -> list[str]:
    """The splits that a corpus itself names; an article may name none."""
    if named and not any(named):
        raise StanceError(
            f"{source.path}: splits=official, but none of the {len(named)} articles of the corpus {source.name!r} "
            "names a split; give them one, or divide the corpus anew with splits=none"
        )
    for name, count in Counter(name for name in named if name and name not in SPLITS).items():
        found = f"{count} articles of the corpus {source.name!r} name the split {name!r}"
        if set(SPLITS).isdisjoint(named):
            raise StanceError(
                f"{where[named.index(name)]}: {found}; expected {', '.join(NAMES)}, or nothing for those that are to "
                "have none; rename it, or divide the corpus anew with splits=none"
            )
        print(f"{found}, which is none of {', '.join(NAMES)}: they are left out", file=sys.stderr)
    return [name if name in SPLITS else NONE for name in named]


def write(path: Path, chosen: Mapping[str, str]) -> None:
    """Write what `read` reads, ids sorted."""
    jsonl.write_json(path, {split: sorted(i for i, s in chosen.items() if s == split) for split in SPLITS})


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _features(article: Article) -> Counter[str]:
    """What a split should have its share of."""
    about = Counter({f"theme {article.theme}": 1, f"region {article.region}": 1, f"kind {article.outlet_kind}": 1})
    stances = Counter(f"stance {annotation.stance.value}" for annotation in article.annotations)
    tags: Iterable[str] = (f"tag {tag}" for annotation in article.annotations for tag in annotation.tags)
    return about + stances + Counter(tags) + Counter({"article": 1, "annotation": len(article.annotations)})


def check(config: SplitConfig) -> None:
    """Refuse settings without a meaning, and those that the chosen kind of division makes no use of."""
    if not (config.validation > 0 and config.test > 0 and config.validation + config.test < 1):
        raise StanceError(
            f"split.validation={config.validation}, split.test={config.test}: "
            "expected shares above 0 that leave something to train on"
        )
    if config.by not in BY:
        raise StanceError(f"split.by={config.by}: expected one of {', '.join(BY)}")
    if config.by == "fold" and not (config.folds >= 3 and 0 <= config.fold < config.folds):
        raise StanceError(f"split.folds={config.folds}, split.fold={config.fold}: expected 3 or more, and one of them")
    duplicates.check("split.near_duplicate", config.near_duplicate)
    default = SplitConfig()
    for name, users in USERS.items():
        value = getattr(config, name)
        if config.by not in users and value != getattr(default, name):
            raise StanceError(
                f"split.{name}={value}: split.by={config.by} makes no use of it, only {', '.join(users)}; "
                "leave it out, or choose another split.by"
            )


def _ordered(articles: Sequence[Article], config: SplitConfig) -> list[list[int]]:
    """Groups of near duplicates in an order that depends on the seed and the ids alone."""
    by_first = {min(articles[i].id for i in group): group for group in groups(articles, config.near_duplicate)}
    return [by_first[name] for name in shuffled(by_first, config.seed)]


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Names in an order that depends on each name and the seed alone, whatever else is there."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
