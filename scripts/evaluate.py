"""Scores of an artifact beside its baselines: `python scripts/evaluate.py --help`."""

from stance.config import Script
from stance.jobs.training import EvaluateJob

main = Script(
    __file__,
    job=EvaluateJob,
    examples=(
        "python scripts/evaluate.py precision=fp32 output=outputs/report-fp32.json",
        "python scripts/evaluate.py evaluation=validation",
    ),
    several="precision=int8,fp32",
)

if __name__ == "__main__":
    main.cli()
