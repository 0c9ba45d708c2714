"""Abstaining: the threshold against brute force and against its promise, what the artifact keeps, who reads it."""

import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from scipy.stats import binomtest

from conftest import Workplace, script
from stance import export, jsonl, tracking
from stance.bootstrap import Estimate
from stance.building import dataset
from stance.errors import StanceError
from stance.predictor import StancePredictor
from stance.reader import ArticleReader
from stance.records import Article, Example, Pair
from stance.scoring import abstention, evaluation
from stance.scoring.abstention import COVERAGES, Abstention, Kept
from stance.scoring.scores import Answers
from stance.settings.scoring import EvaluationConfig, ExportConfig
from stance.settings.tracking import TrackingConfig
from stance.tracking import registry
from test_reader import biased

TEXT = "Iran praised the Russian proposal but warned against a return of the Taliban to power."
PAIRS = [Pair(TEXT, a, t) for a in ("Iran", "Taliban", "Russia") for t in ("Russian proposal", "power", "Tehran")]


def population(count: int, seed: int, *, each: int = 1) -> Answers:
    """Articles whose confidence is between a half and one and means what it says; their pairs fare alike.

    Among the answers with a confidence of at least t, (1 - t) / 2 are wrong.
    """
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, count)
    wrong = random.random(count) > confidence
    probabilities = np.stack([confidence, np.zeros(count), 1 - confidence], 1)
    groups = np.array([f"a{n}" for n in range(count)])
    return Answers(probabilities, np.where(wrong, 2, 0), groups).only(np.repeat(np.arange(count), each))


def apart(answers: Answers) -> Answers:
    """As if each answer were of an article of its own."""
    return Answers(answers.probabilities, answers.references, np.array([f"a{n}" for n in range(len(answers.groups))]))


# The threshold.


@settings(max_examples=20)
@given(
    count=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    target=st.sampled_from([0.02, 0.1, 0.2, 0.3]),
    sure=st.sampled_from([0.6, 0.9, 0.99]),
)
def test_the_threshold_is_that_of_a_brute_force(count: int, seed: int, target: float, sure: float) -> None:
    answers = population(count, seed)
    best, alpha, least = None, 0.0, 1.0
    for step in range(1, COVERAGES + 1):
        alpha += (1 - sure) / COVERAGES
        level = sorted(answers.confidence, reverse=True)[int(np.ceil(step * count / COVERAGES)) - 1]
        threshold = int(level * 10_000) / 10_000
        wrong = [w for w, c in zip(answers.wrong.tolist(), answers.confidence, strict=True) if c >= threshold]
        exact = binomtest(sum(wrong), len(wrong)).proportion_ci(1 - 2 * alpha, "exact")
        least = min(least, exact.high)
        if binomtest(sum(wrong), len(wrong), target, alternative="less").pvalue <= alpha:
            if best is None or threshold < best[0]:  # two coverages of few answers may share a threshold
                best = (threshold, len(wrong) / count, sum(wrong) / len(wrong), exact.high)
        else:
            alpha = 0.0
    found = abstention.choose(answers, target_risk=target, risk_confidence=sure)
    if best is None:
        assert found.threshold is None
        assert found.bound == pytest.approx(least), "the closest is named"
        assert found.bound > target
    else:
        assert (found.threshold, found.coverage, found.risk, found.bound) == pytest.approx(best)
        answered = answers.confidence >= found.threshold
        assert answered.mean() == pytest.approx(found.coverage)
        assert found.risk <= found.bound <= target


def broken(target: float, *, articles: int, each: int, grouped: bool) -> float:
    """How often the true risk at the chosen threshold is above the target."""
    thresholds = []
    for seed in range(150):
        answers = population(articles, seed, each=each)
        chosen = abstention.choose(
            answers if grouped else apart(answers), target_risk=target, risk_confidence=0.9
        ).threshold
        thresholds.append(1.0 if chosen is None else chosen)
    assert np.mean(np.array(thresholds) < 1) > 0.5, "a promise that is never made is easy to keep"
    return float(np.mean((1 - np.array(thresholds)) / 2 > target))


