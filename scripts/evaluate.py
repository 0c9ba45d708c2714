"""Scores of an artifact beside its baselines: `python scripts/evaluate.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.training import EvaluateJob

main = Script(
    job=EvaluateJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="evaluate",
    examples=(
        "python scripts/evaluate.py precision=fp32 output=outputs/report-fp32.json",
        "python scripts/evaluate.py evaluation=validation",
    ),
    several="precision=int8,fp32",
)

if __name__ == "__main__":
    main.cli()
