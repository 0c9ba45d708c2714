"""Scores by the number of training articles: `python scripts/learning_curve.py --help`."""

from stance.config import Script
from stance.jobs.studies import CurveJob

main = Script(
    __file__,
    job=CurveJob,
    examples=(
        "python scripts/learning_curve.py 'curve.articles=[20,40,80]' 'curve.seeds=[1]'",
        "python scripts/learning_curve.py public=true transfer.root=data/public",
    ),
    several="training.epochs=2,4",
)

if __name__ == "__main__":
    main.cli()
