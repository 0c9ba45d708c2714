"""Sweeps with real trainings of a tiny encoder: the space, sharing a study, pruning, failing, and surviving a kill."""

import gc
import json
import math
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from mlflow.entities import Run as Recorded
from mlflow.tracking import MlflowClient
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages._heartbeat import HeartbeatThread
from optuna.trial import FrozenTrial, Trial, TrialState
from transformers import Trainer

import tiny
from conftest import ROOT, script
from stance import jsonl
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.commands import sweep as commands
from stance.commands.sweep import as_trained
from stance.errors import StanceError
from stance.records import LABELS
from stance.settings import usage
from stance.settings.studies import SweepConfig
from stance.settings.tracking import TrackingConfig
from stance.settings.training import ModelConfig, TrainingConfig
from stance.studies import database, findings, precision, space, study, sweep, trial
from stance.studies.space import Settings, changed, draw, overruled, parse
from stance.studies.study import Opened
from stance.studies.sweep import Worker
from stance.studies.trial import Plan, TrialError, facts, plan
from stance.tracking import sweep_runs
from stance.training import finetuning
from stance.training.trainer import StanceTrainer
from tiny import one_thread  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")  # for trials that these tests begin by hand
ROWS = {"train": tiny.examples(24, seed=1), "validation": tiny.examples(12, seed=2)}  # no test split to look at
RATES = {"training": {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}}


@dataclass
class Kept:
    """A record of a trial in memory."""

    id: str = "a-run"
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)

    def sink(self, metrics: Mapping[str, float], step: int) -> None:
        self.metrics += [(name, value, step) for name, value in metrics.items()]

    def tag(self, **tags: str) -> None:
        self.tags |= tags

    def alert(self, name: str, text: str) -> None:
        self.alerts[name] = text


class Bench:
    """A study in a folder, its plan, and what its workers said and recorded."""

    def __init__(self, folder: Path, encoder: str, **changes: Any) -> None:
        values = {
            "seeds": [1],
            "trials": 2,
            "space": RATES,
            "heartbeat": 1,
            "startup": 1,
            "sampler": "random",
            **changes,
        }
        self.config = SweepConfig(storage=f"sqlite:///{folder}/sweeps.db", **values)
        recipe = TrainingConfig(epochs=2, tokens_per_batch=256, precision="fp32", early_stopping=0)
        self.plan = plan(self.config, Settings(tiny.config(name=encoder), recipe), ROWS, scratch=folder / "scratch")
        self.config = self.plan.config
        self.opened = self.join()
        self.records: dict[int, Kept] = {}
        self.lines: list[str] = []
        self.gone: list[int] = []

    def join(self) -> Opened:
        storage = study.connect(self.config, on_stale=lambda trial: self.gone.append(trial.number))
        return study.join(self.config, storage, facts(self.plan, "0" * 64))

    @contextmanager
    def watch(self, number: int, settings: Settings) -> Iterator[Kept]:
        self.records[number] = Kept()
        yield self.records[number]

    def worker(self, **changes: Any) -> Worker:
        return Worker(
            self.join(), replace(self.plan, config=replace(self.config, **changes)), self.watch, self.lines.append
        )

    def trials(self) -> list[FrozenTrial]:
        return self.opened.study.get_trials()

    def left(self) -> list[Path]:
        return list(self.plan.scratch.iterdir()) if self.plan.scratch.is_dir() else []


# The search space


def test_nested_and_dotted_keys_describe_the_same_space() -> None:
    entry = {"type": "float", "low": 1e-5, "high": 3e-4, "log": True}
    expected = {"training.learning_rate": FloatDistribution(1e-5, 3e-4, log=True)}
    assert space.parse({"training": {"learning_rate": entry}}) == expected
    assert space.parse({"training.learning_rate": entry}) == expected


def test_each_type_becomes_its_distribution() -> None:
    found = space.parse(
        {
            "training": {
                "epochs": {"type": "int", "low": 1, "high": 5, "step": 2},
                "class_weights": {"type": "categorical", "choices": ["none", "balanced"]},
            },
            "model": {"dropout": {"type": "float", "low": 0, "high": 0.3, "step": 0.1}},
        }
    )
    assert found == {
        "model.dropout": FloatDistribution(0, 0.3, step=0.1),
        "training.class_weights": CategoricalDistribution(["none", "balanced"]),
        "training.epochs": IntDistribution(1, 5, step=2),
    }
    assert space.grid(found) == {
        "model.dropout": [0.0, 0.1, 0.2, pytest.approx(0.3)],
        "training.class_weights": ["none", "balanced"],
        "training.epochs": [1, 3, 5],
    }


def test_class_weights_that_were_of_the_whole_mixture_are_another_sweep(encoder: str, tmp_path: Path) -> None:
    for choices, there in ((["none", "balanced"], True), (["none", "0"], False)):
        bench = Bench(tmp_path / choices[1], encoder, space={"training.class_weights": chosen(*choices)})
        assert ("class weights of this version" in facts(bench.plan, "0" * 64)) == there


def test_a_number_among_texts_is_a_text() -> None:
    """As on a command line: training.class_weights=0.25."""
    found = space.parse({"training.class_weights": {"type": "categorical", "choices": ["none", 0.25, 1]}})
    assert found == {"training.class_weights": CategoricalDistribution(["none", "0.25", "1"])}


def floats(**changes: Any) -> dict[str, Any]:
    return {"type": "float", "low": 0.1, "high": 0.2, **changes}


