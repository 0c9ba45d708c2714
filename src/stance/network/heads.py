"""What the head reads of a pair: the states at its two markers, and more where asked.

Every kind is a view of the encoder's states without weights of its own, so that the head stays one MLP. What a pair
reads is its own block and the passage, never another pair.
"""

import torch
from torch import Tensor, nn

from stance.errors import StanceError
from stance.records import LABELS

WIDTH = {"markers": 2, "markers_cls": 3, "span_mean": 4, "bilinear": 4}
"""How many states wide each kind's input is."""


def head(kind: str, size: int, dropout: float) -> nn.Sequential:
    """The MLP from a pair's features to its logits, over an encoder with states of `size`."""
    return nn.Sequential(
        nn.Linear(WIDTH[kind] * size, size), nn.GELU(), nn.Dropout(dropout), nn.Linear(size, len(LABELS))
    )


def check(kind: str, layout: str) -> None:
    """Refuse a kind that is unknown or that the layout can't serve.

    Raises:
        StanceError: so it is.
    """
    if kind not in WIDTH:
        raise StanceError(f"model.head={kind}: expected one of {', '.join(WIDTH)}")
    if kind == "span_mean" and layout != "one_pass":
        raise StanceError(
            "model.head=span_mean: it averages over a pair's block, which only the layout one_pass has; "
            "use another head, or model.layout=one_pass"
        )


def features(kind: str, states: Tensor, block_ids: Tensor, markers: Tensor) -> Tensor:
    """What the head reads of each pair.

    Args:
        kind: `markers` the states at the two markers; `markers_cls` also that at `[CLS]`, which no pair changes in
            the layout one_pass; `span_mean` also the means over each name; `bilinear` also the markers' product and
            absolute difference (Conneau et al., EMNLP 2017).
        states: `(batch, tokens, size)`.
        block_ids: `(batch, tokens)`, see `stance.encoding`.
        markers: `(batch, pairs, 2)`.

    Returns:
        `(batch, pairs, WIDTH[kind] * size)`.
    """
    batch, pairs, _ = markers.shape
    size = states.shape[-1]
    chosen = at(states, markers.flatten(1)).reshape(batch, pairs, 2 * size)
    if kind == "markers_cls":
        return torch.cat([chosen, states[:, :1].expand(-1, pairs, -1)], -1)
    if kind == "span_mean":
        return torch.cat([chosen, _means(states, block_ids, markers)], -1)
    if kind == "bilinear":
        actor, target = chosen[..., :size], chosen[..., size:]
        return torch.cat([chosen, actor * target, (actor - target).abs()], -1)
    return chosen


def at(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of `values`, `(batch, tokens, size)`, at `indices`, `(batch, n)`: `(batch, n, size)`."""
    return values.gather(1, indices[..., None].expand(-1, -1, values.shape[-1]))


def _means(states: Tensor, block_ids: Tensor, markers: Tensor) -> Tensor:
    """The means over the tokens behind each marker, up to the next marker or the block's end."""
    place = torch.arange(block_ids.shape[1], device=block_ids.device)
    number = torch.arange(1, markers.shape[1] + 1, device=block_ids.device)
    own = block_ids[:, None, :] == number[None, :, None]
    actor, target = markers[:, :, :1], markers[:, :, 1:]
    means = []
    for inside in (own & (place > actor) & (place < target), own & (place > target)):
        weights = inside.to(states.dtype)
        means.append(weights @ states / weights.sum(-1, keepdim=True).clamp(min=1))
    return torch.cat(means, -1)
