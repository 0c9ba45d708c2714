"""The dataset on disk: the same bytes twice, readable by others, true to its manifest, and never half written."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from stance import corpora, jsonl
from stance.building import build as builder
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.building.splits import SPLITS
from stance.errors import StanceError
from stance.files import remove_leftovers, replace_directory
from stance.records import LABELS, Example, Stance
from stance.settings.building import CorpusConfig, ExamplesConfig, LeaksConfig, SplitConfig

CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"
LIMIT = 14


def build(output: Path, path: Path = CORPUS, limit: int = 0, name: str = "stance-news") -> Manifest:
    corpus = CorpusConfig(name=name, path=str(path), limit=limit, splits="none", licence="cc-by-4.0")
    return builder.build([corpus], ExamplesConfig(), SplitConfig(), LeaksConfig(), output=output)


def content(folder: Path) -> dict[str, str]:
    """The sha256 of every file under a folder, by its path in it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def toy(path: Path, stances: tuple[str, ...] = LABELS, count: int = 12) -> Path:
    """A corpus of short articles that hold one annotation of each of `stances`."""
    rows = []
    for number in range(count):
        towns = [f"Town{number}{stance}" for stance in stances]
        sentences = [f"{town} spoke about project {number}." for town in towns]
        text = " ".join([*sentences, f"It was day {number} of year {number * 7}."])
        annotations = [
            {
                "actor": {"name": town, "start": text.index(town), "end": text.index(town) + len(town)},
                "target": {"name": f"project {number}", "start": None, "end": None},
                "stance": stance,
                "evidence": [[text.index(sentence), text.index(sentence) + len(sentence)]],
            }
            for town, stance, sentence in zip(towns, stances, sentences, strict=True)
        ]
        rows.append({"id": f"toy-{number}", "text": text, "annotations": annotations})
    jsonl.write(path, rows)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A dataset of some articles of the corpus. Tests that change files copy it or build their own."""
    path = tmp_path_factory.mktemp("dataset") / "out"
    return path, build(path, limit=LIMIT)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A dataset of toy articles that a test may break."""
    path = tmp_path / "small"
    build(path, toy(tmp_path / "toy.jsonl"))
    return path


# What is written.


def test_the_same_articles_and_configuration_give_the_same_bytes(made: tuple[Path, Manifest], tmp_path: Path) -> None:
    # In another process with other hash seeds, since the order of a set differs there.
    code = (
        "from pathlib import Path; from stance.building import build;"
        "from stance.settings.building import CorpusConfig, ExamplesConfig, LeaksConfig, SplitConfig;"
        f"c = CorpusConfig(name='stance-news', path={str(CORPUS)!r}, limit={LIMIT}, splits='none',"
        " licence='cc-by-4.0');"
        "build.build([c], ExamplesConfig(), SplitConfig(), LeaksConfig(), "
        f"output=Path({str(tmp_path / 'again')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": "4321"}, check=True)
    again = content(tmp_path / "again")
    assert again == content(made[0])
    assert sorted(again) == sorted([*(dataset.ENTRIES - {"data"}), *(f"data/{s}.parquet" for s in SPLITS)])


def test_load_dataset_opens_every_split_with_named_labels_and_the_same_rows(
    made: tuple[Path, Manifest], tmp_path: Path
) -> None:
    rows, _ = dataset.load(made[0])
    opened = datasets.load_dataset(str(made[0]), cache_dir=str(tmp_path))
    assert set(opened) == {"train", "validation", "test"}
    for split, part in opened.items():
        assert part.features["stance"].names == ["oppose", "neutral", "support"]
        label = part.features["stance"].int2str
        assert [row | {"stance": label(row["stance"])} for row in part] == [e.to_json() for e in rows[split]]
        assert len(part) > 0


def test_the_rows_are_the_examples_of_the_articles_of_their_split(made: tuple[Path, Manifest]) -> None:
    rows, _ = dataset.load(made[0])
    articles = corpora.read(CORPUS)[:LIMIT]
    split_of = {e.article_id: split for split, part in rows.items() for e in part}
    assert sum(len({e.article_id for e in part}) for part in rows.values()) == len(split_of)
    assert split_of.keys() == {a.id for a in articles}
    golden = Counter(e.article_id for part in rows.values() for e in part if e.provenance == "gold")
    dropped = Counter(row["article_id"] for _, row in jsonl.read(made[0] / "dropped.jsonl"))
    assert golden + dropped == Counter({a.id: len(a.annotations) for a in articles})


