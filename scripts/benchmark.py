"""Speed and memory against the stock recipes, to docs/BENCHMARKS.md: `python scripts/benchmark.py --help`.

Stock is what one gets by following the library's documentation: a three-class sequence classifier on the same
encoder, asked "actor on target" beside the passage, with the Trainer's and the pipeline's defaults, in fp32.
"""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS] + [SCRIPTS]  # else evaluate.py would hide the package `evaluate`

import argparse
import datetime
import os
import platform
import signal
import tempfile
from collections.abc import Sequence

import torch

from benchmark_figures import Bench, markdown, positive, progress, report
from benchmark_scoring import COLD_STARTS, cold_starts, scored_rows, scoring_speed, started_rows
from benchmark_training import STOCK, quality, trained_rows, training_speed
from stance.artifact import read_metadata
from stance.building import dataset
from stance.config import Script
from stance.errors import StanceError
from stance.files import check_output, write_text
from stance.jobs import ARTIFACT, DATASET
from stance.jobs.training import TrainJob
from stance.network.precision import bf16_gain, bf16_instructions, choose_precision
from stance.predictor import StancePredictor
from stance.tracking import origin

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
STATUS = Path("/proc/self/status")


def facts(bench: Bench, options: argparse.Namespace, trainings: int) -> list[list[str]]:
    """Where and with what the figures were taken."""
    features = torch.cpu.get_capabilities()
    commit, dirty = origin.git_commit()
    trained = read_metadata(bench.artifact).get("dataset_sha256")
    sha256 = dataset.read_manifest(options.dataset).sha256
    found = origin.versions()
    bf16, vnni = bf16_instructions(), [n for n in ("avx512_vnni", "avx_vnni", "amx_int8", "arm_dot") if features.get(n)]
    precision = choose_precision(bench.job.training.precision)
    training_on = f"GPU {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "the CPU"
    return [
        ["date", datetime.datetime.now(datetime.UTC).date().isoformat()],
        ["commit", commit[:12] + (" with uncommitted changes" if dirty else "")],
        ["CPU", f"{features.get('cpu_name') or platform.processor()}, {os.cpu_count()} cores"],
        ["bf16", f"{', '.join(bf16)}; products {bf16_gain():.1f}× as fast as in fp32" if bf16 else "no"],
        ["VNNI", ", ".join(vnni) if vnni else "no; int8 gains less"],
        ["training", f"on {training_on}, stance in {precision}, stock in fp32"],
        ["versions", ", ".join(f"{n} {found[n]}" for n in ("python", "torch", "transformers", "onnxruntime"))],
        ["dataset", f"{sha256[:12]}, " + ", ".join(f"{len(part)} {split}" for split, part in bench.rows.items())],
        ["artifact", "of this dataset" if trained == sha256 else "**of another dataset**: its macro-F1 says little"],
        ["load average before", f"{bench.load:.1f}" + (" (**the machine was busy**)" if busy(bench.load) else "")],
        ["settings", ", ".join(options.settings) or "the defaults"],
        ["rounds", f"{bench.repeats}; cold starts {COLD_STARTS}; whole trainings {trainings}"],
    ]


def busy(load: float) -> bool:
    """Whether other work takes so much of the machine that figures are of little worth."""
    return load > (os.cpu_count() or 1) / 4


def read_document(path: Path) -> tuple[str, str]:
    """What stands before and behind the tables, markers included."""
    text = path.read_text("utf-8") if path.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise StanceError(f"{path}: expected a file with the lines {BEGIN} and {END}, between which the tables go")
    return text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Speed and memory against the stock recipes of transformers.")
    parser.add_argument("--dataset", type=Path, default=Path(DATASET), help="by scripts/build_dataset.py (%(default)s)")
    parser.add_argument("--artifact", type=Path, default=Path(ARTIFACT), help="by scripts/export.py (%(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("docs/BENCHMARKS.md"), help="its tables are replaced (%(default)s)"
    )
    parser.add_argument("--repeats", type=positive, default=5, help="rounds of each speed, of which the median counts")
    parser.add_argument("--steps", type=positive, default=40, help="batches of the stock trainer in a round")
    parser.add_argument(
        "--quality", type=int, nargs="?", const=1, default=0, metavar="SEEDS",
        help="also train both sides to the end and compare the scores, with so many seeds (1 without a number); "
        "without --quality the finished trainings of --memory are compared",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=Path, default=Path("docs/benchmark_quality.jsonl"),
        help="scores of finished trainings: a run that was cut off goes on after them (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="of our training, as scripts/train.py takes them"
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.quality < 0:
        parser.error("--quality must be at least 0")
    return options


def run(options: argparse.Namespace) -> str:
    """Measure everything and write the tables, which are returned."""
    load = os.getloadavg()[0]
    check_output(options.output)
    job = Script(f"{SCRIPTS}/train.py", job=TrainJob).compose(options.settings)
    before, behind = read_document(options.output)
    rows, _ = dataset.load(options.dataset)
    StancePredictor.load(options.artifact)
    StancePredictor.load(options.artifact, precision="fp32")
    if not STATUS.is_file():
        raise StanceError(f"{STATUS}: missing; resident memory is measured on Linux only")
    if busy(load):
        progress(f"load average {load:.1f} on {os.cpu_count()} cores: the machine is busy, figures will be off")
    with tempfile.TemporaryDirectory(prefix="stance-benchmark-") as folder:
        bench = Bench(rows, job, options.artifact, Path(folder), options.repeats, load)
        speed = training_speed(bench, options.steps)
        scores = quality(bench, options.quality, options.memory)
        table = [
            *trained_rows(speed, scores),
            *scored_rows(bench, scoring_speed(bench)),
            *started_rows(cold_starts(bench)),
        ]
    tables = markdown(("measure", "stance", "stock", "ratio", "mark", "met"), table)
    trainings = len(scores[STOCK].values) if scores else 0
    tables += "\n\n" + markdown(("with", ""), facts(bench, options, trainings))
    write_text(options.output, f"{before}\n{tables}\n{behind}")
    return tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    options = parse(arguments)
    code = report(run, options)
    if code == 0:
        progress(f"tables written to {options.output}")
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the temporary folder goes too
    sys.exit(main())
