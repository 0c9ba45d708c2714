"""Questions and heads: each keeps a pair's answer its own, goes through the export, and is known after loading."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from stance import export
from stance.encoding import PairEncoder, collate
from stance.errors import StanceError
from stance.layouts import QUESTIONS, read_encoding
from stance.network import encoders, heads
from stance.network import model as models
from stance.network.model import Checkpoint, StanceModel
from stance.records import LABELS, Pair
from stance.settings.scoring import ExportConfig
from stance.settings.training import TrainingConfig
from stance.training import finetuning
from tiny import one_thread  # noqa: F401

TEXT = "Pakistan welcomed the peace initiative while Ghani rejected the ceasefire , officials said ."
PAIRS = [
    Pair(TEXT, "Pakistan", "the peace initiative"),
    Pair(TEXT, "Ghani", "the ceasefire"),
    Pair(TEXT, "someone", "the ceasefire"),
    Pair(TEXT, "Kabul", "the interim government"),  # not printed in the passage
]
ONE_PASS_QUESTIONS = ("markers", "hypothesis")


@cache
def checkpoint(
    kind: str = "bert", *, layout: str = "auto", question: str = "markers", head: str = "markers"
) -> Checkpoint:
    """An untrained model; shared, so never trained itself."""
    tokens = tiny.tokenizer(kind)
    pretrained = encoders.prepare(
        tiny.encoder(kind, tokens), tokens, tiny.config(layout=layout, question=question, head=head)
    )
    torch.manual_seed(0)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, 0.0, head=head).eval()
    return Checkpoint(model, pretrained.tokenizer, pretrained.encoding, {})


def score(toy: Checkpoint, pairs: list[Pair]) -> Tensor:
    """Logits `(pairs, 3)`, all rows in one batch."""
    rows, _ = PairEncoder(toy.tokenizer, toy.encoding).encode(pairs)
    with torch.inference_mode():
        logits = toy.model(**{k: torch.from_numpy(v) for k, v in collate(rows, toy.encoding.pad_id).items()})
    scores = torch.zeros(len(pairs), len(LABELS))
    for row, values in zip(rows, logits, strict=True):
        scores[row.pairs] = values[: len(row.pairs)]
    return scores


@settings(max_examples=40)
@given(
    question=st.sampled_from(ONE_PASS_QUESTIONS),
    head=st.sampled_from(sorted(heads.WIDTH)),
    order=st.permutations(range(4)),
    count=st.integers(1, 4),
)
def test_a_pairs_answer_does_not_depend_on_its_company(question: str, head: str, order: list[int], count: int) -> None:
    toy = checkpoint(question=question, head=head)
    together = score(toy, [PAIRS[i] for i in order[:count]])
    for place, index in enumerate(order[:count]):
        assert torch.allclose(together[place], score(toy, [PAIRS[index]])[0], atol=1e-5)


@pytest.mark.parametrize("head", heads.WIDTH)
def test_padding_does_not_change_the_answer(head: str) -> None:
    toy = checkpoint(head=head)
    longer = Pair(TEXT + " Russia discussed the interim government after talks on Monday .", "Russia", "Ghani")
    assert torch.allclose(score(toy, PAIRS[:1])[0], score(toy, [PAIRS[0], longer])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("layout", "question"),
    [*(("one_pass", question) for question in ONE_PASS_QUESTIONS), *(("pair", question) for question in QUESTIONS)],
)
def test_swapping_actor_and_target_changes_the_answer(layout: str, question: str) -> None:
    toy = checkpoint(layout=layout, question=question)
    there, back = score(toy, [PAIRS[0], Pair(TEXT, "the peace initiative", "Pakistan")])
    assert (there - back).abs().max() > 1e-3


def test_questions_and_heads_give_other_answers() -> None:
    plain = score(checkpoint(), PAIRS)
    assert not torch.allclose(score(checkpoint(question="hypothesis"), PAIRS), plain, atol=1e-3)
    pair, typed = (score(checkpoint(layout="pair", question=q), PAIRS) for q in ("markers", "typed"))
    assert not torch.allclose(typed, pair, atol=1e-3)


def test_features_are_what_their_names_say() -> None:
    states = torch.arange(24, dtype=torch.float32).reshape(1, 12, 2) ** 1.5
    blocks = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, -1]])
    markers = torch.tensor([[[3, 5], [7, 9], [0, 0]]])
    both = torch.cat([states[0, 3], states[0, 5]])
    found = {kind: heads.features(kind, states, blocks, markers)[0] for kind in heads.WIDTH}
    assert {kind: tuple(f.shape) for kind, f in found.items()} == {k: (3, w * 2) for k, w in heads.WIDTH.items()}
    assert torch.equal(found["markers"][0], both)
    assert torch.equal(found["markers_cls"][0], torch.cat([both, states[0, 0]]))
    assert torch.equal(found["span_mean"][0], torch.cat([both, states[0, 4], states[0, 6]]))
    assert torch.equal(found["span_mean"][2, 4:], torch.zeros(4))
    product, difference = states[0, 3] * states[0, 5], (states[0, 3] - states[0, 5]).abs()
    assert torch.equal(found["bilinear"][0], torch.cat([both, product, difference]))


def test_span_mean_takes_the_whole_name() -> None:
    states = torch.rand(1, 9, 4)
    blocks = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, -1]])
    found = heads.features("span_mean", states, blocks, torch.tensor([[[2, 5]]]))[0, 0]
    assert torch.allclose(found[8:], torch.cat([states[0, 3:5].mean(0), states[0, 6:8].mean(0)]))


@pytest.mark.parametrize(
    "head", [pytest.param(h, marks=() if h == "span_mean" else pytest.mark.slow) for h in heads.WIDTH]
)
def test_onnx_gives_the_logits_of_pytorch(head: str, tmp_path: Path) -> None:
    toy = checkpoint(question="hypothesis", head=head)
    export.to_onnx(toy, tmp_path / "model.onnx", ExportConfig().opset)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for pairs in (PAIRS[:1], [e.pair() for e in tiny.examples(9, seed=8)] + PAIRS):
        rows, _ = PairEncoder(toy.tokenizer, toy.encoding).encode(pairs)
        inputs = dict(collate(rows, toy.encoding.pad_id))
        assert set(inputs) == {"input_ids", "position_ids", "block_ids", "markers"}
        with torch.inference_mode():
            expected = toy.model(**{k: torch.from_numpy(v) for k, v in inputs.items()}).numpy()
        np.testing.assert_allclose(session.run(None, inputs)[0], expected, atol=1e-5)


@pytest.mark.parametrize("head", heads.WIDTH)
def test_a_saved_head_and_question_are_known_after_loading(head: str, tmp_path: Path) -> None:
    toy = checkpoint(question="hypothesis", head=head)
    models.save(toy, tmp_path / "checkpoint")
    again = models.load(tmp_path / "checkpoint")
    assert torch.equal(score(again, PAIRS), score(toy, PAIRS))
    assert again.encoding == toy.encoding


def test_a_checkpoint_and_an_artifact_from_before_the_options_load(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    models.save(checkpoint(), folder)
    facts = json.loads((folder / "checkpoint.json").read_text())
    del facts["head"], facts["encoding"]["question"]
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    assert torch.equal(score(models.load(folder), PAIRS), score(checkpoint(), PAIRS))
    assert read_encoding(facts["encoding"], folder, "export again") == checkpoint().encoding


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": "riddle"}, "model.question=riddle: expected one of markers, hypothesis, typed"),
        ({"question": "typed"}, "model.question=typed: .*use model.layout=pair"),
        ({"head": "hydra"}, "model.head=hydra: expected one of markers, markers_cls"),
        ({"head": "span_mean", "layout": "pair"}, "model.head=span_mean: .*only the layout one_pass"),
    ],
)
def test_an_option_that_can_not_be_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(StanceError, match=message):
        checkpoint(**changes)  # type: ignore[arg-type]


def test_training_writes_the_head_and_the_question_that_it_was_asked_for(tmp_path: Path) -> None:
    name = str(tiny.folder("bert", tmp_path / "encoder"))
    config = tiny.config(name=name, head="bilinear", question="hypothesis")
    recipe = TrainingConfig(epochs=1, tokens_per_batch=512, precision="fp32")
    splits = {"train": tiny.examples(24, seed=1), "validation": tiny.examples(12, seed=2)}
    result = finetuning.train(splits, config, recipe, output=tmp_path / "checkpoint", about={})
    loaded = models.load(result.checkpoint)
    assert (loaded.model.head_kind, loaded.encoding.question) == ("bilinear", "hypothesis")


def test_longest_position_of_every_question_is_kept() -> None:
    long = Pair(" ".join(["Pakistan", *["and"] * 60, "Ghani"]), "Pakistan " * 20, "Ghani " * 20)
    for question in QUESTIONS:
        toy = checkpoint(layout="pair", question=question)
        short = replace(toy.encoding, max_passage_tokens=12, max_name_tokens=5)
        for pair in (long, Pair("Pakistan and Ghani " * 30, "Pakistan", "Ghani"), replace(long, text="Ghani")):
            rows, _ = PairEncoder(toy.tokenizer, short).encode([pair])
            assert max(rows[0].positions) <= short.longest_position