def test_the_manifest_counts_what_the_parquet_files_hold(made: tuple[Path, Manifest]) -> None:
    path, manifest = made
    assert json.loads((path / "manifest.json").read_text("utf-8")) == asdict(manifest)
    for split in SPLITS:
        table = pq.read_table(path / "data" / f"{split}.parquet").to_pylist()
        assert manifest.rows[split] == len(table)
        assert manifest.articles[split] == len({row["article_id"] for row in table})
        assert manifest.labels[split] == Counter(LABELS[row["stance"]] for row in table)
        assert manifest.provenance[split] == Counter(row["provenance"] for row in table)
    reasons = Counter(row["reason"] for _, row in jsonl.read(path / "dropped.jsonl"))
    assert manifest.dropped == reasons
    assert manifest.config["corpora"][0]["limit"] == LIMIT
    assert manifest.config["split"] == asdict(SplitConfig())


def test_the_fingerprint_covers_every_field_of_a_row(made: tuple[Path, Manifest]) -> None:
    rows, manifest = dataset.load(made[0])
    one = rows["test"][0]
    other = next(stance for stance in Stance if stance != one.stance)
    changes: list[dict[str, Any]] = [
        {"id": "x"}, {"text": one.text + " "}, {"actor": "x"}, {"target": "x"}, {"actor_span": (0, 1)},
        {"target_span": None if one.target_span else (0, 1)}, {"stance": other}, {"article_id": "x"},
        {"corpus": "x"}, {"date": "x"}, {"provenance": "x"}, {"weight": 0.5}, {"tags": ("x",)}, {"soft": (1.0,)},
        {"labels": ("x",)},
    ]  # fmt: skip
    assert {key for change in changes for key in change} == set(dataset.FEATURES)
    seen = {manifest.sha256, dataset.fingerprint(rows)}
    assert len(seen) == 1
    for change in changes:
        seen.add(dataset.fingerprint(rows | {"test": [replace(one, **change), *rows["test"][1:]]}))
    assert len(seen) == 1 + len(changes)


def test_a_row_in_another_split_changes_the_fingerprint(made: tuple[Path, Manifest]) -> None:
    rows, manifest = dataset.load(made[0])
    moved: dict[str, list[Example]] = rows | {
        "train": [*rows["train"], rows["validation"][0]],
        "validation": rows["validation"][1:],
    }
    assert dataset.fingerprint(moved) != manifest.sha256


def test_one_changed_label_changes_the_fingerprint(tmp_path: Path) -> None:
    path = toy(tmp_path / "toy.jsonl")
    before = build(tmp_path / "before", path)
    rows = [row for _, row in jsonl.read(path)]
    assert rows[3]["annotations"][0]["stance"] == "oppose"
    rows[3]["annotations"][0]["stance"] = "support"
    jsonl.write(path, rows)
    after = build(tmp_path / "after", path)
    assert after.sha256 != before.sha256
    assert Counter(after.rows) == Counter(before.rows)
    total = [sum((Counter(labels) for labels in m.labels.values()), Counter()) for m in (before, after)]
    assert total[1]["support"] - total[0]["support"] == 1


def test_the_card_tells_the_licence_the_counts_and_what_was_dropped(made: tuple[Path, Manifest]) -> None:
    path, manifest = made
    _, header, body = (path / "README.md").read_text("utf-8").split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["license"] == "cc-by-4.0"
    assert values["pretty_name"] == "stance-news"
    files = {entry["split"]: entry["path"] for entry in values["configs"][0]["data_files"]}
    assert files == {split: f"data/{split}.parquet" for split in SPLITS}
    for split in SPLITS:
        labels = " | ".join(str(manifest.labels[split][label]) for label in LABELS)
        assert f"| {split} | {manifest.articles[split]} | {manifest.rows[split]} | {labels} |" in body
    assert manifest.sha256 in body
    assert manifest.dropped
    for reason, count in manifest.dropped.items():
        assert f"* {count}: {reason}" in body


def test_a_name_with_yaml_in_it_leaves_the_card_readable(tmp_path: Path) -> None:
    name = 'news: "a # b" {c}'
    build(tmp_path / "out", toy(tmp_path / "toy.jsonl"), name=name)
    header = (tmp_path / "out" / "README.md").read_text("utf-8").split("---\n")[1]
    assert yaml.safe_load(header)["pretty_name"] == name


