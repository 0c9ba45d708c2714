"""Which names of a text are of one person. Knows nothing of stances."""

import re
from collections.abc import Sequence

from stance.lookup import LINKS, TITLES, is_state
from stance.mentions import Candidate

_THE = re.compile(r"\bthe\s+$", re.IGNORECASE)
_TITLES = (TITLES - {"king", "queen"}) | {
    "admiral", "archbishop", "attorney", "bishop", "capt", "captain", "cllr", "coach", "col", "colonel", "commissioner",
    "congressman", "congresswoman", "councillor", "deputy", "dr", "gen", "general", "gov", "imam", "judge", "justice",
    "lt", "major", "mayor", "mr", "ms", "pastor", "premier", "prime", "prof", "professor", "rabbi", "rep",
    "representative", "sen", "sgt", "sheikh", "speaker", "vice",
}  # fmt: skip
"""Before a name no part of it. "Mrs" and "King" may tell two of one name apart."""
_PARTICLES = frozenset(
    {"al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "dos", "du", "el", "la", "ter", "van", "von"}
)
"""Small words within a person's name."""
_NO_NAME = re.compile(r"[\d,;:()\[\]\"“”–—]| -")


def full_names(text: str, candidates: Sequence[Candidate]) -> dict[str, str]:
    """The full name of each person whom the text also calls by less or by more of it: "Dostum", "General Abdul Dostum".

    A last name stands for no full one where there are or may be two ("Bill" and "Hillary Clinton", "King Salman" beside
    "Mohammed bin Salman"), after "the", or where it is that of a state.
    """
    starts = [(c.mention.name, c.mention.start or 0) for c in candidates]
    common = {name for name, start in starts if _THE.search(text, max(start - 5, 0), start)}
    named = {c.mention.name: _untitled(c.mention.name) for c in candidates if c.named}
    full = {bare for bare in {_untitled(c.mention.name) for c in candidates if c.label == "PERSON"} if _is_full(bare)}
    longest: dict[str, str] = {}
    for bare in sorted(full):
        longest[_last(bare)] = max(longest.get(_last(bare), ""), bare, key=len)
    unsure = {last for last in longest if is_state(last)}
    for name, bare in named.items():
        whole = longest.get(_last(name), "")
        if whole and _is_full(bare) and not (_ends(whole, bare) or _ends(name, whole)):
            unsure.add(_last(name))
    found: dict[str, str] = {}
    for name, bare in named.items():
        whole, words = longest.get(_last(name), ""), name.split()
        if _last(name) in unsure:
            endings = (" ".join(words[number:]) for number in range(len(words) - 1))
            whole = next((ending for ending in endings if ending in full), "")
        if _ends(name, whole) or (_ends(whole, bare) and bare not in common):
            found[name] = whole
    return {name: whole for name, whole in found.items() if whole}


def _last(name: str) -> str:
    return name.rpartition(" ")[2]


def _ends(name: str, part: str) -> bool:
    """Whether the last words of a name are those of another."""
    return f" {name}".endswith(f" {part}")


def _untitled(name: str) -> str:
    """A name without the titles before it: "Trump" of "President Trump"."""
    words = name.split()
    while len(words) > 1 and words[0].casefold().rstrip(".") in _TITLES:
        del words[0]
    return " ".join(words)


def _is_full(name: str) -> bool:
    """Whether a person's name is a full one, and nothing beside it: no "France's Emmanuel Macron", no "one Fondo"."""
    words = name.split()
    return (
        len(words) > 1
        and words[0][0].isupper()
        and not any(word.endswith(("'s", "’s")) or word.casefold() in LINKS for word in words)
        and all(word[0].isupper() or word in _PARTICLES for word in words)
        and not _NO_NAME.search(name)
    )
