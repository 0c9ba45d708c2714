"""What is found out about a training before it begins, in seconds: settings, files, the model itself."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from stance.network import encoders
from stance.network.precision import choose_precision
from stance.records import Example
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import engine, recipe, teacher
from stance.weak import lexicon


def rehearse(model: ModelConfig, config: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
    """Do what a training does before it encodes the dataset and asks teachers, for the errors that this has.

    Raises:
        StanceError: a setting has no meaning, a file is missing, or the model can't be had or made.
    """
    check(model, config, splits)
    recipe.check_r_drop(config, model)
    make(model, config)


def check(model: ModelConfig, config: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
    """The part of it that needs no encoder, but for whether R-Drop has a dropout."""
    recipe.check(config, splits)
    choose_precision(config.precision)
    encoders.check_dropout(model)
    if config.compile:
        engine.check_compiler()
    if config.teacher:
        teacher.check(config)
        teacher.check_corpora(config, chain(*splits.values()))
    if config.deny or config.passive:
        lexicon.load(Path(config.lexicon))


def make(model: ModelConfig, config: TrainingConfig) -> None:
    """The other part: the network as the training would start it."""
    pretrained = encoders.load(model)
    engine.network(pretrained, model, recipe.suited(config, pretrained.encoder.config.hidden_size))
