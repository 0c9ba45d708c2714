"""Annotation tools, both ways: what goes out comes back the same, and what people do to it is read or reported."""

import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stance import corpora, jsonl
from stance.building import build
from stance.corpora import brat, convert, doccano, labelstudio, offsets
from stance.corpora.__main__ import main
from stance.corpora.source import Dropped, Found, Repair
from stance.errors import StanceError
from stance.forms import FIELDS
from stance.records import LABELS, PHENOMENA, Annotation, Article, Mention, Span, Stance, Triple
from stance.settings.building import CorpusConfig

CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"
TOOLS = ("labelstudio", "doccano", "brat")
TEXT = "Iran praised the Russian plan.\nBut Tehran, a neighbour, warned the Taliban."
FIRST, SECOND = (0, 30), (31, len(TEXT))
IRAN, PLAN, TEHRAN, TALIBAN = (0, 4), (25, 29), (35, 41), (67, 74)

ODD = "ab .,\n\r\t\\#;:\"'<>&\u00e9e\u0301\u200b\u200d\u2028\x85\x0b\ufeff\u05e9\u0644\u202e👩🏽‍🚒𝔘𐍈"
words = st.text(st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])), min_size=1, max_size=12)
names = words.filter(str.strip)


@contextmanager
def written(to: str, articles: list[Article], triples: Path | None = None) -> Iterator[Path]:
    """The articles in a tool's format, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        own, output = Path(folder) / "own.jsonl", Path(folder) / "out"
        convert.WRITERS["jsonl"](own, articles)
        convert.convert(CorpusConfig(path=str(own)), to, output, triples)
        yield output


def found(to: str, path: Path, **labels: str) -> list[Found]:
    return list(corpora.stream(CorpusConfig(format=to, path=str(path), labels=labels)))


def there_and_back(to: str, articles: list[Article]) -> list[Found]:
    with written(to, articles) as path:
        return [replace(item, where="") if isinstance(item, Article) else item for item in found(to, path)]


@st.composite
def spans(draw: st.DrawFn, text: str) -> Span:
    start = draw(st.integers(0, len(text) - 1))
    return start, draw(st.integers(start + 1, len(text)))


def with_words(text: str) -> st.SearchStrategy[Span]:
    return spans(text).filter(lambda span: bool(text[slice(*span)].strip()))


@st.composite
def mentions(draw: st.DrawFn, text: str) -> Mention:
    if draw(st.booleans()):
        return Mention(draw(names))
    span = draw(with_words(text))
    return Mention(text[slice(*span)] if draw(st.booleans()) else draw(names), *span)


@st.composite
def annotations(draw: st.DrawFn, text: str) -> Annotation:
    evidence = st.lists(with_words(text), min_size=1, max_size=3)
    return Annotation(
        draw(mentions(text)),
        draw(mentions(text)),
        draw(st.sampled_from(list(Stance))),
        tuple(draw(evidence)),
        tuple(draw(st.lists(st.sampled_from(PHENOMENA), max_size=3))),
        draw(st.sampled_from(["", "ana", "ben@example.org", "ζ\n"])),
        draw(st.sampled_from(["gold", "weak", "sampled"])),
        draw(st.sampled_from([1.0, 0.1 + 0.2, 0.0])),
        draw(st.sampled_from([(), (1 / 3, 1 / 3, 1 / 3), (0.0, 1.0, 0.0)])),
    )


@st.composite
def articles(draw: st.DrawFn) -> Article:
    text = draw(st.lists(words, min_size=1, max_size=12).map("".join).filter(str.strip))
    notes = draw(st.lists(annotations(text), max_size=5))
    notes += [draw(st.sampled_from(notes))] if notes and draw(st.booleans()) else []
    return Article(
        draw(names),
        text,
        exhaustive=draw(st.booleans()),
        annotations=tuple(notes),
        **{name: draw(names) for name in draw(st.sets(st.sampled_from(FIELDS), max_size=3))},
    )


@pytest.mark.parametrize("to", TOOLS)
def test_an_article_goes_to_a_tool_and_comes_back_the_same(to: str) -> None:
    @settings(max_examples=100)
    @example(
        Article(
            "a/b", "x\r\ny z", annotations=(Annotation(Mention("x", 1, 5), Mention("y"), Stance.OPPOSE, ((0, 4),)),)
        )
    )
    @given(articles())
    def check(article: Article) -> None:
        assert there_and_back(to, [article]) == [article]

    check()


@pytest.mark.parametrize("to", TOOLS)
def test_articles_of_the_corpus_go_to_a_tool_and_come_back_the_same(to: str) -> None:
    chosen = [replace(article, where="") for article in corpora.read(CORPUS)[::120]]
    assert len(chosen) >= 3
    assert sorted(there_and_back(to, list(chosen)), key=lambda a: a.id) == sorted(chosen, key=lambda a: a.id)  # type: ignore[union-attr]


# What people do in the tools.

STANCE = Annotation(Mention("Iran", *IRAN), Mention("the plan", *PLAN), Stance.SUPPORT, (FIRST,), ("praise",), "ana")
WARNING = Annotation(Mention("Iran", *TEHRAN), Mention("Taliban", *TALIBAN), Stance.OPPOSE, (SECOND,))
ARTICLE = Article("iran", TEXT, exhaustive=True, annotations=(STANCE, WARNING))
LOST = "something of it was dropped, so it is not taken as exhaustive"
Change = Callable[[list[dict[str, Any]]], object]


def task(**changes: Any) -> dict[str, Any]:
    """One task of Label Studio, of `ARTICLE`'s first stance by user 7, with `changes` of it."""
    (made,) = labelstudio.tasks([replace(ARTICLE, exhaustive=False, annotations=(replace(STANCE, tags=()),))])
    (annotation,) = made["annotations"]
    for result in annotation["result"]:
        result.pop("meta", None)
    return made | {"id": 3, "annotations": [annotation | {"id": 1, "completed_by": 7}]} | changes


def results(change: Change) -> dict[str, Any]:
    made = task()
    change(made["annotations"][0]["result"])
    return made


def studio(tmp_path: Path, *tasks: Any, **labels: str) -> list[Found]:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(list(tasks)))
    return found("labelstudio", path, **labels)


