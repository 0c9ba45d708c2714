"""Articles from text files, web pages and tables of them, in every condition in which they are found."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from stance import corpora
from stance.building import stages
from stance.corpora import texts, web
from stance.corpora.source import Dropped, Found, Repair
from stance.errors import StanceError
from stance.records import Article
from stance.settings.building import CorpusConfig, ExamplesConfig

FIRST = "The Harbour Board rejected the plan of the mayor on Friday, saying that the quay needs repair first."
SECOND = "Ana Ruhn, who leads the Quay League, welcomed the decision and called for talks with Tolvik."


def page(body: str = f"<p>{FIRST}</p><p>{SECOND}</p>", head: str = "") -> str:
    return f"""<!DOCTYPE html><html><head><title>Quay row - Port Week</title>
<meta property="og:site_name" content="Port Week">{head}</head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/x">Sport</a></li></ul></nav>
<article><h1>Quay row</h1>{body}</article>
<div class="comments"><p>I hate this paper, says a reader whose comment is quite long indeed.</p></div>
<footer>(c) 2019 Port Week. All rights reserved.</footer></body></html>"""


def found(path: Path, **settings: Any) -> list[Found]:
    return list(corpora.stream(CorpusConfig(name="toy", format="web", path=str(path), **settings)))


def one(path: Path, content: str | bytes) -> tuple[Article, str]:
    """The article of a file with this content, and what was changed about it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    *notes, article = found(path)
    assert isinstance(article, Article)
    assert len(notes) <= 1, "one repair for an article"
    return article, "".join(note.what for note in notes if isinstance(note, Repair))


@pytest.mark.parametrize("headline", ['["Quay row", "again"]', "7", "true", '{"a": "b"}'])
def test_a_title_that_is_no_text_is_left_out(tmp_path: Path, headline: str) -> None:
    head = f'<script type="application/ld+json">{{"@type": "NewsArticle", "headline": {headline}}}</script>'
    article, _ = one(tmp_path / "a.html", page(head=f'">{head}<meta name="x" content="'))
    assert isinstance(article.title, str)
    assert FIRST in article.text


def dropped(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (item,) = found(path)
    assert isinstance(item, Dropped)
    assert (item.where, item.article_id) == (str(path), path.name)
    return item.reason


# Web pages


def test_a_page_gives_text_title_date_and_outlet_without_what_stands_around_it(tmp_path: Path) -> None:
    head = '<meta property="article:published_time" content="2019-05-03T10:00:00Z">'
    article, changed = one(tmp_path / "a.html", page(head=head))
    assert article.text == f"Quay row\n\n{FIRST}\n\n{SECOND}"
    assert (article.title, article.date, article.outlet) == ("Quay row", "2019-05-03", "Port Week")
    assert (article.id, article.where, article.annotations) == ("a.html", str(tmp_path / "a.html"), ())
    assert changed == ""


def test_a_folder_is_read_with_its_folders_in_the_order_of_the_names(tmp_path: Path) -> None:
    (tmp_path / "2021").mkdir()
    (tmp_path / "2021" / "b.HTM").write_text(page())
    (tmp_path / "2021" / "a.txt").write_text(FIRST)
    (tmp_path / "a.html").write_text(page())
    (tmp_path / "style.css").write_text("p {}")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a-checkpoint.html").write_text(page())
    assert [item.id for item in found(tmp_path) if isinstance(item, Article)] == ["2021/a.txt", "2021/b.HTM", "a.html"]


def test_files_of_a_folder_that_are_not_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "2021").mkdir()
    for name in ("b.pdf", "2021/c.pdf", "d.docx", ".hidden.pdf", "README.md"):
        (tmp_path / name).write_bytes(b"%PDF")
    (tmp_path / "a.html").write_text(page())
    remark, article = found(tmp_path)
    assert isinstance(article, Article)
    what = "3 files of other kinds are left out (2 .pdf, 1 .docx); .txt, .html, .htm are read"
    assert remark == Repair(str(tmp_path), "", what)
    assert len(found(tmp_path / "a.html")) == 1


@pytest.mark.parametrize(
    "html",
    [
        "<html><body><nav><a href='/'>Home</a></nav></body></html>",
        "<html><body></body></html>",
        "",
        "just words",
        f"<html><body><script>var article = '{FIRST}';</script></body></html>",
        "<div>" * 20_000 + FIRST + "</div>" * 20_000,
    ],
    ids=["links", "nothing", "empty", "no-html", "script", "deep"],
)
def test_a_page_without_an_article_is_dropped(tmp_path: Path, html: str) -> None:
    assert dropped(tmp_path / "a.html", html).startswith("no article text in the HTML; found '")


