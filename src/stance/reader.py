"""Reading whole articles: who holds which position towards what. A first simple version.

Every sentence with its neighbours is a passage; every actor and target that spaCy finds in the sentence makes a
pair, people by their full names; all pairs of a passage are scored in one pass; confident stances are kept, one a pair
of names.
"""

import re
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from heapq import merge
from itertools import islice

from stance import mentions, people
from stance.errors import StanceError
from stance.mentions import Candidate, Parsed
from stance.predictor import StancePredictor
from stance.records import Article, Mention, Pair, Span, Stance, Triple, overlap

MAX_PAIRS = 1000
"""Most questions about one sentence; a list of 120 signatories would make 14,000."""
PART = 4000
"""Questions that are answered together, so that a long article takes no more memory than a short one."""
_VAGUE = re.compile(r"(?:its|his|her|their|our|my|your|every|any|no|each|this|that|these|those|such)\b", re.IGNORECASE)
_OPENING = re.compile(r"""(?:["“„«'‘(\[]\s*)++(?!.*(?:["”»)\]]|['’](?!\w)))(?:(?:the|an?)\s+)?(?=..)""", re.IGNORECASE)
"""Before a name that spaCy took a mark to, and the article behind it: `"the mayor`. Not where the name closes it."""
LONGEST_TIGHT = 3
"""A word of so many capitals directly before a dash is an abbreviation, no place: "US—China talks"."""
_OWNER = re.compile(r"['’]s\s")
"""Before a name that is not the owner's; but "Traders' Guild" is one name."""
_DATELINE = re.compile(
    r"^[ \t]*(?P<place>[^\W\d_][\w.'’ /-]{1,40}?)"
    r"(?P<more>(?:, [A-Z0-9][\w.]*(?: [A-Z0-9][\w.]*){0,3}?){0,2}(?: \([A-Z][\w ]*\))?) ?"
    r"(?:[—–-]+ |(?P<tight>—)(?=\S))(?=(?P<rest>.*[^\W\d_A-Z].*))",
    re.MULTILINE,
)
"""Where a line comes from: "KABUL — ", "LYON, France — ", "KABUL, Jan. 14 (Reuters) - ", "WASHINGTON—"."""

Wholes = Mapping[Span | None, int]
"""`Candidate.whole` by the place of the mention."""
Question = tuple[Pair, Mention, Mention, Span]
"""What is asked of the predictor, the two mentions in the article, and their sentence."""


class ArticleReader:
    """Finds triples in articles with a predictor.

    Args:
        predictor: an exported model.
        threshold: least confidence of a stance that is reported.
        context: sentences before and after that belong to a passage; what the model was trained with.
        abstain: also leave out what the predictor abstains from, to keep to the target risk of its export.

    Raises:
        StanceError: a setting has no meaning, or the predictor has no threshold to abstain by.
    """

    def __init__(
        self, predictor: StancePredictor, *, threshold: float = 0.6, context: int = 1, abstain: bool = False
    ) -> None:
        if not 0 <= threshold <= 1:
            raise StanceError(f"threshold={threshold}: expected a confidence, from 0 to 1")
        if context < 0:
            raise StanceError(f"context={context}: expected a number of sentences, 0 or more")
        self.predictor = predictor
        self.threshold = threshold
        self.context = context
        self.abstain = abstain
        if abstain:
            predictor.check_abstains({True})

    def read(self, article: Article) -> list[Triple]:
        """The article's stances, neutral ones left out, in the order of their evidence.

        Of a sentence with more than `MAX_PAIRS` pairs those with a target that can hold no stance itself come first,
        then those whose mentions stand closest; a warning says how many are left out.

        Raises:
            StanceError: the text is too long, or no Unicode.
        """
        text = article.text.replace("\r\n", "\n")  # what spaCy and the model make of a line's end hangs on it
        (parsed,) = mentions.parse([mentions.laid_out(text)])
        called = _called(text, parsed)
        questions = self._questions(text, called)
        found: list[Triple] = []
        while part := list(islice(questions, PART)):
            predictions = self.predictor.predict([pair for pair, _, _, _ in part], abstain=self.abstain)
            found += (
                Triple(article.id, actor, target, p.stance, p.confidence, (sentence,))
                for (_, actor, target, sentence), p in zip(part, predictions, strict=True)
                if p.stance != Stance.NEUTRAL and p.confidence >= self.threshold and not p.abstained
            )
        wholes = {c.mention.span: c.whole for c in called.candidates if c.whole is not None}
        best = sorted(
            _best(found, wholes), key=lambda triple: (triple.evidence, triple.actor.start, triple.target.start)
        )
        return list(_moved(best, article.text))

    def _questions(self, text: str, parsed: Parsed) -> Iterator[Question]:
        last = len(parsed.sentences) - 1
        for number, inside in _by_sentence(parsed, text).items():
            start = parsed.sentences[max(number - self.context, 0)][0]
            end = parsed.sentences[min(number + self.context, last)][1]
            passage = text[start:end]
            for actor, target in _pairs(inside):
                shifted = [(m.span[0] - start, m.span[1] - start) for m in (actor, target) if m.span]
                pair = Pair(passage, actor.name, target.name, *shifted)
                yield pair, actor, target, parsed.sentences[number]