def region(start: int, end: int, label: str, key: str, text: str | None = None) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": TEXT[start:end] if text is None else text, "labels": [label]}
    return {"id": key, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def relation(source: str, target: str, *labels: str) -> dict[str, Any]:
    return {"type": "relation", "from_id": source, "to_id": target, "direction": "right", "labels": list(labels)}


def split(items: list[Found]) -> tuple[tuple[Annotation, ...], list[str]]:
    """The annotations of the last article, and why the rest was dropped or how it was mended."""
    article = items[-1]
    assert isinstance(article, Article)
    return article.annotations, [i.reason if isinstance(i, Dropped) else i.what for i in items[:-1]]  # type: ignore[union-attr]


def test_tasks_whose_id_is_null_are_known_by_their_numbers(tmp_path: Path) -> None:
    tasks = [task(), task()]
    for number, each in enumerate(tasks, 4):
        each |= {"id": number, "data": each["data"] | {"id": None}}
    assert [item.id for item in studio(tmp_path, *tasks) if isinstance(item, Article)] == ["export-4", "export-5"]
    for each in tasks:
        each["id"] = None
    assert [item.id for item in studio(tmp_path, *tasks) if isinstance(item, Article)] == ["export-1", "export-2"]


def test_tasks_without_an_id_of_their_own_are_called_the_same_in_every_export_of_a_project(tmp_path: Path) -> None:
    bare = {"text": TEXT}
    tasks = [task(id=number, project=12, data=bare) for number in (4, 5)]
    for name in ("project-12-at-2026-11-01.json", "project-12-at-2026-12-01.json"):
        path = tmp_path / name
        path.write_text(json.dumps(tasks))
        articles = [item.id for item in found("labelstudio", path) if isinstance(item, Article)]
        assert articles == ["project-12-4", "project-12-5"]
    unnumbered = studio(tmp_path, task(id=None, project=12, data=bare))
    assert [item.id for item in unnumbered if isinstance(item, Article)] == ["export-1"]


def test_tasks_of_two_servers_under_one_number_are_two_articles_and_the_same_text_again_is_one(tmp_path: Path) -> None:
    here, there = ([task(id=number, project=1, data={"text": f"{TEXT} {end} {number}."}) for number in (1, 2)]
                   for end in ("Here", "There"))  # fmt: skip
    for name, tasks in (("a", here), ("b", there), ("c", there)):
        (tmp_path / f"{name}.json").write_text(json.dumps(tasks))
    items = found("labelstudio", tmp_path)
    articles = {item.id: item.text for item in items if isinstance(item, Article)}
    assert list(articles.values()) == [each["data"]["text"] for each in (*here, *there)]
    assert list(articles)[:2] == ["project-1-1", "project-1-2"]
    again = [item for item in items if isinstance(item, Dropped)]
    assert [item.article_id for item in again] == list(articles)[2:]
    told = [item for item in items if isinstance(item, Repair)]
    assert [item.article_id for item in told] == list(articles)[2:] * 2
    assert told[0].what.startswith(f"project-1-1 is another text at {tmp_path / 'a.json'}:1: both are kept; ")
    (tmp_path / "b.json").rename(tmp_path / "later.json")
    assert {item.id for item in found("labelstudio", tmp_path) if isinstance(item, Article)} == articles.keys()


def test_each_annotator_of_label_studio_is_named_and_who_skipped_a_task_is_reported(tmp_path: Path) -> None:
    (one,) = task()["annotations"]
    several = [one, one | {"completed_by": {"id": 8, "email": "ben@x.org"}}, one | {"was_cancelled": True, "id": 5}]
    notes, remarks = split(studio(tmp_path, task(annotations=several)))
    assert [note.annotator for note in notes] == ["7", "ben@x.org"]
    assert remarks == ["annotation 5 was skipped by its annotator"]


def test_a_skipped_task_is_no_loss_and_takes_nothing_from_who_finished_it(tmp_path: Path) -> None:
    (made,) = labelstudio.tasks([ARTICLE])
    made["annotations"].append({"id": 5, "was_cancelled": True, "result": []})
    *remarks, item = studio(tmp_path, made)
    assert [type(remark) for remark in remarks] == [Repair]
    assert isinstance(item, Article)
    assert item.exhaustive


def test_who_goes_on_with_an_imported_annotation_keeps_its_annotator_and_who_copies_it_does_not(tmp_path: Path) -> None:
    (made,) = labelstudio.tasks([ARTICLE])
    copies = [made["annotations"][0] | {"completed_by": 7, "parent_annotation": 1}]
    (item,) = studio(tmp_path, made | {"annotations": made["annotations"] + copies})
    assert [note.annotator for note in item.annotations] == ["ana", "", "7"]  # type: ignore[union-attr]


def test_a_text_is_exhaustively_annotated_if_all_its_annotators_say_so(tmp_path: Path) -> None:
    (made,) = labelstudio.tasks([ARTICLE])
    (item,) = studio(tmp_path, made)
    assert item.exhaustive  # type: ignore[union-attr]
    del made["annotations"][0]["result"][-1]
    (item,) = studio(tmp_path, made)
    assert not item.exhaustive  # type: ignore[union-attr]


def test_a_person_may_draw_from_either_end_and_leave_evidence_unlinked(tmp_path: Path) -> None:
    def drawn(result: list[dict[str, Any]]) -> None:
        result[:] = [region(*IRAN, "Actor", "a"), region(*PLAN, "Target", "t"), relation("t", "a", "support", "praise")]
        result += [region(*FIRST, "Evidence", "e"), region(*SECOND, "Evidence", "f")]

    notes, remarks = split(studio(tmp_path, results(drawn)))
    assert notes == (
        Annotation(Mention("Iran", *IRAN), Mention("plan", *PLAN), Stance.SUPPORT, (FIRST,), ("praise",), "7"),
    )
    assert remarks == ["relation support+praise from t to a was drawn from Target to Actor; taken from Actor to Target"]


def test_crossing_and_overlapping_relations_are_read_each_by_itself(tmp_path: Path) -> None:
    def crossing(result: list[dict[str, Any]]) -> None:
        result[:] = [region(*IRAN, "Actor", "a"), region(*TEHRAN, "Actor", "b"), region(0, 29, "Actor", "c")]
        result += [region(*TALIBAN, "Target", "s"), region(*PLAN, "Target", "t"), region(0, 75, "Evidence", "e")]
        result += [relation("a", "s", "oppose"), relation("b", "t", "support"), relation("c", "t", "neutral")]

    notes, remarks = split(studio(tmp_path, results(crossing)))
    assert [(n.actor.span, n.target.span, n.stance.value) for n in notes] == [
        (IRAN, TALIBAN, "oppose"),
        (TEHRAN, PLAN, "support"),
        ((0, 29), PLAN, "neutral"),
    ]
    assert {n.evidence for n in notes} == {((0, 75),)}
    assert remarks == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.append(relation("A1", "gone", "oppose")), "its end gone is no region, or one that can't be used"),
        (lambda r: r.append(relation("A1", "A1", "oppose")), "it joins Actor to Actor; expected Actor to Target"),
        (lambda r: r.append(relation("E3", "T2", "oppose")), "it joins Evidence to Target; expected Actor to Target"),
        (lambda r: r.append(relation("A1", "T2")), "expected exactly one of oppose, neutral, support .* found none"),
        (lambda r: r.append(relation("A1", "T2", "oppose", "support")), "exactly one .* found oppose, support"),
        (lambda r: r.append(relation("A1", "T2", "oppose", "evidence")), "unknown tag 'evidence'; expected some of"),
        (lambda r: r.append(region(0, 4, "Actor", "x", "Peru")), r"region x: \[0, 4\] does not hold 'Peru', nor does"),
        (lambda r: r.append(region(90, 99, "Actor", "x", "Peru")), r"region x: \[90, 99\] does not hold"),
        (lambda r: r.append(region(-5, 3, "Actor", "x")), r"region x: \[-5, 3\] does not hold"),
        (
            lambda r: r.append(region(0, 1, "Actor", "x") | {"value": {"labels": ["Actor"]}}),
            "expected offsets, found None",
        ),
        (lambda r: r.append(region(0, 1, "Actor", "x") | {"value": {}}), "region x: expected one label, found None"),
    ],
)
def test_what_is_no_stance_is_dropped_with_the_reason(tmp_path: Path, change: Change, reason: str) -> None:
    dropped, article = studio(tmp_path, results(change))
    assert isinstance(dropped, Dropped)
    assert (dropped.where, dropped.article_id) == (f"{tmp_path / 'export.json'}:1", "iran")
    with pytest.raises(StanceError, match=reason):
        raise StanceError(dropped.reason)
    assert len(article.annotations) == 1  # type: ignore[union-attr]


