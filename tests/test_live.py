"""What a person sees while a model trains: a bar on a terminal, lines in a pipe, curves in MLflow."""

import fcntl
import os
import re
import sqlite3
import struct
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

import tiny
from stance import tracking
from stance.errors import StanceError
from stance.records import LABELS
from stance.settings.tracking import TrackingConfig
from stance.settings.training import TrainingConfig
from stance.tracking.runs import Run
from stance.training import checkpoints, finetuning
from stance.training.callbacks import LiveView, Pace
from stance.training.finetuning import Result
from tiny import one_thread  # noqa: F401

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}


def recipe(**changes: Any) -> TrainingConfig:
    values = {"epochs": 3, "learning_rate": 3e-3, "tokens_per_batch": 128, "precision": "fp32", **changes}
    return TrainingConfig(**values)


def train(encoder: str, output: Path, **changes: Any) -> Result:
    return finetuning.train(SPLITS, tiny.config(name=encoder), recipe(**changes), output=output, about={})


LINE = re.compile(
    r"train +(\d+)%: step (\d+)/(\d+)(?:, loss (\d\.\d{3}))?(?:, validation macro-F1 (\d\.\d{3}) \(best (\d\.\d{3})\))?"
    r", ([\d,]+) pairs/s, \d\d:\d\d left"
)
EPOCH = re.compile(
    r"epoch (\d+): validation loss \d\.\d{3}, macro-F1 \d\.\d{3} "
    r"\(oppose \d\.\d\d, neutral \d\.\d\d, support \d\.\d\d\)"
)


def test_a_pipe_gets_a_line_every_tenth_and_no_carriage_return(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(encoder, tmp_path / "checkpoint", epochs=10, early_stopping=0)
    err = capsys.readouterr().err
    ours = [line for line in err.splitlines() if line.startswith(("train", "epoch"))]
    assert "\r" not in "".join(ours)
    lines = [found for line in ours if (found := LINE.fullmatch(line))]
    assert len(ours) - len(lines) == sum(bool(EPOCH.fullmatch(line)) for line in ours) == 10
    assert [int(line[1]) for line in lines] == list(range(10, 101, 10))
    assert (lines[-1][2], lines[-1][3]) == ("70", "70")
    assert all(line[4] for line in lines), "the loss is there from the first step on"
    assert all(int(line[7].replace(",", "")) > 0 for line in lines)
    scores = [entry["eval_macro_f1"] for entry in result.history if "eval_macro_f1" in entry]
    # The last line comes before the last epoch is validated.
    assert [float(lines[-1][5]), float(lines[-1][6])] == pytest.approx([scores[-2], max(scores[:-1])], abs=6e-4)


def test_a_pipe_gets_a_line_in_between_when_a_tenth_takes_long(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), recipe(epochs=10), work=tmp_path / "work")
    trainer.view.SECONDS = 0.0  # every hundredth of the run then
    trainer.train()
    lines = [line for line in capsys.readouterr().err.splitlines() if LINE.fullmatch(line)]
    assert len(lines) > 30


class Slow(TrainerCallback):  # type: ignore[misc]
    """Takes its time after every step or every validation."""

    def __init__(self, *, step: float = 0.0, validation: float = 0.0) -> None:
        self.step, self.validation = step, validation

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step has ended."""
        time.sleep(self.step)

    def on_evaluate(self, *_: Any, **__: Any) -> None:
        """A validation has ended."""
        time.sleep(self.validation)


class Terminal:
    """A pseudo-terminal as stderr, and all that is written to it."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        self.stream = os.fdopen(slave, "w", buffering=1, encoding="utf-8")
        self.chunks: list[bytes] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self.master, 65536):
                self.chunks.append(chunk)
        except OSError:  # the other end is closed
            return

    def text(self) -> str:
        """All of it, once nothing more is written."""
        self.stream.close()
        self.reader.join(10)
        os.close(self.master)
        return b"".join(self.chunks).decode("utf-8")


