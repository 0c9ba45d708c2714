"""One model out of several: the mean of their weights, which costs no more to ask than one of them.

The mean of their answers, which costs as much as all of them, is `stance.training.teacher`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from stance.artifact import knows
from stance.errors import StanceError
from stance.files import resolved, sha256
from stance.network import model
from stance.network.model import Checkpoint
from stance.training import ancestry

NAMES = frozenset({"transformers_version", "dtype", "torch_dtype"})
"""Entries of an encoder's configuration that mean nothing for its weights."""


def average(folders: Sequence[Path]) -> Checkpoint:
    """The mean of the weights of checkpoints: a model soup (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482).

    Weights that began as the same ones, head included, lie close enough for their mean to be a model: those of further
    epochs of one checkpoint with other seeds, say. The dataset, the run and the scores are for the caller to add.

    Raises:
        StanceError: fewer than two checkpoints, one of them twice, or their weights do not mean the same.
    """
    if len({resolved(folder) for folder in folders}) != len(folders) or len(folders) < 2:
        raise StanceError(f"checkpoints={list(map(str, folders))}: expected two different checkpoints or more")
    first = model.load(folders[0])
    total = {name: _wide(tensor) for name, tensor in first.model.state_dict().items()}
    abouts = [first.about]
    for folder in folders[1:]:
        other = model.load(folder)
        for what, one, another in _differences(first, other):
            raise StanceError(
                f"{folder}: {what} is {another}, that of {folders[0]} is {one}: their weights do not mean the same; "
                "give checkpoints that began with the same weights (training.initial)"
            )
        for name, tensor in other.model.state_dict().items():
            total[name] += _wide(tensor) if tensor.is_floating_point() else 0
        abouts.append(other.about)
    first.model.load_state_dict({n: t / len(folders) if t.is_floating_point() else t for n, t in total.items()})
    return Checkpoint(first.model, first.tokenizer, first.encoding, _together(folders, abouts))


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor.clone()


def _differences(one: Checkpoint, other: Checkpoint) -> Iterator[tuple[str, Any, Any]]:
    """What of two checkpoints decides what their weights mean and differs: its name, there and here."""
    for what, ours, theirs in (
        ("model.head", {"": one.model.head_kind}, {"": other.model.head_kind}),
        ("encoding", one.encoding.to_json(), other.encoding.to_json()),
        ("config.json", _architecture(one), _architecture(other)),
        ("tokenizer.json", one.tokenizer.get_vocab(), other.tokenizer.get_vocab()),
        ("learned labels", {"": one.knows}, {"": other.knows}),
        ("model.safetensors", _shapes(one), _shapes(other)),
    ):
        for key in sorted({*ours, *theirs}):
            if ours.get(key) != theirs.get(key):
                yield f"{what} {key}".strip(), ours.get(key), theirs.get(key)


def _architecture(checkpoint: Checkpoint) -> dict[str, Any]:
    facts = checkpoint.model.encoder.config.to_dict()
    return {k: v for k, v in facts.items() if k not in NAMES and not k.startswith("_") and "drop" not in k}


def _shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in checkpoint.model.state_dict().items()}


def _together(folders: Sequence[Path], abouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the parts say of themselves, said of all of them."""
    return {
        "model": abouts[0].get("model", {}),
        "knows": list(knows(abouts[0])),
        "ancestors": ancestry.datasets(folders),
        "learned_from": ancestry.corpora(folders),
        "averaged": [
            {
                "weights": sha256(folder / "model.safetensors"),
                "train_run": str(about.get("train_run", "")),
                "training": about.get("training", {}),
                "validation": about.get("validation", {}),
            }
            for folder, about in zip(folders, abouts, strict=True)
        ],
    }
