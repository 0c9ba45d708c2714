"""Where a text prints a name: whole, by another name of it, or by the words of it that stand for it. Without a parse.

How often that finds the annotated mention was measured on the training part of our corpus, see docs/LOG.md.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise
from pathlib import Path
from unicodedata import category, is_normalized, normalize

from stance.records import QUOTES, Span, folded

MAX_NAME_WORDS = 32  # the runs of a name's words grow with their square, the time to look for it with their number
MAX_MARKS = 30  # in Unicode's stream-safe text, UAX 15; Python's time to compose a letter grows with their square
SHORTEST_INITIALS = 3
WORDS = frozenset({"all", "and", "can", "for", "how", "its", "may", "our", "the", "who"})
"""What three letters that are an abbreviation in capitals are otherwise."""
_SMALL = frozenset({"and", "for", "from", "its", "that", "the", "their", "this", "with"})
"""Words that have no part in initials."""
FILLERS = _SMALL | frozenset({
    "all", "another", "any", "are", "been", "being", "both", "but", "did", "each", "every", "had", "has", "have", "her",
    "him", "his", "how", "not", "off", "other", "our", "out", "per", "she", "some", "such", "than", "them", "then",
    "these", "they", "those", "was", "were", "what", "who", "whom", "whose", "would", "you", "your",
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
})  # fmt: skip
"""Longer words that are no names."""
LINKS = frozenset(
    {"about", "after", "against", "at", "before", "between", "by", "for", "from", "in", "into", "of", "on", "over"}
    | {"that", "to", "under", "when", "where", "which", "who", "whose", "with"}
)
"""The last word before one of these is the head of a name, as in "ban on the sale of arms"."""
_NO_INITIALS, _NO_CONTENT = _SMALL | LINKS, FILLERS | LINKS
TITLES = frozenset(
    {"ambassador", "chancellor", "chief", "director", "governor", "king", "leader", "minister", "president", "queen"}
    | {"secretary", "senator"}
)
"""Before a link and a person's name they are not the head: "President of Iran Mahmoud Ahmadinejad"."""
POLITIES = frozenset({"government", "kingdom", "republic", "state"})
"""Before "of" and a state they are not the head: "government of Iran"."""
_BEFORE = ("Bosnian", "Central", "East", "Equatorial", "Kosovo", "Latin", "Native", "North", "South", "West")
_BEFORE_ONE = ["American Samoa", "Democratic Republic", "Inner Mongolia", "New Guinea", "New Mexic"]  # and peoples
_BEFORE_ONE += ["Northern Ireland", "Northern Irish"]
_BEHIND = ("Bissau", "Brazzaville", "Columbia", "Columbian", "Columbians", "Samoa", "Samoan", "Samoans")


def _either_case(words: Iterable[str]) -> list[str]:
    return [case for word in words for case in (word, word.upper())]


_ONES = "|".join(rf"{a}[\s-]+(?={b})" for a, b in map(str.split, _either_case(_BEFORE_ONE)))
BEFORE_OTHERS = re.compile(rf"(?<!\w)(?:(?:{'|'.join(_either_case(_BEFORE))})[\s-]+|{_ONES})")
"""What makes the word of a state another one's: "Latin American", "South Sudanese", "Bosnian Serb"."""
BEHIND_OTHERS = re.compile(rf"[\s-]+(?:{'|'.join(_either_case(_BEHIND))})(?!\w)")
"""The same behind it: "Guinea-Bissau", "British Columbia"."""
QUALIFIERS = frozenset(
    {"central", "chief", "east", "eastern", "european", "federal", "first", "foreign", "great", "high", "international"}
    | {"joint", "national", "new", "north", "northern", "old", "senior", "south", "southern", "special", "supreme"}
    | {"united", "vice", "west", "western", "world"}
)
"""What many names have, so that it stands for none of them alone: "New" in "New York" is not New Zealand."""
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"  # rare Chinese characters
)
"""Letters of scripts that write words together, or particles to the words: Thai, Lao, Burmese, Khmer, Chinese, …"""
_LETTERS = re.compile(rf"[^\W{UNSPACED}]+")
"""What would go on with a word. Beside a pattern and not in it: compiling the class for each name takes long."""
_SPACED = re.compile(rf"[^\W_\u0590-\u08ff{UNSPACED}]")
"""Of a script that writes words apart: in Arabic and Hebrew small words are written to the next one."""
_ANY_LETTER = re.compile(r"\w")  # beside a name of one letter, in any script
_HANGUL = re.compile("[\uac00-\ud7af]")  # has particles behind a word alone
_WORDS = re.compile(r"\w+|[^\w\s]")
_OF = re.compile(r"\s+of\s+(?:the\s+)?(\w+)")
Unlike = Callable[[str, Span], bool]
"""Whether what stands at a place of a text is another name than the one that is looked for."""


