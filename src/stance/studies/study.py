"""The study of a sweep: an Optuna study in a database that processes and machines share.

Here: the settings of a sweep, the database, whether a study may go on, and how much of it is done. A trial of a
process that was killed is found by its missing heartbeat, marked as failed and queued again, with its values and the
seeds that were finished. Training is `stance.studies.sweep`.
"""

import json
import math
import re
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna import Study
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from stance.errors import StanceError, hidden
from stance.files import check_above
from stance.records import Example
from stance.scoring.scores import choices, pointless, rates
from stance.settings.studies import SweepConfig
from stance.studies import are_seeds, precision
from stance.studies.database import Storage
from stance.studies.space import Space, grid
from stance.training.recipe import MAX_SEED

LOCK_SECONDS = 120.0
OPENING_SECONDS = 30.0
MAX_HEARTBEAT = 86_400
MISSED_BEATS = 3
HANDED_BACK = "handed_back_"
LEAST = 3
"""Trials that must have come as far as one that is pruned, where so many begin without pruning: one is no median."""
METRICS = (*rates(np.ones((3, 3))), "loss")
SAMPLERS, PRUNERS, DIRECTIONS = ("tpe", "random", "grid"), ("median", "hyperband", "none"), ("maximize", "minimize")


@dataclass(frozen=True, slots=True)
class Opened:
    """A study, the key by which other stores know it, and whether this process created it."""

    study: Study
    key: str
    first: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """How many trials are finished, running somewhere, and waiting to be started again."""

    done: int
    running: int
    waiting: int


