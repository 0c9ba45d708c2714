"""Studies over many trainings, in miniature but with the real encoder: learning curve, review queue, transfer."""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from sklearn.metrics import f1_score

import tiny
from conftest import CORPUS, Workplace, script
from stance import jsonl
from stance.bootstrap import Estimate
from stance.building import dataset
from stance.building.splits import shuffled
from stance.errors import StanceError
from stance.jobs.training import TrainJob
from stance.predictor import StancePredictor
from stance.records import LABELS, Example, Stance
from stance.scoring import calibration, transfer
from stance.scoring.abstention import Kept
from stance.scoring.scores import by_group, estimates, flat, slice_rates
from stance.scoring.transfer import Confidence
from stance.settings.scoring import TransferConfig
from stance.settings.studies import CurveConfig, ReviewConfig
from stance.settings.training import TrainingConfig
from stance.studies import Memory, curve, review, scratch
from stance.studies.curve import Point
from stance.training import finetuning
from test_abstention import altered
from test_public import DSE, write_dse, write_seesaw


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up SEESAW and DSE in the published formats."""
    root = tmp_path_factory.mktemp("public")
    write_seesaw(root / "seesaw" / "SEESAW")
    write_dse(root / "dse", DSE, DSE[:1])
    return root


def runs(place: Workplace, stage: str) -> list[Run]:
    """The runs of a stage, the newest first."""
    client = MlflowClient(place.uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, filter_string=f"tags.`stance.stage` = '{stage}'"))


def metrics(place: Workplace, stage: str) -> dict[str, float]:
    """The metrics of the last run of a stage."""
    found: dict[str, float] = runs(place, stage)[0].data.metrics
    return found


def test_the_benchmark_asks_both_sides_by_names_alone_and_remembers_their_scores(tmp_path: Path) -> None:
    script("benchmark")  # which lets its parts be imported
    figures, trainings = import_module("benchmark_figures"), import_module("benchmark_training")
    rows = {"train": tiny.examples(36), "validation": tiny.examples(12, seed=1)}
    models, recipe = tiny.config(name=str(tiny.folder("bert", tmp_path / "bert"))), TrainingConfig(epochs=1)
    bench = figures.Bench(rows, TrainJob(model=models, training=recipe), tmp_path, tmp_path, repeats=1, load=0.0)
    memory = tmp_path / "memory.jsonl"
    assert trainings.quality(bench, 0, memory) == {}, "nothing is trained without being asked for"
    found = trainings.quality(bench, 1, memory)
    assert {side: len(figure.values) for side, figure in found.items()} == {
        "stance": 1,
        "stance, names alone": 1,
        "stock": 1,
    }
    kept = memory.read_bytes()
    assert trainings.quality(bench, 0, memory) == found
    assert trainings.quality(bench, 1, memory) == found
    assert memory.read_bytes() == kept
    other = replace(bench, job=TrainJob(model=models, training=replace(recipe, epochs=2)))
    assert trainings.quality(other, 0, memory) == {}, "of other settings"


@pytest.mark.parametrize(
    ("code", "message"),
    [("OURS", "no such directory; expected an artifact"), pytest.param("STOCK", "nowhere", marks=pytest.mark.slow)],
)
def test_a_cold_start_of_the_benchmark_runs_as_a_process(tmp_path: Path, code: str, message: str) -> None:
    script("benchmark")  # finds its parts
    source = getattr(import_module("benchmark_scoring"), code)
    there = str(tmp_path / "nowhere")
    done = subprocess.run([sys.executable, "-c", source, there, "t", "a", "b"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "NameError" not in done.stderr
    assert message in done.stderr


def test_the_benchmark_counts_a_speed_only_at_equal_answers_to_the_same_question() -> None:
    script("benchmark")
    figures, trainings = import_module("benchmark_figures"), import_module("benchmark_training")
    speed = {"training, stance": [figures.Figure((80.0,))], "training, stock": [figures.Figure((10.0,))]}
    scores = {name: figures.Figure((0.7,)) for name in ("stance", "stance, names alone", "stock")}
    assert trainings.trained_rows(speed, {})[0][-1] == "score not compared (`--quality`)"
    assert [row[-1] for row in trainings.trained_rows(speed, scores)] == ["yes", "yes", ""]
    scores["stance, names alone"] = figures.Figure((0.68,))
    assert [row[-1] for row in trainings.trained_rows(speed, scores)] == ["**no**, the score is lower", "**no**", ""]


def test_transfer_scores_the_exported_model_and_keeps_the_scores_in_mlflow(
    exported: Workplace, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = exported.root / "transfer.json"
    mean = script("transfer").main(
        [f"artifact={exported.artifact}", f"transfer.root={public}", f"output={out}", *exported.tracking]
    )
    found = json.loads(out.read_text())
    assert {name: part["pairs"] for name, part in found.items()} == {"seesaw-valid": 3, "dse-valid-clean": 4}
    headline = found["seesaw-valid"]["scores"]["two_way_accuracy"]["value"]
    assert headline in (0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1)
    assert mean == pytest.approx((headline + found["dse-valid-clean"]["scores"]["macro_f1"]["value"]) / 2)
    assert metrics(exported, "transfer")["seesaw_valid_two_way_accuracy"] == pytest.approx(headline)
    assert metrics(exported, "transfer").keys() >= {"dse_valid_clean_macro_f1_low", "dse_valid_clean_macro_f1_high"}
    tags, scored = runs(exported, "transfer")[0].data.tags, runs(exported, "export")[-1]
    assert tags["stance.dataset_sha256"] == scored.data.tags["stance.dataset_sha256"]
    assert (tags["stance.export_run"], tags["stance.model_version"]) == (scored.info.run_id, "1")
    version = MlflowClient(exported.uri).get_model_version("stance", "1")
    assert version.tags["stance.int8_transfer_run"] == runs(exported, "transfer")[0].info.run_id
    told = capsys.readouterr().out
    assert "seesaw-valid" in told
    assert "not of transfer" not in told
    assert {part["learned_from"] for part in found.values()} == {False}
    assert metrics(exported, "transfer")["seesaw_valid_brier"] == found["seesaw-valid"]["scores"]["brier"]["value"]


def test_what_a_killed_study_left_is_removed_by_the_next_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = f"""
        from importlib.machinery import SourceFileLoader
        import sys, tempfile
        tempfile.tempdir = {str(tmp_path)!r}
        with SourceFileLoader("scratch", {scratch.__file__!r}).load_module().folder() as folder:
            (folder / "weights").write_text("gigabytes")
            print(folder, flush=True)
            sys.stdin.read()
    """
    elsewhere = tmp_path / "mine"
    (elsewhere / "work").mkdir(parents=True)
    (elsewhere / "lock").touch()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{scratch.PREFIX}begins").mkdir()
    far = tmp_path / scratch.PREFIX.replace("study-", "study-far_")
    (far / "work").mkdir(parents=True)
    (far / "lock").touch()  # that its process holds it can't be seen from here
    command = [sys.executable, "-c", dedent(other)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        left = Path(process.stdout.readline().strip())
        with scratch.folder() as folder:
            assert {folder.parent.parent, left.parent.parent} == {tmp_path}
            assert (left / "weights").is_file(), "its process lives"
        process.kill()
    assert (left / "weights").is_file()
    with scratch.folder() as folder:
        assert not left.parent.exists()
        assert folder.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine", far.name, f"{scratch.PREFIX}link", f"{scratch.PREFIX}begins"
    }  # fmt: skip
    assert (far / "work").is_dir()
    assert (elsewhere / "work").is_dir()


def test_a_set_is_scored_three_way_and_one_without_neutral_two_way() -> None:
    rows, answers = tiny.examples(30), np.random.default_rng(0).normal(size=(30, 3))
    truth = np.array([LABELS.index(row.stance) for row in rows])
    polar, forced = truth != 1, np.where(answers[:, 0] > answers[:, 2], 0, 2)
    sets = {"all": rows, "polar": [row for row, kept in zip(rows, polar, strict=True) if kept]}
    every, two = transfer.score({"all": answers, "polar": answers[polar]}, sets, TransferConfig(resamples=100))
    assert (every.headline, two.headline) == ("macro_f1", "two_way_accuracy")
    assert every.scores["macro_f1"].value == pytest.approx(f1_score(truth, answers.argmax(1), average="macro"))
    assert every.scores["accuracy"].value == pytest.approx((truth == answers.argmax(1)).mean())
    counts = by_group(truth.tolist(), answers.argmax(1).tolist(), [row.article_id for row in rows])
    drawn = estimates(counts, resamples=100, seed=TransferConfig().seed, of=slice_rates(truth))
    assert every.scores["macro_f1"] == drawn["f1"], "articles are drawn"
    two_way = f1_score(truth[polar], forced[polar], labels=[0, 2], average="macro")
    for found in (every, two):
        right = (forced == truth)[polar].mean()
        assert found.scores["two_way_accuracy"].value == pytest.approx(right)
        assert found.scores["two_way_macro_f1"].value == pytest.approx(two_way)
        assert two_way != pytest.approx(right)


def test_scores_of_a_corpus_that_the_artifact_has_learned_from_are_not_called_transfer() -> None:
    def known(learned_from: list[str] | None) -> dict[str, bool | None]:
        facts = {} if learned_from is None else {"checkpoint": {"learned_from": learned_from}}
        return {name: transfer.learned(name, facts) for name in ("seesaw-valid", "newsmtsc-rw", "newsmtsc-mt")}

    ours = known(["dse:dse", "jsonl:stance-news"])
    assert set(ours.values()) == {False}
    assert transfer.warning(ours) == ""
    assert transfer.warning(known(["jsonl:stance-news", "newsmtsc:mine"])) == (
        "the artifact has learned from the training parts of newsmtsc-rw, newsmtsc-mt: these scores are not of transfer"
    )
    assert set(known(None).values()) == {None}
    assert known(["jsonl:mine", "seesaw:seesaw"]) == {"seesaw-valid": True, "newsmtsc-rw": None, "newsmtsc-mt": None}
    assert "may not be of transfer" in transfer.warning(known(["table:custom"]))


def test_confidence_on_a_set_is_over_the_labels_that_it_has(exported: Workplace, tmp_path: Path) -> None:
    rows = {"polar": tiny.examples(12, labels=("oppose", "support")), "all": tiny.examples(12)}
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 12)
    way = {"target_risk": 0.1, "threshold": 0.7}
    place = altered(exported, tmp_path, abstention={"with_places": way, "without_places": way})
    config = TransferConfig(resamples=20)
    answers = dict.fromkeys(rows, probabilities)
    polar, every = transfer.confidence(answers, rows, config, StancePredictor.load(place))
    assert [example.stance for example in rows["polar"]].count(Stance.NEUTRAL) == 0
    two_way = probabilities[:, [0, 2]] / probabilities[:, [0, 2]].sum(1, keepdims=True)
    truth = np.array([LABELS.index(row.stance) for row in rows["polar"]])
    right = probabilities[np.arange(12), truth] / probabilities[:, [0, 2]].sum(1)
    assert polar.measures["brier"].value == pytest.approx((2 * (1 - right) ** 2).mean())
    assert (two_way.max(1) >= 0.7).sum() > (probabilities.max(1) >= 0.7).sum()
    assert polar.kept is not None
    assert polar.kept.coverage.value == pytest.approx((probabilities.max(1) >= 0.7).mean()), "as predict abstains"
    answered = probabilities.max(1) >= 0.7
    wrong = probabilities.argmax(1) != truth
    assert wrong[answered].any()
    assert polar.kept.risk.value == pytest.approx(wrong[answered].mean()), "neutral is a wrong answer there"
    assert every.kept is not None
    assert every.kept.coverage.value == pytest.approx((probabilities.max(1) >= 0.7).mean())
    header, *lines = transfer.confidence_table([polar, every])
    assert header[-2:] == ["coverage [95 %]", "risk [95 %]"]
    assert [(line[0], line[-2]) for line in lines] == [(c.name, str(c.kept.coverage)) for c in (polar, every) if c.kept]
    never = {**way, "threshold": 1.0}
    silent = altered(exported, tmp_path, abstention={"with_places": never, "without_places": never})
    none, _ = transfer.confidence(answers, rows, config, StancePredictor.load(silent))
    assert transfer.confidence_table([none])[1][-2:] == ["0.000 [0.000, 0.000]", "–"]
    assert "polar_risk" not in flat("polar", none.estimates())
    old = StancePredictor.load(altered(exported, tmp_path, abstention=None))
    without = transfer.confidence(answers, rows, config, old)
    assert [len(row) for row in transfer.confidence_table(without)] == [5, 5, 5]


@pytest.mark.slow
def test_the_learning_curve_plots_every_point_and_goes_on_where_it_was_cut_off(
    built: Workplace, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = built.root / "curve" / "curve.png"
    settings = [f"dataset={built.dataset}", f"output={out}", "training.epochs=1", "curve.seeds=[1]", *built.tracking]
    script("learning_curve").main([*settings, "curve.articles=[3]"])
    (first,) = [row for _, row in jsonl.read(out.with_suffix(".jsonl"))]
    assert first["articles"] == 3
    tagged = {name for name in runs(built, "learning_curve")[0].data.tags if name.startswith("stance.alert_")}
    assert tagged == {f"stance.alert_{name}" for name in first["alerts"]}, "no set is scored that was learned"
    script("learning_curve").main([*settings, "curve.articles=[3,99]", "public=true", f"transfer.root={public}"])
    rows = [row for _, row in jsonl.read(out.with_suffix(".jsonl"))]
    everything, _ = dataset.load(built.dataset)
    whole = len({e.article_id for e in everything["train"]})
    assert [row["articles"] for row in rows] == [3, 3, whole]  # the third with the public corpora, so not the first
    assert rows[0] == first
    assert rows[2]["pairs"] == len(everything["train"])
    assert {"validation_macro_f1", "seesaw-valid two_way_accuracy"} <= set(rows[2]["scores"])
    assert out.read_bytes().startswith(b"\x89PNG")
    again = script("learning_curve").main(
        [*settings, "curve.articles=[3,99]", "public=true", f"transfer.root={public}"]
    )
    assert again == out
    rates = {run.data.params["training.learning_rate"] for run in runs(built, "learning_curve")}
    assert rates == {"0.0002"}  # what null means here
    assert len(list(jsonl.read(out.with_suffix(".jsonl")))) == 3


def test_a_point_learns_from_questions_without_a_label_of_its_own_articles_alone(tmp_path: Path) -> None:
    encoder = str(tiny.folder("bert", tmp_path / "encoder"))
    recipe = TrainingConfig(epochs=1, tokens_per_batch=128, precision="fp32", teacher_cache=str(tmp_path / "cache"))
    splits = {
        "train": [replace(e, article_id=f"a{n % 4}") for n, e in enumerate(tiny.examples(24, seed=1))],
        "validation": tiny.examples(12, seed=2),
    }
    taught = finetuning.train(splits, tiny.config(name=encoder), recipe, output=tmp_path / "teacher", about={})
    recipe = replace(recipe, teacher=[str(taught.checkpoint)])
    (first,) = shuffled({"a0", "a1", "a2", "a3"}, 1)[:1]

    def points(more: Mapping[str, int]) -> int:
        """How many trainings there were in all after one with so many questions of each article."""
        asked = [
            replace(e, id=f"{name}{n}", article_id=name, provenance="unlabelled")
            for name, number in more.items()
            for n, e in enumerate(tiny.examples(number, seed=3))
        ]
        found = curve.points(
            {**splits, "unlabelled": asked}, tiny.config(name=encoder), recipe,
            CurveConfig(articles=[1], seeds=[1]), others={}, score=lambda answers: {}, memory=tmp_path / "memory.jsonl",
        )  # fmt: skip
        assert [(point.articles, point.pairs) for point in found] == [(1, 6)]
        return len(list(jsonl.read(tmp_path / "memory.jsonl")))

    other = next(f"a{n}" for n in range(4) if f"a{n}" != first)
    assert [points({}), points({other: 3}), points({first: 3}), points({first: 3, other: 6})] == [1, 1, 2, 2]


def test_a_point_is_trained_once_for_each_seed_recipe_and_validation_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def train(splits: Any, models: Any, recipe: TrainingConfig, *_: Any) -> tuple[dict[str, float], dict[str, str]]:
        trained.append(recipe.seed)
        return {"macro_f1": 0.5}, {}

    monkeypatch.setattr(curve, "_train", train)  # what is tested is what is trained, and what is known already
    splits = {"train": tiny.examples(12, seed=1), "validation": tiny.examples(12, seed=2)}

    def seeds(parts: Mapping[str, Any] = splits, *, seed: int = 3, **changes: int) -> list[int]:
        """The seeds of the trainings that one point has needed."""
        trained.clear()
        found = curve.points(
            parts, tiny.config(name="none"), TrainingConfig(**changes),  # type: ignore[arg-type]
            CurveConfig(articles=[6], seeds=[seed]), others={}, score=lambda answers: {}, memory=tmp_path / "memory",
        )  # fmt: skip
        assert [(point.articles, point.seed) for point in found] == [(6, seed)]
        return list(trained)

    assert [seeds(), seeds()] == [[3], []]
    assert [seeds(seed=4), seeds(seed=4)] == [[4], []]
    assert [seeds(epochs=9), seeds(epochs=9)] == [[3], []]
    assert seeds({**splits, "validation": tiny.examples(12, seed=5)}) == [3]


def test_a_curve_goes_on_in_the_precision_that_was_measured_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[str] = []

    def train(splits: Any, models: Any, recipe: TrainingConfig, *_: Any) -> tuple[dict[str, float], dict[str, str]]:
        trained.append(recipe.precision)
        return {"macro_f1": 0.5}, {}

    monkeypatch.setattr(curve, "_train", train)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("stance.network.precision.bf16_instructions", lambda: ["avx512_bf16"])
    splits = {"train": tiny.examples(12, seed=1), "validation": tiny.examples(12, seed=2)}
    models, memory = tiny.config(name="none"), tmp_path / "memory"

    def trainings(gain: float, articles: list[int], **changes: Any) -> list[str]:
        """The precision of each training that there is where bf16 seems `gain` times as fast."""
        monkeypatch.setattr("stance.network.precision.bf16_gain", lambda: gain)
        trained.clear()
        config = CurveConfig(articles=articles, seeds=[1])
        recipe = curve.settled(splits, models, TrainingConfig(**changes), config, others={}, memory=memory)
        points = curve.points(splits, models, recipe, config, others={}, score=lambda answers: {}, memory=memory)
        assert len(list(points)) == len(articles)
        return list(trained)

    assert trainings(3.0, [3]) == ["bf16"]
    assert capsys.readouterr().out == ""
    assert trainings(0.5, [3, 6]) == ["bf16"], "the point that was missing"
    assert f"training.precision=auto: bf16, in which {memory} was begun; measured" in capsys.readouterr().out
    assert trainings(0.5, [3, 6], precision="fp32") == ["fp32", "fp32"]
    assert trainings(0.5, [3], epochs=9) == ["fp32"], "nothing of it is known"


def test_a_training_of_a_curve_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(splits: Mapping[str, Any], *_: Any) -> tuple[dict[str, float], dict[str, str]]:
        if len(splits["train"]) > 6:
            raise StanceError("the loss is nan")
        return {"macro_f1": 0.5}, {}

    monkeypatch.setattr(curve, "_train", train)
    splits = {"train": tiny.examples(12, seed=1), "validation": tiny.examples(12, seed=2)}
    config, memory = CurveConfig(articles=[3, 6], seeds=[4]), tmp_path / "memory"
    running = curve.points(
        splits, tiny.config(name="none"), TrainingConfig(), config, others={}, score=lambda answers: {}, memory=memory
    )
    assert next(running).articles == 3
    match = rf"^curve\.articles=6, seed 4: the loss is nan; the other points are kept in {memory}: change it or leave"
    with pytest.raises(StanceError, match=match):
        next(running)


def test_a_curve_names_what_it_does_not_use(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {name: tiny.examples(12, seed=number) for number, name in enumerate(("train", "validation", "test"))}
    folder = tiny.dataset(tmp_path / "dataset", rows)
    settings = [f"model.name={encoder}", "model.max_passage_tokens=48", "curve.articles=[6]", "curve.seeds=[1]"]
    with pytest.raises(StanceError, match=r"^tracking\.system_metrics_seconds=-1"):  # which is found out next
        script("learning_curve").main(
            [f"dataset={folder}", f"output={tmp_path}/curve.png", *settings, "transfer.root=elsewhere",
             "tracking.system_metrics_seconds=-1"]
        )  # fmt: skip
    assert capsys.readouterr().out.splitlines()[1:] == ["transfer.root=elsewhere has no effect without public=true"]


def test_studies_beside_each_other_keep_the_parts_of_both(tmp_path: Path) -> None:
    one, other = Memory(tmp_path / "outcomes.jsonl"), Memory(tmp_path / "outcomes.jsonl")
    one.keep("a", {"x": 1})
    other.keep("b", {"x": 2})
    one.keep("c", {"x": 3})
    assert Memory(tmp_path / "outcomes.jsonl").known == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}}


def test_a_file_of_something_else_is_not_taken_for_finished_parts(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"id": "article-1"}\n')
    with pytest.raises(StanceError, match=r"corpus\.jsonl: not the finished parts of a study"):
        Memory(tmp_path / "corpus.jsonl")


def test_a_curve_that_can_not_be_drawn_is_refused_before_a_training(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"output=curve\.jsonl: expected the name of a picture, \.png"):
        script("learning_curve").main(["output=curve.jsonl", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"])
    with pytest.raises(StanceError, match=r"curve\.seeds different numbers from 0"):
        curve.check(CurveConfig(seeds=[1, 1]))


def test_a_point_whose_articles_lack_a_label_is_refused_before_a_training() -> None:
    rows = tiny.examples(24, seed=1)
    one = [replace(row, article_id=row.stance.value) for row in rows]
    splits = {"train": one, "validation": tiny.examples(12, seed=2)}
    curve.check_subsets(splits, TrainingConfig(), CurveConfig(articles=[3, 9], seeds=[1, 2]))
    match = r"^curve\.articles=2 with seed 1, too few perhaps: the train split has no example of \w+ \("
    with pytest.raises(StanceError, match=match):
        curve.check_subsets(splits, TrainingConfig(), CurveConfig(articles=[3, 2], seeds=[1]))


def test_a_curve_of_a_model_that_knows_all_articles_is_refused(exported: Workplace) -> None:
    settings = [f"dataset={exported.dataset}", f"output={exported.root}/known.png", *exported.tracking]
    with pytest.raises(StanceError, match="one has learned from all articles of this dataset"):
        script("learning_curve").main([*settings, "curve.seeds=[1]", f"training.initial={exported.checkpoint}"])
    assert not (exported.root / "known.jsonl").exists()


def test_a_point_that_was_kept_before_alerts_were_is_read(tmp_path: Path) -> None:
    Memory(tmp_path / "memory.jsonl").keep("a", {"articles": 8, "pairs": 100, "seed": 1, "scores": {"f1": 0.5}})
    (row,) = Memory(tmp_path / "memory.jsonl").known.values()
    warned = Point(8, 100, 2, {"f1": 0.5}, {"memory": "full"})
    assert curve.alerts([Point(**row), warned]) == {"memory": "8 articles, seed 2: full"}


def test_the_table_of_a_curve_gives_mean_and_range_over_seeds() -> None:
    found = [Point(8, 100, seed, {"f1": value}) for seed, value in ((1, 0.5), (2, 0.7))]
    assert curve.table(found) == [["articles", "pairs", "seeds", "f1"], ["8", "100", "2", "0.600 (0.500–0.700)"]]


@pytest.mark.parametrize("bad", [{"articles": []}, {"articles": [0]}, {"seeds": []}, {"seeds": [-1]}])
def test_points_without_a_meaning_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(StanceError, match=r"curve\.articles"):
        curve.check(CurveConfig(**bad))


@pytest.mark.slow
def test_the_review_lists_doubts_of_models_that_did_not_see_the_article(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (CORPUS / "part-01.jsonl").read_text("utf-8").splitlines()]
    turned = {"support": "oppose", "oppose": "support", "neutral": "neutral"}
    wrong = lines[0]["annotations"][:6]
    for note in wrong:
        note["stance"] = turned[note["stance"]]
    jsonl.write(tmp_path / "corpus.jsonl", lines)
    out = tmp_path / "review.jsonl"
    script("review").main(
        [
            f"corpora.stance_news.path={tmp_path / 'corpus.jsonl'}",
            f"output={out}",
            "review.folds=2",
            "review.confidence=0.34",
            "review.per_article=2",
            "training.epochs=1",
            "examples.unlabelled=3",
            *built.tracking,
        ]
    )
    rows = [row for _, row in jsonl.read(out)]
    assert {row["kind"] for row in rows} <= {"label", "missed"}
    labels = [row for row in rows if row["kind"] == "label"]
    assert labels
    known = {(note["actor"]["name"], note["target"]["name"]) for line in lines for note in line["annotations"]}
    assert {(row["actor"], row["target"]) for row in labels} <= known, "what has no label is no label error"
    for row in labels:
        assert row["predicted"] != row["stance"]
        assert 0 <= row["quality"] <= row["confidence"] <= 1
    found = metrics(built, "review")
    assert 0 < found["out_of_fold_model_macro_f1"] < 1
    assert found["out_of_fold_majority_macro_f1"] < 0.34
    said = capsys.readouterr().out
    assert "to look at" in said
    assert "no unannotated pair" not in said


def test_no_model_is_asked_about_an_article_that_it_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seen, random = tiny.examples(60), list[tuple[set[str], set[str]]](), np.random.default_rng(0)
    sampled = [
        replace(row, id=f"{row.id}-s", actor="nobody", provenance="sampled", stance=Stance.NEUTRAL) for row in rows * 3
    ]
    alone = replace(sampled[0], id="alone", article_id="nothing to learn from", text="Nobody met a mayor.")
    given: dict[str, np.ndarray[Any, Any]] = {}

    def answers(learned: Any, held: Any, asked: Any, *_: Any) -> tuple[np.ndarray[Any, Any], dict[str, str]]:
        assert {row.article_id for row in held} == {row.article_id for row in asked} - {alone.article_id}
        seen.append(({row.article_id for row in learned}, {row.article_id for row in asked}))
        drawn = random.dirichlet([1, 1, 1], len(asked))
        given.update(zip((row.id for row in asked), drawn, strict=True))
        return drawn, {"guessing": "no better"} if len(seen) > 1 else {}

    monkeypatch.setattr(review, "_answers", answers)  # what is tested is who is asked and what becomes of the answers
    config = ReviewConfig(folds=3, confidence=0.5, per_article=2)
    found = review.review(rows, [*rows, *sampled, alone], tiny.config(name="none"), TrainingConfig(), config)
    assert len(seen) == 3
    assert found.alerts == {"guessing": "fold 2: no better; fold 3: no better"}
    assert set.union(*(asked for _, asked in seen)) == {row.article_id for row in [*rows, alone]}
    assert all(learned and not learned & asked for learned, asked in seen)
    missed = [doubt for doubt in found.doubts if doubt.kind == "missed"]
    assert min(doubt.confidence for doubt in missed) >= 0.5
    assert max(Counter(doubt.article_id for doubt in missed).values()) == 2
    assert {doubt.actor for doubt in missed} == {"nobody"}, "what is annotated was not missed"
    truth, answered = [LABELS.index(row.stance) for row in rows], [int(given[row.id].argmax()) for row in rows]
    counts = by_group(truth, answered, [row.article_id for row in rows])
    assert found.scores["model"] == estimates(counts, resamples=1000, seed=11), "articles are drawn"


def test_no_process_is_forked_to_doubt_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tiny.examples(90)
    gold = np.arange(len(rows))
    probabilities = np.random.default_rng(1).dirichlet([1, 1, 1], len(rows))
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process with threads was forked"))
    assert list(review._labels(rows, gold, probabilities))


def test_the_queue_goes_by_articles_and_begins_with_the_surest_doubt() -> None:
    doubt = review.Doubt("c", "a", "label", "X", "Y", "support", "oppose", 0.6, 0.1, "")
    given = [
        doubt, replace(doubt, article_id="b", confidence=0.9), replace(doubt, kind="missed", confidence=0.8),
        replace(doubt, confidence=0.7), replace(doubt, article_id="b", kind="missed", confidence=0.5),
        replace(doubt, corpus="d", confidence=0.95),
    ]  # fmt: skip
    assert [(d.corpus, d.article_id, d.kind, d.confidence) for d in review.queue(given)] == [
        ("d", "a", "label", 0.95), ("c", "b", "label", 0.9), ("c", "b", "missed", 0.5),
        ("c", "a", "label", 0.7), ("c", "a", "label", 0.6), ("c", "a", "missed", 0.8),
    ]  # fmt: skip


def test_folds_without_a_label_are_refused_before_one_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tiny.examples(60)
    fold_of = review.folds(rows, 3)
    lacking = [r for r in rows if r.stance != "oppose" or fold_of[r.corpus, r.article_id] != 2]
    lacking += [replace(r, stance=Stance.SUPPORT) for r in rows if r not in lacking]
    monkeypatch.setattr(review, "_answers", lambda *_: pytest.fail("a fold was trained"))
    with pytest.raises(StanceError, match=r"review\.folds=3: fold 3 has no example of oppose; give more articles or"):
        review.review(lacking, lacking, tiny.config(name="none"), TrainingConfig(), ReviewConfig(folds=3))


@pytest.mark.slow
def test_a_review_of_a_corpus_of_two_labels_doubts_only_with_these(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (CORPUS / "part-01.jsonl").read_text("utf-8").splitlines()][:6]
    for line in lines:
        line["annotations"] = [note for note in line["annotations"] if note["stance"] != "neutral"]
    jsonl.write(tmp_path / "corpus.jsonl", [*lines, {**lines[0], "id": "the-same-again"}])
    settings = [
        f"corpora.stance_news.path={tmp_path / 'corpus.jsonl'}",
        "corpora.stance_news.label_set=[oppose,support]",
        f"output={tmp_path / 'review.jsonl'}",
        "training.epochs=1",
        "training.learning_rate=1e-6",
        *built.tracking,
    ]
    for name, value in (("initial", "some/checkpoint"), ("teacher", "[some/checkpoint]")):
        with pytest.raises(
            StanceError, match=rf"training\.{name}=.*: may have learned the articles that are asked about"
        ):
            script("review").main([*settings, f"training.{name}={value}"])
    with pytest.raises(StanceError, match=r"review\.folds=7: there are 6 articles of different passages"):
        script("review").main([*settings, "review.folds=7"])
    assert all(run.info.status == "FINISHED" for run in runs(built, "review")), "refused before there is a run"
    script("review").main([*settings, "review.folds=2"])
    rows = [row for _, row in jsonl.read(tmp_path / "review.jsonl")]
    assert rows
    assert {row["predicted"] for row in rows} <= {"oppose", "support"}
    assert {row["corpus"] for row in rows} == {"stance-news"}
    last = capsys.readouterr().out.splitlines()[-1]
    assert "0 to look at" in last, "no sampled pair can be neutral there"
    assert "as no unannotated pair was asked about" in last


def test_articles_with_a_passage_in_common_are_in_one_fold() -> None:
    rows = tiny.examples(40)
    twins = [replace(row, article_id=f"twin-{row.article_id}", corpus="other") for row in rows[:20]]
    fold_of = review.folds([*rows, *twins], 3)
    assert set(fold_of.values()) == {0, 1, 2}
    assert {name for _, name in fold_of} == {row.article_id for row in [*rows, *twins]}
    for row, twin in zip(rows, twins, strict=False):
        assert fold_of[row.corpus, row.article_id] == fold_of["other", twin.article_id]
    apart = [replace(twin, text=f"{twin.text} And more.") for twin in twins]
    others = review.folds([*rows, *apart], 3)
    assert any(
        others[r.corpus, r.article_id] != others["other", t.article_id] for r, t in zip(rows, apart, strict=False)
    )


def test_a_review_of_one_stance_alone_is_refused_before_a_training() -> None:
    rows = [replace(row, stance=Stance.SUPPORT) for row in tiny.examples(24)]
    recipe = TrainingConfig(epochs=1)
    with pytest.raises(StanceError, match="a review needs annotations of at least two stances, here all are of one"):
        review.review(rows, rows, tiny.config(name="none"), recipe, ReviewConfig(folds=2))


def test_a_review_with_a_wrong_setting_is_refused_before_its_run(built: Workplace, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"review\.folds=1: expected 2 or more"):
        script("review").main(["review.folds=1", *built.tracking])
    before = len(runs(built, "review"))
    for setting in ("examples.alone=2", "examples.context=-1"):
        with pytest.raises(StanceError, match=re.escape(setting.partition("=")[0])):
            script("review").main([setting, f"output={tmp_path / 'review.jsonl'}", *built.tracking])
    assert len(runs(built, "review")) == before, "nothing was tried"


def two_corpora(folder: Path, encoder: str) -> list[str]:
    """Settings of a review of two corpora whose articles have the same ids."""
    lines = [json.loads(line) for line in (CORPUS / "part-01.jsonl").read_text("utf-8").splitlines()][:6]
    for name in ("one", "other"):
        jsonl.write(folder / f"{name}.jsonl", lines)
    return [
        "corpus=[stance_news,jsonl]", f"corpora.stance_news.path={folder}/one.jsonl",
        f"corpora.jsonl.path={folder}/other.jsonl", f"output={folder}/review.jsonl", "review.folds=2",
        f"model.name={encoder}", "model.max_passage_tokens=48", f"tracking.uri=sqlite:///{folder}/mlflow.db",
        f"tracking.artifacts={folder}/artifacts",
    ]  # fmt: skip


@pytest.mark.usefixtures("fresh_store")
def test_a_review_tells_articles_of_several_corpora_apart_and_names_them_as_they_are(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[Example] = []

    def found(rows: list[Example], asked: list[Example], *_: Any) -> review.Review:
        learned.extend(rows)
        doubts = [
            review._doubt(row, "label", np.array([0.8, 0.1, 0.1]), row.stance, 0.1) for row in (rows[0], rows[-1])
        ]
        return review.Review(doubts, {}, {})

    monkeypatch.setattr(review, "review", found)  # what is tested is what it is given, and what becomes of its answer
    script("review").main([*two_corpora(tmp_path, encoder), "tracking.system_metrics_seconds=0"])
    own = {json.loads(line)["id"] for line in (tmp_path / "one.jsonl").read_text("utf-8").splitlines()}
    assert {row.article_id for row in learned} == {f"{name}/{i}" for name in ("stance-news", "jsonl") for i in own}
    assert all(row.article_id.startswith(f"{row.corpus}/") for row in learned)
    doubts = [row for _, row in jsonl.read(tmp_path / "review.jsonl")]
    assert [doubt["corpus"] for doubt in doubts] == ["stance-news", "jsonl"]
    assert {doubt["article_id"] for doubt in doubts} <= own


def test_a_review_names_what_it_does_not_use_and_refuses_a_recipe_before_its_run(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*two_corpora(tmp_path, encoder), "training.teacher_weight=0.9", "training.save_steps=5"]
    for setting in ("training.class_weights=balancd", "training.precision=fp61"):
        with pytest.raises(StanceError, match=re.escape(setting.partition("=")[0])):
            script("review").main([*settings, "training.seed=7", setting])
        assert capsys.readouterr().out.splitlines()[1:] == [
            "training.teacher_weight=0.9 has no effect without training.teacher",
            "training.save_steps=5 is not used: a review begins anew",
        ]
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("candidates", math.nan), ("candidates", 1e12), ("confidence", 0.0), ("per_article", -1)]
)
def test_settings_of_a_review_without_a_meaning_are_named(name: str, value: float) -> None:
    with pytest.raises(StanceError, match=rf"review\.{name}={value}: expected "):
        review.check(replace(ReviewConfig(), **{name: value}))


def test_a_set_whose_threshold_was_not_judged_keeps_its_row() -> None:
    sure = Estimate(0.5, 0.4, 0.6)
    measures = dict.fromkeys(calibration.MEASURES, sure)
    both = [Confidence("judged", measures, Kept(0.1, sure, sure)), Confidence("not", measures, None)]
    assert [line[-2:] for line in transfer.confidence_table(both)[1:]] == [[str(sure)] * 2, ["–", "–"]]
