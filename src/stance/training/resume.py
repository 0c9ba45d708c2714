"""Going on after an interruption: the work folder of a training, who holds it, and what it is for.

The folder is `OUTPUT.partial`. Its `job.json` says what is trained and in which MLflow run, `run` names the one of a
process that has yet to begin. The checkpoints in it are `stance.training.checkpoints`' matter.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from stance import jsonl, launch
from stance.errors import StanceError
from stance.files import check_outside, check_replaceable, resolved, sha256, write_text
from stance.network import model as models
from stance.network.precision import choose_precision
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import distributed
from stance.training.balance import power
from stance.training.checkpoints import newest, prune, step_of
from stance.training.multirun import JOB, WORK
from stance.training.recipe import teachers

LOCK, RUN = "training.lock", "run"
WEIGHTS, BESIDE = "model.safetensors", ("config.json", "tokenizer.json")
FREE = ("training.save_steps", "training.disk_budget_gb", "training.teacher_cache")
"""Settings that change no weight: a resume may change them."""


@dataclass(frozen=True, slots=True)
class Before:
    """What an interrupted training left: the MLflow run that it was in and its newest whole checkpoint.

    `given_up` is the run that nobody goes on with.
    """

    run: str = ""
    checkpoint: Path | None = None
    given_up: str = ""


@contextmanager
def hold_work(output: Path, *, name: str = WORK) -> Iterator[Path]:
    """The work folder `OUTPUT.NAME`, for this process alone; removed when the outermost block ends well.

    Blocks may nest. The lock ends with the process, however that ends. Of several processes of one training the
    first holds it for all.

    Raises:
        StanceError: another process writes `output`, or the folder is something else.
    """
    work = _beside(output, name)
    if launch.rank():
        yield work
        return
    check_replaceable(work, marker=LOCK)
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / LOCK, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise StanceError(
            f"{work / LOCK}: another process writes {output} at this moment; wait for it or choose another output"
        ) from error
    try:
        yield work
    except BaseException:
        if lock.lock_counter == 1 and {path.name for path in work.iterdir()} <= {LOCK, RUN}:
            shutil.rmtree(work)
        raise
    else:
        if lock.lock_counter == 1:
            _clear(work)
            shutil.rmtree(work)
    finally:
        lock.release()


def with_precision(
    model: ModelConfig, config: TrainingConfig, dataset_sha256: str, output: Path, resume: str
) -> TrainingConfig:
    """The recipe with the precision that `auto` comes to: that of the training that is gone on with, or of this very
    one that has ended, else as measured.

    A measurement has noise, so the first process measures for all of them.
    """
    work = _beside(output)
    if config.precision != "auto":
        return config

    def chosen() -> str:
        if resume == "auto":
            with suppress(OSError, ValueError, KeyError, TypeError, StanceError):  # `find_interrupted` tells of it
                if (left := work / JOB).exists():
                    return choose_precision(json.loads(left.read_text("utf-8"))["job"]["training"]["precision"])
                about = models.about(output)
                before = choose_precision(about["training"]["precision"])
                if about["job"] == job_digest(model, replace(config, precision=before), dataset_sha256):
                    return before
        return choose_precision("auto")

    return replace(config, precision=distributed.on_first(chosen) if launch.processes() > 1 else chosen())


def describe_job(model: ModelConfig, config: TrainingConfig, dataset_sha256: str) -> dict[str, Any]:
    """All that decides the weights; a resume must not change it."""
    precision = choose_precision("auto") if config.precision == "auto" else config.precision
    return weighing([config.class_weights]) | {
        "dataset": dataset_sha256,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "model": asdict(model),
        "processes": launch.processes(),
        "training": asdict(replace(config, precision=precision)),
        "weights": weight_digests(model, config),
    }


def weighing(settings: Iterable[str]) -> dict[str, str]:
    """What tells a training with one of these class weights from those of a version that took them over the mixture."""
    return {"class weights of this version": "within a corpus"} if any(map(power, settings)) else {}


def weight_digests(model: ModelConfig, config: TrainingConfig) -> dict[str, str]:
    """The sha256 of the local files that a training starts from or learns from, weights by the setting's path."""
    folders = [
        model.name,
        *(str(folder) for _, folder in teachers(config)),
        *([config.initial] if config.initial else []),
    ]
    files = {folder: Path(folder) / WEIGHTS for folder in folders}
    files |= {f"{folder}/{part}": Path(folder) / part for folder in folders for part in BESIDE}
    if config.deny or config.passive:
        files[config.lexicon] = Path(config.lexicon)
    return {name: sha256(path) for name, path in files.items() if path.is_file()}


