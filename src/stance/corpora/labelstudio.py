"""Label Studio (https://labelstud.io), both ways: projects with `CONFIG`, exported as "JSON", and tasks to import.

Tested with Label Studio 1.23. A name that differs from the printed text is the region's `name`; a mention that the
passage does not print is marked on the evidence, "not printed", and named. Stances and tags are labels of relations.
What people don't annotate (provenance, weight, soft labels, the annotator of what was imported) is kept in the `meta`
of Target regions, which Label Studio keeps. Predictions and drafts are not read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from stance import jsonl
from stance.corpora.numbered import Numbered
from stance.corpora.offsets import locate
from stance.corpora.regions import KINDS, LINK, TARGET, Drawing, Region, Relation, Traced, draw, trace
from stance.corpora.source import Dropped, Found, Repair, files
from stance.errors import StanceError
from stance.files import replacing
from stance.forms import FIELDS, article_from_json, article_to_json
from stance.records import LABELS, PHENOMENA, Annotation, Article, Triple
from stance.settings.building import SourceConfig

UNPRINTED, EXHAUSTIVE = "not printed", "every stance is annotated"
CONTROLS = {("label", "labels"), ("name", "textarea"), ("mention", "choices"), ("exhaustive", "choices")}
"""Name and type of what a result may come from, besides relations."""
_COLOURS = dict(zip((*KINDS, *LABELS), ("#1f77b4", "#ff7f0e", "#9e9e9e", "#d62728", "#7f7f7f", "#2ca02c"), strict=True))


def _labels(tag: str, values: Iterable[str]) -> str:
    return "".join(
        f"    <{tag} value={quoteattr(value)}"
        + (f" background={quoteattr(_COLOURS[value])}" if value in _COLOURS else "")
        + "/>\n"
        for value in values
    )


CONFIG = f"""<View>
  <Relations>
{_labels("Relation", (*LABELS, LINK, *PHENOMENA))}  </Relations>
  <Labels name="label" toName="text">
{_labels("Label", KINDS)}  </Labels>
  <Text name="text" value="$text"/>
  <View visibleWhen="region-selected" whenTagName="label" whenLabelValue="Actor,Target">
    <Header value="Name, if it is not called as printed"/>
    <TextArea name="name" toName="text" perRegion="true" maxSubmissions="1" editable="true"/>
    <Choices name="mention" toName="text" perRegion="true" choice="multiple">
      <Choice value="{UNPRINTED}"/>
    </Choices>
  </View>
  <Choices name="exhaustive" toName="text" choice="multiple">
    <Choice value="{EXHAUSTIVE}"/>
  </Choices>
</View>
"""
"""The labelling configuration of a project that `read` reads and `tasks` writes for."""


def tasks(
    articles: Iterable[Article], predictions: Mapping[str, Sequence[Triple]] | None = None, *, model: str = "stance"
) -> Iterator[dict[str, Any]]:
    """Tasks to import: articles with their annotations, one for each annotator, and a model's triples by article id."""
    for article in articles:
        data = article_to_json(replace(article, exhaustive=False))
        del data["annotations"]
        task: dict[str, Any] = {"data": data, "annotations": list(_annotations(article))}
        if triples := (predictions or {}).get(article.id):
            task["predictions"] = [_prediction(article.text, triples, model)]
        yield task


def write(path: Path, articles: Iterable[Article], predictions: Mapping[str, Sequence[Triple]] | None = None) -> None:
    """Write tasks as one JSON array, as they come; the file appears only when it is whole."""
    with replacing(path) as out:
        between = "[\n"
        for task in tasks(articles, predictions):
            out.write(between + jsonl.dumps(task))
            between = ",\n"
        out.write("\n]\n" if between == ",\n" else "[]\n")


def _annotations(article: Article) -> Iterator[dict[str, Any]]:
    by: dict[str, list[int]] = {}
    for number, note in enumerate(article.annotations):
        by.setdefault(note.annotator, []).append(number)
    turns = [n for numbers in by.values() for n in numbers] != list(range(len(article.annotations)))
    for annotator, numbers in by.items():
        drawing = draw(article.text, [article.annotations[number] for number in numbers])
        kept = {r.id: {**r.facts, "annotator": annotator} for r in drawing.regions if r.kind == TARGET}
        if turns:  # the order of all of them, which grouping loses
            next(iter(kept.values()))["order"] = numbers
        yield {"result": [*_results(drawing, article.text, kept), *_exhaustive(article)]}
    if article.exhaustive and not by:
        yield {"result": _exhaustive(article)}


def _exhaustive(article: Article) -> list[dict[str, Any]]:
    return [_result("exhaustive", "choices", {"choices": [EXHAUSTIVE]})] if article.exhaustive else []


