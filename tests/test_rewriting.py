"""Stances that a verb states, denied and in the passive voice: what is made of them and, above all, what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

import tiny
from stance.augmentation import augment
from stance.augmentation.rewriting import DECLINED, REFUSED, rewritten
from stance.errors import StanceError
from stance.records import LABELS, Example, Span, Stance
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import resume
from stance.training.recipe import check

BACKED = "Pakistan backed the Russian initiative on Monday, calling it a step towards peace."


def example(text: str, actor: str, target: str, stance: str, number: int = 0) -> Example:
    """An annotated pair whose names are printed in the text."""
    return replace(
        tiny.examples(1)[0],
        id=f"e{number}",
        text=text,
        actor=actor,
        target=target,
        actor_span=place(text, actor),
        target_span=place(text, target),
        stance=Stance(stance),
        tags=("coordination",),
        soft=(),
    )


def place(text: str, name: str) -> Span:
    start = text.index(name)
    return start, start + len(name)


def denied(*examples: Example, seed: int = 1) -> list[Example]:
    return rewritten(examples, TrainingConfig(deny=1.0, seed=seed))


def passive(*examples: Example) -> list[Example]:
    return rewritten(examples, TrainingConfig(passive=1.0))


def names(found: Example) -> tuple[str, str]:
    assert found.actor_span is not None
    assert found.target_span is not None
    return found.text[slice(*found.actor_span)], found.text[slice(*found.target_span)]


def test_support_that_is_refused_is_opposition_and_support_that_is_declined_is_neutral() -> None:
    seen = {}
    for seed in range(40):
        plain, other = denied(example(BACKED, "Pakistan", "Russian initiative", "support"), seed=seed)
        assert (plain.text, plain.stance) == ("Pakistan will back the Russian initiative.", "support")
        assert names(other) == names(plain) == ("Pakistan", "the Russian initiative")
        said = other.text.removeprefix("Pakistan ").removesuffix(" back the Russian initiative.")
        seen[said] = other.stance.value
    assert seen == {**dict.fromkeys(REFUSED, "oppose"), **dict.fromkeys(DECLINED, "neutral")}


def test_a_first_letter_that_is_two_in_capitals_moves_no_place() -> None:
    text = "The \ufb01nance ministry backed the plan."
    for made in (*denied(example(text, "\ufb01nance ministry", "plan", "support")),):
        assert made.actor_span is not None
        assert made.text[made.actor_span[1]] == " "
        assert made.text[slice(*made.actor_span)].endswith("ministry")


def test_opposition_that_is_denied_is_neutral() -> None:
    text = "The opposition council condemned the raid. Nobody else did."
    for seed in range(6):
        plain, other = denied(example(text, "opposition council", "raid", "oppose"), seed=seed)
        assert (plain.text, plain.stance) == ("The opposition council will condemn the raid.", "oppose")
        assert other.stance == "neutral"


def test_a_denied_pair_may_be_neutral_where_its_corpus_knows_no_neutral() -> None:
    two = (Stance.OPPOSE, Stance.SUPPORT)
    text = "The opposition council condemned the raid. Nobody else did."
    plain, other = denied(replace(example(text, "opposition council", "raid", "oppose"), labels=two))
    assert (plain.stance, plain.labels) == ("oppose", two)
    assert (other.stance, other.labels) == ("neutral", LABELS)
    assert sum(other.shares()) == 1


def test_a_clause_is_turned_into_the_passive_voice() -> None:
    (found,) = passive(example(BACKED, "Pakistan", "Russian initiative", "support"))
    assert (found.text, found.stance) == ("The Russian initiative was backed by Pakistan.", "support")
    assert names(found) == ("Pakistan", "The Russian initiative")
    assert (found.id, found.actor, found.target, found.tags) == ("e0-passive", "Pakistan", "Russian initiative", ())


def test_what_was_voted_of_a_pair_is_not_said_of_what_is_made_of_it() -> None:
    pair = replace(example(BACKED, "Pakistan", "Russian initiative", "support"), soft=(0.1, 0.2, 0.7))
    assert [(e.id, e.soft) for e in (*denied(pair), *passive(pair))] == [
        ("e0-plain", ()), ("e0-denied", ()), ("e0-passive", ())
    ]  # fmt: skip


def test_the_passive_of_several_is_plural_and_an_article_within_is_small() -> None:
    text = "The Ghani administration rejected the two drafts."
    (found,) = passive(example(text, "Ghani administration", "two drafts", "oppose"))
    assert found.text == "The two drafts were rejected by the Ghani administration."
    assert names(found) == ("the Ghani administration", "The two drafts")


@pytest.mark.parametrize(
    ("text", "actor", "target", "verb", "kept"),
    [
        ("The White House supported the bill but not the clause.", "White House", "bill", "support", "the bill"),
        ("Pakistan backed the plan and the talks.", "Pakistan", "plan", "back", "the plan"),
        ("Pakistan backed the plan and the talks.", "Pakistan", "plan and the talks", "back", "the plan and the talks"),
    ],
)
def test_what_is_joined_to_a_target_is_another_thing(text: str, actor: str, target: str, verb: str, kept: str) -> None:
    pair = example(text, actor, target, "support")
    assert {names(made)[1].casefold() for made in (*denied(pair), *passive(pair))} == {kept}
    assert {made.text.rpartition(" will ")[2] for made in denied(pair)[:1]} == {f"{verb} {kept}."}
    many = "were" if " and " in kept else "was"
    assert passive(pair)[0].text.casefold().startswith(f"{kept} {many} ")


def test_what_hangs_on_the_verb_is_not_taken_for_the_subject_of_its_passive() -> None:
    text = "Rebel leaders condemned the raid as piracy."
    (found,) = passive(example(text, "Rebel leaders", "raid", "oppose"))
    assert found.text == "The raid was condemned by rebel leaders."
    (found,) = passive(example("Six ministers condemned the raid.", "Six ministers", "raid", "oppose"))
    assert found.text == "The raid was condemned by six ministers."
    (found,) = passive(example("Russian envoys condemned the raid.", "Russian envoys", "raid", "oppose"))
    assert found.text == "The raid was condemned by Russian envoys."


@pytest.mark.parametrize(
    ("text", "actor", "target"),
    [
        ("Defector groups criticised both Seoul and Pyongyang.", "Defector groups", "Seoul"),
        ("Defector groups criticised both Seoul and Pyongyang.", "Defector groups", "Pyongyang"),
        ("Pakistan condemned not only the plan but the talks.", "Pakistan", "the plan"),
        ("Governments that had condemned Caracas condemned Caracas.", "Governments that had condemned", "Caracas"),
    ],
)
def test_what_would_say_more_than_the_pair_is_left_alone(text: str, actor: str, target: str) -> None:
    pair = replace(
        example(text, actor, target, "oppose"), target_span=(text.rindex(target), text.rindex(target) + len(target))
    )
    assert denied(pair) == []
    assert passive(pair) == []


def test_a_clause_more_changes_nothing_that_is_made_of_another() -> None:
    pairs = [example("Pakistan backed the plan.", "Pakistan", "plan", "support", number) for number in range(40)]
    some = rewritten(pairs, TrainingConfig(deny=0.5, passive=0.5))
    assert rewritten(pairs[1:], TrainingConfig(deny=0.5, passive=0.5)) == [
        e for e in some if not e.id.startswith("e0-")
    ]


def test_a_verb_with_a_preposition_can_be_denied_but_has_no_passive() -> None:
    pair = example("Iran warned against a return of the Taliban to power.", "Iran", "return", "oppose")
    assert denied(pair)[0].text.startswith("Iran will warn against a return")
    assert passive(pair) == []


def test_a_pronoun_gives_way_to_its_name() -> None:
    pair = replace(example("Ireland has spoken. It backed the dam.", "It", "dam", "support"), actor="Ireland")
    assert [e.text for e in passive(pair)] == ["The dam was backed by Ireland."]
    pair = replace(pair, actor="The government of Ireland")
    assert [e.text for e in passive(pair)] == ["The dam was backed by the government of Ireland."]


@pytest.mark.parametrize(
    "pair",
    [
        example(BACKED, "Pakistan", "Russian initiative", "oppose"),  # the annotator read more than the verb
        example(BACKED, "Pakistan", "Russian initiative", "neutral"),
        example("Pakistan did not back the Russian initiative.", "Pakistan", "Russian initiative", "oppose"),
        example("The Russian initiative was backed by Pakistan.", "Pakistan", "Russian initiative", "support"),
        example("Pakistan discussed the Russian initiative.", "Pakistan", "Russian initiative", "support"),
        example("If Pakistan backed the plan, Iran would too.", "Pakistan", "plan", "support"),
        example("Pakistan spoke. Iran backed the plan.", "Pakistan", "plan", "support"),
        replace(example(BACKED, "Pakistan", "Russian initiative", "support"), provenance="sampled"),
        replace(example(BACKED, "Pakistan", "Russian initiative", "support"), provenance="weak"),
        replace(example(BACKED, "Pakistan", "Russian initiative", "support"), actor_span=None),
        replace(example(BACKED, "Pakistan", "Russian initiative", "support"), actor="someone"),
    ],
)
def test_what_no_verb_states_plainly_is_left_alone(pair: Example) -> None:
    assert denied(pair) == []
    assert passive(pair) == []


def test_shares_draw_and_the_seed_decides() -> None:
    pairs = [example("Pakistan backed the plan.", "Pakistan", "plan", "support", number) for number in range(40)]
    some = rewritten(pairs, TrainingConfig(passive=0.5))
    assert 8 <= len(some) <= 32
    assert some == rewritten(pairs, TrainingConfig(passive=0.5))
    assert some != rewritten(pairs, TrainingConfig(passive=0.5, seed=2))


def test_training_takes_them_beside_the_examples() -> None:
    pair = example(BACKED, "Pakistan", "Russian initiative", "support")
    config = TrainingConfig(deny=1.0, passive=1.0, span_dropout=0.0, surface_share=0.0)
    varied = augment.vary([pair], config)
    assert varied[0] == pair
    assert [e.id for e in varied] == ["e0", "e0-plain", "e0-denied", "e0-passive"]


@pytest.mark.parametrize("name", ["deny", "passive", "teacher_weight"])
def test_a_share_above_one_is_refused(name: str) -> None:
    rows = {"train": tiny.examples(30), "validation": tiny.examples(30)}
    with pytest.raises(StanceError, match=f"training.{name}=1.5: expected a share, from 0 to 1"):
        check(TrainingConfig(**{name: 1.5}), rows)  # type: ignore[arg-type]


def test_a_lexicon_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="no such file; expected a lexicon"):
        rewritten([], TrainingConfig(deny=1.0, lexicon=str(tmp_path / "none.yaml")))


def test_a_resume_with_other_words_is_another_training(tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("one")
    config = TrainingConfig(deny=0.5, lexicon=str(words))
    before = resume.job_digest(ModelConfig(), config, "d")
    words.write_text("two")
    assert resume.job_digest(ModelConfig(), config, "d") != before
    unused = TrainingConfig(lexicon=str(words))
    before = resume.job_digest(ModelConfig(), unused, "d")
    words.write_text("three")
    assert resume.job_digest(ModelConfig(), unused, "d") == before
