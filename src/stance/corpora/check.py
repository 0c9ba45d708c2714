"""The checks that docs/ANNOTATING.md asks for, beyond what reading already refuses."""

import re
from collections.abc import Iterator, Sequence

from stance.lookup import cuts_words
from stance.records import Annotation, Article, Mention, Span

WORDS = (120, 700)
"""Shortest and longest article of the project's own corpus, in words."""

_ENDS = re.compile(r"""[.!?…:]["”’'»)\]]*$""")
_SENTENCE = re.compile(r"""\S.*?(?:[.!?…]["”’'»)\]]*(?=\s)|$)""", re.MULTILINE)
_WORD = re.compile(r"\w+")
_DATELINE = re.compile(r"(?:[A-Z][A-Z'.\- ]{2,}|[A-Z]{4,})[^\n\"]{0,40}?(?:\s[-–—]{1,2}\s|:\s)")
"""KABUL, Jan 14 - …; LAHORE: …: where and when an agency wrote, at the head of the text."""
_TELLING = 6  # a shorter sentence ("He declined to comment.") may well stand in two articles
_OPENERS = "\"“‘'«(["
_NEAR = 100  # so many characters before and behind a place tell whether a sentence ends there
_TITLE = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|Rev|Hon|St|Gen|Col|Maj|Capt|Cmdr|Lt|Sgt|Adm|Sen|Rep|Gov)\.$")


def check(articles: Sequence[Article], *, words: Span = WORDS) -> list[str]:
    """Every broken rule of every article, as `file:line: annotation N: what`.

    Args:
        articles: the corpus.
        words: shortest and longest length of an article.
    """
    problems = [problem for article in articles for problem in _article(article, words)]
    return problems + list(_repeated(articles))


def _repeated(articles: Sequence[Article]) -> Iterator[str]:
    """Sentences that an earlier article has word for word."""
    seen: dict[tuple[str, ...], Article] = {}
    for article in articles:
        for match in _SENTENCE.finditer(article.text):
            words = tuple(_WORD.findall(match.group().casefold()))
            first = seen.setdefault(words, article)
            if len(words) >= _TELLING and first is not article:
                yield f"{article.where}: repeats a sentence of {first.where} ({first.id}): {_short(match.group())}"


def _article(article: Article, words: Span) -> Iterator[str]:
    where, text = article.where, article.text
    count = len(text.split())
    if not words[0] <= count <= words[1]:
        yield f"{where}: {count} words, expected {words[0]} to {words[1]}"
    if text != text.strip() or "\r" in text or re.search(r"\n{3,}|(?<!\n)\n(?!\n)| {2}", text):
        yield f"{where}: paragraphs must be separated by one blank line, words by one space"
    seen: dict[tuple[str, ...], int] = {}
    dateline = _dateline(text)
    for number, annotation in enumerate(article.annotations, 1):
        at = f"{where}: annotation {number}"
        yield from (f"{at}: {problem}" for problem in _annotation(annotation, text, dateline))
        triple = (annotation.actor.name, annotation.target.name, annotation.stance.value)
        key = (triple[0].casefold(), triple[1].casefold(), triple[2], annotation.annotator)
        if key in seen:
            yield f"{at}: repeats annotation {seen[key]} ({', '.join(triple)})"
        seen.setdefault(key, number)


def _annotation(annotation: Annotation, text: str, dateline: int) -> Iterator[str]:
    if len(annotation.evidence) > 3:
        yield f"{len(annotation.evidence)} evidence spans, at most 3"
    for start, end in annotation.evidence:
        if start < dateline:
            yield f"evidence [{start}, {end}] ({_short(text[start:end])}) must not hold the dateline"
        if not _starts_sentence(text, start, dateline) or not _ends_sentence(text, end):
            yield (f"evidence [{start}, {end}] ({_short(text[start:end])}) must start and end at a sentence boundary")
    for role, mention in (("actor", annotation.actor), ("target", annotation.target)):
        yield from _mention(role, mention, annotation, text)


def _mention(role: str, mention: Mention, annotation: Annotation, text: str) -> Iterator[str]:
    if mention.name != mention.name.strip():
        yield f"{role} name {mention.name!r} has white space around it"
    if mention.span is None:
        return
    start, end = mention.span
    surface = text[start:end]
    if cuts_words(text, mention.span) or surface != surface.strip():
        yield f"{role} span [{start}, {end}] ({surface!r}) must start and end at a word boundary"
    if not any(first <= start and end <= last for first, last in annotation.evidence):
        yield f"{role} span [{start}, {end}] ({surface!r}) lies in none of the evidence spans"


def _dateline(text: str) -> int:
    """Where the text begins behind its dateline; 0 without one."""
    found = _DATELINE.match(text)
    return found.end() if found else 0


def _starts_sentence(text: str, start: int, dateline: int) -> bool:
    if start in (0, dateline):
        return True
    before = text[max(start - _NEAR, 0) : start]
    if not before.strip():
        return False
    if before.endswith("\n\n"):
        return True
    return before.endswith(" ") and _between(before.rstrip(" " + _OPENERS), text[start : start + _NEAR])


def _ends_sentence(text: str, end: int) -> bool:
    before, after = text[max(end - _NEAR, 0) : end], text[end : end + _NEAR]
    if not after or after.startswith("\n"):
        return bool(_ENDS.search(before))
    return after.startswith(" ") and _between(before, after.lstrip(" "))


def _between(before: str, after: str) -> bool:
    """Whether a sentence may end and the next one start here.

    A word in small letters continues the sentence ("U.S. officials", '"Why?" she asked'), unless it is a name
    like al-Shabaab or iPhone.
    """
    first, *_ = after.lstrip(_OPENERS).split(maxsplit=1) or [""]
    continued = first[:1].islower() and first.islower()
    return bool(_ENDS.search(before)) and not _TITLE.search(before) and not continued


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:20] + " … " + text[-17:])
