"""The network: an encoder, the mask that lets many pairs share one pass, and a head over the two markers.

Saving and loading of a checkpoint directory is here too. Training, export and scoring are elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel

from stance import artifact, jsonl
from stance.errors import StanceError, naming
from stance.layouts import Encoding, read_encoding
from stance.network import encoders, heads, narrow, relative
from stance.records import LABELS

AGAIN = "train again or copy the whole directory"

ENTRIES = frozenset({"model.safetensors", "config.json", "tokenizer.json", "checkpoint.json"})
"""What a checkpoint's directory holds."""
EXPORTED_UNSEEN = -60.0
"""What an exported model adds to the attention score of a token that must not be seen; PyTorch has minus infinity.

ONNX Runtime's softmax makes denormal numbers of anything below -87, and many processors slow down many times on
these. A weight of exp(-60) is lost in rounding; that the answers are those of PyTorch is checked at every export.
"""


class StanceModel(nn.Module):
    """Scores the pairs of a batch of passages. See `stance.encoding` for the inputs."""

    def __init__(self, encoder: PreTrainedModel, layout: str, dropout: float = 0.1, *, head: str = "markers") -> None:
        super().__init__()
        heads.check(head, layout)
        self.encoder = encoder
        self.one_pass = layout == "one_pass"
        if self.one_pass and encoder.config.model_type == "mpnet":
            relative.position(encoder)
        self.token_types = (
            self.one_pass
            and getattr(encoder.config, "type_vocab_size", 0) > 1
            and encoders.accepts(encoder, "token_type_ids")
        )
        self.head_kind = head
        self.narrow = self.one_pass and head == "markers" and encoder.config.model_type in narrow.TYPES
        if self.narrow:
            narrow.narrow(encoder)
        self.head = heads.head(head, encoder.config.hidden_size, dropout)

    def forward(self, input_ids: Tensor, position_ids: Tensor, block_ids: Tensor, markers: Tensor) -> Tensor:
        """Score every pair.

        Args:
            input_ids: `(batch, tokens)`.
            position_ids: `(batch, tokens)`, used by the one-pass layout only.
            block_ids: `(batch, tokens)`; 0 passage, 1… the pairs' blocks, -1 padding.
            markers: `(batch, pairs, 2)`, token indices of the actor and the target marker.

        Returns:
            Logits of shape `(batch, pairs, 3)`; those of padded pairs mean nothing.
        """
        inputs = {"input_ids": input_ids, "attention_mask": self._mask(block_ids)}
        if self.one_pass:
            inputs["position_ids"] = position_ids
        if self.token_types:
            inputs["token_type_ids"] = (block_ids > 0).long()
        if self.narrow:
            states = self.encoder(**inputs, queries=markers.flatten(1)).last_hidden_state
            return self.head(states.reshape(*markers.shape[:2], -1))  # type: ignore[no-any-return]
        states = self.encoder(**inputs).last_hidden_state
        return self.head(heads.features(self.head_kind, states, block_ids, markers))  # type: ignore[no-any-return]

    def _mask(self, block_ids: Tensor) -> Tensor:
        if not self.one_pass:
            return (block_ids >= 0).long()
        query, key = block_ids[:, :, None], block_ids[:, None, :]
        # Everybody sees the passage, a block sees itself too. Padding sees the passage, so no row is empty.
        seen = ((key == 0) | ((key == query) & (key > 0)))[:, None]
        # Numbers to add, made once: out of truth values every layer would make its own.
        unseen = EXPORTED_UNSEEN if torch.compiler.is_exporting() else float("-inf")
        return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, unseen)


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with all that is needed to use it. `about` says where it came from."""

    model: StanceModel
    tokenizer: Tokenizer
    encoding: Encoding
    about: dict[str, Any]

    @property
    def knows(self) -> tuple[str, ...]:
        """The labels that it learned: what it says of another is what it was initialised with."""
        return artifact.knows(self.about)


def save(checkpoint: Checkpoint, directory: Path) -> None:
    """Write `model.safetensors`, `config.json`, `tokenizer.json` and, last, `checkpoint.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    checkpoint.model.encoder.config.save_pretrained(directory)
    checkpoint.tokenizer.save(str(directory / "tokenizer.json"))
    state = {name: tensor.contiguous() for name, tensor in checkpoint.model.state_dict().items()}
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    about = {**checkpoint.about, "encoding": checkpoint.encoding.to_json(), "labels": list(LABELS)}
    about["head"] = checkpoint.model.head_kind
    jsonl.write_json(directory / "checkpoint.json", about)


def load(directory: Path, read: Mapping[str, Any] | None = None) -> Checkpoint:
    """Open a checkpoint directory.

    Args:
        directory: that of a checkpoint.
        read: what `about` said of it, where something was concluded from that before.

    Raises:
        StanceError: it is missing, not whole, or its weights do not fit its configuration; or another training took its
            place meanwhile.
    """
    facts = about(directory)
    before = dict(facts) if read is None else read
    encoding = read_encoding(facts.pop("encoding", {}), directory / "checkpoint.json", "train again")
    for name in ("config.json", "tokenizer.json"):
        _document(directory / name)
    kind = facts.get("head", "markers")
    with naming(directory / "config.json", "no configuration of an encoder", AGAIN):
        encoder = encoders.from_config(directory)
    encoders.check_reach(encoder, encoding)
    model = StanceModel(encoder, encoding.layout, head=kind)
    load_weights(model, directory / "model.safetensors")
    with naming(directory / "tokenizer.json", "no tokenizer", AGAIN):
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    if jsonl.dumps(about(directory)) != jsonl.dumps(before):
        raise StanceError(f"{directory}: another training took its place while it was read; run this again")
    return Checkpoint(model.eval(), tokenizer, encoding, facts)


def about(directory: Path) -> dict[str, Any]:
    """The content of a checkpoint's `checkpoint.json`, without opening the weights."""
    path = directory / "checkpoint.json"
    if not path.is_file():
        raise StanceError(f"{path}: missing; expected a checkpoint directory written by scripts/train.py")
    facts = _document(path)
    if facts.get("labels") != list(LABELS):
        raise StanceError(f"{path}: labels {facts.get('labels')}, expected {list(LABELS)}")
    return facts


def _document(path: Path) -> dict[str, Any]:
    """A JSON object that must be there; the libraries that read it say less about what is wrong with it."""
    if not path.is_file():
        raise StanceError(f"{path}: missing from the checkpoint; {AGAIN}")
    return jsonl.document(path, AGAIN)


def start_from(model: StanceModel, pretrained: encoders.Pretrained, directory: Path) -> None:
    """Fill `model`, made of `pretrained`, with a checkpoint's weights that read the same questions in the same way.

    Raises:
        StanceError: they do not fit, or mean something else: heads of one shape may read other states.
    """
    if not directory.is_dir():
        found = "is a file" if directory.exists() else "no such directory"
        raise StanceError(
            f"training.initial={directory}: {found}; expected the directory of a checkpoint or of weights"
        )
    if (directory / "checkpoint.json").is_file():
        there = about(directory)
        theirs = {"head": "markers", "question": "markers"} | there.get("encoding", {}) | there
        own = pretrained.encoding.to_json()
        ours = {"head": model.head_kind, "layout": own["layout"], "question": own["question"]}
        if other := [name for name, kind in ours.items() if theirs.get(name) != kind]:
            given = ", ".join(f"model.{name}={theirs.get(name)}" for name in other)
            here = ", ".join(f"{name} {ours[name]}" for name in other)
            raise StanceError(f"training.initial={directory} was trained with {given}; here it is {here}; set the same")
        special = {name: number for name, number in there.get("encoding", {}).items() if name.endswith("_id")}
        _check_ids({name: own.get(name) for name in special}, special, directory)
    if (file := directory / "tokenizer.json").is_file():
        with naming(file, "no tokenizer", AGAIN):
            vocabulary = Tokenizer.from_file(str(file)).get_vocab()
        _check_ids(pretrained.tokenizer.get_vocab(), vocabulary, directory)
    load_weights(model, directory / "model.safetensors")


def _check_ids(ours: Mapping[str, Any], theirs: Mapping[str, Any], directory: Path) -> None:
    """Refuse weights whose tokens have other numbers: a row of the embeddings would mean another token."""
    if other := [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]:
        raise StanceError(
            f"training.initial={directory} was trained with another tokenizer: {len(other)} tokens differ, first "
            f"{other[0]!r} (there {theirs.get(other[0])}, here {ours.get(other[0])}); choose the model.name of it"
        )


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a safetensors file that must fit it exactly."""
    if not path.is_file():
        raise StanceError(f"{path}: missing from the checkpoint; {AGAIN}")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise StanceError(f"{path}: truncated or not a safetensors file ({error}); train again") from error
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(state)) or [k for k in own if own[k].shape != state[k].shape]
    if wrong:
        found = tuple(state[wrong[0]].shape) if wrong[0] in state else "nothing"
        expected = tuple(own[wrong[0]].shape) if wrong[0] in own else "nothing"
        raise StanceError(
            f"{path}: a checkpoint of another architecture: {len(wrong)} tensors differ, first {wrong[0]!r} "
            f"(expected {expected}, found {found}); choose the model group that it was trained with"
        )
    model.load_state_dict(state)
