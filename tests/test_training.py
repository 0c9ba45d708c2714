"""Fine-tuning a tiny random encoder: seeds, stopping, the loss, and what is refused before it starts."""

import json
import platform
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss
from transformers import TrainerCallback

import tiny
from stance.augmentation import augment
from stance.errors import StanceError
from stance.network import encoders, inference
from stance.network import model as models
from stance.network.precision import bf16_gain, bf16_instructions, choose_precision
from stance.records import LABELS, PARTIAL, SOMEONE, Example, Stance
from stance.scoring.calibration import softmax
from stance.settings.training import TrainingConfig
from stance.training import finetuning
from stance.training.balance import balance
from stance.training.finetuning import Result
from tiny import one_thread  # noqa: F401

Sink = Callable[[Mapping[str, float], int], None]
SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}
ABOUT = {"dataset_sha256": "0" * 64, "train_run": "toy"}


class InterruptionError(Exception):
    """Stands for whatever ends a process."""


def train(
    encoder: str,
    output: Path,
    *,
    splits: Mapping[str, list[Example]] = SPLITS,
    sink: Sink = lambda metrics, step: None,
    dropout: float = 0.1,
    **changes: Any,
) -> Result:
    values = {"epochs": 3, "learning_rate": 3e-3, "tokens_per_batch": 128, "precision": "fp32", **changes}
    model = tiny.config(name=encoder, dropout=dropout)
    return finetuning.train(splits, model, TrainingConfig(**values), output=output, about=ABOUT, sink=sink)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def stop_after(epochs: int) -> Sink:
    """A sink that interrupts the run as soon as it goes on after so many finished epochs."""
    seen = 0

    def sink(metrics: Mapping[str, float], step: int) -> None:
        nonlocal seen
        if seen == epochs:
            raise InterruptionError
        seen += "validation_macro_f1" in metrics

    return sink


def interrupt(encoder: str, output: Path, *, after: int, **changes: Any) -> None:
    with pytest.raises(InterruptionError):
        train(encoder, output, sink=stop_after(after), **changes)


