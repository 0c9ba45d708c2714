"""A dataset on disk: Parquet splits that `datasets.load_dataset(path)` opens, a card, and a manifest.

Layout: `data/{train,validation,test}.parquet`, `README.md`, `dropped.jsonl`, and `manifest.json`, written last.
The same articles and the same configuration give the same bytes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import yaml
from tqdm import tqdm

from stance import corpora, examples, jsonl, splits
from stance.corpora.source import CorpusConfig, Dropped
from stance.errors import StanceError
from stance.examples import ExamplesConfig
from stance.files import check_replaceable, replace_directory
from stance.records import LABELS, Article, Example, Stance
from stance.splits import SPLITS, SplitConfig

FORMAT_VERSION = 2
ENTRIES = frozenset({"README.md", "data", "dropped.jsonl", "manifest.json"})
FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("string"),
        "actor": datasets.Value("string"),
        "target": datasets.Value("string"),
        "actor_span": datasets.List(datasets.Value("int64")),
        "target_span": datasets.List(datasets.Value("int64")),
        "stance": datasets.ClassLabel(names=list(LABELS)),
        "article_id": datasets.Value("string"),
        "corpus": datasets.Value("string"),
        "date": datasets.Value("string"),
        "provenance": datasets.Value("string"),
        "weight": datasets.Value("float64"),
        "tags": datasets.List(datasets.Value("string")),
    }
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dataset holds. `sha256` is over the full content of every row of every split."""

    name: str
    sha256: str
    articles: dict[str, int]
    rows: dict[str, int]
    labels: dict[str, dict[str, int]]
    provenance: dict[str, dict[str, int]]
    dropped: dict[str, int]
    config: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def build(corpus: CorpusConfig, example_config: ExamplesConfig, split_config: SplitConfig, *, output: Path) -> Manifest:
    """Read the corpus, make examples, split them by article and write the dataset to `output`.

    Raises:
        StanceError: the corpus can't be used, or a split would be empty or miss a label; nothing is written.
    """
    check_replaceable(output, marker="manifest.json", own=ENTRIES)
    if not corpus.path:
        raise StanceError("corpus.path: not set; give a JSON Lines file of annotated articles or a directory of them")
    if corpus.limit < 0:
        raise StanceError(f"corpus.limit={corpus.limit}: expected 0 or more; 0 takes all articles")
    articles = corpora.read(Path(corpus.path))
    articles = articles[: corpus.limit] if corpus.limit else articles
    fixed = splits.find(Path(corpus.path), corpus.splits)
    chosen = splits.assign(articles, split_config) if fixed is None else splits.keep(articles, split_config, fixed)
    rows: dict[str, list[Example]] = {split: [] for split in SPLITS}
    dropped: list[Dropped] = []
    made = examples.make(articles, example_config, corpus=corpus.name)
    for article, (kept, lost) in zip(articles, tqdm(made, "examples", len(articles), unit="article"), strict=True):
        rows[chosen[article.id]] += kept
        dropped += lost
    check_labels(rows)
    manifest = Manifest(
        name=corpus.name,
        sha256=fingerprint(rows),
        articles=dict(Counter(chosen[a.id] for a in articles)),
        rows={split: len(part) for split, part in rows.items()},
        labels={split: _count(part, "stance") for split, part in rows.items()},
        provenance={split: _count(part, "provenance") for split, part in rows.items()},
        dropped=dict(Counter(d.reason for d in dropped)),
        config={
            "corpus": asdict(corpus),
            "examples": asdict(example_config),
            "split": asdict(split_config),
        },
    )
    with replace_directory(output, marker="manifest.json") as folder:
        _write(folder, rows, dropped, manifest, articles)
    return manifest


def check_labels(rows: Mapping[str, Sequence[Example]]) -> None:
    """Refuse splits that are empty or miss a label."""
    for split, part in rows.items():
        missing = [label for label in LABELS if not any(e.stance == label for e in part)]
        if missing:
            raise StanceError(
                f"the {split} split of {len(part)} examples has none of {', '.join(missing)}; give more articles, "
                "other shares (split.validation, split.test) or another split.seed"
            )


