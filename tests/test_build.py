"""Building from several corpora: leaks found and dropped, names never seen, mixtures, stages that are taken again."""

import errno
import json
import os
import signal
import subprocess
import sys
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance import corpora, jsonl
from stance.building import build, dataset, division, duplicates, leaks, ledger, stages
from stance.building.splits import SPLITS
from stance.errors import StanceError, no_room
from stance.records import PARTIAL, Article, Example, folded
from stance.settings.building import CorpusConfig, ExamplesConfig, LeaksConfig, SplitConfig

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = Path(os.environ.get("STANCE_PUBLIC_CORPORA", ROOT.parent / "shared" / "corpora"))
real = pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public corpora here; STANCE_PUBLIC_CORPORA says where")
VERBS = {"oppose": "rejected", "neutral": "discussed", "support": "praised"}


def sentence(number: int, stance: str, *, tail: str = "") -> str:
    """A sentence that shares no five words in a row with that of another number."""
    words = " ".join(f"w{number}x{i}" for i in range(8))
    return f"Town{number} {VERBS[stance]} project{number} while {words}{tail}."


def row(number: int, stance: str, name: str = "", split: str = "", **fields: Any) -> dict[str, Any]:
    text = fields.pop("text", "") or sentence(number, stance)
    note = {"actor": {"name": f"Town{number}"}, "target": {"name": f"project{number}"}, "stance": stance}
    note |= fields.pop("note", {})
    return {
        "id": name or f"a{number}", "text": text, "split": split, **fields,
        "annotations": [note | {"evidence": [[0, len(text)]]}],
    }  # fmt: skip


def corpus(path: Path, rows: list[dict[str, Any]], **settings: Any) -> CorpusConfig:
    jsonl.write(path, rows)
    return CorpusConfig(**{"name": path.stem, "path": str(path), "splits": "official", **settings})


def plain(count: int = 30, start: int = 0, stances: tuple[str, ...] = tuple(VERBS)) -> list[dict[str, Any]]:
    """Articles that share nothing, two thirds of them for training."""
    parts = ("train", "train", "train", "train", "validation", "test")
    size = len(stances)
    return [row(n, stances[n % size], split=parts[n // size % 6]) for n in range(start, start + count)]


def kept(work: Path) -> list[Path]:
    """The stages of a build."""
    return [path for path in work.iterdir() if path.name != ".lock"]


def made(
    output: Path,
    *sources: CorpusConfig,
    split: SplitConfig | None = None,
    leaks: LeaksConfig | None = None,
) -> dict[str, list[Example]]:
    config = ExamplesConfig(context=0, neutral_ratio=0)
    build.build(sources, config, split or SplitConfig(), leaks or LeaksConfig(), output=output)
    return dataset.load(output)[0]


def ids(rows: dict[str, list[Example]]) -> dict[str, set[str]]:
    return {split: {example.article_id for example in part} for split, part in rows.items()}


def report(output: Path) -> dict[tuple[str, str, str], tuple[int, int]]:
    found = json.loads((output / "leaks.json").read_text("utf-8"))["before"]
    return {(n["split"], n["of"], n["kind"]): (n["rows"], n["articles"]) for n in found}


# Leaks.


def leaky(tmp_path: Path) -> CorpusConfig:
    copied, near = sentence(24, "oppose"), sentence(25, "neutral", tail=" indeed")
    extra = [
        row(24, "oppose", "copy", "train"),
        row(24, "support", "relabelled", "train", text=copied),
        row(25, "neutral", "near", "train", text=near),
        row(26, "support", "pair", "train", text="Town26 praised project26 on quite another day of that year."),
        row(24, "oppose", "in-test", "test", text=copied),
    ]
    rows = [r | {"split": "validation"} if r["id"] in ("a24", "a25", "a26") else r for r in plain()]
    return corpus(tmp_path / "leaky.jsonl", [*rows, *extra])


def test_every_kind_of_leak_is_counted_and_none_is_left(tmp_path: Path) -> None:
    rows = made(tmp_path / "out", leaky(tmp_path))
    found = report(tmp_path / "out")
    assert {kind: found["validation", "train", kind][0] for kind in ("row", "question", "text", "near", "pair")} == {
        "row": 1, "question": 1, "text": 1, "near": 2, "pair": 3,
    }  # fmt: skip
    assert found["test", "train", "row"] == (1, 1)
    assert found["test", "validation", "row"] == (1, 1)
    assert not ids(rows)["train"] & {"copy", "relabelled", "near"}
    assert "pair" in ids(rows)["train"], "another text about the same pair is no leak"
    assert "a24" not in ids(rows)["validation"], "validation gives way to test"
    assert "in-test" in ids(rows)["test"]
    after = json.loads((tmp_path / "out" / "leaks.json").read_text("utf-8"))["after"]
    assert sum(n["rows"] for n in after if n["kind"] in ("text", "near", "article")) == 0
    reasons = Counter(r["reason"] for _, r in jsonl.read(tmp_path / "out" / "dropped.jsonl"))
    assert reasons == {"repeats a text of the test split": 3, "repeats a text of the validation split": 1}


def test_keep_only_reports_and_names_the_clean_rows(tmp_path: Path) -> None:
    rows = made(tmp_path / "out", leaky(tmp_path), leaks=LeaksConfig(action="keep"))
    assert {"copy", "relabelled", "near"} <= ids(rows)["train"]
    clean = {r["id"].rpartition("-")[0] for _, r in jsonl.read(tmp_path / "out" / "clean.jsonl")}
    judged = ids(rows)["validation"] | ids(rows)["test"]
    assert judged - clean == {"a24", "a25", "in-test"}


def test_the_report_and_the_clean_rows_are_of_what_a_cap_leaves(tmp_path: Path) -> None:
    source = replace(leaky(tmp_path), cap=12)
    rows = made(tmp_path / "out", source, leaks=LeaksConfig(action="keep"))
    assert len(rows["train"]) == 12
    learned = {example.text for example in rows["train"]}
    repeated = {split: sum(e.text in learned for e in rows[split]) for split in SPLITS[1:]}
    after = json.loads((tmp_path / "out" / "leaks.json").read_text("utf-8"))["after"]
    found = {n["split"]: n["rows"] for n in after if n["kind"] == "text" and n["of"] == "train"}
    assert found == repeated
    clean = {r["id"] for _, r in jsonl.read(tmp_path / "out" / "clean.jsonl")}
    nearly = {text.replace(" indeed", "") for text in learned}
    assert {e.id for split in SPLITS[1:] for e in rows[split] if e.text not in nearly} == clean


def test_card_and_page_tell_what_is_left_of_the_leaks_and_what_was_found(tmp_path: Path) -> None:
    for action, twice in (("drop", True), ("keep", False)):
        made(tmp_path / action, leaky(tmp_path), leaks=LeaksConfig(action=action))
        card, page = ((tmp_path / action / name).read_text("utf-8") for name in ("README.md", "page.html"))
        for text in (card, page):
            left, _, found = text.partition("What was found before rows were dropped for it")
            assert "left in this dataset" in left
            assert bool(found) == twice
        row = "| validation | train | the same or nearly the same text | {} |"
        left, _, found = card.partition("What was found before")
        assert row.format("0 | 0.0%" if twice else "2 | 33.3%") in left
        assert (row.format("2 | 33.3%") in found) == twice


def test_fail_stops_the_build_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"1 of \d+ validation rows have same text as train.*leaks\.action=fail"):
        made(tmp_path / "out", leaky(tmp_path), leaks=LeaksConfig(action="fail"))
    assert not (tmp_path / "out").exists()


def test_training_rows_that_repeat_each_other_are_dropped_unless_kept(tmp_path: Path) -> None:
    again = [row(0, "oppose", f"again{n}", "train") for n in range(3)]
    source = corpus(tmp_path / "c.jsonl", [*plain(), *again])
    assert len({"a0", "again0", "again1", "again2"} & ids(made(tmp_path / "out", source))["train"]) == 1
    kept = made(tmp_path / "out", source, leaks=LeaksConfig(repeated="keep"))
    assert {"a0", "again0", "again1", "again2"} <= ids(kept)["train"]


def test_official_splits_may_have_the_names_that_tables_have(tmp_path: Path) -> None:
    others = {"train": "Train", "validation": "dev", "test": "TEST"}
    renamed = [row | {"split": others[str(row["split"])]} for row in plain()]
    one, two = (corpus(tmp_path / f"{n}.jsonl", rows, splits="official") for n, rows in enumerate((plain(), renamed)))
    assert ids(made(tmp_path / "out", two)) == ids(made(tmp_path / "other", one))


def test_official_splits_that_nobody_knows_are_refused_by_name(tmp_path: Path) -> None:
    rows = [row | {"split": f"{row['split']}-a"} for row in plain()]
    with pytest.raises(StanceError, match=r"c\.jsonl:\d+: \d+ articles of the corpus 'c' name the split 'train-a'"):
        made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows))


