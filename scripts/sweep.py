"""Better settings of a training: `python scripts/sweep.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.studies import SweepJob

main = Script(
    job=SweepJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="sweep",
    examples=(
        "python scripts/sweep.py sweep.trials=20 'sweep.seeds=[1,2,3]'",
        "python scripts/sweep.py sweep=smoke",
        "python scripts/sweep.py sweep.name=narrow sweep.space.training.learning_rate.high=1e-4",
        "python scripts/sweep.py sweep.storage=postgresql+psycopg://USER@HOST/NAME tracking=server",
    ),
    several="sweep=recipe,smoke",
)

if __name__ == "__main__":
    main.cli()
