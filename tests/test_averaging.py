"""The mean of the weights of several checkpoints: what it is, what is refused, and the script."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from conftest import script
from stance.errors import StanceError
from stance.files import sha256
from stance.network import encoders, inference, model
from stance.network.model import Checkpoint, StanceModel
from stance.records import LABELS
from stance.settings.training import TrainingConfig
from stance.training import averaging, finetuning
from tiny import one_thread  # noqa: F401

TRAIN = tiny.examples(60)
POLAR = ("oppose", "support")
HELD = [replace(row, labels=POLAR) if row.stance in POLAR else row for row in tiny.examples(24, seed=1)]
PARTS = {"train": TRAIN, "validation": HELD}
RECIPE = TrainingConfig(epochs=1, learning_rate=1e-3, precision="fp32", frozen_layers=0)


def checkpoint(encoder: Path, folder: Path, *, head: str = "markers", about: dict[str, object] | None = None) -> Path:
    """A model that nothing trained, saved."""
    pretrained = encoders.load(tiny.config(name=str(encoder), head=head))
    made = StanceModel(pretrained.encoder, pretrained.encoding.layout, head=head)
    model.save(Checkpoint(made, pretrained.tokenizer, pretrained.encoding, about or {}), folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset; a checkpoint of it; and two that began with its weights and saw its examples in other orders."""
    root = tmp_path_factory.mktemp("averaging")
    data = tiny.dataset(root / "dataset", PARTS | {"test": []})
    found = json.loads((data / "manifest.json").read_text("utf-8"))["sha256"]
    chosen = tiny.config(name=str(tiny.folder("bert", root / "encoder")))
    about = {"dataset_sha256": found, "learned_from": ["jsonl:toy"]}
    for name, recipe in {
        "first": replace(RECIPE, epochs=3),
        "one": replace(RECIPE, initial=str(root / "first"), seed=2),
        "two": replace(RECIPE, initial=str(root / "first"), seed=3),
    }.items():
        finetuning.train(PARTS, chosen, recipe, output=root / name, about=about | {"train_run": name})
    return root


def test_every_weight_is_the_mean_and_the_parts_are_named(place: Path) -> None:
    folders = [place / "one", place / "two", place / "first"]
    states = [model.load(folder).model.state_dict() for folder in folders]
    made = averaging.average(folders)
    for name, tensor in made.model.state_dict().items():
        given = [state[name] for state in states]
        assert tensor.dtype == given[0].dtype
        assert torch.allclose(tensor, sum(given) / 3, atol=1e-6), name
    assert not torch.equal(states[0]["head.0.weight"], states[1]["head.0.weight"]), "they differ, so this shows it"
    about = made.about
    assert about["ancestors"] == [model.about(place / "one")["dataset_sha256"]]
    assert (about["learned_from"], about["knows"]) == (["jsonl:toy"], ["oppose", "neutral", "support"])
    assert [part["train_run"] for part in about["averaged"]] == ["one", "two", "first"]
    assert [part["weights"] for part in about["averaged"]] == [sha256(f / "model.safetensors") for f in folders]
    assert "job" not in about, "no training may take it for its own"


@pytest.mark.parametrize("names", [[], ["one"], ["one", "two", "one"], ["one", "../averaging/one"]])
def test_less_than_two_checkpoints_or_one_twice_are_refused(place: Path, names: list[str]) -> None:
    with pytest.raises(StanceError, match=r"^checkpoints=\[.*\]: expected two different checkpoints or more$"):
        averaging.average([place / name if ".." not in name else place / ".." / place.name / "one" for name in names])


