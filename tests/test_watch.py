"""What a run says about itself while it trains: alerts raised by real runs, and by logs written down by hand."""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from scipy.special import softmax
from scipy.stats import bootstrap
from sklearn.metrics import f1_score, log_loss
from transformers import EvalPrediction

import tiny
from stance.records import LABELS, Example, Stance
from stance.scoring import baselines
from stance.scoring.scores import by_group, difference, rates
from stance.settings.training import TrainingConfig
from stance.training import detectors, finetuning, watch
from stance.training.finetuning import Result
from stance.training.recipe import suited
from stance.training.validation import Validation
from tiny import Heard, one_thread  # noqa: F401

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}
RECIPE = suited(TrainingConfig(), 384)


def train(
    encoder: str,
    output: Path,
    heard: Heard | None = None,
    *,
    splits: Mapping[str, list[Example]] = SPLITS,
    resume: str = "never",
    **changes: Any,
) -> Result:
    values = {"epochs": 3, "learning_rate": 3e-3, "tokens_per_batch": 128, "precision": "fp32", **changes}
    heard = heard or Heard()
    return finetuning.train(
        splits,
        tiny.config(name=encoder),
        TrainingConfig(**values),
        output=output,
        about={},
        sink=heard.sink,
        listener=heard,
        resume=resume,
    )


# Real runs


def told(count: int, *, seed: int, by: str) -> list[Example]:
    """Sentences whose stance the actor's name tells, or the verb."""
    draw, made = random.Random(seed), []  # noqa: S311
    for number in range(count):
        actor, target = draw.sample(tiny.NAMES[:3], 2)
        label = LABELS[tiny.NAMES.index(actor) if by == "names" else number % 3]
        verb = tiny.VERBS[label] if by == "verbs" else "discussed"
        text = f"{actor} {verb} {target} , officials said on Monday ."
        example = tiny.examples(1)[0]
        spans = (0, len(actor)), (text.index(target), text.index(target) + len(target))
        made.append(
            replace(example, id=str(number), article_id=str(number), text=text, actor=actor, target=target,
                    actor_span=spans[0], target_span=spans[1], stance=Stance(label))
        )  # fmt: skip
    return made


def learned(encoder: str, output: Path, by: str) -> tuple[Result, Heard]:
    heard = Heard()
    splits = {"train": told(60, seed=1, by=by), "validation": told(30, seed=2, by=by)}
    changes = {"epochs": 10, "early_stopping": 0, "span_dropout": 0.0, "surface_share": 0.0}
    return train(encoder, output, heard, splits=splits, **changes), heard


