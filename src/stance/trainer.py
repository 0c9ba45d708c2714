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

from stance import objective, optimisation
from stance.batches import IGNORED, Row, Rows, TokenBudget
from stance.callbacks import LiveView, Sink, SinkCallback
from stance.recipe import TrainingConfig
from stance.records import LABELS
from stance.scores import StanceScore


class StanceTrainer(Trainer):  # type: ignore[misc]
    """Trainer with token-budget batches and a loss over the pairs of each passage."""

    optimizer: Any

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
        self.average = optimisation.WeightAverage(config.average) if config.average else None
        if self.average:
            callbacks.append(self.average)
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

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """AdamW with the recipe's learning rate for each layer."""
        same = self.recipe.layer_decay == self.recipe.head_factor == 1
        if same:
            return super().create_optimizer(model)
        if self.optimizer is None:
            groups = optimisation.parameter_groups(
                model or self.model,
                learning_rate=self.args.learning_rate,
                layer_decay=self.recipe.layer_decay,
                head_factor=self.recipe.head_factor,
                weight_decay=self.args.weight_decay,
            )
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = kind(groups, **settings)
        return self.optimizer

    def better_average(self, scores: dict[str, float]) -> dict[str, float]:
        """Keep averaged weights that have a validation macro-F1 above that of `scores`; the scores of what is kept."""
        if self.average is None:
            return scores
        self.average.swap(self.model)
        with attention_kernels():
            found = self.evaluation_loop(self.get_eval_dataloader(), "average", metric_key_prefix="eval").metrics
        averaged = {k.removeprefix("eval_"): float(v) for k, v in found.items()}
        if averaged["macro_f1"] > scores["macro_f1"]:
            return scores | averaged
        self.average.swap(self.model)
        return scores

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
        """Cross-entropy, the mean over the batch's pairs by their weights and those of their classes.

        It is over the classes that a pair's corpus knows; of these alone is the answer chosen.
        """
        features = {k: v for k, v in inputs.items() if k not in ("labels", "weights", "targets")}
        labels, weights = inputs["labels"].flatten(), inputs["weights"].flatten()
        targets, smoothing = inputs["targets"], self.recipe.label_smoothing
        logits = model(**features)
        losses = objective.cross_entropy(logits, targets, smoothing)
        if model.training and self.recipe.r_drop:
            again = model(**features)
            losses = (losses + objective.cross_entropy(again, targets, smoothing)) / 2
            losses = losses + self.recipe.r_drop * objective.consistency(logits, again, targets)
        logits, losses = objective.choices(logits, targets), losses.flatten()
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
