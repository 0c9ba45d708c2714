"""Who does what to whom in a spaCy parse: subjects, objects, governing verbs, and the mentions they head.

Labels are those of spaCy's English pipelines (ClearNLP's). Knows nothing of stances but the lexicon's word lists.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from spacy.tokens import Doc, Token

from stance.mentions import ACTOR_TYPES, Candidate
from stance.weak.lexicon import Lexicon, Pattern, Patterns, normal

SUBJECTS = frozenset({"nsubj", "nsubjpass", "csubj"})
_RELATIVE = frozenset({"who", "which", "that", "whom", "what"})
_MODIFIERS = frozenset({"poss", "amod", "compound", "nmod"})
_NO_PART = SUBJECTS | {"aux", "mark"}
DEEPEST = 40
"""Words that stand above one in a tree of a sentence that means anything, at most."""
_VERBS = {
    "boycotts": "boycott", "defunde": "defund", "fin": "fine", "greenlighte": "greenlight", "hat": "hate",
    "hop": "hope", "rag": "rage", "slat": "slate", "stag": "stage", "voids": "void", "wag": "wage",
}  # fmt: skip
"""Base forms that spaCy's rules give verbs of the lexicon, and the right ones."""


def word(token: Token) -> str:
    """The base form in `normal` spelling."""
    return normal(base(token))


def base(token: Token) -> str:
    """The base form as it is spelled: spaCy's lemma, but for verbs that its rules get wrong."""
    lemma = str(token.lemma_)
    return _VERBS.get(lemma, lemma) if token.pos_ == "VERB" else lemma


def children(token: Token, *labels: str) -> list[Token]:
    """The dependents with one of the labels, in order."""
    return [child for child in token.children if child.dep_ in labels]


def coordinated(tokens: Sequence[Token]) -> list[Token]:
    """The tokens and what is joined to them by "and" or commas: "France, Mali and Chad" from "France"."""
    found, waiting = list[Token](), list(reversed(tokens))
    while waiting:  # a list of names is a chain as long as itself
        found.append(waiting.pop())
        waiting += reversed(children(found[-1], "conj"))
    return found


def antecedent(token: Token) -> Token:
    """The noun that a relative pronoun stands for; any other token itself."""
    if token.lower_ in _RELATIVE and token.pos_ in ("PRON", "DET", "SCONJ"):
        for head in islice(token.ancestors, 4):
            if head.dep_ == "relcl":
                return head.head
    return token


def matches(token: Token, patterns: Patterns, *, form: str | None = None) -> Iterator[tuple[Pattern, Token, set[int]]]:
    """Patterns that fit a word and its dependents, longest first: the pattern, its last token, all its places."""
    for pattern in patterns.get(form or word(token), ()):
        tokens = [token]
        for wanted in pattern.words[1:]:
            near = [*tokens[-1].children, *(token.children if len(tokens) > 1 else ())]
            if token.dep_ in ("dobj", "attr") and token.pos_ == "NOUN":
                near += [t for t in token.head.children if t.dep_ == "prep" and t.i > token.i]
            fits = [t for t in near if wanted in (word(t), normal(t.text)) and t.dep_ not in _NO_PART]
            if not fits:
                break
            tokens.append(min(fits, key=lambda t: (t.i < tokens[-1].i, abs(t.i - tokens[-1].i))))
        else:
            yield pattern, tokens[-1], {t.i for t in tokens}


def objects(verb: Token, last: Token) -> list[Token]:
    """What a pattern is about: the object of its last preposition, else the verb's object; "which" gives its noun."""
    if last is not verb and (found := children(last, "pobj")):
        return coordinated(found)
    if last is not verb and last.dep_ == "prep" and last.head.dep_ == "relcl" and not children(last, "pcomp"):
        return [last.head.head]
    if passive(verb):
        while verb.dep_ == "conj" and not children(verb, "nsubjpass"):
            verb = verb.head
        return [verb.head] if verb.dep_ == "acl" else coordinated([antecedent(t) for t in children(verb, "nsubjpass")])
    found = [t for t in children(verb, "dobj") if t is not last]
    if not found and verb.dep_ == "relcl" and last.dep_ != "prep" and any(
        t.lower_ not in _RELATIVE for t in children(verb, "nsubj")
    ):  # fmt: skip
        return [verb.head]
    return coordinated([antecedent(t) for t in found])


def passive(verb: Token) -> bool:
    """Whether a verb's subject is what it is done to, as in "was backed by", "a plan backed by"."""
    while not children(verb, "nsubjpass", "auxpass") and not (verb.dep_ == "acl" and verb.tag_ == "VBN"):
        if verb.dep_ != "conj" or verb.tag_ != "VBN" or children(verb, "nsubj", "dobj"):
            return False
        verb = verb.head
    return True