def find_mention(text: str, name: str) -> Span | None:
    """Where `text` prints `name`, or what stands for it.

    Whole words only. By exact case first, then by any case, which for an abbreviation of up to three letters comes
    last ("Un" is no UN, "Us" no US); by another name of a state, its capital, its adjective or its people
    (`states.txt`), which stand in for it in the news; by initials, "IMF"; then, but for a state, by the longest run
    of the name's words, "Tavanian" for "Behrouz Tavanian". Runs with the head of the name come first ("ban" of "ban
    on arms"), else later words. Parts of one or two letters, words without content or of many names ("New") are no
    mention, nor is what goes on as another name ("Bank of England" for the Bank of America). A name of more than
    `MAX_NAME_WORDS` words is found where all of it is printed. Accents may be characters of their own
    (Unicode's NFD, as from macOS and many PDFs) in the one and not in the other.
    """
    if is_normalized("NFC", text) and is_normalized("NFC", name):
        return _find(text, name)
    composed, starts, ends = _composed(text)
    found = _find(composed, _composed(name)[0])
    return found and (starts[found[0]], ends[found[1] - 1])


def cuts_words(text: str, span: Span) -> bool:
    """Whether a span begins or ends inside a word."""
    return any(inside_word(text, place) for place in span)


def inside_word(text: str, place: int) -> bool:
    """Whether letters of one word stand before and behind a place, in a script that writes words apart."""
    return 0 < place < len(text) and all(map(_SPACED.match, text[place - 1 : place + 1]))


def composed(text: str) -> str:
    """The text in NFC, in a time that grows with its length, whatever marks it has (see `MAX_MARKS`)."""
    return text if is_normalized("NFC", text) else _composed(text)[0]


@lru_cache(maxsize=8)  # many names are looked up in one text
def _composed(text: str) -> "tuple[str, array[int], array[int]]":
    """The text in NFC, and where in `text` each of its characters is, or the letter that it is a part of.

    The places are in two arrays, since the cache keeps them: of start and end, eight bytes a character. A letter with
    more than `MAX_MARKS` stays as it is.
    """
    letters = [place for place, character in enumerate(text) if not place or not _belongs(character)]
    composed, starts, ends = list[str](), array("I"), array("I")
    for start, end in pairwise([*letters, len(text)]):
        letter = text[start:end] if end - start > MAX_MARKS + 1 else normalize("NFC", text[start:end])
        composed.append(letter)
        same = letter == text[start:end]
        starts.extend(range(start, end) if same else [start] * len(letter))
        ends.extend(range(start + 1, end + 1) if same else [end] * len(letter))
    return "".join(composed), starts, ends


def _belongs(character: str) -> bool:
    """Whether a character belongs to the letter before it: a combining mark, or a vowel or an end in Hangul."""
    return category(character).startswith("M") or "\u1160" <= character <= "\u11ff"


def _vowel_sign(character: str) -> bool:
    """Whether a character is a sign of an Indic script, with which a word goes on; for Python it is no letter."""
    return "\u0900" <= character <= "\u0dff" and category(character).startswith("M")


def _find(text: str, name: str) -> Span | None:
    text, whole = text.translate(QUOTES), name.strip().translate(QUOTES)
    if len(whole.split()) > MAX_NAME_WORDS:
        return _clause(text, whole)
    short = _short(whole.rpartition(" ")[2])
    if is_state(whole):
        names = (_search(text, name, unlike=_another_state) for name in (whole, *other_names(whole)))
        return next(filter(None, names), None) or _any_case(text, whole, unlike=_another_state)
    found = _search(text, whole) or (None if short else _any_case(text, whole))
    if not found:
        others = (_search(text, other, unlike=_another_state) for other in other_names(whole))
        found = next(filter(None, others), None) or (_any_case(text, whole) if short else None)
    if not found:
        small = " ".join(text.casefold().split())
        parts = (part for part in _parts(whole) if part.casefold() in small)
        printed = (_any_case(text, part, unlike=partial(_another_name, whole, part)) for part in parts)
        found = next(filter(None, printed), None)
    return found


def _clause(text: str, name: str) -> Span | None:
    """Where a text prints all words of a name, in any case: in one go, since a pattern of very many takes long."""
    words, own = (list(_WORDS.finditer(part)) for part in (text, name))
    folded, wanted = (" ".join(["", *(word[0].casefold() for word in part), ""]) for part in (words, own))
    if (place := folded.find(wanted)) < 0:
        return None
    first = folded.count(" ", 0, place)
    return words[first].start(), words[first + len(own) - 1].end()


def _another_state(text: str, span: Span) -> bool:
    """Whether the word of a state is a part of another one's, as in "South Sudan"."""
    start, end = span
    before = any(found.end() == start for found in BEFORE_OTHERS.finditer(text, max(start - 20, 0), end))
    return before or BEHIND_OTHERS.match(text, end) is not None


