"""Several annotators: how far those inside one corpus agree, and what comes of their votes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from stance import corpora, jsonl
from stance.corpora import agreement, annotators
from stance.corpora.__main__ import main
from stance.corpora.annotators import Decision
from stance.errors import StanceError
from stance.forms import article_from_json, article_to_json
from stance.records import LABELS, Annotation, Article, Mention, Stance

TEXT = "Iran praised the plan. Oman rejected the plan, and the union of dockers sided with Oman. Nobody else spoke."
EVIDENCE = {"Iran": (0, 22), "Oman": (23, 45), "union": (51, 88)}


def note(annotator: str, actor: str, stance: str) -> Annotation:
    start = TEXT.index(actor)
    actor_mention, plan = Mention(actor, start, start + len(actor)), Mention("plan", 17, 21)
    return Annotation(actor_mention, plan, Stance(stance), (EVIDENCE[actor],), annotator=annotator)


def article(*votes: str, name: str = "a", exhaustive: bool = False) -> Article:
    """An article from votes such as "ana Iran support"."""
    notes = tuple(note(*vote.split()) for vote in votes)
    return Article(name, TEXT, annotations=notes, exhaustive=exhaustive, where=f"{name}.jsonl:1")


def labels(found: Article) -> list[tuple[str, str]]:
    return [(note.actor.name, note.stance.value) for note in found.annotations]


def simulated(accuracies: dict[str, float], units: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """True labels, and what annotators of these accuracies say about most of the units."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, units, p=(0.3, 0.4, 0.3))
    votes = np.full((units, len(accuracies)), -1)
    for column, accuracy in enumerate(accuracies.values()):
        wrong = (truth + rng.integers(1, 3, units)) % 3
        said = np.where(rng.random(units) < accuracy, truth, wrong)
        votes[:, column] = np.where(rng.random(units) < 0.9, said, -1)
    marked = (votes >= 0).any(1)
    return truth[marked], votes[marked]


# Who marked the same pair


def test_a_unit_holds_one_annotation_of_each_annotator_who_marked_the_pair() -> None:
    found = agreement.units(
        article("cy Iran support", "ana Iran support", "ben Oman oppose", "ben Iran neutral", "ana union support")
    )
    assert [[(n.annotator, n.actor.name) for n in unit] for unit in found] == [
        [("ana", "Iran"), ("ben", "Iran"), ("cy", "Iran")],
        [("ana", "union")],
        [("ben", "Oman")],
    ]


def test_two_annotations_of_one_annotator_are_never_one_unit() -> None:
    twice = replace(note("ana", "Iran", "oppose"), evidence=((89, 107),))
    found = agreement.units(replace(article("ana Iran support", "ben Iran support"), annotations=(
        *article("ana Iran support", "ben Iran support").annotations, twice)))  # fmt: skip
    assert sorted(len(unit) for unit in found) == [1, 2]
    (both,) = [unit for unit in found if len(unit) == 2]
    assert {n.evidence for n in both} == {(EVIDENCE["Iran"],)}


def test_units_of_two_annotators_are_the_matches_of_two_files() -> None:
    data = Path(__file__).resolve().parents[1] / "data" / "agreement"
    matched = agreement.match(corpora.read(data / "first.jsonl"), corpora.read(data / "second.jsonl"))
    result = agreement.panel(both_annotators(), resamples=2)
    assert result.units == sum(len(m.both) for m in matched)
    assert result.articles == len(matched)
    assert result.pairs["first", "second"].stances.tolist() == agreement.measure(matched, resamples=2).stances.tolist()
    assert result.alpha.value == pytest.approx(result.pairs["first", "second"].alpha.value)


def both_annotators() -> list[Article]:
    """The two annotations of data/agreement in one corpus."""
    data = Path(__file__).resolve().parents[1] / "data" / "agreement"
    second = {a.id: a for a in corpora.read(data / "second.jsonl")}

    def named(found: Article, name: str) -> tuple[Annotation, ...]:
        return tuple(replace(n, annotator=name) for n in found.annotations)

    return [
        replace(a, annotations=named(a, "first") + named(second[a.id], "second"))
        for a in corpora.read(data / "first.jsonl")
        if a.id in second
    ]


