"""Fine-tuning: Hugging Face's Trainer over passages with many pairs. Knows neither MLflow nor Hydra.

Metrics leave through a `Sink`; the result is a checkpoint directory (see `stance.model`).
"""

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    TrainingArguments,
    set_seed,
)

from stance import encoders, failures, jsonl
from stance.augment import vary
from stance.batches import Rows
from stance.callbacks import Sink
from stance.encoders import ModelConfig, Pretrained
from stance.encoding import PairEncoder
from stance.errors import StanceError
from stance.files import check_replaceable, replace_directory
from stance.model import Checkpoint, StanceModel, load_weights, save
from stance.recipe import TrainingConfig, check, choose_precision
from stance.records import Example
from stance.trainer import StanceTrainer, attention_kernels
from stance.validation import Validation
from stance.watch import Listener, Watch, detectors


@dataclass(frozen=True)
class Result:
    """What a training run leaves: where, how good on validation, how fast (training pairs per second), what alarmed."""

    checkpoint: Path
    scores: dict[str, float]
    history: list[dict[str, float]]
    pairs_per_second: float
    precision: str
    cuts: dict[str, str]
    alerts: dict[str, str] = field(default_factory=dict)


def train(
    splits: Mapping[str, Sequence[Example]],
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    output: Path,
    about: Mapping[str, Any],
    sink: Sink = lambda metrics, step: None,
    listener: Listener | None = None,
) -> Result:
    """Fine-tune on `splits["train"]`, choose the epoch by macro-F1 on `splits["validation"]`.

    Args:
        splits: examples by split.
        model_config: the encoder and its input.
        config: the recipe.
        output: the checkpoint directory, written only when training has ended well.
        about: facts that the checkpoint keeps (dataset fingerprint, commit, run).
        sink: receives the metrics as they come.
        listener: is told of alerts and of every epoch's end.

    Raises:
        StanceError: a setting has no meaning, a label has no example, the checkpoint does not fit, a loss or gradient
            is no number, or memory ran out.
    """
    check_replaceable(output, marker="checkpoint.json")
    work = output.with_name(output.name + ".partial")
    with failures.loading(model_config):
        trainer, pretrained = assemble(splits, model_config, config, work=work, sink=sink, listener=listener)
    resume_from = _prepare(work, config, model_config, about)

    def keep(scores: Mapping[str, float], folder: Path) -> None:
        facts = {**about, "model": asdict(model_config), "training": asdict(config), "validation": dict(scores)}
        save(Checkpoint(trainer.model, pretrained.tokenizer, pretrained.encoding, facts), folder)

    with failures.explained(trainer, model_config, keep):
        seconds, scores = _fit(trainer, resume_from)
    trainer.watch.judge(scores, trainer.state)
    with replace_directory(output, marker="checkpoint.json") as folder:
        keep(scores, folder)
    shutil.rmtree(work)
    return Result(
        output,
        scores,
        [dict(entry) for entry in trainer.state.log_history],
        trainer.pairs_seen / max(seconds, 1e-9),
        choose_precision(config.precision),
        {"train": str(trainer.train_dataset.cuts), "validation": str(trainer.eval_dataset.cuts)},
        dict(trainer.watch.alerts),
    )


def _fit(trainer: StanceTrainer, resume_from: str | None) -> tuple[float, dict[str, float]]:
    """Train; returns the seconds spent on training alone and the validation scores of the epoch that was kept."""
    start = time.perf_counter()
    try:
        with attention_kernels():
            trainer.train(resume_from_checkpoint=resume_from)
    finally:
        trainer.view.close()
    seconds = time.perf_counter() - start
    evaluations = [entry for entry in trainer.state.log_history if "eval_macro_f1" in entry]
    best = next(entry for entry in evaluations if entry["step"] == trainer.state.best_global_step)
    done = int(resume_from.rpartition("-")[2]) if resume_from else 0
    seconds -= sum(entry["eval_runtime"] for entry in evaluations if entry["step"] > done)
    return seconds, {k.removeprefix("eval_"): float(v) for k, v in best.items() if k != "step"}


def assemble(
    splits: Mapping[str, Sequence[Example]],
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    work: Path,
    sink: Sink = lambda metrics, step: None,
    listener: Listener | None = None,
) -> tuple["StanceTrainer", Pretrained]:
    """The trainer that `train` starts and the encoder in it; `work` takes the checkpoints of the epochs."""
    check(config, splits)
    precision = choose_precision(config.precision)
    set_seed(config.seed)
    pretrained = encoders.load(model_config)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, model_config.dropout)
    if config.initial:
        load_weights(model, Path(config.initial) / "model.safetensors")
    encoder = PairEncoder(pretrained.tokenizer, pretrained.encoding)
    rows = {
        "train": Rows(vary(splits["train"], config), encoder),
        "validation": Rows(splits["validation"], encoder),
    }
    trainer = StanceTrainer(
        model,
        rows=rows,
        config=config,
        arguments=_arguments(config, work, precision),
        sink=sink,
        validation=Validation(splits["train"], splits["validation"], seed=config.seed),
        watch=Watch(detectors(config, splits), sink=sink, listener=listener),
    )
    return trainer, pretrained


def _prepare(work: Path, config: TrainingConfig, model: ModelConfig, about: Mapping[str, Any]) -> str | None:
    """Make the folder of epoch checkpoints; with `resume`, find the last one and check that it is this job's."""
    recipe = {k: v for k, v in asdict(config).items() if k != "resume"}
    job = {"training": recipe, "model": asdict(model), "dataset": about.get("dataset_sha256", "")}
    path = work / "job.json"
    last = _last_epoch(work)
    if config.resume and last and path.is_file():
        before = json.loads(path.read_text("utf-8"))
        changed = sorted(k for k in job if before.get(k) != job[k])
        if changed:
            raise StanceError(
                f"{path}: the interrupted run had another {', '.join(changed)} configuration; "
                "repeat its settings, or start anew with training.resume=false"
            )
        return last
    if config.resume:
        print(f"nothing to resume in {work}: starting from the first epoch", file=sys.stderr)
    check_replaceable(work, marker="job.json")
    if work.exists():
        shutil.rmtree(work)
    jsonl.write_json(path, job)
    return None


def _last_epoch(work: Path) -> str | None:
    """The last checkpoint that is whole: the trainer writes `trainer_state.json` at its end."""
    whole = {int(p.parent.name.split("-")[1]): p.parent for p in work.glob("checkpoint-*/trainer_state.json")}
    return str(whole[max(whole)]) if whole else None


def _arguments(config: TrainingConfig, work: Path, precision: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(work),
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        optim="adamw_torch_fused",
        logging_steps=10,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would hide what the guard must see
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # a resumed run must not forget its patience
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        label_names=["labels", "examples"],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
