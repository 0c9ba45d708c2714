"""The door of a corpus: what the validator accepts, and one refusal for each rule of the guidelines."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance import corpora, jsonl, mentions
from stance.building import splits
from stance.corpora import coverage, offsets, variety
from stance.corpora.__main__ import main
from stance.corpora.check import check
from stance.errors import StanceError
from stance.records import Annotation, Article, Mention, Span, Stance

Problem = Callable[[dict[str, Any]], str]
Refusal = Callable[[Path], str]

CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"
FIRST = "The roads ministry rejected the toll plan on Monday."
SECOND = '"We will not pay a cent," said Dr. Ana Ruiz, who leads the union.'
THIRD = "Hauliers in the U.S. and the mayor, Col. Eli Karam, praised the ministry."
TEXT = f"{FIRST} {SECOND}\n\n{THIRD}"
SENTENCES = (
    FIRST,
    SECOND,
    THIRD,
    '"Is it over?" she asked the court.',
    "He called it “a farce.”",
    "(The court declined to comment.)",
    "Nobody in the U.S. was asked!",
    "al-Shabaab denied it.",
    "iPhone makers backed the law …",
    "Gen. Omar Bek told Mr. Li, “No.”",
    "3m people signed.",
)


def at(phrase: str, text: str = TEXT) -> list[int]:
    start = text.index(phrase)
    return [start, start + len(phrase)]


def mention(name: str, span: list[int] | None = None) -> dict[str, Any]:
    start, end = span or (None, None)
    return {"name": name, "start": start, "end": end}


def annotation(**changes: Any) -> dict[str, Any]:
    """(roads ministry, toll plan, oppose) at the first sentence, with `changes`."""
    return {
        "actor": mention("roads ministry", at("roads ministry")),
        "target": mention("toll plan", at("toll plan")),
        "stance": "oppose",
        "evidence": [at(FIRST)],
        "tags": [],
    } | changes


def article(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "toll", "text": TEXT, "annotations": list(annotations)} | changes


def write(folder: Path, row: dict[str, Any]) -> Path:
    """A file whose first line is sound and whose second line is `row`."""
    path = folder / "articles.jsonl"
    rows = [article(id="sound", text="Nobody reads the small print of a lease in winter."), row]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return path


@pytest.fixture
def problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Problem:
    """The one problem that the validator prints for an article that it could read."""

    def find(row: dict[str, Any]) -> str:
        assert main(["check", str(write(tmp_path, row)), "--min-words", "1"]) == 1
        *problems, summary = capsys.readouterr().out.splitlines()
        assert summary.endswith("; 1 problems"), problems
        return problems[0]

    return find


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """The one line that the validator prints for a corpus that can't be read."""

    def refuse(path: Path) -> str:
        assert main(["check", str(path), "--min-words", "1"]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    return refuse


def test_the_corpus_of_this_project_keeps_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for file in CORPUS.glob("*.jsonl") for line in file.open(encoding="utf-8")]
    labels = Counter(a["stance"] for row in rows for a in row["annotations"])
    assert main(["check", str(CORPUS)]) == 0
    (summary,) = capsys.readouterr().out.splitlines()
    assert summary.startswith(f"{len(rows)} articles, {labels.total()} annotations: oppose {labels['oppose']} (")
    assert summary.endswith("; 0 problems")
    assert len(rows) >= 40
    assert set(splits.read(CORPUS / "splits.json")) == {row["id"] for row in rows}


def test_the_card_of_the_corpus_has_the_counts_of_today() -> None:
    block = coverage.markdown(corpora.read(CORPUS), splits.read(CORPUS / "splits.json"))
    assert block in (CORPUS / "README.md").read_text("utf-8")


def test_the_command_in_the_card_of_the_corpus_writes_that_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(CORPUS, tmp_path / "corpus")
    card = (copy / "README.md").read_text("utf-8")
    (command,) = re.findall("written by `python -m stance.corpora (.*?)` in this folder", card)
    before, after = card.partition(coverage.START)[0], card.partition(coverage.END)[2]
    old = f"<!-- coverage: written by `another command` -->\n\nOld counts.\n\n{coverage.END}"
    (copy / "README.md").write_text(f"{before}{old}{after}", "utf-8")
    monkeypatch.chdir(copy)
    assert main(shlex.split(command)) == 0
    assert (copy / "README.md").read_text("utf-8") == card


