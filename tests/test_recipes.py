"""What a model may learn from beside its labels, and the comparison of ways to train: loss, teachers, contenders."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from safetensors.numpy import save
from torch.nn import functional

import tiny
from conftest import script
from stance import jsonl, studies
from stance.building.dataset import Manifest
from stance.commands import bakeoff as commands
from stance.config import override
from stance.errors import StanceError
from stance.jobs.studies import BakeoffJob
from stance.network import inference
from stance.network import model as models
from stance.records import LABELS, SOMEONE, UNLABELLED, Example, Stance
from stance.scoring.calibration import softmax
from stance.settings.studies import BakeoffConfig
from stance.settings.training import LoraConfig, TrainingConfig
from stance.studies import bakeoff
from stance.studies.bakeoff import Contender, Outcome
from stance.training import ancestry, finetuning, teacher
from stance.training.batches import ANSWERS, IGNORED, target
from stance.training.objective import consistency, cross_entropy
from stance.training.recipe import teachers
from tiny import one_thread  # noqa: F401

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2)}
RECIPE = TrainingConfig(epochs=3, learning_rate=3e-3, tokens_per_batch=128, precision="fp32")


@pytest.fixture(scope="module")
def taught_by(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained checkpoint."""
    output = tmp_path_factory.mktemp("teacher") / "checkpoint"
    return finetuning.train(SPLITS, tiny.config(name=encoder), RECIPE, output=output, about={}).checkpoint


def hot(labels: Sequence[int]) -> torch.Tensor:
    return functional.one_hot(torch.tensor(labels), 3).float()[None]


# The loss


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_torchs_cross_entropy_where_all_labels_are_known(smoothing: float) -> None:
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = [0, 1, 2, 1, 0]
    expected = functional.cross_entropy(logits[0], torch.tensor(labels), label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, hot(labels), smoothing)[0], expected)


def test_a_label_that_is_no_choice_changes_nothing() -> None:
    logits = torch.tensor([[[0.5, 3.0, -0.5]]])
    wanted = torch.tensor([[[1.0, -1.0, 0.0]]])
    lost = cross_entropy(logits, wanted)
    assert float(lost) == pytest.approx(float(functional.cross_entropy(torch.tensor([[0.5, -0.5]]), torch.tensor([0]))))
    moved = torch.tensor([[[0.5, 30.0, -0.5]]])
    assert float(cross_entropy(moved, wanted)) == pytest.approx(float(lost))
    assert float(consistency(logits, moved, wanted)) == pytest.approx(0, abs=1e-6)


def test_the_smoothed_loss_of_a_pair_is_torchs_over_the_labels_that_are_choices() -> None:
    lost = cross_entropy(torch.tensor([[[0.5, 3.0, -0.5]]]), torch.tensor([[[1.0, -1.0, 0.0]]]), 0.2)
    known = functional.cross_entropy(torch.tensor([[0.5, -0.5]]), torch.tensor([0]), label_smoothing=0.2)
    assert float(lost) == pytest.approx(float(known))


def test_consistency_is_the_mean_of_both_divergences() -> None:
    a, b = torch.tensor([[[1.0, 0.0, -1.0]]]), torch.tensor([[[0.0, 2.0, 0.5]]])
    p, q = a.log_softmax(-1), b.log_softmax(-1)
    both = functional.kl_div(p, q, log_target=True, reduction="sum") + functional.kl_div(
        q, p, log_target=True, reduction="sum"
    )
    assert float(consistency(a, b, hot([0]))) == pytest.approx(float(both) / 2, rel=1e-5)


def test_r_drop_trains_other_weights_and_is_reproducible(encoder: str, tmp_path: Path) -> None:
    def trained(name: str, r_drop: float) -> bytes:
        recipe = replace(RECIPE, epochs=1, r_drop=r_drop)
        model = tiny.config(name=encoder, dropout=0.3)
        done = finetuning.train(SPLITS, model, recipe, output=tmp_path / name, about={})
        return (done.checkpoint / "model.safetensors").read_bytes()

    assert trained("with", 1.0) == trained("again", 1.0) != trained("without", 0.0)


def test_r_drop_adds_the_divergence_of_two_answers(encoder: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, r_drop=2.0)
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder, dropout=0.3), recipe, work=tmp_path / "work")
    rows, model = trainer.train_dataset, trainer.model.train()
    batch = rows.collate(rows.rows[:4])
    features = {name: values for name, values in batch.items() if name not in ANSWERS}
    torch.manual_seed(0)
    with torch.no_grad():
        one, other = model(**features), model(**features)
    wanted = batch["targets"]
    lost = (cross_entropy(one, wanted) + cross_entropy(other, wanted)) / 2
    apart = consistency(one, other, wanted)
    real = batch["labels"] != IGNORED
    assert float(apart[real].mean()) > 1e-4
    torch.manual_seed(0)
    found = trainer.compute_loss(model, dict(batch))
    assert float(found.detach()) == pytest.approx(float((lost + 2 * apart)[real].mean()), rel=1e-5)


# Teachers


def taught(path: Path, teachers: Sequence[Path], **changes: float) -> list[Example]:
    recipe = replace(RECIPE, teacher=[str(t) for t in teachers], teacher_cache=str(path / "cache"), **changes)
    return teacher.teach(SPLITS["train"], recipe)


def test_without_a_teacher_nothing_changes() -> None:
    assert teacher.teach(SPLITS["train"], RECIPE) == SPLITS["train"]


def test_the_wanted_answer_mixes_label_and_teacher(taught_by: Path, tmp_path: Path) -> None:
    pairs = [example.pair() for example in SPLITS["train"]]
    said = softmax(inference.logits(models.load(taught_by), pairs))
    found = taught(tmp_path, [taught_by], teacher_weight=0.25)
    own = np.array([[label == e.stance for label in LABELS] for e in SPLITS["train"]], float)
    np.testing.assert_allclose([e.soft for e in found], 0.75 * own + 0.25 * said, atol=1e-5)
    assert [e.stance for e in found] == [e.stance for e in SPLITS["train"]]


def test_a_label_that_the_corpus_does_not_know_is_not_taught(taught_by: Path, tmp_path: Path) -> None:
    two = [replace(e, labels=("oppose", "support")) for e in SPLITS["train"] if e.stance != "neutral"]
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path), teacher_weight=1.0)
    wanted = [target(example) for example in teacher.teach(two, recipe)]
    assert {row[1] for row in wanted} == {-1.0}
    np.testing.assert_allclose([row[0] + row[2] for row in wanted], 1, atol=1e-6)


def test_several_teachers_answer_with_their_mean(taught_by: Path, encoder: str, tmp_path: Path) -> None:
    other = finetuning.train(
        SPLITS, tiny.config(name=encoder), replace(RECIPE, seed=9), output=tmp_path / "b", about={}
    )
    alone = [
        np.array([e.soft for e in taught(tmp_path, [t], teacher_weight=1.0)]) for t in (taught_by, other.checkpoint)
    ]
    both = [e.soft for e in taught(tmp_path, [taught_by, other.checkpoint], teacher_weight=1.0)]
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)
    assert np.abs(alone[0] - alone[1]).max() > 1e-3


def test_answers_are_kept_and_belong_to_their_questions(taught_by: Path, tmp_path: Path) -> None:
    first = taught(tmp_path, [taught_by])
    (kept,) = (tmp_path / "cache").iterdir()
    before = kept.stat().st_mtime_ns
    assert taught(tmp_path, [taught_by]) == first
    assert kept.stat().st_mtime_ns == before
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"))
    teacher.teach(SPLITS["train"][:10], recipe)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_answers_in_another_precision_are_kept_apart(
    taught_by: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        "stance.network.precision.bf16_instructions", lambda: ["avx512_bf16"]
    )  # every CPU can, if slowly
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"))
    for number, precision in enumerate(("fp32", "bf16"), 1):
        teacher.teach(SPLITS["train"][:4], replace(recipe, precision=precision))
        assert len(list((tmp_path / "cache").iterdir())) == number


