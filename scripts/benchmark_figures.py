"""Repeated measurements, side by side, and the rows of the table that they make. Part of benchmark.py."""

import sys

if __name__ == "__main__":
    sys.exit("error: a part of scripts/benchmark.py; run that")

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging as transformers_logging

from stance.errors import StanceError
from stance.jobs.training import TrainJob
from stance.network import encoders
from stance.records import Example

POINTS_MARK = -1.0

Task = Callable[[int], Sequence[float]]
"""Measures once, given the round's number from 1 on; the same quantities each time."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """What is compared."""
        return statistics.median(self.values)

    def text(self, form: str = ",.0f") -> str:
        """The median with the smallest and the largest value."""
        low, high = min(self.values), max(self.values)
        spread = f" ({low:{form}}–{high:{form}})" if len(self.values) > 1 else ""
        return f"{self.median:{form}}{spread}"


@dataclass(frozen=True)
class Bench:
    """What every measurement needs: the data, both systems, a folder for what is thrown away, the rounds.

    `load` is the machine's load average before the first one; other work falsifies the figures.
    """

    rows: Mapping[str, Sequence[Example]]
    job: TrainJob
    artifact: Path
    work: Path
    repeats: int
    load: float

    @property
    def encoder(self) -> str:
        """Where the stock model starts from."""
        return encoders.find(self.job.model.name)

    @property
    def stock(self) -> Path:
        """The stock model with its tokenizer."""
        return self.work / "stock"


def alternate(tasks: Mapping[str, Task], rounds: int) -> dict[str, list[Figure]]:
    """Every task once a round, so that what slows the machine for a while slows both sides; figures by task."""
    measured: dict[str, list[Sequence[float]]] = {name: [] for name in tasks}
    for turn in range(1, rounds + 1):
        for name, task in tasks.items():
            measured[name].append(task(turn))
            progress(f"{name} {turn}/{rounds}: " + ", ".join(f"{value:,.2f}" for value in measured[name][-1]))
    return {name: [Figure(values) for values in zip(*turns, strict=True)] for name, turns in measured.items()}


def report(run: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    """Print the tables that `run` makes, without the noise of libraries; 2 after one line about an error, else 0."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        print(run(options))
    except StanceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def positive(text: str) -> int:
    """A number from 1, as argparse reads it."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def progress(message: str) -> None:
    """To stderr; stdout is for the tables."""
    print(f"benchmark: {message}", file=sys.stderr, flush=True)


def rate(measure: str, stance: Figure, stock: Figure, mark: float | None = None, refused: str = "") -> list[str]:
    """A row of a speed; `refused` says why a ratio that reaches the mark does not count."""
    ratio = stance.median / stock.median
    row = [measure, stance.text(), stock.text(), f"{ratio:.1f}×"]
    return [*row, f"≥ {mark:g}×", refused or yes(ratio >= mark)] if mark else [*row, "", ""]


def points(measure: str, stance: Figure, stock: Figure) -> list[str]:
    """A row of a macro-F1, of which a point is 0.01."""
    gained = 100 * (stance.median - stock.median)
    row = [measure, stance.text(".3f"), stock.text(".3f"), f"{minus(gained, '+.1f')} points"]
    return [*row, f"≥ {minus(POINTS_MARK, 'g')} point", yes(gained >= POINTS_MARK)]


def lower(measure: str, stance: Figure, stock: Figure, form: str, mark: float | None = None) -> list[str]:
    """A row of something of which less is better."""
    row = [measure, stance.text(form), stock.text(form), f"{stock.median / stance.median:.1f}×"]
    return [*row, f"< {mark:g}", yes(stance.median < mark)] if mark else [*row, "", ""]


def minus(value: float, form: str) -> str:
    """A number with a minus sign that is not a hyphen."""
    return f"{value:{form}}".replace("-", "−")


def yes(met: bool) -> str:
    """As the table says it."""
    return "yes" if met else "**no**"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
