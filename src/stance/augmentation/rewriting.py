"""More training examples from stances that a verb states: denied, and in the passive voice. Their labels are sure.

"Pakistan backed the plan" gives the passages "Pakistan refused to back the plan.", with the label that denial leaves by
docs/ANNOTATING.md, and "The plan was backed by Pakistan.". A verb is taken where a labelling function
(`stance.weak.readings`) reads the annotated stance off it. What is made of it stands alone, since the rest of the
passage may give reasons for a stance that is denied now; it is kept where the functions read the expected stance off
it, and no other. Knows nothing of models.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from spacy.tokens import Doc, Token

from stance import launch, mentions
from stance.records import LABELS, SOMEONE, Example, Span, Stance, overlap
from stance.settings.training import TrainingConfig
from stance.weak import grammar, labelling, lexicon, readings
from stance.weak.labelling import Vote
from stance.weak.lexicon import Lexicon
from stance.weak.readings import Reading

REFUSED = ("refused to", "would not", "will not")
DECLINED = ("declined to", "had not decided whether to")
MAX_PHRASE = 10
"""Most tokens of a name's phrase; of a longer one the name alone is taken."""
MAX_BETWEEN = 4
"""Most tokens from a verb to its object, as in "threw its weight behind"."""
_FUNCTIONS = frozenset({"active", "prepositional", "clausal", "deed"})
_APART = frozenset(",;:()[]\"'“”‘’—–-\n")
_PAIRING = frozenset({"both", "either", "neither", "only"})
_ARTICLES = ("the", "a", "an")


@dataclass(frozen=True)
class _Clause:
    """ACTOR verb TARGET, as an example's passage has it; `between` are the words from the verb to the target.

    `named` is the target without what the parse puts behind its name, which may be the verb's.
    `participle` is that of a verb whose direct object is the target, and empty where it isn't or is in doubt; `many`
    says whether the target is plural.
    """

    example: Example
    actor: str
    verb: str
    between: str
    target: str
    named: str
    participle: str
    many: bool