def _called(text: str, parsed: Parsed) -> Parsed:
    """The parsed text with each candidate by its full name; a name that acts anywhere may act everywhere."""
    tidy = dict[Span | None, Candidate]()  # what a mark was taken from may be there without it
    for candidate in parsed.candidates:
        mention = _tidy(candidate.mention)
        tidy.setdefault(mention.span, replace(candidate, mention=mention))
    full = people.full_names(text, list(tidy.values()))
    named = [
        replace(c, mention=replace(c.mention, name=full.get(c.mention.name, c.mention.name))) for c in tidy.values()
    ]
    acting = {c.mention.name for c in named if c.actor and c.named}
    found = (replace(c, actor=c.actor or (c.named and c.mention.name in acting)) for c in named)
    return Parsed(parsed.sentences, tuple(found))


def _tidy(mention: Mention) -> Mention:
    """A mention on one line, without the mark that opens a quotation or an aside and the article behind it."""
    opening = _OPENING.match(mention.name)
    taken = opening.end() if opening else 0
    return replace(mention, name=" ".join(mention.name[taken:].split()), start=(mention.start or 0) + taken)


def _by_sentence(parsed: Parsed, text: str) -> dict[int, list[Candidate]]:
    """The candidates that can take part, by the number of the sentence that they lie in."""
    starts = [start for start, _ in parsed.sentences]
    lines = _datelines(text)
    found: dict[int, list[Candidate]] = {}
    for candidate in parsed.candidates:
        start, end = candidate.mention.span or (-1, -1)
        number, line = bisect_right(starts, start) - 1, bisect_right(lines, (start, len(text))) - 1
        whole = number >= 0 and _within((start, end), parsed.sentences[number])
        if whole and not _VAGUE.match(candidate.mention.name) and not (line >= 0 and start < lines[line][1]):
            found.setdefault(number, []).append(candidate)
    return {number: _named(inside, text) for number, inside in sorted(found.items())}


def _datelines(text: str) -> list[Span]:
    """Where lines say where they come from: a place in capitals, with more or with what can begin a sentence.

    "NATO – which met in Vilnius –" is none, nor is "US—China talks": an abbreviation, or the first of two dashes.
    """
    found = (line for line in _DATELINE.finditer(text) if line["place"].isupper())
    return [line.span() for line in found if line["more"] or _begins(line)]


def _begins(line: re.Match[str]) -> bool:
    """Whether a sentence begins behind the dash."""
    aside = line["tight"] and (len(line["place"]) <= LONGEST_TIGHT or "—" in line["rest"])
    return not (aside or line["rest"][0].islower())


def _named(inside: Sequence[Candidate], text: str) -> list[Candidate]:
    """The candidates of a sentence but for parts of names, and phrases beside what names the same.

    Of "Department of Justice" that is "Department", of "President Ghani" "Ghani", of "the minister, Chhim Vuthy", the
    minister, and of "Israel's Rising Lion" all of it, since "Israel" and "Rising Lion" are there.
    """
    names = sorted(c.mention.span for c in inside if c.label and c.mention.span)
    phrases = {c.mention.end: c.mention for c in inside if c.named and not c.label}
    apposed = {c.apposed for c in inside if c.named} - {None}
    out = set[Mention]()
    for c in inside:
        start, end = span = c.mention.span or (-1, -1)
        before = names[: bisect_right(names, (start, len(text)))][-1:]
        phrase = phrases.get(end) if c.label else None
        if any(_within(span, name) and span != name for name in before) or (not c.named and c.apposed in apposed):
            out.add(c.mention)
        elif phrase and phrase.start is not None and phrase.start < start:
            out.add(phrase if _OWNER.search(text, phrase.start, start) else c.mention)
    return [c for c in inside if c.mention not in out]


