"""Training pairs the other way round: neutral only where every stance is annotated and none is annotated that way."""

from dataclasses import replace

import pytest

import tiny
from stance.augmentation import augment
from stance.records import PARTIAL, SOMEONE, Example, Stance
from stance.settings.training import TrainingConfig

PLAIN = {"span_dropout": 0.0, "surface_share": 0.0}


def article(number: int = 0, *, exhaustive: bool = True, target: str = "Russia") -> list[Example]:
    """Pakistan opposes the target; a sampled pair shows that whoever annotated the article did so exhaustively."""
    text = f"Pakistan rejected {target} while Ghani and Russia discussed the ceasefire ."
    pair = replace(
        tiny.examples(1)[0],
        id=f"{number}",
        article_id=f"article-{number}",
        text=text,
        actor="Pakistan",
        target=target,
        actor_span=(0, 8),
        target_span=(18, 18 + len(target)),
        stance=Stance.OPPOSE,
    )
    drawn = replace(pair, id=f"{number}-s", actor="Russia", target="the ceasefire", actor_span=None, target_span=None,
                    stance=Stance.NEUTRAL, provenance="sampled")  # fmt: skip
    return [pair, drawn] if exhaustive else [pair]


def added(examples: list[Example], share: float = 0.999, seed: int = 1) -> list[Example]:
    changed = augment.vary(examples, TrainingConfig(**PLAIN, swap_direction=share, seed=seed))  # type: ignore[arg-type]
    assert changed[: len(examples)] == examples
    return changed[len(examples) :]


def test_a_reversed_pair_is_neutral_and_its_spans_point_at_its_names() -> None:
    pair, drawn = article()
    (back,) = added([replace(pair, soft=(0.7, 0.2, 0.1)), drawn])
    assert (back.actor, back.target, back.stance, back.provenance) == ("Russia", "Pakistan", "neutral", "sampled")
    assert back.soft == (), "what was voted was of the other direction"
    assert back.text[slice(*(back.actor_span or (0, 0)))] == "Russia"
    assert back.text[slice(*(back.target_span or (0, 0)))] == "Pakistan"


def test_a_reversed_pair_weighs_what_a_sampled_one_of_its_article_does() -> None:
    pair, drawn = article()
    (back,) = added([replace(pair, weight=0.8), replace(drawn, weight=0.25)])
    assert back.weight == 0.25


def test_sampled_pairs_weigh_their_share() -> None:
    pair, drawn = (replace(example, weight=0.8) for example in article())
    found = augment.vary([pair, drawn], TrainingConfig(**PLAIN, sampled_weight=0.25))  # type: ignore[arg-type]
    assert [example.weight for example in found] == pytest.approx([0.8, 0.2])


def test_of_rows_whose_article_has_lost_others_nothing_is_concluded() -> None:
    pair, drawn = article()
    config = TrainingConfig(**PLAIN, open_holder=1.0)  # type: ignore[arg-type]
    assert [e.target for e in augment.vary([pair, drawn], config)[2:]] == ["Russia", "the ceasefire"]
    assert [e.target for e in augment.vary([pair, replace(drawn, tags=(PARTIAL,))], config)[2:]] == ["Russia"]
    assert augment.vary([replace(pair, tags=(PARTIAL,)), drawn], config)[2:] == [], "no more neutral ones than others"
    assert len(added([pair, drawn])) == 1
    assert added([pair, replace(drawn, tags=(PARTIAL,))]) == []


def test_a_pair_of_an_article_that_is_not_exhaustive_is_not_reversed() -> None:
    assert added([*article(0, exhaustive=False), *article(1)[1:]]) == []


def test_a_pair_whose_other_direction_is_annotated_under_any_of_its_words_is_not_reversed() -> None:
    pair, drawn = article()
    back = replace(pair, id="back", actor="the Russian Senate in Russia", target="Pakistan 's army")
    assert added([pair, drawn, back]) == []


def test_a_name_of_two_letters_keeps_a_pair_from_being_reversed() -> None:
    pair, drawn = article()
    back = replace(pair, id="back", actor="US officials", target="Pakistan")
    assert added([replace(pair, target="US", target_span=None), drawn, back]) == []


def test_what_never_acts_and_what_has_no_stance_are_not_reversed() -> None:
    pair, drawn = article()
    assert added(article(target="the dam")) == []
    assert added([replace(pair, stance=Stance.NEUTRAL), drawn]) == []
    assert added([replace(pair, actor=SOMEONE, actor_span=None), drawn]) == []
    assert added([pair, drawn, replace(drawn, actor=pair.target, target=pair.actor)]) == []


@pytest.mark.parametrize("name", ["swap_direction", "deny", "passive", "open_holder"])
def test_of_questions_without_a_label_nothing_is_made_that_needs_one(name: str) -> None:
    config = TrainingConfig(mask_names=0.4, seed=5)
    assert augment.without_labels(replace(config, **{name: 0.5})) == config  # type: ignore[arg-type]


def test_a_share_of_the_pairs_is_reversed_and_the_seed_decides_which() -> None:
    articles = [example for number in range(100) for example in article(number)]
    assert 30 <= len(added(articles, 0.5)) <= 70
    assert added(articles, 0.5) == added(articles, 0.5)
    assert added(articles, 0.5) != added(articles, 0.5, seed=2)


def test_settings_that_find_nothing_to_change_are_told() -> None:
    pair, drawn = article()
    wanted = {"swap_direction": 0.5, "open_holder": 1.0, "mask_names": 0.999, "sampled_weight": 0.5, "hide_names": 0.5}

    def told(examples: list[Example], **changes: float) -> list[str]:
        made: dict[str, int] = {}
        config = TrainingConfig(**(PLAIN | wanted | changes))  # type: ignore[arg-type]
        augment.vary(examples, config, made)
        return [line.split("=")[0] for line in augment.unused(config, made)]

    neutral = replace(pair, stance=Stance.NEUTRAL, text="Nothing is printed here .", actor_span=None, target_span=None)
    names = ["open_holder", "swap_direction", "mask_names", "hide_names", "sampled_weight"]
    assert told([neutral]) == [f"training.{name}" for name in names]
    assert told([neutral], **dict.fromkeys(names[:-1], 0.0), sampled_weight=1.0) == []
    assert told([pair, drawn], swap_direction=0.999, hide_names=0.999, mask_names=0.0) == []
    made = {"deny": 0, "passive": 3}
    assert augment.unused(TrainingConfig(deny=0.5, passive=0.5), made) == [
        "training.deny=0.5 has no effect: no annotated stance was drawn that a plain verb of training.lexicon states"
    ]
