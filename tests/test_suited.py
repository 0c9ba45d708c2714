"""Settings that are left to the encoder: its width decides the learning rate and how many layers are frozen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from transformers import CLIPConfig

import tiny
from conftest import Workplace
from stance.errors import StanceError
from stance.network import encoders
from stance.settings.training import LoraConfig, ModelConfig, TrainingConfig
from stance.training import finetuning
from stance.training.recipe import doubt, suited

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}


@pytest.mark.parametrize(
    ("width", "rate", "frozen"), [(312, 2e-4, None), (384, 2e-4, None), (512, 3e-5, 0), (768, 3e-5, 0), (1024, 3e-5, 0)]
)
def test_the_width_decides(width: int, rate: float, frozen: int | None) -> None:
    found = suited(TrainingConfig(), width)
    assert (found.learning_rate, found.frozen_layers) == (rate, frozen)
    assert replace(found, learning_rate=None, frozen_layers=None) == TrainingConfig()
    assert suited(found, 384) == found  # what is settled stays


@pytest.mark.parametrize(("width", "rate"), [(384, 1e-3), (768, 1.5e-4)])
def test_adapters_take_five_times_the_rate(width: int, rate: float) -> None:
    assert suited(TrainingConfig(lora=LoraConfig(rank=8)), width).learning_rate == pytest.approx(rate)
    assert suited(TrainingConfig(lora=LoraConfig(rank=8), learning_rate=1e-4), width).learning_rate == 1e-4


@pytest.mark.parametrize("width", [384, 768])
def test_what_is_given_stays(width: int) -> None:
    given = TrainingConfig(learning_rate=7e-5, frozen_layers=1)
    assert suited(given, width) == given


@pytest.mark.parametrize(("width", "rate", "rank", "said"), [
    (768, 1e-4, 0, True), (768, 8e-5, 0, False), (768, 1e-3, 8, False), (384, 2e-4, 0, False), (512, 2e-4, 0, True),
])  # fmt: skip
def test_a_rate_of_the_small_encoder_is_doubted_for_a_wide_one(width: int, rate: float, rank: int, said: bool) -> None:
    text = doubt(TrainingConfig(learning_rate=rate, lora=LoraConfig(rank=rank)), width)
    assert text.startswith(f"training.learning_rate={rate:g} suits the small encoder") == said
    assert bool(text) == said


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_every_architecture_tells_its_width(kind: str, tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder(kind, tmp_path / "encoder")))
    known, encoder = encoders.pretrained_config(config), encoders.load(config).encoder
    assert known.hidden_size == encoder.config.hidden_size == 32


def test_a_wide_encoder_trains_all_its_layers_slowly(tmp_path: Path) -> None:
    folder = tiny.folder("bert", tmp_path / "encoder", hidden_size=512, num_hidden_layers=3)
    config = tiny.config(name=str(folder))
    trainer, _ = finetuning.assemble(SPLITS, config, TrainingConfig(precision="fp32"), work=tmp_path / "work")
    assert trainer.args.learning_rate == trainer.recipe.learning_rate == 3e-5
    layers = trainer.model.encoder.encoder.layer
    assert all(parameter.requires_grad for layer in layers for parameter in layer.parameters())
    assert trainer.model.encoder.get_input_embeddings().weight.requires_grad


def test_a_small_encoder_does_not(tmp_path: Path) -> None:
    config = tiny.config(name=str(tiny.folder("bert", tmp_path / "encoder", num_hidden_layers=3)))
    trainer, _ = finetuning.assemble(SPLITS, config, TrainingConfig(precision="fp32"), work=tmp_path / "work")
    assert trainer.args.learning_rate == trainer.recipe.learning_rate == 2e-4
    layers = trainer.model.encoder.encoder.layer
    assert [all(p.requires_grad for p in layer.parameters()) for layer in layers] == [False, True, True]


def test_the_run_and_the_checkpoint_tell_the_rate_that_was_taken(trained: Workplace) -> None:
    about = json.loads((trained.checkpoint / "checkpoint.json").read_text("utf-8"))
    run = MlflowClient(trained.uri).get_run(about["train_run"])
    assert about["training"]["learning_rate"] == 2e-4
    assert float(run.data.params["training.learning_rate"]) == 2e-4


@pytest.mark.parametrize("name", ["no/such/folder", pytest.param("nowhere", marks=pytest.mark.slow)])
def test_an_encoder_that_is_not_there_is_named(name: str, no_network: list[object]) -> None:
    with pytest.raises(StanceError, match=rf"model\.name={name}: cannot load it"):
        encoders.pretrained_config(ModelConfig(name=name))


def test_a_model_that_is_no_text_encoder_is_named(tmp_path: Path) -> None:
    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(StanceError, match=r": a clip model is no text encoder"):
        encoders.pretrained_config(ModelConfig(name=str(tmp_path)))