@pytest.fixture(scope="module")
def reference(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """An uninterrupted run with the settings that `train` gives."""
    return train(encoder, tmp_path_factory.mktemp("reference") / "checkpoint")


def test_another_seed_gives_other_weights(encoder: str, reference: Result, tmp_path: Path) -> None:
    other = train(encoder, tmp_path / "checkpoint", seed=2)
    assert weights(other.checkpoint) != weights(reference.checkpoint)


def test_training_learns_what_the_verbs_say(encoder: str, tmp_path: Path) -> None:
    forward = {name: [e for e in part if e.id.endswith("there")] for name, part in SPLITS.items()}
    result = train(encoder, tmp_path / "checkpoint", splits=forward, epochs=25, early_stopping=0)
    assert result.scores["macro_f1"] > 0.9


def test_the_reported_score_is_that_of_the_saved_checkpoint(reference: Result) -> None:
    logits = inference.logits(models.load(reference.checkpoint), [e.pair() for e in SPLITS["validation"]])
    truth = [LABELS.index(example.stance) for example in SPLITS["validation"]]
    expected = f1_score(truth, logits.argmax(1), labels=[0, 1, 2], average="macro", zero_division=0)
    assert reference.scores["macro_f1"] == pytest.approx(expected)
    assert reference.scores["loss"] == pytest.approx(log_loss(truth, softmax(logits), labels=[0, 1, 2]), abs=1e-4)


def test_the_best_epoch_is_kept(reference: Result) -> None:
    epochs = [entry["eval_macro_f1"] for entry in reference.history if "eval_macro_f1" in entry]
    assert reference.scores["macro_f1"] == pytest.approx(max(epochs))


def test_the_checkpoint_says_where_it_came_from(encoder: str, reference: Result) -> None:
    facts = models.about(reference.checkpoint)
    assert facts["train_run"] == "toy"
    assert facts["dataset_sha256"] == ABOUT["dataset_sha256"]
    assert facts["model"]["name"] == encoder
    assert facts["training"]["epochs"] == 3
    assert facts["validation"]["macro_f1"] == reference.scores["macro_f1"]


def test_nothing_but_the_checkpoint_is_left(reference: Result) -> None:
    assert [path.name for path in reference.checkpoint.parent.iterdir()] == ["checkpoint"]


def test_what_the_limits_cut_is_reported_for_each_split(reference: Result) -> None:
    assert set(reference.cuts) == {"train", "validation"}
    assert reference.cuts["train"].startswith("of 48 pairs: passage windowed ")


def test_metrics_reach_the_sink_with_their_steps(encoder: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    train(encoder, tmp_path / "checkpoint", sink=lambda metrics, step: seen.extend((n, step) for n in metrics))
    steps = [step for name, step in seen if name == "validation_macro_f1"]
    assert len(set(steps)) == 3
    assert steps == sorted(steps)
    assert "train_loss" in {name for name, _ in seen}


def epochs_run(result: Result) -> int:
    """How many epochs were scored."""
    return len({entry["epoch"] for entry in result.history if "eval_macro_f1" in entry})


def test_training_stops_early_when_nothing_gets_better(encoder: str, tmp_path: Path) -> None:
    result = train(encoder, tmp_path / "checkpoint", epochs=9, early_stopping=2, learning_rate=1e-12)
    assert epochs_run(result) == 3


def test_early_stopping_of_zero_runs_every_epoch(encoder: str, tmp_path: Path) -> None:
    result = train(encoder, tmp_path / "checkpoint", epochs=5, early_stopping=0, learning_rate=1e-12)
    assert epochs_run(result) == 5


def assemble(encoder: str, path: Path, *, splits: Mapping[str, list[Example]] = SPLITS, **changes: Any) -> Any:
    values = {"tokens_per_batch": 128, "precision": "fp32", "span_dropout": 0.0, "surface_share": 0.0, **changes}
    model = tiny.config(name=encoder)
    return finetuning.assemble(splits, model, TrainingConfig(**values), work=path / "work")[0]


def test_every_epoch_of_the_trainer_draws_other_batches(encoder: str, tmp_path: Path) -> None:
    loader = assemble(encoder, tmp_path).get_train_dataloader()

    def epoch(number: int) -> set[str]:
        loader.set_epoch(number)
        return {str(batch["input_ids"].tolist()) for batch in loader}

    assert epoch(0) != epoch(1)
    assert len(epoch(0)) == len(epoch(1))


def test_the_seed_of_the_training_decides_its_first_batch(encoder: str, tmp_path: Path) -> None:
    def first(name: str, seed: int) -> list[list[int]]:
        loader = assemble(encoder, tmp_path / name, seed=seed).get_train_dataloader()
        ids: list[list[int]] = next(iter(loader))["input_ids"].tolist()
        return ids

    assert first("one", 1) == first("again", 1) != first("other", 2)


def test_no_training_batch_exceeds_the_token_budget(encoder: str, tmp_path: Path) -> None:
    sizes = [b["input_ids"].numel() for b in assemble(encoder, tmp_path).get_train_dataloader()]
    assert len(sizes) > 1
    assert max(sizes) <= 128


def unbalanced() -> dict[str, list[Example]]:
    """Three quarters of the training examples are neutral."""
    train = [e for i, e in enumerate(tiny.examples(80, seed=3)) if e.stance == "neutral" or i % 4 == 0]
    return {"train": train, "validation": SPLITS["validation"]}


def say(examples: list[Example]) -> np.ndarray:
    """How much the examples say for each label."""
    return np.array([sum(e.weight * e.shares()[i] for e in examples) for i in range(len(LABELS))])


def test_balanced_class_weights_give_each_class_the_same_say(encoder: str, tmp_path: Path) -> None:
    splits = unbalanced()
    trainer = assemble(encoder, tmp_path, splits=splits, class_weights="balanced")
    counts = np.array([sum(e.stance == label for e in splits["train"]) for label in LABELS])
    rows = trainer.train_dataset.rows
    found = np.zeros(len(LABELS))
    for row in rows:
        np.add.at(found, row.labels, row.weights)
    assert np.ptp(counts) > 0
    assert np.allclose(found, found[0])
    assert found.sum() == pytest.approx(counts.sum())


def test_balanced_class_weights_are_finite_where_a_label_has_no_example() -> None:
    labels = Stance.OPPOSE, Stance.OPPOSE, Stance.SUPPORT
    examples = [replace(e, stance=label) for e, label in zip(tiny.examples(3), labels, strict=True)]
    assert [e.weight for e in balance(examples, 1.0)] == [0.75, 0.75, 1.5]


def test_balanced_class_weights_count_what_examples_weigh() -> None:
    train = [replace(e, weight=0.2 if e.stance == "neutral" else 1.0) for e in unbalanced()["train"]]
    found = say(balance(train, 1.0))
    assert np.allclose(found, found[0])
    assert found.sum() == pytest.approx(say(train).sum())


def test_a_power_of_class_weights_moves_the_odds_of_labels_by_so_much() -> None:
    train = unbalanced()["train"]
    before, after = say(train), say(balance(train, 0.25))
    assert np.allclose(after / after[0], (before / before[0]) ** 0.75)
    assert balance(train, 0.0) == train


def test_class_weights_are_those_of_a_corpus() -> None:
    """A corpus of two labels, none of them rare, says nothing of how rare a label is elsewhere."""
    polar = [
        replace(e, corpus="polar", labels=("oppose", "support")) for e in tiny.examples(60) if e.stance != "neutral"
    ]
    train = unbalanced()["train"]
    found = balance([*polar, *train], 1.0)
    assert balance(train, 1.0) == found[len(polar) :]
    here = say(found[: len(polar)])
    assert here[0] == pytest.approx(here[2])
    assert here.sum() == pytest.approx(len(polar))


def test_class_weights_leave_labels_alone_that_a_corpus_does_not_give() -> None:
    """A denied stance is neutral, and a teacher may doubt, where the corpus itself has two labels."""
    known = "oppose", "support"
    polar = [replace(e, labels=known) for e in tiny.examples(80) if e.stance in known]
    denied = [replace(polar[0], stance=Stance.NEUTRAL, labels=LABELS)]
    found = balance([*polar, *denied], 1.0)
    assert found[-1] == denied[0]
    assert found[: len(polar)] == balance(polar, 1.0)
    taught = [replace(e, labels=LABELS, soft=(0.01, 0.04, 0.95)) for e in polar if e.stance == "support"]
    assert [e.soft for e in balance(taught, 1.0)] == [pytest.approx((0.01, 0.04, 0.95))] * len(taught)


def test_class_weights_reach_an_answer_that_is_shared() -> None:
    """As many pairs as a label's shares weigh, each by itself, would have taught it."""
    train = unbalanced()["train"]
    shared = [replace(e, soft=(0.25, 0.25, 0.5)) if i % 3 == 0 else e for i, e in enumerate(train)]
    found = balance(shared, 1.0)
    assert np.allclose(say(found), say(shared).sum() / 3)
    for one, e in zip(found, shared, strict=True):
        assert bool(one.soft) == bool(e.soft)
        assert sum(one.shares()) == pytest.approx(1.0)
    (a, b, c), weight = found[0].soft, found[0].weight
    scale = say(shared).sum() / 3 / say(shared)
    assert np.allclose([weight * a, weight * b, weight * c], scale * (0.25, 0.25, 0.5))


def test_a_corpus_without_neutral_neither_teaches_nor_predicts_it(encoder: str, tmp_path: Path) -> None:
    polar = {
        split: [replace(e, labels=("oppose", "support")) for e in part if e.stance != "neutral"]
        for split, part in unbalanced().items()
    }
    trainer = assemble(encoder, tmp_path, splits={**unbalanced(), "validation": polar["validation"]})
    rows = trainer.eval_dataset
    batch = rows.collate(rows.rows)
    trainer.model.eval()
    loss, outputs = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
    assert set(outputs["logits"].argmax(-1)[batch["labels"] != -100].tolist()) <= {0, 2}
    head = trainer.model.head[-1]
    loss.backward()
    assert head.bias.grad[1] == 0  # no gradient reaches the class that is no choice
    assert head.bias.grad[0] != 0


def test_the_loss_of_a_vote_is_that_of_its_labels_by_their_shares(encoder: str, tmp_path: Path) -> None:
    trainer = assemble(encoder, tmp_path, splits=unbalanced())
    rows = trainer.eval_dataset
    batch = rows.collate(rows.rows[:4])
    trainer.model.eval()

    def loss(*shares: float) -> float:
        batch["targets"] = torch.tensor(shares).expand_as(batch["targets"])
        return float(trainer.compute_loss(trainer.model, dict(batch)).detach())

    assert loss(0.25, 0.0, 0.75) == pytest.approx(0.25 * loss(1.0, 0.0, 0.0) + 0.75 * loss(0.0, 0.0, 1.0), rel=1e-5)
    assert loss(1.0, 0.0, 0.0) != pytest.approx(loss(0.0, 0.0, 1.0), rel=1e-3)


def test_the_loss_is_the_weighted_mean_over_real_pairs(encoder: str, tmp_path: Path) -> None:
    splits = unbalanced()
    splits["train"] = [replace(e, weight=0.25 + i % 3) for i, e in enumerate(splits["train"])]
    trainer = assemble(encoder, tmp_path, splits=splits, class_weights="balanced", label_smoothing=0.1)
    rows = trainer.train_dataset
    batch = rows.collate(sorted(rows.rows, key=lambda row: len(row.labels))[:: len(rows.rows) // 6])
    assert (batch["labels"] == -100).any(), "the batch should have pairs that are only padding"
    trainer.model.eval()
    loss, outputs = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
    above, pairs = 0.0, 0
    logits = outputs["logits"].detach().double().numpy()
    for row, labels, importance in zip(logits, batch["labels"].numpy(), batch["weights"].numpy(), strict=True):
        for values, label, weight in zip(row, labels, importance, strict=True):
            if label < 0:
                continue
            log_probabilities = values - np.log(np.exp(values).sum())
            target = np.full(3, 0.1 / 3)
            target[label] += 0.9
            above += float(weight) * -(target * log_probabilities).sum()
            pairs += 1
    scales = [weight for row in rows.rows for weight in row.weights]
    assert loss.item() == pytest.approx(above / (pairs * np.mean(scales)), rel=1e-5)


def test_light_pairs_that_fill_steps_of_their_own_stay_light(encoder: str, tmp_path: Path) -> None:
    """Batches are of like length, so a corpus of short passages has whole steps to itself."""

    def pull(weight: float) -> float:
        splits = SPLITS | {
            "train": [replace(e, weight=weight if len(e.text.split()) < 15 else 1.0) for e in SPLITS["train"]]
        }
        trainer = assemble(encoder, tmp_path / str(weight), splits=splits)
        shortest = sorted(trainer.train_dataset.rows, key=lambda row: len(row.encoded.ids))[:4]
        assert {x for row in shortest for x in row.weights} == {weight}
        batch = trainer.train_dataset.collate(shortest)
        (light,), amount = trainer.get_batch_samples(iter([batch]), 1, torch.device("cpu"))
        trainer.model.eval()
        return float(trainer.compute_loss(trainer.model, dict(light), num_items_in_batch=amount)) * trainer.mean_weight

    assert pull(0.125) == pytest.approx(0.125 * pull(1.0), rel=1e-4)


def test_span_dropout_takes_places_but_leaves_the_question() -> None:
    examples = tiny.examples(200, seed=4)
    changed = augment.vary(examples, TrainingConfig(span_dropout=0.3, surface_share=0.0))
    bare = [e for e in changed if e.actor_span is None]
    assert 30 <= len(bare) <= 90
    assert all(e.target_span is None for e in bare)
    assert [(e.actor, e.target, e.stance) for e in changed] == [(e.actor, e.target, e.stance) for e in examples]


def test_surface_share_asks_in_the_words_of_the_passage() -> None:
    canonical = [replace(e, actor="Canon", target="Law") for e in tiny.examples(200, seed=4)]
    changed = augment.vary(canonical, TrainingConfig(span_dropout=0.0, surface_share=0.5))
    printed = [e for e in changed if e.actor != "Canon"]
    assert 60 <= len(printed) <= 140
    for example in printed:
        assert example.actor_span is not None
        assert example.actor == example.text[slice(*example.actor_span)]
    assert [e.stance for e in changed] == [e.stance for e in canonical]


def test_a_pronoun_is_never_asked_about_by_itself() -> None:
    """By its name alone, "he" is whoever the passage calls so first."""
    base = replace(tiny.examples(1)[0], text="He met Ann, who said he backs it.", stance=Stance.SUPPORT)
    told = replace(base, actor="Bob", target="the plan", actor_span=(21, 23), target_span=(30, 32))
    unnamed = replace(told, actor="he", target="Ann", target_span=(7, 10))
    asked = augment.vary([told, unnamed], TrainingConfig(span_dropout=0.999, surface_share=0.999))
    assert [(e.actor, e.actor_span, e.target, e.target_span) for e in asked] == [
        ("Bob", None, "the plan", None),
        ("he", (21, 23), "Ann", None),  # nothing but its place tells who that is
    ]
    capital = replace(base, text="US and WHO agree.", actor="US", target="WHO", actor_span=(0, 2), target_span=(7, 10))
    (asked,) = augment.vary([capital], TrainingConfig(span_dropout=0.999, surface_share=0.999))
    assert (asked.actor, asked.actor_span, asked.target, asked.target_span) == ("US", None, "WHO", None)


def test_an_open_holder_has_the_stance_that_all_holders_share() -> None:
    base = tiny.examples(1, seed=4)[0]
    pairs = [
        replace(base, actor="Ann", target="truce", stance=Stance.SUPPORT, actor_span=None, target_span=None),
        replace(base, actor="Bob", target="truce", stance=Stance.SUPPORT, actor_span=None, target_span=None),
        replace(base, actor="Ann", target="levy", stance=Stance.SUPPORT, actor_span=None, target_span=None),
        replace(base, actor="Bob", target="the levy", stance=Stance.OPPOSE, actor_span=None, target_span=None),
    ]
    sampled = [
        replace(pairs[0], actor="Cid", target="the truce", stance=Stance.NEUTRAL, provenance="sampled"),
        replace(pairs[0], actor="Cid", target="Kampala", stance=Stance.NEUTRAL, provenance="sampled"),
    ]
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=1.0)
    given = [*pairs, *sampled]
    asked = augment.vary(given, config)
    assert asked[: len(given)] == given
    # Of the levy holders disagree, and the truce that Cid has no stance to is supported by others.
    assert [(e.actor, e.target, e.stance) for e in asked[len(given) :]] == [
        (SOMEONE, "truce", Stance.SUPPORT),
        (SOMEONE, "Kampala", Stance.NEUTRAL),
    ]
    assert len({e.id for e in asked}) > len({e.id for e in given})
    told = [replace(e, soft=(0.2, 0.3, 0.5)) for e in given]
    assert {e.soft for e in augment.vary(told, config)[len(told) :]} == {()}, "a teacher answered about Ann"
    neutral = replace(base, article_id="b", actor="Ann", target="truce", stance=Stance.NEUTRAL)
    assert augment.vary([neutral], config) == [neutral], "others may hold a stance that nobody annotated"
    sampled = replace(neutral, id="n", target="Kampala", provenance="sampled")
    held = [replace(neutral, target=name, stance=Stance.OPPOSE) for name in ("the levy", "Addis Ababa")]
    known = augment.vary([neutral, sampled, *held], config)
    assert [e.target for e in known if e.actor == SOMEONE] == ["truce", "Kampala", "the levy", "Addis Ababa"]


def test_an_article_that_lost_annotations_is_not_known_to_have_no_further_stance() -> None:
    base = tiny.examples(1, seed=4)[0]
    neutral = replace(base, actor="Ann", target="truce", stance=Stance.NEUTRAL, actor_span=None, target_span=None)
    sampled = replace(neutral, id="n", target="Kampala", provenance="sampled")
    held = replace(neutral, id="h", target="levy", stance=Stance.OPPOSE)
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=1.0)
    for tags, targets in (((), ["truce", "levy"]), ((PARTIAL,), ["levy"])):
        asked = augment.vary([neutral, replace(sampled, tags=tags), held, replace(held, target="dam")], config)
        assert [e.target for e in asked if e.actor == SOMEONE and e.target not in ("Kampala", "dam")] == targets


def test_what_the_passage_calls_a_target_is_no_target_of_nobody() -> None:
    text = "Pakistan backed Moscow."
    base = replace(tiny.examples(1)[0], text=text, actor="Pakistan", actor_span=(0, 8), stance=Stance.SUPPORT)
    held = replace(base, target="Russia", target_span=(16, 22))
    sampled = replace(base, target="Moscow", target_span=None, stance=Stance.NEUTRAL, provenance="sampled")
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=1.0)
    assert [e.target for e in augment.vary([held, sampled], config) if e.actor == SOMEONE] == ["Russia"]


def test_no_more_open_holders_are_neutral_than_are_not() -> None:
    base = replace(tiny.examples(1, seed=4)[0], actor="Ann", actor_span=None, target_span=None)
    held = [replace(base, id=f"h{n}", target=f"levy {n}", stance=Stance.OPPOSE) for n in range(200)]
    free = [
        replace(base, id=f"f{n}", target=f"town of {n}", stance=Stance.NEUTRAL, provenance="sampled")
        for n in range(1000, 2000)
    ]
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=0.5)
    stances = Counter(e.stance for e in augment.vary([*held, *free], config) if e.actor == SOMEONE)
    assert 70 < stances[Stance.OPPOSE] < 130
    assert 70 < stances[Stance.NEUTRAL] < 130