def test_a_model_that_learned_names_is_told_so_once(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, heard = learned(encoder, tmp_path / "checkpoint", "names")
    assert result.scores["macro_f1"] > 0.9, "it should have learned, only not to read"
    assert result.scores["names_macro_f1"] > 0.9
    (text,) = [text for name, text in heard.alerts if name == "names_only"]
    assert "sees the names of actor and target alone: macro-F1 1.000 against 1.000" in text
    assert result.alerts["names_only"] == text
    assert capsys.readouterr().err.splitlines().count(f"warning: {text}") == 1
    last = max(step for _, _, step in heard.metrics)
    assert [m for m in heard.metrics if m[0] == "alert_names_only"] == [("alert_names_only", 1.0, last)]


def test_a_model_that_reads_is_not_suspected(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, heard = learned(encoder, tmp_path / "checkpoint", "verbs")
    assert result.scores["macro_f1"] > 0.9
    assert result.scores["above_names_low"] > 0.1
    assert (heard.alerts, result.alerts) == ([], {})
    assert "warning: " not in capsys.readouterr().err


def test_a_run_that_diverges_says_so_while_it_runs(encoder: str, tmp_path: Path) -> None:
    heard = Heard()
    result = train(encoder, tmp_path / "checkpoint", heard, learning_rate=1.0, epochs=12, early_stopping=0)
    text = result.alerts["diverging"]
    assert text.startswith("the run diverges: the training loss is ")
    assert "lower training.learning_rate (now 1) or lengthen training.warmup (now 0.1)" in text
    (step,) = [step for name, _, step in heard.metrics if name == "alert_diverging"]
    assert step < max(step for _, _, step in heard.metrics), "it should not wait for the end"


def test_a_class_that_is_never_predicted_is_named_after_the_second_epoch(encoder: str, tmp_path: Path) -> None:
    heard = Heard()
    result = train(encoder, tmp_path / "checkpoint", heard, learning_rate=1e-12, epochs=3, early_stopping=0)
    missing = [label for label in LABELS if result.scores[f"{label}_predicted"] == 0]
    assert missing, "an untrained model should answer with some labels only"
    text = result.alerts["never_predicted"]
    assert text.startswith(f"the model never predicts {' and '.join(missing)} on validation after epoch 2, though 8 ")
    ends = sorted({step for name, _, step in heard.metrics if name == "validation_macro_f1"})
    assert [step for name, _, step in heard.metrics if name == "alert_never_predicted"] == [ends[1]]


def test_a_model_no_better_than_a_guess_is_told_so(encoder: str, tmp_path: Path) -> None:
    result = train(encoder, tmp_path / "checkpoint", learning_rate=1e-12)
    assert "the model is no better than a guess by the labels' frequencies: macro-F1 0." in result.alerts["guessing"]
    assert "names_only" not in result.alerts, "it has learned nothing, so it has not learned names"


class StopError(Exception):
    """Stands for whatever ends a process."""


def test_a_resumed_run_tells_its_alerts_again_but_no_person(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stops(Heard):
        def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
            super().epoch(history)
            if len(self.epochs) == 3:
                raise StopError

    settings = {"learning_rate": 1e-12, "epochs": 4, "early_stopping": 0}
    first, second = Stops(), Heard()
    with pytest.raises(StopError):
        train(encoder, tmp_path / "checkpoint", first, **settings)
    assert [name for name, _ in first.alerts] == ["never_predicted"]
    capsys.readouterr()
    result = train(encoder, tmp_path / "checkpoint", second, resume="auto", **settings)
    assert second.alerts[0] == first.alerts[0], "the store may have been away"
    assert [name for name, _ in second.alerts].count("never_predicted") == 1
    assert [m for m in second.metrics if m[0] == "alert_never_predicted"] == [
        m for m in first.metrics if m[0] == "alert_never_predicted"
    ]
    assert "never predicts" not in capsys.readouterr().err
    assert "never_predicted" in result.alerts


def test_the_listener_hears_of_every_epoch_with_the_whole_log(encoder: str, tmp_path: Path) -> None:
    heard = Heard()
    train(encoder, tmp_path / "checkpoint", heard)
    assert [sum("eval_macro_f1" in entry for entry in history) for history in heard.epochs] == [1, 2, 3]
    assert "loss" in heard.epochs[0][0]


def test_every_number_of_a_step_comes_once(encoder: str, tmp_path: Path) -> None:
    heard = Heard()
    train(encoder, tmp_path / "checkpoint", heard)
    places = [(name, step) for name, _, step in heard.metrics]
    assert len(places) == len(set(places))
    names = {name for name, _ in places}
    wanted = {"train_loss", "train_learning_rate", "train_grad_norm", "train_pairs_per_second", "train_epoch"}
    wanted |= {f"validation_{label}_{kind}" for label in LABELS for kind in ("f1", "precision", "recall", "predicted")}
    assert wanted | {"validation_loss", "validation_macro_f1", "validation_above_names"} <= names
    assert [value for name, value, _ in heard.metrics if name == "train_pairs_per_second"][-1] > 0
    assert {name for name in names if name.endswith("per_second")} == {"train_pairs_per_second"}, "pairs, not passages"


# Logs written down by hand


def entries(losses: Iterable[float], **more: float) -> list[dict[str, float]]:
    return [{"loss": loss, "step": 10 * (i + 1), "epoch": i / 20, **more} for i, loss in enumerate(losses)]


def first(detector: detectors.Detector, log: Iterable[Mapping[str, float]]) -> tuple[int, str]:
    """The number of the first entry that alarms, and its text; (-1, "") for none."""
    return next(((i, text) for i, entry in enumerate(log) if (text := detector(entry))), (-1, ""))


def test_a_loss_that_climbs_back_to_a_guess_is_a_divergence() -> None:
    falling, back = [1.1 - 0.03 * i for i in range(20)], [1.1] * 10
    place, text = first(detectors.Divergence(RECIPE), entries(falling + back))
    assert 20 < place < 27
    assert "its best was 0.5" in text


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("spread", [0.05, 0.25])
def test_a_noisy_loss_that_does_not_rise_is_no_divergence(seed: int, spread: float) -> None:
    noise = np.random.default_rng(seed).normal(0, spread, 1000)
    losses = [max(0.0, 0.55 + 0.5 * math.exp(-i / 30) + n) for i, n in enumerate(noise)]
    assert first(detectors.Divergence(RECIPE), entries(losses)) == (-1, "")


def test_a_loss_far_above_a_guess_from_the_start_is_a_divergence() -> None:
    place, text = first(detectors.Divergence(RECIPE), entries([5.0] * 8))
    assert place == detectors.READINGS - 1
    assert "a guess gets 1.10" in text


def test_a_gradient_that_grows_without_end_is_an_explosion() -> None:
    norms = [2.0, 3.0, 2.5, 2.0, 2.2, 4.0, 8.0, *[900.0] * 6]
    log = [{"grad_norm": norm, "step": 10 * i, "epoch": 0.1} for i, norm in enumerate(norms)]
    place, text = first(detectors.Explosion(RECIPE), log)
    assert place == 9, "the third of five readings makes the median"
    assert "its norm is 900 at step 90 (epoch 0.10), it was 2.2 at the start and is clipped to training.max" in text
    _, text = first(detectors.Explosion(replace(RECIPE, max_grad_norm=0.0)), log)
    assert "it was 2.2 at the start and is not clipped (training.max_grad_norm=0); lower" in text


def test_a_single_long_gradient_is_no_explosion() -> None:
    log = [{"grad_norm": 900.0 if i % 7 == 6 else 2.0, "step": i, "epoch": 0.1} for i in range(50)]
    assert first(detectors.Explosion(RECIPE), log) == (-1, "")


def epochs(training: Sequence[float], validation: Sequence[float], scores: Sequence[float]) -> list[dict[str, float]]:
    log = []
    for number, (loss, held_out, score) in enumerate(zip(training, validation, scores, strict=True), 1):
        log += [{"loss": loss, "epoch": number - 0.5, "step": number * 10.0}]
        log += [{"eval_loss": held_out, "eval_macro_f1": score, "epoch": float(number), "step": number * 10.0}]
    return log


def test_validation_loss_that_rises_over_two_epochs_is_overfitting() -> None:
    log = epochs([1.0, 0.8, 0.5, 0.3], [0.9, 0.7, 0.8, 0.95], [0.5, 0.6, 0.59, 0.6])
    place, text = first(detectors.Overfitting(replace(RECIPE, epochs=8, early_stopping=0)), log)
    assert place == len(log) - 1
    assert "rose from 0.70 to 0.95 while the training loss fell from 0.80 to 0.30" in text
    assert "macro-F1 did not get above 0.600; lower training.epochs (now 8) or set training.early_stopping" in text


def without_losses(log: Sequence[dict[str, float]], *epochs: float) -> list[dict[str, float]]:
    """A log in which these epochs, of fewer steps than lie between two entries, have no training loss."""
    return [entry for entry in log if not ("loss" in entry and entry["epoch"] + 0.5 in epochs)]


def test_short_epochs_without_a_training_loss_of_their_own_count_as_epochs() -> None:
    log = epochs([1.0, 0.8, 0.5, 0.3], [0.9, 0.7, 0.8, 0.95], [0.5, 0.6, 0.59, 0.6])
    place, text = first(detectors.Overfitting(replace(RECIPE, epochs=8, early_stopping=0)), without_losses(log, 3))
    assert place == len(log) - 2
    assert "over two epochs the validation loss rose from 0.70 to 0.95" in text
    assert "the training loss fell from 0.80 to 0.30" in text
    apart = epochs([0.9, 0.8, 0.7, 0.6, 0.5], [0.5, 0.7, 0.6, 0.5, 0.7], [0.6] * 5)
    watching = detectors.Overfitting(replace(RECIPE, epochs=8, early_stopping=0))
    assert first(watching, without_losses(apart, 2, 4)) == (-1, ""), "0.5, 0.6 and 0.7 are of every other epoch"


@pytest.mark.parametrize(("patience", "told"), [(1, False), (2, True)])
def test_the_best_epoch_is_counted_among_those_without_a_training_loss(patience: int, told: bool) -> None:
    """It is the fourth of six: early stopping ends the training before its last only at a patience of one."""
    log = epochs([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.8, 0.75, 0.7, 0.8, 0.95], [0.3, 0.4, 0.5, 0.7, 0.6, 0.6])
    watching = detectors.Overfitting(replace(RECIPE, epochs=6, early_stopping=patience))
    assert (first(watching, without_losses(log, 2, 3))[0] >= 0) == told


@pytest.mark.parametrize("trained", [3, 4])
def test_overfitting_is_told_where_early_stopping_can_not_end_the_training(trained: int) -> None:
    log = epochs([1.0, 0.5, 0.2], [0.8, 0.9, 1.4], [0.70, 0.69, 0.66])
    place, text = first(detectors.Overfitting(replace(RECIPE, epochs=trained, early_stopping=3)), log)
    assert place == len(log) - 1
    assert text.endswith(f"lower training.epochs (now {trained}) or lower training.early_stopping (now 3)")
    assert first(detectors.Overfitting(replace(RECIPE, epochs=5, early_stopping=3)), log) == (-1, "")


def test_a_training_is_watched_for_all_that_can_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "memory_limit", lambda: 1)
    logs: dict[str, list[dict[str, float]]] = {
        "diverging": entries([5.0] * 8),
        "exploding": [{"grad_norm": n, "step": 1, "epoch": 0.1} for n in (*[2.0] * 5, *[900.0] * 5)],
        "never_predicted": [{"eval_support_predicted": 0.0, "eval_loss": 1.0, "epoch": 2.0}],
        "overfitting": epochs([0.8, 0.5, 0.3], [0.7, 0.8, 0.95], [0.6, 0.59, 0.6]),
        "memory": [{}],
    }
    found = detectors.detectors(replace(RECIPE, early_stopping=0), SPLITS)
    assert found.keys() == logs.keys()
    assert {name: first(found[name], log)[0] for name, log in logs.items()} == {
        "diverging": 4, "exploding": 7, "never_predicted": 0, "overfitting": 5, "memory": 0
    }  # fmt: skip


@pytest.mark.parametrize(("trained", "first_told"), [(1, 1), (2, 2), (5, 2)])
def test_a_label_may_be_no_answer_after_the_first_of_several_epochs(trained: int, first_told: int) -> None:
    log = [{"eval_support_predicted": 0.0, "eval_loss": 1.0, "epoch": float(n + 1)} for n in range(trained)]
    place, text = first(detectors.NeverPredicted(replace(RECIPE, epochs=trained), SPLITS), log)
    assert place + 1 == first_told
    assert text.startswith(f"the model never predicts support on validation after epoch {first_told}, though 8 ")


def test_class_weights_are_no_advice_where_they_are_balanced() -> None:
    entry = {"eval_support_predicted": 0.0, "eval_loss": 1.0, "epoch": 2.0}
    told = {"none": "try training.class_weights=balanced, more epochs", "balanced": "try more epochs"}
    for setting, advice in told.items():
        text = detectors.NeverPredicted(replace(RECIPE, class_weights=setting), SPLITS)(entry)
        assert text.endswith(f"; {advice} or another learning rate")


@pytest.mark.parametrize(
    ("log", "patience"),
    [
        (epochs([1.0, 0.8, 0.5, 0.3], [0.9, 0.7, 0.8, 0.95], [0.5, 0.6, 0.59, 0.6]), 3),  # it will be stopped
        (epochs([1.0, 0.8, 0.5, 0.3], [0.9, 0.7, 0.8, 0.95], [0.5, 0.6, 0.65, 0.6]), 0),  # the score got better
        (epochs([1.0, 0.8, 0.9, 0.3], [0.9, 0.7, 0.8, 0.95], [0.5, 0.6, 0.59, 0.6]), 0),  # training did not fall
        (epochs([0.2, 0.1, 0.05], [0.050, 0.051, 0.052], [1.0, 1.0, 1.0]), 0),  # nothing to speak of
    ],
)
def test_what_is_no_overfitting_is_passed_over(log: list[dict[str, float]], patience: int) -> None:
    assert first(detectors.Overfitting(replace(RECIPE, epochs=8, early_stopping=patience)), log) == (-1, "")


def test_memory_near_its_limit_is_told_before_the_kernel_ends_the_run() -> None:
    used = psutil.Process().memory_info().rss
    assert "memory is nearly used up" in detectors.Memory(int(used * 1.05))({})
    assert detectors.Memory(used * 2)({}) == ""
    assert "memory is nearly used up" in detectors.Memory(used * 2, processes=2)({}), "the others have as much"
    assert used < detectors.memory_limit() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (
            "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0",
            "system.slice/slurmstepd.scope/job_7/memory.max",
        ),
        ("0::/", "memory.max"),
        ("9:memory:/slurm/uid_0/job_7/step_0", "memory/slurm/uid_0/job_7/memory.limit_in_bytes"),
        ("4:cpu,cpuacct:/job_7\n3:hugetlb,memory:/job_7", "memory/job_7/memory.limit_in_bytes"),
    ],
)
def test_a_limit_of_a_batch_system_is_found_above_the_own_group(tmp_path: Path, line: str, place: str) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text(f"{line}\n")
    limits = list(detectors._limits(own, root))
    assert root / place in limits
    assert all(path.is_relative_to(root) for path in limits)
    assert list(detectors._limits(tmp_path / "none", root)) == []


