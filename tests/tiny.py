"""Toys for the tests: random encoders of every supported architecture with tokenizers of their kinds, and examples.

A real architecture in miniature shows what a mock would hide: masks, positions and special tokens differ.
"""

import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from stance import jsonl
from stance.building.dataset import FEATURES, Manifest, fingerprint
from stance.network.encoders import set_dropout
from stance.records import LABELS, Example, Stance
from stance.settings.training import ModelConfig

ONE_PASS = ("bert", "distilbert", "roberta", "xlm-roberta", "electra", "mpnet")
PAIR = ("deberta-v2", "modernbert")
KINDS = ONE_PASS + PAIR

NAMES = ("Pakistan", "Russia", "the peace initiative", "the ceasefire", "Ghani", "the interim government")
VERBS = {"oppose": "rejected", "neutral": "discussed", "support": "welcomed"}
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
# Local windows and position buckets are far below the tests' lengths, or they would never matter.
_EXTRA = {
    "bert": {},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "roberta": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "xlm-roberta": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "camembert": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},  # not among KINDS: xlm-roberta under another name
    "electra": {"embedding_size": 16},
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "mpnet": {},
    "modernbert": {
        "local_attention": 16,
        "global_attn_every_n_layers": 2,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
    },
}
_CLASSIC = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@dataclass
class Heard:
    """A listener and a sink that remember."""

    alerts: list[tuple[str, str]] = field(default_factory=list)
    epochs: list[list[Mapping[str, float]]] = field(default_factory=list)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)

    def alert(self, name: str, text: str) -> None:
        self.alerts.append((name, text))

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        self.epochs.append(list(history))

    def sink(self, metrics: Mapping[str, float], step: int) -> None:
        self.metrics += [(name, value, step) for name, value in metrics.items()]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread for tiny tensors, in modules that import this: more only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the kind that `kind` is pretrained with, for the sentences of these tests."""
    special = _FAIRSEQ if kind in ("roberta", "xlm-roberta", "camembert", "mpnet") else _CLASSIC
    made = _byte_level(special) if kind in ("roberta", "modernbert") else _of_words(kind, special)
    role = {token.strip("<>[]").lower(): token for token in special}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=role["pad"],
        unk_token=role["unk"],
        cls_token=role.get("cls", "<s>"),
        sep_token=role.get("sep", "</s>"),
        mask_token=role["mask"],
    )


def _byte_level(special: Sequence[str]) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([example.text for example in examples(60)], trainer)
    return made


def _of_words(kind: str, special: Sequence[str]) -> Tokenizer:
    """WordPiece or Unigram over the sentences' words and the alphabet; the trainers need far more text."""
    words = sorted({word for example in examples(60) for word in example.text.split()})
    if kind in ("xlm-roberta", "camembert", "deberta-v2"):
        pieces = [f"▁{word}" for word in words] + ["▁", *string.printable[:94]]
        scored = [(piece, -float(rank)) for rank, piece in enumerate([*special, *dict.fromkeys(pieces)])]
        made = Tokenizer(models.Unigram(scored, unk_id=special.index("<unk>" if "<unk>" in special else "[UNK]")))
        made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        return made
    signs = string.printable[:94]
    pieces = [*special, *(word.lower() for word in words), *signs, *(f"##{sign}" for sign in signs)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>" if "<unk>" in special else "[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return made


def encoder(kind: str, tokens: PreTrainedTokenizerFast, *, seed: int = 0, **changes: int) -> PreTrainedModel:
    """A random encoder of the architecture `kind` for `tokens`."""
    settings = {
        "vocab_size": len(tokens),
        "max_position_embeddings": 130,
        "pad_token_id": tokens.pad_token_id,
        "initializer_range": 0.2,  # at the usual 0.02 a random encoder hardly hears its own attention
        **({} if kind == "distilbert" else _SIZES),
        **_EXTRA[kind],
        **changes,
    }
    torch.manual_seed(seed)
    made = AutoConfig.for_model(kind, **settings)
    set_dropout(made, 0.0)
    return AutoModel.from_config(made).eval()


def folder(kind: str, path: Path, *, seed: int = 0, **changes: int) -> Path:
    """A directory that `model.name` can point at."""
    tokens = tokenizer(kind)
    encoder(kind, tokens, seed=seed, **changes).save_pretrained(path)
    tokens.save_pretrained(path)
    return path


def config(**changes: object) -> ModelConfig:
    """Lengths that suit the tiny encoders."""
    values = {"max_passage_tokens": 48, "max_name_tokens": 8, "max_pairs": 4, "dropout": 0.0, **changes}
    return ModelConfig(**values)  # type: ignore[arg-type]


def examples(count: int, *, seed: int = 0, labels: tuple[str, ...] = LABELS) -> list[Example]:
    """Sentences whose verb tells the stance, two pairs (both directions) each; the labels take turns."""
    draw = random.Random(seed)  # noqa: S311
    made: list[Example] = []
    for number in range((count + 1) // 2):
        actor, target = draw.sample(NAMES, 2)
        label = labels[number % len(labels)]
        tail = " ".join(draw.choices(["officials", "said", "on", "Monday", "after", "talks"], k=draw.randint(1, 24)))
        text = f"{actor} {VERBS[label]} {target} , {tail} ."
        start = text.rindex(target, 0, text.index(" , ") + 1)
        spans = ((0, len(actor)), (start, start + len(target)))
        back = labels[(number + 1) % len(labels)]
        for suffix, (a, b), (a_span, b_span), stance in (
            ("there", (actor, target), spans, label),
            ("back", (target, actor), spans[::-1], back),
        ):
            made.append(
                Example(
                    id=f"{number}-{suffix}",
                    text=text,
                    actor=a,
                    target=b,
                    actor_span=a_span,
                    target_span=b_span,
                    stance=Stance(stance),
                    article_id=f"article-{number}",
                    corpus="toy",
                    date="2024-01-01",
                    provenance="gold",
                    weight=1.0,
                )
            )
    return made[:count]


def dataset(path: Path, splits: Mapping[str, Sequence[Example]]) -> Path:
    """A dataset directory of these examples, which `stance.building.dataset.load` opens; no splits may be missing."""
    (path / "data").mkdir(parents=True)
    for split, part in splits.items():
        rows = [example.to_json() | {"stance": LABELS.index(example.stance)} for example in part]
        pq.write_table(pa.Table.from_pylist(rows, FEATURES.arrow_schema), path / "data" / f"{split}.parquet")
    counts = {split: len(part) for split, part in splits.items()}
    none: dict[str, dict[str, int]] = {split: {} for split in splits}
    jsonl.write_json(
        path / "manifest.json", asdict(Manifest("toy", fingerprint(splits), counts, counts, none, none, {}))
    )
    return path
