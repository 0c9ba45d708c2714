"""Weak labels for articles that nobody annotated: `python scripts/weak_label.py --help`."""

from stance.config import Script
from stance.jobs.building import WeakJob

main = Script(
    __file__,
    job=WeakJob,
    examples=(
        "python scripts/weak_label.py source.path=my.jsonl output=outputs/weak.jsonl",
        "python scripts/weak_label.py source.format=seesaw source.path=SEESAW part=train weak.unvoted=1",
    ),
    several="weak.confidence=0.5,0.7",
)

if __name__ == "__main__":
    main.cli()
