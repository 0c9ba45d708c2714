"""Where a region lies when its offsets do not give the text that it quotes: counted in other ways, or nearby."""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise

from stance.lookup import UNSPACED
from stance.records import Article, Mention, Span

NEAR = 100
"""Characters before and behind its offsets in which a region's text is looked for."""
_GAP = re.compile(r"(?:\s|\\n)+")
_COUNTS: dict[str, Callable[[str, str], int]] = {
    "in UTF-16 units": lambda c, _: 1 + (c > "\uffff"),
    "with line ends of two characters as one": lambda c, after: int((c, after) != ("\r", "\n")),
    "with line ends as two characters": lambda c, _: 1 + (c == "\n"),
    "in bytes": lambda c, _: len(c.encode("utf-8", "surrogatepass")),
}
"""How tools count, other than in characters: the length of a character, given the one behind it."""
_LETTER = re.compile(rf"[^\W_{UNSPACED}]")


def whole_words(article: Article) -> tuple[Article, list[str]]:
    """The article with mentions that cut words where its text prints their names, and what was mended of each.

    A cut word that is the name itself is what somebody marked. Other cut ones are off by some characters; one whose
    name is not printed nearby is left without a place.
    """
    said: list[str] = []

    def mended(role: str, mention: Mention) -> Mention:
        span = mention.span
        if span is None or not _splits(article.text, span):
            return mention
        printed = article.text[slice(*span)]
        if printed.strip().casefold() == mention.name.casefold():
            return mention
        found = locate(article.text, span, mention.name)
        place = found[0] if found and not _splits(article.text, found[0]) else None
        where = f"it is at {list(place)}" if place else "its place is left out"
        said.append(f"{role} {mention.name!r}: {list(span)} ({printed!r}) cuts a word; {where}")
        return Mention(mention.name, *(place or (None, None)))

    notes = tuple(
        replace(note, actor=mended("actor", note.actor), target=mended("target", note.target))
        for note in article.annotations
    )
    return (replace(article, annotations=notes) if said else article), said


def locate(text: str, span: Span, quoted: str | None) -> tuple[Span, str] | None:
    """Where `quoted` lies in `text`, and how the span was mended, which is empty if it was right.

    White space of any kind compares equal, since tools print line breaks as they like. Without a quotation the span is
    taken as it is, if it lies in the text. None if the region can't be found.
    """
    if quoted is None:
        return (span, "") if 0 <= span[0] < span[1] <= len(text) else None
    if _gives(text, span, quoted):
        return span, ""
    enough = text[: 2 * max(*span, 0) + 2] + "\0"
    for how, length in _COUNTS.items():
        marks = list(accumulate((length(*pair) for pair in pairwise(enough)), initial=0))
        start, end = (bisect_left(marks, offset) for offset in span)
        if _gives(text, (start, end), quoted):
            return (start, end), f"[{span[0]}, {span[1]}] was counted {how}; it is [{start}, {end}]"
    words = [re.escape(word) for word in _GAP.split(quoted) if word]
    low = max(min(span[0], len(text)) - NEAR, 0)
    found = (
        re.compile(_GAP.pattern.join(words)).finditer(text, low, min(span[1], len(text)) + NEAR) if words else iter(())
    )
    nearest = min(found, key=lambda match: (_cuts(text, match.span()), abs(match.start() - span[0])), default=None)
    if nearest is None:
        return None
    start, end = nearest.span()
    return (start, end), f"[{span[0]}, {span[1]}] does not hold {quoted[:60]!r}; it is at [{start}, {end}]"


def _splits(text: str, span: Span) -> bool:
    """Whether a span begins or ends between two letters of a script that writes words apart."""
    return any(0 < at < len(text) and _LETTER.match(text[at - 1]) and _LETTER.match(text[at]) for at in span)


def _cuts(text: str, span: Span) -> bool:
    """Whether a span begins or ends inside a word."""
    return any(text[max(at - 1, 0) : at + 1].isalnum() and 0 < at < len(text) for at in span)


def _gives(text: str, span: Span, quoted: str) -> bool:
    inside = 0 <= span[0] < span[1] <= len(text)
    return inside and _GAP.sub(" ", text[slice(*span)]) == _GAP.sub(" ", quoted)
