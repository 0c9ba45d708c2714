"""What is told of leaks between splits: how many of each kind, before something was done about them and after it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from stance.building.duplicates import Numbers

KINDS = {
    "row": "same text, pair and stance",
    "question": "same text and pair",
    "text": "same text",
    "near": "the same or nearly the same text",
    "part": "a text that is part of the other",
    "article": "the same or nearly the same article",
    "pair": "same pair of names",
}
LEAKS = ("text", "near", "part", "article")
"""Kinds that are dropped; the others are reported (`row` and `question` are part of `text`)."""


@dataclass(frozen=True)
class Leak:
    """How many rows of `split`, and articles with such a row, repeat something of `of`.

    Of the kind `row` are articles all of whose rows do.
    """

    split: str
    of: str
    kind: str
    rows: int
    articles: int
    all_rows: int
    all_articles: int


@dataclass(frozen=True)
class Report:
    """Leaks before and after the action, repetitions inside each split, and the clean rows of validation and test."""

    before: list[Leak]
    after: list[Leak]
    within: dict[str, dict[str, int]]
    dropped: dict[str, int]
    clean: Numbers


def table(found: Sequence[Leak]) -> list[list[str]]:
    """Rows for a reader: a header, then each kind of leak with counts and shares."""
    return [
        ["split", "against", "leak", "rows", "share", "articles", "share"],
        *(
            [n.split, n.of, KINDS[n.kind], *_counted(n.rows, n.all_rows), *_counted(n.articles, n.all_articles)]
            for n in found
        ),
    ]


def _counted(part: int, whole: int) -> tuple[str, str]:
    return f"{part:,}", f"{part / whole:.1%}" if whole else "–"


def to_json(report: Report) -> Mapping[str, object]:
    """The report as a document, without the clean rows."""
    before, after = ([asdict(leak) for leak in found] for found in (report.before, report.after))
    return {"before": before, "after": after, "within": report.within, "dropped": report.dropped}
