"""A public corpus from where it was published."""

from pathlib import Path

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