def test_weights_that_mean_something_else_are_refused(place: Path, tmp_path: Path) -> None:
    encoder, here = place / "encoder", re.escape(str(tmp_path))
    plain = checkpoint(encoder, tmp_path / "plain")
    others = {
        "model.head is span_mean": checkpoint(encoder, tmp_path / "mean", head="span_mean"),
        "config.json model_type is mpnet|encoding": checkpoint(
            tiny.folder("mpnet", tmp_path / "m"), tmp_path / "mpnet"
        ),
        "learned labels is": checkpoint(encoder, tmp_path / "two", about={"knows": ["oppose", "support"]}),
        r"config\.json num_attention_heads is 4": checkpoint(
            tiny.folder("bert", tmp_path / "heads", num_attention_heads=4), tmp_path / "four"
        ),
    }
    for said, other in others.items():
        with pytest.raises(StanceError, match=rf"^{here}/\w+: ({said}).*, that of {here}/plain is .*training\.initial"):
            averaging.average([plain, other])
    swapped = Path(shutil.copytree(plain, tmp_path / "swapped"))
    text = (swapped / "tokenizer.json").read_text("utf-8")
    words = json.loads(text)
    vocabulary = words["model"]["vocab"]
    vocabulary["ghani"], vocabulary["pakistan"] = vocabulary["pakistan"], vocabulary["ghani"]
    (swapped / "tokenizer.json").write_text(json.dumps(words), "utf-8")
    with pytest.raises(StanceError, match=r"/swapped: tokenizer\.json ghani is \d+, that of .*/plain is \d+: "):
        averaging.average([plain, swapped])


@pytest.mark.usefixtures("fresh_store")
def test_the_script_scores_the_mean_and_keeps_where_it_came_from(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"dataset={place}/dataset", f"checkpoints=[{place}/one,{place}/two]", f"output={tmp_path}/mean"]
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    found = script("average").main([*given, store])
    made = model.load(tmp_path / "mean")
    logits = inference.logits(made, [row.pair() for row in HELD])
    asked = [[0, 2] if row.labels == POLAR else [0, 1, 2] for row in HELD]
    answers = [max(some, key=values.tolist().__getitem__) for some, values in zip(asked, logits, strict=True)]
    assert answers != logits.argmax(1).tolist(), "corpora that know two labels are there to be seen"
    right = [LABELS[answer] == row.stance for answer, row in zip(answers, HELD, strict=True)]
    assert made.about["validation"]["accuracy"] == pytest.approx(np.mean(right))
    assert made.about["validation"]["macro_f1"] == found
    assert made.about["train_run"]
    out = capsys.readouterr().out
    assert re.search(r"validation macro-F1 0\.\d{3}; of what it is the mean of: \d\.\d{3}, \d\.\d{3}$", out.strip())
    assert [p.name for p in tmp_path.glob("*mean*")] == ["mean"]


@pytest.mark.usefixtures("fresh_store")
def test_an_average_that_is_worse_than_all_of_its_parts_is_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        facts = model.about(Path(shutil.copytree(place / name, tmp_path / name)))
        facts["validation"]["macro_f1"] = 1.5
        (tmp_path / name / "checkpoint.json").write_text(json.dumps(facts), "utf-8")
    given = [f"dataset={place}/dataset", f"checkpoints=[{tmp_path}/one,{tmp_path}/two]", f"output={tmp_path}/mean"]
    script("average").main([*given, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"])
    assert "less than each of its parts (1.500 and more): weights average where they began" in capsys.readouterr().err


def test_parts_of_another_dataset_and_an_output_among_them_are_refused(place: Path, tmp_path: Path) -> None:
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    other = tiny.dataset(tmp_path / "other", {"train": TRAIN[2:], "validation": HELD, "test": []})
    parts = f"checkpoints=[{place}/one,{place}/two]"
    with pytest.raises(StanceError, match=r"^\S+/one: .* name the dataset of the training or train again$"):
        script("average").main([f"dataset={other}", parts, f"output={tmp_path}/mean", store])
    with pytest.raises(StanceError, match=r"/one: is read as part of .*/one; nothing was overwritten"):
        script("average").main([f"dataset={place}/dataset", parts, f"output={place}/one", store])
    with pytest.raises(StanceError, match="expected two different checkpoints or more"):
        script("average").main([f"dataset={place}/dataset", f"output={tmp_path}/mean", store])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"], "no run was begun for any of them"
