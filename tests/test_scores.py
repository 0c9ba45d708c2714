"""Scores, intervals, baselines, the report of what ships, and its pictures, each against another way to count."""

import json
import math
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import binom
from sklearn.metrics import f1_score, matthews_corrcoef, precision_recall_fscore_support

import tiny
from conftest import Workplace
from stance import jsonl
from stance.bootstrap import Estimate
from stance.building import dataset
from stance.errors import StanceError
from stance.predictor import StancePredictor
from stance.records import LABELS, Example, Stance, as_printed, without_places
from stance.reporting import plots
from stance.reporting.history import learning_curves
from stance.scoring import abstention, baselines, calibration, evaluation, scores, transfer
from stance.scoring.abstention import Kept
from stance.scoring.evaluation import MODEL, Report
from stance.scoring.scores import Answers, StanceScore, confusion, slice_rates
from stance.settings.scoring import EvaluationConfig, TransferConfig
from stance.studies import review
from stance.training.validation import Validation
from test_abstention import altered

CLASSES = st.integers(0, 2)
ANSWERS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60)


# The metric.


@pytest.mark.filterwarnings("ignore:A single label:UserWarning:sklearn")
@settings(max_examples=60)
@given(rows=ANSWERS)
def test_the_metric_agrees_with_scikit_learn_over_all_labels(rows: list[tuple[int, int]]) -> None:
    references, predictions = map(list, zip(*rows, strict=True))
    found = StanceScore().compute(references=references, predictions=predictions)
    precision, recall, f1, _ = precision_recall_fscore_support(
        references, predictions, labels=[0, 1, 2], zero_division=0
    )
    expected = {
        "macro_f1": f1.mean(),
        "accuracy": sum(a == b for a, b in rows) / len(rows),
        "mcc": matthews_corrcoef(references, predictions),
    }
    for i, label in enumerate(("oppose", "neutral", "support")):
        expected |= {f"{label}_precision": precision[i], f"{label}_recall": recall[i], f"{label}_f1": f1[i]}
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_metric_needs_no_network(no_network: list[object]) -> None:
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("localhost", 1))
    assert len(no_network) == 1
    assert StanceScore().compute(references=[0, 1, 2], predictions=[0, 1, 1])["accuracy"] == pytest.approx(2 / 3)
    assert len(no_network) == 1


def test_a_label_that_never_occurs_counts_as_zero() -> None:
    found = StanceScore().compute(references=[0, 0, 2, 2], predictions=[0, 0, 2, 2])
    assert found["neutral_f1"] == 0
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert found["mcc"] == pytest.approx(1)


def test_the_labels_of_a_slice_are_the_same_in_every_sample_of_it() -> None:
    whole = confusion([0, 0, 2, 2, 1], [0, 0, 2, 0, 1])
    without = confusion([0, 0, 2, 2], [0, 0, 2, 0])  # a sample that has drawn no row of the rare label
    of = slice_rates(np.array([0, 0, 2, 2, 1]))
    assert of(whole)["f1"] == pytest.approx((0.8 + 1 + 2 / 3) / 3)
    assert of(without)["f1"] == pytest.approx((0.8 + 0 + 2 / 3) / 3)
    assert of(np.stack([whole, without]))["accuracy"] == pytest.approx([0.8, 0.75])


# Intervals.


def test_macro_f1_leaves_out_a_label_that_no_corpus_of_the_rows_knows() -> None:
    rows = tiny.examples(6, labels=("oppose", "support"))
    polar = [replace(row, labels=("oppose", "support")) for row in rows]
    assert scores.choices(rows) == (0, 1, 2)
    assert scores.choices(polar) == (0, 2)
    assert scores.choices([*polar, rows[0]]) == (0, 1, 2)
    assert scores.choices([]) == (0, 1, 2)
    truth = [0, 0, 0, 2, 2]
    found = StanceScore().compute(references=truth, predictions=[0, 0, 2, 2, 2], labels=scores.choices(polar))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, [0, 0, 2, 2, 2], average="macro"))
    assert StanceScore().compute(references=truth, predictions=truth)["macro_f1"] == pytest.approx(2 / 3)
    ours, theirs = (scores.confusion(truth, answers)[None] for answers in (truth, [0, 0, 2, 2, 2]))
    above = scores.difference(ours, theirs, resamples=9, seed=1, labels=scores.choices(polar))
    assert above.value == pytest.approx(1 - found["macro_f1"])
    right, wrong = (np.tile(scores.confusion([0, 2], answers), (4, 1, 1)) for answers in ([0, 2], [2, 0]))
    whole = scores.difference(right, wrong, resamples=9, seed=1, labels=scores.choices(polar))
    assert astuple(whole) == (1, 1, 1), "samples are scored over the same labels"


