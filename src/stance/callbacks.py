"""What watches a training run: a live view for the terminal and a sink for its numbers."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stance.records import LABELS

Sink = Callable[[Mapping[str, float], int], None]
"""Takes metrics and the optimizer step they belong to."""


class LiveView(TrainerCallback):  # type: ignore[misc]
    """A progress bar with loss, pairs per second and time left, and a line for every epoch."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar, at the step from which training goes on."""
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train", unit="step", mininterval=1)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance."""
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Show the loss beside the bar, validation scores as a line of their own."""
        logs = logs or {}
        if self.bar is None:
            return
        if "loss" in logs:
            self.bar.set_postfix_str(f"loss {float(logs['loss']):.3f}", refresh=False)
        if "eval_macro_f1" in logs:
            self.bar.write(
                f"epoch {logs['epoch']:.0f}: validation loss {logs['eval_loss']:.3f}, macro-F1 "
                + f"{logs['eval_macro_f1']:.3f} ("
                + ", ".join(f"{label} {logs[f'eval_{label}_f1']:.2f}" for label in LABELS)
                + ")",
                file=sys.stderr,
            )

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class SinkCallback(TrainerCallback):  # type: ignore[misc]
    """Hands the trainer's numbers on as they are logged."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Pass numbers on under the names `train_…` and `validation_…`."""
        numbers = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        named = {
            "validation_" + k.removeprefix("eval_") if k.startswith("eval_") else "train_" + k.removeprefix("train_"): v
            for k, v in numbers.items()
        }
        self.sink(named, state.global_step)
