"""The network as training starts it: idle and frozen weights, adapters, recomputed activations, compilation.

What an encoder can't do of it is refused.
"""

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from stance.errors import StanceError
from stance.layouts import Encoding
from stance.network import encoders, lora
from stance.network.encoders import Pretrained
from stance.network.model import StanceModel, start_from
from stance.network.precision import choose_precision
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import distributed


def network(pretrained: Pretrained, model_config: ModelConfig, config: TrainingConfig) -> StanceModel:
    """The model as training starts it, made of this encoder.

    Raises:
        StanceError: `training.initial` is no checkpoint that fits it, or the encoder can't be trained so.
    """
    layout = pretrained.encoding.layout
    model = StanceModel(pretrained.encoder, layout, model_config.dropout, head=model_config.head)
    if config.initial:
        start_from(model, pretrained, Path(config.initial))
    freeze_idle(model, pretrained.encoding)
    if not config.lora.rank:
        freeze_layers(pretrained.encoder, config.frozen_layers)
    if config.gradient_checkpointing:
        enable_gradient_checkpointing(pretrained.encoder, model_config.name)
    distributed.name_blocks(model)
    if config.lora.rank:
        markers = (pretrained.encoding.actor_id, pretrained.encoding.target_id)
        model.encoder = lora.adapt(pretrained.encoder, config.lora, markers)
    return model


def freeze_idle(model: StanceModel, encoding: Encoding) -> None:
    """Freeze the parts of the encoder that no answer depends on, such as a pooler: processes would wait for gradients.

    They show when the model is asked something, here about a passage without words.
    """
    ids = torch.tensor([[encoding.cls_id, encoding.sep_id, encoding.actor_id, encoding.target_id]])
    places = torch.arange(4)[None] + encoding.position_offset
    model.eval()(ids, places, torch.tensor([[0, 0, 1, 1]]), torch.tensor([[[2, 3]]])).sum().backward()
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad()


def auto_settings(models: ModelConfig, recipe: TrainingConfig) -> dict[str, str]:
    """What a suited recipe leaves to the encoder and the machine, as a training takes it: for its record.

    Raises:
        StanceError: the encoder can't be found, or can't be trained so.
    """
    found = encoders.pretrained_config(models)
    return {
        "precision": choose_precision(recipe.precision),
        "layout": encoders.layout_for(models.layout, found.model_type),
    }


def freeze_layers(encoder: PreTrainedModel, layers: int | None) -> None:
    """Leave the lowest layers of an encoder as they were pretrained, and all that is no layer: embeddings, biases.

    Neither their gradients nor the optimizer's moments are worked out then (Lee et al. 2019, arXiv:1911.03090: the
    last quarter of BERT's layers gives nine tenths of the quality).

    Args:
        encoder: changed in place.
        layers: how many; None for a third of them, rounded down. With none the embeddings are trained too.

    Raises:
        StanceError: it does not have more layers than that.
    """
    stacks = (m for m in encoder.modules() if isinstance(m, nn.ModuleList))
    found = next((stack for stack in stacks if len(stack) == encoder.config.num_hidden_layers), nn.ModuleList())
    lowest = len(found) // 3 if layers is None else layers
    if not lowest:
        return
    if lowest >= len(found):
        raise StanceError(
            f"training.frozen_layers={layers}: the {encoder.config.model_type} encoder has {len(found)} layers; "
            "expected fewer, since some must learn (0 trains all)"
        )
    learning = {parameter for layer in found[lowest:] for parameter in layer.parameters()}
    for parameter in set(encoder.parameters()) - learning:
        parameter.requires_grad_(False)


def enable_gradient_checkpointing(encoder: PreTrainedModel, name: str) -> None:
    """Keep a layer's input alone and compute the rest again in the backward pass (Chen et al. 2016).

    Raises:
        StanceError: the architecture does not know how.
    """
    if not encoder.supports_gradient_checkpointing:
        raise StanceError(
            f"training.gradient_checkpointing=true: {name} is a {encoder.config.model_type} encoder, which can't "
            "recompute its activations; set it to false and lower training.tokens_per_batch to save memory"
        )
    encoder.config.use_cache = False  # else transformers says that it sets it itself
    encoder.activation_checkpointing_enable({"use_reentrant": False})


def check_compiler() -> None:
    """Compile a sum, since a missing compiler shows itself only when it is called.

    Raises:
        StanceError: this machine can't compile.
    """
    try:
        torch.compile(torch.add)(torch.ones(2), torch.ones(2))
    except (RuntimeError, ImportError, OSError) as error:  # every stage of the compiler has exceptions of its own
        reason = str(error).strip().splitlines()[0]
        raise StanceError(
            f"training.compile=true: PyTorch can't compile on this machine ({reason}); "
            "install a C++ compiler (on a GPU also triton), or set training.compile=false"
        ) from error
