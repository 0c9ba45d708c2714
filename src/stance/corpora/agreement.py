"""How far annotators of the same articles agree: Krippendorff's alpha and Cohen's kappa on stance, F1 on pairs.

Pairs are matched as docs/ANNOTATING.md says: names after case-folding, straightening quotes and dropping a
leading article; a target also where the two spans overlap. Each annotation is matched at most once. The annotators
are those who have an annotation in an article; whoever left a pair unmarked has no vote on it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from stance.bootstrap import Estimate, intervals
from stance.errors import StanceError
from stance.records import LABELS, Annotation, Article, Mention, folded, overlap

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

_folded = lru_cache(2**16)(folded)  # a name is compared with each of the other annotators


@dataclass(frozen=True)
class Matched:
    """The annotations of one article: matched pairs, and those that only the first or only the second one made."""

    article_id: str
    both: list[tuple[Annotation, Annotation]]
    first_only: list[Annotation]
    second_only: list[Annotation]


@dataclass(frozen=True)
class Agreement:
    """Estimates with 95 % bootstrap intervals over articles.

    `alpha` is Krippendorff's alpha (nominal; Hayes and Krippendorff, 2007) and `kappa` Cohen's (1960) on the stance
    of the pairs that both annotated; `pair_f1` is one annotator's pairs against the other's; `triple_f1` wants the
    same stance too. `stances[i, j]` counts pairs with label i by the first and j by the second.
    """

    alpha: Estimate
    kappa: Estimate
    pair_f1: Estimate
    triple_f1: Estimate
    articles: int
    annotations: tuple[int, int]
    stances: Counts


@dataclass(frozen=True)
class Panel:
    """Agreement of all annotators of a corpus: alpha on the `units` that two or more marked, and each two of them.

    `annotations` counts what each annotator made in the articles of several.
    """

    alpha: Estimate
    units: int
    articles: int
    annotations: dict[str, int]
    pairs: dict[tuple[str, str], Agreement]


def annotators(article: Article) -> list[str]:
    """Who annotated the article, sorted; annotations without a name are those of one annotator."""
    return sorted({note.annotator for note in article.annotations})


def units(article: Article) -> list[tuple[Annotation, ...]]:
    """The pairs of an article, each as the annotations of those who marked it, one an annotator, by annotator."""
    found: list[list[Annotation]] = []
    for name in annotators(article):
        own = [note for note in article.annotations if note.annotator == name]
        gain = np.array([[max(_likeness(x, note) for x in unit) for note in own] for unit in found])
        chosen = {j: i for i, j in _assign(gain.reshape(len(found), len(own)))}
        for j, note in enumerate(own):
            if j in chosen:
                found[chosen[j]].append(note)
            else:
                found.append([note])
    return [tuple(unit) for unit in found]


def panel(articles: Sequence[Article], *, resamples: int = 2000, seed: int = 11) -> Panel:
    """Compare the annotators inside one corpus.

    Raises:
        StanceError: no article has annotations of two annotators.
    """
    several = [article for article in articles if len(annotators(article)) > 1]
    if not several:
        raise StanceError(
            f"none of the {len(articles)} articles has annotations of two annotators (`annotator`); "
            "give the other annotator's articles as a second path"
        )
    votes = [np.array([_votes(unit) for unit in units(article)]) for article in several]
    both_said = np.stack([coincidences(counts) for counts in votes])
    names = sorted({name for article in several for name in annotators(article)})
    pairs: dict[tuple[str, str], Agreement] = {}
    for a, b in combinations(names, 2):
        both = [article for article in several if {a, b} <= set(annotators(article))]
        if both:
            matched = match([_only(article, a) for article in both], [_only(article, b) for article in both])
            pairs[a, b] = measure(matched, resamples=resamples, seed=seed)
    alphas = intervals(
        lambda drawn: {"alpha": alpha_of_coincidences(both_said[drawn].sum(-3))}, len(votes),
        resamples=resamples, seed=seed,
    )  # fmt: skip
    return Panel(
        alpha=alphas["alpha"],
        units=sum(int((counts.sum(1) > 1).sum()) for counts in votes),
        articles=len(several),
        annotations=dict(Counter(note.annotator for article in several for note in article.annotations)),
        pairs=pairs,
    )


def match(first: Sequence[Article], second: Sequence[Article]) -> list[Matched]:
    """Match the annotations of the articles that both have.

    Raises:
        StanceError: they share no article, or one's text differs.
    """
    others = {article.id: article for article in second}
    shared = [article for article in first if article.id in others]
    if not shared:
        raise StanceError(
            "the two annotators share no article: no id stands in both; compare annotations of one corpus"
        )
    for article in shared:
        if article.text != others[article.id].text:
            raise StanceError(f"{others[article.id].where}: not the text of {article.where}; offsets can't be compared")
    return [_match(article, others[article.id]) for article in shared]


def measure(matched: Sequence[Matched], *, resamples: int = 2000, seed: int = 11) -> Agreement:
    """Alpha, kappa and F1 over all articles; whole articles are drawn for the intervals."""
    stances = np.zeros((len(matched), len(LABELS), len(LABELS)), np.int64)
    sizes = np.zeros((len(matched), 2), np.int64)
    for number, article in enumerate(matched):
        for a, b in article.both:
            stances[number, LABELS.index(a.stance), LABELS.index(b.stance)] += 1
        sizes[number] = len(article.both) + np.array([len(article.first_only), len(article.second_only)])

    def scores(drawn: Counts) -> dict[str, Shares]:
        counts, made = stances[drawn].sum(-3), sizes[drawn].sum((-2, -1))
        return {
            "alpha": alpha(counts),
            "kappa": kappa(counts),
            "pair_f1": _share(2 * counts.sum((-2, -1)), made),
            "triple_f1": _share(2 * np.trace(counts, axis1=-2, axis2=-1), made),
        }

    return Agreement(
        **intervals(scores, len(matched), resamples=resamples, seed=seed),
        articles=len(matched),
        annotations=(int(sizes[:, 0].sum()), int(sizes[:, 1].sum())),
        stances=stances.sum(0),
    )


def alpha(stances: Counts) -> Shares:
    """Krippendorff's nominal alpha of two annotators from counts `(..., 3, 3)`, shape `(...)`; NaN for one label."""
    return alpha_of_coincidences(stances + np.swapaxes(stances, -1, -2))


