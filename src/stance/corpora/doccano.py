"""doccano (https://github.com/doccano/doccano), both ways: JSON Lines of sequence labelling with relations.

A project needs the span types Actor, Target and Evidence, the relation types oppose, neutral, support and evidence, and
both overlapping entities and relation labelling allowed. Offsets count characters (code points). doccano has no place
for names, tags and the like, and gives new ids to entities, so the field `stance_annotations`, which it keeps as
metadata, holds our annotations as a JSON string: a stance found among the relations that stands there too gets back
what else is known of it. Relations alone decide which stances there are.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stance import jsonl
from stance.corpora.offsets import locate
from stance.corpora.regions import KINDS, LINK, Drawing, Region, Relation, Traced, draw, merge, trace
from stance.corpora.source import Dropped, Found, Repair, files
from stance.errors import StanceError
from stance.forms import FIELDS, annotation_from_json, article_from_json, article_to_json
from stance.lookup import cuts_words
from stance.records import Annotation, Article, Span, Stance
from stance.settings.building import SourceConfig

KEPT = "stance_annotations"
_Key = tuple[Span, Span, Stance]


def rows(articles: Iterable[Article]) -> Iterator[dict[str, Any]]:
    """Rows to import, as doccano exports them."""
    for article in articles:
        row = article_to_json(article)
        drawing = merge(draw(article.text, article.annotations))
        numbers = {region.id: number for number, region in enumerate(drawing.regions)}
        kept = json.dumps(row.pop("annotations"), ensure_ascii=False)
        yield row | {
            "exhaustive": article.exhaustive,
            "entities": [
                {"id": numbers[r.id], "label": r.kind, "start_offset": r.span[0], "end_offset": r.span[1]}
                for r in drawing.regions
            ],
            "relations": [
                {"id": n, "from_id": numbers[r.source], "to_id": numbers[r.target], "type": r.labels[0]}
                for n, r in enumerate(drawing.relations)
            ],
            "Comments": [],
            KEPT: kept,
        }


def write(path: Path, articles: Iterable[Article]) -> None:
    """Write the articles as JSON Lines, whole or not at all."""
    jsonl.write(path, rows(articles))


def read(source: SourceConfig) -> Iterator[Found]:
    """Read one exported file, or every `*.jsonl` of a directory: one of a project, or one for each of its members.

    Rows of several files that have one id and one text make one article, in which each file is an annotator.

    Raises:
        StanceError: nothing is there, or the first row of a file has no entities and relations.
    """
    found = files(Path(source.path), "*.jsonl", "what doccano exports as JSONL")
    shared = _shared(found)
    parts: dict[int, dict[Path, list[Found]]] = {}
    for file in found:
        for number, (where, row) in enumerate(jsonl.scan(file)):
            if isinstance(row, StanceError):
                yield Dropped.by(row, where)
                continue
            if number == 0 and not {"text", "entities", "relations"} <= row.keys():
                raise StanceError(
                    f"{where}: expected the keys text, entities and relations, found {', '.join(row)}; "
                    "export a sequence labelling project with relations as JSONL"
                )
            key = _content(row, where)
            if not shared:
                yield from _article(row, where, source.labels)
            elif file in (known := parts.setdefault(key, {})):
                reason = "the same id and text stand in this file already"
                yield Dropped(where, _name(row, where), "", "", reason, _stances(row.get("relations")))
            else:
                known[file] = list(_article(row, where, source.labels))
                if len(known) == shared.get(key, 1):
                    yield from _together(known)
                    known.update({other: [] for other in known})  # what is written is no longer needed


def _shared(found: Sequence[Path]) -> dict[int, int]:
    """How many of several files hold each row that more than one holds: those of the members of a project."""
    counts = Counter[int]()
    for file in found if len(found) > 1 else ():
        counts.update({_content(row, where) for where, row in jsonl.scan(file) if isinstance(row, dict)})
    return {key: count for key, count in counts.items() if count > 1}


def _content(row: Mapping[str, Any], where: str) -> int:
    return hash((_name(row, where), str(row.get("text"))))


def _name(row: Mapping[str, Any], where: str) -> str:
    return str(row.get("id") or Path(where).name)


def _together(parts: Mapping[Path, list[Found]]) -> Iterator[Found]:
    """One article of what each member of a project made of it, under the name of their file."""
    articles = []
    for file, items in parts.items():
        for item in items:
            if isinstance(item, Article):
                named = tuple(replace(note, annotator=file.stem) for note in item.annotations)
                articles.append(replace(item, annotations=named))
            else:
                yield item
    if articles:
        notes = tuple(note for article in articles for note in article.annotations)
        exhaustive = all(article.exhaustive for article in articles)
        yield replace(articles[0], annotations=notes, exhaustive=exhaustive)


def _article(row: Mapping[str, Any], where: str, labels: Mapping[str, str]) -> Iterator[Found]:
    key = _name(row, where)
    form = {name: str(row[name]) for name in FIELDS if row.get(name) is not None}
    exhaustive = row.get("exhaustive") in (True, "true", "True")
    try:
        article = article_from_json({**form, "id": key, "text": row.get("text"), "exhaustive": exhaustive}, where)
        kept, remarks = _kept(row.get(KEPT), article)
        drawn = merge(draw(article.text, kept))
        drawing = _drawing(row, article, drawn, remarks)
    except StanceError as error:
        yield Dropped.by(error, where, key, lost=_stances(row.get("relations")))
        return
    yield from remarks
    notes: list[tuple[float, Annotation]] = []
    before = {_key(t): set(t.note.evidence) for t in trace(drawn, article, {}) if isinstance(t, Traced)}
    for found in _match(trace(drawing, article, labels), kept, before, article):
        if isinstance(found, Dropped | Repair):
            yield found
        else:
            notes.append(found)
    yield replace(article, annotations=tuple(note for _, note in sorted(notes, key=lambda pair: pair[0])))


def _stances(relations: Any) -> int:
    """How many stances the relations of a row hold, as far as they can be read; at least 1."""
    found = relations if isinstance(relations, list) else []
    return len([r for r in found if isinstance(r, dict) and r.get("type") != LINK]) or 1


def _drawing(row: Mapping[str, Any], article: Article, drawn: Drawing, remarks: list[Dropped | Repair]) -> Drawing:
    """What the row shows; a region that was `drawn` before has its name."""
    known = {(region.kind, region.span): region for region in drawn.regions}
    regions = []
    for entity in _objects(row, "entities", article.where):
        key, kind, start, end = (entity.get(name) for name in ("id", "label", "start_offset", "end_offset"))
        reason = ""
        if kind not in KINDS:
            reason = f"expected one of {', '.join(KINDS)}, found {kind!r}"
        elif type(start) is not int or type(end) is not int or not locate(article.text, (start, end), None):
            reason = f"[{start}, {end}] is outside the text of {len(article.text)} characters"
        if reason:
            remarks.append(Dropped(article.where, article.id, "", "", f"entity {key}: {reason}"))
        else:
            region = Region(str(key), str(kind), (int(start or 0), int(end or 0)))
            regions.append(replace(known.get((region.kind, region.span), region), id=region.id))
    remarks += _cut([region for region in regions if (region.kind, region.span) not in known], article)
    relations = [
        Relation(str(relation.get("from_id")), str(relation.get("to_id")), (str(relation.get("type")),))
        for relation in _objects(row, "relations", article.where)
    ]
    return Drawing(regions, relations)


def _cut(regions: Sequence[Region], article: Article) -> list[Dropped | Repair]:
    """A note on regions that nobody drew so: counted otherwise, as doccano may count grapheme clusters."""
    text = article.text
    odd = [r for r in regions if cuts_words(text, r.span) or text[slice(*r.span)] != text[slice(*r.span)].strip()]
    if not odd:
        return []
    first = f"{odd[0].id} at {list(odd[0].span)}, {text[slice(*odd[0].span)][:40]!r}"
    what = f"{len(odd)} entities begin or end inside a word or with white space, first {first}; taken as they are"
    return [Repair(article.where, article.id, f"{what}; does the project count grapheme clusters as one character?")]


def _kept(value: Any, article: Article) -> tuple[list[Annotation], list[Dropped | Repair]]:
    """The annotations that were kept as metadata, and what can't be read of them."""
    kept, remarks = list[Annotation](), list[Dropped | Repair]()
    try:
        known = json.loads(value) if isinstance(value, str) else value or []
        if not isinstance(known, list):
            raise ValueError(f"expected a list, found {type(known).__name__}")
    except (ValueError, RecursionError) as error:
        reason = f"{KEPT} can't be read, names and tags are lost: {error}"
        return kept, [Dropped(article.where, article.id, "", "", reason)]
    for number, item in enumerate(known, 1):
        try:
            kept.append(annotation_from_json(item, article.text, article.where))
        except StanceError as error:
            reason = f"{KEPT} {number}: {str(error).removeprefix(f'{article.where}: ')}"
            remarks.append(Dropped(article.where, article.id, "", "", reason))
    return kept, remarks


