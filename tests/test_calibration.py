"""Whether confidence means what it says: measures with known answers, the temperature, intervals, pictures."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, brier_score_loss, log_loss

import tiny
from conftest import Workplace
from stance.bootstrap import Estimate
from stance.building import dataset
from stance.predictor import StancePredictor
from stance.records import LABELS, MASKED, Example, Pair, Stance
from stance.reporting import plots
from stance.scoring import calibration, trust
from stance.scoring.abstention import Kept, choose
from stance.scoring.scores import Answers, known


def answers(probabilities: Sequence[Sequence[float]], references: Sequence[int], groups: Sequence[str] = ()) -> Answers:
    """Answers; each to a question of an article of its own where nothing else is said."""
    names = groups or [f"a{n}" for n in range(len(references))]
    return Answers(np.array(probabilities, float).reshape(-1, 3), np.array(references, np.int64), np.array(names))


def confident(*parts: tuple[float, int, int]) -> Answers:
    """Answers `oppose` with each confidence, so many of them right and so many wrong."""
    rows = [[p, (1 - p) / 2, (1 - p) / 2] for p, right, wrong in parts for _ in range(right + wrong)]
    return answers(rows, [label for _, right, wrong in parts for label in [0] * right + [2] * wrong])


@st.composite
def some(draw: st.DrawFn) -> Answers:
    """Answers of any quality, of few different confidences, so that ties are frequent."""
    count, seed = draw(st.integers(1, 40)), draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    shares = random.integers(0, 4, (count, 3)) + random.permuted(np.tile([0.25, 0.5, 1.0], (count, 1)), axis=1)
    groups = random.choice(list("abcdefg"), count).tolist()
    return answers(shares / shares.sum(1, keepdims=True), random.integers(0, 3, count).tolist(), groups)


def draws(count: int, *, temperature: float = 1.0, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Logits that are `temperature` times those that the labels were drawn by."""
    random = np.random.default_rng(seed)
    honest = random.normal(size=(count, 3)) * 2
    chosen = [int(random.choice(3, p=row)) for row in calibration.softmax(honest)]
    return honest * temperature, chosen


# The expected calibration error.


def test_the_calibration_error_of_perfect_confidence_is_zero() -> None:
    found = confident((0.45, 9, 11), (0.65, 13, 7), (0.85, 17, 3), (1.0, 5, 0))
    assert calibration.measures(found)["calibration_error"] == pytest.approx(0, abs=1e-9)
    accuracies = [accuracy for _, _, accuracy, _, _ in calibration.reliability(found)]
    assert accuracies == pytest.approx([0.45, 0.65, 0.85, 1.0])


def test_certain_and_wrong_is_the_largest_calibration_error() -> None:
    found = calibration.measures(confident((1.0, 0, 8)))
    assert (found["calibration_error"], found["overconfidence"], found["brier"]) == pytest.approx((1, 1, 2))


def test_the_calibration_error_weighs_bins_by_their_rows() -> None:
    found = calibration.measures(confident((0.95, 10, 20), (0.55, 5, 5)))
    assert found["calibration_error"] == pytest.approx(0.75 * abs(1 / 3 - 0.95) + 0.25 * abs(0.5 - 0.55))


def test_overconfidence_has_a_sign_and_the_calibration_error_none() -> None:
    timid, bold = (calibration.measures(confident((0.7, right, 10 - right))) for right in (9, 5))
    assert (timid["overconfidence"], bold["overconfidence"]) == pytest.approx((-0.2, 0.2))
    assert (timid["calibration_error"], bold["calibration_error"]) == pytest.approx((0.2, 0.2))


@given(found=some())
def test_the_calibration_error_is_what_the_reliability_bins_say(found: Answers) -> None:
    bins = calibration.reliability(found)
    assert sum(share for *_, share in bins) == pytest.approx(1)
    assert all(low <= confidence <= high for low, high, _, confidence, _ in bins)
    expected = sum(share * abs(accuracy - confidence) for _, _, accuracy, confidence, share in bins)
    assert calibration.measures(found)["calibration_error"] == pytest.approx(expected)


# Proper scores.


