"""Dividing articles into train, validation and test: by shares, story, time or fold, and around splits that are fixed.

No article and no two articles of nearly the same text come to stand in two splits, unless a corpus's own split wants it
so; `stance.building.leaks` finds what is left.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stance.building import duplicates, splits
from stance.building.duplicates import Numbers
from stance.building.splits import SPLITS
from stance.corpora import cells
from stance.errors import StanceError
from stance.settings.building import SplitConfig

UNDATED = "no date that can be read, and the split is by time"
TOO_NEW = "not older than what is held out, and the split is by time"
NEVER = "9999-99-99"
LATE = "late"
"""In the place of a split: of an article that has none since it is `TOO_NEW`."""


@dataclass(frozen=True)
class Units:
    """The articles of all corpora, a place each: what their split depends on.

    `groups` gives near duplicates the same number. `fixed` is the split that is given, empty where there is none, and
    `official` says that it is the corpus's own, which may contradict others. `weak` articles have weak labels alone;
    `labelled` ones have a label that may be held out.
    """

    ids: Sequence[str]
    where: Sequence[str]
    dates: Sequence[str]
    topics: Sequence[str]
    corpus: Sequence[int]
    fixed: Sequence[str]
    groups: Numbers
    official: Sequence[bool]
    weak: Sequence[bool]
    labelled: Sequence[bool]


def divide(units: Units, config: SplitConfig) -> list[str]:
    """The split of each article; empty for one that can have none.

    Raises:
        StanceError: near duplicates are fixed to two splits, or a split would be empty.
    """
    splits.check(config)
    members = _members(units, config)
    chosen = _follow(units, members)
    if all(split or (weak and config.by != "time") for split, weak in zip(chosen, units.weak, strict=True)):
        _check_idle(config)
    free = [[place for place in group if not chosen[place]] for group in members]
    if config.by == "time":
        _by_time(units, free, chosen, config)
    else:
        annotated = [[place for place in group if not units.weak[place]] for group in free]
        if config.by == "fold":
            _by_fold(annotated, chosen, config)
        else:
            _by_shares(units, annotated, chosen, config)
        for group in members:  # weak articles, which are for training, or held back with what they are like
            for place in group:
                chosen[place] = chosen[place] or _strictest(chosen[other] for other in group) or "train"
    _none_empty(chosen, config, official=any(units.official), fixed=all(name in SPLITS for name in units.fixed))
    return chosen


def _check_idle(config: SplitConfig) -> None:
    """Refuse settings of a division where every article's split is given. The names held out still depend on `by`."""
    default = SplitConfig()
    for name in ("by", "validation", "test", "folds", "fold", "seed"):
        value = getattr(config, name)
        if value != getattr(default, name) and value not in ("actor", "target"):
            raise StanceError(
                f"split.{name}={value}: every article has a fixed split, of splits.json or its corpus's own, so that "
                "would change nothing; set corpora.KEY.splits=none to divide a corpus anew"
            )


def _members(units: Units, config: SplitConfig) -> list[list[int]]:
    """Articles that must stay together, in an order that depends on the seed and their ids alone.

    Of a group the annotated articles of the first corpus decide, so that raw and weak copies change no place.
    """
    label: list[object] = units.groups.tolist()
    found: dict[object, list[int]] = defaultdict(list)
    if config.by == "story":
        stories = _joined(units)
        label = [stories[int(group)] for group in units.groups]
    for place, key in enumerate(label):
        found[key].append(place)
    before, names = Counter[str](), dict[int, str]()
    for place in sorted(range(len(units.ids)), key=units.weak.__getitem__):  # those that are annotated come first
        name = units.ids[place]  # corpora may have the same ids; another corpus changes the order of none of the others
        names[place] = f"{before[name]}\x1f{name}" if before[name] else name
        before[name] += 1
    by_first = {
        min((units.weak[place], units.corpus[place], names[place]) for place in group)[2]: group
        for group in found.values()
    }
    return [by_first[name] for name in splits.shuffled(by_first, config.seed)]


def _joined(units: Units) -> dict[int, int]:
    """For each group of near duplicates the story it belongs to: groups that share a topic are one."""
    groups = units.groups.tolist()
    stories = duplicates.UnionFind(max(groups, default=-1) + 1)
    first: dict[tuple[int, str], int] = {}
    for group, corpus, topic in zip(groups, units.corpus, units.topics, strict=True):
        if topic:
            stories.union(group, first.setdefault((corpus, topic.casefold()), group))
    return {group: stories.find(group) for group in groups}


