"""Reading whole articles: who holds which position towards what. A first simple version.

Every sentence with its neighbours is a passage; every actor and target that spaCy finds in the sentence makes a
pair; all pairs of a passage are scored in one pass; confident stances are kept, one a pair of names.
"""

import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from heapq import merge
from itertools import islice

from stance import mentions
from stance.errors import StanceError
from stance.mentions import Candidate, Parsed
from stance.predictor import StancePredictor
from stance.records import Article, Mention, Pair, Span, Stance, Triple, overlap

MAX_PAIRS = 1000
"""Most questions about one sentence; a list of 120 signatories would make 14,000."""
PART = 4000
"""Questions that are answered together, so that a long article takes no more memory than a short one."""
_VAGUE = re.compile(r"(?:its|his|her|their|our|my|your|every|any|no|each|this|that|these|those|such)\b", re.IGNORECASE)
_THE = re.compile(r"\bthe\s+$", re.IGNORECASE)
_DATELINE = re.compile(r"(?:, [A-Z0-9][\w.]*(?: [\w.]+){0,3}?)?(?: \([A-Z][\w ]*\))? ?[—–-]+ ")
"""What goes on after a place at the beginning of a line: " — ", ", France — ", ", Jan. 14 (Reuters) - "."""

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
            predictor.check_abstains()

    def read(self, article: Article) -> list[Triple]:
        """The article's stances, neutral ones left out, in the order of their evidence.

        Of a sentence with more than `MAX_PAIRS` pairs those with a target that can hold no stance itself come first,
        then those whose mentions stand closest; a warning says how many are left out.

        Raises:
            StanceError: the text is too long, or no Unicode.
        """
        (parsed,) = mentions.parse([article.text])
        full = _full_names(article.text, parsed.candidates)
        questions = self._questions(article.text, parsed, full)
        found: list[Triple] = []
        while part := list(islice(questions, PART)):
            predictions = self.predictor.predict([pair for pair, _, _, _ in part], abstain=self.abstain)
            found += (
                Triple(article.id, actor, target, p.stance, p.confidence, (sentence,))
                for (_, actor, target, sentence), p in zip(part, predictions, strict=True)
                if p.stance != Stance.NEUTRAL and p.confidence >= self.threshold and not p.abstained
            )
        return sorted(_best(found), key=lambda triple: (triple.evidence, triple.actor.start, triple.target.start))

    def _questions(self, text: str, parsed: Parsed, full: dict[str, str]) -> Iterator[Question]:
        last = len(parsed.sentences) - 1
        for number, inside in _by_sentence(parsed, text).items():
            start = parsed.sentences[max(number - self.context, 0)][0]
            end = parsed.sentences[min(number + self.context, last)][1]
            passage = text[start:end]
            for actor, target in _pairs(inside, full):
                shifted = [(m.span[0] - start, m.span[1] - start) for m in (actor, target) if m.span]
                pair = Pair(passage, actor.name, target.name, *shifted)
                yield pair, actor, target, parsed.sentences[number]


def _by_sentence(parsed: Parsed, text: str) -> dict[int, list[Candidate]]:
    """The candidates that can take part, by the number of the sentence that they lie in."""
    starts = [start for start, _ in parsed.sentences]
    found: dict[int, list[Candidate]] = {}
    for candidate in parsed.candidates:
        number = bisect_right(starts, (candidate.mention.span or (-1, -1))[0]) - 1
        if number >= 0 and _askable(candidate, parsed.sentences[number], text):
            found.setdefault(number, []).append(candidate)
    return dict(sorted(found.items()))


def _pairs(inside: Sequence[Candidate], full: dict[str, str]) -> list[tuple[Mention, Mention]]:
    """Each actor of a sentence with each target that is another, by their full names: at most `MAX_PAIRS`.

    What stands in apposition ("the minister, Chhim Vuthy") is no other.
    """
    actors, targets = _longest([c.mention for c in inside if c.actor]), [c.mention for c in inside]
    names = [full.get(target.name, target.name) for target in targets]
    own = [full.get(actor.name, actor.name) for actor in actors]
    apposed = {c.mention: c.apposed for c in inside if c.apposed is not None}
    others = (
        (actor, target)
        for actor, target in _closest(actors, targets, {c.mention.span for c in inside if c.actor})
        if not overlap(actors[actor].span, targets[target].span) and own[actor] != names[target]
        if actors[actor] not in apposed or apposed[actors[actor]] != apposed.get(targets[target])
    )
    kept = list(islice(others, MAX_PAIRS + 1))
    if len(kept) > MAX_PAIRS:
        number = len(actors) * (len(targets) - 1)
        warnings.warn(f"a sentence with {number:,} pairs of names: {MAX_PAIRS:,} are asked about", stacklevel=4)
    return [
        (replace(actors[actor], name=own[actor]), replace(targets[target], name=names[target]))
        for actor, target in sorted(kept[:MAX_PAIRS])
    ]


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


def _askable(candidate: Candidate, sentence: Span, text: str) -> bool:
    """Whether a mention inside the sentence can take part: no dateline, no "its weight", no "every reason"."""
    span = candidate.mention.span
    if span is None or not _within(span, sentence) or _VAGUE.match(candidate.mention.name):
        return False
    begins = span[0] == 0 or text[span[0] - 1] == "\n"
    return not (begins and candidate.mention.name.isupper() and _DATELINE.match(text, span[1]))


def _longest(actors: Sequence[Mention]) -> list[Mention]:
    """The actors that are no part of a longer one: "Ghani administration", not "Ghani"."""
    kept, last = set[Span](), 0
    for start, end in sorted({actor.span for actor in actors if actor.span}, key=lambda span: (span[0], -span[1])):
        if end > last:
            kept.add((start, end))
            last = end
    return [actor for actor in actors if actor.span in kept]


def _full_names(text: str, candidates: Sequence[Candidate]) -> dict[str, str]:
    """The longest proper name whose last words a shorter one is: "Dostum", "Abdul Dostum" for "General Abdul Dostum".

    Not where that may be two names ("Bill Clinton", "Hillary Clinton"), and not of a common noun: the Parliament that
    the text speaks of need not be the European Parliament.
    """
    names = {c.mention.name for c in candidates if c.named}
    starts = [(c.mention.name, c.mention.start or 0) for c in candidates]
    common = {name for name, start in starts if _THE.search(text, max(start - 5, 0), start)}
    short = names - common
    longer: dict[str, set[str]] = {}
    for name in names:
        if (last := name.split()[-1]) in short and last != name:
            longer.setdefault(last, set()).add(name)
    longest = {last: max(found, key=len) for last, found in longer.items()}
    sure = {last: whole for last, whole in longest.items() if all(whole.endswith(name) for name in longer[last])}
    return {name: whole for last, whole in sure.items() for name in (last, *longer[last])}


def _best(triples: Sequence[Triple]) -> list[Triple]:
    """The most confident triple of a pair of names, of overlapping targets, and of an actor's stance in a sentence."""
    kept: list[Triple] = []
    for triple in sorted(triples, key=lambda t: -t.confidence):
        if not any(_same(triple, other) for other in kept):
            kept.append(triple)
    return kept


def _same(one: Triple, other: Triple) -> bool:
    if one.actor.name != other.actor.name and not overlap(one.actor.span, other.actor.span):
        return False
    if (one.evidence, one.stance) == (other.evidence, other.stance):
        return True
    return one.target.name == other.target.name or overlap(one.target.span, other.target.span)


def _within(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
