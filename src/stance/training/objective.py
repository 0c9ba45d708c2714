"""What training minimises, for each pair of a batch: functions of logits and wanted shares.

Shapes are `(batch, pairs, classes)` for logits and targets, `(batch, pairs)` for what comes back.
"""

from torch import Tensor

from stance.records import MASKED


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy against the wanted shares, over the classes that a pair's corpus knows (`targets` not below 0)."""
    known = targets >= 0
    wanted = (1 - smoothing) * targets + smoothing / known.sum(-1, keepdim=True)
    return -(wanted * known * mask_unknown(logits, targets).log_softmax(-1)).sum(-1)


def consistency(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """R-Drop (Liang et al., 2021): the mean of both divergences between two answers of one model under dropout."""
    a, b = (mask_unknown(logits, targets).log_softmax(-1) for logits in (first, second))
    return ((a.exp() - b.exp()) * (a - b)).sum(-1) / 2


def mask_unknown(logits: Tensor, targets: Tensor) -> Tensor:
    """The logits in fp32, with classes that are no choice far below all others."""
    return logits.float().masked_fill(targets < 0, MASKED)
