"""MLflow in a real SQLite store: what runs hold, how they end, which version is champion, which stores are refused."""

import errno
import json
import logging
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run as Recorded
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import tiny
from conftest import ROOT, Workplace, script
from stance import export, jsonl, tracking
from stance.building import dataset
from stance.errors import StanceError
from stance.files import sha256
from stance.network import encoders
from stance.network import model as models
from stance.network.model import Checkpoint, StanceModel
from stance.predictor import StancePredictor
from stance.records import LABELS, Example, Stance
from stance.scoring.evaluation import MODEL
from stance.settings.scoring import ExportConfig
from stance.settings.tracking import TrackingConfig
from stance.settings.training import ModelConfig
from stance.tracking import origin, registry, stores
from stance.tracking.runs import Run
from stance.tracking.stores import scrubbed
from stance.training import resume

OLD_REVISION = "451aebb31d03"  # the first one of MLflow's migrations


@pytest.fixture(scope="module")
def store(exported: Workplace, tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """A copy of the pipeline's store, into which tests may write."""
    return copied(exported, tmp_path_factory.mktemp("store"))


def copied(place: Workplace, folder: Path) -> TrackingConfig:
    shutil.copy(place.root / "mlruns" / "mlflow.db", folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    return TrackingConfig(uri=uri, artifacts=str(folder / "artifacts"), system_metrics_seconds=0)


def fresh(folder: Path) -> TrackingConfig:
    """The store that the fixture `fresh_store` made."""
    return TrackingConfig(
        uri=f"sqlite:///{folder}/mlflow.db", artifacts=str(folder / "artifacts"), system_metrics_seconds=0
    )


def overrides(config: TrackingConfig) -> list[str]:
    return [f"tracking.{name}={value}" for name, value in asdict(config).items()]


def client(config: TrackingConfig) -> MlflowClient:
    return MlflowClient(tracking_uri=config.uri, registry_uri=config.uri)


def runs(config: TrackingConfig, stage: str) -> list[Recorded]:
    """The runs of a stage, the newest first."""
    found = client(config)
    experiment = found.get_experiment_by_name(config.experiment)
    return list(found.search_runs([experiment.experiment_id], f"tags.`stance.stage` = '{stage}'"))


def names(config: TrackingConfig, run: Recorded) -> set[str]:
    return {entry.path for entry in client(config).list_artifacts(run.info.run_id)}


def artifact(config: TrackingConfig, run: Recorded, name: str) -> str:
    return kept(config, run, name).decode()


def kept(config: TrackingConfig, run: Recorded, name: str) -> bytes:
    """What an artifact of a run holds."""
    with tempfile.TemporaryDirectory() as folder:
        source = f"runs:/{run.info.run_id}/{name}"
        return Path(download_artifacts(source, tracking_uri=config.uri, dst_path=folder)).read_bytes()


@pytest.fixture(scope="module", params=["build", "train", "export"])
def stage(request: pytest.FixtureRequest, store: TrackingConfig) -> Recorded:
    """The run of each stage of the pipeline."""
    return runs(store, request.param)[-1]


# How a run ends


def open_run(config: TrackingConfig, body: Callable[[Run], None]) -> None:
    with tracking.run(config, stage="toy", settings={"a": {"b": 1}}) as active:
        active.sink({"before": 1.0}, 3)
        body(active)


def test_a_run_that_ends_well_is_finished(store: TrackingConfig) -> None:
    open_run(store, lambda active: None)
    run = runs(store, "toy")[0]
    assert (run.info.status, run.info.run_name) == ("FINISHED", "toy")
    assert "stance.error" not in run.data.tags
    assert run.data.metrics["before"] == 1.0


def test_a_crashed_run_is_failed_and_says_why(store: TrackingConfig) -> None:
    def crash(active: Run) -> None:
        raise RuntimeError("out of cheese")

    with pytest.raises(RuntimeError, match="out of cheese"):
        open_run(store, crash)
    run = runs(store, "toy")[0]
    assert run.info.status == "FAILED"
    assert run.data.tags["stance.error"] == "RuntimeError: out of cheese"
    assert 'raise RuntimeError("out of cheese")' in artifact(store, run, "error.txt")
    assert run.data.metrics["before"] == 1.0, "what was measured before the crash is kept"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_run_that_is_stopped_from_outside_is_killed(store: TrackingConfig, error: type[BaseException]) -> None:
    def stop(active: Run) -> None:
        raise error

    with pytest.raises(error):
        open_run(store, stop)
    run = runs(store, "toy")[0]
    assert run.info.status == "KILLED"
    assert run.data.tags["stance.error"].startswith(error.__name__)


class EndpointError(Exception):
    """As the clients of object stores have them: MLflow passes them on."""


def away(*_: Any, **__: Any) -> None:
    raise EndpointError('Could not connect to the endpoint URL: "https://store.example.org"\nMore.')


@pytest.mark.usefixtures("fresh_store")
def test_an_object_store_that_is_away_for_a_while_does_not_end_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = fresh(tmp_path)
    with tracking.run(config, stage="toy", settings={}) as active:
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_artifact", away)
            active.document({"a": 1}, "late.json")
        assert "MLflow takes nothing for now, what it lacks is kept: late.json: Could not connect" in caplog.text
    (run,) = runs(config, "toy")
    assert run.info.status == "FINISHED"
    assert json.loads(artifact(config, run, "late.json")) == {"a": 1}


@pytest.mark.usefixtures("fresh_store")
@pytest.mark.parametrize("kind", ["document", "table", "model"])
def test_an_object_store_that_is_away_at_the_end_is_named_in_a_line(
    rivals: tuple[Path, Path, list[Example]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    config, (folder, _, rows) = fresh(tmp_path), rivals
    named = "the model" if kind == "model" else "late.json"

    def keep(active: Run) -> None:
        monkeypatch.setattr(MlflowClient, "log_artifact", away)
        monkeypatch.setattr(registry.mlflow.pyfunc, "log_model", away)
        if kind == "document":
            active.document({"a": 1}, "late.json")
        elif kind == "table":
            active.table([{"a": 1}], "late.json")
        else:
            registry.register(folder, rows, name="toy", run_id=active.id)

    with pytest.raises(StanceError, match=rf'^tracking\.uri=.*failed during the run: {named}: Could not .*\.org"$'):
        open_run(config, keep)
    (run,) = runs(config, "toy")
    assert run.info.status == "FAILED"
    assert "Could not connect" in run.data.tags["stance.error"]


def test_a_run_after_a_crashed_one_is_a_run_of_its_own(store: TrackingConfig) -> None:
    with pytest.raises(ZeroDivisionError):
        open_run(store, lambda active: active.sink({"x": 1 / 0}, 0))
    open_run(store, lambda active: None)
    assert [run.info.status for run in runs(store, "toy")[:2]] == ["FINISHED", "FAILED"]


@pytest.mark.slow
def test_the_first_error_is_reported_even_when_the_store_is_gone(
    exported: Workplace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = copied(exported, tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:

        def crash(active: Run) -> None:
            other.execute("BEGIN EXCLUSIVE")
            raise RuntimeError("out of cheese")

        with caplog.at_level(logging.WARNING), pytest.raises(RuntimeError, match="out of cheese"):
            open_run(config, crash)
    assert "MLflow lacks something of the run that failed" in caplog.text


def test_buffered_metrics_keep_their_steps(store: TrackingConfig) -> None:
    def many(active: Run) -> None:
        for step in range(1200):
            active.sink({"wave": step / 2}, step)

    open_run(store, many)
    history = client(store).get_metric_history(runs(store, "toy")[0].info.run_id, "wave")
    assert sorted((metric.step, metric.value) for metric in history) == [(n, n / 2) for n in range(1200)]


# What a run of the pipeline holds


def test_each_stage_ended_well(stage: Recorded) -> None:
    assert stage.info.status == "FINISHED"


def test_each_stage_names_the_dataset_by_its_full_sha256(exported: Workplace, stage: Recorded) -> None:
    digest = json.loads((exported.dataset / "manifest.json").read_text())["sha256"]
    assert stage.data.tags["stance.dataset_sha256"] == digest
    (entry,) = stage.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in entry.tags}["sha256"] == digest
    assert entry.dataset.digest == digest[:36]


def test_each_stage_is_called_by_what_it_does_and_where_it_writes(stage: Recorded) -> None:
    assert stage.info.run_name == f"{stage.data.tags['stance.stage']} {stage.data.params['output']}"


def test_each_stage_keeps_its_resolved_configuration(store: TrackingConfig, stage: Recorded) -> None:
    settings = yaml.safe_load(artifact(store, stage, "config.yaml"))
    assert settings["tracking"]["system_metrics_seconds"] == 0.5
    assert stage.data.params["tracking.system_metrics_seconds"] == "0.5"
    assert "output" in settings


def test_each_stage_keeps_the_versions_of_its_packages(store: TrackingConfig, stage: Recorded) -> None:
    packages = json.loads(artifact(store, stage, "environment.json"))["packages"]
    for name in ("torch", "transformers", "mlflow", "onnxruntime"):
        assert packages[name] == version(name)
        assert stage.data.params[f"version.{name}"] == version(name)


def test_each_stage_names_a_commit_of_this_repository(stage: Recorded) -> None:
    commit = stage.data.tags["mlflow.source.git.commit"]
    kind = subprocess.run(["git", "cat-file", "-t", commit], cwd=ROOT, capture_output=True, text=True, check=True)
    assert kind.stdout.strip() == "commit"


def test_outside_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert origin.git_commit() == ("unknown", False)


def test_the_system_is_measured_while_training(store: TrackingConfig) -> None:
    run = runs(store, "train")[-1]
    measured = {name for name in run.data.metrics if name.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_percentage"} <= measured


def test_training_has_curves_over_steps_and_a_picture_of_them(store: TrackingConfig) -> None:
    run = runs(store, "train")[-1]
    history = client(store).get_metric_history(run.info.run_id, "validation_macro_f1")
    assert len({metric.step for metric in history}) == 2
    assert "learning_curves.png" in names(store, run)
    assert run.data.metrics["pairs_per_second"] > 0
    assert run.data.metrics["best_validation_macro_f1"] == max(metric.value for metric in history)
    speeds = {name for name in run.data.metrics if name.endswith(("runtime", "per_second"))}
    assert speeds == {"pairs_per_second", "train_pairs_per_second"}, "of passages is nothing said"


def test_training_is_tagged_with_what_was_left_to_the_encoder_and_the_machine(store: TrackingConfig) -> None:
    tags = runs(store, "train")[-1].data.tags
    assert tags["stance.layout"] == "one_pass"
    assert tags["stance.precision"] in ("fp32", "bf16")


def test_the_export_names_the_run_that_trained_it(store: TrackingConfig) -> None:
    trained, exported_run = runs(store, "train")[-1], runs(store, "export")[-1]
    assert exported_run.data.tags["stance.train_run"] == trained.info.run_id
    assert exported_run.data.tags["stance.model_version"] == "1"
    found = exported_run.data.metrics
    assert found["parity_fp32_label_changes"] == 0
    for way in ("with_places", "without_places"):
        assert found[f"{way}_temperature"] > 0
        assert found[f"{way}_nll"] <= found[f"{way}_uncalibrated_nll"] + 1e-6


def test_the_build_keeps_its_card_and_what_was_dropped(store: TrackingConfig) -> None:
    run = runs(store, "build")[-1]
    assert {"README.md", "dropped.jsonl", "manifest.json"} <= names(store, run)
    assert run.data.metrics["rows_test"] > 0


# Evaluation


@pytest.fixture(scope="module")
def evaluated(exported: Workplace, store: TrackingConfig, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The run of scripts/evaluate.py in the copied store."""
    score = script("evaluate").main(
        [
            f"dataset={exported.dataset}",
            f"artifact={exported.artifact}",
            f"output={tmp_path_factory.mktemp('report')}/predictions.json",  # the name of the run's table
            "evaluation.resamples=100",
            *overrides(store),
        ]
    )
    run = runs(store, "evaluate")[0]
    assert run.data.metrics["test_macro_f1"] == score
    return run


def test_evaluation_keeps_its_pictures(store: TrackingConfig, evaluated: Recorded) -> None:
    assert {"confusion_matrix.png", "reliability.png", "risk_coverage.png"} <= names(store, evaluated)
    assert kept(store, evaluated, "confusion_matrix.png").startswith(b"\x89PNG")


def test_the_table_of_predictions_has_a_row_for_each_test_pair(
    exported: Workplace, store: TrackingConfig, evaluated: Recorded
) -> None:
    table = json.loads(artifact(store, evaluated, "predictions.json"))
    rows = [dict(zip(table["columns"], values, strict=True)) for values in table["data"]]
    examples = dataset.load(exported.dataset)[0]["test"]
    assert [row["id"] for row in rows] == [example.id for example in examples]
    answers = StancePredictor.load(exported.artifact).predict([example.pair() for example in examples])
    assert [row["predicted"] for row in rows] == [answer.stance.value for answer in answers]
    assert [row["stance"] for row in rows] == [example.stance.value for example in examples]


def test_every_score_stands_beside_its_baselines_with_bounds(store: TrackingConfig, evaluated: Recorded) -> None:
    report = json.loads(artifact(store, evaluated, "report.json"))
    assert len(report["scores"]) == 5
    found = evaluated.data.metrics
    for system, scores in report["scores"].items():
        prefixes = {name.removesuffix("_macro_f1") for name in found if name.endswith("_macro_f1")}
        value, low, high = scores["macro_f1"]
        (prefix,) = [p for p in prefixes if found[f"{p}_macro_f1"] == value and (p == "test") == (system == MODEL)]
        assert (found[f"{prefix}_macro_f1_low"], found[f"{prefix}_macro_f1_high"]) == (low, high)
        assert low - 1e-9 <= value <= high + 1e-9


def test_evaluation_hangs_together_with_training_export_and_version(store: TrackingConfig, evaluated: Recorded) -> None:
    tags = evaluated.data.tags
    assert tags["stance.train_run"] == runs(store, "train")[-1].info.run_id
    assert tags["stance.export_run"] == runs(store, "export")[-1].info.run_id
    assert tags["stance.model_version"] == "1"
    held = client(store).get_model_version(store.model, "1")
    assert held.tags["stance.evaluate_run"] == held.tags["stance.int8_test_run"] == evaluated.info.run_id
    assert held.tags["stance.int8_test_macro_f1"].startswith(f"{evaluated.data.metrics['test_macro_f1']:.3f}")


def test_scores_on_other_test_rows_are_said_to_be_not_comparable(
    exported: Workplace, store: TrackingConfig, evaluated: Recorded
) -> None:
    rows, _ = dataset.load(exported.dataset)
    with tracking.run(store, stage="compare", settings={}):
        mine = registry.rivals(store.model, "test", dataset.fingerprint({"test": rows["test"]}))
        other = registry.rivals(store.model, "test", dataset.fingerprint({"test": rows["test"][1:]}))
    score = f"{evaluated.data.metrics['test_macro_f1']:.3f}"
    assert [(row[0], row[1], row[3]) for row in mine[1:]] == [("1", "champion", "yes")]
    assert mine[1][2].startswith(score)
    assert other[1][3].startswith("no, ")
    assert other[1][3].endswith(": not comparable")
    client(store).set_registered_model_alias(store.model, "in-use", "1")
    with tracking.run(store, stage="compare", settings={}):
        both = registry.rivals(store.model, "test", dataset.fingerprint({"test": rows["test"]}))
    client(store).delete_registered_model_alias(store.model, "in-use")
    assert both[1][1] == "champion, in-use"
    # A later evaluation on other rows does not take the place of this one.
    elsewhere = {"int8_test_macro_f1": "0.111", "int8_test_rows": "f" * 64, f"int8_test_macro_f1.{'f' * 12}": "0.111"}
    with tracking.run(store, stage="compare", settings={}):
        tags = MlflowClient().get_model_version(store.model, "1").tags
        registry.annotate(store.model, sha256(exported.artifact / "stance.json"), elsewhere)
        assert registry.rivals(store.model, "test", dataset.fingerprint({"test": rows["test"]})) == mine
        assert registry.rivals(store.model, "test", "f" * 64)[1][2:] == ["0.111", "yes"]
        for key in elsewhere:
            MlflowClient().set_model_version_tag(store.model, "1", f"stance.{key}", tags.get(f"stance.{key}", ""))


# The registry


def test_the_first_version_is_the_champion(exported: Workplace, store: TrackingConfig) -> None:
    champion = client(store).get_model_version_by_alias(store.model, "champion")
    assert int(champion.version) == 1
    assert champion.tags["stance.artifact"] == sha256(exported.artifact / "stance.json")
    assert champion.tags["stance.export_run"] == runs(store, "export")[-1].info.run_id


def test_a_shared_run_that_ends_well_no_longer_tells_the_error_of_another_process(store: TrackingConfig) -> None:
    with tracking.run(store, stage="sweep", settings={}) as active:
        client(store).set_tag(active.id, "stance.error", "StanceError: the other one was out of memory")
    found = client(store).get_run(active.id)
    assert found.info.status == "FINISHED"
    assert "stance.error" not in found.data.tags


def holder(config: TrackingConfig, name: str, alias: str) -> int:
    """The version that has an alias."""
    return int(client(config).get_model_version_by_alias(name, alias).version)


def register(config: TrackingConfig, folder: Path, rows: list[Example], name: str) -> registry.Registered:
    with tracking.run(config, stage="register", settings={}) as active:
        return registry.register(folder, rows, name=name, run_id=active.id)


def test_an_equal_second_version_is_the_challenger(exported: Workplace, tmp_path: Path) -> None:
    config = copied(exported, tmp_path)
    second = register(config, exported.artifact, dataset.load(exported.dataset)[0]["validation"], config.model)
    assert (second.version, second.alias) == ("2", "challenger")
    assert "not above" in second.reason
    assert holder(config, config.model, "champion") == 1
    assert holder(config, config.model, "challenger") == 2


@pytest.mark.parametrize("name", ["me@lab", "team #1"])
def test_a_name_that_an_address_splits_is_compared_too(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], name: str
) -> None:
    better, worse, rows = rivals
    assert [register(store, folder, rows, name).alias for folder in (worse, better)] == ["champion", "champion"]


def test_of_a_champion_only_what_answers_is_fetched(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]]
) -> None:
    register(store, rivals[0], rivals[2], "fetched")
    with tracking.run(store, stage="fetch", settings={}):
        champion = client(store).get_model_version("fetched", "1")
        for whole, expected in ((True, registry.ASKED), (False, ("stance.json",))):
            with registry._fetched(champion, whole=whole) as folder:
                assert sorted(path.name for path in folder.iterdir()) == sorted(expected)


def test_a_full_disk_is_not_taken_for_a_champion_that_is_gone(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store, rivals[1], rivals[2], "full")

    def full(*_: Any, **__: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    told = r"^no space in \S+ for the files of the champion, version 1 of full; .* TMPDIR"
    for place, name in ((registry.ModelsArtifactRepository, "download_artifacts"), (shutil, "copy2")):
        with monkeypatch.context() as patch:  # the second is wrapped by MLflow, the cause in a later line
            patch.setattr(place, name, full)
            with pytest.raises(StanceError, match=told):
                register(store, rivals[0], rivals[2], "full")


def test_a_champion_without_its_int8_model_is_refused_before_the_work(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]]
) -> None:
    register(store, rivals[0], rivals[2], "bare")
    held = Path(download_artifacts("models:/bare/1", tracking_uri=store.uri))
    (model,) = held.glob("artifacts/*/model.int8.onnx")
    model.unlink()
    with (
        tracking.run(store, stage="check", settings={}),
        pytest.raises(StanceError, match=r"can't be read \(models:/bare/1 holds no model\.int8\.onnx\)"),
    ):
        registry.check_champion("bare")


def test_scores_that_no_version_keeps_are_told(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"artifact={exported.artifact}", f"dataset={exported.dataset}", f"output={tmp_path}/report.json"]
    config = copied(exported, tmp_path)
    script("evaluate").main([*names, *overrides(config), "tracking.model=mine"])
    told = "this artifact is no version of the registered model mine (tracking.model): none keeps these scores"
    assert told in capsys.readouterr().out
    script("evaluate").main([*names, *overrides(config)])
    assert "no version" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def rivals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Example]]:
    """Two untrained artifacts, and rows whose labels are what the first of them answers."""
    folders = []
    for seed in (1, 2):
        tokens = tiny.tokenizer("bert")
        pretrained = encoders.prepare(tiny.encoder("bert", tokens, seed=seed), tokens, tiny.config())
        torch.manual_seed(seed)
        model = StanceModel(pretrained.encoder, "one_pass").eval()
        root = tmp_path_factory.mktemp("rival")
        models.save(Checkpoint(model, pretrained.tokenizer, pretrained.encoding, {}), root / "checkpoint")
        config = ExportConfig(max_label_changes=1.0)
        export.write(root / "checkpoint", tiny.examples(12), config, output=root / "artifact", about={})
        folders.append(root / "artifact")
    rows = tiny.examples(60, seed=5)
    answers = StancePredictor.load(folders[0]).predict([row.pair() for row in rows])
    labelled = [replace(row, stance=Stance(answer.stance)) for row, answer in zip(rows, answers, strict=True)]
    assert registry.macro_f1(folders[0], labelled) > registry.macro_f1(folders[1], labelled)
    return folders[0], folders[1], labelled


def test_an_artifact_is_scored_over_the_labels_that_the_rows_know(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(row, labels=("oppose", "support")) for row in tiny.examples(6, labels=("oppose", "support"))]
    given = np.array([[0.6 if x == "neutral" else 0.3 if x == row.stance else 0.1 for x in LABELS] for row in rows])
    asked = SimpleNamespace(probabilities=lambda pairs, report: given)
    monkeypatch.setattr(registry.StancePredictor, "load", lambda artifact: asked)
    assert registry.macro_f1(Path("artifact"), rows) == 1


def test_a_score_is_of_no_export_that_takes_the_artifacts_place_meanwhile(
    exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = Path(shutil.copytree(exported.artifact, tmp_path / "artifact"))
    load = StancePredictor.load
    facts = artifact / "stance.json"

    def meanwhile(*given: Any, **named: Any) -> StancePredictor:
        found = load(*given, **named)
        facts.write_text(facts.read_text() + " ")
        return found

    def gone(*_: Any, **__: Any) -> StancePredictor:
        raise FileNotFoundError(facts)

    def mixed(*given: Any, **named: Any) -> StancePredictor:
        meanwhile(*given, **named)
        raise StanceError("model.int8.onnx: truncated or was altered")

    for other in (meanwhile, gone, mixed):
        monkeypatch.setattr(StancePredictor, "load", other)
        with pytest.raises(StanceError, match="another export took its place while it was read; run this again"):
            script("evaluate").main([f"artifact={artifact}", f"dataset={exported.dataset}", *exported.tracking])


def test_only_a_better_version_takes_the_champions_place(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]]
) -> None:
    better, worse, rows = rivals
    aliases = [register(store, folder, rows, "contest").alias for folder in (worse, better, worse)]
    assert aliases == ["champion", "champion", "challenger"]
    assert holder(store, "contest", "champion") == 2
    assert holder(store, "contest", "challenger") == 3


def test_two_exports_at_once_are_compared_with_each_other(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The better one is registered while the worse one, which was compared with no champion, is still uploaded."""
    better, worse, rows = rivals
    upload, waiting = registry._log, [better]

    def slow(artifact: Path, name: str, run_id: str, score: float) -> str:
        while waiting:
            registry.register(waiting.pop(), rows, name=name, run_id=run_id)
        return upload(artifact, name, run_id, score)

    monkeypatch.setattr(registry, "_log", slow)
    found = register(store, worse, rows, "race")
    assert found.alias == "challenger"
    assert "not above" in found.reason
    assert holder(store, "race", "champion") == 1


def telling(artifact: Path, copy: Path, **facts: object) -> Path:
    """A copy of an artifact that tells other facts of itself."""
    shutil.copytree(artifact, copy)
    told = json.loads((artifact / "stance.json").read_text("utf-8"))
    jsonl.write_json(copy / "stance.json", told | facts)
    return copy


def test_a_champion_that_cannot_be_asked_is_named(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better, worse, rows = rivals
    register(store, worse, rows, "outdated")
    monkeypatch.setattr("stance.artifact.FORMAT_VERSION", 2)  # as an upgrade of stance would
    newer = telling(better, tmp_path / "newer", format_version=2)
    expected = (
        r"the champion, version 1 of outdated, can't be asked \(its artifact/stance\.json: format version 1, .*\);"
    )
    with pytest.raises(StanceError, match=expected + " delete that version or give the alias champion to another one"):
        register(store, newer, rows, "outdated")


def test_a_champion_of_another_dataset_that_keeps_its_place_may_have_learned_the_rows(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], tmp_path: Path
) -> None:
    better, worse, rows = rivals
    other = telling(worse, tmp_path / "other", checkpoint={"dataset_sha256": "b" * 64})
    register(store, better, rows, "doubted")
    assert "another dataset" not in register(store, worse, rows, "doubted").reason
    found = register(store, other, rows, "doubted")
    assert found.alias == "challenger"
    assert "trained with another dataset (unknown, this one with bbbbbbbbbbbb), which may have taught" in found.reason


def test_a_champion_of_another_dataset_that_loses_its_place_may_be_better_on_its_own(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], tmp_path: Path
) -> None:
    better, worse, rows = rivals
    register(store, telling(worse, tmp_path / "other", checkpoint={"dataset_sha256": "b" * 64}), rows, "replaced")
    found = register(store, better, rows, "replaced")
    assert found.alias == "champion"
    assert "trained with another dataset (bbbbbbbbbbbb, this one with unknown), which may hold none of" in found.reason


def test_a_model_of_another_dataset_than_it_is_scored_on_is_doubted(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], tmp_path: Path
) -> None:
    """As `export other_dataset=true` makes it: it may have learned the rows that make it the champion."""
    better, worse, rows = rivals
    facts = {"checkpoint": {"dataset_sha256": "b" * 64}, "dataset_sha256": "c" * 64}
    other = telling(better, tmp_path / "other", **facts)
    doubt = "this model was trained with another dataset (bbbbbbbbbbbb) and may have learned these rows"
    first = register(store, other, rows, "alone")
    assert first.reason.startswith(f"there was no champion; {doubt}")
    taught = {"checkpoint": {"dataset_sha256": "c" * 64, "ancestors": ["b" * 64, "c" * 64]}, "dataset_sha256": "c" * 64}
    found = register(store, telling(better, tmp_path / "taught", **taught), rows, "taught")
    assert "an ancestor of this model learned from another dataset (bbbbbbbbbbbb) and may have" in found.reason
    plain = {"checkpoint": {"dataset_sha256": "c" * 64}, "dataset_sha256": "c" * 64}
    found = register(store, telling(worse, tmp_path / "plain", **plain), rows, "taught")
    assert "an ancestor of the champion learned from another dataset (bbbbbbbbbbbb), which may" in found.reason
    register(store, worse, rows, "learned")
    found = register(store, other, rows, "learned")
    assert found.alias == "champion"
    assert doubt in found.reason


def test_a_champion_whose_files_are_gone_is_refused(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]]
) -> None:
    better, _, rows = rivals
    register(store, better, rows, "lost")
    held = client(store).get_model_version("lost", "1")
    shutil.rmtree(download_artifacts(f"models:/{held.name}/{held.version}", tracking_uri=store.uri))
    with pytest.raises(
        StanceError, match=r"the files of the champion, version 1 of lost, can't be read \(\S+ holds no"
    ):
        register(store, better, rows, "lost")
    assert len(client(store).search_model_versions("name='lost'")) == 1


def test_a_truncated_artifact_is_not_registered(
    store: TrackingConfig, rivals: tuple[Path, Path, list[Example]], tmp_path: Path
) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(rivals[0], folder)
    model = folder / "model.int8.onnx"
    model.write_bytes(model.read_bytes()[:-10])
    with pytest.raises(StanceError, match=r"model\.int8\.onnx: its sha256 is not the one in stance\.json"):
        register(store, folder, rivals[2], "truncated")
    with pytest.raises(MlflowException):
        client(store).get_registered_model("truncated")


def test_an_export_that_is_refused_registers_nothing_and_fails_its_run(
    exported: Workplace, rivals: tuple[Path, Path, list[Example]], tmp_path: Path
) -> None:
    config = copied(exported, tmp_path)
    before = len(client(config).search_model_versions(f"name='{config.model}'"))
    with pytest.raises(StanceError, match=r"export\.tolerance"):
        script("export").main(
            [
                f"dataset={exported.dataset}",
                f"checkpoint={rivals[0].parent / 'checkpoint'}",
                f"output={tmp_path}/artifact",
                "export.tolerance=0",
                "other_dataset=true",
                *overrides(config),
            ]
        )
    assert len(client(config).search_model_versions(f"name='{config.model}'")) == before
    run = runs(config, "export")[0]
    assert run.info.status == "FAILED"
    assert "export.tolerance" in run.data.tags["stance.error"]
    assert run.data.tags["stance.alert_other_dataset"].endswith("its rows may have been training rows")
    assert not (tmp_path / "artifact").exists()


def test_an_export_beside_a_champion_that_is_gone_is_refused_before_the_work(
    exported: Workplace, rivals: tuple[Path, Path, list[Example]], store: TrackingConfig, tmp_path: Path
) -> None:
    register(store, rivals[0], rivals[2], "absent")
    shutil.rmtree(download_artifacts("models:/absent/1", tracking_uri=store.uri))
    names = [f"dataset={exported.dataset}", f"checkpoint={exported.checkpoint}", f"output={tmp_path}/artifact"]
    with pytest.raises(StanceError, match=r"the files of the champion, version 1 of absent, can't be read"):
        script("export").main([*names, *overrides(store), "tracking.model=absent"])
    assert not (tmp_path / "artifact").exists()
    script("export").main([*names, *overrides(store), "tracking.model=absent", "register=false"])
    assert (tmp_path / "artifact").exists()


def test_another_export_to_the_same_folder_is_refused(exported: Workplace, tmp_path: Path) -> None:
    """Else it may register the files of the other one."""
    config = copied(exported, tmp_path)
    before = len(runs(config, "export"))
    names = [f"dataset={exported.dataset}", f"checkpoint={exported.checkpoint}", f"output={tmp_path}/artifact"]
    with (
        resume.hold_work(tmp_path / "artifact", name="export"),
        ThreadPoolExecutor(1) as other,
    ):  # a lock is a thread's
        done = other.submit(script("export").main, [*names, *overrides(config)])
        with pytest.raises(
            StanceError, match=r"another process writes \S+/artifact at this moment; wait for it or choose"
        ):
            done.result()
    assert len(runs(config, "export")) == before


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ("tracking.model=a/b", r"^tracking\.model=a/b: expected a name without / : \? and quotation marks"),
        ("tracking.model=who?", r"^tracking\.model=who\?: expected a name without"),
        ("tracking.model=", r"^tracking\.model=: expected a name"),
        ("tracking.model=..", r"^tracking\.model=\.\.: expected a name"),
        ("export.opset=3", r"^export\.opset=3: expected 17 to 22"),
        ("export.opset=99", r"^export\.opset=99: expected 17 to 22"),
    ],
)
def test_an_export_that_could_not_be_kept_is_refused_before_the_work(
    exported: Workplace, tmp_path: Path, wrong: str, match: str
) -> None:
    config = copied(exported, tmp_path)
    before = len(runs(config, "export"))
    names = [f"dataset={exported.dataset}", f"checkpoint={exported.checkpoint}", f"output={tmp_path}/artifact"]
    with pytest.raises(StanceError, match=match):
        script("export").main([*names, *overrides(config), wrong])
    assert len(runs(config, "export")) == before
    assert not (tmp_path / "artifact").exists()


# Stores that can't be used


def test_seconds_below_zero_are_refused(tmp_path: Path) -> None:
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db", system_metrics_seconds=-1)
    with pytest.raises(StanceError, match=r"^tracking\.system_metrics_seconds=-1: expected seconds; 0 measures"):
        tracking.connect(config)


def test_a_file_in_the_place_of_artifacts_is_refused_and_poisons_nothing(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    config = replace(copied(exported, tmp_path), experiment="new")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    uris = f"{tmp_path.as_uri()}/file", f"FILE:{tmp_path}/file", "moon://b/file", "s3://b/file", "/proc/nothing/file"
    for artifacts in (f"{tmp_path}/file", *uris):
        with pytest.raises(StanceError, match=r"^tracking\.artifacts=\S+/file: expected a directory") as caught:
            tracking.connect(replace(config, artifacts=artifacts))
        assert "\n" not in str(caught.value)
    with pytest.raises(StanceError, match=r"file://mlruns/x: mlruns is no folder; expected file:///FOLDER"):
        tracking.connect(replace(config, artifacts="file://mlruns/x"))
    with pytest.raises(StanceError, match=r"/loop: a link that leads nowhere"):
        tracking.connect(replace(config, artifacts=f"{tmp_path}/loop"))
    assert client(config).get_experiment_by_name("new") is None
    better = replace(config, artifacts=f"{tmp_path}/folder")
    with tracking.run(better, stage="toy", settings={}):
        assert capsys.readouterr().err == ""
    with tracking.run(replace(config, artifacts=f"file:{tmp_path}/folder/"), stage="toy", settings={}):
        assert capsys.readouterr().err == "", "another way of writing the same folder"
    with tracking.run(replace(config, artifacts=f"{tmp_path}/elsewhere"), stage="toy", settings={}):
        told = capsys.readouterr().err
    assert told.startswith(
        f"the experiment 'new' keeps its files in file://{tmp_path}/folder; tracking.artifacts is for"
    )


def refused(config: TrackingConfig, match: str) -> None:
    """Expect a refusal that leaves the database file as it was."""
    path = Path(config.uri.removeprefix("sqlite:///"))
    before = path.read_bytes()
    with pytest.raises(StanceError, match=match), tracking.run(config, stage="toy", settings={}):
        pytest.fail("the run was opened")
    assert path.read_bytes() == before


def test_a_locked_database_is_refused(exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stance.tracking.stores.LOCK_SECONDS", 0.5)
    config = copied(exported, tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused(config, r"mlflow\.db: .*database is locked.*another process holds it.*tracking\.uri")


def revise(config: TrackingConfig, revision: str) -> None:
    with closing(sqlite3.connect(config.uri.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        database.commit()


def test_a_database_from_a_newer_mlflow_is_refused(exported: Workplace, tmp_path: Path) -> None:
    config = copied(exported, tmp_path)
    revise(config, "fedcba987654")
    refused(config, r"mlflow\.db: written by a newer MLflow \(schema fedcba987654.*Nothing was changed")


def test_a_database_from_an_older_mlflow_is_refused(exported: Workplace, tmp_path: Path) -> None:
    config = copied(exported, tmp_path)
    revise(config, OLD_REVISION)
    refused(config, rf"written by an older MLflow \(schema {OLD_REVISION}.*run `mlflow db upgrade sqlite:///")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("Dear diary, today I trained a model. " * 40)
    refused(TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db"), r"mlflow\.db: not an SQLite database")


def test_a_directory_in_place_of_the_database_is_refused(tmp_path: Path) -> None:
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}")
    with pytest.raises(StanceError, match=r"the tracking database can't be written"):
        tracking.connect(config)


def test_a_file_in_place_of_the_database_s_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for name in ("notes/mlflow.db", "notes/deeper/mlflow.db"):
        with pytest.raises(StanceError, match=rf"{name}: .*/notes is a file, no directory"):
            tracking.connect(TrackingConfig(uri=f"sqlite:///{tmp_path}/{name}"))


@pytest.mark.parametrize("name", ["mlflow.db", "deeper/mlflow.db"])
def test_a_place_that_takes_no_database_is_told_at_once(name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(StanceError, match=rf"^tracking\.uri=sqlite:////proc/{name}: can't be made \(") as caught:
        tracking.connect(TrackingConfig(uri=f"sqlite:////proc/{name}"))
    assert time.monotonic() - begun < stores.MAKING_SECONDS / 10
    assert "No such file or directory" in str(caught.value) or "Permission denied" in str(caught.value)
    assert "another process" not in str(caught.value)


def test_a_database_that_another_process_makes_for_very_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MAKING_SECONDS", 0.1)
    with (
        FileLock(tmp_path / ".mlflow.db.lock"),
        pytest.raises(StanceError, match=r"\.mlflow\.db\.lock: another process has been opening the tracking database"),
    ):
        tracking.connect(TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db"))


def test_an_experiment_that_another_process_has_just_made_is_taken(
    exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = copied(exported, tmp_path)
    monkeypatch.setattr(tracking, "_experiment", lambda *_: None)  # looked for before the other one made it
    assert tracking.connect(config).get_experiment_by_name(config.experiment) is not None


def test_a_database_whose_making_was_cut_off_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stance.tracking.stores.STILL_SECONDS", 0.1)
    config = TrackingConfig(
        uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=f"{tmp_path}/artifacts", system_metrics_seconds=0
    )
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", [OLD_REVISION])
        database.commit()
    assert tracking.connect(config).get_experiment_by_name("stance") is not None


def test_a_path_that_mlflow_reads_otherwise_is_one_line(tmp_path: Path) -> None:
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/per%20cent/mlflow.db", artifacts=f"{tmp_path}/artifacts")
    with pytest.raises(StanceError, match=r"per%20cent/mlflow\.db: MLflow reads this as .*per cent/mlflow\.db; choose"):
        tracking.connect(config)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(StanceError, match=r"tracking\.uri=gopher://burrow: MLflow can't use it"):
        tracking.connect(TrackingConfig(uri="gopher://burrow"))


def test_a_corpus_may_call_its_stances_and_columns_what_it_likes(store: TrackingConfig) -> None:
    labels = {"+1": "support", "?": "drop", "pro/": "support", "x" * 300: "drop"}
    settings = {"corpora": {"mine": {"labels": labels, "columns": {}, "limit": 3}}}
    with tracking.run(store, stage="toy", settings=settings) as active:
        pass
    run = client(store).get_run(active.id)
    assert json.loads(run.data.params["corpora.mine.labels"]) == labels
    assert run.data.params["corpora.mine.limit"] == "3"
    assert yaml.safe_load(artifact(store, run, "config.yaml")) == settings


def test_the_password_of_a_store_is_neither_logged_nor_printed(
    store: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter%402"  # as an address holds "hunter@2"
    there = f"postgresql://me:{secret}@db.example:5432/runs"
    others = {"artifacts": "sftp://me:hunter3@db.example/x", "list": ["https://hunter4@h", 1]}
    with tracking.run(store, stage="toy", settings={"tracking": {"uri": there, **others}}) as active:
        pass
    run = client(store).get_run(active.id)
    assert run.data.params["tracking.artifacts"] == "sftp://me:***@db.example/x"
    assert yaml.safe_load(artifact(store, run, "config.yaml"))["tracking"]["list"] == ["https://***@h", 1]
    assert run.data.params["tracking.uri"] == "postgresql://me:***@db.example:5432/runs"
    assert "hunter" not in repr(run.to_dictionary()) + artifact(store, run, "config.yaml")
    assert scrubbed(ValueError(f"{there} knows no hunter@2"), there) == (
        "postgresql://me:***@db.example:5432/runs knows no ***"
    )
    assert scrubbed("http://me:a/b#c?d@host/x", "http://me:a/b#c?d@host/x") == "http://me:***@host/x"
    azure = "postgresql://me@srv:secret99@srv.host/db?options=a@b"
    assert scrubbed(f"{azure}: bad secret99", azure) == "postgresql://me@srv:***@srv.host/db?options=a@b: bad ***"
    assert scrubbed("mysql://db/x?user=me&password=hunter", "mysql://db/x") == "mysql://db/x?user=me&password=***"
    assert (
        scrubbed("mlflow.db of sql://mlflow:mlflow@db", "sql://mlflow:mlflow@db") == "mlflow.db of sql://mlflow:***@db"
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    try:
        with pytest.raises(StanceError) as caught:
            tracking.connect(replace(store, uri=f"http://me:{secret}@127.0.0.1:{port}"))
    finally:
        tracking.connect(store)
    assert f"tracking.uri=http://me:***@127.0.0.1:{port}: MLflow can't use it: " in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_a_script_that_cannot_track_writes_no_output(exported: Workplace, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("Dear diary, today I trained a model. " * 40)
    with pytest.raises(StanceError, match="not an SQLite database"):
        script("train").main(
            [
                f"dataset={exported.dataset}",
                f"output={tmp_path}/checkpoint",
                f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
            ]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_flatten_gives_dotted_keys() -> None:
    settings = {"model": asdict(ModelConfig(max_pairs=7)), "output": "x"}
    flat = jsonl.flatten(settings)
    assert flat["model.max_pairs"] == 7
    assert flat["output"] == "x"
