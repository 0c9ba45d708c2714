"""One pass against a pass for each pair, by the pairs a passage is asked: `python scripts/benchmark_layouts.py --help`.

Speed alone, which does not depend on what a model has learned. How well the two layouts answer is the bake-off's matter
(`scripts/bakeoff.py bakeoff=encodings`), and in one pass an answer does not depend on the other pairs, so it is as good
among 64 as alone. As shipped: a pass takes at most `model.max_pairs` pairs, so 64 are two passes of 32.
"""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS] + [SCRIPTS]  # else evaluate.py would hide the package `evaluate`

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations

from benchmark_figures import Figure, Task, alternate, markdown, positive, report
from benchmark_peak import assemble
from benchmark_training import Clock
from stance.building import dataset
from stance.errors import StanceError
from stance.jobs import DATASET
from stance.layouts import LAYOUTS
from stance.network import encoders, inference
from stance.network.model import Checkpoint, StanceModel
from stance.records import LABELS, Example, Stance, without_places
from stance.settings.training import ModelConfig, TrainingConfig

ASKED = (1, 8, 32, 64)


def asked(examples: Sequence[Example], each: int, count: int) -> list[Example]:
    """`count` questions, `each` of them to one passage: about its own names first, then about those of others."""
    names = list(dict.fromkeys(name for example in examples for name in (example.actor, example.target)))
    firsts = {example.text: example for example in examples}
    own: dict[str, dict[str, None]] = {text: {} for text in firsts}
    for example in examples:
        own[example.text] |= {example.actor: None, example.target: None}
    found = []
    for number, (text, first) in enumerate(list(firsts.items())[: -(-count // each)]):
        pool = list(own[text] | dict.fromkeys(names[number : number + each]))
        for index, (actor, target) in zip(range(each), permutations(pool, 2), strict=False):
            stance = Stance(LABELS[len(found) % len(LABELS)])
            question = without_places(replace(first, actor=actor, target=target, stance=stance, soft=(), labels=LABELS))
            found.append(replace(question, id=f"{number}-{index}"))
    if len(found) < count:
        raise StanceError(f"the training split has too few passages and names for {count} pairs; lower --pairs")
    return found


def scoring(models: ModelConfig, examples: Sequence[Example]) -> float:
    """Pairs a second of a model in PyTorch, fp32."""
    pretrained = encoders.load(models)
    network = StanceModel(pretrained.encoder, pretrained.encoding.layout, head=models.head)
    checkpoint = Checkpoint(network, pretrained.tokenizer, pretrained.encoding, about={})
    start = time.perf_counter()
    inference.logits(checkpoint, [example.pair() for example in examples])
    return len(examples) / (time.perf_counter() - start)


def training(models: ModelConfig, examples: Sequence[Example]) -> float:
    """Pairs a second of an epoch of training."""
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="stance-layouts-") as folder:
        recipe = TrainingConfig(epochs=1, early_stopping=0, span_dropout=0.0, surface_share=0.0, open_holder=0.0)
        rows = {"train": list(examples), "validation": list(examples[:32])}
        trainer = assemble(rows, models, recipe, Path(folder) / "work")
        trainer.add_callback(clock)
        trainer.train()
    return float(trainer.pairs_seen / clock.seconds)


def speeds(models: ModelConfig, examples: Sequence[Example], _: int) -> Sequence[float]:
    """Both, in a round."""
    return scoring(models, examples), training(models, examples)


def run(options: argparse.Namespace) -> str:
    """Measure and return the table."""
    rows, _ = dataset.load(options.dataset)
    table = []
    for each in ASKED:
        examples = asked(rows["train"], each, options.pairs)
        tasks: dict[str, Task] = {}
        for layout in LAYOUTS:
            models = ModelConfig(name=options.model, layout=layout)
            tasks[f"{layout}, {each} a passage"] = partial(speeds, models, examples)
        one, pair = alternate(tasks, options.repeats).values()
        table.append([str(each), *row(one[0], pair[0]), *row(one[1], pair[1])])
    header = ("pairs a passage", "scoring: one pass", "pair", "ratio", "training: one pass", "pair", "ratio")
    return markdown(header, table)


def row(one: Figure, pair: Figure) -> list[str]:
    """Both speeds and how many times faster the first is."""
    return [one.text(), pair.text(), f"{one.median / pair.median:.1f}×"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Speed of both layouts at 1, 8, 32 and 64 pairs a passage, pairs/s.")
    parser.add_argument("--dataset", type=Path, default=Path(DATASET), help="by scripts/build_dataset.py (%(default)s)")
    parser.add_argument("--model", default=ModelConfig().name, help="as model.name (%(default)s)")
    parser.add_argument("--pairs", type=int, default=512, help="in a round (%(default)s)")
    parser.add_argument("--repeats", type=positive, default=3, help="rounds, of which the median counts (%(default)s)")
    options = parser.parse_args(arguments)
    if options.pairs < max(ASKED):
        parser.error(f"--pairs must be at least {max(ASKED)}")
    return report(run, options)


if __name__ == "__main__":
    sys.exit(main())
