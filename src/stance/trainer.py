"""Hugging Face's Trainer over passages with many pairs: batches, loss, scores, kernels."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
)

from stance.batches import IGNORED, Row, Rows, TokenBudget
from stance.callbacks import LiveView, Sink, SinkCallback
from stance.recipe import TrainingConfig
from stance.records import LABELS
from stance.scores import UNKNOWN, StanceScore


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
        self.seconds = 0.0  # of training, without evaluation
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

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log; of the summary at the end only the mean loss, since its speeds know nothing of a resume."""
        super().log({"mean_loss": logs["train_loss"]} if "train_runtime" in logs else logs, start_time)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """Cross-entropy, the mean over the batch's pairs by their weights and those of their classes.

        It is over the classes that a pair's corpus knows; of these alone is the answer chosen.
        """
        features = {k: v for k, v in inputs.items() if k not in ("labels", "weights", "targets")}
        labels, weights = inputs["labels"].flatten(), inputs["weights"].flatten()
        known = inputs["targets"] >= 0
        logits = model(**features).float().masked_fill(~known, UNKNOWN)
        smoothing = self.recipe.label_smoothing
        wanted = (1 - smoothing) * inputs["targets"] + smoothing / known.sum(-1, keepdim=True)
        losses = -(wanted * known * logits.log_softmax(-1)).sum(-1).flatten()
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


def class_weights(mode: str, rows: Sequence[Row]) -> Tensor:
    """The weight of each class in the loss, shape `(3,)`, 1 on average over the examples."""
    if mode == "none":
        return torch.ones(len(LABELS))
    counts = np.bincount([label for row in rows for label in row.labels], minlength=len(LABELS))
    return torch.tensor(counts.sum() / (len(LABELS) * counts), dtype=torch.float32)


def attention_kernels() -> AbstractContextManager[None]:
    """On a CPU the backward pass of the fused attention kernel is slower than plain matrix products."""
    return nullcontext() if torch.cuda.is_available() else sdpa_kernel([SDPBackend.MATH])
