"""Fine-tuning: Hugging Face's Trainer over passages with many pairs. Knows neither MLflow nor Hydra.

Metrics leave through a `Sink`; the result is a checkpoint directory (see `stance.model`).
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from stance import encoders, jsonl
from stance.batches import IGNORED, Row, Rows, TokenBudget
from stance.callbacks import LiveView, Sink, SinkCallback
from stance.encoders import ModelConfig, Pretrained
from stance.encoding import PairEncoder
from stance.errors import StanceError
from stance.files import check_replaceable, replace_directory
from stance.model import Checkpoint, StanceModel, load_weights, save
from stance.records import LABELS, Example
from stance.scores import StanceScore


@dataclass
class TrainingConfig:
    """How the model is fine-tuned."""

    epochs: int = 6
    """Most passes over the training split."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW; linear decay after the warm-up."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    tokens_per_batch: int = 1024
    """Most tokens of a batch, padding included."""
    class_weights: str = "none"
    """none, or balanced: the loss weighs a class by the inverse of its frequency."""
    label_smoothing: float = 0.0
    """Share of a label's mass that is spread over all labels."""
    early_stopping: int = 3
    """Stop after so many epochs without a better validation macro-F1; 0 never stops early."""
    span_dropout: float = 0.3
    """Share of the training pairs that are asked by their names alone, without the mentions' places."""
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 where the hardware has it."""
    seed: int = 1
    """Of initialisation, dropout and batches."""
    initial: str = ""
    """A checkpoint directory to start from instead of the pretrained encoder alone."""
    resume: bool = False
    """Go on from the last finished epoch of an interrupted run with the same output."""


@dataclass(frozen=True)
class Result:
    """What a training run leaves: where, how good on validation, how fast (training pairs per second)."""

    checkpoint: Path
    scores: dict[str, float]
    history: list[dict[str, float]]
    pairs_per_second: float
    precision: str
    cuts: dict[str, str]


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
    resume_from = _prepare(work, config, model_config, about)
    start = time.perf_counter()
    with attention_kernels():
        trainer.train(resume_from_checkpoint=resume_from)
        seconds = time.perf_counter() - start
        scores = {k.removeprefix("eval_"): float(v) for k, v in trainer.evaluate().items()}
    facts = {**about, "model": asdict(model_config), "training": asdict(config), "validation": scores}
    checkpoint = Checkpoint(trainer.model, pretrained.tokenizer, pretrained.encoding, facts)
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
    )


def assemble(
    splits: Mapping[str, Sequence[Example]],
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    work: Path,
    sink: Sink = lambda metrics, step: None,
) -> tuple["StanceTrainer", Pretrained]:
    """The trainer that `train` starts and the encoder in it; `work` takes the checkpoints of the epochs."""
    _check(config, splits)
    precision = choose_precision(config.precision)
    set_seed(config.seed)
    pretrained = encoders.load(model_config)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout, model_config.dropout)
    if config.initial:
        load_weights(model, Path(config.initial) / "model.safetensors")
    encoder = PairEncoder(pretrained.tokenizer, pretrained.encoding)
    rows = {
        "train": Rows(drop_spans(splits["train"], config.span_dropout, config.seed), encoder),
        "validation": Rows(splits["validation"], encoder),
    }
    arguments = _arguments(config, work, precision)
    return StanceTrainer(model, rows=rows, config=config, arguments=arguments, sink=sink), pretrained


def choose_precision(wanted: str) -> str:
    """`fp32` or `bf16`; `auto` takes bf16 where the GPU or the CPU computes in it."""
    if wanted not in ("auto", "fp32", "bf16"):
        raise StanceError(f"training.precision={wanted}: expected auto, fp32 or bf16")
    if torch.cuda.is_available():
        able = torch.cuda.is_bf16_supported()
    else:
        features = torch.cpu.get_capabilities()
        able = any(bool(features.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    if wanted == "bf16" and not able:
        raise StanceError("training.precision=bf16: this machine has no bf16 instructions; use auto or fp32")
    return "bf16" if able and wanted != "fp32" else "fp32"


def attention_kernels() -> AbstractContextManager[None]:
    """On a CPU the backward pass of the fused attention kernel is slower than plain matrix products."""
    return nullcontext() if torch.cuda.is_available() else sdpa_kernel([SDPBackend.MATH])


class StanceTrainer(Trainer):  # type: ignore[misc]
    """Trainer with token-budget batches and a loss over the pairs of each passage."""

    def __init__(
        self,
        model: nn.Module,
        *,
        rows: Mapping[str, Rows],
        config: TrainingConfig,
        arguments: TrainingArguments,
        sink: Sink,
    ) -> None:
        callbacks: list[TrainerCallback] = [SinkCallback(sink), LiveView()]
        if config.early_stopping:
            callbacks.append(EarlyStoppingCallback(early_stopping_patience=config.early_stopping))
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=rows["train"],
            eval_dataset=rows["validation"],
            data_collator=rows["train"].collate,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self.recipe = config
        self.pairs_seen = 0
        self.class_weights = class_weights(config.class_weights, rows["train"].rows)

    def get_train_dataloader(self) -> DataLoader[Row]:
        """Batches of like length under the token budget."""
        return self._loader(self.train_dataset, shuffle=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Row]:
        """The same without shuffling."""
        return self._loader(eval_dataset or self.eval_dataset, shuffle=False)

    def _loader(self, rows: Rows, *, shuffle: bool) -> DataLoader[Row]:
        sampler = TokenBudget(rows.lengths(), self.recipe.tokens_per_batch, seed=self.recipe.seed, shuffle=shuffle)
        return self.accelerator.prepare(  # type: ignore[no-any-return]
            DataLoader(rows, batch_sampler=sampler, collate_fn=rows.collate)
        )

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """Cross-entropy, the mean over the batch's pairs by their weights and those of their classes."""
        features = {k: v for k, v in inputs.items() if k not in ("labels", "weights")}
        labels, weights = inputs["labels"].flatten(), inputs["weights"].flatten()
        logits = model(**features)
        losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            labels,
            reduction="none",
            ignore_index=IGNORED,
            label_smoothing=self.recipe.label_smoothing,
        )
        weights = weights * self.class_weights.to(labels.device)[labels.clamp(min=0)]
        loss = (losses * weights).sum() / weights.sum().clamp(min=1e-9)
        if model.training:
            self.pairs_seen += int((labels != IGNORED).sum())
        return (loss, {"logits": logits}) if return_outputs else loss


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Scores over the pairs that have a label."""
    labels = np.asarray(prediction.label_ids).reshape(-1)
    chosen = np.asarray(prediction.predictions).reshape(-1, len(LABELS)).argmax(1)
    kept = labels != IGNORED
    scores: dict[str, float] = StanceScore().compute(predictions=chosen[kept], references=labels[kept])
    return scores


def drop_spans(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Ask a share of the examples as a service does that knows names but not where they are printed."""
    dropped = np.random.default_rng(seed).random(len(examples)) < share
    return [
        replace(example, actor_span=None, target_span=None) if drop else example
        for example, drop in zip(examples, dropped, strict=True)
    ]