def articles(count: int, pairs: int = 10, seed: int = 0, skill: float = 0.7) -> scores.Counts:
    """Confusion matrices of articles whose pairs are right with probability `skill`; labels in equal shares."""
    draw = np.random.default_rng(seed)
    references = np.arange(count * pairs) % 3
    wrong = (references + draw.integers(1, 3, count * pairs)) % 3
    predictions = np.where(draw.random(count * pairs) < skill, references, wrong)
    groups = [f"a{i // pairs}" for i in range(count * pairs)]
    return scores.by_group(references.tolist(), predictions.tolist(), groups)


@given(rows=st.lists(st.tuples(CLASSES, CLASSES, st.sampled_from("abc")), min_size=1, max_size=40))
def test_the_matrices_of_the_articles_add_up_to_the_whole(rows: list[tuple[int, int, str]]) -> None:
    references, predictions, groups = map(list, zip(*rows, strict=True))
    counts = scores.by_group(references, predictions, groups)
    assert len(counts) == len(set(groups))
    assert counts.sum(0).tolist() == scores.confusion(references, predictions).tolist()
    for number, name in enumerate(sorted(set(groups))):
        assert counts[number].sum() == groups.count(name)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_holds_the_value(seed: int) -> None:
    counts = articles(30, seed=seed)
    found = scores.estimates(counts, resamples=200, seed=seed)
    whole = scores.rates(counts.sum(0))
    assert found.keys() == whole.keys()
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(float(whole[name]))
        assert estimate.low < estimate.value < estimate.high


def test_the_interval_is_wider_with_fewer_articles() -> None:
    many, few = (scores.estimates(articles(n), resamples=400, seed=1) for n in (160, 10))
    for name in scores.SUMMARY:
        assert few[name].high - few[name].low > 2 * (many[name].high - many[name].low)


def test_the_interval_of_accuracy_is_that_of_the_binomial() -> None:
    counts = np.zeros((60, 3, 3), np.int64)
    counts[:45, 0, 0] = 1
    counts[45:, 0, 1] = 1
    found = scores.estimates(counts, resamples=4000, seed=2)["accuracy"]
    low, high = binom.ppf([0.025, 0.975], 60, 0.75) / 60
    assert (found.low, found.high) == pytest.approx((low, high), abs=1.01 / 60)


def test_articles_are_drawn_and_not_their_pairs() -> None:
    # A hundred times the pairs with the same answers say nothing new: drawing pairs would narrow the interval.
    counts = articles(12)
    one, hundred = (scores.estimates(c, resamples=200, seed=3) for c in (counts, counts * 100))
    for name, estimate in one.items():
        assert astuple(hundred[name]) == pytest.approx(astuple(estimate))


def test_the_interval_is_the_same_with_the_same_seed() -> None:
    one, two, other = (scores.estimates(articles(20), resamples=100, seed=s)["macro_f1"] for s in (4, 4, 5))
    assert one == two != other


def test_one_article_has_no_interval() -> None:
    found = scores.estimates(articles(1, pairs=30), resamples=100, seed=6)
    for estimate in found.values():
        assert 0 < estimate.value < 1
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=12))
def test_articles_are_one_when_a_chain_of_common_passages_joins_them(rows: list[tuple[str, str]]) -> None:
    names, texts = [name for name, _ in rows], [text for _, text in rows]
    wanted = {name: {name} for name in names}
    for _ in names:
        for name, text in rows:
            for other in {n for n, t in rows if t == text}:
                wanted[name] = wanted[other] = wanted[name] | wanted[other]
    assert scores.together(names, texts) == [min(wanted[name]) for name in names]


def copies(texts: int, each: int) -> tuple[list[Example], npt.NDArray[np.float64]]:
    """Rows of so many texts, each of which stands in `each` articles that are answered alike, and their answers."""
    rows = tiny.examples(2 * texts, seed=4)[::2]
    answers = np.random.default_rng(4).dirichlet([1, 1, 1], texts)
    made = [replace(row, id=f"{row.id}-{n}", article_id=f"{n}-{row.article_id}") for n in range(each) for row in rows]
    return made, np.tile(answers, (each, 1))


def bounds(rows: list[Example], given: npt.NDArray[np.float64]) -> dict[str, float]:
    """What counts articles, of answers to rows: bounds of intervals in each place that scores, and that of a risk."""
    answers, guessed = Answers.to(rows, given), given.argmax(1)
    found: dict[str, Mapping[str, Estimate]] = {
        "calibration": calibration.estimates(answers, resamples=200, seed=1),
        "transfer": transfer.score({"set": given}, {"set": rows}, TransferConfig(resamples=200))[0].scores,
        "review": review._scores(rows, {"model": guessed})["model"],
    }
    flat = {k: v for name, estimates in found.items() for k, v in scores.flat(name, estimates).items()}
    flat |= Validation(tiny.examples(48, seed=1), rows, seed=1).scores(np.arange(len(rows)), guessed)
    return flat | {"risk": abstention.choose(answers, target_risk=0.9, risk_confidence=0.95).bound}


