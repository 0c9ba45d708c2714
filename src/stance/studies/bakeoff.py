"""Comparing ways to train: each contender trained over the same seeds and scored on the same development sets.

It decides defaults, so it looks at validation and development parts only, and at corpora that a contender has not seen.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from stance import studies
from stance.errors import StanceError
from stance.network.inference import Logits
from stance.records import LABELS, MASKED, UNLABELLED, Example, without_places
from stance.scoring.scores import choices, confusion, known, rates
from stance.scoring.transfer import POLAR, two_way
from stance.settings.studies import BakeoffConfig
from stance.settings.training import ModelConfig, TrainingConfig
from stance.studies import Memory, Sets, precision
from stance.training.recipe import MAX_SEED


@dataclass(frozen=True)
class Contender:
    """What learns, from what. `dataset` is the fingerprint of the dataset that `splits` are of."""

    name: str
    dataset: str
    splits: Sets
    model: ModelConfig
    training: TrainingConfig


@dataclass(frozen=True)
class Outcome:
    """One trained contender: its score on each development set, and the pairs that it learned from in a second.

    `alerts` is what its training warned of, by name; empty in what was kept before they were.
    """

    name: str
    seed: int
    pairs_per_second: float
    scores: dict[str, float]
    alerts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A training that ended with an error, which the other ones need not wait for."""

    name: str
    seed: int
    reason: str


def check(config: BakeoffConfig) -> None:
    """Refuse what has no meaning."""
    if not config.contenders:
        raise StanceError(
            "bakeoff.contenders must name at least one: bakeoff=encodings, recipes, speed and left_out do, or a file "
            "of your own in conf/bakeoff"
        )
    if not studies.are_seeds(config.seeds):
        raise StanceError(f"bakeoff.seeds hold different numbers from 0 to {MAX_SEED}; found {list(config.seeds)}")
    for name in config.contenders:
        plain = re.fullmatch(r"[\w./: -]+", name, re.ASCII) and posixpath.normpath(name) == name
        if not plain or name[0] in "./":
            raise StanceError(
                f"bakeoff.contenders: {name!r} can't be part of a metric's name in MLflow; expected letters, digits, "
                "spaces and _ - . / :, as a path that begins with none of / and ."
            )


def check_unseen(contender: Contender, validation: Sequence[Example]) -> None:
    """Refuse a contender that learns passages or articles which all are scored on: its dataset has other splits.

    Raises:
        StanceError: it does.
    """
    learned = [row for part in ("train", UNLABELLED) for row in contender.splits.get(part, ())]
    texts, articles = {row.text for row in learned}, set().union(*map(_articles, learned))
    if seen := [row.id for row in validation if row.text in texts or _articles(row) & articles]:
        raise StanceError(
            f"bakeoff.contenders.{contender.name}: it learns the articles of {len(seen)} of the {len(validation)} "
            f"validation pairs that are scored, first {seen[0]}; build its dataset with the same splits"
        )


def _articles(row: Example) -> set[tuple[str, str]]:
    """A row's corpus and the article's name, also without the corpus's, which a dataset of several puts before it."""
    return {(row.corpus, row.article_id), (row.corpus, row.article_id.removeprefix(f"{row.corpus}/"))}


def metric(contender: str, scored: str) -> str:
    """The name in MLflow of a contender's score on a set; a corpus may have a name that MLflow would not take."""
    return re.sub(r"[^\w./:-]", "_", f"{contender}.{scored}")


def alerts(found: Iterable[Outcome]) -> dict[str, str]:
    """What the trainings warned of, joined by alert."""
    return studies.told((f"{o.name}, seed {o.seed}", o.alerts) for o in found)


def metrics(found: Sequence[Outcome]) -> dict[str, float]:
    """What MLflow compares: of each contender how many seeds it has, the mean on each set, and their deviation.

    The standard deviation is that of a sample, where there are several seeds.
    """
    flat: dict[str, float] = {}
    for name, here in _by_contender(found).items():
        for scored in here[0].scores:
            values = [outcome.scores[scored] for outcome in here]
            flat[metric(name, scored)] = fmean(values)
            if len(values) > 1:
                flat[metric(name, f"{scored}.std")] = stdev(values)
        flat[metric(name, "seeds")] = len(here)
        flat[metric(name, "pairs_per_second")] = fmean(outcome.pairs_per_second for outcome in here)
    return flat


def check_names(contenders: Iterable[str], sets: Iterable[str]) -> None:
    """Refuse contenders and sets that MLflow could not tell apart, before a training."""
    for kind, names, what in (("contenders", contenders, "one of them"), ("sets", sets, "a corpus")):
        found: dict[str, str] = {}
        for name in names:
            other = found.setdefault(metric("", name), name)
            if other != name:
                raise StanceError(f"the {kind} {other!r} and {name!r} have the same name in MLflow; rename {what}")


