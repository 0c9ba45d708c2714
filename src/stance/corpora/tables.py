"""Tables of stances with named columns: CSV, TSV, Parquet, JSON Lines. One row an annotation.

Rows that follow each other with the same `article_id` (or, without one, the same `text`) make one article; different
texts of one article become its paragraphs, in the order of the rows. A text without an `article_id` that comes again
later is another article, which is told. An article has one split: with `splits=official` rows that name another one are
dropped. Offsets count characters of the row's own text. Without evidence columns a row's text is its evidence, or in a
long text the part from one name to the other, or the one name that it prints.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xxhash import xxh64_intdigest

from stance.corpora import cells, rows
from stance.corpora.source import CountedError, Dropped, Found, Repair, Row, Rows, Table, left_out
from stance.corpora.texts import Cleaned
from stance.errors import StanceError
from stance.forms import check_length, number
from stance.records import SOMEONE, Annotation, Article, Mention, Span
from stance.settings.building import SourceConfig

REQUIRED = ("text", "actor", "target", "stance")
OPTIONAL = (
    *rows.META, "id", "article_id", "weight", "annotator",
    *(f"{role}_{part}" for role in ("actor", "target", "evidence") for part in ("span", "start", "end")),
)  # fmt: skip
EVIDENCE = 1500
"""Characters up to which a row's whole text is its evidence."""


@dataclass(frozen=True, slots=True)
class Form:
    """How rows become articles: our columns -> theirs, the stances, and what names articles that have no id.

    `official` says that the dataset keeps the splits of the rows, `stray` see `Table`.
    """

    columns: dict[str, str]
    labels: dict[str, str]
    name: str
    split: str = ""
    prefix: str = ""
    official: bool = False
    stray: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    """A row with its text, the name of its article ("" without one), what it says about that, and what was mended."""

    where: str
    key: str
    name: str
    row: Row
    text: Cleaned
    meta: dict[str, str]
    mended: list[str]


def read(source: SourceConfig) -> Iterator[Found]:
    """Read one table, or those of a directory in the order of their names; `train.csv`, `my_dev.csv` name splits."""
    found = rows.files(Path(source.path))
    yield from left_out(Path(source.path), Path(source.path).glob("*"), rows.SUFFIXES)
    for file in found:
        table = rows.open_table(file, [source.columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)])
        split = rows.of_file(file)
        columns = form(source, table, split=split, prefix=file.stem if len(found) > 1 else "")
        if table.note:
            yield Repair(str(file), "", table.note)
        yield from articles(table.read(set(columns.columns.values())), columns)


def form(source: SourceConfig, table: Table, *, split: str = "", prefix: str = "") -> Form:
    """What `source` says about the columns of `table`. An actor mapped to "" is nobody named.

    Raises:
        StanceError: a column is missing.
    """
    required = tuple(name for name in REQUIRED if name != "actor" or source.columns.get(name) != "")
    columns = rows.named(source, table, (*REQUIRED, *OPTIONAL), required)
    return Form(columns, source.labels, source.name, split, prefix, source.official, table.stray)


def articles(found: Rows, how: Form) -> Iterator[Found]:
    """Articles of rows in the order they come, with what can't be used and what was mended."""
    count = again = 0
    seen, first = set[int](), ""
    for item in _groups(found, how):
        if isinstance(item, Dropped):
            yield item
            continue
        count += 1
        yield from _article(item, how, count)
        if item[0].key == item[0].text.text:  # no article_id, which could not come again
            mark = xxh64_intdigest(item[0].key.encode())
            if mark in seen:
                again += 1
                first = first or item[0].where
            seen.add(mark)
    if again:
        what = f"{again} times a text comes again behind rows of others and makes an article of its own"
        yield Repair(first, "", f"{what}: votes on it are not compared; sort the rows by text, or give an article_id")


def _groups(found: Rows, how: Form) -> Iterator[list[_Line] | Dropped]:
    """Rows that follow each other and make one article; and rows that can't be used, as they come."""
    group: list[_Line] = []
    for where, row in found:
        try:
            line = _line(where, row, how)
        except StanceError as error:
            yield _dropped(where, row, how, error)
            continue
        if group and line.key != group[0].key:
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _line(where: str, row: Row | StanceError, how: Form) -> _Line:
    if isinstance(row, StanceError):
        raise row
    ours, notes = rows.only(row, how.columns), ""
    if how.stray:
        ours, notes = rows.mended(ours)
    text = rows.clean(ours, "text")
    if not text.text.strip():
        raise StanceError("the text is empty")
    changes = ", ".join(filter(None, (text.changes, notes)))
    article = rows.clean(ours, "article_id").text.strip()
    own = "" if article else rows.clean(ours, "id").text.strip()
    name = article or (f"{how.prefix}-{own}" if own and how.prefix else own)
    meta, mended = rows.meta(ours)
    meta["split"] = rows.split_of(meta["split"]) or how.split
    return _Line(where, article or text.text, name, ours, Cleaned(text.text, changes, text.gone), meta, mended)