def _follow(units: Units, members: Sequence[Sequence[int]]) -> list[str]:
    """Fixed splits, also for what is nearly the text of an article that has one."""
    chosen = list(units.fixed)
    for group in members:
        given = [place for place in group if units.fixed[place] in SPLITS]
        if not given:
            continue
        first = given[0]
        other = next((place for place in given if units.fixed[place] != units.fixed[first]), None)
        if other is not None and not (units.official[other] or units.official[first]):
            raise StanceError(
                f"{units.where[other]}: nearly the text of {units.where[first]}, but fixed to {units.fixed[other]} and "
                f"{units.fixed[first]}; give both the same split, or remove one"
            )
        held = _strictest(units.fixed[place] for place in given)
        for place in group:
            chosen[place] = chosen[place] or held
    return chosen


def _strictest(names: Iterable[str]) -> str:
    """Of the splits of some articles the one that whatever is like them must not leave; empty where they have none."""
    return max((name for name in names if name in SPLITS), key=SPLITS.index, default="")


def _by_shares(units: Units, members: Sequence[Sequence[int]], chosen: list[str], config: SplitConfig) -> None:
    """Fill test, then validation, up to their shares of each corpus's articles; the rest is for training."""
    sizes = np.bincount([units.corpus[place] for group in members for place in group], minlength=1)
    wanted = [{"test": round(config.test * n), "validation": round(config.validation * n)} for n in sizes]
    counts = [dict.fromkeys(SPLITS, 0) for _ in sizes]
    for group in filter(None, members):
        here = Counter(units.corpus[place] for place in group)
        room = (s for s in SPLITS[:0:-1] if all(counts[c][s] + n <= wanted[c][s] for c, n in here.items()))
        split = next(room, "train")
        for corpus, number in here.items():
            counts[corpus][split] += number
        for place in group:
            chosen[place] = split


def _by_time(units: Units, members: Sequence[Sequence[int]], chosen: list[str], config: SplitConfig) -> None:
    """The newest articles are the test, those before them for validation; articles of one day stay together.

    The shares are of the articles with labels that may be held out: those that nobody annotated move no border. Near
    duplicates count as being of the newest one's day. A date that can't be read is none. Weak articles are for training
    if they are older than all that is held out, what is fixed to validation or test too.
    """
    read = [cells.day(date.strip()) for date in units.dates]
    newest = [(max((read[place] for place in group), default=""), group) for group in members]
    dated = sorted((day, place) for day, group in newest if day for place in group)
    unread = [place for day, group in newest if not day for place in group if units.dates[place]]
    if unread:
        first = f"{units.where[unread[0]]}: {units.dates[unread[0]]!r}"
        what = f"{len(unread)} articles have a date that can't be read, and no split; first {first}"
        print(f"split.by=time: {what}; write it as YYYY-MM-DD", file=sys.stderr)
    if not dated:
        return
    days = [day for day, place in dated if units.labelled[place]] or [NEVER]
    tested = days[-max(round(config.test * len(days)), 1)]
    earlier = [day for day in days if day < tested]
    validated = earlier[-max(round(config.validation * len(days)), 1) :][0] if earlier else tested
    fixed = [read[place] for place, split in enumerate(chosen) if split in SPLITS[1:] and read[place]]
    for day, place in dated:
        split = "test" if day >= tested else "validation" if day >= validated else "train"
        late = split != "train" or day >= min(fixed, default=NEVER)
        chosen[place] = LATE if units.weak[place] and late else split


def _by_fold(members: Sequence[Sequence[int]], chosen: list[str], config: SplitConfig) -> None:
    sizes = [0] * config.folds
    names = {config.fold: "test", (config.fold + 1) % config.folds: "validation"}
    for group in filter(None, members):
        part = sizes.index(min(sizes))
        sizes[part] += len(group)
        for place in group:
            chosen[place] = names.get(part, "train")


def _none_empty(chosen: Sequence[str], config: SplitConfig, *, official: bool, fixed: bool) -> None:
    empty = [split for split in SPLITS if split not in chosen]
    if official and empty == ["test"]:
        print("the corpus's own splits have no test part: the dataset will have none", file=sys.stderr)
    elif empty and config.by == "time" and not any(chosen):
        raise StanceError(f"split.by=time: none of the {len(chosen)} articles has a date; choose another split.by")
    elif empty and fixed:
        raise StanceError(
            f"the {' and '.join(empty)} split would be empty: the {len(chosen)} articles have fixed splits, of "
            "splits.json or their corpus's own; change those, or set corpora.KEY.splits=none to divide the corpus anew"
        )
    elif empty:
        raise StanceError(
            f"the {' and '.join(empty)} split would be empty with {len(chosen)} articles; "
            "give more articles or other shares (split.validation, split.test)"
        )
