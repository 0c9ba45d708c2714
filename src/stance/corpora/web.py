"""Articles that nobody annotated yet: text files, web pages, and tables with a column of either.

Trafilatura finds the article in a page, with title, date and outlet, without comments and tables; it is given what lies
on this machine and fetches nothing. Offsets count characters of the cleaned text, whose paragraphs are divided by one
blank line.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from stance.corpora import cells, rows, texts
from stance.corpora.source import Dropped, Found, Repair, Row, left_out
from stance.errors import StanceError
from stance.records import Article
from stance.settings.building import SourceConfig

MAX_BYTES = 20_000_000
"""Largest file, and characters of the largest cell."""
MAX_ELEMENTS = 30_000
"""Most elements of a page of HTML, which takes seconds then; the time grows with their square."""
MIN_CHARACTERS = 50
"""What is shorter is no article but what was left of a page of links."""
COLUMNS = ("html", "text", "id", "title", "date", "outlet", "theme", "split", "url")
_SUFFIXES = (".txt", ".html", ".htm")
# Trafilatura takes out the marks of direction and the joiners as well: letters of Linear B stand in for them.
_MARKS = "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c"
_STAND_INS = {ord(mark): chr(0x10000 + number) for number, mark in enumerate(_MARKS)}
_BACK = {ord(letter): chr(mark) for mark, letter in _STAND_INS.items()}
_ENTITY = re.compile(r"&(?:zwn?j|[lr]rm|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)
_DATES = "//meta[contains(@property, 'published') or contains(@name, 'date')]/@content | //time/@datetime"


@dataclass(frozen=True, slots=True)
class _Page:
    """What was found in one page or text: the text, what describes it, and what was changed or could not be read."""

    text: str
    meta: Mapping[str, str]
    notes: tuple[str, ...]


def read(source: SourceConfig) -> Iterator[Found]:
    """Read a folder of text and HTML files, one such file, or a table with a column of HTML or text."""
    path = Path(source.path)
    if path.is_dir():
        there = sorted(path.rglob("*"))
        files = [file for file in there if file.suffix.lower() in _SUFFIXES and file.is_file()]
        files = [file for file in files if not any(p.startswith(".") for p in file.relative_to(path).parts)]  # copies
        if not files:
            raise StanceError(f"{path}: no {', '.join(_SUFFIXES)} file in this directory or below it")
        yield from left_out(path, there, _SUFFIXES)
        for file in files:
            yield from _file(file, file.relative_to(path).as_posix())
    elif path.suffix.lower() in _SUFFIXES:
        if not path.is_file():
            raise StanceError(f"{path}: no such file; expected a text or HTML file, a folder of them, or a table")
        yield from _file(path, path.name)
    elif not path.suffix and not path.exists():
        raise StanceError(f"{path}: no such folder; expected a folder of text and HTML files, one of them, or a table")
    else:
        yield from _table(source, *rows.files(path))


def _file(path: Path, name: str) -> Iterator[Found]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StanceError(f"{path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
        raw = path.read_bytes()
        html = path.suffix.lower() != ".txt"
        text, note = texts.decode(raw, texts.declared(raw) if html else "")
        page = _html(text) if html else _plain(text)
    except (StanceError, OSError) as error:
        yield Dropped(str(path), name, "", "", str(error))
        return
    yield from _found(str(path), name, page, note)


def _table(source: SourceConfig, path: Path) -> Iterator[Found]:
    table = rows.open_table(path, [source.columns.get(name, name) for name in COLUMNS])
    columns = rows.named(source, table, COLUMNS, ())
    if not {"html", "text"} & columns.keys():
        there = ", ".join(table.columns)
        raise StanceError(f"{path}: no column 'html' or 'text' (set columns.html); the columns there are {there}")
    if table.note:
        yield Repair(str(path), "", table.note)
    for number, (where, row) in enumerate(table.read(set(columns.values())), 1):
        name = ""
        try:
            if isinstance(row, StanceError):
                raise row
            values = rows.only(row, columns)
            beside = {key: value for key, value in values.items() if key not in ("html", "text")}
            if table.stray:
                beside, _ = rows.mended(beside)
            told = (rows.clean(beside, key).text.strip() for key in ("id", "url"))
            name = next(filter(None, told), f"{source.name}-{number:07}")
            page, note = _row(values, beside, stray=table.stray)
        except StanceError as error:
            yield Dropped.by(error, where, name)
            continue
        yield from _found(where, name, page, note)


def _row(values: Row, beside: Row, *, stray: bool) -> tuple[_Page, str]:
    """The page in a row, whose cells beside it come before what the page says; and what was mended of its text."""
    html, text = cells.text(values.get("html")), cells.text(values.get("text"))
    raw = html if html.strip() else text
    if len(raw) > MAX_BYTES:
        raise StanceError(f"{len(raw):,} characters; at most {MAX_BYTES:,} are read")
    raw, note = texts.mend(raw) if stray else (raw, "")
    page = _html(raw) if html.strip() else _plain(raw)
    meta, left = rows.meta(beside)
    given, notes = {key: value for key, value in meta.items() if value}, (*page.notes, *left)
    if "date" in given:
        notes = tuple(what for what in notes if not what.startswith("date "))
        given["date"], late = _date(given["date"])
        notes += (late,) if late else ()
    return _Page(page.text, {**page.meta, **given}, notes), note


def _plain(text: str) -> _Page:
    cleaned = texts.clean(text)
    whole = texts.paragraphs(cleaned.text)
    if not whole:
        raise StanceError("the text is empty")
    laid = "white space and paragraphs laid out anew" if whole != cleaned.text.strip() else ""
    return _Page(whole, {}, tuple(filter(None, (cleaned.changes, laid))))


def _html(html: str) -> _Page:
    import trafilatura
    from trafilatura.settings import use_config

    config = use_config()
    config.set("DEFAULT", "MIN_EXTRACTED_SIZE", str(MIN_CHARACTERS))
    cleaned = texts.clean(_ENTITY.sub(_character, html))
    tree = trafilatura.load_html(cleaned.text.translate(_STAND_INS))
    document: Any = None
    if tree is not None:
        if (elements := sum(1 for _ in tree.iter())) > MAX_ELEMENTS:
            raise StanceError(f"{elements:,} elements of HTML; at most {MAX_ELEMENTS:,} are read")
        dates = [str(value).strip() for value in tree.xpath(_DATES)]
        try:
            document = trafilatura.bare_extraction(
                tree, fast=True, include_comments=False, include_tables=False, with_metadata=True, config=config,
                date_extraction_params={"extensive_search": False, "original_date": True},
            )  # fmt: skip
        except Exception as error:  # whatever a page may make it stumble over, the other pages are read
            raise StanceError(f"the HTML can't be read ({type(error).__name__}: {error})"[:300]) from error
    # The page may write characters as entities that are no part of a clean text either.
    text = _shown(document.text or "").replace("\n", "\n\n") if document else ""
    text = texts.paragraphs(text)
    if document is None or len(text) < MIN_CHARACTERS:
        raise StanceError(f"no article text in the HTML; found {text[:60]!r} in {len(html):,} characters")
    date, note = (document.date, "") if document.date else _date(next(filter(None, dates), ""))
    meta = {"title": document.title, "outlet": document.sitename or document.hostname, "date": date}
    tidy = {key: _shown(value).strip() for key, value in meta.items() if value and isinstance(value, str)}
    return _Page(text, tidy, tuple(filter(None, (cleaned.changes, note))))


def _character(match: re.Match[str]) -> str:
    """What an entity stands for, unless it keeps a character from being markup."""
    written = match.group()
    character = unescape(written)
    return written if character in ("<", ">", "&", '"', "'") else character


def _shown(found: str) -> str:
    return texts.clean(found.translate(_BACK)).text


def _date(written: str) -> tuple[str, str]:
    found = cells.day(written.strip()) if written else ""
    return found, "" if found or not written else f"date {written[:60]!r} can't be read and was left out"


def _found(where: str, name: str, page: _Page, note: str) -> Iterator[Found]:
    notes = [what for what in (note, *page.notes) if what]
    if notes:
        yield Repair(where, name, "; ".join(notes))
    meta: dict[str, Any] = {**page.meta, "split": rows.split_of(page.meta.get("split", ""))}
    yield Article(name, page.text, where=where, **meta)