def test_the_line_of_an_epoch_names_the_labels_that_have_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = {"epoch": 1.0, "eval_loss": 0.5, "eval_macro_f1": 0.75, "eval_oppose_f1": 0.7, "eval_support_f1": 0.8}
    view = LiveView(Pace(lambda: 0))
    view.on_log(TrainingArguments(str(tmp_path), report_to="none"), TrainerState(), TrainerControl(), logs=logs)
    assert capsys.readouterr().err == "epoch 1: validation loss 0.500, macro-F1 0.750 (oppose 0.70, support 0.80)\n"


def test_a_terminal_gets_a_bar_with_loss_score_speed_and_time_left(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    trainer, _ = finetuning.assemble(
        SPLITS, tiny.config(name=encoder), recipe(epochs=6, early_stopping=0), work=tmp_path / "work"
    )
    trainer.add_callback(Slow(step=0.05))  # the bar is redrawn twice a second at most
    trainer.train()
    monkeypatch.undo()
    frames = re.split(r"[\r\n]+", terminal.text())
    bars = [frame for frame in frames if frame.strip().startswith("train ")]
    assert len(bars) > 2
    assert any(
        re.search(
            r"train +\d+%\|.*\| \d+/42 steps \d\d:\d\d, loss \d\.\d{3}, validation macro-F1 \d\.\d{3} \(best "
            r"\d\.\d{3}\), [\d,]+ pairs/s, \d\d:\d\d left",
            bar,
        )
        for bar in bars
    ), bars
    assert [int(found[1]) for frame in frames if (found := EPOCH.search(frame))] == [1, 2, 3, 4, 5, 6]


def test_the_time_left_is_that_of_the_steps_and_validations_to_come(encoder: str, tmp_path: Path) -> None:
    trainer, _ = finetuning.assemble(
        SPLITS, tiny.config(name=encoder), recipe(epochs=4, early_stopping=0), work=tmp_path / "work"
    )
    trainer.add_callback(Slow(step=0.02))
    trainer.train()
    view, state = trainer.view, trainer.state
    view.validating = 7.0
    assert view._left(state) == 0
    state.global_step = state.max_steps // 2
    assert view._left(state) == pytest.approx(state.max_steps / 2 * view.pace.seconds_per_step() + 2 * 7)
    assert view.pace.seconds_per_step() > 0.02


def test_an_error_on_a_terminal_has_a_line_of_its_own(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    with pytest.raises(StanceError):
        train(encoder, tmp_path / "checkpoint", learning_rate=1e30)
    print("error: what the script says", file=sys.stderr)
    monkeypatch.undo()
    assert terminal.text().splitlines()[-1] == "error: what the script says"


@pytest.mark.slow
def test_the_pace_is_that_of_training_alone(encoder: str, tmp_path: Path) -> None:
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), recipe(), work=tmp_path / "work")
    (pace,) = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, Pace)]
    trainer.add_callback(Slow(validation=0.5))
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    assert len(pace.window) == 21
    assert sum(pairs for _, pairs in pace.window) == trainer.pairs_seen == 3 * 48
    assert sum(s for s, _ in pace.window) < seconds - 1.5
    assert pace.pairs_per_second() == pytest.approx(trainer.pairs_seen / (21 * pace.seconds_per_step()))
    assert trainer.pace.seconds == pytest.approx(sum(s for s, _ in pace.window), rel=0.1)


@pytest.mark.slow
def test_saving_is_no_training(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = recipe(save_steps=3)
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), settings, work=tmp_path / "work")
    (pace,) = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, Pace)]
    save = trainer._save_checkpoint

    def onto_a_slow_disk(*arguments: Any, **named: Any) -> None:
        time.sleep(0.5)
        save(*arguments, **named)

    monkeypatch.setattr(trainer, "_save_checkpoint", onto_a_slow_disk)
    start = time.perf_counter()
    trainer.train()
    whole = time.perf_counter() - start
    assert max(s for s, _ in pace.window) < 0.5
    assert trainer.pace.seconds < whole - 7 * 0.5


@pytest.mark.slow
def test_sealing_a_checkpoint_is_no_training(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), recipe(save_steps=3), work=tmp_path / "work")
    seal = checkpoints._seal

    def slowly(folder: Path) -> None:
        time.sleep(0.5)
        seal(folder)

    monkeypatch.setattr(checkpoints, "_seal", slowly)
    trainer.train()
    assert max(s for s, _ in trainer.pace.window) < 0.5