def test_an_unknown_class_of_a_corpus_with_two_labels_is_not_missed() -> None:
    splits = {name: [replace(e, labels=("oppose", "support")) for e in part if e.stance != "neutral"]
              for name, part in SPLITS.items()}  # fmt: skip
    detector = detectors.NeverPredicted(RECIPE, splits)
    entry = {f"eval_{label}_predicted": 0.5 for label in LABELS} | {"eval_neutral_predicted": 0.0}
    assert detector(entry | {"epoch": 2.0, "eval_loss": 1.0}) == ""
    text = detector(entry | {"eval_oppose_predicted": 0.0, "epoch": 2.0, "eval_loss": 1.0})
    assert text.startswith("the model never predicts oppose on validation")


# What a validation pass is compared with


def asked(validation: Validation, answers: Sequence[int], order: Sequence[int]) -> dict[str, float]:
    """The metrics of class indices, handed over as the trainer does: padded rows of two pairs, in this order."""
    numbers = np.full((len(order), 2), -100)
    numbers[:, 0] = order
    logits = np.full((len(order), 2, 3), -100.0)
    logits[:, 0] = np.eye(3)[[answers[i] for i in order]]
    labels = np.full((len(order), 2), -100)
    return validation(EvalPrediction(predictions=logits, label_ids=(labels, numbers)))


