"""Annotated articles to a dataset."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from stance import jsonl, tracking
from stance.building import build, dataset, leak_report, ledger
from stance.errors import printable
from stance.jobs import building
from stance.jobs.building import BuildJob
from stance.reporting.show import columns

KINDS = 10
"""So many notes about a corpus as a whole are printed, and so many kinds of what was mended."""


def run(job: BuildJob) -> Path:
    """Build a labelled dataset from annotated articles: examples, splits without leaks, card, manifest."""
    output, sources = Path(job.output), building.sources(job.corpora)
    build.check_all(sources, job.split, job.leaks, output=output)  # before there is a run
    print(f"build: {', '.join(f'{s.name} ({s.path})' for s in sources)} -> dataset in {output}")
    with tracking.run(job.tracking, stage="build", settings=asdict(job)) as active:
        manifest = build.build(sources, job.examples, job.split, job.leaks, output=output)
        active.dataset(manifest, output, "built")
        active.sink({f"rows_{split}": float(n) for split, n in manifest.rows.items()}, 0)
        active.sink({"rows_unlabelled": float(manifest.unlabelled)}, 0)
        active.sink({"dropped": float(sum(manifest.dropped.values()))}, 0)
        active.document(asdict(manifest), "manifest.json")
        for name in ("README.md", "dropped.jsonl", "repairs.jsonl", "leaks.json", "page.html"):
            active.file(output / name)
    print(columns(dataset.table(manifest)))
    if manifest.unlabelled:
        print(f"{manifest.unlabelled:,} questions without a label, about sentences of training articles")
    found = [leak_report.Leak(**row) for row in json.loads((output / "leaks.json").read_text("utf-8"))["before"]]
    if any(leak.rows for leak in found if leak.kind in leak_report.LEAKS):
        print(f"leaks found ({job.leaks.action}):\n{columns(leak_report.table([leak for leak in found if leak.rows]))}")
    for reason, count in sorted(manifest.dropped.items()):
        print(f"dropped {count:,}: {reason} (each in {output / 'dropped.jsonl'})")
    _tell_mended(output / "repairs.jsonl")
    return output


def _tell_mended(file: Path) -> None:
    """Print what is to know of a corpus or file as a whole, then what was mended of articles: the most common kinds."""
    if not file.stat().st_size:
        return
    notes, kinds = dict[str, list[str]](), Counter[str]()
    for _, row in jsonl.read(file):
        what = ledger.kind(row["what"])
        if row["article_id"]:
            kinds[what] += 1
        else:
            notes.setdefault(what, []).append(f"{row['where']}: {row['what']}")
    alike = list(notes.values())
    for first, *more in alike[:KINDS]:
        such = f" (and {len(more):,} more such, each in {file})" if more else ""
        print(f"note: {printable(first)}{such}")
    if others := sum(map(len, alike[KINDS:])):
        print(f"note: {others:,} others (each in {file})")
    found = kinds.most_common()
    for what, count in found[:KINDS]:
        print(f"mended {count:,}: {printable(what)} (each in {file})")
    if rest := found[KINDS:]:
        print(f"mended {sum(count for _, count in rest):,}: {len(rest)} other kinds (each in {file})")