def test_a_split_that_is_named_and_not_kept_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = plain(180)
    for kept, told in (("auto", True), ("none", False), ("official", False)):
        made(tmp_path / kept, corpus(tmp_path / f"{kept}.jsonl", rows, splits=kept))
        said = "180 articles name a split, which is not kept; corpora.KEY.splits=official keeps it"
        assert (said in capsys.readouterr().err) == told


def test_an_empty_fixed_split_is_told_as_such(tmp_path: Path) -> None:
    names = [str(one["id"]) for one in plain()]
    source = corpus(tmp_path / "c.jsonl", plain(), splits="auto")
    jsonl.write_json(tmp_path / "splits.json", {"train": names[1:], "validation": names[:1], "test": []})
    with pytest.raises(StanceError, match=r"test split would be empty: the 30 articles have fixed splits, of splits\."):
        made(tmp_path / "out", source)


def test_without_official_splits_near_duplicates_never_leak(tmp_path: Path) -> None:
    stances = list(VERBS) * 40
    rows = [row(n, stance) for n, stance in enumerate(stances)]
    copies = [row(n, s, f"copy{n}", text=sentence(n, s, tail=" too")) for n, s in enumerate(stances)]
    output = tmp_path / "out"
    made(output, corpus(tmp_path / "c.jsonl", [*rows, *copies], splits="none"), leaks=LeaksConfig(action="fail"))
    assert all(counts == (0, 0) for (_, _, kind), counts in report(output).items() if kind != "pair")


@pytest.mark.slow
@real
def test_in_dse_as_published_the_392_leaked_validation_rows_are_found(tmp_path: Path) -> None:
    source = CorpusConfig(name="dse", format="dse", path=str(PUBLIC / "dse"), splits="official")
    rows = made(tmp_path / "out", source)
    assert report(tmp_path / "out")["validation", "train", "row"] == (784, 392)
    assert len(ids(rows)["validation"]) == 1461
    assert not {e.text for e in rows["validation"]} & {e.text for e in rows["train"]}


# Splits of rows.


@pytest.mark.parametrize("by", ["actor", "target"])
def test_zero_shot_no_name_of_the_test_is_ever_trained_on(tmp_path: Path, by: str) -> None:
    rows = [row(n, list(VERBS)[n % 3], note={by: {"name": f"The Name{n % 25}"}}) for n in range(90)]
    other = {"actor": "target", "target": "actor"}[by]
    rows += [row(n, list(VERBS)[n % 3], note={other: {"name": f"Name{n % 25}"}}) for n in range(90, 180)]
    got = made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows, splits="none"), split=SplitConfig(by=by))
    names = {split: {folded(getattr(e, by)) for e in part} for split, part in got.items()}
    either = {split: {folded(name) for e in part for name in (e.actor, e.target)} for split, part in got.items()}
    assert not names["test"] & (either["train"] | either["validation"])
    assert not names["validation"] & either["train"]
    assert manifest_drops(tmp_path / "out", f"it has {'an' if by == 'actor' else 'a'} {by} of the test split") > 0


def manifest_drops(output: Path, reason: str) -> int:
    return dataset.read_manifest(output).dropped.get(reason, 0)


def test_weak_labels_never_enter_validation_or_test(tmp_path: Path) -> None:
    weak = {"provenance": "weak", "weight": 0.5}
    rows = plain(60) + [row(n, "support", split=SPLITS[n % 3], note=weak) for n in range(100, 130)]
    got = made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows))
    found = {split: [e for e in part if e.provenance == "weak"] for split, part in got.items()}
    assert {split: len(part) for split, part in found.items()} == {"train": 10, "validation": 0, "test": 0}
    assert {e.weight for e in found["train"]} == {0.5}
    assert manifest_drops(tmp_path / "out", build.WEAK) == 20


# Questions without a label.


def asking(output: Path, *sources: CorpusConfig, **settings: Any) -> dict[str, list[Example]]:
    config = ExamplesConfig(context=0, neutral_ratio=0, unlabelled=4)
    split, found = settings.pop("split", SplitConfig()), settings.pop("leaks", LeaksConfig())
    build.build(sources, config, split, found, output=output)
    return dataset.load(output)[0]


def two(number: int, stance: str, split: str, **fields: Any) -> dict[str, Any]:
    """An article of a labelled sentence and one without a label."""
    made = row(number, stance, split=split, **fields)
    more = " ".join(f"v{number}x{i}" for i in range(8))
    return made | {"text": f"{made['text']} Later {more} came to Town{number}."}


def doubled() -> list[dict[str, Any]]:
    return [two(n, r["annotations"][0]["stance"], r["split"]) for n, r in enumerate(plain())]


