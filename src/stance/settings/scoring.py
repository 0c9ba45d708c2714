"""Settings of exports and scores."""

from dataclasses import dataclass


@dataclass
class EvaluationConfig:
    """How scores are computed."""

    split: str = "test"
    """The split that is scored: train, validation or test."""
    resamples: int = 1000
    """Bootstrap samples of articles for each interval."""
    seed: int = 11
    """Seed of the bootstrap and of the baselines."""


@dataclass
class ExportConfig:
    """What an export must keep to."""

    max_label_changes: float = 0.05
    """Largest share of validation pairs whose label may differ between PyTorch and int8; with more nothing is
    exported."""
    tolerance: float = 1e-3
    """Largest difference of a probability between PyTorch and ONNX in fp32; with a larger one nothing is exported."""
    opset: int = 20
    """Version of the ONNX operator set, 17 to 22."""
    target_risk: float = 0.1
    """Largest share of wrong answers when the model may abstain: the least confidence of an answer is chosen for it on
    validation and kept in the artifact; 0 chooses none."""
    risk_confidence: float = 0.95
    """How probable it must be that new pairs of the same kind keep to target_risk."""


@dataclass
class TransferConfig:
    """Where the public corpora are and how they are asked."""

    root: str = "data/public"
    """Directory with seesaw/SEESAW, dse/{train,valid}.txt, newsmtsc/{rw,mt}_dev.jsonl; what is missing is left out."""
    context: int = 0
    """Sentences before and after the evidence (SEESAW; the others are single sentences)."""
    resamples: int = 1000
    """Bootstrap samples of articles for each interval."""
    seed: int = 11
    """Seed of the bootstrap."""