def own(validation: Sequence[Example]) -> dict[str, list[Example]]:
    """The validation rows by corpus, and again without the mentions' places: services seldom know them."""
    sets: dict[str, list[Example]] = {}
    for example in validation:
        sets.setdefault(example.corpus, []).append(example)
    return sets | {f"{name} no places": [without_places(row) for row in rows] for name, rows in sets.items()}


def outcomes(
    contenders: Sequence[Contender], seeds: Sequence[int], *, sets: Sets, memory: Path
) -> Iterator[Outcome | Failure]:
    """Train and score every contender, seed by seed, so that a run that was cut off has compared all of them.

    Args:
        contenders: what is compared.
        seeds: of the trainings.
        sets: development sets that each model answers.
        memory: JSON Lines of what is known; a run that was cut off goes on after them.
    """
    done = Memory(memory)
    known = [_recipe(contender) for contender in contenders]
    asked = studies.contents(sets)
    for seed in seeds:
        for contender, learned in zip(contenders, known, strict=True):
            key = _key(learned, seed, asked)
            if key not in done.known:
                try:
                    done.keep(key, asdict(run(contender, seed, sets=sets)))
                except StanceError as error:
                    yield Failure(contender.name, seed, str(error))
                    continue
            yield Outcome(**(done.known[key] | {"name": contender.name}))


def settled(contenders: Sequence[Contender], seeds: Sequence[int], *, sets: Sets, memory: Path) -> list[Contender]:
    """The contenders with one precision for `training.precision=auto`: that of the outcomes which are known already.

    Args:
        contenders, seeds, sets, memory: see `outcomes`.
    """
    done, asked = Memory(memory).known, studies.contents(sets)
    auto = [c for c in contenders if c.training.precision == "auto"]
    others = [c for c in contenders if c.training.precision != "auto"]

    def taken(contender: Contender, kind: str) -> Contender:
        return replace(contender, training=replace(contender.training, precision=kind))

    def known(kind: str) -> int:
        if not done:
            return 0
        recipes = {_recipe(taken(c, kind)) for c in auto} - {_recipe(c) for c in others}
        return sum(_key(recipe, seed, asked) in done for recipe in recipes for seed in seeds)

    found = precision.settled(known, str(memory)) if auto else ""
    return [taken(c, found) if c.training.precision == "auto" else c for c in contenders]


def equals(contenders: Iterable[Contender]) -> list[list[str]]:
    """The names of contenders that learn the same from the same."""
    found: dict[str, list[str]] = {}
    for contender in contenders:
        found.setdefault(_recipe(contender), []).append(contender.name)
    return [names for names in found.values() if len(names) > 1]


def _recipe(contender: Contender) -> str:
    return studies.recipe_digest(contender.model, contender.training, contender.dataset)


def run(contender: Contender, seed: int, *, sets: Sets) -> Outcome:
    """Train one contender with one seed and score it."""
    recipe = replace(contender.training, seed=seed)
    result, answers = studies.train_and_predict(contender.splits, contender.model, recipe, sets)
    scores = {name: score(answers[name], rows) for name, rows in sets.items()}
    return Outcome(contender.name, seed, result.pairs_per_second, scores, result.alerts)


def score(logits: Logits, rows: Sequence[Example]) -> float:
    """Macro-F1 over the labels that the rows know; accuracy of support against oppose where none is neutral."""
    references = [LABELS.index(row.stance) for row in rows]
    if set(references) <= set(POLAR):
        return float((two_way(logits) == references).mean())
    answers = np.where(known(rows), logits, MASKED).argmax(1)
    return float(rates(confusion(references, answers.tolist()), choices(rows))["macro_f1"])


def _key(contender: str, seed: int, asked: str) -> str:
    """A digest of all that an outcome depends on, but not of its name."""
    return hashlib.sha256(f"{contender}\n{seed}\n{asked}".encode()).hexdigest()


def table(found: Sequence[Outcome]) -> list[list[str]]:
    """Rows for a reader: for each contender the mean and the standard deviation over the seeds."""
    names = list(found[0].scores)
    rows = [["contender", "seeds", "pairs/s", *names, "mean"]]
    for contender, here in _by_contender(found).items():
        columns = [[o.scores[name] for o in here] for name in names]
        speed = fmean(o.pairs_per_second for o in here)
        means = [fmean(o.scores.values()) for o in here]
        rows.append([contender, str(len(here)), f"{speed:.0f}", *map(_spread, [*columns, means])])
    return rows


def _by_contender(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    names = dict.fromkeys(outcome.name for outcome in found)
    return {name: [outcome for outcome in found if outcome.name == name] for name in names}


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" + (f" ±{stdev(values):.3f}" if len(values) > 1 else "")
