"""Several checkpoints to one: `python scripts/average.py --help`."""

from stance.config import Script
from stance.jobs.training import AverageJob

main = Script(
    __file__,
    job=AverageJob,
    examples=(
        'python scripts/average.py "checkpoints=[outputs/seed-0,outputs/seed-1]"',
        'python scripts/average.py "checkpoints=[outputs/a,outputs/b,outputs/c]" output=outputs/mean',
    ),
)

if __name__ == "__main__":
    main.cli()
