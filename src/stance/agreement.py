"""How far two annotators of the same articles agree: Krippendorff's alpha on stance, F1 on pairs, with intervals.

Pairs are matched as the annotation guidelines say: names after case-folding, straightening quotes and dropping a
leading article; a target also where the two spans overlap. Each annotation is matched at most once.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.stats import bootstrap

from stance.errors import StanceError
from stance.records import LABELS, Annotation, Article, Mention

Counts = npt.NDArray[np.int64]
_QUOTES = str.maketrans("’‘“”", "''\"\"")
_ARTICLE = re.compile(r"^(?:the|an?) ")


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

    `alpha` is Krippendorff's alpha (nominal; Hayes and Krippendorff, 2007) on the stance of the pairs that both
    annotated; `pair_f1` is one annotator's pairs against the other's; `triple_f1` wants the same stance too.
    `stances[i, j]` counts pairs with label i by the first and j by the second.
    """

    alpha: tuple[float, float, float]
    pair_f1: tuple[float, float, float]
    triple_f1: tuple[float, float, float]
    articles: int
    annotations: tuple[int, int]
    stances: Counts


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
    """Alpha and F1 over all articles; whole articles are drawn for the intervals."""
    stances = np.zeros((len(matched), len(LABELS), len(LABELS)), np.int64)
    sizes = np.zeros((len(matched), 2), np.int64)
    for number, article in enumerate(matched):
        for a, b in article.both:
            stances[number, LABELS.index(a.stance), LABELS.index(b.stance)] += 1
        sizes[number] = len(article.both) + np.array([len(article.first_only), len(article.second_only)])

    def pair_f1(drawn: npt.NDArray[np.int64]) -> float:
        return float(2 * stances[drawn].sum() / max(sizes[drawn].sum(), 1))

    def triple_f1(drawn: npt.NDArray[np.int64]) -> float:
        return float(2 * np.trace(stances[drawn].sum(0)) / max(sizes[drawn].sum(), 1))

    def interval(statistic: Callable[[npt.NDArray[np.int64]], float]) -> tuple[float, float, float]:
        everything = np.arange(len(matched))
        value = statistic(everything)
        if len(matched) < 2:
            return value, float("nan"), float("nan")
        result = bootstrap(
            (everything,), statistic, n_resamples=resamples, method="percentile", vectorized=False,
            rng=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
        return value, float(result.low), float(result.high)

    return Agreement(
        alpha=interval(lambda drawn: alpha(stances[drawn].sum(0))),
        pair_f1=interval(pair_f1),
        triple_f1=interval(triple_f1),
        articles=len(matched),
        annotations=(int(sizes[:, 0].sum()), int(sizes[:, 1].sum())),
        stances=stances.sum(0),
    )


def alpha(stances: Counts) -> float:
    """Krippendorff's nominal alpha of two annotators from their `(3, 3)` counts; NaN where all labels are one."""
    first, second = (np.repeat(np.indices(stances.shape)[axis].ravel(), stances.ravel()) for axis in (0, 1))
    if len(np.unique([*first, *second])) < 2:
        return float("nan")
    return float(krippendorff.alpha(np.stack([first, second]), level_of_measurement="nominal"))


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
    chosen = [(i, j) for i, j in zip(*linear_sum_assignment(-gain), strict=True) if gain[i, j] > 0]
    rows, columns = {i for i, _ in chosen}, {j for _, j in chosen}
    return Matched(
        first.id,
        [(a[i], b[j]) for i, j in chosen],
        [note for i, note in enumerate(a) if i not in rows],
        [note for j, note in enumerate(b) if j not in columns],
    )


def _likeness(a: Annotation, b: Annotation) -> float:
    """0 for another pair; else more for the same target name and for shared evidence. Blind to the stance."""
    same_target = _same(a.target, b.target)
    if not _same(a.actor, b.actor) or not (same_target or _overlap(a.target.span, b.target.span)):
        return 0.0
    shared = any(_overlap(x, y) for x in a.evidence for y in b.evidence)
    return 1.0 + 0.1 * same_target + 0.2 * shared


def _same(a: Mention, b: Mention) -> bool:
    return _plain(a.name) == _plain(b.name)


def _plain(name: str) -> str:
    return _ARTICLE.sub("", name.translate(_QUOTES).casefold().strip())


def _overlap(a: tuple[int, int] | None, b: tuple[int, int] | None) -> bool:
    return a is not None and b is not None and a[0] < b[1] and b[0] < a[1]