def coincidences(votes: Counts) -> Shares:
    """How often two votes on one unit say `i` and `j`, shape `(3, 3)`, from `(units, 3)` counts of labels.

    Each pair of votes on a unit counts both ways, a unit with `m` votes as `m` in all; with a single vote as none.
    """
    shared = votes[votes.sum(1) > 1]
    pairs = shared[:, :, None] * shared[:, None] - shared[:, :, None] * np.eye(len(LABELS), dtype=np.int64)
    found: Shares = (pairs / (shared.sum(1) - 1)[:, None, None]).sum(0)
    return found


def alpha_of_coincidences(found: npt.NDArray[Any]) -> Shares:
    """Nominal alpha of coincidences `(..., 3, 3)`, shape `(...)`; NaN where all labels are one.

    Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", C: with `n` votes of each label and `N` in all,
    the share of pairs that differ is measured against `(N² - Σn²) / N(N - 1)`, what chance would give.
    """
    each = found.sum(-1)
    total = each.sum(-1)
    differ = total - np.trace(found, axis1=-2, axis2=-1)
    return 1 - _share(differ * (total - 1), total**2 - (each**2).sum(-1))


def kappa(stances: Counts) -> Shares:
    """Cohen's kappa of two annotators from counts `(..., 3, 3)`, shape `(...)`; NaN where chance leaves nothing."""
    total = stances.sum((-2, -1))
    chance = (stances.sum(-2) * stances.sum(-1)).sum(-1)
    return _share(total * np.trace(stances, axis1=-2, axis2=-1) - chance, total**2 - chance)


def disagreements(matched: Sequence[Matched], texts: dict[str, str]) -> Iterator[dict[str, object]]:
    """One row for each annotation that the other annotator does not have, or has with another stance."""
    for article in matched:
        text = texts[article.article_id]
        rows = [("stance", a, b) for a, b in article.both if a.stance != b.stance]
        rows += [("first only", a, None) for a in article.first_only]  # type: ignore[misc]
        for kind, a, b in rows:
            yield _row(article.article_id, kind, a, text) | {"second": b.stance.value if b else None}
        for b in article.second_only:
            yield _row(article.article_id, "second only", b, text) | {"stance": None, "second": b.stance.value}


def _row(article_id: str, kind: str, note: Annotation, text: str) -> dict[str, object]:
    return {
        "article_id": article_id,
        "kind": kind,
        "actor": note.actor.name,
        "target": note.target.name,
        "stance": note.stance.value,
        "evidence": " … ".join(text[start:end] for start, end in note.evidence),
    }


def _match(first: Article, second: Article) -> Matched:
    a, b = first.annotations, second.annotations
    gain = np.array([[_likeness(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    chosen = _assign(gain)
    rows, columns = {i for i, _ in chosen}, {j for _, j in chosen}
    return Matched(
        first.id,
        [(a[i], b[j]) for i, j in chosen],
        [note for i, note in enumerate(a) if i not in rows],
        [note for j, note in enumerate(b) if j not in columns],
    )


def _assign(gain: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Rows and columns that belong together, each at most once, so that the sum of their gains is the largest."""
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(-gain), strict=True) if gain[i, j] > 0]


def _votes(unit: Sequence[Annotation]) -> list[int]:
    return [sum(note.stance == label for note in unit) for label in LABELS]


def _only(article: Article, annotator: str) -> Article:
    return replace(article, annotations=tuple(note for note in article.annotations if note.annotator == annotator))


def _share(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Shares:
    """The quotients, NaN where there is nothing to divide by."""
    found: Shares = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0)
    return found


def _likeness(a: Annotation, b: Annotation) -> float:
    """0 for another pair; else more for the same target name and for shared evidence. Blind to the stance."""
    same_target = _same(a.target, b.target)
    if not _same(a.actor, b.actor) or not (same_target or overlap(a.target.span, b.target.span)):
        return 0.0
    shared = any(overlap(x, y) for x in a.evidence for y in b.evidence)
    return 1.0 + 0.1 * same_target + 0.2 * shared


def _same(a: Mention, b: Mention) -> bool:
    return _folded(a.name) == _folded(b.name)
