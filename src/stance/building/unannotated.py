"""Pairs of an article's mentions of which nobody can say that they hold an annotated stance, passage by passage."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import product

from stance.mentions import Candidate, Parsed, words
from stance.records import Article, Mention, Span, overlap

Names = tuple[Mention, Mention]


class Unannotated:
    """What the annotations and the parse of an article say of its names, made once for all its passages."""

    def __init__(self, article: Article, parsed: Parsed) -> None:
        self._acts: dict[str, bool] = {}
        self._notes: tuple[dict[str, set[int]], dict[str, set[int]]] = ({}, {})
        for number, note in enumerate(article.annotations):
            for role, mention in enumerate((note.actor, note.target)):
                self._acts[mention.name] = self._acts.get(mention.name, False) or role == 0
                for word in words(mention.name):
                    self._notes[role].setdefault(word, set()).add(number)
        self._marked = [mention for note in article.annotations for mention in (note.actor, note.target)]
        self._candidates = parsed.candidates
        self._apposed = {c.mention: c.apposed for c in parsed.candidates if c.apposed is not None}
        self._marks = _Places([mention.span for mention in self._marked])
        self._places = _Places([candidate.mention.span for candidate in parsed.candidates])

    def pairs(self, place: Span) -> tuple[list[Names], list[Names]]:
        """Pairs inside a passage: those whose target is a name or was annotated, and those with another phrase.

        A mention that shares a word with an annotated name counts as that name, since it may well be the same; so does
        one in apposition with it, "the minister, Chhim Vuthy".
        """
        marked = (self._marked[i] for i in self._marks.touching(place))
        known = {m.span: m for m in marked if m.span and place[0] <= m.span[0] and m.span[1] <= place[1]}
        near = [self._candidates[i] for i in self._places.touching(place)]
        same = {
            self._apposed[c.mention]
            for c in near
            if c.mention in self._apposed and any(overlap(c.mention.span, other) for other in known)
        }
        others = [c for c in near if _free(c, place, known) and c.apposed not in same]
        actors = [m for m in known.values() if self._acts[m.name]] + [c.mention for c in others if c.actor]
        names = [*known.values(), *(c.mention for c in others if c.named or c.actor)]
        phrases = [c.mention for c in others if not (c.named or c.actor)]
        seen: set[tuple[str, str]] = set()
        return self._pairs(actors, names, seen), self._pairs(actors, phrases, seen)

    def _pairs(self, actors: Sequence[Mention], targets: Sequence[Mention], seen: set[tuple[str, str]]) -> list[Names]:
        found: list[Names] = []
        first, second = ({m: self._told(role, m.name) for m in some} for role, some in enumerate((actors, targets)))
        for actor, target in product(actors, targets):
            (told, by), (of, about), key = first[actor], second[target], (actor.name, target.name)
            if actor in self._apposed and self._apposed[actor] == self._apposed.get(target):
                continue
            if key not in seen and not told & of and by.isdisjoint(about):
                seen.add(key)
                found.append((actor, target))
        return found

    def _told(self, role: int, name: str) -> tuple[frozenset[str], set[int]]:
        """The words of a name, and the annotations that have one of them in this role."""
        told = words(name)
        return told, set().union(*(self._notes[role].get(word, ()) for word in told))


class _Places:
    """Spans by their starts."""

    def __init__(self, spans: Sequence[Span | None]) -> None:
        found = sorted((span[0], number) for number, span in enumerate(spans) if span)
        self.starts, self.order = [start for start, _ in found], [number for _, number in found]
        self.longest = max((span[1] - span[0] for span in spans if span), default=0)

    def touching(self, place: Span) -> list[int]:
        """The numbers of all spans that have something in a place, and of some others near it, in order."""
        low = bisect_left(self.starts, place[0] - self.longest)
        return sorted(self.order[low : bisect_right(self.starts, place[1])])


def _free(candidate: Candidate, place: Span, known: dict[Span, Mention]) -> bool:
    span = candidate.mention.span
    if span is None or span[0] < place[0] or span[1] > place[1]:
        return False
    return not any(overlap(span, other) for other in known)
