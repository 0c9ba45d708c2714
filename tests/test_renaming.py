"""Examples under other names: the label's words stay, every mention goes, spans follow, and what is unsure is left."""

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from stance.augmentation import augment
from stance.augmentation.renaming import PLACEHOLDERS, replaced
from stance.records import SOMEONE, Example, Span, Stance
from stance.settings.training import TrainingConfig

NAMES = ("Pakistan", "the Ghani administration", "Abdul Rashid Dostum", "ECOWAS", "farmers", "the peace deal", "U.N.")
NEW = ("India", "Rosa Luz", "Alpha", "bakers", "a quiet pact")
FILLERS = ("said", "on", "Monday", "that", "—", "naïve", "talks", "'s", ",", "\n\n", "He", "its")


def example(text: str, actor: str, target: str, *, stance: str = "oppose", spans: bool = True) -> Example:
    """An example whose spans are the first places of its names."""

    def place(name: str) -> Span | None:
        start = text.find(name)
        return (start, start + len(name)) if spans and start >= 0 else None

    made = tiny.examples(1)[0]
    return replace(
        made, text=text, actor=actor, target=target, actor_span=place(actor), target_span=place(target),
        stance=Stance(stance),
    )  # fmt: skip


@st.composite
def printed_pairs(draw: st.DrawFn) -> Example:
    """A text that prints two names among other words, one or more times each."""
    actor, target = draw(st.permutations(NAMES))[:2]
    words = draw(st.lists(st.sampled_from((*FILLERS, actor, target)), max_size=12))
    text = " ".join(draw(st.permutations([*words, actor, target])))
    return example(text, actor, target, spans=draw(st.booleans()))


@given(before=printed_pairs(), actor=st.sampled_from(("", *NEW)), target=st.sampled_from(("", *NEW)))
def test_spans_point_at_the_new_names_and_nothing_else_is_changed(before: Example, actor: str, target: str) -> None:
    after = replaced(before, actor=actor, target=target)
    if after is None:
        return
    rest = before.text
    for old, new in ((before.actor, actor), (before.target, target)):
        bare = re.sub(r"^(the|a) ", "", old)
        if new:
            assert not re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", after.text)
            rest = re.sub(rf"(?<!\w){re.escape(bare)}(?!\w)", new, rest)
    assert after.text.casefold() == rest.casefold()
    for role in ("actor", "target"):
        span, name = getattr(after, f"{role}_span"), getattr(after, role)
        assert (span is None) == (getattr(before, f"{role}_span") is None)
        assert span is None or after.text[slice(*span)].casefold() == name.casefold()
    assert after.stance == before.stance


def test_both_names_of_distinct_pairs_can_be_replaced() -> None:
    before = example("Pakistan opposes the peace deal , said Pakistan 's envoy .", "Pakistan", "the peace deal")
    after = replaced(before, actor="India", target="roadmap")
    assert after is not None
    assert after.text == "India opposes the roadmap , said India 's envoy ."
    assert (after.actor, after.target) == ("India", "the roadmap")


def test_a_pronoun_may_be_anybody_and_is_no_name_to_replace() -> None:
    before = example("They said he knows he could do it, and Iran heard them.", "Iran", "he")
    assert replaced(before, target="Alpha") is None
    after = replaced(before, actor="Alpha")
    assert after is not None
    assert after.text == "They said he knows he could do it, and Alpha heard them."


def test_a_name_that_holds_the_pronoun_of_the_other_one_is_not_replaced() -> None:
    text = "Lieutenants who sheltered them were hailed."
    before = replace(example(text, "protesters", "lieutenants who sheltered them"), actor_span=(26, 30))
    assert text[26:30] == "them"
    assert replaced(before, target="Alpha") is None


