"""A dataset on disk: Parquet splits that `datasets.load_dataset(path)` opens, a card, and a manifest.

Layout: `data/{train,validation,test}.parquet`, `data/unlabelled.parquet` if questions were asked for that nobody has
answered (`examples.unlabelled`), `README.md`, `page.html`, `leaks.json`, `clean.jsonl` (ids of held-out
rows that repeat nothing of training), `dropped.jsonl`, `repairs.jsonl`, and `manifest.json`, written last. How one is
made: `stance.building.build`.
"""

import hashlib
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import yaml

from stance import jsonl
from stance.building.markup import markdown, plain
from stance.building.soundness import fault
from stance.building.splits import PARTS, SPLITS
from stance.errors import StanceError
from stance.records import LABELS, UNLABELLED, Example, Stance

FORMAT_VERSION = 3
NO_LABEL = -1
"""The class of a row that has none, as in other datasets of Hugging Face."""
ENTRIES = frozenset(
    {"README.md", "page.html", "data", "dropped.jsonl", "repairs.jsonl", "leaks.json", "clean.jsonl", "manifest.json"}
)
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
        "soft": datasets.List(datasets.Value("float64")),
        "labels": datasets.List(datasets.Value("string")),
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
    corpora: dict[str, dict[str, int]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    unlabelled: int = 0
    format_version: int = FORMAT_VERSION


def check_labels(labels: Mapping[str, Mapping[str, int]], known: Iterable[str], *, tested: bool = True) -> None:
    """Refuse splits that are empty or miss a label that some corpus knows; without `tested` there may be no test."""
    for split, counts in labels.items():
        missing = [label for label in known if not counts.get(label)]
        if missing and (counts or tested or split != "test"):
            raise StanceError(
                f"the {split} split of {sum(counts.values())} examples has none of {', '.join(missing)}; give more "
                "articles, other shares (split.validation, split.test) or another split.seed; a corpus that does not "
                "know a label says so with corpora.KEY.label_set=[oppose,support]"
            )


class Fingerprint:
    """sha256 over every field of every row, in order, of each split; rows of different splits may come mixed."""

    def __init__(self) -> None:
        self.digests = {split: hashlib.sha256() for split in SPLITS}

    def add(self, split: str, row: Mapping[str, Any]) -> None:
        """Count a row, in the form of `Example.to_json`, in."""
        line = json.dumps(row, ensure_ascii=False, sort_keys=True)
        self.digests.setdefault(split, hashlib.sha256()).update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        """One digest of all splits."""
        found = (self.digests[part].hexdigest() for part in PARTS if part in self.digests)
        return hashlib.sha256("".join(found).encode()).hexdigest()


def fingerprint(rows: Mapping[str, Sequence[Example]]) -> str:
    """The fingerprint of a dataset, or of those of its splits that are given."""
    counted = Fingerprint()
    for split, part in rows.items():
        for row in part:
            counted.add(split, row.to_json())
    return counted.hexdigest()


def article_name(corpus: str, own: str, *, mixed: bool) -> str:
    """What rows call their article: in a mixture its own id after its corpus, since another one may have that id."""
    return f"{corpus}/{own}" if mixed else own


def load(path: Path) -> tuple[dict[str, list[Example]], Manifest]:
    """Open a dataset that `build` wrote and check it against its manifest.

    Questions without a label are there as `unlabelled`, if it has any; their stance is a placeholder.

    Raises:
        StanceError: it is missing, not whole, or its content is not what the manifest says.
    """
    manifest = read_manifest(path)
    parts = PARTS if manifest.unlabelled else SPLITS
    rows = {part: _read_split(path / "data" / f"{part}.parquet") for part in parts}
    if fingerprint(rows) != manifest.sha256:
        raise StanceError(
            f"{path}: the rows are not those of manifest.json (sha256 differs): a file was altered; build it again"
        )
    return rows, manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of a dataset directory."""
    file = path / "manifest.json"
    if not file.is_file():
        raise StanceError(f"{file}: missing; expected a dataset written by scripts/build_dataset.py")
    values = jsonl.document(file, "build the dataset again")
    try:
        version = values.get("format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise StanceError(f"{file}: format version {version}, this stance reads {FORMAT_VERSION}; build it again")
        found = Manifest(**values)
        for name, kind in typing.get_type_hints(Manifest).items():
            if not _fits(value := getattr(found, name), kind):
                raise TypeError(f"{name} is {value!r}")
        return found
    except (ValueError, TypeError) as error:
        raise StanceError(f"{file}: not a dataset manifest ({error}); build the dataset again") from error


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of a manifest is of its kind, all that is in it too."""
    if not (inner := typing.get_args(kind)):
        return kind is Any or isinstance(value, kind)
    return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())


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
    for name in table.column_names:
        try:
            table.column(name).validate(full=True)
        except ValueError as error:
            raise StanceError(f"{path}: {name} of a row is no text ({error}); build the dataset again") from error
    lowest = NO_LABEL if path.stem == UNLABELLED else 0
    texts: dict[str, str] = {}  # many rows ask about one passage
    made = []
    for number, row in enumerate(table.to_pylist(), 1):
        if name := fault(row, lowest):
            what = f"row {number}: {name} {str(row[name])[:80]!r}"
            raise StanceError(f"{path}: a row is no example ({what}); build the dataset again")
        text = texts.setdefault(row["text"], row["text"])
        made.append(example(row | {"stance": _stance(row["stance"]), "text": text}))
    return made


