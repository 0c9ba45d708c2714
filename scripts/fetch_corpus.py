"""A public corpus from where it was published: `python scripts/fetch_corpus.py --help`."""

from stance.config import Script
from stance.jobs.fetching import FetchJob

main = Script(
    __file__,
    job=FetchJob,
    examples=(
        "python scripts/fetch_corpus.py name=seesaw",
        "python scripts/fetch_corpus.py name=dse path=copies/directed_sentiment_analysis/dataset",
    ),
    several="name=seesaw,dse,newsmtsc",
)

if __name__ == "__main__":
    main.cli()