def test_a_shortened_name_is_swapped_for_one_that_can_be_shortened() -> None:
    config = TrainingConfig(swap_names=0.99, span_dropout=0.0, surface_share=0.0)
    given = [
        example("Walt Jessup left. Jessup blamed the levy.", "Walt Jessup", "the levy"),
        example("The Justice Department praised the pact.", "Justice Department", "the pact"),
        example("Imran Khan came. Mr. Khan praised the road.", "Imran Khan", "the road"),
    ]
    seen = {
        e.text.split(".")[0]
        for seed in range(30)
        for e in augment.vary(given[:1] + given, replace(config, seed=seed))[:1]
    }
    assert "Imran Khan left" in seen
    assert "Justice Department left" not in seen


def test_a_surname_is_replaced_by_the_last_word_of_the_new_name() -> None:
    before = example("Imran Khan met them. Later Mr. Khan rejected the deal.", "Imran Khan", "the deal")
    after = replaced(before, actor="Rosa Luz")
    assert after is not None
    assert after.text == "Rosa Luz met them. Later Mr. Luz rejected the deal."


def test_a_mention_in_other_words_is_replaced_and_a_pronoun_is_left() -> None:
    text = "Islamabad spoke. Pakistan saw its plan fail."
    capital = replace(example(text, "Pakistan", "the UN"), actor_span=(0, 9))
    pronoun = replace(capital, actor_span=(text.index("its"), text.index("its") + 3))
    other, left = replaced(capital, actor="India"), replaced(pronoun, actor="India")
    assert left is None, "Islamabad is Pakistan as well"
    text = text.replace("Islamabad", "Somebody")
    pronoun = replace(pronoun, text=text, actor_span=(text.index("its"), text.index("its") + 3))
    same = replaced(pronoun, actor="India")
    assert other is not None
    assert other.text == "India spoke. India saw its plan fail."
    assert other.actor_span == (0, 5)
    assert same is not None
    assert same.text == "Somebody spoke. India saw its plan fail."
    assert same.text[slice(*(same.actor_span or (0, 0)))] == "its"


@pytest.mark.parametrize(
    ("text", "actor", "target"),
    [
        ("The Russian envoy said that Russia rejects the deal.", "Russia", "the deal"),  # another form is left
        ("Bratislava calls it blackmail, and Slovakia rejects the deal.", "Slovakia", "the deal"),  # its capital
        ("The WTO welcomed what the World Trade Office saw in the deal.", "World Trade Office", "the deal"),  # initials
        ("Melania Trump spoke. Donald Trump left.", "Donald Trump", "the deal"),  # another person's surname
        ("Ghani defends Ghani's plan.", "Ghani", "Ghani's plan"),  # one name in the other
        ("They reject the deal.", "Pakistan", "the deal"),  # not printed
        ("India and Pakistan reject the deal.", "Pakistan", "the deal"),  # the new name is there
        ("someone rejects the deal.", SOMEONE, "the deal"),
        ("The diamond ban was lifted, though the ban on gold stays. He left.", "diamond ban", "the deal"),
        ("The Hijab Ban was lifted, though other bans stay.", "Hijab Ban", "the deal"),
    ],
)
def test_what_is_unsure_is_not_renamed(text: str, actor: str, target: str) -> None:
    assert replaced(example(text, actor, target), actor="India") is None


def test_where_words_are_written_together_a_name_is_replaced_everywhere_or_nowhere() -> None:
    text = "伊朗支持该提议，俄罗斯反对该提议"
    pair = replace(example(text, "伊朗", "该提议", stance="support"), actor_span=(0, 2), target_span=(4, 7))
    assert replaced(pair, actor="俄罗斯") is None, "it stands there already, with another stance"
    assert replaced(pair, target="该计划") is None, "the old name would stay"
    other = replaced(pair, actor="巴西")
    assert other is not None
    assert other.text == "巴西支持该提议，俄罗斯反对该提议"
    twice = replace(pair, text=text.replace("俄罗斯", "伊朗"))
    assert replaced(twice, actor="Alpha") is None


def test_a_name_is_not_replaced_by_one_that_the_passage_has_in_other_words() -> None:
    pair = example("Iran praised the plan, and Moscow rejected it.", "Iran", "plan", stance="support")
    assert replaced(pair, actor="Russia") is None
    assert replaced(pair, actor="Brasília") is not None


