"""Stances of pairs with an exported model: `python scripts/predict.py --help`."""

from stance.config import Script
from stance.jobs.serving import PredictJob

main = Script(
    __file__,
    job=PredictJob,
    examples=(
        "python scripts/predict.py input=pairs.jsonl output=answers.jsonl",
        "python scripts/predict.py input=pairs.jsonl abstain=true",
    ),
    several="precision=int8,fp32",
)

if __name__ == "__main__":
    main.cli()
