"""How often labelling functions vote, agree with each other, and are right against gold annotations.

A vote is judged by the annotations of the same evidence whose mentions overlap its own (or share a word, where an
annotation has no place): it is right if one of them has its stance. Votes that meet no annotation are not judged.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from stance import corpora, mentions
from stance.building import splits
from stance.records import LABELS, Annotation, Article, Mention, Span, Stance, overlap
from stance.weak.label_model import UNVOTED, Voted, by_pair
from stance.weak.readings import FUNCTIONS

PRIOR = (3.0, 2.0)
"""Right and wrong votes that every function is credited with before any is counted."""


@dataclass
class Tally:
    """Counts by `function/stance`: votes, with another function's beside, with another stance beside, judged, right."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    articles: int = 0
    pairs: int = 0

    def add(self, found: Voted) -> None:
        """Count an article's votes, and judge them by its annotations."""
        self.articles += 1
        self.pairs += found.pairs
        for votes in by_pair(found.votes):
            for one in votes:
                others = [other for other in votes if other.function != one.function]
                verdict = judge(one.actor, one.target, one.stance, one.sentence, found.article.annotations)
                self._count(one.function, one.stance, {
                    "overlap": bool(others),
                    "conflict": any(other.stance != one.stance for other in others),
                    "judged": verdict is not None,
                    "right": verdict is True,
                    "unmet": verdict is None and found.article.exhaustive,
                })  # fmt: skip
        if found.article.exhaustive:  # a pair that nobody annotated there is neutral
            for free in found.unvoted:
                verdict = judge(free.actor, free.target, free.stance, free.sentence, found.article.annotations)
                self._count(UNVOTED, free.stance, {"judged": True, "right": verdict is not False})

    def _count(self, function: str, stance: Stance, what: Mapping[str, bool]) -> None:
        counter = self.counts.setdefault(f"{function}/{stance}", Counter())
        counter.update(votes=1, **{name: int(value) for name, value in what.items()})


def gold(path: Path) -> Iterator[Article]:
    """The annotated articles of the train split: `splits.json` beside them says which; all where there is none.

    Raises:
        StanceError: a row or `splits.json` can't be used: accuracies of a part would pass for those of the whole.
    """
    kept = splits.find(path, "auto")
    for article in corpora.read(path):
        if (kept is None or kept.get(article.id) == "train") and article.split in ("", "train"):
            yield article


def judge(
    actor: Mention, target: Mention, stance: Stance, sentence: Span, annotations: Sequence[Annotation]
) -> bool | None:
    """Whether gold annotations of the sentence agree; None where none is about the pair."""
    met = matching(actor, target, sentence, annotations)
    return any(a.stance == stance for a in met) if met else None


def matching(actor: Mention, target: Mention, sentence: Span, annotations: Sequence[Annotation]) -> list[Annotation]:
    """The annotations whose evidence, actor and target a pair meets."""
    return [
        a
        for a in annotations
        if any(overlap(sentence, place) for place in a.evidence) and _meets(actor, a.actor) and _meets(target, a.target)
    ]


def _meets(one: Mention, gold_mention: Mention) -> bool:
    if gold_mention.span is not None:
        return overlap(one.span, gold_mention.span)
    return not mentions.words(one.name).isdisjoint(mentions.words(gold_mention.name))


def shares(found: Tally) -> dict[str, float]:
    """Accuracies for the label model by `function/stance`, drawn towards the prior where there are few votes.

    A vote that meets no annotation of an exhaustively annotated article counts as half right: the function may see a
    stance where none is, or another name of what is annotated.
    """
    right, wrong = PRIOR
    return {
        name: (count["right"] + count["unmet"] / 2 + right) / (count["judged"] + count["unmet"] + right + wrong)
        for name, count in sorted(found.counts.items())
        if count["judged"] + count["unmet"]
    }


def interval(right: int, judged: int) -> tuple[float, float, float]:
    """A share with its 95 % interval (Wilson); nan where nothing was judged."""
    if not judged:
        return float("nan"), float("nan"), float("nan")
    bounds = binomtest(right, judged).proportion_ci(method="wilson")
    return right / judged, float(bounds.low), float(bounds.high)


