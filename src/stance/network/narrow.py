"""The last layer at the markers alone: where a head reads nothing else, no other token's answer is worked out.

In the last layer every token is still read (keys and values), but only the markers ask, and only they pass the
feed-forward part. The answers are the same; of the products of MiniLM's six layers an eighth is saved. For encoders of
BERT's architecture, whose weights and their names stay those of transformers.
"""

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import BertAttention, BertCrossAttention

from stance.network.heads import at

TYPES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


class _AtQueries(BertAttention):  # type: ignore[misc]
    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, *, queries: Tensor | None = None, **more: Any
    ) -> tuple[Tensor, Tensor | None]:
        asking, mask = hidden_states, attention_mask
        if queries is not None:
            asking, mask = at(hidden_states, queries), at(attention_mask[:, 0], queries)[:, None]
        mixed, weights = self.self(asking, encoder_hidden_states=hidden_states, attention_mask=mask, **more)
        return self.output(mixed, asking), weights


def narrow(encoder: PreTrainedModel) -> None:
    """Change a loaded encoder of one of `TYPES` in place.

    Its forward then also takes `queries`, `(batch, queries)`: indices of tokens, in whose order the last hidden
    state comes, `(batch, queries, hidden)`. With them the attention mask must be `(batch, 1, tokens, tokens)`.
    """
    attention = encoder.encoder.layer[-1].attention
    attention.__class__ = _AtQueries
    attention.self.__class__ = BertCrossAttention  # the same weights, asked by other tokens than those that are read