def test_a_sentence_of_another_article_is_a_problem_and_a_short_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "articles.jsonl"
    texts = [f"{FIRST} He left.", f"She stayed. He left. {FIRST.upper()}", f"{SECOND} He left."]
    path.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)))
    assert main(["check", str(path), "--min-words", "1"]) == 1
    problem, _ = capsys.readouterr().out.splitlines()
    assert problem.startswith(f"{path}:2: repeats a sentence of {path}:1 (0): 'THE ROADS MINISTRY")


def test_the_coverage_counts_themes_lengths_phenomena_and_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tagged = annotation(tags=["deed", "negation"])
    rows = [
        article(tagged, id="one", theme="courts", date="1999-02-03"),
        article(id="two", text="Short.", theme="sport"),
        article(id="long", text="word " * 12_000, theme="sport"),
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "README.md").write_text("# Card\n\nOld text.\n")
    splits.write(tmp_path / "splits.json", {"one": "test", "two": "train"})
    assert main(["coverage", str(tmp_path), "--write"]) == 0
    printed = capsys.readouterr().out
    for line in (
        "| courts | 1 | 1 | 100% | 0% | 0% |",
        "| 1990s | 1 | 1 | 100% | 0% | 0% |",
        "| deed | 1 | 100% | 0% | 0% | 1 |",
        "| irony | 0 | 0% | 0% | 0% | 0 |",
        "| 550 and more | 1 |",
        "| test | 1 | 1 | 100% | 0% | 0% |",
    ):
        assert line in printed
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("# Card\n\nOld text.\n\n<!-- coverage")
    assert main(["coverage", str(tmp_path), "--write"]) == 0
    assert (tmp_path / "README.md").read_text() == card
    (tmp_path / "README.md").unlink()
    assert main(["coverage", str(tmp_path), "--write"]) == 2


def test_the_tables_of_a_card_keep_its_line_ends_and_their_own_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, article(annotation(), theme="war | peace", date="Jan 2021"))
    card = tmp_path / "README.md"
    for ends in ("\r\n", "\n"):
        card.write_bytes(f"# Card{ends}{ends}Text.{ends}".encode())
        assert main(["coverage", str(tmp_path), "--write"]) == 0
        written = card.read_bytes().decode()
        assert written.count("\r\n") == (written.count("\n") if ends == "\r\n" else 0)
        assert r"| war \| peace | 1 |" in written
        assert "| no date |" in written
        assert "Jan0s" not in written
    card.write_bytes(b"caf\xe9")
    capsys.readouterr()
    assert main(["coverage", str(tmp_path), "--write"]) == 2
    assert f"{card}: not UTF-8 (" in capsys.readouterr().err
    assert card.read_bytes() == b"caf\xe9"


def test_what_is_equally_frequent_is_listed_in_the_order_of_the_text(tmp_path: Path) -> None:
    words = (
        "council mayor sold the old red house by the wide grey river near two small green hills".split()  # noqa: SIM905
    )
    text = " ".join(words) + "."
    note = annotation(actor=mention("council"), target=mention("river"), evidence=[[0, len(text)]])
    (tmp_path / "one.jsonl").write_text(json.dumps(article(note, text=text)) + "\n")
    found = variety.measure(corpora.read(tmp_path / "one.jsonl"))
    assert [gram for gram, _ in found.grams] == [" ".join(words[i : i + 6]) for i in range(10)]


