"""Writing a built dataset: rows stream from the stages to the Parquet file of their split, and are counted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from stance import jsonl, records
from stance.building import dataset, leak_report, ledger, page
from stance.building.dataset import FEATURES, Fingerprint, Manifest, article_name
from stance.building.division import Units
from stance.building.leak_report import Report
from stance.building.leaks import NONE, UNLABELLED, Rows
from stance.building.splits import PARTS, SPLITS
from stance.building.stages import Stage
from stance.corpora import cells
from stance.files import write_text
from stance.records import LABELS, PARTIAL
from stance.settings.building import CorpusConfig

BATCH = 4096


@dataclass(frozen=True)
class Plan:
    """What becomes of every article and row of the stages, and why."""

    sources: Sequence[CorpusConfig]
    units: Units
    rows: Rows
    partial: npt.NDArray[np.bool_]
    """The rows that get the tag `PARTIAL`."""
    report: Report
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The dataset is called like its corpora."""
        return "+".join(source.name for source in self.sources)


class _Counts:
    """What the manifest counts."""

    def __init__(self) -> None:
        self.fingerprint = Fingerprint()
        self.rows: Counter[str] = Counter()
        self.labels = {split: Counter[str]() for split in SPLITS}
        self.provenance = {split: Counter[str]() for split in SPLITS}
        self.corpora = {split: Counter[str]() for split in SPLITS}
        self.articles = {split: set[int]() for split in SPLITS}
        self.summary = page.Summary()
        self.unlabelled = 0

    def add(self, split: str, article: int, row: dict[str, Any], theme: str) -> None:
        self.fingerprint.add(split, row)
        if split not in SPLITS:
            self.unlabelled += 1
            return
        self.summary.add(split, dataset.example(row), theme)
        self.rows[split] += 1
        self.labels[split][row["stance"]] += 1
        self.provenance[split][row["provenance"]] += 1
        self.corpora[split][row["corpus"]] += 1
        self.articles[split].add(article)


def write(folder: Path, made: Sequence[Stage], plan: Plan) -> Manifest:
    """Write the dataset of `plan` into `folder`, the manifest last.

    Raises:
        StanceError: a split would be empty or miss a label.
    """
    counts = _Counts()
    (folder / "data").mkdir()
    with ExitStack() as files:
        writers = {
            part: files.enter_context(pq.ParquetWriter(folder / "data" / f"{part}.parquet", FEATURES.arrow_schema))
            for part in (PARTS if (plan.rows.split == UNLABELLED).any() else SPLITS)
        }
        for batch in _batches(made, plan, counts):
            for part, rows in batch.items():
                if rows:  # `datasets` can't read a file whose first row group is empty
                    writers[part].write_table(_table(rows))
    known = {label for source in plan.sources for label in source.known_labels()}
    dataset.check_labels(
        counts.labels, [label for label in LABELS if label in known], tested=not any(plan.units.official)
    )
    lost: Counter[str] = Counter()
    jsonl.write(folder / "dropped.jsonl", _dropped(made, plan, lost))
    jsonl.write(folder / "repairs.jsonl", (row for stage in made for row in _kept(stage, "repairs")))
    return _describe(folder, plan, counts, lost)


