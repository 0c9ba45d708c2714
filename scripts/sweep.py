"""Better settings of a training: `python scripts/sweep.py --help`."""

from stance.config import Script
from stance.jobs.studies import SweepJob

main = Script(
    __file__,
    job=SweepJob,
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