def test_the_promise_is_kept_as_often_as_it_says() -> None:
    assert broken(0.15, articles=600, each=1, grouped=True) <= 0.1


def test_pairs_that_fare_alike_count_as_fewer() -> None:
    # Taken as independent, ten equal pairs an article make the model far too sure.
    assert broken(0.15, articles=400, each=10, grouped=False) > 0.15
    assert broken(0.15, articles=400, each=10, grouped=True) <= 0.1


def test_equal_pairs_of_an_article_say_no_more_than_one() -> None:
    wrong, articles = np.arange(150) % 6 == 0, np.arange(150)
    one = abstention.upper_bound(wrong, articles, 0.95)
    ten = abstention.upper_bound(np.repeat(wrong, 10), np.repeat(articles, 10), 0.95)
    assert one <= ten == pytest.approx(one, rel=0.02)


def test_pairs_of_one_article_tell_nothing_of_others() -> None:
    assert abstention.upper_bound(np.arange(100) < 2, np.zeros(100, int), 0.95) == 1


def test_the_bound_without_errors_is_the_rule_of_three_and_with_nothing_but_errors_one() -> None:
    articles = np.arange(300)
    assert abstention.upper_bound(np.zeros(300, bool), articles, 0.95) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert abstention.upper_bound(np.ones(300, bool), articles, 0.95) == 1


@pytest.mark.slow
def test_few_articles_whose_pairs_fare_alike_promise_nothing() -> None:
    """All that such articles answer rightly says no more than one pair of each would, and one wrong pair no less."""
    draw = np.random.default_rng(0)
    for articles, each, alike in ((10, 20, False), (34, 30, True), (60, 15, True)):
        given = 0
        for _ in range(200):
            wrong = np.repeat(draw.random(articles) < 0.11, each)  # above the target wherever the threshold is
            sure = draw.uniform(0.5, 0.9, articles * each)
            if alike:  # an article's confidence too, so that a threshold cuts few articles
                sure = np.repeat(draw.uniform(0.5, 0.9, articles), each) + sure / 10
            shares = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], 1)
            answers = Answers(shares, wrong.astype(int), np.repeat(np.arange(articles), each).astype(str))
            given += abstention.choose(answers, target_risk=0.1, risk_confidence=0.95).threshold is not None
        assert given <= 0.05 * 200, (articles, each)


def test_unsure_answers_do_not_say_how_much_alike_sure_ones_fare() -> None:
    draw, articles, each, given = np.random.default_rng(0), 14, 15, 0
    for _ in range(200):
        sure_wrong = np.repeat(draw.random(articles) < 0.11, each)  # all of an article, above the target
        wrong = np.concatenate([sure_wrong, draw.random(articles * each) < 0.4])
        sure = np.concatenate([draw.uniform(0.8, 0.95, articles * each), draw.uniform(0.4, 0.6, articles * each)])
        shares = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], 1)
        groups = np.tile(np.repeat(np.arange(articles), each), 2).astype(str)
        found = abstention.choose(Answers(shares, wrong.astype(int), groups), target_risk=0.1, risk_confidence=0.95)
        given += found.threshold is not None
    assert given <= 0.05 * 200


def test_sure_answers_without_an_error_are_no_reason_for_silence() -> None:
    draw, groups = np.random.default_rng(1), np.repeat(np.arange(100), 30).astype(str)
    for error in (0.0, 0.01):
        surest = draw.random(3000) < 0.6
        sure = np.where(surest, draw.uniform(0.85, 0.99, 3000), draw.uniform(0.4, 0.7, 3000))
        wrong = draw.random(3000) < np.where(surest, error, 0.3)
        shares = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], 1)
        found = abstention.choose(Answers(shares, wrong.astype(int), groups), target_risk=0.05, risk_confidence=0.95)
        assert found.threshold is not None
        assert found.coverage >= 0.55


