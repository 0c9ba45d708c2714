"""Where a region lies when its offsets do not give the text that it quotes: counted in other ways, or nearby."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from stance.lookup import UNSPACED
from stance.records import Article, Mention, Span, overlap

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
_LETTER = re.compile(rf"[^\W_\u0590-\u08ff{UNSPACED}]")
"""Of a script that writes words apart: in Arabic and Hebrew small words are written to the next one."""


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
    while inside_word(text, start):
        start -= 1
    while inside_word(text, end):
        end += 1
    return start, end


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


def cuts_words(text: str, span: Span) -> bool:
    """Whether a span begins or ends inside a word."""
    return any(inside_word(text, place) for place in span)


def inside_word(text: str, place: int) -> bool:
    """Whether letters of one word stand before and behind a place, in a script that writes words apart."""
    return 0 < place < len(text) and all(map(_LETTER.match, text[place - 1 : place + 1]))


def _cuts(text: str, span: Span) -> bool:
    """Whether a span begins or ends inside a word."""
    return any(text[max(at - 1, 0) : at + 1].isalnum() and 0 < at < len(text) for at in span)


def _gives(text: str, span: Span, quoted: str) -> bool:
    inside = 0 <= span[0] < span[1] <= len(text)
    return inside and _GAP.sub(" ", text[slice(*span)]) == _GAP.sub(" ", quoted)
