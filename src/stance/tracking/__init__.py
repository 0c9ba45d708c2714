"""Runs in MLflow: what a run is called, what it holds, how it ends. The model registry is `stance.tracking.registry`.

A run is a context: it ends FINISHED, FAILED with the reason as a tag, or KILLED. Stages hang together by tags:
the dataset's fingerprint, the run that trained, the digest of the artifact.
"""

import importlib
import json
import logging
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import mlflow
from mlflow.entities import Experiment, Param
from mlflow.entities import Run as Recorded
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from stance.errors import StanceError
from stance.files import resolved
from stance.jsonl import flatten
from stance.settings.tracking import TrackingConfig
from stance.tracking.origin import git_commit, versions
from stance.tracking.runs import Run
from stance.tracking.stores import check_experiment, impatient, opening, over_http, reason, scrubbed, without_password

_log = logging.getLogger(__name__)


@contextmanager
def run(
    config: TrackingConfig, *, stage: str, settings: Mapping[str, Any], name: str | None = None, resume: str = ""
) -> Iterator[Run]:
    """Open a run for a stage of the pipeline; inside another one it becomes its child.

    Args:
        config: where runs are kept.
        stage: what is done, such as `build`, `train`, `export`, `evaluate` or `sweep`.
        settings: the resolved configuration, nested.
        name: the run's name; without one it is called by its stage and its output.
        resume: the id of an interrupted run to go on with; a new one is opened if the store no longer has it.

    Raises:
        StanceError: the tracking database can't be used.
    """
    client = connect(config)
    try:
        before = _interrupted(client, config, resume) if resume else None
        if mlflow.active_run() is None:
            _told_where(client, config)
        active = _open(client, config, stage, (name or f"{stage} {settings.get('output', '')}".strip())[:250], before)
    except MlflowException as error:
        raise _refused(config, "can't open a run", error) from error
    try:
        if before:
            _reopen(active, before)
        else:
            _describe(client, active, settings)
        active.flush()  # what the store refuses for good is found before the work, not after
        yield active
        active.finish()
    except (MlflowException, RequestException) as error:
        _fail(active, error)
        more = "; the same command with resume=auto goes on from here" if stage == "train" else ""
        raise _refused(config, "failed during the run", error, more) from error
    except BaseException as error:
        _fail(active, error)
        raise


def _open(client: MlflowClient, config: TrackingConfig, stage: str, name: str, before: Recorded | None) -> Run:
    measured, inside = config.system_metrics_seconds > 0, mlflow.active_run() is not None
    if before:
        logged = _logged(client, before)
        mlflow.start_run(run_id=before.info.run_id, nested=inside, log_system_metrics=measured)
        return Run(before.info.run_id, client, logged)
    commit, dirty = git_commit()
    tags = {"stance.stage": stage, "mlflow.source.git.commit": commit, "stance.git_dirty": str(dirty)}
    started = mlflow.start_run(run_name=name, nested=inside, tags=tags, log_system_metrics=measured)
    return Run(started.info.run_id, client)


