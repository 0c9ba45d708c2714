"""Jobs of one model: training, export, scores."""

from dataclasses import dataclass, field

from stance.jobs import ARTIFACT, CHECKPOINT, DATASET
from stance.settings.scoring import EvaluationConfig, ExportConfig, TransferConfig
from stance.settings.tracking import TrackingConfig
from stance.settings.training import ModelConfig, TrainingConfig


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
    resume: str = "stop"
    """Where an interrupted run with the same output left a checkpoint: `auto` goes on with it; `never` throws it away
    and starts anew; `stop` refuses to choose. `auto` also leaves an output as it is that this very training made."""


@dataclass
class AverageJob:
    """Several checkpoints to one."""

    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    checkpoints: list[str] = field(default_factory=list)
    """Directories of two checkpoints or more, trained on this dataset from the same weights (training.initial)."""
    dataset: str = DATASET
    """Directory of the dataset that they were trained with; its validation split scores their average."""
    output: str = "outputs/average/checkpoint"
    """Directory of the checkpoint."""


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
    """Which model of the artifact is scored: int8, which is served by default, or fp32."""
    output: str = "outputs/report.json"
    """JSON file of the report."""


@dataclass
class TransferJob:
    """Scores of an artifact on public corpora that it was not trained on."""

    transfer: TransferConfig = field(default_factory=TransferConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    artifact: str = ARTIFACT
    """Directory of the artifact."""
    precision: str = "int8"
    """Which model of the artifact is scored: int8, which is served by default, or fp32."""
    output: str = "outputs/transfer.json"
    """JSON file of the scores."""