def test_the_variety_names_what_passes_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"The {town} council rejected the toll plan on Monday." for town in ("Arl", "Bern", "Cork", "Dole")]
    rows = [
        article(annotation(actor=mention("council"), target=mention("toll plan"), evidence=[[0, len(t)]]), id=t, text=t)
        for t in texts
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["variety", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "actor 'council': 100.0% of the annotations, at most 4%" in printed
    assert "verb 'reject': 100.0% of the evidence sentences, at most 3%" in printed
    assert "six words 'council rejected the toll plan on': in 4 articles, at most 3" in printed


@pytest.mark.parametrize("command", ["coverage", "variety"])
def test_what_a_file_says_is_nothing_but_text_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    name = "The \x1b[31mcouncil\x9b2J"
    text = f"{name} rejected the toll plan on Monday."
    note = annotation(actor=mention(name), target=mention("toll plan"), evidence=[[0, len(text)]], tags=[])
    row = article(note, text=text, theme="courts\x1b]0;owned\x07", id="one\x1b[2J")
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    main([command, str(tmp_path)])
    assert main([command, str(tmp_path / "\x1b[2J.jsonl")]) == 2
    captured = capsys.readouterr()
    assert "\ufffd" in captured.out
    assert captured.err.startswith("error: ")
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f]", captured.out + captured.err) == []


def test_a_sound_article_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    union = annotation(
        actor=mention("Ana Ruiz", at("Ana Ruiz")), target=mention("toll plan"), evidence=[at(SECOND), at(FIRST)]
    )
    assert main(["check", str(write(tmp_path, article(annotation(), union))), "--min-words", "1"]) == 0
    assert capsys.readouterr().out.startswith("2 articles, 2 annotations: oppose 2 (100%), neutral 0 (0%), ")


def test_a_directory_is_read_in_the_order_of_its_file_names(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(article(id=name)) + "\n")
    (tmp_path / "notes.txt").write_text("no article")
    assert [a.id for a in corpora.read(tmp_path)] == ["a", "b", "c"]


def test_every_fault_of_a_corpus_is_reported_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = annotation(evidence=[[0, 30]], target=mention("toll plan"))
    path = write(tmp_path, article(annotation(), cut, annotation(), id="three"))
    assert main(["check", str(path), "--min-words", "1"]) == 1
    *problems, summary = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in problems] == [
        [f"{path}:2", "annotation 2"],
        [f"{path}:2", "annotation 2"],
        [f"{path}:2", "annotation 3"],
    ]
    assert summary.endswith("; 3 problems")