def test_a_stance_without_evidence_is_dropped_with_its_names(tmp_path: Path) -> None:
    def drawn(result: list[dict[str, Any]]) -> None:
        result[:] = [region(*IRAN, "Actor", "a"), region(*PLAN, "Target", "t"), region(*SECOND, "Evidence", "e")]
        result += [relation("a", "t", "support")]

    dropped, _ = studio(tmp_path, results(drawn))
    assert isinstance(dropped, Dropped)
    assert (dropped.actor, dropped.target) == ("Iran", "plan")
    assert dropped.reason == "no Evidence region hangs on its Target or its Actor, and none holds either of them"


OTHERS = [
    ([{"text": TEXT, "label": []}], r"expected a task with data and annotations, found text, label; export as JSON"),
    ([7], "expected a task with data and annotations, found int"),
    ([task(data={"body": TEXT})], r"another labelling configuration: expected data\.text, found body"),
    ([results(lambda r: r.append(region(0, 1, "PER", "x")))], "expected the labels Actor, Target, Evidence, found PER"),
    (
        [results(lambda r: r[0].update(from_name="ner"))],
        r"expected the controls .*label \(labels\).*, found ner \(labels\)",
    ),
    (
        [results(lambda r: r.append(relation("A1", "T2", "hates")))],
        "expected the relations oppose, .*found the relation 'hates'",
    ),
    ([task(annotations=[1])], "annotations: expected a list of objects, found list"),
    ([task(annotations=[{"result": {}}])], "result: expected a list of objects, found dict"),
]


@pytest.mark.parametrize(("tasks", "reason"), OTHERS)
def test_another_project_is_refused_with_what_is_expected_and_found(
    tmp_path: Path, tasks: list[Any], reason: str
) -> None:
    with pytest.raises(StanceError, match=rf"export\.json:1: .*{reason}"):
        studio(tmp_path, *tasks)


@pytest.mark.parametrize("value", [[1], {"a": [1]}, 7, "x", True, [["Actor"]], [{}]])
@pytest.mark.parametrize("key", ["meta", "from_name", "type", "id", "labels", "value", "from_id"])
def test_no_value_of_an_unexpected_type_is_a_traceback(tmp_path: Path, key: str, value: Any) -> None:
    made = task()
    for result in made["annotations"][0]["result"]:
        result[key] = value
    with suppress(StanceError):
        assert isinstance(studio(tmp_path, made)[-1], Article)
    made = task()
    for result in made["annotations"][0]["result"]:
        result.setdefault("value", {}).update(dict.fromkeys(("labels", "choices", "text", "start"), value))
        result["meta"] = {"stance": dict.fromkeys(("order", "annotator", "weight", "soft"), value)}
    with suppress(StanceError):
        assert isinstance(studio(tmp_path, made)[-1], Article)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}", r"expected a JSON array of objects, found '\{\}'"),
        (b"[{", "broken JSON in element 1"),
        (b'[{"a": 1}, {"b" 2}]', "element 2|data and annotations"),
        (b'[{"a": 1, "a": 2}]', "broken JSON in element 1: the key 'a' stands twice"),
        (b"[" * 100_000, "broken JSON in element 1: maximum recursion"),
        ("[é".encode("latin-1"), r"not UTF-8 \(byte 0xe9\)"),
    ],
)
def test_a_broken_export_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(content)
    with pytest.raises(StanceError, match=reason):
        found("labelstudio", path)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text()), max_size=5), st.integers(1, 40))
