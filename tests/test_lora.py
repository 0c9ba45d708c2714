"""Adapters: few parameters are trained, and after merging nothing shows that there were any."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

import tiny
from stance import export
from stance.errors import StanceError
from stance.network import inference, lora
from stance.network import model as models
from stance.network.encoders import load
from stance.network.model import Checkpoint
from stance.predictor import StancePredictor
from stance.records import LABELS
from stance.settings.scoring import ExportConfig
from stance.settings.training import LoraConfig, TrainingConfig
from stance.training import finetuning
from stance.training.finetuning import Result
from tiny import one_thread  # noqa: F401

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}
RECIPE = TrainingConfig(
    epochs=3, learning_rate=1e-2, tokens_per_batch=128, precision="fp32", lora=LoraConfig(rank=2, dropout=0.1)
)
KINDS = ("bert", "roberta", "mpnet", "modernbert")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny encoder of a kind."""
    root = tmp_path_factory.mktemp("encoders")
    return lambda kind: str(root / kind if (root / kind).exists() else tiny.folder(kind, root / kind))


def train(encoder: str, output: Path, recipe: TrainingConfig = RECIPE, **others: Any) -> Result:
    return finetuning.train(SPLITS, tiny.config(name=encoder, dropout=0.1), recipe, output=output, about={}, **others)


@pytest.fixture(scope="module", params=KINDS)
def trained(
    request: pytest.FixtureRequest, encoder: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Result]:
    """An encoder and what a training with adapters made of it."""
    folder = encoder(request.param)
    return folder, train(folder, tmp_path_factory.mktemp(request.param) / "checkpoint")


def test_few_parameters_are_trained(trained: tuple[str, Result]) -> None:
    # The head of a tiny model is as large as a layer; in a real one it is a hundredth.
    _, result = trained
    assert 0.05 < result.trained_share < 0.2


def test_everything_learns_but_the_embeddings_of_all_words(trained: tuple[str, Result]) -> None:
    folder, result = trained
    before = load(tiny.config(name=folder))
    after = models.load(result.checkpoint)
    embeddings = [model.get_input_embeddings().weight for model in (before.encoder, after.model.encoder)]
    moved = (embeddings[0] != embeddings[1]).any(1).nonzero().flatten().tolist()
    assert moved == sorted([after.encoding.actor_id, after.encoding.target_id])
    old, new = before.encoder.state_dict(), after.model.encoder.state_dict()
    changed = {name for name, tensor in new.items() if not torch.equal(tensor, old[name])}
    linear = {f"{name}.weight" for name, module in after.model.encoder.named_modules()
              if isinstance(module, torch.nn.Linear) and not name.startswith("pooler")}  # fmt: skip
    words = {name for name in new if name.endswith(("word_embeddings.weight", "tok_embeddings.weight"))}
    assert len(words) == 1
    assert changed == linear | words


