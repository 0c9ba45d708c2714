"""Several annotators into one set of labels: by majority, weighted by how reliable each is, or soft.

Who did not mark a pair has no vote on it. What they disagree on makes a queue; rows of it that come back with a
`decision` are final. Articles of a single annotator pass unchanged. Agreement itself: see `stance.corpora.agreement`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stance import jsonl
from stance.corpora import agreement
from stance.errors import StanceError
from stance.records import LABELS, Annotation, Article, Stance

Shares = npt.NDArray[np.float64]
Unit = tuple[Annotation, ...]
"""What the annotators say of one pair."""
METHODS = ("majority", "weighted", "soft")
DECISIONS = (*LABELS, "drop")
CONTEXT = 200
"""Characters of the article that a row of the queue shows before and after the evidence."""
SMOOTHING = 0.1
"""Added to each count of a confusion matrix, so that an annotator of few pairs is never held to be certain."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an adjudicator made of a pair: a stance, or `drop`. `where` is the `file:line` that says so."""

    where: str
    value: str


@dataclass(frozen=True, slots=True)
class Case:
    """One pair of an article of several annotators. `shares` are the votes, `stance` is None where nobody can say."""

    article: Article
    notes: tuple[Annotation, ...]
    shares: tuple[float, ...]
    stance: Stance | None
    decision: Decision | None
    key: str
    """Names the pair by who marked which words, whatever the stance, so that a decision finds it again."""

    @property
    def kind(self) -> str:
        """decided; tie: as many votes for another stance; stance: votes differ; alone: marked by one only; agreed."""
        if self.decision:
            return "decided"
        if self.stance is None or sorted(self.shares)[-1] == sorted(self.shares)[-2]:
            return "tie"
        if any(note.stance != self.stance for note in self.notes):
            return "stance"
        return "alone" if len(self.notes) == 1 else "agreed"


@dataclass(frozen=True)
class Combined:
    """All articles with one label a pair, every pair that had several annotators, and what each of these is worth.

    `accuracy` is the chance that an annotator names the stance that all together make probable (Dawid and Skene).
    `stale` are decisions about pairs that the articles don't have.
    """

    articles: list[Article]
    cases: list[Case]
    accuracy: dict[str, float]
    stale: list[Decision]

    def counts(self) -> Counter[str]:
        """Cases by their kind."""
        return Counter(case.kind for case in self.cases)


def combine(articles: Sequence[Article], method: str, decisions: Mapping[str, Decision] | None = None) -> Combined:
    """Give each pair of each article one label.

    `majority` takes the stance of most votes and leaves ties out. `weighted` takes the most probable of those voted for
    after Dawid and Skene; that wants three annotators or more, since two say nothing about who is right. `soft` keeps
    the shares of the votes in `soft`; among equal shares the more probable stance stands. An article that loses a tie
    is no longer exhaustive: the pair must not be sampled as neutral.

    Raises:
        StanceError: there is no such method, or `weighted` finds two annotators.
    """
    if method not in METHODS:
        raise StanceError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")
    decisions = decisions or {}
    several = {article.id: agreement.units(article) for article in articles if len(agreement.annotators(article)) > 1}
    names = sorted({note.annotator for found in several.values() for notes in found for note in notes})
    if method == "weighted" and len(names) == 2:
        raise StanceError(
            f"method weighted wants three annotators or more, since two ({names[0] or 'no name'} and {names[1]}) say "
            "nothing about who is right; take majority, which leaves ties out, or soft"
        )
    votes = np.array([_votes(notes, names) for found in several.values() for notes in found], np.int64)
    posterior, accuracy = _reliability(votes)
    rows = iter(posterior)
    made: list[Article] = []
    cases: list[Case] = []
    for article in articles:
        own = [
            _case(article, notes, method, next(rows), key, decisions.get(key))
            for key, notes in _keyed(article, several.get(article.id, ()))
        ]
        cases += own
        made.append(_article(article, own, method) if own else article)
    known = {case.key for case in cases}
    return Combined(
        made,
        cases,
        dict(zip(names, map(float, accuracy), strict=True)),
        [decision for key, decision in decisions.items() if key not in known],
    )