def test_copies_of_a_text_in_many_articles_narrow_no_interval_and_loosen_no_bound() -> None:
    once, often = bounds(*copies(60, 1)), bounds(*copies(60, 8))
    chance = {name for name in once if "guess" in name}  # chance guesses anew for each copy
    assert {"calibration_brier_low", "transfer_macro_f1_high", "review_mcc_low", "above_names_high"} < once.keys()
    for name in once.keys() - chance:
        assert often[name] == pytest.approx(once[name], abs=0.01 if name == "risk" else 1e-6), name


def test_a_report_counts_articles_though_its_intervals_take_copies_for_one(
    predictor: StancePredictor, rows: dict[str, list[Example]]
) -> None:
    test = rows["test"][:40]
    twice = [*test, *(replace(row, id=f"{row.id}-2", article_id=f"{row.article_id}-2") for row in test)]
    once, found = (
        evaluation.score(predictor, {**rows, "test": part}, EvaluationConfig(resamples=100)) for part in (test, twice)
    )
    assert found.articles == 2 * once.articles
    assert astuple(found.scores[MODEL]["accuracy"]) == pytest.approx(astuple(once.scores[MODEL]["accuracy"]))


def test_an_estimate_is_printed_with_its_interval() -> None:
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(Estimate(math.nan, math.nan, math.nan)) == "–", "there was nothing to score"


# Baselines.


def example(actor: str, target: str, stance: Stance, text: str = "A text.") -> Example:
    return Example(
        id=f"{actor}-{target}", text=text, actor=actor, target=target, actor_span=None, target_span=None,
        stance=stance, article_id="a", corpus="c", date="", provenance="gold", weight=1.0,
    )  # fmt: skip


TRAIN = [
    *(example("Ruritania", f"plan {n}", Stance.SUPPORT, "They hailed it.") for n in range(6)),
    *(example(f"party {n}", "Ruritania", Stance.OPPOSE, "They slammed it.") for n in range(5)),
    *(example("a court", "some case", Stance.NEUTRAL, "They studied it.") for _ in range(4)),
]


def answers(test: list[Example]) -> dict[str, list[str]]:
    found = baselines.predictions(TRAIN, test, seed=0)
    return {name: [LABELS[i] for i in values] for name, values in found.items()}


def test_the_majority_baseline_answers_the_most_frequent_label_of_train() -> None:
    test = [example("Ruritania", "x", Stance.OPPOSE), example("the court", "y", Stance.NEUTRAL)]
    assert answers(test)[baselines.MAJORITY] == ["support", "support"]


def test_the_probabilities_of_baselines_are_over_the_labels_that_a_corpus_knows() -> None:
    asked = [example("Ruritania", "bridge", Stance.SUPPORT), example("party", "Ruritania", Stance.OPPOSE)]
    polar = [replace(e, labels=("oppose", "support")) for e in asked]
    whole = baselines.probabilities(TRAIN, asked, seed=0)
    for name, found in baselines.probabilities(TRAIN, polar, seed=0).items():
        assert found.sum(1) == pytest.approx(1)
        assert whole[name].sum(1) == pytest.approx(1)
        assert found[:, 1].tolist() == [0, 0]
        if name != baselines.CHANCE:
            assert found[:, 0] / found[:, 2] == pytest.approx(whole[name][:, 0] / whole[name][:, 2])
    assert whole[baselines.MAJORITY][0] == pytest.approx([5 / 15, 4 / 15, 6 / 15])


def test_chance_draws_among_the_labels_that_a_corpus_knows_by_their_shares() -> None:
    polar = [replace(example("a", "b", Stance.OPPOSE), labels=("oppose", "support")) for _ in range(4000)]
    drawn = baselines.predictions(TRAIN, polar, seed=3, systems=(baselines.CHANCE,))[baselines.CHANCE]
    shares = np.bincount(drawn, minlength=3) / len(polar)
    assert shares == pytest.approx([5 / 11, 0, 6 / 11], abs=0.03)


