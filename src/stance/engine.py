"""How the network is run: recomputed activations and compilation, refused where they are not possible."""

import torch
from transformers import PreTrainedModel

from stance.errors import StanceError


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
