"""Agreement of two annotators: what matches, what alpha and F1 come to, and what is refused."""

import time
from dataclasses import astuple, replace
from pathlib import Path

import krippendorff
import numpy as np
import pytest

from stance import corpora, jsonl
from stance.bootstrap import Estimate
from stance.corpora import agreement
from stance.corpora.__main__ import main
from stance.errors import StanceError
from stance.records import Annotation, Article, Mention, Stance

TEXT = "Iran praised the plan. Oman rejected the plan, and the union of dockers sided with Oman. Nobody else spoke."
FIRST, SECOND = (0, 22), (23, 88)


def mention(name: str, words: str | None = None) -> Mention:
    place = TEXT.index(words or name) if (words or name) in TEXT else None
    return Mention(name) if place is None else Mention(name, place, place + len(words or name))


def note(actor: str, target: Mention, stance: str, evidence: tuple[int, int] = FIRST) -> Annotation:
    return Annotation(mention(actor), target, Stance(stance), (evidence,))


def article(*notes: Annotation, name: str = "a", text: str = TEXT) -> Article:
    return Article(name, text, annotations=notes, where=f"{name}.jsonl:1")


def one(first: list[Annotation], second: list[Annotation]) -> agreement.Matched:
    return agreement.match([article(*first)], [article(*second)])[0]


def test_names_match_but_for_case_quotes_and_a_leading_article() -> None:
    found = one(
        [note("The dockers' Union", Mention("A plan"), "support")], [note("dockers’ union", Mention("plan"), "oppose")]
    )
    assert len(found.both) == 1
    assert not found.first_only
    assert not found.second_only


def test_a_target_matches_by_its_place_and_an_actor_does_not() -> None:
    plan = mention("peace plan", "the plan")
    other = Mention("proposal of March", plan.start, plan.end)
    assert len(one([note("Iran", plan, "support")], [note("Iran", other, "support")]).both) == 1
    assert len(one([note("Iran", plan, "support")], [note("Tehran", plan, "support")]).both) == 0


def test_each_annotation_is_matched_once_and_by_its_evidence_not_by_its_stance() -> None:
    plan = Mention("plan")
    first = [note("Oman", plan, "support", FIRST), note("Oman", plan, "oppose", SECOND)]
    second = [note("Oman", plan, "oppose", FIRST), note("Oman", plan, "support", SECOND)]
    found = one(first, second)
    assert [(a.stance, b.stance) for a, b in found.both] == [("support", "oppose"), ("oppose", "support")]
    found = one(first, second[:1])
    assert [(a.evidence[0], b.evidence[0]) for a, b in found.both] == [(FIRST, FIRST)]
    assert found.first_only == [first[1]]


def test_alpha_is_that_of_the_worked_example() -> None:
    """Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", A: binary data, two observers."""
    first, second = "0100000010", "1110010000"
    counts = np.zeros((3, 3), np.int64)
    for a, b in zip(first, second, strict=True):
        counts[int(a), int(b)] += 1
    assert agreement.alpha(counts) == pytest.approx(0.095, abs=5e-4)


def test_alpha_of_full_agreement_is_one_and_of_a_single_label_is_undefined() -> None:
    assert agreement.alpha(np.diag([4, 2, 3])) == pytest.approx(1)
    assert np.isnan(agreement.alpha(np.diag([4, 0, 0])))


def test_alpha_is_that_of_the_package_for_two_annotators_and_for_more() -> None:
    rng = np.random.default_rng(3)
    one = np.eye(3, dtype=np.int64)
    two = rng.integers(0, 30, (20, 3, 3))
    rows = [np.repeat((one[:, None] + one[None]).reshape(-1, 3), counts.ravel(), axis=0) for counts in two]
    wanted = [krippendorff.alpha(value_counts=votes, level_of_measurement="nominal") for votes in rows]
    assert agreement.alpha(two) == pytest.approx(np.array(wanted)), "all at once"
    for _ in range(20):
        votes = rng.integers(0, 4, (40, 3))
        votes[:5] = one[rng.integers(0, 3, 5)]  # a unit with a single vote
        shared = votes[votes.sum(1) > 1]
        wanted = krippendorff.alpha(value_counts=shared, level_of_measurement="nominal")
        assert agreement.alpha_of_coincidences(agreement.coincidences(votes)) == pytest.approx(wanted)


def test_a_large_corpus_is_compared_in_seconds() -> None:
    plan = mention("plan")
    pair = [note("Iran", plan, "support"), note("Oman", plan, "oppose", SECOND)]
    other = [note("Iran", plan, "support"), note("Oman", plan, "neutral", SECOND)]
    matched = one(pair, other)
    named = [replace(n, annotator=name) for name, notes in (("x", pair), ("y", other)) for n in notes]
    many = [article(*named, name=str(i)) for i in range(1500)]
    start = time.process_time()
    agreement.measure([matched] * 1500)
    result = agreement.panel(many)
    assert time.process_time() - start < 20, "some 3 seconds; minutes where each sample counts the pairs anew"
    assert result.alpha.value == pytest.approx(agreement.measure([matched] * 1500, resamples=2).alpha.value)