def _another_name(name: str, part: str, text: str, span: Span) -> bool:
    """Whether a part of a name "PART of …" is one of another name here: "Bank of England" for the Bank of America."""
    own, part = f" {' '.join(name.casefold().split())} ", part.casefold().removesuffix(" of")
    if f" {part} of " not in own:
        return False
    found = _OF.match(text, span[0] + len(part))
    return found is not None and found[1][0].isupper() and f" {found[1].casefold()} " not in own


def _search(text: str, name: str, flags: int = 0, *, unlike: Unlike | None = None) -> Span | None:
    """The first place of a name as whole words that is not `unlike` it."""
    words = name.split()  # a name may go on in the next line
    if not words or (not flags and words[0] not in text):
        return None
    pattern, place = re.compile(r"\s+".join(map(re.escape, words)), flags), 0
    letter = _LETTERS if len(name) > 1 else _ANY_LETTER
    while found := pattern.search(text, place):
        start, end = found.span()
        before, behind = text[max(start - 1, 0) : start], text[end : end + 1]
        if not (
            letter.match(before)
            or letter.match(behind)
            or _vowel_sign(behind)
            or (_HANGUL.match(before) and _HANGUL.match(text[start]))
            or (unlike and unlike(text, (start, end)))
        ):
            return start, end
        run = _LETTERS.match(text, start)
        place = max(start + 1, run.end() if run else 0)  # a name can't begin within a word
    return None


def _any_case(text: str, name: str, *, unlike: Unlike | None = None) -> Span | None:
    """The first place of a name in any case, but not of an abbreviation in small letters, where it is another word."""
    *words, last = name.split() or [""]
    if _short(last):
        word = not words and (len(last) < SHORTEST_INITIALS or last.casefold() in WORDS)
        if (found := _search(text, name, unlike=unlike)) or word:
            return found
        return _search(text, " ".join([*words, last.capitalize()]), unlike=unlike)
    return _search(text, name, re.IGNORECASE, unlike=unlike)


def _short(word: str) -> bool:
    """Whether a word is an abbreviation so short that it is another word in small letters: "US", "WHO"."""
    return word.isupper() and len(word) <= SHORTEST_INITIALS


def other_names(name: str) -> Iterator[str]:
    """What else may be printed for a name: what the news calls a state, and the initials of other names."""
    yield from _states().get(folded(name), ())
    content = [word for word in name.split() if word.casefold() not in _NO_INITIALS]
    initials = "".join(word[0] for word in content)
    if len(initials) >= SHORTEST_INITIALS and all(word[0].isupper() for word in content):
        yield initials


def is_state(name: str) -> bool:
    """Whether a name is that of a state or of a union of states."""
    return folded(name) in _states()


@cache
def printed_for_states() -> frozenset[str]:
    """What the news prints for any state, folded: its names, seats of government, adjectives and peoples."""
    return frozenset(folded(name) for names in _states().values() for name in names)


@cache
def _states() -> dict[str, list[str]]:
    """The other names of each state and union of states, by its folded name."""
    found: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("states.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            own, _, others = line.partition(":")
            names = own.split("|")
            printed = [other.strip() for other in (*names, *others.split(",")) if other.strip()]
            found |= {folded(name): printed for name in names}
    return found


def _parts(name: str) -> Iterator[str]:
    """The runs of a name's words that may stand for it, in the order of preference."""
    words = name.split()
    if not words:
        return
    head = _head(words)
    runs = [(start, start + n) for n in range(len(words) - 1, 0, -1) for start in range(len(words) - n, -1, -1)]
    for start, end in sorted(runs, key=lambda run: not run[0] <= head < run[1]):
        part = words[start:end]
        qualifier = len(part) == 1 and part[0].casefold() in QUALIFIERS and start != head
        if not qualifier and any(_has_content(word) for word in part):
            yield " ".join(part)


def _has_content(word: str) -> bool:
    return len(word) > 2 and (word.isupper() or word.casefold() not in _NO_CONTENT)


def _head(words: Sequence[str]) -> int:
    """Which word of a name is its head."""
    links = (place for place, word in enumerate(words) if place and word.casefold() in LINKS)
    head = next(links, len(words)) - 1
    title, behind = words[head], words[head + 1 :]
    person = (
        title.casefold() in TITLES
        and title[0].isupper()
        and any(_polity(behind[1:end]) and behind[end][0].isupper() for end in range(2, len(behind)))
    )
    polity = title.casefold() in POLITIES and _polity(behind[1:])
    return len(words) - 1 if person or polity else head


def _polity(words: Sequence[str]) -> bool:
    """Whether a title's holder may be of this: a state, or "State" as in "Secretary of State"."""
    return list(words) == ["State"] or is_state(" ".join(words))