def test_an_array_is_read_the_same_in_pieces_of_any_size(rows: list[dict[str, str]], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "rows.json"
        path.write_text(json.dumps(rows, indent=1), "utf-8")
        patch.setattr(jsonl, "_CHUNK", size)
        assert list(jsonl.elements(path)) == rows
        path.write_text(path.read_text("utf-8") + "\n" * 50, "utf-8")
        assert list(jsonl.elements(path)) == rows
        path.write_text(path.read_text("utf-8") + "[{}]", "utf-8")
        with pytest.raises(StanceError, match=r"goes on behind the array: '\['?"):
            list(jsonl.elements(path))


@pytest.mark.parametrize("rest", ["\n[]", "garbage", "\n" * 3 + '[{"data": {}}]'])
def test_nothing_behind_an_array_is_passed_over(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps([task()]) + rest)
    with pytest.raises(StanceError, match=r"two\.json: goes on behind the array: .*; expected one array"):
        found("labelstudio", path)


def test_stances_by_other_names_are_mapped_or_dropped_as_the_corpus_says(tmp_path: Path) -> None:
    made = results(lambda result: result.append(relation("A1", "T2", "hates")))
    notes, _ = split(studio(tmp_path, made, hates="oppose"))
    assert [note.stance.value for note in notes] == ["support", "oppose"]
    notes, remarks = split(studio(tmp_path, made, hates="drop"))
    assert [note.stance.value for note in notes] == ["support"]
    assert remarks == ["labels says to drop 'hates'"]


LOSSES = {
    "a stance to drop": ("R9\thates Arg1:T1 Arg2:T2", {"hates": "drop"}, 0),
    "an unknown stance": ("R9\thates Arg1:T1 Arg2:T2", {}, 1),
    "a region that is not there": ("T9\tActor 0 4\tPeru", {}, 1),
    "a stance without evidence": ("T9\tTarget 25 41\t\nT8\tActor 0 75\t\nR9\toppose Arg1:T8 Arg2:T9", {}, 1),
    "a line of another kind": ("X1\tAttack:T1", {}, 1),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_an_article_that_lost_a_stance_is_no_longer_exhaustive(tmp_path: Path, loss: str) -> None:
    line, labels, unusable = LOSSES[loss]
    brat.write(tmp_path / "ann", [replace(ARTICLE, id="Iran, again")])
    (file,) = (tmp_path / "ann").glob("*.ann")
    (whole,) = found("brat", tmp_path / "ann")
    assert whole.exhaustive  # type: ignore[union-attr]
    with file.open("a") as out:
        out.write(f"{line}\n")
    dropped, repair, article = found("brat", tmp_path / "ann", **labels)
    assert dropped.unusable == unusable  # type: ignore[union-attr]
    assert repair == Repair(str(file), "Iran, again", LOST)
    assert article == replace(whole, exhaustive=False)  # type: ignore[type-var]


def test_one_lost_stance_leaves_the_other_tasks_of_label_studio_exhaustive(tmp_path: Path) -> None:
    lost, whole = (next(labelstudio.tasks([replace(ARTICLE, id=name)])) for name in ("lost", "whole"))
    lost["annotations"][0]["result"].append(relation("A1", "gone", "oppose"))
    items = [item for item in studio(tmp_path, lost, whole) if isinstance(item, Article)]
    assert [(item.id, item.exhaustive) for item in items] == [("lost", False), ("whole", True)]


def test_a_lost_article_counts_as_many_rows_as_it_has_stances(tmp_path: Path) -> None:
    (made,), (row,) = labelstudio.tasks([ARTICLE]), doccano.rows([ARTICLE])
    brat.write(tmp_path / "ann", [ARTICLE])
    (tmp_path / "ann" / "iran.txt").unlink()
    jsonl.write(tmp_path / "doccano.jsonl", [row | {"text": ""}])
    lost = [
        *studio(tmp_path, made | {"data": {"text": "", "id": "x"}}),
        *found("doccano", tmp_path / "doccano.jsonl"),
        *found("brat", tmp_path / "ann"),
    ]
    assert [(type(item), item.unusable) for item in lost] == [(Dropped, 2)] * 3  # type: ignore[union-attr]


# Offsets.

EMOJI = "👩🏽‍🚒 says:\r\nIran, 𝔘nited,\r\nbacked the plan."


def utf16(text: str, offset: int) -> int:
    return len(text[:offset].encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("count", "how"),
    [
        (utf16, "in UTF-16 units"),
        (lambda text, offset: offset - text[:offset].count("\r\n"), "with line ends of two characters as one"),
        (lambda text, offset: len(text[:offset].encode()), "in bytes"),
    ],
)
def test_offsets_that_were_counted_otherwise_are_found_and_told(count: Callable[[str, int], int], how: str) -> None:
    start = EMOJI.index("plan")
    span = count(EMOJI, start), count(EMOJI, start + 4)
    assert offsets.locate(EMOJI, span, "plan") == (
        (start, start + 4),
        f"[{span[0]}, {span[1]}] was counted {how}; it is [{start}, {start + 4}]",
    )


def test_offsets_of_a_text_whose_line_ends_were_two_characters_are_found() -> None:
    assert offsets.locate("a\nb\nthe plan the plan", (10, 14), "plan") == (
        (8, 12),
        "[10, 14] was counted with line ends as two characters; it is [8, 12]",
    )


@given(words, words, words)
def test_a_quotation_is_found_where_it_stands_however_line_ends_are_printed(a: str, quoted: str, b: str) -> None:
    text, span = a + quoted + b, (len(a), len(a) + len(quoted))
    shown = quoted.replace("\n", "\\n").replace("\r", "\\n")
    assert offsets.locate(text, span, shown) == (span, "")


def test_the_nearest_of_several_places_is_taken_and_none_that_is_far_away() -> None:
    text = "plan " * 10
    found = offsets.locate(text, (21, 25), "plan")
    assert found
    assert found[0] == (20, 24)
    assert offsets.locate("plan" + " " * 200, (190, 194), "plan") is None


def test_a_quotation_is_rather_found_as_whole_words() -> None:
    text = "Critics said that it failed."
    assert offsets.locate(text, (5, 7), "it") == ((18, 20), "[5, 7] does not hold 'it'; it is at [18, 20]")
    found = offsets.locate("The [Congre]ssman spoke", (7, 13), "Congre")
    assert found
    assert found[0] == (5, 11), "the only place, though it cuts a word"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("word " * 200_000, "another"),
        ("word " * 200_000, "word x"),
        ("a" * 1_000_000, "a b"),
        (" a" + " " * 999_998, "a b"),
        ("word " * 200_000, "word " * 400_000),
    ],
)
def test_very_many_wrong_places_in_a_long_text_are_looked_at_at_once(text: str, quoted: str) -> None:
    start = time.process_time()
    for end in range(999_000, 1_000_000, 20 if len(quoted) < 10 else 1_000):
        assert offsets.locate(text, (0, end), quoted) is None
    assert time.process_time() - start < 5, "some 1 second; minutes where each counts all characters anew"


