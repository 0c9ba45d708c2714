"""Annotated articles to a dataset: `python scripts/build_dataset.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.building import BuildJob

main = Script(
    job=BuildJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="build_dataset",
    examples=(
        "python scripts/build_dataset.py examples.neutral_ratio=2 output=outputs/dataset-2",
        "python scripts/build_dataset.py corpus=jsonl corpora.jsonl.path=my.jsonl corpora.jsonl.name=mine",
        "python scripts/build_dataset.py corpora.stance_news.splits=none split.by=time leaks.action=fail",
    ),
    several="examples.neutral_ratio=1,2",
)

if __name__ == "__main__":
    main.cli()