def test_the_head_is_trained(encoder: Callable[[str], str], tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1)
    model = tiny.config(name=encoder("bert"))
    trainer, _ = finetuning.assemble(SPLITS, model, recipe, work=tmp_path / "work")
    before = [parameter.clone() for parameter in trainer.model.head.parameters()]
    trainer.train()
    assert not any(torch.equal(a, b) for a, b in zip(before, trainer.model.head.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_merged_weights_give_the_logits_of_the_adapters(
    kind: str, encoder: Callable[[str], str], tmp_path: Path
) -> None:
    trainer, pretrained = finetuning.assemble(SPLITS, tiny.config(name=encoder(kind)), RECIPE, work=tmp_path / "work")
    start = trainer.model.eval()
    untrained = logits(start, pretrained)
    trainer.train()
    adapted = logits(trainer.model.eval(), pretrained)
    trainer.model.encoder = lora.merge(trainer.model.encoder)
    assert np.abs(logits(trainer.model, pretrained) - adapted).max() < 1e-5
    assert np.abs(untrained - adapted).max() > 0.1
    assert not any("lora" in name for name in trainer.model.state_dict())


def logits(model: Any, pretrained: Any) -> Any:
    return inference.logits(
        Checkpoint(model, pretrained.tokenizer, pretrained.encoding, {}), [e.pair() for e in SPLITS["validation"]]
    )


def test_the_checkpoint_is_that_of_the_best_epoch(trained: tuple[str, Result]) -> None:
    _, result = trained
    chosen = inference.logits(models.load(result.checkpoint), [e.pair() for e in SPLITS["validation"]]).argmax(1)
    truth = [LABELS.index(example.stance) for example in SPLITS["validation"]]
    expected = f1_score(truth, chosen, labels=[0, 1, 2], average="macro", zero_division=0)
    assert result.scores["macro_f1"] == pytest.approx(expected)
    assert expected == max(entry["eval_macro_f1"] for entry in result.history if "eval_macro_f1" in entry)


@pytest.mark.slow
def test_the_checkpoint_exports(encoder: Callable[[str], str], tmp_path: Path) -> None:
    source = train(encoder("bert"), tmp_path / "checkpoint", replace(RECIPE, epochs=1)).checkpoint
    settings = ExportConfig(max_label_changes=1.0)
    export.write(source, SPLITS["validation"], settings, output=tmp_path / "artifact", about={})
    predictor = StancePredictor.load(tmp_path / "artifact", precision="fp32")
    answers = predictor.predict([example.pair() for example in SPLITS["validation"]])
    expected = inference.logits(models.load(source), [e.pair() for e in SPLITS["validation"]]).argmax(1)
    assert [LABELS.index(answer.stance) for answer in answers] == expected.tolist()


def test_a_resumed_training_of_adapters_ends_with_the_same_weights(
    encoder: Callable[[str], str], tmp_path: Path
) -> None:
    whole = train(encoder("bert"), tmp_path / "whole")
    finished = 0

    def sink(metrics: Mapping[str, float], step: int) -> None:
        nonlocal finished
        if finished == 1:
            raise KeyboardInterrupt
        finished += "validation_macro_f1" in metrics

    with pytest.raises(KeyboardInterrupt):
        train(encoder("bert"), tmp_path / "parts", sink=sink)
    parts = train(encoder("bert"), tmp_path / "parts", resume="auto")
    first, second = (result.checkpoint / "model.safetensors" for result in (whole, parts))
    assert first.read_bytes() == second.read_bytes()


def test_named_targets_alone_get_adapters(encoder: Callable[[str], str]) -> None:
    pretrained = load(tiny.config(name=encoder("bert")))
    adapted = lora.adapt(pretrained.encoder, LoraConfig(rank=2, targets=["query", "value"]), [1, 2])
    found = {name.split(".lora_A")[0].rpartition(".")[2] for name, _ in adapted.named_parameters() if "lora_A" in name}
    assert found == {"query", "value"}


def test_an_unknown_target_is_refused_with_the_layers_there_are(encoder: Callable[[str], str]) -> None:
    pretrained = load(tiny.config(name=encoder("bert")))
    with pytest.raises(StanceError, match=r"no linear layer of this bert encoder is called q_proj; .*dense, key"):
        lora.adapt(pretrained.encoder, LoraConfig(rank=2, targets=["q_proj", "value"]), [1, 2])
    with pytest.raises(StanceError, match=r"no linear layer of this bert encoder is called q_proj"):
        lora.adapt(pretrained.encoder, LoraConfig(rank=2, targets=["all-linear", "q_proj"]), [1, 2])


@pytest.mark.parametrize(
    ("setting", "value"), [("rank", -1), ("alpha", 0.0), ("dropout", 1.0), ("dropout", -0.1), ("targets", [])]
)
def test_an_adapter_setting_without_meaning_is_refused(setting: str, value: object) -> None:
    with pytest.raises(StanceError, match=setting):
        lora.check(LoraConfig(**{"rank": 4, setting: value}))  # type: ignore[arg-type]


def test_a_rank_above_the_width_of_the_encoder_is_refused(encoder: Callable[[str], str]) -> None:
    pretrained = load(tiny.config(name=encoder("bert")))
    width = pretrained.encoder.config.hidden_size
    with pytest.raises(StanceError, match=rf"training\.lora\.rank={width + 1}: expected at most {width}, "):
        lora.adapt(pretrained.encoder, LoraConfig(rank=width + 1), [1, 2])


def test_without_rank_all_weights_but_an_unused_pooler_are_trained(
    encoder: Callable[[str], str], tmp_path: Path
) -> None:
    trainer, _ = finetuning.assemble(
        SPLITS, tiny.config(name=encoder("bert")), replace(RECIPE, lora=LoraConfig()), work=tmp_path / "work"
    )
    frozen = {name for name, parameter in trainer.model.named_parameters() if not parameter.requires_grad}
    assert frozen == {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