def test_the_intraclass_correlation_is_that_of_the_draw() -> None:
    draw, articles = np.random.default_rng(1), np.repeat(np.arange(2000), 6)
    apart, alike = draw.random(12_000) < 0.2, np.repeat(draw.random(2000) < 0.2, 6)
    some = draw.random(12_000) < np.repeat(draw.beta(0.6, 2.4, 2000), 6)  # 1 / (0.6 + 2.4 + 1)
    assert abstention.intraclass(apart, articles) == pytest.approx(0, abs=0.02)
    assert abstention.intraclass(some, articles) == pytest.approx(0.25, abs=0.02)
    assert abstention.intraclass(alike, articles) == pytest.approx(1)
    assert abstention.intraclass(np.zeros(12_000, bool), articles) == 1, "nothing says that they don't"
    right = np.zeros(60, bool)
    bound = abstention.upper_bound(right, articles[:60], 0.95, alike=1)
    assert bound > 1 - 0.05 ** (1 / 10), "ten articles say no more than ten pairs"
    assert abstention.upper_bound(np.arange(60) == 0, articles[:60], 0.95, alike=1) > bound


def test_the_intraclass_correlation_of_two_articles_is_that_by_hand() -> None:
    wrong = np.array([True, False, False, True, True])  # a third of the three of one, both of the other
    between, within = 3 * (1 / 3 - 3 / 5) ** 2 + 2 * (1 - 3 / 5) ** 2, (2 / 3 + 0) / (5 - 2)
    usual = 5 - (9 + 4) / 5
    by_hand = (between - within) / (between + (usual - 1) * within)
    assert by_hand == pytest.approx(7 / 19)
    assert abstention.intraclass(wrong, np.array([0, 0, 0, 1, 1])) == pytest.approx(by_hand, abs=1e-12)


def test_a_stricter_target_never_answers_more() -> None:
    answers = population(2000, 7)
    found = [abstention.choose(answers, target_risk=r, risk_confidence=0.95) for r in (0.04, 0.1, 0.15, 0.2, 0.3)]
    coverages = [0 if one.threshold is None else one.coverage for one in found]
    assert coverages == sorted(coverages)
    assert 0 < coverages[1] < coverages[-1] == 1


def test_a_target_out_of_reach_is_said_to_be_and_the_closest_is_named() -> None:
    found = abstention.choose(population(40, 1), target_risk=0.01, risk_confidence=0.95)
    assert found.threshold is None
    assert str(found).startswith("none keeps to the target risk 1.0%; the closest answers ")
    assert f"at most {found.bound:.1%} with 95% confidence" in str(found)


def test_a_threshold_is_printed_with_what_it_does() -> None:
    found = Abstention(0.1, 0.95, 0.8123, 0.58, 0.061, 0.094, 2310)
    assert str(found) == (
        "0.8123 for the target risk 10.0%: answers 58% of 2310 pairs, 6.1% of them wrongly, at most 9.4% with 95% "
        "confidence"
    )


# On other pairs.


def test_the_bound_of_few_articles_is_that_of_korn_and_graubard() -> None:
    articles, wrong = np.repeat(np.arange(8), 15), np.arange(120) % 15 < np.repeat([0, 0, 1, 1, 2, 3, 5, 9], 15)
    risk = 21 / 120
    totals = np.array([0, 0, 1, 1, 2, 3, 5, 9]) - 15 * risk
    variance = 8 / 7 * (totals**2).sum() / 120**2  # of the risk, by articles drawn with replacement
    alone = risk * (1 - risk) / 119
    pairs = 120 * alone / variance * (scipy.stats.t.ppf(0.95, 119) / scipy.stats.t.ppf(0.95, 7)) ** 2
    expected = scipy.stats.beta.ppf(0.95, pairs * risk + 1, pairs * (1 - risk))
    assert abstention.upper_bound(wrong, articles, 0.95) == pytest.approx(expected)
    assert expected > scipy.stats.beta.ppf(0.95, 120 * alone / variance * risk + 1, 120 * alone / variance * (1 - risk))