def answers_of(examples: Sequence[Example], share: float, seed: int = 0) -> list[int]:
    """Class indices, a share of which is right."""
    draw = random.Random(seed)  # noqa: S311
    return [LABELS.index(e.stance) if draw.random() < share else draw.randrange(3) for e in examples]


def test_scores_do_not_depend_on_the_order_of_the_rows_or_on_rows_that_come_twice() -> None:
    examples = SPLITS["validation"]
    answers, validation = answers_of(examples, 0.5), Validation(SPLITS["train"], examples, seed=1)
    plain = asked(validation, answers, range(24))
    assert asked(validation, answers, [*reversed(range(24)), 3, 5]) == plain
    truth = [LABELS.index(e.stance) for e in examples]
    assert plain["macro_f1"] == pytest.approx(f1_score(truth, answers, average="macro"))
    assert plain["support_predicted"] == pytest.approx(answers.count(2) / 24)


def test_the_validation_loss_is_the_mean_over_pairs_whatever_they_weigh() -> None:
    examples = [replace(e, weight=float(i % 3)) for i, e in enumerate(SPLITS["validation"])]
    logits = np.random.default_rng(1).normal(size=(24, 1, 3))
    numbers = np.arange(24)[:, None]
    found = Validation(SPLITS["train"], examples, seed=1)(EvalPrediction(logits, (numbers * 0, numbers)))
    expected = log_loss(
        [LABELS.index(e.stance) for e in examples],
        softmax(logits[:, 0], axis=1),
        labels=[0, 1, 2],
    )
    assert found["loss"] == pytest.approx(expected)