def dawid_skene(votes: npt.NDArray[np.int64], *, iterations: int = 200) -> tuple[Shares, Shares]:
    """What is probable when each annotator has a confusion matrix of their own (EM; Dawid and Skene, 1979).

    Dawid and Skene: Maximum likelihood estimation of observer error-rates using the EM algorithm. Applied Statistics
    28(1), 20-28.

    Args:
        votes: `(units, annotators)` indices of labels, -1 where there is no vote; each unit has one at least.
        iterations: the most rounds; it stops when no probability moves by more than 1e-6.

    Returns:
        Probabilities `(units, 3)` of each label, and `(annotators, 3, 3)` of what is said where a label is true.
    """
    said = (votes[:, :, None] == np.arange(len(LABELS))).astype(np.float64)
    posterior: Shares = said.sum(1) / said.sum((1, 2))[:, None]
    for _ in range(iterations):
        counts = np.einsum("uk,ual->akl", posterior, said, optimize=True) + SMOOTHING
        confusion: Shares = counts / counts.sum(2, keepdims=True)
        prior = (posterior.sum(0) + SMOOTHING) / (posterior.sum() + SMOOTHING * len(LABELS))
        evidence = np.log(prior) + np.einsum("ual,akl->uk", said, np.log(confusion), optimize=True)
        before, posterior = posterior, np.exp(evidence - evidence.max(1, keepdims=True))
        posterior /= posterior.sum(1, keepdims=True)
        if np.abs(posterior - before).max() < 1e-6:
            break
    return posterior, confusion