def test_a_mention_that_cuts_a_very_long_word_is_widened_a_little() -> None:
    cut = Annotation(Mention("Norway", 500_000, 500_006), Mention("levy"), Stance.SUPPORT, ((0, 1_000_000),))
    article, _ = offsets.whole_words(Article(id="a", text="a" * 1_000_000, annotations=(cut,)))
    assert article.annotations[0].actor == Mention("Norway", 499_900, 500_106)


def test_a_quotation_that_stands_at_its_offsets_is_taken_as_it_is() -> None:
    text = "C:\\\\n  new plan"
    assert text[4:9] == "n  ne"
    assert offsets.locate(text, (4, 9), "n  ne") == ((4, 9), "")


def test_settings_that_a_format_has_no_use_for_are_refused(tmp_path: Path) -> None:
    for to in corpora.FORMATS:
        for name, value in (("columns", {"text": "body"}), ("labels", {"pro": "support"})):
            if to in (corpora.COLUMNS if name == "columns" else corpora.LABELLED):
                continue
            source = CorpusConfig("c", to, str(tmp_path), **{name: value})
            with pytest.raises(StanceError, match=rf"{name} of the corpus 'c': expected none with format={to}, found "):
                list(corpora.stream(source))


@pytest.mark.parametrize("to", [*TOOLS, "hub", "table"])
def test_a_typo_among_the_labels_is_refused_before_the_work(tmp_path: Path, to: str) -> None:
    with pytest.raises(StanceError, match=r"labels\.pro: found 'suport'; expected one of"):
        found(to, tmp_path, pro="suport")
    with pytest.raises(StanceError, match=r"labels\.pro: found 'suport'; expected one of"):
        build.check([CorpusConfig("c", to, str(tmp_path), labels={"pro": "suport"})])


@pytest.mark.parametrize("span", [(0, 0), (3, 2), (-1, 2), (0, 9), (10**30, 10**31)])
def test_offsets_outside_the_text_are_not_taken(span: Span) -> None:
    assert offsets.locate("a text", span, None) is None
    assert offsets.locate("a text", span, "nothing") is None


# doccano.


def exported(tmp_path: Path, change: Change | None = None, **labels: str) -> list[Found]:
    """doccano's row of ARTICLE, as a server gives it back: new ids, the text first, and what somebody changed."""
    (row,) = doccano.rows([ARTICLE])
    for entity in row["entities"]:
        entity["id"] += 100
    for item in row["relations"]:
        item.update(id=item["id"] + 500, from_id=item["from_id"] + 100, to_id=item["to_id"] + 100)
    if change:
        change(row)  # type: ignore[arg-type]
    path = tmp_path / "all.jsonl"
    path.write_text(json.dumps(row) + "\r\n", newline="")
    return [replace(item, where="") for item in found("doccano", path, **labels)]


def test_doccano_may_give_new_ids(tmp_path: Path) -> None:
    assert exported(tmp_path) == [ARTICLE]


def test_in_doccano_a_relation_that_was_deleted_is_gone_and_a_new_one_is_read_with_the_names_of_its_ends(
    tmp_path: Path,
) -> None:
    def change(row: Any) -> None:
        (warns,) = [r for r in row["relations"] if r["type"] == "oppose"]
        (praises,) = [r for r in row["relations"] if r["type"] == "support"]
        row["relations"].remove(warns)
        row["relations"].append({"id": 1, "from_id": warns["from_id"], "to_id": praises["to_id"], "type": "neutral"})

    (article,) = exported(tmp_path, change)
    new = Annotation(Mention("Iran", *TEHRAN), Mention("the plan", *PLAN), Stance.NEUTRAL, (FIRST,))
    assert article.annotations == (STANCE, new)  # type: ignore[union-attr]


def test_evidence_that_was_changed_in_doccano_is_taken_over(tmp_path: Path) -> None:
    def change(row: Any) -> None:
        next(e for e in row["entities"] if (e["start_offset"], e["end_offset"]) == FIRST)["end_offset"] = 29

    (article,) = exported(tmp_path, change)
    assert article.annotations == (replace(STANCE, evidence=((0, 29),)), WARNING)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda row: row["entities"].append({"id": 1, "label": "PER"}),
            "entity 1: expected one of Actor, Target, Evidence",
        ),
        (
            lambda row: row["entities"].append({"id": 1, "label": "Actor", "start_offset": 4, "end_offset": 900}),
            rf"entity 1: \[4, 900\] is outside the text of {len(TEXT)} characters",
        ),
        (lambda row: row["relations"].append({"from_id": 1, "to_id": 2, "type": "x"}), "its end 1 is no region"),
        (
            lambda row: row["relations"].append(row["relations"][0]),
            "relation support between the same spans stood twice",
        ),
        (lambda row: row.update(stance_annotations="{"), "stance_annotations can't be read, names and tags are lost"),
        (lambda row: row.update(stance_annotations="{}"), "expected a list, found dict"),
        (lambda row: row.update(stance_annotations="[{}]"), "stance_annotations 1: 'evidence' must be a list"),
    ],
)
def test_what_doccano_has_and_can_not_be_used_is_reported(tmp_path: Path, change: Change, reason: str) -> None:
    remark, *told, article = exported(tmp_path, change)
    assert isinstance(remark, Dropped | Repair)
    assert [t.what for t in told] == [LOST] * isinstance(remark, Dropped)  # type: ignore[union-attr]
    assert article.exhaustive == isinstance(remark, Repair)  # type: ignore[union-attr]
    with pytest.raises(StanceError, match=reason):
        raise StanceError(remark.reason if isinstance(remark, Dropped) else remark.what)
    assert len(article.annotations) == 2  # type: ignore[union-attr]