def test_of_many_rows_the_bag_of_words_learns_from_a_drawn_part(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = sorted(np.random.default_rng(5).choice(len(TRAIN), 9, replace=False))
    assert len({TRAIN[place].stance for place in drawn}) > 1
    part = baselines.probabilities([TRAIN[place] for place in drawn], TRAIN, seed=5)
    whole = baselines.probabilities(TRAIN, TRAIN, seed=5)
    monkeypatch.setattr(baselines, "MOST", 9)
    found = baselines.probabilities(TRAIN, TRAIN, seed=5)
    for name in baselines.SYSTEMS:
        assert found[name].tolist() == (part if name == baselines.BAG_OF_WORDS else whole)[name].tolist(), name
    assert found[baselines.BAG_OF_WORDS].tolist() != whole[baselines.BAG_OF_WORDS].tolist()


def test_baselines_of_one_label_answer_it() -> None:
    one = [row for row in TRAIN if row.stance == Stance.SUPPORT]
    found = baselines.predictions(one, TRAIN, seed=0)
    assert all(set(answer.tolist()) == {LABELS.index(Stance.SUPPORT)} for answer in found.values())


def test_the_names_baseline_tells_an_actor_from_a_target() -> None:
    test = [example("Ruritania", "bridge", Stance.SUPPORT), example("bridge", "Ruritania", Stance.OPPOSE)]
    assert answers(test)[baselines.NAMES_ONLY] == ["support", "oppose"]


def test_the_names_baseline_reads_no_text() -> None:
    texts = ("They hailed it.", "They slammed it.", "They studied it.")
    for actor, target in (("Nobody", "nothing"), ("Ruritania", "bridge")):
        test = [example(actor, target, Stance.NEUTRAL, text) for text in texts]
        assert len(set(answers(test)[baselines.NAMES_ONLY])) == 1
        assert len(set(answers(test)[baselines.BAG_OF_WORDS])) > 1


def test_the_bag_of_words_baseline_reads_the_text() -> None:
    test = [example("Nobody", "nothing", Stance.SUPPORT, t) for t in ("They hailed it.", "They slammed it.")]
    assert answers(test)[baselines.BAG_OF_WORDS] == ["support", "oppose"]


# The report on what ships.


@pytest.fixture(scope="module")
def rows(exported: Workplace) -> dict[str, list[Example]]:
    return dataset.load(exported.dataset)[0]


@pytest.fixture(scope="module")
def predictor(exported: Workplace) -> StancePredictor:
    return StancePredictor.load(exported.artifact)


@pytest.fixture(scope="module")
def report(predictor: StancePredictor, rows: dict[str, list[Example]]) -> Report:
    return evaluation.score(predictor, rows, EvaluationConfig(resamples=200))


@pytest.mark.parametrize(("name", "ask"), [("without_places", without_places), ("as_printed", as_printed)])
def test_the_report_scores_other_ways_of_asking(
    report: Report,
    predictor: StancePredictor,
    rows: dict[str, list[Example]],
    name: str,
    ask: Callable[[Example], Example],
) -> None:
    given = predictor.probabilities([ask(example).pair() for example in rows["test"]])
    expected = calibration.measures(Answers.to(rows["test"], given))["brier"]
    assert getattr(report, name)["brier"].value == pytest.approx(expected)
    assert expected != pytest.approx(report.scores[MODEL]["brier"].value, abs=1e-6)


SLICES = {
    "model, asked without the mentions' places": "without_places",
    "model, names in the passage's words": "as_printed",
    "model, annotated pairs only": "annotated_only",
}
BASELINES = [baselines.MAJORITY, baselines.CHANCE, baselines.BAG_OF_WORDS, baselines.NAMES_ONLY]


def test_the_report_scores_the_model_beside_its_baselines_with_intervals(
    report: Report, rows: dict[str, list[Example]]
) -> None:
    assert list(report.scores) == [MODEL, *BASELINES]
    names = {"macro_f1", "accuracy", "mcc", *(f"{x}_{y}" for x in LABELS for y in ("precision", "recall", "f1"))}
    measures = {"calibration_error", "overconfidence", "brier", "nll", "aurc"}
    for values in report.scores.values():
        assert values.keys() == names | measures
        for name in names:
            assert -1 <= values[name].low <= values[name].high <= 1
    assert report.scores[MODEL]["accuracy"].low < report.scores[MODEL]["accuracy"].high
    assert (len(report.examples), report.articles) == (len(rows["test"]), len({e.article_id for e in rows["test"]}))


def test_the_scores_of_the_report_are_those_of_its_predictions(report: Report, rows: dict[str, list[Example]]) -> None:
    table = report.predictions()
    assert [row["id"] for row in table] == [e.id for e in rows["test"]]
    for name in ("article_id", "actor", "target", "text", "provenance", "stance"):
        assert [row[name] for row in table] == [getattr(e, name) for e in rows["test"]]
    pairs = [(LABELS.index(row["stance"]), LABELS.index(row["predicted"])) for row in table]
    expected = StanceScore().compute(references=[a for a, _ in pairs], predictions=[b for _, b in pairs])
    expected |= calibration.measures(report.answers)
    assert {n: e.value for n, e in report.scores[MODEL].items()} == pytest.approx(expected)
    assert Counter(pairs) == {
        (i, j): n for i, line in enumerate(report.confusion.tolist()) for j, n in enumerate(line) if n
    }
    for row in table:
        assert row["predicted"] == max(LABELS, key=lambda label: row[label])
        assert sum(row[label] for label in LABELS) == pytest.approx(1, abs=1e-5)
    kept = [pair for row, pair in zip(table, pairs, strict=True) if row["provenance"] == "gold"]
    assert 0 < len(kept) < len(pairs)
    assert report.annotated_only["accuracy"].value == pytest.approx(sum(a == b for a, b in kept) / len(kept))


def test_the_report_scores_what_the_exported_predictor_answers(
    report: Report, predictor: StancePredictor, rows: dict[str, list[Example]]
) -> None:
    answers = predictor.predict([e.pair() for e in rows["test"]])
    assert [row["predicted"] for row in report.predictions()] == [a.stance.value for a in answers]
    assert np.abs(report.answers.probabilities - np.array([a.probabilities for a in answers])).max() < 1e-5


@pytest.mark.parametrize("sampled", [("test",), pytest.param(("train", "test"), marks=pytest.mark.slow)])
def test_the_report_of_sampled_pairs_alone_has_no_scores_of_annotated_ones(
    predictor: StancePredictor, rows: dict[str, list[Example]], sampled: Sequence[str]
) -> None:
    given = {
        split: [replace(e, provenance="sampled") for e in part] if split in sampled else part
        for split, part in rows.items()
    }
    found = evaluation.score(predictor, given, EvaluationConfig(resamples=20))
    assert found.scores[MODEL].keys() == found.scores[baselines.MAJORITY].keys()
    assert found.to_json()["annotated_baselines"] == {}
    assert all(math.isnan(estimate.value) for estimate in found.annotated_only.values()), "0 would be a score"
    assert scores.flat("test", found.annotated_only) == {}


def test_annotated_pairs_are_scored_over_the_labels_that_they_have(
    predictor: StancePredictor, rows: dict[str, list[Example]]
) -> None:
    given = {
        split: [replace(e, provenance="sampled") if e.stance == "neutral" else e for e in part]
        for split, part in rows.items()
    }
    found = evaluation.score(predictor, given, EvaluationConfig(resamples=20))
    f1 = [found.annotated_only[f"{label}_f1"].value for label in ("oppose", "support")]
    assert found.annotated_only["macro_f1"].value == pytest.approx(np.mean(f1))
    for values in found.annotated_baselines.values():
        assert values["macro_f1"].value == pytest.approx(
            np.mean([values[f"{label}_f1"].value for label in ("oppose", "support")])
        )


def test_the_seed_of_the_evaluation_draws_the_intervals_of_calibration_too() -> None:
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3).astype(str)
    answers = Answers(draw.dirichlet([1, 1, 1], 60), draw.integers(0, 3, 60), groups)
    found = evaluation._estimates(answers, EvaluationConfig(resamples=50, seed=3), scores.rates)
    own, other = (calibration.estimates(answers, resamples=50, seed=seed) for seed in (3, 0))
    assert {name: found[name] for name in own} == own
    assert own["brier"].value == other["brier"].value
    assert own["brier"] != other["brier"]


