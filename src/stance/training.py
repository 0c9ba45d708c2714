"""Fine-tuning: Hugging Face's Trainer over passages with many pairs. Knows neither MLflow nor Hydra.

Metrics leave through a `Sink`; the result is a checkpoint directory (see `stance.model`).
"""

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    TrainingArguments,
    set_seed,
)

from stance import distributed, encoders, engine, jsonl, lora
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


@dataclass(frozen=True)
class Result:
    """What a training run leaves: where, how good on validation, how fast (training pairs per second of all processes).

    `trained_share` is the share of the parameters that were trained: 1 without adapters.
    """

    checkpoint: Path
    scores: dict[str, float]
    history: list[dict[str, float]]
    pairs_per_second: float
    precision: str
    cuts: dict[str, str]
    trained_share: float = 1.0


def train(
    splits: Mapping[str, Sequence[Example]],
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    output: Path,
    about: Mapping[str, Any],
    sink: Sink = lambda metrics, step: None,
) -> Result:
    """Fine-tune on `splits["train"]`, choose the epoch by macro-F1 on `splits["validation"]`.

    With several processes (see `stance.distributed`) each calls this, with the same examples and settings; the first
    alone needs `about` and `sink`, and writes.

    Args:
        splits: examples by split.
        model_config: the encoder and its input.
        config: the recipe.
        output: the checkpoint directory, written only when training has ended well.
        about: facts that the checkpoint keeps (dataset fingerprint, commit, run).
        sink: receives the metrics as they come.

    Raises:
        StanceError: a setting has no meaning, a label has no example, or the checkpoint does not fit.
    """
    check_replaceable(output, marker="checkpoint.json")
    work = output.with_name(output.name + ".partial")
    trainer, pretrained = assemble(splits, model_config, config, work=work, sink=sink)
    trained_share = lora.trained_share(trainer.model)
    resume_from = distributed.on_first(lambda: _prepare(work, config, model_config, about))
    seconds, scores = _fit(trainer, resume_from)
    facts = {**about, "model": asdict(model_config), "training": asdict(config), "validation": scores}
    model = _trained(trainer, model_config, config)
    if distributed.rank() == 0:
        checkpoint = Checkpoint(model, pretrained.tokenizer, pretrained.encoding, facts)
        with replace_directory(output, marker="checkpoint.json") as folder:
            save(checkpoint, folder)
        shutil.rmtree(work)
    return Result(
        output,
        scores,
        [dict(entry) for entry in trainer.state.log_history],
        trainer.pairs_seen / max(seconds, 1e-9),
        choose_precision(config.precision),
        {"train": str(trainer.train_dataset.cuts), "validation": str(trainer.eval_dataset.cuts)},
        trained_share,
    )


def _fit(trainer: StanceTrainer, resume_from: str | None) -> tuple[float, dict[str, float]]:
    """Train; returns the seconds spent on training alone and the validation scores of the epoch that was kept."""
    start = time.perf_counter()
    with attention_kernels():
        trainer.train(resume_from_checkpoint=resume_from)
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
) -> tuple["StanceTrainer", Pretrained]:
    """The trainer that `train` starts and the encoder in it; `work` takes the checkpoints of the epochs."""
    check(config, splits)
    precision = choose_precision(config.precision)
    if config.compile:
        engine.check_compiler()
    set_seed(config.seed)
    model, pretrained = _network(model_config, config)
    encoder = PairEncoder(pretrained.tokenizer, pretrained.encoding)
    rows = {
        "train": Rows(vary(splits["train"], config), encoder),
        "validation": Rows(splits["validation"], encoder),
    }
    arguments = _arguments(config, work, precision)
    return StanceTrainer(model, rows=rows, config=config, arguments=arguments, sink=sink), pretrained


def _network(model_config: ModelConfig, config: TrainingConfig) -> tuple[StanceModel, Pretrained]:
    """The model as training starts it, and the encoder that it was made of."""
    pretrained = encoders.load(model_config)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, model_config.dropout)
    if config.initial:
        load_weights(model, Path(config.initial) / "model.safetensors")
    engine.freeze_idle(pretrained.encoder, [pretrained.encoding.cls_id, pretrained.encoding.sep_id])
    if config.gradient_checkpointing:
        engine.recompute(pretrained.encoder, model_config.name)
    distributed.name_blocks(model)
    if config.lora.rank:
        markers = (pretrained.encoding.actor_id, pretrained.encoding.target_id)
        model.encoder = lora.adapt(pretrained.encoder, config.lora, markers)
    return model, pretrained


def _trained(trainer: StanceTrainer, model_config: ModelConfig, config: TrainingConfig) -> StanceModel:
    """The trained model, whole and without adapters."""
    model: StanceModel = trainer.model
    if trainer.is_fsdp_enabled:
        state = distributed.weights(trainer)
        model, _ = _network(model_config, config)
        if distributed.rank() == 0:
            model.load_state_dict(state)
    model.encoder = lora.merge(model.encoder)
    return model


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
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=config.epochs,
        gradient_accumulation_steps=config.accumulation,
        torch_compile=config.compile,
        ddp_find_unused_parameters=False,  # there are none, see engine.freeze_idle
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
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # a resumed run must not forget its patience
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # else one process splits its batches over all GPUs by DataParallel
    return arguments