# Numbers


def test_kappa_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        counts = rng.integers(0, 9, (3, 3))
        first, second = (np.repeat(np.indices((3, 3))[axis].ravel(), counts.ravel()) for axis in (0, 1))
        assert agreement.kappa(counts) == pytest.approx(cohen_kappa_score(first, second))
    assert agreement.kappa(np.array([[0, 0, 4], [0, 0, 0], [0, 0, 0]])) == 0
    assert np.isnan(agreement.kappa(np.diag([4, 0, 0])))
    assert np.isnan(agreement.kappa(np.zeros((3, 3), int)))


def alpha(votes: np.ndarray) -> float:
    return float(agreement.alpha_of_coincidences(agreement.coincidences(votes)))


def test_alpha_of_several_annotators_ignores_pairs_that_one_alone_marked() -> None:
    votes = np.array([[2, 1, 0], [0, 3, 0], [0, 0, 2], [1, 0, 2]])
    alone = np.array([[1, 0, 0], [0, 1, 0]])
    assert alpha(np.concatenate([votes, alone])) == alpha(votes)
    assert alpha(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 3]])) == pytest.approx(1)
    assert np.isnan(alpha(alone))


def test_a_panel_compares_all_and_each_two_who_share_an_article() -> None:
    corpus = [
        article("ana Iran support", "ben Iran support", "ana Oman oppose", name="a"),
        article("ana Iran support", "ben Iran oppose", name="b"),
        article("ana Oman oppose", "cy Oman oppose", name="c"),
        article("ben union support", name="d"),
    ]
    result = agreement.panel(corpus, resamples=50)
    assert (result.articles, result.units) == (3, 3)
    assert result.annotations == {"ana": 4, "ben": 2, "cy": 1}
    assert set(result.pairs) == {("ana", "ben"), ("ana", "cy")}
    assert result.pairs["ana", "ben"].pair_f1.value == pytest.approx(2 * 2 / 5)
    assert result.alpha.low <= result.alpha.value <= result.alpha.high


def test_a_corpus_of_single_annotators_has_no_panel() -> None:
    with pytest.raises(StanceError, match=r"none of the 2 articles has annotations of two annotators \(`annotator`\)"):
        agreement.panel([article("ana Iran support"), article("ben Iran support", name="b")])


def test_dawid_and_skene_find_who_is_reliable_and_beat_the_majority() -> None:
    accuracies = {"good": 0.95, "fair": 0.6, "poor": 0.55, "worse": 0.5}
    truth, votes = simulated(accuracies, 3000)
    posterior, confusion = annotators.dawid_skene(votes)
    assert posterior.sum(1) == pytest.approx(np.ones(len(votes)))
    assert confusion.sum(2) == pytest.approx(np.ones((4, 3)))
    estimated = np.einsum("k,akk->a", posterior.mean(0), confusion)
    assert estimated == pytest.approx(list(accuracies.values()), abs=0.05)
    majority = np.array([np.bincount(row[row >= 0], minlength=3).argmax() for row in votes])
    assert (posterior.argmax(1) == truth).mean() > (majority == truth).mean() + 0.1


def test_dawid_and_skene_read_an_annotator_who_swaps_two_labels() -> None:
    truth, votes = simulated({"a": 0.85, "b": 0.85, "c": 0.85}, 2000)
    swapped = np.array([2, 1, 0])[truth]
    posterior, confusion = annotators.dawid_skene(np.column_stack([votes, swapped]))
    assert confusion[3, 0, 2] > 0.9
    assert confusion[3, 2, 0] > 0.9
    assert (posterior.argmax(1) == truth).mean() > 0.97


# Combining


