"""The last layer at the markers alone: the answers and the gradients of the whole layer, for less work."""

from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import tiny
from stance import export
from stance.encoding import PairEncoder, collate
from stance.network import encoders, narrow
from stance.network.model import Checkpoint, StanceModel
from stance.records import Pair
from tiny import one_thread  # noqa: F401

TEXT = "Pakistan welcomed the peace initiative while Ghani rejected the ceasefire , officials said ."
PAIRS = [
    Pair(TEXT, "Pakistan", "the peace initiative"),
    Pair(TEXT, "Ghani", "the ceasefire"),
    Pair("Ghani rejected the ceasefire .", "Ghani", "the ceasefire"),  # a shorter row, with a pair fewer
]


def checkpoint(kind: str, *, head: str = "markers", layout: str = "one_pass") -> Checkpoint:
    """An untrained model, the same at every call."""
    tokens = tiny.tokenizer(kind)
    pretrained = encoders.prepare(tiny.encoder(kind, tokens), tokens, tiny.config(layout=layout, head=head))
    torch.manual_seed(0)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, 0.0, head=head).eval()
    return Checkpoint(model, pretrained.tokenizer, pretrained.encoding, {})


def whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """The same model with a last layer that answers for every token."""
    with monkeypatch.context() as patch:
        patch.setattr(narrow, "TYPES", ())
        return checkpoint(kind)


def batch(toy: Checkpoint) -> dict[str, Tensor]:
    """Two rows."""
    rows, _ = PairEncoder(toy.tokenizer, toy.encoding).encode(PAIRS)
    return {name: torch.from_numpy(value) for name, value in collate(rows, toy.encoding.pad_id).items()}


@pytest.mark.parametrize("kind", narrow.TYPES)
def test_answers_and_gradients_are_those_of_the_whole_layer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = checkpoint(kind), whole(kind, monkeypatch)
    assert fast.model.narrow
    assert not slow.model.narrow
    asked = batch(fast)["markers"].any(-1)  # the logits of padded pairs mean nothing
    logits = [toy.model(**batch(toy))[asked] for toy in (fast, slow)]
    assert logits[0].shape == (len(PAIRS), 3)
    assert torch.allclose(logits[0], logits[1], atol=1e-6)
    for found in logits:
        found.square().sum().backward()
    expected = dict(slow.model.named_parameters())
    for name, parameter in fast.model.named_parameters():
        if expected[name].grad is None:
            assert parameter.grad is None, name
        else:
            assert torch.allclose(parameter.grad, expected[name].grad, atol=1e-6), name


def test_it_is_less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for toy in (checkpoint("bert"), whole("bert", monkeypatch)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            toy.model(**batch(toy))
        counts.append(counter.get_total_flops())
    layers = checkpoint("bert").model.encoder.config.num_hidden_layers
    assert counts[0] < (1 - 0.4 / layers) * counts[1]


def test_the_encoder_alone_still_answers_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = checkpoint("bert"), whole("bert", monkeypatch)
    inputs = batch(fast)
    mask = fast.model._mask(inputs["block_ids"])
    states = [
        toy.model.encoder(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state for toy in (fast, slow)
    ]
    assert states[0].shape[:2] == inputs["input_ids"].shape
    assert torch.allclose(states[0], states[1], atol=1e-6)


@pytest.mark.parametrize(("head", "layout"), [("span_mean", "one_pass"), ("markers", "pair")])
def test_heads_that_read_more_and_the_pair_layout_keep_the_whole_layer(head: str, layout: str) -> None:
    assert not checkpoint("bert", head=head, layout=layout).model.narrow


@pytest.mark.slow
def test_what_must_not_be_seen_is_not_seen_in_the_exported_model_either(tmp_path: Path) -> None:
    """Its mask adds -60, not minus infinity: what stands in another block must still make no difference."""
    toy = checkpoint("bert")
    export.to_onnx(toy, tmp_path / "model.onnx", 20)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = batch(toy)
    exact = toy.model(**inputs).detach()
    asked = inputs["markers"].any(-1)
    assert torch.allclose(torch.from_numpy(session.run(None, _arrays(inputs))[0])[asked], exact[asked], atol=1e-5)
    changed = inputs | {"input_ids": inputs["input_ids"].masked_fill(inputs["block_ids"] == 2, 20)}
    again = torch.from_numpy(session.run(None, _arrays(changed))[0])
    assert torch.allclose(again[:, 0], exact[:, 0], atol=1e-5)
    assert not torch.allclose(again[0, 1], exact[0, 1], atol=1e-3)


def _arrays(inputs: dict[str, Tensor]) -> dict[str, object]:
    return {name: value.numpy() for name, value in inputs.items()}
