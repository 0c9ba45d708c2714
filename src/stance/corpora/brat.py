"""BRAT standoff (https://brat.nlplab.org), both ways: a folder of NAME.txt and NAME.ann, with an `annotation.conf`.

Stances are relations `oppose`, `neutral`, `support` from an Actor to a Target; evidence hangs on the Target by
relations `evidence`. Tags are attributes of the Target. `Unprinted` is one of a mention that is not printed there;
its region lies on the evidence. What has no place in BRAT (names other than the printed, the article's data,
provenance) stands in notes as JSON, about the article in notes on `DOC`. Offsets count characters, line ends as they
are in the file. BRAT splits regions at line ends; such pieces are one region here. Notes by people are not read.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from stance import files, jsonl
from stance.corpora.offsets import locate
from stance.corpora.regions import ACTOR, EVIDENCE, KINDS, LINK, TARGET, Drawing, Region, Relation, Traced, draw, trace
from stance.corpora.source import Dropped, Found, Repair
from stance.errors import StanceError
from stance.forms import FIELDS, article_from_json, article_to_json
from stance.records import LABELS, PHENOMENA, Article, Span
from stance.settings.building import SourceConfig

UNPRINTED, ABOUT = "Unprinted", "DOC"
CONFIG = "\n".join([
    "[entities]", *KINDS,
    "[relations]", *(f"{label} Arg1:{ACTOR}, Arg2:{TARGET}" for label in LABELS),
    f"{LINK} Arg1:{EVIDENCE}, Arg2:{TARGET}|{ACTOR}",
    "<OVERLAP> Arg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>",
    "[events]",
    "[attributes]", f"{UNPRINTED} Arg:{ACTOR}|{TARGET}", *(f"{tag} Arg:{TARGET}" for tag in PHENOMENA), "",
])  # fmt: skip
"""The `annotation.conf` of a collection."""
_LINE_END = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_REGION = re.compile(r"(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)")
_RELATION = re.compile(r"(\S+) [^\s:]+:(\S+) [^\s:]+:(\S+)")
_ATTRIBUTE = re.compile(r"(\S+) (\S+)(?: .*)?")
_EVENT = re.compile(r"[^\s:]+:(\S+)")
_ABOUT_KEYS = {"id", "exhaustive", *FIELDS}
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


def write(path: Path, articles: Iterable[Article]) -> None:
    """Write a collection to a new or empty folder, whole or not at all: people's work is never overwritten.

    Raises:
        StanceError: `path` holds something.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StanceError(f"{path}: is there already, and nothing was overwritten; choose another folder or empty it")
    with files.replace_directory(path, marker="annotation.conf") as folder:
        for article in articles:
            name = article.id
            if not _PLAIN_NAME.fullmatch(name):
                name = re.sub(r"[^a-z0-9_-]+", "-", name.casefold())[:80] + "-" + _digest(article.id)
            if (folder / f"{name}.ann").exists():
                raise StanceError(f"{article.where}: the id {article.id!r} stands twice; each needs a file of its own")
            (folder / f"{name}.txt").write_bytes(article.text.encode(_encoding(article.text)))
            (folder / f"{name}.ann").write_bytes("".join(_lines(article, name)).encode("utf-8"))
        (folder / "annotation.conf").write_text(CONFIG, "utf-8")


def _encoding(text: str) -> str:
    """UTF-8, with a byte order mark (which readers take off) before a text that itself begins with that character."""
    return "utf-8-sig" if text.startswith("\ufeff") else "utf-8"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8")).hexdigest()[:12]


