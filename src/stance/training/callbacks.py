"""How a training run shows itself while it goes on: its pace, a live view for the terminal, a sink for its numbers."""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stance.records import LABELS

Sink = Callable[[Mapping[str, float], int], None]
"""Takes metrics and the optimizer step they belong to."""
PACES = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}
"""What the trainer says of a validation's speed: its samples are passages, not pairs."""


class Pace(TrainerCallback):  # type: ignore[misc]
    """How fast training goes: over the last steps, and without the time that validating and saving take.

    Args:
        pairs: tells how many pairs the training, in all of its processes, has seen so far.
    """

    STEPS = 50

    def __init__(self, pairs: Callable[[], int]) -> None:
        self.pairs = pairs
        self.window: deque[tuple[float, int]] = deque(maxlen=self.STEPS)
        self.mark, self.seen, self.seconds = 0.0, 0, 0.0

    def pairs_per_second(self) -> float:
        """Training pairs per second; 0 before the first step."""
        seconds = sum(s for s, _ in self.window)
        return sum(n for _, n in self.window) / seconds if seconds else 0.0

    def seconds_per_step(self) -> float:
        """Seconds that a training step takes; 0 before the first step."""
        return sum(s for s, _ in self.window) / len(self.window) if self.window else 0.0

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock; what happened since the last step was no training."""
        self.mark, self.seen = time.perf_counter(), self.pairs()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Take the time of a step."""
        now, seen = time.perf_counter(), self.pairs()
        self.window.append((now - self.mark, seen - self.seen))
        self.seconds += now - self.mark
        self.mark, self.seen = now, seen

    def go_on(self) -> None:
        """Start the clock again: what happened since the last step was no training."""
        self.mark = time.perf_counter()


class LiveView(TrainerCallback):  # type: ignore[misc]
    """Loss, validation macro-F1, pairs per second and time left, and a line for every epoch, on stderr.

    A terminal gets a progress bar. Anything else gets a line of its own every tenth of the run, and in between every
    30 seconds, or every hundredth of a run for which that would be a flood.
    """

    SECONDS = 30.0

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.bar: tqdm[Any] | None = None
        self.loss = ""
        self.score = ""
        self.validating = 0.0
        self.said, self.tenth = 0.0, 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar, at the step from which training goes on."""
        if not state.is_world_process_zero:
            return
        self.said, self.tenth = time.monotonic(), 10 * state.global_step // state.max_steps
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="train",
                mininterval=0.5,
                dynamic_ncols=True,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps {elapsed}{postfix}",
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance."""
        if not state.is_world_process_zero:
            return
        if self.bar is not None:
            self.bar.set_postfix_str(", ".join(self._facts(state)), refresh=False)
            self.bar.update(state.global_step - self.bar.n)
            return
        tenth, now = 10 * state.global_step // state.max_steps, time.monotonic()
        rare = max(self.SECONDS, state.max_steps * self.pace.seconds_per_step() / 100)
        if tenth > self.tenth or now - self.said > rare:
            self.said, self.tenth = now, tenth
            share = state.global_step / state.max_steps
            done = f"train {share:4.0%}: step {state.global_step}/{state.max_steps}"
            print(", ".join([done, *self._facts(state)]), file=sys.stderr, flush=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Keep the loss for the next line, print validation scores as a line of their own."""
        logs = logs or {}
        if "loss" in logs:
            self.loss = f"loss {float(logs['loss']):.3f}"
        if "eval_macro_f1" not in logs:
            return
        self.validating = float(logs.get("eval_runtime", 0.0))
        score = float(logs["eval_macro_f1"])
        found = [float(entry["eval_macro_f1"]) for entry in state.log_history if "eval_macro_f1" in entry]
        self.score = f"validation macro-F1 {score:.3f} (best {max([score, *found]):.3f})"
        if state.is_world_process_zero:
            labels = ", ".join(f"{label} {logs[key]:.2f}" for label in LABELS if (key := f"eval_{label}_f1") in logs)
            tqdm.write(
                f"epoch {logs['epoch']:.0f}: validation loss {logs['eval_loss']:.3f}, macro-F1 {score:.3f} ({labels})",
                file=sys.stderr,
            )

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Leave the bar as it stands, so that what comes next has a line of its own."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _facts(self, state: TrainerState) -> list[str]:
        speed = f"{self.pace.pairs_per_second():,.0f} pairs/s"
        return [fact for fact in (self.loss, self.score, speed, f"{_clock(self._left(state))} left") if fact]

    def _left(self, state: TrainerState) -> float:
        """Seconds of the steps and of the validations that are still to come."""
        steps = state.max_steps - state.global_step
        epochs = -(-steps * state.num_train_epochs // state.max_steps)
        return float(steps * self.pace.seconds_per_step() + epochs * self.validating)


def _clock(seconds: float) -> str:
    text: str = tqdm.format_interval(seconds)
    return text


class SinkCallback(TrainerCallback):  # type: ignore[misc]
    """Hands the trainer's numbers on as they are logged."""

    def __init__(self, sink: Sink, pace: Pace) -> None:
        self.sink = sink
        self.pace = pace

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Pass numbers on under the names `train_…` and `validation_…`."""
        if not state.is_world_process_zero:
            return
        numbers = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float) and k not in PACES}
        if "loss" not in numbers:
            numbers.pop("epoch", None)  # the step has it already
        elif speed := self.pace.pairs_per_second():  # else a resume tells what an earlier process logged
            numbers["pairs_per_second"] = speed
        named = {
            "validation_" + k.removeprefix("eval_") if k.startswith("eval_") else "train_" + k.removeprefix("train_"): v
            for k, v in numbers.items()
        }
        self.sink(named, state.global_step)
