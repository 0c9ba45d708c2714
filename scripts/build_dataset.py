"""Annotated articles to a dataset: `python scripts/build_dataset.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from dataclasses import asdict
from pathlib import Path

from stance import dataset, tracking
from stance.config import Script
from stance.jobs import BuildJob
from stance.show import columns


def run(job: BuildJob) -> Path:
    """Build a labelled dataset from annotated articles: examples, splits by article, card, manifest."""
    output = Path(job.output)
    print(f"build: articles of {job.corpus.path} -> dataset in {output}")
    with tracking.run(job.tracking, stage="build", settings=asdict(job)) as active:
        manifest = dataset.build(job.corpus, job.examples, job.split, output=output)
        active.dataset(manifest, output, "built")
        active.sink({f"rows_{split}": float(n) for split, n in manifest.rows.items()}, 0)
        active.sink({"dropped": float(sum(manifest.dropped.values()))}, 0)
        active.document(asdict(manifest), "manifest.json")
        for name in ("README.md", "dropped.jsonl"):
            active.file(output / name)
    print(columns(dataset.table(manifest)))
    for reason, count in sorted(manifest.dropped.items()):
        print(f"dropped {count}: {reason} (each in {output / 'dropped.jsonl'})")
    return output


main = Script(
    run,
    job=BuildJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="build_dataset",
    examples=(
        "python scripts/build_dataset.py examples.neutral_ratio=2 output=outputs/dataset-2",
        "python scripts/build_dataset.py corpus=jsonl corpus.path=my.jsonl corpus.name=mine",
    ),
)

if __name__ == "__main__":
    main.cli()
