"""Memory: what errors of want of it look like, and how what a model has left is given back."""

import ctypes
import gc
import sys

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


def free() -> None:
    """Give back what a training or a teacher has left, to other models and to the system.

    A trainer is in a circle with itself, and with an error that ended it. What a CPU's tensors leave in the heap of
    glibc, more than a gigabyte after a teacher of the base tier, it keeps unless it is told (malloc_trim(3)).
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
        trim(0)