# MLflow


def peek(database: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each metric, read as another program would, over a connection of its own."""
    found: dict[str, list[tuple[int, float]]] = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for key, step, value in connection.execute("SELECT key, step, value FROM metrics ORDER BY step"):
            found.setdefault(key, []).append((step, value))
    return found


class Peeks:
    """A listener that hands on what it hears, and after each epoch has another thread look into the store."""

    def __init__(self, active: Run, database: Path) -> None:
        self.active, self.database = active, database
        self.seen: list[dict[str, list[tuple[int, float]]]] = []
        self.pictures: list[bytes] = []
        self.tags: list[dict[str, str]] = []

    def alert(self, name: str, text: str) -> None:
        """Hand on."""
        self.active.alert(name, text)

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        """Hand on, then look."""
        self.active.epoch(history)
        other = threading.Thread(target=self._look)
        other.start()
        other.join(60)

    def _look(self) -> None:
        client = MlflowClient(tracking_uri=f"sqlite:///{self.database}")
        run = client.get_run(self.active.id)
        assert run.info.status == "RUNNING"
        self.seen.append(peek(self.database))
        self.tags.append(dict(run.data.tags))
        folder = run.info.artifact_uri.removeprefix("file://")
        self.pictures.append((Path(folder) / "learning_curves.png").read_bytes())


@pytest.mark.usefixtures("fresh_store")
def test_curves_and_alerts_are_in_mlflow_while_the_run_lasts(encoder: str, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    config = TrackingConfig(
        uri=f"sqlite:///{database}", artifacts=str(tmp_path / "artifacts"), system_metrics_seconds=0
    )
    values = recipe(learning_rate=1e-12, epochs=3, early_stopping=0)
    with tracking.run(config, stage="train", settings={}) as active:
        peeks = Peeks(active, database)
        finetuning.train(
            SPLITS, tiny.config(name=encoder), values,
            output=tmp_path / "checkpoint", about={}, sink=active.sink, listener=peeks,
        )  # fmt: skip
    wanted = {"train_loss", "train_learning_rate", "train_grad_norm", "train_pairs_per_second", "train_epoch"}
    wanted |= {"validation_loss", "validation_macro_f1", *(f"validation_{label}_f1" for label in LABELS)}
    for number, seen in enumerate(peeks.seen, 1):
        assert wanted <= set(seen)
        assert [step for step, _ in seen["validation_macro_f1"]] == [7 * n for n in range(1, number + 1)]
        assert [step for step, _ in seen["train_loss"]] == [step for step in (1, 10, 20) if step <= 7 * number]
    assert len(peeks.seen) == 3
    assert all(picture.startswith(b"\x89PNG") for picture in peeks.pictures)
    assert len(set(peeks.pictures)) == 3, "each epoch draws a new one"
    assert ["stance.alert_never_predicted" in tags for tags in peeks.tags] == [False, True, True]
    assert "alert_never_predicted" in peeks.seen[-1]
    tags = MlflowClient(tracking_uri=config.uri).get_run(active.id).data.tags
    assert tags["stance.alert_guessing"].startswith("the model is no better than a guess")


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_store")
def test_a_locked_database_does_not_end_a_training(
    encoder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "mlflow.db"
    config = TrackingConfig(
        uri=f"sqlite:///{database}?timeout=0.2", artifacts=str(tmp_path / "artifacts"), system_metrics_seconds=0
    )
    with tracking.run(config, stage="train", settings={}) as active:
        with closing(sqlite3.connect(database)) as other:
            other.execute("BEGIN EXCLUSIVE")
            active.sink({"x": 1.0}, 1)
            active.alert("toy", "text")
            active.epoch([{"loss": 1.0, "epoch": 0.5}, {"eval_loss": 1.0, "eval_macro_f1": 0.5, "epoch": 1.0}])
            other.rollback()
        assert "MLflow takes nothing for now" in caplog.text
    assert peek(database)["x"] == [(1, 1.0)], "what was held back comes later"