@pytest.mark.slow
def test_the_command_exits_with_1_for_broken_rules_and_2_for_an_unreadable_corpus(tmp_path: Path) -> None:
    path = write(tmp_path, article(annotation(), annotation()))
    command = [sys.executable, "-m", "stance.corpora", "check"]
    broken = subprocess.run([*command, path, "--min-words", "1"], capture_output=True, text=True, check=False)
    assert (broken.returncode, broken.stderr) == (1, "")
    assert "repeats annotation 1" in broken.stdout
    few, odd = {**os.environ, "PYTHONIOENCODING": "ascii"}, path.rename(tmp_path / "Zoë.jsonl")
    poor = subprocess.run([*command, odd, "--min-words", "1"], capture_output=True, text=True, check=False, env=few)
    assert (poor.returncode, poor.stderr) == (1, ""), "a terminal that lacks letters"
    assert "Zo?.jsonl:2: annotation 2: repeats" in poor.stdout
    missing = subprocess.run([*command, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no such file" in missing.stderr


# Rules of the guidelines: the corpus can be read, the fault is a problem of one annotation.


def test_a_mention_that_cuts_a_word_is_a_problem(problem: Problem) -> None:
    start, end = at("roads ministry")
    row = article(annotation(), annotation(actor=mention("ministry of roads", [start, end - 1])), id="cut")
    found = problem(row)
    assert f"articles.jsonl:2: annotation 2: actor span [{start}, {end - 1}] ('roads ministr')" in found
    assert "must start and end at a word boundary" in found


def test_a_mention_with_a_space_at_its_border_is_a_problem(problem: Problem) -> None:
    start, end = at("toll plan")
    found = problem(article(annotation(target=mention("toll plan", [start - 1, end]))))
    assert "annotation 1: target span" in found
    assert "(' toll plan') must start and end at a word boundary" in found


def test_a_mention_outside_its_evidence_is_a_problem(problem: Problem) -> None:
    row = article(annotation(actor=mention("Ana Ruiz", at("Ana Ruiz"))))
    found = problem(row)
    assert "articles.jsonl:2: annotation 1: actor span" in found
    assert "('Ana Ruiz') lies in none of the evidence spans" in found


def test_a_mention_across_two_evidence_spans_is_a_problem(problem: Problem) -> None:
    across = [at("Monday")[0], at("We")[1]]
    row = article(annotation(actor=mention("Monday", across), evidence=[at(FIRST), at(SECOND)]))
    assert "lies in none of the evidence spans" in problem(row)


def test_evidence_that_starts_inside_a_sentence_is_a_problem(problem: Problem) -> None:
    evidence = [at("rejected")[0], at(FIRST)[1]]
    row = article(annotation(actor=mention("roads ministry"), evidence=[evidence]))
    found = problem(row)
    assert f"articles.jsonl:2: annotation 1: evidence [{evidence[0]}, {evidence[1]}]" in found
    assert "must start and end at a sentence boundary" in found


DATELINES = ("KABUL, Jan 14 - ", "LINCOLN, Neb. - ", "WASHINGTON, Dec. 12, 2019 - ", "NEW DELHI: ", "THE HAGUE — ")


@pytest.mark.parametrize("dateline", DATELINES)
def test_a_dateline_belongs_to_no_evidence(problem: Problem, dateline: str, tmp_path: Path) -> None:
    text = dateline + TEXT
    ends = [len(dateline), len(dateline) + at(FIRST)[1]]
    places = [place + len(dateline) for place in at("roads ministry")]
    note = annotation(actor=mention("roads ministry", places), target=mention("plan"), evidence=[[0, ends[1]]])
    assert "must not hold the dateline" in problem(article(note, text=text))
    sound = article(note | {"evidence": [ends]}, text=text)
    jsonl.write(tmp_path / "dated.jsonl", [sound])
    assert check(corpora.read(tmp_path / "dated.jsonl"), words=(1, 700)) == []


def test_an_article_with_many_annotations_is_checked_in_seconds() -> None:
    text = FIRST + f" {FIRST}" * 6000
    step = len(FIRST) + 1
    notes = tuple(
        Annotation(Mention(f"A{n}"), Mention("toll plan"), Stance("oppose"), ((n * step, n * step + len(FIRST)),))
        for n in range(6000)
    )
    start = time.process_time()
    found = check([Article("long", text, annotations=notes)], words=(1, 10**6))
    assert time.process_time() - start < 8, "some 1 second; minutes where each evidence is looked for in all the text"
    assert found == []


def test_capitals_at_the_head_are_no_dateline(tmp_path: Path) -> None:
    text = f"SOCA singers sued. {TEXT}"
    places = [place + 19 for place in at("roads ministry")]
    note = annotation(
        actor=mention("roads ministry", places), target=mention("plan"), evidence=[[0, at(FIRST, text)[1]]]
    )
    jsonl.write(tmp_path / "capitals.jsonl", [article(note, text=text)])
    assert check(corpora.read(tmp_path / "capitals.jsonl"), words=(1, 700)) == []


def test_evidence_that_ends_inside_a_sentence_is_a_problem(problem: Problem) -> None:
    row = article(annotation(evidence=[[0, at("plan")[1]]]))
    assert "must start and end at a sentence boundary" in problem(row)


def test_evidence_that_ends_behind_a_title_is_a_problem(problem: Problem) -> None:
    row = article(annotation(evidence=[[0, at("Dr.")[1]]]))
    assert "must start and end at a sentence boundary" in problem(row)


def test_evidence_that_starts_behind_an_abbreviation_is_a_problem(problem: Problem) -> None:
    start = at("and the mayor")[0]
    row = article(annotation(actor=mention("Eli Karam"), target=mention("plan"), evidence=[[start, len(TEXT)]]))
    assert "must start and end at a sentence boundary" in problem(row)


def test_evidence_that_ends_with_a_quoted_question_inside_a_sentence_is_a_problem(problem: Problem) -> None:
    text = '"Is it over?" she asked the court.'
    quoted = annotation(actor=mention("Ana"), target=mention("court"), evidence=[[0, at('"Is it over?"', text)[1]]])
    assert "must start and end at a sentence boundary" in problem(article(quoted, text=text))


@given(
    paragraphs=st.lists(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=4), min_size=1, max_size=3),
    data=st.data(),
)
def test_evidence_is_accepted_exactly_at_the_borders_of_sentences(
    paragraphs: list[list[str]], data: st.DataObject
) -> None:
    text, starts, ends = "", [], []
    for paragraph in paragraphs:
        for number, sentence in enumerate(paragraph):
            text += (" " if number else "\n\n") if text else ""
            starts.append(len(text))
            text += sentence
            ends.append(len(text))
    first = data.draw(st.integers(0, len(starts) - 1))
    last = data.draw(st.integers(first, len(starts) - 1))
    spaces = [i for i, character in enumerate(text) if character == " "]
    wrong_starts = [i + 1 for i in spaces if i + 1 not in starts and i < ends[last]]
    wrong_ends = [i for i in spaces if i not in ends and i > starts[first]]
    assert not problems_of_evidence(text, (starts[first], ends[last]))
    for start in wrong_starts:
        assert problems_of_evidence(text, (start, ends[last])), text[start : ends[last]]
    for end in wrong_ends:
        assert problems_of_evidence(text, (starts[first], end)), text[starts[first] : end]


def problems_of_evidence(text: str, span: Span) -> list[str]:
    one = Annotation(Mention("A"), Mention("B"), Stance.OPPOSE, (span,))
    return check([Article(id="x", text=text, annotations=(one,), where="f:1")], words=(1, 1000))


def test_a_repeated_triple_is_a_problem(problem: Problem) -> None:
    row = article(annotation(), annotation(stance="neutral"), annotation())
    found = problem(row)
    assert found.endswith(":2: annotation 3: repeats annotation 1 (roads ministry, toll plan, oppose)")


def test_annotators_who_agree_repeat_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, article(annotation(annotator="A"), annotation(annotator="B")))
    assert not [told for told in check(corpora.read(path), words=(1, 1000)) if "repeats" in told]