def test_an_export_of_doccano_without_relations_is_refused_and_a_broken_row_later_dropped(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text(json.dumps({"id": 1, "text": TEXT, "label": []}))
    with pytest.raises(
        StanceError, match=r"all\.jsonl:1: expected the keys text, entities and relations, found id, text, label"
    ):
        found("doccano", path)
    (row,) = doccano.rows([ARTICLE])
    path.write_text("\n".join(json.dumps(r) for r in (row, {"id": 2, "text": TEXT}, row | {"text": "", "id": 3}, 4)))
    first, *rest = found("doccano", path)
    assert isinstance(first, Article)
    assert [(r.where[-2:], r.article_id, r.reason) for r in rest] == [  # type: ignore[union-attr]
        (":2", "2", "'entities' must be a list of objects, found NoneType"),
        (":3", "3", "'text' is empty"),
        (":4", "", "expected a JSON object, found int"),
    ]


def members(folder: Path, **rows: list[dict[str, Any]]) -> list[Found]:
    """What is read of a folder with a file for each member of a project."""
    for name, of_member in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in of_member))
    return found("doccano", folder)


def drawn(*stances: str, name: str = "1", end: int = 4, **rest: Any) -> dict[str, Any]:
    """A row of doccano in which somebody drew Iran's stances on the plan."""
    spans = (("Actor", 0, end), ("Target", *PLAN), ("Evidence", *FIRST))
    entities = [{"id": n, "label": k, "start_offset": a, "end_offset": b} for n, (k, a, b) in enumerate(spans)]
    relations = [{"id": n, "from_id": 0, "to_id": 1, "type": stance} for n, stance in enumerate(stances)]
    return {"id": name, "text": TEXT, "entities": entities, "relations": relations, **rest}


def test_each_member_of_a_project_in_doccano_is_an_annotator(tmp_path: Path) -> None:
    broken = drawn("support", name="2") | {"entities": 0}
    third, lost, note, second, first = members(
        tmp_path,
        ana=[drawn("support"), drawn("support", name="2", exhaustive=True), drawn("oppose", name="3")],
        ben=[broken, drawn("oppose", exhaustive=True)],
    )
    articles = [one for one in (first, second, third) if isinstance(one, Article)]
    assert [(one.id, one.exhaustive) for one in articles] == [("1", False), ("2", False), ("3", False)]
    assert [[(note.annotator, note.stance) for note in one.annotations] for one in articles] == [
        [("ana", "support"), ("ben", "oppose")], [("ana", "support")], [("ana", "oppose")],
    ]  # fmt: skip
    assert isinstance(lost, Dropped)
    assert isinstance(note, Repair)


def test_a_file_of_doccano_alone_and_files_without_a_row_in_common_name_nobody(tmp_path: Path) -> None:
    (one,) = members(tmp_path, ana=[drawn("support")])
    assert [note.annotator for note in one.annotations] == [""]  # type: ignore[union-attr]
    items = members(tmp_path, ben=[drawn("support", name="2")])
    assert [note.annotator for item in items for note in item.annotations] == ["", ""]  # type: ignore[union-attr]


def test_members_of_doccano_are_annotators_of_what_they_were_given_and_a_row_twice_in_a_file_counts_once(
    tmp_path: Path,
) -> None:
    (row,) = doccano.rows([replace(ARTICLE, annotations=(replace(STANCE, annotator="zoe"),))])
    lost, *_, article = members(tmp_path, ana=[row, row], ben=[row])
    assert isinstance(lost, Dropped)
    assert (lost.where, lost.reason) == (
        f"{tmp_path / 'ana.jsonl'}:2",
        "the same id and text stand in this file already",
    )
    assert [note.annotator for note in article.annotations] == ["ana", "ben"]  # type: ignore[union-attr]


@pytest.mark.parametrize("end", [3, 5])
def test_regions_of_doccano_that_cut_words_are_told(tmp_path: Path, end: int) -> None:
    note, article = members(tmp_path, all=[drawn("support", end=end)])
    assert isinstance(note, Repair)
    assert "1 entities begin or end inside a word or with white space, first 0 at" in note.what
    assert "grapheme clusters" in note.what
    assert isinstance(article, Article)


# BRAT.


def standoff(folder: Path, *lines: str, text: str = TEXT, end: str = "\n") -> list[Found]:
    (folder / "iran.txt").write_bytes(text.encode())
    (folder / "iran.ann").write_bytes("".join(line + end for line in lines).encode())
    return found("brat", folder)


DRAWN = ("T1\tActor 0 4\tIran", "T2\tTarget 25 29\tplan", "T3\tEvidence 0 30\tIran praised the Russian plan.")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_standoff_drawn_by_hand_is_read_whatever_its_line_ends(tmp_path: Path, end: str) -> None:
    lines = (
        *DRAWN,
        "R1\tsupport Arg1:T1 Arg2:T2\t",
        "R2\tevidence Arg1:T3 Arg2:T2",
        "A1\tpraise R1",
        "A2\tdeed T2",
        "",
    )
    (article,) = standoff(tmp_path, *lines, "#1\tAnnotatorNotes T1\tis this right?", end=end)
    expected = Annotation(Mention("Iran", *IRAN), Mention("plan", *PLAN), Stance.SUPPORT, (FIRST,), ("praise", "deed"))
    assert article == Article("iran", TEXT, annotations=(expected,), where=str(tmp_path / "iran.ann"))


def test_pieces_of_a_region_are_joined_at_line_ends_and_reported_where_words_stand_between(tmp_path: Path) -> None:
    lines = ("T1\tActor 0 4\tIran", "T2\tTarget 17 24;67 74\tRussian Taliban")
    proof = "T3\tEvidence 0 30;31 75\t" + TEXT.replace("\n", " ")
    notes, remarks = split(standoff(tmp_path, *lines, proof, "R1\toppose Arg1:T1 Arg2:T2"))
    assert notes == (Annotation(Mention("Iran", *IRAN), Mention("Russian Taliban", 17, 74), Stance.OPPOSE, ((0, 75),)),)
    assert remarks == ["region T2: it has 2 pieces; taken as one, [17, 74]"]