def test_each_corpus_has_as_many_neutral_open_holders_as_others() -> None:
    base = replace(tiny.examples(1, seed=4)[0], actor="Ann", actor_span=None, target_span=None)
    foreign = [
        replace(base, id=f"h{n}", corpus="other", article_id="b", target=f"levy {n}", stance=Stance.OPPOSE)
        for n in range(200)
    ]
    free = [
        replace(base, id=f"f{n}", target=f"town of {n}", stance=Stance.NEUTRAL, provenance="sampled")
        for n in range(1000, 1200)
    ]
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=1.0)
    asked = [e.corpus for e in augment.vary([*foreign, *free], config) if e.actor == SOMEONE]
    assert asked == ["other"] * 200


def test_nobody_is_asked_about_and_no_question_is_asked_twice() -> None:
    base = replace(tiny.examples(1, seed=4)[0], stance=Stance.OPPOSE, actor_span=None, target_span=None)
    about_nobody = replace(base, actor="Ann", target=SOMEONE)
    given = [replace(base, actor=SOMEONE, target="the levy"), replace(base, actor="Ann", target="levy")]
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=1.0)
    assert augment.vary([about_nobody, *given], config) == [about_nobody, *given]


def test_what_is_made_of_a_pair_does_not_close_its_holder() -> None:
    """A denied clause is about one holder's stance, with the article and the target of the pair it is made of."""
    text = "Pakistan backed the plan. Russia backed the plan."
    base = replace(tiny.examples(1)[0], text=text, target="the plan", stance=Stance.SUPPORT, target_span=(16, 24))
    pairs = [
        replace(base, actor="Pakistan", actor_span=(0, 8)),
        replace(base, actor="Russia", actor_span=(26, 32), target_span=(40, 48)),
    ]
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, open_holder=1.0, deny=1.0)
    asked = augment.vary(pairs, config)
    assert len({e.text for e in asked}) > 1, "nothing was denied"
    assert [(e.text, e.stance) for e in asked if e.actor == SOMEONE] == [(text, Stance.SUPPORT)]


