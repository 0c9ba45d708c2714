"""A public corpus from where it was published: `python scripts/fetch_corpus.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.corpora import published
from stance.jobs.fetching import FetchJob


def run(job: FetchJob) -> Path:
    """Fetch a public corpus, training and development parts, and check every file against its known sha256."""
    corpus = published.table(Path(job.tables), job.name)
    print(f"fetch: {len(corpus.files)} files of {corpus.name} from {job.path or corpus.home}")
    print(f"licence: {corpus.licence}")
    print(f"cite: {corpus.citation}")
    copy = Path(job.path) if job.path else None
    folder = published.fetch(corpus, Path(job.root), copy=copy, limits=job.limits)
    print(f"{len(corpus.files)} files in {folder}, each with the published sha256; build with corpus={corpus.name}")
    return folder


main = Script(
    run,
    job=FetchJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="fetch_corpus",
    examples=(
        "python scripts/fetch_corpus.py name=seesaw",
        "python scripts/fetch_corpus.py name=dse path=copies/directed_sentiment_analysis/dataset",
    ),
)

if __name__ == "__main__":
    main.cli()