def test_the_brier_score_of_one_answer_is_the_squared_distance_to_its_label() -> None:
    found = calibration.measures(answers([[0.7, 0.2, 0.1]], [1]))
    assert found["brier"] == pytest.approx(0.7**2 + 0.8**2 + 0.1**2)
    assert found["nll"] == pytest.approx(-np.log(0.2))


@given(found=some())
def test_the_proper_scores_agree_with_scikit_learn(found: Answers) -> None:
    measured = calibration.measures(found)
    truth, labels = found.references, [0, 1, 2]
    assert measured["brier"] == pytest.approx(
        brier_score_loss(truth, found.probabilities, labels=labels, scale_by_half=False)
    )
    assert measured["nll"] == pytest.approx(log_loss(truth, found.probabilities.clip(1e-12), labels=labels), rel=1e-6)


# Risk over coverage.


def test_the_area_under_risk_over_coverage_in_closed_form() -> None:
    # By falling confidence: right, wrong, right, wrong. Risks after each: 0, 1/2, 1/3, 1/2.
    found = confident((0.9, 1, 0), (0.8, 0, 1), (0.7, 1, 0), (0.6, 0, 1))
    thresholds, coverage, risk = calibration.risk_coverage(found)
    assert thresholds.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert calibration.measures(found)["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equally_confident_answers_are_given_together() -> None:
    found = confident((0.9, 2, 0), (0.6, 1, 1))
    thresholds, coverage, risk = calibration.risk_coverage(found)
    assert (thresholds.tolist(), coverage.tolist(), risk.tolist()) == ([0.9, 0.6], [0.5, 1], [0, 0.25])
    assert calibration.measures(found)["aurc"] == pytest.approx((0 + 0 + 0.25 + 0.25) / 4)


def test_without_information_the_area_is_the_error_rate() -> None:
    assert calibration.measures(confident((0.5, 7, 3)))["aurc"] == pytest.approx(0.3)


def test_the_area_of_many_answers_is_the_integral_of_the_curve() -> None:
    logits, chosen = draws(4000)
    found = answers(calibration.softmax(logits), chosen)
    _, coverage, risk = calibration.risk_coverage(found)
    assert calibration.measures(found)["aurc"] == pytest.approx(auc(coverage, risk), abs=2e-3)


@given(found=some())
def test_the_area_is_the_mean_risk_at_the_confidence_of_each_answer(found: Answers) -> None:
    risks = [found.wrong[found.confidence >= level].mean() for level in found.confidence]
    measured = calibration.measures(found)["aurc"]
    assert measured == pytest.approx(np.mean(risks))
    assert measured <= 1


@given(found=some(), seed=st.integers(0, 99))
def test_the_order_of_the_rows_changes_no_measure(found: Answers, seed: int) -> None:
    mixed = found.only(np.random.default_rng(seed).permutation(len(found.references)))
    assert calibration.measures(mixed) == pytest.approx(calibration.measures(found))


def test_no_answers_have_no_measure() -> None:
    assert all(np.isnan(value) for value in calibration.measures(answers([], [])).values())


# Intervals.


@settings(max_examples=30)
@given(found=some(), seed=st.integers(0, 99))
def test_the_bootstrap_measures_the_articles_that_were_drawn(found: Answers, seed: int) -> None:
    # Drawing articles with repetition is the same as writing their rows down as often.
    names = np.unique(found.groups)
    drawn = np.random.default_rng(seed).integers(0, len(names), len(names))
    rows = np.concatenate([np.flatnonzero(found.groups == names[n]) for n in drawn])
    weights = np.bincount(rows, minlength=len(found.references)).astype(float)
    weighted = {name: float(v) for name, v in calibration._weighted(found)(weights).items()}
    assert weighted == pytest.approx(calibration.measures(found.only(rows)))


def test_the_intervals_hold_their_values_and_narrow_with_more_articles() -> None:
    logits, chosen = draws(2000, seed=3)
    found = answers(calibration.softmax(logits * 2), chosen, [f"a{n // 10}" for n in range(2000)])
    many = calibration.estimates(found, resamples=200, seed=1)
    few = calibration.estimates(found.only(np.arange(200)), resamples=200, seed=1)
    whole = calibration.measures(found)
    assert many.keys() == whole.keys()
    for name, estimate in many.items():
        assert estimate.value == pytest.approx(whole[name])
        assert estimate.low < estimate.value < estimate.high
        assert few[name].high - few[name].low > 1.5 * (estimate.high - estimate.low)


def test_articles_are_drawn_and_not_their_pairs() -> None:
    logits, chosen = draws(60, seed=4)
    found = answers(calibration.softmax(logits), chosen, [f"a{n // 5}" for n in range(60)])
    thrice = found.only(np.repeat(np.arange(60), 3))
    one, other = (calibration.estimates(each, resamples=100, seed=5) for each in (found, thrice))
    for name, estimate in one.items():
        assert (other[name].low, other[name].high) == pytest.approx((estimate.low, estimate.high))


def test_one_article_has_no_interval() -> None:
    found = calibration.estimates(answers([[0.6, 0.2, 0.2]] * 3, [0, 0, 1], ["a"] * 3), resamples=50, seed=1)
    assert found["brier"].value > 0
    assert np.isnan(found["brier"].low)


# The temperature.


def likelihood(logits: np.ndarray, labels: Sequence[int], temperature: float) -> float:
    probabilities = calibration.softmax(logits / temperature)
    return float(-np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean())


@given(st.data(), st.integers(1, 30), st.floats(0.1, 20))
def test_the_temperature_never_worsens_the_likelihood(data: st.DataObject, count: int, scale: float) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    logits = (random.normal(size=(count, 3)) * scale).astype(np.float32)
    labels = random.integers(0, 3, count).tolist()
    temperature = calibration.fit_temperature(logits, labels)
    assert 0.25 <= temperature <= 8
    assert likelihood(logits, labels, temperature) <= likelihood(logits, labels, 1.0) + 1e-6


@pytest.mark.parametrize(("right", "least", "most"), [(12, 0.5, 1.0), (12 * 40, 0.25, 0.5)])
def test_a_dozen_right_answers_make_no_model_sure_of_everything(right: int, least: float, most: float) -> None:
    logits = np.tile(np.array([2.0, 0.0, 0.0], np.float32), (right, 1))
    assert least <= calibration.fit_temperature(logits, [0] * right) < most


@pytest.mark.parametrize("temperature", [0.3, 0.5, 3.0, 7.0])
def test_the_temperature_undoes_a_known_miscalibration(temperature: float) -> None:
    logits, chosen = draws(4000, temperature=temperature)
    assert calibration.fit_temperature(logits, chosen) == pytest.approx(temperature, rel=0.1)


def labelled(logits: np.ndarray, chosen: Sequence[int], labels: tuple[str, ...] = LABELS) -> list[Example]:
    rows = tiny.examples(len(logits))
    return [replace(e, stance=Stance(LABELS[c]), labels=labels) for e, c in zip(rows, chosen, strict=True)]


def test_calibration_says_what_the_temperature_does() -> None:
    logits, chosen = draws(3000, temperature=2.5)
    found = calibration.calibrate(logits, labelled(logits, chosen))
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    assert found.before == pytest.approx(calibration.measures(answers(calibration.softmax(logits), chosen)))
    assert found.before["calibration_error"] > 0.1 > 0.03 > found.after["calibration_error"]
    assert found.after["brier"] < found.before["brier"]
    before, after = (values["calibration_error"] for values in (found.before, found.after))
    assert str(found).startswith(f"ECE {before:.3f} -> {after:.3f}, Brier ")
    assert str(found).endswith(f" at temperature {found.temperature:.2f} on 3000 pairs")


def test_labels_that_a_corpus_does_not_know_take_no_part() -> None:
    logits, _ = draws(3000)
    random = np.random.default_rng(1)
    polar = calibration.softmax(logits[:, [0, 2]])
    chosen = [0 if random.random() < p else 2 for p in polar[:, 0]]
    rows = labelled(logits, chosen, ("oppose", "support"))
    masked = np.where(known(rows), logits * 2, MASKED)
    found = calibration.calibrate(masked, rows)
    assert found.temperature == pytest.approx(2, rel=0.1)
    assert found.after["calibration_error"] < 0.03
    # Probabilities of all three labels, as the predictor gives them, are brought down to the two in the same way.
    served = Answers.to(rows, calibration.softmax(logits * 2 / found.temperature))
    assert calibration.measures(served) == pytest.approx(found.after)


# What ships.


@pytest.fixture(scope="module")
def validation(exported: Workplace) -> list[Example]:
    return dataset.load(exported.dataset)[0]["validation"]


@pytest.mark.parametrize(
    ("way", "key"), [("with_places", "temperature"), ("without_places", "temperature_without_places")]
)
def test_the_artifact_keeps_the_measures_before_and_after_each_temperature(
    exported: Workplace, validation: list[Example], way: str, key: str
) -> None:
    metadata = json.loads((exported.artifact / "stance.json").read_text("utf-8"))
    kept = metadata["calibration"][way]
    predictor = StancePredictor.load(exported.artifact)
    pairs = [example.pair() for example in validation]
    rows = [n for n, pair in enumerate(pairs) if pair.placed or way == "without_places"]
    if way == "without_places":
        pairs = [Pair(pair.text, pair.actor, pair.target) for pair in pairs]
    asked = [validation[n] for n in rows]
    assert kept["pairs"] == len(asked)
    assert kept["temperature"] == metadata[key]
    shipped = calibration.measures(Answers.to(asked, predictor.probabilities(pairs)[rows]))
    raw = calibration.measures(Answers.to(asked, calibration.softmax(predictor.logits(pairs)[rows])))
    assert kept["after"] == pytest.approx(shipped, abs=1e-4)
    assert kept["before"] == pytest.approx(raw, abs=1e-4)
    assert kept["after"]["nll"] <= kept["before"]["nll"] + 1e-6


def test_the_validation_scores_of_the_artifact_hold_its_measures(
    exported: Workplace, validation: list[Example]
) -> None:
    metadata = json.loads((exported.artifact / "stance.json").read_text("utf-8"))
    probabilities = StancePredictor.load(exported.artifact).probabilities([example.pair() for example in validation])
    found = calibration.measures(Answers.to(validation, probabilities))
    assert {name: metadata["validation"][name] for name in found} == pytest.approx(found, abs=1e-4)


# Ways of asking.


def asked(
    places: tuple[np.ndarray, list[int]], bare: tuple[np.ndarray, list[int]]
) -> dict[str, tuple[list[Example], np.ndarray]]:
    """What an export hands to `trust.fit`: examples and logits by way of asking."""
    ways = {"with_places": places, "without_places": bare}
    return {way: (labelled(*found), found[0].astype(np.float32)) for way, found in ways.items()}


def test_each_way_of_asking_has_a_temperature_of_its_own() -> None:
    ways = asked(draws(2000), draws(2000, temperature=3, seed=1))
    found = trust.fit(ways, target_risk=0.2, risk_confidence=0.9)
    written, flat = found.to_json(), found.metrics()
    assert written["temperature"] == pytest.approx(1, rel=0.15)
    assert written["temperature_without_places"] == pytest.approx(3, rel=0.15)
    rows = tiny.examples(2)
    bare = [replace(row, actor_span=None, target_span=None) for row in rows]
    assert found.temperatures([*rows, *bare])[:, 0].tolist() == (
        [written["temperature"]] * 2 + [written["temperature_without_places"]] * 2
    )
    for way, (examples, logits) in ways.items():
        assert written["calibration"][way]["temperature"] == flat[f"{way}_temperature"]
        assert written["abstention"][way]["threshold"] == flat[f"{way}_threshold"]
        raw, calibrated = (
            Answers.to(examples, calibration.softmax(logits / t)) for t in (1, found.calibration[way].temperature)
        )
        assert found.abstention[way] == choose(calibrated, target_risk=0.2, risk_confidence=0.9)
        assert flat[f"{way}_brier"] == calibration.measures(calibrated)["brier"]
        assert flat[f"{way}_uncalibrated_brier"] == calibration.measures(raw)["brier"] != flat[f"{way}_brier"]
    assert [line.split(":")[0] for line in found.lines()] == [
        "asked with places",
        "asked without places",
        "asked with places, least confidence",
        "asked without places, least confidence",
    ]


def test_without_a_target_risk_nothing_is_chosen() -> None:
    found = trust.fit(asked(draws(50), draws(50)), target_risk=0, risk_confidence=0.9)
    assert found.to_json()["abstention"] is None
    assert len(found.lines()) == 2


def test_a_way_of_asking_without_pairs_that_know_all_labels_has_no_threshold_and_says_so() -> None:
    ways = asked(draws(50), draws(200, seed=1))
    polar = [replace(row, stance=Stance.SUPPORT, labels=("oppose", "support")) for row in ways["with_places"][0]]
    found = trust.fit(ways | {"with_places": (polar, ways["with_places"][1])}, target_risk=0.4, risk_confidence=0.9)
    written = found.to_json()["abstention"]
    assert written["with_places"]["threshold"] is None
    assert written["with_places"]["pairs"] == 0
    assert written["with_places"]["target_risk"] == 0.4
    assert written["without_places"]["threshold"] is not None
    assert found.lines()[2] == (
        "asked with places, least confidence: none: no pair's corpus knows all labels, so there is nothing to choose "
        "one on"
    )


def test_a_model_of_two_labels_has_a_threshold_among_them() -> None:
    logits, truth = draws(400)
    rows = [row for row in labelled(logits, truth) if row.stance != Stance.NEUTRAL]
    kept = np.array([row.stance != Stance.NEUTRAL for row in labelled(logits, truth)])
    polar = [replace(row, labels=("oppose", "support")) for row in rows]
    masked = np.where(np.isin(LABELS, ("oppose", "support")), logits[kept], MASKED).astype(np.float32)
    ways = {"with_places": (polar, masked), "without_places": (polar, masked)}
    found = trust.fit(ways, target_risk=0.4, risk_confidence=0.9, knows=("oppose", "support")).abstention["with_places"]
    assert found.pairs == len(polar)
    assert found.threshold is not None


def test_a_threshold_that_is_out_of_reach_is_no_metric_and_null_in_the_artifact() -> None:
    found = trust.fit(asked(draws(50), draws(50)), target_risk=0.001, risk_confidence=0.9)
    assert found.to_json()["abstention"]["with_places"]["threshold"] is None
    assert not [name for name in found.metrics() if name.endswith(("threshold", "coverage"))]
    assert "none keeps to the target risk 0.1%; the closest answers" in found.lines()[2]


# Pictures.


def test_the_reliability_diagram_has_a_bar_for_each_bin_with_rows_and_the_ideal_line() -> None:
    (axes,) = plots.reliability_diagram(confident((0.95, 3, 1), (0.55, 1, 1)), "test").axes
    bars = sorted((round(b.get_x() + b.get_width() / 2, 3), b.get_height()) for b in axes.patches)  # type: ignore[attr-defined]
    assert bars == [(0.55, 0.5), (0.95, 0.75)]
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0, 0], [1, 1]]]


