"""Alerts about a run while it trains, each said once, on stderr and to whoever listens.

What ends a run is `stance.training.failures`; what makes the scores is `stance.training.validation`.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stance.training.callbacks import Sink
from stance.training.detectors import Detector, Entry
from stance.training.validation import GUESS, NAMES


class Listener(Protocol):
    """Who is told about a run while it goes on, beside the sink of its numbers."""

    def alert(self, name: str, text: str) -> None:
        """Something that a person should know; each name comes once."""

    def epoch(self, history: Sequence[Entry]) -> None:
        """An epoch has been validated; `history` is the trainer's log so far."""


def record(name: str, text: str, step: int, sink: Sink, listener: Listener | None) -> None:
    """Raise an alert: `alert_NAME` for the sink, the text for the listener."""
    sink({f"alert_{name}": 1.0}, step)
    if listener:
        listener.alert(name, text)


class Watch(TrainerCallback):  # type: ignore[misc]
    """Raises alerts from the trainer's log: a line on stderr, `alert_NAME` for the sink, the text for the listener."""

    def __init__(
        self, detectors: Mapping[str, Detector], *, sink: Sink = lambda metrics, step: None, listener: Listener | None
    ) -> None:
        self.detectors = detectors
        self.sink = sink
        self.listener = listener
        self.alerts: dict[str, str] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Read again what an interrupted run had logged; a person has seen its alerts, the sink perhaps not."""
        for entry in state.log_history:
            for name, text in self._found(entry).items():
                if name not in self.alerts and state.is_world_process_zero:
                    self._raise(name, text, int(entry["step"]))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Read the latest entry."""
        for name, text in self._found(state.log_history[-1]).items():
            self.say(name, text, state)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Tell that an epoch was validated."""
        if self.listener and state.is_world_process_zero:
            self.listener.epoch(state.log_history)

    def judge(self, scores: Entry, state: TrainerState) -> None:
        """At the end of a run: what the scores of the epoch that is kept say."""
        for name, text in verdicts(scores).items():
            self.say(name, text, state)

    def say(self, name: str, text: str, state: TrainerState) -> None:
        """Raise an alert, if it was not raised before."""
        if name in self.alerts or not state.is_world_process_zero:
            return
        tqdm.write(f"warning: {text}", file=sys.stderr)
        self._raise(name, text, state.global_step)

    def _raise(self, name: str, text: str, step: int) -> None:
        self.alerts[name] = text
        record(name, text, step, self.sink, self.listener)

    def _found(self, entry: Entry) -> dict[str, str]:
        answers = {name: detector(entry) for name, detector in self.detectors.items()}
        return {name: text for name, text in answers.items() if text}


def verdicts(scores: Entry) -> dict[str, str]:
    """Alerts about validation scores (`stance.training.validation`), by name: the model knows no more than a rival."""
    if scores.get(f"above_{GUESS}_low", math.inf) <= 0:
        compared = _compared(scores, GUESS, "a guess by the labels' frequencies")
        return {"guessing": f"{compared}; train longer, on more examples or with another learning rate"}
    if scores.get(f"above_{NAMES}_low", math.inf) <= 0:
        compared = _compared(scores, NAMES, "a classifier that sees the names of actor and target alone")
        return {
            "names_only": f"on annotated validation pairs {compared}: it may have learned names instead of reading; "
            "train on more articles, or change names (training.mask_names, training.swap_names, training.hide_names)"
        }
    return {}


def _compared(scores: Entry, rival: str, what: str) -> str:
    theirs, above = scores[f"{rival}_macro_f1"], scores[f"above_{rival}"]
    low, high = scores[f"above_{rival}_low"], scores[f"above_{rival}_high"]
    return (
        f"the model is {'no' if above <= 0 else 'not clearly'} better than {what}: macro-F1 {theirs + above:.3f} "
        f"against {theirs:.3f} (difference {above:+.3f} [{low:+.3f}, {high:+.3f}])"
    )
