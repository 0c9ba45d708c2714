"""The network on every architecture: it learns, answers by direction, ignores padding and company, is kept whole."""

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from stance.encoding import PairEncoder, collate
from stance.errors import StanceError
from stance.network import encoders
from stance.network import model as models
from stance.network.model import Checkpoint, StanceModel
from stance.records import LABELS, Pair
from tiny import one_thread  # noqa: F401

TEXT = "Pakistan welcomed the peace initiative while Ghani rejected the ceasefire , officials said ."
LONG = TEXT + " Russia discussed the interim government after talks on Monday ."
PAIRS = [
    Pair(TEXT, "Pakistan", "the peace initiative"),
    Pair(TEXT, "Ghani", "the ceasefire"),
    Pair(TEXT, "Pakistan", "the ceasefire"),
    Pair(TEXT, "Kabul", "the interim government"),  # not printed in the passage
]


@cache
def checkpoint(kind: str, *, layout: str = "auto", seed: int = 0) -> Checkpoint:
    """An untrained model of an architecture, ready to score; shared, so never trained itself."""
    tokens = tiny.tokenizer(kind)
    config = tiny.config(layout=layout)
    pretrained = encoders.prepare(tiny.encoder(kind, tokens, seed=seed), tokens, config)
    torch.manual_seed(seed)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, 0.0).eval()
    return Checkpoint(model, pretrained.tokenizer, pretrained.encoding, {"train_run": "toy"})