def _lines(article: Article, name: str) -> Iterator[str]:
    drawing = draw(article.text, article.annotations)
    numbers = {region.id: f"T{number}" for number, region in enumerate(drawing.regions, 1)}
    tags = {relation.target: relation.labels[1:] for relation in drawing.relations if relation.labels != (LINK,)}
    about = article_to_json(article)
    del about["text"], about["annotations"]
    notes: list[tuple[str, dict[str, Any]]] = [(ABOUT, about)] if about != {"id": name} else []
    attributes = []
    for region in drawing.regions:
        pieces = _pieces(article.text, region.span)
        printed = " ".join(_LINE_END.sub(" ", article.text[slice(*piece)]) for piece in pieces)
        places = ";".join(f"{start} {end}" for start, end in pieces)
        yield f"{numbers[region.id]}\t{region.kind} {places}\t{printed}\n"
        note: dict[str, Any] = {"name": region.name} if region.name else {}
        note |= {} if (pieces[0][0], pieces[-1][1]) == region.span else {"span": list(region.span)}
        notes += [(numbers[region.id], note | dict(region.facts))] if note or region.facts else []
        attributes += [(tag, numbers[region.id]) for tag in tags.get(region.id, ())]
        attributes += [] if region.printed else [(UNPRINTED, numbers[region.id])]
    for number, relation in enumerate(drawing.relations, 1):
        ends = f"Arg1:{numbers[relation.source]} Arg2:{numbers[relation.target]}"
        yield f"R{number}\t{relation.labels[0]} {ends}\t\n"
    yield from (f"A{number}\t{kind} {target}\n" for number, (kind, target) in enumerate(attributes, 1))
    for number, (target, value) in enumerate(notes, 1):
        text = _LINE_END.sub(lambda found: "".join(f"\\u{ord(c):04x}" for c in found[0]), jsonl.dumps(value))
        yield f"#{number}\tAnnotatorNotes {target}\t{text}\n"


def _pieces(text: str, span: Span) -> list[Span]:
    """The parts of a span between line ends, or the span if there is nothing else in it."""
    ends = [match.span() for match in _LINE_END.finditer(text, *span)]
    borders = [span[0], *(offset for end in ends for offset in end), span[1]]
    pieces = [(a, b) for a, b in zip(borders[::2], borders[1::2], strict=True) if a < b]
    return pieces or [span]


@dataclass
class _Standoff:
    """What an .ann file says, by the ids that it gives."""

    regions: dict[str, tuple[str, list[Span], str]] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)


def read(source: SourceConfig) -> Iterator[Found]:
    """Read a folder, with those in it, in the order of the file names.

    Raises:
        StanceError: there is no such folder, or no .ann file in it.
    """
    root = Path(source.path)
    if not root.is_dir():
        found = "found a file; give the folder that it lies in" if root.exists() else "found nothing"
        raise StanceError(f"{root}: no such folder; expected a folder of NAME.txt and NAME.ann, {found}")
    annotated = sorted(file for file in root.rglob("*.ann") if file.is_file())
    if not annotated:
        raise StanceError(f"{root}: no *.ann file; expected a folder of NAME.txt and NAME.ann, as BRAT keeps them")
    for text in sorted(root.rglob("*.txt")):
        if not text.with_suffix(".ann").is_file():
            yield Dropped(str(text), "", "", "", "no .ann file beside it, which BRAT wants even if it is empty")
    for file in annotated:
        name = str(file.relative_to(root).with_suffix(""))
        try:
            content = _load(file.with_suffix(".txt"))
            standoff, remarks = _parse(_load(file), file, name)
            form = {key: value for key, value in standoff.notes.get(ABOUT, {}).items() if key in _ABOUT_KEYS}
            article = article_from_json({"id": name, **form, "text": content}, str(file))
        except StanceError as error:
            yield Dropped.by(error, str(file), name, lost=_stances(file))
            continue
        yield from (replace(remark, article_id=article.id) for remark in remarks)
        notes = []
        for item in _traced(standoff, article, source.labels):
            if isinstance(item, Traced):
                notes.append(item.note)
            else:
                yield item
        yield replace(article, annotations=tuple(notes))


def _stances(file: Path) -> int:
    """About how many stances an .ann file holds: its relations but for those to evidence; at least 1.

    One that is too large to be read counts as one.
    """
    if file.stat().st_size > jsonl.MAX_LINE_BYTES:
        return 1
    with file.open("rb") as lines:
        found = [line.partition(b"\t")[2] for line in lines if line.startswith(b"R")]
    return len([relation for relation in found if not relation.startswith(f"{LINK} ".encode())]) or 1


def _load(path: Path) -> str:
    if not path.is_file():
        raise StanceError(f"{path.name} is missing; BRAT keeps a .txt beside each .ann")
    if path.stat().st_size > jsonl.MAX_LINE_BYTES:
        raise StanceError(f"{path.name} has over {jsonl.MAX_LINE_BYTES:,} bytes, the most that is read; split the text")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StanceError(f"{path.name} is not UTF-8 (byte {error.start + 1}); save it as UTF-8") from error