def test_no_text_of_a_corpus_is_markup_in_the_card(tmp_path: Path) -> None:
    path = toy(tmp_path / "toy.jsonl")
    row = json.loads(path.read_text("utf-8").splitlines()[0]) | {"id": "bad"}
    row["annotations"][0]["stance"] = "'\"<img src=x onerror=alert(1)>`[a](b)|# c"
    path.write_text(path.read_text("utf-8") + json.dumps(row) + "\n", "utf-8")
    corpus = CorpusConfig(name="n|<b>&", path=str(path), splits="none", licence="<u>[l](m)\n# x", max_dropped=1)
    builder.build([corpus], ExamplesConfig(), SplitConfig(), LeaksConfig(), output=tmp_path / "out")
    _, _, body = (tmp_path / "out" / "README.md").read_text("utf-8").split("---\n", 2)
    shown = body.partition("## Configuration")[0]
    assert "\n* n\\|&lt;b&gt;&amp;: jsonl, licence &lt;u&gt;\\[l\\](m) # x\n" in shown
    assert "&lt;img src=x onerror=alert(…)&gt;\\`\\[a\\](b)\\|# c'; expected one of" in shown


# What is refused on reading.


def test_an_altered_row_is_refused(small: Path) -> None:
    rewrite(small, "actor", ["Nobody"])
    with pytest.raises(StanceError, match=r"small: the rows are not those of manifest\.json \(sha256 differs\)"):
        dataset.load(small)


def test_a_label_that_does_not_exist_is_refused(small: Path) -> None:
    rewrite(small, "stance", [7])
    with pytest.raises(StanceError, match=r"test\.parquet: a row is no example"):
        dataset.load(small)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("stance", -3), ("stance", -1), ("weight", np.nan), ("weight", -np.inf), ("text", None), ("text", ""),
        ("actor", None), ("actor_span", [10**9, -5]), ("target_span", [1]), ("actor_span", [0, None]),
        ("labels", ["support", "loves"]), ("labels", None), ("tags", [None]), ("soft", [0.5, 0.5]),
    ],
)  # fmt: skip
def test_a_row_that_is_no_example_is_refused_with_its_place_whatever_the_manifest_says(
    small: Path, column: str, value: Any
) -> None:
    rewrite(small, column, [value])
    with pytest.raises(StanceError, match=rf"test\.parquet: a row is no example \(row 1: {column} .*; build the data"):
        dataset.load(small)


def test_a_text_that_is_no_utf_8_is_refused(small: Path) -> None:
    file = small / "data" / "test.parquet"
    table = pq.read_table(file)
    broken = pa.array([b"a", b"\xff\xfe"] + [b"a"] * (len(table) - 2)).cast(pa.string(), safe=False)
    pq.write_table(table.set_column(table.schema.get_field_index("actor"), "actor", broken), file)
    with pytest.raises(StanceError, match=r"test\.parquet: actor of a row is no text \(.*UTF8.* 1\); build"):
        dataset.load(small)


def test_a_row_without_a_label_is_refused(small: Path) -> None:
    rewrite(small, "stance", [None])
    with pytest.raises(StanceError, match=r"test\.parquet: a row is no example"):
        dataset.load(small)


def rewrite(path: Path, column: str, first: list[Any]) -> None:
    """Change the first value of a column of the test split."""
    file = path / "data" / "test.parquet"
    table = pq.read_table(file)
    index = table.schema.get_field_index(column)
    values = pa.array(first + table.column(column).to_pylist()[1:], table.schema.field(column).type)
    pq.write_table(table.set_column(index, table.schema.field(column), values), file)


def test_a_column_of_another_type_is_refused(small: Path) -> None:
    file = small / "data" / "test.parquet"
    table = pq.read_table(file)
    days = pa.array([0] * len(table), pa.date32())
    pq.write_table(table.set_column(table.schema.get_field_index("date"), "date", days), file)
    with pytest.raises(StanceError, match=r"test\.parquet: columns .*date: date32.*, expected .*date: string"):
        dataset.load(small)


def test_a_missing_column_is_refused(small: Path) -> None:
    file = small / "data" / "validation.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["weight"]), file)
    with pytest.raises(StanceError, match=r"validation\.parquet: columns .*, expected .*weight: double"):
        dataset.load(small)