def _batches(made: Sequence[Stage], plan: Plan, counts: _Counts) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Rows by split or `unlabelled`, a few thousand at a time, each counted."""
    place = start = 0
    total = sum(stage.rows for stage in made)
    with tqdm(total=total, desc="writing", unit="row", disable=total < 100_000) as bar:
        for stage, source in zip(made, plan.sources, strict=True):
            themes = stage.table("articles").column("theme").to_pylist()
            for batch in stage.table("rows").to_batches(BATCH):
                parts: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
                for number, raw in enumerate(batch.to_pylist(), place):
                    code = int(plan.rows.split[number])
                    if code != NONE:
                        row = _row(raw, source, mixed=len(made) > 1, partial=bool(plan.partial[number]))
                        parts[PARTS[code]].append(row)
                        counts.add(PARTS[code], start + raw["article"], row, themes[raw["article"]])
                place += len(batch)
                bar.update(len(batch))
                yield parts
            start += stage.articles


def _row(raw: dict[str, Any], source: CorpusConfig, *, mixed: bool, partial: bool) -> dict[str, Any]:
    """A row in the form of `Example.to_json`."""
    name = article_name(source.name, raw["article_id"], mixed=mixed)
    added = {"corpus": source.name, "article_id": name, "weight": raw["weight"] * source.weight}
    if partial and PARTIAL not in raw["tags"]:
        added["tags"] = [*raw["tags"], PARTIAL]
    return {name: raw.get(name) for name in FEATURES} | added | {"labels": list(source.known_labels())}


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    coded = [row | {"stance": _code(row)} for row in rows]
    return pa.Table.from_pylist(coded, FEATURES.arrow_schema)


def _code(row: dict[str, Any]) -> int:
    return dataset.NO_LABEL if row["provenance"] == records.UNLABELLED else LABELS.index(row["stance"])


def _dropped(made: Sequence[Stage], plan: Plan, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """What the stages dropped, then the rows that lost their split; `counts` is filled with the reasons."""
    start = 0
    for stage in made:
        for row in _kept(stage, "dropped"):
            counts[ledger.kind(row["reason"])] += 1
            yield row
    places = sorted(plan.rows.reasons)
    for stage in made:
        here = [place - start for place in places if start <= place < start + stage.rows]
        table = stage.table("rows").select(["id", "article_id", "actor", "target"]).take(pa.array(here, pa.int64()))
        for place, row in zip(here, (r for b in table.to_batches() for r in b.to_pylist()), strict=True):
            reason = plan.rows.reasons[start + place]
            counts[reason] += 1
            yield {"where": f"row {row.pop('id')}", **row, "reason": reason, "unusable": 0}
        start += stage.rows


def _kept(stage: Stage, name: str) -> Iterator[dict[str, Any]]:
    file = stage.folder / f"{name}.jsonl"
    if file.stat().st_size:
        yield from (row for _, row in jsonl.read(file))


def _describe(folder: Path, plan: Plan, counts: _Counts, lost: Counter[str]) -> Manifest:
    manifest = Manifest(
        name=plan.name,
        sha256=counts.fingerprint.hexdigest(),
        articles={split: len(articles) for split, articles in counts.articles.items()},
        rows={split: counts.rows[split] for split in SPLITS},
        labels={split: dict(sorted(found.items())) for split, found in counts.labels.items()},
        provenance={split: dict(sorted(found.items())) for split, found in counts.provenance.items()},
        dropped=dict(lost),
        corpora={split: dict(sorted(found.items())) for split, found in counts.corpora.items()},
        config=plan.config,
        unlabelled=counts.unlabelled,
    )
    jsonl.write_json(folder / "leaks.json", leak_report.to_json(plan.report))
    jsonl.write(folder / "clean.jsonl", _clean(folder, plan))
    left, found = (leak_report.table(leaks) for leaks in (plan.report.after, plan.report.before))
    write_text(folder / "README.md", dataset.card(manifest, _span(plan, counts), left, found))
    write_text(folder / "page.html", page.html(manifest, counts.summary, leaks=left, found=found))
    jsonl.write_json(folder / "manifest.json", asdict(manifest))
    return manifest


def _span(plan: Plan, counts: _Counts) -> tuple[str, str]:
    """The dates of the oldest and the newest article that has a row in a split; empty where none can be read."""
    there = set[int]().union(*counts.articles.values())
    days = sorted(filter(None, (cells.day(plan.units.dates[article].strip()) for article in there)))
    return (days[0], days[-1]) if days else ("", "")


def _clean(folder: Path, plan: Plan) -> Iterator[dict[str, Any]]:
    """Ids of the rows of validation and test that repeat nothing of training."""
    clean = set(plan.report.clean.tolist())
    for code, split in enumerate(SPLITS[1:], 1):
        ids = pq.read_table(folder / "data" / f"{split}.parquet", columns=["id"]).column("id")
        places = (int(place) for place in (plan.rows.split == code).nonzero()[0])
        yield from ({"split": split, "id": i.as_py()} for place, i in zip(places, ids, strict=True) if place in clean)