def test_f1_counts_pairs_and_triples_of_both_annotators() -> None:
    plan = mention("plan")
    both = [note("Iran", plan, "support"), note("Oman", plan, "oppose", SECOND)]
    other = [
        note("Iran", plan, "support"),
        note("Oman", plan, "neutral", SECOND),
        note("union", plan, "oppose", SECOND),
    ]
    result = agreement.measure(agreement.match([article(*both)], [article(*other)]), resamples=10)
    assert result.pair_f1.value == pytest.approx(2 * 2 / 5)
    assert result.triple_f1.value == pytest.approx(2 * 1 / 5)
    assert result.annotations == (2, 3)
    assert result.stances.sum() == 2


def test_f1_without_annotations_is_undefined_and_such_draws_do_not_count() -> None:
    nothing = [article(name=name) for name in "ab"]
    result = agreement.measure(agreement.match(nothing, nothing), resamples=10)
    assert np.isnan([*astuple(result.pair_f1), *astuple(result.triple_f1)]).all()
    some = [article(note("Iran", mention("plan"), "support"), name="some"), *nothing]
    assert agreement.measure(agreement.match(some, some), resamples=50).pair_f1 == Estimate(1, 1, 1)


def test_intervals_come_from_drawing_articles() -> None:
    plan = mention("plan")
    good = [article(note("Iran", plan, "support"), note("Oman", plan, "oppose"), name=f"g{i}") for i in range(6)]
    bad = [article(note("Iran", plan, "support"), note("Oman", plan, "oppose"), name=f"b{i}") for i in range(6)]
    other = good + [article(note("Iran", plan, "oppose"), note("union", plan, "oppose"), name=a.id) for a in bad]
    result = agreement.measure(agreement.match(good + bad, other), resamples=300)
    for found in (result.alpha, result.pair_f1, result.triple_f1):
        assert found.low < found.value < found.high
    again = agreement.measure(agreement.match(good + bad, other), resamples=300)
    assert again.pair_f1 == result.pair_f1


def test_annotators_without_a_common_article_or_with_other_texts_are_refused() -> None:
    with pytest.raises(StanceError, match="share no article"):
        agreement.match([article(name="a")], [article(name="b")])
    with pytest.raises(StanceError, match=r"b\.jsonl:1: not the text of b\.jsonl:1"):
        agreement.match([article(name="b")], [article(name="b", text=TEXT + " More.")])


def test_the_command_prints_the_scores_and_writes_the_disagreements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(name: str, stance: str) -> dict[str, object]:
        places = {"actor": {"name": "Iran", "start": 0, "end": 4}, "target": {"name": "plan", "start": 17, "end": 21}}
        return {"id": name, "text": TEXT, "annotations": [{**places, "stance": stance, "evidence": [list(FIRST)]}]}

    first, second, out = (tmp_path / f"{name}.jsonl" for name in ("first", "second", "out"))
    jsonl.write(first, [row("a", "support"), row("b", "support"), row("c", "oppose")])
    jsonl.write(second, [row("a", "support"), row("b", "neutral")])
    assert main(["agreement", str(first), str(second), "--disagreements", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 articles, 2 and 2 annotations" in printed
    assert "F1 on pairs: 1.000" in printed
    assert "F1 on pairs with stance: 0.500" in printed
    assert [(r["article_id"], r["kind"], r["stance"], r["second"]) for _, r in jsonl.read(out)] == [
        ("b", "stance", "support", "neutral")
    ]
    assert main(["agreement", str(first), str(tmp_path / "none.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_the_card_of_the_corpus_prints_the_agreement_of_its_two_annotators(capsys: pytest.CaptureFixture[str]) -> None:
    data = Path(__file__).resolve().parents[1] / "data"
    first, second = data / "agreement" / "first.jsonl", data / "agreement" / "second.jsonl"
    assert main(["agreement", str(first), str(second)]) == 0
    card = (data / "corpus" / "README.md").read_text("utf-8")
    lines = capsys.readouterr().out.splitlines()[:4]
    assert len([line for line in lines if "[" in line]) == 3
    assert "\n".join(lines) in card
    texts = {article.id: article.text for article in corpora.read(data / "corpus")}
    annotated_twice = corpora.read(second)
    assert len(annotated_twice) >= 40
    assert all(texts[article.id] == article.text for article in annotated_twice)
    rows = [row for _, row in jsonl.read(data / "agreement" / "adjudication.jsonl")]
    found = agreement.disagreements(agreement.match(corpora.read(first), annotated_twice), texts)
    assert len(rows) == len(list(found))
    assert all(row["decision"] in ("same", "kept", "added", "not added") and row["note"] for row in rows)