def test_an_article_of_one_annotator_passes_unchanged() -> None:
    alone = article("ana Iran support", "ana Oman oppose", exhaustive=True)
    for method in annotators.METHODS:
        assert annotators.combine([alone], method).articles == [alone]
    assert annotators.combine([], "weighted").articles == []


def test_the_majority_wins_and_who_marked_nothing_has_no_vote() -> None:
    result = annotators.combine(
        [article("ana Iran support", "ben Iran support", "cy Iran neutral", "cy Oman oppose")], "majority"
    )
    assert labels(result.articles[0]) == [("Iran", "support"), ("Oman", "oppose")]
    assert {n.annotator for n in result.articles[0].annotations} == {"majority"}
    assert result.counts() == {"stance": 1, "alone": 1}


def test_a_tie_is_left_out_and_its_article_is_no_longer_exhaustive() -> None:
    tied = article("ana Iran support", "ben Iran oppose", "ana Oman oppose", "ben Oman oppose", exhaustive=True)
    clear = article("ana Iran support", "ben Iran support", name="b", exhaustive=True)
    result = annotators.combine([tied, clear], "majority")
    assert labels(result.articles[0]) == [("Oman", "oppose")]
    assert [a.exhaustive for a in result.articles] == [False, True]
    assert [row["kind"] for row in annotators.queue(result.cases)] == ["tie"]


def test_soft_labels_are_the_shares_of_the_votes_and_none_where_all_agree() -> None:
    votes = ["ana Iran support", "ben Iran support", "cy Iran neutral", "ana Oman oppose", "ben Oman oppose"]
    (found,) = annotators.combine([article(*votes)], "soft").articles
    first, second = found.annotations
    assert first.stance == Stance.SUPPORT
    assert first.soft == pytest.approx((0, 1 / 3, 2 / 3))
    assert second.soft == ()
    assert article_from_json(article_to_json(found), "x").annotations == found.annotations


def test_soft_keeps_a_tie_with_the_more_probable_stance() -> None:
    corpus = [article("good Iran support", "also Iran support", name=f"a{i}") for i in range(20)]
    corpus += [article("good Oman oppose", "also Oman oppose", "bad Oman support", name=f"b{i}") for i in range(20)]
    corpus += [article("good union oppose", "bad union support", name="tie")]
    result = annotators.combine(corpus, "soft")
    assert result.articles[-1].annotations[0].soft == (0.5, 0, 0.5)
    assert labels(result.articles[-1]) == [("union", "oppose")]
    assert result.cases[-1].kind == "tie"
    weighted = annotators.combine(corpus, "weighted")
    assert labels(weighted.articles[-1]) == [("union", "oppose")]
    assert weighted.accuracy["good"] > 0.8 > 0.4 > weighted.accuracy["bad"]


def test_combining_again_changes_nothing() -> None:
    corpus = [article("ana Iran support", "ben Iran support", "ben Oman oppose", "cy Oman neutral", "cy Iran oppose")]
    for method in annotators.METHODS:
        once = annotators.combine(corpus, method).articles
        assert annotators.combine(once, method).articles == once
        assert annotators.combine(corpus[::-1], method).articles[::-1] == once


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(StanceError, match="unknown method 'mean'; expected one of majority, weighted, soft"):
        annotators.combine([], "mean")


# Adjudication


def test_a_row_of_the_queue_has_the_text_and_all_votes() -> None:
    result = annotators.combine([article("ana Iran support", "ben Iran oppose", "ben Oman oppose")], "majority")
    first, second = annotators.queue(result.cases)
    assert (first["kind"], first["combined"], first["decision"]) == ("tie", None, None)
    assert (second["kind"], second["combined"]) == ("alone", "oppose")
    assert first["text"] == TEXT
    assert [(v["annotator"], v["stance"], v["evidence"]) for v in first["votes"]] == [
        ("ana", "support", TEXT[:22]), ("ben", "oppose", TEXT[:22]),
    ]  # fmt: skip


