"""Weak labels: annotations that labelling functions make of articles nobody annotated, each with a confidence.

The functions (`stance.weak.labelling`) vote on pairs of mentions; a label model joins the votes on a pair by how often
each function is right (`stance.weak.tally` measures it against gold), as in data programming (Ratner et al., "Snorkel",
VLDB 2017), with the independence of Dawid and Skene (1979): a function that votes for a stance with accuracy a is worth
a for it and (1 - a) / 2 for each other one, and the shares of all votes are multiplied. One vote alone leaves its own
a.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from stance import mentions
from stance.building import workers
from stance.errors import StanceError
from stance.records import LABELS, Annotation, Article, Mention, Span, Stance, overlap
from stance.settings.building import WeakConfig
from stance.weak import labelling
from stance.weak.labelling import Vote
from stance.weak.lexicon import Lexicon
from stance.weak.readings import FUNCTIONS

UNVOTED = "unvoted"
"""The name under which pairs that no function votes on are neutral."""
ALONE = 128
"""Articles that one process parses before others are started, which takes some seconds."""
UNMEASURED = 0.6
"""Accuracy of a function of which nothing is known."""
_DRAWN = 100  # of the pairs of a piece of text that no function votes on, how many are kept to draw from


@dataclass(frozen=True)
class Voted:
    """An article, the votes on its pairs, how many pairs there are, and some of those that got no vote."""

    article: Article
    votes: tuple[Vote, ...]
    pairs: int
    unvoted: tuple[Vote, ...]


def check(config: WeakConfig) -> None:
    """Refuse settings without a meaning."""
    if not 0 <= config.confidence <= 1:
        raise StanceError(f"weak.confidence={config.confidence}: expected a share, from 0 to 1")
    if not 0 <= config.unvoted <= 100:
        raise StanceError(f"weak.unvoted={config.unvoted}: expected 0 to 100 pairs a label")
    if config.processes < 0 or config.seed < 0:
        raise StanceError("weak.processes and weak.seed must not be negative")


def given(words: Lexicon) -> dict[str, float]:
    """The accuracies that a lexicon states.

    Raises:
        StanceError: one is of no function or stance there is.
    """
    for name in words.accuracy:
        function, _, stance = name.partition("/")
        if function not in (*FUNCTIONS, UNVOTED) or stance not in ("", *LABELS):
            raise StanceError(
                f"accuracy of {name!r} in the lexicon: expected function or function/stance, the functions being "
                f"{', '.join((*FUNCTIONS, UNVOTED))}"
            )
    return dict(words.accuracy)


def vote(articles: Iterable[Article], words: Lexicon, config: WeakConfig) -> Iterator[Voted]:
    """Parse articles, many of them on several processes, and let every function vote."""
    return workers.spread(partial(_voted, words=words, seed=config.seed), articles, config.processes, alone=ALONE)


def _voted(articles: Sequence[Article], words: Lexicon, seed: int) -> list[Voted]:
    cut = [list(mentions.pieces(article.text)) for article in articles]
    docs = mentions.docs(text for pieces in cut for _, text in pieces)
    done = []
    for article, pieces in zip(articles, cut, strict=True):
        digest = hashlib.sha256(article.id.encode()).digest()[:8]
        parts = []
        for (place, _), doc in zip(pieces, docs, strict=False):  # the documents of the others follow
            random = np.random.default_rng([seed, place, *digest])
            parts.append(_piece(labelling.scene(doc, words), place, random))
        done.append(_whole(article, parts))
    return done


def _piece(scene: labelling.Scene, start: int, random: np.random.Generator) -> tuple[list[Vote], int, list[Vote]]:
    """The votes on a piece of text, the number of its pairs, and some pairs that none votes on; offsets are moved."""
    votes = list(labelling.votes(scene))
    taken: dict[Span, set[Span | None]] = {}
    for vote in votes:
        taken.setdefault(vote.sentence, set()).update((vote.actor.span, vote.target.span))

    @cache
    def voted(sentence: Span, span: Span | None) -> bool:
        return any(overlap(other, span) for other in taken.get(sentence, ()))

    pairs, free = 0, list[tuple[Span, Mention, Mention]]()
    for sentence, actor, target in labelling.pairs(scene):
        pairs += 1
        if not voted(sentence, actor.mention.span) and not voted(sentence, target.mention.span):
            free.append((sentence, actor.mention, target.mention))
    drawn = (free[i] for i in random.permutation(len(free))[:_DRAWN].tolist())
    unvoted = [Vote(UNVOTED, actor, target, Stance.NEUTRAL, sentence) for sentence, actor, target in drawn]
    return [_moved(v, start) for v in votes], pairs, [_moved(v, start) for v in unvoted]


def _whole(article: Article, parts: Sequence[tuple[list[Vote], int, list[Vote]]]) -> Voted:
    return Voted(
        article,
        tuple(v for votes, _, _ in parts for v in votes),
        sum(pairs for _, pairs, _ in parts),
        tuple(v for _, _, free in parts for v in free),
    )


def _moved(found: Vote, by: int) -> Vote:
    def mention(old: Mention) -> Mention:
        start, end = old.span or (0, 0)
        return Mention(old.name, start + by, end + by)

    start, end = found.sentence
    return replace(found, actor=mention(found.actor), target=mention(found.target), sentence=(start + by, end + by))


def label(found: Voted, shares: Mapping[str, float], config: WeakConfig) -> Article:
    """The article with one annotation a pair of names and stance: the most confident, at its sentence."""
    best: dict[tuple[str, str, Stance], Annotation] = {}
    for votes in by_pair(found.votes):
        stance, confidence = combine(votes, shares)
        if confidence >= config.confidence and (config.neutral or stance != Stance.NEUTRAL):
            _keep(best, _annotation(votes[0], stance, confidence))
    for free in _drawn(found, round(config.unvoted * len(best)), shares, config):
        key = (free.actor.name.casefold(), free.target.name.casefold())
        if not any((a, t) == key for a, t, _ in best):
            _keep(best, _annotation(free, Stance.NEUTRAL, share(free, shares)))
    notes = sorted(best.values(), key=lambda a: (a.evidence, a.actor.start or 0, a.target.start or 0, a.stance))
    return replace(found.article, annotations=tuple(notes), exhaustive=False)


def _drawn(found: Voted, wanted: int, shares: Mapping[str, float], config: WeakConfig) -> list[Vote]:
    """So many of the pairs that none votes on, from all over the article, if they are sure enough."""
    random = np.random.default_rng([config.seed, *hashlib.sha256(found.article.id.encode()).digest()[:8]])
    drawn = (found.unvoted[i] for i in random.permutation(len(found.unvoted))[:wanted].tolist())
    return [free for free in drawn if share(free, shares) >= config.confidence]


def _annotation(vote: Vote, stance: Stance, confidence: float) -> Annotation:
    weight = round(confidence, 4)
    return Annotation(vote.actor, vote.target, stance, (vote.sentence,), provenance="weak", weight=weight)


def _keep(best: dict[tuple[str, str, Stance], Annotation], new: Annotation) -> None:
    key = (new.actor.name.casefold(), new.target.name.casefold(), new.stance)
    if key not in best or best[key].weight < new.weight:
        best[key] = new


def by_pair(votes: Iterable[Vote]) -> Iterator[list[Vote]]:
    """Votes on the same two mentions, in the order of the first."""
    groups: dict[tuple[object, object], list[Vote]] = {}
    for one in votes:
        groups.setdefault((one.actor.span, one.target.span), []).append(one)
    yield from groups.values()


def combine(votes: Sequence[Vote], shares: Mapping[str, float]) -> tuple[Stance, float]:
    """The most probable stance of a pair and its probability, with no stance more probable beforehand."""
    scores = dict.fromkeys(LABELS, 0.0)
    for one in votes:
        right = share(one, shares)
        for name in LABELS:
            scores[name] += math.log(right if name == one.stance else (1 - right) / 2)
    top = max(scores.values())
    total = sum(math.exp(score - top) for score in scores.values())
    return Stance(max(LABELS, key=lambda name: scores[name])), 1 / total


def share(vote: Vote, shares: Mapping[str, float]) -> float:
    """How often such a vote is right: measured for the function's votes for the stance, else for the function."""
    return shares.get(f"{vote.function}/{vote.stance}", shares.get(vote.function, UNMEASURED))
