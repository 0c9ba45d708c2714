"""Scoring and cold starts: the exported predictor against a pipeline. Part of benchmark.py."""

import sys

if __name__ == "__main__":
    sys.exit("error: a part of scripts/benchmark.py; run that")

import itertools
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import pipeline

from benchmark_figures import Bench, Figure, Task, alternate, lower, points, rate
from stance.predictor import StancePredictor
from stance.records import LABELS, Example, Pair
from stance.scoring.scores import StanceScore

SPEED_MARK = 4.0
START_MARK, MEMORY_MARK = 1.2, 180.0
MANY_PAIRS = 64
PAIRS = 1000
COLD_STARTS = 7

# What a service does first, in a process of its own. Arguments: model directory, text, actor, target.
OURS = """
import sys
from stance.predictor import StancePredictor
from stance.records import Pair
StancePredictor.load(sys.argv[1]).predict([Pair(*sys.argv[2:])])
"""
STOCK = """
import sys
from transformers import pipeline
ask = {"text": f"{sys.argv[3]} on {sys.argv[4]}", "text_pair": sys.argv[2]}
pipeline("text-classification", model=sys.argv[1], device="cpu")(ask)
"""
MEMORY = """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(*(int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")))
"""


def scoring_speed(bench: Bench) -> dict[str, list[Figure]]:
    """Pairs/s over `PAIRS` validation pairs, asked by their names, and over one passage with many pairs."""
    pairs = [Pair(e.text, e.actor, e.target) for e in bench.rows["validation"][:PAIRS]]
    classify = pipeline("text-classification", model=str(bench.stock), device="cpu", dtype=torch.float32)

    def ours(asked: Sequence[Pair], precision: str) -> Sequence[float]:
        # A fresh one each time: what it remembers of names would flatter the later rounds.
        predictor = StancePredictor.load(bench.artifact, precision=precision)
        predictor.predict([Pair("Kenya welcomes the accord.", "Kenya", "accord")])
        return timed(asked, predictor.predict)

    def stock(asked: Sequence[Pair], batch: int) -> Sequence[float]:
        questions = [{"text": f"{p.actor} on {p.target}", "text_pair": p.text} for p in asked]
        return timed(questions, lambda inputs: classify(inputs, batch_size=batch, truncation=True))

    many = one_passage(bench.rows["validation"])
    return alternate(
        {
            "int8": lambda _: ours(pairs, "int8"),
            "pipeline, batch 1": lambda _: stock(pairs, 1),
            "fp32": lambda _: ours(pairs, "fp32"),
            "pipeline, batch 8": lambda _: stock(pairs, 8),
            "one passage, int8": lambda _: ours(many, "int8"),
            "one passage, pipeline": lambda _: stock(many, 8),
        },
        bench.repeats,
    )


def timed(items: Sequence[Any], work: Callable[[Any], Any]) -> Sequence[float]:
    """Items/s of one call."""
    start = time.perf_counter()
    work(items)
    return [len(items) / (time.perf_counter() - start)]


def one_passage(examples: Sequence[Example]) -> list[Pair]:
    """Pairs of the names of an article, all asked of one of its passages."""
    names: dict[str, dict[str, None]] = {}
    for example in examples:
        names.setdefault(example.article_id, {}).update({example.actor: None, example.target: None})
    article = max(names, key=lambda key: len(names[key]))
    text = max((e.text for e in examples if e.article_id == article), key=len)
    ordered = itertools.cycle(itertools.permutations(names[article], 2))
    return [Pair(text, actor, target) for actor, target in itertools.islice(ordered, MANY_PAIRS)]


def macro_f1(bench: Bench, precision: str) -> float:
    """Of the artifact on the validation split."""
    examples = bench.rows["validation"]
    predicted = StancePredictor.load(bench.artifact, precision=precision).logits([e.pair() for e in examples])
    references = [LABELS.index(e.stance) for e in examples]
    return float(StanceScore().compute(predictions=predicted.argmax(1), references=references)["macro_f1"])


def cold_starts(bench: Bench) -> dict[str, list[Figure]]:
    """Seconds from the start of a process to its end, one pair scored, then its memory: now and at its peak, in MB."""
    example = bench.rows["validation"][0]

    def start(code: str, model: Path) -> Sequence[float]:
        command = [sys.executable, "-c", code + MEMORY, str(model), example.text, example.actor, example.target]
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - begin
        return seconds, *map(float, done.stdout.split())

    tasks: dict[str, Task] = {
        "cold start, stance": lambda _: start(OURS, bench.artifact),
        "cold start, stock": lambda _: start(STOCK, bench.stock),
    }
    return alternate(tasks, COLD_STARTS)


def scored_rows(bench: Bench, speed: Mapping[str, list[Figure]]) -> list[list[str]]:
    """Rows of scoring."""
    figures = {name: values[0] for name, values in speed.items()}
    int8, one, eight = figures["int8"], figures["pipeline, batch 1"], figures["pipeline, batch 8"]
    many = figures["one passage, int8"], figures["one passage, pipeline"]
    f1 = [Figure((macro_f1(bench, precision),)) for precision in ("int8", "fp32")]
    return [
        rate("scoring, pairs/s, int8; stock: batch size 1, its default", int8, one, SPEED_MARK),
        rate("scoring, pairs/s, int8; stock: batch size 8", int8, eight, SPEED_MARK),
        rate("scoring, pairs/s, fp32; stock: batch size 1", figures["fp32"], one),
        rate(f"scoring, pairs/s, {MANY_PAIRS} pairs of one passage, int8; stock: batch size 8", *many),
        points("validation macro-F1 of the artifact: int8; second column: its fp32", *f1),
    ]


def started_rows(figures: Mapping[str, list[Figure]]) -> list[list[str]]:
    """Rows of a cold start."""
    ours, stock = figures["cold start, stance"], figures["cold start, stock"]
    return [
        lower("cold start to the first answer, s", ours[0], stock[0], ".2f", START_MARK),
        lower("resident memory after it, MB", ours[1], stock[1], ".0f", MEMORY_MARK),
        lower("largest resident memory, MB", ours[2], stock[2], ".0f"),
    ]
