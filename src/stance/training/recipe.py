"""The recipe of a training run: what its settings may be, what suits which encoder, and what has no effect."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from stance import jsonl
from stance.errors import StanceError
from stance.network import lora
from stance.records import LABELS, Example
from stance.settings.training import ModelConfig, TrainingConfig
from stance.settings.usage import at_home
from stance.training.balance import power

MAX_SEED = 2**32 - 1
"""The most that numpy takes."""
WIDE = 512
"""Hidden sizes from here on are not of the small tier: base-size encoders have 768, MiniLM 384."""
ADAPTERS = 5
"""How many times as high the learning rate of adapters is as that of whole weights; ten times learns nothing."""
MOST_WIDE = 8e-5
"""The highest learning rate that base-size encoders were measured at, all weights trained (docs/LOG.md)."""


def teachers(config: TrainingConfig) -> list[tuple[str, Path]]:
    """The corpus that each teacher answers for, empty where it answers for all, and its checkpoint directory.

    Raises:
        StanceError: one is empty, as where a shell variable is not set.
    """
    if "" in config.teacher:
        raise StanceError("training.teacher: one is empty; expected checkpoint directories, or CORPUS:DIRECTORY")
    parts = [entry.partition(":") for entry in config.teacher]
    named = [(a, b) if b and "/" not in a else ("", a + colon + b) for a, colon, b in parts]
    return [(corpus, Path(at_home(folder))) for corpus, folder in named]


def suited(config: TrainingConfig, width: int) -> TrainingConfig:
    """The settings that are null, as suits an encoder with hidden states of `width` numbers; what is given stays.

    Base-size encoders were measured at 3e-5 to 8e-5 with all layers trained, the small one at 2e-4, its adapters at
    1e-3 (docs/LOG.md).
    """
    wide = width >= WIDE
    usual = (3e-5 if wide else 2e-4) * (ADAPTERS if config.lora.rank else 1)
    rate = usual if config.learning_rate is None else config.learning_rate
    frozen = 0 if wide and config.frozen_layers is None else config.frozen_layers
    return replace(config, learning_rate=rate, frozen_layers=frozen)


def doubt(config: TrainingConfig, width: int) -> str:
    """What is to be said of a learning rate that suits the small encoder alone, such as that of `experiment=full`."""
    rate = config.learning_rate or 0.0
    if width < WIDE or rate <= MOST_WIDE or config.lora.rank:
        return ""
    return (
        f"training.learning_rate={rate:g} suits the small encoder; base-size ones were measured at 3e-5 to "
        f"{MOST_WIDE:g}: give training.learning_rate=3e-5 where the loss does not fall"
    )


def idle(key: str, config: TrainingConfig) -> str:
    """What `training.KEY` lacks in these settings to have an effect; empty where it has one."""
    if key.startswith("teacher_") and not config.teacher:
        return "training.teacher"
    if key in ("lora.alpha", "lora.dropout", "lora.targets") and not config.lora.rank:
        return "training.lora.rank"
    if key == "lexicon" and not config.deny and not config.passive:
        return "training.deny or training.passive"
    return "training.lora.rank=0" if key == "frozen_layers" and config.lora.rank else ""


def without_effect(config: TrainingConfig, among: Sequence[TrainingConfig] = ()) -> list[str]:
    """A line about each setting that was given and does nothing beside the others.

    Args:
        config: what was given.
        among: what is trained with instead; one of them alone may give a setting its effect.
    """
    given, default = (jsonl.flatten(asdict(settings)) for settings in (config, TrainingConfig()))
    changed = {key: value for key, value in given.items() if value != default[key]}
    if config.frozen_layers == 0:  # as adapters have it
        changed.pop("frozen_layers", None)
    lacks = {key: [idle(key, trained) for trained in among or (config,)] for key in changed}
    return [f"training.{key}={changed[key]} has no effect without {lack[0]}" for key, lack in lacks.items()
            if all(lack)]  # fmt: skip


def check(config: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
    """Refuse settings without a meaning, and splits that miss a label."""
    for name, number in jsonl.flatten(asdict(config)).items():
        if isinstance(number, float) and not math.isfinite(number):
            raise StanceError(f"training.{name}={number}: expected a number")
    if not 0 <= config.seed <= MAX_SEED:
        raise StanceError(f"training.seed={config.seed}: expected 0 to {MAX_SEED}")
    power(config.class_weights)
    for name in ("epochs", "tokens_per_batch", "accumulation"):
        if (number := getattr(config, name)) < 1:
            raise StanceError(f"training.{name}={number}: expected 1 or more")
    for name in ("learning_rate", "teacher_questions_weight"):
        if (number := getattr(config, name)) is not None and number <= 0:
            raise StanceError(f"training.{name}={number:g}: must be positive")
    lora.check(config.lora)
    shares = ("warmup", "label_smoothing", "span_dropout", "surface_share")
    for name in (*shares, "mask_names", "swap_names", "hide_names", "swap_direction"):
        if not 0 <= (share := getattr(config, name)) < 1:
            raise StanceError(f"training.{name}={share}: expected a share, from 0 to below 1")
    for name in ("teacher_weight", "open_holder", "deny", "passive"):
        if not 0 <= (share := getattr(config, name)) <= 1:
            raise StanceError(f"training.{name}={share}: expected a share, from 0 to 1")
    counts = "early_stopping", "save_steps", "frozen_layers"
    amounts = "weight_decay", "max_grad_norm", "sampled_weight", "disk_budget_gb", "teacher_questions", "r_drop"
    for name in (*amounts, *counts):
        if (getattr(config, name) or 0) < 0:
            raise StanceError(f"training.{name}={getattr(config, name)}: must not be negative")
    for name in ("train", "validation"):
        _check_labels(name, splits[name])
    _check_weights(config, splits["train"])


def check_r_drop(config: TrainingConfig, model: ModelConfig) -> None:
    """Refuse R-Drop without dropout."""
    adapters = config.lora.rank and config.lora.dropout
    if config.r_drop and not (model.dropout or model.encoder_dropout or adapters):
        raise StanceError(
            "training.r_drop compares two answers under dropout, and there is none: set model.encoder_dropout=0.1 or "
            "training.r_drop=0"
        )


def lacking(examples: Sequence[Example]) -> list[str]:
    """The labels that one of the examples' corpora knows and that none of them has."""
    known, there = {label for e in examples for label in e.labels}, {e.stance.value for e in examples}
    return [label for label in LABELS if label in known and label not in there]


