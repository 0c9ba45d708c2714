"""How pairs become ids: properties with the real tokenizer, in both layouts."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import tiny
from conftest import ROOT, script
from stance import lookup
from stance.encoding import ACTOR, TARGET, Cuts, Encoded, PairEncoder, collate
from stance.errors import StanceError
from stance.layouts import Encoding
from stance.lookup import MAX_NAME_WORDS, UNSPACED, find_mention
from stance.network.encoders import Pretrained, load
from stance.records import Pair
from stance.settings.training import ModelConfig

# The real tokenizer takes a while on its first call; what is tested is never a matter of time.
patient = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

PRINTED = ["Pakistan", "the Ghani administration", "Abdul Rashid Dostum", "ECOWAS", "Łódź's council", "U.N. envoy"]
ABSENT = ["Kyrgyzstan", "the Lisbon declaration", "Ngozi Okonjo-Iweala"]
FILLER = ["the", "on", "Tuesday", "said", "unprecedentedly", "—", "2021", "naïve", "talks.", "[SEP]", "和平", "\n\n"]
LIMIT = 24

names = st.sampled_from(PRINTED + ABSENT)
texts = st.lists(st.sampled_from(PRINTED + FILLER), max_size=120).map(" ".join)
layouts = st.sampled_from(["one_pass", "pair"])


@cache
def pretrained() -> Pretrained:
    return load(ModelConfig())


def encoder(*, passage: int = LIMIT, name: int = 8, pairs: int = 4, layout: str = "one_pass") -> PairEncoder:
    limits = replace(pretrained().encoding, max_passage_tokens=passage, max_name_tokens=name, max_pairs=pairs)
    return PairEncoder(pretrained().tokenizer, replace(limits, layout=layout))


def tokens(text: str) -> list[int]:
    ids: list[int] = pretrained().tokenizer.encode(text, add_special_tokens=False).ids
    return ids


@st.composite
def pairs_of_one_text(draw: st.DrawFn) -> list[Pair]:
    text = draw(texts)
    return [Pair(text, actor, target) for actor, target in draw(st.lists(st.tuples(names, names), min_size=1))]


@st.composite
def pairs_of_some_texts(draw: st.DrawFn) -> list[Pair]:
    groups = draw(st.lists(pairs_of_one_text(), min_size=1, max_size=3))
    return draw(st.permutations([pair for group in groups for pair in group]))


def passage_of(row: Encoded) -> list[int]:
    """The passage's ids in a one-pass row, without [CLS] and [SEP]."""
    return [number for number, block in zip(row.ids, row.blocks, strict=True) if block == 0][1:-1]


def block_of(row: Encoded, place: int) -> tuple[list[int], list[int]]:
    """Ids and positions of the pair at `place` in a row; those of its passage at -1."""
    inside = [i for i, block in enumerate(row.blocks) if block == place + 1]
    return [row.ids[i] for i in inside], [row.positions[i] for i in inside]


def named(row: Encoded, place: int) -> list[tuple[list[int], list[int]]]:
    """Ids and positions of actor and target of a one-pass row's pair, each with its marker first."""
    ids, positions = block_of(row, place)
    actor, target = row.markers[place]
    cut = target - actor
    return [(ids[:cut], positions[:cut]), (ids[cut:], positions[cut:])]


def only(rows: Sequence[Encoded]) -> Encoded:
    (row,) = rows
    return row


@patient
@given(pairs=pairs_of_some_texts(), layout=layouts)
def test_markers_of_every_pair_survive_any_passage(pairs: list[Pair], layout: str) -> None:
    rows, _ = encoder(layout=layout).encode(pairs)
    for row in rows:
        assert len(row.markers) == len(row.pairs)
        for index, (actor, target) in zip(row.pairs, row.markers, strict=True):
            for place, marker, name in ((actor, ACTOR, pairs[index].actor), (target, TARGET, pairs[index].target)):
                ids = tokens(name)[:8]
                assert row.ids[place] == pretrained().tokenizer.token_to_id(marker)
                assert row.ids[place + 1 : place + 1 + len(ids)] == ids


@patient
@given(pairs=pairs_of_some_texts(), layout=layouts)
def test_every_pair_is_encoded_exactly_once(pairs: list[Pair], layout: str) -> None:
    rows, cuts = encoder(layout=layout).encode(pairs)
    assert sorted(index for row in rows for index in row.pairs) == list(range(len(pairs)))
    assert cuts.pairs == len(pairs)


