"""The values that travel through stance: labels, pairs, articles, annotations, examples, triples.

Every record is frozen. Offsets are `[start, end)` into the text they belong to, in characters, so that
`text[start:end]` is the surface form. Types are trusted here; `stance.forms` checks what comes from outside.
"""

import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

Span = tuple[int, int]

PHENOMENA = (
    "passive", "nominalised", "implied", "cross-sentence", "pronoun", "metonym", "nested-report", "late-speaker",
    "negation", "conditional", "coordination", "both-sides", "change-of-mind", "neutral-participation",
    "denied-allegation", "personal-criticism", "praise", "abstention", "deed", "irony", "crowded",
)  # fmt: skip
"""Linguistic phenomena that an annotation's `tags` may name; evaluation can slice by them."""


_ARTICLE = re.compile(r"^(?:the|an?)\s+")
QUOTES = str.maketrans("‘’“”", "''\"\"")
"""For `str.translate`: quotation marks as they are compared, straight ones."""
PROVENANCES = ("gold", "sampled", "weak")
"""Where a label comes from: a person, a pair that nobody annotated (neutral), or labelling functions."""
UNLABELLED = "unlabelled"
"""Where a question without a label comes from, and the part of a dataset that holds them."""


class Stance(StrEnum):
    """The position of an actor towards a target. The order of the members is the order of the classes."""

    OPPOSE = "oppose"
    NEUTRAL = "neutral"
    SUPPORT = "support"


LABELS: tuple[str, ...] = tuple(stance.value for stance in Stance)
MASKED = -1e4
"""The logit of a label that can't be the answer, since a corpus or a model does not know it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question to the model: what is the stance of `actor` towards `target` in `text`?

    The spans, `(start, end)` in characters, say where the passage prints the names; without them the name is looked
    up in the text, and a name that the text does not print is fine too.
    """

    text: str
    actor: str
    target: str
    actor_span: Span | None = None
    target_span: Span | None = None

    @property
    def placed(self) -> bool:
        """Whether it says where both of its names are printed."""
        return self.actor_span is not None and self.target_span is not None


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer: the most probable stance, its probability, and all three in the order of `LABELS`.

    `abstained` says whether the model would rather not answer; None when it was not asked.
    """

    stance: Stance
    confidence: float
    probabilities: tuple[float, ...]
    abstained: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """`{"stance", "confidence", "oppose", "neutral", "support"}`, and `abstained` where that was asked."""
        named = dict(zip(LABELS, self.probabilities, strict=True))
        asked = {} if self.abstained is None else {"abstained": self.abstained}
        return {"stance": self.stance.value, "confidence": self.confidence, **named, **asked}


@dataclass(frozen=True, slots=True)
class Mention:
    """A name and where it is printed; both offsets are None when the evidence does not print it."""

    name: str
    start: int | None = None
    end: int | None = None

    @property
    def span(self) -> Span | None:
        """`(start, end)`, or None."""
        return None if self.start is None or self.end is None else (self.start, self.end)


@dataclass(frozen=True, slots=True)
class Annotation:
    """ACTOR takes STANCE towards TARGET in an article, and this is the evidence.

    `soft` is how sure several annotators leave each of `LABELS`, empty for one label without doubt.
    """

    actor: Mention
    target: Mention
    stance: Stance
    evidence: tuple[Span, ...]
    tags: tuple[str, ...] = ()
    annotator: str = ""
    provenance: str = "gold"
    weight: float = 1.0
    soft: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """A news article with its annotations. `where` is the `file:line` it came from.

    `exhaustive` says that every stance in the text is annotated, so that other pairs may serve as neutral.
    `split` is the published one of a public corpus, empty where there is none.
    """

    id: str
    text: str
    title: str = ""
    date: str = ""
    outlet: str = ""
    theme: str = ""
    topic: str = ""
    region: str = ""
    outlet_kind: str = ""
    split: str = ""
    exhaustive: bool = False
    annotations: tuple[Annotation, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a dataset. The spans are offsets into `text`, or None when it does not print the name.

    `soft` is a share for each of `LABELS` where annotators disagree, else empty; `labels` are those that its corpus
    knows: it can't teach or judge any other.
    """

    id: str
    text: str
    actor: str
    target: str
    actor_span: Span | None
    target_span: Span | None
    stance: Stance
    article_id: str
    corpus: str
    date: str
    provenance: str
    weight: float
    tags: tuple[str, ...] = ()
    soft: tuple[float, ...] = ()
    labels: tuple[str, ...] = LABELS

    def pair(self) -> Pair:
        """The question that this example answers."""
        return Pair(self.text, self.actor, self.target, self.actor_span, self.target_span)

    def shares(self) -> tuple[float, ...]:
        """The share of each of `LABELS` in the answer that is wanted: 1 for one label, or what a vote gave it.

        Of a vote only what it gave to labels that the corpus knows.
        """
        soft = tuple(share * (label in self.labels) for label, share in zip(LABELS, self.soft, strict=False))
        if not (total := sum(soft)):
            return tuple(float(label == self.stance) for label in LABELS)
        return self.soft if soft == self.soft else tuple(share / total for share in soft)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary; spans become lists."""
        row = asdict(self)
        for key in ("actor_span", "target_span"):
            row[key] = None if row[key] is None else list(row[key])
        return row | {"stance": self.stance.value} | {key: list(row[key]) for key in ("tags", "soft", "labels")}


PARTIAL = "partial"
"""Tag of a row whose article has annotations that are no rows, about the same target, or of a sampled row about any:
they contradict each other, are over a cap or of a held-out name. What others hold there is not known."""
SOMEONE = "someone"
"""The actor of a pair that leaves open who holds the stance."""


def folded(name: str) -> str:
    """A name as it is compared with others: small letters, straight quotes, single spaces, no leading article."""
    return _ARTICLE.sub("", " ".join(name.translate(QUOTES).casefold().split()))


def overlap(one: Span | None, other: Span | None) -> bool:
    """Whether two places share a character."""
    return one is not None and other is not None and one[0] < other[1] and other[0] < one[1]


def without_places(example: Example) -> Example:
    """The example asked by its names alone."""
    return replace(example, actor_span=None, target_span=None)


def as_printed(example: Example) -> Example:
    """The example with its names in the words of the passage, where it prints them."""
    text = example.text
    return replace(
        example,
        actor=text[slice(*example.actor_span)] if example.actor_span else example.actor,
        target=text[slice(*example.target_span)] if example.target_span else example.target,
    )


@dataclass(frozen=True, slots=True)
class Triple:
    """What a reader finds in an article; all offsets are into the article's text."""

    article_id: str
    actor: Mention
    target: Mention
    stance: Stance
    confidence: float
    evidence: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as written to JSON Lines."""
        return asdict(self) | {
            "stance": self.stance.value,
            "evidence": [list(span) for span in self.evidence],
        }
