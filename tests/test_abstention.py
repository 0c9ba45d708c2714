"""Abstaining: the threshold against brute force and against its promise, what the artifact keeps, who reads it."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from scipy.stats import binomtest

from conftest import Workplace, script
from stance import abstention, dataset, evaluation, export, jsonl, tracking
from stance.abstention import COVERAGES, Abstention
from stance.errors import StanceError
from stance.evaluation import EvaluationConfig
from stance.export import ExportConfig
from stance.predictor import StancePredictor
from stance.reader import ArticleReader
from stance.records import Article, Example, Pair
from stance.scores import Answers, Estimate
from stance.tracking import TrackingConfig

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


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    target=st.sampled_from([0.02, 0.1, 0.2, 0.3]),
    sure=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_the_threshold_is_that_of_a_brute_force(count: int, seed: int, target: float, sure: float) -> None:
    answers = population(count, seed)
    best = None
    for step in range(1, COVERAGES + 1):
        level = sorted(answers.confidence, reverse=True)[int(np.ceil(step * count / COVERAGES)) - 1]
        threshold = int(level * 10_000) / 10_000
        wrong = [w for w, c in zip(answers.wrong.tolist(), answers.confidence, strict=True) if c >= threshold]
        exact = binomtest(sum(wrong), len(wrong)).proportion_ci(1 - 2 * (1 - sure) / COVERAGES, "exact")
        if exact.high <= target:
            best = (threshold, len(wrong) / count, sum(wrong) / len(wrong), exact.high)
    found = abstention.choose(answers, target_risk=target, risk_confidence=sure)
    if best is None:
        assert found.threshold is None
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
    assert broken(0.1, articles=600, each=1, grouped=True) <= 0.1


def test_pairs_that_fare_alike_count_as_fewer() -> None:
    # Taken as independent, ten equal pairs an article make the model far too sure.
    assert broken(0.15, articles=150, each=10, grouped=False) > 0.15
    assert broken(0.15, articles=150, each=10, grouped=True) <= 0.1


def test_equal_pairs_of_an_article_say_no_more_than_one() -> None:
    one, ten = (abstention.choose(population(150, 1, each=n), target_risk=0.2, risk_confidence=0.9) for n in (1, 10))
    assert (ten.threshold, ten.bound) == pytest.approx((one.threshold, one.bound))


def test_the_bound_without_errors_is_the_rule_of_three_and_with_nothing_but_errors_one() -> None:
    articles = np.arange(300)
    assert abstention.upper_bound(np.zeros(300, bool), articles, 0.95) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert abstention.upper_bound(np.ones(300, bool), articles, 0.95) == 1


def test_a_stricter_target_never_answers_more() -> None:
    answers = population(2000, 7)
    found = [abstention.choose(answers, target_risk=r, risk_confidence=0.95) for r in (0.04, 0.1, 0.15, 0.2, 0.3)]
    coverages = [0 if one.threshold is None else one.coverage for one in found]
    assert coverages == sorted(coverages)
    assert 0 < coverages[1] < coverages[-1] == 1


def test_a_target_out_of_reach_is_said_to_be_and_the_closest_is_named() -> None:
    found = abstention.choose(population(40, 1), target_risk=0.01, risk_confidence=0.95)
    assert found.threshold is None
    assert str(found).startswith("abstention: no threshold keeps to the target risk 1.0%; the closest answers ")
    assert f"at most {found.bound:.1%} with 95% confidence" in str(found)


def test_a_threshold_is_printed_with_what_it_does() -> None:
    found = Abstention(0.1, 0.95, 0.8123, 0.58, 0.061, 0.094, 2310)
    assert str(found) == (
        "abstention: below confidence 0.8123 for the target risk 10.0%: answers 58% of 2310 pairs, 6.1% of them "
        "wrongly, at most 9.4% with 95% confidence"
    )


# On other pairs.


def test_coverage_and_risk_at_a_threshold_have_intervals_over_articles() -> None:
    answers = population(200, 3, each=5)
    found = abstention.estimates(answers, 0.8, resamples=300, seed=1)
    kept = answers.confidence >= 0.8
    assert found["coverage"].value == pytest.approx(kept.mean())
    assert found["selective_risk"].value == pytest.approx(answers.wrong[kept].mean())
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high


def test_a_threshold_that_nothing_reaches_answers_nothing() -> None:
    found = abstention.estimates(population(9, 3), 1.0, resamples=20, seed=1)
    assert found == {"coverage": Estimate(0, 0, 0), "selective_risk": Estimate(0, 0, 0)}


@pytest.mark.parametrize(("target", "verdict"), [(0.1, "missed"), (0.9, "kept")])
def test_the_verdict_says_whether_the_promise_was_kept(target: float, verdict: str) -> None:
    metadata = {"abstention": {"target_risk": target, "threshold": 0.55}}
    found = abstention.judge(population(300, 5), metadata, resamples=20, seed=1)
    assert found is not None
    assert str(found).endswith(f"the target risk {target:.1%} is {verdict}")
    assert found.to_json()["risk"] == [found.risk.value, found.risk.low, found.risk.high]


@pytest.mark.parametrize("metadata", [{}, {"abstention": None}, {"abstention": {"threshold": None}}])
def test_without_a_threshold_there_is_no_verdict(metadata: dict[str, Any]) -> None:
    assert abstention.judge(population(9, 5), metadata, resamples=20, seed=1) is None


# The artifact and its readers.


def altered(place: Workplace, folder: Path, **changes: Any) -> Path:
    """A copy of the artifact whose `stance.json` says something else; None takes a key away."""
    for name in ("tokenizer.json", "model.int8.onnx"):
        shutil.copy(place.artifact / name, folder / name)
    metadata = json.loads((place.artifact / "stance.json").read_text("utf-8")) | changes
    jsonl.write_json(folder / "stance.json", {k: v for k, v in metadata.items() if v is not None})
    return folder


def promise(threshold: float | None) -> dict[str, Any]:
    return {"target_risk": 0.1, "risk_confidence": 0.95, "threshold": threshold, "coverage": 0.5, "risk": 0.05}


@pytest.fixture(scope="module")
def middle(exported: Workplace) -> float:
    """A threshold that some answers to `PAIRS` reach."""
    return float(np.median(StancePredictor.load(exported.artifact).probabilities(PAIRS).max(1)))


@pytest.fixture
def careful(exported: Workplace, tmp_path: Path, middle: float) -> Path:
    return altered(exported, tmp_path, abstention=promise(middle))


def test_the_artifact_keeps_the_threshold_of_its_validation_split(exported: Workplace) -> None:
    examples: list[Example] = dataset.load(exported.dataset)[0]["validation"]
    predictor = StancePredictor.load(exported.artifact)
    answers = Answers.to(examples, predictor.probabilities([e.pair() for e in examples]))
    expected = abstention.choose(answers, target_risk=0.1, risk_confidence=0.95)
    kept = Abstention(**predictor.metadata["abstention"])
    assert (kept.target_risk, kept.risk_confidence, kept.pairs) == (0.1, 0.95, len(examples))
    assert (kept.coverage, kept.risk, kept.bound) == pytest.approx((expected.coverage, expected.risk, expected.bound))
    assert predictor.threshold == kept.threshold == expected.threshold


def test_answers_below_the_threshold_are_abstained_from_and_nothing_else_changes(careful: Path, middle: float) -> None:
    predictor = StancePredictor.load(careful)
    asked, plain = predictor.predict(PAIRS, abstain=True), predictor.predict(PAIRS)
    assert {answer.abstained for answer in asked} == {True, False}
    for one, other in zip(asked, plain, strict=True):
        assert one.abstained == (one.confidence < middle)
        assert other.abstained is None
        assert one.to_json() == {**other.to_json(), "abstained": one.abstained}
        assert list(other.to_json()) == ["stance", "confidence", "oppose", "neutral", "support"]


def test_an_artifact_without_the_new_keys_still_loads(exported: Workplace, tmp_path: Path) -> None:
    old = StancePredictor.load(altered(exported, tmp_path, abstention=None, calibration=None))
    assert old.threshold is None
    assert old.predict(PAIRS) == StancePredictor.load(exported.artifact).predict(PAIRS)
    with pytest.raises(StanceError, match=r"no threshold to abstain by: none was chosen; export it again with"):
        old.predict(PAIRS, abstain=True)


def test_abstaining_by_a_target_that_was_not_reached_is_refused(exported: Workplace, tmp_path: Path) -> None:
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=promise(None)))
    with pytest.raises(StanceError, match=r"none kept to the target risk 0\.1 on validation; export it again"):
        predictor.predict([], abstain=True)


@pytest.mark.parametrize("value", [[], 0.8, {"threshold": "0.8"}, {"threshold": 1.2}, {"threshold": -0.1}])
def test_a_threshold_that_is_none_is_refused(exported: Workplace, tmp_path: Path, value: Any) -> None:
    with pytest.raises(StanceError, match=r"stance\.json: abstention .*, expected null or an object with a threshold"):
        StancePredictor.load(altered(exported, tmp_path, abstention=value))


@pytest.mark.parametrize(
    "bad", [{"target_risk": -0.1}, {"target_risk": 1.0}, {"risk_confidence": 0.0}, {"risk_confidence": 1.0}]
)
def test_a_target_without_a_meaning_is_refused(bad: dict[str, float], tmp_path: Path) -> None:
    ((name, value),) = bad.items()
    with pytest.raises(StanceError, match=rf"export\.{name}={value}: expected a "):
        export.write(tmp_path / "none", [], ExportConfig(**bad), output=tmp_path / "artifact", about={})


def test_the_reader_leaves_out_what_the_model_abstains_from(exported: Workplace, tmp_path: Path) -> None:
    article = Article("a", TEXT + " The Ghani administration rejected the interim government.")
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=promise(0.97)))
    assert ArticleReader(predictor, threshold=0.5, abstain=True).threshold == 0.97
    assert ArticleReader(predictor, threshold=0.99, abstain=True).threshold == 0.99
    careful, plain = (ArticleReader(predictor, threshold=0, abstain=a).read(article) for a in (True, False))
    assert {t for t in plain if t.confidence >= 0.97} >= set(careful)
    assert all(triple.confidence >= 0.97 for triple in careful)


def test_a_reader_that_can_not_abstain_is_refused(exported: Workplace, tmp_path: Path) -> None:
    predictor = StancePredictor.load(altered(exported, tmp_path, abstention=None))
    with pytest.raises(StanceError, match="no threshold to abstain by"):
        ArticleReader(predictor, abstain=True)


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


def test_evaluation_reports_coverage_and_risk_at_the_threshold_of_the_artifact(
    exported: Workplace, careful: Path, middle: float
) -> None:
    rows, _ = dataset.load(exported.dataset)
    report = evaluation.score(StancePredictor.load(careful), rows, EvaluationConfig(resamples=50))
    assert report.kept is not None
    answered = report.answers.confidence >= middle
    assert report.kept.coverage.value == pytest.approx(answered.mean())
    assert report.kept.risk.value == pytest.approx(report.answers.wrong[answered].mean())
    flat = evaluation.metrics(report)
    assert (flat["test_answered_coverage"], flat["test_answered_risk"]) == (
        report.kept.coverage.value,
        report.kept.risk.value,
    )
    assert report.to_json()["abstention"]["threshold"] == middle


# Behind MLflow.


@pytest.fixture
def served(exported: Workplace, careful: Path, tmp_path: Path) -> mlflow.pyfunc.PyFuncModel:
    """An artifact with a threshold, logged and loaded as any MLflow user loads it."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = TrackingConfig(uri=uri, artifacts=str(tmp_path / "artifacts"), system_metrics_seconds=0)
    metadata = json.loads((careful / "stance.json").read_text("utf-8"))
    files = {name: metadata["files"][name] for name in ("tokenizer.json", "model.int8.onnx")}
    jsonl.write_json(careful / "stance.json", metadata | {"files": files})
    from stance import registry

    with tracking.run(config, stage="register", settings={}) as active:
        rows = dataset.load(exported.dataset)[0]["validation"][:8]
        registry.register(careful, rows, name="stance", run_id=active.id)
    return mlflow.pyfunc.load_model("models:/stance@champion")


def test_the_served_model_abstains_only_when_asked(served: mlflow.pyfunc.PyFuncModel, careful: Path) -> None:
    import pandas as pd

    table = pd.DataFrame([{"text": p.text, "actor": p.actor, "target": p.target} for p in PAIRS])
    plain, asked = served.predict(table), served.predict(table, params={"abstain": True})
    assert list(plain.columns) == ["stance", "confidence", "oppose", "neutral", "support"]
    assert list(asked.columns) == [*plain.columns, "abstained"]
    answers = StancePredictor.load(careful).predict(PAIRS, abstain=True)
    assert asked["abstained"].tolist() == [answer.abstained for answer in answers]
    with pytest.raises(MlflowException, match="abstain"):
        served.predict(table, params={"abstain": "perhaps"})