def test_a_triple_repeated_in_other_case_is_a_problem(problem: Problem) -> None:
    shouted = annotation(actor=mention("Roads Ministry", at("roads ministry")), target=mention("TOLL plan"))
    assert "annotation 2: repeats annotation 1 (" in problem(article(annotation(), shouted))


def test_the_same_pair_with_two_stances_or_turned_round_is_no_repetition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = annotation()
    turned = annotation(actor=one["target"], target=one["actor"])
    path = write(tmp_path, article(one, annotation(stance="support"), turned))
    assert main(["check", str(path), "--min-words", "1"]) == 0
    assert "; 0 problems" in capsys.readouterr().out


def test_four_evidence_spans_are_a_problem(problem: Problem) -> None:
    spans = [at(FIRST), at(SECOND), at(THIRD), at(TEXT)]
    assert "annotation 1: 4 evidence spans, at most 3" in problem(article(annotation(evidence=spans)))


def test_a_name_with_white_space_around_it_is_a_problem(problem: Problem) -> None:
    row = article(annotation(actor=mention("roads ministry ", at("roads ministry"))))
    assert "actor name 'roads ministry ' has white space around it" in problem(row)


def test_a_single_line_break_inside_the_text_is_a_problem(problem: Problem) -> None:
    found = problem(article(text="One line.\nAnother line."))
    assert "paragraphs must be separated by one blank line" in found


def test_an_article_that_is_too_short_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, article(text=" ".join(["word"] * 119) + "."))
    assert main(["check", str(path)]) == 1
    assert f"{path}:2: 119 words, expected 120 to 700" in capsys.readouterr().out


def test_an_article_that_is_too_long_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, article(text=" ".join(["word"] * 701) + "."))
    assert main(["check", str(path)]) == 1
    assert f"{path}:2: 701 words, expected 120 to 700" in capsys.readouterr().out


