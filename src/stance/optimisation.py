"""How weights move: learning rates by layer, and the average of the weights over the last steps."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

AVERAGE = "average.safetensors"


def parameter_groups(
    model: nn.Module, *, learning_rate: float, layer_decay: float, head_factor: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay, for AdamW.

    The head learns at `head_factor` times the rate, each layer of the encoder at `layer_decay` times the rate of the
    one above it, the embeddings below the lowest (Howard & Ruder, 2018; ELECTRA's fine-tuning). Biases and norms do
    not decay.
    """
    depth = 1 + max((_layer(name) for name, _ in model.named_parameters()), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = depth - 1 - _layer(name)
            rate = learning_rate * (layer_decay**below if "encoder." in name else head_factor)
            decay = 0.0 if parameter.ndim == 1 else weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def _layer(name: str) -> int:
    """The number of the encoder layer that a parameter belongs to; -1 for embeddings and what belongs to no layer."""
    parts = name.split(".")
    numbers = [int(b) for a, b in pairwise(parts) if a in ("layer", "layers") and b.isdigit()]
    return numbers[0] if numbers else -1


class WeightAverage(TrainerCallback):  # type: ignore[misc]
    """An exponential moving average of the weights (Polyak & Juditsky, 1992), kept in each checkpoint for a resume.

    The decay grows with the steps, `(1 + n) / (10 + n)` up to `decay`, so that the start is soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.shadow: dict[str, Tensor] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        """Start from the weights at hand, or from the average of the checkpoint that training resumes from."""
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / AVERAGE
        if state.global_step and path.is_file():
            self.shadow = {name: tensor.to(self.shadow[name].device) for name, tensor in load_file(path).items()}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        """Move the average towards the weights."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        with torch.no_grad():
            here = [p for p in model.parameters() if p.requires_grad]
            torch._foreach_lerp_(list(self.shadow.values()), here, 1 - decay)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep the average beside the weights."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        save_file({name: tensor.contiguous() for name, tensor in self.shadow.items()}, folder / AVERAGE)

    def swap(self, model: nn.Module) -> None:
        """Exchange the average and the weights of `model`."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in self.shadow:
                    before = parameter.detach().clone()
                    parameter.copy_(self.shadow[name])
                    self.shadow[name] = before