def test_the_risk_coverage_curve_stands_between_the_ideal_and_no_information() -> None:
    found = confident((0.9, 3, 0), (0.8, 1, 1), (0.6, 2, 3))
    kept = Kept(0.25, Estimate(0.5, 0.4, 0.6), Estimate(0.2, 0.1, 0.3))
    (axes,) = plots.risk_coverage_curve(found, "test", kept).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["model"] == [pytest.approx(point) for point in ([0.3, 0], [0.5, 0.2], [1, 0.4])]
    assert all(risk == pytest.approx(max(0, 1 - 0.6 / share)) for share, risk in lines["ideal"])
    assert lines["no information"] == [[0, 0.4], [1, 0.4]]
    (marked,) = axes.collections
    assert marked.get_offsets().tolist() == [pytest.approx([0.5, 0.2])]  # type: ignore[union-attr]


def test_the_picture_reaches_over_a_curve_whose_surest_answers_are_the_wrong_ones() -> None:
    found = confident((0.99, 0, 6), (0.6, 44, 0))
    (axes,) = plots.risk_coverage_curve(found, "test").axes
    curve = next(line for line in axes.lines if line.get_label() == "model").get_xydata()
    assert axes.get_ylim()[1] >= max(risk for coverage, risk in curve if coverage >= 0.05)  # type: ignore[union-attr]


@pytest.mark.filterwarnings("error")
def test_the_risk_coverage_curve_of_nothing_but_errors_is_drawn_without_a_mark() -> None:
    (axes,) = plots.risk_coverage_curve(confident((0.9, 0, 2)), "test").axes
    assert len(axes.collections) == 0
