"""Training examples under other names: masked, or under names of other examples. Their labels stay true.

A name is replaced in the question and wherever the passage prints it, so that nothing but what the passage says of
it is left to go by ("entity masking"; Zhang et al., EMNLP 2017, for relations). Where a form of the name would be left
over, or the two names have a word in common, an example is not changed. Knows nothing of models.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from stance.lookup import FILLERS, QUALIFIERS, UNSPACED, cuts_words, other_names
from stance.records import SOMEONE, Example, Span, overlap
from stance.settings.training import TrainingConfig

PLACEHOLDERS = ("Alpha", "Beta", "Gamma", "Sigma", "Kappa", "Omega")
"""Names for masked ones, in any role: a passage that printed the roles would give away what the question has to ask."""
WORD = re.compile(r"\w+")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_ARTICLE = re.compile(r"(?:the|an?)\s+", re.IGNORECASE)
SHORT = frozenset({"a", "an", "as", "at", "by", "he", "in", "is", "it", "of", "on", "or", "s", "she", "to", "was"})
"""Short words that are no names."""
PRONOUNS = frozenset({
    "he", "she", "it", "they", "i", "we", "you", "his", "her", "hers", "its", "their", "theirs", "him", "them",
    "our", "ours", "us", "my", "mine", "me", "your", "yours", "who", "whom", "whose", "which", "that", "this",
    "these", "those", "himself", "herself", "itself", "themselves", "ourselves", "one", "someone",
})  # fmt: skip
TITLES = frozenset({
    "mr", "mrs", "ms", "dr", "president", "vice", "senator", "sen", "rep", "representative", "congressman",
    "congresswoman", "secretary", "minister", "premier", "chancellor", "governor", "gov", "mayor", "judge",
    "justice", "king", "queen", "prince", "general", "gen", "sir", "lord", "speaker", "chairman",
})  # fmt: skip
_SMALL = FILLERS | QUALIFIERS | SHORT | PRONOUNS
Edit = tuple[Span, str]
"""A place in a text, and what stands there instead."""
_Shape = tuple[str, str, tuple[bool, ...], bool]
_TRIES = 4


def is_pronoun(word: str) -> bool:
    """Whether a word is a pronoun, and no abbreviation: "it", not "IT"."""
    return word.casefold() in PRONOUNS and not (len(word) > 1 and word.isupper())


def rename(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """The examples: a share of them masked (`mask_names`), a share of the others under drawn names (`swap_names`)."""
    random = np.random.default_rng([config.seed, 1])
    pool = _pool(examples) if config.swap_names else {}
    renamed = []
    for example, (mask, swap) in zip(examples, random.random((len(examples), 2)), strict=True):
        if mask < config.mask_names:
            renamed.append(masked(example, random))
        else:
            renamed.append(_swapped(example, pool, random) if swap < config.swap_names else example)
    return renamed


def masked(example: Example, random: np.random.Generator) -> Example:
    """The example with two placeholders for its names, or for the one that can be replaced, or as it was."""
    first, second = map(str, random.choice(PLACEHOLDERS, 2, replace=False))
    return _first(example, first, second)


def _swapped(example: Example, pool: Mapping[_Shape, list[str]], random: np.random.Generator) -> Example:
    """The example under names of others of its corpus: of the same role, so many words, capitals in the same places.

    A name that the passage shortens to its last word gets one that another passage shortens.
    """
    text = _words(example.text)

    def drawn(role: str) -> str:
        peers = pool.get(_shape(example, role), [])
        for place in random.integers(0, len(peers), _TRIES) if peers else ():
            if not text & _words(peers[place]):
                return str(peers[place])
        return ""

    return _first(example, drawn("actor"), drawn("target"))


def _first(example: Example, actor: str, target: str) -> Example:
    """The example with both names replaced, else with one of them, else as it was."""
    tries = (replaced(example, actor=a, target=t) for a, t in ((actor, target), (actor, ""), ("", target)))
    return next(filter(None, tries), example)


def _pool(examples: Sequence[Example]) -> dict[_Shape, list[str]]:
    found: dict[_Shape, dict[str, None]] = {}
    for example in examples:
        for role in ("actor", "target"):
            found.setdefault(_shape(example, role), {})[bare(getattr(example, role))] = None
    return {
        shape: [name for name in names if not is_pronoun(name) and not name.endswith(("'s", "’s", "'", "’"))]
        for shape, names in found.items()
    }


def _shape(example: Example, role: str) -> _Shape:
    """What names must share to be swapped: "Jessup" alone may be a person's, "Department" is no department's name."""
    name = getattr(example, role)
    capitals = tuple(word[0].isupper() for word in bare(name).split())
    several = len(capitals) > 1 and all(capitals)
    short = several and any(last for _, last in _mentions(example.text, name, getattr(example, f"{role}_span")))
    return example.corpus, role, capitals, short


def replaced(example: Example, *, actor: str = "", target: str = "") -> Example | None:
    """The example with other names, in its question and at every mention; an empty name leaves the present one.

    Returns:
        None where it is not sure that the label stays true: the passage does not print a name that is to be replaced,
        has another form of it ("Russian" or "Moscow" for "Russia") or the new one already, the name is a pronoun, which
        may be anybody, or the two names share a word.
    """
    asked = _question(example.actor, actor), _question(example.target, target)
    if (actor and is_pronoun(example.actor)) or (target and is_pronoun(example.target)):
        return None
    if _words(example.actor) & _words(example.target) or _words(asked[0]) & _words(asked[1]):
        return None
    if _words(f"{actor} {target}") & _words(example.text) or any(_stands(new, example.text) for new in (actor, target)):
        return None
    names = ((example.actor, example.actor_span, actor), (example.target, example.target_span, target))
    edits: list[Edit] = []
    untouched: list[Span] = []
    for name, span, new in names:
        found = list(_mentions(example.text, name, span)) if name != SOMEONE else []
        if new and not found:
            return None
        untouched += [] if new else [place for place, _ in found]
        untouched += [span] if span and is_pronoun(example.text[slice(*span)]) else []
        edits += [(place, _printed(example.text, place, new.split()[-1] if short else new)) for place, short in found
                  if new]  # fmt: skip
    edits.sort()
    places = sorted([*set(untouched), *(place for place, _ in edits)])
    if any(b > c for (_, b), (c, _) in pairwise(places)) or _survives(example, edits, names):
        return None
    return replace(
        example,
        text=edited(example.text, edits),
        actor=asked[0],
        target=asked[1],
        actor_span=moved(example.actor_span, edits),
        target_span=moved(example.target_span, edits),
    )


def _stands(name: str, text: str) -> bool:
    """Whether a text has a name where words are written together, or another name of what it names."""
    if _UNSPACED.search(name) and bare(name) in text:
        return True
    return any(re.search(rf"(?<!\w){re.escape(other)}(?!\w)", text) for other in other_names(name))


def _mentions(text: str, name: str, span: Span | None) -> Iterator[tuple[Span, bool]]:
    """Where a passage prints a name, without articles, in order; and whether only its last word, as of a person."""
    surface = text[slice(*span)] if span else ""
    forms = [bare(name)]
    if span and not is_pronoun(surface) and surface != name:
        forms += [bare(surface)] if any(map(str.isupper, bare(surface))) else []
    given = (span[1] - len(bare(surface)), span[1]) if span and not is_pronoun(surface) else None
    whole = [given] if given and not cuts_words(text, given) else []
    for form in forms:
        flags = re.IGNORECASE if len(form) > 4 else 0
        whole += [found.span() for found in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text, flags)]
    merged: list[Span] = []
    for place in sorted(whole):
        if merged and place[0] < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], place[1]))
        else:
            merged.append(place)
    yield from ((place, place == given and _is_last(name, surface)) for place in merged)
    yield from ((place, True) for place in _surnames(text, name) if not any(overlap(place, other) for other in merged))


def _is_last(name: str, surface: str) -> bool:
    words = bare(name).split()
    return len(words) > 1 and surface == words[-1]


def _surnames(text: str, name: str) -> Iterator[Span]:
    """Where the last word of a name stands for it: not behind another name than a title ("Mr. Trump")."""
    words = bare(name).split()
    if len(words) < 2 or not all(word[0].isupper() for word in words):
        return
    for found in re.finditer(rf"(?<!\w){re.escape(words[-1])}(?!\w)", text):
        before = re.search(r"(\w+)\.?\s+$", text[max(found.start() - 100, 0) : found.start()])
        if before is None or not before[1][0].isupper() or before[1].casefold() in TITLES:
            yield found.span()


def _survives(example: Example, edits: Sequence[Edit], names: Sequence[tuple[str, Span | None, str]]) -> bool:
    """Whether a form of a replaced name is left in the passage."""
    left = edited(example.text, [(place, " ") for place, _ in edits])
    rest = set(WORD.findall(left))
    for name, span, new in names:
        if not new:
            continue
        surface = example.text[slice(*span)] if span else ""
        if _stands(name, left) or (_UNSPACED.search(surface) and surface in left):
            return True
        old = f"{name} {surface}" if not is_pronoun(surface) else name
        if any(_alike(word, other) for word in WORD.findall(old) for other in rest):
            return True
    return False


def _alike(word: str, other: str) -> bool:
    """Whether two words may be forms of one: "Russia" and "Russian", "initiative" and "initiatives"."""
    if word.casefold() in FILLERS or min(len(word), len(other)) < 4:
        if len(word) == 3 and not word.isupper() and word.casefold() not in _SMALL:  # "ban", but not "his" or "new"
            return word.casefold() in (other.casefold(), other.casefold().removesuffix("s"))
        return len(word) > 1 and word == other and word[0].isupper()
    length = 4 if word[0].isupper() and other[0].isupper() else 5
    return word[:length].casefold() == other[:length].casefold()


def _printed(text: str, place: Span, new: str) -> str:
    capital = text[place[0]].isupper() and new[0].islower()
    return new[0].upper() + new[1:] if capital else new


def _question(name: str, new: str) -> str:
    article = _ARTICLE.match(name)
    return (article[0] if article else "") + new if new else name


def edited(text: str, edits: Sequence[Edit]) -> str:
    """The text after edits, which are in order and don't overlap."""
    for (start, end), new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def moved(span: Span | None, edits: Sequence[Edit]) -> Span | None:
    """Where a span lies after the edits; one that an edit touches holds all of it."""
    if span is None:
        return None
    start, end = span
    before = grown = 0
    for (a, b), new in edits:
        if b <= span[0]:
            before += len(new) - (b - a)
        elif a < span[1]:
            start, end = min(start, a), max(end, b)
            grown += len(new) - (b - a)
    return start + before, end + before + grown


def bare(name: str) -> str:
    """A name without leading article."""
    name = name.strip()
    return _ARTICLE.sub("", name, count=1) if _ARTICLE.match(name) else name


def name_words(name: str, without: frozenset[str]) -> set[str]:
    """The words that tell a name from others: "US" and "EU" too, but not `SHORT` ones and those in `without`.

    Never none, so that a name always shares a word with itself.
    """
    found = set(WORD.findall(name.casefold())) or {name.casefold()}
    return found - without - SHORT or found


def _words(name: str) -> set[str]:
    return name_words(name, FILLERS)