def test_a_truncated_parquet_file_is_refused(small: Path) -> None:
    file = small / "data" / "train.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StanceError, match=r"train\.parquet: not a readable Parquet file"):
        dataset.load(small)


def test_a_missing_parquet_file_is_refused(small: Path) -> None:
    (small / "data" / "train.parquet").unlink()
    with pytest.raises(StanceError, match=r"train\.parquet: missing from the dataset"):
        dataset.load(small)


def test_a_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"manifest\.json: missing; expected a dataset written by scripts/build_d"):
        dataset.load(tmp_path)


def test_a_manifest_of_another_version_is_refused(small: Path) -> None:
    file = small / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format_version": 99, "a_new_field": 1}))
    with pytest.raises(StanceError, match=r"manifest\.json: format version 99, this stance reads 3; build it again"):
        dataset.load(small)


def test_a_file_that_is_no_dataset_manifest_is_refused(small: Path) -> None:
    (small / "manifest.json").write_text('{"name": "An app", "icons": []}')
    with pytest.raises(StanceError, match=r"manifest\.json: not a dataset manifest \(.*icons"):
        dataset.load(small)


@pytest.mark.parametrize("odd", [{"name": 5}, {"rows": None}, {"config": []}, {"unlabelled": "3"}])
def test_a_manifest_with_values_of_another_kind_is_refused(small: Path, odd: dict[str, Any]) -> None:
    file = small / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | odd))
    with pytest.raises(StanceError, match=rf"manifest\.json: not a dataset manifest \({next(iter(odd))} is "):
        dataset.load(small)


