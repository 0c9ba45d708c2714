"""How the network is run: idle weights, recomputed activations, compilation; refused where they are not possible."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from stance.errors import StanceError


def freeze_idle(encoder: PreTrainedModel, tokens: Sequence[int]) -> None:
    """Freeze what the last states do not depend on, such as a pooler: processes would wait for its gradients.

    Args:
        encoder: as it was loaded.
        tokens: a short input, to see which weights get a gradient.
    """
    ids = torch.tensor([list(tokens)])
    encoder.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.sum().backward()
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None


def recompute(encoder: PreTrainedModel, name: str) -> None:
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
