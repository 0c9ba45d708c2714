"""Labelling functions: what a parsed sentence says about who supports or opposes what, by the words of a lexicon.

Each reading names its function. A function that can't say abstains; none sees more than one sentence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spacy.tokens import Doc, Token

from stance.records import Stance
from stance.weak import grammar
from stance.weak.lexicon import Lexicon, Patterns, normal
from stance.weak.mood import Mood, denied, mood, negated, ought

FUNCTIONS = {
    "active": "X backed Y",
    "passive": "Y was backed by X",
    "prepositional": "X warned against Y",
    "clausal": "X wants to join Y",
    "request": "X urged Z to sign Y; X said that Z must sign Y",
    "deed": "X vetoed Y, X imposed sanctions on Y",
    "negated": "X did not back Y, X refused to sign Y, X declined to endorse Y, X no longer opposes Y",
    "undecided": "X has not decided whether to back Y",
    "contact": "X discussed Y",
    "nominalisation": "X's opposition to Y, criticism of Y by X",
    "light_verb": "X voiced support for Y",
    "received": "Y drew criticism from X",
    "adjective": "X is critical of Y",
    "quoted": '"We oppose Y," X said',
    "judged": "X said Y was a mistake",
    "labelled": "X called Y a mistake",
    "within": "X criticised Y's decision",
}
"""The functions by name, each with what it finds."""
_COPULAS = frozenset({"be", "seem", "remain", "become", "represent", "constitute", "look", "sound"})


@dataclass(frozen=True, slots=True)
class Reading:
    """One match of a labelling function: the tokens of actors and targets, not yet pinned to mentions."""

    function: str
    stance: Stance
    actors: list[Token]
    targets: list[Token]
    at: Token


def read(doc: Doc, lexicon: Lexicon) -> Iterator[Reading]:
    """What every function reads in a parse, in the order of the text."""
    for token in doc:
        if token.pos_ in ("VERB", "AUX"):
            yield from _verb(token, lexicon)
            yield from _labelled(token, lexicon)
            yield from _judged(token, lexicon)
        elif token.pos_ in ("NOUN", "PROPN"):
            yield from _noun(token, lexicon)
        if token.pos_ in ("ADJ", "VERB"):
            yield from _adjective(token, lexicon)


def _verb(verb: Token, lexicon: Lexicon) -> Iterator[Reading]:
    """Verbs and deeds with their objects, whoever is their subject."""
    sections: tuple[tuple[str, Patterns], ...] = (("", lexicon.verbs), ("deed", lexicon.deeds))
    fits = [(name, *fit) for name, patterns in sections for fit in grammar.matches(verb, patterns)]
    if not fits:
        return
    around = mood(verb, lexicon)
    actors, how = _doers(verb, around, lexicon)
    used: set[int] = set()
    for section, pattern, last, places in sorted(fits, key=lambda fit: -len(fit[1].words)):
        targets = [t for t in grammar.objects(verb, last) if t.i not in used | places]
        if _ends(verb, lexicon):  # "dropped its support for the bill" tells of the bill, see `_noun`
            targets = [t for t in targets if not any(grammar.matches(t, lexicon.nouns))]
        used |= places | {t.i for t in targets}
        stance = outcome(pattern.stance, around)
        if stance is None or not targets or (_only_asks(verb, lexicon) and last is verb):
            continue
        name = _name(pattern.stance, around, section, how) or (
            "prepositional" if len(pattern.words) > 1 else "clausal" if around.clausal else "active"
        )
        yield Reading(name, stance, actors, targets, verb)
        if name in ("active", "passive", "prepositional"):
            yield Reading("within", stance, actors, [t for target in targets for t in _whose(target, lexicon)], verb)


def _only_asks(verb: Token, lexicon: Lexicon) -> bool:
    """Whether a verb's object is whom it asks to do something: "urged Seoul to sign"."""
    return grammar.word(verb) in lexicon.requests and any(
        t.dep_ in ("xcomp", "ccomp", "advcl") and grammar.children(t, "aux") for t in verb.children
    )