@patient
@given(pairs=pairs_of_some_texts(), layout=layouts, data=st.data())
def test_pair_is_encoded_the_same_alone_and_in_company(pairs: list[Pair], layout: str, data: st.DataObject) -> None:
    chosen = data.draw(st.integers(0, len(pairs) - 1))
    alone = only(encoder(layout=layout).encode([pairs[chosen]])[0])
    together = next(row for row in encoder(layout=layout).encode(pairs)[0] if chosen in row.pairs)
    place = together.pairs.index(chosen)
    assert block_of(together, -1) == block_of(alone, -1)
    assert block_of(together, place) == block_of(alone, 0)


@patient
@given(pairs=pairs_of_some_texts())
def test_printed_name_takes_the_positions_of_its_own_tokens(pairs: list[Pair]) -> None:
    rows, _ = encoder().encode(pairs)
    for row in rows:
        for place, index in enumerate(row.pairs):
            for name, (ids, positions) in zip(
                (pairs[index].actor, pairs[index].target), named(row, place), strict=True
            ):
                if find_mention(pairs[index].text, name):
                    assert positions[0] == positions[1]
                    assert [row.ids[p] for p in positions[1:]] == ids[1:]
                    assert positions[1:] == list(range(positions[1], positions[1] + len(ids) - 1))


@patient
@given(text=texts, actor=st.sampled_from(ABSENT), target=names)
def test_name_that_is_not_printed_lies_behind_the_passage(text: str, actor: str, target: str) -> None:
    row = only(encoder().encode([Pair(text, actor, target)])[0])
    last = len(passage_of(row)) + 1
    (_, of_actor), (_, of_target) = named(row, 0)
    assert of_actor == list(range(last + 1, last + 1 + len(of_actor)))
    if not find_mention(text, target):
        assert of_target == list(range(of_actor[-1] + 1, of_actor[-1] + 1 + len(of_target)))


def test_texts_are_tokenised_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", *(f"{name} praised the plan. " * 30 for name in ("Iran", "Chad", "Peru"))]
    pairs = [Pair(text, "Chad", "the plan") for text in texts]
    whole = encoder().encode(pairs)
    monkeypatch.setattr("stance.encoding.AT_ONCE", 3)
    assert encoder().encode(pairs) == whole


def test_given_span_decides_between_two_places_of_a_name() -> None:
    text = "Iran spoke first. Later Iran objected."
    second = text.rindex("Iran")
    row = only(encoder().encode([Pair(text, "Iran", "talks", actor_span=(second, second + 4))])[0])
    assert named(row, 0)[0][1][1] == 1 + len(tokens(text[:second]))


def test_long_name_stays_within_the_positions_of_a_short_mention() -> None:
    text = "Dostum objected to the plan."
    row = only(encoder().encode([Pair(text, "Abdul Rashid Dostum", "the plan", actor_span=(0, 6))])[0])
    inside = range(1, 1 + len(tokens("Dostum")))
    assert set(named(row, 0)[0][1]) == set(inside)
    assert encoder().encode([Pair(text, "Abdul Rashid Dostum", "the plan")])[0] == [row]


@patient
@given(pairs=pairs_of_some_texts(), passage=st.integers(8, 40), name=st.integers(1, 6), most=st.integers(1, 5))
def test_limits_are_never_exceeded(pairs: list[Pair], passage: int, name: int, most: int) -> None:
    small = encoder(passage=passage, name=name, pairs=most)
    for row in small.encode(pairs)[0]:
        assert len(passage_of(row)) <= passage
        assert len(row.pairs) <= most
        assert max(row.positions) <= small.settings.longest_position
        assert all(len(ids) <= 1 + name for place in range(len(row.pairs)) for ids, _ in named(row, place))


@patient
@given(pairs=pairs_of_some_texts(), passage=st.integers(8, 40), name=st.integers(1, 6))
def test_pair_layout_keeps_one_pair_a_row_within_its_longest_position(
    pairs: list[Pair], passage: int, name: int
) -> None:
    small = encoder(passage=passage, name=name, layout="pair")
    rows, _ = small.encode(pairs)
    for row in rows:
        assert len(row.pairs) == 1
        assert set(row.blocks) == {0}
        assert row.positions == list(range(len(row.ids)))
        assert row.positions[-1] <= small.settings.longest_position