def test_coverage_and_risk_at_a_threshold_have_intervals_over_articles() -> None:
    answers = population(200, 3, each=5)
    found = abstention.estimates(answers, 0.8, resamples=300, seed=1)
    kept = answers.confidence >= 0.8
    assert found["coverage"].value == pytest.approx(kept.mean())
    assert found["selective_risk"].value == pytest.approx(answers.wrong[kept].mean())
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high
    assert abstention.estimates(population(200, 3), 0.8, resamples=300, seed=1) == found, "equal pairs say no more"


def test_a_threshold_that_nothing_reaches_answers_nothing() -> None:
    found = abstention.estimates(population(9, 3), 1.0, resamples=20, seed=1)
    assert found["coverage"] == Estimate(0, 0, 0)
    assert np.isnan(astuple(found["selective_risk"])).all(), "the share of wrong ones among none is not 0"


def test_draws_in_which_nothing_is_answered_have_no_risk_of_zero() -> None:
    sure = np.repeat([0.9] + [0.4] * 19, 4)  # one article of twenty is answered, half of it wrongly
    shares = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], 1)
    answers = Answers(shares, np.tile([0, 0, 1, 1], 20), np.repeat(np.arange(20), 4).astype(str))
    found = abstention.estimates(answers, 0.8, resamples=200, seed=1)
    assert found["selective_risk"] == Estimate(0.5, 0.5, 0.5)
    assert found["coverage"].low == 0


@pytest.mark.parametrize(("risk", "verdict"), [(0.11, "missed"), (0.1, "kept")])
def test_the_verdict_says_whether_the_promise_was_kept(risk: float, verdict: str) -> None:
    found = Kept(0.1, Estimate(0.5, 0.4, 0.6), Estimate(risk, 0.05, 0.2))
    assert str(found).endswith(f"the target risk 10.0% is {verdict}")
    assert str(replace(found, coverage=Estimate(0, 0, 0))) == "nothing is answered within the target risk 10.0%"
    assert found.to_json() == {"target_risk": 0.1, "coverage": [0.5, 0.4, 0.6], "risk": [risk, 0.05, 0.2]}


# The artifact and its readers.


def altered(place: Workplace, folder: Path, **changes: Any) -> Path:
    """A copy of the artifact whose `stance.json` says something else; None takes a key away."""
    for name in ("tokenizer.json", "model.int8.onnx"):
        shutil.copy(place.artifact / name, folder / name)
    metadata = json.loads((place.artifact / "stance.json").read_text("utf-8")) | changes
    jsonl.write_json(folder / "stance.json", {k: v for k, v in metadata.items() if v is not None})
    return folder


def test_an_artifact_of_a_corpus_of_two_labels_says_why_it_can_not_abstain(exported: Workplace, tmp_path: Path) -> None:
    none = {"target_risk": 0.1, "threshold": None, "pairs": 0}
    ways = {"with_places": none, "without_places": none}
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=ways))
    with pytest.raises(StanceError, match=r"no threshold to abstain by: no validation pair's corpus knows all labels"):
        predictor.predict([Pair("Iran praised it.", "Iran", "it")], abstain=True)


def promise(places: float | None, bare: float | None) -> dict[str, Any]:
    """The thresholds of an artifact, for pairs that are asked with their places and without."""
    facts = {"target_risk": 0.1, "risk_confidence": 0.95, "coverage": 0.5, "risk": 0.05, "bound": 0.1, "pairs": 9}
    return {"with_places": {**facts, "threshold": places}, "without_places": {**facts, "threshold": bare}}


@pytest.fixture(scope="module")
def middle(exported: Workplace) -> float:
    """A threshold that some answers to `PAIRS` reach."""
    return float(np.median(StancePredictor.load(exported.artifact).probabilities(PAIRS).max(1)))