def queue(cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    """One row for each pair that an adjudicator should see: ties, other stances, pairs that one marked alone.

    `combined` is the stance that stands until `decision` says oppose, neutral, support or drop.
    """
    for case in cases:
        if case.kind not in ("agreed", "decided"):
            first, text = case.notes[0], case.article.text
            yield {
                "pair": case.key,
                "article_id": case.article.id,
                "kind": case.kind,
                "actor": first.actor.name,
                "target": first.target.name,
                "text": _passage(text, [place for note in case.notes for place in note.evidence]),
                "votes": [_vote(note, text) for note in case.notes],
                "combined": case.stance.value if case.stance else None,
                "decision": None,
            }


def read_decisions(*paths: Path) -> dict[str, Decision]:
    """The decisions of queues that came back, by pair; rows whose `decision` is null are left for later.

    Raises:
        StanceError: a row is no row of a queue, has an unknown decision, or contradicts another one.
    """
    found: dict[str, Decision] = {}
    full = (path for path in paths if not path.is_file() or path.stat().st_size)  # who agree leave an empty queue
    for where, row in chain.from_iterable(map(jsonl.read, full)):
        key, value = row.get("pair"), row.get("decision")
        if not isinstance(key, str):
            raise StanceError(f"{where}: 'pair' is missing; expected a row that `combine --queue` wrote")
        if value is None:
            continue
        if value not in DECISIONS:
            raise StanceError(f"{where}: unknown decision {value!r}; expected one of {', '.join(DECISIONS)}, or null")
        if key in found and found[key].value != value:
            raise StanceError(
                f"{where}: decides {value!r} on a pair that {found[key].where} decides {found[key].value!r}; keep one"
            )
        found[key] = Decision(where, value)
    return found


def check_queue(path: Path) -> None:
    """Refuse to write a queue over decisions that somebody made.

    Raises:
        StanceError: `path` holds some, or is no queue.
    """
    if path.is_file() and (made := read_decisions(path)):
        raise StanceError(
            f"{path}: holds {len(made)} decisions, which a new queue would erase; give it as --adjudicated, and write "
            "the queue elsewhere"
        )


def _keyed(article: Article, units: Iterable[Unit]) -> Iterator[tuple[str, Unit]]:
    """Each pair by its key; where somebody marked one twice, the second key has a number."""
    seen = Counter[str]()
    for notes in units:
        key = _key(article, notes)
        seen[key] += 1
        yield (key if seen[key] == 1 else f"{key}-{seen[key]}"), notes


def _key(article: Article, notes: Unit) -> str:
    marks = [(n.annotator, n.actor.name, n.actor.span, n.target.name, n.target.span, n.evidence) for n in notes]
    return hashlib.sha256(repr((article.id, marks)).encode()).hexdigest()[:16]


def _votes(notes: Sequence[Annotation], names: Sequence[str]) -> list[int]:
    by_name = {note.annotator: LABELS.index(note.stance) for note in notes}
    return [by_name.get(name, -1) for name in names]


def _reliability(votes: npt.NDArray[np.int64]) -> tuple[Shares, Shares]:
    """The probabilities of Dawid and Skene, and each annotator's chance of being right."""
    if not len(votes):
        return np.zeros((0, len(LABELS))), np.zeros(0)
    posterior, confusion = dawid_skene(votes)
    return posterior, np.einsum("k,akk->a", posterior.mean(0), confusion)


def _case(article: Article, notes: Unit, method: str, posterior: Shares, key: str, decision: Decision | None) -> Case:
    shares = np.array([sum(note.stance == label for note in notes) for label in LABELS]) / len(notes)
    if decision:
        stance = None if decision.value == "drop" else Stance(decision.value)
    elif method == "soft":
        best = max(range(len(LABELS)), key=lambda k: (shares[k], posterior[k]))
        stance = Stance(LABELS[best])
    else:
        stance = _clear(posterior * (shares > 0) if method == "weighted" else shares)
    return Case(article, notes, tuple(map(float, shares)), stance, decision, key)


def _clear(shares: Shares) -> Stance | None:
    """The stance with the largest share, None where another one has as much."""
    second, first = np.argsort(shares)[-2:]
    return None if np.isclose(shares[first], shares[second], atol=1e-6) else Stance(LABELS[first])


def _article(article: Article, cases: Sequence[Case], method: str) -> Article:
    """The article with the combined annotations, in the order of their evidence."""
    notes = [_annotation(case, case.stance, method) for case in cases if case.stance is not None]
    tied = any(case.stance is None and not case.decision for case in cases)
    return replace(
        article,
        annotations=tuple(sorted(notes, key=lambda note: note.evidence[0])),
        exhaustive=article.exhaustive and not tied,
    )


def _annotation(case: Case, stance: Stance, method: str) -> Annotation:
    """The words of the first annotator who took this stance, under the name of the method."""
    first = next((note for note in case.notes if note.stance == stance), case.notes[0])
    soft = case.shares if method == "soft" and not case.decision and max(case.shares) < 1 else ()
    return replace(first, stance=stance, annotator=method, soft=soft)


def _vote(note: Annotation, text: str) -> dict[str, str]:
    evidence = " … ".join(text[start:end] for start, end in note.evidence)
    return {
        "annotator": note.annotator,
        "stance": note.stance.value,
        "actor": note.actor.name,
        "target": note.target.name,
        "evidence": evidence,
    }


def _passage(text: str, places: Sequence[tuple[int, int]]) -> str:
    """The text around the evidence, cut at white space, with `…` where it goes on."""
    start, end = min(a for a, _ in places), max(b for _, b in places)
    before, after = text[max(start - CONTEXT, 0) : start], text[end : end + CONTEXT]
    if start > CONTEXT:
        before = "…" + re.sub(r"^\S*\s", "", before)
    if end + CONTEXT < len(text):
        after = re.sub(r"\s\S*\Z", "", after) + "…"
    return before + text[start:end] + after
