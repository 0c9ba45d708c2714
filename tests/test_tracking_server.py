"""A real MLflow tracking server over HTTP: the pipeline on it, and trainings during which it goes away."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.artifacts import list_artifacts
from mlflow.entities import Run as Recorded
from mlflow.tracking import MlflowClient

import killed
import servers
import tiny
from conftest import Workplace, script
from stance import tracking
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.errors import StanceError
from stance.settings.tracking import TrackingConfig
from stance.settings.training import TrainingConfig
from stance.studies.space import Settings
from stance.tracking import registry, sweep_runs
from stance.tracking.runs import Run

pytestmark = pytest.mark.slow


class Server:
    """`mlflow server` with its own database; it can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, servers.free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.running = ExitStack()

    def start(self) -> None:
        arguments = ["server", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--workers", "1"]
        arguments += ["--artifacts-destination", str(self.folder / "artifacts"), "-h", "127.0.0.1"]
        server = servers.mlflow([*arguments, "-p", str(self.port)], "health", self.folder, self.port, {})
        self.running.enter_context(server)

    def stop(self) -> None:
        self.running.close()

    @property
    def overrides(self) -> list[str]:
        return ["tracking=server", f"tracking.uri={self.address}", "tracking.system_metrics_seconds=0"]

    @property
    def config(self) -> TrackingConfig:
        return TrackingConfig(uri=self.address, system_metrics_seconds=0)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.address, registry_uri=self.address)

    def last(self, stage: str) -> Recorded:
        experiment = self.client.get_experiment_by_name("stance").experiment_id
        return self.client.search_runs([experiment], f"tags.`stance.stage` = '{stage}'")[0]

    def values(self, run: Recorded, name: str) -> list[tuple[int, float]]:
        return sorted((metric.step, metric.value) for metric in self.client.get_metric_history(run.info.run_id, name))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = Server(tmp_path_factory.mktemp("server"))
    place.start()
    yield place
    place.stop()


def settings(server: Server, place: Workplace, encoder: str, output: Path) -> list[str]:
    """Overrides of a training of some thirty steps on a real dataset."""
    recipe = ["epochs=2", "precision=fp32", "tokens_per_batch=2048", "save_steps=4"]
    model = [f"name={encoder}", "max_passage_tokens=48", "max_name_tokens=8"]
    return [
        *(f"training.{value}" for value in recipe),
        *(f"model.{value}" for value in model),
        f"dataset={place.dataset}",
        f"output={output}",
        *server.overrides,
    ]