def test_the_text_of_a_row_is_cut_around_the_evidence() -> None:
    long = article("ana Iran support", "ben Iran oppose")
    before = "word " * 100
    moved = tuple(
        replace(n, actor=Mention("Iran", 500, 504), target=Mention("plan", 517, 521), evidence=((500, 522),))
        for n in long.annotations
    )
    found = annotators.combine([replace(long, text=before + TEXT + " word" * 100, annotations=moved)], "majority")
    (row,) = annotators.queue(found.cases)
    assert row["text"].startswith("…word word")
    assert row["text"].endswith("word…")
    assert TEXT[:22] in row["text"]
    assert len(row["text"]) < 430


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("伊" * 300, "朗" * 300, "…" + "伊" * 200 + TEXT[:22] + "朗" * 200 + "…"),
        ("x" * 150 + "\n" + "y" * 199, "y" * 199 + "\n" + "x" * 150, "…" + "y" * 199 + TEXT[:22] + "y" * 199 + "…"),
    ],
)
def test_the_text_of_a_row_is_cut_at_any_white_space_and_kept_where_there_is_none(
    before: str, after: str, shown: str
) -> None:
    start = len(before)
    long = article("ana Iran support", "ben Iran oppose")
    moved = tuple(
        replace(n, actor=Mention("Iran"), target=Mention("plan"), evidence=((start, start + 22),))
        for n in long.annotations
    )
    one = replace(long, text=before + TEXT[:22] + after, annotations=moved)
    (row,) = annotators.queue(annotators.combine([one], "majority").cases)
    assert row["text"] == shown


def test_decisions_fix_a_pair_drop_it_or_wait(tmp_path: Path) -> None:
    votes = ["ana Iran support", "ben Iran oppose", "ana Oman oppose", "ben Oman neutral", "ana union support"]
    corpus = [article(*votes, exhaustive=True)]
    queue = list(annotators.queue(annotators.combine(corpus, "soft").cases))
    path = tmp_path / "queue.jsonl"
    decided = dict(zip(("Iran", "Oman", "union"), ("neutral", "drop", None), strict=True))
    jsonl.write(path, [row | {"decision": decided[row["actor"]]} for row in queue])
    result = annotators.combine(corpus, "soft", annotators.read_decisions(path))
    rounds = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for number, file in enumerate(rounds):
        jsonl.write(file, [row | {"decision": decided[row["actor"]]} for row in queue][number::2])
    assert annotators.combine(corpus, "soft", annotators.read_decisions(*rounds)).articles == result.articles
    assert labels(result.articles[0]) == [("Iran", "neutral"), ("union", "support")]
    assert all(n.soft == () for n in result.articles[0].annotations)
    assert result.articles[0].exhaustive
    assert result.counts() == {"decided": 2, "alone": 1}
    assert [row["actor"] for row in annotators.queue(result.cases)] == ["union"]
    assert result.stale == []


def test_a_decision_outlives_a_changed_mind_but_not_changed_words() -> None:
    corpus = [article("ana Iran support", "ben Iran oppose")]
    (case,) = annotators.combine(corpus, "majority").cases
    decisions = {case.key: Decision("q.jsonl:1", "support")}
    changed = [article("ana Iran neutral", "ben Iran oppose")]
    assert annotators.combine(changed, "majority", decisions).stale == []
    joined = [article("ana Iran support", "ben Iran oppose", "cy Iran oppose")]
    result = annotators.combine(joined, "majority", decisions)
    assert [decision.where for decision in result.stale] == ["q.jsonl:1"]
    assert labels(result.articles[0]) == [("Iran", "oppose")]