def _doers(verb: Token, around: Mood, lexicon: Lexicon) -> tuple[list[Token], str]:
    """Whose stance a verb shows, and by which function: who asks for a thing, not who shall do it."""
    if around.request is not None:
        asking = around.request
        return (grammar.agents(asking) if grammar.passive(asking) else grammar.holders(asking)), "request"
    if ought(verb):
        return grammar.speaker(verb, lexicon), "request"
    if grammar.passive(verb):
        return grammar.agents(verb), "passive"
    return grammar.holders(verb), ""


def _name(own: Stance, around: Mood, section: str, how: str) -> str:
    """The function that a verb's reading belongs to, where its form alone doesn't tell."""
    if around.unsure:
        return "undecided"
    if own == Stance.NEUTRAL:
        return "contact"
    if around.negated or around.turned or around.weak:
        return "negated"
    return section if section and how != "request" else how


def outcome(own: Stance, around: Mood) -> Stance | None:
    """The stance that is left of a word's own by what stands around it; None where nothing can be said.

    Rule 7 of docs/ANNOTATING.md: negation turns where it refuses ("will not sign"), weakening never does ("stopped
    short of condemning" is neutral). "Has not backed" is neutral; "did not back" may be either, so nothing is said of
    it.
    """
    if around.supposed:
        return None
    if around.unsure or own == Stance.NEUTRAL or around.weak:
        return Stance.NEUTRAL
    if around.request is not None and around.negated:  # "told fans not to blame the coach"
        return Stance.OPPOSE if own == Stance.SUPPORT else Stance.SUPPORT
    if around.turned or (around.negated and around.refusing):
        return Stance.OPPOSE if own == Stance.SUPPORT else Stance.NEUTRAL
    if around.negated:
        return Stance.NEUTRAL if own == Stance.OPPOSE or around.perfect else None
    return own


def _ends(verb: Token, lexicon: Lexicon) -> bool:
    """Whether a verb says that what its object names is no more."""
    return grammar.word(verb) in lexicon.enders


def _noun(noun: Token, lexicon: Lexicon) -> Iterator[Reading]:
    """Nouns of stance: who has them or voices them, and whom they hit."""
    around = mood(noun, lexicon)
    if noun.dep_ in ("dobj", "nsubjpass") and _ends(noun.head, lexicon):
        around = replace(around, weak=True)
    head, owners = noun.head, grammar.possessors(noun)
    carried = noun.dep_ == "dobj" and grammar.word(head) in lexicon.carriers
    for pattern, last, _ in grammar.matches(noun, lexicon.nouns):
        targets = grammar.coordinated(grammar.children(last, "pobj")) if last is not noun else []
        targets = [t for t in targets if t not in owners]
        if not targets:
            continue
        if carried:
            around, owners, name = mood(head, lexicon), owners or grammar.holders(head), "light_verb"
        elif noun.dep_ == "pobj" and noun.head.lower_ in ("in", "with", "at", "of", "out") and not owners:
            owners, name = grammar.holders(noun.head.head), "nominalisation"
        else:
            name = "nominalisation"
        if negated(noun, lexicon):
            around = denied(around)
        stance = outcome(pattern.stance, around)
        if stance is not None:
            name = "negated" if stance != pattern.stance else "contact" if stance == Stance.NEUTRAL else name
            yield Reading(name, stance, owners, targets, noun)
        break
    if (
        owners
        and noun.dep_ == "dobj"
        and grammar.word(head) in lexicon.receivers
        and not any(negated(word, lexicon) for word in (head, noun))
        and not mood(head, lexicon).supposed
        and (patterns := lexicon.nouns.get(grammar.word(noun)))
    ):
        yield Reading("received", patterns[0].stance, owners, grammar.holders(head), noun)


