"""How often a name that is asked alone is found where it was annotated: `python scripts/benchmark_lookup.py --help`.

Of each annotated mention in a passage, printed name or pronoun: whether the looked up place overlaps it, is another
one, or is not there. Speed is that of the lookup alone, without tokenising.
"""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS] + [SCRIPTS]  # else evaluate.py would hide the package `evaluate`

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Sequence

from benchmark_figures import report
from stance.building import dataset
from stance.jobs import DATASET
from stance.lookup import find_mention
from stance.records import Example, Span, overlap
from stance.reporting.show import columns

OUTCOMES = ("found", "elsewhere", "not found")


def outcome(text: str, name: str, annotated: Span) -> str:
    """What the lookup of a name comes to."""
    span = find_mention(text, name)
    if span is None:
        return "not found"
    return "found" if overlap(span, annotated) else "elsewhere"


def table(examples: Sequence[Example]) -> list[list[str]]:
    """Rows for a reader: for actors and targets the share of each outcome, and lookups a second.

    Sampled pairs have rows of their own: their names are mostly the passage's own words.
    """
    rows = [["", "mentions", *OUTCOMES, "lookups/s"]]
    for sampled, role in itertools.product((False, True), ("actor", "target")):
        here = [e for e in examples if (e.provenance == "sampled") is sampled]
        asked = [(e.text, getattr(e, role), span) for e in here if (span := getattr(e, f"{role}_span"))]
        start = time.perf_counter()
        counts = Counter(outcome(*question) for question in asked)
        pace = len(asked) / (time.perf_counter() - start)
        shares = (f"{counts[name] / max(len(asked), 1):.1%}" for name in OUTCOMES)
        rows.append([f"{role}s{', sampled' if sampled else ''}", str(len(asked)), *shares, f"{pace:,.0f}"])
    return rows


def run(options: argparse.Namespace) -> str:
    """Measure and return the table."""
    rows, _ = dataset.load(options.dataset)
    return columns(table(rows[options.split]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="How often a name that is asked alone is found where it is annotated.")
    parser.add_argument("--dataset", type=Path, default=Path(DATASET), help="by scripts/build_dataset.py (%(default)s)")
    parser.add_argument(
        "--split", default="train", choices=("train", "validation"), help="of the dataset (%(default)s)"
    )
    return report(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
