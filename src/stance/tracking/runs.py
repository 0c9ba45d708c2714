"""A running MLflow run: what is written to it, and when. How one begins and ends is `stance.tracking`."""

import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from stance.building.dataset import Manifest
from stance.reporting.history import learning_curves
from stance.tracking.stores import impatient, keeping, reason, scrubbed

CURVES = "learning_curves.png"
EVERY, LONGEST = 5.0, 300.0
"""Seconds between two writes of a training's metrics, and at most between two attempts at a store that is away."""
_log = logging.getLogger(__name__)


class Run:
    """A running MLflow run.

    Metrics are buffered, since every call costs the database some 17 ms. What the run is told while the store does not
    answer is kept until it does.
    """

    def __init__(self, run_id: str, client: MlflowClient, logged: Iterable[tuple[str, int]] = ()) -> None:
        self.id = run_id
        self._client = client
        self._logged = set(logged)
        self._metrics: list[Metric] = []
        self._writes: dict[str, Callable[[], object]] = {}
        self._next = time.monotonic() + EVERY
        self._away = 0.0  # seconds between two attempts, while the store does not answer

    def sink(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a step; they reach the database within some seconds, or when the run ends.

        What the run has of that name and step already stays: a resumed training goes through some steps again.
        """
        now = int(time.time() * 1000)
        new = {name: value for name, value in metrics.items() if (name, step) not in self._logged}
        self._logged |= {(name, step) for name in new}
        self._metrics += [Metric(name, value, now, step) for name, value in new.items()]
        if len(self._metrics) >= 500 or time.monotonic() > self._next:
            self._try()

    def alert(self, name: str, text: str) -> None:
        """Tag the run with what a person should know about it, as `stance.alert_NAME`."""
        self.tag(**{f"alert_{name}": text[:5000]})

    def warn(self, doubts: Mapping[str, str]) -> None:
        """Print each of these alerts to stderr, and keep it."""
        for name, text in doubts.items():
            print(f"warning: {text}", file=sys.stderr)
            self.alert(name, text)

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        """Show the metrics and the learning curves of a training up to the end of an epoch, from the trainer's log."""
        self._write(CURVES, lambda: self._client.log_figure(self.id, learning_curves(history), CURVES))

    def tag(self, **tags: str) -> None:
        """Set tags `stance.NAME`."""
        for key, value in tags.items():
            self._write(f"tag {key}", partial(self._client.set_tag, self.id, f"stance.{key}", value))

    def dataset(self, manifest: Manifest, path: Path, context: str) -> None:
        """Record a dataset as input; MLflow's digest field holds the first 36 characters of the sha256."""
        with warnings.catch_warnings():  # two of MLflow's own kinds of source match a local path
            warnings.simplefilter("ignore", UserWarning)
            source = resolve_dataset_source(str(path.resolve()))
        entry = MetaDataset(source, name=manifest.name, digest=manifest.sha256[:36])
        self._write("dataset", partial(mlflow.log_input, entry, context, {"sha256": manifest.sha256}))
        self.tag(dataset_sha256=manifest.sha256, dataset_path=str(path))

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a picture."""
        self._write(name, partial(self._client.log_figure, self.id, figure, name))

    def table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Keep rows as an MLflow table, which the UI compares; at once, since a second try would add to it."""
        with keeping(name):
            self._client.log_table(self.id, pd.DataFrame(list(rows)), name)

    def document(self, value: Mapping[str, Any], name: str) -> None:
        """Keep a JSON or YAML document, by the ending of `name`."""
        self._write(name, partial(self._client.log_dict, self.id, dict(value), name))

    def file(self, path: Path) -> None:
        """Keep a copy of a file, which must stay where it is until the run has ended."""
        self._write(path.name, partial(self._client.log_artifact, self.id, str(path)))

    def _write(self, key: str, write: Callable[[], object]) -> None:
        """Write now, or when the store answers again if none with the same key comes until then."""
        self._writes[key] = write
        self._try()

    def _try(self) -> None:
        """Write what is buffered, if that can be done at once: a store must neither end nor hold up the work."""
        if self._away and time.monotonic() < self._next:
            return
        try:
            with impatient():
                self.flush()
        except (MlflowException, OSError) as error:  # of which requests' errors are
            if not self._away:
                _log.warning("MLflow takes nothing for now, what it lacks is kept: %s", scrubbed(reason(error))[:200])
            self._away = min(2 * self._away or EVERY, LONGEST)
            self._next = time.monotonic() + self._away

    def flush(self) -> None:
        """Write what is buffered, however long that takes."""
        while self._metrics:
            self._client.log_batch(self.id, metrics=self._metrics[:1000])
            del self._metrics[:1000]
        while self._writes:
            name = next(iter(self._writes))
            with keeping(name):
                self._writes[name]()
            del self._writes[name]
        if self._away:
            _log.warning("MLflow answers again and has all that was kept for it")
        self._away = 0.0
        self._next = time.monotonic() + EVERY

    def finish(self) -> None:
        """End the run well, with all that is buffered: for this a store is waited for as long as MLflow does."""
        self._next = 0.0
        self._try()
        if self._away:
            _log.warning("the work is done; waiting some minutes for MLflow to take what it lacks")
        try:
            self.flush()
            self.forget()
        except OSError as error:
            raise MlflowException(str(error)) from error
        self.end("FINISHED")

    def forget(self) -> None:
        """Take away how the run ended before, or what another process that shares it said of its own end."""
        try:
            if "stance.error" in self._client.get_run(self.id).data.tags:
                self._client.delete_tag(self.id, "stance.error")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # a third one was faster
                raise

    def end(self, status: str) -> None:
        """End the run. MLflow has forgotten it where it was told so before and could not write it."""
        open_run = mlflow.active_run()
        if open_run and open_run.info.run_id == self.id:
            mlflow.end_run(status)
        else:
            self._client.set_terminated(self.id, status)

    def fail(self, error: BaseException) -> None:
        """Say what ended the run, past all that waits."""
        self._client.set_tag(self.id, "stance.error", scrubbed(f"{type(error).__name__}: {error}")[:5000])
        self._client.log_text(self.id, scrubbed("".join(traceback.format_exception(error))), "error.txt")