def _article(group: Sequence[_Line], how: Form, count: int) -> Iterator[Found]:
    first = group[0]
    name = first.name or f"{how.name}-{f'{how.prefix}-' if how.prefix else ''}{count:07}"
    group, split, remarks = _divided(group, how, name)
    yield from remarks
    places: dict[str, int] = {}
    end = 0
    for line in group:
        if line.text.text not in places:
            places[line.text.text] = end
            end += len(line.text.text) + 2
    notes: dict[Annotation, str] = {}
    for line in group:
        try:
            note, mended = _annotation(line, places[line.text.text], how)
            if note in notes:
                raise CountedError(f"repeats {notes[note]}", 0)
            notes[note] = line.where
        except StanceError as error:
            yield _dropped(line.where, line.row, how, error, name)
            continue
        if mended:
            yield Repair(line.where, name, mended)
    told = {key: next(filter(None, (line.meta[key] for line in group)), "") for key in rows.META}
    yield from _mended(group, places, name, told["date"])
    kept: dict[str, Any] = {**told, "date": cells.day(told["date"]), "split": split}
    yield Article(name, "\n\n".join(places), annotations=tuple(notes), where=first.where, **kept)


def _divided(group: Sequence[_Line], how: Form, name: str) -> tuple[Sequence[_Line], str, list[Dropped | Repair]]:
    """The rows of an article that keep to one split, the first that is named; that split; and remarks on the others.

    A dataset that is divided otherwise takes all rows, and the article has no split.
    """
    split = next(filter(None, (line.meta["split"] for line in group)), "")
    others = [line for line in group if line.meta["split"] not in ("", split)]
    if not others:
        return group, split, []
    if not how.official:
        both = ", ".join(dict.fromkeys([split, *(line.meta["split"] for line in others)]))
        return group, "", [Repair(group[0].where, name, f"its rows have the splits {both}, which were left out")]
    reason = f"split: expected {split!r}, as other rows of the same article have, found"
    dropped = [
        _dropped(line.where, line.row, how, StanceError(f"{reason} {line.meta['split']!r}"), name) for line in others
    ]
    return [line for line in group if line.meta["split"] in ("", split)], split, list(dropped)


def _mended(group: Sequence[_Line], places: dict[str, int], name: str, date: str) -> Iterator[Repair]:
    """What was changed about an article as a whole."""
    where = group[0].where
    yield from (Repair(line.where, name, "; ".join(line.mended)) for line in group if line.mended)
    changes = dict.fromkeys(line.text.changes for line in group if line.text.changes)
    if changes:
        yield Repair(where, name, "; ".join(changes))
    if len(places) > 1:
        yield Repair(where, name, f"{len(places)} different texts of one article joined as paragraphs")
    if date and not cells.day(date):
        yield Repair(where, name, f"date {date!r} can't be read and was left out; write it as YYYY-MM-DD")


def _annotation(line: _Line, offset: int, how: Form) -> tuple[Annotation, str]:
    row, text = line.row, line.text
    stance = cells.stance(rows.clean(row, "stance").text, how.labels)
    names = {role: rows.clean(row, role).text.strip() for role in ("actor", "target")}
    if "actor" not in how.columns:
        names["actor"] = SOMEONE
    for role, name in names.items():
        if not name:
            raise StanceError(f"the {role} is empty")
        check_length(name, role)
    spans, mended = _spans(line, names)
    for role, span in zip(names, spans, strict=True):
        check_length(text.text[slice(*span)] if span else "", f"{role}: mention")
    evidence = _evidence(row, text, [span for span in spans if span])
    weight = rows.clean(row, "weight").text.strip()
    try:
        value = number(float(weight), "weight") if weight else 1.0
    except ValueError as error:
        raise StanceError(f"weight: expected a number from 0, found {weight!r}") from error
    actor, target = (
        Mention(name, *((span[0] + offset, span[1] + offset) if span else (None, None)))
        for name, span in zip(names.values(), spans, strict=True)
    )
    moved = (evidence[0] + offset, evidence[1] + offset)
    annotator = rows.clean(row, "annotator").text.strip()
    return Annotation(actor, target, stance, (moved,), annotator=annotator, weight=value), "; ".join(mended)


def _spans(line: _Line, names: dict[str, str]) -> tuple[tuple[Span | None, Span | None], list[str]]:
    """Where the row's text prints actor and target, given or looked up, and what was mended."""
    found: dict[str, list[Span]] = {}
    mended = []
    for role, name in names.items():
        try:
            given = cells.place(line.row, role, len(name))
        except StanceError as error:
            given = None
            mended.append(f"{error}; looked up in the text")
        if given:
            start, end = (line.text.moved(offset) for offset in given)
            span, note = cells.settle(line.text.text, name, (start, end))
            found[role] = [span] if span else []
            mended += [f"{role}: {note}"] if note else []
        else:
            found[role] = [] if name == SOMEONE else cells.looked_up(line.text.text, name)
    return cells.nearest(found["actor"], found["target"]), mended


def _evidence(row: Row, text: Cleaned, spans: Iterable[Span]) -> Span:
    """The evidence given, else the text without white space at its ends, or in a long one from name to name."""
    whole = len(text.text) - len(text.text.lstrip()), len(text.text.rstrip())
    given = cells.place(row, "evidence", 0)
    if given:
        start, end = (text.moved(offset) for offset in given)
        if not start < end <= len(text.text) or not text.text[start:end].strip():
            raise StanceError(
                f"evidence [{given[0]}, {given[1]}] holds no words of a text of {len(text.text)} characters"
            )
        return start, end
    ends = [offset for span in spans for offset in span]
    return (min(ends), max(ends)) if ends and whole[1] - whole[0] > EVIDENCE else whole


def _dropped(where: str, row: Row | StanceError, how: Form, error: StanceError, name: str = "") -> Dropped:
    parts = {} if isinstance(row, StanceError) else row

    def shown(column: str) -> str:
        value = parts.get(column, parts.get(how.columns.get(column, column)))
        return value[:200] if isinstance(value, str) else ""

    lost = Dropped.by(error, where, name or shown("article_id"))
    return replace(lost, actor=shown("actor"), target=shown("target"))