@pytest.fixture
def careful(exported: Workplace, tmp_path: Path, middle: float) -> Path:
    return altered(exported, tmp_path, abstention=promise(1.0, middle))


@pytest.mark.parametrize("way", ["with_places", "without_places"])
def test_the_artifact_keeps_the_thresholds_of_its_validation_split(exported: Workplace, way: str) -> None:
    examples: list[Example] = dataset.load(exported.dataset)[0]["validation"]
    predictor = StancePredictor.load(exported.artifact)
    pairs = [example.pair() for example in examples]
    asked = pairs if way == "with_places" else [Pair(pair.text, pair.actor, pair.target) for pair in pairs]
    rows = np.array([pair.placed for pair in pairs]) | (way == "without_places")
    answers = Answers.to(examples, predictor.probabilities(asked)).only(rows)
    expected = abstention.choose(answers, target_risk=0.1, risk_confidence=0.95)
    kept = Abstention(**predictor.metadata["abstention"][way])
    assert (kept.target_risk, kept.risk_confidence, kept.pairs) == (0.1, 0.95, rows.sum())
    assert (kept.coverage, kept.risk, kept.bound) == pytest.approx((expected.coverage, expected.risk, expected.bound))
    assert kept.threshold == expected.threshold
    (used, *_) = predictor.thresholds([pair for pair, row in zip(asked, rows, strict=True) if row])
    assert used == pytest.approx(float("inf") if kept.threshold is None else kept.threshold)


def test_answers_below_the_threshold_are_abstained_from_and_nothing_else_changes(careful: Path, middle: float) -> None:
    predictor = StancePredictor.load(careful)
    asked, plain = predictor.predict(PAIRS, abstain=True), predictor.predict(PAIRS)
    assert {answer.abstained for answer in asked} == {True, False}
    for one, other in zip(asked, plain, strict=True):
        assert one.abstained == (one.confidence < np.float32(middle))
        assert other.abstained is None
        assert one.to_json() == {**other.to_json(), "abstained": one.abstained}
        assert list(other.to_json()) == ["stance", "confidence", "oppose", "neutral", "support"]


def test_each_way_of_asking_has_a_threshold_of_its_own(exported: Workplace, tmp_path: Path) -> None:
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=promise(0.0, None)))
    placed = [replace(pair, actor_span=(0, 4), target_span=(5, 9)) for pair in PAIRS]
    answers = predictor.predict([*PAIRS, *placed], abstain=True)
    assert [answer.abstained for answer in answers] == [True] * len(PAIRS) + [False] * len(PAIRS)
    assert [answer.abstained for answer in predictor.predict(PAIRS[:1], abstain=True)] == [True], "alone as in company"


def test_predict_says_which_pairs_abstain_for_want_of_a_threshold(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = altered(exported, tmp_path, abstention=promise(0.0, None))
    rows = [{"text": pair.text, "actor": pair.actor, "target": pair.target} for pair in PAIRS]
    rows.append({**rows[0], "actor_span": [0, 4], "target_span": [5, 9]})
    jsonl.write(tmp_path / "in.jsonl", rows)
    given = [f"artifact={artifact}", f"input={tmp_path}/in.jsonl", f"output={tmp_path}/out.jsonl", "abstain=true"]
    out = script("predict").main(given)
    assert [row["abstained"] for _, row in jsonl.read(out)] == [True] * len(PAIRS) + [False]
    said = (
        f"{len(PAIRS)} of {len(rows)} pairs are asked without places, for which export found no threshold: all abstain"
    )
    assert said in capsys.readouterr().out
    jsonl.write(tmp_path / "in.jsonl", rows[:-1])
    with pytest.raises(StanceError, match=r"no threshold to abstain by: .* for pairs asked without places"):
        script("predict").main(given)


def test_an_artifact_without_the_new_keys_still_loads(exported: Workplace, tmp_path: Path) -> None:
    new = {"abstention": None, "calibration": None, "temperature_without_places": None}
    old = StancePredictor.load(altered(exported, tmp_path, **new))
    assert not old.abstains
    placed = [replace(pair, actor_span=(0, 4), target_span=(5, 9)) for pair in PAIRS]
    assert old.predict(placed) == StancePredictor.load(exported.artifact).predict(placed)
    with pytest.raises(StanceError, match=r"no threshold to abstain by: none was chosen; export it again with"):
        old.predict(PAIRS, abstain=True)


def test_abstaining_by_a_target_that_was_not_reached_is_refused(exported: Workplace, tmp_path: Path) -> None:
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=promise(None, None)))
    with pytest.raises(StanceError, match=r"none kept to the target risk on validation; export it again"):
        predictor.predict([], abstain=True)