def chosen(*values: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values)}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "sweep.space is empty"),
        ({"training": {}}, "sweep.space is empty"),
        (
            {"training": {"learning_rat": floats()}},
            "no setting training.learning_rat; the nearest one is training.learning_rate",
        ),
        ({"trainin.warmup": floats()}, "the nearest one is training.warmup"),
        ({"training": {"seed": floats()}}, "each of sweep.seeds"),
        ({"training": {"save_steps": {"type": "int", "low": 1, "high": 9}}}, "since it changes no weight"),
        ({"training": {"warmup": 0.1}}, r"sweep.space.training.warmup=0.1: expected \{type"),
        ({"training": {"warmup": {}}}, "type=None: expected one of float, int, categorical"),
        ({"training": {"warmup": {"type": ["float"]}}}, r"type=\['float'\]: expected one of float, int, categorical"),
        ({"training": {"warmup": floats(high=math.inf)}}, "warmup.high=inf: expected a number of type float"),
        ({"training": {"warmup": {"type": "categorical", "choices": [math.nan]}}}, "choices: nan is no float"),
        ({"training": {"warmup": {"low": 0.1, "high": 0.2}}}, "type=None: expected one of float, int, categorical"),
        ({"training": {"warmup": floats(hihg=1)}}, "warmup.hihg: unknown; float has type, low, .*mean high"),
        ({"training": {"warmup": {"type": "float", "low": 0.1}}}, "warmup.high=None: expected a number of type float"),
        ({"training": {"warmup": floats(low="a")}}, "warmup.low=a: expected a number"),
        ({"training": {"warmup": floats(low=0.3)}}, "warmup: low=0.3, high=0.2 is no range"),
        ({"training": {"warmup": floats(low=0.0, log=True)}}, "low=0.0, high=0.2 is no range"),
        ({"training": {"warmup": floats(step=0.03)}}, "is no range: .*not divisible"),
        ({"training": {"warmup": floats(log="yes")}}, "log=yes: expected true or false"),
        ({"training": {"epochs": floats()}}, "epochs.type=float: this setting takes int"),
        ({"training": {"precision": {"type": "int", "low": 1, "high": 2}}}, "type=int: this setting takes str"),
        ({"training": {"epochs": {"type": "categorical", "choices": [1, "2"]}}}, "choices: '2' is no int"),
        ({"training": {"epochs": {"type": "categorical", "choices": [True]}}}, "choices: True is no int"),
        ({"training": {"epochs": {"type": "categorical", "choices": []}}}, "expected a list of values"),
        ({"training": {"epochs": {"type": "categorical", "choices": [1, 1]}}}, "a value is there twice"),
        ({"training": {"r_drop": {"type": "categorical", "choices": [0, 1.0, 0.0]}}}, "a value is there twice"),
        ({"training": {"epochs": {"type": "categorical", "low": 1}}}, "low: unknown; categorical has type, choices"),
        ({"training": {"warmup": floats(stpe=0.1)}}, "warmup.stpe: unknown; .*mean step"),
        (
            {"training": {"weight_decay": floats(high=1e20, step=1e-10)}},
            "high=1e.20 is no range: step=1e-10 is too fine",
        ),
    ],
)
def test_a_bad_space_is_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(StanceError, match=message) as caught:
        space.parse(tree)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("training.warmup", floats(high=1.5), "sweep.space.training.warmup: training.warmup=1.5: expected a share"),
        ("model.dropout", floats(high=1.5), "sweep.space.model.dropout: model.dropout=1.5: expected a probability"),
        ("model.layout", chosen("pair", "both"), "sweep.space.model.layout: .*both"),
        ("model.name", chosen("nowhere/at/all"), r"sweep\.space\.model\.name: .*no such directory"),
        ("training.initial", chosen("nowhere"), r"sweep\.space\.training\.initial: training\.initial=nowhere: no such"),
        (
            "training.lora.rank",
            chosen(0, 10**7),
            r"sweep\.space\.training\.lora\.rank: .*=10000000: expected at most 32,",
        ),
        ("training.precision", chosen("fp32", "fp61"), r"sweep\.space\.training\.precision: .*fp61"),
        ("training.frozen_layers", {"type": "int", "low": 1, "high": 50}, r"space\.training\.frozen_layers: .*=50"),
    ],
)
def test_an_end_of_a_range_that_training_would_refuse_is_refused_before_any_trial(
    encoder: str, tmp_path: Path, key: str, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(StanceError, match=message):
        Bench(tmp_path, encoder, space={key: entry})
    assert not (tmp_path / "sweeps.db").exists()


@pytest.mark.parametrize(
    ("given", "searched"),
    [
        ({"training.r_drop": 0.5}, {"model.dropout": floats(low=0.0)}),
        ({"training.r_drop": 0.5, "model.dropout": 0.0}, {"model.dropout": floats()}),
        ({"model.dropout": 0.0}, {"training.r_drop": floats(), "model.encoder_dropout": floats()}),
        ({"training.initial": "/nowhere"}, {"training.initial": chosen("")}),
        ({"model.max_passage_tokens": 900}, {"model.max_passage_tokens": {"type": "int", "low": 16, "high": 32}}),
        (
            {"model.layout": "pair"},
            {"model.layout": chosen("one_pass", "pair"), "model.question": chosen("markers", "typed")},
        ),
        (
            {"training.r_drop": 0.5, "model.dropout": 0.0},
            {"training.lora.rank": {"type": "int", "low": 0, "high": 4}, "training.lora.dropout": floats()},
        ),
        ({"training.frozen_layers": 50}, {"training.frozen_layers": {"type": "int", "low": 0, "high": 1}}),
    ],
)
def test_what_a_trial_can_never_be_does_not_stop_a_sweep(
    encoder: str, tmp_path: Path, given: dict[str, Any], searched: dict[str, Any]
) -> None:
    settings = space.changed(Settings(tiny.config(name=encoder), TrainingConfig(precision="fp32")), given)
    found = plan(SweepConfig(space=searched), settings, ROWS, scratch=tmp_path / "scratch")
    assert set(found.space) == set(searched)


def test_of_several_searched_settings_the_bad_one_is_named(encoder: str, tmp_path: Path) -> None:
    settings = Settings(tiny.config(name=encoder), TrainingConfig(precision="fp32"))
    for bad, value in {"training.initial": "nowhere", "model.layout": "both", "training.class_weights": "some"}.items():
        searched = {"model.dropout": floats(), bad: chosen(value), "training.warmup": floats()}
        with pytest.raises(StanceError, match=rf"^sweep\.space\.{bad}: "):
            plan(SweepConfig(space=searched), settings, ROWS, scratch=tmp_path / "scratch")


@pytest.mark.parametrize(
    ("given", "searched", "message"),
    [
        ({"training.epochs": 0}, {"model.dropout": floats()}, r"^training\.epochs=0: expected 1 or more"),
        ({"model.layout": "pear"}, {"model.dropout": floats()}, r"^model\.layout=pear"),
        (
            {"training.teacher": ["/nowhere"]},
            {"model.name": chosen("embedded")},
            r"^/nowhere/checkpoint\.json: missing",
        ),
        ({"training.teacher": ["other:/nowhere"]}, {"model.dropout": floats()}, r"^/nowhere/checkpoint\.json: missing"),
        (
            {"training.initial": "old", "training.teacher": ["/nowhere"]},
            {"training.initial": chosen("")},
            r"^/nowhere/checkpoint\.json: missing",
        ),
        ({"model.dropout": 0.0}, {"training.r_drop": floats()}, r"training\.r_drop compares two answers"),
        (
            {"training.r_drop": 0.5, "model.dropout": 0.0},
            {"model.name": chosen("embedded"), "model.layout": chosen("auto")},
            r"^training\.r_drop compares two answers",
        ),
        (
            {},
            {
                "model.name": chosen("embedded"),
                "model.layout": chosen("auto"),
                "training.precision": chosen("fp32", "x"),
            },
            r"^sweep\.space\.training\.precision: training\.precision=x",
        ),
        (
            {"training.deny": 0.5},
            {"model.name": chosen("embedded"), "training.lexicon": chosen("/nowhere.yaml")},
            r"^sweep\.space\.training\.lexicon: /nowhere\.yaml: no such file",
        ),
        (
            {"training.deny": 0.5},
            {"training.initial": chosen(""), "training.lexicon": chosen("/nowhere.yaml")},
            r"^sweep\.space\.training\.lexicon: /nowhere\.yaml: no such file",
        ),
    ],
)
def test_what_no_trial_could_train_with_is_refused_and_the_setting_named(
    encoder: str, tmp_path: Path, given: dict[str, Any], searched: dict[str, Any], message: str
) -> None:
    settings = space.changed(Settings(tiny.config(name=encoder), TrainingConfig(precision="fp32")), given)
    with pytest.raises(StanceError, match=message):
        plan(SweepConfig(space=searched), settings, ROWS, scratch=tmp_path / "scratch")


def test_a_dataset_that_no_training_takes_is_not_blamed_on_what_is_searched(encoder: str, tmp_path: Path) -> None:
    settings = Settings(tiny.config(name=encoder), TrainingConfig(precision="fp32"))
    rows = {**ROWS, "train": [row for row in ROWS["train"] if row.stance != "support"]}
    with pytest.raises(StanceError, match=r"^the train split has no example of support"):
        plan(SweepConfig(space={"model.dropout": floats()}), settings, rows, scratch=tmp_path / "scratch")


def test_a_grid_of_too_many_combinations_is_refused_before_it_is_listed() -> None:
    fine = {name: {"type": "float", "low": 0.0, "high": 0.9, "step": 0.01} for name in ("warmup", "span_dropout")}
    assert sorted(len(values) for values in space.grid(space.parse({"training": fine})).values()) == [91, 91]
    fine["surface_share"] = {"type": "float", "low": 0.0, "high": 0.9, "step": 1e-9}
    with pytest.raises(
        StanceError, match=r"sampler=grid: 7\.4529e\+12 combinations .*surface_share 9e\+08, .* 100,000; take"
    ):
        space.grid(space.parse({"training": fine}))
    endless = space.parse({"training": {"r_drop": {"type": "float", "low": 0, "high": 1.7e308, "step": 1e295}}})
    endless["training.r_drop"].step = 1e-10  # type: ignore[attr-defined]
    with pytest.raises(StanceError, match=r"inf combinations \(training\.r_drop inf\)"):
        space.grid(endless)


def test_a_continuous_range_has_no_grid(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"sampler=grid: sweep\.space\.training\.learning_rate has no grid"):
        Bench(tmp_path, encoder, sampler="grid")


@pytest.mark.parametrize(
    "value", ["plain", "a b", "it's", "a,b", "1", "true", "null", "", "org/model-v1.5", "/a/b=c", "[x]", "back\\slash"]
)
def test_hydra_reads_back_what_is_written_for_a_command_line(value: str) -> None:
    job = script("train").main.compose([f"model.name={usage.written(value)}"])
    assert job.model.name == value


def test_overrides_are_what_differs_from_the_defaults() -> None:
    base = Settings(ModelConfig(name="x"), TrainingConfig(seed=7))
    assert space.overrides(space.changed(base, {"training.epochs": 9})) == {"model.name": "x", "training.epochs": 9}


# The study


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "f1"}, "sweep.metric=f1: expected one of macro_f1, accuracy"),
        ({"metric": "loss"}, "sweep.direction=maximize: the loss is to be minimized"),
        ({"direction": "up"}, "sweep.direction=up: expected one of maximize, minimize"),
        ({"sampler": "cma"}, "sweep.sampler=cma: expected one of tpe, random, grid"),
        ({"pruner": "x"}, "sweep.pruner=x: expected one of median, hyperband, none"),
        ({"seeds": []}, "sweep.seeds"),
        ({"seeds": [1, 1]}, "sweep.seeds=.*different"),
        ({"trials": 0}, "sweep.trials"),
        ({"timeout": -1.0}, "sweep.timeout=-1.0: expected seconds; 0 sets no limit"),
        ({"timeout": math.nan}, "sweep.timeout=nan"),
        ({"retries": -1}, "must not be negative"),
        ({"name": "a/b"}, "sweep.name='a/b'"),
        ({"name": ""}, "sweep.name=''"),
        ({"name": ".."}, "sweep.name='..'"),
        ({"seeds": [2**32]}, r"sweep\.seeds=\[4294967296\]: expected different numbers from 0 to 4294967295"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StanceError, match=message):
        study.check(replace(SweepConfig(), **changes))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nothing", "^sweep.storage=nothing: expected sqlite:///FILE or the URL of a database"),
        ("me:secret@nothing", "^sweep.storage=the given URL: expected sqlite:///FILE"),
        ("nothing?password=secret", "^sweep.storage=the given URL: expected sqlite:///FILE"),
        ("oracle9://x", "expected sqlite:///FILE or the URL"),
        ("mysql+nosuchdriver://me:secret@host/db", r"mysql\+nosuchdriver://me:\*\*\*@host/db: expected"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_url_that_is_no_shared_database_is_refused(url: str, message: str) -> None:
    with pytest.raises(StanceError, match=message) as caught:
        study.connect(SweepConfig(storage=url))
    assert "secret" not in str(caught.value)


def test_no_password_of_a_url_is_shown() -> None:
    hidden = "postgresql+psycopg://me:***@db/sweeps?password=***&sslmode=require"
    assert study.shown("postgresql+psycopg://me:hunter2@db/sweeps?password=hunter3&sslmode=require") == hidden
    assert study.shown("postgresql+psycopg://me:hun@ter2@db/sweeps") == "postgresql+psycopg://me:***@db/sweeps"
    assert study.shown("postgresql+psycopg://me:hun@te/r2@db/sweeps") == "postgresql+psycopg://me:***@db/sweeps"
    assert study.shown("mysql+pymysql://me:hun?ter2@db/sweeps") == "mysql+pymysql://me:***@db/sweeps"
    assert study.shown("mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3Dsecret") == "mssql+pyodbc:///?odbc_connect=***"
    assert study.shown("postgresql://db/x?SSLPASSWORD=secret") == "postgresql://db/x?SSLPASSWORD=***"
    assert study.shown("nothing?PWD=hunter2") == "nothing?PWD=***"
    assert study.shown("sqlite:////tmp/a:b@c.db") == "sqlite:////tmp/a%3Ab%40c.db"


def test_braces_in_the_name_of_a_database_are_mere_letters(tmp_path: Path) -> None:
    study.connect(SweepConfig(storage=f"sqlite:///{tmp_path}/{{x}} {{}}.db"))
    assert (tmp_path / "{x} {}.db").is_file()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StanceError, match=r"file is a file, no directory"):
        study.connect(SweepConfig(storage=f"sqlite:///{tmp_path}/file/x.db"))
    with pytest.raises(
        StanceError, match=r"sweep\.storage=sqlite:////proc/x/y\.db: its folder can't be made \(No such"
    ):
        study.connect(SweepConfig(storage="sqlite:////proc/x/y.db"))


