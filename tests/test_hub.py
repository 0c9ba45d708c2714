"""Datasets of the hub: read by name where there is a network, from a directory here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from stance import corpora
from stance.corpora.source import Dropped, Found
from stance.errors import StanceError
from stance.records import Article
from stance.settings.building import CorpusConfig

COLUMNS = {"text": "sentence", "actor": "holder", "target": "entity", "stance": "label"}
LABELS = {"positive": "support", "negative": "oppose"}
ROWS = [
    {"sentence": "The Harbour Board sued Tolvik.", "holder": "Harbour Board", "entity": "Tolvik", "label": 0, "id": 0},
    {"sentence": "Ana Ruhn praised Tolvik.", "holder": "Ana Ruhn", "entity": "Tolvik", "label": 1, "id": 1},
    {"sentence": "Ana Ruhn met Tolvik.", "holder": "Ana Ruhn", "entity": "Tolvik", "label": 2, "id": 2},
    {"sentence": "Nobody saw Tolvik.", "holder": "", "entity": "Tolvik", "label": -1, "id": 3},
]
FEATURES = Features({
    "sentence": Value("string"), "holder": Value("string"), "entity": Value("string"),
    "label": ClassLabel(names=["negative", "positive", "mixed"]), "id": Value("int64"),
})  # fmt: skip


def found(path: Path | str, **settings: Any) -> list[Found]:
    settings = {"columns": COLUMNS, "labels": LABELS} | settings
    return list(corpora.stream(CorpusConfig(name="toy", format="hub", path=str(path), **settings)))


def saved(folder: Path, kind: str) -> Path:
    """A dataset of two splits as `datasets` saves it, or as files of a repository of the hub."""
    parts = {"train": Dataset.from_list(ROWS, FEATURES), "validation": Dataset.from_list(ROWS[:2], FEATURES)}
    if kind == "saved":
        DatasetDict(parts).save_to_disk(folder)
    else:
        folder.mkdir()
        for name, part in parts.items():
            part.to_parquet(folder / f"{name}.parquet") if kind == "parquet" else part.to_csv(folder / f"{name}.csv")
    return folder


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_all_splits_of_a_dataset_are_read_with_the_names_of_their_labels(tmp_path: Path, kind: str) -> None:
    items = found(saved(tmp_path / "toy", kind))
    articles = [item for item in items if isinstance(item, Article)]
    assert [(a.id, a.split, [n.stance.value for n in a.annotations]) for a in articles] == [
        ("train-0", "train", ["oppose"]),
        ("train-1", "train", ["support"]),
        ("train-2", "train", []),
        ("train-3", "train", []),
        ("validation-0", "validation", ["oppose"]),
        ("validation-1", "validation", ["support"]),
    ]
    assert articles[0].annotations[0].actor.span == (4, 17)
    assert articles[0].where == f"{tmp_path / 'toy'}[train]:1"
    reasons = [item.reason for item in items if isinstance(item, Dropped)]
    assert [reason.partition(";")[0] for reason in reasons] == ["unknown stance 'mixed'", "unknown stance ''"]


def test_a_dataset_that_breaks_off_ends_the_reading(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"sentence": f"{ROWS[0]['sentence']} {n * 7919}", "id": n} for n in range(3000)]
    (tmp_path / "toy").mkdir()
    path = tmp_path / "toy" / "train.parquet"
    Dataset.from_list(rows, FEATURES).to_parquet(path, batch_size=500)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = bytes(2000)
    path.write_bytes(raw)
    with pytest.raises(StanceError, match=r"toy\[train\]:\d+: can't be read from here: .*; try again"):
        found(tmp_path / "toy")


def test_files_of_other_columns_end_the_reading_in_one_line(tmp_path: Path) -> None:
    row = {"sentence": "Ana Ruhn praised Tolvik.", "holder": "Ana Ruhn", "entity": "Tolvik", "label": "positive"}
    (tmp_path / "toy").mkdir()
    for name, part in {"train-00": row | {"date": "2021-03-04"}, "train-01": row}.items():
        Dataset.from_list([part]).to_csv(tmp_path / "toy" / f"{name}.csv")
    with pytest.raises(
        StanceError, match=r"toy\[train\]:2: its files differ in columns or types, here 'date'; make them"
    ):
        found(tmp_path / "toy")


def test_labels_without_names_are_mapped_as_they_are_written(tmp_path: Path) -> None:
    items = found(saved(tmp_path / "toy", "csv"), labels={"0": "oppose", "1": "support", "2": "drop"})
    notes = [note for item in items if isinstance(item, Article) for note in item.annotations]
    assert [note.stance.value for note in notes] == ["oppose", "support", "oppose", "support"]


def test_a_single_split_keeps_the_ids_of_its_rows(tmp_path: Path) -> None:
    Dataset.from_list(ROWS[:2], FEATURES).save_to_disk(tmp_path / "toy")
    assert [item.id for item in found(tmp_path / "toy") if isinstance(item, Article)] == ["0", "1"]


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    match = r"toy\[train\]: no column 'body' for text; the columns there are sentence, holder, entity, label, id$"
    with pytest.raises(StanceError, match=match):
        found(saved(tmp_path / "toy", "parquet"), columns=COLUMNS | {"text": "body"})


@pytest.mark.parametrize("name", ["../secret", "a b", "user/name@", "/no/such/place", "user/name/config", ""])
def test_a_path_that_is_neither_a_directory_nor_a_name_is_refused(name: str) -> None:
    with pytest.raises(
        StanceError, match=r"no such directory, and no name of a dataset|path of the corpus .* is not set"
    ):
        found(name)


def test_a_directory_without_a_dataset_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("raise SystemExit('run')")
    with pytest.raises(StanceError, match="can't be read as a local dataset") as caught:
        found(tmp_path)
    assert "\n" not in str(caught.value)


def test_without_a_network_an_unknown_name_is_one_line() -> None:
    code = (
        "from stance import corpora; from stance.settings.building import CorpusConfig\n"
        "from stance.errors import StanceError\n"
        "try:\n    list(corpora.stream(CorpusConfig(format='hub', path='nobody/nothing:all@main')))\n"
        "except StanceError as error:\n    print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    (line,) = process.stdout.splitlines()
    assert line.startswith(
        "nobody/nothing:all@main: can't be read as a dataset of the Hugging Face hub: Couldn't reach"
    )
