"""Readers of public corpora: on made-up files of the published formats, and on the real ones where they are."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stance import corpora, jsonl
from stance.corpora import dse
from stance.corpora.source import Dropped
from stance.errors import StanceError
from stance.records import Article
from stance.scoring import transfer
from stance.settings.building import CorpusConfig
from stance.settings.scoring import TransferConfig

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = Path(os.environ.get("STANCE_PUBLIC_CORPORA", ROOT.parent / "shared" / "corpora"))
real = pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public corpora here; STANCE_PUBLIC_CORPORA says where")

DSE = [
    "The [Harbour Boar]d sued [Tolvik].\tHarbour Boar\tTolvik\t3",
    "[ Tolvik] was praised by [the Harbour Board] on Friday.\tTolvik\tthe Harbour Board\t2",
    '"[Tolvik] told ""Port Week"" nothing about [Ruhn]."\tTolvik\tRuhn\t0',
]
SENTENCES = ["Ana Ruhn blasted the Harbour Board.", "She called it a club.", "The mayor was pleased."]


def write_seesaw(root: Path, split: str = "valid") -> Path:
    for folder in ("articles", "annotations", "meta"):
        (root / folder).mkdir(parents=True)
    body = {"title": "Harbour row", "text": [{"id": i, "text": s} for i, s in enumerate(SENTENCES)]}
    stances = {
        "0": [{"subject": "Ana Ruhn", "sentiment": "NEG", "object": "Harbour Board"}],
        "1": [{"subject": "Ana Ruhn", "sentiment": "NEG", "object": "Harbour Board"}],
        "2": [{"subject": "Not in the list", "sentiment": "POS", "object": "None"}],
    }
    (root / "articles" / "TRIPLET_001_DOCUMENT_0.json").write_text(json.dumps(body))
    (root / "annotations" / "TRIPLET_001_DOCUMENT_0.json").write_text(json.dumps({"sentence-level stances": stances}))
    (root / "meta" / "TRIPLET_001.json").write_text(json.dumps({"story_time": "2015-03-21", "Split": split}))
    return root


def write_dse(folder: Path, valid: list[str], train: list[str]) -> None:
    folder.mkdir()
    (folder / "valid.txt").write_text("\n".join(valid) + "\n")
    (folder / "train.txt").write_text("\n".join(train) + "\n")


def triples(article: Article) -> list[tuple[str, str, str]]:
    return [(note.actor.name, note.target.name, note.stance.value) for note in article.annotations]


def test_seesaw_gives_articles_with_places_only_for_names_that_the_sentence_prints(tmp_path: Path) -> None:
    (article,) = corpora.read(write_seesaw(tmp_path / "SEESAW"), "seesaw")
    assert article.text == " ".join(SENTENCES)
    assert (article.split, article.date) == ("validation", "2015-03-21")
    first, second, third = article.annotations
    assert [article.text[slice(*span)] for note in article.annotations for span in note.evidence] == SENTENCES
    assert article.text[slice(*first.actor.span)] == "Ana Ruhn"  # type: ignore[misc]
    assert second.actor.span is None
    assert (third.actor.name, third.target.name, third.stance) == ("someone", "the author", "support")


def test_one_bad_file_of_seesaw_is_dropped_and_the_others_are_read(tmp_path: Path) -> None:
    root = write_seesaw(tmp_path / "SEESAW")
    bad = root / "annotations" / "ZZZ.json"
    bad.write_text("{")
    good, lost = corpora.stream(CorpusConfig(format="seesaw", path=str(root)))
    assert isinstance(good, Article)
    assert isinstance(lost, Dropped)
    assert (lost.where, lost.unusable) == (str(bad), 1)


@pytest.mark.parametrize("stances", [{"sentence-level stances": []}, {"sentence-level stances": None}, {}])
def test_a_file_of_seesaw_in_another_form_is_dropped_alone(tmp_path: Path, stances: dict[str, Any]) -> None:
    root = write_seesaw(tmp_path / "SEESAW")
    for folder, content in (("articles", {"text": []}), ("annotations", stances)):
        (root / folder / "TRIPLET_001_DOCUMENT_9.json").write_text(json.dumps(content))
    good, lost = corpora.stream(CorpusConfig(format="seesaw", path=str(root)))
    assert isinstance(good, Article)
    assert isinstance(lost, Dropped)
    assert (lost.where, lost.unusable) == (str(root / "annotations" / "TRIPLET_001_DOCUMENT_9.json"), 1)
    assert lost.reason.startswith("not an annotation of SEESAW (")


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ({"id": float("inf"), "text": "It sank."}, "not an annotation of SEESAW (OverflowError('cannot convert float"),
        ({"id": 0, "text": "It \ud83d sank."}, "'text' has half a surrogate pair at character 3; write it whole"),
        ({"id": 0, "text": " "}, "'text' is empty"),
    ],
)
def test_an_article_of_seesaw_that_cannot_be_read_is_dropped(
    tmp_path: Path, sentence: dict[str, Any], reason: str
) -> None:
    root = write_seesaw(tmp_path / "SEESAW")
    (file,) = (root / "articles").iterdir()
    file.write_text(json.dumps({"text": [sentence, {"id": 1, "text": ""}, {"id": 2, "text": ""}]}))
    (lost,) = corpora.stream(CorpusConfig(format="seesaw", path=str(root)))
    assert isinstance(lost, Dropped)
    assert lost.reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'name' is empty"),
        ("R" * 2_001, "name of 2,001 characters; at most 2,000 are looked up"),
        ("\ud83d", "'name' has half a surrogate pair at character 0; write it whole"),
    ],
)
def test_a_name_of_seesaw_that_cannot_be_asked_about_costs_its_annotation(
    tmp_path: Path, name: str, reason: str
) -> None:
    root = write_seesaw(tmp_path / "SEESAW")
    (file,) = (root / "annotations").iterdir()
    stances = json.loads(file.read_text())
    stances["sentence-level stances"]["1"][0]["subject"] = name
    file.write_text(json.dumps(stances))
    lost, article = corpora.stream(CorpusConfig(format="seesaw", path=str(root)))
    assert isinstance(lost, Dropped)
    assert (lost.where, lost.article_id) == (str(file), "seesaw-TRIPLET_001_DOCUMENT_0")
    assert lost.reason == f"annotation 2: actor: {reason}"
    assert isinstance(article, Article)
    assert [note.actor.name for note in article.annotations] == ["Ana Ruhn", "someone"]


def test_a_folder_without_files_of_newsmtsc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"no \*\.jsonl file in this directory; expected the published files"):
        corpora.read(tmp_path, "newsmtsc")


@pytest.mark.parametrize("name", ["seesaw", "dse", "newsmtsc"])
def test_a_public_corpus_that_is_not_there_says_how_it_is_fetched(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(
            StanceError, match=rf"^{folder}: .*; expected .*`python scripts/fetch_corpus\.py name={name}`"
        ):
            corpora.read(folder, name)


def test_seesaw_without_its_files_or_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"no annotations/\*\.json"):
        corpora.read(tmp_path, "seesaw")
    root = write_seesaw(tmp_path / "SEESAW", split="somewhere")
    with pytest.raises(StanceError, match="not an annotation of SEESAW"):
        corpora.read(root, "seesaw")
    (root / "meta" / "TRIPLET_001.json").unlink()
    with pytest.raises(StanceError, match="missing"):
        corpora.read(root, "seesaw")


def test_dse_gives_both_directions_and_whole_words(tmp_path: Path) -> None:
    write_dse(tmp_path / "dse", DSE, DSE[:1])
    first, second, third = corpora.read(tmp_path / "dse" / "valid.txt", "dse")
    assert first.text == "The Harbour Board sued Tolvik."
    assert triples(first) == [("Harbour Board", "Tolvik", "oppose"), ("Tolvik", "Harbour Board", "neutral")]
    assert triples(second) == [("Tolvik", "the Harbour Board", "neutral"), ("the Harbour Board", "Tolvik", "support")]
    assert third.text == 'Tolvik told "Port Week" nothing about Ruhn.'
    for article in (first, second, third):
        for note in article.annotations:
            assert article.text[slice(*note.actor.span)] == note.actor.name  # type: ignore[misc]
    assert dse.leaked([first, second, third], corpora.read(tmp_path / "dse" / "train.txt", "dse")) == {first.id}


@pytest.mark.parametrize(
    "line",
    ["no tabs at all", "A [b] c.\tb\tc\t0", "[A] saw [B].\tA\tB\t7", "[A] saw [A].\tA\tB\t0", "[A] [B] [A].\tA\tB\t0"],
)
def test_a_line_that_is_not_dse_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    write_dse(tmp_path / "dse", [DSE[0], line], [])
    with pytest.raises(StanceError, match=r"valid\.txt:2: expected"):
        corpora.read(tmp_path / "dse" / "valid.txt", "dse")


def test_a_broken_line_of_dse_takes_no_other_with_it(tmp_path: Path) -> None:
    write_dse(tmp_path / "dse", [f'"{DSE[0]}', "LATIN", *DSE], [])
    path = tmp_path / "dse" / "valid.txt"
    path.write_bytes(path.read_bytes().replace(b"LATIN", "[Père] met [Ruhn].\tPère\tRuhn\t0".encode("latin-1")))
    quoted, latin, *articles = corpora.stream(CorpusConfig(format="dse", path=str(path)))
    assert isinstance(quoted, Dropped)
    assert (quoted.where, quoted.reason[:22]) == (f"{path}:1", "unexpected end of data")
    assert isinstance(latin, Dropped)
    assert (latin.where, latin.reason) == (f"{path}:2", "not UTF-8 (byte 0xe8); save it as UTF-8")
    assert [a.where for a in articles if isinstance(a, Article)] == [f"{path}:{number}" for number in (3, 4, 5)]


def test_reading_of_dse_goes_on_behind_a_line_that_is_too_long(tmp_path: Path) -> None:
    write_dse(tmp_path / "dse", ["x" * 2 * jsonl.MAX_LINE_BYTES, DSE[0]], [])
    path = tmp_path / "dse" / "valid.txt"
    lost, article = corpora.stream(CorpusConfig(format="dse", path=str(path)))
    assert isinstance(lost, Dropped)
    assert (lost.where, lost.reason[:31]) == (f"{path}:1", "a line of over 16,000,000 bytes")
    assert isinstance(article, Article)
    assert article.where == f"{path}:2"


def test_newsmtsc_groups_the_targets_of_a_sentence(tmp_path: Path) -> None:
    rows = [
        {"sentence": "Ruhn beat Tolvik.", "mention": "Ruhn", "from": 0, "to": 4, "polarity": 1, "id": "x"},
        {"sentence": "Ruhn beat Tolvik.", "mention": "Tolvik", "from": 10, "to": 16, "polarity": -1, "id": "y"},
    ]
    path = tmp_path / "rw_dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (article,) = corpora.read(path, "newsmtsc")
    assert triples(article) == [("someone", "Ruhn", "support"), ("someone", "Tolvik", "oppose")]
    path.write_text(json.dumps(rows[0] | {"polarity": 3}) + "\n")
    with pytest.raises(StanceError, match=r"rw_dev\.jsonl:1: polarity 3"):
        corpora.read(path, "newsmtsc")


def test_a_bad_row_of_newsmtsc_costs_that_row(tmp_path: Path) -> None:
    good = {"sentence": "Ruhn beat Tolvik.", "from": 0, "to": 4, "polarity": 1}
    path = tmp_path / "rw_dev.jsonl"
    bad = [good | {"polarity": [1]}, good | {"to": 99}, {"from": 0}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*bad, good]) + "not json\n")
    *dropped, article = corpora.stream(CorpusConfig(name="n", format="newsmtsc", path=str(path)))
    assert isinstance(article, Article)
    assert triples(article) == [("someone", "Ruhn", "support")]
    told = sorted((item.where, item.reason[:22]) for item in dropped if isinstance(item, Dropped))
    assert told == [
        (f"{path}:1", "polarity [1]; expected"),
        (f"{path}:2", "span [0, 99] is outsid"),
        (f"{path}:3", "'sentence' is missing;"),
        (f"{path}:5", "broken JSON at column "),
    ]


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="expected one of jsonl, seesaw, dse, newsmtsc"):
        corpora.read(tmp_path, "conll")


def test_transfer_takes_what_is_there_and_leaves_leaked_rows_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seesaw(tmp_path / "seesaw" / "SEESAW")
    write_dse(tmp_path / "dse", DSE, DSE[:1])
    rows = transfer.load(TransferConfig(root=str(tmp_path)))
    assert capsys.readouterr().out == ""
    assert {name: len(part) for name, part in rows.items()} == {"seesaw-valid": 3, "dse-valid-clean": 4}
    assert [row.text for row in rows["seesaw-valid"]] == SENTENCES, "each is asked about alone"
    wide = transfer.load(TransferConfig(root=str(tmp_path), context=1))["seesaw-valid"]
    assert [row.text for row in wide] == [" ".join(SENTENCES[a:b]) for a, b in ((0, 2), (0, 3), (1, 3))]
    path = tmp_path / "seesaw" / "SEESAW" / "annotations" / "TRIPLET_001_DOCUMENT_0.json"
    both = json.loads(path.read_text())
    both["sentence-level stances"]["1"].append({"subject": "Ana Ruhn", "sentiment": "POS", "object": "Harbour Board"})
    path.write_text(json.dumps(both))
    capsys.readouterr()
    assert len(transfer.load(TransferConfig(root=str(tmp_path)))["seesaw-valid"]) == 2
    assert capsys.readouterr().out == "seesaw-valid: not scored: 2: the same pair has two stances in the same passage\n"
    with pytest.raises(StanceError, match="no public corpus there"):
        transfer.load(TransferConfig(root=str(tmp_path / "none")))


def test_transfer_takes_both_development_parts_of_newsmtsc(tmp_path: Path) -> None:
    (tmp_path / "newsmtsc").mkdir()
    for part, name, start, end in (("rw", "Ruhn", 0, 4), ("mt", "Tolvik", 10, 16)):
        row = {"sentence": "Ruhn beat Tolvik.", "mention": name, "from": start, "to": end, "polarity": 1}
        (tmp_path / "newsmtsc" / f"{part}_dev.jsonl").write_text(json.dumps(row) + "\n")
    found = transfer.load(TransferConfig(root=str(tmp_path)))
    assert {name: [row.target for row in part] for name, part in found.items()} == {
        "newsmtsc-rw": ["Ruhn"],
        "newsmtsc-mt": ["Tolvik"],
    }


def test_a_set_without_rows_is_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dse(tmp_path / "dse", DSE[:1], DSE[:1])
    with pytest.raises(StanceError, match=r"^transfer\.root=.*: no corpus there has a development row to ask about"):
        transfer.load(TransferConfig(root=str(tmp_path)))
    write_seesaw(tmp_path / "seesaw" / "SEESAW")
    assert list(transfer.load(TransferConfig(root=str(tmp_path)))) == ["seesaw-valid"]
    assert capsys.readouterr().out == "dse-valid-clean: not scored: no row to ask about\n" * 2


@pytest.mark.parametrize("setting", [{"resamples": 99}, {"context": -1}, {"seed": -1}])
def test_a_transfer_without_meaning_is_refused(tmp_path: Path, setting: dict[str, int]) -> None:
    write_seesaw(tmp_path / "seesaw" / "SEESAW")
    with pytest.raises(StanceError, match=r"must not be negative, transfer\.resamples at least 100"):
        transfer.load(TransferConfig(root=str(tmp_path), **setting))  # type: ignore[arg-type]


@real
def test_the_published_files_have_the_rows_that_their_papers_count() -> None:
    articles = corpora.read(PUBLIC / "seesaw" / "SEESAW", "seesaw")
    assert Counter(a.split for a in articles for _ in a.annotations) == {"train": 6263, "validation": 2436}
    train, valid = (corpora.read(PUBLIC / "dse" / f"{part}.txt", "dse") for part in ("train", "valid"))
    assert (len(train), len(valid), len(dse.leaked(valid, train))) == (13144, 1461, 392)
    sizes = {part: corpora.read(PUBLIC / "newsmtsc" / f"{part}_dev.jsonl", "newsmtsc") for part in ("rw", "mt")}
    assert {part: sum(len(a.annotations) for a in found) for part, found in sizes.items()} == {"rw": 343, "mt": 442}
