"""How much of the machine training uses: `python scripts/benchmark_peak.py --help`.

The share of the machine's own matrix-multiply peak in the precision of the training, measured in the same run, and
where the rest of the time goes.
"""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS] + [SCRIPTS]  # else evaluate.py would hide the package `evaluate`

import argparse
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback

from benchmark_figures import markdown, positive, progress, report
from stance.building import dataset
from stance.errors import StanceError
from stance.jobs import DATASET
from stance.network.precision import choose_precision
from stance.records import Example
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import finetuning
from stance.training.trainer import StanceTrainer

CUDA = torch.cuda.is_available()
WARM = 5
"""Steps before the clock starts."""
GROUPS = {
    "linear layers": ("addmm", "mm", "linear", "gemm", "cutlass", "cublas", "nvjet", "mkldnn"),
    "attention": ("bmm", "baddbmm", "softmax", "attention", "flash", "fmha"),
    "optimizer and clipping": ("adam", "_foreach", "multi_tensor", "clip"),
    "casts and copies": ("copy_", "_to_copy", "cat", "memcpy", "memset"),
    "gelu, norms, element by element": (
        "gelu",
        "norm",
        "mul",
        "add",
        "div",
        "elementwise",
        "where",
        "masked_fill",
        "triton",
    ),
    "embeddings and gathers": ("embedding", "index", "gather", "scatter"),
}


@dataclass(frozen=True)
class Paced:
    """A training of some steps: pairs and floating-point operations in a second, its largest memory in bytes."""

    pairs: float
    flops: float
    padding: float
    memory: int