def class_weights(mode: str, rows: Sequence[Row]) -> Tensor:
    """The weight of each class in the loss, shape `(3,)`, 1 on average over the examples."""
    if mode == "none":
        return torch.ones(len(LABELS))
    counts = np.bincount([label for row in rows for label in row.labels], minlength=len(LABELS))
    return torch.tensor(counts.sum() / (len(LABELS) * counts), dtype=torch.float32)


def _check(config: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
    if config.class_weights not in ("none", "balanced"):
        raise StanceError(f"training.class_weights={config.class_weights}: expected none or balanced")
    if config.epochs < 1 or config.learning_rate <= 0 or config.tokens_per_batch < 1:
        raise StanceError("training.epochs, learning_rate and tokens_per_batch must be positive")
    for name in ("warmup", "span_dropout", "label_smoothing"):
        if not 0 <= (share := getattr(config, name)) < 1:
            raise StanceError(f"training.{name}={share}: expected a share, from 0 to below 1")
    if min(config.weight_decay, config.max_grad_norm, config.early_stopping) < 0:
        raise StanceError("training.weight_decay, max_grad_norm and early_stopping must not be negative")
    for name in ("train", "validation"):
        missing = [label for label in LABELS if not any(e.stance == label for e in splits[name])]
        if missing:
            raise StanceError(f"the {name} split has no example of {', '.join(missing)}; build another dataset")


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