def test_questions_without_a_label_are_of_training_articles_and_change_no_label(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", doubled())
    rows = asking(tmp_path / "out", source)
    labelled = made(tmp_path / "plain", source)
    assert {split: rows[split] for split in SPLITS} == labelled
    asked = rows["unlabelled"]
    assert {e.article_id for e in asked} == {e.article_id for e in rows["train"]}
    assert {e.provenance for e in asked} == {"unlabelled"}
    known = {(e.text, e.actor, e.target) for part in labelled.values() for e in part}
    questions = [(e.text, e.actor, e.target) for e in asked]
    assert len(set(questions)) == len(questions) == 24 * 3  # two sentences, both ways, but for what has a label
    assert not known & set(questions)
    manifest, before = (dataset.read_manifest(tmp_path / name) for name in ("out", "plain"))
    assert manifest.unlabelled == len(asked)
    assert (manifest.rows, manifest.labels, manifest.dropped) == (before.rows, before.labels, before.dropped)
    assert manifest.sha256 != before.sha256, "a training with them is another one"
    assert (before.unlabelled, sorted(p.stem for p in (tmp_path / "plain" / "data").iterdir())) == (0, sorted(SPLITS))


def test_questions_without_a_label_have_no_class_for_the_datasets_library(tmp_path: Path) -> None:
    asking(tmp_path / "out", corpus(tmp_path / "c.jsonl", doubled()))
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(found) == {*SPLITS, "unlabelled"}
    assert set(found["unlabelled"]["stance"]) == {-1}
    assert set(found["train"]["stance"]) == {0, 1, 2}
    assert "Nobody has answered them" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_an_altered_question_is_noticed(tmp_path: Path) -> None:
    asking(tmp_path / "out", corpus(tmp_path / "c.jsonl", doubled()))
    file = tmp_path / "out" / "data" / "unlabelled.parquet"
    pq.write_table(pq.read_table(file)[1:], file)
    with pytest.raises(StanceError, match="a file was altered; build it again"):
        dataset.load(tmp_path / "out")


def test_no_question_without_a_label_repeats_a_held_out_text(tmp_path: Path) -> None:
    rows = doubled()
    held = next(r for r in rows if r["split"] == "test")
    other = " ".join(f"Peru met Chile in Lima{n} on o{n}x0 o{n}x1 o{n}x2 o{n}x3 o{n}x4." for n in range(9))
    copied = {"id": "copy", "text": f"{held['text']} {other}", "split": "train", "annotations": []}
    note = row(0, "support", text=held["text"])["annotations"][0] | {
        "evidence": [[len(held["text"]) + 1, len(copied["text"])]]
    }
    source = corpus(tmp_path / "c.jsonl", [*rows, copied | {"annotations": [note]}])
    got = asking(tmp_path / "out", source)
    tested = {e.text for e in got["test"]}
    assert not tested & {e.text for e in got["unlabelled"]}
    assert "copy" in {e.article_id for e in got["unlabelled"]}, "its other sentences are asked about"
    leaks = {
        (n["split"], n["of"], n["kind"]): n["rows"]
        for n in json.loads((tmp_path / "out" / "leaks.json").read_text())["before"]
    }
    assert leaks["test", "unlabelled", "text"] == 1
    with pytest.raises(StanceError, match=r"1 of \d+ test rows have same text as unlabelled"):
        asking(tmp_path / "fail", source, leaks=LeaksConfig(action="fail"))
    kept = asking(tmp_path / "keep", source, leaks=LeaksConfig(action="keep"))
    assert tested & {e.text for e in kept["unlabelled"]}
    clean = {r["id"] for _, r in jsonl.read(tmp_path / "keep" / "clean.jsonl")}
    assert {e.id for e in kept["test"]} - clean == {e.id for e in kept["test"] if e.article_id == held["id"]}


def test_nothing_is_asked_about_a_raw_copy_of_a_held_out_article(tmp_path: Path) -> None:
    rows = [two(n, list(VERBS)[n % 3], "") for n in range(60)]
    raw = [{"id": f"raw{n}", "text": f"{r['text']} (Agencies)", "annotations": []} for n, r in enumerate(rows)]
    source = corpus(tmp_path / "c.jsonl", rows, splits="none")
    config = ExamplesConfig(context=1, alone=0.5, neutral_ratio=0, unlabelled=4)
    copies = corpus(tmp_path / "raw.jsonl", raw, splits="none")
    build.build([source, copies], config, SplitConfig(seed=2), LeaksConfig(), output=tmp_path / "out")
    got = dataset.load(tmp_path / "out")[0]
    held = {e.article_id.removeprefix("c/a") for e in (*got["test"], *got["validation"])}
    asked = {e.article_id.removeprefix("raw/raw") for e in got["unlabelled"] if e.corpus == "raw"}
    assert len(held) == 18
    assert asked
    assert not held & asked
    assert not [e.text for e in got["unlabelled"] if any(one.text in e.text for one in got["test"])]


def test_a_raw_corpus_with_one_unreadable_page_in_many_is_built(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for n in range(120):
        (folder / f"p{n}.txt").write_text(
            f"Peru met Chile in town{n} on the u{n}x1 u{n}x2 u{n}x3 u{n}x4 u{n}x5 u{n}x6."
        )
    (folder / "empty.txt").write_text("")
    web = CorpusConfig(name="web", format="web", path=str(folder))
    got = asking(tmp_path / "out", corpus(tmp_path / "c.jsonl", plain()), web)
    assert len({e.article_id for e in got["unlabelled"] if e.corpus == "web"}) == 120
    with pytest.raises(StanceError, match=r"1 of 121 rows can't be used"):
        asking(tmp_path / "no", corpus(tmp_path / "c.jsonl", plain()), replace(web, max_dropped=0.001))


def test_a_corpus_that_loses_all_its_labels_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    lost = [two(n, "support", "train") for n in range(100, 110)]
    for one in lost:
        one["annotations"] += [note | {"stance": "oppose"} for note in one["annotations"]]
    with pytest.raises(StanceError, match="no row can be made of its 10 articles"):
        asking(tmp_path / "out", corpus(tmp_path / "c.jsonl", plain()), corpus(tmp_path / "lost.jsonl", lost))


def test_zero_shot_no_name_of_the_test_is_asked_about_without_a_label(tmp_path: Path) -> None:
    rows = [two(n, list(VERBS)[n % 3], "", note={"target": {"name": f"The Name{n % 25}"}}) for n in range(90)]
    got = asking(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows, splits="none"), split=SplitConfig(by="target"))
    held = {e.target.casefold() for e in (*got["test"], *got["validation"])}
    assert got["unlabelled"]
    assert not held & {e.target.casefold() for e in got["unlabelled"]}


def test_a_cap_and_the_share_of_unusable_rows_count_labels_alone(tmp_path: Path) -> None:
    polar = ("oppose", "support")
    two_way = corpus(tmp_path / "two.jsonl", plain(60, 100, polar), cap=7, label_set=["support", "oppose"], weight=0.5)
    got = asking(tmp_path / "out", corpus(tmp_path / "one.jsonl", doubled()), two_way)
    assert len([e for e in got["train"] if e.corpus == "two"]) == 7
    mine = [e for e in got["unlabelled"] if e.corpus == "two"]
    assert len({e.article_id for e in mine}) == 40, "of all training articles"
    assert {(e.weight, e.labels) for e in mine} == {(0.5, polar)}
    bad = [{"id": f"bad{n}", "text": "Town1 met Town2.", "annotations": [{"actor": {}}]} for n in range(8)]
    with pytest.raises(StanceError, match=r"8 of 38 rows can't be used"):
        asking(tmp_path / "bad", corpus(tmp_path / "bad.jsonl", [*doubled(), *bad], max_dropped=0.2))


def test_questions_without_a_label_change_no_division(tmp_path: Path) -> None:
    bare = [
        {"id": f"bare{n}", "text": f"{sentence(n, 'support')} Peru met Chile.", "annotations": []}
        for n in range(120, 150)
    ]
    source = corpus(tmp_path / "c.jsonl", [*plain(120), *bare], splits="none")
    rows = asking(tmp_path / "out", source)
    assert {split: rows[split] for split in SPLITS} == made(tmp_path / "plain", source)
    assert 0 < len({e.article_id for e in rows["unlabelled"] if e.article_id.startswith("bare")}) < 30


def test_articles_that_nobody_annotated_are_all_for_training(tmp_path: Path) -> None:
    raw = [
        {"id": f"raw{n}", "text": f"Peru met Chile in town{n} on the u{n}x1 u{n}x2 u{n}x3 u{n}x4.", "annotations": []}
        for n in range(12)
    ]
    got = asking(
        tmp_path / "out",
        corpus(tmp_path / "c.jsonl", plain(90), splits="none"),
        corpus(tmp_path / "raw.jsonl", raw, splits="none"),
    )
    mine = [e for e in got["unlabelled"] if e.corpus == "raw"]
    assert {e.article_id for e in mine} == {f"raw/raw{n}" for n in range(12)}
    assert {(e.actor, e.target) for e in mine} >= {("Peru", "Chile"), ("Chile", "Peru")}


# Mixtures.


def test_a_mixture_has_weights_caps_and_label_sets(tmp_path: Path) -> None:
    one = corpus(tmp_path / "one.jsonl", plain(36), weight=0.5)
    polar = ("oppose", "support")
    two = corpus(tmp_path / "two.jsonl", plain(60, 100, polar), cap=7, label_set=["support", "oppose"])
    got = made(tmp_path / "out", one, two)
    mine = {split: [e for e in part if e.corpus == "two"] for split, part in got.items()}
    assert len(mine["train"]) == 7
    assert {e.labels for part in mine.values() for e in part} == {polar}
    assert {e.weight for e in got["train"] if e.corpus == "one"} == {0.5}
    assert all(e.article_id.startswith(f"{e.corpus}/") for part in got.values() for e in part)
    manifest = dataset.read_manifest(tmp_path / "out")
    assert manifest.name == "one+two"
    assert manifest.corpora["train"] == {"one": 24, "two": 7}
    assert manifest.dropped[leaks.CAPPED] > 0
    assert made(tmp_path / "again", one, two) == got


def test_a_cap_takes_whole_articles_but_for_one_whose_rows_are_tagged(tmp_path: Path) -> None:
    rows = plain(60)
    for number, one in enumerate(rows):
        (note,) = one["annotations"]
        one["annotations"] += [note | {"actor": {"name": f"{who}{number}"}} for who in ("Village", "Parish")]
    train = made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows, cap=20))["train"]
    counts = Counter(example.article_id for example in train)
    assert sorted(counts.values()) == [2, *[3] * 6]
    assert {e.article_id for e in train if PARTIAL in e.tags} == {name for name, n in counts.items() if n == 2}


