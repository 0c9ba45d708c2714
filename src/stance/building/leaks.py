"""Leaks between splits: what of validation and test repeats training rows, and what is done about it.

Rows are known by numbers here: the split, the article, the text, the pair of names and the stance of each.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from stance.building import duplicates
from stance.building.duplicates import Index, Links, Numbers
from stance.building.leak_report import KINDS, LEAKS, Leak, Report
from stance.building.splits import PARTS, SPLITS
from stance.errors import StanceError
from stance.settings.building import LeaksConfig

Mask = npt.NDArray[np.bool_]
Cap = tuple[Numbers, int]
"""Rows of a corpus in the order in which they are taken, and how many of its training rows are."""
TRAIN, VALIDATION, TEST, UNLABELLED = range(len(PARTS))
NONE = -1
"""The split of a row that was dropped."""
REPEATS = "repeats text, pair and stance of another training row"
CAPPED = "over the cap of its corpus"
CONTRADICTS = "another stance than a row gives that is annotated, or surer"
HELD = {TEST: (TRAIN, VALIDATION, UNLABELLED), VALIDATION: (TRAIN, UNLABELLED)}
"""The splits that are held out, and what must not repeat them."""


@dataclass
class Rows:
    """What is compared, one place a row. `split` is an index of PARTS, or NONE; `actor` and `target` are hashes.

    `group` is the same number for articles that are nearly the same, which official splits may tear apart.
    Of rows that repeat or contradict each other the ones of the lowest `rank` stay.
    """

    split: npt.NDArray[np.int8]
    article: Numbers
    group: Numbers
    passage: Numbers
    actor: npt.NDArray[np.uint64]
    target: npt.NDArray[np.uint64]
    stance: npt.NDArray[np.int8]
    rank: npt.NDArray[np.int8]
    reasons: dict[int, str] = field(default_factory=dict)
    """Why a row was dropped."""

    def there(self) -> int:
        """How many rows have a split."""
        return int((self.split != NONE).sum())

    def drop(self, places: Numbers, reason: str) -> None:
        """Take rows out of their split. Questions without a label were drawn from very many: no reason is kept."""
        labelled = places[self.split[places] != UNLABELLED]
        self.split[places] = NONE
        self.reasons |= dict.fromkeys(labelled.tolist(), reason)


@dataclass(frozen=True)
class Mended:
    """What `mend` has seen: leaks before the action, of how many rows, repetitions, and which texts repeat others."""

    before: list[Leak]
    rows: int
    within: dict[str, dict[str, int]]
    links: Links


def check(config: LeaksConfig) -> None:
    """Refuse settings without a meaning."""
    if config.action not in ("drop", "keep", "fail") or config.repeated not in ("drop", "keep"):
        raise StanceError(
            f"leaks.action={config.action}, leaks.repeated={config.repeated}: expected drop, keep or fail, and drop or "
            "keep"
        )
    duplicates.check("leaks.near_duplicate", config.near_duplicate)
    if not 0 < config.part <= 1:
        raise StanceError(f"leaks.part={config.part}: expected a similarity above 0, up to 1")


def only_unseen(rows: Rows, role: str) -> None:
    """Zero-shot: drop rows of train and validation with a name of the test, and of train with one of validation.

    The names are those of one role, actor or target, and go in both: who acts in the test is no target of training.
    """
    names: npt.NDArray[np.uint64] = getattr(rows, role)
    for held, others in HELD.items():
        taken = np.unique(names[rows.split == held])
        seen = (np.isin(rows.actor, taken) | np.isin(rows.target, taken)) & np.isin(rows.split, others)
        rows.drop(np.flatnonzero(seen), f"it has {'an' if role == 'actor' else 'a'} {role} of the {SPLITS[held]} split")


def partial(rows: Rows, annotated: Mask) -> Mask:
    """The training rows whose article lost annotated ones about their target; those nobody annotated, about any.

    What another row of the article says as well is not lost.
    """
    found, lost = np.zeros(len(rows.split), np.bool_), np.array(sorted(rows.reasons), np.int64)
    lost = lost[annotated[lost]]
    here = np.flatnonzero((rows.split == TRAIN) & np.isin(rows.article, rows.article[lost]))
    if len(here):
        actor, target = rows.actor.view(np.int64), rows.target.view(np.int64)
        lost = np.setdiff1d(lost, _later(np.concatenate([here, lost]), rows.article, actor, target, rows.stance))
        of_article = np.isin(rows.article[here], rows.article[lost])
        about = np.stack([rows.article, target], 1)[np.concatenate([here, lost])]
        _, numbers = np.unique(about, axis=0, return_inverse=True)
        of_target = np.isin(numbers[: len(here)], numbers[len(here) :])
        found[here] = np.where(annotated[here], of_target, of_article)
    return found


def mend(rows: Rows, index: Index, config: LeaksConfig, caps: Sequence[Cap] = ()) -> Mended:
    """Find the leaks and do what `config.action` says: drop changes `rows`. What is left is told by `report`.

    Caps come before training rows give way to others: a row over its cap takes the place of none.

    Args:
        rows: of all splits.
        index: the passages.
        config: what is done.
        caps: of corpora of which not all training rows are taken.

    Raises:
        StanceError: the action is to fail, and there is a leak.
    """
    check(config)
    held = np.unique(rows.passage[np.isin(rows.split, list(HELD))])
    links = Links(index, np.unique(rows.passage[rows.split != NONE]), held, share=config.part)
    within = {name: _within(rows, links.groups, number) for number, name in enumerate(SPLITS)}
    if caps:
        _cap(rows, links, caps, config)
    if config.repeated == "drop":
        rows.drop(_again(rows, np.flatnonzero(rows.split == TRAIN)), REPEATS)
        rows.drop(_overruled(rows), CONTRADICTS)
    rows.drop(_answered(rows), "")
    before, there = _leaks(rows, links), rows.there()
    if config.action == "fail":
        _refuse(before)
    if config.action == "drop":
        _drop(rows, links)
    return Mended(before, there, within, links)


def report(rows: Rows, mended: Mended) -> Report:
    """The leaks of the rows that the dataset has in the end, beside those that `mend` met."""
    links = mended.links
    judged = np.flatnonzero((rows.split == VALIDATION) | (rows.split == TEST))
    dirty = _marked(rows, links, judged, np.flatnonzero((rows.split == TRAIN) | (rows.split == UNLABELLED)))
    clean = judged[~(dirty["near"] | dirty["part"] | dirty["article"])]
    after = mended.before if rows.there() == mended.rows else _leaks(rows, links)  # rows only ever leave
    return Report(mended.before, after, mended.within, dict(Counter(rows.reasons.values())), clean)


def _cap(rows: Rows, links: Links, caps: Sequence[Cap], config: LeaksConfig) -> None:
    """Leave out training rows over the caps of their corpora. Leaks that are dropped count for none of them."""
    counted = (rows.split == TRAIN) & ~(_leaky(rows, links) & (config.action != "keep"))
    for order, most in caps:
        here = order[counted[order]]
        if config.repeated == "drop" and len(here) > most:
            again = _again(rows, here)
            rows.drop(again, REPEATS)
            here = here[~np.isin(here, again)]
        rows.drop(np.sort(here[most:]), CAPPED)


def _again(rows: Rows, places: Numbers) -> Numbers:
    """Those of `places` that repeat another one, of a lower rank or before them: text, pair and stance."""
    places = places[np.argsort(rows.rank[places], kind="stable")]
    return np.sort(_later(places, rows.passage, rows.actor.view(np.int64), rows.target.view(np.int64), rows.stance))


def _overruled(rows: Rows) -> Numbers:
    """Training rows whose question one of a lower rank answers; repeats are gone, so it has another stance."""
    places = np.flatnonzero(rows.split == TRAIN)
    columns = rows.passage, rows.actor.view(np.int64), rows.target.view(np.int64)
    _, question = np.unique(np.stack(columns, 1)[places], axis=0, return_inverse=True)
    best = np.full(len(places), np.iinfo(np.int8).max, np.int8)
    np.minimum.at(best, question, rows.rank[places])
    return places[rows.rank[places] > best[question]]


def _answered(rows: Rows) -> Numbers:
    """Questions without a label that a training row asks too, or another one of them."""
    places = np.concatenate([np.flatnonzero(rows.split == TRAIN), np.flatnonzero(rows.split == UNLABELLED)])
    again = _later(places, rows.passage, rows.actor.view(np.int64), rows.target.view(np.int64))
    return np.sort(again[rows.split[again] == UNLABELLED])


def _later(places: Numbers, *columns: npt.NDArray[np.int64] | npt.NDArray[np.int8]) -> Numbers:
    """Those of `places` whose values in all columns an earlier one has."""
    _, first = np.unique(np.stack(columns, 1)[places], axis=0, return_index=True)
    return np.delete(places, first)


def _within(rows: Rows, groups: Numbers, split: int) -> dict[str, int]:
    places = np.flatnonzero(rows.split == split)
    texts = np.unique(rows.passage[places])
    return {
        "rows": len(places),
        "repeated_rows": len(_again(rows, places)),
        "texts": len(texts),
        "texts_nearly_repeated": len(texts) - len(np.unique(groups[texts])),
    }


def _leaks(rows: Rows, links: Links) -> list[Leak]:
    found = []
    for held, of in ((VALIDATION, TRAIN), (TEST, TRAIN), (TEST, VALIDATION), *((h, UNLABELLED) for h in HELD)):
        mine, theirs = np.flatnonzero(rows.split == held), np.flatnonzero(rows.split == of)
        if not len(mine) or (of == UNLABELLED and not len(theirs)):
            continue
        articles = rows.article[mine]
        size = len(np.unique(articles))
        for kind, mask in _marked(rows, links, mine, theirs).items():
            whole = np.setdiff1d(articles, articles[~mask]) if kind == "row" else np.unique(articles[mask])
            counts = int(mask.sum()), len(whole), len(mine), size
            found.append(Leak(SPLITS[held], PARTS[of], kind, *counts))
    return found


def _marked(rows: Rows, links: Links, mine: Numbers, theirs: Numbers) -> dict[str, Mask]:
    """For each kind which of the rows `mine` repeat one of `theirs`."""
    pair = rows.actor * np.uint64(31) + rows.target
    question = pair * np.uint64(1_000_003) + rows.passage.astype(np.uint64)
    whole = question * np.uint64(7) + rows.stance.astype(np.uint64)
    passages, back = np.unique(rows.passage[mine], return_inverse=True)
    others = np.unique(rows.passage[theirs])
    return {
        "row": np.isin(whole[mine], whole[theirs]),
        "question": np.isin(question[mine], question[theirs]),
        "text": np.isin(rows.passage[mine], rows.passage[theirs]),
        "near": links.near(passages, others)[back],
        "part": links.part(passages, others)[back],
        "article": np.isin(rows.group[mine], rows.group[theirs]),
        "pair": np.isin(pair[mine], pair[theirs]),
    }


def _drop(rows: Rows, links: Links) -> None:
    """Take rows out that repeat a held-out text, or a part of one, or share an article with one."""
    for held, others in HELD.items():
        for other in others:
            mine, theirs = np.flatnonzero(rows.split == other), np.flatnonzero(rows.split == held)
            marked = _marked(rows, links, mine, theirs)
            leaky = marked["near"] | marked["part"] | marked["article"]
            rows.drop(mine[leaky], f"repeats a text of the {SPLITS[held]} split")


def _leaky(rows: Rows, links: Links) -> Mask:
    """The rows that `_drop` takes out."""
    left = replace(rows, split=rows.split.copy(), reasons={})
    _drop(left, links)
    gone: Mask = left.split != rows.split
    return gone


def _refuse(found: Sequence[Leak]) -> None:
    there = [leak for leak in found if leak.kind in LEAKS and leak.rows]
    if there:
        said = "; ".join(f"{n.rows} of {n.all_rows} {n.split} rows have {KINDS[n.kind]} as {n.of}" for n in there)
        raise StanceError(f"{said}; nothing was written (leaks.action=fail): use leaks.action=drop or keep")