def test_nothing_is_varied_when_both_shares_are_zero() -> None:
    examples = tiny.examples(50, seed=4)
    assert augment.vary(examples, TrainingConfig(span_dropout=0.0, surface_share=0.0)) == examples


def test_training_can_start_from_a_checkpoint(encoder: str, reference: Result, tmp_path: Path) -> None:
    result = train(
        encoder,
        tmp_path / "further",
        initial=str(reference.checkpoint),
        epochs=1,
        learning_rate=1e-12,
        weight_decay=0.0,
    )
    assert result.scores["macro_f1"] == pytest.approx(reference.scores["macro_f1"])


def test_starting_from_a_missing_checkpoint_is_refused(encoder: str, tmp_path: Path) -> None:
    for name, match in (
        ("none", r"training\.initial=\S+none: no such directory; expected the directory of a checkpoint"),
        ("file", r"training\.initial=\S+file: is a file; expected the directory of a checkpoint"),
        ("empty", r"empty/model\.safetensors: missing from the checkpoint"),
    ):
        (tmp_path / "file").touch()
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(StanceError, match=match):
            train(encoder, tmp_path / "checkpoint", initial=str(tmp_path / name))


def test_starting_from_a_checkpoint_of_another_architecture_is_refused(reference: Result, tmp_path: Path) -> None:
    other = str(tiny.folder("distilbert", tmp_path / "encoder"))
    with pytest.raises(StanceError, match="a checkpoint of another architecture"):
        train(other, tmp_path / "checkpoint", initial=str(reference.checkpoint))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "span_mean"}, r"was trained with model\.head=bilinear; here it is head span_mean; set the same"),
        ({"head": "bilinear", "question": "hypothesis"}, r"model\.question=markers; here it is question hypothesis"),
        ({"head": "bilinear", "layout": "pair"}, r"model\.layout=one_pass; here it is layout pair"),
    ],
)
def test_starting_from_a_checkpoint_that_was_asked_otherwise_is_refused(
    encoder: str, bilinear: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The weights have the same shapes."""
    recipe = TrainingConfig(initial=str(bilinear), precision="fp32")
    with pytest.raises(StanceError, match=message):
        finetuning.assemble(SPLITS, tiny.config(name=encoder, **changes), recipe, work=tmp_path / "work")
    finetuning.assemble(SPLITS, tiny.config(name=encoder, head="bilinear"), recipe, work=tmp_path / "work")


@pytest.fixture(scope="module")
def bilinear(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose head has as many weights as another one."""
    recipe = TrainingConfig(epochs=1, tokens_per_batch=128, precision="fp32")
    output = tmp_path_factory.mktemp("bilinear") / "checkpoint"
    return finetuning.train(
        SPLITS, tiny.config(name=encoder, head="bilinear"), recipe, output=output, about={}
    ).checkpoint


@pytest.mark.parametrize("steps", [1, 2])
def test_a_training_of_few_steps_loses_none_to_warm_up(encoder: str, tmp_path: Path, steps: int) -> None:
    trainer = assemble(encoder, tmp_path / "work", epochs=steps, accumulation=100, warmup=0.1)
    before = {name: value.detach().clone() for name, value in trainer.model.head.named_parameters()}
    trainer.train()
    assert trainer.state.global_step == steps
    assert any(not torch.equal(before[name], value) for name, value in trainer.model.head.named_parameters())


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_a_label_is_refused(encoder: str, tmp_path: Path, split: str) -> None:
    splits = {**SPLITS, split: [e for e in SPLITS[split] if e.stance != "support"]}
    with pytest.raises(StanceError, match=f"the {split} split has no example of support"):
        train(encoder, tmp_path / "checkpoint", splits=splits)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("tokens_per_batch", 0),
        ("warmup", 1.0),
        ("span_dropout", -0.1),
        ("surface_share", 1.5),
        ("seed", -1),
        ("label_smoothing", 1.5),
        ("weight_decay", -1.0),
        ("max_grad_norm", -1.0),
        ("early_stopping", -1),
        ("class_weights", "some"),
        ("precision", "fp8"),
        ("learning_rate", float("nan")),
        ("max_grad_norm", float("nan")),
        ("teacher_questions", float("inf")),
    ],
)
def test_a_setting_without_meaning_is_refused(encoder: str, tmp_path: Path, setting: str, value: object) -> None:
    with pytest.raises(StanceError, match=setting):
        train(encoder, tmp_path / "checkpoint", **{setting: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["dropout", "encoder_dropout"])
def test_a_dropout_of_more_than_everything_is_refused(encoder: str, setting: str) -> None:
    with pytest.raises(StanceError, match=f"model.{setting}=1.5"):
        encoders.load(tiny.config(name=encoder, **{setting: 1.5}))


def test_a_folder_that_is_called_like_the_home_is_a_folder(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    result = train(encoder, Path("~") / "checkpoint", epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["~"]
    assert [path.name for path in (tmp_path / "~").iterdir()] == [result.checkpoint.name]


@pytest.mark.parametrize("output", [".", "/"])
def test_an_output_without_a_name_is_refused(encoder: str, output: str) -> None:
    with pytest.raises(StanceError, match=rf"^output={re.escape(output)}: expected the name of a directory to write"):
        train(encoder, Path(output))


def test_fp32_is_taken_when_asked_for() -> None:
    assert choose_precision("fp32") == "fp32"


def test_bf16_that_a_gpu_emulates_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert choose_precision("auto") == "fp32"


def test_settings_of_accelerate_do_not_overrule_the_precision(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert assemble(encoder, tmp_path).accelerator.mixed_precision == "no"


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_products_are_done_in_the_precision(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, kind: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        "stance.network.precision.bf16_instructions", lambda: ["avx512_bf16"]
    )  # every CPU can, if slowly
    trainer, seen = assemble(encoder, tmp_path, precision=precision, epochs=1), set[torch.dtype]()
    layer = trainer.model.encoder.encoder.layer[0].intermediate.dense
    layer.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype) if module.training else None)
    trainer.train()
    assert seen == {kind}


class Norms(TrainerCallback):  # type: ignore[misc]
    """Notes the norm of all gradients and the learning rate before each optimizer step."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.rates: list[float] = []

    def on_pre_optimizer_step(self, *_: Any, model: torch.nn.Module, optimizer: Any, **__: Any) -> None:
        """The gradients are clipped, the weights not yet changed."""
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        self.found.append(float(torch.cat(gradients).norm()))
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("most", [0.01, 0.0])
def test_gradients_are_clipped_weights_decay_and_the_learning_rate_falls(
    encoder: str, tmp_path: Path, most: float
) -> None:
    trainer, norms = assemble(encoder, tmp_path, max_grad_norm=most, weight_decay=0.3), Norms()
    trainer.add_callback(norms)
    trainer.train()
    assert (max(norms.found) <= 0.0101) == bool(most), "0 leaves them"
    assert {group["weight_decay"] for group in trainer.optimizer.param_groups} == {0.0, 0.3}
    falling = norms.rates[norms.rates.index(max(norms.rates)) :]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < falling[0] / 5


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_does_not_take_is_refused(encoder: str, tmp_path: Path, seed: int) -> None:
    with pytest.raises(StanceError, match=rf"training\.seed={seed}: expected 0 to 4294967295"):
        assemble(encoder, tmp_path, seed=seed)


@pytest.fixture
def anew() -> Iterator[None]:
    """The machine's gain by bf16 is measured in this test, and again after it."""
    bf16_gain.cache_clear()
    yield
    bf16_gain.cache_clear()


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(),
    reason="reads the processor's own list of x86 features",
)
def test_bf16_instructions_are_those_that_the_processor_lists() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert set(bf16_instructions()) == {"avx512_bf16", "amx_bf16"} & flags


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU decides by what it supports")
@pytest.mark.parametrize(("slowed", "expected"), [(torch.bfloat16, "fp32"), (torch.float32, "bf16")])
def test_auto_takes_the_precision_that_multiplies_faster(
    anew: None, monkeypatch: pytest.MonkeyPatch, slowed: torch.dtype, expected: str
) -> None:
    linear = torch.nn.functional.linear

    def slow(inputs: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        for _ in range(40 if inputs.dtype == slowed else 0):
            linear(inputs, *rest)
        return linear(inputs, *rest)

    monkeypatch.setattr(torch.nn.functional, "linear", slow)
    assert choose_precision("auto") == (expected if bf16_instructions() else "fp32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU decides by what it supports")
def test_auto_on_this_machine_is_not_the_precision_that_trains_far_slower(anew: None) -> None:
    layer, inputs = torch.nn.Linear(384, 1536), torch.randn(1024, 384)

    def seconds(precision: str) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            layer(inputs).sum().backward()
        return time.perf_counter() - start

    taken = dict.fromkeys(("fp32", "bf16"), float("inf"))
    for _ in range(10):  # in turns: a busy neighbour must not slow all runs of one of them
        for precision in taken:
            taken[precision] = min(taken[precision], seconds(precision))
    chosen = choose_precision("auto")
    assert taken[chosen] < 1.5 * min(taken.values())


def test_bf16_is_refused_where_there_are_no_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert choose_precision("auto") == "fp32"
    with pytest.raises(StanceError, match=r"training\.precision=bf16: this machine has no bf16 instructions"):
        choose_precision("bf16")


def test_a_crash_leaves_no_output(encoder: str, tmp_path: Path) -> None:
    interrupt(encoder, tmp_path / "checkpoint", after=1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.partial"]


def test_a_crash_keeps_the_earlier_checkpoint(encoder: str, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    train(encoder, output, epochs=1)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    interrupt(encoder, output, after=1, seed=5)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "checkpoint.partial"}


def test_an_output_that_is_no_checkpoint_is_refused_before_training(encoder: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    calls: list[int] = []
    with pytest.raises(StanceError, match=r"holds files but no checkpoint\.json.*nothing was overwritten"):
        train(encoder, tmp_path, sink=lambda metrics, step: calls.append(step))
    assert calls == []
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_finished_run_replaces_an_earlier_checkpoint(encoder: str, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    train(encoder, output, epochs=1)
    train(encoder, output, epochs=1, seed=9)
    assert json.loads((output / "checkpoint.json").read_text())["training"]["seed"] == 9