def test_a_database_that_fails_at_any_moment_is_named(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder)
    with closing(sqlite3.connect(tmp_path / "sweeps.db")) as other:
        other.execute("DROP TABLE trials")
    match = r"sweeps\.db: the database failed: .*trials.*; the same command goes on from here"
    with pytest.raises(StanceError, match=match), study.reached(bench.config):
        bench.opened.study.ask()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.db").write_text("These are notes, and they stay. " * 99)
    monkeypatch.setattr(study.time, "sleep", lambda seconds: None)
    with pytest.raises(StanceError, match=r"notes\.db: can't be used: .*not a database"):
        study.connect(SweepConfig(storage=f"sqlite:///{tmp_path}/notes.db"))


def test_of_processes_that_open_a_new_study_at_once_exactly_one_is_the_first(tmp_path: Path) -> None:
    config = SweepConfig(storage=f"sqlite:///{tmp_path}/new/sweeps.db")

    def join(_: int) -> Opened:
        return study.join(config, study.connect(config), {"dataset": "a"})

    with ThreadPoolExecutor(6) as threads:
        opened = list(threads.map(join, range(6)))
    assert [one.first for one in opened].count(True) == 1
    assert len({one.key for one in opened}) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"training.learning_rate": floats()}}, r"learning_rate was .*0\.01.* and is now .*0\.2"),
        ({"space": {"training": {"warmup": floats()}}}, r"sweep\.space\.training\.warmup was not there and is now"),
        ({"metric": "accuracy"}, 'sweep.metric was "macro_f1" and is now "accuracy"'),
        ({"metric": "loss", "direction": "minimize"}, 'sweep.direction was "maximize"'),
        ({"seeds": [1, 2]}, r"sweep\.seeds was \[1\] and is now \[1, 2\]"),
    ],
)  # fmt: skip
def test_a_study_of_the_same_name_with_other_settings_is_refused(
    encoder: str, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    Bench(tmp_path, encoder)
    with pytest.raises(StanceError, match=message) as caught:
        Bench(tmp_path, encoder, **changes)
    assert "study 'recipe' in sqlite:///" in str(caught.value)
    assert "choose another sweep.name" in str(caught.value)


def test_a_study_with_another_dataset_or_recipe_is_refused(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder)
    storage = study.connect(bench.config)
    with pytest.raises(StanceError, match=f'dataset was "{"0" * 64}" and is now "ff"'):
        study.join(bench.config, storage, facts(bench.plan, "ff"))
    other = replace(bench.plan.settings, training=replace(bench.plan.settings.training, epochs=9))
    with pytest.raises(StanceError, match=r"training\.epochs was 2 and is now 9"):
        study.join(bench.config, storage, facts(replace(bench.plan, settings=other), "0" * 64))


def test_a_sweep_asks_its_teachers_what_has_no_label_too_and_never_sees_the_test(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder)
    rows = {name: tiny.examples(12, seed=n) for n, name in enumerate(("train", "validation", "test", "unlabelled"))}
    planned = plan(bench.config, bench.plan.settings, rows, scratch=tmp_path)
    assert set(planned.splits) == {"train", "validation", "unlabelled"}


def test_a_teacher_with_other_weights_makes_another_study(encoder: str, tmp_path: Path) -> None:
    first = Bench(tmp_path, encoder)
    (tmp_path / "teacher").mkdir()
    recipe = replace(first.plan.settings.training, teacher=[str(tmp_path / "teacher")])
    taught, found = replace(first.plan, settings=replace(first.plan.settings, training=recipe)), []
    for weights in (b"some", b"others"):
        (tmp_path / "teacher" / "model.safetensors").write_bytes(weights)
        found.append(facts(taught, "0" * 64))
    assert found[0] != found[1]
    assert {**found[0], "weights": {}} == {**found[1], "weights": {}}


def test_a_searched_start_with_other_weights_makes_another_study(encoder: str, tmp_path: Path) -> None:
    first, found = Bench(tmp_path, encoder), []
    (tmp_path / "start").mkdir()
    tree = {"training": {"initial": {"type": "categorical", "choices": ["", str(tmp_path / "start")]}}}
    searching = replace(first.plan, space=parse(tree))
    for weights in (b"some", b"others"):
        (tmp_path / "start" / "model.safetensors").write_bytes(weights)
        found.append(facts(searching, "0" * 64))
    assert found[0] != found[1]
    assert {**found[0], "weights": {}} == {**found[1], "weights": {}}


def test_a_searched_rewriting_with_other_words_makes_another_study(encoder: str, tmp_path: Path) -> None:
    bench, found = Bench(tmp_path, encoder), []
    words = tmp_path / "words.yaml"
    settings = replace(bench.plan.settings, training=replace(bench.plan.settings.training, lexicon=str(words)))
    tree = {"training": {"deny": {"type": "categorical", "choices": [0.0, 0.5]}}}
    searching = replace(bench.plan, space=parse(tree), settings=settings)
    for text in ("some", "others"):
        words.write_text(text)
        found.append(facts(searching, "0" * 64))
    assert found[0] != found[1]
    assert {**found[0], "weights": {}} == {**found[1], "weights": {}}


def test_a_value_that_is_searched_as_well_is_named(encoder: str, tmp_path: Path) -> None:
    settings = Bench(tmp_path, encoder).plan.settings
    searched = parse({"training": {"epochs": {"type": "int", "low": 1, "high": 3}, **RATES["training"]}})
    assert overruled(settings, searched) == {}
    other = replace(settings, training=replace(settings.training, epochs=9))
    assert overruled(other, searched) == {"training.epochs": 9}


def test_more_trials_and_another_sampler_are_no_other_study(encoder: str, tmp_path: Path) -> None:
    first = Bench(tmp_path, encoder)
    again = Bench(tmp_path, encoder, trials=9, sampler="tpe", pruner="none", timeout=5.0)
    assert (again.opened.key, again.opened.first) == (first.opened.key, False)
    roomier = replace(first.plan.settings.training, disk_budget_gb=9.0)  # changes no weight
    settings = replace(first.plan.settings, training=roomier)
    found = facts(replace(first.plan, settings=settings), "0" * 64)
    assert study.join(first.config, study.connect(first.config), found).key == first.opened.key


def test_a_study_of_another_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SweepConfig(storage=f"sqlite:///{tmp_path}/sweeps.db")
    foreign = optuna.create_study(storage=config.storage, study_name="recipe")
    foreign.ask()
    monkeypatch.setattr(study, "OPENING_SECONDS", 0.1)
    with pytest.raises(StanceError, match="holds trials of another program"):
        study.join(config, study.connect(config), {})


@pytest.mark.parametrize(
    ("storage", "uri"),
    [
        ("sqlite:///mlruns/mlflow.db", "sqlite:///mlruns/../mlruns/mlflow.db"),
        ("postgresql+psycopg://me:hunter2@db/all", "postgresql://me:secret@db:5432/all"),
        ("mysql://me:hunter2@localhost/all", "mysql+pymysql://me:secret@127.0.0.1:3306/all"),
        ("mariadb://me:hunter2@db/all", "mariadb+pymysql://you:secret@db/all?charset=utf8mb4"),
        ("postgresql://db/all?sslmode=require", "postgresql://db/all?connect_timeout=9"),
    ],
)
def test_a_database_that_is_mlflows_is_refused(storage: str, uri: str, tmp_path: Path) -> None:
    with pytest.raises(
        StanceError, match=r"tracking\.uri names the same .*; give each a database of its own"
    ) as caught:
        script("sweep").main([f"dataset={tmp_path}", f'sweep.storage="{storage}"', f'tracking.uri="{uri}"'])
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)
    for other in ("sqlite:///mlruns/other.db", "http://localhost:5000", "mlruns", "postgresql://db/other"):
        assert not database.same(storage, other)


