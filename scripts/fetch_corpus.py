"""A public corpus from where it was published: `python scripts/fetch_corpus.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.fetching import FetchJob

main = Script(
    job=FetchJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="fetch_corpus",
    examples=(
        "python scripts/fetch_corpus.py name=seesaw",
        "python scripts/fetch_corpus.py name=dse path=copies/directed_sentiment_analysis/dataset",
    ),
    several="name=seesaw,dse,newsmtsc",
)

if __name__ == "__main__":
    main.cli()
