"""Training examples whose question has names that the passage prints nowhere, as "he" and "the plan" leave many.

Nearly half of the names that SEESAW asks about are in no word of its sentences, of ours one in ten (docs/LOG.md). Knows
nothing of models.
"""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import chain

import numpy as np

from stance.augmentation.renaming import TITLES, WORD, Edit, bare, edited, moved, replaced
from stance.records import Example, folded
from stance.settings.training import TrainingConfig

SIGNS = ("Qxactor", "Qxtarget")
"""What stands for a hidden name until a word of reference takes its place; no passage prints these."""
NAMED = (
    ("he", "she", "they", "it"),
    ("the group", "the government", "the leader", "officials", "the party", "the organisation"),
)
THINGS = (("it", "this", "that"), ("the plan", "the move", "the idea", "the decision", "the matter"))
"""Pronouns and nouns that refer to an actor or to a target with a capital letter, and to any other target."""
_DETERMINED = re.compile(
    r"\b(?:the|an?|its|their|his|her|our|my|your|no|any|\w+['’]s)\s+(?:(?!(?:and|at|by|for|from|in|of|on|or|to|with)\b)[\w-]+\s+)?$",
    re.IGNORECASE,
)
_OPENS, _CLOSES = re.compile(r"(?<!\w)['‘](?=\w|$)"), re.compile(r"(?<=[\w.,!?])['’](?!\w)")
"""Single quotation marks that open and that close."""
_TITLE = "|".join(sorted(TITLES))


def hide(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """The examples, a share of them (`hide_names`) with hidden names."""
    acting = {folded(bare(example.actor)) for example in examples}
    random = np.random.default_rng([config.seed, 3])
    draws = random.random(len(examples))
    return [
        hidden(e, random, acting) if draw < config.hide_names else e for e, draw in zip(examples, draws, strict=True)
    ]


def hidden(example: Example, random: np.random.Generator, acting: Set[str] = frozenset()) -> Example:
    """The example with a passage that refers to its names, or to one of them, in other words and prints them nowhere.

    The question keeps the names, without their places. What can't be changed for sure stays as it was. Names of those
    who are known to be `acting`, folded and without articles, are referred to as such also where they are targets.
    """
    names = example.actor, example.target
    both, actor, target = SIGNS, (SIGNS[0], ""), ("", SIGNS[1])
    which = random.random()
    for signs in [both, actor, target] if which < 0.6 else [actor] if which < 0.8 else [target]:
        found = replaced(example, actor=signs[0], target=signs[1])
        words = _references(example, random, acting)
        if found and not re.search(rf"[-–/](?:{'|'.join(SIGNS)})", found.text):
            put = (_put(found.text, *one) for one in zip(signs, names, words, strict=True) if one[0])
            edits = sorted(chain.from_iterable(put))
            return replace(
                found,
                text=edited(found.text, edits),
                actor=example.actor,
                target=example.target,
                actor_span=None if signs[0] else moved(found.actor_span, edits),
                target_span=None if signs[1] else moved(found.target_span, edits),
            )
    return example


def _references(example: Example, random: np.random.Generator, acting: Set[str]) -> list[tuple[str, str]]:
    """A pronoun and a noun for each name, none for both names, and no noun that the passage or the other name has."""
    there = set(WORD.findall(f"{example.text} {example.actor} {example.target}".casefold()))
    words: list[tuple[str, str]] = []
    target = bare(example.target)
    for pronouns, nouns in (NAMED, NAMED if target[0].isupper() or folded(target) in acting else THINGS):
        taken = {word for pair in words for word in pair}
        free = [noun for noun in nouns if noun not in taken and noun.split()[-1] not in there] or list(nouns[-1:])
        pronoun = random.choice([pronoun for pronoun in pronouns if pronoun not in taken])
        words.append((str(pronoun), str(random.choice(free))))
    return words


def _put(text: str, sign: str, name: str, words: tuple[str, str]) -> Iterator[Edit]:
    """Edits that refer to a name wherever its sign stands: by a pronoun at the start of a sentence, else by a noun."""
    pronoun, noun = words
    owned = r"['’]s\b|['’](?=\s+\w)" if name.endswith("s") else r"['’]s\b"  # "the Smiths' house"
    pattern = rf"(?:\b(?:the|an?)\s+)?(?:\b(?:{_TITLE})\b\.?\s+)*{sign}({owned})?"
    for found in re.finditer(pattern, text, re.IGNORECASE):
        whole, end = text[: found.start()], found.end()
        if found[1] in ("'", "’") and len(_OPENS.findall(whole)) > len(_CLOSES.findall(whole)):
            end, owned_by = found.start(1), None  # it closes a quotation
        else:
            owned_by = found[1]
        before = whole.rstrip(" \"“'‘(")
        starts = not before or before[-1] in ".!?\n"
        owner = noun.removeprefix("the ") if _DETERMINED.search(whole) else noun
        owns = ("'" if noun.endswith("s") else "'s") if owned_by else ""
        word = pronoun if starts and not owns else owner + owns
        yield (found.start(), end), word[0].upper() + word[1:] if starts else word