def test_rows_over_a_cap_take_the_place_of_none(tmp_path: Path) -> None:
    weak = [row(n, list(VERBS)[n % 3], split="train", note={"provenance": "weak"}) for n in range(30)]
    gold = corpus(tmp_path / "g.jsonl", doubled(), cap=5)
    got = asking(tmp_path / "out", gold, corpus(tmp_path / "w.jsonl", weak))
    assert Counter(e.provenance for e in got["train"]) == {"gold": 5, "weak": 24 - 5}
    turned = [
        two(n, list(VERBS)[n % 3], r["split"], note={"actor": {"name": f"project{n}"}, "target": {"name": f"Town{n}"}})
        for n, r in enumerate(plain())
    ]
    rows = asking(tmp_path / "asked", gold, corpus(tmp_path / "t.jsonl", turned))
    learned = {e.text for e in rows["train"] if e.corpus == "g"}
    asked = {e.text for e in rows["unlabelled"] if e.actor.startswith("Town") and e.text.startswith("Town")}
    assert (len(learned), len(asked)) == (5, 24 - 5), "what a row over the cap answers is asked without its label"
    assert not learned & asked


def test_a_cap_counts_neither_leaks_nor_what_repeats_rows_of_its_corpus(tmp_path: Path) -> None:
    held = [r for r in plain(60) if r["split"] != "train"]
    copies = [r | {"id": f"copy-{r['id']}", "split": "train"} for r in held]
    again = [r | {"id": f"again-{r['id']}"} for r in plain(60) if r["split"] == "train"]
    trained = len(again)
    for cap in (trained, 10):
        source = corpus(tmp_path / "c.jsonl", [*copies, *plain(60), *again], cap=cap)
        got = made(tmp_path / f"out{cap}", source)
        assert len({e.text for e in got["train"]}) == len(got["train"]) == cap
        assert manifest_drops(tmp_path / f"out{cap}", leaks.CAPPED) == trained - cap
        assert manifest_drops(tmp_path / f"out{cap}", leaks.REPEATS) == trained
    with pytest.raises(StanceError, match=r"leaks\.action=fail"):
        made(tmp_path / "fail", source, leaks=LeaksConfig(action="fail"))


def test_rows_about_what_their_article_lost_are_partial() -> None:
    gold, sampled = 0, 1
    given = [  # article, actor, target, stance, rank, dropped
        (0, 1, 1, 0, gold, False), (0, 2, 1, 2, gold, True), (0, 1, 2, 0, gold, False), (0, 1, 3, 1, sampled, False),
        (1, 1, 1, 0, gold, False), (1, 1, 1, 0, gold, True), (1, 2, 2, 1, sampled, False),
        (2, 1, 1, 0, gold, False), (2, 2, 1, 1, sampled, True), (2, 2, 2, 1, sampled, False),
        (3, 9, 1, 2, gold, True),
    ]  # fmt: skip
    columns = np.array(given).T
    rows = leaks.Rows(
        split=np.zeros(len(given), np.int8), article=columns[0], group=columns[0], passage=columns[0],
        actor=columns[1].astype(np.uint64),
        target=columns[2].astype(np.uint64), stance=columns[3].astype(np.int8), rank=columns[4].astype(np.int8),
    )  # fmt: skip
    rows.drop(np.flatnonzero(columns[5]), "gone")
    assert np.flatnonzero(leaks.partial(rows, rows.rank == gold)).tolist() == [0, 3]


def test_rows_of_an_article_of_validation_or_test_are_in_no_other_split_whatever_their_passage() -> None:
    train, validation, test, none = 0, 1, 2, leaks.NONE
    given = [  # article, split, and the split that is left; each row has a passage and a target of its own
        (0, train, none), (0, test, test), (1, train, none), (1, validation, validation), (2, validation, none),
        (2, test, test), (3, train, train), (3, train, train),
    ]  # fmt: skip
    columns, own = np.array(given).T, np.arange(len(given))
    rows = leaks.Rows(
        split=columns[1].astype(np.int8), article=columns[0], group=columns[0], passage=own,
        actor=own.astype(np.uint64),
        target=own.astype(np.uint64), stance=np.zeros(len(own), np.int8), rank=np.zeros(len(own), np.int8),
    )  # fmt: skip
    texts = [sentence(number, "support") for number in own.tolist()]
    index = duplicates.Index(texts.__getitem__, duplicates.sketches(texts, len(texts)), 0.5)
    leaks.mend(rows, index, LeaksConfig())
    assert rows.split.tolist() == columns[2].tolist()


def test_of_equal_rows_of_a_capped_corpus_the_first_that_is_drawn_stays() -> None:
    passage, own = np.array([0, 0, 1, 2]), np.arange(4)
    rows = leaks.Rows(
        split=np.array([0, 0, 0, 2], np.int8), article=own, group=own, passage=passage, actor=passage.astype(np.uint64),
        target=passage.astype(np.uint64), stance=np.zeros(4, np.int8), rank=np.zeros(4, np.int8),
    )  # fmt: skip
    texts = [sentence(number, "support") for number in range(3)]
    index = duplicates.Index(texts.__getitem__, duplicates.sketches(texts, len(texts)), 0.5)
    leaks.mend(rows, index, LeaksConfig(), [(np.array([1, 2, 0]), 1)])
    assert rows.split.tolist() == [leaks.NONE, 0, leaks.NONE, 2]
    assert rows.reasons == {0: leaks.REPEATS, 2: leaks.CAPPED}


