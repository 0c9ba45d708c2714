"""Votes of the labelling functions: their readings (`stance.weak.readings`) pinned to mentions of one sentence.

Pronouns are resolved only to who speaks ("Iran said it opposes …") or to the subject above them ("Iran repeated its
opposition …"); what is no mention gets no vote.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from spacy.tokens import Doc, Token

from stance import mentions
from stance.mentions import Candidate
from stance.records import Mention, Span, Stance, overlap
from stance.weak import grammar, readings
from stance.weak.lexicon import Lexicon
from stance.weak.readings import Reading

_PERSONAL = frozenset({"i", "we", "he", "she", "it", "they", "my", "our", "his", "her", "its", "their"})
_VAGUE = re.compile(
    r"(?:its|his|her|their|our|my|your|this|that|these|those|such|any|some|all|both|the|an?|own)\s+", re.IGNORECASE
)
_RELATIVE = re.compile(r"(?:whose|which|what|not)\b", re.IGNORECASE)
_EMPTY = frozenset(
    {"way", "thing", "something", "anything", "nothing", "everything", "lot", "one", "kind", "time", "role"}
)


@dataclass(frozen=True, slots=True)
class Vote:
    """What one function says of one pair in one sentence; offsets are into the parsed text."""

    function: str
    actor: Mention
    target: Mention
    stance: Stance
    sentence: Span


@dataclass(frozen=True)
class Scene:
    """A parsed text with what the functions look up in it."""

    doc: Doc
    text: str
    lexicon: Lexicon
    heads: dict[int, Candidate]
    sentences: tuple[Span, ...]
    candidates: tuple[Candidate, ...]


def scene(doc: Doc, lexicon: Lexicon) -> Scene:
    """Prepare a parsed text."""
    found = tuple(mentions.candidates(doc))
    return Scene(doc, doc.text, lexicon, grammar.heads(doc, found), tuple(mentions.sentences(doc)), found)


def votes(found: Scene) -> Iterator[Vote]:
    """The votes of every function, in the order of the text; a function says a thing once."""
    seen: set[Vote] = set()
    for reading in readings.read(found.doc, found.lexicon):
        for vote in _pin(reading, found):
            if vote not in seen:
                seen.add(vote)
                yield vote


def pairs(found: Scene) -> Iterator[tuple[Span, Candidate, Candidate]]:
    """Every pair that the functions could vote on: an actor and another mention of its sentence."""
    inside: dict[int, list[Candidate]] = {}
    for candidate in found.candidates:
        inside.setdefault(_sentence(candidate.mention.start or 0, found), []).append(candidate)
    for number, some in sorted(inside.items()):
        for actor in (c for c in some if c.actor):
            for target in some:
                if not overlap(actor.mention.span, target.mention.span):
                    yield found.sentences[number], actor, target


def _pin(reading: Reading, found: Scene) -> Iterator[Vote]:
    """The votes of a reading: its words' mentions, pronouns resolved; what is no mention is left out."""
    for actor, quoted in _named(reading, found):
        for token in reading.targets:
            target = _target(token, found)
            if target is None or actor.name == target.name or overlap(actor.span, target.span):
                continue
            number = _sentence(reading.at.idx, found)
            start, end = found.sentences[number]
            spans = [actor.span or (0, 0), target.span or (0, 0)]
            if all(start <= a and b <= end for a, b in spans):
                plain = reading.function in ("active", "prepositional", "clausal", "adjective")
                name = "quoted" if quoted and plain else reading.function
                yield Vote(name, actor, target, reading.stance, (start, end))


def _named(reading: Reading, found: Scene) -> Iterator[tuple[Mention, bool]]:
    """The actors' mentions, and whether they stand for a pronoun."""
    for token in reading.actors:
        if token.lower_ not in _PERSONAL:
            if mention := _actor(token, found):
                yield mention, False
            continue
        above = grammar.speaker(token.head, found.lexicon) or [
            t for verb in token.ancestors if verb.pos_ == "VERB" and token.dep_ == "poss" for t in grammar.holders(verb)
        ]
        for other in above[:1]:
            if mention := _actor(other, found):
                yield mention, True


def _actor(token: Token, found: Scene) -> Mention | None:
    """The mention of who holds a stance: the name beside it ("the minister, Ana Ruiz"), if there is one."""
    own = found.heads.get(token.i)
    if own is None or not own.actor:
        return None
    beside = (found.heads.get(t.i) for t in grammar.children(token, "appos") if token.pos_ == "NOUN")
    candidate = next((c for c in beside if c and c.named), own)
    start, end = candidate.mention.span or (0, 0)
    dateline = candidate.mention.name.isupper() and found.text[:start].rstrip(" ")[-1:] in ("", "\n")
    return None if dateline or _RELATIVE.match(candidate.mention.name) else _trimmed(start, end, found)


def _target(token: Token, found: Scene) -> Mention | None:
    """The mention that a target's head word makes, without article or possessive pronoun."""
    candidate = found.heads.get(token.i)
    if candidate is None or token.pos_ == "PRON" or grammar.word(token) in _EMPTY:
        return None
    if any(t.lower_ in ("no", "not") for t in token.children) or _RELATIVE.match(candidate.mention.name):
        return None
    return _trimmed(*(candidate.mention.span or (0, 0)), found)


def _trimmed(start: int, end: int, found: Scene) -> Mention | None:
    """A mention without article, demonstrative or possessive pronoun."""
    while match := _VAGUE.match(found.text, start, end):
        start = match.end()
    return Mention(found.text[start:end], start, end) if start < end else None


def _sentence(place: int, found: Scene) -> int:
    """The number of the sentence at an offset."""
    return max(bisect_right(found.sentences, (place, len(found.text) + 1)) - 1, 0)
