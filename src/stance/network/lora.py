"""Low-rank adapters (LoRA, Hu et al. 2022) in the encoder while it is trained; merged into its weights afterwards.

The head is trained in full, and so are the embeddings of the two markers, which the encoder never saw in its
pretraining. After `merge` nothing of peft is left: checkpoint, export and predictor know no adapters.
"""

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from stance.errors import StanceError
from stance.settings.training import ALL, LoraConfig

UNUSED = "pooler"


def check(config: LoraConfig) -> None:
    """Refuse settings without a meaning."""
    if config.rank < 0 or config.alpha <= 0:
        raise StanceError(
            f"training.lora.rank={config.rank}, alpha={config.alpha}: expected a rank of 0 (off) or more and "
            "an alpha above 0"
        )
    if not 0 <= config.dropout < 1:
        raise StanceError(f"training.lora.dropout={config.dropout}: expected a probability, from 0 to below 1")
    if config.rank and not config.targets:
        raise StanceError("training.lora.targets=[]: expected [all-linear] or names of layers")


def adapt(encoder: PreTrainedModel, config: LoraConfig, markers: Sequence[int]) -> nn.Module:
    """The encoder with adapters: its weights are frozen but for the embeddings of the tokens `markers`.

    Raises:
        StanceError: a target is no linear layer of this encoder, or the rank is above its width.
    """
    if config.rank > (width := encoder.config.hidden_size):
        raise StanceError(
            f"training.lora.rank={config.rank}: expected at most {width}, the encoder's width; 0 trains all weights"
        )
    import peft  # takes most of a second, and few trainings need it

    known = linear(encoder)
    wanted = known if ALL in config.targets else config.targets
    unknown = sorted(set(config.targets) - {ALL} - set(known))
    if unknown:
        raise StanceError(
            f"training.lora.targets: no linear layer of this {encoder.config.model_type} encoder is called "
            f"{', '.join(unknown)}; expected {ALL} or some of {', '.join(known)}"
        )
    embeddings = encoder.get_input_embeddings()
    (place,) = (name for name, module in encoder.named_modules() if module is embeddings)
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(wanted),
        exclude_modules=rf"(.*\.)?{UNUSED}\..*" if any(UNUSED in n for n, _ in encoder.named_children()) else None,
        trainable_token_indices={place: list(markers)},
    )
    with warnings.catch_warnings():  # peft asks transformers for an attribute that has got another name
        warnings.simplefilter("ignore", FutureWarning)
        adapted: nn.Module = peft.get_peft_model(encoder, settings)
    return adapted


def linear(encoder: nn.Module) -> list[str]:
    """The names of an encoder's linear layers, without those of the pooler that nobody uses."""
    layers = (name for name, module in encoder.named_modules() if isinstance(module, nn.Linear))
    return sorted({name.rpartition(".")[2] for name in layers if not name.startswith(UNUSED)})


def merge(encoder: Any) -> Any:
    """The encoder as it was before `adapt`, with what the adapters learnt in its weights."""
    return encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder


def trained_share(model: nn.Module) -> float:
    """The share of a model's parameters that training changes."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trained in sizes if trained) / sum(size for size, _ in sizes)
