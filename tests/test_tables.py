"""Tables of stances: every shape and fault that a file may have, and memory that stays within bounds."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from stance import corpora, jsonl
from stance.corpora import cells, texts
from stance.corpora.source import Dropped, Found, Repair
from stance.errors import StanceError
from stance.forms import article_from_json, article_to_json
from stance.records import Article
from stance.settings.building import CorpusConfig, SourceConfig

HEADER = ("text", "actor", "target", "stance")
BOARD = ("The Harbour Board sued Tolvik.", "Harbour Board", "Tolvik", "oppose")
RUHN = ("Ana Ruhn praised Tolvik.", "Ana Ruhn", "Tolvik", "support")


def found(path: Path, **settings: Any) -> list[Found]:
    return list(corpora.stream(CorpusConfig(name="toy", format="table", path=str(path), **settings)))


def articles(path: Path, **settings: Any) -> list[Article]:
    """The articles of a table in which nothing is wrong."""
    items = found(path, **settings)
    assert [item for item in items if not isinstance(item, Article)] == []
    return [item for item in items if isinstance(item, Article)]


def table(path: Path, rows: Iterable[Iterable[Any]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    return path


def one(tmp_path: Path, row: dict[str, Any]) -> tuple[Article, list[Found]]:
    """The article of a JSON line, and what else was said about it."""
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(dict(zip(HEADER, BOARD, strict=True)) | row) + "\n", "utf-8")
    *others, article = found(path)
    assert isinstance(article, Article)
    return article, others


def shown(article: Article) -> list[tuple[str, str | None, str | None, str]]:
    """Of each annotation: actor as printed, target as printed, stance."""
    return [
        (
            note.stance.value,
            article.text[slice(*note.actor.span)] if note.actor.span else None,
            article.text[slice(*note.target.span)] if note.target.span else None,
            article.text[slice(*note.evidence[0])],
        )
        for note in article.annotations
    ]


# Files


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_csv_is_read_whatever_its_delimiter_and_encoding(tmp_path: Path, delimiter: str, encoding: str) -> None:
    row = ("Das Café «Möwe», sagt Müller; nein.", "Müller", "Café «Möwe»", "oppose")
    *notes, article = found(table(tmp_path / "a.csv", [HEADER, row], delimiter, encoding))
    assert isinstance(article, Article)
    assert shown(article) == [("oppose", "Müller", "Café «Möwe»", row[0])]
    assert [note for note in notes if not isinstance(note, Repair)] == []
    assert bool(notes) == (encoding in ("cp1252", "utf-16-le", "utf-16-be"))


def test_csv_tsv_parquet_and_json_lines_give_the_same_articles(tmp_path: Path) -> None:
    rows = [dict(zip(HEADER, row, strict=True)) | {"date": "2021-03-04", "weight": 0.5} for row in (BOARD, RUHN)]
    table(tmp_path / "a.csv", [rows[0].keys(), *(row.values() for row in rows)])
    table(tmp_path / "a.tsv", [rows[0].keys(), *(row.values() for row in rows)], "\t")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kinds = [articles(tmp_path / f"a.{suffix}") for suffix in ("csv", "tsv", "parquet", "jsonl")]
    plain = [[article_to_json(article) for article in kind] for kind in kinds]
    assert plain[0] == plain[1] == plain[2] == plain[3]
    assert [(a.id, a.date, a.annotations[0].weight) for a in kinds[2]] == [
        ("toy-0000001", "2021-03-04", 0.5), ("toy-0000002", "2021-03-04", 0.5),
    ]  # fmt: skip
    assert [article.where for article in kinds[0]] == [f"{tmp_path / 'a.csv'}:2", f"{tmp_path / 'a.csv'}:3"]


def test_what_is_read_can_be_written_in_our_own_form_and_read_again(tmp_path: Path) -> None:
    for article in articles(table(tmp_path / "a.csv", [HEADER, BOARD, RUHN])):
        assert article_from_json(article_to_json(article), article.where) == article


def test_a_directory_of_tables_keeps_the_splits_that_its_files_are_called_by(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", [HEADER, BOARD])
    table(tmp_path / "dev.csv", [HEADER, RUHN])
    (tmp_path / "README.md").write_text("# Toy")
    assert [(a.id, a.split) for a in articles(tmp_path)] == [
        ("toy-dev-0000001", "validation"), ("toy-train-0000001", "train"),
    ]  # fmt: skip


def test_files_of_a_directory_that_are_no_tables_are_told(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", [HEADER, BOARD])
    for name in ("b.xlsx", "c.XLSX", "d", ".DS_Store", "LICENSE", "splits.json"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "more.d").mkdir()
    remark, article = found(tmp_path)
    assert isinstance(article, Article)
    what = "3 files of other kinds are left out (2 .xlsx, 1 without a suffix); .csv, .tsv, .parquet, .jsonl are read"
    assert remark == Repair(str(tmp_path), "", what)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [("sentence", "who", "target", "stance"), BOARD])
    there = r"a\.csv: no column 'text' for text \(set columns\.text\); the columns there are sentence, who"
    with pytest.raises(StanceError, match=there):
        found(path)
    with pytest.raises(StanceError, match="no column 'holder' for actor; the columns there are sentence, who"):
        found(path, columns={"text": "sentence", "actor": "holder"})
    with pytest.raises(StanceError, match="no column 'when' for date; the columns"):
        found(path, columns={"text": "sentence", "actor": "who", "date": "when"})
    assert len(articles(path, columns={"text": "sentence", "actor": "who"})) == 1


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_missing_column_is_named_for_every_kind_of_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        parquet.write_table(pa.table({"body": ["x"], "actor": ["y"]}), path)
    else:
        path.write_text('{"body": "x", "actor": "y"}\n')
    with pytest.raises(StanceError, match=r"no column 'text' for text .*; the columns there are body, actor$"):
        found(path)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"columns": {"holder": "who"}}, r"columns: unknown name 'holder'; expected some of text, actor,"),
        ({"labels": {"pro": "favour"}}, r"labels\.pro: found 'favour'; expected one of oppose, neutral, supp"),
    ],
)
def test_a_map_to_nothing_we_know_is_refused(tmp_path: Path, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(StanceError, match=match):
        found(table(tmp_path / "a.csv", [HEADER, BOARD]), **settings)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", b"", r"a\.csv: the file is empty; expected a line with the names"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\1\2\3" + bytes(range(256)) * 9, r"a\.csv: binary data"),
        ("a.csv", b"text,text,actor,target,stance\nx,y,z,w,oppose\n", "the column 'text' stands twice"),
        ("a.parquet", b"PAR1 not at all", r"a\.parquet: not a Parquet file"),
        ("a.jsonl", b"", r"a\.jsonl: the file is empty"),
        ("a.xlsx", b"PK", r"expected a table \(\.csv, \.tsv, \.parquet, \.jsonl\), found \.xlsx"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, match: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StanceError, match=match):
        found(tmp_path / name)


def test_a_path_with_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="no such file; expected a table"):
        found(tmp_path / "none.csv")
    with pytest.raises(StanceError, match=r"no \.csv, .* file in this directory"):
        found(tmp_path)


def test_a_row_that_is_cut_off_is_dropped_with_its_line_and_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,actor,target,stance\nonly text\n\n" + '"' + BOARD[0] + '","Harbour Board",Tolvik,oppose\n')
    dropped, article = found(path)
    assert dropped == Dropped(
        f"{path}:2", "", "", "", "expected 4 cells, found 1; cells that hold ',' want quotation marks"
    )
    assert isinstance(article, Article)
    assert article.where == f"{path}:4"


def test_a_quotation_mark_that_is_not_closed_names_the_line_where_it_opens(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'text,actor,target,stance\n{",".join(BOARD)}\n"The Board,A,B,oppose\n' + f"{','.join(RUHN)}\n" * 3)
    dropped, article = found(path)
    assert isinstance(article, Article)
    assert isinstance(dropped, Dropped)
    assert (dropped.where, dropped.reason[:37]) == (f"{path}:3", "unexpected end of data up to line 6; ")
    assert dropped.unusable == 4


@pytest.mark.parametrize(
    "opened", ['"The Board sued Tolvik.,Harbour Board,Tolvik,oppose', 'The Board.,Board,Tolvik,"oppose']
)
def test_rows_behind_a_quotation_mark_that_is_not_closed_are_counted_as_lost(tmp_path: Path, opened: str) -> None:
    lines = [f"In case {i} the Harbour Board sued Tolvik.,Harbour Board,Tolvik,oppose" for i in range(300)]
    lines[200] = opened
    (tmp_path / "a.csv").write_text("\n".join([",".join(HEADER), *lines]) + "\n")
    items = found(tmp_path / "a.csv")
    (lost,) = [item for item in items if isinstance(item, Dropped)]
    assert (lost.where, lost.unusable) == (f"{tmp_path / 'a.csv'}:202", 100)
    assert len([item for item in items if isinstance(item, Article)]) == 200


QUOTING = (
    ('"We back Iran", the US said.', "US", "Iran", "support"),
    ('"We reject Iran.', "US", "Iran", "oppose"),
    ('and Syria too."', "US", "Syria", "oppose"),
    ('The US said: "We back Iran."', "US", "Iran", "support"),
    ('"We back Iran."', "US", "Iran", "support"),
)
"""Sentences of news as files divided by tabs have them: quotation marks are part of the text."""


def test_a_quotation_mark_in_a_file_divided_by_tabs_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join("\t".join(row) + "\n" for row in (HEADER, *QUOTING)))
    note, *items = found(tmp_path / "a.tsv")
    assert isinstance(note, Repair)
    assert note.what == "quotation marks are read as text: they stand around no cells here"
    texts = [item.text for item in items if isinstance(item, Article)]
    assert texts == [row[0] for row in QUOTING]
    stances = [item.annotations[0].stance for item in items if isinstance(item, Article)]
    assert stances == [row[3] for row in QUOTING]


@pytest.mark.parametrize("several", [False, True])
def test_quotation_that_goes_on_in_the_next_row_joins_no_rows(tmp_path: Path, several: bool) -> None:
    rows = ["\t".join(row) for row in (*QUOTING[1:3], *QUOTING[:1] * several)]
    (tmp_path / "a.tsv").write_text("\n".join(["\t".join(HEADER), *rows]) + "\n")
    texts = [item.text for item in found(tmp_path / "a.tsv") if isinstance(item, Article)]
    assert texts == [row[0] for row in (*QUOTING[1:3], *QUOTING[:1] * several)]


def test_a_file_divided_by_tabs_whose_cells_are_quoted_is_read_as_its_writer_meant(tmp_path: Path) -> None:
    rows = [
        ('The US said: "We back Iran."', "US", "Iran", "support"),
        ("The US\tsaid\nthat it backs Iran.\nSo it did.", "US", "Iran", "support"),
        ('"We back Iran", it said.', "US", "Iran", "support"),
    ]
    kept = articles(table(tmp_path / "a.tsv", [HEADER, *rows], "\t"))
    assert [article.text for article in kept] == [row[0] for row in rows]
    last = [(row[3], *row[:3]) for row in rows]
    kept = articles(table(tmp_path / "b.tsv", [("stance", *HEADER[:3]), *last], "\t"))
    assert [article.text for article in kept] == [row[0] for row in rows]
    with (tmp_path / "b.tsv").open("a") as out:
        out.write('support\t"We back Iran.\tUS\tIran\n')
    items = found(tmp_path / "b.tsv")
    assert [item.text for item in items if isinstance(item, Article)] == [row[0] for row in rows]
    assert [item.unusable for item in items if isinstance(item, Dropped)] == [1]


@pytest.mark.parametrize("damaged", ['"He said "no" to Bob"\t"He"\t"Bob"\t"oppose"', '"Ann.\t"Ann"\t"Bob"\t"oppose"'])
def test_one_damaged_row_does_not_lose_a_file_whose_cells_are_all_quoted(tmp_path: Path, damaged: str) -> None:
    rows = ["\t".join(f'"{cell}"' for cell in row) for row in (HEADER, BOARD, RUHN)]
    (tmp_path / "a.tsv").write_text("\n".join([*rows, damaged]) + "\n")
    items = found(tmp_path / "a.tsv")
    assert [item.text for item in items if isinstance(item, Article)] == [BOARD[0], RUHN[0]]
    assert [item.where for item in items if isinstance(item, Dropped)] == [f"{tmp_path / 'a.tsv'}:4"]


def test_a_line_of_excel_above_tabs_says_nothing_of_quotation(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join("\t".join(row) + "\n" for row in (("sep=",), HEADER, *QUOTING[:1])))
    (tmp_path / "a.tsv").write_text((tmp_path / "a.tsv").read_text().replace("sep=\n", "sep=\t\n", 1))
    (article,) = [item for item in found(tmp_path / "a.tsv") if isinstance(item, Article)]
    assert (article.text, article.where) == (QUOTING[0][0], f"{tmp_path / 'a.tsv'}:3")


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_blanks_behind_a_quotation_mark_are_no_part_of_a_cell(tmp_path: Path, suffix: str, delimiter: str) -> None:
    text = 'The Board, "sure" ; of it, sued Tolvik.'
    quoted = text.replace('"', '""')
    row = (f'"{quoted}" ', "Board", '"Tolvik"  ', '"oppose" ')
    lines = [delimiter.join(HEADER), delimiter.join(row), delimiter.join(f'"{cell}"' for cell in (quoted, *BOARD[1:]))]
    (tmp_path / f"a.{suffix}").write_text("\n".join(lines) + "\n")
    assert [article.text for article in articles(tmp_path / f"a.{suffix}")] == [text]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_first_line_that_excel_writes_is_no_header(tmp_path: Path, first: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{first}\r\n{';'.join(HEADER)}\r\n{';'.join(BOARD)}\r\nonly text\r\n", newline="")
    dropped, article = found(path)
    assert isinstance(article, Article)
    assert article.where == f"{path}:3"
    assert isinstance(dropped, Dropped)
    assert dropped.where == f"{path}:4"


def test_stray_bytes_in_a_utf8_file_are_mended_and_reported_or_drop_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [",".join(HEADER), "Die Bürger von Köln rügen Müller.,Köln,Müller,oppose", ",".join(BOARD)]
    raw = (
        "\n".join(lines).encode()
        + b"\nCaf\xe9 Ruhn praised Tolvik.,Caf\xe9 Ruhn,Tolvik,support\nX\x81 saw Y.,X,Y,oppose\n"
    )
    path.write_bytes(raw)
    items = found(path)
    assert [a.text[:9] for a in items if isinstance(a, Article)] == ["Die Bürge", "The Harbo", "Café Ruhn"]
    assert [(i.where, i.what) for i in items if isinstance(i, Repair)] == [(
        f"{path}:4",
        "text: 1 bytes that are not UTF-8 read as Windows-1252, actor: 1 bytes that are not UTF-8 read as Windows-1252",
    )]  # fmt: skip
    (dropped,) = [item for item in items if isinstance(item, Dropped)]
    assert (dropped.where, dropped.reason) == (f"{path}:5", "byte 0x81 is neither UTF-8 nor Windows-1252")


def test_a_damaged_utf16_row_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = "".join(",".join(row) + "\n" for row in (HEADER, BOARD, RUHN))
    path.write_bytes(lines.encode("utf-16").replace("Ana".encode("utf-16-le"), b"\x00\xd8A\0\x00\xd8"))
    dropped, article = found(path)
    assert isinstance(article, Article)
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "characters that are no utf-16; save the file as UTF-8"


def test_the_lines_of_json_that_are_broken_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(dict(zip(HEADER, BOARD, strict=True))).encode() + b'\n{"text": \n[1]\n\xff\n')
    *dropped, article = found(path)
    assert isinstance(article, Article)
    assert [item.reason[:20] for item in dropped if isinstance(item, Dropped)] == [
        "broken JSON at colum", "expected a JSON obje", "not UTF-8 (byte 0xff",
    ]  # fmt: skip


def test_reading_goes_on_behind_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first, last = (json.dumps(dict(zip(HEADER, row, strict=True))).encode() for row in (BOARD, RUHN))
    long = b'{"text": "' + b"x" * 2 * jsonl.MAX_LINE_BYTES + b'"}'
    path.write_bytes(b"\n".join((first, long, b" " * jsonl.MAX_LINE_BYTES, last)) + b"\n")
    one, two = (item for item in found(path) if isinstance(item, Article))
    assert (one.where, two.where) == (f"{path}:1", f"{path}:4")
    (dropped,) = (item for item in found(path) if isinstance(item, Dropped))
    assert (dropped.where, dropped.reason[:27]) == (f"{path}:2", "a line of over 16,000,000 b")


def test_a_column_that_first_comes_late_is_read(tmp_path: Path) -> None:
    rows = [dict(zip(HEADER, (f"{BOARD[0]} {n}", *BOARD[1:]), strict=True)) for n in range(150)]
    jsonl.write(tmp_path / "a.jsonl", [*rows, rows[0] | {"text": RUHN[0], "split": "test", "who": "ana"}])
    *_, last = articles(tmp_path / "a.jsonl", columns={"annotator": "who"})
    assert (last.split, last.annotations[0].annotator) == ("test", "ana")


def test_a_time_that_python_does_not_have_is_left_out_and_reported(tmp_path: Path) -> None:
    rows = [dict(zip(HEADER, row, strict=True)) for row in (BOARD, RUHN)]
    made = pa.Table.from_pylist(rows).append_column("date", pa.array([2**62, 0], pa.timestamp("ms")))
    parquet.write_table(made, tmp_path / "a.parquet")
    repair, *both = found(tmp_path / "a.parquet")
    assert isinstance(repair, Repair)
    assert (repair.where, repair.what[:28]) == (f"{tmp_path / 'a.parquet'}:1", "date: a value out of range (")
    assert [item.date for item in both if isinstance(item, Article)] == ["", "1970-01-01"]


def test_a_time_in_a_zone_that_does_not_exist_is_left_out_and_reported(tmp_path: Path) -> None:
    rows = [dict(zip(HEADER, BOARD, strict=True))]
    made = pa.Table.from_pylist(rows).append_column("date", pa.array([0], pa.timestamp("ms", "Mars/Olympus")))
    parquet.write_table(made, tmp_path / "a.parquet")
    repair, article = found(tmp_path / "a.parquet")
    assert isinstance(repair, Repair)
    assert repair.what == "date: the time zone 'Mars/Olympus' is not known; left out"
    assert isinstance(article, Article)
    assert article.date == ""


def test_a_parquet_file_that_is_damaged_in_the_middle_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [dict(zip(HEADER, (f"{BOARD[0]} {i * 7919}", *BOARD[1:]), strict=True)) for i in range(3000)]
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=500, compression="gzip", use_dictionary=False)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = bytes(2000)
    path.write_bytes(raw)
    whole = []
    with pytest.raises(
        StanceError, match=r"a\.parquet:\d+: the file is damaged from here .*fetch it or write it again"
    ):
        whole += corpora.stream(CorpusConfig(name="toy", format="table", path=str(path)))
    assert len(whole) >= 500


# Rows to articles


def test_rows_of_one_article_or_of_one_text_make_one_article(tmp_path: Path) -> None:
    rows = [(BOARD[0], "Harbour Board", "Tolvik", "oppose"), (BOARD[0], "Tolvik", "Harbour Board", "neutral"), RUHN]
    first, _ = articles(table(tmp_path / "a.csv", [HEADER, *rows]))
    assert [note.stance.value for note in first.annotations] == ["oppose", "neutral"]
    named = [(*HEADER, "article_id"), *((*row, "x-1") for row in rows)]
    repair, article = found(table(tmp_path / "b.csv", named))
    assert isinstance(repair, Repair)
    assert repair.what == "2 different texts of one article joined as paragraphs"
    assert isinstance(article, Article)
    assert article.text == f"{BOARD[0]}\n\n{RUHN[0]}"
    assert shown(article) == [
        ("oppose", "Harbour Board", "Tolvik", BOARD[0]),
        ("neutral", "Tolvik", "Harbour Board", BOARD[0]),
        ("support", "Ana Ruhn", "Tolvik", RUHN[0]),
    ]


def test_no_text_of_an_article_stands_in_two_official_splits(tmp_path: Path) -> None:
    rows = [(*BOARD, "x", ""), (*BOARD[:3], "support", "x", "Train"), (*RUHN, "x", "test"), (*BOARD, "x", "dev")]
    path = table(tmp_path / "a.csv", [(*HEADER, "article_id", "split"), *rows])
    *dropped, article = found(path, splits="official")
    assert isinstance(article, Article)
    assert (article.text, article.split, len(article.annotations)) == (BOARD[0], "train", 2)
    assert [(d.where, d.article_id, d.reason) for d in dropped if isinstance(d, Dropped)] == [
        (f"{path}:4", "x", "split: expected 'train', as other rows of the same article have, found 'test'"),
        (f"{path}:5", "x", "split: expected 'train', as other rows of the same article have, found 'validation'"),
    ]
    repair, *_, article = found(path, splits="none")
    assert isinstance(article, Article)
    assert (article.split, len(article.annotations)) == ("", 3)
    assert repair == Repair(f"{path}:2", "x", "its rows have the splits train, test, validation, which were left out")


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("title", ["a"], "title: expected text, found list; left out"),
        ("outlet", {"name": "x"}, "outlet: expected text, found dict; left out"),
        ("split", [1], "split: expected text, found list; left out"),
        ("theme", "\ud83d", "theme: half a surrogate pair at character 0; write it whole; left out"),
    ],
)
def test_what_describes_an_article_and_cannot_be_read_is_left_out(
    tmp_path: Path, column: str, value: Any, what: str
) -> None:
    article, repairs = one(tmp_path, {column: value})
    assert (getattr(article, column), len(article.annotations)) == ("", 1)
    assert repairs == [Repair(f"{tmp_path / 'one.jsonl'}:1", "toy-0000001", what)]


def test_an_id_that_comes_again_and_a_row_that_repeats_are_dropped(tmp_path: Path) -> None:
    rows = [(*BOARD, "a"), (*BOARD, "a"), (*RUHN, "b"), (*RUHN, "a")]
    path = table(tmp_path / "a.csv", [(*HEADER, "article_id"), *rows])
    items = found(path)
    assert [a.id for a in items if isinstance(a, Article)] == ["a", "b"]
    assert [(d.where, d.reason) for d in items if isinstance(d, Dropped)] == [
        (f"{path}:3", f"repeats {path}:2"),
        (f"{path}:5", f"the id 'a' stands at {path}:2 already"),
    ]


def test_texts_that_come_again_further_down_are_told_unless_they_have_an_article_id(tmp_path: Path) -> None:
    header = (*HEADER, "annotator", "article_id")
    votes = [(*text[:3], vote, who) for who, vote in zip("abc", ("oppose", "support", "oppose"), strict=True)
             for text in (BOARD, RUHN)]  # fmt: skip
    path = table(tmp_path / "a.csv", [header[:5], *votes])
    *made, remark = found(path)
    assert [len(a.annotations) for a in made if isinstance(a, Article)] == [1] * 6
    assert remark == Repair(
        f"{path}:4", "", "4 times a text comes again behind rows of others and makes an article of its own: votes on "
        "it are not compared; sort the rows by text, or give an article_id",
    )  # fmt: skip
    assert [len(a.annotations) for a in articles(table(path, [header[:5], *sorted(votes)]))] == [3, 3]
    named = [(*vote, f"x{number}") for number, vote in enumerate(votes)]
    assert len(articles(table(path, [header, *named]))) == 6


def test_labels_are_mapped_dropped_or_refused_with_a_hint(tmp_path: Path) -> None:
    rows = [(*BOARD[:3], label) for label in ("1", "-1", "x", "0", "SUPPORT")]
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_pylist([dict(zip(HEADER, row, strict=True)) for row in rows]), path)
    items = found(path, labels={"1": "support", "-1": "oppose", "0": "drop"})
    (article,) = [item for item in items if isinstance(item, Article)]
    assert [note.stance.value for note in article.annotations] == ["support", "oppose"]
    assert [(d.article_id, d.actor, d.target, d.reason) for d in items if isinstance(d, Dropped)] == [
        ("toy-0000001", "Harbour Board", "Tolvik", "unknown stance 'x'; expected one of -1, 0, 1, neutral, oppose, "
         "support; labels can map it, or drop it"),
        ("toy-0000001", "Harbour Board", "Tolvik", "the stance '0' is left out by labels"),
        ("toy-0000001", "Harbour Board", "Tolvik", f"repeats {path}:1"),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [1, 1.0, "1", " 1 ", True])
def test_labels_are_matched_whatever_type_the_cell_has(tmp_path: Path, value: Any) -> None:
    assert cells.stance(value, {"1": "support", "True": "support"}) == "support"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (True, True),
        (True, "True"),
        ("true", "TRUE"),
        (1, "1.0"),
        (1.0, 1),
        (1.0, "1"),
        ("1.0", 1),
        (1, Decimal("1.00")),
        ("Pro", "pro"),
        (-1, "-1.0"),
    ],
)
def test_a_label_is_found_however_it_is_written(key: Any, value: Any) -> None:
    labels = SourceConfig(labels={key: "support", "other": "oppose"}).labels
    assert cells.stance(value, labels) == "support"


def test_a_label_as_it_stands_comes_before_one_alike() -> None:
    labels = {"A": "support", "a": "oppose", "1.0": "neutral", "1": "support"}
    assert [cells.stance(value, labels) for value in ("A", "a", "1.0", 1)] == [
        "support",
        "oppose",
        "neutral",
        "support",
    ]


def test_a_boolean_of_every_kind_of_table_meets_its_label(tmp_path: Path) -> None:
    rows = [dict(zip(HEADER, (*BOARD[:3], True), strict=True))]
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0]) + "\n")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    table(tmp_path / "c.csv", [HEADER, rows[0].values()])
    kept = articles(tmp_path, labels={True: "oppose", False: "support"})
    assert [one.annotations[0].stance for one in kept] == ["oppose"] * 3


def test_decimals_of_parquet_are_numbers(tmp_path: Path) -> None:
    row = dict(zip(HEADER, (*BOARD[:3], Decimal("-1.0")), strict=True)) | {"weight": Decimal("0.25")}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (one,) = articles(tmp_path / "a.parquet", labels={-1: "oppose"})
    assert (one.annotations[0].stance, one.annotations[0].weight) == ("oppose", 0.25)


def test_title_and_date_are_those_of_the_first_row_that_has_them(tmp_path: Path) -> None:
    rows = [
        ("x", *BOARD, "", ""),
        ("x", *BOARD[:1], *RUHN[1:], "Suit", "2021-03-04"),
        ("x", *BOARD[:3], "neutral", "No", ""),
    ]
    (one,) = articles(table(tmp_path / "a.csv", [("article_id", *HEADER, "title", "date"), *rows]))
    assert (one.title, one.date) == ("Suit", "2021-03-04")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hillary Clinton met the press.", "Bill Clinton"),
        ("America is great, Ann says.", "Bank of America"),
        ("A new law on taxes came.", "the tax law"),
    ],
)
def test_a_part_of_a_name_is_no_place_of_it(tmp_path: Path, text: str, name: str) -> None:
    (article,) = articles(table(tmp_path / "a.csv", [HEADER, (text, "Ann", name, "oppose")]))
    assert article.annotations[0].target.span is None


def test_a_name_in_other_marks_is_found_as_the_models_find_it(tmp_path: Path) -> None:
    article, _ = one(tmp_path, {"text": "Mu\u0308ller\u2019s Board sued Tolvik.", "actor": "M\u00fcller's Board"})
    assert shown(article)[0][1] == "Mu\u0308ller\u2019s Board"


def test_half_a_surrogate_pair_of_json_is_no_byte_of_another_encoding(tmp_path: Path) -> None:
    row = json.dumps(dict(zip(HEADER, ("Caf\udce9 sued Tolvik.", *BOARD[1:]), strict=True)))
    (tmp_path / "a.jsonl").write_text(row + "\n")
    dropped = found(tmp_path / "a.jsonl")[0]
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "text: half a surrogate pair at character 3; write it whole"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": " "}, "the text is empty"),
        ({"text": None}, "the text is empty"),
        ({"text": ["a", "b"]}, "text: expected text, found list"),
        ({"text": "half \ud800 pair"}, "text: half a surrogate pair at character 5; write it whole"),
        ({"id": {"$oid": "5f"}}, "id: expected text, found dict"),
        ({"article_id": "a\ud800"}, "article_id: half a surrogate pair at character 1; write it whole"),
        ({"actor": "\ud800"}, "actor: half a surrogate pair at character 0; write it whole"),
        ({"annotator": [1]}, "annotator: expected text, found list"),
        ({"stance": {}}, "stance: expected text, found dict"),
        ({"actor": ""}, "the actor is empty"),
        ({"actor": "x" * 2001}, "actor of 2,001 characters; at most 2,000 are looked up"),
        (
            {"text": f"Ann backs {'y' * 2001}.", "target_start": 10, "target_end": 2011},
            "target: mention of 2,001 characters; at most 2,000 are looked up",
        ),
        ({"target": "\u200b"}, "the target is empty"),
        ({"stance": None}, "unknown stance ''"),
        ({"weight": "heavy"}, "weight: expected a number from 0, found 'heavy'"),
        ({"weight": -1}, "weight: expected a number from 0, found -1.0"),
        ({"evidence_start": 4, "evidence_end": 900}, r"evidence [4, 900] holds no words of a text of 30 characters"),
        ({"evidence_start": "9" * 5000}, f"evidence: expected offsets from 0, found '{'9' * 40}' and ''"),
        ({"evidence_span": "here"}, "evidence_span: expected two offsets, found 'here'"),
    ],
)
def test_a_row_that_cannot_be_used_is_dropped_with_the_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    path = tmp_path / "one.jsonl"
    full = dict.fromkeys(("weight", "evidence_start", "evidence_end", "evidence_span")) | dict(
        zip(HEADER, BOARD, strict=True)
    )
    path.write_text(json.dumps(full | row) + "\n")
    dropped = found(path)[0]
    assert isinstance(dropped, Dropped)
    assert dropped.where == f"{path}:1"
    assert dropped.reason.startswith(reason)
    jsonl.write(tmp_path / "dropped.jsonl", [asdict(dropped)])


def test_an_actor_that_no_column_names_is_someone(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [HEADER[:1] + HEADER[2:], BOARD[:1] + BOARD[2:]])
    (article,) = articles(path, columns={"actor": ""})
    assert (article.annotations[0].actor.name, article.annotations[0].actor.span) == ("someone", None)


def test_a_column_without_a_name_is_no_actor(tmp_path: Path) -> None:
    """As pandas writes its index; a semicolon too many at the end of a header makes another one."""
    rows = [HEADER[:1] + HEADER[2:], BOARD[:1] + BOARD[2:]]
    path = table(tmp_path / "a.csv", [[index, *row, ""] for index, row in zip(("", "0"), rows, strict=True)])
    (article,) = articles(path, columns={"actor": ""})
    assert (article.annotations[0].actor.name, article.annotations[0].actor.span) == ("someone", None)


def test_every_optional_column_reaches_the_article(tmp_path: Path) -> None:
    extra = {"id": 7.0, "title": "Row", "date": "4 March 2021", "outlet": "Port Week", "theme": "port", "split": "dev",
             "annotator": "ann", "weight": "0.25", "evidence_span": [4, 29]}  # fmt: skip
    article, notes = one(tmp_path, extra)
    assert notes == []
    assert (article.id, article.title, article.date, article.outlet) == ("7", "Row", "2021-03-04", "Port Week")
    assert (article.theme, article.split) == ("port", "validation")
    (note,) = article.annotations
    assert (note.annotator, note.weight, note.evidence) == ("ann", 0.25, ((4, 29),))


# Places


@pytest.mark.parametrize("span", [{"actor_span": [4, 17]}, {"actor_span": "[4, 17]"}, {"actor_span": "4:17"},
                                  {"actor_start": 4, "actor_end": 17}, {"actor_start": "4.0", "actor_end": "17.0"},
                                  {"actor_start": 4}, {"actor_span": None}, {}])  # fmt: skip
def test_offsets_are_taken_in_every_form_and_looked_up_without_one(tmp_path: Path, span: dict[str, Any]) -> None:
    article, notes = one(tmp_path, span)
    assert notes == []
    assert article.annotations[0].actor.span == (4, 17)


@pytest.mark.parametrize(
    ("span", "place", "what"),
    [
        ([3, 16], (4, 17), "actor: offsets 3-16 of 'Harbour Board' moved to 4-17, where it stands"),
        ([4, 16], (4, 17), "actor: offsets 4-16 of 'Harbour Board' moved to 4-17, where it stands"),
        ([4, 900], (4, 17), "actor: offsets 4-900 of 'Harbour Board' moved to 4-17, where it stands"),
        ([25, 28], (4, 17), "actor: offsets 25-28 of 'Harbour Board' ('lvi') moved to 4-17, where it stands"),
        ("somewhere", (4, 17), "actor_span: expected two offsets, found 'somewhere'; looked up in the text"),
    ],
)
def test_offsets_that_are_off_are_mended_and_reported(tmp_path: Path, span: Any, place: Any, what: str) -> None:
    article, notes = one(tmp_path, {"actor_span": span})
    assert article.annotations[0].actor.span == place
    assert [note.what for note in notes if isinstance(note, Repair)] == [what]


def test_a_mention_worded_unlike_the_name_stays_where_it_is_given(tmp_path: Path) -> None:
    text = "Islamabad sued the firm. Pakistan did so before."
    article, notes = one(tmp_path, {"text": text, "actor": "Pakistan", "actor_span": [0, 9], "target": "the firm"})
    assert notes == []
    assert shown(article)[0][:3] == ("oppose", "Islamabad", "the firm")


@pytest.mark.parametrize(("name", "given"), [("Iran", (9, 12)), ("Mali", (18, 26)), ("IRAN", (0, 4))])
def test_a_mention_near_the_printed_name_stays_too(name: str, given: tuple[int, int]) -> None:
    assert cells.settle("Iran and its army attacked Mali; IRAN left.", name, given) == (given, "")


def test_a_minus_is_no_offset(tmp_path: Path) -> None:
    _, notes = one(tmp_path, {"actor_span": "(-4, 17)"})
    assert [note.what for note in notes if isinstance(note, Repair)] == [
        "actor_span: expected two offsets, found '(-4, 17)'; looked up in the text"
    ]
    article, notes = one(tmp_path, {"actor_span": "4-17"})
    assert (article.annotations[0].actor.span, notes) == ((4, 17), [])


def test_a_row_that_stands_twice_costs_the_corpus_nothing(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("text,actor,target,stance\n" + "Iran praised the plan.,Iran,plan,support\n" * 2)
    found = list(corpora.stream(SourceConfig(name="t", format="table", path=str(path))))
    assert [item.unusable for item in found if isinstance(item, Dropped)] == [0]


def test_a_name_that_the_text_does_not_print_has_no_place(tmp_path: Path) -> None:
    article, notes = one(tmp_path, {"actor": "Quay League"})
    assert (article.annotations[0].actor.span, notes) == (None, [])
    article, notes = one(tmp_path, {"actor": "Quay League", "actor_span": [90, 99]})
    assert article.annotations[0].actor.span is None
    assert [note.what for note in notes if isinstance(note, Repair)] == [
        "actor: offsets 90-99 of 'Quay League' ('') left out: the text does not print it"
    ]


def test_a_name_is_looked_up_as_whole_words_nearest_to_the_other_name(tmp_path: Path) -> None:
    text = "Tolvikers met. Tolvik grew. Later the board of Tolvik said: the harbour\nboard sued Tolvik. Tolvik paid."
    article, _ = one(tmp_path, {"text": text})
    actor, target = article.annotations[0].actor.span, article.annotations[0].target.span
    assert (actor, target) == ((64, 77), (83, 89))


def test_in_a_long_text_the_evidence_is_what_lies_between_the_names(tmp_path: Path) -> None:
    article, _ = one(tmp_path, {"text": "It rained. " * 400 + BOARD[0] + " It rained." * 400})
    assert shown(article)[0][3] == "Harbour Board sued Tolvik"


# Text as it is found


def test_line_ends_and_zero_width_characters_are_cleaned_and_offsets_follow(tmp_path: Path) -> None:
    text = "\ufeffRain.\r\nThe Har\u200bbour\u00ad Board\r\nsued\u2028Tol\u200cvik."
    start = text.index("Har")
    article, notes = one(tmp_path, {"text": text, "actor_span": [start, text.index("Board") + 5]})
    assert article.text == "Rain.\nThe Harbour Board\nsued\nTolvik."
    assert shown(article) == [("oppose", "Harbour Board", "Tolvik", article.text)]
    breaks = "2 Windows line ends written as \\n, 1 other line ends written as \\n"
    assert [note.what for note in notes if isinstance(note, Repair)] == [
        f"{breaks}, 4 zero-width or control characters removed"
    ]


def test_white_space_that_few_know_still_parts_words() -> None:
    assert (
        texts.clean("the plan\x0bIran said\x0cOman\x1eQatar\x1fYemen").text == "the plan\nIran said\nOman\nQatar\nYemen"
    )


def test_right_to_left_text_and_the_joiners_it_needs_stay_as_they_are(tmp_path: Path) -> None:
    text = "دولت می\u200cخواهد \u200fطرح\u200f را رد کند."
    article, notes = one(tmp_path, {"text": text, "actor": "دولت", "target": "طرح"})
    assert (article.text, notes) == (text, [])
    assert shown(article)[0][:3] == ("oppose", "دولت", "طرح")
    assert texts.clean("ein\u200dfach 👩\u200d💻").text == "einfach 👩\u200d💻"


def test_letters_are_not_composed(tmp_path: Path) -> None:
    article, notes = one(tmp_path, {"text": "Mu\u0308ller sued Tolvik.", "actor": "Mu\u0308ller"})
    assert (article.text, notes) == ("Mu\u0308ller sued Tolvik.", [])


@given(st.text(st.sampled_from("ab \r\n\x0b\x1f\u200b\ufeff\u200cش\x00\u2028é"), max_size=40), st.data())
def test_an_offset_still_points_to_its_character_after_cleaning(text: str, data: st.DataObject) -> None:
    cleaned = texts.clean(text)
    kept = [i for i in range(len(text)) if i not in cleaned.gone]
    assert len(cleaned.text) == len(kept)
    assert cleaned.moved(len(text)) == len(cleaned.text)
    for index in kept:
        assert cleaned.text[cleaned.moved(index)] == text[index] or cleaned.text[cleaned.moved(index)] == "\n"
    assert texts.clean(cleaned.text).text == cleaned.text or "\u200c" in cleaned.text


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2021-03-04", "2021-03-04"), ("2021-03-04T10:00:00Z", "2021-03-04"), ("20210304", "2021-03-04"),
        ("4 March 2021", "2021-03-04"), ("March 4th, 2021", "2021-03-04"), ("Mar. 4, 2021", "2021-03-04"),
        ("Thu, 04 Mar 2021 10:00:00 +0100", "2021-03-04"), ("2021/03/04", "2021-03-04"), ("31.12.2021", "2021-12-31"),
        ("Sept. 5, 2021", "2021-09-05"), ("5 Sept 2021", "2021-09-05"), ("Monday 5 March 2018", "2018-03-05"),
        ("2021-03-04 10:00:00 UTC", "2021-03-04"), ("Sept. 5 2021", "2021-09-05"), ("5 Sept. 2021", "2021-09-05"),
        ("12/31/2021", "2021-12-31"), ("04/04/2021", "2021-04-04"), ("03/04/2021", ""), ("yesterday", ""),
        ("0001-01-01", ""), ("1 Jan 99999999999999999999 10:00", ""), ("2021-13-01", ""), ("9999", ""), ("٢٠٢١", ""),
    ],
)  # fmt: skip
def test_dates_are_read_where_they_mean_one_day(written: str, day: str) -> None:
    assert cells.day(written) == day


@given(st.text(max_size=30))
def test_no_date_makes_the_reader_fail(written: str) -> None:
    assert len(cells.day(written)) in (0, 10)


def test_what_is_too_long_for_a_date_is_none_at_once() -> None:
    start = time.process_time()
    assert cells.day("2020" + " " * 40_000 + "x") == ""
    assert cells.day(" " * 100 + "4 March 2021") == ""
    assert cells.day(" " * 88 + "4 March 2021") == "2021-03-04"
    assert time.process_time() - start < 1, "15 seconds where the white space is looked through from each place"


def test_a_date_that_cannot_be_read_is_left_out_and_reported(tmp_path: Path) -> None:
    article, notes = one(tmp_path, {"date": "last Friday"})
    assert article.date == ""
    assert [note.what for note in notes if isinstance(note, Repair)] == [
        "date 'last Friday' can't be read and was left out; write it as YYYY-MM-DD"
    ]


# Size


def test_a_cell_of_five_megabytes_is_read(tmp_path: Path) -> None:
    text = "It rained in the harbour. " * 200_000 + BOARD[0]
    (article,) = articles(table(tmp_path / "a.csv", [HEADER, (text, *BOARD[1:])]))
    assert len(article.text) == len(text) > 5_000_000
    assert shown(article)[0][3] == "Harbour Board sued Tolvik"


MEASURE = """
import resource, sys
from stance import corpora
from stance.settings.building import CorpusConfig
from stance.records import Article
rows = corpora.FORMATS["table"](CorpusConfig(format="table", path=sys.argv[1]))
assert isinstance(next(rows), Article)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 1 + sum(isinstance(item, Article) for item in rows)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    "suffix", [pytest.param("csv", marks=pytest.mark.slow), pytest.param("parquet", marks=pytest.mark.slow)]
)
def test_200_000_rows_are_read_in_memory_that_does_not_grow(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"big.{suffix}"
    rows = ((f"In case {i} the Harbour Board of Tolvik sued Ana Ruhn. " * 4, *BOARD[1:]) for i in range(200_000))
    if suffix == "csv":
        table(path, (HEADER, *rows))
    else:
        parquet.write_table(pa.Table.from_pylist([dict(zip(HEADER, row, strict=True)) for row in rows]), path)
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    ).stdout
    count, megabytes = map(int, output.split())
    assert count == 200_000
    assert megabytes < 40, "the file holds 50 MB of text"
