"""Settings of what makes datasets and weak labels."""

from dataclasses import dataclass

from stance.settings import LEXICON


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
    """Passages whose word 5-grams overlap by at least this Jaccard similarity (0 to 1) are nearly the same."""
    repeated: str = "drop"
    """Training rows with the text, pair and stance of an earlier one, and those that contradict a surer one (gold
    before sampled before weak): drop or keep."""


@dataclass
class SplitConfig:
    """How articles are divided."""

    validation: float = 0.15
    """Share of the articles for choosing epochs and settings."""
    test: float = 0.15
    """Share of the articles for the final scores."""
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
    """Articles whose word 5-grams overlap by at least this Jaccard similarity (0 to 1) stay together."""
    seed: int = 7
    """Seed of the division."""


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
    """Processes that parse; 0 takes one a core."""
    seed: int = 17
    """Seed of the drawing of `unvoted` pairs."""