def test_the_baselines_of_the_report_learned_from_train_alone(report: Report, rows: dict[str, list[Example]]) -> None:
    labels = Counter(e.stance for e in rows["train"])
    right = sum(e.stance == labels.most_common(1)[0][0] for e in rows["test"])
    assert report.scores[baselines.MAJORITY]["accuracy"].value == pytest.approx(right / len(rows["test"]))
    assert report.scores[baselines.MAJORITY]["mcc"].value == 0


@pytest.mark.slow
def test_the_report_of_a_corpus_of_two_labels_is_over_these_and_abstains_as_predict_does(
    exported: Workplace, rows: dict[str, list[Example]], tmp_path: Path
) -> None:
    sure = {"target_risk": 0.1, "threshold": 0.45, "pairs": 9}
    place = altered(exported, tmp_path, abstention={"with_places": sure, "without_places": sure})
    predictor = StancePredictor.load(place)
    two = ("oppose", "support")
    polar = {split: [replace(r, labels=two) for r in part if r.stance in two] for split, part in rows.items()}
    found = evaluation.score(predictor, polar, EvaluationConfig(resamples=100))
    counts = found.confusion
    assert counts[:, 1].sum() == counts[1].sum() == 0
    truth = np.repeat(np.repeat(np.arange(3)[:, None], 3, 1).ravel(), counts.ravel())
    answers = np.repeat(np.repeat(np.arange(3)[None], 3, 0).ravel(), counts.ravel())
    assert found.scores[MODEL]["macro_f1"].value == pytest.approx(f1_score(truth, answers, average="macro"))
    assert found.annotated_baselines[baselines.MAJORITY]["macro_f1"].value > 0.3
    given = predictor.predict([row.pair() for row in polar["test"]], abstain=True)
    answered = np.array([not answer.abstained for answer in given])
    kept = found.kept[evaluation.AS_ASKED]
    assert 0 < kept.coverage.value == pytest.approx(answered.mean())
    assert answered.mean() < (found.answers.confidence >= 0.45).mean(), "over the known labels it would answer more"
    wrong = [answer.stance != row.stance for answer, row in zip(given, polar["test"], strict=True)]
    assert kept.risk.value == pytest.approx(np.mean(np.array(wrong)[answered]))
    assert found.on_curve() is None
    some = {split: [replace(r, labels=two) if r.stance in two and n % 2 else r for n, r in enumerate(part)]
            for split, part in rows.items()}  # fmt: skip
    mixed = evaluation.score(predictor, some, EvaluationConfig(resamples=100))
    assert mixed.on_curve() is None, "its curve is not over all labels either"
    whole = evaluation.score(predictor, rows, EvaluationConfig(resamples=100)).on_curve()
    assert whole is not None
    assert whole.coverage.value == pytest.approx(
        np.mean([not a.abstained for a in predictor.predict([r.pair() for r in rows["test"]], abstain=True)])
    )