def test_pair_layout_marks_the_mentions_in_the_passage() -> None:
    row = only(encoder(layout="pair").encode([Pair("Iran rejected the new offer.", "Iran", "the new offer")])[0])
    tokenizer = pretrained().tokenizer
    assert tokenizer.decode(row.ids, skip_special_tokens=False) == (
        "[CLS] [ACTOR] iran [TARGET] the new offer [SEP] [ACTOR] iran rejected [TARGET] the new offer. [SEP]"
    )


def test_typed_question_closes_the_mentions_too_even_where_they_touch() -> None:
    typed = PairEncoder(pretrained().tokenizer, replace(pretrained().encoding, layout="pair", question="typed"))
    for text, expected in (
        ("Iran rejected the new offer.", "[ACTOR] iran [ACTOR] rejected [TARGET] the new offer [TARGET]."),
        ("the new offer Iran made", "[TARGET] the new offer [TARGET] [ACTOR] iran [ACTOR] made"),
    ):
        row = only(typed.encode([Pair(text, "Iran", "the new offer")])[0])
        decoded = pretrained().tokenizer.decode(row.ids, skip_special_tokens=False)
        assert decoded == f"[CLS] [ACTOR] iran [TARGET] the new offer [SEP] {expected} [SEP]"


@patient
@given(pairs=pairs_of_some_texts(), layout=layouts)
def test_hypothesis_is_the_same_question_with_a_verb_at_the_place_of_the_actors_end(
    pairs: list[Pair], layout: str
) -> None:
    plain = encoder(layout=layout)
    asked = PairEncoder(plain.tokenizer, replace(plain.settings, question="hypothesis"))
    (verb,) = tokens("supports")
    for old, new in zip(plain.encode(pairs)[0], asked.encode(pairs)[0], strict=True):
        assert old.pairs == new.pairs
        ids, positions = list(new.ids), list(new.positions)
        for _, target in reversed(new.markers):
            assert ids.pop(target - 1) == verb
            place = positions.pop(target - 1)
            assert layout == "pair" or place == positions[target - 2]
        assert ids == old.ids
        assert layout == "pair" or positions == old.positions


def test_pairs_of_one_passage_share_rows_up_to_the_limit() -> None:
    text = "Pakistan and ECOWAS met."
    rows, _ = encoder(pairs=4).encode([Pair(text, "Pakistan", "ECOWAS")] * 9)
    assert [len(row.pairs) for row in rows] == [4, 4, 1]


def test_neighbouring_pairs_of_a_long_passage_share_a_window() -> None:
    text = " ".join(["so"] * 60 + ["Pakistan", "and", "ECOWAS", "and", "Iran"] + ["so"] * 60)
    pairs = [Pair(text, "Pakistan", "ECOWAS"), Pair(text, "ECOWAS", "Iran")]
    assert only(encoder(passage=32).encode(pairs)[0]).pairs == [0, 1]


@patient
@given(before=st.integers(0, 200), between=st.integers(0, 26), after=st.integers(0, 200))
def test_long_passage_is_windowed_around_the_mentions(before: int, between: int, after: int) -> None:
    text = " ".join(["so"] * before + ["Pakistan"] + ["so"] * between + ["ECOWAS"] + ["so"] * after)
    rows, cuts = encoder(passage=32).encode([Pair(text, "Pakistan", "ECOWAS")])
    kept = pretrained().tokenizer.decode(passage_of(only(rows)))
    assert "pakistan" in kept
    assert "ecowas" in kept
    assert len(passage_of(only(rows))) == min(32, len(tokens(text)))
    assert cuts == Cuts(pairs=1, windowed=int(len(tokens(text)) > 32), lost_mention=0, shortened_name=0)


@patient
@given(before=st.integers(0, 90), between=st.integers(31, 200), after=st.integers(0, 90))
def test_mentions_far_apart_get_two_windows(before: int, between: int, after: int) -> None:
    text = " ".join(["so"] * before + ["ECOWAS"] + ["so"] * between + ["Pakistan"] + ["so"] * after)
    rows, cuts = encoder(passage=32).encode([Pair(text, "Pakistan", "ECOWAS")])
    row = only(rows)
    assert len(passage_of(row)) == 32
    (actor, of_actor), (target, of_target) = named(row, 0)
    assert [row.ids[p] for p in of_actor[1:]] == actor[1:]
    assert [row.ids[p] for p in of_target[1:]] == target[1:]
    assert (cuts.windowed, cuts.lost_mention) == (1, 0)


