"""Scores by the number of training articles: `python scripts/learning_curve.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.studies import CurveJob

main = Script(
    job=CurveJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="learning_curve",
    examples=(
        "python scripts/learning_curve.py 'curve.articles=[20,40,80]' 'curve.seeds=[1]'",
        "python scripts/learning_curve.py public=true transfer.root=data/public",
    ),
    several="training.epochs=2,4",
)

if __name__ == "__main__":
    main.cli()
