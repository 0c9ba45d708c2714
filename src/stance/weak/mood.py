"""What the words around a verb, noun or adjective make of it in a spaCy parse: denied, refused, asked for, supposed.

Knows nothing of stances but the lexicon's word lists; what is left of a stance is `stance.weak.readings.outcome`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice, pairwise

from spacy.tokens import Token

from stance.weak.grammar import DEEPEST, SUBJECTS, children, governors, word
from stance.weak.lexicon import Lexicon, normal

_REFUSING = frozenset({"will", "would", "can", "could", "shall", "wo", "ca", "'ll", "'d"})
_OUGHT = frozenset({"should", "must", "ought", "shall", "need"})
_MAYBE = frozenset({"may", "might"})
_IF = frozenset({"if", "unless", "lest"})
_MORE, _MAYBE_MORE = frozenset({"only", "merely", "solely"}), frozenset({"just", "simply"})
"""What makes "not" no denial: "not only rejected"; the latter only where it is not "can't just"."""


@dataclass(frozen=True, slots=True)
class Mood:
    """What the words around a verb make of it: negated, with "will" or "has" beside, turned, weakened, supposed.

    `request` is the verb by which its subject asks another to do it; `turned` holds for "refused to", `weak` for
    "declined to", `unsure` for "whether to"; nothing can be said of what is only `supposed`: "if X opposes", "X may
    oppose", "does X oppose it?", "reports that X opposes it".
    """

    negated: bool = False
    refusing: bool = False
    perfect: bool = False
    turned: bool = False
    weak: bool = False
    unsure: bool = False
    supposed: bool = False
    clausal: bool = False
    request: Token | None = None


def denied(around: Mood) -> Mood:
    """What a noun or adjective that is itself denied is left with: "no support", "hardly critical"."""
    return Mood(negated=True, perfect=True, supposed=around.supposed)


def ought(verb: Token) -> bool:
    """Whether a clause says what should be: "must be scrapped"."""
    return any(t.dep_ == "aux" and t.lower_ in _OUGHT for t in verb.children)


def mood(verb: Token, lexicon: Lexicon) -> Mood:
    """What stands around a verb, see `Mood`."""
    perfect = verb.dep_ == "pcomp" or any(word(t) == "have" for t in children(verb, "aux"))
    found = Mood(negated=negated(verb, lexicon), refusing=_refusing(verb), perfect=perfect)
    verbs = list(governors(verb))
    whole = True
    for place, (lower, upper) in enumerate(pairwise(verbs), 1):
        if lower.dep_ == "conj":
            or_ = any(t.lower_ in ("or", "nor") for t in children(upper, "cc"))
            found = _with(found, negated=or_ and negated(upper, lexicon), refusing=or_ and _refusing(upper))
            continue
        if lower.dep_ == "ccomp" and word(upper) in lexicon.reports and word(upper) not in lexicon.requests:
            found = _with(found, supposed=negated(upper, lexicon))  # "did not say that it opposed"
            break
        names = _names(upper, lower)
        asks = _asks(upper, lower, names, lexicon)
        if lower.dep_ == "ccomp" and lower.i < upper.i and not asks:  # "Brazil opposed it; Chile denies that"
            verbs, whole = verbs[:place], False
            break
        found = _with(
            found,
            negated=negated(upper, lexicon),
            refusing=_refusing(upper) or _resolved(lower, upper, lexicon),
            turned=not names.isdisjoint(lexicon.turners),
            weak=not names.isdisjoint(lexicon.weakeners)
            or (lower.dep_ == "xcomp" and word(upper) in lexicon.enders)
            or (not names.isdisjoint(("have", "be")) and _yet(upper, lower)),
            clausal=True,
            request=upper if asks else found.request,
        )
    marks = {t.lower_ for v in verbs for t in v.children if t.dep_ in ("mark", "advmod")}
    supposed = not marks.isdisjoint(_IF) or any(_open(v, lexicon) for v in verbs) or _asked(verbs, whole=whole)
    return _with(found, unsure="whether" in marks, supposed=supposed)


def _asked(verbs: Sequence[Token], *, whole: bool) -> bool:
    """Whether it is said in a question; if they are the `whole`, in that of a word above the last of them too."""
    above = chain(verbs, islice(verbs[-1].ancestors, DEEPEST) if whole else ())
    return any(t.lower_ == "?" for head in above for t in head.children if t.i > verbs[0].i)


def _yet(upper: Token, lower: Token) -> bool:
    """Whether it is still to come: "has yet to", but not "was quick to sign, yet"."""
    near = (*upper.children, *lower.children)
    return any(t.lower_ == "yet" and t.dep_ == "advmod" and t.i < lower.i for t in near)


def _open(verb: Token, lexicon: Lexicon) -> bool:
    """Whether it is left open that it is so: "may oppose", "used to oppose", "claims that X opposes"."""
    if not _MAYBE.isdisjoint(t.lower_ for t in children(verb, "aux")):
        return True
    above = verb.head
    behind = above.doc[above.i + 1 : above.i + 2].text.lower()
    if verb.dep_ == "xcomp" and above.lower_ == "used" and behind == "to" and not children(above, "auxpass"):
        return True
    said = verb.i > verb.head.i and bool(children(verb, *SUBJECTS))
    doubted = verb.dep_ == "ccomp" and word(verb.head) in lexicon.doubters
    return said and (doubted or (verb.dep_ == "acl" and bool(children(verb, "mark"))))


def negated(token: Token, lexicon: Lexicon) -> bool:
    """Whether a verb, adjective or noun is denied: "not", "no longer", "without", "no country", "little support"."""
    before = [t for t in token.children if t.i <= token.i + 1]  # "is not", but no "backs A but not B"
    near = [t for t in before if t.dep_ in ("neg", "det", "advmod", "preconj", "cc", "aux")]
    near += [t for t in near if t.lower_ == "longer" for t in t.children]
    subjects = children(token, "nsubj", "nsubjpass")
    near += [t for s in subjects for t in (s, *s.children) if t.dep_ in ("det", "nsubj", "nsubjpass", "neg")]
    if token.dep_ == "pcomp":
        near.append(token.head)
    scarce = _scarce(token, "few", "little") or any(_scarce(s, "few") for s in subjects)
    return scarce or any(normal(t.text) in lexicon.negators and not _and_more(t) for t in near)


def _and_more(negator: Token) -> bool:
    """Whether what is denied is that it is all: "not only", but not "can't just"."""
    behind = negator.doc[negator.i + 1 : negator.i + 2].text.lower()
    plain = negator.lower_ in ("not", "n't", "n’t") and not _refusing(negator.head)
    return behind in _MORE or (behind in _MAYBE_MORE and plain)


def _scarce(noun: Token, *words: str) -> bool:
    """Whether there is hardly any of it: "little support", but not "a little support"."""
    before = {t.lower_ for t in noun.subtree if t.i <= noun.i} if noun.pos_ not in ("VERB", "AUX") else set()
    return not before.isdisjoint(words) and before.isdisjoint(("a", "the"))


def _refusing(verb: Token) -> bool:
    return any(t.dep_ == "aux" and t.lower_ in _REFUSING for t in verb.children)


def _resolved(lower: Token, upper: Token, lexicon: Lexicon) -> bool:
    """Whether somebody makes up his mind not to do it: "decided not to sign"."""
    return lower.dep_ == "xcomp" and word(upper) in lexicon.resolvers and negated(lower, lexicon)


def _names(upper: Token, lower: Token) -> set[str]:
    """How a governing word may stand in a list: with its particle, its preposition, or alone."""
    own = word(upper)
    parts = [normal(t.text) for t in upper.children if t.dep_ in ("prt", "advmod", "acomp") and t.i < lower.i]
    prep = [normal(lower.head.text)] if lower.dep_ == "pcomp" else []  # "stop short of"
    parts += [normal(t.text) for t in upper.children if t.dep_ == "prep" and t.i < lower.i and not prep]
    return {own, *(f"{own} {part}" for part in (*parts, *prep)), *(f"{own} {p} {q}" for p in parts for q in prep)}


def _asks(upper: Token, lower: Token, names: set[str], lexicon: Lexicon) -> bool:
    """Whether the subject of the upper verb wants somebody else to do the lower one, or somebody its subject."""
    if names.isdisjoint(lexicon.requests):
        return False
    whom = [t for t in upper.children if t.dep_ in ("dobj", "dative", "prep", "nsubjpass") and t.i < lower.i]
    wanted = lower.tag_ == "VB" or any(
        t.lower_ in ("to", "be", "should", "must") for t in children(lower, "aux", "auxpass")
    )
    return wanted and bool(whom or children(lower, *SUBJECTS))


def _with(old: Mood, *, request: Token | None = None, **new: bool) -> Mood:
    """A mood with what a further word adds; two turns ("did not refuse") only weaken."""
    flags = {name: getattr(old, name) or value for name, value in new.items()}
    kept = {f.name: getattr(old, f.name) for f in fields(Mood) if f.name != "request"}
    both = (old.turned or old.negated or new.get("turned", False)) and new.get("negated", False)
    both = both or (old.negated and new.get("turned", False))
    return Mood(
        **(kept | flags | {"weak": kept["weak"] or flags.get("weak", False) or both}), request=request or old.request
    )