def test_the_pipeline_runs_on_a_server_and_leaves_nothing_behind(
    exported: Workplace, server: Server, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    script("train").main(settings(server, exported, encoder, tmp_path / "checkpoint"))
    trained = server.last("train")
    assert trained.info.status == "FINISHED"
    assert [step for step, _ in server.values(trained, "validation_macro_f1")] == [14, 28]
    kept = {entry.path for entry in list_artifacts(run_id=trained.info.run_id, tracking_uri=server.address)}
    assert {"config.yaml", "environment.json", "cuts.json", "learning_curves.png"} <= kept
    rows = dataset.load(exported.dataset)[0]["validation"]
    for alias in ("champion", "challenger"):  # the second is compared with the first, which is fetched for it
        with tracking.run(server.config, stage="register", settings={}) as active:
            found = registry.register(exported.artifact, rows, name="stance", run_id=active.id)
        assert found.alias == alias
    script("evaluate").main(
        [f"dataset={exported.dataset}", f"artifact={exported.artifact}", f"output={tmp_path}/e", *server.overrides]
    )
    assert server.last("evaluate").data.tags["stance.model_version"] in ("1", "2")
    assert [path.name for path in scratch.iterdir() if path.is_dir() and "inductor" not in path.name] == []


def doing(monkeypatch: pytest.MonkeyPatch, moments: Mapping[int, Callable[[], None]]) -> None:
    """Do things as soon as a training tells its loss after these steps."""
    sink, left = Run.sink, dict(moments)

    def both(active: Run, metrics: Mapping[str, float], step: int) -> None:
        if "train_loss" in metrics and (act := left.pop(step, None)):
            act()
        sink(active, metrics, step)

    monkeypatch.setattr(Run, "sink", both)


def test_a_server_that_goes_away_neither_holds_up_a_training_nor_loses_anything(
    server: Server, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stance.tracking.runs.EVERY", 0.1)
    away: list[float] = []
    told: list[tuple[str, int, float]] = []

    def leave() -> None:
        server.stop()
        away.append(time.monotonic())

    def come_back() -> None:
        away.append(time.monotonic())
        server.start()

    doing(monkeypatch, {10: leave, 30: come_back})
    with tracking.run(server.config, stage="toy", settings={}) as active:

        def sink(metrics: Mapping[str, float], step: int) -> None:
            told.extend((name, step, value) for name, value in metrics.items())
            active.sink(metrics, step)
            if step == 20:
                active.alert("toy", "said while nobody heard")
                active.document({"n": 1}, "toy.json")

        killed.train(encoder, tmp_path / "checkpoint", sink=sink, epochs=4, listener=active)
    assert away[1] - away[0] < 30, "MLflow alone would have held each write up for minutes"
    run = server.client.get_run(active.id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["stance.alert_toy"] == "said while nobody heard"
    for name in {name for name, *_ in told}:
        assert server.values(run, name) == sorted((step, value) for n, step, value in told if n == name)
    kept = {entry.path for entry in server.client.list_artifacts(active.id)}
    assert {"learning_curves.png", "toy.json"} <= kept
    said = [record.message for record in caplog.records if record.name == "stance.tracking.runs"]
    assert [text.split(",")[0].split(" and ")[0] for text in said] == [
        "MLflow takes nothing for now",
        "MLflow answers again",
    ]
    assert "no answer ([Errno 111] Connection refused)" in said[0]


def test_a_training_at_whose_end_the_server_is_away_can_be_finished_later(
    built: Workplace, server: Server, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = settings(server, built, encoder, tmp_path / "checkpoint")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        doing(patch, {10: server.stop})
        with pytest.raises(StanceError, match=r"no answer .*resume=auto goes on from here"):
            script("train").main(overrides)
    server.start()
    before = server.last("train")
    assert before.info.status == "RUNNING", "nobody could tell the store"
    weights = (tmp_path / "checkpoint" / "model.safetensors").read_bytes()
    script("train").main([*overrides, "resume=auto"])
    after = server.last("train")
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == weights
    assert after.data.tags["stance.alert_never_predicted"].startswith("the model never predicts"), "told in the outage"
    assert server.values(after, "alert_never_predicted") == [(28, 1.0)]
    assert [step for step, _ in server.values(after, "train_loss")] == [1, 10, 20]
    assert [step for step, _ in server.values(after, "validation_macro_f1")] == [14, 28]
    for name in after.data.metrics:
        steps = [step for step, _ in server.values(after, name)]
        assert len(steps) == len(set(steps)), name


def test_the_end_of_a_run_waits_for_a_server_that_comes_back(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with tracking.run(server.config, stage="toy", settings={}) as active:
        active.sink({"x": 1.0}, 1)
        server.stop()
        back = Thread(target=server.start)
        back.start()
    back.join()
    run = server.client.get_run(active.id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"x": 1.0})
    assert "waiting some minutes for MLflow" in caplog.text


def test_a_run_that_fails_while_the_server_is_away_ends_at_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted() -> None:
        with tracking.run(server.config, stage="toy", settings={}) as active:
            active.sink({"x": 1.0}, 1)
            server.stop()
            began.append(time.monotonic())
            raise KeyboardInterrupt

    began: list[float] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert time.monotonic() - began[0] < 30
        assert caplog.text.count("MLflow lacks something of the run that failed: no answer") == 1
    finally:
        server.start()
    with tracking.run(server.config, stage="later", settings={}):
        pass
    assert server.last("later").info.status == "FINISHED"
    assert server.last("toy").info.status == "RUNNING", "nobody could tell the store"


def test_a_trial_at_whose_end_the_server_is_away_keeps_its_value(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    opened: Any = SimpleNamespace(key="study")
    toy = Manifest("toy", "0" * 64, {}, {}, {}, {}, {})
    drawn = Settings(tiny.config(), TrainingConfig())

    def fails() -> None:
        with sweep_runs.child(server.config, opened, toy, tmp_path, 8, drawn):
            raise StanceError("out of cheese")

    try:
        with sweep_runs.child(server.config, opened, toy, tmp_path, 7, drawn):
            server.stop()
        assert "trial 7 ended well, but not its run: tracking.uri=" in caplog.text
    finally:
        server.start()
    with pytest.raises(StanceError, match="out of cheese"):
        fails()


def test_a_server_that_is_away_from_the_start_is_named_before_it_is_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = f"http://me:hunter2@127.0.0.1:{servers.free_port()}"
    try:
        with pytest.raises(StanceError, match=r"MLflow can't use it: no answer \(\[Errno 111\] Connection refused\)"):
            tracking.connect(replace(server.config, uri=nobody))
    finally:
        tracking.connect(server.config)
    said = capsys.readouterr().err
    assert said.endswith("; MLflow tries again for some minutes\n")
    assert said.count("\n") == 1
    assert "hunter2" not in said
