"""Frozen layers: the lowest keep their pretrained weights, all others learn."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from stance.errors import StanceError
from stance.network import model as models
from stance.network.encoders import load
from stance.settings.training import LoraConfig, TrainingConfig
from stance.training import engine, finetuning
from tiny import one_thread  # noqa: F401

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}
RECIPE = TrainingConfig(epochs=1, learning_rate=1e-2, tokens_per_batch=128, precision="fp32", frozen_layers=1)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "mpnet", "modernbert", "roberta"])
def test_the_lowest_layer_and_the_embeddings_stay_and_all_others_learn(kind: str, tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder(kind, tmp_path / "encoder")))
    result = finetuning.train(SPLITS, config, RECIPE, output=tmp_path / "checkpoint", about={})
    old = load(config).encoder.state_dict()
    new = models.load(result.checkpoint).model.encoder.state_dict()
    moved = {name for name in new if not torch.equal(new[name], old[name])}
    upper = {name for name in new if ".1." in name or name.startswith("layers.1.")}
    assert upper
    assert {name for name in upper if name.endswith("weight")} <= moved <= upper
    assert result.trained_share == pytest.approx(_share(result.checkpoint, upper))


def _share(checkpoint: Path, learning: set[str]) -> float:
    """The share of the parameters that are in `learning`, or in the head."""
    model = models.load(checkpoint).model
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    kept = sum(size for name, size in sizes.items()
               if name.startswith("head.") or name.removeprefix("encoder.") in learning)  # fmt: skip
    return kept / sum(sizes.values())


def test_no_work_is_done_below_the_first_layer_that_learns(tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder("bert", tmp_path / "encoder")))
    trainer, pretrained = finetuning.assemble(SPLITS, config, RECIPE, work=tmp_path / "work")
    asked = []
    layers = pretrained.encoder.encoder.layer
    layers[0].register_forward_hook(lambda layer, inputs, output: asked.append(output.requires_grad))
    layers[1].register_forward_hook(lambda layer, inputs, output: asked.append(output.requires_grad))
    trainer.train()
    assert asked[:2] == [False, True]


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder("bert", tmp_path / "encoder")))
    recipe = replace(RECIPE, epochs=3)
    whole = finetuning.train(SPLITS, config, recipe, output=tmp_path / "whole", about={})

    def cut(metrics: Mapping[str, float], step: int) -> None:
        if step >= 11:  # in the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetuning.train(SPLITS, config, recipe, output=tmp_path / "cut", about={}, sink=cut, resume="auto")
    again = finetuning.train(SPLITS, config, recipe, output=tmp_path / "cut", about={}, resume="auto")
    states = [models.load(result.checkpoint).model.state_dict() for result in (whole, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("layers", [2, 7])
def test_all_layers_frozen_is_refused(layers: int, tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder("bert", tmp_path / "encoder")))
    with pytest.raises(StanceError, match=rf"frozen_layers={layers}: the bert encoder has 2 layers; expected fewer"):
        finetuning.train(SPLITS, config, replace(RECIPE, frozen_layers=layers), output=tmp_path / "c", about={})


@pytest.mark.parametrize(("layers", "frozen"), [(2, 0), (3, 1), (6, 2), (12, 4)])
def test_by_default_a_third_is_frozen(layers: int, frozen: int) -> None:
    encoder = tiny.encoder("bert", tiny.tokenizer("bert"), num_hidden_layers=layers)
    engine.freeze_layers(encoder, TrainingConfig().frozen_layers)
    learning = [all(p.requires_grad for p in layer.parameters()) for layer in encoder.encoder.layer]
    assert learning == [False] * frozen + [True] * (layers - frozen)
    assert encoder.get_input_embeddings().weight.requires_grad == (not frozen)


def test_a_negative_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"training.frozen_layers=-1: must not be negative"):
        finetuning.train(SPLITS, tiny.config(), replace(RECIPE, frozen_layers=-1), output=tmp_path / "c", about={})


def test_adapters_are_in_every_layer_all_the_same(tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder("bert", tmp_path / "encoder")))
    adapted = [
        finetuning.assemble(
            SPLITS, config, replace(RECIPE, frozen_layers=layers, lora=LoraConfig(rank=2)), work=tmp_path
        )
        for layers in (0, 1)
    ]
    learning = [{n for n, p in trainer.model.named_parameters() if p.requires_grad} for trainer, _ in adapted]
    assert learning[0] == learning[1]
    assert any("layer.0." in name for name in learning[1])
