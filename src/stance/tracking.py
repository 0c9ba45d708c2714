"""Runs in MLflow: what a run is called, what it holds, how it ends. The model registry is `stance.registry`.

A run is a context: it ends FINISHED, FAILED with the reason as a tag, or KILLED. Stages hang together by tags:
the dataset's fingerprint, the run that trained, the digest of the artifact.
"""

import logging
import os
import platform
import sqlite3
import subprocess
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from matplotlib.figure import Figure
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from stance.dataset import Manifest
from stance.errors import StanceError

PACKAGES = (
    "accelerate", "datasets", "evaluate", "hydra-core", "mlflow", "numpy", "onnx", "onnxruntime", "scikit-learn",
    "spacy", "stance", "tokenizers", "torch", "transformers",
)  # fmt: skip
LOCK_SECONDS = 5.0


@dataclass
class TrackingConfig:
    """Where MLflow keeps runs and models."""

    uri: str = "sqlite:///mlruns/mlflow.db"
    """MLflow tracking URI: sqlite:///FILE, another database, or http://HOST:PORT."""
    artifacts: str = "mlruns/artifacts"
    """Where files of a new experiment go."""
    experiment: str = "stance"
    """Name of the experiment."""
    model: str = "stance"
    """Name under which exported models are registered."""
    system_metrics_seconds: float = 5.0
    """Interval of CPU, memory and GPU readings; 0 takes none."""