def test_a_model_must_beat_the_better_of_two_guesses() -> None:
    examples = SPLITS["validation"]
    guesses = baselines.predictions(SPLITS["train"], examples, seed=1, systems=(baselines.MAJORITY, baselines.CHANCE))
    truth = [LABELS.index(e.stance) for e in examples]
    worse, better = sorted(f1_score(truth, guess, average="macro", labels=[0, 1, 2]) for guess in guesses.values())
    found = asked(Validation(SPLITS["train"], examples, seed=1), answers_of(examples, 0.7), range(24))
    assert found["guess_macro_f1"] == pytest.approx(better)
    assert better > worse + 0.05


def test_names_are_compared_on_annotated_pairs_as_in_the_evaluation() -> None:
    part = {name: [replace(e, provenance="sampled") if i % 3 == 0 else e for i, e in enumerate(examples)]
            for name, examples in SPLITS.items()}  # fmt: skip
    examples = part["validation"]
    kept = [i for i, e in enumerate(examples) if e.provenance != "sampled"]
    learned = [e for e in part["train"] if e.provenance != "sampled"]
    theirs = baselines.predictions(learned, [examples[i] for i in kept], seed=1)[baselines.NAMES_ONLY]
    truth = [LABELS.index(examples[i].stance) for i in kept]
    answers = answers_of(examples, 0.7)
    found = asked(Validation(part["train"], examples, seed=1), answers, range(24))
    assert found["names_macro_f1"] == pytest.approx(f1_score(truth, theirs, average="macro", labels=[0, 1, 2]))
    ours = f1_score(truth, [answers[i] for i in kept], average="macro", labels=[0, 1, 2])
    assert found["above_names"] == pytest.approx(ours - found["names_macro_f1"])
    assert found["above_names_low"] < found["above_names"] < found["above_names_high"]