@patient
@given(data=st.data())
def test_windows_keep_the_order_of_the_passage_and_repeat_nothing(data: st.DataObject) -> None:
    vocabulary = sorted(word for word in pretrained().tokenizer.get_vocab() if word.isascii() and word.isalpha())
    text = " ".join(vocabulary[:100])
    spans = [sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True))) for _ in "12"]
    (a, b), (c, d) = spans
    kept = passage_of(only(encoder().encode([Pair(text, "Iran", "Iraq", (a, b), (c, d))])[0]))
    places = [tokens(text).index(number) for number in kept]
    assert places == sorted(set(places))
    assert len(places) <= LIMIT


def test_mention_longer_than_the_window_is_counted_as_lost() -> None:
    text = "Pakistan so " * 60
    _, cuts = encoder(passage=16).encode([Pair(text, "Pakistan", "ECOWAS", actor_span=(0, len(text) - 1))])
    assert (cuts.windowed, cuts.lost_mention) == (1, 1)


def test_shortened_names_are_counted_by_pair() -> None:
    long = "the " * 9 + "ministry"
    pairs = [Pair("A text.", long, long), Pair("A text.", "Iran", "Iraq"), Pair("A text.", "Iran", long)]
    assert encoder(name=8).encode(pairs)[1].shortened_name == 2


def test_cuts_are_told_in_per_cent() -> None:
    assert str(Cuts(pairs=8, windowed=2, lost_mention=0, shortened_name=1)) == (
        "of 8 pairs: passage windowed 2 (25.0%), part of a mention outside the window 0 (0.0%), "
        "name shortened 1 (12.5%)"
    )


def printed(text: str, name: str) -> str | None:
    """What of a text is taken for a name."""
    found = find_mention(text, name)
    return text[slice(*found)] if found else None


@given(before=st.text(max_size=20), after=st.text(max_size=20), name=names)
@example(before="\U0002f8fa", after="", name="Pakistan")
def test_mention_is_the_whole_name_or_a_run_of_its_words_and_cuts_no_word(before: str, after: str, name: str) -> None:
    text = before + name + after
    words = name.lower().split()
    runs = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
    runs |= {other.lower() for other in lookup.other_names(name)}  # "Pakistani" stands for Pakistan
    cuts = re.compile(rf"[^\W{UNSPACED}]")  # letters that would go on with a word
    free = not any(cuts.match(edge) for edge in (before[-1:], after[:1]))
    found = find_mention(text, name)
    assert found or not free
    if found:
        start, end = found
        assert text[start:end].lower() in ({name.lower()} if free else runs)
        assert not cuts.match(text[start - 1 : start])
        assert not cuts.match(text[end : end + 1])


def test_a_long_name_is_found_behind_zero_bytes() -> None:
    clause = " ".join(f"word{number}" for number in range(MAX_NAME_WORDS + 1))
    for text in (f"\x00 {clause}", f"\x00\x00 it says {clause} and so on", f"{clause} \x00"):
        start = text.index("word0")
        assert find_mention(text, clause) == (start, start + len(clause))


