"""Which names of a text are of one person. Knows nothing of stances."""

import re
from collections.abc import Sequence

from stance.lookup import LINKS, TITLES, printed_for_states
from stance.mentions import Candidate
from stance.records import folded

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
_ARTICLE = re.compile(r"(?<!\S)(al|el|as|ad|ar|an|ash)-(?=\w)", re.IGNORECASE)
"""The Arabic one, which is written to a name: "Bashar al-Assad" is "Assad" as well."""
_BEHIND = frozenset({"Jr", "Jr.", "Sr", "Sr.", "II", "III", "IV"})
"""Behind a last name no part of it, but who has it is another one than who has it not."""
_NO_NAME = re.compile(r"[\d,;:()\[\]\"“”–—]| -")


def full_names(text: str, candidates: Sequence[Candidate]) -> dict[str, str]:
    """The full name of each person whom the text also calls by less or by more of it: "Dostum", "General Abdul Dostum".

    A last name stands for no full one where there are or may be two ("Bill" and "Hillary Clinton", "King Salman" beside
    "Mohammed bin Salman"), after "the", or where it is that of a state or stands for one ("Washington").
    """
    common = _common(text, candidates)
    named = {c.mention.name: _untitled(c.mention.name) for c in candidates if c.named}
    full = {bare for bare in {_untitled(c.mention.name) for c in candidates if c.label == "PERSON"} if _is_full(bare)}
    longest: dict[str, str] = {}
    for bare in sorted(full):
        longest[_last(bare)] = max(longest.get(_last(bare), ""), bare, key=len)
    unsure = {last for last in longest if folded(last) in printed_for_states()}
    for name, bare in named.items():
        whole = longest.get(_last(name), "")
        if whole and _is_full(bare) and not (_ends(_plain(whole), _plain(bare)) or _ends(name, whole)):
            unsure.add(_last(name))
    found: dict[str, str] = {}
    for name, bare in named.items():
        whole, words = longest.get(_last(name), ""), name.split()
        if _last(name) in unsure:
            endings = (" ".join(words[number:]) for number in range(len(words) - 1))
            whole = next((ending for ending in endings if ending in full), "")
        if _ends(name, whole) or (_ends(_plain(whole), _plain(bare)) and bare not in common):
            found[name] = whole
    return {name: whole for name, whole in found.items() if whole}


def _common(text: str, candidates: Sequence[Candidate]) -> set[str]:
    """What the text prints behind "the" as a whole or as an owner: "the Parliament", no "the Trump administration"."""
    spans = [(c.mention.name, c.mention.start or 0, c.mention.end or 0) for c in candidates]
    ends = dict[int, int]()
    for _, start, end in spans:
        ends[start] = max(end, ends.get(start, 0))
    return {
        name
        for name, start, end in spans
        if end == ends[start] or text.startswith(("'s", "’s"), end)
        if _THE.search(text, max(start - 5, 0), start)
    }


def _last(name: str) -> str:
    """The last name, without what tells a son from his father: "Kennedy" of "Robert F. Kennedy Jr."."""
    words = _ARTICLE.sub("", name).split()
    while len(words) > 1 and words[-1] in _BEHIND:
        del words[-1]
    return words[-1] if words else ""


def _ends(name: str, part: str) -> bool:
    """Whether the last words of a name are those of another."""
    return f" {name}".endswith(f" {part}")


def _plain(name: str) -> str:
    """A name as it is compared with longer ones: "Von der Leyen" begins a sentence, "Assad" is "al-Assad"."""
    return _ARTICLE.sub(r"\1 ", name).casefold()


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
        and all(word[0].isupper() or word in _PARTICLES or _ARTICLE.match(word) for word in words)
        and not _NO_NAME.search(name)
    )