def test_a_date_that_cannot_be_read_is_left_out_and_reported(tmp_path: Path) -> None:
    head = '<meta property="article:published_time" content="some Friday">'
    article, changed = one(tmp_path / "a.html", page(head=head))
    assert (article.date, changed) == ("", "date 'some Friday' can't be read and was left out")


def test_nothing_is_fetched_while_pages_are_read(tmp_path: Path, no_network: list[object]) -> None:
    head = '<link rel="canonical" href="https://example.org/a"><script src="https://example.org/x.js"></script>'
    body = f"<p>{FIRST}</p><img src='https://example.org/i.png'><p>{SECOND}</p>"
    article, _ = one(tmp_path / "a.html", page(body, head))
    assert article.text.endswith(SECOND)
    assert no_network == []


def test_markup_is_no_part_of_the_text_and_entities_are_characters(tmp_path: Path) -> None:
    said = "<b>Smith &amp; Sons</b> said &lt;no&#62;.&#8203;&#1;&#0;"
    body = f"<p>{FIRST}<script>alert(1)</script> {said}</p><p>{SECOND}</p>"
    article, _ = one(tmp_path / "a.html", page(body))
    assert f"{FIRST} Smith & Sons said <no>." in article.text
    assert "alert" not in article.text
    assert "\u200b" not in article.text


def test_a_page_from_right_to_left_keeps_its_letters_and_joiners(tmp_path: Path) -> None:
    text = "قال <b>مجلس</b> الميناء إن \u202bالخطة\u202c مرفوضة تماما وإن الرصيف يحتاج، می\u200cخواهد بناء فندق جديد."
    article, changed = one(tmp_path / "a.html", page(f"<p dir='rtl'>{text.replace('می', 'می&zwnj;می')}</p>"))
    assert article.text.endswith(text.replace("<b>", "").replace("</b>", "").replace("می", "می\u200cمی"))
    assert changed == ""


@pytest.mark.parametrize("many", [True, False], ids=["many paragraphs", "one paragraph"])
def test_a_page_of_five_megabytes_is_read(tmp_path: Path, many: bool) -> None:
    parts = [f"{FIRST} {SECOND} {number}" for number in range(26_000)]
    body = "".join(f"<p>{part}</p>" for part in parts) if many else f"<p>{' '.join(parts)}</p>"
    article, _ = one(tmp_path / "a.html", page(body))
    assert len(article.text) > 5_000_000
    assert article.text.endswith(parts[-1])


def test_a_file_name_that_is_not_utf8_is_written_out(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    try:
        path.write_text(f"{FIRST} {SECOND}")
    except OSError:
        pytest.skip("this file system takes names of UTF-8 alone")
    source = CorpusConfig("toy", "web", str(tmp_path))
    (article,) = corpora.stream(source)
    assert (article.id, article.where) == ("caf\\udce9.txt", f"{tmp_path}/caf\\udce9.txt")  # type: ignore[union-attr]
    asked = ExamplesConfig(context=0, neutral_ratio=0, unlabelled=1)
    made = stages.stage(source, asked, work=tmp_path / "work", processes=1)
    assert made.table("articles").column("id").to_pylist() == ["caf\\udce9.txt"]


def test_a_file_over_the_limit_is_dropped(tmp_path: Path) -> None:
    with (tmp_path / "a.html").open("wb") as out:
        out.truncate(web.MAX_BYTES + 1)
    (item,) = found(tmp_path / "a.html")
    assert isinstance(item, Dropped)
    assert item.reason == "20,000,001 bytes; at most 20,000,000 are read"


def test_a_page_of_very_many_elements_is_dropped_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page("<p>a</p>" * 100_000))
    start = time.process_time()
    (item,) = found(tmp_path / "a.html")
    assert time.process_time() - start < 5, "some 0.1 seconds; 20 where the article is looked for"
    assert isinstance(item, Dropped)
    assert item.reason == "100,016 elements of HTML; at most 30,000 are read"


# Encodings

GERMAN = "Der Hafenrat lehnt die Pläne des Bürgermeisters für den Kai ab, weil das Ufer zuerst ausgebessert werden muß."
RUSSIAN = "Совет порта отклонил план мэра в пятницу, заявив, что причал сначала нуждается в ремонте и новых деньгах."
JAPANESE = "港湾委員会は金曜日に市長の計画を拒否し、まず岸壁を修理する必要があると述べた。住民は決定を歓迎した。"