def test_names_are_compared_over_the_labels_that_annotated_pairs_have() -> None:
    part = {name: [replace(e, provenance="sampled") if e.stance == "neutral" else e for e in examples]
            for name, examples in SPLITS.items()}  # fmt: skip
    truth = [LABELS.index(e.stance) for e in part["validation"]]
    found = asked(Validation(part["train"], part["validation"], seed=1), truth, range(24))
    assert found["names_macro_f1"] + found["above_names"] == pytest.approx(1)


def test_the_best_of_many_passes_needs_wider_intervals() -> None:
    examples = SPLITS["validation"]
    answers = answers_of(examples, 0.5)
    one, ten = (asked(Validation(SPLITS["train"], examples, seed=1, passes=n), answers, range(24)) for n in (1, 10))
    assert ten["above_guess_low"] < one["above_guess_low"] <= one["above_guess_high"] < ten["above_guess_high"]
    assert ten["above_guess"] == one["above_guess"]
    most, beyond = (Validation(SPLITS["train"], examples, seed=1, passes=n).level for n in (50, 10**9))
    assert beyond == most, "a validation would take longer than an epoch"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_without_annotated_pairs_only_a_guess_is_the_rival(split: str) -> None:
    part = {**SPLITS, split: [replace(e, provenance="sampled") for e in SPLITS[split]]}
    found = asked(
        Validation(part["train"], part["validation"], seed=1), answers_of(SPLITS["validation"], 0.9), range(24)
    )
    assert "guess_macro_f1" in found
    assert not [name for name in found if "names" in name]
    assert set(watch.verdicts(found)) <= {"guessing"}


