"""How far annotators of the same articles agree: Krippendorff's alpha and Cohen's kappa on stance, F1 on pairs.

Pairs are matched as docs/ANNOTATING.md says: names after case-folding, straightening quotes and dropping a
leading article; a target also where the two spans overlap. Each annotation is matched at most once. The annotators
are those who have an annotation in an article; whoever left a pair unmarked has no vote on it.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import krippendorff
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.stats import DegenerateDataWarning, bootstrap

from stance.errors import StanceError
from stance.records import LABELS, Annotation, Article, Mention, folded, overlap

Counts = npt.NDArray[np.int64]
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Matched:
    """The annotations of one article: matched pairs, and those that only the first or only the second one made."""

    article_id: str
    both: list[tuple[Annotation, Annotation]]
    first_only: list[Annotation]
    second_only: list[Annotation]


@dataclass(frozen=True)
class Agreement:
    """`(value, low, high)` with 95 % bootstrap intervals over articles.

    `alpha` is Krippendorff's alpha (nominal; Hayes and Krippendorff, 2007) and `kappa` Cohen's (1960) on the stance
    of the pairs that both annotated; `pair_f1` is one annotator's pairs against the other's; `triple_f1` wants the
    same stance too. `stances[i, j]` counts pairs with label i by the first and j by the second.
    """

    alpha: Interval
    kappa: Interval
    pair_f1: Interval
    triple_f1: Interval
    articles: int
    annotations: tuple[int, int]
    stances: Counts


@dataclass(frozen=True)
class Panel:
    """Agreement of all annotators of a corpus: alpha on the `units` that two or more marked, and each two of them.

    `annotations` counts what each annotator made in the articles of several.
    """

    alpha: Interval
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
    names = sorted({name for article in several for name in annotators(article)})
    pairs: dict[tuple[str, str], Agreement] = {}
    for a, b in combinations(names, 2):
        both = [article for article in several if {a, b} <= set(annotators(article))]
        if both:
            matched = match([_only(article, a) for article in both], [_only(article, b) for article in both])
            pairs[a, b] = measure(matched, resamples=resamples, seed=seed)
    return Panel(
        alpha=_interval(
            lambda drawn: alpha_of_votes(np.concatenate([votes[i] for i in drawn])), len(votes), resamples, seed
        ),
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

    def pair_f1(drawn: Counts) -> float:
        return _share(2 * stances[drawn].sum(), sizes[drawn].sum())

    def triple_f1(drawn: Counts) -> float:
        return _share(2 * np.trace(stances[drawn].sum(0)), sizes[drawn].sum())

    def interval(statistic: Callable[[Counts], float]) -> Interval:
        return _interval(statistic, len(matched), resamples, seed)

    return Agreement(
        alpha=interval(lambda drawn: alpha(stances[drawn].sum(0))),
        kappa=interval(lambda drawn: kappa(stances[drawn].sum(0))),
        pair_f1=interval(pair_f1),
        triple_f1=interval(triple_f1),
        articles=len(matched),
        annotations=(int(sizes[:, 0].sum()), int(sizes[:, 1].sum())),
        stances=stances.sum(0),
    )


def alpha(stances: Counts) -> float:
    """Krippendorff's nominal alpha of two annotators from their `(3, 3)` counts; NaN where all labels are one."""
    one = np.eye(len(LABELS), dtype=np.int64)
    both = (one[:, None] + one[None]).reshape(-1, len(LABELS))
    return alpha_of_votes(np.repeat(both, stances.ravel(), axis=0))


def alpha_of_votes(votes: Counts) -> float:
    """Krippendorff's nominal alpha from `(units, 3)` counts of labels; NaN where all labels are one.

    Units with a single vote have no say in it.
    """
    shared = votes[votes.sum(1) > 1]
    if np.count_nonzero(shared.sum(0)) < 2:
        return float("nan")
    return float(krippendorff.alpha(value_counts=shared, level_of_measurement="nominal"))


def kappa(stances: Counts) -> float:
    """Cohen's kappa of two annotators from their `(3, 3)` counts; NaN where chance leaves nothing to agree on."""
    total = int(stances.sum())
    chance = int(stances.sum(0) @ stances.sum(1))
    if chance == total**2:
        return float("nan")
    return float((total * np.trace(stances) - chance) / (total**2 - chance))


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


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _interval(statistic: Callable[[Counts], float], articles: int, resamples: int, seed: int) -> Interval:
    """The statistic over all articles (it takes their indices) and its 95 % interval when articles are drawn."""
    everything = np.arange(articles)
    value = statistic(everything)
    if articles < 2:
        return value, float("nan"), float("nan")
    with warnings.catch_warnings(action="ignore", category=DegenerateDataWarning):  # all draws give one value
        drawn = bootstrap(
            (everything,), statistic, n_resamples=resamples, method="percentile", vectorized=False,
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution  # fmt: skip
    known = drawn[~np.isnan(drawn)]  # draws with a single label have no alpha, those without annotations no F1
    low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
    return value, float(low), float(high)


def _likeness(a: Annotation, b: Annotation) -> float:
    """0 for another pair; else more for the same target name and for shared evidence. Blind to the stance."""
    same_target = _same(a.target, b.target)
    if not _same(a.actor, b.actor) or not (same_target or overlap(a.target.span, b.target.span)):
        return 0.0
    shared = any(overlap(x, y) for x in a.evidence for y in b.evidence)
    return 1.0 + 0.1 * same_target + 0.2 * shared


def _same(a: Mention, b: Mention) -> bool:
    return folded(a.name) == folded(b.name)