def test_a_name_of_very_many_words_is_looked_for_as_it_is_printed_and_at_once() -> None:
    clause = " ".join(f"word{number}" for number in range(MAX_NAME_WORDS + 1))
    assert find_mention(f"He said {clause}.", clause) == (8, 8 + len(clause))
    assert find_mention(f"Stop.\n{clause.title()}!", clause) == (6, 6 + len(clause))
    assert find_mention(clause.replace(" ", "\n"), clause) == (0, len(clause))
    assert find_mention(f"He said {clause}th and x{clause}.", clause) is None
    start = time.process_time()
    assert find_mention("x " * 200_000, "x " * 999 + "y") is None
    assert find_mention("x " * 200_000 + "y", "x " * 999 + "y") == (2 * 199_001, 400_001)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Iran", "Iranian ships, Iran's ships", "Iran"),
        ("Iran", "so says IRAN", "IRAN"),
        ("Iran", "iran, then Iran", "Iran"),
        (" Iran\n", "then Iran", "Iran"),
        ("Behrouz Tavanian", "Tavanian rose", "Tavanian"),
        ("Abdul Rashid Dostum", "Dostum, or Rashid Dostum", "Rashid Dostum"),
        ("Mary Mary", "mary", "mary"),
        ("Bosnia peace deal", "a deal for Bosnia", "deal"),
        ("Brazil", "Brazilianised", None),
        ("the U.N. on it", "the U.N. on", "the U.N. on"),
        ("the US", "our US visit", "US"),
        ("US", "tell us more", None),
        ("Behrouz Tavanian", "Tavanians", None),
        ("this and that", "this, that", None),
        ("Iran", "", None),
        ('"Green Deal" law', "Iran opposed the “Green Deal” law.", "“Green Deal” law"),
        ("“Green Deal”", 'the "Green Deal" of Brussels', '"Green Deal"'),
    ],
)
def test_mention_is_the_longest_printed_part_of_a_name(name: str, text: str, expected: str | None) -> None:
    assert printed(text, name) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Russia", "Moscow rejected it; the Russian envoy left", "Moscow"),
        ("Russia", "the Kremlin rejected it", "Kremlin"),
        ("Russian Federation", "Russians and Russia rejected it", "Russia"),
        ("the United States", "A U.S. envoy called Washington", "U.S."),
        ("UK", "Downing Street declined", "Downing Street"),
        ("Poland", "they polish brass", None),
        ("Poland", "Polish brass", "Polish"),
        ("Indonesia", "Indonesian ships, not Indonesia", "Indonesia"),
        ("International Monetary Fund", "the IMF and a fund", "IMF"),
        ("International Monetary Fund", "the imf and a fund", "fund"),
        ("court of appeal", "COA", None),
        ("European Union", "the EU", "EU"),
        ("America", "U.S. envoys called", "U.S."),
        ("United States", "Latin American leaders, South America and Native Americans", None),
        ("United States", "Latin American leaders and American envoys", "American"),
        ("Sudan", "the South Sudanese army", None),
        ("Serbia", "Bosnian Serb leaders", None),
        ("Netherlands", "a tribunal in The Hague; the Dutch government", "Dutch"),
        ("Ivory Coast", "Côte d’Ivoire said", "Côte d’Ivoire"),
        ("Workers' Party", "the ruling party met the Workers’ Party", "Workers’ Party"),
        ("Workers’ Party", "the Workers' Party", "Workers' Party"),
        ("the WHO", "the agency, who resigned; WHO said", "WHO"),
        ("the WHO", "the agency, who resigned", None),
        ("ETA", "Eta declared a ceasefire", "Eta"),
        ("IS", "Islamic State said the city is ours", None),
        ("CAR", "the car exploded in Bangui", None),
        ("UNICEF", "Unicef agreed", "Unicef"),
        ("Russia", "New Russian attacks", "Russian"),
        ("Ukraine", "Western Ukrainian towns", "Ukrainian"),
        ("Guinea", "the Papua New Guinean army", None),
        ("Ireland", "the Northern Irish parties", None),
        ("Guinea", "Papua New Guinea alone", None),
        ("Guinea", "Guinea-Bissau met Guinea", "Guinea"),
        ("Guinea", "Guinea-Bissau alone", None),
        ("Sudan", "SOUTH SUDAN, South Sudan's army", None),
        ("United States", "Latin America alone", None),
        ("New Zealand", "New York's mayor", None),
        ("South Korea", "North Korea fired; South Africa won", None),
        ("North Korea", "corn went to the North", "the North"),
        ("Sudan", "South Sudan fought; Khartoum said no", "Khartoum"),
        ("United States", "Latin-American voters", None),
        ("North Macedonia", "the North Macedonian army", "North Macedonian"),
        ("Timor-Leste", "East Timorese leaders", "East Timorese"),
        ("Equatorial Guinea", "Equatorial Guineans voted", "Equatorial Guineans"),
        ("New Zealand", "a New Zealander won", "New Zealander"),
        ("Republic of the Congo", "The Democratic Republic of the Congo refused", None),
        ("Mexico", "New Mexico and NEW MEXICO", None),
        ("Mongolia", "Inner Mongolia refused", None),
        ("United Kingdom", "British Columbia and a British envoy", "British"),
        ("United Kingdom", "BRITISH COLUMBIA", None),
        ("United States", "American Samoa alone", None),
        ("Samoa", "American Samoa alone", None),
        ("Mexico", "New Mexican officials refused", None),
        ("United States", "American Samoans voted", None),
        ("United Kingdom", "British Columbians voted", None),
        ("DR Congo", "Congo-Brazzaville refused", None),
        ("Congo-Brazzaville", "Congo-Brazzaville refused", "Congo-Brazzaville"),
        ("All Progressives Congress", "the APC met", "APC"),
        ("Her Majesty's Revenue and Customs", "the HMRC met", "HMRC"),
    ],
)
def test_states_are_found_by_their_capitals_and_peoples_and_bodies_by_their_initials(
    name: str, text: str, expected: str | None
) -> None:
    assert printed(text, name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Sudan", "South Sudan and Sudan"), ("Guinea", "Papua New Guinea and Guinea"),
        ("Ireland", "Northern Ireland and Ireland"), ("Mexico", "New Mexico and Mexico"),
        ("Samoa", "American Samoa and Samoa"),
        ("Republic of the Congo", "the Democratic Republic of the Congo and the Republic of the Congo"),
    ],
)  # fmt: skip
def test_a_state_is_not_found_within_the_name_of_another_one(name: str, text: str) -> None:
    assert find_mention(text, name) == (len(text) - len(name), len(text))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ban on Dworkin", "Dworkin fought the ban", "ban"),
        ("talk that Yellow Crane leaned on anyone", "talk that it had leaned on anyone", "talk that"),
        ("Republican candidate for Congress", "the candidate told Congress", "candidate"),
        ("assault weapons ban", "assault weapons under a ban", "ban"),
        ("end of the talks", "the talks go on", "the talks"),
        ("of note", "a note", "note"),
        ("his office", "The mayor sold his car", None),
        ("man who was shot", "The company was not there", None),
        ("official who had spoken", "an aide had a car", None),
        ("two but one", "but the rest", None),
        ("Secretary of State Condoleezza Rice", "The Treasury secretary met Condoleezza Rice", "Condoleezza Rice"),
        ("President of Iran Mahmoud Ahmadinejad", "President Bush rejected Ahmadinejad's letter", "Ahmadinejad"),
        ("president of Panama", "the president left Panama", "president"),
        ("government of Iran", "the US government warned Iran", "Iran"),
        ("Minister of Foreign Affairs", "The minister resigned over the affairs of a bank", "minister"),
        ("Governor of the Bank of England", "the governor of the Bank spoke; England won", "governor of the Bank"),
        ("Secretary of State for Defence", "The secretary met Defence staff", "secretary"),
        ("government of the day", "the government sat all day", "government"),
        ("Bank of America", "the Bank of England, then the bank", "bank"),
        ("Bank of America", "the Bank of England", None),
        ("Ministry of Finance", "the Ministry of Defence and the Ministry", "Ministry"),
        ("World Bank", "World Cup", None),
        ("European Parliament", "European leaders met a national parliament", "parliament"),
        ("North Korean General", "a general spoke", "general"),
    ],
)
def test_the_head_of_a_name_goes_before_its_other_words(name: str, text: str, expected: str | None) -> None:
    assert printed(text, name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("이란", "제안을 이란은 거부했다"),
        ("中国", "我们支持中国的计划"),
        ("ロシア", "彼はロシアを支持する"),
        ("파키스탄", "파키스탄은 지지했다"),
        ("NATO", "他们反对NATO的计划"),
    ],
)
def test_names_are_found_in_scripts_that_write_words_together(name: str, text: str) -> None:
    start = text.index(name)
    assert find_mention(text, name) == (start, start + len(name))


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
@pytest.mark.parametrize("name", ["Tarcísio", "Núñez", "Erdoğan", "Tarcísio de Freitas", "파키스탄"])
def test_accents_may_be_characters_of_their_own(name: str, forms: tuple[str, str]) -> None:
    name, text = normalize(forms[0], name), normalize(forms[1], f"Ünal, “é” and ({name}) met José.")
    span = find_mention(text, name)
    assert span is not None
    assert normalize("NFC", text[slice(*span)]) == normalize("NFC", name)
    assert text[span[1]] == ")", "the whole last letter"