def connect(config: TrackingConfig) -> MlflowClient:
    """Point MLflow at the configured store, creating the database and the experiment if need be.

    Raises:
        StanceError: the database is locked, from a newer MLflow, no database, or can't be reached.
    """
    if not 0 <= config.system_metrics_seconds < math.inf:
        raise StanceError(
            f"tracking.system_metrics_seconds={config.system_metrics_seconds}: expected seconds; 0 measures nothing"
        )
    check_experiment(config.experiment, config.artifacts)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for noisy in ("mlflow.system_metrics", "mlflow.store.db.utils", "mlflow.tracking.fluent"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        with opening(config.uri):
            mlflow.set_tracking_uri(config.uri)
            mlflow.set_registry_uri(config.uri)
            client = MlflowClient()
            if _experiment(client, config) is None:
                _check_artifacts(config)
                _make_experiment(client, config)
            mlflow.set_experiment(config.experiment)
    except (MlflowException, SQLAlchemyError) as error:
        raise _refused(config, "can't use it", error) from error
    if config.system_metrics_seconds > 0:
        mlflow.set_system_metrics_sampling_interval(config.system_metrics_seconds)
        mlflow.set_system_metrics_samples_before_logging(1)
    return client


def _make_experiment(client: MlflowClient, config: TrackingConfig) -> None:
    try:
        client.create_experiment(config.experiment, artifact_location=_location(config))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # by another process, which was faster
            raise


def _experiment(client: MlflowClient, config: TrackingConfig) -> Experiment | None:
    """The experiment, if there is one. A server that does not answer soon is named: MLflow tries on for minutes."""
    try:
        with impatient():
            return client.get_experiment_by_name(config.experiment)
    except RestException:
        raise  # an answer, and trying again would not change it
    except MlflowException as error:
        if not over_http():
            raise
        said = scrubbed(f"tracking.uri={config.uri}: {reason(error)}", config.uri)
        print(f"{said}; MLflow tries again for some minutes", file=sys.stderr, flush=True)
    return client.get_experiment_by_name(config.experiment)


def give_up(run_id: str, client: MlflowClient | None = None) -> None:
    """End the run of a killed process that nobody goes on with as KILLED, if the open store has it; "" is no run."""
    client = client or MlflowClient()
    try:
        if run_id and client.get_run(run_id).info.status == "RUNNING":
            client.set_tag(run_id, "stance.error", "its process was killed, and another one took its place")
            client.set_terminated(run_id, "KILLED")
    except (MlflowException, SQLAlchemyError, RequestException) as error:  # the training must not fail for its record
        print(f"run {run_id} of the killed process stays open: {scrubbed(reason(error))}", file=sys.stderr)


def find(config: TrackingConfig, wanted: str) -> str:
    """The id of the oldest run of the experiment that MLflow's filter `wanted` selects, or an empty text."""
    client = connect(config)
    try:
        experiment = client.get_experiment_by_name(config.experiment)
        found = client.search_runs(
            [experiment.experiment_id], wanted, order_by=["attributes.start_time"], max_results=1
        )
    except MlflowException as error:
        raise _refused(config, "can't look for a run", error) from error
    return str(found[0].info.run_id) if found else ""


def _check_artifacts(config: TrackingConfig) -> None:
    """Refuse a place for files where none can be kept: an experiment keeps its place for ever."""
    location = _location(config)
    if location is None:
        return
    try:
        if location.startswith("file:"):
            folder = Path(url2pathname(urlparse(location).path))
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(f"no permission to write into {folder}")
        else:
            get_artifact_repository(location)
            if location.startswith("s3:"):  # which MLflow imports when the first file is written
                importlib.import_module("boto3")
    except Exception as error:  # each store has its own
        raise StanceError(
            f"tracking.artifacts={config.artifacts}: expected a directory, or a store that MLflow has a client for "
            f"({reason(error)})"
        ) from error


def _told_where(client: MlflowClient, config: TrackingConfig) -> None:
    """Say where an experiment that is there already keeps its files, when it is elsewhere than is set now."""
    if (asked := _location(config)) is None:
        return
    known = client.get_experiment_by_name(config.experiment)
    if known and _normalised(known.artifact_location) != asked:
        print(
            f"the experiment {config.experiment!r} keeps its files in {scrubbed(known.artifact_location)}; "
            "tracking.artifacts is for a new one",
            file=sys.stderr,
        )


def _location(config: TrackingConfig) -> str | None:
    if "://" in config.artifacts or config.artifacts.lower().startswith("file:"):
        return _normalised(config.artifacts)
    return None if config.uri.startswith("http") else resolved(Path(config.artifacts)).as_uri()


def _normalised(location: str) -> str:
    """A place for files as one of its ways of writing it."""
    if not location.lower().startswith("file:"):
        return location
    parts = urlparse(location)
    if parts.netloc not in ("", "localhost"):
        raise StanceError(f"tracking.artifacts={location}: {parts.hostname} is no folder; expected file:///FOLDER")
    return resolved(Path(url2pathname(parts.path))).as_uri()


def _describe(client: MlflowClient, active: Run, settings: Mapping[str, Any]) -> None:
    found = versions()
    settings = without_password(settings)
    params = flatten(_named_by_us(settings)) | {f"version.{name}": version for name, version in found.items()}
    entries = [Param(name, str(value)[:6000]) for name, value in params.items()]
    for start in range(0, len(entries), 100):
        client.log_batch(active.id, params=entries[start : start + 100])
    active.document(settings, "config.yaml")
    active.document({"packages": found, "platform": platform.platform(), "cores": os.cpu_count()}, "environment.json")


def _named_by_us(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, those named by a corpus's own words as one text: MLflow's names take few characters."""
    told: dict[str, Any] = {}
    for name, value in settings.items():
        if name in ("columns", "labels") and value:
            told[name] = json.dumps(value, ensure_ascii=False)
        else:
            told[name] = _named_by_us(value) if isinstance(value, Mapping) else value
    return told


def _interrupted(client: MlflowClient, config: TrackingConfig, run_id: str) -> Recorded | None:
    """The run of a training that was interrupted; None, with a line about it, if the experiment does not have it.

    One that is in another experiment of the store ends as KILLED.
    """
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise _refused(config, f"can't look for run {run_id}", error) from error
        found = None
    experiment = client.get_experiment_by_name(config.experiment).experiment_id
    there = found is not None and found.info.lifecycle_stage == "active"
    if there and found.info.experiment_id == experiment:
        return found
    what = f"{scrubbed(config.uri)}: the experiment {config.experiment} does not have the interrupted run {run_id}"
    print(f"{what}; a new run takes its place", file=sys.stderr)
    if there:
        give_up(run_id, client)
    elif not found:
        print("where it was recorded (another tracking.uri?) it may stay open", file=sys.stderr)
    return None


def _logged(client: MlflowClient, before: Recorded) -> set[tuple[str, int]]:
    """The metrics that a run has, by name and step, without those of the machine, which MLflow continues by itself."""
    names = [name for name in before.data.metrics if not name.startswith("system/")]
    return {(name, metric.step) for name in names for metric in client.get_metric_history(before.info.run_id, name)}


def _reopen(active: Run, before: Recorded) -> None:
    """Say that the run goes on; how it ended before is no longer true."""
    active.forget()
    count = int(before.data.tags.get("stance.resumed", 0)) + 1
    active.tag(resumed=str(count), resumed_at=datetime.now(UTC).isoformat(timespec="seconds"))


def _refused(config: TrackingConfig, what: str, error: Exception, more: str = "") -> StanceError:
    """One line about an error of MLflow, without the store's password."""
    return StanceError(scrubbed(f"tracking.uri={config.uri}: MLflow {what}: {reason(error)}{more}"))


def _fail(active: Run, error: BaseException) -> None:
    """End the run as FAILED or KILLED and say why, whatever state the store is in."""
    status = "FAILED" if isinstance(error, Exception) else "KILLED"
    steps: list[Callable[[], None]] = [active.flush, lambda: active.fail(error), lambda: active.end(status)]
    problems = []
    for step in steps:
        try:
            with impatient():
                step()
        except BaseException as second:  # the first error is the one to report, and Ctrl-C may come twice
            problems.append(scrubbed(reason(second)))
    if problems:
        _log.warning("MLflow lacks something of the run that failed: %s", problems[0])