class Run:
    """A running MLflow run. Metrics are buffered, since every call costs the database some 17 ms."""

    def __init__(self, run_id: str, client: MlflowClient) -> None:
        self.id = run_id
        self._client = client
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()

    def sink(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a step; they reach the database within some seconds, or when the run ends."""
        now = int(time.time() * 1000)
        self._metrics += [Metric(name, value, now, step) for name, value in metrics.items()]
        if len(self._metrics) >= 500 or time.monotonic() - self._flushed > 5:
            try:
                self.flush()
            except MlflowException as error:  # a locked database must not end a training; the next flush retries
                self._flushed = time.monotonic()
                logging.getLogger(__name__).warning("MLflow takes no metrics for now: %s", str(error)[:200])

    def flush(self) -> None:
        """Write the buffered metrics."""
        while self._metrics:
            self._client.log_batch(self.id, metrics=self._metrics[:1000])
            del self._metrics[:1000]
        self._flushed = time.monotonic()

    def tag(self, **tags: str) -> None:
        """Set tags `stance.NAME`."""
        for name, value in tags.items():
            self._client.set_tag(self.id, f"stance.{name}", value)

    def dataset(self, manifest: Manifest, path: Path, context: str) -> None:
        """Record a dataset as input; MLflow's digest field holds the first 36 characters of the sha256."""
        with warnings.catch_warnings():  # two of MLflow's own kinds of source match a local path
            warnings.simplefilter("ignore", UserWarning)
            source = resolve_dataset_source(str(path.resolve()))
        entry = MetaDataset(source, name=manifest.name, digest=manifest.sha256[:36])
        mlflow.log_input(entry, context=context, tags={"sha256": manifest.sha256})
        self.tag(dataset_sha256=manifest.sha256, dataset_path=str(path))

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a picture."""
        mlflow.log_figure(figure, name)

    def table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Keep rows as an MLflow table, which the UI shows and compares."""
        mlflow.log_table(pd.DataFrame(list(rows)), name)

    def document(self, value: Mapping[str, Any], name: str) -> None:
        """Keep a JSON or YAML document, by the ending of `name`."""
        mlflow.log_dict(dict(value), name)

    def file(self, path: Path) -> None:
        """Keep a copy of a file."""
        mlflow.log_artifact(str(path))


@contextmanager
def run(
    config: TrackingConfig,
    *,
    stage: str,
    settings: Mapping[str, Any],
    name: str | None = None,
    resume: str = "",
) -> Iterator[Run]:
    """Open a run for a stage of the pipeline; inside another one it becomes its child.

    Args:
        config: where runs are kept.
        stage: `build`, `train`, `export` or `evaluate`.
        settings: the resolved configuration, nested.
        name: the run's name; MLflow invents one for None.
        resume: the id of an earlier run to go on with; the settings that it began with stay.

    Raises:
        StanceError: the tracking database can't be used.
    """
    client = connect(config)
    commit, dirty = git_commit()
    tags = {"stance.stage": stage, "mlflow.source.git.commit": commit, "stance.git_dirty": str(dirty)}
    measured, inside = config.system_metrics_seconds > 0, mlflow.active_run() is not None
    mlflow.start_run(resume or None, run_name=name, nested=inside, tags=tags, log_system_metrics=measured)
    active = Run(mlflow.active_run().info.run_id, client)
    try:
        if not resume:
            _describe(client, active, settings)
        yield active
        active.flush()
    except MlflowException as error:
        _fail(active, error)
        reason = str(error).strip().splitlines()[0]
        raise StanceError(f"tracking.uri={config.uri}: MLflow failed during the run: {reason}") from error
    except BaseException as error:
        _fail(active, error)
        raise
    mlflow.end_run("FINISHED")


def connect(config: TrackingConfig) -> MlflowClient:
    """Point MLflow at the configured store, creating the database and the experiment if need be.

    Raises:
        StanceError: the database is locked, from a newer MLflow, no database, or can't be reached.
    """
    if config.uri.startswith("sqlite:///"):
        _check_sqlite(Path(config.uri.removeprefix("sqlite:///")))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for noisy in ("mlflow.system_metrics", "mlflow.store.db.utils", "mlflow.tracking.fluent"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        mlflow.set_tracking_uri(config.uri)
        mlflow.set_registry_uri(config.uri)
        client = MlflowClient()
        if client.get_experiment_by_name(config.experiment) is None:
            client.create_experiment(config.experiment, artifact_location=_location(config))
        mlflow.set_experiment(config.experiment)
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0]
        raise StanceError(f"tracking.uri={config.uri}: MLflow can't use it: {reason}") from error
    if config.system_metrics_seconds > 0:
        mlflow.set_system_metrics_sampling_interval(config.system_metrics_seconds)
        mlflow.set_system_metrics_samples_before_logging(1)
    return client


def git_commit() -> tuple[str, bool]:
    """The commit of the working directory and whether files differ from it; `("unknown", False)` outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _location(config: TrackingConfig) -> str | None:
    if "://" in config.artifacts:
        return config.artifacts
    return None if config.uri.startswith("http") else Path(config.artifacts).resolve().as_uri()


def _describe(client: MlflowClient, active: Run, settings: Mapping[str, Any]) -> None:
    found = versions()
    params = flatten(settings) | {f"version.{name}": version for name, version in found.items()}
    entries = [Param(name, str(value)[:6000]) for name, value in params.items()]
    for start in range(0, len(entries), 100):
        client.log_batch(active.id, params=entries[start : start + 100])
    active.document(settings, "config.yaml")
    active.document({"packages": found, "platform": platform.platform(), "cores": os.cpu_count()}, "environment.json")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `a.b.c` keys."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _fail(active: Run, error: BaseException) -> None:
    """End the run as FAILED or KILLED and say why, whatever state the store is in."""
    status = "FAILED" if isinstance(error, Exception) else "KILLED"
    for step in (lambda: _say_why(active, error), lambda: mlflow.end_run(status)):
        try:
            step()
        except Exception as second:  # the first error is the one to report
            logging.getLogger(__name__).warning("could not record why the run failed: %s", second)


def _say_why(active: Run, error: BaseException) -> None:
    active.flush()
    active.tag(error=f"{type(error).__name__}: {error}"[:5000])
    mlflow.log_text("".join(traceback.format_exception(error)), "error.txt")


def _check_sqlite(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
            found = database.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    except sqlite3.OperationalError as error:
        raise StanceError(
            f"{path}: the tracking database can't be written ({error}); another process holds it or it is "
            "read-only: wait, close that process, or set tracking.uri to another file"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StanceError(f"{path}: not an SQLite database ({error}); set tracking.uri to another file") from error
    if found:
        _check_revision(path, found[0][0])


def _check_revision(path: Path, revision: str) -> None:
    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations"
    scripts = ScriptDirectory(str(migrations))
    version = packages.version("mlflow")
    try:
        scripts.get_revision(revision)
    except CommandError as error:
        raise StanceError(
            f"{path}: written by a newer MLflow (schema {revision} is unknown to {version}); install that MLflow "
            "or set tracking.uri to another file. Nothing was changed"
        ) from error
    if revision != scripts.get_current_head():
        raise StanceError(
            f"{path}: written by an older MLflow (schema {revision}, {version} needs "
            f"{scripts.get_current_head()}); back it up and run `mlflow db upgrade sqlite:///{path}`"
        )