def agents(verb: Token) -> list[Token]:
    """Who does it, of a passive: "by X"."""
    by = [t for t in verb.children if t.dep_ == "agent" or (t.dep_ == "prep" and t.lower_ == "by")]
    return coordinated([t for prep in by for t in children(prep, "pobj")])


def governors(verb: Token) -> Iterator[Token]:
    """The verb, then the words whose complement it is, up to one with a subject: "sign", "refuse"."""
    for _ in range(DEEPEST):  # a tree can't be deeper than this and mean anything
        yield verb
        if children(verb, *SUBJECTS) and verb.dep_ not in ("ccomp", "xcomp"):
            return
        if verb.dep_ in ("xcomp", "acl", "ccomp", "acomp", "attr", "oprd") and verb.head.i != verb.i:
            verb = verb.head
        elif verb.dep_ == "pcomp" and verb.head.head.i != verb.i and not _charged(verb):
            verb = _above(verb)
        elif verb.dep_ == "conj" and (verb.tag_ == verb.head.tag_ or verb.tag_ in ("VB", "VBG")):
            verb = verb.head
        else:
            return


def holders(verb: Token, depth: int = 0) -> list[Token]:
    """Who does what a verb says: its subject, or that of the words it hangs on."""
    own = children(verb, "nsubj", *(("nsubjpass",) if depth or not passive(verb) else ()))
    head = verb.head
    if own:
        return coordinated([antecedent(t) for t in own if t.dep_ != "expl"])
    if depth > DEEPEST or head.i == verb.i:
        return []
    if verb.dep_ == "pcomp":
        if _charged(verb):
            return []
        above = _above(verb)
        return holders(above, depth + 1) if above.pos_ in ("VERB", "AUX", "ADJ") else possessors(above)
    if verb.dep_ == "acl" and verb.tag_ == "VBG":
        return [head]
    if verb.dep_ == "acl":  # "its decision to reject", "renewed a pledge to block"
        return possessors(head) or (holders(head.head, depth + 1) if head.dep_ == "dobj" else [])
    if verb.dep_ == "relcl":
        return [head]
    if verb.dep_ in ("xcomp", "conj", "advcl", "ccomp", "acomp", "attr", "oprd"):
        if verb.dep_ == "advcl" and passive(verb):
            return []
        return holders(head, depth + 1)
    return []


def _above(verb: Token) -> Token:
    """The word that a gerund after a preposition belongs to: "stopped" in "stopped short of signing"."""
    above = verb.head.head
    return above.head if above.dep_ in ("advmod", "prt") else above


def _charged(verb: Token) -> bool:
    """Whether a gerund is what the object of another verb is said to do: "accused Iran of blocking"."""
    above = _above(verb)
    return (
        above.pos_ == "VERB"
        and bool(children(above, "dobj", "nsubjpass"))
        and verb.head.lower_ in ("of", "for", "from")
    )


def possessors(noun: Token) -> list[Token]:
    """Whose a noun is: "Russia's objections", "Russian objections", "objections from Russia", "criticism by Russia"."""
    found = [t for t in noun.children if t.dep_ in _MODIFIERS and (t.dep_ == "poss" or t.ent_type_ in ACTOR_TYPES)]
    near = [noun, *(t for prep in children(noun, "prep") for t in children(prep, "pobj"))]
    near += [noun.head] if noun.dep_ == "dobj" else []
    for prep in (t for head in near for t in head.children if t.dep_ in ("prep", "agent") and t.i > noun.i):
        if prep.lower_ in ("from", "by", "among"):
            found += children(prep, "pobj")
    return coordinated(found)


def speaker(verb: Token, lexicon: Lexicon) -> list[Token]:
    """Who says the clause of a verb: the subject of the verb of report above it."""
    for _ in range(DEEPEST):
        head = verb.head
        if head.i == verb.i:
            break
        if verb.dep_ in ("ccomp", "parataxis") and word(head) in lexicon.reports:
            return holders(head)
        verb = head
        if verb.dep_ in ("relcl", "acl"):
            return []
    inside = [t for t in verb.children if t.dep_ in ("parataxis", "ccomp") and word(t) in lexicon.reports]
    return [t for said in inside if not children(said, "ccomp") for t in holders(said)]


def heads(doc: Doc, candidates: Sequence[Candidate]) -> dict[int, Candidate]:
    """Candidates by the place of their head word; of several the longest."""
    found: dict[int, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (c.mention.start or 0) - (c.mention.end or 0)):
        span = doc.char_span(*(candidate.mention.span or (0, 0)), alignment_mode="expand")
        if span is not None:
            found.setdefault(span.root.i, candidate)
    return found
