"""Questions that nobody has answered: pairs of an article's names, asked of each of its sentences, for a teacher alone.

The names of an annotated article are those of its annotations, whether a sentence prints them or not: corpora with
canonical names mostly don't. Of an article that nobody annotated they are the names that the parser finds in a passage.
Where every holder was left open ("someone", as in corpora of what an author thinks of a target), such names are further
targets: what "someone" thinks of them.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stance.mentions import Parsed, words
from stance.records import SOMEONE, UNLABELLED, Article, Mention, Span

THERE = 5.0
"""How much more often a name is asked about that shares a word with the passage."""

Question = tuple[Span, tuple[Mention, Mention]]
"""A passage and the names of an actor and a target."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name, whether it may be asked about as actor and as target, and everywhere the article prints it."""

    mention: Mention
    acts: bool
    aimed: bool
    places: tuple[Span, ...] = ()

    def within(self, place: Span) -> "_Name":
        """The name as a passage prints it, or without a place."""
        inside = (span for span in _starting(self.places, place) if span[1] <= place[1])
        return replace(self, mention=Mention(self.mention.name, *next(inside, (None, None))))


def draw(article: Article, parsed: Parsed, places: Iterable[Span], most: int, *, seed: int) -> Iterator[Question]:
    """At most `most` pairs of names for each passage, drawn anew for each; what is drawn depends on `seed` and the id.

    Args:
        article: with or without annotations.
        parsed: its sentences and candidates.
        places: the passages.
        most: pairs of a passage.
        seed: of the draw.
    """
    digest = hashlib.sha256(f"{UNLABELLED}:{article.id}".encode()).digest()
    random = np.random.default_rng([seed, *digest[:8]])
    known = _annotated(article)
    printed = {} if known and not _open(article) else _named(parsed, known)
    spans = sorted(printed)
    for place in dict.fromkeys(places):
        inside = (printed[span] for span in _starting(spans, place) if span[1] <= place[1])
        further = {name.mention.name: name for name in inside}
        names = [*(name.within(place) for name in known), *further.values()]
        yield from ((place, pair) for pair in _pairs(names, words(article.text[slice(*place)]), most, random))


def _annotated(article: Article) -> list[_Name]:
    """The names of the annotations. One that is neither printed nor ever a target ("the author") only acts."""
    targets = {note.target.name for note in article.annotations}
    anybody = _open(article)
    spans: dict[str, set[Span]] = {}
    for note in article.annotations:
        for mention in (note.actor, note.target):
            spans.setdefault(mention.name, set()).update({mention.span} if mention.span else ())
    found = []
    for name, marked in spans.items():
        printed = {match.span() for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", article.text)}
        everywhere = () if name == SOMEONE else tuple(sorted(marked | printed))  # not whom the text calls so
        aimed = name != SOMEONE and (name in targets or bool(everywhere))
        acts = name == SOMEONE or not anybody
        found.append(_Name(Mention(name), acts=acts, aimed=aimed, places=everywhere))
    return found


def _open(article: Article) -> bool:
    """Whether every holder was left open, as in corpora of what an author thinks of a target."""
    return {note.actor.name for note in article.annotations} == {SOMEONE}


def _named(parsed: Parsed, known: Sequence[_Name]) -> dict[Span, _Name]:
    """The names that the parser finds, by where they are printed.

    Beside names that are known they only are targets, and share no word with one of those, whom they may stand for.
    """
    told = frozenset[str]().union(*(words(name.mention.name) for name in known))
    return {
        candidate.mention.span: _Name(candidate.mention, acts=candidate.actor and not known, aimed=True)
        for candidate in parsed.candidates
        if candidate.named and candidate.mention.span and not words(candidate.mention.name) & told
    }


def _starting(spans: Sequence[Span], place: Span) -> Sequence[Span]:
    """Those of sorted spans that start within a passage."""
    return spans[bisect_left(spans, (place[0], 0)) : bisect_left(spans, (place[1], 0))]


def _pairs(
    names: Sequence[_Name], passage: frozenset[str], most: int, random: np.random.Generator
) -> Iterator[tuple[Mention, Mention]]:
    """Pairs of names that share no word, drawn without replacement (Efraimidis and Spirakis, 2006)."""
    told = [words(name.mention.name) for name in names]
    weights = np.array([THERE if name & passage else 1.0 for name in told])
    keys = random.random((len(names), len(names))) ** (1 / np.outer(weights, weights))
    drawn = 0
    for index in np.argsort(-keys, axis=None):
        a, t = divmod(int(index), len(names))
        if drawn == most:
            return
        if names[a].acts and names[t].aimed and not told[a] & told[t]:
            drawn += 1
            yield names[a].mention, names[t].mention
