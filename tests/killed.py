"""Trainings in processes of their own that SIGKILL ends at a chosen moment."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

import tiny
from conftest import script
from stance.records import Example
from stance.settings.training import ModelConfig, TrainingConfig
from stance.tracking.runs import Run
from stance.training import checkpoints, finetuning, resume
from stance.training.finetuning import Result
from stance.training.watch import Listener

SPLITS = {"train": tiny.examples(64, seed=1), "validation": tiny.examples(24, seed=2)}
RECIPE = {"epochs": 3, "learning_rate": 3e-3, "tokens_per_batch": 128, "precision": "fp32", "early_stopping": 0}
SERVER = multiprocessing.get_context("forkserver")  # imports torch once, then forks before any thread runs
SERVER.set_forkserver_preload(["stance.training", "stance.tracking", "stance.commands.train", "stance.config"])


def job(encoder: str, **changes: Any) -> tuple[ModelConfig, TrainingConfig]:
    """A tiny model with dropout everywhere and its recipe; `changes` are of the recipe."""
    model = tiny.config(name=encoder, dropout=0.1, encoder_dropout=0.1)
    return model, TrainingConfig(**{**RECIPE, **changes})  # type: ignore[arg-type]


def train(
    encoder: str,
    output: Path,
    *,
    resume: str = "never",
    sink: Callable[[Mapping[str, float], int], None] = lambda metrics, step: None,
    splits: Mapping[str, list[Example]] = SPLITS,
    listener: Listener | None = None,
    **changes: Any,
) -> Result:
    """Train in this process."""
    model, config = job(encoder, **changes)
    about = {"train_run": "toy"}
    return finetuning.train(
        splits, model, config, output=output, about=about, sink=sink, listener=listener, resume=resume
    )


def killed(moment: str, count: int, encoder: str, output: Path, **changes: Any) -> None:
    """Train in a process that dies when it gets to `moment` (see `MOMENTS`) for the `count`-th time."""
    run(_train, moment, count, encoder, output, changes)


def script_killed(moment: str, count: int, overrides: list[str], *, flush: bool) -> None:
    """The same with scripts/train.py; its metrics reach the database at once with `flush`, else never."""
    run(_script, moment, count, overrides, flush)


def run(work: Callable[..., None], *arguments: Any) -> None:
    """Do `work` in another process and see it die."""
    process = SERVER.Process(target=work, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, f"the process ended with {process.exitcode}"


def _train(moment: str, count: int, encoder: str, output: Path, changes: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    MOMENTS[moment](count)
    train(encoder, output, **changes)


def _script(moment: str, count: int, overrides: list[str], flush: bool) -> None:
    torch.set_num_threads(1)
    MOMENTS[moment](count)
    if flush:
        _after(Run, "sink", lambda active, *_: active.flush())
    else:
        Run.flush = lambda active: None  # type: ignore[method-assign]
    script("train").main(overrides)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(place: Any, name: str, then: Callable[..., None]) -> None:
    """Do `then` after each call of a function."""
    function = getattr(place, name)

    def both(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        then(*arguments)
        return result

    setattr(place, name, both)


def _before(place: Any, name: str, count: int, then: Callable[..., None] = lambda *_: None) -> None:
    """Die instead of the `count`-th call of a function, after `then`."""
    function, calls = getattr(place, name), 0

    def doomed(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            then(*arguments)
            _die()
        return function(*arguments, **options)

    setattr(place, name, doomed)


def _halve(folder: Path, *_: Any) -> None:
    next(path for path in sorted(folder.iterdir()) if path.name.endswith(".safetensors")).unlink()


def _on_whole(count: int) -> None:
    write, calls = checkpoints.jsonl.write_json, 0

    def doomed(path: Path, value: Mapping[str, Any]) -> None:
        nonlocal calls
        calls += path.name == checkpoints.WHOLE
        if calls == count:
            _die()
        write(path, value)

    checkpoints.jsonl.write_json = doomed  # type: ignore[assignment]


MOMENTS: dict[str, Callable[[int], None]] = {
    "assembly": lambda count: _before(finetuning, "assemble", count),
    "step": lambda count: _before(Trainer, "training_step", count),
    "evaluation": lambda count: _before(Trainer, "prediction_step", count),
    "checkpoint half written": lambda count: _before(Trainer, "_save_optimizer_and_scheduler", count),
    "checkpoint all but whole": _on_whole,
    "old checkpoint half removed": lambda count: _before(checkpoints.shutil, "rmtree", count, _halve),
    "best checkpoint read": lambda count: _before(Trainer, "_load_best_model", count),
    "output half written": lambda count: _before(finetuning, "save", count, lambda _, folder: (folder / "x").touch()),
    "output written": lambda count: _before(finetuning, "remove_leftovers", count),
    "work folder half removed": lambda count: _before(
        resume, "_clear", count, lambda work: (work / "job.json").unlink()
    ),
}
