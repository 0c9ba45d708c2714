"""Where a text prints a name: whole, or by the words of it that stand for it. By letters alone, without a parse."""

import re
from collections.abc import Iterator

from stance.records import Span

MAX_NAME_WORDS = 32  # the runs of a name's words grow with their square
FILLERS = frozenset({"and", "for", "from", "its", "that", "the", "their", "this", "with"})
"""Longer words that are no names."""


def find_mention(text: str, name: str) -> Span | None:
    """Where `text` prints `name`, or the longest run of its words: "Tavanian" for "Behrouz Tavanian".

    Whole words only. By exact case first, then by any case, then by parts of the name, later words first, since
    the head of an English noun phrase and a person's surname stand last. Parts of one or two letters and words
    without content are no mention; neither are parts of a name of more than `MAX_NAME_WORDS` words.
    """
    found = _search(text, name.strip()) or _search(text, name.strip(), re.IGNORECASE)
    if not found:
        folded = " ".join(text.casefold().split())
        printed = (_search(text, part, re.IGNORECASE) for part in _parts(name) if part.casefold() in folded)
        found = next(filter(None, printed), None)
    return found


def _search(text: str, words: str, flags: int = 0) -> Span | None:
    pattern = r"\s+".join(map(re.escape, words.split()))  # a name may go on in the next line
    found = re.search(rf"(?<!\w){pattern}(?!\w)", text, flags) if pattern else None
    return found.span() if found else None


def _parts(name: str) -> Iterator[str]:
    """The runs of a name's words that may stand for it, in the order of preference."""
    words = name.split()
    for length in range(len(words) - 1, 0, -1) if len(words) <= MAX_NAME_WORDS else ():
        for start in range(len(words) - length, -1, -1):
            part = words[start : start + length]
            if any(len(word) > 2 and word.casefold() not in FILLERS for word in part):
                yield " ".join(part)