def fingerprint(rows: Mapping[str, Sequence[Example]]) -> str:
    """sha256 over every field of every row, with its split, in order."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for example in rows[split]:
            line = json.dumps([split, example.to_json()], ensure_ascii=False, sort_keys=True)
            digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def load(path: Path) -> tuple[dict[str, list[Example]], Manifest]:
    """Open a dataset that `build` wrote and check it against its manifest.

    Raises:
        StanceError: it is missing, not whole, or its content is not what the manifest says.
    """
    manifest = read_manifest(path)
    rows = {split: _read_split(path / "data" / f"{split}.parquet") for split in SPLITS}
    if fingerprint(rows) != manifest.sha256:
        raise StanceError(
            f"{path}: the rows are not those of manifest.json (sha256 differs): a file was altered; build it again"
        )
    return rows, manifest


def check_same(manifest: Manifest, trained_on: str, *, allowed: bool) -> None:
    """Refuse to judge a model by a dataset that it was not trained with: its rows may have been training rows.

    Args:
        manifest: of the dataset at hand.
        trained_on: the fingerprint of the dataset that the model was trained with.
        allowed: take it all the same.
    """
    if manifest.sha256 != trained_on and not allowed:
        raise StanceError(
            f"the model was trained with dataset {trained_on[:12] or 'unknown'}, this one is {manifest.sha256[:12]}: "
            "its rows may have been training rows; name the dataset of the training, train again, or set "
            "other_dataset=true if the two share no article"
        )


def read_manifest(path: Path) -> Manifest:
    """The manifest of a dataset directory."""
    file = path / "manifest.json"
    if not file.is_file():
        raise StanceError(f"{file}: missing; expected a dataset written by scripts/build_dataset.py")
    try:
        values = json.loads(file.read_text("utf-8"))
        version = dict(values).get("format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise StanceError(f"{file}: format version {version}, this stance reads {FORMAT_VERSION}; build it again")
        return Manifest(**values)
    except (ValueError, TypeError) as error:
        raise StanceError(f"{file}: not a dataset manifest ({error}); build the dataset again") from error


def _read_split(path: Path) -> list[Example]:
    if not path.is_file():
        raise StanceError(f"{path}: missing from the dataset; build it again or copy the whole directory")
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise StanceError(f"{path}: not a readable Parquet file ({error}); build the dataset again") from error
    if table.schema != FEATURES.arrow_schema:
        found, expected = (", ".join(f"{f.name}: {f.type}" for f in s) for s in (table.schema, FEATURES.arrow_schema))
        raise StanceError(f"{path}: columns {found}, expected {expected}; build it again")
    try:
        return [_example(row) for row in table.to_pylist()]
    except (IndexError, TypeError) as error:
        raise StanceError(f"{path}: a row is no example ({error}); build the dataset again") from error


def _example(row: dict[str, Any]) -> Example:
    spans = {key: tuple(row[key]) if row[key] is not None else None for key in ("actor_span", "target_span")}
    return Example(**{**row, **spans, "stance": Stance(LABELS[row["stance"]]), "tags": tuple(row["tags"])})


def _count(rows: Iterable[Example], field_name: str) -> dict[str, int]:
    return dict(sorted(Counter(str(getattr(row, field_name)) for row in rows).items()))


def _write(
    folder: Path,
    rows: Mapping[str, Sequence[Example]],
    dropped: Sequence[Dropped],
    manifest: Manifest,
    articles: Sequence[Article],
) -> None:
    (folder / "data").mkdir()
    for split, part in rows.items():
        columns = {name: [e.to_json()[name] for e in part] for name in FEATURES}
        columns["stance"] = [LABELS.index(label) for label in columns["stance"]]
        table = datasets.Dataset.from_dict(columns, features=FEATURES)
        table.to_parquet(folder / "data" / f"{split}.parquet")
    jsonl.write(folder / "dropped.jsonl", (asdict(d) for d in dropped))
    jsonl.write_text(folder / "README.md", card(manifest, articles))
    jsonl.write_json(folder / "manifest.json", asdict(manifest))


def table(manifest: Manifest) -> list[list[str]]:
    """Rows for a reader: a header, then articles, pairs and labels of each split."""
    return [
        ["split", "articles", "pairs", *LABELS],
        *(
            [
                split,
                str(manifest.articles.get(split, 0)),
                str(manifest.rows[split]),
                *(str(manifest.labels[split].get(label, 0)) for label in LABELS),
            ]
            for split in SPLITS
        ),
    ]


def card(manifest: Manifest, articles: Sequence[Article]) -> str:
    """The dataset card: a YAML header for the `datasets` library and the counts for a reader."""
    facts = {
        "license": manifest.config["corpus"]["licence"],
        "language": ["en"],
        "task_categories": ["text-classification"],
        "tags": ["stance-detection"],
        "pretty_name": manifest.name,
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}.parquet"} for split in SPLITS],
            }
        ],
    }
    header = f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---\n"
    header_row, *count_rows = ["| " + " | ".join(row) + " |" for row in table(manifest)]
    counts = "\n".join([header_row, "|---|--:|--:|--:|--:|--:|", *count_rows])
    dropped = "\n".join(f"* {n}: {reason}" for reason, n in sorted(manifest.dropped.items())) or "* none"
    dates = sorted(a.date for a in articles if a.date)
    span = f"dated {dates[0]} to {dates[-1]}" if dates else "without dates"
    config = json.dumps(manifest.config, indent=2, sort_keys=True)
    return (
        f"{header}\n# {manifest.name}\n\nActor-target stance pairs from {len(articles)} articles {span}, split by "
        f"article.\n\nsha256 of the content: `{manifest.sha256}`\n\n"
        f"{counts}\n\n"
        "`neutral` holds annotated neutral pairs and sampled pairs of exhaustively annotated articles that nobody "
        "annotated. `actor_span` and `target_span` are `[start, end)` in `text`, or null when the passage does "
        f"not print the name.\n\n## Dropped annotations\n\n{dropped}\n\nEach one is in `dropped.jsonl`.\n\n"
        f"## Configuration\n\n```json\n{config}\n```\n"
    )
