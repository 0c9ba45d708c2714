"""Settings of what fetches and reads corpora, and makes datasets and weak labels."""

from dataclasses import dataclass, field
from typing import Any

from stance.records import LABELS
from stance.settings import LEXICON


@dataclass
class FetchLimits:
    """What is refused."""

    max_megabytes: float = 50.0
    """Largest file that is taken, in megabytes."""
    timeout: float = 30.0
    """Seconds to wait for a server that says nothing."""
    http: bool = False
    """Take addresses without encryption too; the sums are checked all the same."""


@dataclass
class SourceConfig:
    """Articles to read: what the readers are told."""

    name: str = ""
    """Name of the source; articles that have no id are numbered under it."""
    format: str = "jsonl"
    """How the files are written: jsonl (ours, docs/DATA.md), table (CSV, TSV, Parquet or JSON Lines, a row an
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
    labels: dict[Any, str] = field(default_factory=dict)
    """For table, hub, labelstudio, doccano and brat, stances as they are written there and what each is here: oppose,
    neutral, support, or drop; with a + before all: '+….labels={pro: support, contra: oppose}'."""
    limit: int = 0
    """Take only the first so many articles; 0 takes all."""

    def __post_init__(self) -> None:
        """Labels are text: on a command line a 1 is a number, and true and false are neither."""
        named = {key: str(key).lower() if isinstance(key, bool) else str(key) for key in self.labels}
        self.labels = {named[key]: value for key, value in self.labels.items()}

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
    """At most so many training rows: whole articles in the order of a hash of their ids, the last one perhaps in part;
    some of them may still give way to surer rows, or to another corpus's, that ask the same. 0 takes all."""
    label_set: list[str] = field(default_factory=list)
    """The stances that the corpus knows, two at least, as in [oppose,support]; its rows teach and judge only these.
    Empty takes all three."""
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


@dataclass
class ExamplesConfig:
    """How annotations become examples."""

    context: int = 1
    """Sentences of context before and after the evidence."""
    alone: float = 0.5
    """Share of the evidences that stand alone, without context: a service may ask about single sentences."""
    neutral_ratio: float = 1.0
    """Sampled neutral pairs for each annotation of an exhaustively annotated article."""
    max_passage_characters: int = 4000
    """Annotations whose evidence spans more characters of text than this are dropped."""
    unlabelled: int = 0
    """Pairs of names without a label for each sentence of a training article, at most; only training.teacher uses
    them. Where all holders were left open, "someone" and the other names of the sentence."""
    seed: int = 13
    """Seed of the sampling."""


@dataclass
class LeaksConfig:
    """What is done about leaks."""

    action: str = "drop"
    """drop: leave out training rows that repeat validation or test, and validation rows that repeat test; keep: only
    report; fail: stop the build."""
    near_duplicate: float = 0.5
    """Passages whose word 5-grams overlap by at least this Jaccard similarity (0.4 to 1) are nearly the same."""
    part: float = 0.7
    """A passage is part of another one that has at least this share (0 to 1) of its word 5-grams."""
    repeated: str = "drop"
    """Training rows with the text, pair and stance of an earlier one, and those that contradict a surer one (gold
    before sampled before weak): drop or keep."""


@dataclass
class SplitConfig:
    """How articles are divided."""

    validation: float = 0.15
    """Share of the articles for choosing epochs and settings; not with by=fold."""
    test: float = 0.15
    """Share of the articles for the final scores; not with by=fold."""
    by: str = "article"
    """What must not span two splits: article (with its near duplicates), story (and those of the same `topic`, which
    our JSON Lines and SEESAW can name), time (the newest articles are the test), actor or target (none of the test
    split is in a question of training, in either role), or fold. Story, time and fold are refused where a corpus fixes
    the split of each article; corpora.KEY.splits=none divides such a one anew."""
    folds: int = 5
    """With by=fold: into how many parts; part number `fold` is the test, the next one is for validation."""
    fold: int = 0
    """With by=fold: the part that is the test, from 0."""
    near_duplicate: float = 0.5
    """Articles whose word 5-grams overlap by at least this Jaccard similarity (0.4 to 1) stay together."""
    seed: int = 7
    """Seed of the division; not with by=time, which draws nothing."""


@dataclass
class WeakConfig:
    """How weak labels are made."""

    lexicon: str = LEXICON
    """YAML file with the words that show a stance."""
    gold: str = "data/corpus"
    """Annotated articles (ours, JSONL) whose train split tells how often each function is right; empty takes
    `accuracy` of the lexicon."""
    confidence: float = 0.5
    """Labels below this confidence (0 to 1) are left out."""
    neutral: bool = True
    """Keep the functions' neutral labels, not only support and oppose."""
    unvoted: float = 0.0
    """Pairs that no function votes on, written as neutral, for each label of an article; drawn at random."""
    processes: int = 0
    """Processes that parse where there are many articles; 0 takes one a core, eight at most."""
    seed: int = 17
    """Seed of the drawing of `unvoted` pairs."""
