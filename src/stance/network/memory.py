"""What errors of want of memory look like."""

import torch

_SIGNS = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "bad_alloc", "Cannot allocate memory")
_ONEDNN = "could not create a primitive"
"""All that oneDNN says where it finds no memory for the code that it compiles for a shape."""


def is_memory(error: BaseException) -> bool:
    """Whether an error of PyTorch, oneDNN, CUDA, numpy, the system or Python says that memory ran out."""
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or any(sign in text for sign in _SIGNS)
        or text == _ONEDNN
    )