def _check_labels(split: str, examples: Sequence[Example]) -> None:
    """Refuse an empty split, and one without an example of a label that one of its corpora knows."""
    advice = "build the dataset from more articles, with other shares (split.validation) or another split.seed"
    if not examples:
        raise StanceError(f"the {split} split is empty; {advice}")
    if missing := lacking(examples):
        counts = Counter((e.corpus, e.stance.value) for e in examples)
        found = "; ".join(
            f"{corpus}: " + ", ".join(f"{counts[corpus, label]} {label}" for label in LABELS if counts[corpus, label])
            for corpus in sorted({e.corpus for e in examples})
        )
        several = len({example.stance for example in examples}) > 1  # of one label alone nothing is learned
        sets = ", or name the labels that the corpus knows in corpora.KEY.label_set" if several else ""
        raise StanceError(f"the {split} split has no example of {', '.join(missing)} (found {found}); {advice}{sets}")


def _check_weights(config: TrainingConfig, examples: Sequence[Example]) -> None:
    """Refuse weights that are NaN or infinite, and a label whose examples all have the weight 0: it is not learned."""
    heavy = set()
    for example in examples:
        if not 0 <= example.weight < math.inf:
            raise StanceError(
                f"the weight of training example {example.id} is {example.weight}; expected a number from 0; "
                "build the dataset again with another corpora.KEY.weight"
            )
        if example.weight * (config.sampled_weight if example.provenance == "sampled" else 1) > 0:
            heavy.add(example.stance.value)
    light = sorted({e.stance.value for e in examples} - heavy)
    if light:
        raise StanceError(
            f"all training examples of {', '.join(light)} have the weight 0, so nothing is learned about it; raise "
            f"training.sampled_weight (now {config.sampled_weight:g}) or corpora.KEY.weight and build the dataset again"
        )