def test_no_letter_is_cut_from_its_accent() -> None:
    assert find_mention("Jose\u0301 met Ana.", "Jose") is None
    assert find_mention("भारती ने कहा", "भारत") is None
    assert find_mention("भारत ने कहा", "भारत") == (0, 4)
    assert find_mention("قال محمدٌ ذلك", "محمد") == (4, 8), "a case ending is no other letter"
    assert find_mention("คนกรุงเทพ cafe\u0301", "คนกร") == (0, 4)
    assert find_mention("กุ e\u0301x", "ก") == find_mention("กุ ex", "ก")


def test_particles_and_single_letters_of_such_scripts_are_no_names() -> None:
    assert find_mention("전쟁이란 무엇인가. 이란은 거부했다.", "이란") == (11, 13)
    assert find_mention("北한국경", "한국") == (1, 3)
    assert find_mention("북한국경", "한국") is None
    assert find_mention("玉米", "米") is None
    assert find_mention("김 said", "김") == (0, 1)


def test_words_without_content_are_no_mention() -> None:
    assert find_mention("He spoke against it.", "sanctions against Iran") is None
    assert find_mention("They left after dinner", "troops to be sent after talks") is None


def test_a_long_run_of_letters_is_passed_at_once() -> None:
    start = time.process_time()
    assert find_mention("a" * 1_000_000, "a") is None
    assert find_mention("a" * 300_000, "a" * 2_000) is None
    assert find_mention("_" * 1_000_000, "_" * 50) is None
    assert time.process_time() - start < 2, "some 0.1 seconds; 12 letter by letter"