@pytest.mark.parametrize(
    "value",
    [[], 0.8, {}, {"with_places": {}}, promise("0.8", None), promise(None, 1.2), promise(-0.1, 0.5)],  # type: ignore[arg-type]
)
def test_thresholds_that_are_none_are_refused(exported: Workplace, tmp_path: Path, value: Any) -> None:
    with pytest.raises(StanceError, match=r"abstention .*, expected null or without_places and with_places, each with"):
        StancePredictor.load(altered(exported, tmp_path, abstention=value))


@pytest.mark.parametrize(
    "bad", [{"target_risk": -0.1}, {"target_risk": 1.0}, {"risk_confidence": 0.0}, {"risk_confidence": 1.0}]
)
def test_a_target_without_a_meaning_is_refused(bad: dict[str, float], tmp_path: Path) -> None:
    ((name, value),) = bad.items()
    with pytest.raises(StanceError, match=rf"export\.{name}={value}: expected a "):
        export.write(tmp_path / "none", [], ExportConfig(**bad), output=tmp_path / "artifact", about={})


def test_the_reader_leaves_out_what_the_model_abstains_from(exported: Workplace, tmp_path: Path) -> None:
    article = Article("a", TEXT + " The Ghani administration rejected the interim government of Pakistan.")
    biased(exported.artifact, tmp_path, -50)  # never neutral: the reader has much to say
    everything = ArticleReader(StancePredictor.load(tmp_path, precision="fp32"), threshold=0).read(article)
    least = float(np.median([triple.confidence for triple in everything]))
    metadata = json.loads((tmp_path / "stance.json").read_text("utf-8"))
    jsonl.write_json(tmp_path / "stance.json", metadata | {"abstention": promise(least, None)})
    predictor = StancePredictor.load(tmp_path, precision="fp32")
    careful = ArticleReader(predictor, threshold=0, abstain=True).read(article)
    assert careful == ArticleReader(predictor, threshold=float(np.float32(least))).read(article)
    assert 0 < len(careful) < len(everything)


def test_a_reader_that_can_not_abstain_is_refused(exported: Workplace, tmp_path: Path) -> None:
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=None))
    with pytest.raises(StanceError, match="no threshold to abstain by"):
        ArticleReader(predictor, abstain=True)
    with pytest.raises(StanceError, match="none kept to the target risk on validation"):  # it asks with places alone
        ArticleReader(StancePredictor.load(altered(exported, tmp_path, abstention=promise(None, 0.5))), abstain=True)


def test_predict_writes_what_it_abstains_from(careful: Path, tmp_path: Path) -> None:
    rows = [{"text": p.text, "actor": p.actor, "target": p.target} for p in PAIRS]
    jsonl.write(tmp_path / "pairs.jsonl", rows)
    overrides = [f"artifact={careful}", f"input={tmp_path}/pairs.jsonl", f"output={tmp_path}/out.jsonl"]
    script("predict").main([*overrides, "abstain=true"])
    answers = [row for _, row in jsonl.read(tmp_path / "out.jsonl")]
    assert [row["abstained"] for row in answers] == [
        answer.abstained for answer in StancePredictor.load(careful).predict(PAIRS, abstain=True)
    ]
    script("predict").main(overrides)
    assert [row for _, row in jsonl.read(tmp_path / "out.jsonl")] == [
        {name: value for name, value in row.items() if name != "abstained"} for row in answers
    ]