def test_small_words_of_a_name_may_stay_elsewhere() -> None:
    found = replaced(example("His new law failed, not his new rule.", "His new law", "rule"), actor="a plan")
    assert found is not None
    assert found.text == "A plan failed, not his new rule."
    found = replaced(
        example("Deputies who wrote it met those who read the rule.", "deputies who wrote it", "rule"), actor="bakers"
    )
    assert found is not None
    assert found.text == "Bakers met those who read the rule."


def test_a_long_passage_is_renamed_at_once() -> None:
    """Some 0.1 s; 20 s where every surname looks back to the beginning of the text."""
    text = "Ana Sousa spoke. " + "Then Mr. Sousa and the mayor of a town spoke of Oslo. " * 1500
    start = time.process_time()
    made = replaced(example(text, "Ana Sousa", "Oslo"), actor="Rosa Luz")
    assert made is not None
    assert "Sousa" not in made.text
    assert time.process_time() - start < 5


def test_a_name_of_two_letters_is_known_as_one_that_is_there() -> None:
    before = example("Iran condemned the US for its tariffs.", "Iran", "the US")
    assert replaced(before, actor="US") is None
    assert replaced(before, actor="EU", target="EU") is None


def test_a_share_of_the_pairs_is_masked_and_keeps_its_label() -> None:
    before = tiny.examples(200, seed=4)
    after = augment.vary(before, TrainingConfig(span_dropout=0.0, surface_share=0.0, mask_names=0.4))
    masked = [(b, a) for b, a in zip(before, after, strict=True) if a != b]
    assert 50 <= len(masked) <= 110
    for old, new in masked:
        assert new.stance == old.stance
        assert {name.removeprefix("the ") for name in (new.actor, new.target)} & set(PLACEHOLDERS)
        assert old.actor not in new.text or new.actor == old.actor
        verb = {"oppose": "rejected", "neutral": "discussed", "support": "welcomed"}
        assert [v for v in verb.values() if v in new.text] == [v for v in verb.values() if v in old.text]


def test_a_placeholder_tells_no_role() -> None:
    after = augment.vary(tiny.examples(200, seed=4), TrainingConfig(mask_names=0.9))
    bare = {role: {getattr(e, role).removeprefix("the ").capitalize() for e in after} for role in ("actor", "target")}
    assert set(PLACEHOLDERS) <= bare["actor"] & bare["target"]


def test_swapped_names_come_from_the_same_corpus_and_role_and_have_the_same_shape() -> None:
    one = [replace(e, corpus="one") for e in tiny.examples(80, seed=5)]
    other = [
        replace(e, corpus="other", text=e.text.replace("Russia", "Utopia"), actor=e.actor.replace("Russia", "Utopia"),
                target=e.target.replace("Russia", "Utopia"))
        for e in tiny.examples(80, seed=6)
    ]  # fmt: skip
    config = TrainingConfig(span_dropout=0.0, surface_share=0.0, swap_names=0.9)
    after = augment.vary([*one, *other], config)
    assert sum(a.text != b.text for a, b in zip(after, [*one, *other], strict=True)) > 20
    for old, new in zip([*one, *other], after, strict=True):
        assert new.stance == old.stance
        assert ("Utopia" if new.corpus == "one" else "Russia") not in new.text
        for role in ("actor", "target"):
            name, span = getattr(new, role), getattr(new, f"{role}_span")
            assert new.text[slice(*span)] == name
            shapes = [[w[0].isupper() for w in n.removeprefix("the ").split()] for n in (name, getattr(old, role))]
            assert shapes[0] == shapes[1]


@pytest.mark.parametrize("option", ["mask_names", "swap_names"])
def test_the_same_seed_draws_the_same_names(option: str) -> None:
    before = tiny.examples(100, seed=7)

    def drawn(seed: int) -> list[Example]:
        return augment.vary(before, TrainingConfig(seed=seed, **{option: 0.5}))  # type: ignore[arg-type]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