def test_who_marked_a_pair_twice_can_be_told_which_of_the_two_counts(tmp_path: Path) -> None:
    corpus = [article("ana Iran support", "ana Iran oppose", "ben Oman oppose")]
    result = annotators.combine(corpus, "majority")
    queue = list(annotators.queue(result.cases))
    assert len({row["pair"] for row in queue}) == len(queue) == 3
    path = tmp_path / "queue.jsonl"
    jsonl.write(path, [row | {"decision": "drop" if row["combined"] == "support" else None} for row in queue])
    result = annotators.combine(corpus, "majority", annotators.read_decisions(path))
    assert labels(result.articles[0]) == [("Iran", "oppose"), ("Oman", "oppose")]
    assert result.stale == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"decision": "support"}], r"q\.jsonl:1: 'pair' is missing; expected a row that `combine --queue` wrote"),
        ([{"pair": "x", "decision": "pro"}], r"q\.jsonl:1: unknown decision 'pro'; expected one of oppose, .*drop"),
        ([{"pair": "x", "decision": ["drop"]}], r"q\.jsonl:1: unknown decision \['drop'\]"),
        (
            [{"pair": "x", "decision": "drop"}, {"pair": "x", "decision": "oppose"}],
            r"q\.jsonl:2: decides 'oppose' on a pair that .*q\.jsonl:1 decides 'drop'; keep one",
        ),
    ],
)
def test_a_queue_that_comes_back_wrong_is_refused(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    jsonl.write(tmp_path / "q.jsonl", rows)
    with pytest.raises(StanceError, match=message):
        annotators.read_decisions(tmp_path / "q.jsonl")


# The commands


def test_the_command_compares_the_annotators_inside_one_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = tmp_path / "corpus.jsonl", tmp_path / "out.jsonl"
    votes = ["ana Iran support", "ben Iran support", " Iran support", "ana Oman oppose", "ben Oman neutral"]
    rows = [article(*votes[:2], name="a"), article(*votes[3:], name="b"), article(votes[0], name="c")]
    unnamed = replace(note("x", "Iran", "support"), annotator="")
    rows[0] = replace(rows[0], annotations=(*rows[0].annotations, unnamed))
    jsonl.write(corpus, map(article_to_json, rows))
    assert main(["agreement", str(corpus), "--disagreements", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 of 3 articles have several annotators" in printed
    assert "(no name): 1 annotations" in printed
    assert "Krippendorff's alpha on the stance of 2 shared pairs" in printed
    for pair in ("(no name) and ana", "(no name) and ben", "ana and ben: 2 articles, 2 and 2 annotations"):
        assert pair in printed
    assert printed.count("Cohen's kappa on stance: ") == 3
    ((_, row),) = jsonl.read(out)
    assert (row["article_id"], row["kind"]) == ("b", "tie")
    assert main(["agreement", str(corpus), "--disagreements", str(out)]) == 0, "nobody has decided yet"
    jsonl.write(out, [{**row, "decision": "oppose"}])
    assert main(["agreement", str(corpus), "--disagreements", str(out)]) == 2
    assert "out.jsonl: holds 1 decisions, which a new queue would erase" in capsys.readouterr().err
    assert [row["decision"] for _, row in jsonl.read(out)] == ["oppose"]


def test_the_command_combines_with_a_queue_and_its_decisions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out, queue = (tmp_path / f"{name}.jsonl" for name in ("corpus", "out", "queue"))
    rows = [article("ana Iran support", "ben Iran oppose", "ana Oman oppose", "ben Oman oppose")]
    jsonl.write(corpus, map(article_to_json, rows))
    arguments = ["combine", str(corpus), "--output", str(out)]
    assert main([*arguments, "--method", "majority", "--queue", str(queue)]) == 0
    assert "2 pairs: agreed 1, tie 1\nleft out (ties, decisions to drop): 1\n" in capsys.readouterr().out
    assert labels(corpora.read(out)[0]) == [("Oman", "oppose")]
    decided = [row | {"decision": "support"} for _, row in jsonl.read(queue)]
    jsonl.write(queue, [*decided, {"pair": "gone", "decision": "drop"}])
    assert main([*arguments, "--adjudicated", str(queue)]) == 1
    assert "queue.jsonl:2: decides on a pair that the articles don't have" in capsys.readouterr().out
    assert labels(corpora.read(out)[0]) == [("Iran", "support"), ("Oman", "oppose")]
    jsonl.write(corpus, [article_to_json(article("ana Iran support", "ben Iran oppose", "cy Iran support"))])
    assert main([*arguments, "--method", "weighted"]) == 0
    assert "ana: right in an estimated" in capsys.readouterr().out


def test_two_annotators_can_not_be_weighted() -> None:
    corpus = [article("ana Iran support", "ben Iran neutral", name=str(n)) for n in range(8)]
    with pytest.raises(StanceError, match=r"^method weighted wants three annotators or more, since two"):
        annotators.combine(corpus, "weighted")


def test_the_command_writes_a_queue_over_no_decision_and_not_over_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out, queue = (tmp_path / f"{name}.jsonl" for name in ("corpus", "out", "queue"))
    jsonl.write(corpus, [article_to_json(article("ana Iran support", "ben Iran oppose"))])
    arguments = ["combine", str(corpus), "--output", str(out), "--queue"]
    for _ in range(2):
        assert main([*arguments, str(queue)]) == 0
    jsonl.write(queue, [row | {"decision": "support"} for _, row in jsonl.read(queue)])
    before = queue.read_bytes()
    assert main([*arguments, str(queue)]) == 2
    assert f"{queue}: holds 1 decisions, which a new queue would erase" in capsys.readouterr().err
    assert main([*arguments, str(out)]) == 2
    assert f"{out}: --output and --queue are the same file" in capsys.readouterr().err
    assert queue.read_bytes() == before


def test_the_command_lists_disagreements_over_nothing_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    for path in (one, two):
        jsonl.write(path, [article_to_json(article("ana Iran support"))])
    for files in ([one, two], [two, one], [two]):
        assert main(["agreement", *map(str, files), "--disagreements", str(two)]) == 2
        assert f"{two}: is read as part of {two}; nothing was overwritten" in capsys.readouterr().err


def test_the_command_refuses_what_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus.jsonl"
    jsonl.write(corpus, [article_to_json(article("ana Iran support"))])
    assert main(["agreement", str(corpus)]) == 2
    assert capsys.readouterr().err.startswith("error: none of the 1 articles has annotations of two annotators")
    none = str(tmp_path / "none.jsonl")
    assert main(["combine", str(corpus), "--output", str(tmp_path / "o.jsonl"), "--adjudicated", none]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "o.jsonl").exists()
    for path, output in ((corpus, corpus), (tmp_path, tmp_path / "out.jsonl")):
        assert main(["combine", str(path), "--output", str(output)]) == 2
        assert f"{output}: is read as part of {path}; nothing was overwritten" in capsys.readouterr().err
    queue = tmp_path / "queue.jsonl"
    assert main(["combine", str(corpus), "--output", str(queue), "--adjudicated", str(queue)]) == 2
    assert f"{queue}: is read as part of {queue}" in capsys.readouterr().err
    assert corpora.read(corpus)[0].annotations[0].annotator == "ana"


def test_an_empty_queue_comes_back_as_no_decision(tmp_path: Path) -> None:
    corpus, queue, out = (tmp_path / f"{name}.jsonl" for name in ("corpus", "queue", "out"))
    jsonl.write(corpus, [article_to_json(article("ana Iran support", "ben Iran support"))])
    assert main(["combine", str(corpus), "--output", str(out), "--queue", str(queue)]) == 0
    assert main(["combine", str(corpus), "--output", str(out), "--adjudicated", str(queue)]) == 0
    assert labels(corpora.read(out)[0]) == [("Iran", "support")]


def test_both_annotations_of_our_own_corpus_combine_without_loss() -> None:
    articles = both_annotators()
    for method in ("majority", "soft"):
        result = annotators.combine(articles, method)
        assert sum(len(case.notes) for case in result.cases) == sum(len(a.annotations) for a in articles)
        kept = sum(len(a.annotations) for a in result.articles)
        assert kept == len(result.cases) - sum(case.stance is None for case in result.cases)
        assert all(note.stance.value in LABELS for a in result.articles for note in a.annotations)
