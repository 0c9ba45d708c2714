"""A public corpus from where it was published."""

import shlex
from pathlib import Path

from stance.corpora import published
from stance.jobs.fetching import FetchJob

READ = {"seesaw": "SEESAW", "dse": "", "newsmtsc": ""}
"""What of its directory `conf/corpus/NAME.yaml` reads; another corpus has no such file."""


def run(job: FetchJob) -> Path:
    """Fetch a public corpus, training and development parts, and check every file against its known sha256."""
    corpus = published.table(Path(job.tables), job.name)
    print(f"fetch: {len(corpus.files)} files of {corpus.name} from {job.path or corpus.home}")
    print(f"licence: {corpus.licence}")
    print(f"cite: {corpus.citation}")
    copy = Path(job.path) if job.path else None
    folder = published.fetch(corpus, Path(job.root), copy=copy, limits=job.limits)
    print(f"{len(corpus.files)} files in {folder}, each with the published sha256{_next(job, folder)}")
    return folder


def _next(job: FetchJob, folder: Path) -> str:
    """How a dataset of the corpus is built, where `conf/` says how it is read."""
    if job.name not in READ:
        return ""
    place = shlex.quote(f"corpora.{job.name}.path={folder / READ[job.name]}")
    return f"; build with corpus={job.name}" + ("" if job.root == FetchJob().root else f" {place}")