@pytest.mark.parametrize("odd", [{"rows": {"train": "x"}}, {"labels": {"train": {"oppose": None}}}])
def test_a_manifest_that_counts_no_numbers_is_refused(small: Path, odd: dict[str, Any]) -> None:
    values = json.loads((small / "manifest.json").read_text("utf-8")) | odd
    (small / "manifest.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(StanceError, match=rf"manifest\.json: not a dataset manifest \({next(iter(odd))} is "):
        dataset.load(small)


def test_a_broken_manifest_is_refused(small: Path) -> None:
    (small / "manifest.json").write_bytes((small / "manifest.json").read_bytes()[:50])
    with pytest.raises(StanceError, match=r"manifest\.json: not valid JSON \(.*\); build the dataset again"):
        dataset.load(small)


# What is refused on writing: nothing is overwritten, and nothing is left behind.


def test_a_split_that_would_miss_a_label_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = toy(tmp_path / "toy.jsonl", stances=("oppose", "support"))
    with pytest.raises(StanceError, match="the train split of 16 examples has none of neutral; give more articles"):
        build(tmp_path / "out", path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.stages", "toy.jsonl"]


def test_an_unreadable_article_leaves_the_earlier_dataset(small: Path) -> None:
    before = content(small)
    path = small.parent / "toy.jsonl"
    path.write_text(path.read_text("utf-8") + '{"id": "half"\n', "utf-8")
    with pytest.raises(StanceError, match=r"toy\.jsonl:13: broken JSON"):
        build(small, path)
    assert content(small) == before


def test_a_negative_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"corpora\.KEY\.limit=-1 of the corpus 'stance-news': expected 0 or more"):
        build(tmp_path / "out", toy(tmp_path / "toy.jsonl"), limit=-1)


def test_a_folder_with_foreign_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(StanceError, match=r"thesis: holds files but no manifest\.json, so it is no earlier output"):
        build(output, toy(tmp_path / "toy.jsonl"))
    assert [p.read_text() for p in output.iterdir()] == ["years of work"]


def test_a_folder_that_happens_to_hold_a_manifest_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "app"
    output.mkdir()
    (output / "manifest.json").write_text('{"name": "An app"}')
    (output / "index.html").write_text("<html>")
    with pytest.raises(StanceError, match=r"app: holds index\.html, which is no part of an earlier output"):
        build(output, toy(tmp_path / "toy.jsonl"))
    assert sorted(p.name for p in output.iterdir()) == ["index.html", "manifest.json"]


def test_notes_beside_an_earlier_dataset_are_not_deleted(small: Path) -> None:
    (small / "notes.txt").write_text("years of work")
    before = content(small)
    with pytest.raises(StanceError, match=r"small: holds notes\.txt, which is no part of an earlier output"):
        build(small, small.parent / "toy.jsonl")
    assert content(small) == before


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("years of work")
    with pytest.raises(StanceError, match="out is a file, no directory; choose another output"):
        build(tmp_path / "out" / "below", toy(tmp_path / "toy.jsonl"))
    with pytest.raises(StanceError, match="/: holds files but no manifest"):
        build(Path("/"), toy(tmp_path / "toy.jsonl"))
    with pytest.raises(StanceError, match="out: is a file; expected a directory to write to"):
        build(tmp_path / "out", toy(tmp_path / "toy.jsonl"))
    assert (tmp_path / "out").read_text() == "years of work"


def test_an_earlier_dataset_is_replaced(small: Path) -> None:
    earlier = content(small)
    manifest = build(small, toy(small.parent / "toy.jsonl", count=15))
    rows, found = dataset.load(small)
    assert found == manifest
    assert sum(found.articles.values()) == 15
    assert len({e.article_id for part in rows.values() for e in part}) == 15
    assert content(small).keys() == earlier.keys()
    assert sorted(p.name for p in small.parent.iterdir()) == ["small", "small.stages", "toy.jsonl"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    build(tmp_path / "out", toy(tmp_path / "toy.jsonl"))
    assert dataset.load(tmp_path / "out")[1].format_version == 3


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow over `limit` bytes; writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_build_that_crashes_midway_leaves_the_old_dataset_whole(small: Path) -> None:
    before = content(small)
    path = toy(small.parent / "toy.jsonl", count=40)
    with full_disk(6000), pytest.raises(OSError, match="too large"):
        build(small, path)
    assert content(small) == before
    dataset.load(small)
    assert sorted(p.name for p in small.parent.iterdir()) == ["small", "small.stages", "toy.jsonl"]


def test_a_process_killed_while_it_writes_leaves_the_old_directory_whole(tmp_path: Path) -> None:
    old = tmp_path / "out"
    old.mkdir()
    (old / "mark").write_text("old")
    code = (
        "import os, signal; from pathlib import Path; from stance.files import replace_directory\n"
        f"with replace_directory(Path({str(old)!r}), marker='mark') as folder:\n"
        "    (folder / 'mark').write_text('new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content(old).keys() == {"mark"}
    assert (old / "mark").read_text() == "old"
    with replace_directory(old, marker="mark") as folder:
        (folder / "mark").write_text("new")
    assert (old / "mark").read_text() == "new"


def test_outputs_have_the_rights_that_the_user_s_mask_leaves(tmp_path: Path) -> None:
    code = (
        "import os; os.umask(0o077); from pathlib import Path; from stance import files, jsonl\n"
        f"with files.replace_directory(Path({str(tmp_path / 'private')!r}), marker='mark') as folder:\n"
        "    files.write_text(folder / 'mark', '')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [(tmp_path / "private" / name).stat().st_mode & 0o777 for name in (".", "mark")] == [0o700, 0o600]


def test_a_link_stays_and_the_directory_that_it_points_at_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "large" / "disk").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "large" / "disk")
    for text in ("old", "new"):
        with replace_directory(tmp_path / "out", marker="mark") as folder:
            (folder / "mark").write_text(text)
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "large" / "disk" / "mark").read_text() == "new"
    (tmp_path / "large" / ".disk.0123cdef").mkdir()  # of a process that was killed
    remove_leftovers(tmp_path / "out")
    assert [path.name for path in (tmp_path / "large").iterdir()] == ["disk"]


def counted(rows: dict[str, list[Example]]) -> dict[str, Counter[str]]:
    return {split: Counter(e.stance.value for e in part) for split, part in rows.items()}


def test_a_split_that_is_empty_is_refused(made: tuple[Path, Manifest]) -> None:
    labels = counted(dataset.load(made[0])[0] | {"test": []})
    with pytest.raises(StanceError, match="the test split of 0 examples has none of oppose, neutral, support"):
        dataset.check_labels(labels, LABELS)
    dataset.check_labels(labels, LABELS, tested=False)


def test_a_label_missing_from_one_split_alone_is_refused(made: tuple[Path, Manifest]) -> None:
    rows, _ = dataset.load(made[0])
    dataset.check_labels(counted(rows), LABELS)
    kept = [e for e in rows["validation"] if e.stance != "support"]
    with pytest.raises(StanceError, match=rf"the validation split of {len(kept)} examples has none of support;"):
        dataset.check_labels(counted(rows | {"validation": kept}), LABELS)
    dataset.check_labels(counted(rows | {"validation": kept}), ["oppose", "neutral"])