@pytest.mark.parametrize(
    "other",
    [
        "postgresql://them@db/all?options=-csearch_path%3Da",
        "postgresql://me@db/all?options=-csearch_path%3Db",
        "postgresql://me@db:5433/all?options=-csearch_path%3Da",
        "postgresql://me@db/all",
    ],
)
def test_what_may_be_other_tables_of_a_server_is_taken(other: str) -> None:
    assert not database.same("postgresql://me@db/all?options=-csearch_path%3Da", other)
    assert database.same(other, other)
    assert database.same(other, f"{other}{'&' if '?' in other else '?'}sslmode=require")


def test_a_process_waits_for_the_run_of_the_one_that_began_the_study_but_for_none_that_will_not_come(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: Any, **__: Any) -> Any:  # what is tested is who waits
        raise StanceError("no store")

    def begin(opened: Opened) -> None:
        with pytest.raises(StanceError, match="no store"), sweep_runs.parent(TrackingConfig(), opened, {}, toy):
            pass

    toy, asked = Manifest("toy", "0" * 64, {}, {}, {}, {}, {}), list[bool]()
    first, later = Bench(tmp_path, encoder).opened, Bench(tmp_path, encoder).opened
    assert (first.first, later.first) == (True, False)
    monkeypatch.setattr(study, "OPENING_SECONDS", 0.1)
    monkeypatch.setattr(sweep_runs.tracking, "run", run)
    monkeypatch.setattr(sweep_runs.tracking, "find", lambda *_: asked.append("tracked" in later.study.user_attrs) or "")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(begin, later)
        time.sleep(1)
        assert not asked
        begin(first)
        waiting.result(20)
    assert asked == [True]
    assert "waiting 60 s at most for the run of the process that began the study" in capsys.readouterr().out
    begin(later)
    assert "waiting" not in capsys.readouterr().out


# Trials