@pytest.mark.parametrize("action", ["drop", "fail"])
def test_a_copy_of_a_held_out_article_is_not_trained_on_where_official_splits_tear_them_apart(
    tmp_path: Path, action: str
) -> None:
    """Their annotated passages share nothing, the articles all."""
    text = " ".join(sentence(900 + n, "support") for n in range(4))
    first, last = sentence(900, "support"), sentence(903, "support")
    notes = [
        {"actor": {"name": f"Town{n}"}, "target": {"name": f"project{n}"}, "stance": "support",
         "evidence": [[text.index(part), text.index(part) + len(part)]]}
        for n, part in ((900, first), (903, last))
    ]  # fmt: skip
    copies = [
        {"id": f"copy-{split}", "text": text, "split": split, "annotations": [note]}
        for split, note in zip(("train", "test"), notes, strict=True)
    ]
    source = corpus(tmp_path / "c.jsonl", [*plain(), *copies])
    if action == "fail":
        with pytest.raises(StanceError, match="1 of 4 test rows have the same or nearly the same article as train"):
            made(tmp_path / "out", source, leaks=LeaksConfig(action="fail"))
        return
    got = made(tmp_path / "out", source)
    assert "copy-train" not in {e.article_id for e in got["train"]}
    assert "copy-test" in {e.article_id for e in got["test"]}


def holding() -> list[dict[str, Any]]:
    """A training text that holds one of the test, and one that is part of one of validation."""
    inner, outer = sentence(901, "support"), f"{sentence(902, 'oppose')} {sentence(903, 'oppose')}"
    return [
        *plain(36),
        row(901, "support", "inner", "test"),
        row(901, "support", "holds", "train", text=f"{sentence(904, 'oppose')} {inner} {sentence(905, 'oppose')}"),
        row(903, "oppose", "outer", "validation", text=outer),
        row(903, "oppose", "within", "train"),
        row(903, "oppose", "other", "train", text=f"Town903 rejected project903. {sentence(906, 'oppose')}"),
    ]


def test_what_is_part_of_a_held_out_text_or_holds_one_is_not_trained_on(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", holding())
    left = ids(made(tmp_path / "out", source))
    assert not left["train"] & {"holds", "within"}
    assert "other" in left["train"], "two words of another text are no part of it"
    assert "inner" in left["test"]
    assert "outer" in left["validation"]
    found = report(tmp_path / "out")
    assert found["test", "train", "part"] == found["validation", "train", "part"] == (1, 1)
    assert found["test", "train", "near"] == found["validation", "train", "near"] == (0, 0)
    after = json.loads((tmp_path / "out" / "leaks.json").read_text("utf-8"))["after"]
    assert not any(n["rows"] for n in after if n["kind"] == "part")
    everything = made(tmp_path / "kept", source, leaks=LeaksConfig(action="keep"))
    assert {"holds", "within"} <= ids(everything)["train"]
    clean = {r["id"].rpartition("-")[0] for _, r in jsonl.read(tmp_path / "kept" / "clean.jsonl")}
    assert not clean & {"inner", "outer"}
    with pytest.raises(StanceError, match=r"1 of \d+ validation rows have a text that is part of the other as train"):
        made(tmp_path / "failed", source, leaks=LeaksConfig(action="fail"))


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=3),
        min_size=2, max_size=10,
    ),
    share=st.sampled_from([0.3, 0.7, 1.0]),
)  # fmt: skip
def test_parts_are_those_of_every_pair_counted(cuts: list[list[tuple[int, int, int]]], share: float) -> None:
    texts = [
        " ".join(f"w{base}x{n}" for base, start, size in text for n in range(start, start + size)) for text in cuts
    ]
    sets = [duplicates.shingles(text) for text in texts]
    index = duplicates.Index(texts.__getitem__, np.zeros((len(texts), duplicates.BANDS), np.uint64), 0.5)
    held = np.arange(0, len(texts), 2)
    found = index.parts(np.arange(len(texts)), held, share)
    expected = {
        (one, other)
        for one in range(len(texts))
        for other in held.tolist()
        if one != other and len(sets[one] & sets[other]) >= max(4, share * min(len(sets[one]), len(sets[other])))
    }
    assert {(one, other) for one, other in found.tolist()} == expected


def test_a_turn_of_phrase_of_very_many_texts_makes_none_part_of_another() -> None:
    phrase = "the ministry did not at once respond to a request for comment on the matter"
    texts = [f"{phrase} w{n} x{n}" for n in range(300)]
    index = duplicates.Index(texts.__getitem__, np.zeros((300, duplicates.BANDS), np.uint64), 0.5)
    assert not len(index.parts(np.arange(300), np.arange(300), 0.7))
    assert not len(index.parts(np.arange(300), np.arange(1), 0.7)), "it is usual among all, not only the held ones"
    few = index.parts(np.arange(50), np.arange(50), 0.7)
    assert len(few) == 50 * 49


def test_another_corpus_changes_the_division_of_none(tmp_path: Path) -> None:
    mine = corpus(tmp_path / "mine.jsonl", plain(90), splits="none")
    others = [r | {"id": f"b-{r['id']}"} for r in plain(60, start=100)]
    other = corpus(tmp_path / "other.jsonl", others, splits="none")
    alone = ids(made(tmp_path / "alone", mine))
    for number, both in enumerate(((mine, other), (other, mine))):
        found = ids(made(tmp_path / f"both{number}", *both))
        mine_alone = {
            split: {name.removeprefix("mine/") for name in names if name.startswith("mine/")}
            for split, names in found.items()
        }
        assert mine_alone == alone


def test_names_and_texts_are_the_same_however_their_accents_are_written() -> None:
    text = f"José Müller praised the café while {' '.join(f'w{i}' for i in range(12))}."
    names = [
        form for kind in ("NFC", "NFD") for form in (unicodedata.normalize(kind, "José  Müller"), "The josé müller")
    ]
    assert len(set(build._names(pa.table({"actor": names}), "actor").tolist())) == 1
    assert duplicates.shingles(unicodedata.normalize("NFD", text)) == duplicates.shingles(text)


def test_leaks_between_corpora_are_found(tmp_path: Path) -> None:
    copies = [r | {"id": f"b-{r['id']}", "split": "train"} for r in plain()]
    got = made(tmp_path / "out", corpus(tmp_path / "one.jsonl", plain()), corpus(tmp_path / "two.jsonl", copies))
    held = {e.text for split in ("validation", "test") for e in got[split]}
    assert held
    assert not held & {e.text for e in got["train"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "the corpus name 'a/b'"),
        ({"name": ""}, "the corpus name ''"),
        ({"weight": -1.0}, r"^corpora\.KEY\.weight=-1.0 of the corpus 'c': expected a number from 0$"),
        ({"weight": float("nan")}, r"weight=nan of the corpus 'c': expected a number from 0"),
        ({"weight": float("inf")}, r"weight=inf of the corpus 'c': expected a number from 0"),
        ({"cap": -1}, r"cap=-1 of the corpus 'c': expected 0 or more"),
        ({"max_dropped": 1.5}, r"max_dropped=1.5 of the corpus 'c': expected a share"),
        ({"limit": -1}, r"limit=-1 of the corpus 'c': expected 0 or more"),
        ({"label_set": ["pro"]}, "label_set of the corpus 'c': unknown stance 'pro'; expected oppose"),
        (
            {"label_set": ["support"] * 2},
            r"label_set=\[support\] of the corpus 'c': one label is no choice: nothing",
        ),
        ({"path": ""}, r"corpora\.KEY\.path of the corpus 'c': not set"),
        ({"format": "moon"}, "unknown corpus format 'moon'; expected one of jsonl"),
    ],
)
def test_corpora_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    source = replace(corpus(tmp_path / "c.jsonl", plain()), **changes)
    with pytest.raises(StanceError, match=message):
        made(tmp_path / "out", source)