def test_a_letter_with_very_many_marks_is_passed_at_once() -> None:
    marks = "\u0301\u0316" * 50_000
    start = time.process_time()
    assert find_mention(f"e{marks} Irán cafe\u0301", "Iran") is None
    assert find_mention(f"e{marks} cafe\u0301", "café") == (100_002, 100_007)
    assert find_mention("Iran", f"e{marks}") is None
    assert time.process_time() - start < 2, "some 0.1 seconds; 70 where all of them are put in order"


def test_every_state_is_found_by_all_that_is_printed_for_it() -> None:
    lines = [line for line in (ROOT / "src/stance/states.txt").read_text("utf-8").splitlines() if line[0] != "#"]
    own = [line.partition(":")[0] for line in lines]
    assert own == sorted(own)
    assert len({name for names in own for name in names.split("|")}) == sum(names.count("|") + 1 for names in own)
    for line in lines:
        names, _, others = line.partition(":")
        first, *more = names.split("|")
        row = [first, *more, *(other.strip() for other in others.split(",") if other.strip())]
        for word in row:
            text = f"Then {word}."
            taken = printed(text, first)
            assert taken, word
            assert taken == word or (taken in row and taken in word), "China of People's Republic of China"


def test_first_place_of_a_name_in_its_exact_case_is_taken() -> None:
    assert find_mention("iran, then Iran, then Iran", "Iran") == (11, 15)


@pytest.mark.parametrize("space", ["\n", "  ", "\u00a0"])
def test_a_name_is_found_over_any_white_space(space: str) -> None:
    text = f"General Abdul Rashid{space}Dostum agreed."
    assert find_mention(text, "Abdul Rashid Dostum") == (8, text.index(" agreed"))
    assert find_mention(text, "Vice President Rashid Dostum") == (14, text.index(" agreed"))
    assert find_mention(text, " ") is None


def test_name_of_very_many_words_is_looked_up_at_once() -> None:
    assert find_mention("word1 " * 100, " ".join(f"word{number}" for number in range(2_000))) is None


def test_many_different_names_are_looked_up_fast() -> None:
    text = "The committee met on Tuesday to hear what the harbour board had to say. " * 3
    start = time.process_time()
    for number in range(3_000):  # a pattern of its own each
        assert find_mention(text, f"Committee {number}") == (4, 13)
    assert time.process_time() - start < 10, "some 10,000 a second; 100 with a class of letters in each pattern"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Kim Jong Un met envoys of the United Nations.", "UN", "United Nations"),
        ("Who will pay? The World Health Organization backed it.", "WHO", None),
        ("All of Us, a charity, said America was wrong.", "US", "America"),
        ("It said it would go.", "IT", None),
        ("Nasa and the Imf agreed.", "IMF", "Imf"),
        ("The US army left.", "US", "US"),
    ],
)
def test_a_short_abbreviation_is_no_other_word(text: str, name: str, expected: str | None) -> None:
    assert printed(text, name) == expected


