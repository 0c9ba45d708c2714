"""A sweep in MLflow: one run a study, shared by its processes, and a child run a trial.

The run of a study is found by its tag `stance.study`, so a restart goes on with it, and a machine with a tracking
store of its own gets one there.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from stance import tracking
from stance.building.dataset import Manifest
from stance.errors import StanceError
from stance.settings.tracking import TrackingConfig
from stance.studies import seedless
from stance.studies.space import Settings
from stance.studies.study import Opened, wait_for
from stance.tracking.runs import Run
from stance.tracking.stores import scrubbed
from stance.training import engine

RUN_SECONDS = 60.0
"""What a process waits for the run that another one makes: twice what MLflow's database takes on a busy machine. Who
killed the first one before there was a run waits in vain, so it is no longer."""


@contextmanager
def parent(config: TrackingConfig, opened: Opened, job: Mapping[str, Any], manifest: Manifest) -> Iterator[Run]:
    """The run of a study, opened again where it is known; the process that began the study makes it.

    Args:
        config: where runs are kept.
        opened: the study.
        job: the resolved settings of the sweep.
        manifest: of the dataset.
    """
    earlier = "" if opened.first else _earlier(config, opened)
    quiet, name = replace(config, system_metrics_seconds=0.0), f"sweep {opened.study.study_name}"
    try:
        with tracking.run(quiet, stage="sweep", settings=job, name=name, resume=earlier) as active:
            if not earlier:
                active.tag(study=opened.key)
                active.dataset(manifest, Path(job["dataset"]), "training")
                active.flush()  # others look for it
            _tracked(opened)
            yield active
    finally:
        _tracked(opened)  # where there came to be no run, nobody need wait for it


def _earlier(config: TrackingConfig, opened: Opened) -> str:
    """The run of a study that another process began, once that one has made it, or had the time to; or ""."""
    if "tracked" not in opened.study.user_attrs:
        print(f"waiting {RUN_SECONDS:.0f} s at most for the run of the process that began the study", flush=True)
        wait_for(opened.study, "tracked", RUN_SECONDS)
    return tracking.find(config, f"tags.`stance.study` = '{opened.key}' and tags.`stance.stage` = 'sweep'")


def _tracked(opened: Opened) -> None:
    if "tracked" not in opened.study.user_attrs:
        opened.study.set_user_attr("tracked", True)


@contextmanager
def child(
    config: TrackingConfig, opened: Opened, manifest: Manifest, path: Path, number: int, settings: Settings
) -> Iterator[Run]:
    """The run of a trial, whose value is not lost if MLflow is away when it ends.

    Args:
        config: where runs are kept.
        opened: the study.
        manifest, path: of the dataset.
        number: of the trial.
        settings: what it trains with.
    """
    ended = False
    try:
        with tracking.run(config, stage="trial", settings=seedless(asdict(settings)), name=f"trial {number}") as active:
            active.tag(study=opened.key, trial=str(number))
            active.dataset(manifest, path, "training")
            with suppress(StanceError):  # the trial meets the same error, and tells of it
                active.tag(**engine.auto_settings(settings.model, settings.training))
            yield active
            ended = True
    except StanceError as error:
        if not ended:
            raise
        logging.getLogger(__name__).warning("trial %s ended well, but not its run: %s", number, error)


def killed(config: TrackingConfig, trial: FrozenTrial) -> None:
    """End the run of a trial whose process is gone, if this store has it, in whatever experiment."""
    try:
        tracking.give_up(trial.user_attrs.get("run", ""), tracking.connect(config))
    except Exception as error:  # the trial is queued again, which must not fail for its record
        logging.getLogger(__name__).warning("could not end the run of trial %s: %s", trial.number, scrubbed(error))
