"""Settings of what takes many trainings."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class BakeoffConfig:
    """What is compared."""

    contenders: dict[str, list[str]] = field(default_factory=dict)
    """By name, the settings in which a contender differs: [dataset=…, model.…=…, training.…=…]. bakeoff=NAME takes
    those of conf/bakeoff/NAME.yaml; others are added with a + before the key and quotes within the list:
    '+bakeoff.contenders.long=["training.epochs=3"]'."""
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])
    """Each contender is trained once with each, in place of training.seed."""


@dataclass
class CurveConfig:
    """The points of a learning curve."""

    articles: list[int] = field(default_factory=lambda: [14, 28, 56, 112, 224])
    """Numbers of training articles; smaller sets are part of larger ones. Numbers above what there is take all."""
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])
    """Each draws other articles and trains anew, in place of training.seed."""


@dataclass
class ReviewConfig:
    """How doubts are found."""

    folds: int = 3
    """Models that are trained, each without its share of the articles."""
    candidates: float = 6.0
    """Unannotated pairs of exhaustively annotated articles that the models are asked about, for each annotation."""
    confidence: float = 0.9
    """Unannotated pairs that are called support or oppose with at least this probability are listed."""
    per_article: int = 6
    """Most such pairs of an article; the surest ones."""


@dataclass
class SweepConfig:
    """A search for better settings."""

    name: str = "recipe"
    """Name of the study; sweep=NAME brings that of its file. The same name goes on with it, another search needs
    another one."""
    storage: str = "sqlite:///mlruns/sweeps.db"
    """Database of studies: sqlite:///FILE, or a URL such as postgresql://… that several machines reach."""
    space: dict[str, Any] = field(default_factory=dict)
    """Searched settings of training.* and model.*, each {type: float|int, low, high, log, step} or {type: categorical,
    choices: [...]}; sweep=NAME takes those of conf/sweep/NAME.yaml, by default of recipe.yaml."""
    trials: int = 30
    """Trials in all, over all processes and restarts. Pruned and failed ones count, those of killed processes don't."""
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])
    """A trial trains a model for each, in place of training.seed; its value is the median."""
    metric: str = "macro_f1"
    """Validation score that is searched for: macro_f1, accuracy, mcc, loss, or of a label that the
    validation split knows (oppose, neutral, support) its precision, recall or f1, as in oppose_f1."""
    direction: str = "maximize"
    """maximize, or minimize for the loss."""
    sampler: str = "tpe"
    """tpe learns from the finished trials, random does not, grid takes the combinations (of steps and choices), at most
    `trials` of them."""
    pruner: str = "median"
    """Ends poor trials after an epoch: median, hyperband or none."""
    startup: int = 8
    """First trials: tpe draws them at random, and median lets them finish."""
    timeout: float = 0.0
    """Seconds after which this process starts no more trials; 0 sets no limit."""
    seed: int = 1
    """Seed of the sampler, not of the training."""
    heartbeat: int = 20
    """Seconds between two signs of life; after three missed ones a trial counts as killed and is started again."""
    retries: int = 3
    """How often a trial whose process was killed is started again."""
    max_failures: int = 5
    """Stop when so many trials in a row failed."""