@pytest.mark.parametrize(
    ("text", "encoding", "declared", "changed"),
    [
        (GERMAN, "utf-8", "", ""),
        (GERMAN, "utf-8-sig", "", ""),
        (GERMAN, "utf-16", "", ""),
        (GERMAN, "utf-16-le", "", "read as utf-16-le, without a byte order mark"),
        (GERMAN, "cp1252", "iso-8859-1", ""),
        (GERMAN, "cp1252", "", "no encoding declared, read as cp1252"),
        (GERMAN, "cp1252", "utf-8", "not utf-8, read as cp1252"),
        (GERMAN, "cp1252", "klingon", "not klingon, read as cp1252"),
        (GERMAN, "utf-8", "iso-8859-1", "declared as iso-8859-1, read as utf-8"),
        (GERMAN, "utf-8", "zlib", "declared as zlib, read as utf-8"),
        (RUSSIAN, "cp1251", "windows-1251", ""),
        (RUSSIAN, "koi8-r", "", "no encoding declared, read as koi8-r"),
        (JAPANESE, "shift_jis", "Shift_JIS", ""),
        (JAPANESE, "euc_jp", "", "no encoding declared, read as euc_jp"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp", ""),
    ],
)
def test_a_page_is_read_in_its_encoding(tmp_path: Path, text: str, encoding: str, declared: str, changed: str) -> None:
    head = f'<meta charset="{declared}">' if declared else ""
    article, what = one(tmp_path / "a.html", page(f"<p>{text}</p><p>{text}</p>", head).encode(encoding))
    assert article.text.endswith(text)
    assert what == changed


def test_a_page_of_mixed_encodings_is_mended_and_reported(tmp_path: Path) -> None:
    raw = page(f"<p>{GERMAN}</p><p>Caf\0 {SECOND}</p>").encode().replace(b"\0", b"\xe9")
    article, changed = one(tmp_path / "a.html", raw)
    assert article.text.endswith(f"{GERMAN}\n\nCafé {SECOND}")
    assert changed == "1 bytes that are not UTF-8 read as Windows-1252"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (bytes(range(256)) * 20, "binary data; expected text or HTML"),
        (b"\xff\xfe\x00\xd8\x41\x00", "not valid utf-16 (byte 2); save it as UTF-8"),
        (GERMAN.encode() + b" \x81", "byte 0x81 is neither UTF-8 nor Windows-1252"),
        (b"\xff\x81\xfe\x8d" * 50, "neither UTF-8 nor another encoding that can be told; save it as UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_dropped_with_the_reason(tmp_path: Path, raw: bytes, reason: str) -> None:
    assert dropped(tmp_path / "a.txt", raw) == reason


def test_a_declared_encoding_that_is_no_encoding_of_text_is_not_used() -> None:
    for label in ("zlib", "rot13", "idna", "punycode", "unicode_escape", "undefined", "utf-7"):
        assert texts.decode(b"\x1b plain", label)[0] == "\x1b plain"


# Text files


def test_the_paragraphs_of_a_text_are_divided_by_one_blank_line(tmp_path: Path) -> None:
    text = f"\ufeff  {FIRST}  \r\n\r\n \r\n\r\n{SECOND}\r\n".replace(" the decision", "\r\nthe decision")
    article, changed = one(tmp_path / "a.txt", text)
    assert article.text == f"{FIRST}\n\n{SECOND}"
    assert changed == "6 Windows line ends written as \\n; white space and paragraphs laid out anew"
    assert one(tmp_path / "b.txt", article.text) == (Article("b.txt", article.text, where=str(tmp_path / "b.txt")), "")


def test_lines_are_paragraphs_where_no_blank_line_is_and_no_sentence_runs_on() -> None:
    assert texts.paragraphs(f"{FIRST}\n{SECOND}") == f"{FIRST}\n\n{SECOND}"
    assert texts.paragraphs(FIRST.replace(" plan of", " plan\nof")) == FIRST


def test_zero_width_characters_are_removed_and_letters_are_not_composed(tmp_path: Path) -> None:
    article, changed = one(tmp_path / "a.txt", f"Mu\u0308l\u200bler. {FIRST}\u2060\x00")
    assert article.text == f"Mu\u0308ller. {FIRST}"
    assert changed == "3 zero-width or control characters removed"


def test_an_empty_text_is_dropped(tmp_path: Path) -> None:
    assert dropped(tmp_path / "a.txt", " \r\n\u200b") == "the text is empty"


# Tables of pages


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_column_of_html_gives_articles_and_other_columns_come_before_what_the_page_says(
    tmp_path: Path, suffix: str
) -> None:
    rows = [
        {"content": page(), "url": "https://x.example/1", "seen": "3 May 2019", "paper": "The Quay", "part": "dev"},
        {"content": "<p>no</p>", "url": "https://x.example/2", "seen": "", "paper": "", "part": ""},
        {"content": page(), "url": "https://x.example/1", "seen": "", "paper": "", "part": ""},
        {"content": page(), "url": "https://x.example/4", "seen": "soon", "paper": "", "part": ""},
    ]
    path = tmp_path / f"crawl.{suffix}"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == "csv":
        quoted = [",".join('"' + str(cell).replace('"', '""') + '"' for cell in row.values()) for row in rows]
        path.write_text("\n".join(["content,url,seen,paper,part", *quoted]))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    columns = {"html": "content", "date": "seen", "outlet": "paper", "split": "part"}
    items = found(path, columns=columns)
    first, _, _, repair, last = items
    assert isinstance(first, Article)
    assert (first.id, first.date, first.outlet, first.title, first.split) == (
        "https://x.example/1", "2019-05-03", "The Quay", "Quay row", "validation",
    )  # fmt: skip
    assert [item.reason[:40] for item in items if isinstance(item, Dropped)] == [
        "no article text in the HTML; found '' in", "the id 'https://x.example/1' stands at /",
    ]  # fmt: skip
    assert isinstance(repair, Repair)
    assert repair.what == "date 'soon' can't be read and was left out"
    assert isinstance(last, Article)
    assert last.outlet == "Port Week"


def test_a_column_of_text_is_taken_where_there_is_no_html(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'text,html\n"{FIRST}\n\n{SECOND}",\n"x",\n')
    assert [(item.id, item.text) for item in found(path) if isinstance(item, Article)] == [
        ("toy-0000001", f"{FIRST}\n\n{SECOND}"), ("toy-0000002", "x"),
    ]  # fmt: skip


def test_what_a_cell_says_beside_the_text_is_mended_or_left_out_and_no_article_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f'text,title,id\n"{FIRST}",Caf\xe9 talk,\n"{SECOND}",Tea,"  "\n'.encode("latin-1"))
    one, two = (item for item in found(path) if isinstance(item, Article))
    assert (one.title, two.title, two.id) == ("Café talk", "Tea", "toy-0000002")
    path = tmp_path / "b.jsonl"
    path.write_text(json.dumps({"text": FIRST, "outlet": {"name": "BBC"}, "title": ["x"], "date": "2021-01-02"}) + "\n")
    note, article = found(path)
    assert isinstance(note, Repair)
    assert "title: expected text, found list; left out" in note.what
    assert "outlet: expected text, found dict; left out" in note.what
    assert isinstance(article, Article)
    assert (article.outlet, article.title, article.date) == ("", "", "2021-01-02")


def test_a_table_without_the_column_names_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("body,url\nx,y\n")
    with pytest.raises(StanceError, match=r"no column 'html' or 'text' \(set .* the columns there are body, url$"):
        found(path)
    with pytest.raises(StanceError, match="no column 'page' for html; the columns there are body, url"):
        found(path, columns={"html": "page"})


def test_a_path_with_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"no \.txt, \.html, \.htm file in this directory or below it"):
        found(tmp_path)
    with pytest.raises(StanceError, match="no such file; expected a text or HTML file"):
        found(tmp_path / "a.html")
    with pytest.raises(StanceError, match="no such file; expected a table"):
        found(tmp_path / "a.csv")
    with pytest.raises(StanceError, match="pages: no such folder; expected a folder of text and HTML files"):
        found(tmp_path / "pages")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(StanceError, match=r"expected a table .*, found \.pdf"):
        found(tmp_path / "a.pdf")


@pytest.mark.parametrize("kind", ["web", "brat"])
def test_a_progress_bar_counts_files_where_each_is_an_article(tmp_path: Path, kind: str) -> None:
    for name in ("a.txt", "b.txt", "a.ann", "b.ann") if kind == "brat" else ("a.txt", "b.html"):
        (tmp_path / name).write_text(f"{FIRST}\n{SECOND}\nThe end.\n")
    assert corpora.size(CorpusConfig(name="toy", format=kind, path=str(tmp_path))) == 2
