"""MPNet with its relative position bias taken from position ids, as the one-pass layout needs it.

transformers' MPNet computes the bias from the tokens' indices, which says nothing where a pair's block stands behind
the passage but takes a mention's positions. Weights and their names stay those of transformers.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetLayer, MPNetModel, MPNetSelfAttention

MAX_DISTANCE = 128  # MPNet tells apart no distances beyond it


class PositionedMPNet(MPNetModel):  # type: ignore[misc]
    """MPNet for position ids and a mask of the caller's choice; `position` makes one."""

    supports_gradient_checkpointing = True
    buckets: Tensor
    """The bucket of every distance from -MAX_DISTANCE to MAX_DISTANCE, `(2 * MAX_DISTANCE + 1,)`."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> BaseModelOutput:
        """Encode a batch.

        Args:
            input_ids: `(batch, tokens)`.
            attention_mask: `(batch, 1, tokens, tokens)`, to add to the attention scores: 0 where a query sees
                a key, minus infinity elsewhere; no row may be empty.
            position_ids: `(batch, tokens)`, as numbered by MPNet (from behind the padding token's id).

        Returns:
            The last hidden state, `(batch, tokens, hidden)`.
        """
        states = self.embeddings(input_ids=input_ids, position_ids=position_ids)
        bias = self._bias(position_ids) + attention_mask
        for layer in self.encoder.layer:
            states = layer(states, None, bias)[0]
        return BaseModelOutput(last_hidden_state=states)

    def _bias(self, position_ids: Tensor) -> Tensor:
        """What MPNet adds to the attention scores, `(batch, heads, tokens, tokens)`."""
        distances = position_ids[:, None, :] - position_ids[:, :, None]
        index = distances.clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE
        values = self.encoder.relative_attention_bias(self.buckets[index])
        return cast(Tensor, values.permute(0, 3, 1, 2).contiguous())


class _Layer(GradientCheckpointingLayer, MPNetLayer):  # type: ignore[misc]
    """A layer whose activations may be computed again in the backward pass."""


class _Attention(MPNetSelfAttention):  # type: ignore[misc]
    def forward(self, hidden_states: Tensor, attention_mask: None, position_bias: Tensor, **_: object) -> tuple[Tensor]:
        if torch.is_grad_enabled() and position_bias.device.type == "cpu":
            # No fused kernel of a CPU gives the bias a gradient, and torch's substitute takes twice as long as this.
            return cast(tuple[Tensor], super().forward(hidden_states, None, position_bias))
        shape = (*hidden_states.shape[:-1], self.num_attention_heads, self.attention_head_size)
        query, key, value = (part(hidden_states).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v))
        dropout = self.dropout.p if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, position_bias.to(query.dtype), dropout)
        return (self.o(mixed.transpose(1, 2).flatten(2)),)


def position(encoder: MPNetModel) -> None:
    """Make a loaded MPNet a `PositionedMPNet`, in place."""
    encoder.__class__ = PositionedMPNet
    for layer in encoder.encoder.layer:
        layer.__class__ = _Layer
        layer.attention.attn.__class__ = _Attention
    distances = torch.arange(-MAX_DISTANCE, MAX_DISTANCE + 1)
    # A table, since the logarithm of another device or runtime may round a distance into the bucket beside.
    buckets = MPNetEncoder.relative_position_bucket(distances)
    encoder.register_buffer("buckets", buckets, persistent=False)