def _parse(lines: str, file: Path, name: str) -> tuple[_Standoff, list[Dropped | Repair]]:
    found, remarks, events = _Standoff(), list[Dropped | Repair](), list[str]()
    for number, line in enumerate(lines.split("\n"), 1):
        key, _, rest = line.removesuffix("\r").partition("\t")
        head, _, tail = rest.partition("\t")
        sort = key[:1]
        if sort == "T" and (match := _REGION.fullmatch(head)):
            pieces = [tuple(map(int, piece.split())) for piece in match[2].split(";")]
            found.regions[key] = (match[1], [(start, end) for start, end in pieces], tail)
        elif sort == "R" and (match := _RELATION.fullmatch(head.strip())):
            found.relations[key] = Relation(match[2], match[3], (match[1],))
        elif sort in ("A", "M") and (match := _ATTRIBUTE.fullmatch(head)):
            found.attributes.setdefault(match[2], []).append(match[1])
        elif sort == "#":
            found.notes.setdefault(head.partition(" ")[2].strip(), {}).update(_note(tail))
        elif sort == "E" and (match := _EVENT.match(head)):
            events.append(match[1])
        elif sort not in ("N", "*") and line.strip():  # references to lists of names, and what is called the same
            reason = f"expected a line of T (regions), R (relations), A (attributes) or # (notes), found {line[:60]!r}"
            remarks.append(Dropped(f"{file}:{number}", name, "", "", reason))
    if events:
        remarks.append(Repair(str(file), name, f"its {len(events)} events (lines of E) are no stances and left out"))
    for trigger in events:
        if trigger in found.regions and found.regions[trigger][0] not in KINDS:
            del found.regions[trigger]
    return found, remarks


def _note(text: str) -> dict[str, Any]:
    """The object that a note holds; empty for what people write."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _traced(standoff: _Standoff, article: Article, labels: Mapping[str, str]) -> Iterator[Traced | Dropped | Repair]:
    regions, relations = [], []
    known = {*PHENOMENA, *LABELS, *labels}
    if others := sorted({a for given in standoff.attributes.values() for a in given} - known - {UNPRINTED}):
        yield Repair(article.where, article.id, f"attributes that are no tags were left out: {', '.join(others)}")
    for key, (kind, pieces, printed) in standoff.regions.items():
        unprinted = UNPRINTED in standoff.attributes.get(key, ())
        region = Region(key, kind, pieces[0], printed=not unprinted, facts=standoff.notes.get(key, {}))
        placed, remark = _place(region, pieces, printed, article)
        regions += [placed] if placed else []
        if remark:
            yield remark
    for key, relation in standoff.relations.items():
        given = [a for k in (key, relation.source, relation.target) for a in standoff.attributes.get(k, ())]
        tags = [tag for tag in given if tag in known] if relation.labels != (LINK,) else []
        relations.append(replace(relation, labels=(*relation.labels, *tags)))
    yield from trace(Drawing(regions, relations), article, labels)


def _place(
    region: Region, pieces: Sequence[Span], printed: str, article: Article
) -> tuple[Region | None, Dropped | Repair | None]:
    """The region where its text stands, with its name."""
    text, where = article.text, article.where
    cover = min(start for start, _ in pieces), max(end for _, end in pieces)
    name, what = str(region.facts.get("name", "")), ""
    joined = {" ".join(text[slice(*piece)] for piece in order) for order in (pieces, sorted(pieces))}
    if region.kind not in KINDS:
        reason = f"expected one of {', '.join(KINDS)}, found {region.kind!r}"
        return None, Dropped(where, article.id, "", "", f"region {region.id}: {reason}")
    if printed in joined and any(text[a:b].strip() for (_, a), (b, _) in pairwise(sorted(pieces))):
        what, name = f"it has {len(pieces)} pieces; taken as one, {list(cover)}", name or printed
    elif found := locate(text, cover, printed or None):
        cover, what = found
    else:
        reason = f"{list(cover)} does not hold {printed[:60]!r}, nor does the text nearby"
        return None, Dropped(where, article.id, "", "", f"region {region.id}: {reason}")
    region = replace(region, span=_exact(region.facts.get("span"), cover, text), name=name)
    return region, Repair(where, article.id, f"region {region.id}: {what}") if what else None


def _exact(span: Any, cover: Span, text: str) -> Span:
    """The span that a note gives, if it adds nothing but white space to what BRAT shows."""
    if not isinstance(span, list) or len(span) != 2 or any(type(offset) is not int for offset in span):
        return cover
    start, end = span
    if not 0 <= start <= cover[0] < cover[1] <= end <= len(text):
        return cover
    return cover if text[start : cover[0]].strip() or text[cover[1] : end].strip() else (start, end)