def rewritten(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """What is made of the examples, without them: shares `deny` and `passive` of the verbs that can be used.

    Beside a denied clause stands the same in the future tense, so that short passages are not the denied ones.

    Raises:
        StanceError: the lexicon can't be read, or spaCy's pipeline is missing.
    """
    words = lexicon.load(Path(config.lexicon))
    proposals: list[Example] = []
    for clause in _clauses(examples, words):
        random = _draws(clause, config.seed)
        denied, passive = random.random(2) < (config.deny, config.passive)
        refusal, weak = str(random.choice(REFUSED)), str(random.choice(DECLINED))
        if denied:
            proposals += _denied(clause, refusal if random.random() < 2 / 3 else weak)
        if passive:
            proposals += _passive(clause)
    return _sure(proposals, words)


def _draws(clause: _Clause, seed: int) -> np.random.Generator:
    """Random numbers of a clause's own: one more or less changes nothing that is made of others."""
    own = hashlib.blake2b(clause.example.id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.random.default_rng([seed, 3, int.from_bytes(own, "big")])


def _clauses(examples: Sequence[Example], words: Lexicon) -> list[_Clause]:
    """A verb that states the annotated stance, one for each example that has it.

    Not of weak labels, which the same functions may have given.
    """
    held = [e for e in examples if e.stance != Stance.NEUTRAL and e.provenance == "gold" and e.actor != SOMEONE]
    held = [e for e in held if e.actor_span and e.target_span]
    if launch.rank() == 0:
        print(f"training.deny, training.passive: reading {len(held)} stances for the verbs that state them")
    found: dict[int, _Clause] = {}
    for numbers, doc in _parsed([e.text for e in held]):
        stated = [reading for reading in readings.read(doc, words) if reading.function in _FUNCTIONS]
        for number in numbers:
            own = (_clause(held[number], reading) for reading in stated if reading.stance == held[number].stance)
            if clause := next(filter(None, own), None):
                found[number] = clause
    return [found[number] for number in sorted(found)]


def _parsed(texts: Sequence[str]) -> Iterator[tuple[list[int], Doc]]:
    """The parse of each text and the numbers of those that are equal to it."""
    numbers: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        numbers.setdefault(text, []).append(number)
    yield from zip(numbers.values(), mentions.docs(numbers), strict=True)


def _clause(example: Example, reading: Reading) -> _Clause | None:
    """What a reading says of the example's pair, if it is of that pair and its words stand close enough together."""
    actors = (t for t in reading.actors if _inside(t, example.actor_span))
    targets = (t for t in reading.targets if _inside(t, example.target_span))
    actor, target, verb = next(actors, None), next(targets, None), reading.at
    if actor is None or target is None or target.i < verb.i or grammar.passive(verb):
        return None
    if _paired(target, verb) or _done_before(actor, example.actor_span, verb):
        return None
    span = _phrase(target, example.target_span or (0, 0), whole=True)
    between = verb.doc.text[verb.idx + len(verb) : span[0]]
    if len(between.split()) > MAX_BETWEEN or not _APART.isdisjoint(between):
        return None
    names = _name(example.actor, actor, example.actor_span), _name(example.target, target, span)
    direct = target.dep_ == "dobj" and target.head == verb and not between.strip()
    participle = verb.lower_ if direct and (verb.tag_ == "VBN" or verb.text.endswith("ed")) else ""
    own = example.target_span
    many = "Plur" in target.morph.get("Number") or any(_inside(t, own) for t in grammar.children(target, "conj"))
    named = _name(example.target, target, own)
    return _Clause(example, names[0], grammar.base(verb), between.strip(), names[1], named, participle, many)


def _paired(target: Token, verb: Token) -> bool:
    """Whether it is one of several things and a word says so: "both the plan and", "not only the plan but"."""
    while target.dep_ == "conj":
        target = target.head
    before = target.doc[verb.i + 1 : target.i]
    return bool(grammar.children(target, "conj")) and any(t.lower_ in _PAIRING for t in before)


def _done_before(actor: Token, span: Span | None, verb: Token) -> bool:
    """Whether the actor's phrase itself says what is denied next: "states that had backed it refused to back it"."""
    return any(grammar.base(t) == grammar.base(verb) for t in actor.subtree if _inside(t, span))


def _inside(token: Token, span: Span | None) -> bool:
    return span is not None and span[0] <= token.idx < span[1]


def _name(name: str, token: Token, span: Span | None) -> str:
    """The words that stand for a name: those of the passage with their article, the name itself for a pronoun."""
    phrase, common = name, False
    if token.pos_ != "PRON" and span is not None:
        start, end = _phrase(token, span, whole=False)
        first, phrase = token.doc.char_span(start, end, alignment_mode="expand")[0], str(token.doc.text[start:end])
        proper = first.pos_ == "PROPN" or first.ent_type_ in mentions.NAME_TYPES or first.text[1:2].isupper()
        common = bool(first.is_sent_start) and not proper
    article, space, _ = phrase.partition(" ")
    small = common or (space and article.casefold() in _ARTICLES)
    return phrase[0].lower() + phrase[1:] if small else phrase


def _phrase(head: Token, span: Span, *, whole: bool) -> Span:
    """A span with the words before it that belong to its head, the `whole` phrase if it is short and of one piece.

    What is joined to it behind the span is another thing: "the bill but not the clause".
    """
    text = head.doc.text
    first, last = head.left_edge, head.right_edge
    joined = [t.left_edge.i for t in grammar.children(head, "cc", "conj") if t.idx >= span[1]]
    last = head.doc[min(joined) - 1] if joined else last
    start = min(first.idx, span[0])
    if first.i < head.i - MAX_PHRASE or not _APART.isdisjoint(text[start : span[0]]) or first.pos_ == "NUM":
        start = span[0]
    end = max(last.idx + len(last), span[1]) if whole else span[1]
    if last.i > head.i + MAX_PHRASE or not _APART.isdisjoint(text[span[1] : end]):
        end = span[1]
    return start, end


def _denied(clause: _Clause, denial: str) -> list[Example]:
    """The clause in the future tense, and denied."""
    own = clause.example.stance
    left = Stance.OPPOSE if own == Stance.SUPPORT and denial in REFUSED else Stance.NEUTRAL
    rest = " ".join(filter(None, (clause.verb, clause.between)))
    return [
        _made(clause, how, clause.actor, f"{said} {rest}", clause.target, stance=stance)
        for how, said, stance in (("plain", "will", own), ("denied", denial, left))
    ]


def _passive(clause: _Clause) -> list[Example]:
    """The clause in the passive voice, if it has one."""
    if not clause.participle:
        return []
    done = f"{'were' if clause.many else 'was'} {clause.participle} by"
    return [_made(clause, "passive", clause.named, done, clause.actor, stance=clause.example.stance)]


def _made(clause: _Clause, how: str, first: str, said: str, last: str, *, stance: Stance) -> Example:
    """An example whose passage is this sentence."""
    old = clause.example
    first = f"{first[0].upper()}{first[1:]}"  # which may be longer: "ß" is "SS"
    text = f"{first} {said} {last}."
    spans = [(0, len(first)), (len(text) - 1 - len(last), len(text) - 1)]
    if how == "passive":
        spans.reverse()
    return replace(
        old,
        id=f"{old.id}-{how}",
        text=text,
        actor_span=spans[0],
        target_span=spans[1],
        stance=stance,
        labels=old.labels if stance in old.labels else LABELS,  # it is sure, though the corpus does not know it
        tags=(),
        soft=(),
    )


def _sure(proposals: Sequence[Example], words: Lexicon) -> list[Example]:
    """The proposals in which the labelling functions read the pair's stance, and no other."""
    kept: list[int] = []
    for numbers, doc in _parsed([e.text for e in proposals]):
        votes = list(labelling.votes(labelling.scene(doc, words)))
        kept += [number for number in numbers if _stances(proposals[number], votes) == {proposals[number].stance}]
    return [proposals[number] for number in sorted(kept)]


def _stances(pair: Example, votes: Sequence[Vote]) -> set[Stance]:
    """What the votes say of an example's pair."""
    return {
        vote.stance
        for vote in votes
        if overlap(vote.actor.span, pair.actor_span) and overlap(vote.target.span, pair.target_span)
    }