def test_a_label_that_no_corpus_of_the_split_knows_has_no_scores() -> None:
    splits = {name: [replace(e, labels=("oppose", "support")) for e in part if e.stance != "neutral"]
              for name, part in SPLITS.items()}  # fmt: skip
    rows = splits["validation"]
    found = asked(Validation(splits["train"], rows, seed=1), [LABELS.index(e.stance) for e in rows], range(len(rows)))
    wanted = {f"{label}_{kind}" for label in ("oppose", "support") for kind in ("precision", "recall", "f1")}
    assert {name for name in found if name.endswith(("_precision", "_recall", "_f1"))} - wanted == {
        "macro_f1", "guess_macro_f1", "names_macro_f1"
    }  # fmt: skip
    assert wanted <= found.keys()
    assert found["neutral_predicted"] == 0


def test_where_a_corpus_knows_one_label_there_is_nothing_to_guess() -> None:
    examples = [replace(e, stance=Stance.SUPPORT, labels=("support",)) for e in SPLITS["validation"]]
    found = asked(Validation(examples, examples, seed=1), [2] * 24, range(24))
    assert found["macro_f1"] == 1
    assert watch.verdicts(found) == {}


def test_annotated_training_pairs_of_one_label_teach_names_nothing() -> None:
    part = [e if e.stance == "support" else replace(e, provenance="sampled") for e in SPLITS["train"]]
    found = asked(Validation(part, SPLITS["validation"], seed=1), answers_of(SPLITS["validation"], 0.9), range(24))
    assert not [name for name in found if "names" in name]


def test_a_single_article_gives_no_interval_and_no_verdict() -> None:
    examples = [replace(e, article_id="one") for e in SPLITS["validation"]]
    found = asked(Validation(SPLITS["train"], examples, seed=1), answers_of(examples, 0.1), range(24))
    assert "above_guess" in found
    assert "above_guess_low" not in found
    assert watch.verdicts(found) == {}


def test_the_interval_of_a_difference_is_that_of_the_paired_bootstrap() -> None:
    examples = tiny.examples(120, seed=5)
    groups, truth = [e.article_id for e in examples], [LABELS.index(e.stance) for e in examples]
    first, second = (by_group(truth, answers_of(examples, share, seed=3), groups) for share in (0.7, 0.4))

    def above(articles: Any, axis: int = -1) -> Any:
        drawn = np.moveaxis(articles, axis, -1)
        ours, theirs = (rates(c[drawn].sum(axis=-3))["macro_f1"] for c in (first, second))
        return ours - theirs

    wanted = bootstrap((np.arange(60),), above, n_resamples=4000, method="percentile", rng=0).confidence_interval
    found = difference(first, second, resamples=4000, seed=1)
    assert found.value == pytest.approx(float(above(np.arange(60))))
    assert (found.low, found.high) == (pytest.approx(wanted.low, abs=0.02), pytest.approx(wanted.high, abs=0.02))


def test_two_systems_with_the_same_answers_do_not_differ() -> None:
    examples = tiny.examples(40, seed=5)
    groups, truth = [e.article_id for e in examples], [LABELS.index(e.stance) for e in examples]
    counts = by_group(truth, answers_of(examples, 0.6), groups)
    found = difference(counts, counts, resamples=200, seed=1)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
