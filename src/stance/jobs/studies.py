"""Jobs of many trainings."""

from dataclasses import dataclass, field

from stance.jobs import DATASET
from stance.settings.building import CorpusConfig, ExamplesConfig
from stance.settings.scoring import TransferConfig
from stance.settings.studies import BakeoffConfig, CurveConfig, ReviewConfig, SweepConfig
from stance.settings.tracking import TrackingConfig
from stance.settings.training import ModelConfig, TrainingConfig


@dataclass
class CurveJob:
    """Scores by the number of training articles."""

    curve: CurveConfig = field(default_factory=CurveConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    dataset: str = DATASET
    """Directory of the dataset."""
    public: bool = False
    """Also score each model on the development parts of the public corpora below transfer.root."""
    output: str = "outputs/learning_curve.png"
    """The plot: a .png, .pdf or .svg file. The points are kept beside it as JSON Lines, and a run that was cut off goes
    on after them."""


@dataclass
class BakeoffJob:
    """Ways to train, compared over seeds."""

    bakeoff: BakeoffConfig = field(default_factory=BakeoffConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    dataset: str = DATASET
    """Directory of the dataset; a contender may name another."""
    public: bool = False
    """Also score each model on the development parts of the public corpora below transfer.root."""
    output: str = "outputs/bakeoff.jsonl"
    """JSON Lines of the outcomes; a run that was cut off goes on after them."""


@dataclass
class SweepJob:
    """Better settings of a training on a dataset."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    dataset: str = DATASET
    """Directory of the dataset; its test split is not looked at."""
    output: str = "outputs/sweep"
    """Directory of the findings: a study has one of its own below it, which also takes checkpoints for a while."""


@dataclass
class ReviewJob:
    """A queue of doubtful annotations and missed pairs of a corpus."""

    corpora: dict[str, CorpusConfig] = field(default_factory=dict)
    """KEY is the name of a file of conf/corpus/ that is chosen, as in corpus=jsonl corpora.jsonl.path=my.jsonl; several
    are chosen as in corpus=[stance_news,dse]. Cap, max_dropped, licence, splits (but for official) and
    examples.unlabelled matter to datasets alone."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    output: str = "outputs/review.jsonl"
    """JSON Lines of doubts, by article."""
