"""Changes of the training pairs that leave their labels true, so that a model meets the questions of services."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stance.augmentation.hiding import hide
from stance.augmentation.renaming import is_pronoun, name_words, rename
from stance.records import PARTIAL, SOMEONE, Example, Stance, as_printed, folded
from stance.settings.training import TrainingConfig

_ARTICLE = frozenset({"the"})


def vary(examples: Sequence[Example], config: TrainingConfig, made: dict[str, int] | None = None) -> list[Example]:
    """Ask some examples by names alone or by the words that the passage prints, and add others made of them.

    The printed words also hide how a name was written down: annotated pairs have canonical names, sampled ones
    printed names, and a model would learn to tell them apart by that. `made` takes how many pairs each of the settings
    in `_added` and `_renamed` has added or changed, or may have.
    """
    found = {} if made is None else made
    examples = [*examples, *_added(examples, config, found)]
    draws = np.random.default_rng(config.seed).random((len(examples), 2))
    examples = _renamed(examples, config, found)
    found["sampled_weight"] = sum(example.provenance == "sampled" for example in examples)
    varied = []
    for example, (place, wording) in zip(examples, draws, strict=True):
        asked = as_printed(example) if wording < config.surface_share else example
        asked = _by_names(asked, example) if place < config.span_dropout else asked
        sampled = example.provenance == "sampled"
        varied.append(replace(asked, weight=asked.weight * config.sampled_weight) if sampled else asked)
    return varied


def unused(config: TrainingConfig, made: Mapping[str, int]) -> list[str]:
    """A line about each setting that was given and, by how many pairs or questions were `made`, does nothing."""
    default = TrainingConfig()
    return [
        f"training.{name}={getattr(config, name):g} has no effect: {_WANTED[name]}"
        for name, number in made.items()
        if not number and getattr(config, name) != getattr(default, name)
    ]


_WANTED = {
    "open_holder": "no target was drawn whose holders surely agree",
    "swap_direction": "no training pair was drawn that is surely neutral the other way round",
    "deny": "no annotated stance was drawn that a plain verb of training.lexicon states",
    "passive": "no annotated stance was drawn that a verb of training.lexicon with a passive voice states",
    "mask_names": "no training pair was drawn that has a name to replace",
    "swap_names": "no training pair was drawn that has a name to replace by another's",
    "hide_names": "no training pair was drawn that has a name to refer to by other words",
    "sampled_weight": "no training pair was sampled",
    "teacher_questions": "no passage has two more names that a teacher can be asked about",
    "teacher_questions_weight": "there is no question that only a teacher answers (training.teacher_questions, "
    "examples.unlabelled)",
}


def _added(examples: Sequence[Example], config: TrainingConfig, made: dict[str, int]) -> list[Example]:
    """The pairs that are made of the examples."""
    anybody = _open(examples, config) if config.open_holder else []
    turned = _reversed(examples, config) if config.swap_direction else []
    told: list[Example] = []
    if config.deny or config.passive:
        from stance.augmentation.rewriting import rewritten  # spaCy takes a second, and few trainings need it

        told = rewritten([*examples, *turned], config)
    made |= {"open_holder": len(anybody), "swap_direction": len(turned)}
    made["passive"] = sum(example.id.endswith("-passive") for example in told)
    made["deny"] = len(told) - made["passive"]
    return [*turned, *told, *anybody]


def _renamed(examples: list[Example], config: TrainingConfig, made: dict[str, int]) -> list[Example]:
    """The examples under other names, a share of them."""
    after = rename(examples, config) if config.mask_names or config.swap_names else examples
    made["mask_names"] = made["swap_names"] = sum(a is not b for a, b in zip(after, examples, strict=True))
    hidden = hide(after, config) if config.hide_names else after
    made["hide_names"] = sum(a is not b for a, b in zip(hidden, after, strict=True))
    return hidden


def _by_names(asked: Example, example: Example) -> Example:
    """What is `asked`, by its names alone.

    A pronoun alone may be anybody: the name it stands for is asked about instead, or where there is none, its place.
    """
    actor, target = _named(asked.actor, example.actor), _named(asked.target, example.target)
    return replace(
        asked,
        actor=actor,
        target=target,
        actor_span=example.actor_span if is_pronoun(actor) else None,
        target_span=example.target_span if is_pronoun(target) else None,
    )


def _named(word: str, name: str) -> str:
    return name if is_pronoun(word) else word


def without_labels(config: TrainingConfig) -> TrainingConfig:
    """The changes that suit questions without a label: none that is sure because of what people annotated."""
    return replace(config, swap_direction=0.0, deny=0.0, passive=0.0, open_holder=0.0)


def _reversed(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """Neutral pairs: a share of those with a stance the other way round, where that is surely no stance.

    It is in articles in which every stance is annotated, which is where pairs were sampled, if no annotation of the
    article has names that share words with the two. Targets that act nowhere in the corpus would be too easy.
    """
    exhaustive = {e.article_id: e.weight for e in examples if e.provenance == "sampled" and PARTIAL not in e.tags}
    actors = {(example.corpus, folded(example.actor)) for example in examples}
    there = {(example.text, example.actor, example.target) for example in examples}
    taken: dict[str, list[tuple[set[str], set[str]]]] = {}
    for example in examples:
        if example.article_id in exhaustive and example.provenance != "sampled":
            both = _words(example.actor), _words(example.target)
            taken.setdefault(example.article_id, []).append(both)

    def sure(example: Example) -> bool:
        if example.article_id not in exhaustive or example.provenance == "sampled" or example.actor == SOMEONE:
            return False
        actor, target = _words(example.actor), _words(example.target)
        free = actor and target and not actor & target
        acts = (example.corpus, folded(example.target)) in actors
        new = (example.text, example.target, example.actor) not in there
        return bool(free and acts and new) and not any(target & a and actor & t for a, t in taken[example.article_id])

    random = np.random.default_rng([config.seed, 2])
    held = [example for example in examples if example.stance != Stance.NEUTRAL and sure(example)]
    draws = random.random(len(held))
    drawn = [example for example, draw in zip(held, draws, strict=True) if draw < config.swap_direction]
    return [_turned(example, exhaustive[example.article_id]) for example in drawn]


def _turned(example: Example, weight: float) -> Example:
    return replace(
        example,
        id=f"{example.id}-reversed",
        actor=example.target,
        target=example.actor,
        actor_span=example.target_span,
        target_span=example.actor_span,
        stance=Stance.NEUTRAL,
        provenance="sampled",
        soft=(),
        tags=(),
        weight=weight,
    )


def _open(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """A share of the targets of each passage with the holder left open, where that stance is sure.

    Of those of a corpus that nobody has a stance to, no more than of its others: most of an article's names are such.
    """
    asked = {_about(example) for example in examples if example.actor == SOMEONE}
    found: dict[tuple[str, str, str], Example] = {}
    for example, sure in zip(examples, _agreed(examples), strict=True):
        if sure and SOMEONE not in (example.actor, example.target) and _about(example) not in asked:
            found.setdefault(_about(example), example)
    held = Counter(example.corpus for example in found.values() if example.stance != Stance.NEUTRAL)
    neutral = Counter(example.corpus for example in found.values() if example.stance == Stance.NEUTRAL)
    draws = np.random.default_rng([config.seed, 4]).random(len(found))
    drawn = []
    for example, draw in zip(found.values(), draws, strict=True):
        corpus = example.corpus
        share = min(1.0, held[corpus] / neutral[corpus]) if example.stance == Stance.NEUTRAL else 1.0
        if draw < config.open_holder * share:
            drawn.append(example)
    return [replace(e, id=f"{e.id}-open", actor=SOMEONE, actor_span=None, soft=(), tags=()) for e in drawn]


def _about(example: Example) -> tuple[str, str, str]:
    """What a question with the holder left open is about."""
    return example.article_id, example.text, folded(example.target)


def _agreed(examples: Sequence[Example]) -> list[bool]:
    """Whether a pair's stance is also that of "someone": everybody in the article who is near the target has it.

    That nobody has one is known of articles in which every stance is annotated, which is where pairs were sampled. A
    sampled target must also share no word with an annotated one: "the talks" may be what was annotated as "peace talks
    in Kampala". Of a `PARTIAL` row nothing is known.
    """
    exhaustive = {e.article_id for e in examples if e.provenance == "sampled" and PARTIAL not in e.tags}
    stances: dict[tuple[str, str], set[Stance]] = {}
    taken: dict[str, set[str]] = {}
    for example in examples:
        if example.provenance != "sampled":
            stances.setdefault((example.article_id, folded(example.target)), set()).add(example.stance)
            named = taken.setdefault(example.article_id, set())
            named.update(_words(example.target), _words(as_printed(example).target))

    def agreed(example: Example) -> bool:
        if PARTIAL in example.tags:
            return False
        if example.provenance == "sampled":
            return not taken.get(example.article_id, set()) & _words(example.target)
        known = example.stance != Stance.NEUTRAL or example.article_id in exhaustive
        return known and len(stances[example.article_id, folded(example.target)]) == 1

    return [agreed(example) for example in examples]


def _words(name: str) -> set[str]:
    return name_words(name, _ARTICLE)
