"""The trainer's checkpoints within a training: when they are written and whole, which are kept, what they take.

A checkpoint is `checkpoint-STEP` in the work folder, whole once `whole.json` is in it. Whatever moment a process is
killed at, the newest whole one leads to the same weights. Whether it may be gone on from is the matter of
`stance.training.resume`.
"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stance import jsonl
from stance.errors import MachineError, StanceError
from stance.files import flush, sha256
from stance.settings.training import TrainingConfig
from stance.training.callbacks import SinkCallback
from stance.training.trainer import StanceTrainer

WHOLE, STATE = "whole.json", "trainer_state.json"


class Keeper(TrainerCallback):  # type: ignore[misc]
    """Writes checkpoints that a killed training goes on from, and restores what the trainer itself forgets.

    It must stand behind all callbacks that write on a save: a checkpoint is whole when they have put their share in.
    """

    def __init__(self, trainer: StanceTrainer, save_steps: int) -> None:
        self.trainer, self.save_steps = trainer, save_steps
        self.work = Path(trainer.args.output_dir)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After a resume: restore the running mean of the loss and the speed, and hand on what was logged before."""
        if not state.global_step:
            return
        folder = self._folder(state.global_step)
        before = json.loads((folder / self._progress()).read_text("utf-8"))
        self.trainer.pairs_seen, self.trainer.pace.seconds = before["pairs"], before["seconds"]
        self.trainer._tr_loss = torch.tensor(before["loss"], device=args.device)
        self.trainer._globalstep_last_logged = before["logged"]
        self.trainer._total_loss_scalar, self.trainer._initial_global_step = before["total_loss"], 0
        if state.best_global_step:  # by this folder's name, whatever it was called when it was written
            state.best_model_checkpoint = str(self._folder(state.best_global_step))
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, SinkCallback):  # the sink may have lost some with the process
                for entry in state.log_history:
                    logs = {name: value for name, value in entry.items() if name != "step"}
                    callback.on_log(args, replace(state, global_step=entry["step"]), control, logs)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint within the epoch; the one at its end follows its evaluation."""
        per_epoch = state.max_steps // state.num_train_epochs
        if self.save_steps and state.global_step % self.save_steps == 0 and state.global_step % per_epoch:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Complete the checkpoint, then remove those that are neither the last nor the best."""
        folder = self._folder(state.global_step)
        progress = {
            "logged": self.trainer._globalstep_last_logged,
            "loss": self.trainer._tr_loss.item(),
            "total_loss": self.trainer._total_loss_scalar,
            "pairs": self.trainer.pairs_seen,
            "seconds": self.trainer.pace.seconds,
        }
        jsonl.write_json(folder / self._progress(), progress)
        self.trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            _seal(folder)
            prune(self.work, folder)
        self.trainer.pace.go_on()

    def _folder(self, step: int) -> Path:
        return self.work / f"checkpoint-{step}"

    def _progress(self) -> str:
        return f"progress-{self.trainer.args.process_index}.json"


def _seal(checkpoint: Path) -> None:
    """Write `whole.json`: what each file is by its sha256. All of it is on the disk before an older one goes."""
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    jsonl.write_json(checkpoint / WHOLE, {str(path.relative_to(checkpoint)): sha256(path) for path in files})
    for path in (*files, checkpoint / WHOLE, *{path.parent for path in files}, checkpoint, checkpoint.parent):
        flush(path)


def newest(work: Path) -> Path | None:
    """The newest checkpoint that is whole and whose best one so far is whole too."""
    for folder in sorted(_folders(work), key=step_of, reverse=True):
        if _whole(folder) and ((best := _best(folder)) is None or _whole(best)):
            return folder
    return None


def _folders(work: Path) -> list[Path]:
    return [path for path in work.glob("checkpoint-*") if path.is_dir() and re.fullmatch(r"checkpoint-\d+", path.name)]


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def prune(work: Path, checkpoint: Path) -> None:
    """Remove every checkpoint but this one and the best at its time."""
    for folder in _folders(work):
        if folder not in (checkpoint, _best(checkpoint)):
            shutil.rmtree(folder)


def epochs_done(checkpoint: Path) -> int | None:
    """The epochs after which training had stopped when `checkpoint` was written; None if it would have gone on."""
    state = _state(checkpoint)
    stopped = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
    return int(state["epoch"]) if stopped else None


def check_disk(work: Path, model: nn.Module, config: TrainingConfig, *, sharded: bool = False) -> None:
    """Refuse a training whose checkpoints would not fit, before it starts.

    A checkpoint holds the weights, of a `sharded` training twice, and AdamW's two moments. There is one an epoch and
    one more with `save_steps`, of which three are kept at most: the best, the last, and the one being written.

    Raises:
        StanceError: they need more than `training.disk_budget_gb` or than is free.
    """
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    one = (1 + sharded) * weights + 2 * sum(p.nbytes for p in model.parameters() if p.requires_grad)
    count = min(3, config.epochs + bool(config.save_steps))
    there = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    free = shutil.disk_usage(work).free + there - weights  # the output is written while the checkpoints are there
    need = f"{work}: the checkpoints need {count * one / 1e9:.2f} GB ({count} of {one / 1e9:.2f} GB)"
    fewer = ", or training.save_steps=0 with at most 2 epochs" if count == 3 else ", or training.save_steps=0"
    smaller = "choose a smaller model" + (fewer if count == 3 or config.save_steps else "")
    if config.disk_budget_gb and count * one > config.disk_budget_gb * 1e9:
        raise StanceError(f"{need}, training.disk_budget_gb={config.disk_budget_gb:g} allows less: raise it, {smaller}")
    if count * one > free:
        elsewhere = "set output elsewhere (TMPDIR for a study, whose models are thrown away)"
        raise MachineError(f"{need}, the disk has {max(free, 0) / 1e9:.2f} GB for them: {elsewhere}, {smaller}")


def _state(checkpoint: Path) -> dict[str, Any]:
    return dict(json.loads((checkpoint / STATE).read_text("utf-8")))


def _best(checkpoint: Path) -> Path | None:
    step = _state(checkpoint)["best_global_step"]
    return checkpoint.with_name(f"checkpoint-{step}") if step else None


def _whole(checkpoint: Path) -> bool:
    """Whether `whole.json`, which is written last, is there, its state, and all that it lists as it was written."""
    try:
        written = json.loads((checkpoint / WHOLE).read_text("utf-8"))
        whole = all(sha256(checkpoint / name) == digest for name, digest in written.items())
        return whole and "best_global_step" in _state(checkpoint)
    except (OSError, ValueError, TypeError, AttributeError):
        return False
