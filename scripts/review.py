"""Doubtful annotations and missed pairs of a corpus, for a person to look at: `python scripts/review.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.studies import ReviewJob

main = Script(
    job=ReviewJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="review",
    examples=("python scripts/review.py review.folds=5 review.confidence=0.95",),
    several="review.folds=3,5",
)

if __name__ == "__main__":
    main.cli()
