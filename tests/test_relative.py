"""MPNet in one pass: the stock encoder's states where positions are indices, the mask kept on every path, gradients."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetModel

import tiny
from conftest import ROOT
from stance.encoding import PairEncoder, collate
from stance.network import encoders, relative
from stance.network.model import StanceModel
from stance.records import Pair
from stance.settings.training import ModelConfig
from tiny import one_thread  # noqa: F401

TEXT = "Pakistan welcomed the peace initiative while Ghani rejected the ceasefire , officials said ."
PAIRS = [Pair(TEXT, "Pakistan", "the peace initiative"), Pair(TEXT, "Ghani", "the ceasefire")]
OFFSET = 2  # MPNet's first position
REAL = ROOT / "data" / "encoders" / "all-mpnet-base-v2"


def stock(*, seed: int = 0) -> PreTrainedModel:
    """A random MPNet as transformers has it, long enough for its farthest bucket."""
    encoder = tiny.encoder("mpnet", tiny.tokenizer("mpnet"), seed=seed, max_position_embeddings=400)
    torch.nn.init.normal_(encoder.encoder.relative_attention_bias.weight)
    return encoder


def positioned(*, seed: int = 0) -> PreTrainedModel:
    """The same one, made to take position ids."""
    encoder = stock(seed=seed)
    relative.position(encoder)
    return encoder


@pytest.fixture
def batch() -> tuple[StanceModel, dict[str, Tensor]]:
    """A model of its own, and one row with two pairs."""
    tokens = tiny.tokenizer("mpnet")
    pretrained = encoders.prepare(stock(), tokens, tiny.config())
    rows, _ = PairEncoder(pretrained.tokenizer, pretrained.encoding).encode(PAIRS)
    inputs = {name: torch.from_numpy(value) for name, value in collate(rows, tokens.pad_token_id).items()}
    return StanceModel(pretrained.encoder, pretrained.encoding.layout, 0.0).eval(), inputs


@pytest.fixture(params=["without gradients", "with gradients"])
def gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fused attention serves without gradients, plain attention trains on a CPU; both must be right."""
    with torch.set_grad_enabled(request.param == "with gradients"):
        yield


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("length", [7, 300])
def test_a_passage_alone_has_the_stock_encoders_states(length: int) -> None:
    ids = torch.randint(5, 60, (2, length), generator=torch.Generator().manual_seed(1))
    positions = torch.arange(length).repeat(2, 1) + OFFSET
    mask = torch.ones(2, 1, length, length, dtype=torch.bool)
    expected = stock()(ids).last_hidden_state
    found = positioned()(ids, mask, positions).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)


def test_states_follow_the_positions_and_not_the_order_of_the_tokens() -> None:
    encoder = positioned()
    ids = torch.tensor([[0, 11, 12, 13, 14, 2]])
    positions = torch.arange(6)[None] + OFFSET
    mask = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        straight = encoder(ids, mask, positions).last_hidden_state
        shuffled = encoder(ids[:, order], mask, positions[:, order]).last_hidden_state
        by_index = stock()(ids[:, order], position_ids=positions[:, order]).last_hidden_state
    assert torch.allclose(shuffled, straight[:, order], atol=1e-5)
    assert not torch.allclose(by_index, straight[:, order], atol=1e-2)


def test_every_distance_has_the_stock_bucket() -> None:
    distances = torch.arange(-600, 601)
    table = positioned().buckets
    limit = relative.MAX_DISTANCE
    assert torch.equal(table[distances.clamp(-limit, limit) + limit], MPNetEncoder.relative_position_bucket(distances))


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_block_hears_nothing_of_another_in_any_precision(
    batch: tuple[StanceModel, dict[str, Tensor]], precision: torch.dtype
) -> None:
    model, inputs = batch
    other = {name: value.clone() for name, value in inputs.items()}
    other["input_ids"][inputs["block_ids"] == 2] = 40
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        before, after = model(**inputs)[0], model(**other)[0]
    assert torch.isfinite(before).all()
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_fused_and_plain_attention_answer_alike(batch: tuple[StanceModel, dict[str, Tensor]]) -> None:
    model, inputs = batch
    plain = model(**inputs)
    with torch.no_grad():
        fused = model(**inputs)
    assert plain.requires_grad
    assert torch.allclose(plain, fused, atol=1e-5)


def test_the_relative_bias_is_trained(batch: tuple[StanceModel, dict[str, Tensor]]) -> None:
    model, inputs = batch
    model(**inputs).square().sum().backward()
    weight = model.encoder.get_parameter("encoder.relative_attention_bias.weight")
    assert weight.grad is not None
    step = torch.zeros_like(weight)
    step[0, 0] = 1e-3  # the bucket of a token's distance to itself
    with torch.no_grad():
        weight += step
        up = model(**inputs).square().sum()
        weight -= 2 * step
        down = model(**inputs).square().sum()
    assert weight.grad[0, 0] == pytest.approx(float(up - down) / 2e-3, rel=0.05)


def test_gradient_checkpointing_changes_no_gradient(batch: tuple[StanceModel, dict[str, Tensor]]) -> None:
    model, inputs = batch
    found = []
    for _ in range(2):
        model.train().zero_grad()
        model(**inputs).square().sum().backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        model.encoder.activation_checkpointing_enable()
    assert any(layer.gradient_checkpointing for layer in model.encoder.encoder.layer)
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])


def test_the_pair_layout_keeps_the_stock_encoder() -> None:
    tokens = tiny.tokenizer("mpnet")
    pretrained = encoders.prepare(stock(), tokens, tiny.config(layout="pair"))
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, 0.0)
    assert type(model.encoder) is MPNetModel


def test_the_weights_keep_the_stock_encoders_names() -> None:
    assert positioned().state_dict().keys() == stock().state_dict().keys()


@pytest.mark.skipif(not REAL.is_dir(), reason="make encoder-mpnet fetches it")
def test_the_published_weights_give_the_stock_states_and_one_pass_answers_each_pair_alone() -> None:
    pretrained = encoders.load(ModelConfig(name=str(REAL)))
    assert pretrained.encoding.layout == "one_pass"
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, 0.0).eval()
    encoder = PairEncoder(pretrained.tokenizer, pretrained.encoding)

    def states(pairs: list[Pair]) -> tuple[Tensor, dict[str, Tensor]]:
        rows, _ = encoder.encode(pairs)
        inputs = {name: torch.from_numpy(value) for name, value in collate(rows, pretrained.encoding.pad_id).items()}
        with torch.inference_mode():
            mask = model._mask(inputs["block_ids"])
            return model.encoder(inputs["input_ids"], mask, inputs["position_ids"]).last_hidden_state, inputs

    alone, inputs = states(PAIRS[:1])
    together, _ = states(PAIRS)
    passage = inputs["block_ids"][0] == 0
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(REAL)(inputs["input_ids"][:, passage]).last_hidden_state
    assert torch.allclose(alone[:, passage], expected, atol=1e-5)
    assert torch.allclose(alone[0], together[0, : alone.shape[1]], atol=1e-5)
