"""Annotated articles to a dataset: `python scripts/build_dataset.py --help`."""

from stance.config import Script
from stance.jobs.building import BuildJob

main = Script(
    __file__,
    job=BuildJob,
    examples=(
        "python scripts/build_dataset.py examples.neutral_ratio=2 output=outputs/dataset-2",
        "python scripts/build_dataset.py corpus=jsonl corpora.jsonl.path=my.jsonl corpora.jsonl.name=mine",
        "python scripts/build_dataset.py corpora.stance_news.splits=none split.by=time leaks.action=fail",
    ),
    several="examples.neutral_ratio=1,2",
)

if __name__ == "__main__":
    main.cli()