def test_the_report_on_validation_scores_the_validation_split(
    predictor: StancePredictor, rows: dict[str, list[Example]]
) -> None:
    found = evaluation.score(predictor, rows, EvaluationConfig(split="validation", resamples=100))
    assert found.examples == rows["validation"]
    assert found.confusion.sum() == len(rows["validation"])
    assert "validation_macro_f1_low" in evaluation.metrics(found)


def test_the_metrics_are_flat_and_name_split_system_and_bound(report: Report) -> None:
    flat = evaluation.metrics(report)
    value = report.scores[MODEL]["macro_f1"]
    assert (flat["test_macro_f1"], flat["test_macro_f1_low"], flat["test_macro_f1_high"]) == (
        value.value,
        value.low,
        value.high,
    )
    assert flat["test_baseline_tf_idf_logistic_regression_mcc"] == report.scores[baselines.BAG_OF_WORDS]["mcc"].value
    assert flat["test_brier_high"] == report.scores[MODEL]["brier"].high
    silent = replace(report, kept={evaluation.AS_ASKED: Kept(0.1, Estimate(0, 0, 0), Estimate(*[math.nan] * 3))})
    told = {name: value for name, value in evaluation.metrics(silent).items() if "abstaining" in name}
    assert told == dict.fromkeys([f"test_abstaining_as_asked_coverage{end}" for end in ("", "_low", "_high")], 0)
    assert jsonl.finite(silent.to_json())["abstention"]["as_asked"]["risk"] == [None, None, None]
    assert flat["test_baseline_majority_aurc"] == report.scores[baselines.MAJORITY]["aurc"].value
    assert flat["test_phenomenon_deed_f1"] == report.phenomena["deed"][1]["f1"].value
    systems = 3 * sum(len(values) for values in report.scores.values())
    kept = 6 * len(report.kept)
    assert len(flat) == systems + kept + len(report.phenomena)


def test_a_label_that_no_corpus_of_the_split_knows_has_no_scores_of_its_own(
    predictor: StancePredictor, rows: dict[str, list[Example]]
) -> None:
    test = [replace(row, labels=("oppose", "support")) for row in rows["test"] if row.stance != Stance.NEUTRAL][:40]
    found = evaluation.score(predictor, {**rows, "test": test}, EvaluationConfig(resamples=100))
    named = {*evaluation.metrics(found), *found.to_json()["scores"][MODEL], *scores.score(test, [0] * len(test))}
    assert {"test_oppose_f1_low", "test_baseline_majority_support_recall", "oppose_f1"} <= named
    assert [name for name in named if "neutral" in name] == []
    assert [line[0] for line in evaluation.per_class(found)] == ["label", "oppose", "support"]
    assert [len(line) for line in evaluation.table(found)] == [4] * (2 + len(baselines.SYSTEMS) + len(SLICES))


def test_the_tables_of_the_report_hold_every_system_and_the_count_of_every_label(
    report: Report, rows: dict[str, list[Example]]
) -> None:
    header, *lines = evaluation.table(report)
    assert [line[0] for line in lines[:5]] == list(report.scores)
    assert {len(line) for line in lines} == {len(header)}
    assert lines[0][1] == str(report.scores[MODEL]["macro_f1"])
    assert header == ["system", "macro-F1 [95 %]", "accuracy [95 %]", "MCC [95 %]"]
    parts = report.scores | {name: getattr(report, part) for name, part in SLICES.items()}
    assert lines == [[name, *(str(part[x]) for x in ("macro_f1", "accuracy", "mcc"))] for name, part in parts.items()]
    labels, found = Counter(e.stance.value for e in rows["test"]), report.scores[MODEL]
    assert [(line[0], line[1]) for line in evaluation.per_class(report)[1:]] == [(x, str(labels[x])) for x in LABELS]
    assert [line[2:] for line in evaluation.per_class(report)] == [
        ["precision", "recall", "F1 [95 %]"],
        *([*(f"{found[f'{x}_{rate}'].value:.3f}" for rate in ("precision", "recall")), str(found[f"{x}_f1"])]
          for x in LABELS),
    ]  # fmt: skip