def _stance(code: int) -> str:
    """The stance of a class; of a row without one a placeholder, as the stages have it."""
    return Stance.NEUTRAL.value if code == NO_LABEL else LABELS[code]


def example(row: Mapping[str, Any]) -> Example:
    """The example of a row in the form of `Example.to_json`."""
    spans = {key: tuple(row[key]) if row[key] is not None else None for key in ("actor_span", "target_span")}
    lists = {key: tuple(row[key]) for key in ("tags", "soft", "labels")}
    return Example(**{**row, **spans, **lists, "stance": Stance(row["stance"])})


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


def card(
    manifest: Manifest, span: tuple[str, str], leaks: Sequence[Sequence[str]], found: Sequence[Sequence[str]] = ()
) -> str:
    """The dataset card: a YAML header for the `datasets` library and the counts for a reader.

    Args:
        manifest: of the dataset.
        span: dates of the oldest and the newest article, empty where none has one.
        leaks: a table of what held-out rows repeat, its header first.
        found: the same before something was done about it.
    """
    sources = manifest.config["corpora"]
    dropped = "\n".join(f"* {n:,}: {plain(reason)}" for reason, n in sorted(manifest.dropped.items())) or "* none"
    dates = f"dated {span[0]} to {span[1]}" if span[0] else "without dates"
    corpora = "\n".join(plain(f"* {s['name']}: {s['format']}, licence {s['licence']}") for s in sources)
    config = json.dumps(manifest.config, indent=2, sort_keys=True)
    return (
        f"{_header(manifest)}\n# {plain(manifest.name)}\n\nActor-target stance pairs from "
        f"{sum(manifest.articles.values()):,} articles {dates}, split by {manifest.config['split']['by']}.\n\n"
        f"sha256 of the content: `{manifest.sha256}`\n\n{markdown(table(manifest))}\n\n{corpora}\n\n"
        "`neutral` holds annotated neutral pairs and sampled pairs of exhaustively annotated articles that nobody "
        "annotated. `actor_span` and `target_span` are `[start, end)` in `text`, or null when the passage does "
        "not print the name. `labels` are the stances that the row's corpus knows.\n\n## Leaks\n\n"
        f"{_leaks(leaks, found)}\n\n## Dropped\n\n{dropped}\n\nEach one is in `dropped.jsonl`.\n\n"
        f"{_questions(manifest)}## Configuration\n\n```json\n{config}\n```\n"
    )


def _leaks(leaks: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> str:
    """What is left, and what was found before, if that is something else."""
    left = f"What rows of validation and test repeat, as it is left in this dataset:\n\n{markdown(leaks)}"
    changed = len(found) > 1 and list(found) != list(leaks)
    return f"{left}\n\nWhat was found before rows were dropped for it:\n\n{markdown(found)}" if changed else left


def _questions(manifest: Manifest) -> str:
    if not manifest.unlabelled:
        return ""
    return (
        f"## Questions without a label\n\n`{UNLABELLED}` has {manifest.unlabelled:,} pairs of names, asked of "
        f"sentences of training articles. Nobody has answered them (`stance` is {NO_LABEL}); only a teacher does.\n\n"
    )


def _header(manifest: Manifest) -> str:
    sources = manifest.config["corpora"]
    there = [*(split for split in SPLITS if manifest.rows[split]), *([UNLABELLED] if manifest.unlabelled else [])]
    files = [{"split": part, "path": f"data/{part}.parquet"} for part in there]
    facts = {
        "license": sources[0]["licence"] if len(sources) == 1 else "other",
        "language": ["en"],
        "task_categories": ["text-classification"],
        "tags": ["stance-detection"],
        "pretty_name": manifest.name,
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---\n"