def test_a_pipe_is_refused_as_a_corpus_since_it_is_read_twice(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    whole = corpus(tmp_path / "folder" / "c.jsonl", plain())
    os.mkfifo(tmp_path / "folder" / "pipe.jsonl")
    for path in (tmp_path / "folder" / "pipe.jsonl", tmp_path / "folder"):
        with pytest.raises(StanceError, match=r"^corpora\.KEY\.path=\S+ of the corpus 'c': \S+/pipe.jsonl is a pipe"):
            made(tmp_path / "out", replace(whole, path=str(path)))


def test_no_corpus_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="no corpus is given"):
        made(tmp_path / "out")
    source = corpus(tmp_path / "c.jsonl", plain())
    with pytest.raises(StanceError, match="one of its own for each corpus"):
        made(tmp_path / "out", source, source)


def test_a_label_that_no_corpus_knows_is_not_asked_for(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", plain(stances=("oppose", "support")), label_set=["oppose", "support"])
    assert {e.stance.value for part in made(tmp_path / "out", source).values() for e in part} == {"oppose", "support"}
    with pytest.raises(StanceError, match="none of neutral"):
        made(tmp_path / "out", replace(source, label_set=[]))


def test_a_corpus_name_is_no_pattern(tmp_path: Path) -> None:
    one = corpus(tmp_path / "c.jsonl", plain(36))
    other = corpus(tmp_path / "d.jsonl", plain(36, 100), name="?")
    for _ in range(2):
        assert made(tmp_path / "out", one, other)["train"]
    assert len(kept(tmp_path / "out.stages")) == 2


def test_corpora_with_the_same_ids_lose_nothing(tmp_path: Path) -> None:
    one = corpus(tmp_path / "one.jsonl", [row(n, list(VERBS)[n % 3], f"{n}") for n in range(90)], splits="none")
    rows = [row(n + 500, list(VERBS)[n % 3], f"{n}") for n in range(90)]
    for by in ("article", "story", "fold"):
        got = made(tmp_path / "out", one, corpus(tmp_path / "two.jsonl", rows, splits="none"), split=SplitConfig(by=by))
        counts = Counter(e.corpus for part in got.values() for e in part)
        assert counts == {"one": 90, "two": 90}


def test_rows_with_a_label_that_the_corpus_does_not_know_are_dropped(tmp_path: Path) -> None:
    got = made(
        tmp_path / "out",
        corpus(tmp_path / "one.jsonl", plain(36)),
        corpus(tmp_path / "two.jsonl", plain(60, 100), label_set=["oppose", "support"]),
    )
    assert {e.stance.value for part in got.values() for e in part if e.corpus == "two"} == {"oppose", "support"}
    assert manifest_drops(tmp_path / "out", build.UNKNOWN_LABEL) == 20


def test_of_rows_that_repeat_each_other_the_one_a_person_made_stays(tmp_path: Path) -> None:
    weak = [row(n, list(VERBS)[n % 3], split="train", note={"provenance": "weak", "weight": 0.1}) for n in range(12)]
    got = made(tmp_path / "out", corpus(tmp_path / "w.jsonl", weak), corpus(tmp_path / "g.jsonl", plain(60)))
    assert "weak" not in {e.provenance for part in got.values() for e in part}
    assert sum(len(part) for part in got.values()) == 60


def test_a_weak_label_that_contradicts_an_annotated_row_goes(tmp_path: Path) -> None:
    def wrong(n: int) -> dict[str, Any]:
        note = {"provenance": "weak", "weight": 0.1, "stance": list(VERBS)[(n + 1) % 3]}
        return row(n, list(VERBS)[n % 3], split="train", note=note)

    sources = corpus(tmp_path / "w.jsonl", [wrong(n) for n in range(60)]), corpus(tmp_path / "g.jsonl", plain(60))
    got = made(tmp_path / "out", *sources)
    assert "weak" not in {e.provenance for part in got.values() for e in part}
    assert sum(len(part) for part in got.values()) == 60
    trained = len(got["train"])
    assert manifest_drops(tmp_path / "out", leaks.CONTRADICTS) == trained
    kept = made(tmp_path / "kept", *sources, leaks=LeaksConfig(repeated="keep"))
    assert Counter(e.provenance for e in kept["train"]) == {"gold": trained, "weak": trained}


def test_annotations_that_contradict_each_other_both_stay(tmp_path: Path) -> None:
    twice = [row(n, list(VERBS)[(n + 1) % 3], f"b{n}", split="train", text=sentence(n, list(VERBS)[n % 3]))
             for n in range(6)]  # fmt: skip
    got = made(tmp_path / "out", corpus(tmp_path / "c.jsonl", [*plain(60), *twice]))
    assert len(got["train"]) == 42 + len(twice)


def test_by_time_weak_articles_are_trained_on_if_they_are_older_than_what_is_held_out(tmp_path: Path) -> None:
    day = [f"20{n // 12:02}-{n % 12 + 1:02}-01" for n in range(180)]
    gold = [row(n, list(VERBS)[n // 2 % 3], date=day[n]) for n in range(0, 180, 2)]
    weak = [row(n, list(VERBS)[n // 2 % 3], date=day[n], note={"provenance": "weak"}) for n in range(1, 180, 2)]
    weak += [row(400, "support", note={"provenance": "weak"})]
    sources = (corpus(tmp_path / f"{name}.jsonl", rows, splits="none") for name, rows in (("g", gold), ("w", weak)))
    got = made(tmp_path / "out", *sources, split=SplitConfig(by="time"))
    when = {r["id"]: r.get("date", "") for r in [*gold, *weak]}
    first = min(when[e.article_id.partition("/")[2]] for split in ("validation", "test") for e in got[split])
    kinds = {kind: [when[e.article_id.partition("/")[2]] for e in got["train"] if e.provenance == kind]
             for kind in ("gold", "weak")}  # fmt: skip
    older = [r["date"] for r in weak if r.get("date", "9") < first]
    assert sorted(kinds["weak"]) == older
    assert 0 < len(older) < len(weak)
    assert max(kinds["gold"]) < first
    assert manifest_drops(tmp_path / "out", division.TOO_NEW) == len(weak) - 1 - len(older)
    assert manifest_drops(tmp_path / "out", division.UNDATED) == 1


def test_by_time_weak_articles_are_older_than_what_is_fixed_to_be_held_out_too(tmp_path: Path) -> None:
    gold = [r | {"date": "2010-01-01"} for r in plain(60)]
    weak = [row(n, "support", date=f"20{n % 20:02}-06-01", note={"provenance": "weak"}) for n in range(200, 240)]
    sources = corpus(tmp_path / "g.jsonl", gold), corpus(tmp_path / "w.jsonl", weak, splits="none")
    got = made(tmp_path / "out", *sources, split=SplitConfig(by="time"))
    assert {e.date for e in got["train"] if e.provenance == "weak"} == {f"20{n:02}-06-01" for n in range(10)}
    assert manifest_drops(tmp_path / "out", division.TOO_NEW) == 20


def test_by_time_articles_that_nobody_annotated_take_no_share_of_what_is_held_out(tmp_path: Path) -> None:
    days = [f"20{n // 12:02}-{n % 12 + 1:02}-01" for n in range(150)]
    gold = [row(n, list(VERBS)[n % 3], date=days[n]) for n in range(90)]
    raw = [row(n, "support", date=days[n]) | {"annotations": []} for n in range(90, 150)]
    source = corpus(tmp_path / "c.jsonl", [*gold, *raw], splits="none")
    got = made(tmp_path / "out", source, split=SplitConfig(by="time"))
    assert [len(got[split]) for split in SPLITS] == [62, 14, 14]
    plain = made(tmp_path / "plain", corpus(tmp_path / "p.jsonl", gold, splits="none"), split=SplitConfig(by="time"))
    assert ids(got) == ids(plain)


def test_articles_that_corpora_share_fill_the_shares_of_each(tmp_path: Path) -> None:
    rows = [row(n, list(VERBS)[n % 3]) for n in range(100)]
    sources = [corpus(tmp_path / f"{name}.jsonl", rows, splits="none") for name in "ab"]
    made(tmp_path / "out", *sources, split=SplitConfig(validation=0.15, test=0.15))
    articles = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["articles"]
    assert articles == {"train": 70, "validation": 30, "test": 30}  # training rows that repeat others are gone


def test_two_builds_of_one_output_do_not_get_into_each_other_s_way(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", plain())
    expected = r"out\.stages: another process writes \S*out at this moment; wait for it"
    with stages.alone(tmp_path / "out.stages", of=tmp_path / "out"), pytest.raises(StanceError, match=expected):
        made(tmp_path / "out", source)
    (tmp_path / ".out.0123abcd").mkdir()  # of a build that was killed while it wrote
    assert made(tmp_path / "out", source)["train"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "out", "out.stages"]


def test_an_output_inside_a_corpus_is_refused(tmp_path: Path) -> None:
    corpus(tmp_path / "c.jsonl", plain())
    with pytest.raises(StanceError, match=r"out: is read as part of "):
        made(tmp_path / "out", CorpusConfig(name="c", path=str(tmp_path), splits="official"))
    assert [path.name for path in tmp_path.iterdir()] == ["c.jsonl"]


def test_pairs_that_the_build_draws_make_no_corpus_sounder(tmp_path: Path) -> None:
    bad = [{"id": f"bad{n}", "text": "Town1 met Town2.", "annotations": [{"actor": {}}]} for n in range(8)]
    source = corpus(tmp_path / "c.jsonl", [*(r | {"exhaustive": True} for r in plain()), *bad], max_dropped=0.2)
    config = ExamplesConfig(context=0, neutral_ratio=10)
    with pytest.raises(StanceError, match=r"8 of 38 rows can't be used"):
        build.build([source], config, SplitConfig(), LeaksConfig(), output=tmp_path / "out")


def test_reasons_that_differ_by_names_alone_are_one_kind() -> None:
    said = [
        f"expected {f'[{name}]'!r} and {'[Mali]'!r} once each in the sentence" for name in ("Iran", "Cote d'Ivoire")
    ]
    assert {ledger.kind(reason) for reason in said} == {"expected … and … once each in the sentence"}


def test_the_card_tells_the_dates_that_can_be_read(tmp_path: Path) -> None:
    rows = [
        r | {"date": date} for r, date in zip(plain(), ["x", "28 February 2021", *["2020-05-01"] * 28], strict=True)
    ]
    made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows))
    assert "2020-05-01 to 2021-02-28" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_the_card_tells_the_dates_of_articles_that_have_rows(tmp_path: Path) -> None:
    rows = [r | {"date": "2020-05-01"} for r in plain()]
    bare = {"id": "bare", "text": "Nobody annotated this.", "date": "1999-01-01", "split": "train", "annotations": []}
    made(tmp_path / "out", corpus(tmp_path / "c.jsonl", [*rows, bare]))
    assert "30 articles dated 2020-05-01 to 2020-05-01" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_articles_with_weak_labels_alone_are_all_for_training(tmp_path: Path) -> None:
    weak = [row(n, "support", note={"provenance": "weak"}) for n in range(200, 300)]
    gold = [row(n, list(VERBS)[n % 3]) for n in range(90)]
    got = made(
        tmp_path / "out",
        corpus(tmp_path / "g.jsonl", gold, splits="none"),
        corpus(tmp_path / "w.jsonl", weak, splits="none"),
    )
    assert Counter(e.provenance for e in got["train"])["weak"] == 100
    assert {e.provenance for split in ("validation", "test") for e in got[split]} == {"gold"}


def test_an_article_without_an_official_split_does_not_take_its_copies_with_it(tmp_path: Path) -> None:
    official = [*plain(), row(900, "support", "stray", split="")]
    free = [row(n, list(VERBS)[n % 3], f"f{n}") for n in range(300, 390)] + [row(900, "support", "copy")]
    got = made(
        tmp_path / "out",
        corpus(tmp_path / "o.jsonl", official),
        corpus(tmp_path / "f.jsonl", free, splits="none"),
    )
    there = {name for names in ids(got).values() for name in names}
    assert "f/copy" in there
    assert "o/stray" not in there
    assert manifest_drops(tmp_path / "out", build.NO_SPLIT) == 1


def test_by_time_without_dates_is_refused_and_undated_rows_say_so(tmp_path: Path) -> None:
    rows = [row(n, list(VERBS)[n % 3]) for n in range(90)]
    with pytest.raises(StanceError, match="none of the 90 articles has a date"):
        made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows, splits="none"), split=SplitConfig(by="time"))
    dated = [r | {"date": f"20{10 + n // 10}-01-{n % 10 + 1:02}"} if n else r for n, r in enumerate(rows)]
    made(tmp_path / "out", corpus(tmp_path / "c.jsonl", dated, splits="none"), split=SplitConfig(by="time"))
    assert manifest_drops(tmp_path / "out", "no date that can be read, and the split is by time") == 1


def test_a_corpus_of_which_nothing_can_be_made_says_why(tmp_path: Path) -> None:
    rows = [row(n, "support", note={"actor": {"name": f"project{n}"}}) for n in range(9)]
    with pytest.raises(StanceError, match=r"made of its 9 articles \(9 × actor and target have the same name\)"):
        made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows))


def test_long_chains_of_near_duplicates_are_compared_by_bands_alone() -> None:
    words = [f"w{n}" for n in range(9000)]
    texts = [" ".join(words[n * 4 : n * 4 + 40]) for n in range(2000)]
    bands = duplicates.sketches(texts, len(texts))
    index = duplicates.Index(texts.__getitem__, bands, 0.5)
    groups = index.groups()
    assert len(set(groups.tolist())) < 20
    even, odd = np.arange(0, 2000, 2), np.arange(1, 2000, 2)
    compared: list[tuple[int, int]] = []
    near = index.near
    index.near = lambda one, other: compared.append((one, other)) or near(one, other)  # type: ignore[func-returns-value]
    found = index.repeats(even, odd, groups)
    assert found.mean() > 0.98
    assert len(compared) < 20 * len(even)


# Drops of the reader.


def test_unusable_rows_are_kept_with_their_place_and_too_many_fail(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", plain(60), max_dropped=0.1)
    path = Path(source.path)
    path.write_text(path.read_text("utf-8") + '{"id": "half"\n{"id": "x", "text": "Y"}\n{"id": "a3", "text": "Z"}\n')
    made(tmp_path / "out", source)
    rows = {r["where"]: r["reason"] for _, r in jsonl.read(tmp_path / "out" / "dropped.jsonl")}
    assert rows[f"{path}:61"].startswith("broken JSON at column")
    assert rows[f"{path}:63"] == f"the id 'a3' stands at {path}:4 already"
    with pytest.raises(
        StanceError, match=r"2 of 62 rows can't be used, first .*c\.jsonl:61: broken JSON.*all of them are in"
    ):
        made(tmp_path / "out", replace(source, max_dropped=0.01))
    (stage,) = kept(tmp_path / "out.stages")
    assert len(list(jsonl.read(stage / "dropped.jsonl"))) == 2
    assert set(dataset.read_manifest(tmp_path / "out").dropped) >= {"the id … stands at … already"}


def test_every_row_of_a_lost_article_counts_and_what_labels_drop_does_not(tmp_path: Path) -> None:
    notes = plain(1)[0]["annotations"] * 5
    bad = {"id": "bad", "text": "Short.", "annotations": notes}  # spans outside of the text
    same = row(3, "oppose", "a3") | {"annotations": notes[:2]}
    source = corpus(tmp_path / "c.jsonl", [*plain(60), bad, same], max_dropped=0.1)
    with pytest.raises(StanceError, match=r"7 of 67 rows can't be used, first .*c\.jsonl:61: annotation 1: "):
        made(tmp_path / "out", source)
    header = "text,actor,target,stance,split\n"
    rows = [",".join((r["text"], f"Town{n}", f"project{n}", r["annotations"][0]["stance"], r["split"]))
            for n, r in enumerate(plain(60))]  # fmt: skip
    rows += [f"Town{n} met project{n} in w{n}x1 and w{n}x2 for w{n}x3.,Town{n},project{n},mixed,train"
             for n in range(60, 70)]  # fmt: skip
    (tmp_path / "t.csv").write_text(header + "\n".join(rows))
    left_out = CorpusConfig("t", "table", str(tmp_path / "t.csv"), labels={"mixed": "drop"}, splits="official")
    assert sum(map(len, made(tmp_path / "table", left_out).values())) == 60
    assert dataset.read_manifest(tmp_path / "table").dropped == {"the stance … is left out by labels": 10}
    assert len(corpora.sound(left_out)) == 70
    nothing = replace(left_out, labels=dict.fromkeys(("mixed", *VERBS), "drop"))
    with pytest.raises(StanceError, match=r"no row can be made of its 70 articles \(70 × the stance … is left out by"):
        asking(tmp_path / "nothing", nothing)


# Stages.


def test_a_stage_is_taken_again_until_its_inputs_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = corpus(tmp_path / "c.jsonl", plain())
    first = made(tmp_path / "out", source)
    assert "unchanged" not in capsys.readouterr().out
    assert made(tmp_path / "out", replace(source, weight=0.5))["test"][0].weight == 0.5
    assert "c: unchanged, taken from" in capsys.readouterr().out
    jsonl.write(Path(source.path), [*plain(), row(99, "support", split="train")])
    assert len(made(tmp_path / "out", source)["train"]) == len(first["train"]) + 1
    assert "unchanged" not in capsys.readouterr().out
    assert len(kept(tmp_path / "out.stages")) == 1, "the stage of other inputs is gone"


def test_a_corpus_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(StanceError, match=r"the corpus name 'a\\x00b': expected one of .* without '/' and zero"):
        build.check([CorpusConfig(name="a\0b", path="x.jsonl")])


def test_only_stages_and_what_a_killed_build_left_of_them_make_room_for_a_new_one(tmp_path: Path) -> None:
    source, work = corpus(tmp_path / "c.jsonl", plain()), tmp_path / "out.stages"
    made(tmp_path / "out", source)
    kin = ("c-my-precious-work", "c-0123456789abcdef", ".c-notes", ".c-notes-0123456789abcdef.x", "c-0123456789ABCDEF")
    for name in kin:
        (work / name).mkdir()
        (work / name / ("draft.txt" if name == kin[1] else "stage.json")).write_text("mine", "utf-8")
    (work / "c-1123456789abcdef").symlink_to(work / kin[0])
    (work / ".c-1123456789abcdef.01234567").symlink_to(work / kin[0])
    for name in ("c-2123456789abcdef", ".c-2123456789abcdef.01234567"):
        (work / name).write_text("mine", "utf-8")
    theirs = {path.name for path in kept(work) if (path / "rows.arrow").is_file()}
    for name in (".c-3123456789abcdef.01234567", ".c-3123456789abcdef.old", ".c-3123456789abcdef.old.a_b1c2d3"):
        (work / name).mkdir()
    before = {path.name for path in kept(work)}
    jsonl.write(Path(source.path), [*plain(), row(99, "support", split="train")])
    made(tmp_path / "out", source)
    gone, new = before - {path.name for path in kept(work)}, {path.name for path in kept(work)} - before
    assert gone == {*theirs, *(name for name in before if name.startswith(".c-3"))}
    assert len(new) == len(theirs) == 1
    assert all(any((work / name).iterdir()) for name in kin)


@pytest.mark.slow
def test_a_build_that_is_killed_leaves_nothing_half_written_and_its_stages_serve_again(tmp_path: Path) -> None:
    source = corpus(tmp_path / "c.jsonl", plain())
    code = (
        "import os, signal, sys; from pathlib import Path; from stance.building import build, division\n"
        "from stance.settings.building import CorpusConfig\n"
        "from stance.settings.building import ExamplesConfig, LeaksConfig, SplitConfig\n"
        "division.divide = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"c = CorpusConfig(name='c', path={source.path!r}, splits='official')\n"
        "build.build([c], ExamplesConfig(context=0, neutral_ratio=0), SplitConfig(), LeaksConfig(), "
        f"output=Path({str(tmp_path / 'out')!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    (stage,) = kept(tmp_path / "out.stages")
    (tmp_path / "out.stages" / ".c-0123456789abcdef.half").mkdir()
    before = {p.name: p.stat().st_mtime_ns for p in stage.iterdir()}
    made(tmp_path / "out", source)
    assert {p.name: p.stat().st_mtime_ns for p in stage.iterdir()} == before
    jsonl.write(Path(source.path), [*plain(), row(99, "support", split="train")])
    made(tmp_path / "out", source)
    assert len(kept(tmp_path / "out.stages")) == 1, "what a killed build left half-written is gone"


@pytest.mark.slow
def test_many_articles_go_through_more_processes_with_the_same_result(tmp_path: Path) -> None:
    rows = plain(1200)
    got = made(tmp_path / "out", corpus(tmp_path / "c.jsonl", rows))
    assert sum(len(part) for part in got.values()) == 1200
    order = [e.article_id for e in got["train"]]
    assert order == sorted(order, key=lambda name: int(name[1:]))


@pytest.mark.parametrize("name", ["texts.arrow", "bands.raw", ""])
def test_a_full_disk_is_told_of_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In the middle of the work, at its end, or for a moment only, after which the files can be closed."""
    article = Article("a", "x" * 9_000_000)
    bands = duplicates.sketches([article.text], 1)
    if name:
        (tmp_path / name).symlink_to("/dev/full")
    else:

        def full_for_a_moment(self: ledger.Writer, name: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(ledger.Writer, "_flush", full_for_a_moment)
    with pytest.raises(OSError) as full, ledger.Writer(tmp_path) as writer:  # noqa: PT011
        writer.add(ledger.Made(article, [], [], [article.text], bands))
    assert no_room(full.value).startswith("no space left on the disk (")
