"""HTML as a tree of elements, so that text from outside is text and never markup; tables and bars; Markdown."""

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, tostring

from stance.records import LABELS

_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffe\uffff]")
_NUMBER = re.compile(r"[-+]?[\d.,]+%?")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_NAME = 80
_PLAIN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{mark: f"\\{mark}" for mark in "[]|\\`"}, **dict.fromkeys("\r\n", " ")}
)

Counts = list[int]
"""Rows of each of `LABELS`."""
Child = Element | str


def document(title: str, body: Element, *, style: str) -> str:
    """A whole page that loads nothing and runs nothing, to be written in UTF-8."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", style),
    )
    return "<!doctype html>\n" + tostring(el("html", head, body, lang="en"), encoding="unicode", method="html") + "\n"


def el(tag: str, *children: Child, **attributes: str) -> Element:
    """An element; `class_` is its class, other underscores are hyphens."""
    made = Element(tag, {_name(key): _clean(value) for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _clean(child)
        else:
            made.text = (made.text or "") + _clean(child)
    return made


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _clean(text: str) -> str:
    """Text without the characters that no page may hold, nor those that turn what follows around."""
    return _BAD.sub("\ufffd", text)


def short(name: str) -> str:
    """A name of at most 80 characters."""
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def bars(
    caption: str,
    first: str,
    rows: Sequence[tuple[str, Counts]],
    note: str = "",
    articles: Mapping[str, int] | None = None,
) -> Element:
    """A table with the labels of each name, in figures and as a bar as long as the name has rows."""
    most = max((sum(counts) for _, counts in rows), default=1)
    header = [first, *(["articles"] if articles else []), "pairs", "labels", *LABELS]
    cells: list[list[object]] = []
    for name, counts in rows:
        total = sum(counts)
        shares = [el("span", f"{n:,} ", el("small", f"{n / max(total, 1):.0%}")) for n in counts]
        own = [articles.get(name, 0)] if articles else []
        cells.append([el("bdi", short(name)), *own, total, _bar(counts, most), *shares])
    return el("div", table(caption, [header, *cells]), *([el("p", note, class_="quiet")] if note else []))


def _bar(counts: Counts, most: int) -> Element:
    svg = el("svg", viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")
    start = 0.0
    for label, count in zip(LABELS, counts, strict=True):
        width = 100 * count / most
        if count:
            svg.append(el("rect", x=f"{start:.3f}", y="0", width=f"{width:.3f}", height="10", class_=label))
        start += width
    return svg


def columns(
    caption: str, rows: Sequence[tuple[str, Counts]], axis: Sequence[str], classes: Sequence[str] = ("plain",)
) -> Element:
    """Columns side by side, each a stack of its counts; the numbers show when a pointer rests on one."""
    most = max(sum(counts) for _, counts in rows)
    svg = el("svg", viewBox=f"0 0 {len(rows)} 100", preserveAspectRatio="none", role="img", aria_label=caption)
    for number, (name, counts) in enumerate(rows):
        stack, top = el("g", el("title", f"{name}: {sum(counts):,} pairs")), 100.0
        for kind, count in zip(classes, counts, strict=True):
            height = 100 * count / most
            top -= height
            stack.append(el("rect", x=str(number), y=f"{top:.2f}", width="1", height=f"{height:.2f}", class_=kind))
        svg.append(stack)
    scale = el("div", f"{most:,} pairs", class_="axis")
    return el("div", scale, svg, el("div", *(el("span", text) for text in axis), class_="axis"), class_="plot")


def key() -> Element:
    """Which colour is which label."""
    return el("ul", *(el("li", el("span", class_=label), label) for label in LABELS), class_="key")


def table(caption: str, rows: Sequence[Sequence[object]]) -> Element:
    """A table that scrolls on its own where it is too wide. Numbers stand right, charts in a column of their own."""
    header, *body = rows
    numeric = [bool(body) and all(_numeric(row[i]) for row in body if i < len(row)) for i in range(len(header))]
    head = [el("th", _text(cell), scope="col", **_kind(cell, n)) for cell, n in zip(header, numeric, strict=True)]
    lines = []
    for row in body:
        cells = [el("td", _text(cell), **_kind(cell, n)) for cell, n in zip(row, numeric, strict=False)]
        cells[0].tag = "th"
        cells[0].set("scope", "row")
        lines.append(el("tr", *cells))
    table = el("table", el("caption", caption), el("thead", el("tr", *head)), el("tbody", *lines))
    return el("div", table, class_="scroll", role="group", aria_label=caption, tabindex="0")


def _numeric(cell: object) -> bool:
    text = "".join(cell.itertext()) if isinstance(cell, Element) and cell.tag == "span" else cell
    return isinstance(text, int | float) or (isinstance(text, str) and bool(_NUMBER.fullmatch(text.replace(" ", ""))))


def _kind(cell: object, numeric: bool) -> dict[str, str]:
    if isinstance(cell, Element) and cell.tag == "svg":
        return {"class_": "bar"}
    return {"class_": "n"} if numeric else {}


def _text(cell: object) -> Child:
    if isinstance(cell, Element):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def plain(text: str) -> str:
    """Text that is no markup in Markdown, on one line."""
    return text.translate(_PLAIN)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, the header first; all columns but the first hold numbers."""
    header, *body = ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
    return "\n".join([header, "|---" + "|--:" * (len(rows[0]) - 1) + "|", *body])