def test_the_benchmark_counts_where_names_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = tiny.examples(1)[0]
    text = "Moscow met Iran. Moscow spoke; it and Iran agreed."
    rows = [
        replace(row, text=text, actor=name, actor_span=place, target="Iran", target_span=None)
        for name, place in (("Russia", (0, 6)), ("Russia", (17, 23)), ("Ukraine", (31, 33)), ("Iran", None))
    ]
    rows.append(replace(rows[0], provenance="sampled"))
    tiny.dataset(tmp_path / "data", {"train": rows, "validation": rows, "test": rows})
    assert script("benchmark_lookup").main(["--dataset", str(tmp_path / "data")]) == 0
    _, actors, targets, sampled, _ = capsys.readouterr().out.splitlines()
    assert actors.split()[:5] == ["actors", "3", "33.3%", "33.3%", "33.3%"]
    assert targets.split()[:2] == ["targets", "0"]
    assert sampled.split()[:3] == ["actors,", "sampled", "1"]
    assert script("benchmark_lookup").main(["--dataset", str(tmp_path)]) == 2
    assert "manifest.json: missing" in capsys.readouterr().err


def test_name_of_byte_level_tokenizer_has_the_tokens_it_has_inside_a_sentence() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>", "<pad>", ACTOR, TARGET])
    tokenizer.train_from_iterator(["talks with Pakistan on peace and with Pakistan"] * 20, trainer)
    settings = Encoding("one_pass", 0, 1, 2, 3, 4, 32, 8, 4, position_offset=3, space_before_name=True)
    text = "talks with Pakistan on peace"
    row = only(PairEncoder(tokenizer, settings).encode([Pair(text, "Pakistan", "peace")])[0])
    for ids, positions in named(row, 0):
        assert [row.ids[p - 3] for p in positions[1:]] == ids[1:]


@patient
@given(pairs=pairs_of_some_texts(), layout=layouts, pad=st.integers(0, 5))
def test_collated_rows_are_padded_and_otherwise_unchanged(pairs: list[Pair], layout: str, pad: int) -> None:
    rows, _ = encoder(layout=layout).encode(pairs)
    batch = collate(rows, pad)
    width = max(len(row.ids) for row in rows)
    assert {key: array.shape for key, array in batch.items()} == {
        **dict.fromkeys(("input_ids", "position_ids", "block_ids"), (len(rows), width)),
        "markers": (len(rows), max(len(row.pairs) for row in rows), 2),
    }
    assert all(array.dtype == np.int64 for array in batch.values())
    for i, row in enumerate(rows):
        size = len(row.ids)
        assert batch["input_ids"][i].tolist() == row.ids + [pad] * (width - size)
        assert batch["position_ids"][i].tolist() == row.positions + [0] * (width - size)
        assert batch["block_ids"][i].tolist() == row.blocks + [-1] * (width - size)
        assert [tuple(m) for m in batch["markers"][i, : len(row.markers)].tolist()] == row.markers
        assert not batch["markers"][i, len(row.markers) :].any()


@patient
@given(name=st.text(min_size=1, max_size=12), text=st.text(max_size=40))
def test_any_unicode_is_encoded(name: str, text: str) -> None:
    assume(name.strip())
    row = only(encoder().encode([Pair(text, name, "Iran")])[0])
    assert row.pairs == [0]
    assert len(row.ids) == len(row.positions) == len(row.blocks)


def test_unknown_layout_is_refused() -> None:
    with pytest.raises(StanceError, match=r"unknown layout 'double'; expected one of one_pass, pair"):
        encoder(layout="double")


def test_settings_of_another_tokenizer_are_refused() -> None:
    other = replace(pretrained().encoding, actor_id=7)
    with pytest.raises(StanceError, match=r"has \[ACTOR\] as \d+, the encoding expects 7; take tokenizer and settings"):
        PairEncoder(pretrained().tokenizer, other)


def test_special_tokens_that_a_text_prints_are_mere_letters() -> None:
    tool = encoder()
    (row,), _ = tool.encode([Pair("He wrote [SEP] and [ACTOR] on the wall.", "[TARGET] He", "wall")])
    special = {tool.settings.sep_id, tool.settings.actor_id, tool.settings.target_id}
    assert [number for number in row.ids if number in special] == [
        tool.settings.sep_id,
        tool.settings.actor_id,
        tool.settings.target_id,
    ]
