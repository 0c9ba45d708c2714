"""What a person should know about a run while it trains, read from the trainer's log entry by entry.

A detector answers with the alert's text, or with nothing. Who raises the alerts is `stance.training.watch`.
"""

import math
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from stance import launch
from stance.records import LABELS, Example
from stance.settings.training import TrainingConfig
from stance.training.balance import power

Entry = Mapping[str, float]
Detector = Callable[[Entry], str]
READINGS = 5
"""Entries of the log that are looked at together, so that one bad batch alarms nobody."""


def detectors(recipe: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> dict[str, Detector]:
    """Those of a training run with these settled settings, by the names of their alerts."""
    return {
        "diverging": Divergence(recipe),
        "exploding": Explosion(recipe),
        "never_predicted": NeverPredicted(recipe, splits),
        "overfitting": Overfitting(recipe),
        "memory": Memory(memory_limit(), launch.processes_here()),
    }


class Divergence:
    """The training loss is far above its own best, or above anything that a guess would get."""

    RATIO, RISE, NOISE, GUESSES = 1.5, 0.25, 6.0, 3.0

    def __init__(self, recipe: TrainingConfig) -> None:
        self.recipe = recipe
        self.last: deque[float] = deque(maxlen=READINGS)
        self.moves: deque[float] = deque(maxlen=200)
        self.best = math.inf

    def __call__(self, entry: Entry) -> str:
        if "loss" not in entry:
            return ""
        if self.last:
            self.moves.append(abs(entry["loss"] - self.last[-1]))
        self.last.append(entry["loss"])
        if len(self.last) < READINGS:
            return ""
        mean = statistics.fmean(self.last)
        self.best = min(self.best, mean)
        # For normal noise the median of a difference's size is 0.954 standard deviations of one reading.
        noise = statistics.median(self.moves) / 0.954 * math.sqrt(2 / READINGS)
        far = max(self.RATIO * self.best, self.best + self.RISE, self.best + self.NOISE * noise)
        guess = math.log(len(LABELS))
        if mean <= min(far, self.GUESSES * guess):
            return ""
        usual = f"its best was {self.best:.2f}" if mean > far else f"a guess gets {guess:.2f}"
        return (
            f"the run diverges: the training loss is {mean:.2f} at step {entry['step']:.0f} (epoch "
            f"{entry['epoch']:.2f}), {usual}; stop it and lower training.learning_rate (now "
            f"{self.recipe.learning_rate:g}) or lengthen training.warmup (now {self.recipe.warmup:g})"
        )


class Explosion:
    """The gradient is far longer than it was at the start, and than what it is clipped to."""

    RATIO = 20.0

    def __init__(self, recipe: TrainingConfig) -> None:
        self.recipe = recipe
        self.first: list[float] = []
        self.last: deque[float] = deque(maxlen=READINGS)

    def __call__(self, entry: Entry) -> str:
        if "grad_norm" not in entry:
            return ""
        self.last.append(entry["grad_norm"])
        if len(self.first) < READINGS:
            self.first.append(entry["grad_norm"])
        first, now = statistics.median(self.first), statistics.median(self.last)
        if now <= self.RATIO * max(first, self.recipe.max_grad_norm, 1.0):
            return ""
        most = self.recipe.max_grad_norm
        return (
            f"the gradient explodes: its norm is {now:.3g} at step {entry['step']:.0f} (epoch {entry['epoch']:.2f}), "
            f"it was {first:.3g} at the start and is "
            f"{f'clipped to training.max_grad_norm={most:g}' if most else 'not clipped (training.max_grad_norm=0)'}; "
            f"lower training.learning_rate (now {self.recipe.learning_rate:g})"
        )


class NeverPredicted:
    """A label is no answer at all on validation, although some corpus knows it; the first of several epochs may."""

    def __init__(self, recipe: TrainingConfig, splits: Mapping[str, Sequence[Example]]) -> None:
        known = {label for example in splits["validation"] for label in example.labels}
        self.labels = [label for label in LABELS if label in known]
        self.counts = {name: Counter(e.stance.value for e in splits[name]) for name in ("train", "validation")}
        self.from_epoch = min(2, recipe.epochs)
        balanced = "" if power(recipe.class_weights) == 1 else "training.class_weights=balanced, "
        self.advice = f"try {balanced}more epochs or another learning rate"

    def __call__(self, entry: Entry) -> str:
        missing = [label for label in self.labels if entry.get(f"eval_{label}_predicted") == 0]
        if not missing or math.isnan(entry["eval_loss"]) or entry["epoch"] < self.from_epoch - 1e-6:
            return ""
        counts = ", ".join(
            f"{self.counts['validation'][label]} validation and {self.counts['train'][label]} training examples have "
            f"{label}"
            for label in missing
        )
        return (
            f"the model never predicts {' and '.join(missing)} on validation after epoch {entry['epoch']:.0f}, though "
            f"{counts}; {self.advice}"
        )


class Epoch(NamedTuple):
    """Its number, the losses at its end, and its score."""

    number: float
    training: float
    validation: float
    score: float


class Overfitting:
    """The validation loss rises while the training loss falls, over two epochs that are no better than those before.

    Short epochs may have no training loss of their own in the log: theirs is that of the epoch before.
    """

    RATIO, RISE = 1.05, 0.02

    def __init__(self, recipe: TrainingConfig) -> None:
        self.recipe = recipe
        self.losses: list[float] = []
        self.last = math.nan
        self.epochs: list[Epoch] = []

    def __call__(self, entry: Entry) -> str:
        if "loss" in entry:
            self.losses.append(entry["loss"])
        if "eval_loss" not in entry:
            return ""
        self.last = statistics.fmean(self.losses) if self.losses else self.last
        self.epochs.append(Epoch(entry["epoch"], self.last, entry["eval_loss"], entry["eval_macro_f1"]))
        self.losses = []
        if len(self.epochs) < 3 or self._stops():
            return ""
        _, training, validation, scores = zip(*self.epochs[-3:], strict=True)
        falls = training[0] >= training[1] >= training[2] and training[0] > training[2]
        rises = validation[0] < validation[1] < validation[2]
        rises = rises and validation[2] > max(self.RATIO * validation[0], validation[0] + self.RISE)
        best = max(epoch.score for epoch in self.epochs[:-2])
        if not (falls and rises) or max(scores[1:]) > best:
            return ""
        patience = self.recipe.early_stopping
        sooner = f"lower training.early_stopping (now {patience})" if patience else "set training.early_stopping"
        return (
            f"the model overfits: over two epochs the validation loss rose from {validation[0]:.2f} to "
            f"{validation[2]:.2f} while the training loss fell from {training[0]:.2f} to {training[2]:.2f}, and "
            f"macro-F1 did not get above {best:.3f}; lower training.epochs (now {self.recipe.epochs}) or {sooner}"
        )

    def _stops(self) -> bool:
        """Whether early stopping ends such a run before its last epoch; the best epoch is the one that is kept."""
        best = max(self.epochs, key=lambda epoch: epoch.score)
        return 0 < self.recipe.early_stopping < self.recipe.epochs - round(best.number)


class Memory:
    """Memory is nearly used up: where it runs out, the kernel ends a process without a word.

    Args:
        limit: bytes that the process may have.
        processes: on this machine, of which the first alone looks; the others need about as much.
    """

    SHARE = 0.9

    def __init__(self, limit: int, processes: int = 1) -> None:
        self.limit = limit
        self.processes = processes
        self.process = psutil.Process()

    def __call__(self, entry: Entry) -> str:
        used = self.processes * self.process.memory_info().rss
        if used <= self.SHARE * self.limit:
            return ""
        return (
            f"memory is nearly used up: {used / 2**30:.1f} of {self.limit / 2**30:.1f} GiB; the system may kill the "
            "run without a message: lower training.tokens_per_batch or model.max_passage_tokens"
        )


def memory_limit() -> int:
    """Bytes that a process may have: of the machine, or fewer where a container or a batch system limits them."""
    files = [path for path in _limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")) if path.is_file()]
    limits = [text for text in (path.read_text("ascii").strip() for path in files) if text.isdigit()]
    return min([int(psutil.virtual_memory().total), *map(int, limits)])


def _limits(own: Path, root: Path) -> Iterator[Path]:
    """Files that may limit this process: those of its control group and of all above it (man 7 cgroups).

    Slurm limits the job and the step, which are above the group of the process. A line of version 2 begins with `0::`.
    """
    for line in own.read_text("utf-8").splitlines() if own.is_file() else ():
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        place = top / group.lstrip("/")
        yield from (folder / name for folder in (place, *place.parents) if folder.is_relative_to(top))