def _prediction(text: str, triples: Sequence[Triple], model: str) -> dict[str, Any]:
    notes = [Annotation(t.actor, t.target, t.stance, t.evidence, weight=t.confidence) for t in triples]
    drawing = draw(text, notes)
    results = _results(drawing, text, {})
    scores = {region.id: region.facts.get("weight", 1.0) for region in drawing.regions if region.kind == TARGET}
    for result in results:
        if result["type"] == "labels" and result["id"] in scores:
            result["score"] = scores[result["id"]]
    return {"model_version": model, "score": sum(t.confidence for t in triples) / len(triples), "result": results}


def _results(drawing: Drawing, text: str, kept: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    results = []
    for region in drawing.regions:
        start, end = region.span
        place = {"start": start, "end": end, "text": text[start:end]}
        label = _result("label", "labels", place | {"labels": [region.kind]}) | {"id": region.id}
        results.append(label | ({"meta": {"stance": kept[region.id]}} if region.id in kept else {}))
        if region.name:
            results.append(_result("name", "textarea", place | {"text": [region.name]}) | {"id": region.id})
        if not region.printed:
            results.append(_result("mention", "choices", place | {"choices": [UNPRINTED]}) | {"id": region.id})
    return results + [
        {"type": "relation", "from_id": r.source, "to_id": r.target, "direction": "right", "labels": list(r.labels)}
        for r in drawing.relations
    ]


def _result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": kind, "value": value}


def read(source: SourceConfig) -> Iterator[Found]:
    """Read one file of a project's export "JSON", or every `*.json` of a directory.

    Raises:
        StanceError: nothing is there, it is another export, or the project has another labelling configuration.
    """
    unnamed = Numbered()
    for file in files(Path(source.path), "*.json", "what Label Studio exports as JSON"):
        for number, task in enumerate(jsonl.elements(file), 1):
            yield from _task(task, file, number, source.labels, unnamed)


def _task(task: Any, file: Path, number: int, labels: Mapping[str, str], unnamed: Numbered) -> Iterator[Found]:
    where = f"{file}:{number}"
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or "annotations" not in task:
        found = ", ".join(task) if isinstance(task, dict) else type(task).__name__
        raise StanceError(f"{where}: expected a task with data and annotations, found {found}; export as JSON, in full")
    if "text" not in data:
        raise _other(where, "data.text", ", ".join(data) or "no data")
    row = {name: str(data[name]) for name in FIELDS if data.get(name) is not None}
    key, remark = (str(data["id"]), "") if data.get("id") not in (None, "") else unnamed.name(task, file, number)
    if remark:
        yield Repair(where, key, remark)
    try:
        article = article_from_json({"id": key, "text": data["text"], **row}, where)
    except StanceError as error:
        yield Dropped.by(error, where, key, lost=_stances(task["annotations"]))
        return
    numbered: list[tuple[float, Annotation]] = []
    complete = []
    for annotation in _objects(task["annotations"], f"{where}: annotations"):
        if annotation.get("was_cancelled"):
            yield Repair(where, key, f"annotation {annotation.get('id')} was skipped by its annotator")
            continue
        notes, remarks, done = _annotation(annotation, article, labels)
        numbered += notes
        complete.append(done)
        yield from remarks
    ordered = tuple(note for _, note in sorted(numbered, key=lambda pair: pair[0]))
    yield replace(article, exhaustive=bool(complete) and all(complete), annotations=ordered)


def _annotation(
    annotation: Mapping[str, Any], article: Article, labels: Mapping[str, str]
) -> tuple[list[tuple[float, Annotation]], list[Dropped | Repair], bool]:
    """What one annotator found, with its place in the order where that was kept; remarks; and whether it is all."""
    results = _objects(annotation.get("result"), f"{article.where}: annotation {annotation.get('id')}: result")
    own = not annotation.get("parent_annotation") and not annotation.get("parent_prediction")
    drawing, remarks, done = _drawing(results, article, {*LABELS, LINK, *PHENOMENA, *labels})
    notes: list[Annotation] = []
    order: list[float] = []
    for item in trace(drawing, article, labels):
        if isinstance(item, Traced):
            name = item.target.facts.get("annotator") if own else None
            notes.append(replace(item.note, annotator=_annotator(annotation) if name is None else name))
            order = order or _list(item.target.facts.get("order"))
        else:
            remarks.append(item)
    if len(order) != len(notes) or not all(isinstance(n, int) for n in order):  # somebody went on with it
        order = [float("inf")] * len(notes)
    return list(zip(order, notes, strict=True)), remarks, done


def _stances(annotations: Any) -> int:
    """About how many stances the annotations of a task hold: their relations but for those to evidence; at least 1."""
    results = [result for note in _list(annotations) if isinstance(note, dict) for result in _list(note.get("result"))]
    found = [result for result in results if isinstance(result, dict) and result.get("type") == "relation"]
    return len([relation for relation in found if relation.get("labels") != [LINK]]) or 1


def _annotator(annotation: Mapping[str, Any]) -> str:
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email", who.get("id"))
    return "" if who is None else str(who)


def _drawing(
    results: Sequence[Mapping[str, Any]], article: Article, known: Set[str]
) -> tuple[Drawing, list[Dropped | Repair], bool]:
    """The regions and relations of an annotation's results; remarks; and whether every stance is said to be there."""
    regions, relations, remarks, done = dict[str, Region](), list[Relation](), list[Dropped | Repair](), False
    names, unprinted = dict[str, str](), set[str]()
    for result in results:
        value, key = result.get("value"), str(result.get("id"))
        value = value if isinstance(value, dict) else {}
        kind = _kind(result, value, article.where, known)
        if kind == "relation":
            labels = tuple(map(str, _list(result.get("labels"))))
            relations.append(Relation(str(result.get("from_id")), str(result.get("to_id")), labels))
        elif kind == "label":
            region, remark = _region(key, value, result, article)
            regions |= {key: region} if region else {}
            remarks += [remark] if remark else []
        elif kind == "name":
            texts = value.get("text")
            names[key] = " ".join(map(str, texts)) if isinstance(texts, list) else str(texts or "")
        elif kind == "mention" and UNPRINTED in _list(value.get("choices")):
            unprinted.add(key)
        elif kind == "exhaustive":
            done = EXHAUSTIVE in _list(value.get("choices"))
    drawn = [replace(r, name=names.get(r.id, ""), printed=r.id not in unprinted) for r in regions.values()]
    return Drawing(drawn, relations), remarks, done


def _kind(result: Mapping[str, Any], value: Mapping[str, Any], where: str, known: Set[str]) -> str:
    """The control that a result comes from, or "relation"; refuses those that `CONFIG` doesn't have."""
    if result.get("type") == "relation":
        for label in map(str, _list(result.get("labels"))):
            if label not in known:
                expected = f"the relations {', '.join((*LABELS, LINK))} and tags (or labels for others)"
                raise _other(where, expected, f"the relation {label!r}")
        return "relation"
    control = (str(result.get("from_name")), str(result.get("type")))
    if control not in CONTROLS:
        expected = ", ".join(f"{name} ({kind})" for name, kind in sorted(CONTROLS))
        raise _other(where, f"the controls {expected}", f"{control[0]} ({control[1]})")
    if control[0] == "label" and (others := [kind for kind in _list(value.get("labels")) if kind not in KINDS]):
        raise _other(where, f"the labels {', '.join(KINDS)}", ", ".join(map(str, others)))
    return control[0]


def _region(
    key: str, value: Mapping[str, Any], result: Mapping[str, Any], article: Article
) -> tuple[Region | None, Dropped | Repair | None]:
    start, end, quoted, kinds = (value.get(name) for name in ("start", "end", "text", "labels"))
    where, lost = article.where, f"region {key}: "
    if not isinstance(kinds, list) or len(kinds) != 1:
        return None, Dropped(where, article.id, "", "", f"{lost}expected one label, found {kinds}")
    if type(start) is not int or type(end) is not int:
        return None, Dropped(where, article.id, "", "", f"{lost}expected offsets, found {start!r} to {end!r}")
    found = locate(article.text, (start, end), quoted if isinstance(quoted, str) else None)
    if found is None:
        reason = f"{lost}[{start}, {end}] does not hold {str(quoted)[:60]!r}, nor does the text nearby"
        return None, Dropped(where, article.id, "", "", reason)
    meta = result.get("meta")
    facts = meta.get("stance") if isinstance(meta, dict) else None
    region = Region(key, kinds[0], found[0], facts=facts if isinstance(facts, dict) else {})
    return region, Repair(where, article.id, f"{lost}{found[1]}") if found[1] else None


def _list(value: Any) -> list[Any]:
    """The value if it is a list, as it should be, else an empty one."""
    return value if isinstance(value, list) else []


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise StanceError(f"{what}: expected a list of objects, found {type(value).__name__}")
    return value or []


def _other(where: str, expected: str, found: str) -> StanceError:
    return StanceError(
        f"{where}: this project has another labelling configuration: expected {expected}, found {found}; "
        "`python -m stance.corpora config --to labelstudio` prints the one that is read"
    )