def check(config: SweepConfig, validation: Sequence[Example] = ()) -> None:
    """Refuse settings without a meaning, such as a score of a label that no corpus of the validation split knows."""
    unknown = pointless(choices(validation))
    metrics = [name for name in METRICS if name not in unknown]
    for name, known in (("metric", metrics), ("direction", DIRECTIONS), ("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if (value := getattr(config, name)) not in known:
            raise StanceError(f"sweep.{name}={value}: expected one of {', '.join(known)}")
    if (config.metric == "loss") != (config.direction == "minimize"):
        raise StanceError(f"sweep.direction={config.direction}: the loss is to be minimized, scores maximized")
    if config.name in ("", ".", "..") or len(config.name) > 200 or set(config.name) & set("/\\\n"):
        raise StanceError(f"sweep.name={config.name!r}: expected a name of at most 200 characters without / and \\")
    if not are_seeds(config.seeds):
        raise StanceError(f"sweep.seeds={config.seeds}: expected different numbers from 0 to {MAX_SEED}, at least one")
    if min(config.trials, config.heartbeat, config.max_failures) < 1:
        raise StanceError("sweep.trials, heartbeat and max_failures must be at least 1")
    if config.heartbeat > MAX_HEARTBEAT:
        raise StanceError(f"sweep.heartbeat={config.heartbeat}: expected at most {MAX_HEARTBEAT:,} seconds, a day")
    if min(config.startup, config.retries, config.seed) < 0:
        raise StanceError("sweep.startup, retries and seed must not be negative")
    if not 0 <= config.timeout < math.inf:
        raise StanceError(f"sweep.timeout={config.timeout}: expected seconds; 0 sets no limit")


def shown(url: str) -> str:
    """A database URL without its password."""
    try:
        return hidden(make_url(hidden(url)).render_as_string(hide_password=True))
    except (ArgumentError, ValueError):
        return "the given URL" if re.search("@|pass|token|secret", url, re.IGNORECASE) else hidden(url)


def connect(config: SweepConfig, *, on_stale: Callable[[FrozenTrial], None] = lambda trial: None) -> RDBStorage:
    """The database of studies, made if need be.

    Args:
        config: where, and how often trials give a sign of life.
        on_stale: is told of a trial whose process was killed, after it was queued again.

    Raises:
        StanceError: it can't be reached, written or understood.
    """
    _check_url(config.storage)
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def stale(study: Study, trial: FrozenTrial) -> None:
        _requeue(study, trial, config.retries)
        on_stale(trial)

    options: dict[str, Any] = {"pool_pre_ping": True}
    if config.storage.startswith("sqlite"):
        options = {"connect_args": {"timeout": LOCK_SECONDS}}
    for attempt in range(8):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return Storage(
                    config.storage.replace("{", "{{").replace("}", "}}"),  # Optuna formats it
                    options,
                    heartbeat_interval=config.heartbeat,
                    grace_period=MISSED_BEATS * config.heartbeat,
                    heartbeat_stale_trial_callback=stale,
                )
        except (SQLAlchemyError, RuntimeError, AssertionError) as error:
            failure = error  # most likely another process is making the tables at this moment
            time.sleep(0.1 * (attempt + 1))
    reason = " ".join(str(failure).split("\n")[0].split())
    raise StanceError(f"sweep.storage={shown(config.storage)}: can't be used: {reason}") from failure


def _check_url(text: str) -> None:
    try:
        url = make_url(text)
        url.get_dialect().import_dbapi()
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise StanceError(
            f"sweep.storage={shown(text)}: expected sqlite:///FILE or the URL of a database whose driver is installed, "
            f"such as postgresql+psycopg://USER@HOST/NAME: {reason}"
        ) from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise StanceError(
                f"sweep.storage={shown(text)}: names no file, so nothing would survive; use sqlite:///FILE"
            )
        try:
            check_above(Path(url.database))
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StanceError(f"sweep.storage={shown(text)}: its folder can't be made ({error.strerror})") from error


@contextmanager
def reached(config: SweepConfig) -> Iterator[None]:
    """Say what failed where the database of studies does: it went away, is read-only, or its user may not write."""
    try:
        yield
    except StorageInternalError as error:
        reason = str(error.__cause__ or error).split("\n")[0]
        raise StanceError(
            f"sweep.storage={shown(config.storage)}: the database failed: {reason}; the same command goes on from here"
        ) from error


def join(config: SweepConfig, storage: RDBStorage, facts: Mapping[str, Any]) -> Opened:
    """The study of this name, created unless it is there; exactly one process is told that it is the first.

    Args:
        config: its name.
        storage: see `connect`.
        facts: what makes two studies comparable, by dotted key; JSON values.

    Raises:
        StanceError: the study was begun with other facts, or by something else.
    """
    where = f"study {config.name!r} in {shown(config.storage)}"
    try:
        direction = StudyDirection[config.direction.upper()]
        study = optuna.create_study(storage=storage, study_name=config.name, direction=direction)
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=config.name, sampler=RandomSampler())
        wait_for(study, "stance")
        if "stance" in study.user_attrs:
            _check_same(where, study.user_attrs["stance"]["facts"], facts)
            return Opened(study, study.user_attrs["stance"]["key"], False)
        if study.get_trials(deepcopy=False):
            raise StanceError(f"{where}: holds trials of another program; choose another sweep.name") from None
    key = uuid.uuid4().hex
    precision.shared(study)
    study.set_user_attr("stance", {"key": key, "facts": dict(facts)})
    return Opened(study, key, True)


def wait_for(study: Study, attribute: str, seconds: float | None = None) -> None:
    """Wait until the process that created the study has set an attribute, or seems to have died before it could."""
    end = time.monotonic() + (OPENING_SECONDS if seconds is None else seconds)
    while attribute not in study.user_attrs and time.monotonic() < end:
        time.sleep(0.2)


def _check_same(where: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changes = [
        f"{key} was {_said(before, key)} and is now {_said(now, key)}"
        for key in sorted({*before, *now})
        if _said(before, key) != _said(now, key)
    ]
    if changes:
        more = f" (and {len(changes) - 3} more)" if changes[3:] else ""
        raise StanceError(
            f"{where} was begun with other settings: {'; '.join(changes[:3])}{more}. Repeat its settings to go on "
            "with it, or choose another sweep.name"
        )


def _said(facts: Mapping[str, Any], key: str) -> str:
    return json.dumps(facts[key], sort_keys=True) if key in facts else "not there"


def sampler(config: SweepConfig, space: Space, opened: Opened) -> BaseSampler:
    """The sampler of the next trial. Seeded by what is there already, and by the process unless it was the first."""
    if config.sampler == "grid":
        return GridSampler(grid(space), seed=0)  # combinations are known by their places: all processes need one order
    entropy = [
        config.seed,
        len(opened.study.get_trials(deepcopy=False)),
        0 if opened.first else uuid.uuid4().int % 2**32,
    ]
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    if config.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(n_startup_trials=config.startup, seed=seed)


def pruner(config: SweepConfig, steps: int) -> BasePruner:
    """The pruner; `steps` is the number of epochs of a trial over all its seeds."""
    if config.pruner == "median":
        return MedianPruner(n_startup_trials=config.startup, n_min_trials=max(1, min(config.startup, LEAST)))
    return HyperbandPruner(max_resource=steps) if config.pruner == "hyperband" else NopPruner()


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: neither given up for another try, nor begun by two processes where one was wanted."""
    tried = {number for trial in trials for number in retried(trial)}
    return [trial for trial in trials if trial.number not in tried and "surplus" not in trial.user_attrs]


def retried(trial: FrozenTrial) -> list[int]:
    """Numbers of the trials that this one tries again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RetryHeartbeatStaleTrialCallback.retry_history(trial)


def tally(study: Study) -> Tally:
    """How far the study is."""
    states = [trial.state for trial in counted(study.get_trials(deepcopy=False))]
    return Tally(
        sum(state.is_finished() for state in states), states.count(TrialState.RUNNING), states.count(TrialState.WAITING)
    )


def give_back(study: Study, number: int, *, retries: int | None = None) -> None:
    """Queue a trial again whose work was cut short, unless another process has done so.

    Args:
        study: of the trial.
        number: of the trial.
        retries: how often at most; None for one that its own process hands back, which is none of its retries.
    """
    if retries is None:
        study.set_user_attr(f"{HANDED_BACK}{number}", True)
    study.sampler = RandomSampler()  # that of a grid would stop the study here, and only a running one can be stopped
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    trials = study.get_trials()
    again = {earlier for trial in trials for earlier in retried(trial)}
    if trials[number].state == TrialState.FAIL and number not in again:
        _requeue(study, trials[number], retries)


def lost(study: Study) -> list[int]:
    """Numbers of the trials whose process ended between "failed" and "queued again"."""
    failed = (t for t in counted(study.get_trials(deepcopy=False)) if t.state == TrialState.FAIL)
    return [trial.number for trial in failed if "verdict" not in trial.user_attrs]


def _requeue(study: Study, trial: FrozenTrial, limit: int | None) -> None:
    handed = sum(f"{HANDED_BACK}{number}" in study.user_attrs for number in (*retried(trial), trial.number))
    most = None if limit is None else limit + handed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback(most, inherit_intermediate_values=True)(study, trial)
