"""Two versions of a dataset: every kind of difference, bounded reading, the script and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import script
from stance.building import versions
from stance.errors import StanceError

SPLITS = ("train", "validation", "test")
LABELS = ("oppose", "neutral", "support")


def row(name: str, stance: str = "support", **changes: Any) -> dict[str, Any]:
    values = {
        "id": name, "text": f"Iran praised plan {name}.", "actor": "Iran", "target": "plan", "actor_span": [0, 4],
        "target_span": None, "stance": LABELS.index(stance), "article_id": "a", "corpus": "c", "date": "",
        "provenance": "gold", "weight": 1.0, "tags": ["passive"],
    }  # fmt: skip
    return values | changes


def write(path: Path, train: list[dict[str, Any]], *, schema: pa.Schema | None = None, **others: Any) -> Path:
    (path / "data").mkdir(parents=True)
    for split in SPLITS:
        rows = train if split == "train" else others.get(split, [row(f"{split}-1")])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path / "data" / f"{split}.parquet")
    (path / "manifest.json").write_text(json.dumps({"name": path.name, "sha256": path.name * 32}))
    return path


def compared(tmp_path: Path, a: list[dict[str, Any]], b: list[dict[str, Any]], **others: Any) -> versions.Difference:
    return versions.compare(write(tmp_path / "a", a), write(tmp_path / "b", b, **others))


def test_equal_rows_are_the_same_in_whatever_order(tmp_path: Path) -> None:
    found = compared(tmp_path, [row("1"), row("2")], [row("2"), row("1")])
    assert found.same
    assert found.counts() == {
        "unchanged": 4, "added": 0, "removed": 0, "relabelled": 0, "moved": 0, "changed": 0,
    }  # fmt: skip
    assert found.examples == []


def test_added_and_removed_rows_are_told_by_split_and_label(tmp_path: Path) -> None:
    found = compared(tmp_path, [row("1"), row("2", "oppose")], [row("1"), row("3", "neutral"), row("4", "neutral")])
    assert found.added == {"train": {"neutral": ["3", "4"]}}
    assert found.removed == {"train": {"oppose": ["2"]}}
    assert not found.same
    assert (found.a.rows["train"], found.b.rows["train"]) == ({"oppose": 1, "support": 1}, {"neutral": 2, "support": 1})
    added, removed = found.examples
    assert (added["kind"], added["a"], added["b"]["text"]) == ("added, train", None, "Iran praised plan 3.")
    assert (removed["kind"], removed["b"], removed["a"]["stance"]) == ("removed, train", None, "oppose")


def test_a_row_may_be_relabelled_and_moved_at_once(tmp_path: Path) -> None:
    found = compared(tmp_path, [row("1"), row("2")], [row("1", "oppose")], test=[row("test-1"), row("2", "neutral")])
    assert found.relabelled == {"support → oppose": ["1"], "support → neutral": ["2"]}
    assert found.moved == {"train → test": ["2"]}
    assert found.changed == {}
    assert found.counts() == {
        "unchanged": 2, "added": 0, "removed": 0, "relabelled": 2, "moved": 1, "changed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"text": "Iran praised it."}, "text"),
        ({"actor": "Tehran"}, "names"),
        ({"actor_span": [0, 3]}, "names"),
        ({"target_span": [13, 17]}, "names"),
        ({"weight": 0.5}, "other"),
        ({"tags": []}, "other"),
        ({"provenance": "weak"}, "other"),
    ],
)
def test_other_changes_are_told_by_what_changed(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    schema = pa.Table.from_pylist([row("1", target_span=[1, 2])]).schema
    a = write(tmp_path / "a", [row("1"), row("2")], schema=schema)
    b = write(tmp_path / "b", [row("1", **change), row("2")], schema=schema)
    found = versions.compare(a, b)
    assert found.changed == {kind: ["1"]}
    assert (found.relabelled, found.moved) == ({}, {})
    assert found.counts()["unchanged"] == 3


def test_the_report_swaps_when_the_versions_do(tmp_path: Path) -> None:
    a = write(tmp_path / "a", [row("1"), row("2"), row("5", "oppose")])
    b = write(tmp_path / "b", [row("2", "oppose"), row("3"), row("5", "oppose", text="x")])
    there, back = versions.compare(a, b), versions.compare(b, a)
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)
    assert (there.relabelled, back.relabelled) == ({"support → oppose": ["2"]}, {"oppose → support": ["2"]})
    assert there.to_json()["counts"] == {
        "unchanged": 2, "added": 1, "removed": 1, "relabelled": 1, "moved": 0, "changed": 1,
    }  # fmt: skip


def test_columns_of_one_version_only_are_named_and_not_compared(tmp_path: Path) -> None:
    new = {"soft": [0.5, 0.0, 0.5], "labels": ["oppose", "support"]}
    found = compared(tmp_path, [row("1")], [row("1", **new)], validation=[row("validation-1", **new)],
                     test=[row("test-1", **new)])  # fmt: skip
    assert (found.a.only_columns, found.b.only_columns) == ([], ["labels", "soft"])
    assert found.counts()["unchanged"] == 3
    assert not found.same


def test_columns_that_both_have_are_compared_whatever_they_are_called(tmp_path: Path) -> None:
    a = write(tmp_path / "a", [row("1", soft=[0.5, 0.0, 0.5])], validation=[row("v", soft=[1.0])],
              test=[row("t", soft=[1.0])])  # fmt: skip
    b = write(tmp_path / "b", [row("1", soft=[0.4, 0.0, 0.6])], validation=[row("v", soft=[1.0])],
              test=[row("t", soft=[1.0])])  # fmt: skip
    assert versions.compare(a, b).changed == {"other": ["1"]}


def test_rows_in_several_batches_and_files_of_other_row_groups_are_the_same(tmp_path: Path) -> None:
    rows = [row(str(n)) for n in range(2 * versions.BATCH + 5)]
    a, b = write(tmp_path / "a", rows), write(tmp_path / "b", [*rows[:-1], row(rows[-1]["id"], "oppose")])
    pq.write_table(pa.Table.from_pylist(rows), a / "data" / "train.parquet", row_group_size=1000)
    found = versions.compare(a, b)
    assert found.relabelled == {"support → oppose": [rows[-1]["id"]]}
    assert found.counts()["unchanged"] == len(rows) + 1


def test_every_group_of_differences_has_a_few_examples(tmp_path: Path) -> None:
    rows = [row(str(n), text="x" * 5000) for n in range(20)]
    found = compared(tmp_path, rows, [row(r["id"], "oppose", text="y") for r in rows])
    kinds = [example["kind"] for example in found.examples]
    assert kinds == ["relabelled, support → oppose"] * 3 + ["changed, text"] * 3
    assert len(found.examples[0]["a"]["text"]) == versions.EXAMPLE_CHARACTERS


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good", [row("1")])
    with pytest.raises(StanceError, match=r"none: no dataset \(manifest.json and data/\*.parquet\)"):
        versions.compare(good, tmp_path / "none")
    twice = write(tmp_path / "twice", [row("1")], test=[row("1")])
    with pytest.raises(StanceError, match=r"twice: the id '1' stands 2 times, so rows can't be told apart"):
        versions.compare(twice, good)
    bare = write(tmp_path / "bare", [{"name": "1"}])
    with pytest.raises(StanceError, match=r"train\.parquet: no column '(id|stance)'; found name"):
        versions.compare(good, bare)
    numbered = write(tmp_path / "numbered", [row(7)])  # type: ignore[arg-type]
    with pytest.raises(StanceError, match="a row of the train split has an id that is no text, 7; build"):
        versions.compare(good, numbered)
    with pytest.raises(StanceError, match="a row of the train split has no id"):
        versions.compare(good, write(tmp_path / "null", [row("1") | {"id": None}, row("2")]))
    (good / "data" / "test.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StanceError, match=r"test\.parquet: not a readable Parquet file"):
        versions.compare(good, twice)


def test_a_broken_manifest_is_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", [row("1")]), write(tmp_path / "b", [row("1")])
    cases = {"{": "not valid JSON", "[]": "expected a JSON object, found list", "{}": "not a dataset manifest"}
    for text, message in (cases | {'{"name": "x"}': "not a dataset manifest"}).items():
        (b / "manifest.json").write_text(text)
        with pytest.raises(StanceError, match=rf"b/manifest\.json: {message}.*; build the dataset again"):
            versions.compare(a, b)


def test_the_script_ends_with_0_1_or_2_and_writes_all_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a", [row("1"), row("2")])
    b = write(tmp_path / "b", [row("1", "oppose"), row("3", **{"actor": "Oman"})])
    main, report = script("diff_datasets").main, tmp_path / "report.json"
    assert main([str(a), str(a)]) == 0
    assert "the same rows" in capsys.readouterr().out
    assert main([str(a), str(b), "--output", str(report)]) == 1
    printed = capsys.readouterr().out
    for part in ("train       support          2         1        -1", "relabelled: support → oppose 1",
                 "a  train, support: Iran → plan: Iran praised plan 1.", "b  train, support: Oman → plan"):  # fmt: skip
        assert part in printed
    written = json.loads(report.read_text())
    assert written["added"] == {"train": {"support": ["3"]}}
    assert written["relabelled"] == {"support → oppose": ["1"]}
    assert not written["same"]
    assert main([str(a), str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    long = "Iran praised the plan. " * 9
    c, d = (write(tmp_path / name, [row("1", text=long + end)]) for name, end in (("c", "Never."), ("d", "At once.")))
    assert main([str(c), str(d)]) == 1
    assert "…raised the plan. Iran praised the plan. At once." in capsys.readouterr().out
    e, f = (write(tmp_path / name, [row("1", text=text)]) for name, text in (("e", long), ("f", long + "Why?")))
    assert main([str(e), str(f)]) == 1
    assert "praised the plan. Why?\n" in capsys.readouterr().out, "one text is the beginning of the other"
    g = write(tmp_path / "g", [row("1", text=long, target_span=[17, 21])])
    assert main([str(e), str(g)]) == 1
    printed = capsys.readouterr().out
    assert "; target_span None" in printed
    assert "; target_span [17, 21]" in printed
    odd = write(tmp_path / "odd", [row("1", text="\x1b[31mred \u202edrow") | {"stance": "\x1b[31mfor"}])
    assert main([str(a), str(odd)]) == 1
    assert not set("\x1b\u202e") & set(capsys.readouterr().out)
    before = (b / "manifest.json").read_bytes()
    assert main([str(a), str(b), "--output", str(b / "manifest.json")]) == 2
    assert "is read as part of" in capsys.readouterr().err
    assert (b / "manifest.json").read_bytes() == before
    with pytest.raises(SystemExit, match="2"):
        main([str(a)])