def _adjective(token: Token, lexicon: Lexicon) -> Iterator[Reading]:
    """What somebody is: "critical of", "opposed to"."""
    for pattern, last, _ in grammar.matches(token, lexicon.adjectives, form=normal(token.text)):
        targets = grammar.coordinated(grammar.children(last, "pobj")) if last is not token else []
        if not targets:
            continue
        after = token.dep_ in ("amod", "acl") and token.i > token.head.i
        actors = [token.head] if after else grammar.holders(token, 1)
        verb = token.head if token.dep_ in ("acomp", "attr", "oprd") else token
        around = mood(verb, lexicon)
        if negated(token, lexicon):
            around = denied(around)
        stance = outcome(pattern.stance, around)
        if stance is not None:
            name = "adjective" if stance == pattern.stance else "negated"
            yield Reading(name, stance, actors, targets, token)
        return


def _judged(verb: Token, lexicon: Lexicon) -> Iterator[Reading]:
    """What somebody says that a thing is."""
    if grammar.word(verb) not in _COPULAS:
        return
    said = _judgement(grammar.children(verb, "acomp", "attr", "oprd"), lexicon)
    around = mood(verb, lexicon)
    if said in (None, Stance.NEUTRAL) or around.supposed or around.unsure or around.weak:
        return
    if around.negated:
        if said == Stance.OPPOSE:
            return
        said = Stance.OPPOSE
    subjects = grammar.coordinated([grammar.antecedent(t) for t in grammar.children(verb, "nsubj")])
    if said is not None:
        yield Reading("judged", said, grammar.speaker(verb, lexicon), subjects, verb)


def _labelled(verb: Token, lexicon: Lexicon) -> Iterator[Reading]:
    """What somebody calls a thing: "called it a mistake", "described it as reckless"."""
    if grammar.word(verb) not in lexicon.labels or replace(mood(verb, lexicon), refusing=False) != Mood():
        return
    small = [t for t in grammar.children(verb, "ccomp", "xcomp", "oprd", "attr", "acomp") if t.pos_ != "AUX"]
    as_ = [t for t in grammar.children(verb, "prep") if t.lower_ == "as"]
    said = _judgement([*small, *(t for prep in as_ for t in prep.children)], lexicon)
    if said in (None, Stance.NEUTRAL):
        return
    inner = [t for clause in small for t in grammar.children(clause, "nsubj")]
    done = grammar.passive(verb)
    targets = grammar.children(verb, "nsubjpass") if done else inner or grammar.children(verb, "dobj")
    targets = grammar.coordinated([grammar.antecedent(t) for t in targets if t not in small])
    if said is not None:
        yield Reading("labelled", said, grammar.agents(verb) if done else grammar.holders(verb), targets, verb)


def _judgement(tokens: Sequence[Token], lexicon: Lexicon) -> Stance | None:
    """The polarity of a predicate: of its head, else of what modifies it."""
    for token in tokens:
        near = [token, *grammar.children(token, "amod", "conj", "acomp")]
        for part in near:
            compound = " ".join(normal(t.text) for t in (*grammar.children(part, "compound", "amod")[-1:], part))
            for form in (compound, grammar.word(part), normal(part.text)):
                for pattern in lexicon.judgements.get(form.partition(" ")[0], ()):
                    if " ".join(pattern.words) == form and not negated(part, lexicon):
                        return pattern.stance
    return None


def _whose(target: Token, lexicon: Lexicon) -> list[Token]:
    """Names within the phrase of a target whose it is; not those it was done to, as in "Ana Ruiz's arrest"."""
    done = grammar.word(target) in lexicon.undergone
    found = [] if done else [t for t in target.children if t.dep_ in ("poss", "compound", "amod")]
    by = [prep for prep in grammar.children(target, "prep") if prep.lower_ in ("by", "from")]
    found += [t for prep in by for t in grammar.children(prep, "pobj")]
    return [t for t in found if t.ent_type_]
