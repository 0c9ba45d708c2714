"""The recipe of a training run: its settings, what they may be, and the precision of the hardware."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from stance.errors import StanceError
from stance.records import LABELS, Example


@dataclass
class TrainingConfig:
    """How the model is fine-tuned."""

    epochs: int = 2
    """Most passes over the training split."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW; linear decay after the warm-up."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    tokens_per_batch: int = 1024
    """Most tokens of a batch, padding included."""
    class_weights: str = "none"
    """none, or balanced: the loss weighs a class by the inverse of its frequency."""
    label_smoothing: float = 0.0
    """Share of a label's mass that is spread over all labels."""
    early_stopping: int = 3
    """Stop after so many epochs without a better validation macro-F1; 0 never stops early."""
    span_dropout: float = 0.3
    """Share of the training pairs that are asked by their names alone, without the mentions' places."""
    sampled_weight: float = 1.0
    """Weight in the loss of the neutral pairs that nobody annotated; annotated pairs have 1."""
    surface_share: float = 0.5
    """Share of the training pairs that are asked by the passage's own words instead of the canonical names."""
    open_holder: float = 0.0
    """Share of the training pairs that ask what "someone" thinks of the target, where the article's holders agree."""
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 where the hardware has it."""
    seed: int = 1
    """Of initialisation, dropout and batches."""
    save_steps: int = 0
    """Also write a checkpoint for a resume after every so many optimizer steps; 0 does so after each epoch only."""
    disk_budget_gb: float = 0.0
    """Most gigabytes that checkpoints may take while training runs; 0 sets no limit but the free space."""
    initial: str = ""
    """A checkpoint directory to start from instead of the pretrained encoder alone."""


def check(config: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
    """Refuse settings without a meaning, and splits that miss a label."""
    if config.seed < 0:
        raise StanceError(f"training.seed={config.seed}: expected 0 or more")
    if config.class_weights not in ("none", "balanced"):
        raise StanceError(f"training.class_weights={config.class_weights}: expected none or balanced")
    if config.epochs < 1 or config.learning_rate <= 0 or config.tokens_per_batch < 1:
        raise StanceError("training.epochs, learning_rate and tokens_per_batch must be positive")
    for name in ("warmup", "span_dropout", "surface_share", "open_holder", "label_smoothing"):
        if not 0 <= (share := getattr(config, name)) < 1:
            raise StanceError(f"training.{name}={share}: expected a share, from 0 to below 1")
    for name in ("weight_decay", "max_grad_norm", "early_stopping", "sampled_weight", "save_steps", "disk_budget_gb"):
        if getattr(config, name) < 0:
            raise StanceError(f"training.{name}={getattr(config, name)}: must not be negative")
    for name in ("train", "validation"):
        known, there = {label for e in splits[name] for label in e.labels}, {e.stance.value for e in splits[name]}
        missing = [label for label in LABELS if label not in there and (label in known or not there)]
        if missing:
            raise StanceError(f"the {name} split has no example of {', '.join(missing)}; build another dataset")


def choose_precision(wanted: str) -> str:
    """`fp32` or `bf16`; `auto` takes bf16 where the GPU or the CPU computes in it."""
    if wanted not in ("auto", "fp32", "bf16"):
        raise StanceError(f"training.precision={wanted}: expected auto, fp32 or bf16")
    if torch.cuda.is_available():
        able = torch.cuda.is_bf16_supported()
    else:
        features = torch.cpu.get_capabilities()
        able = any(bool(features.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    if wanted == "bf16" and not able:
        raise StanceError("training.precision=bf16: this machine has no bf16 instructions; use auto or fp32")
    return "bf16" if able and wanted != "fp32" else "fp32"
