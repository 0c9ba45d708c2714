"""Doubtful annotations and missed pairs of a corpus, for a person to look at: `python scripts/review.py --help`."""

from stance.config import Script
from stance.jobs.studies import ReviewJob

main = Script(
    __file__,
    job=ReviewJob,
    examples=("python scripts/review.py review.folds=5 review.confidence=0.95",),
    several="review.folds=3,5",
)

if __name__ == "__main__":
    main.cli()