def _match(
    found: Iterable[Traced | Dropped | Repair],
    kept: Sequence[Annotation],
    before: Mapping[_Key, set[Span]],
    article: Article,
) -> Iterator[tuple[float, Annotation] | Dropped | Repair]:
    """What is kept of each stance found, with its place there; evidence that is not as `before` is taken over."""
    places: dict[_Key, list[int]] = {}
    for number, note in enumerate(kept):
        actor, target = (mention.span or note.evidence[0] for mention in (note.actor, note.target))
        places.setdefault((actor, target, note.stance), []).append(number)
    seen: set[_Key] = set()
    for item in found:
        if not isinstance(item, Traced):
            yield item
            continue
        key, evidence = _key(item), item.note.evidence
        if key in seen:
            yield Repair(article.where, article.id, f"relation {item.note.stance} between the same spans stood twice")
            continue
        seen.add(key)
        for number in places.get(key, []):
            same = set(evidence) == before.get(key)
            yield number, kept[number] if same else replace(kept[number], evidence=evidence)
        if key not in places:
            yield float("inf"), item.note


def _key(traced: Traced) -> _Key:
    return traced.actor.span, traced.target.span, traced.note.stance


def _objects(row: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    value = row.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise StanceError(f"{where}: {key!r} must be a list of objects, found {type(value).__name__}")
    return value