class Clock(TrainerCallback):  # type: ignore[misc]
    """Pairs and seconds of the steps after the first ones."""

    def __init__(self, trainer: StanceTrainer, steps: int) -> None:
        self.trainer, self.steps = trainer, steps
        self.begun = self.ended = (0, 0.0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look at the clock, once the device has done what it was told."""
        if state.global_step in (WARM, WARM + self.steps):
            if CUDA:
                torch.cuda.synchronize()
            now = self.trainer.pairs_seen, time.perf_counter()
            if state.global_step == WARM:
                self.begun = now
            else:
                self.ended = now
                control.should_training_stop = True


def peak(size: int, precision: str) -> float:
    """Floating-point operations in a second of a square matrix product in bf16 (or fp32): the median of ten."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    device = "cuda" if CUDA else "cpu"
    a, b = (torch.randn(size, size, dtype=kind, device=device) for _ in range(2))

    def seconds() -> float:
        start = time.perf_counter()
        a @ b
        if CUDA:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for _ in range(3):
        seconds()
    return 2 * size**3 / statistics.median(seconds() for _ in range(10))


def assemble(rows: dict[str, list[Example]], models: ModelConfig, recipe: TrainingConfig, work: Path) -> StanceTrainer:
    """A trainer that neither validates nor saves."""
    trainer, _ = finetuning.assemble(rows, models, recipe, work=work)
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    return trainer


def paced(rows: dict[str, list[Example]], models: ModelConfig, recipe: TrainingConfig, steps: int) -> Paced:
    """Train for some steps and read the clock."""
    with tempfile.TemporaryDirectory(prefix="stance-peak-") as folder:
        trainer = assemble(rows, models, recipe, Path(folder) / "work")
        flops, padding = operations(trainer, steps)
        clock = Clock(trainer, steps)
        trainer.add_callback(clock)
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    pairs, seconds = (b - a for a, b in zip(clock.begun, clock.ended, strict=True))
    if seconds <= 0:
        raise StanceError(f"the dataset makes fewer than {WARM + steps} batches; lower --steps or --tokens")
    memory = torch.cuda.max_memory_allocated() if CUDA else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Paced(pairs / seconds, flops * steps / seconds, padding, memory)


def operations(trainer: StanceTrainer, steps: int) -> tuple[float, float]:
    """Floating-point operations of a mean training step, forward and backward, and the share of padding."""
    counter = FlopCounterMode(display=False)
    tokens = padded = 0
    batches = list(islice(iter(trainer.get_train_dataloader()), steps))
    # The counter does not know a CPU's fused attention.
    with counter, nullcontext() if CUDA else sdpa_kernel([SDPBackend.MATH]):
        for batch in batches:
            inputs = {k: v.to(trainer.args.device) for k, v in batch.items()}
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(trainer.model.train(), inputs)
            loss.backward()
            tokens, padded = tokens + batch["block_ids"].numel(), padded + int((batch["block_ids"] < 0).sum())
    trainer.model.zero_grad()
    return counter.get_total_flops() / len(batches), padded / tokens


def where(rows: dict[str, list[Example]], models: ModelConfig, recipe: TrainingConfig, steps: int) -> list[list[str]]:
    """The share of the time of some training steps by kind of work."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
    with tempfile.TemporaryDirectory(prefix="stance-peak-") as folder:
        trainer = assemble(rows, models, recipe, Path(folder) / "work")
        trainer.args.max_steps = steps
        with profile(activities=activities) as profiler:
            trainer.train()
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        # On a GPU an operation, its kernels and the spans around them tell of the same time: kernels alone count.
        if CUDA and (event.device_type != torch.autograd.DeviceType.CUDA or event.is_user_annotation):
            continue
        spent[_group(event.key)] += event.self_device_time_total if CUDA else event.self_cpu_time_total
    total = sum(spent.values())
    return [[name, f"{time_ / total:.0%}"] for name, time_ in spent.most_common() if time_ / total >= 0.005]


def _group(operation: str) -> str:
    name = operation.lower().removeprefix("aten::")
    attention = any(part in name for part in GROUPS["attention"])
    if attention:
        return "attention"
    return next((g for g, parts in GROUPS.items() if any(part in name for part in parts)), "everything else")


def row(found: Paced, top: float, recipe: TrainingConfig) -> list[str]:
    """A row of the table: a training beside the peak that was measured with it."""
    return [
        f"{recipe.tokens_per_batch:,}",
        "yes" if recipe.compile else "no",
        f"{found.pairs:,.0f}",
        f"{found.padding:.1%}",
        f"{found.flops / 1e12:.2f}",
        f"{top / 1e12:.2f}",
        f"{found.flops / top:.1%}",
        f"{found.memory / 1e9:.1f}",
    ]


def run(options: argparse.Namespace) -> str:
    """Measure and return the tables."""
    rows, _ = dataset.load(options.dataset)
    precision = choose_precision("auto")
    models = ModelConfig(name=options.model, layout=options.layout)
    table = []
    for tokens in options.tokens:
        for compiled in (False, True) if options.compile else (False,):
            recipe = TrainingConfig(
                epochs=1,
                early_stopping=0,
                tokens_per_batch=tokens,
                compile=compiled,
                frozen_layers=options.frozen,
            )
            # The peak is measured beside each training, since a machine is slower at one time than at another.
            top = peak(8192 if CUDA else 2048, precision)
            table.append(row(paced(rows, models, recipe, options.steps), top, recipe))
            progress(" | ".join(table[-1]))
    header = (
        "tokens a batch",
        "compiled",
        "pairs/s",
        "padding",
        "TFLOP/s",
        f"peak in {precision}",
        "share",
        "GB so far",
    )
    profiled = where(rows, models, recipe, options.steps)
    machine = torch.cuda.get_device_name() if CUDA else str(torch.cpu.get_capabilities().get("cpu_name"))
    name = options.model if "/" not in options.model else Path(options.model).name
    return "\n\n".join(
        [
            f"{name}, {models.layout} layout, {machine}, torch {torch.__version__}",
            markdown(header, table),
            markdown(("time of a training step", "share"), profiled),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="The share of the machine's peak that training reaches.")
    parser.add_argument("--dataset", type=Path, default=Path(DATASET), help="by scripts/build_dataset.py (%(default)s)")
    parser.add_argument("--model", default="embedded", help="as model.name (%(default)s)")
    parser.add_argument("--layout", default="auto", help="as model.layout (%(default)s)")
    parser.add_argument("--tokens", type=positive, nargs="+", default=[1024, 4096], help="training.tokens_per_batch")
    parser.add_argument("--frozen", type=int, help="training.frozen_layers; without it as the encoder's width decides")
    parser.add_argument("--steps", type=positive, default=40, help="batches that are timed, after five")
    parser.add_argument("--compile", action="store_true", help="also with training.compile")
    options = parser.parse_args(arguments)
    return report(run, options)


if __name__ == "__main__":
    sys.exit(main())
