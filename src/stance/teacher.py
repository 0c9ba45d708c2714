"""Distillation: checkpoints that answer the training questions, and more questions that nobody annotated.

What the teachers say becomes the wanted answer of an example (`Example.soft`), so that the loss needs to know
nothing of teachers (Hinton et al., 2015, at temperature 1). Several teachers answer with their mean probabilities.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from stance import inference, jsonl, model
from stance.calibration import softmax
from stance.errors import StanceError
from stance.predictor import sha256
from stance.recipe import TrainingConfig, choose_precision
from stance.records import LABELS, SOMEONE, Example, Stance
from stance.scores import only_known

Shares = npt.NDArray[np.float64]
PROVENANCE = "distilled"
FILES = ("model.safetensors", "checkpoint.json", "config.json", "tokenizer.json")
"""What decides a checkpoint's answers."""


def teach(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """The examples with the teachers' answers mixed into theirs, and further questions that only teachers answer.

    Without `training.teacher` they are returned as they are.

    Raises:
        StanceError: a teacher is no checkpoint of ours.
    """
    if not config.teacher:
        return list(examples)
    asked = [*examples, *_further(examples, config.teacher_questions, config.seed)]
    shares = only_known(answers(asked, config), asked)
    return [_taught(example, wanted, config) for example, wanted in zip(asked, shares, strict=True)]


def answers(asked: Sequence[Example], config: TrainingConfig) -> Shares:
    """The mean probabilities of the teachers, shape `(examples, 3)`; each teacher's are kept in `teacher_cache`."""
    pairs = [example.pair() for example in asked]
    digest = hashlib.sha256()
    for example in asked:
        digest.update(jsonl.dumps(asdict(example.pair())).encode())
    found = []
    precision = choose_precision(config.precision)
    where = f"{precision} {'cuda' if torch.cuda.is_available() else 'cpu'} {digest.hexdigest()}"
    for name in config.teacher:
        _check(Path(name))
        files = " ".join(sha256(Path(name) / part) for part in FILES)
        key = hashlib.sha256(f"{files} {where}".encode()).hexdigest()
        path = Path(config.teacher_cache) / f"{key}.safetensors"
        if not path.is_file():
            print(f"teacher {name} answers {len(pairs)} questions")
            scores = inference.logits(model.load(Path(name)), pairs, precision=precision)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"logits": scores}, path)
        found.append(softmax(load_file(path)["logits"]))
    return np.asarray(np.mean(found, axis=0))


def _check(directory: Path) -> None:
    model.about(directory)
    for part in FILES:
        if not (directory / part).is_file():
            raise StanceError(
                f"training.teacher: {directory / part} is missing; expected a checkpoint written by scripts/train.py"
            )


def _taught(example: Example, shares: Shares, config: TrainingConfig) -> Example:
    """The example with `teacher_weight` of its answer from the teachers: all of it where nobody annotated it."""
    if example.provenance == PROVENANCE:
        stance = Stance(LABELS[int(shares.argmax())])
        return replace(example, soft=tuple(shares.tolist()), stance=stance, weight=config.teacher_questions_weight)
    share = config.teacher_weight
    mixed = tuple((1 - share) * a + share * b for a, b in zip(example.shares(), shares.tolist(), strict=True))
    return replace(example, soft=mixed)


def _further(examples: Sequence[Example], ratio: float, seed: int) -> list[Example]:
    """Pairs of names of one passage that no example asks about, at most `ratio` for each example.

    Their label is a placeholder until a teacher has answered. The other direction of a pair is among them.
    """
    passages: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        passages.setdefault((example.article_id, example.text), []).append(example)
    random = np.random.default_rng(seed)
    further: list[Example] = []
    for members in passages.values():
        asked = {_key(example)[1:] for example in members}
        places = {name: place for e in members for name, place in ((e.target, e.target_span), (e.actor, e.actor_span))}
        pairs = [(a, t) for a, t in permutations(places, 2) if t != SOMEONE and (a, t) not in asked]
        wanted = int(ratio * len(members) + random.random())
        for index in random.permutation(len(pairs))[:wanted]:
            actor, target = pairs[index]
            further.append(
                replace(
                    members[0],
                    id=f"{members[0].id}+{len(further)}",
                    actor=actor,
                    target=target,
                    actor_span=places[actor],
                    target_span=places[target],
                    stance=Stance.NEUTRAL,
                    provenance=PROVENANCE,
                    tags=(),
                    soft=(),
                    labels=LABELS,
                )
            )
    return further


def _key(example: Example) -> tuple[str, str, str]:
    return example.text, example.actor, example.target