def _pairs(inside: Sequence[Candidate]) -> list[tuple[Mention, Mention]]:
    """Each actor of a sentence with each target that is another: at most `MAX_PAIRS`.

    What stands in apposition ("the minister, Chhim Vuthy") is no other.
    """
    actors, targets = _longest([c.mention for c in inside if c.actor]), _longest([c.mention for c in inside])
    apposed = {c.mention: c.apposed for c in inside if c.apposed is not None}
    others = (
        (actor, target)
        for actor, target in _closest(actors, targets, {c.mention.span for c in inside if c.actor})
        if not overlap(actors[actor].span, targets[target].span) and actors[actor].name != targets[target].name
        if actors[actor] not in apposed or apposed[actors[actor]] != apposed.get(targets[target])
    )
    kept = list(islice(others, MAX_PAIRS + 1))
    if len(kept) > MAX_PAIRS:
        number = len(actors) * (len(targets) - 1)
        warnings.warn(f"a sentence with {number:,} pairs of names: {MAX_PAIRS:,} are asked about", stacklevel=4)
    return [(actors[actor], targets[target]) for actor, target in sorted(kept[:MAX_PAIRS])]


def _closest(
    actors: Sequence[Mention], targets: Sequence[Mention], holders: Set[Span | None]
) -> Iterator[tuple[int, int]]:
    """Places of actors and targets: first with targets that hold no stance, then with `holders`, and the closest first.

    Made as they are asked for, since the pairs of a long list grow with its square.
    """
    ordered = sorted(range(len(targets)), key=lambda number: targets[number].start or 0)
    for group in (
        [number for number in ordered if targets[number].span not in holders],
        [number for number in ordered if targets[number].span in holders],
    ):
        starts = [targets[number].start or 0 for number in group]
        lines = [_outwards(place, actor.start or 0, group, starts) for place, actor in enumerate(actors)]
        yield from ((actor, target) for _, actor, target in merge(*lines))


def _outwards(actor: int, here: int, group: Sequence[int], starts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Distance, actor and target for each of a group in the order of distance from `here`."""
    middle = bisect_right(starts, here)
    before = ((here - starts[place], actor, group[place]) for place in range(middle - 1, -1, -1))
    behind = ((starts[place] - here, actor, group[place]) for place in range(middle, len(group)))
    return merge(before, behind)


def _longest(names: Sequence[Mention]) -> list[Mention]:
    """Those that are no part of a longer one: "Ghani administration", not "Ghani"."""
    kept, last = set[Span](), 0
    for start, end in sorted({name.span for name in names if name.span}, key=lambda span: (span[0], -span[1])):
        if end > last:
            kept.add((start, end))
            last = end
    return [name for name in names if name.span in kept]


def _best(triples: Sequence[Triple], wholes: Wholes) -> list[Triple]:
    """The most confident triple of a pair of names, of overlapping mentions, and of the parts of one target.

    `wholes` has what a mention is a part of: "the return of the Taliban to power" is one target, not three.
    """
    kept: dict[tuple[Span, ...], list[Triple]] = {}
    pairs = set[tuple[str, str]]()
    for triple in sorted(triples, key=lambda t: -t.confidence):
        pair, beside = (triple.actor.name, triple.target.name), kept.setdefault(triple.evidence, [])
        if pair not in pairs and not any(_same(triple, other, wholes) for other in beside):
            pairs.add(pair)
            beside.append(triple)
    return [triple for beside in kept.values() for triple in beside]


def _moved(triples: Sequence[Triple], text: str) -> Iterator[Triple]:
    """The triples with their places in `text`, which were found where each of its "\\r\\n" is "\\n"."""
    ends = [found.start() - number for number, found in enumerate(re.finditer("\r\n", text))]

    def moved(span: Span) -> Span:
        start, end = (place + bisect_left(ends, place) for place in span)
        return start, end

    def placed(mention: Mention) -> Mention:
        return Mention(mention.name, *moved(mention.span)) if mention.span else mention

    for triple in triples:
        evidence = tuple(map(moved, triple.evidence))
        yield replace(triple, actor=placed(triple.actor), target=placed(triple.target), evidence=evidence)


def _same(one: Triple, other: Triple, wholes: Wholes) -> bool:
    """Whether two triples of one sentence say the same."""
    if one.actor.name != other.actor.name and not overlap(one.actor.span, other.actor.span):
        return False
    part = one.stance == other.stance and wholes.get(one.target.span, -1) == wholes.get(other.target.span)
    return part or one.target.name == other.target.name or overlap(one.target.span, other.target.span)


def _within(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
