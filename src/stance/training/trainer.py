"""Hugging Face's Trainer over passages with many pairs: batches, loss, scores, kernels."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from stance import launch
from stance.network import lora
from stance.settings.training import TrainingConfig
from stance.training import distributed, objective
from stance.training.batches import ANSWERS, IGNORED, Row, Rows, TokenBudget
from stance.training.callbacks import PACES, LiveView, Pace, Sink, SinkCallback
from stance.training.failures import Guard
from stance.training.validation import Validation
from stance.training.watch import Watch


class StanceTrainer(Trainer):  # type: ignore[misc]
    """Trainer with token-budget batches and a loss over the pairs of each passage.

    An optimizer step is over the pairs of all its batches and of all processes; `compute_loss` returns this process's
    part of their weighted mean, times the number of processes, since their gradients are averaged. Weights are to the
    mean weight of all training pairs, not of the step's: batches are of like length, so that a light corpus of short
    passages fills whole steps, which would count in full.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: nn.Module,
        *,
        rows: Mapping[str, Rows],
        config: TrainingConfig,
        arguments: TrainingArguments,
        sink: Sink,
        validation: Validation,
        watch: Watch,
    ) -> None:
        self.pace = Pace(lambda: self.pairs_seen)
        self.guard, self.view, self.watch = Guard(config), LiveView(self.pace), watch
        callbacks: list[TrainerCallback] = [self.guard, self.pace]
        if launch.rank() == 0:
            callbacks += [SinkCallback(sink, self.pace), self.view, watch]
        if config.early_stopping:
            callbacks.append(EarlyStoppingCallback(early_stopping_patience=config.early_stopping))
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=rows["train"],
            eval_dataset=rows["validation"],
            data_collator=rows["train"].collate,
            compute_metrics=validation,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self.recipe = config
        self.pairs_seen = 0
        self.trained_share = lora.trained_share(model)
        self.mean_weight = mean_weight(rows["train"].rows)
        distributed.own_noise(config.seed)

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train. On a CPU in bf16 the backward pass of the fused attention kernel is slower than plain products."""
        plain = self.args.bf16 and not torch.cuda.is_available()
        with sdpa_kernel([SDPBackend.MATH]) if plain else nullcontext():
            return super().train(*arguments, **options)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Warm-up and linear decay. One step of it is a step at the rate 0, which few steps can't spare."""
        if self.args.get_warmup_steps(num_training_steps) == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)

    def get_train_dataloader(self) -> DataLoader[Row]:
        """Batches of like length under the token budget."""
        return self._loader(self.train_dataset, shuffle=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Row]:
        """The same without shuffling."""
        return self._loader(eval_dataset or self.eval_dataset, shuffle=False)

    def _loader(self, rows: Rows, *, shuffle: bool) -> DataLoader[Row]:
        sampler = TokenBudget(rows.lengths(), self.recipe.tokens_per_batch, seed=self.recipe.seed, shuffle=shuffle)
        return distributed.loader(rows, sampler)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """The batches of an optimizer step, and the number of their pairs over all processes, times the mean weight."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        pairs = self._pairs(batches)
        self.pairs_seen += int(pairs)
        return batches, pairs * self.mean_weight

    def training_step(self, model: nn.Module, inputs: dict[str, Tensor], *rest: Any) -> Tensor:
        """The loss after its backward pass: that of all processes, so that none decides by a loss of its own."""
        self.guard.enter(f"in training step {self.state.global_step + 1}", self.train_dataset, inputs)
        loss: Tensor = super().training_step(model, inputs, *rest)
        self.guard.loss(loss)
        everywhere: Tensor = distributed.total(loss) / self.accelerator.num_processes
        return everywhere

    def prediction_step(self, model: nn.Module, inputs: dict[str, Tensor], *rest: Any, **more: Any) -> Any:
        """A forward pass on validation rows."""
        self.guard.enter(f"while validating after step {self.state.global_step}", self.eval_dataset, inputs)
        return super().prediction_step(model, inputs, *rest, **more)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The norm of the gradient, which every step asks for before it moves the weights."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        self.guard.gradient(float(norm), self.state, self._get_learning_rate())
        return norm

    def kept_epoch(self) -> tuple[float, dict[str, float]]:
        """The number of the best epoch so far, whose weights are kept, and its validation scores."""
        best = self.state.best_global_step
        entry = next(e for e in self.state.log_history if "eval_macro_f1" in e and e["step"] == best)
        return entry["epoch"], {
            k.removeprefix("eval_"): float(v) for k, v in entry.items() if k not in {"step", *PACES}
        }

    def _pairs(self, batches: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """The number of pairs in `batches`, over all processes."""
        return distributed.total(torch.stack([(batch["labels"] != IGNORED).sum() for batch in batches]).sum().double())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log; of the summary at the end only the mean loss, since its speeds know nothing of a resume."""
        super().log({"mean_loss": logs["train_loss"]} if "train_runtime" in logs else logs, start_time)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """Cross-entropy, the mean over the pairs by their weights.

        It is over the classes that a pair's corpus knows; of these alone is the answer chosen.

        Args:
            model: the network.
            inputs: a batch.
            return_outputs: also return the logits.
            num_items_in_batch: the number of pairs that the mean is over, times the mean weight; those of this batch
                for None, as in validation, where `Validation` replaces the loss.
        """
        features = {k: v for k, v in inputs.items() if k not in ANSWERS}
        logits, losses = self._answer(model, features, inputs["targets"])
        weight = self._pairs([inputs]) * self.mean_weight if num_items_in_batch is None else num_items_in_batch
        total = (losses * inputs["weights"]).sum()
        loss = total / weight.float().clamp(min=1e-9) * self.accelerator.num_processes
        return (loss, {"logits": logits}) if return_outputs else loss

    def _answer(self, model: nn.Module, features: dict[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and loss of each pair; with R-Drop those of two passes, which should agree."""
        logits = model(**features)
        losses = objective.cross_entropy(logits, targets, self.recipe.label_smoothing)
        if model.training and self.recipe.r_drop:
            again = model(**features)
            losses = (losses + objective.cross_entropy(again, targets, self.recipe.label_smoothing)) / 2
            losses = losses + self.recipe.r_drop * objective.consistency(logits, again, targets)
        return objective.mask_unknown(logits, targets), losses


def mean_weight(rows: Sequence[Row]) -> float:
    """The mean weight of all pairs."""
    return float(np.mean([weight for row in rows for weight in row.weights]))