def test_the_confidence_of_every_system_and_slice_stands_beside_its_scores(report: Report) -> None:
    header, *lines = evaluation.confidence(report)
    assert header[1:] == ["ECE [95 %]", "overconfidence [95 %]", "Brier [95 %]", "AURC [95 %]"]
    named = {line[0]: line[1:] for line in lines}
    assert list(named)[:5] == list(report.scores)
    assert {line[0] for line in evaluation.table(report)[1:]} | {"model, sampled pairs only"} == set(named)
    for name in (MODEL, baselines.MAJORITY):
        measures = ("calibration_error", "overconfidence", "brier", "aurc")
        assert named[name] == [str(report.scores[name][measure]) for measure in measures]
    slices = SLICES | {"model, sampled pairs only": "sampled_only"}
    for name, part in slices.items():
        assert named[name][2] == str(getattr(report, part)["brier"])
    assert len({named[name][2] for name in (MODEL, *slices)}) == 5


def test_sampled_and_annotated_pairs_make_up_the_whole(report: Report, rows: dict[str, list[Example]]) -> None:
    sampled = sum(e.provenance == "sampled" for e in rows["test"]) / len(rows["test"])
    for name in ("brier", "nll", "overconfidence"):
        parts = sampled * report.sampled_only[name].value + (1 - sampled) * report.annotated_only[name].value
        assert parts == pytest.approx(report.scores[MODEL][name].value)


def test_the_confidence_of_the_majority_is_its_share_of_train(report: Report, rows: dict[str, list[Example]]) -> None:
    labels = Counter(e.stance.value for e in rows["train"])
    prior = np.array([labels[x] for x in LABELS]) / len(rows["train"])
    truth = np.eye(3)[[LABELS.index(e.stance) for e in rows["test"]]]
    expected = ((prior - truth) ** 2).sum(1).mean()
    assert report.scores[baselines.MAJORITY]["brier"].value == pytest.approx(expected)


def test_a_slice_is_scored_over_the_labels_that_it_has(report: Report, rows: dict[str, list[Example]]) -> None:
    for tag, (number, found) in report.phenomena.items():
        tagged = [(e, p) for e, p in zip(rows["test"], report.answers.probabilities, strict=True) if tag in e.tags]
        pairs = [(LABELS.index(e.stance), int(p.argmax())) for e, p in tagged]
        assert number == len(pairs)
        assert found["accuracy"].value == pytest.approx(sum(a == b for a, b in pairs) / number)
        truth, answers = [a for a, _ in pairs], [b for _, b in pairs]
        expected = f1_score(truth, answers, labels=sorted(set(truth)), average="macro", zero_division=0)
        assert found["f1"].value == pytest.approx(expected)
    assert [row[0] for row in evaluation.per_phenomenon(report)[1:]] != []
    assert {row[0] for row in evaluation.per_phenomenon(report)[1:]} == {t for e in rows["test"] for t in e.tags}
    for tag, number, *shown in evaluation.per_phenomenon(report)[1:]:
        pairs, found = report.phenomena[tag]
        assert (number, shown) == (str(pairs), [str(found[name]) for name in ("f1", "accuracy", "overconfidence")])


def test_names_are_judged_on_annotated_pairs_alone(report: Report, rows: dict[str, list[Example]]) -> None:
    gold = [e.stance for e in rows["test"] if e.provenance == "gold"]
    learned = Counter(e.stance for e in rows["train"] if e.provenance == "gold")
    right = sum(stance == learned.most_common(1)[0][0] for stance in gold)
    found = report.annotated_baselines
    assert list(found) == BASELINES
    assert found[baselines.MAJORITY]["accuracy"].value == pytest.approx(right / len(gold))
    assert [row[0] for row in evaluation.names_alone(report)[1:]] == BASELINES
    assert evaluation.names_alone(report)[1:] == [
        [name, str(values["macro_f1"]), str(values["accuracy"])] for name, values in found.items()
    ]


def test_a_bound_that_is_not_there_is_null_in_the_file(
    predictor: StancePredictor, rows: dict[str, list[Example]], tmp_path: Path
) -> None:
    one = rows["test"][0].article_id
    part = {**rows, "test": [row for row in rows["test"] if row.article_id == one]}
    found = evaluation.score(predictor, part, EvaluationConfig(resamples=100))
    assert math.isnan(found.scores[MODEL]["accuracy"].low)
    jsonl.write_json(tmp_path / "report.json", jsonl.finite(found.to_json()))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    report = json.loads((tmp_path / "report.json").read_text("utf-8"), parse_constant=refuse)
    accuracy = found.scores[MODEL]["accuracy"].value
    assert report["scores"][MODEL]["accuracy"] == [pytest.approx(accuracy), None, None]