def rows(seen: Tally, known: Tally) -> list[dict[str, Any]]:
    """One record a function and stance that voted: how often it does in `seen`, how often it is right in `known`."""
    records = []
    for function, stance in ((f, s) for f in (*FUNCTIONS, UNVOTED) for s in LABELS):
        here, gold_ = (some.counts.get(f"{function}/{stance}", Counter[str]()) for some in (seen, known))
        value, low, high = interval(gold_["right"], gold_["judged"])
        votes = here["votes"]
        if votes or gold_["votes"]:
            records.append({
                "function": function, "stance": stance, "votes": votes,
                "coverage": votes / seen.pairs if seen.pairs else 0.0,
                "overlap": here["overlap"] / votes if votes else 0.0,
                "conflict": here["conflict"] / votes if votes else 0.0,
                "gold_votes": gold_["votes"], "judged": gold_["judged"], "right": gold_["right"],
                "accuracy": value, "low": low, "high": high,
            })  # fmt: skip
    return records


def table(seen: Tally, known: Tally) -> list[list[str]]:
    """The rows for a terminal."""
    columns = ["votes", "of pairs", "overlap", "conflict", "gold votes", "judged", "right", "accuracy [95 %]"]
    lines = [["function", "stance", *columns]]
    for row in rows(seen, known):
        parts = [
            f"{100 * row[name]:.{digits}f} %" for name, digits in (("coverage", 2), ("overlap", 0), ("conflict", 0))
        ]
        score = f"{row['accuracy']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" if row["judged"] else "–"
        counts = [str(row[name]) for name in ("gold_votes", "judged", "right")]
        lines.append([row["function"], row["stance"], str(row["votes"]), *parts, *counts, score])
    return lines


@dataclass
class Outcome:
    """Combined labels against the annotations that the articles came with: `matrix` counts (gold, weak) stances."""

    articles: int = 0
    labels: int = 0
    own: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    matrix: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, weak: Article, annotations: Sequence[Annotation]) -> None:
        """Count an article's weak annotations and those of its own that they meet."""
        self.articles += 1
        self.labels += len(weak.annotations)
        self.own.update(a.stance.value for a in annotations)
        seen: set[int] = set()
        for label in weak.annotations:
            found = matching(label.actor, label.target, label.evidence[0], annotations)
            seen |= {id(a) for a in found}
            if found:
                agreeing = [a for a in found if a.stance == label.stance]
                self.matrix[(agreeing or found)[0].stance.value, label.stance.value] += 1
        self.met.update(a.stance.value for a in annotations if id(a) in seen)


def outcome_table(found: Outcome) -> list[list[str]]:
    """Combined labels for a terminal: how many meet an annotation of each stance, and how often they are right."""
    lines = [["weak label", *(f"gold {name}" for name in LABELS), "right [95 %]"]]
    for weak in LABELS:
        counts = [found.matrix[gold_name, weak] for gold_name in LABELS]
        lines.append([weak, *map(str, counts), _share(found.matrix[weak, weak], sum(counts))])
    lines.append(["gold pairs with a label", *(f"{found.met[n]} of {found.own[n]}" for n in LABELS), ""])
    polar = [(g, w) for g in LABELS for w in LABELS if Stance.NEUTRAL not in (g, w)]
    right = sum(found.matrix[g, w] for g, w in polar if g == w)
    lines.append(["support or oppose, both", "", "", "", _share(right, sum(found.matrix[p] for p in polar))])
    total = sum(found.matrix.values())
    lines.append(["all", "", "", "", _share(sum(found.matrix[n, n] for n in LABELS), total)])
    return lines


def metrics(found: Outcome) -> dict[str, float]:
    """Numbers for a run."""
    total = sum(found.matrix.values())
    right = sum(found.matrix[name, name] for name in LABELS)
    values = {"articles": float(found.articles), "labels": float(found.labels), "judged": float(total)}
    return values | ({"accuracy": right / total} if total else {})


def measure(found: Iterable[Voted]) -> Tally:
    """The tally of many articles."""
    tally = Tally()
    for one in found:
        tally.add(one)
    return tally


def _share(right: int, of: int) -> str:
    value, low, high = interval(right, of)
    return f"{value:.2f} [{low:.2f}, {high:.2f}] of {of}" if of else "–"