def measured(monkeypatch: pytest.MonkeyPatch, *, gain: float, able: bool = True) -> None:
    """Let bf16 seem `gain` times as fast as fp32."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("stance.network.precision.bf16_instructions", lambda: ["avx512_bf16"] * able)
    monkeypatch.setattr("stance.network.precision.bf16_gain", lambda: gain)


@pytest.mark.parametrize("searched", [False, True])
def test_all_processes_of_a_study_take_the_precision_that_the_first_one_measured(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searched: bool
) -> None:
    taken: list[str] = []
    monkeypatch.setattr(
        sweep.trials, "value", lambda trial, plan, settings, *_, **__: taken.append(settings.training.precision) or 0.5
    )
    measured(monkeypatch, gain=3.0)
    drawn = {"training.precision": {"type": "categorical", "choices": ["auto"]}} if searched else RATES
    bench = Bench(tmp_path, encoder, space=drawn)
    if not searched:
        bench.plan = replace(bench.plan, settings=changed(bench.plan.settings, {"training.precision": "auto"}))
    for gain in (3.0, 0.5):
        measured(monkeypatch, gain=gain)
        plan = replace(bench.plan, config=replace(bench.config, trials=len(taken) + 1))
        Worker(bench.opened, plan, bench.watch, bench.lines.append).run()
    assert taken == ["bf16", "bf16"]


def test_a_process_that_lacks_the_precision_of_its_study_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun_before = optuna.create_study(study_name="recipe")
    measured(monkeypatch, gain=3.0)
    assert precision.shared(begun_before) == "bf16"
    assert capsys.readouterr().out == ""
    measured(monkeypatch, gain=0.5)
    assert precision.shared(begun_before) == "bf16"
    assert "bf16, in which study 'recipe' was begun; measured now it would be fp32" in capsys.readouterr().out
    measured(monkeypatch, gain=0.5, able=False)
    assert precision.shared(begun_before) == "fp32"
    assert "fp32; study 'recipe' was begun in bf16, which this machine does not have" in capsys.readouterr().out


def test_the_value_of_a_trial_is_the_median_over_its_seeds(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, seeds=[1, 2, 3], trials=1)
    bench.worker().run()
    (trial,) = bench.trials()
    assert trial.state == TrialState.COMPLETE
    assert set(trial.user_attrs["scores"]) == {"1", "2", "3"}
    assert trial.value == median(trial.user_attrs["scores"].values())
    assert sorted(trial.intermediate_values) == [1, 2, 3, 4, 5, 6]  # two epochs of each of three seeds
    assert trial.intermediate_values[6] == trial.value
    names = {name for name, _, _ in bench.records[trial.number].metrics}
    assert {f"seed_{seed}_validation_macro_f1" for seed in (1, 2, 3)} | {"macro_f1"} <= names
    assert bench.records[trial.number].tags == {"state": "complete"}
    told = bench.records[trial.number].alerts["guessing"]
    assert [part.split(": the model is no")[0] for part in told.split("; ") if part.startswith("seed ")] == [
        f"seed {seed}" for seed in (1, 2, 3) if f"seed_{seed}_alert_guessing" in names
    ]
    assert told.count("seed ") > 1, "two epochs of so few examples"
    assert bench.left() == []
    (line,) = bench.lines
    assert "1 of 1 done" in line
    assert f"median macro_f1 {trial.value:.3f}" in line


@pytest.mark.slow
def test_the_same_sweep_draws_and_scores_the_same(encoder: str, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name, encoder, sampler="tpe")
        Worker(bench.opened, bench.plan, bench.watch, bench.lines.append).run()
        found.append([(trial.params, trial.value) for trial in bench.trials()])
    assert found[0] == found[1]


def test_hyperband_is_refused_for_trainings_of_several_lengths(encoder: str, tmp_path: Path) -> None:
    epochs = {"training.epochs": {"type": "int", "low": 1, "high": 4}}
    with pytest.raises(
        StanceError, match=r"sweep\.pruner=hyperband: compares .*training\.epochs lets them end.*\('~sweep"
    ):
        Bench(tmp_path, encoder, pruner="hyperband", space=epochs)


@pytest.mark.slow
def test_hyperband_prunes_what_tpe_draws(encoder: str, tmp_path: Path) -> None:
    rates = {"learning_rate": {"type": "float", "low": 1e-9, "high": 1e-2, "log": True}}
    epochs = {"epochs": {"type": "int", "low": 4, "high": 4}}  # of two epochs Hyperband ends none
    bench = Bench(
        tmp_path, encoder, sampler="tpe", pruner="hyperband", trials=8, space={"training": {**rates, **epochs}}
    )
    bench.opened.study.enqueue_trial({"training.learning_rate": 5e-3, "training.epochs": 4})  # hard to beat
    bench.worker().run()
    assert {trial.state for trial in bench.trials()} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert len({json.dumps(trial.params) for trial in bench.trials()}) == 8


@pytest.mark.slow
def test_a_grid_is_searched_once_and_then_the_sweep_ends(encoder: str, tmp_path: Path) -> None:
    grid = {
        "training": {
            "epochs": {"type": "int", "low": 1, "high": 2},
            "learning_rate": {"type": "categorical", "choices": [1e-3, 1e-2]},
        }
    }
    bench = Bench(tmp_path, encoder, sampler="grid", space=grid, trials=50, pruner="none")
    bench.worker().run()
    found = sorted(
        (trial.params["training.epochs"], trial.params["training.learning_rate"]) for trial in bench.trials()
    )
    assert found == [(1, 1e-3), (1, 1e-2), (2, 1e-3), (2, 1e-2)]


def test_the_combinations_of_a_grid_have_one_order_whatever_the_seed(encoder: str, tmp_path: Path) -> None:
    grid = {"training.learning_rate": chosen(*(10.0**-n for n in range(1, 9)))}

    def order(seed: int) -> list[float]:
        bench = Bench(tmp_path / f"{seed}", encoder, sampler="grid", space=grid, seed=seed)
        searched = parse(bench.config.space)
        asked = optuna.create_study(sampler=study.sampler(bench.config, searched, bench.opened))
        asked.optimize(lambda trial: float(draw(trial, searched)["training.learning_rate"]), n_trials=8)
        return [rate for _, rate in sorted((trial.system_attrs["grid_id"], trial.value) for trial in asked.trials)]

    for seed in (1, 2):
        (tmp_path / f"{seed}").mkdir()
    assert order(1) == order(2)


def test_a_study_of_another_sampler_is_no_grid(encoder: str, tmp_path: Path) -> None:
    grid = {"training.learning_rate": chosen(1e-3, 1e-2)}
    Bench(tmp_path, encoder, space=grid)
    with pytest.raises(StanceError, match=r"sweep\.sampler was not there and is now \"grid\""):
        Bench(tmp_path, encoder, space=grid, sampler="grid")


def test_one_trial_that_came_as_far_is_no_median() -> None:
    """Trials of one epoch report nothing of a fourth: it was enough to be behind the only one that did."""
    config = SweepConfig(pruner="median", startup=4)
    found = optuna.create_study(direction="maximize", pruner=study.pruner(config, 4))
    for value, steps in ((0.5, 1), (0.5, 1), (0.5, 1), (0.9, 4)):
        values = dict.fromkeys(range(steps), value)
        found.add_trial(optuna.trial.create_trial(value=value, intermediate_values=values))

    def pruned() -> bool:
        trial = found.ask()
        trial.report(0.6, 3)
        return trial.should_prune()

    assert not pruned()
    for _ in range(2):
        values = dict.fromkeys(range(4), 0.9)
        found.add_trial(optuna.trial.create_trial(value=0.9, intermediate_values=values))
    assert pruned()


def test_the_first_trials_are_not_pruned() -> None:
    config = SweepConfig(pruner="median", startup=5)
    found = optuna.create_study(direction="maximize", pruner=study.pruner(config, 2))

    def pruned() -> bool:
        trial = found.ask()
        trial.report(0.6, 0)
        return trial.should_prune()

    for number in range(5):
        assert not pruned(), f"{number} are complete"
        found.add_trial(optuna.trial.create_trial(value=0.9, intermediate_values={0: 0.9, 1: 0.9}))
    assert pruned()


def test_a_trial_is_given_up_after_three_missed_signs_of_life(tmp_path: Path) -> None:
    storage = study.connect(SweepConfig(storage=f"sqlite:///{tmp_path}/sweeps.db", heartbeat=7))
    assert (storage.get_heartbeat_interval(), storage.grace_period) == (7, 21)


def test_a_database_that_is_locked_for_a_moment_ends_no_sign_of_life(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "LOCK_SECONDS", 0.1)
    bench = Bench(tmp_path, encoder)
    alive = bench.opened.study.ask()
    beat = HeartbeatThread(alive._trial_id, study.connect(bench.config))

    def beats() -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "sweeps.db")) as database:
            return database.execute("SELECT heartbeat FROM trial_heartbeats").fetchall()

    with closing(sqlite3.connect(tmp_path / "sweeps.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        beat.start()
        time.sleep(2.5)  # there is one each second
    said = capsys.readouterr().err
    assert not beats()
    end = time.monotonic() + 20
    while not beats() and time.monotonic() < end:
        time.sleep(0.2)
    beat.join()
    assert beats()
    assert said.count("no sign of life of the trial for now, tried again at the next: ") == 1
    assert "database is locked" in said


def test_what_is_reported_of_the_loss_is_that_of_the_epoch_that_would_be_kept(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, metric="loss", direction="minimize", pruner="none")
    begun = bench.opened.study.ask()
    report = trial._reporter(begun, bench.plan, 0, 2, [], Kept())
    for step, (score, loss) in enumerate([(0.5, 0.8), (0.4, 1.2)]):
        report({"validation_macro_f1": score, "validation_loss": loss}, step)
    assert bench.trials()[begun.number].intermediate_values == {1: 0.8, 2: 0.8}


def test_a_score_of_a_label_that_no_corpus_of_the_validation_split_knows_is_not_searched_for(tmp_path: Path) -> None:
    rows = {name: [replace(e, labels=("oppose", "support")) for e in part if e.stance != "neutral"]
            for name, part in ROWS.items()}  # fmt: skip
    config = SweepConfig(space=RATES, metric="neutral_recall")
    with pytest.raises(StanceError, match=r"^sweep\.metric=neutral_recall: expected one of macro_f1, .*, support_f1"):
        plan(config, Settings(tiny.config(), TrainingConfig()), rows, scratch=tmp_path)


@pytest.mark.parametrize(
    ("key", "lacking"),
    [
        ("training.teacher_weight", "training.teacher"),
        ("training.teacher_questions", "training.teacher"),
        ("training.lora.alpha", r"training\.lora\.rank"),
    ],
)
def test_a_setting_that_has_no_effect_is_not_searched(key: str, lacking: str, tmp_path: Path) -> None:
    space = {key: floats(), "training.learning_rate": floats()}
    with pytest.raises(StanceError, match=rf"sweep\.space\.{key}: has no effect without {lacking}; set that, or take"):
        plan(SweepConfig(space=space), Settings(tiny.config(), TrainingConfig()), ROWS, scratch=tmp_path)


def test_a_setting_to_which_another_of_the_space_gives_an_effect_is_searched(encoder: str, tmp_path: Path) -> None:
    space = {"training.lora.alpha": floats(), "training.lora.rank": {"type": "int", "low": 0, "high": 4}}
    settings = Settings(tiny.config(name=encoder), TrainingConfig())
    assert set(plan(SweepConfig(space=space), settings, ROWS, scratch=tmp_path).space) == set(space)


@pytest.mark.parametrize(
    ("given", "searched", "said"),
    [
        ({"training.lora.alpha": 3.0}, {"model.dropout": floats()}, ["training.lora.alpha=3.0 has no effect"]),
        ({"training.lora.alpha": 3.0}, {"training.lora.rank": chosen(0, 2)}, []),
        ({"training.frozen_layers": 1}, {"training.lora.rank": chosen(0, 2)}, []),
        ({"training.frozen_layers": 1}, {"training.lora.rank": chosen(2)}, ["training.frozen_layers=1 has no effect"]),
        ({"training.lora.alpha": 3.0, "training.lora.rank": 2}, {"training.lora.rank": chosen(0)},
         ["training.lora.alpha=3.0 has no effect"]),
        ({"training.lora.alpha": 3.0}, {"training.lora.alpha": floats(), "training.lora.rank": chosen(0, 2)}, []),
    ],
)  # fmt: skip
def test_a_given_setting_has_an_effect_where_a_trial_may_draw_what_gives_it_one(
    encoder: str, capsys: pytest.CaptureFixture[str], given: dict[str, Any], searched: dict[str, Any], said: list[str]
) -> None:
    settings = space.changed(Settings(tiny.config(name=encoder), TrainingConfig(precision="fp32")), given)
    commands._say_unused(settings, parse(searched))
    assert [line.partition(" without")[0] for line in capsys.readouterr().out.splitlines()] == said


def test_a_poor_trial_is_pruned_and_leaves_nothing(encoder: str, tmp_path: Path) -> None:
    choices = {"training": {"learning_rate": {"type": "categorical", "choices": [5e-3, 1e-9]}}}
    bench = Bench(tmp_path, encoder, space=choices, seeds=[1, 2])
    for rate in (5e-3, 1e-9):
        bench.opened.study.enqueue_trial({"training.learning_rate": rate})
    bench.worker().run()
    good, poor = bench.trials()
    assert (good.state, poor.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert good.params["training.learning_rate"] == 5e-3
    assert poor.user_attrs["reason"].startswith("after epoch 2 of seed 1")
    assert bench.records[1].tags == {"state": "pruned"}
    assert "pruned after epoch 2 of seed 1" in bench.lines[1]
    assert findings.best(bench.opened.study) == good
    assert bench.left() == []


def test_a_training_that_fails_is_marked_with_its_reason_and_the_sweep_goes_on(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, space={"training.learning_rate": chosen(1e30, 3e-3)})
    for rate in (1e30, 3e-3):
        bench.opened.study.enqueue_trial({"training.learning_rate": rate})
    bench.worker().run()
    failed, complete = bench.trials()
    assert (failed.state, complete.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert "loss is nan" in failed.user_attrs["reason"]
    assert bench.records[0].tags == {"state": "failed"}
    assert "failed: " in bench.lines[0]
    assert bench.left() == []


def test_a_full_disk_costs_no_trial(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, encoder, pruner="none", trials=1)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
        for _ in range(3):
            with pytest.raises(StanceError, match=r"the disk has 0\.00 GB"):
                bench.worker().run()
    bench.worker().run()
    assert sum(trial.state == TrialState.COMPLETE for trial in bench.trials()) == bench.plan.config.trials


def test_what_a_searched_beginning_has_learned_is_doubted(encoder: str, tmp_path: Path) -> None:
    settings = Settings(tiny.config(name=encoder), TrainingConfig(precision="fp32", epochs=1))
    about = {"about": {"dataset_sha256": "b" * 64}}
    foreign = finetuning.train(ROWS, settings.model, settings.training, output=tmp_path / "foreign", **about).checkpoint
    config = SweepConfig(space={"training.initial": chosen("", str(foreign))})
    manifest = Manifest("toy", "a" * 64, {}, {}, {}, {}, {})
    found = commands._doubts(plan(config, settings, ROWS, scratch=tmp_path), manifest)
    assert found.keys() == {"foreign_initial"}
    assert f"training.initial={foreign} learned from another dataset" in found["foreign_initial"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory in training step 1 "),
        (RuntimeError("CUDA error: an illegal\ninstruction"), "RuntimeError: CUDA error: an illegal instruction"),
    ],
)
def test_an_error_of_pytorch_in_a_step_fails_the_trial_alone(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError, reason: str
) -> None:
    bench = Bench(tmp_path, encoder)
    step, calls = Trainer.training_step, []

    def faulty(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return step(*given, **named)

    monkeypatch.setattr(Trainer, "training_step", faulty)
    bench.worker().run()
    failed, complete = bench.trials()
    assert (failed.state, complete.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert failed.user_attrs["reason"].startswith(reason)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_store")
def test_runs_in_mlflow_tell_a_poor_trial_and_one_whose_loss_diverges(encoder: str, tmp_path: Path) -> None:
    rates = (1e30, 5e-3, 1e-9)
    choices = {"training": {"learning_rate": {"type": "categorical", "choices": list(rates)}}}
    bench = Bench(tmp_path, encoder, space=choices, seeds=[1, 2], trials=3)
    for rate in rates:
        bench.opened.study.enqueue_trial({"training.learning_rate": rate})
    store = TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"), system_metrics_seconds=0)
    manifest = Manifest("toy", "0" * 64, {}, {}, {}, {}, {})
    child = partial(sweep_runs.child, store, bench.opened, manifest, tmp_path)
    Worker(bench.join(), bench.plan, child, bench.lines.append).run()
    assert [trial.state for trial in bench.trials()] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.PRUNED]
    runs = sorted(recorded(tmp_path, "trial"), key=lambda run: run.data.tags["stance.trial"])
    assert [(run.info.status, run.data.tags["stance.state"]) for run in runs] == [
        ("FAILED", "failed"), ("FINISHED", "complete"), ("FINISHED", "pruned"),
    ]  # fmt: skip
    assert [run.info.run_id for run in runs] == [trial.user_attrs["run"] for trial in bench.trials()]
    assert runs[1].data.metrics["macro_f1"] == bench.trials()[1].value
    assert runs[0].data.tags["stance.error"].startswith("TrialError: training stopped: the loss is nan at step 2 of 4")


def test_a_sweep_stops_when_trials_fail_in_a_row(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, space={"training.learning_rate": chosen(1e30, 1e31)}, trials=50)
    with pytest.raises(StanceError, match=r"3 trials in a row failed \(sweep\.max_failures\), the last with: .* nan"):
        bench.worker(max_failures=3).run()
    assert len(bench.trials()) == 3
    with pytest.raises(StanceError, match=r"no trial is complete; the last one was failed: .* nan"):
        findings.write(bench.opened.study, bench.plan, tmp_path, extra={})


def test_failures_with_successes_between_stop_no_sweep(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_fail(plan: Plan, settings: Settings, *_: Any) -> float:
        if settings.training.learning_rate > 1:
            raise TrialError("training stopped: the loss is nan")  # a real one does: the test before this one
        return settings.training.learning_rate

    monkeypatch.setattr("stance.studies.trial._train", half_fail)
    bench = Bench(tmp_path, encoder, space={"training.learning_rate": chosen(1e30, 3e-3)}, trials=4, pruner="none")
    for rate in (1e30, 3e-3, 1e30, 3e-3):
        bench.opened.study.enqueue_trial({"training.learning_rate": rate})
    bench.worker(max_failures=2).run()
    assert [trial.state for trial in bench.trials()] == [TrialState.FAIL, TrialState.COMPLETE] * 2


def test_a_sweep_for_the_loss_keeps_the_lowest(encoder: str, tmp_path: Path) -> None:
    space = {"training.learning_rate": chosen(1e-9, 5e-3)}
    bench = Bench(tmp_path, encoder, metric="loss", direction="minimize", pruner="none", space=space)
    for rate in (1e-9, 5e-3):
        bench.opened.study.enqueue_trial({"training.learning_rate": rate})
    bench.worker().run()
    poor, good = bench.trials()
    assert (good.value or 0) < (poor.value or 0)
    assert findings.best(bench.opened.study).number == good.number
    assert poor.value in [value for name, value, _ in bench.records[0].metrics if name == "seed_1_validation_loss"]


@pytest.mark.parametrize(("first", "same"), [(True, True), (False, False)])
def test_processes_that_join_later_draw_values_of_their_own(
    encoder: str, tmp_path: Path, first: bool, same: bool
) -> None:
    bench = Bench(tmp_path, encoder)
    opened = replace(bench.opened, first=first)

    def value() -> float:
        sampled = study.sampler(bench.config, parse(bench.config.space), opened)
        again = optuna.create_study(sampler=sampled)
        return again.ask().suggest_float("training.learning_rate", 1e-3, 1e-2, log=True)

    assert (value() == value()) == same


def test_no_trial_is_started_after_the_timeout(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=50)
    bench.worker(timeout=1e-3).run()
    assert len(bench.trials()) <= 1


def test_trainings_of_different_lengths_are_compared_at_their_ends(encoder: str, tmp_path: Path) -> None:
    lengths = {"training": {"epochs": {"type": "int", "low": 1, "high": 3}}}
    bench = Bench(tmp_path, encoder, space=lengths, seeds=[1, 2], pruner="none")
    for epochs in (1, 3):
        bench.opened.study.enqueue_trial({"training.epochs": epochs})
    bench.worker().run()
    short, long = bench.trials()
    assert sorted(short.intermediate_values) == [3, 6]
    assert sorted(long.intermediate_values) == [1, 2, 3, 4, 5, 6]
    assert short.intermediate_values[6] == short.value


def test_a_look_at_a_sweep_trains_nothing_that_waits(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    bench.worker().run()
    bench.opened.study.enqueue_trial({"training.learning_rate": 1e-3})  # as one that was handed back
    bench.worker().run()
    assert [trial.state for trial in bench.trials()] == [TrialState.COMPLETE, TrialState.WAITING]


# What survives


def test_the_last_trial_of_a_grid_is_handed_back_too(encoder: str, tmp_path: Path) -> None:
    choices = {"training": {"learning_rate": {"type": "categorical", "choices": [1e-3]}}}
    bench = Bench(tmp_path, encoder, sampler="grid", space=choices)

    def stopped(self: Kept, metrics: Mapping[str, float], step: int) -> None:
        raise SystemExit(143)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "sink", stopped)
        with pytest.raises(SystemExit):
            bench.worker().run()
    assert [trial.state for trial in bench.trials()] == [TrialState.FAIL, TrialState.WAITING]
    bench.worker().run()
    assert bench.trials()[1].state == TrialState.COMPLETE


def interrupted_in_its_second_seed(bench: Bench) -> None:
    """Ctrl-C after an epoch of a trial's second seed."""
    calm = Kept.sink

    def interrupted(self: Kept, metrics: Mapping[str, float], step: int) -> None:
        calm(self, metrics, step)
        if "seed_2_validation_macro_f1" in metrics:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "sink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.worker().run()


