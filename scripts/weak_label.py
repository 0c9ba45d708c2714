"""Weak labels for articles that nobody annotated: `python scripts/weak_label.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.building import WeakJob

main = Script(
    job=WeakJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="weak_label",
    examples=(
        "python scripts/weak_label.py source.path=my.jsonl output=outputs/weak.jsonl",
        "python scripts/weak_label.py source.format=seesaw source.path=SEESAW part=train weak.unvoted=1",
    ),
    several="weak.confidence=0.5,0.7",
)

if __name__ == "__main__":
    main.cli()