def job_digest(model: ModelConfig, config: TrainingConfig, dataset_sha256: str) -> str:
    """Of what `describe_job` tells, without the settings that change no weight: what studies know a training by."""
    told = jsonl.flatten(describe_job(model, config, dataset_sha256))
    return hashlib.sha256(jsonl.dumps({k: v for k, v in told.items() if k not in FREE}).encode()).hexdigest()


def finished(output: Path, job: str) -> dict[str, float]:
    """The validation scores of `output` if it is what the training with this `job_digest` made; else nothing.

    An interrupted training to the same output is newer, whatever it is.
    """
    if (_beside(output) / JOB).exists():
        return {}
    try:
        about = models.about(output)
    except StanceError:
        return {}
    return about["validation"] if about.get("job") == job else {}


def find_interrupted(work: Path, job: Mapping[str, Any], resume: str) -> Before:
    """What there is to go on from. Changes nothing.

    Raises:
        StanceError: `resume` is none of stop, auto and never, the interrupted training was another one, or there is one
            and `resume` is stop.
    """
    if resume not in ("stop", "auto", "never"):
        raise StanceError(f"resume={resume}: expected stop, auto or never")
    path = work / JOB
    if not path.is_file():
        return Before()
    was, run = _left(path)
    if resume != "auto":
        if resume == "stop" and (checkpoint := newest(work)):
            raise StanceError(
                f"{checkpoint}: an interrupted training; resume=auto goes on with it, resume=never throws it away and "
                "starts anew (make run RESUME=auto, or never)"
            )
        return Before(given_up=run)
    if was is None:
        raise StanceError(f"{path}: not the JSON that was written; start anew with resume=never")
    changed = _differences(was, json.loads(json.dumps(job)))
    if changed:
        raise StanceError(
            f"{path}: the interrupted run was another one: {'; '.join(changed)}. "
            "Repeat its settings to go on from it, or start anew with resume=never"
        )
    return Before(run, newest(work))


def _left(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The job of an interrupted training and its MLflow run; None and no run where that can't be read."""
    try:
        before = json.loads(path.read_text("utf-8"))
        return dict(before["job"]), str(before["run"])
    except (ValueError, KeyError, TypeError):
        return None, ""


def note(path: Path, run: str) -> str:
    """Keep the MLflow run of this process in a file, for the next one should this one be killed.

    Returns:
        That of a process that was killed; empty for none.
    """
    left = path.read_text("utf-8") if path.is_file() else ""
    write_text(path, run)
    return "" if left == run else left


def check_apart(config: TrainingConfig, output: Path) -> None:
    """Refuse to put a training's result in the place of what it starts from or learns from.

    Raises:
        StanceError: it would be; the same command could not be given twice.
    """
    sources = [("initial", Path(config.initial))] if config.initial else []
    for name, folder in [*sources, *(("teacher", folder) for _, folder in teachers(config))]:
        if resolved(folder) == resolved(output):
            raise StanceError(
                f"output={output}: is what training.{name} names, and would be replaced by what learns from it; "
                "choose another output"
            )
        check_outside(output, folder)


def begin_job(work: Path, job: Mapping[str, Any], checkpoint: Path | None, *, resume: str, run: str) -> None:
    """Make the held work folder ready to go on from the checkpoint that was found, or to start anew.

    What no resume can use is removed; `run`, the MLflow run of this process, is kept for the next one.
    """
    if checkpoint:
        prune(work, checkpoint)
        print(f"going on from step {step_of(checkpoint)} of {work}", file=sys.stderr)
    else:
        if resume == "auto":
            print(f"no checkpoint to go on from in {work}: starting from the first step", file=sys.stderr)
        _clear(work)
    jsonl.write_json(work / JOB, {"job": dict(job), "run": run})
    (work / RUN).unlink(missing_ok=True)


def _beside(output: Path, name: str = WORK) -> Path:
    if not output.name:
        raise StanceError(f"output={output}: expected the name of a directory to write, such as outputs/checkpoint")
    return output.with_name(f"{output.name}.{name}")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    was, is_ = jsonl.flatten(before), jsonl.flatten(now)
    # Weights that only one of them names: the setting that names them tells of it, or their file is gone.
    apart = {key for key in was.keys() ^ is_.keys() if key.startswith("weights.")}
    keys = (key for key in jsonl.differing(before, now) if key not in FREE and key not in apart)
    return [f"{k} was {was.get(k, 'unset')}, is {is_.get(k, 'unset')}" for k in keys]


def _clear(work: Path) -> None:
    """Empty the folder but for its lock. `job.json` goes first: without it nothing is taken for a checkpoint."""
    (work / JOB).unlink(missing_ok=True)
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