def test_the_variety_of_an_article_too_long_for_the_parser_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stance.mentions.PIECE", 40)
    monkeypatch.setattr(mentions.pipeline(lemmas=True, names=False), "max_length", 100)
    path = write(tmp_path, article(annotation()))
    main(["variety", str(path)])
    assert "evidence sentences" in capsys.readouterr().out


@pytest.mark.slow
def test_the_corpus_of_this_project_is_varied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variety", str(CORPUS)]) == 0, capsys.readouterr().out


# What reading refuses: the corpus can't be used at all.


def test_a_mention_outside_the_text_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    size = len(TEXT)
    path = write(tmp_path, article(annotation(), annotation(actor=mention("mayor", [size - 4, size + 1]))))
    expected = f"{path}:2: annotation 2: actor: span [{size - 4}, {size + 1}] is outside the text of {size} char"
    assert expected in refusal(path)


def test_a_mention_of_white_space_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    gap = at("\n\n")
    path = write(tmp_path, article(annotation(target=mention("toll plan", gap))))
    assert f"{path}:2: annotation 1: target: span {gap} holds no words" in refusal(path)


def test_a_name_that_nobody_could_ask_about_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(actor=mention("x" * 2001))))
    expected = f"{path}:2: annotation 1: actor: name of 2,001 characters; at most 2,000 are looked up"
    assert expected in refusal(path)
    long = article(annotation(actor=mention("mayor", [0, 2001])), text=TEXT + " more" * 400)
    path = write(tmp_path, long)
    assert f"{path}:2: annotation 1: actor: mention of 2,001 characters; at most 2,000" in refusal(path)


def test_evidence_outside_the_text_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(evidence=[[-1, 20]])))
    assert f"{path}:2: annotation 1: evidence: span [-1, 20] is outside the text" in refusal(path)


def test_a_span_that_ends_before_it_starts_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(evidence=[[20, 20]])))
    assert "annotation 1: evidence: span [20, 20] is outside the text" in refusal(path)


def test_half_a_span_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(target={"name": "toll plan", "start": 3, "end": None})))
    assert "annotation 1: target: 'start' and 'end' must both be numbers or both null" in refusal(path)


def test_an_annotation_without_evidence_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(evidence=[])))
    assert f"{path}:2: annotation 1: 'evidence' must be a list of [start, end] spans" in refusal(path)


def test_an_empty_evidence_span_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(evidence=[None])))
    assert f"{path}:2: annotation 1: evidence: expected [start, end], found null" in refusal(path)


def test_evidence_of_white_space_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    gap = at("\n\n")
    path = write(tmp_path, article(annotation(evidence=[gap])))
    assert f"{path}:2: annotation 1: evidence: span {gap} holds no words" in refusal(path)


def test_an_unknown_stance_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(), annotation(stance="pro")))
    message = f"{path}:2: annotation 2: unknown stance 'pro'; expected one of oppose, neutral, support"
    assert message in refusal(path)


def test_an_unknown_tag_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(tags=["deed", "sarcasm"])))
    message = f"{path}:2: annotation 1: unknown tag 'sarcasm'; expected some of passive, nominalised,"
    assert message in refusal(path)


def test_a_weight_that_is_no_finite_number_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    for weight in (10**400, -1, "much"):
        path = write(tmp_path, article(annotation(weight=weight)))
        assert f"{path}:2: annotation 1: weight: expected a number from 0, found {weight!r}" in refusal(path)


def test_a_missing_actor_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(annotation(actor=None)))
    assert f"{path}:2: annotation 1: actor: expected a JSON object" in refusal(path)


def test_an_article_without_text_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, {"id": "x", "title": "No body"})
    assert f"{path}:2: 'text' is missing; found the keys id, title" in refusal(path)


def test_a_repeated_id_is_refused_with_both_places(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article(id="sound"))
    assert f"{path}:2: the id 'sound' stands at {path}:1 already" in refusal(path)


