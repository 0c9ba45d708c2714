"""Changes of the training pairs that leave their labels true, so that a model meets the questions of services."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stance.recipe import TrainingConfig
from stance.records import SOMEONE, Example, Stance, as_printed
from stance.renaming import rename

_WORD = re.compile(r"\w+")


def vary(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """Ask some examples by names alone, by the words that the passage prints, or with the holder left open.

    The printed words also hide how a name was written down: annotated pairs have canonical names, sampled ones
    printed names, and a model would learn to tell them apart by that.
    """
    random = np.random.default_rng(config.seed)
    draws, holders = random.random((len(examples), 2)), random.random(len(examples))
    agreed = _agreed(examples) if config.open_holder else [False] * len(examples)
    if config.mask_names or config.swap_names:
        examples = rename(examples, config)
    varied = []
    for example, (place, wording), holder, known in zip(examples, draws, holders, agreed, strict=True):
        asked = as_printed(example) if wording < config.surface_share else example
        bare = place < config.span_dropout
        asked = replace(asked, actor_span=None, target_span=None) if bare else asked
        if known and holder < config.open_holder:
            asked = replace(asked, actor=SOMEONE, actor_span=None)
        sampled = example.provenance == "sampled"
        varied.append(replace(asked, weight=asked.weight * config.sampled_weight) if sampled else asked)
    return varied


def _agreed(examples: Sequence[Example]) -> list[bool]:
    """Whether a pair's stance is also that of "someone": everybody in the article who is near the target has it.

    A sampled target must also share no word with an annotated one: "the talks" may be what was annotated as
    "peace talks in Kampala".
    """
    stances: dict[tuple[str, str], set[Stance]] = {}
    words: dict[str, set[str]] = {}
    for example in examples:
        if example.provenance != "sampled":
            stances.setdefault((example.article_id, example.target.casefold()), set()).add(example.stance)
            named = words.setdefault(example.article_id, set())
            named.update(_words(example.target), _words(as_printed(example).target))

    def agreed(example: Example) -> bool:
        if example.provenance == "sampled":
            return not words.get(example.article_id, set()) & _words(example.target)
        return len(stances[example.article_id, example.target.casefold()]) == 1

    return [agreed(example) for example in examples]


def _words(name: str) -> set[str]:
    return {word for word in _WORD.findall(name.casefold()) if len(word) > 2 and word != "the"}