@pytest.fixture(scope="module", params=tiny.KINDS)
def toy(request: pytest.FixtureRequest) -> Checkpoint:
    """Each architecture in turn."""
    return checkpoint(request.param)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory; copy it before changing it."""
    path = tmp_path_factory.mktemp("saved") / "checkpoint"
    models.save(checkpoint("bert"), path)
    return path


def inputs(toy: Checkpoint, pairs: Sequence[Pair]) -> tuple[dict[str, Tensor], list[list[int]]]:
    """One batch for `pairs`, and which pairs each row holds."""
    rows, _ = PairEncoder(toy.tokenizer, toy.encoding).encode(pairs)
    batch = {k: torch.from_numpy(v) for k, v in collate(rows, toy.encoding.pad_id).items()}
    return batch, [row.pairs for row in rows]


def score(toy: Checkpoint, pairs: Sequence[Pair]) -> Tensor:
    """Logits `(pairs, 3)`, all rows in one batch."""
    batch, members = inputs(toy, pairs)
    with torch.inference_mode():
        logits = toy.model(**batch)
    scores = torch.zeros(len(pairs), len(LABELS))
    for row, indices in zip(logits, members, strict=True):
        scores[indices] = row[: len(indices)]
    return scores


def test_a_step_lowers_the_loss_with_finite_gradients(toy: Checkpoint) -> None:
    batch, _ = inputs(toy, PAIRS)
    fresh = copy.deepcopy(toy.model).train()
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.05)
    labels = torch.tensor([0, 1, 2, 0]).reshape(batch["markers"].shape[:2])

    def loss() -> Tensor:
        return torch.nn.functional.cross_entropy(fresh(**batch).flatten(0, 1), labels.flatten())

    before = loss()
    before.backward()
    gradients = {name: p.grad for name, p in fresh.named_parameters() if p.grad is not None}
    assert all(torch.isfinite(g).all() for g in gradients.values())
    words = fresh.encoder.get_input_embeddings().weight.grad
    assert words is not None
    assert words[toy.encoding.actor_id].abs().max() > 0
    optimizer.step()
    assert loss() < before


def test_swapping_actor_and_target_changes_the_answer(toy: Checkpoint) -> None:
    there, back = score(toy, [PAIRS[0], Pair(TEXT, "the peace initiative", "Pakistan")])
    assert (there - back).abs().max() > 1e-3


def test_the_answer_depends_on_what_the_passage_says(toy: Checkpoint) -> None:
    other = TEXT.replace("welcomed", "rejected", 1)
    changed = score(toy, [PAIRS[0], replace(PAIRS[0], text=other)])
    assert (changed[0] - changed[1]).abs().max() > 1e-4


def test_padding_does_not_change_the_answer(toy: Checkpoint) -> None:
    alone = score(toy, PAIRS[:1])
    beside_a_longer_one = score(toy, [PAIRS[0], Pair(LONG, "Russia", "the interim government")])
    assert torch.allclose(alone[0], beside_a_longer_one[0], atol=1e-5)


@settings(max_examples=25)
@given(kind=st.sampled_from(tiny.ONE_PASS), order=st.permutations(range(4)), count=st.integers(1, 4))
def test_a_pairs_answer_does_not_depend_on_its_company(kind: str, order: list[int], count: int) -> None:
    toy = checkpoint(kind)
    chosen = order[:count]
    together = score(toy, [PAIRS[i] for i in chosen])
    for place, index in enumerate(chosen):
        alone = score(toy, [PAIRS[index]])
        assert torch.allclose(together[place], alone[0], atol=1e-5)


def test_pairs_of_one_passage_share_one_row_in_one_pass_only() -> None:
    _, together = inputs(checkpoint("bert"), PAIRS)
    _, apart = inputs(checkpoint("bert", layout="pair"), PAIRS)
    assert together == [[0, 1, 2, 3]]
    assert apart == [[0], [1], [2], [3]]


def test_a_block_reads_no_other_block_and_the_passage_reads_no_block() -> None:
    toy = checkpoint("bert")
    batch, _ = inputs(toy, PAIRS[:2])
    states = []
    for token in (20, 21):
        changed = {k: v.clone() for k, v in batch.items()}
        changed["input_ids"][batch["block_ids"] == 2] = token
        encoder_inputs = {
            "input_ids": changed["input_ids"],
            "position_ids": changed["position_ids"],
            "attention_mask": toy.model._mask(changed["block_ids"]),
        }
        with torch.inference_mode():
            states.append(toy.model.encoder(**encoder_inputs).last_hidden_state)
    own = batch["block_ids"] == 2
    assert torch.allclose(states[0][~own], states[1][~own], atol=1e-6)
    assert not torch.allclose(states[0][own], states[1][own], atol=1e-3)


def test_a_saved_checkpoint_scores_the_same_after_loading(toy: Checkpoint, tmp_path: Path) -> None:
    models.save(toy, tmp_path / "checkpoint")
    again = models.load(tmp_path / "checkpoint")
    assert torch.equal(score(again, PAIRS), score(toy, PAIRS))
    assert again.encoding == toy.encoding
    assert again.about["train_run"] == "toy"
    assert again.tokenizer.to_str() == toy.tokenizer.to_str()


def test_a_loaded_checkpoint_does_not_drop_out(tmp_path: Path) -> None:
    models.save(checkpoint("bert"), tmp_path / "checkpoint")
    again = models.load(tmp_path / "checkpoint")
    assert torch.equal(score(again, PAIRS), score(again, PAIRS))


def test_a_checkpoint_holds_no_pickle(saved: Path) -> None:
    assert {path.suffix for path in saved.iterdir()} == {".json", ".safetensors"}


def damaged(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "damaged"))


def test_a_checkpoint_of_another_architecture_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = damaged(saved, tmp_path)
    models.save(checkpoint("roberta"), tmp_path / "roberta")
    shutil.copy(tmp_path / "roberta" / "model.safetensors", folder)
    with pytest.raises(StanceError, match=r"checkpoint of another architecture: \d+ tensors differ.*expected .* found"):
        models.load(folder)


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, load = damaged(saved, tmp_path), models.load_weights
    facts, said = folder / "checkpoint.json", models.about(folder)
    assert models.load(folder, said).about["train_run"] == "toy"

    def meanwhile(model: StanceModel, path: Path) -> None:
        load(model, path)
        facts.write_text(json.dumps(json.loads(facts.read_text("utf-8")) | {"train_run": "another"}), "utf-8")

    monkeypatch.setattr(models, "load_weights", meanwhile)
    with pytest.raises(StanceError, match="another training took its place while it was read; run this again"):
        models.load(folder)
    monkeypatch.undo()
    with pytest.raises(StanceError, match=f"{folder.name}: another training took its place"):
        models.load(folder, said)
    assert models.load(folder).about["train_run"] == "another"


def test_weights_that_learned_other_tokens_are_no_beginning(saved: Path, tmp_path: Path) -> None:
    toy, folder = checkpoint("bert"), damaged(saved, tmp_path)
    model = copy.deepcopy(toy.model)
    pretrained = encoders.Pretrained(model.encoder, toy.tokenizer, toy.encoding)
    models.start_from(model, pretrained, folder)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    one, other = sorted(vocabulary)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(StanceError, match=f"was trained with another tokenizer: 2 tokens differ, first {one!r}"):
        models.start_from(model, pretrained, folder)
    (folder / "tokenizer.json").unlink()
    models.start_from(model, pretrained, folder)
    about = json.loads((folder / "checkpoint.json").read_text("utf-8"))
    about["encoding"]["pad_id"] += 1
    (folder / "checkpoint.json").write_text(json.dumps(about), "utf-8")
    with pytest.raises(StanceError, match=r"tokenizer: 1 tokens differ, first 'pad_id' \(there \d+, here \d+\)"):
        models.start_from(model, pretrained, folder)


def test_a_checkpoint_of_another_size_is_refused(saved: Path) -> None:
    tokens = tiny.tokenizer("bert")
    wide = encoders.prepare(tiny.encoder("bert", tokens, hidden_size=64), tokens, tiny.config())
    model = StanceModel(wide.encoder, "one_pass")
    with pytest.raises(StanceError, match=r"another architecture: .*expected \(.*64.*found \(.*32"):
        models.load_weights(model, saved / "model.safetensors")


def test_a_checkpoint_without_weights_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = damaged(saved, tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(StanceError, match=r"model\.safetensors: missing from the checkpoint"):
        models.load(folder)


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_truncated_weights_are_refused(saved: Path, tmp_path: Path, kept: int) -> None:
    folder = damaged(saved, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(StanceError, match=r"model\.safetensors: truncated or not a safetensors file"):
        models.load(folder)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"checkpoint\.json: missing; expected a checkpoint directory written by"):
        models.load(tmp_path)


def test_a_broken_checkpoint_json_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = damaged(saved, tmp_path)
    (folder / "checkpoint.json").write_text('{"labels": [')
    with pytest.raises(StanceError, match=r"checkpoint\.json: not valid JSON"):
        models.load(folder)


def test_a_checkpoint_with_other_labels_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = damaged(saved, tmp_path)
    facts = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**facts, "labels": ["against", "for"]}))
    with pytest.raises(StanceError, match=r"labels \['against', 'for'\], expected \['oppose'"):
        models.load(folder)


def test_a_checkpoint_with_another_encoding_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = damaged(saved, tmp_path)
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["encoding"]["colour"] = facts["encoding"].pop("layout")
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(StanceError, match=r"checkpoint\.json: .*encoding.*colour"):
        models.load(folder)


def test_a_checkpoint_whose_encoding_reaches_further_than_its_encoder_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = damaged(saved, tmp_path)
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["encoding"]["max_passage_tokens"] = 100_000
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(StanceError, match=r"max_passage_tokens=100000: .*positions reach 100\d+, the encoder has"):
        models.load(folder)


@pytest.mark.parametrize("value", [None, 3, []])
def test_a_checkpoint_whose_encoding_is_no_object_is_refused(saved: Path, tmp_path: Path, value: object) -> None:
    folder = damaged(saved, tmp_path)
    facts = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**facts, "encoding": value}))
    with pytest.raises(StanceError, match=r"checkpoint\.json: 'encoding' is .*train again"):
        models.load(folder)


@pytest.mark.parametrize(("name", "value"), [("max_pairs", 0), ("max_passage_tokens", "192"), ("cls_id", -1)])
def test_an_encoding_that_makes_no_rows_is_refused(saved: Path, tmp_path: Path, name: str, value: object) -> None:
    folder = damaged(saved, tmp_path)
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["encoding"][name] = value
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(
        StanceError, match=rf"checkpoint\.json: encoding\.{name} .*expected a whole number.*train again"
    ):
        models.load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_checkpoint_that_misses_a_file_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    folder = damaged(saved, tmp_path)
    (folder / name).unlink()
    with pytest.raises(StanceError, match=rf"{name}: missing from the checkpoint"):
        models.load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_checkpoint_with_a_truncated_file_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    folder = damaged(saved, tmp_path)
    (folder / name).write_text((folder / name).read_text()[:40])
    with pytest.raises(StanceError, match=rf"{name}: not valid JSON"):
        models.load(folder)