def test_an_id_that_two_files_share_is_refused(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps(article()) + "\n")
    with pytest.raises(StanceError, match=r"b\.jsonl:1: the id 'toll' stands at .*a\.jsonl:1 already"):
        corpora.read(tmp_path)


def test_a_broken_line_is_refused_with_its_number(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article())
    path.write_text(path.read_text() + '{"id": "half" "text"}\n')
    assert f"{path}:3: broken JSON at column 15: Expecting ',' delimiter" in refusal(path)


def test_a_line_that_is_no_object_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('["id", "text"]\n')
    assert f"{path}:1: expected a JSON object, found list" in refusal(path)


def test_an_empty_file_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("\n \n")
    assert f"{path}: the file is empty" in refusal(path)


def test_a_directory_without_articles_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert f"{tmp_path}: no *.jsonl file in this directory" in refusal(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert f"{tmp_path / 'none.jsonl'}: no such file" in refusal(tmp_path / "none.jsonl")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = write(tmp_path, article())
    path.write_bytes(path.read_bytes() + '{"id": "café"}\n'.encode("latin-1"))
    assert f"{path}:3: not UTF-8 (byte 0xe9 at column 12)" in refusal(path)


def test_check_prints_every_article_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a", "text": ""}\n{"id": "b"}\n{"text": "c"}\n')
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr()
    assert [line.partition(": ")[0] for line in said.out.splitlines()] == [f"{path}:2", f"{path}:3"]
    assert said.err.startswith(f"error: {path}:1: 'text' is empty")
    assert "(3 can't be used, see above)" in said.err
    path.write_text('{"id": "a", "text": "Too short."}\n{"id": "b"}\n')
    assert main(["check", str(path)]) == 2
    assert f"{path}:1: 2 words, expected" in capsys.readouterr().out


def test_export_of_nothing_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": null}\n')
    assert main(["export", str(path), "--to", "labelstudio", "--output", str(tmp_path / "t.json")]) == 2
    assert f"nothing was written; first {path}:1: 'text' is null; expected a string" in capsys.readouterr().err


def test_splits_says_which_part_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a", "text": "Norway backed the levy."}\n')
    assert main(["splits", str(path)]) == 0
    assert "no article is in validation or test: a dataset wants some in each" in capsys.readouterr().err


def test_a_place_that_cuts_a_word_is_where_the_name_is_printed_or_widened() -> None:
    text = (
        "Norway backed the levy; Ana Duarte did not. The Ministers met 新华社记者 of Peru. The Ukrainians and وموسكو."
    )
    text += " The Ukraine desk was silent."
    sentences = ((0, 43), (44, 85), (86, 113))

    def one(name: str, start: int, end: int) -> Mention:
        evidence = tuple(span for span in sentences if span[0] <= start < span[1])
        note = Annotation(Mention(name, start, end), Mention("levy", 18, 22), Stance.SUPPORT, evidence)
        article, said = offsets.whole_words(Article(id="a", text=text, annotations=(note,)))
        (found,) = article.annotations
        assert found.target == note.target
        assert [name in line and "cuts a word" in line for line in said] == ([True] if found != note else [])
        return found.actor

    def at(phrase: str) -> Span:
        return text.index(phrase), text.index(phrase) + len(phrase)

    assert one("Norway", 2, 8) == Mention("Norway", 0, 6)
    assert one("Ana Duarte", 26, 36) == Mention("Ana Duarte", 24, 34)
    assert one("Sweden", 2, 6) == Mention("Sweden", 0, 6), "the text does not print it"
    assert one("Minister", 48, 55) == Mention("Minister", *at("Ministers")), "the plural of it"
    assert one("Ukraine", *at("Ukrain")) == Mention("Ukraine", *at("Ukrainians")), "not in another sentence"
    assert one("inister", 49, 56) == Mention("inister", 49, 56), "what somebody marked"
    for name, printed in (("Xinhua", "华社"), ("Russia", "موسكو")):  # scripts that write words together
        assert one(name, *at(printed)) == Mention(name, *at(printed))
    assert one("the country", 0, 6) == Mention("the country", 0, 6)
