"""What a reader is told about a corpus (format, place, names of columns and labels), and what it yields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from stance.errors import StanceError
from stance.records import LABELS, Article


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row, an article or an annotation that can't be used, and why. What is unknown is empty.

    `unusable` is how many rows of the corpus are lost with it, as far as that is known: those of a whole article, say;
    0 for what is left out on purpose.
    """

    where: str
    article_id: str
    actor: str
    target: str
    reason: str
    unusable: int = 1


class CountedError(StanceError):
    """What can't be used, with the number of rows that are lost with it, see `Dropped`."""

    def __init__(self, message: str, unusable: int) -> None:
        super().__init__(message)
        self.unusable = unusable


def unusable(error: StanceError) -> int:
    """How many rows are lost with an error: one, where it does not count them."""
    return error.unusable if isinstance(error, CountedError) else 1


@dataclass(frozen=True, slots=True)
class Repair:
    """Something of a corpus that was mended while it was read, such as an offset that was off by a few characters."""

    where: str
    article_id: str
    what: str


Found = Article | Dropped | Repair
"""What a reader yields: an article, something that can't be used, or a note of what was mended."""
_NAMED = {
    Article: ("id", "where"),
    Dropped: ("where", "article_id", "actor", "target", "reason"),
    Repair: ("where", "article_id", "what"),
}


def printable(item: Found) -> Found:
    """The item with halves of surrogate pairs written out (`\\udce9`), as names of files may have them: no file can."""
    given = {name: str(getattr(item, name)) for name in _NAMED[type(item)]}
    shown: dict[str, Any] = {name: value.encode("utf-8", "backslashreplace").decode() for name, value in given.items()}
    return item if shown == given else replace(item, **shown)


@dataclass
class SourceConfig:
    """Articles to read: what the readers are told."""

    name: str = ""
    """Name of the source; articles that have no id are numbered under it."""
    format: str = "jsonl"
    """How the files are written: jsonl (ours, see README.md), table (CSV, TSV, Parquet or JSON Lines, a row an
    annotation), hub (a dataset of the Hugging Face hub), web (text or HTML, nothing annotated), labelstudio, doccano,
    brat, seesaw, dse or newsmtsc."""
    path: str = ""
    """A file or a directory, as the format has it; for hub a directory, or user/name:config@revision."""
    columns: dict[str, str] = field(default_factory=dict)
    """For table, hub and web, our names of columns and theirs where these differ, with a + before all:
    '+….columns={text: sentence, actor: who}'; actor: "" where nobody is named. Ours are in table and hub: text, actor,
    target, stance, title, date, outlet, theme, split, id, article_id, weight, annotator, actor_span, actor_start,
    actor_end, target_span, target_start, target_end, evidence_span, evidence_start, evidence_end; in web: html, text,
    id, title, date, outlet, theme, split, url."""
    labels: dict[str, str] = field(default_factory=dict)
    """For table, hub, labelstudio, doccano and brat, stances as they are written there and what each is here: oppose,
    neutral, support, or drop; with a + before all: '+….labels={pro: support, contra: oppose}'."""
    limit: int = 0
    """Take only the first so many articles; 0 takes all."""

    @property
    def official(self) -> bool:
        """Whether the splits of the corpus itself are kept, so that rows of one article must agree in theirs."""
        return False


@dataclass
class CorpusConfig(SourceConfig):
    """A corpus of annotated articles, for a dataset."""

    name: str = ""
    """Name of the corpus in every row, and in the ids of articles that have none; empty takes KEY."""
    splits: str = "auto"
    """File with the split of each article id (`python -m stance.corpora splits PATH --write` writes it), or auto:
    splits.json beside the articles, where there is one, else none; official: the corpus's own; none: divide as
    `split.*` says."""
    weight: float = 1.0
    """Weight of its training rows in the loss."""
    cap: int = 0
    """Most training rows to take, of whole articles but for one, by a hash of their ids; 0 takes all."""
    label_set: list[str] = field(default_factory=list)
    """The stances that the corpus knows, as in [oppose,support]; its rows teach and judge only these. Empty takes all
    three."""
    max_dropped: float = 0.01
    """Largest share of rows that may be unusable, besides what `labels` drops; with more the build fails."""
    licence: str = "other"
    """Licence identifier for the dataset's card."""

    @property
    def official(self) -> bool:
        """Whether `splits` says so."""
        return self.splits == "official"

    def known_labels(self) -> tuple[str, ...]:
        """Those of `label_set` in the order of `LABELS`; all where it is empty."""
        return tuple(label for label in LABELS if label in self.label_set) or LABELS


Reader = Callable[[SourceConfig], Iterator[Found]]
"""Yields what it finds in the order of the files, reading as it goes; what is dropped of an article comes before it.
Raises StanceError only when nothing can be read (no such path, another format, a missing column), or nothing further (a
damaged file); one unusable row is a `Dropped`, and reading goes on."""
