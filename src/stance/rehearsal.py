"""What a study finds out about a training before it trains anything, in seconds: settings, files, the model itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stance import encoders, lexicon, recipe, teacher, training
from stance.records import Example
from stance.settings.training import ModelConfig, TrainingConfig


def rehearse(model: ModelConfig, config: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
    """Do all of a training that comes before its first step but the encoding of the dataset, for the errors it has.

    Raises:
        StanceError: a setting has no meaning, a file is missing, or the model can't be had or made.
    """
    recipe.check(config, splits)
    recipe.check_dropout(config, model)
    recipe.choose_precision(config.precision)
    teacher.check(config)
    if config.deny or config.passive:
        lexicon.load(Path(config.lexicon))
    pretrained = encoders.load(model)
    training.network(pretrained, model, recipe.suited(config, pretrained.encoder.config.hidden_size))