@pytest.mark.slow
def test_an_interrupted_trial_is_tried_again_with_its_values_and_its_finished_seeds(
    encoder: str, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, encoder, seeds=[1, 2], trials=1)
    interrupted_in_its_second_seed(bench)
    first, waiting = bench.trials()
    assert (first.state, waiting.state) == (TrialState.FAIL, TrialState.WAITING)
    assert bench.left() == []
    bench.worker().run()
    first, again = bench.trials()
    assert again.state == TrialState.COMPLETE
    assert again.params == first.params
    assert again.user_attrs["scores"]["1"] == first.user_attrs["scores"]["1"]
    trained = {name for name, _, _ in bench.records[1].metrics if name.endswith("_validation_macro_f1")}
    assert trained == {"seed_2_validation_macro_f1", "best_validation_macro_f1"}  # the first seed was finished
    assert [trial.number for trial in study.counted(bench.trials())] == [1]
    assert "1 of 1 done" in bench.lines[-1]


def warned(record: Kept) -> set[str]:
    """The numbers of a record that stand for alerts."""
    return {name for name, _, _ in record.metrics if "_alert_" in name}


@pytest.mark.slow
def test_a_trial_that_is_tried_again_keeps_what_its_finished_seeds_warned_of(encoder: str, tmp_path: Path) -> None:
    calm, bench = (Bench(tmp_path / name, encoder, seeds=[1, 2], trials=1) for name in ("calm", "cut"))
    for each in (calm, bench):
        each.opened.study.enqueue_trial({"training.learning_rate": 5e-3})
    calm.worker().run()
    interrupted_in_its_second_seed(bench)
    bench.worker().run()
    assert any(text.startswith("seed 1: ") for text in calm.records[0].alerts.values()), "so few examples"
    assert bench.records[1].alerts == calm.records[0].alerts
    assert warned(bench.records[1]) == warned(calm.records[0])


def test_a_seed_that_was_cut_off_after_its_alerts_were_kept_has_them_once(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    number = dead(bench, begun=False)
    trial = Trial(bench.opened.study, bench.trials()[number]._trial_id)
    trial.set_user_attr("alerts", {"1": {"stale": "of a training that was not counted"}})
    study.give_back(bench.opened.study, number)
    bench.worker().run()
    (again,) = study.counted(bench.trials())
    assert "stale" not in {*bench.records[again.number].alerts, *again.user_attrs["alerts"].get("1", {})}


def dead(bench: Bench, *, begun: bool) -> int:
    """A running trial whose process is gone."""
    trial = bench.opened.study.ask()
    space.draw(trial, bench.plan.space)
    if begun:
        trial.set_user_attr("begun", trial.number)
        trial.set_user_attr("scores", {"1": 0.25})
        study.connect(bench.config).record_heartbeat(trial._trial_id)
        leftover = bench.plan.scratch / f".trial-{bench.opened.key[:8]}-{trial.number}"
        leftover.mkdir(parents=True)
    return trial.number


@pytest.mark.slow
@pytest.mark.parametrize("begun", [True, False], ids=["with a heartbeat", "killed before its first heartbeat"])
def test_the_trial_of_a_dead_process_is_tried_again(encoder: str, tmp_path: Path, begun: bool) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    number = dead(bench, begun=begun)
    bench.worker().run()
    trials = bench.trials()
    counted = study.counted(trials)
    assert [trial.state for trial in counted] == [TrialState.COMPLETE]
    assert trials[number].state == TrialState.FAIL
    (again,) = counted
    assert study.retried(again) == [number]
    assert again.params == trials[number].params
    assert f"trial {again.number} ({number} again): " in bench.lines[1]
    assert bench.lines[0] == "0 of 1 done; waiting for 1 of other processes"
    assert bench.left() == []
    if begun:
        assert again.value == 0.25  # its only seed was finished
        assert bench.gone == [number]


@pytest.mark.slow
@pytest.mark.parametrize("begun", [True, False], ids=["with a heartbeat", "killed before its first heartbeat"])
def test_a_trial_that_kills_its_processes_is_given_up(encoder: str, tmp_path: Path, begun: bool) -> None:
    bench = Bench(tmp_path, encoder, trials=1, retries=0)
    dead(bench, begun=begun)
    bench.worker(retries=0).run()
    (trial,) = bench.trials()
    assert trial.state == TrialState.FAIL


@pytest.mark.parametrize("retries", [0, 1])
def test_a_trial_whose_process_ended_before_it_was_queued_again_is_not_lost(
    encoder: str, tmp_path: Path, retries: int
) -> None:
    bench = Bench(tmp_path, encoder, trials=1, retries=retries)
    number = dead(bench, begun=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "_requeue", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))  # a second Ctrl-C
        with pytest.raises(KeyboardInterrupt):
            study.give_back(bench.opened.study, number)
    assert [trial.state for trial in bench.trials()] == [TrialState.FAIL]
    bench.worker(retries=retries).run()
    (again,) = study.counted(bench.trials())
    assert (again.state, study.retried(again)) == (TrialState.COMPLETE, [number])