def test_predict_overwrites_no_key_of_the_request_when_it_abstains(careful: Path, tmp_path: Path) -> None:
    row = {"text": TEXT, "actor": "Iran", "target": "power", "abstained": "mine"}
    jsonl.write(tmp_path / "pairs.jsonl", [row])
    overrides = [f"artifact={careful}", f"input={tmp_path}/pairs.jsonl", f"output={tmp_path}/out.jsonl"]
    script("predict").main(overrides)
    assert next(jsonl.read(tmp_path / "out.jsonl"))[1]["abstained"] == "mine"
    with pytest.raises(StanceError, match=r"pairs\.jsonl:1: the answer would overwrite abstained; rename"):
        script("predict").main([*overrides, "abstain=true"])


@pytest.mark.slow
def test_evaluation_reports_coverage_and_risk_at_the_threshold_of_the_artifact(
    exported: Workplace, careful: Path, middle: float
) -> None:
    rows, _ = dataset.load(exported.dataset)
    report = evaluation.score(StancePredictor.load(careful), rows, EvaluationConfig(resamples=100))
    predictor = StancePredictor.load(careful)
    bare = [Pair(e.text, e.actor, e.target) for e in rows["test"]]
    for way, pairs in (("as_asked", [e.pair() for e in rows["test"]]), ("without_places", bare)):
        answers = predictor.predict(pairs, abstain=True)
        right = [a.stance == e.stance for a, e in zip(answers, rows["test"], strict=True) if not a.abstained]
        kept = report.kept[way]
        assert kept.coverage.value == pytest.approx(len(right) / len(pairs))
        risk = right.count(False) / len(right) if right else np.nan
        assert kept.risk.value == pytest.approx(risk, nan_ok=True)
        flat = evaluation.metrics(report)
        assert flat[f"test_abstaining_{way}_coverage"] == kept.coverage.value
        assert flat.get(f"test_abstaining_{way}_risk_high") == (kept.risk.high if right else None)
        assert report.to_json()["abstention"][way] == kept.to_json()
    assert 0 < report.kept["without_places"].coverage.value < 1


# Behind MLflow.


@pytest.fixture
def served(exported: Workplace, careful: Path, fresh_store: None, tmp_path: Path) -> mlflow.pyfunc.PyFuncModel:
    """An artifact with a threshold, logged and loaded as any MLflow user loads it."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = TrackingConfig(uri=uri, artifacts=str(tmp_path / "artifacts"), system_metrics_seconds=0)
    metadata = json.loads((careful / "stance.json").read_text("utf-8"))
    files = {name: metadata["files"][name] for name in ("tokenizer.json", "model.int8.onnx")}
    jsonl.write_json(careful / "stance.json", metadata | {"files": files})
    with tracking.run(config, stage="register", settings={}) as active:
        rows = dataset.load(exported.dataset)[0]["validation"][:8]
        registry.register(careful, rows, name="stance", run_id=active.id)
    return mlflow.pyfunc.load_model("models:/stance@champion")


def test_the_served_model_abstains_only_when_asked(served: mlflow.pyfunc.PyFuncModel, careful: Path) -> None:
    table = pd.DataFrame([{"text": p.text, "actor": p.actor, "target": p.target} for p in PAIRS])
    plain, asked = served.predict(table), served.predict(table, params={"abstain": True})
    assert list(plain.columns) == ["stance", "confidence", "oppose", "neutral", "support"]
    assert list(asked.columns) == [*plain.columns, "abstained"]
    answers = StancePredictor.load(careful).predict(PAIRS, abstain=True)
    assert asked["abstained"].tolist() == [answer.abstained for answer in answers]
    with pytest.raises(MlflowException, match="abstain"):
        served.predict(table, params={"abstain": "perhaps"})