def test_offsets_from_before_line_ends_were_changed_are_mended_and_reported(tmp_path: Path) -> None:
    lines = ("T1\tActor 35 41\tTehran", "T2\tTarget 67 74\tTaliban", "T3\tEvidence 31 75\t" + TEXT[31:])
    notes, remarks = split(standoff(tmp_path, *lines, "R1\toppose Arg1:T1 Arg2:T2", text=TEXT.replace("\n", "\r\n")))
    assert [(note.actor.span, note.target.span) for note in notes] == [((36, 42), (68, 75))]
    assert remarks[0] == "region T1: [35, 41] was counted with line ends of two characters as one; it is [36, 42]"
    assert len(remarks) == 3


def test_byte_order_marks_of_an_editor_are_no_part_of_standoff(tmp_path: Path) -> None:
    lines = "\n".join((*DRAWN, "R1\tsupport Arg1:T1 Arg2:T2"))
    (tmp_path / "iran.txt").write_text(TEXT, "utf-8-sig")
    (tmp_path / "iran.ann").write_text(lines, "utf-8-sig")
    (article,) = found("brat", tmp_path)
    assert article.text == TEXT  # type: ignore[union-attr]
    assert [note.actor.span for note in article.annotations] == [IRAN]  # type: ignore[union-attr]
    marked = replace(ARTICLE, text="\ufeff" + TEXT, annotations=())
    brat.write(tmp_path / "out", [marked])
    (back,) = found("brat", tmp_path / "out")
    assert back.text == marked.text  # type: ignore[union-attr]


def test_what_standoff_has_and_can_not_be_used_is_reported_with_its_line(tmp_path: Path) -> None:
    odd = ("E1\tAttack:T1", "T9 no tab", "T5\tPERSON 0 4\tIran", "T6\tActor 0 4\tPeru", "R1\toppose Arg1:T1 Arg2:T6")
    *dropped, article = standoff(tmp_path, *DRAWN, *odd, "R2\tCoref Arg1:T1 Arg2:T2")
    event = dropped.pop(1)
    assert isinstance(event, Repair)
    assert [(d.where.rpartition("/")[2], d.reason) for d in dropped] == [  # type: ignore[union-attr]
        ("iran.ann:5", "expected a line of T (regions), R (relations), A (attributes) or # (notes), found 'T9 no tab'"),
        ("iran.ann", "region T5: expected one of Actor, Target, Evidence, found 'PERSON'"),
        ("iran.ann", "region T6: [0, 4] does not hold 'Peru', nor does the text nearby"),
        ("iran.ann", "relation oppose from T1 to T6: its end T6 is no region, or one that can't be used"),
        ("iran.ann", "expected exactly one of oppose, neutral, support among the relation's labels, found Coref"),
    ]
    assert article.annotations == ()  # type: ignore[union-attr]


def test_lines_of_standoff_that_are_no_stance_cost_nothing(tmp_path: Path) -> None:
    lines = (
        *DRAWN,
        "R1\tsupport Arg1:T1 Arg2:T2",
        "A1\tConfidence T2 High",
        "A2\tdeed T2",
        "N1\tReference T1 Wiki:1\tIran",
    )
    whole = '#1\tAnnotatorNotes DOC\t{"exhaustive": true}'
    events = "T7\tAttack 5 12\tpraised", "E1\tAttack:T7 By:T1", "E2\tAttack:T7"
    *remarks, article = standoff(tmp_path, *lines, "*\tEquiv T1 T2", whole, *events)
    assert [remark.what for remark in remarks] == [  # type: ignore[union-attr]
        "its 2 events (lines of E) are no stances and left out",
        "attributes that are no tags were left out: Confidence",
    ]
    assert isinstance(article, Article)
    assert article.exhaustive
    assert [note.tags for note in article.annotations] == [("deed",)]


def test_labels_of_brat_may_give_tags_other_names(tmp_path: Path) -> None:
    standoff(tmp_path, *DRAWN, "R1\toppose Arg1:T1 Arg2:T2", "A1\tSarcasm T2")
    (article,) = found("brat", tmp_path, Sarcasm="irony")
    assert [note.tags for note in article.annotations] == [("irony",)]  # type: ignore[union-attr]
    with pytest.raises(
        StanceError, match=r"labels\.Sarcasm: found 'irony'; expected one of oppose, neutral, support, drop$"
    ):
        found("doccano", tmp_path, Sarcasm="irony")


@pytest.mark.parametrize("printed", ["Taliban Russian", "Russian Taliban"])
def test_pieces_of_a_region_are_joined_in_the_order_of_the_file_or_of_the_text(tmp_path: Path, printed: str) -> None:
    lines = ("T1\tActor 0 4\tIran", f"T2\tTarget 67 74;17 24\t{printed}", "T3\tEvidence 0 75\t" + TEXT)
    notes, remarks = split(
        standoff(tmp_path, *(line.replace("\n", " ") for line in lines), "R1\toppose Arg1:T1 Arg2:T2")
    )
    assert [note.target for note in notes] == [Mention(printed, 17, 74)]
    assert remarks == ["region T2: it has 2 pieces; taken as one, [17, 74]"]


def test_a_path_that_is_no_folder_of_standoff_is_refused(tmp_path: Path) -> None:
    standoff(tmp_path)
    with pytest.raises(StanceError, match=r"iran\.ann: no such folder; .* found a file; give the folder"):
        found("brat", tmp_path / "iran.ann")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StanceError, match=r"no \*\.ann file; expected a folder"):
        found("brat", tmp_path / "empty")


def test_files_of_standoff_without_their_partner_or_in_another_encoding_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "alone.txt").write_text("x")
    (tmp_path / "deep" / "lost.ann").write_text("")
    (tmp_path / "latin.ann").write_text("")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert [(d.article_id, d.reason) for d in found("brat", tmp_path)] == [  # type: ignore[union-attr]
        ("", "no .ann file beside it, which BRAT wants even if it is empty"),
        ("deep/lost", "lost.txt is missing; BRAT keeps a .txt beside each .ann"),
        ("latin", "latin.txt is not UTF-8 (byte 4); save it as UTF-8"),
    ]
    with pytest.raises(StanceError, match=r"no such folder; expected a folder"):
        found("brat", tmp_path / "none")