@pytest.mark.slow
def test_a_trial_that_was_handed_back_keeps_its_retries(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1, retries=1)
    number = dead(bench, begun=True)
    study.give_back(bench.opened.study, number)
    again = bench.opened.study.ask()
    again.set_user_attr("begun", again.number)
    assert study.retried(bench.trials()[again.number]) == [number]
    study.connect(bench.config).record_heartbeat(again._trial_id)  # and now its second process is gone
    bench.worker(retries=1).run()
    assert [trial.state for trial in study.counted(bench.trials())] == [TrialState.COMPLETE]


def test_a_second_trial_for_the_last_free_place_does_not_count(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    other = bench.opened.study.ask()  # another process was faster
    assert bench.worker()._next() is None
    assert [trial.number for trial in study.counted(bench.trials())] == [other.number]
    assert study.tally(bench.opened.study).running == 1


def test_a_combination_of_a_grid_that_came_too_late_is_trained_when_there_is_room(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    searched = {"training.learning_rate": chosen(*rates)}
    bench = Bench(tmp_path, encoder, sampler="grid", pruner="none", trials=1, space=searched)
    monkeypatch.setattr("stance.studies.trial._train", lambda plan, settings, *_: settings.training.learning_rate)
    bench.opened.study.sampler = study.sampler(bench.config, bench.plan.space, bench.opened)
    other = bench.opened.study.ask()  # another process was faster
    first = draw(other, bench.plan.space)["training.learning_rate"]
    assert bench.worker()._next() is None
    bench.opened.study.tell(other, first)
    bench.worker(trials=5).run()
    values = [trial.value for trial in study.counted(bench.trials())]
    assert sorted(values) == rates


@pytest.mark.parametrize("late", ["report", "value"])
def test_a_process_whose_trial_another_one_gave_up_goes_on_with_the_next(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    bench = Bench(tmp_path, encoder, trials=2, retries=0)

    def suspended(trial: Trial, *_: Any, **__: Any) -> float:
        if trial.number == 0:  # it stood still for so long that another process took it for dead
            other = optuna.load_study(study_name=bench.config.name, storage=bench.config.storage)
            other.tell(0, state=TrialState.FAIL)
        if late == "report":
            trial.report(0.5, 1)
        return 0.5

    monkeypatch.setattr("stance.studies.trial.value", suspended)
    bench.worker(retries=0).run()
    assert [trial.state for trial in bench.trials()] == [TrialState.FAIL, TrialState.COMPLETE]


@pytest.mark.slow
def test_a_verdict_holds_though_its_process_was_killed_before_the_study_heard_of_it(
    encoder: str, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, encoder, trials=2, pruner="none")
    for verdict in ("pruned", "failed"):
        number = dead(bench, begun=False)
        ended = Trial(bench.opened.study, bench.trials()[number]._trial_id)
        ended.report(0.2, 1)
        ended.set_user_attr("begun", number)
        sweep._note(ended, verdict, ValueError(f"{verdict} after epoch 1"))
        study.connect(bench.config).record_heartbeat(ended._trial_id)
    bench.worker().run()
    found = {again.state: again.user_attrs["reason"] for again in study.counted(bench.trials())}
    assert found == {TrialState.PRUNED: "pruned after epoch 1", TrialState.FAIL: "failed after epoch 1"}
    assert bench.records == {}, "nothing was trained"


def test_a_trial_that_two_processes_queued_again_counts_once(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    number = dead(bench, begun=True)
    study.give_back(bench.opened.study, number)
    study._requeue(bench.opened.study, bench.trials()[number], None)  # the other did not see the first one's copy yet
    assert [study.retried(trial) for trial in bench.trials()] == [[], [number], [number]]
    bench.worker().run()
    while study.tally(bench.opened.study).waiting:
        assert bench.worker()._next() is None
    assert [trial.state for trial in study.counted(bench.trials())] == [TrialState.COMPLETE]


def test_a_surplus_trial_that_was_killed_before_its_end_is_not_trained_again(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    number = dead(bench, begun=True)
    Trial(bench.opened.study, bench.trials()[number]._trial_id).set_user_attr("surplus", True)
    study.give_back(bench.opened.study, number)
    bench.worker().run()
    assert [trial.state for trial in study.counted(bench.trials())] == [TrialState.COMPLETE]
    assert len(bench.records) == 1, "the copy of the surplus one was not trained"


@pytest.mark.parametrize(
    ("space", "match"),
    [
        (
            {"training": {"epochs": chosen(1, 2)}, "training.epochs": chosen(3, 4)},
            r"sweep\.space\.training\.epochs: stands",
        ),
    ],
)
def test_a_range_that_is_given_twice_is_refused(space: dict[str, Any], match: str) -> None:
    with pytest.raises(StanceError, match=match):
        parse(space)


def test_signs_of_life_come_once_a_day_at_least() -> None:
    with pytest.raises(StanceError, match=r"sweep\.heartbeat=10000000000: expected at most 86,400 seconds, a day"):
        study.check(SweepConfig(heartbeat=10**10))


def test_the_memory_of_a_failed_trial_is_free_when_the_next_one_starts(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, alive = Bench(tmp_path, encoder, trials=2, max_failures=3), []
    step, train = StanceTrainer.training_step, finetuning.train

    def counting(*arguments: Any, **named: Any) -> Any:
        alive.append(sum(isinstance(one, StanceTrainer) for one in gc.get_objects()))
        return train(*arguments, **named)

    def short(self: StanceTrainer, *arguments: Any, **named: Any) -> Any:
        if len(alive) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, *arguments, **named)

    monkeypatch.setattr(finetuning, "train", counting)
    monkeypatch.setattr(StanceTrainer, "training_step", short)
    gc.collect()
    others = sum(isinstance(one, StanceTrainer) for one in gc.get_objects())  # of tests before this one
    gc.disable()  # what happens by chance later is no promise
    try:
        bench.worker().run()
    finally:
        gc.enable()
    assert [trial.state for trial in bench.trials()] == [TrialState.FAIL, TrialState.COMPLETE]
    assert alive == [others, others]


def test_a_trial_that_another_process_took_over_is_dropped(encoder: str, tmp_path: Path) -> None:
    """As after a laptop slept: its heartbeat was missed, and its trial was queued again."""
    bench = Bench(tmp_path, encoder, trials=1)
    calm = Kept.sink

    def asleep(self: Kept, metrics: Mapping[str, float], step: int) -> None:
        calm(self, metrics, step)
        if "seed_1_validation_macro_f1" in metrics and len(bench.trials()) == 1:
            study.give_back(bench.join().study, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "sink", asleep)
        bench.worker().run()
    first, again = bench.trials()
    assert (first.state, again.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert [trial.number for trial in study.counted(bench.trials())] == [1]


def test_checkpoints_that_a_killed_process_left_are_gone_when_the_study_is_whole(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    left, other = (bench.plan.scratch / f".trial-{key}-9" for key in (bench.opened.key[:8], "f" * 8))
    for folder in (left, other):
        (folder / "checkpoint").mkdir(parents=True)
    bench.worker().run()
    assert bench.left() == [other], "of another study"


# Findings


def test_overrides_with_spaces_and_quotes_come_through_xargs(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, trials=1)
    bench.worker().run()
    texts = {"dataset": 'my data/it\'s "new"', "output": "out\\put", "resume": "null"}
    findings.write(bench.opened.study, bench.plan, tmp_path, extra=texts)
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    train = "xargs python scripts/train.py output=outputs/tuned"
    assert findings.command(tmp_path) == f"{train} < {tmp_path}/best.overrides"
    with (tmp_path / "best.overrides").open() as line:
        done = subprocess.run(["xargs", sys.executable, "-c", code], stdin=line, capture_output=True, check=True)
    job = script("train").main.compose(json.loads(done.stdout))
    assert {name: getattr(job, name) for name in texts} == texts


def test_findings_are_a_table_pictures_and_overrides_that_train_takes(encoder: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, encoder, pruner="none")
    bench.worker().run()
    files = findings.write(bench.opened.study, bench.plan, tmp_path / "found", extra={"dataset": "here"})
    pictures = findings.draw(bench.opened.study, bench.config, tmp_path / "found")
    assert {path.name for path in files} == {"best.yaml", "best.overrides", "trials.csv"}
    assert {path.name for path in pictures} == {"history.png", "importance.png", "parallel_coordinates.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    best = bench.opened.study.best_trial
    job = script("train").main.compose((tmp_path / "found" / "best.overrides").read_text().split())
    assert job.training == replace(bench.plan.settings.training, learning_rate=best.params["training.learning_rate"])
    assert job.model == bench.plan.settings.model
    assert job.dataset == "here"
    tree = yaml.safe_load((tmp_path / "found" / "best.yaml").read_text())
    assert tree["training"]["learning_rate"] == best.params["training.learning_rate"]
    assert tree["dataset"] == "here"
    lines = (tmp_path / "found" / "trials.csv").read_text().splitlines()
    assert lines[0].startswith("trial,state,value,training.learning_rate,seed_1,")
    assert len(lines) == 3


def test_trials_that_do_not_count_are_not_told_and_processes_share_what_is_left() -> None:
    found, begun = optuna.create_study(direction="maximize"), datetime.fromisoformat("2026-01-01")
    for seconds, about in ((60, {}), (90, {"surplus": True})):
        ended = begun + timedelta(seconds=seconds)
        found.add_trial(FrozenTrial(0, TrialState.COMPLETE, 0.5, begun, ended, {}, {}, about, {}, {}, 0))
    found.ask()
    told = [(row["trial"], row["state"], row["seconds"]) for row in findings.table(found)]
    assert told == [(0, "complete", 60.0), (2, "running", None)]
    line = findings.line(found, found.trials[0], SweepConfig(trials=5))
    assert line.endswith("; 1 of 5 done, about 0:02:00 left"), "four of a minute, two at a time"


# The script


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and an encoder, both tiny."""
    folder = tmp_path_factory.mktemp("toy")
    rows = {
        "train": tiny.examples(48, seed=1),
        "validation": tiny.examples(24, seed=2),
        "test": tiny.examples(6, seed=3),
    }
    (folder / "dataset" / "data").mkdir(parents=True)
    for name, part in rows.items():
        coded = [{**example.to_json(), "stance": LABELS.index(example.stance)} for example in part]
        table = pa.Table.from_pylist(coded, dataset.FEATURES.arrow_schema)
        pq.write_table(table, folder / "dataset" / "data" / f"{name}.parquet")
    empty: dict[str, Any] = {name: {} for name in rows}
    counts = {name: len(part) for name, part in rows.items()}
    manifest = Manifest("toy", dataset.fingerprint(rows), counts, counts, empty, empty, {})
    jsonl.write_json(folder / "dataset" / "manifest.json", asdict(manifest))
    tiny.folder("bert", folder / "encoder")
    return folder


def overrides(toy: Path, folder: Path, *more: str) -> list[str]:
    """A sweep of seconds in `folder`."""
    return [
        "sweep=smoke",
        f"model.name={toy}/encoder",
        "model.max_passage_tokens=64",
        f"dataset={toy}/dataset",
        f"output={folder}/found",
        f"sweep.storage=sqlite:///{folder}/sweeps.db",
        "sweep.pruner=none",
        "training.precision=fp32",
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
        f"tracking.artifacts={folder}/artifacts",
        "tracking.system_metrics_seconds=0",
        *more,
    ]


def recorded(folder: Path, stage: str) -> list[Recorded]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("stance")
    return list(client.search_runs([experiment.experiment_id], f"tags.`stance.stage` = '{stage}'"))


@pytest.mark.usefixtures("fresh_store")
@pytest.mark.filterwarnings("error:.*xperimental")
def test_the_script_keeps_a_run_a_study_and_a_child_a_trial_and_goes_on_with_both(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("sweep").main(overrides(toy, tmp_path, "sweep.trials=1"))
    value = script("sweep").main(overrides(toy, tmp_path, "sweep.trials=3", "sweep.seeds=[1]"))
    (parent,) = recorded(tmp_path, "sweep")
    children = recorded(tmp_path, "trial")
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert parent.data.metrics["best_macro_f1"] == value == max(run.data.metrics["macro_f1"] for run in children)
    assert sorted(run.data.tags["stance.trial"] for run in children) == ["0", "1", "2"]
    for run in children:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["stance.state"] == "complete"
        assert run.data.metrics["seed_1_macro_f1"] == run.data.metrics["macro_f1"]
        assert run.data.metrics["best_validation_macro_f1"] == run.data.metrics["macro_f1"]
        assert 5e-5 <= float(run.data.params["training.learning_rate"]) <= 3e-4
        settled = {name: run.data.tags[f"stance.{name}"] for name in ("precision", "layout")}
        assert settled == {"precision": "fp32", "layout": "one_pass"}
        assert run.data.tags["stance.alert_never_predicted"].startswith("seed 1: the model never predicts ")
        assert run.data.metrics["seed_1_alert_never_predicted"] == 1
        assert run.data.tags["stance.dataset_sha256"] == parent.data.tags["stance.dataset_sha256"]
        assert run.inputs.dataset_inputs == parent.inputs.dataset_inputs
    assert not [run.info.run_id for run in (parent, *children) if "training.seed" in run.data.params]
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    kept = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert kept >= {"best.yaml", "best.overrides", "trials.csv", "history.png", "importance.png",
                    "parallel_coordinates.png", "config.yaml"}  # fmt: skip
    assert {path.name for path in (tmp_path / "found" / "smoke").iterdir()} == kept - {
        "config.yaml",
        "environment.json",
    }
    assert f"dataset={toy}/dataset" in (tmp_path / "found" / "smoke" / "best.overrides").read_text().split()
    printed = capsys.readouterr().out
    assert printed.count("\ntrial ") == 3
    assert f"python scripts/train.py output=outputs/tuned $(cat {tmp_path}/found/smoke/best.overrides)" in printed


def test_the_record_of_a_trial_has_the_rate_that_is_left_to_the_encoder(toy: Path) -> None:
    drawn = Settings(ModelConfig(name=f"{toy}/encoder"), TrainingConfig())
    assert as_trained(drawn).training.learning_rate == 2e-4
    unknown = replace(drawn, model=ModelConfig(name=f"{toy}/no/encoder"))
    assert as_trained(unknown) == unknown, "the trial tells of it"


def test_settings_that_make_no_sweep_are_refused_before_there_is_a_database(toy: Path, tmp_path: Path) -> None:
    settings = overrides(toy, tmp_path)
    with pytest.raises(StanceError, match=r"sweep\.space\.training\.wramup: there is no setting"):
        script("sweep").main([*settings, "+sweep.space.training.wramup={type:float,low:0.0,high:0.1}"])
    with pytest.raises(StanceError, match=r"is not in struct; to add it write \+sweep\.space\.training\.warmup"):
        script("sweep").main([*settings, "sweep.space.training.warmup={type:float,low:0.0,high:0.1}"])
    with pytest.raises(StanceError, match=r"^sweep\.metric=bleu: expected one of macro_f1, "):
        script("sweep").main([*settings, "sweep.metric=bleu"])
    assert not (tmp_path / "sweeps.db").exists()


@pytest.mark.slow
def test_a_sweep_survives_sigkill_and_is_shared_by_two_processes(toy: Path, tmp_path: Path) -> None:
    more = (
        "sweep.trials=8",  # so many that the slower of the two to start gets a share
        "sweep.heartbeat=8",  # three missed ones tell a killed process, never one that waits for a busy machine
        "sweep.space.training.epochs={low:10,high:12}",
        "training.early_stopping=0",
    )
    command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), *overrides(toy, tmp_path, *more)]

    def start(name: str) -> subprocess.Popen[bytes]:
        out = (tmp_path / f"{name}.log").open("wb")
        return subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT)

    first = start("first")
    try:
        before = running_trial(f"sqlite:///{tmp_path}/sweeps.db", first)
        first.send_signal(signal.SIGKILL)
        assert first.wait(60) == -signal.SIGKILL
        others = [start("second"), start("third")]
        try:
            assert [other.wait(500) for other in others] == [0, 0]
        finally:
            for other in others:
                other.kill()
                other.wait()
    finally:
        first.kill()
        first.wait()
    trials = optuna.load_study(storage=f"sqlite:///{tmp_path}/sweeps.db", study_name="smoke").get_trials()
    assert [trial.state for trial in study.counted(trials)] == [TrialState.COMPLETE] * 8
    trials = [trial for trial in trials if "surplus" not in trial.user_attrs]  # both may take the last free place
    (killed,) = [trial for trial in trials if trial.state == TrialState.FAIL]
    for old in before:
        if old.state == TrialState.COMPLETE:
            assert old in trials
    (again,) = [trial for trial in trials if study.retried(trial) == [killed.number]]
    assert again.params == killed.params
    (parent,) = recorded(tmp_path, "sweep")
    children = recorded(tmp_path, "trial")
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    ended = {int(run.data.tags["stance.trial"]): run.info.status for run in children}
    assert ended == {trial.number: "KILLED" if trial == killed else "FINISHED" for trial in trials}
    logs = [(tmp_path / f"{name}.log").read_text("utf-8") for name in ("second", "third")]
    assert all(log.count("\ntrial ") >= 1 for log in logs), logs  # both had a share
    assert not list((tmp_path / "found" / "smoke").glob(".trial-*"))


def running_trial(storage: str, process: subprocess.Popen[bytes]) -> list[FrozenTrial]:
    """The trials at the moment when one is finished and another one is in training."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.2)
        try:
            trials = optuna.load_study(storage=storage, study_name="smoke").get_trials()
        except Exception:  # noqa: S112  the tables are not there yet
            continue
        states = [
            trial.state for trial in trials if trial.state.is_finished() or len(trial.intermediate_values) in (1, 2, 3)
        ]
        if TrialState.COMPLETE in states and TrialState.RUNNING in states:
            return trials
    raise AssertionError("no trial was begun after another one had finished")
