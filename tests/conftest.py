"""What many tests share: the scripts as modules, and one small real dataset, checkpoint and artifact a session."""

import gc
import importlib.util
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from filelock import FileLock
from sqlalchemy import Engine, event

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "data" / "corpus"

# What an example may take depends on what else the machine does; how slow code may be is told by tests of its own.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@event.listens_for(Engine, "connect")
def wait_for_no_disk(connection: Any, _: Any) -> None:
    """Neither MLflow nor Optuna waits until SQLite's rows are on the disk: no test cuts the power."""
    if isinstance(connection, sqlite3.Connection):
        ((milliseconds,),) = connection.execute("PRAGMA busy_timeout")
        connection.execute("PRAGMA busy_timeout=0")
        with suppress(sqlite3.Error):  # it is locked or no database, which is for the test to find
            connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA busy_timeout={milliseconds}")


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collection: accelerate collects at each training, half a second each."""
    gc.collect()
    gc.freeze()


def script(name: str) -> Any:
    """The module of `scripts/NAME.py`, loaded by its path since `scripts/` is no package."""
    key = f"stance_script_{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, ROOT / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
    return sys.modules[key]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny BERT, for reading."""
    import tiny  # and with it torch, which few tests need

    return str(tiny.folder("bert", tmp_path_factory.mktemp("encoder")))


@dataclass(frozen=True)
class Workplace:
    """A folder in which the pipeline ran on a sample of the corpus, with its own MLflow store."""

    root: Path

    @property
    def dataset(self) -> Path:
        return self.root / "dataset"

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def artifact(self) -> Path:
        return self.root / "artifact"

    @property
    def tracking(self) -> list[str]:
        """Overrides that point a script at this workplace's MLflow store."""
        return [
            f"tracking.uri=sqlite:///{self.root}/mlruns/mlflow.db",
            f"tracking.artifacts={self.root}/mlruns/artifacts",
            "tracking.system_metrics_seconds=0.5",
        ]

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root}/mlruns/mlflow.db"


@pytest.fixture
def process() -> Iterator[None]:
    """For tests that call `cli()`: the process gets its own handler and environment back."""
    handler, environment = signal.getsignal(signal.SIGTERM), dict(os.environ)
    yield
    signal.signal(signal.SIGTERM, handler)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """No connection can be opened; what this thread tries is in the list, since a library may swallow the error."""
    here, tried = threading.get_ident(), list[object]()

    def refuse(*place: object, **_: object) -> None:
        if threading.get_ident() == here:  # what threads of earlier tests still try is not meant
            tried.append(place)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database in which nothing is kept, for copying: MLflow takes seconds to make one."""
    own = tmp_path_factory.getbasetemp()
    kept = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "empty.db"
    with FileLock(f"{kept}.lock"):  # not the pipeline's, which takes far longer
        if not kept.exists():
            shutil.copy(_made_store(tmp_path_factory.mktemp("store")), kept)
    return kept


@pytest.fixture
def fresh_store(empty_store: Path, tmp_path: Path) -> None:
    """The test's folder has an MLflow database in which nothing is kept."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")


@pytest.fixture(scope="session")
def built(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A dataset of 14 articles, built by the script."""
    place = Workplace(tmp_path_factory.mktemp("place"))
    (place.root / "mlruns").mkdir()
    shutil.copy(empty_store, place.root / "mlruns" / "mlflow.db")
    if "PYTEST_XDIST_WORKER" in os.environ:
        _shared(place, tmp_path_factory.getbasetemp().parent / "pipeline")
    else:
        _build(place)
    return place


@pytest.fixture(scope="session")
def trained(built: Workplace) -> Workplace:
    """Its checkpoint, after two epochs with the real encoder."""
    if not built.checkpoint.exists():
        _train(built)
    return built


@pytest.fixture(scope="session")
def exported(trained: Workplace) -> Workplace:
    """Its artifact, registered in the workplace's MLflow store."""
    if not trained.artifact.exists():
        _export(trained)
    return trained


def _made_store(folder: Path) -> Path:
    """A database that the program makes itself; MLflow is pointed at the store of before again."""
    import mlflow

    from stance import tracking
    from stance.settings.tracking import TrackingConfig

    before = mlflow.get_tracking_uri()
    path = folder / "mlflow.db"
    there = {"uri": f"sqlite:///{path}", "artifacts": f"{folder}/artifacts", "system_metrics_seconds": 0}
    tracking.connect(TrackingConfig(**there, experiment="Default"))  # which MLflow makes anyway
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)
    return path


def _shared(place: Workplace, kept: Path) -> None:
    """The whole pipeline, which takes half a minute: the first test process runs it, the others copy what it made."""
    with FileLock(f"{kept}.lock"):
        if not kept.is_dir():
            for step in (_build, _train, _export):
                step(place)
            shutil.copytree(place.root, kept)
            (kept / "made_in").write_text(str(place.root))
            return
    shutil.copytree(kept, place.root, dirs_exist_ok=True)
    database = place.root / "mlruns" / "mlflow.db"
    with closing(sqlite3.connect(database)) as copied:
        moved = "\n".join(copied.iterdump()).replace((kept / "made_in").read_text(), str(place.root))
    database.unlink()
    with closing(sqlite3.connect(database)) as own:
        own.executescript(moved)


def _build(place: Workplace) -> None:
    script("build_dataset").main(
        [
            f"corpora.stance_news.path={CORPUS}",
            "corpora.stance_news.limit=14",
            "corpora.stance_news.splits=none",
            f"output={place.dataset}",
            *place.tracking,
        ]
    )


def _train(place: Workplace) -> None:
    script("train").main(
        [
            f"dataset={place.dataset}",
            f"output={place.checkpoint}",
            "training.epochs=2",
            "training.tokens_per_batch=1024",
            *place.tracking,
        ]
    )


def _export(place: Workplace) -> None:
    script("export").main(
        [
            f"dataset={place.dataset}",
            f"checkpoint={place.checkpoint}",
            f"output={place.artifact}",
            "export.max_label_changes=0.2",
            *place.tracking,
        ]
    )
