"""Which number format training multiplies in, fp32 or bf16, and what this machine is faster in."""

import math
import time
from functools import cache

import torch

from stance.errors import StanceError

WORTH_CASTING = 1.2
"""How many times as fast products in bf16 must be on a CPU: training in it also has weights and gradients to cast."""


def choose_precision(wanted: str) -> str:
    """`fp32` or `bf16`; `auto` takes bf16 on a GPU that has it, and on a CPU that multiplies faster in it.

    Raises:
        StanceError: there is no such precision, or not on this machine.
    """
    if wanted not in ("auto", "fp32", "bf16"):
        raise StanceError(f"training.precision={wanted}: expected auto, fp32 or bf16")
    on_gpu = torch.cuda.is_available()
    able = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else bool(bf16_instructions())
    if wanted == "bf16" and not able:
        raise StanceError("training.precision=bf16: this machine has no bf16 instructions; use auto or fp32")
    if wanted == "auto":
        able = able and (on_gpu or bf16_gain() > WORTH_CASTING)
    return "bf16" if able and wanted != "fp32" else "fp32"


def bf16_instructions() -> list[str]:
    """The bf16 instructions that this CPU has."""
    features = torch.cpu.get_capabilities()
    return [name for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16") if features.get(name)]


@cache
def bf16_gain() -> float:
    """How many times as fast this CPU multiplies matrices of an encoder's size in bf16 as in fp32, measured once.

    The instructions alone mean little: an AMD EPYC takes half the time with them, an Intel Xeon without AMX twice the
    time (docs/LOG.md). Of each the best of ten, in turns, so that other work on the machine decides little.
    """
    best = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    with torch.inference_mode():
        sides = {kind: (torch.ones(1024, 384, dtype=kind), torch.ones(1536, 384, dtype=kind)) for kind in best}
        for _ in range(11):  # the first one of each also makes ready
            for kind, (inputs, weights) in sides.items():
                start = time.perf_counter()
                torch.nn.functional.linear(inputs, weights)
                best[kind] = min(best[kind], time.perf_counter() - start)
    return best[torch.float32] / best[torch.bfloat16]