def test_standoff_that_is_too_large_is_not_taken_into_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "a.ann").write_bytes(b"R1\toppose " + b"x" * 2 * jsonl.MAX_LINE_BYTES)
    tracemalloc.start()
    try:
        (lost,) = found("brat", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < jsonl.MAX_LINE_BYTES
    finally:
        tracemalloc.stop()
    assert isinstance(lost, Dropped)
    assert (lost.unusable, lost.reason[:32]) == (1, "a.ann has over 16,000,000 bytes,")


def test_work_of_people_is_never_overwritten(tmp_path: Path) -> None:
    brat.write(tmp_path / "out", [ARTICLE])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotation.conf", "iran.ann", "iran.txt"]
    with pytest.raises(StanceError, match="is there already, and nothing was overwritten"):
        brat.write(tmp_path / "out", [ARTICLE])


@pytest.mark.parametrize("name", ["../up", "/etc/x", "A", "a", "con\0", "é" * 300, ".", "annotation.conf"])
def test_no_id_of_an_article_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    brat.write(tmp_path / "a" / "b", [replace(ARTICLE, id=name)])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert len(list((tmp_path / "a" / "b").iterdir())) == 3
    assert [a.id for a in corpora.read(tmp_path / "a" / "b", "brat")] == [name]


# The command.


def triples(path: Path, *changes: dict[str, Any]) -> Path:
    one = Triple("iran", Mention("Iran", *IRAN), Mention("plan", *PLAN), Stance.SUPPORT, 0.75, (FIRST,)).to_json()
    jsonl.write(path, [one | change for change in changes or ({},)])
    return path


def test_predictions_go_along_as_pre_annotations_with_scores(tmp_path: Path) -> None:
    rows = triples(tmp_path / "t.jsonl", {}, {"confidence": 0.25, "stance": "oppose"})
    with written("labelstudio", [ARTICLE, replace(ARTICLE, id="other")], rows) as path:
        first, second = jsonl.elements(path)
    (prediction,) = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("stance", 0.5)
    assert [r["score"] for r in prediction["result"] if "score" in r] == [0.75, 0.25]
    assert [r["labels"] for r in prediction["result"] if r["type"] == "relation" and r["labels"] != ["evidence"]] == [
        ["support"],
        ["oppose"],
    ]
    assert all("meta" not in r for r in prediction["result"])
    assert "predictions" not in second


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"article_id": "nobody"}, "predictions for 'nobody', which"),
        ({"confidence": 2}, "confidence: expected a probability, found 2"),
        ({"evidence": [[0, 999]]}, r"t\.jsonl:1: evidence: span \[0, 999\] is outside the text"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    convert.WRITERS["jsonl"](tmp_path / "own.jsonl", [ARTICLE])
    source, output = CorpusConfig(path=str(tmp_path / "own.jsonl")), tmp_path / "out.json"
    with pytest.raises(StanceError, match=reason):
        convert.convert(source, "labelstudio", output, triples(tmp_path / "t.jsonl", change))
    assert not output.exists()
    with pytest.raises(StanceError, match="doccano has no place for predictions; expected labelstudio"):
        convert.convert(source, "doccano", output, tmp_path / "t.jsonl")
    with pytest.raises(StanceError, match="unknown format 'conll' to write; expected one of labelstudio"):
        convert.convert(source, "conll", output)


def test_the_command_converts_and_tells_what_it_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, ann = tmp_path / "own.jsonl", tmp_path / "ann"
    convert.WRITERS["jsonl"](own, [ARTICLE])
    assert main(["export", str(own), "--to", "brat", "--output", str(ann)]) == 0
    assert capsys.readouterr().out == f"1 articles, 2 annotations, 0 predictions → {ann}; 0 dropped, 0 mended\n"
    with (ann / "iran.ann").open("a") as file:
        file.write("R9\thates Arg1:T1 Arg2:T2\n")
    back = ["export", str(ann), "--format", "brat", "--to", "jsonl", "--output", str(tmp_path / "back.jsonl")]
    assert main(back) == 1
    captured = capsys.readouterr()
    assert captured.out.endswith("1 dropped, 1 mended\n")
    assert "iran.ann: iran: dropped: expected exactly one of oppose, neutral, support" in captured.err
    assert corpora.read(tmp_path / "back.jsonl") == [
        replace(ARTICLE, exhaustive=False, where=f"{tmp_path / 'back.jsonl'}:1")
    ]
    assert main([*back, "--labels", "hates=oppose"]) == 0
    (ann / "iran.ann").write_text((ann / "iran.ann").read_text().replace("hates", "-1"))
    assert main([*back, "--labels=-1=oppose", "--labels", "1=support"]) == 0
    assert main([*back, "--labels", "hates"]) == 2
    assert "expected NAME=VALUE, found 'hates'" in capsys.readouterr().err


def test_what_is_read_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ann" / "deep").mkdir(parents=True)
    own = tmp_path / "ann" / "own.jsonl"
    convert.WRITERS["jsonl"](own, [ARTICLE])
    own.write_text(own.read_text() + "broken\n")
    before = own.read_bytes()
    tripled = triples(tmp_path / "t.jsonl")
    for path, output, *more in (
        (own, tmp_path / "ann" / "deep" / ".." / "own.jsonl"),
        (tmp_path / "ann", own),
        (tmp_path / "ann", tmp_path / "ann" / "deep" / "new.json"),
        (own, tripled, "--predictions", str(tripled)),
    ):
        assert main(["export", str(path), "--to", "labelstudio", "--output", str(output), *more]) == 2
        assert f"error: {output}: is read as part of " in capsys.readouterr().err
    assert own.read_bytes() == before
    assert [path.name for path in (tmp_path / "ann" / "deep").iterdir()] == []


def test_the_configurations_name_every_label_and_tag(capsys: pytest.CaptureFixture[str]) -> None:
    for tool in convert.CONFIGS:
        assert main(["config", "--to", tool]) == 0
        printed = capsys.readouterr().out
        assert all(name in printed for name in ("Actor", "Target", "Evidence", *LABELS, *PHENOMENA))
