"""A trial of a sweep: one model a seed with the drawn settings; its value is the median of their validation scores.

After each epoch the median so far goes to the study's pruner. The test split is never read. Studies and processes:
`stance.studies.study` and `stance.studies.sweep`.
"""

import json
import math
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from optuna import Trial, TrialPruned
from optuna.distributions import distribution_to_json
from optuna.exceptions import OptunaError

from stance import studies
from stance.errors import MachineError, StanceError, no_room
from stance.network.memory import free
from stance.records import Example
from stance.settings.studies import SweepConfig
from stance.studies.space import Settings, Space, changed, extremes, grid, parse, undrawn, values
from stance.studies.study import check
from stance.training import finetuning, recipe, rehearsal
from stance.training.callbacks import Sink
from stance.training.resume import FREE, weighing, weight_digests

SHAPES = ("model.", "training.frozen_layers", "training.gradient_checkpointing", "training.initial", "training.lora.")
"""How the keys of settings begin that decide what model can be made."""
DROPOUTS = ("model.dropout", "model.encoder_dropout", "training.lora.dropout")
"""Of those, what no model fails for."""


class Record(Protocol):
    """What keeps the numbers of a trial."""

    id: str

    def sink(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep metrics of a step."""

    def tag(self, **tags: str) -> None:
        """Keep texts."""

    def alert(self, name: str, text: str) -> None:
        """Keep what a person should know."""


@dataclass
class Alerts:
    """Listens to the trainings of a trial: its record has each alert once, of all seeds that raised it.

    `told` are the texts by name, by seed.
    """

    record: Record
    told: dict[str, dict[str, str]] = field(default_factory=dict)
    seed: int = 0

    def alert(self, name: str, text: str) -> None:
        """Add an alert of the seed that is trained now."""
        self.told.setdefault(str(self.seed), {})[name] = text
        self.record.alert(name, studies.told((f"seed {seed}", texts) for seed, texts in self.told.items())[name])

    def repeat(self, seed: int) -> None:
        """Tell the record what a seed warned of that was finished before the trial was tried again."""
        self.seed = seed
        for name, text in dict(self.told.get(str(seed), {})).items():
            self.record.sink({f"seed_{seed}_alert_{name}": 1.0}, 0)
            self.alert(name, text)

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        """The sink has the numbers."""


class TrialError(Exception):
    """A training ended with an error of its own: out of memory, a loss that is NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched, what stays fixed, the training and validation splits, and where checkpoints lie for a while."""

    config: SweepConfig
    settings: Settings
    space: Space
    splits: Mapping[str, Sequence[Example]]
    scratch: Path

    @property
    def epochs(self) -> int:
        """Most epochs of any training of the sweep."""
        kind = self.space.get("training.epochs")
        return int(max(extremes(kind))) if kind else self.settings.training.epochs

    @property
    def steps(self) -> int:
        """Most epochs of any trial, over all its seeds."""
        return self.epochs * len(self.config.seeds)


def plan(config: SweepConfig, settings: Settings, rows: Mapping[str, Sequence[Example]], *, scratch: Path) -> Plan:
    """Check all that can be checked before a model is trained: the space, both ends of each range, the encoder.

    Args:
        config: the sweep.
        settings: of the trainings, where they are not searched.
        rows: examples by split.
        scratch: directory for the checkpoints of running trials; they are deleted.

    Raises:
        StanceError: a setting has no meaning.
    """
    check(config, rows["validation"])
    space = parse(config.space)
    splits = {name: part for name, part in rows.items() if name != "test"}
    if config.sampler == "grid":
        config = replace(config, trials=min(config.trials, math.prod(len(choices) for choices in grid(space).values())))
    _check_effects(space, settings)
    _check_pruner(config, space)
    found = Plan(config, settings, space, splits, scratch)
    out = undrawn(settings, space)
    base = changed(settings, out)
    try:
        _check(found, base)
        _check_r_drop(found, base)
    except StanceError as error:
        told = str(error)
        texts = {key: value for key, value in out.items() if value and isinstance(value, str)}
        named = [key for key in out if f"{key}=" in told or (key in texts and texts[key] in told)]
        raise StanceError(f"sweep.space.{named[0]}: {told}" if named else told) from error
    for key, kind in space.items():
        for end in extremes(kind):
            try:
                _check(found, changed(base, {key: end}), key)
            except StanceError as error:
                raise StanceError(f"sweep.space.{key}: {error}") from error
    return found


def _check_effects(space: Space, settings: Settings) -> None:
    """Refuse to search a setting that none of the space's other values gives an effect."""
    drawn = [changed(settings, {key: end}).training for key, kind in space.items() for end in extremes(kind)]
    for key in space:
        lacking = [recipe.idle(key.removeprefix("training."), config) for config in (settings.training, *drawn)]
        if all(lacking):
            raise StanceError(f"sweep.space.{key}: has no effect without {lacking[0]}; set that, or take this out")


def _check_pruner(config: SweepConfig, space: Space) -> None:
    """Refuse Hyperband for trainings of several lengths: it compares the first epochs, whatever was left of each."""
    kind = space.get("training.epochs")
    if config.pruner == "hyperband" and kind and len(set(extremes(kind))) > 1:
        raise StanceError(
            "sweep.pruner=hyperband: compares trials after as many epochs, and sweep.space.training.epochs lets them "
            "end after different ones; use sweep.pruner=median, or take the epochs out ('~sweep.space.training.epochs')"
        )


def _check(plan: Plan, settings: Settings, key: str = "") -> None:
    """Check settings of which `key` has another value than those that were checked before.

    The model is made where the setting decides about it, but not of several encoders with several such settings: what
    fits one need not fit another.
    """
    rehearsal.check(settings.model, settings.training, plan.splits)
    shapes = [name for name in plan.space if name.startswith(SHAPES) and name not in DROPOUTS]
    if (not key or key in shapes) and not ("model.name" in shapes and len(shapes) > 1):
        rehearsal.make(settings.model, settings.training)


def _check_r_drop(plan: Plan, base: Settings) -> None:
    """Refuse R-Drop where no trial has a dropout."""
    decisive = (*DROPOUTS, "training.lora.rank", "training.r_drop")
    most = {key: max(extremes(plan.space[key])) for key in decisive if key in plan.space}
    best = changed(base, most)
    recipe.check_r_drop(best.training, best.model)


def facts(plan: Plan, dataset: str) -> dict[str, Any]:
    """What makes the trials of a study comparable, by dotted key; `dataset` is its fingerprint."""
    fixed = values(plan.settings)
    found = {key: value for key, value in fixed.items() if key not in plan.space and key not in FREE}
    for key, kind in plan.space.items():
        described = json.loads(distribution_to_json(kind))
        found[f"sweep.space.{key}"] = {"type": described["name"], **described["attributes"]}
    config = plan.config
    if config.sampler == "grid":  # it counts the combinations, which trials of another sampler have none of
        found["sweep.sampler"] = "grid"
    shared = {"sweep.metric": config.metric, "sweep.direction": config.direction, "sweep.seeds": config.seeds}
    local = _weights(plan)
    key = "training.class_weights"
    found |= weighing(getattr(plan.space.get(key), "choices", None) or [plan.settings.training.class_weights])
    return found | shared | {"dataset": dataset} | ({"weights": local} if local else {})


def _weights(plan: Plan) -> dict[str, str]:
    """The sha256 of all local weights that a trial may start or learn from."""
    found: dict[str, str] = {}
    for settings in beginnings(plan):
        found |= weight_digests(settings.model, settings.training)
    return found


def beginnings(plan: Plan) -> Iterator[Settings]:
    """Settings with everything once that a trial may start or learn from: encoders, checkpoints, the lexicon."""
    searched = ((key, plan.space.get(key)) for key in ("model.name", "training.initial"))
    draws: list[dict[str, Any]] = [{key: choice} for key, kind in searched for choice in getattr(kind, "choices", ())]
    draws += [{key: 1.0} for key in ("training.deny", "training.passive") if key in plan.space]
    yield from (changed(plan.settings, drawn) for drawn in ({}, *draws))


def value(trial: Trial, plan: Plan, settings: Settings, record: Record, *, folder: Path) -> float:
    """Train a model for each seed that has none yet; the median of their scores.

    Args:
        trial: of the study; one that is tried again keeps the scores and the alerts of its finished seeds.
        plan: seeds, metric and splits.
        settings: of the trainings, with the drawn values.
        record: keeps the numbers of each epoch as `seed_SEED_NAME`.
        folder: for the checkpoints; it is deleted.

    Raises:
        TrialPruned: the trial is poor.
        TrialError: a training failed.
    """
    metric = plan.config.metric
    scores: dict[str, float] = trial.user_attrs.get("scores", {})
    kept = trial.user_attrs.get("alerts", {})
    alerts = Alerts(record, {seed: texts for seed, texts in kept.items() if seed in scores})
    for index, seed in enumerate(plan.config.seeds):
        if str(seed) in scores:
            alerts.repeat(seed)
        else:
            sink = _reporter(trial, plan, index, settings.training.epochs, list(scores.values()), record)
            alerts.seed = seed
            scores[str(seed)] = _train(plan, settings, folder, sink, alerts)
            trial.set_user_attr("alerts", alerts.told)
            trial.set_user_attr("scores", scores)  # last: who finds them takes the seed for finished
        record.sink({f"seed_{seed}_{metric}": scores[str(seed)]}, 0)
    median = statistics.median(scores.values())
    record.sink({metric: median, f"best_validation_{metric}": median}, 0)  # as a training calls it
    return median


def _train(plan: Plan, settings: Settings, folder: Path, sink: Sink, alerts: Alerts) -> float:
    config = replace(settings.training, seed=alerts.seed, save_steps=0)  # no trial is gone on with within a seed
    output = folder / "checkpoint"
    free()
    try:
        result = finetuning.train(
            plan.splits, settings.model, config, output=output, about={}, sink=sink, listener=alerts, rescue=False
        )
    except OptunaError:
        raise
    except (StanceError, MemoryError, RuntimeError) as error:  # PyTorch says RuntimeError when memory is short
        if isinstance(error, MachineError) or no_room(error):  # may be the machine, not the settings
            raise
        kind = "" if isinstance(error, StanceError) else f"{type(error).__name__}: "
        raise TrialError(f"{kind}{' '.join(str(error).split())}"[:1000]) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    score = float(result.scores[plan.config.metric])
    if not math.isfinite(score):
        raise TrialError(f"{plan.config.metric} of seed {alerts.seed} is {score}")
    return score


def _reporter(trial: Trial, plan: Plan, index: int, length: int, finished: Sequence[float], record: Record) -> Sink:
    """A sink that reports, after each epoch, the median of the finished seeds' scores and that of the best epoch yet.

    A step is an epoch; those of a seed follow those of the seed before, as if none had stopped early. Trainings of
    fewer epochs (`length`) than the longest begin later and end at the same step: the learning rate falls over each
    training's own epochs, so that the first epoch of a long one would look poor beside the last of a short one.
    """
    start = (index + 1) * plan.epochs - length
    seed, metric = plan.config.seeds[index], f"validation_{plan.config.metric}"
    known = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
    epochs: list[tuple[float, float]] = []

    def sink(metrics: Mapping[str, float], step: int) -> None:
        kept = {k: v for k, v in metrics.items() if k.startswith(("validation_", "alert_")) or k == "train_loss"}
        record.sink({f"seed_{seed}_{name}": number for name, number in kept.items()}, step)
        if "validation_macro_f1" not in metrics:
            return
        epochs.append((metrics["validation_macro_f1"], metrics[metric]))
        here = start + len(epochs)
        if here in known:  # reported before the process was killed
            return
        _, score = max(epochs, key=lambda epoch: epoch[0])  # as training chooses the epoch that is kept
        trial.report(statistics.median([*finished, score]), here)
        if here < plan.steps and trial.should_prune():
            raise TrialPruned(f"after epoch {len(epochs)} of seed {seed}")

    return sink