def test_the_report_as_json_counts_pairs_and_articles(report: Report) -> None:
    written = report.to_json()
    assert written["pairs"] == sum(map(sum, written["confusion"]["rows_true_columns_predicted"]))
    assert written["articles"] == report.articles
    macro = report.scores[MODEL]["macro_f1"]
    assert written["scores"][MODEL]["macro_f1"] == [macro.value, macro.low, macro.high]


def test_the_report_as_json_holds_each_part_under_its_name(report: Report) -> None:
    written = report.to_json()
    counts = report.confusion.tolist()
    assert written["confusion"] == {"labels": list(LABELS), "rows_true_columns_predicted": counts}
    assert counts != report.confusion.T.tolist()
    parts = {name: getattr(report, name) for name in ("annotated_only", "sampled_only", "without_places", "as_printed")}
    for name, values in parts.items():
        assert written[name] == {measure: list(astuple(estimate)) for measure, estimate in values.items()}
    assert len({values["brier"] for values in (report.scores[MODEL], *parts.values())}) == 5
    assert {tag: part["pairs"] for tag, part in written["phenomena"].items()} == {
        tag: number for tag, (number, _) in report.phenomena.items()
    }


@pytest.mark.parametrize("setting", [{"resamples": 0}, {"resamples": 99}, {"seed": -1}])
def test_a_bootstrap_without_meaning_is_refused(rows: dict[str, list[Example]], setting: dict[str, int]) -> None:
    with pytest.raises(StanceError, match=r"evaluation\.resamples must be at least 1"):
        evaluation.check(EvaluationConfig(**setting), rows)


def test_a_split_without_rows_is_refused(rows: dict[str, list[Example]]) -> None:
    with pytest.raises(StanceError, match=r"split=test: the dataset has no rows in it; choose one of train, validati"):
        evaluation.check(EvaluationConfig(), {**rows, "test": []})


def test_an_unknown_split_is_refused(rows: dict[str, list[Example]]) -> None:
    with pytest.raises(StanceError, match=r"evaluation\.split=dev: unknown split; expected one of train, validation"):
        evaluation.check(EvaluationConfig(split="dev"), rows)


# Pictures.


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_confusion_matrix_shows_every_count_at_its_place() -> None:
    counts = np.array([[8, 1, 1], [0, 5, 5], [0, 0, 0]])
    figure = plots.confusion_matrix(counts, "test")
    (axes,) = figure.axes
    shown = {tuple(map(int, t.get_position()[::-1])): t.get_text() for t in axes.texts}
    assert shown == {
        (i, j): f"{counts[i, j]}\n{share:.0%}"
        for i, row in enumerate([[0.8, 0.1, 0.1], [0, 0.5, 0.5], [0, 0, 0]])
        for j, share in enumerate(row)
    }
    assert [t.get_text() for t in axes.get_xticklabels()] == list(LABELS)
    assert [t.get_text() for t in axes.get_yticklabels()] == list(LABELS)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_the_confusion_matrix_of_the_report_sums_to_its_pairs(report: Report) -> None:
    shown = texts(plots.confusion_matrix(report.confusion, "test"))
    assert sum(int(text.split("\n")[0]) for text in shown) == len(report.examples)


def test_scores_by_size_are_dots_and_a_line_through_their_means() -> None:
    (axes,) = plots.learning_by_size({"f1": [(8, 0.5), (8, 0.75), (8, 0.25), (16, 0.75), (16, 1.0)]}).axes
    (line,), (dots,) = axes.lines, axes.collections
    assert line.get_xydata().tolist() == [[8, 0.5], [16, 0.875]]
    assert dots.get_offsets().tolist() == [[8, 0.5], [8, 0.75], [8, 0.25], [16, 0.75], [16, 1]]  # type: ignore[union-attr]


def test_the_learning_curves_show_the_log_of_the_trainer() -> None:
    history = [
        {"epoch": 0.5, "loss": 1.1},
        {"epoch": 1.0, "eval_loss": 1.0, "eval_macro_f1": 0.3},
        {"epoch": 1.5, "loss": 0.8},
        {"epoch": 2.0, "eval_loss": 0.9, "eval_macro_f1": 0.5},
        {"train_runtime": 3.0},
    ]
    left, right = learning_curves(history).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert drawn == {"training": [[0.5, 1.1], [1.5, 0.8]], "validation": [[1.0, 1.0], [2.0, 0.9]]}
    assert right.lines[0].get_xydata().tolist() == [[1.0, 0.3], [2.0, 0.5]]


@pytest.mark.filterwarnings("error")
def test_learning_curves_of_a_run_that_never_logged_a_loss_are_drawn() -> None:
    left, right = learning_curves([{"epoch": 1.0, "eval_loss": 1.0, "eval_macro_f1": 0.3}]).axes
    assert (len(left.lines), len(right.lines)) == (1, 1)
