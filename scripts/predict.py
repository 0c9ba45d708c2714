"""Stances of pairs with an exported model: `python scripts/predict.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.serving import PredictJob

main = Script(
    job=PredictJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="predict",
    examples=(
        "python scripts/predict.py input=pairs.jsonl output=answers.jsonl",
        "python scripts/predict.py input=pairs.jsonl abstain=true",
    ),
    several="precision=int8,fp32",
)

if __name__ == "__main__":
    main.cli()
