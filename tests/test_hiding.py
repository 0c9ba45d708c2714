"""Pairs whose passage prints their names nowhere: the question stays, words of reference fit, places stay true."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from stance.augmentation import augment
from stance.augmentation.hiding import NAMED, THINGS, hidden
from stance.records import Example
from stance.settings.training import TrainingConfig
from test_renaming import example, printed_pairs

NOUN, THING = (f"({'|'.join(nouns)})" for _, nouns in (NAMED, THINGS))


def ways(before: Example) -> list[Example]:
    """Some ways in which a pair is hidden."""
    return [hidden(before, np.random.default_rng(seed)) for seed in range(40)]


def test_a_hidden_name_is_asked_for_and_printed_nowhere() -> None:
    text = "Pakistan opposes the peace deal. “It is Pakistan's loss,” Iran said."
    before = example(text, "Pakistan", "the peace deal")
    seen = set()
    for after in ways(before):
        assert (after.actor, after.target, after.stance) == (before.actor, before.target, before.stance)
        seen.add((after.actor_span is None, after.target_span is None))
        for role, name in (("actor", "Pakistan"), ("target", "the peace deal")):
            span = getattr(after, f"{role}_span")
            assert (span is None) == (name not in after.text)
            assert span is None or after.text[slice(*span)] == name
        assert after.text.endswith("” Iran said.")
    assert seen == {(True, True), (True, False), (False, True)}


@pytest.mark.parametrize(
    ("text", "actor", "target", "form"),
    [
        # a pronoun at the start of a sentence, elsewhere a noun, the same one each time
        ("Pakistan left. India blames Pakistan.", "Pakistan", "", rf"(He|She|They|It) left\. India blames {NOUN}\."),
        ("India hails the pact; a pact is good.", "", "the pact", rf"India hails {THING}; \1 is good\."),
        # actors are not called things, whatever their case
        ("India heard the farmers.", "the farmers", "", rf"India heard {NOUN}\."),
        # owners
        ("India saw Pakistan's army.", "Pakistan", "", rf"India saw (?:(?:{NOUN[1:-1]})'s|officials') army\."),
        ("Pakistan's army left.", "Pakistan", "", r"(?:The \w+'s|Officials') army left\."),
        ("India cried 'No to Pakistan' and left.", "Pakistan", "", rf"India cried 'No to {NOUN}' and left\."),
        # no second article, and no title, before a word of reference
        ("India likes its modest pact.", "", "pact", r"India likes its modest (plan|move|idea|decision|matter)\."),
        ("India said Mr. Khan left.", "Imran Khan", "", rf"India said {NOUN} left\."),
        ("India left — Pakistan stayed.", "Pakistan", "", rf"India left — {NOUN} stayed\."),
        ("India saw the Smiths' house.", "the Smiths", "", rf"India saw (?:(?:{NOUN[1:-1]})'s|officials') house\."),
        ("India saw 'the Smiths', too.", "the Smiths", "", rf"India saw '{NOUN}', too\."),
        ("India saw 'the Smiths' yesterday.", "the Smiths", "", rf"India saw '{NOUN}' yesterday\."),
        ("India said 'I saw the Smiths' twice.", "the Smiths", "", rf"India said 'I saw {NOUN}' twice\."),
    ],
)
def test_words_of_reference_fit_their_place(text: str, actor: str, target: str, form: str) -> None:
    before = example(text, actor or "Utopia", target or "nothing at all")
    changed = {after.text for after in ways(before)} - {text}
    assert len(changed) >= 2
    assert [one for one in changed if not re.fullmatch(form, one)] == []


def test_whoever_acts_somewhere_is_no_thing_as_a_target() -> None:
    before = example("India hailed the vendors.", "India", "the vendors")
    after = {
        hidden(before, np.random.default_rng(seed), {"vendors"}).text.rpartition(" hailed ")[2] for seed in range(40)
    }
    assert len(after) > 2
    assert all(re.fullmatch(rf"{NOUN}\.", text) for text in after - {"the vendors."})


def test_one_word_never_stands_for_both_names_nor_for_somebody_who_is_there() -> None:
    before = example("India saw it. Pakistan blames Iran. The government and a party left.", "Pakistan", "Iran")
    for after in ways(before):
        match = re.fullmatch(r"India saw it\. (.+) blames (.+)\. The government and a party left\.", after.text)
        assert match is not None
        assert match[1].casefold() != match[2].casefold()
        assert not {"the government", "the party"} & {match[1].casefold(), match[2].casefold()}


@given(before=printed_pairs(), seed=st.integers(0, 100))
def test_hiding_leaves_the_places_of_the_other_name_true(before: Example, seed: int) -> None:
    after = hidden(before, np.random.default_rng(seed))
    for role in ("actor", "target"):
        old, new = getattr(before, f"{role}_span"), getattr(after, f"{role}_span")
        assert new is None or after.text[slice(*new)] == before.text[slice(*old)]
    assert "qx" not in after.text.casefold()
    assert (after.actor, after.target, after.stance) == (before.actor, before.target, before.stance)


@pytest.mark.parametrize(
    "text",
    [
        "The Russian envoy said that Russia rejects it.",  # another form would be left
        "A pro-Russia group left.",  # no word of reference fits
        "They left.",
    ],
)
def test_a_name_that_cannot_be_hidden_for_sure_is_left(text: str) -> None:
    before = example(text, "Russia", "the deal")
    assert {after.text for after in ways(before)} == {text}


def test_a_share_of_the_pairs_is_hidden_by_the_seed() -> None:
    before = tiny.examples(200, seed=4)

    def drawn(seed: int) -> list[Example]:
        return augment.vary(before, TrainingConfig(seed=seed, hide_names=0.4, span_dropout=0.0, surface_share=0.0))

    assert 50 <= sum(a != b for a, b in zip(before, drawn(1), strict=True)) <= 110
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
