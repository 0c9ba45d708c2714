"""Where a region lies when its offsets do not give the text that it quotes: counted in other ways, or nearby."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, islice, pairwise

from stance.lookup import cuts_words, inside_word
from stance.records import Article, Mention, Span, overlap

NEAR = 100
"""Characters before and behind its offsets in which a region's text is looked for, or the rest of a cut word."""
MOST = 1000
"""Places at which a region's text is looked at."""
_GAP = re.compile(r"(?:\s|\\n)+")
_COUNTS: dict[str, Callable[[str, str], int]] = {
    "in UTF-16 units": lambda c, _: 1 + (c > "\uffff"),
    "with line ends of two characters as one": lambda c, after: int((c, after) != ("\r", "\n")),
    "with line ends as two characters": lambda c, _: 1 + (c == "\n"),
    "in bytes": lambda c, _: len(c.encode("utf-8", "surrogatepass")),
}
"""How tools count, other than in characters: the length of a character, given the one behind it."""


def whole_words(article: Article) -> tuple[Article, list[str]]:
    """The article with mentions that cut words where its text prints their names, and what was mended of each.

    A cut word that is the name itself is what somebody marked. Others are off by some characters: the name is taken
    where it is printed at the same place or in the same evidence, else the whole words that the mention touches.
    """
    said: list[str] = []

    def mended(role: str, mention: Mention, evidence: Sequence[Span]) -> Mention:
        span, text = mention.span, article.text
        if span is None or not cuts_words(text, span) or text[slice(*span)].casefold() == mention.name.casefold():
            return mention
        found = locate(text, span, mention.name)
        near = (span, *(one for one in evidence if overlap(one, span)))
        if found and not cuts_words(text, found[0]) and any(overlap(found[0], one) for one in near):
            place = found[0]
        else:
            place = _widened(text, span)
        now = text[slice(*place)]
        said.append(
            f"{role} {mention.name!r}: {list(span)} ({text[slice(*span)]!r}) cuts a word; {list(place)} ({now!r})"
        )
        return Mention(mention.name, *place)

    notes = tuple(
        replace(
            note,
            actor=mended("actor", note.actor, note.evidence),
            target=mended("target", note.target, note.evidence),
        )
        for note in article.annotations
    )
    return (replace(article, annotations=notes) if said else article), said


def _widened(text: str, span: Span) -> Span:
    start, end = span
    while inside_word(text, start) and span[0] - start < NEAR:
        start -= 1
    while inside_word(text, end) and end - span[1] < NEAR:
        end += 1
    return start, end


def locate(text: str, span: Span, quoted: str | None) -> tuple[Span, str] | None:
    """Where `quoted` lies in `text`, and how the span was mended, which is empty if it was right.

    White space of any kind compares equal, since tools print line breaks as they like. Without a quotation the span is
    taken as it is, if it lies in the text. None if the region can't be found.
    """
    if quoted is None:
        return (span, "") if 0 <= span[0] < span[1] <= len(text) else None
    if 0 <= span[0] < span[1] and text[slice(*span)] == quoted:
        return span, ""
    words = _GAP.sub(" ", quoted)
    if _gives(text, span, words):
        return span, ""
    for how in _COUNTS:
        marks = _marks(text, how)
        start, end = (bisect_left(marks, offset) for offset in span)
        if _gives(text, (start, end), words):
            return (start, end), f"[{span[0]}, {span[1]}] was counted {how}; it is [{start}, {end}]"
    low = max(min(span[0], len(text)) - NEAR, 0)
    found = islice(_places(text, (low, min(span[1], len(text)) + NEAR), words.strip(" ")), MOST)
    nearest = min(found, key=lambda place: (cuts_words(text, place), abs(place[0] - span[0])), default=None)
    if nearest is None:
        return None
    start, end = nearest
    return (start, end), f"[{span[0]}, {span[1]}] does not hold {quoted[:60]!r}; it is at [{start}, {end}]"


@lru_cache(maxsize=len(_COUNTS))  # many regions are looked for in one text
def _marks(text: str, how: str) -> "array[int]":
    """The offset of each character, and of the end, counted in a way of `_COUNTS`."""
    lengths = (_COUNTS[how](*pair) for pair in pairwise(f"{text}\0"))
    return array("I", accumulate(lengths, initial=0))


@lru_cache(maxsize=1)
def _spaced(text: str) -> "tuple[str, array[int]]":
    """The text with one space for white space of any kind and length, and where in `text` each character of it is."""
    places, start = array("I"), 0
    for gap in _GAP.finditer(text):
        places.extend(range(start, gap.start() + 1))
        start = gap.end()
    places.extend(range(start, len(text)))
    return _GAP.sub(" ", text), places


def _places(text: str, within: Span, words: str) -> Iterator[Span]:
    """Where a part of a text gives words with single spaces, in order."""
    spaced, places = _spaced(text)
    at, end = (bisect_left(places, place) for place in within)
    while words and (at := spaced.find(words, at, end)) >= 0:
        yield places[at], places[at + len(words) - 1] + 1
        at += len(words)


def _gives(text: str, span: Span, words: str) -> bool:
    if not 0 <= span[0] < span[1] <= len(text):
        return False
    if span[1] - span[0] == len(words) and text.startswith(words, span[0]):
        return True
    spaced, places = _spaced(text)
    start, end = bisect_right(places, span[0]) - 1, bisect_right(places, span[1] - 1)
    return end - start == len(words) and spaced.startswith(words, start)