def test_answers_of_other_code_are_asked_anew(
    taught_by: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taught(tmp_path, [taught_by])
    capsys.readouterr()
    taught(tmp_path, [taught_by])
    assert "questions" not in capsys.readouterr().out
    monkeypatch.setattr(teacher, "ANSWERING", teacher.ANSWERING + 1)
    taught(tmp_path, [taught_by])
    assert f"answers {len(SPLITS['train'])} questions" in capsys.readouterr().out


def test_a_stopped_teacher_goes_on_where_it_was(
    taught_by: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(teacher, "PART", 10)
    asked, answered = SPLITS["train"][:35], inference.logits
    parts: list[int] = []

    def stopping(*args: Any, **settings: Any) -> inference.Logits:
        if len(parts) == 2:
            raise KeyboardInterrupt
        parts.append(len(args[1]))
        return answered(*args, **settings)

    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"), teacher_weight=1.0)
    monkeypatch.setattr(inference, "logits", stopping)
    with pytest.raises(KeyboardInterrupt):
        teacher.teach(asked, recipe)
    monkeypatch.setattr(inference, "logits", answered)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    capsys.readouterr()
    found = teacher.teach(asked, recipe)
    assert f"answers {35 - sum(parts)} of 35 questions" in capsys.readouterr().out
    said = softmax(answered(models.load(taught_by), [example.pair() for example in asked]))
    np.testing.assert_allclose([e.soft for e in found], said, atol=1e-5)


def test_trainings_beside_each_other_share_the_questions(
    taught_by: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "PART", 1)
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"))
    asked, answered, parts = SPLITS["train"][:12], inference.logits, []

    def beside(*args: Any, **settings: Any) -> inference.Logits:
        parts.append(args[1][0])
        if len(parts) == 1:
            with pytest.raises(KeyboardInterrupt):
                teacher.teach(asked, recipe)  # another one begins and ends while this one answers its first part
        elif len(parts) == 6:
            raise KeyboardInterrupt
        return answered(*args, **settings)

    monkeypatch.setattr(inference, "logits", beside)
    teacher.teach(asked, recipe)
    times = [parts.count(example.pair()) for example in asked]
    assert min(times) >= 1
    assert sum(times) <= 12 + 2, "twice only what both, and what the interrupted one, had begun"
    monkeypatch.setattr(inference, "logits", lambda *a, **s: parts.append(a[1][0]) or answered(*a, **s))
    orders = []
    for name in "ab":
        parts.clear()
        teacher.teach(asked, replace(recipe, teacher_cache=str(tmp_path / name)))
        orders.append(list(parts))
    assert orders[0] != orders[1], "each begins elsewhere"


def test_answers_that_are_not_whole_are_asked_for_again(taught_by: Path, tmp_path: Path) -> None:
    first = taught(tmp_path, [taught_by])
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    for damaged in (whole[:-7], b"", save({"logits": np.zeros((1, 3), np.float32)})):
        kept.write_bytes(damaged)
        assert taught(tmp_path, [taught_by]) == first
        assert kept.read_bytes() == whole
    assert list((tmp_path / "cache").iterdir()) == [kept], "nothing temporary is left"


def test_a_cache_that_takes_nothing_is_known_before_a_teacher_is_asked(
    taught_by: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.delattr(inference, "logits")
    with pytest.raises(StanceError, match=r"training\.teacher_cache=.*cache: answers can't be kept there .File exists"):
        taught(tmp_path, [taught_by])


def test_a_teacher_that_needs_too_much_memory_is_named(
    taught_by: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def huge(*args: Any, **settings: Any) -> inference.Logits:
        return torch.empty(1 << 50).numpy()

    monkeypatch.setattr(inference, "logits", huge)
    with pytest.raises(StanceError, match=rf"out of memory while training.teacher={taught_by} answered .asked for"):
        taught(tmp_path, [taught_by])


def test_further_questions_are_new_pairs_of_the_passage_that_only_the_teacher_answers(
    taught_by: Path, tmp_path: Path
) -> None:
    one_way = [example for example in SPLITS["train"] if example.id.endswith("there")]
    recipe = replace(
        RECIPE,
        teacher=[str(taught_by)],
        teacher_cache=str(tmp_path),
        teacher_questions=1.0,
        teacher_questions_weight=0.3,
    )
    weighty = [replace(e, weight=0.5) for e in one_way]
    asked_on = teacher.answer(teacher.further(weighty, recipe), recipe)
    assert len(asked_on) == len(one_way)
    for asked, example in zip(asked_on, one_way, strict=True):
        assert (asked.actor, asked.target, asked.text) == (example.target, example.actor, example.text)
        assert (asked.actor_span, asked.target_span) == (example.target_span, example.actor_span)
        assert asked.weight == 0.3 * 0.5, "its passage's weight counts too"
        assert asked.stance == Stance(LABELS[int(np.argmax(asked.soft))])


def test_a_training_asks_its_teacher_further_questions_whatever_its_seed(taught_by: Path, tmp_path: Path) -> None:
    one_way = [example for example in SPLITS["train"] if example.id.endswith("there")]
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path), teacher_questions=0.5,
                     span_dropout=0.0, surface_share=0.0)  # fmt: skip

    def asked(seed: int) -> list[Example]:
        learned = finetuning._learned({**SPLITS, "train": one_way}, replace(recipe, seed=seed))
        return [example for example in learned if example.provenance == teacher.PROVENANCE]

    assert len(one_way) / 4 < len(asked(1)) < len(one_way) * 3 / 4, "passages of one pair get a question at times"
    assert asked(1) == asked(2)


def test_no_name_is_looked_at_where_no_further_question_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: Counter[str] = Counter()

    def counted(name: str) -> str:
        looked[name] += 1
        return name.casefold()

    monkeypatch.setattr(teacher, "folded", counted)
    monkeypatch.setattr(teacher, "knows", lambda folder: LABELS)
    base = SPLITS["train"][0]
    names = [f"name {i}" for i in range(12)]
    pairs = [replace(base, id=a, actor=a, target=b, actor_span=None, target_span=None) for a, b in pairwise(names)]
    assert teacher.further(pairs, replace(RECIPE, teacher=["any"])) == []
    assert not looked
    assert teacher.further(pairs, replace(RECIPE, teacher=["any"], teacher_questions=1.0))
    assert max(looked.values()) <= 3, "as actor and as target of the examples, and once in its passage"


def test_a_further_question_has_the_place_that_any_pair_of_its_passage_knows(taught_by: Path) -> None:
    there = replace(SPLITS["train"][0], actor="Ann", target="Bob", actor_span=(0, 2), target_span=(3, 5))
    again = replace(there, id="again", actor="Cid", target="Ann", actor_span=None, target_span=None)
    elsewhere = replace(again, article_id="elsewhere", actor="Bob", target="Cid")
    for pairs in ([there, again, elsewhere], [again, there, elsewhere]):
        asked = teacher.further(pairs, replace(RECIPE, teacher=[str(taught_by)], teacher_questions=9.0))
        here = [e for e in asked if e.article_id == there.article_id]
        places = {(name, place) for e in here for name, place in ((e.actor, e.actor_span), (e.target, e.target_span))}
        assert places == {("Ann", (0, 2)), ("Bob", (3, 5)), ("Cid", None)}


def test_a_further_question_may_have_any_answer_that_its_teacher_knows_whatever_its_corpus_does(
    taught_by: Path,
) -> None:
    polar = [replace(example, labels=("oppose", "support")) for example in SPLITS["train"][::2]]
    asked = teacher.further(polar, replace(RECIPE, teacher=[str(taught_by)], teacher_questions=1.0))
    assert {example.labels for example in asked} == {LABELS}


@pytest.fixture(scope="module")
def two_way(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that learned of support and oppose alone."""
    splits = {
        name: [replace(e, labels=("oppose", "support")) for e in part if e.stance != "neutral"]
        for name, part in SPLITS.items()
    }
    output = tmp_path_factory.mktemp("two-way") / "checkpoint"
    return finetuning.train(splits, tiny.config(name=encoder), RECIPE, output=output, about={}).checkpoint


def test_a_teacher_says_nothing_of_a_label_that_it_never_learned(
    two_way: Path, taught_by: Path, tmp_path: Path
) -> None:
    assert (teacher.knows(two_way), teacher.knows(taught_by)) == (("oppose", "support"), LABELS)
    recipe = replace(RECIPE, teacher=[f"toy:{two_way}"], teacher_cache=str(tmp_path), teacher_questions=1.0)
    polar = [replace(e, labels=("oppose", "support")) for e in SPLITS["train"][::2] if e.stance != "neutral"]
    asked = teacher.answer(teacher.further(polar, recipe), recipe)
    assert {e.labels for e in asked} == {("oppose", "support")}
    assert {e.soft[1] for e in asked} == {0.0}
    assert {target(e)[1] for e in asked} == {-1.0}
    both = replace(recipe, teacher=[str(taught_by), f"toy:{two_way}"])
    assert {e.labels for e in teacher.further(polar, both)} == {("oppose", "support")}, "what all of them know"
    whole = [replace(e, provenance=UNLABELLED) for e in polar]
    weights = [e.weight for e in teacher.answer(whole, recipe)]
    assert weights == pytest.approx([recipe.teacher_questions_weight] * len(whole)), "it gives all to these labels"
    raw = inference.logits(models.load(two_way), [e.pair() for e in polar])[:, [0, 2]]
    np.testing.assert_allclose(
        [e.soft for e in teacher.answer(whole, recipe)], np.insert(softmax(raw), 1, 0, 1), atol=1e-5
    )


def test_a_teacher_is_refused_for_a_corpus_that_knows_a_label_more(encoder: str, two_way: Path, tmp_path: Path) -> None:
    mixed = [*SPLITS["train"], *(replace(e, corpus="two", labels=("oppose", "support")) for e in SPLITS["train"])]
    for given in (str(two_way), f"toy:{two_way}"):
        with pytest.raises(StanceError, match=rf"{two_way} never learned neutral, which toy knows; name the corpora"):
            teacher.check_corpora(replace(RECIPE, teacher=[given]), mixed)
    teacher.check_corpora(replace(RECIPE, teacher=[f"two:{two_way}"]), mixed)
    recipe = replace(RECIPE, teacher=[str(two_way)], teacher_cache=str(tmp_path / "cache"))
    with pytest.raises(StanceError, match="never learned neutral"):
        finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=tmp_path / "out", about={})


def test_only_who_acts_somewhere_is_asked_for_a_further_stance_to_what_is_another_thing(taught_by: Path) -> None:
    one = replace(SPLITS["train"][0], actor="Ann", target="levy", actor_span=(0, 2), target_span=(3, 5))
    same = replace(one, id="same", actor="Bob", target="Ann", actor_span=(0, 2), target_span=(0, 2))
    unseen = replace(one, id="unseen", actor="the author", actor_span=None)
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_questions=99.0)
    asked = {(e.actor, e.target) for e in teacher.further([one, same, unseen], recipe)}
    assert asked == {("the author", "Ann"), ("the author", "Bob"), ("Bob", "levy")}


def test_nobody_is_asked_about_someone() -> None:
    opened = [replace(e, actor=SOMEONE, actor_span=None) for e in SPLITS["train"] if e.id.endswith("there")]
    recipe = replace(RECIPE, teacher=["any"], teacher_questions=1.0)
    assert teacher.further(opened, recipe) == []


def test_no_further_questions_are_of_a_corpus_without_a_teacher(taught_by: Path) -> None:
    one_way = [example for example in SPLITS["train"] if example.id.endswith("there")]
    mixed = [*one_way, *(replace(e, corpus="other") for e in one_way)]
    recipe = replace(RECIPE, teacher=[f"toy:{taught_by}"], teacher_questions=1.0)
    assert {e.corpus for e in mixed} == {"toy", "other"}
    assert {e.corpus for e in teacher.further(mixed, recipe)} == {"toy"}


def test_teachers_are_asked_the_same_whatever_the_training_makes_of_a_question(
    taught_by: Path, encoder: str, tmp_path: Path
) -> None:
    """Masked, hidden and bare questions, and another seed, take the answers to those of the dataset."""
    recipe = replace(
        RECIPE, epochs=1, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"), teacher_weight=1.0
    )

    def learned(name: str, **changes: float) -> dict[str, list[float]]:
        varied = replace(recipe, **changes)
        trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), varied, work=tmp_path / name)
        data = trainer.train_dataset
        return {data.ids[i]: t for row in data.rows for i, t in zip(row.encoded.pairs, row.targets, strict=True)}

    plain = learned("plain")
    varied = learned("varied", mask_names=0.5, hide_names=0.3, span_dropout=0.5, seed=8)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert varied == plain
    assert set(plain) == {e.id for e in SPLITS["train"]}


def test_answers_in_another_encoding_are_asked_anew(taught_by: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path))
    teacher.teach(SPLITS["train"][:6], recipe)
    copy = tmp_path / "copy"
    shutil.copytree(taught_by, copy)
    (copy / "checkpoint.json").write_text(
        (copy / "checkpoint.json").read_text().replace('"max_pairs": 4', '"max_pairs": 3')
    )
    teacher.teach(SPLITS["train"][:6], replace(recipe, teacher=[str(copy)]))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_r_drop_without_dropout_is_refused(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"training\.r_drop compares two answers under dropout, and there is none"):
        finetuning.train(
            SPLITS, tiny.config(name=encoder), replace(RECIPE, r_drop=1.0), output=tmp_path / "none", about={}
        )
    recipe = replace(RECIPE, r_drop=1.0, lora=LoraConfig(rank=0, dropout=0.1))
    with pytest.raises(StanceError, match=r"training\.r_drop compares two answers under dropout, and there is none"):
        finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=tmp_path / "none", about={})


def test_a_student_learns_what_only_its_teacher_knows(taught_by: Path, encoder: str, tmp_path: Path) -> None:
    lies = [replace(e, stance=Stance(LABELS[(LABELS.index(e.stance) + 1) % 3])) for e in SPLITS["train"]]
    recipe = replace(
        RECIPE, epochs=6, early_stopping=0, teacher=[str(taught_by)], teacher_weight=1.0, teacher_cache=str(tmp_path)
    )
    done = finetuning.train(
        {**SPLITS, "train": lies}, tiny.config(name=encoder), recipe, output=tmp_path / "student", about={}
    )
    pairs = [example.pair() for example in SPLITS["train"]]
    student, master = (inference.logits(models.load(path), pairs).argmax(1) for path in (done.checkpoint, taught_by))
    labels = np.array([LABELS.index(e.stance) for e in lies])
    assert (student == master).mean() > (student == labels).mean()


def unlabelled(number: int, corpus: str = "toy") -> list[Example]:
    rows = [replace(e, provenance="unlabelled", corpus=corpus, weight=0.5) for e in tiny.examples(number, seed=7)]
    return [replace(e, stance=Stance.NEUTRAL) for e in rows]


def test_what_has_no_label_has_the_teachers_answer_alone(taught_by: Path, tmp_path: Path) -> None:
    recipe = replace(
        RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path), teacher_weight=0.1, teacher_questions_weight=0.4
    )
    asked = unlabelled(12)
    found = teacher.answer(asked, recipe)
    said = softmax(inference.logits(models.load(taught_by), [example.pair() for example in asked]))
    np.testing.assert_allclose([e.soft for e in found], said, atol=1e-5)
    assert [e.stance for e in found] == [LABELS[i] for i in said.argmax(1)]
    assert {e.weight for e in found} == {0.5 * 0.4}, "its corpus's weight counts too"
    assert [e.pair() for e in found] == [e.pair() for e in asked]


def test_a_question_of_a_corpus_of_two_labels_weighs_what_the_teacher_gives_to_these(
    taught_by: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path))
    asked = [replace(example, labels=("oppose", "support")) for example in unlabelled(12)]
    asked[0] = replace(asked[0], labels=LABELS)
    found = teacher.answer(asked, recipe)
    said = softmax(inference.logits(models.load(taught_by), [example.pair() for example in asked]))
    known = np.where([len(e.labels) == 3 for e in asked], 1, said[:, [0, 2]].sum(1))
    assert known[1:].max() < 0.8, "it takes all of them for neutral to some degree"
    np.testing.assert_allclose([e.weight for e in found], 0.5 * recipe.teacher_questions_weight * known, atol=1e-5)
    np.testing.assert_allclose([e.soft for e in found[1:]], (said * [1, 0, 1] / known[:, None])[1:], atol=1e-5)


def test_without_a_teacher_what_has_no_label_is_left_out_and_said(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = {**SPLITS, "unlabelled": unlabelled(12)}
    recipe = replace(RECIPE, epochs=1)
    bare, more = (
        finetuning.train(given, tiny.config(name=encoder), recipe, output=tmp_path / name, about={}).checkpoint
        for name, given in (("bare", SPLITS), ("more", splits))
    )
    assert "12 questions without a label are left out: training.teacher names none" in capsys.readouterr().out
    assert (bare / "model.safetensors").read_bytes() == (more / "model.safetensors").read_bytes()


def test_a_teacher_of_one_corpus_answers_for_it_alone(
    taught_by: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [replace(e, corpus="other") for e in tiny.examples(10, seed=5)]
    recipe = replace(RECIPE, teacher=[f"toy:{taught_by}"], teacher_cache=str(tmp_path), teacher_weight=1.0)
    everywhere = replace(recipe, teacher=[str(taught_by)])
    taught = teacher.teach([*SPLITS["train"], *other], recipe)
    assert taught == [*teacher.teach(SPLITS["train"], everywhere), *other]
    answered = teacher.answer([*unlabelled(8), *unlabelled(6, "other")], recipe)
    assert answered == teacher.answer(unlabelled(8), everywhere)
    assert "6 questions without a label are left out" in capsys.readouterr().out


def test_teachers_of_one_and_of_all_corpora_answer_together(taught_by: Path, encoder: str, tmp_path: Path) -> None:
    second = finetuning.train(
        SPLITS, tiny.config(name=encoder), replace(RECIPE, seed=9), output=tmp_path / "b", about={}
    )
    mixed = [*SPLITS["train"], *(replace(e, corpus="other") for e in SPLITS["train"])]

    def shares(*folders: str) -> np.ndarray:
        recipe = replace(RECIPE, teacher=list(folders), teacher_cache=str(tmp_path / "cache"), teacher_weight=1.0)
        return np.array([e.soft for e in teacher.teach(mixed, recipe)])

    a, b = shares(str(taught_by)), shares(str(second.checkpoint))
    half = len(SPLITS["train"])
    both = shares(f"toy:{taught_by}", str(second.checkpoint))
    np.testing.assert_allclose(both[:half], (a[:half] + b[:half]) / 2, atol=1e-6)
    np.testing.assert_allclose(both[half:], b[half:], atol=1e-6)


def test_a_teacher_of_a_corpus_that_is_not_there_is_refused(taught_by: Path, encoder: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, teacher=[f"seesaw:{taught_by}"], teacher_cache=str(tmp_path))
    with pytest.raises(StanceError, match=rf"seesaw:{taught_by}: the dataset has no such corpus; found toy"):
        finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=tmp_path / "none", about={})


def test_labels_that_the_weights_to_start_from_have_learned_stay_known(
    taught_by: Path, encoder: str, tmp_path: Path
) -> None:
    polar = {
        split: [replace(row, labels=("oppose", "support")) for row in rows if row.stance != "neutral"]
        for split, rows in SPLITS.items()
    }
    for name, initial, known in (("a", str(taught_by), LABELS), ("b", "", ("oppose", "support"))):
        recipe = replace(RECIPE, epochs=1, initial=initial)
        done = finetuning.train(polar, tiny.config(name=encoder), recipe, output=tmp_path / name, about={})
        assert teacher.knows(done.checkpoint) == known


def test_another_seed_takes_the_answers_from_the_cache(
    taught_by: Path, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, epochs=1, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"))
    for seed in (1, 2):
        output = tmp_path / str(seed)
        splits = {**SPLITS, "unlabelled": unlabelled(20)}
        finetuning.train(splits, tiny.config(name=encoder), replace(recipe, seed=seed), output=output, about={})
    printed = capsys.readouterr().out
    assert printed.count(f"answers {len(unlabelled(20))} questions") == 1
    assert printed.count(f"answers {len(SPLITS['train'])} questions") == 1


def test_what_has_no_label_loses_its_places_as_labels_do(taught_by: Path, encoder: str, tmp_path: Path) -> None:
    recipe = replace(
        RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path), span_dropout=0.5, deny=1.0, open_holder=0.9
    )
    learned = finetuning._learned({**SPLITS, "unlabelled": unlabelled(200)}, replace(recipe, deny=0.0))
    asked = [e for e in learned if e.provenance == "unlabelled"]
    assert len(asked) == len(unlabelled(200))
    assert 0.3 < np.mean([e.actor_span is None for e in asked]) < 0.7
    assert SOMEONE not in {e.actor for e in asked}, "nobody knows whether its holders agree"


def test_settings_of_questions_that_nobody_asks_are_told(
    taught_by: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(splits: Mapping[str, list[Example]], **changes: float) -> list[str]:
        recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"), **changes)
        finetuning._learned(splits, recipe)
        return [line.partition("=")[0] for line in capsys.readouterr().err.splitlines() if "has no effect: " in line]

    one_way = [example for example in SPLITS["train"] if example.id.endswith("there")]
    weighty, both = "training.teacher_questions_weight", {"teacher_questions": 1.0, "teacher_questions_weight": 0.3}
    assert told(SPLITS, teacher_questions_weight=0.3) == [weighty]
    assert told(SPLITS, **both) == ["training.teacher_questions", weighty], "both directions are labelled"
    assert told({**SPLITS, "train": one_way}, **both) == []
    assert told({**SPLITS, "unlabelled": unlabelled(12)}, **both) == ["training.teacher_questions"]
    assert told({**SPLITS, "unlabelled": unlabelled(12)}, teacher_questions_weight=0.3) == []


def test_a_setting_that_changes_the_teachers_questions_alone_has_an_effect(
    taught_by: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    placeless = [replace(e, text="Nothing is printed here .", actor_span=None, target_span=None)
                 for e in SPLITS["train"]]  # fmt: skip
    recipe = replace(RECIPE, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"), hide_names=0.9)
    for more, lines in ((unlabelled(12), 0), ([], 1)):
        finetuning._learned({**SPLITS, "train": placeless, "unlabelled": more}, recipe)
        assert capsys.readouterr().err.count("training.hide_names=0.9 has no effect") == lines


def test_a_colon_in_a_path_names_no_corpus() -> None:
    given = ["outputs/a:b", "seesaw:outputs/a:b", "seesaw:"]
    assert teachers(TrainingConfig(teacher=given)) == [
        ("", Path("outputs/a:b")), ("seesaw", Path("outputs/a:b")), ("", Path("seesaw:")),
    ]  # fmt: skip
    assert teachers(TrainingConfig(teacher=["dse:~/a"])) == [("dse", Path.home() / "a")]


def test_a_training_learns_from_what_has_no_label(taught_by: Path, encoder: str, tmp_path: Path) -> None:
    recipe = replace(
        RECIPE, epochs=1, teacher=[str(taught_by)], teacher_cache=str(tmp_path / "cache"), teacher_questions_weight=1.0
    )

    def trained(name: str, more: Sequence[Example]) -> tuple[bytes, float]:
        splits = {**SPLITS, "unlabelled": more} if more else SPLITS
        done = finetuning.train(splits, tiny.config(name=encoder), recipe, output=tmp_path / name, about={})
        pairs = [example.pair() for example in unlabelled(40)]
        master, pupil = (softmax(inference.logits(models.load(path), pairs)) for path in (taught_by, done.checkpoint))
        return (done.checkpoint / "model.safetensors").read_bytes(), float(np.abs(master - pupil).mean())

    (weights, far), (more, near) = trained("plain", []), trained("more", unlabelled(400))
    assert weights != more
    assert near < far, "nearer to the teacher where it was asked"


def test_a_teacher_that_learned_from_another_dataset_is_warned_of(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(name: str, sha256: str, *teachers: Path) -> finetuning.Result:
        recipe = replace(RECIPE, epochs=1, teacher=[str(t) for t in teachers], teacher_cache=str(tmp_path / "cache"))
        told = {"about": {"dataset_sha256": sha256}, "sink": heard.sink, "listener": heard}
        return finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=tmp_path / name, **told)

    heard = tiny.Heard()
    here, elsewhere = train("here", "a" * 64).checkpoint, train("elsewhere", "b" * 64).checkpoint
    assert "another dataset" not in capsys.readouterr().err
    assert "foreign_teacher" not in dict(heard.alerts)
    done = train("pupil", "a" * 64, here, elsewhere)
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if "another dataset" in line)
    assert str(elsewhere) in warning
    assert "(sha256 bbbbbbbbbbbb, here aaaaaaaaaaaa)" in warning
    assert warning == f"warning: {dict(heard.alerts)['foreign_teacher']}"
    assert heard.metrics.count(("alert_foreign_teacher", 1.0, 0)) == 1
    assert f"warning: {done.alerts['foreign_teacher']}" == warning


def test_a_model_has_learned_from_what_its_ancestors_have(encoder: str, tmp_path: Path) -> None:
    def manifest(**corpora: str) -> Manifest:
        sources = [{"name": name, "format": kind} for name, kind in {**corpora, "raw": "web"}.items()]
        counts = {"train": dict.fromkeys(corpora, 5)}
        return Manifest("toy", "a" * 64, {}, {}, {}, {}, {}, corpora=counts, config={"corpora": sources})

    def trained(name: str, **about: object) -> str:
        folder = tmp_path / name
        folder.mkdir()
        jsonl.write_json(folder / "checkpoint.json", {"labels": list(LABELS), **about})
        return str(folder)

    mine = manifest(custom="jsonl", dse="dse")
    alone = ancestry.learned_from(mine, RECIPE)
    assert alone == ["dse:dse", "jsonl:custom"], "nothing was learned from what has no row in training"
    teacher = trained("teacher", learned_from=["newsmtsc:custom"])
    taught = replace(RECIPE, teacher=[f"custom:{teacher}"])
    assert ancestry.learned_from(mine, taught) == ["dse:dse", "jsonl:custom", "newsmtsc:custom"]
    assert ancestry.learned_from(mine, replace(taught, initial=trained("old"))) is None, "it does not say"


def test_weights_to_start_from_that_learned_from_another_dataset_are_warned_of(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(name: str, sha256: str, start: Path | str = "") -> finetuning.Result:
        told = {"about": {"dataset_sha256": sha256}}
        recipe = replace(RECIPE, epochs=1, initial=str(start))
        return finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=tmp_path / name, **told)

    first = train("first", "a" * 64).checkpoint
    assert train("same", "a" * 64, first).alerts.keys().isdisjoint({"foreign_initial"})
    capsys.readouterr()
    text = train("other", "b" * 64, first).alerts["foreign_initial"]
    assert text.startswith(f"training.initial={first} learned from another dataset (sha256 aaaaaaaaaaaa, here bbbbbb")
    assert f"warning: {text}\n" in capsys.readouterr().err


def test_what_an_ancestor_learned_from_is_not_forgotten(encoder: str, tmp_path: Path) -> None:
    def train(name: str, sha256: str, **start: object) -> finetuning.Result:
        told = {"about": {"dataset_sha256": sha256}}
        recipe = replace(RECIPE, epochs=1, teacher_cache=str(tmp_path / "cache"), **start)
        return finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=tmp_path / name, **told)

    first = train("first", "a" * 64).checkpoint
    second = train("second", "b" * 64, initial=str(first)).checkpoint
    assert models.about(second)["ancestors"] == ["a" * 64]
    for name, start in (("initial", {"initial": str(second)}), ("teacher", {"teacher": [str(second)]})):
        third = train(name, "b" * 64, **start)
        assert "learned from another dataset (sha256 aaaaaaaaaaaa, here bbbbbb" in third.alerts[f"foreign_{name}"]
        assert models.about(third.checkpoint)["ancestors"] == ["a" * 64, "b" * 64]
        here = Manifest("toy", "b" * 64, {}, {}, {}, {}, {})
        (alert,) = ancestry.check(here, models.about(third.checkpoint), allowed=False).items()
        assert alert[0] == "foreign_ancestor"
        assert "another dataset (aaaaaaaaaaaa, this one is bbbbbb" in alert[1]
    assert ancestry.check(here, {"dataset_sha256": "b" * 64, "ancestors": ["b" * 64]}, allowed=False) == {}


def test_a_part_of_a_dataset_is_not_taken_for_another_one(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, models_config = replace(RECIPE, epochs=1, teacher_cache=str(tmp_path / "cache")), tiny.config(name=encoder)
    whole = {"dataset_sha256": "a" * 64}
    master = finetuning.train(SPLITS, models_config, recipe, output=tmp_path / "teacher", about=whole).checkpoint
    studied = replace(recipe, teacher=[str(master)])
    trial = finetuning.train(SPLITS, models_config, studied, output=tmp_path / "trial", about={})
    assert "another dataset" not in capsys.readouterr().err
    assert "foreign_teacher" not in trial.alerts


def test_a_teacher_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"checkpoint\.json: missing; expected a checkpoint directory"):
        taught(tmp_path, [tmp_path / "nobody"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teacher_weight": 1.5}, "training.teacher_weight=1.5: expected a share, from 0 to 1"),
        ({"teacher_questions": -1.0}, r"training\.teacher_questions=-1.0: must not be negative"),
        ({"r_drop": -0.1}, r"training\.r_drop=-0.1: must not be negative"),
        ({"epochs": 0}, r"training\.epochs=0: expected 1 or more"),
        ({"learning_rate": -1e-4}, r"training\.learning_rate=-0.0001: must be positive"),
        ({"teacher_questions_weight": 0.0}, r"training\.teacher_questions_weight=0: must be positive"),
    ],
)
def test_a_setting_without_a_meaning_is_refused(changes: dict[str, float], words: str) -> None:
    from stance.training.recipe import check

    with pytest.raises(StanceError, match=words):
        check(replace(RECIPE, **changes), SPLITS)


def test_an_empty_teacher_is_refused() -> None:
    with pytest.raises(StanceError, match=r"training\.teacher: one is empty"):
        teacher.further(SPLITS["train"], replace(RECIPE, teacher=[""], teacher_questions=1.0))


# Contenders


def contenders(encoder: str) -> list[Contender]:
    model = tiny.config(name=encoder)
    return [
        Contender("short", "toy", SPLITS, model, replace(RECIPE, epochs=1)),
        Contender("long", "toy", SPLITS, model, RECIPE),
    ]


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_was_cut_off(encoder: str, tmp_path: Path) -> None:
    memory, sets = tmp_path / "memory.jsonl", bakeoff.own(SPLITS["validation"])
    running = bakeoff.outcomes(contenders(encoder), [1, 2], sets=sets, memory=memory)
    first = [next(running), next(running)]
    running.close()
    assert len(memory.read_text().splitlines()) == 2
    found = list(bakeoff.outcomes(contenders(encoder), [1, 2], sets=sets, memory=memory))
    assert found[:2] == first  # speeds too, which a second training would not have met again
    assert [(o.name, o.seed) for o in found] == [("short", 1), ("long", 1), ("short", 2), ("long", 2)]
    assert all(set(o.scores) == {"toy", "toy no places"} for o in found)
    renamed = [replace(contender, name=f"{contender.name} again") for contender in contenders(encoder)]
    again = list(bakeoff.outcomes(renamed, [1, 2], sets=sets, memory=memory))
    assert again == [replace(outcome, name=f"{outcome.name} again") for outcome in found], "known by what they are"
    relabelled = {name: [replace(row, stance=Stance.NEUTRAL) for row in rows] for name, rows in sets.items()}
    list(bakeoff.outcomes(contenders(encoder)[:1], [1], sets=relabelled, memory=memory))
    assert len(memory.read_text().splitlines()) == 5, "scores on other labels are not those that are known"


@pytest.mark.slow
def test_a_contender_that_fails_holds_up_no_other(encoder: str, tmp_path: Path) -> None:
    memory, sets = tmp_path / "memory.jsonl", bakeoff.own(SPLITS["validation"])
    short, _ = contenders(encoder)
    wild = replace(short, name="wild", training=replace(short.training, learning_rate=1e30))
    found = list(bakeoff.outcomes([wild, short], [1, 2], sets=sets, memory=memory))
    assert [(o.name, o.seed, isinstance(o, bakeoff.Failure)) for o in found] == [
        ("wild", 1, True), ("short", 1, False), ("wild", 2, True), ("short", 2, False)
    ]  # fmt: skip
    assert isinstance(found[0], bakeoff.Failure)
    assert "loss is nan" in found[0].reason
    assert "kept" not in found[0].reason, "a study throws its models away"
    assert len(memory.read_text().splitlines()) == 2


def test_sets_whose_passages_are_learned_are_told() -> None:
    train, fresh = tiny.examples(12, seed=5), tiny.examples(6, seed=6)
    fresh = [replace(row, text=f"{row.text} {number}") for number, row in enumerate(fresh)]
    assert studies.learned(train, {"fresh": fresh}) == {}
    amid = [replace(row, text=f"Before. {row.text} After.") for row in train]
    assert "the passages of 12 of 12 of alone" in studies.learned(amid, {"alone": train})["learned_scored"]
    assert studies.learned(train, {"fresh": fresh, "mixed": [*train[:2], *fresh]}) == {
        "learned_scored": "the passages of 2 of 8 of mixed are learned: scores there are too good"
    }


def test_sets_and_contenders_with_one_name_in_mlflow_are_refused() -> None:
    bakeoff.check_names(["plain"], ["新聞", "日報", "a b"])
    with pytest.raises(StanceError, match=r"the sets 'a b' and 'a\+b' have the same name in MLflow; rename a corpus"):
        bakeoff.check_names(["plain"], ["a b", "a+b"])
    with pytest.raises(StanceError, match=r"the contenders 'r drop' and 'r_drop' have the same name in MLflow"):
        bakeoff.check_names(["r drop", "r_drop"], ["a b"])


def test_a_study_knows_a_recipe_by_all_but_its_seed() -> None:
    model = tiny.config(name="none")
    known = {studies.recipe_digest(model, replace(RECIPE, seed=seed), "0") for seed in (1, 2, 3)}
    assert len(known) == 1
    assert studies.recipe_digest(model, replace(RECIPE, epochs=9), "0") not in known
    assert studies.recipe_digest(model, RECIPE, "1") not in known


def test_a_set_without_neutral_is_scored_as_support_against_oppose() -> None:
    rows = [e for e in tiny.examples(12) if e.stance != "neutral"]
    logits = np.array([[2.0, 9.0, 1.0]] * len(rows), np.float32)
    assert bakeoff.score(logits, rows) == pytest.approx(np.mean([e.stance == "oppose" for e in rows]))
    everything = tiny.examples(12)
    right = np.array([[label == e.stance for label in LABELS] for e in everything], np.float32)
    assert bakeoff.score(right, everything) == 1.0


def test_a_set_is_scored_over_the_labels_that_its_rows_know() -> None:
    rows = [replace(e, labels=("neutral", "support")) for e in tiny.examples(12, labels=("neutral", "support"))]
    right = np.array([[label == e.stance for label in LABELS] for e in rows], np.float32)
    assert bakeoff.score(right, rows) == 1.0, "opposition counts for nothing"
    assert bakeoff.score(right + np.array([5, 0, 0]), rows) == 1.0, "opposition is no answer"
    assert bakeoff.score(-right, rows) == 0.0


def test_what_a_contender_may_know_of_public_sets_is_doubted() -> None:
    assert commands._doubts(contenders("none")[:1], {"public": SPLITS["train"][:4]}) == {
        "learned_scored": "short: the passages of 4 of 4 of public are learned: scores there are too good"
    }


def test_the_passages_of_a_dataset_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(commands, "learned", lambda rows, sets: looked.append(len(rows)) or {"learned_scored": "some"})
    other = replace(contenders("none")[0], name="other", dataset="b", splits={"train": SPLITS["train"][:6]})
    assert commands._doubts([*contenders("none"), other], {}) == {
        "learned_scored": "short: some; long: some; other: some"
    }
    assert looked == [len(SPLITS["train"]), 6]


def test_a_comparison_goes_on_in_the_precision_that_was_measured_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    memory, sets, trained = tmp_path / "memory.jsonl", bakeoff.own(SPLITS["validation"]), list[tuple[str, str]]()

    def run(contender: Contender, seed: int, **_: Any) -> Outcome:
        trained.append((contender.name, contender.training.precision))
        return Outcome(contender.name, seed, 1.0, {"toy": 0.5})

    monkeypatch.setattr(bakeoff, "run", run)  # what is tested is what is trained, and what is known already
    plain, long = (replace(c, training=replace(c.training, precision="auto")) for c in contenders("none"))
    given = replace(plain, name="given", training=replace(plain.training, precision="fp32"))

    def compare(*compared: Contender, gain: float, able: bool = True, memory: Path = memory) -> list[tuple[str, str]]:
        """What is trained where bf16 seems `gain` times as fast."""
        monkeypatch.setattr("stance.network.precision.bf16_instructions", lambda: ["avx512_bf16"] * able)
        monkeypatch.setattr("stance.network.precision.bf16_gain", lambda: gain)
        trained.clear()
        found = bakeoff.settled(compared, [1], sets=sets, memory=memory)
        assert len(list(bakeoff.outcomes(found, [1], sets=sets, memory=memory))) == len(compared)
        return list(trained)

    other = tmp_path / "other.jsonl"
    assert compare(given, gain=3.0, memory=other) == [("given", "fp32")]
    assert compare(plain, given, gain=3.0, memory=other) == [("short", "bf16")], "that one was told to be in fp32"
    assert compare(plain, gain=3.0) == [("short", "bf16")]
    assert capsys.readouterr().out == ""
    assert compare(plain, long, gain=0.5) == [("long", "bf16")]
    assert capsys.readouterr().out == (
        f"training.precision=auto: bf16, in which {memory} was begun; measured now it would be fp32\n"
    )
    lone = replace(long, name="lone")
    assert compare(lone, gain=0.5, able=False) == [("lone", "fp32")]
    assert "training.precision=auto: fp32; " in (told := capsys.readouterr().out)
    assert told.endswith(f"{memory} was begun in bf16, which this machine does not have\n")
    assert compare(lone, gain=0.5) == compare(lone, gain=3.0) == []


def test_a_bake_off_names_what_it_does_not_use(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.dataset(tmp_path / "dataset", {**SPLITS, "test": tiny.examples(6, seed=3)})
    rates = "a: ['training.learning_rate=1e-4'], b: ['training.learning_rate=1e-4', 'training.epochs=4']"
    given = [
        f"dataset={folder}", f"output={tmp_path}/memory.jsonl", f"model.name={encoder}", "model.max_passage_tokens=48",
        "training.epochs=4", "training.learning_rate=5e-5", "transfer.context=1", "bakeoff.seeds=[1]",
        f"+bakeoff.contenders={{{rates}, c: ['training.learning_rate=2e-4']}}", "tracking.system_metrics_seconds=-1",
    ]  # fmt: skip
    with pytest.raises(StanceError, match=r"^tracking\.system_metrics_seconds=-1"):  # which is found out next
        script("bakeoff").main(given)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "transfer.context=1 has no effect without public=true",
        "training.learning_rate=5e-05 is not used: every contender sets it",
        "bakeoff.contenders: a and b are the same and share their trainings; leave one out",
    ]


def test_the_table_gives_mean_and_spread_over_seeds() -> None:
    found = [Outcome("a", 1, 10.0, {"x": 0.5}), Outcome("a", 2, 30.0, {"x": 0.7}), Outcome("b", 1, 5.0, {"x": 0.1})]
    assert bakeoff.table(found) == [
        ["contender", "seeds", "pairs/s", "x", "mean"],
        ["a", "2", "20", "0.600 ±0.141", "0.600 ±0.141"],
        ["b", "1", "5", "0.100", "0.100"],
    ]


def test_what_trainings_warned_of_names_contender_and_seed() -> None:
    found = [Outcome("a", 1, 10.0, {"x": 0.5}, {"memory": "full"}), Outcome("b", 1, 5.0, {"x": 0.1})]
    found += [Outcome("a", 2, 30.0, {"x": 0.7}, {"memory": "full", "guessing": "no better"})]
    assert bakeoff.alerts(found) == {"memory": "a, seed 1: full; a, seed 2: full", "guessing": "a, seed 2: no better"}


def test_the_table_of_a_bake_off_is_printed_though_mlflow_is_away_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Away:
        def sink(self, metrics: Mapping[str, float], step: int) -> None:
            pass

        def table(self, rows: Any, name: str) -> None:
            raise MlflowException("no answer")

    with pytest.raises(MlflowException):
        commands._compare([Outcome("plain", 1, 10.0, {"x": 0.5})], Away(), tmp_path / "memory.jsonl")  # type: ignore[arg-type]
    assert "contender" in capsys.readouterr().out


def test_mlflow_compares_the_means_over_the_seeds_and_not_the_last_seed() -> None:
    found = [Outcome("a", 1, 10.0, {"x y": 0.5}), Outcome("b", 1, 5.0, {"x y": 0.1})]
    found += [Outcome("a", 2, 30.0, {"x y": 0.7})]
    assert bakeoff.metrics(found) == {
        "a.x_y": pytest.approx(0.6),
        "a.x_y.std": pytest.approx(0.02**0.5),
        "a.seeds": 2,
        "a.pairs_per_second": 20.0,
        "b.seeds": 1,
        "b.x_y": 0.1,
        "b.pairs_per_second": 5.0,
    }


@pytest.mark.slow
def test_the_script_compares_and_logs(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {**SPLITS, "test": tiny.examples(6, seed=3)}
    named = {split: [replace(row, corpus="Süd+Ost") for row in part] for split, part in rows.items()}
    folder = tiny.dataset(tmp_path / "dataset", named)
    old = finetuning.train(SPLITS, tiny.config(name=encoder), replace(RECIPE, epochs=1), output=tmp_path / "old",
                         about={"dataset_sha256": "b" * 64})  # fmt: skip
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    killed = client.create_run(client.create_experiment("stance")).info.run_id  # its process left its note
    (tmp_path / ".memory.jsonl.run").write_text(killed, "utf-8")
    capsys.readouterr()
    script("bakeoff").main(
        [
            f"dataset={folder}", f"output={tmp_path}/memory.jsonl", f"model.name={encoder}",
            "model.max_passage_tokens=48", "model.dropout=0.1",
            "training.learning_rate=3e-3", "training.epochs=1", "training.precision=fp32", "bakeoff.seeds=[1]",
            "+bakeoff.contenders={plain: [], r_drop: ['training.r_drop=1.0', 'training.learning_rate=null'],"
            f"tuned: ['training.initial={old.checkpoint}']}}",
            "tracking.system_metrics_seconds=0",
            f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"tracking.artifacts={tmp_path}/artifacts",
        ]
    )  # fmt: skip
    told = capsys.readouterr()
    assert [line.split()[0] for line in told.out.splitlines()[-3:]] == ["plain", "r_drop", "tuned"]
    run, ended = client.search_runs([client.get_experiment_by_name("stance").experiment_id])
    assert (ended.info.run_id, ended.info.status, run.info.status) == (killed, "KILLED", "FINISHED")
    assert not (tmp_path / ".memory.jsonl.run").exists()
    kept = [row for _, row in jsonl.read(tmp_path / "memory.jsonl")]
    assert set(kept[0]["scores"]) == {"Süd+Ost", "Süd+Ost no places"}
    logged = {f"{row['name']}.Süd_Ost": row["scores"]["Süd+Ost"] for row in kept}
    assert {name: value for name, value in run.data.metrics.items() if name.endswith(".Süd_Ost")} == logged
    assert logged.keys() == {"plain.Süd_Ost", "r_drop.Süd_Ost", "tuned.Süd_Ost"}
    assert {f"{name}.seed_1": value for name, value in logged.items()}.items() <= run.data.metrics.items()
    assert run.data.metrics["plain.pairs_per_second"] == kept[0]["pairs_per_second"]
    assert not [name for name in run.data.metrics if name.endswith(".std")], "there is but one seed"
    alert = run.data.tags["stance.alert_foreign_initial"]
    assert alert.startswith(f"tuned: training.initial={old.checkpoint} learned from another dataset (sha256 bbbbbbbb")
    assert f"warning: {alert}\n" in told.err
    guessing = [f"{row['name']}, seed 1: {row['alerts']['guessing']}" for row in kept if "guessing" in row["alerts"]]
    assert guessing, "one epoch of so few examples"
    assert run.data.tags["stance.alert_guessing"] == "; ".join(guessing)
    assert "training.seed" not in run.data.params, "it is trained with those of bakeoff.seeds"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"bakeoff.json", "memory.jsonl"}
    recipes = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/contenders.json"))
    assert {name: recipe["training"]["r_drop"] for name, recipe in recipes.items()} == {
        "plain": 0.0,
        "r_drop": 1.0,
        "tuned": 0.0,
    }
    assert [recipe["training"]["learning_rate"] for recipe in recipes.values()] == [3e-3, 2e-4, 3e-3]


def test_a_contender_may_name_a_folder_below_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    job = override(BakeoffJob(), ["dataset=~/data", "training.teacher=['~/a','b~/c']"])
    assert (job.dataset, job.training.teacher) == (f"{tmp_path}/data", [f"{tmp_path}/a", "b~/c"])


def test_a_contender_changes_what_learns_alone(encoder: str, tmp_path: Path) -> None:
    folder = tiny.dataset(tmp_path / "dataset", {**SPLITS, "test": tiny.examples(6, seed=3)})
    for change in ("transfer.context=1", "model=distilbert", "training.seed=5"):
        with pytest.raises(
            StanceError, match=rf"contenders\.b: '{change}': expected dataset=…, model\.KEY=… or training"
        ):
            script("bakeoff").main([f"dataset={folder}", f"+bakeoff.contenders={{a: [], b: ['{change}']}}"])


def test_a_study_that_failed_leaves_no_run_to_give_up(tmp_path: Path) -> None:
    with suppress(StanceError), studies.noted(tmp_path / "memory.jsonl") as begin:
        begin("first")
        raise StanceError("a training failed; its run ended so")
    with studies.noted(tmp_path / "memory.jsonl") as begin:
        assert begin("second") == ""


def test_a_study_that_fails_before_its_run_leaves_the_killed_one_to_give_up(tmp_path: Path) -> None:
    (tmp_path / ".memory.jsonl.run").write_text("killed", "utf-8")
    with suppress(StanceError), studies.noted(tmp_path / "memory.jsonl"):
        raise StanceError("the tracking database is locked")
    with studies.noted(tmp_path / "memory.jsonl") as begin:
        assert begin("second") == "killed"


def test_articles_are_known_by_a_dataset_of_several_corpora_too() -> None:
    learned = [replace(row, text=f"Before. {row.text} After.", article_id=f"{row.corpus}/{row.article_id}")
               for row in SPLITS["validation"]]  # fmt: skip
    contender = bakeoff.Contender("b", "0", {"train": learned}, tiny.config(name="none"), TrainingConfig())
    with pytest.raises(StanceError, match="it learns the articles of"):
        bakeoff.check_unseen(contender, SPLITS["validation"])


def test_a_killed_study_leaves_the_id_of_its_run(tmp_path: Path) -> None:
    memory = tmp_path / "new" / "memory.jsonl"
    with suppress(KeyboardInterrupt), studies.noted(memory) as begin:
        assert begin("first") == ""
        raise KeyboardInterrupt
    with studies.noted(memory) as begin:
        assert begin("second") == "first"
        with studies.noted(memory) as beside:
            assert beside("third") == "", "the second goes on"
    with studies.noted(memory) as begin:
        assert begin("fourth") == ""


def test_a_contender_that_is_the_plain_one_is_refused(encoder: str, tmp_path: Path) -> None:
    folder = tiny.dataset(tmp_path / "dataset", {**SPLITS, "test": tiny.examples(6, seed=3)})
    compared = "{a: [], b: ['training.teacher_weight=0.9']}"
    small = [f"model.name={encoder}", "model.max_passage_tokens=64"]
    with pytest.raises(StanceError, match=r"contenders\.b: 'training.*': has no effect without training\.teacher; set"):
        script("bakeoff").main([f"dataset={folder}", *small, f"+bakeoff.contenders={compared}"])


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("training.class_weights=balancd", r"training\.class_weights=balancd: expected none or balanced"),
        ("training.r_drop=1.0", r"training\.r_drop compares two answers under dropout, and there is none"),
        ("model.layout=pear", r"model\.layout=pear: expected auto"),
        ("model.head=foot", r"model\.head=foot: expected "),
        ("training.initial=nowhere", r"nowhere"),
        ("training.precision=fp61", r"training\.precision=fp61: expected auto"),
        ('training.teacher=["nowhere"]', r"nowhere/checkpoint\.json: missing"),
        ('training.teacher=["other:old"]', r"training\.teacher=other:old: the dataset has no such corpus; found toy"),
        ("training.deny=0.5','training.lexicon=nowhere", r"nowhere: no such file; expected a lexicon"),
        ("training.deny=0.5','training.lexicon=.", r"\.: is a directory; expected a lexicon"),
        ("training.lora=1", r"'training\.lora=1': holds several settings; set each by its name"),
        ("training.epochs", r"'training\.epochs': expected dataset=…, model\.KEY=… or training\.KEY=…"),
        ("training.epochs=[1", r"'training\.epochs=\[1': while parsing"),
    ],
)
def test_a_contender_s_setting_without_a_meaning_is_refused_before_another_is_trained(
    setting: str, match: str, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny.dataset(tmp_path / "dataset", {**SPLITS, "test": tiny.examples(6, seed=3)})
    if "old" in setting:
        finetuning.train(
            SPLITS, tiny.config(name=encoder), replace(RECIPE, epochs=1), output=tmp_path / "old", about={}
        )
        monkeypatch.chdir(tmp_path)
    with pytest.raises(StanceError, match=rf"^bakeoff\.contenders\.b: .*{match}"):
        script("bakeoff").main(
            [
                f"dataset={folder}",
                f"output={tmp_path}/memory.jsonl",
                f"model.name={encoder}",
                "model.max_passage_tokens=48",
                "model.max_name_tokens=8",
                "model.dropout=0",
                f"+bakeoff.contenders={{a: [], b: ['{setting}']}}",
            ]
        )
    assert not (tmp_path / "memory.jsonl").exists()


def test_a_contender_that_is_no_list_is_named_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        StanceError, match=r"^bakeoff\.contenders\.a: expected a list, as in bakeoff\.contenders\.a=\[VALUE\]"
    ):
        script("bakeoff").main(["+bakeoff.contenders.a=x"])


def test_a_contender_that_learns_what_is_scored_is_refused(encoder: str, tmp_path: Path) -> None:
    """Its dataset was built with other splits."""
    folder = tiny.dataset(tmp_path / "dataset", {**SPLITS, "test": tiny.examples(6, seed=3)})
    swapped = {"train": SPLITS["validation"], "validation": SPLITS["train"], "test": tiny.examples(6, seed=3)}
    other = tiny.dataset(tmp_path / "other", swapped)
    with pytest.raises(StanceError, match=rf"contenders\.b: it learns the articles of {len(SPLITS['validation'])} of"):
        script("bakeoff").main(
            [
                f"dataset={folder}",
                f"output={tmp_path}/memory.jsonl",
                f"model.name={encoder}",
                "model.max_passage_tokens=48",
                f"+bakeoff.contenders={{a: [], b: ['dataset={other}']}}",
            ]
        )
    assert not (tmp_path / "memory.jsonl").exists()


def test_a_contender_with_an_unknown_setting_is_refused() -> None:
    with pytest.raises(StanceError, match=r"training\.epoch"):
        override(BakeoffJob(), ["training.epoch=3"])
    with pytest.raises(StanceError, match=r"bakeoff\.contenders must name at least one"):
        bakeoff.check(BakeoffConfig(contenders={}))
    with pytest.raises(StanceError, match=r"bakeoff\.seeds hold different numbers from 0 to 4294967295"):
        bakeoff.check(BakeoffConfig(contenders={"plain": []}, seeds=[1, 2**32]))
    with pytest.raises(StanceError, match=r"bakeoff\.contenders: 'a\+b' can't be part of a metric's name"):
        bakeoff.check(BakeoffConfig(contenders={"plain": [], "a+b": []}))
    for name in (".", "..", "/x", "./x", "../x", "a/", "a//b", "a/../b", ".a"):
        with pytest.raises(StanceError, match=r"can't be part of a metric's name .* begins with none of / and \."):
            bakeoff.check(BakeoffConfig(contenders={name: []}))
    bakeoff.check(BakeoffConfig(contenders={"lr/2e-4": [], "v1.5: a..b": []}))
