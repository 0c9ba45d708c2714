"""Sentences, names and triples of whole articles: what they promise, whatever the model thinks."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import CORPUS, Workplace, script
from stance import jsonl, mentions, people, reader
from stance.building import dataset
from stance.errors import StanceError
from stance.files import sha256
from stance.forms import article_from_json
from stance.predictor import Prediction, StancePredictor
from stance.reader import ArticleReader
from stance.records import Annotation, Article, Mention, Pair, Span, Stance, Triple

SENTENCES = [
    "Pakistan backed the Russian peace plan.", "Dr. Ruiz did not.", "“Never!” said the union's leader…", "Why?",
    "the U.S. and ECOWAS met on 3.5. in Łódź", "和平", "- one", "* * *",
]  # fmt: skip
GAPS = [" ", "  ", "\n", "\u2029", "\n\n", "\n \n\n", "\r\n\r\n", " \n\n\t"]
KOREAS = (
    "North Korea condemned the sanctions. South Korea praised the sanctions. Korea rejected the sanctions that "
    "the ministry had supported, and East Timor attacked West Timor. Timor strongly opposed the ministry."
)
ELSEWHERE = """
import json, sys
from stance.predictor import StancePredictor
from stance.reader import ArticleReader
from stance.records import Article

text = sys.stdin.read()
reader = ArticleReader(StancePredictor.load(sys.argv[1], precision="fp32"), threshold=0)
print(json.dumps([triple.to_json() for triple in reader.read(Article("koreas", text))]))
"""


def biased(artifact: Path, folder: Path, neutral: float) -> StancePredictor:
    """The exported model with `neutral` added to the logit of neutral: what it says must not hang on its training."""
    metadata = json.loads((artifact / "stance.json").read_text("utf-8"))
    shutil.copy(artifact / "tokenizer.json", folder)
    model = onnx.load(artifact / "model.onnx")
    (last,) = [node for node in model.graph.node if "logits" in node.output]
    last.output[:] = ["unbiased" if name == "logits" else name for name in last.output]
    shift = np.array([0, neutral, 0], np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(shift, "shift"))
    model.graph.node.append(onnx.helper.make_node("Add", ["unbiased", "shift"], ["logits"]))
    onnx.save(model, folder / "model.onnx")
    metadata["files"]["model.onnx"] = sha256(folder / "model.onnx")
    jsonl.write_json(folder / "stance.json", metadata)
    return StancePredictor.load(folder, precision="fp32")


@pytest.fixture(scope="session")
def outspoken(exported: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact that never answers neutral."""
    folder = tmp_path_factory.mktemp("outspoken")
    biased(exported.artifact, folder, -50)
    return folder


@pytest.fixture(scope="session")
def predictor(outspoken: Path) -> StancePredictor:
    return StancePredictor.load(outspoken, precision="fp32")


@pytest.fixture(scope="session")
def read(predictor: StancePredictor) -> list[tuple[Article, list[Triple]]]:
    """Every stance, however unsure, in a few articles of the corpus."""
    rows = [article_from_json(row, where) for where, row in jsonl.read(CORPUS / "part-08.jsonl")][:3]
    reader = ArticleReader(predictor, threshold=0)
    found = [(article, reader.read(article)) for article in rows]
    assert all(len(triples) > 3 for _, triples in found), "what the tests go through"
    return found


def texts() -> st.SearchStrategy[str]:
    pieces = st.tuples(st.sampled_from(SENTENCES), st.sampled_from(GAPS)).map("".join)
    return st.tuples(st.sampled_from(["", *GAPS]), st.lists(pieces, max_size=8).map("".join)).map("".join)


@given(text=texts())
def test_sentences_cover_all_words_in_order_and_never_cross_a_blank_line(text: str) -> None:
    (parsed,) = mentions.parse([text])
    end = 0
    for start, stop in parsed.sentences:
        assert not text[end:start].strip()
        sentence = text[start:stop]
        assert sentence == sentence.strip() != ""
        assert not re.search(r"\n\s*\n|\u2029", sentence)
        end = stop
    assert not text[end:].strip()


def test_what_is_read_of_articles_leaves_nothing_in_the_memory() -> None:
    first, *others = (f"Minister Zorb{end} praised the Quux{end} treaty of Blarg{end}." for end in ("an", "ith", "ov"))
    (whole,) = mentions.parse([first])  # what spaCy keeps for all times
    strings = mentions.pipeline().vocab.strings
    before = len(strings)
    found = list(mentions.parse([*others, first]))
    assert len(strings) == before
    assert "Zorbith" not in strings
    assert found[-1] == whole
    assert {candidate.mention.name for candidate in found[0].candidates} >= {"Quuxith treaty"}


def test_threads_read_articles_at_once() -> None:
    """The memory of what spaCy knows of one thread's articles must not end with those of another one."""
    some = [f"Minister Zorb{n} praised the Quux{n} treaty of Blarg{n}, as Oman{n} did." for n in range(40)]
    expected = [next(mentions.parse([text])) for text in some]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: next(mentions.parse([text])), some)) == expected


def test_a_line_end_of_two_characters_is_read_as_one(predictor: StancePredictor) -> None:
    rows = [article_from_json(row, where) for where, row in jsonl.read(CORPUS / "part-08.jsonl")][:3]
    for row in rows:
        text = "\n\n".join("\n".join(textwrap.wrap(part, 60)) for part in row.text.split("\n\n"))
        both = [in_words(predictor, article) for article in (text, text.replace("\n", "\r\n"))]
        assert both[0] == both[1] != []


def in_words(predictor: StancePredictor, text: str) -> list[tuple[Any, ...]]:
    """What is read of a text, with what it prints at each place."""

    def printed(span: Span | None) -> str:
        assert span
        return text[slice(*span)].replace("\r\n", "\n")

    return [
        (t.stance, t.confidence, *((m.name, printed(m.span)) for m in (t.actor, t.target)), *map(printed, t.evidence))
        for t in ArticleReader(predictor, threshold=0).read(Article("a", text))
    ]


@given(text=texts())
def test_candidates_slice_to_their_names_without_article_or_line_break(text: str) -> None:
    (parsed,) = mentions.parse([text])
    spans = [candidate.mention.span for candidate in parsed.candidates]
    assert len(set(spans)) == len(spans)
    for candidate in parsed.candidates:
        span = candidate.mention.span
        assert span is not None
        assert text[slice(*span)] == candidate.mention.name
        assert not re.search(r"[\n\u2029]", candidate.mention.name)
        assert not candidate.mention.name.lower().startswith(("the ", "an ", "a "))


def actors(text: str) -> set[str]:
    (parsed,) = mentions.parse([text])
    return {candidate.mention.name for candidate in parsed.candidates if candidate.actor}


def test_name_keeps_its_own_s_when_the_possessive_goes() -> None:
    found = actors("The United States's plan was opposed by the Congress's leaders.")
    assert {"United States", "Congress"} <= found
    assert not {"United State", "United States's", "Congre"} & found


@given(st.text(st.sampled_from("a'’s \n\t\x1c")))
def test_a_possessive_is_taken_off_with_the_white_space_around_it(text: str) -> None:
    assert mentions._without_possessive(text) == re.sub(r"\s*['’]s\s*$", "", text)


def test_a_possessive_is_taken_off_very_much_white_space_at_once() -> None:
    start = time.process_time()
    assert mentions._without_possessive("Iran" + " " * 100_000 + "'s" + " " * 100_000) == "Iran"
    assert mentions._without_possessive(" " * 100_000 + "x") == " " * 100_000 + "x"
    assert time.process_time() - start < 1, "20 seconds where it is looked for from each space"


@pytest.mark.parametrize("name", ["authorities", "companies", "protesters", "ministry", "police"])
def test_groups_that_can_hold_a_position_are_actors(name: str) -> None:
    assert name in actors(f"On Monday the {name} rejected the bridge.")
    assert "bridge" not in actors(f"On Monday the {name} rejected the bridge.")


def test_texts_are_parsed_in_order() -> None:
    texts = [f"Envoy number {number} left Kabul." for number in range(70)]
    assert [parsed.sentences for parsed in mentions.parse(texts)] == [((0, len(text)),) for text in texts]


def test_text_over_the_limit_is_refused() -> None:
    with pytest.raises(StanceError, match=r"a text of 1,000,001 characters; at most 1,000,000 are read at once"):
        list(mentions.parse(["x" * 1_000_001]))


def test_mentions_of_a_triple_lie_in_the_article_where_they_are_printed(
    read: list[tuple[Article, list[Triple]]],
) -> None:
    for article, triples in read:
        for triple in triples:
            assert triple.article_id == article.id
            for mention in (triple.actor, triple.target):
                assert mention.span is not None
                printed = article.text[slice(*mention.span)]
                # A surname stands for the full name that the article prints elsewhere, and titles are no part of it.
                assert printed.endswith(mention.name) or mention.name.split()[-1] == printed.split()[-1]
                assert mention.name in article.text


def test_evidence_of_a_triple_is_a_sentence_with_both_mentions(read: list[tuple[Article, list[Triple]]]) -> None:
    for article, triples in read:
        (parsed,) = mentions.parse([article.text])
        for triple in triples:
            ((start, end),) = triple.evidence
            assert (start, end) in parsed.sentences
            for mention in (triple.actor, triple.target):
                assert mention.span is not None
                assert start <= mention.span[0] < mention.span[1] <= end


def test_neutral_is_never_reported(exported: Workplace, tmp_path: Path) -> None:
    shy = biased(exported.artifact, tmp_path, 50)
    assert ArticleReader(shy, threshold=0).read(Article("koreas", KOREAS)) == []


@pytest.mark.parametrize("context", [0, 1])
def test_confidence_is_that_of_the_mentions_in_their_sentence_and_its_neighbours(
    predictor: StancePredictor, context: int
) -> None:
    (parsed,) = mentions.parse([KOREAS])
    triples = ArticleReader(predictor, threshold=0, context=context).read(Article("koreas", KOREAS))
    assert len({triple.evidence for triple in triples}) > 1
    for triple in triples:
        number = parsed.sentences.index(triple.evidence[0])
        around = parsed.sentences[max(number - context, 0) : number + context + 1]
        start, end = around[0][0], around[-1][1]
        spans = [(a - start, b - start) for a, b in (triple.actor.span or (), triple.target.span or ())]
        (answer,) = predictor.predict([Pair(KOREAS[start:end], triple.actor.name, triple.target.name, *spans)])
        assert (answer.stance, answer.confidence) == (triple.stance, pytest.approx(triple.confidence, abs=1e-4))


def test_nobody_has_a_stance_towards_himself(read: list[tuple[Article, list[Triple]]]) -> None:
    for _, triples in read:
        assert all(triple.actor.name != triple.target.name for triple in triples)


def test_pair_of_names_is_reported_once_in_the_order_of_the_evidence(read: list[tuple[Article, list[Triple]]]) -> None:
    for _, triples in read:
        pairs = [(triple.actor.name, triple.target.name) for triple in triples]
        assert len(set(pairs)) == len(pairs)
        assert [triple.evidence for triple in triples] == sorted(triple.evidence for triple in triples)


def test_threshold_keeps_exactly_the_confident_triples(
    predictor: StancePredictor, read: list[tuple[Article, list[Triple]]]
) -> None:
    for article, triples in read:
        level = sorted(triple.confidence for triple in triples)[len(triples) // 2]
        kept = ArticleReader(predictor, threshold=level).read(article)
        assert kept == [triple for triple in triples if triple.confidence >= level]


def test_article_without_names_has_no_triples(predictor: StancePredictor) -> None:
    assert ArticleReader(predictor).read(Article("none", "\n\nIt rained.\n")) == []


def asked(
    predictor: StancePredictor, article: Article, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[list[Pair]], list[Triple]]:
    """The questions that the reader asks together, and what it makes of the answers."""
    parts: list[list[Pair]] = []

    def predict(pairs: list[Pair], **settings: bool) -> list[Prediction]:
        parts.append(list(pairs))
        return StancePredictor.predict(predictor, pairs, **settings)

    with monkeypatch.context() as here:
        here.setattr(predictor, "predict", predict)
        return parts, ArticleReader(predictor, threshold=0).read(article)


@pytest.mark.slow
def test_of_a_long_list_of_names_those_that_stand_closest_are_asked_about(
    predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = ", ".join(f"the {place} Council" for place in ("Lagos", "Cairo", "Kyiv", "Lima", "Oslo", "Quito") * 20)
    text = f"{KOREAS} The truce was signed by {listed} and Iran. East Timor attacked West Timor."
    with pytest.warns(UserWarning, match="a sentence with 1[0-9],[0-9]{3} pairs of names: 1,000 are asked about"):
        parts, triples = asked(predictor, Article("list", text), monkeypatch)
    counts = Counter(pair.text for part in parts for pair in part)
    (many,) = [pair for pair, number in counts.items() if number == max(counts.values())]
    assert counts[many] == 1000
    pairs = [pair for part in parts for pair in part if pair.text == many]
    assert sum(pair.target == "truce" for pair in pairs) == 121, "everybody is asked about what holds no stance itself"
    spans = [(pair.actor_span, pair.target_span) for pair in pairs if pair.target != "truce"]
    far = [abs(actor[0] - target[0]) for actor, target in spans if actor and target]
    assert len(far) == 1000 - 121
    assert max(far) < len(listed) / 8
    assert {t.actor.name for t in triples} >= {"East Timor", "North Korea"}, "the other sentences are read as ever"


def test_a_short_name_stands_for_a_longer_one_only_where_that_is_sure(
    predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "The European Parliament met in Strasbourg. In Kabul the Parliament rejected the draft of Hillary Clinton. "
        "Clinton condemned the vote. Bill Clinton said nothing. General Abdul Dostum praised the vote. "
        "Dostum left Kabul."
    )
    parts, _ = asked(predictor, Article("names", text), monkeypatch)
    found = {
        (pair.text[slice(*span)], name)
        for pair in parts[0]
        for name, span in ((pair.actor, pair.actor_span), (pair.target, pair.target_span))
        if span
    }
    names = {printed: name for printed, name in found if printed in ("Parliament", "Clinton", "Dostum")}
    assert names["Parliament"] == "Parliament"
    assert names["Clinton"] == "Clinton"
    assert names["Dostum"].endswith("Abdul Dostum")


@pytest.mark.parametrize("settings", [{"threshold": 7}, {"threshold": float("nan")}, {"context": -1}])
def test_settings_of_the_reader_without_a_meaning_are_refused(
    predictor: StancePredictor, settings: dict[str, float]
) -> None:
    with pytest.raises(StanceError, match=rf"^{next(iter(settings))}=.*: expected a"):
        ArticleReader(predictor, **settings)  # type: ignore[arg-type]


def test_what_is_too_long_for_a_name_is_none(predictor: StancePredictor) -> None:
    text = f"Iran praised the plan. The image {'A' * 2100} was rejected by Iran, and https://a.b/{'c' * 2100} too."
    (parsed,) = mentions.parse([text])
    assert max(len(candidate.mention.name) for candidate in parsed.candidates) < 100
    triples = ArticleReader(predictor, threshold=0).read(Article("image", text))
    assert all(len(triple.target.name) < 100 for triple in triples)


def test_text_that_is_no_unicode_is_refused(predictor: StancePredictor) -> None:
    with pytest.raises(StanceError, match="half a surrogate pair at character 5"):
        ArticleReader(predictor).read(Article("half", "Iran \ud83d praised the plan."))


def test_a_long_article_is_answered_part_by_part(predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,), triples = asked(predictor, Article("koreas", KOREAS), monkeypatch)
    monkeypatch.setattr(reader, "PART", 4)
    parts, again = asked(predictor, Article("koreas", KOREAS), monkeypatch)
    assert [pair for part in parts for pair in part] == whole
    assert {len(part) for part in parts[:-1]} == {4}
    assert [(t.actor, t.target, t.stance) for t in again] == [(t.actor, t.target, t.stance) for t in triples]


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "2"])
def test_reading_is_the_same_in_every_process(outspoken: Path, predictor: StancePredictor, seed: str) -> None:
    here = ArticleReader(predictor, threshold=0).read(Article("koreas", KOREAS))
    there = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(outspoken)],
        input=KOREAS, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
    )  # fmt: skip
    assert len(here) > 3
    assert json.loads(there.stdout) == json.loads(json.dumps([triple.to_json() for triple in here]))


def test_without_its_pipeline_the_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mentions, "PIPELINE", "a_pipeline_that_nobody_has")
    with pytest.raises(StanceError, match=r"is missing; run `pip install -e '\.\[read\]'` in the folder of the repo"):
        mentions.pipeline.__wrapped__()  # past its cache


def test_a_person_has_no_stance_towards_himself_under_a_longer_name(
    predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "President Joe Biden criticised the U.N. resolution, and Mr Biden's Senate allies did too, like Joe Biden."
    parts, _ = asked(predictor, Article("names", text), monkeypatch)
    pairs = {(pair.actor, pair.target) for part in parts for pair in part}
    assert pairs
    assert not [pair for pair in pairs if all(name.endswith("Biden") for name in pair)]


@pytest.mark.parametrize(
    "line",
    [
        "KABUL — ", "KABUL, Afghanistan — ", "KABUL (AP) — ", "KABUL, Jan 14 (Reuters) - ", "KABUL, Jan. 5 — ",
        "WASHINGTON (Reuters) - ", "LONDON, June 5 (Reuters) - ", "TEHRAN, Jan. 14 (Xinhua) -- ", "  PARIS — ",
        "WASHINGTON/BEIJING, Jan 5 (Reuters) - ", "WASHINGTON—", "WASHINGTON (AP)—", "RAMALLAH, West Bank—",
    ],
)  # fmt: skip
def test_a_dateline_takes_no_part(predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    text = f"{line}The EU backed the plan of NATO - and Iran."
    assert reader._datelines(text) == [(0, len(line))]
    parts, _ = asked(predictor, Article("line", text), monkeypatch)
    names = {name for part in parts for pair in part for name in (pair.actor, pair.target)}
    assert not any(word in name for word in re.findall(r"\w+", line) for name in names)
    assert {"EU", "NATO"} <= names, "which begins no line"


def test_a_dateline_of_more_than_a_place_may_stand_before_a_small_letter() -> None:
    for line in ("SANAA, Jan 14 (Reuters) - ", "LONDON, June 5 — ", "LONDON (AP)—"):
        assert reader._datelines(f"{line}al-Qaeda backed the plan.") == [(0, len(line))]


@pytest.mark.parametrize(
    "line",
    [
        "ECOWAS — the regional bloc — condemned the coup.", "NATO – which met in Vilnius – backed the plan.",
        "NATO - which met in Vilnius - backed the plan.", "NATO—which met in Vilnius—backed the plan.",
        "NATO—Turkey included—backed the plan.", "US—China talks failed.",
    ],
)  # fmt: skip
def test_a_body_before_a_dash_is_no_dateline(line: str) -> None:
    (parsed,) = mentions.parse([line])
    (inside,) = reader._by_sentence(parsed, line).values()
    assert line.split()[0].partition("—")[0] in {candidate.mention.name for candidate in inside}


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ('"an insult', "insult"), ("“The mayor's plan", "mayor's plan"), ('"our plan', "our plan"),
        ("‘Green Party", "Green Party"), ('("Green Party', "Green Party"), ('" a report', "report"),
        ('"No Boats" bill', '"No Boats" bill'), ("(AP) reporter", "(AP) reporter"), ("‘A’ list", "‘A’ list"),
        ('"A', '"A'), ('"the', "the"), ('("', '("'), ("The Hague", "The Hague"), ("’t Veld", "’t Veld"),
    ],
)  # fmt: skip
def test_a_name_has_no_mark_before_it_that_it_does_not_close(printed: str, name: str) -> None:
    mention = reader._tidy(Mention(printed, 7, 7 + len(printed)))
    assert mention == Mention(name, 7 + len(printed) - len(name), 7 + len(printed))


def test_marks_without_end_are_looked_through_at_once() -> None:
    start = time.process_time()
    assert reader._tidy(Mention("(" * 5_000 + "a)", 0, 5_002)).start == 0
    assert time.process_time() - start < 0.1, "seconds where it is looked for from each mark"


def test_quoted_names_are_asked_about_as_others_are(
    predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'Eritrea called the vote "an insult with a docket number". The mayor of the "Green Party" left Iran.'
    known: list[reader.Wholes] = []
    best = reader._best
    monkeypatch.setattr(reader, "_best", lambda found, wholes: known.append(wholes) or best(found, wholes))
    parts, triples = asked(predictor, Article("quoted", text), monkeypatch)
    names = {name for part in parts for pair in part for name in (pair.actor, pair.target)}
    assert {"insult", "Green Party"} <= names
    assert not any('"' in name for name in names)
    assert {mention.span for triple in triples for mention in (triple.actor, triple.target)} <= known[0].keys()


def test_a_quoted_name_that_is_there_without_its_mark_is_one_candidate() -> None:
    inside = [mentions.Candidate(Mention('"Greens', 9, 16), True, True, label="ORG")]
    inside.append(mentions.Candidate(Mention("Greens", 10, 16), True, False))
    (called,) = reader._called('The bloc "Greens"', mentions.Parsed(((0, 17),), tuple(inside))).candidates
    assert (called.mention, called.label) == (Mention("Greens", 10, 16), "ORG")


def test_of_a_list_of_thousands_of_names_the_closest_are_found_at_once() -> None:
    """Some 0.1 s; 20 million pairs took a minute and over a gigabyte."""
    inside = [
        mentions.Candidate(Mention(f"N{number}", 10 * number, 10 * number + 8), named=True, actor=number % 4 > 0)
        for number in range(5_000)
    ]
    start = time.process_time()
    with pytest.warns(UserWarning, match="a sentence with 18,746,250 pairs of names: 1,000 are asked about"):
        pairs = reader._pairs(inside)
    assert time.process_time() - start < 5
    assert len(pairs) == reader.MAX_PAIRS
    assert pairs == sorted(pairs, key=lambda pair: (pair[0].start, pair[1].start))
    assert all(int(target.name[1:]) % 4 == 0 and abs(target.start - actor.start) == 10 for actor, target in pairs)  # type: ignore[operator]


def test_what_stands_in_apposition_is_no_other() -> None:
    (parsed,) = mentions.parse(["The interior minister, Chhim Vuthy, told the senator that a levy would be a coup."])
    asked = {(actor.name, target.name) for actor, target in reader._pairs(parsed.candidates)}
    assert {("interior minister", "levy"), ("Chhim Vuthy", "levy"), ("senator", "Chhim Vuthy")} <= asked
    assert not {("interior minister", "Chhim Vuthy"), ("Chhim Vuthy", "interior minister")} & asked


def test_a_holder_within_a_longer_name_is_no_target_that_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"Iran": (0, 4), "Ghani": (5, 10), "Ghani administration": (5, 25), "plan": (90, 94)}
    inside = [mentions.Candidate(Mention(n, *place), True, actor=n != "plan") for n, place in places.items()]
    monkeypatch.setattr(reader, "MAX_PAIRS", 1)
    with pytest.warns(UserWarning, match="1 are asked about"):
        ((actor, target),) = reader._pairs(inside)
    assert (actor.name, target.name) == ("Ghani administration", "plan")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The Bank of England opposed the tax. England backed the tax.", {}),
        ("South Sudan backed peace. Sudan condemned South Sudan. Sudan rejected the ceasefire.", {}),
        ("Hillary Clinton met Bill Clinton. Clinton rejected the deal.", {}),
        ("France's Emmanuel Macron backed the deal. Macron left.", {"Macron": "Emmanuel Macron"}),
        (
            "President Trump backed the tax. Donald Trump attacked Iran. Trump praised the treaty.",
            {"President Trump": "Donald Trump", "Trump": "Donald Trump"},
        ),
        ("Boris Johnson condemned the deal. Mr Johnson rejected it.", {"Mr Johnson": "Boris Johnson"}),
        (
            "Hillary Clinton met Bill Clinton. President Bill Clinton praised it.",
            {"President Bill Clinton": "Bill Clinton"},
        ),
        ("Barack Obama left. Mrs. Obama strongly condemned the tax. Obama left.", {}),
        ("Prince Mohammed bin Salman praised the plan. King Salman condemned the truce. Salman left.", {}),
        ("Robert F. Kennedy Jr. opposed the ban. John F. Kennedy backed it. Kennedy condemned the tax.", {}),
        ("Robert F. Kennedy Jr. opposed the ban. Donald Trump Jr. backed it.", {}),
        (
            "Donald Trump attacked Iran. Officials in the Trump administration opposed it. Trump praised the treaty.",
            {"Trump": "Donald Trump"},
        ),
        (
            "Bashar al-Assad condemned Israel. Assad praised Iran. Al-Assad left Kabul. On Monday al-Assad met Putin. "
            "President Assad opposed the vote.",
            dict.fromkeys(("Assad", "Al-Assad", "al-Assad", "President Assad"), "Bashar al-Assad"),
        ),
        ("Asma al-Assad met Bashar al-Assad. Assad left.", {}),
        ("George Washington praised the plan. Washington condemned Iran.", {}),
    ],
)
def test_full_names_are_those_of_people_and_of_nobody_else(text: str, wanted: dict[str, str]) -> None:
    (parsed,) = mentions.parse([text])
    found = people.full_names(text, parsed.candidates)
    assert {name: whole for name, whole in found.items() if name != whole}.items() >= wanted.items()
    assert wanted or all(name == whole for name, whole in found.items())


def person(name: str, start: int = 0) -> mentions.Candidate:
    return mentions.Candidate(Mention(name, start, start + len(name)), named=True, actor=True, label="PERSON")


def test_a_name_that_begins_a_sentence_is_of_the_same_person() -> None:
    called = ["Ursula von der Leyen", "Von der Leyen", "von der Leyen", "Leyen"]
    assert people.full_names("", [person(name) for name in called]) == dict.fromkeys(called, called[0])


def test_a_name_is_not_made_shorter_for_how_another_begins_a_sentence() -> None:
    whole = mentions.Candidate(Mention("Ursula von der Leyen", 0, 20), named=True, actor=True)
    found = people.full_names("", [whole, person("Von der Leyen")])
    assert "Ursula von der Leyen" not in found


@pytest.mark.parametrize(("behind", "full"), [(" rejected it.", False), ("'s plan failed.", False), (" plan.", True)])
def test_a_name_behind_the_is_common_unless_it_only_begins_a_longer_one(behind: str, full: bool) -> None:
    text = f"Ronen Bar met the Bar{behind}"
    longer = mentions.Candidate(Mention("Bar plan", 18, 26), named=False, actor=False)
    inside = [person("Ronen Bar"), person("Bar", 18), *([longer] if "plan" in behind else [])]
    assert ("Bar" in people.full_names(text, inside)) == full


WRAPPED = """Iran welcomes the summit
The European Commission praised the interim
government on Monday. In Brussels the Ghani
administration rejected the plan of Ursula von
der Leyen. The envoy of the Russian foreign
ministry, who had opposed it, met the United
Nations.
* The union rejected the curfew
* The senate backed it
"""


def test_text_is_read_the_same_however_it_is_wrapped() -> None:
    laid, ends = mentions.laid_out(WRAPPED), mentions.PARAGRAPH
    body = " ".join(WRAPPED.splitlines()[1:6])
    assert len(laid) == len(WRAPPED)
    assert laid.splitlines() == [  # a PARAGRAPH ends a line for Python too
        "Iran welcomes the summit", f"{body} Nations.", "* The union rejected the curfew", "* The senate backed it"
    ]  # fmt: skip
    assert laid.count(ends) == 3
    assert mentions.laid_out(WRAPPED.replace("\n", "\r\n")).replace("\r ", " ").replace("\r", "") == laid
    (parsed,) = mentions.parse([laid])
    sentences = {laid[a:b] for a, b in parsed.sentences}
    assert {"Iran welcomes the summit", "The union rejected the curfew", "The senate backed it"} <= sentences


@pytest.mark.parametrize(
    "text", ["", "\n", "One line.", "A paragraph that ends.\nAnother one.", "Two paragraphs\n\nwith a blank line\n"]
)
def test_what_is_not_wrapped_keeps_its_line_breaks(text: str) -> None:
    assert mentions.laid_out(text) == text


def test_several_targets_of_one_actor_in_a_sentence_are_all_reported() -> None:
    actor, sentence = Mention("Iran", 0, 4), ((0, 80),)

    def triple(target: Mention, confidence: float) -> Triple:
        return Triple("a", actor, target, Stance.OPPOSE, confidence, sentence)

    whole, part = Mention("sanctions of Canada", 19, 38), Mention("Canada", 32, 38)
    resolution, again = Mention("resolution", 50, 60), Mention("resolution", 70, 80)
    found = reader._best([triple(whole, 0.9), triple(part, 0.8), triple(again, 0.6), triple(resolution, 0.7)], {})
    assert {t.target for t in found} == {whole, resolution}, "of mentions that overlap, and of a pair, the surest one"


def test_the_best_of_many_triples_are_found_at_once() -> None:
    """0.2 s; comparing each with all that were kept took a minute for 12,000."""
    mentioned = [Mention(f"N{number}", 10 * number, 10 * number + 8) for number in range(12_000)]
    triples = [
        Triple("a", one, two, Stance.SUPPORT, 0.9, ((one.start or 0, two.end or 0),))
        for one, two in pairwise(mentioned)
    ]
    start = time.process_time()
    assert reader._best(triples, {}) == triples
    assert time.process_time() - start < 5


def test_who_is_named_beside_his_office_is_one_holder(
    predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "The prime minister, Narendra Modi, condemned Pakistan. The Department of Justice rejected the deal."
    parts, _ = asked(predictor, Article("office", text), monkeypatch)
    holders = {pair.actor for part in parts for pair in part}
    assert holders >= {"Narendra Modi", "Pakistan", "Department of Justice"}
    assert not {"prime minister", "Department", "Justice"} & holders


def test_a_name_that_acts_anywhere_in_an_article_may_act_everywhere() -> None:
    places = [("Ronen Bar", 0, True), ("Bar", 20, False), ("plan", 30, False)]
    candidates = tuple(
        mentions.Candidate(
            Mention(name, start, start + len(name)), name != "plan", acts, label="PERSON" if name == "Ronen Bar" else ""
        )
        for name, start, acts in places
    )
    called = reader._called("x" * 40, mentions.Parsed(((0, 40),), candidates))
    assert [(c.mention.name, c.actor) for c in called.candidates] == [
        ("Ronen Bar", True), ("Ronen Bar", True), ("plan", False)
    ]  # fmt: skip


def test_parts_of_one_target_are_told_from_several_targets() -> None:
    def wholes(text: str) -> dict[str, int | None]:
        (parsed,) = mentions.parse([text])
        return {c.mention.name: c.whole for c in parsed.candidates}

    one = wholes("The Ghani administration rejected the return of the Taliban to power in Kabul.")
    assert one["return"] == one["Taliban"] != one["Ghani administration"]
    several = wholes("Iran condemned the sanctions, rejected the resolution and the vote, and criticised Canada.")
    assert len({several[name] for name in ("sanctions", "resolution", "vote", "Canada")}) == 4


def test_a_list_of_very_many_names_is_parsed() -> None:
    """What hangs on what in it is a chain as long as the list."""
    text = f"The truce was signed by {', '.join(f'Minister A{number}' for number in range(1500))} and Iran."
    start = time.process_time()
    (parsed,) = mentions.parse([text])
    assert len(parsed.candidates) > 1000
    assert time.process_time() - start < 30


def test_of_the_parts_of_a_target_the_surest_is_reported_for_each_stance() -> None:
    iran, sentence = Mention("Iran", 0, 4), ((0, 80),)
    whole, part, other = Mention("return", 19, 25), Mention("Taliban", 33, 40), Mention("vote", 50, 54)
    triples = [
        Triple("a", iran, target, stance, confidence, sentence)
        for target, stance, confidence in (
            (part, Stance.OPPOSE, 0.8), (whole, Stance.OPPOSE, 0.9), (other, Stance.OPPOSE, 0.7),
        )
    ]  # fmt: skip
    wholes = {whole.span: 5, part.span: 5, other.span: 9}
    assert {t.target for t in reader._best(triples, wholes)} == {whole, other}
    praised = [replace(triples[0], stance=Stance.SUPPORT), *triples[1:]]
    assert {t.target for t in reader._best(praised, wholes)} == {whole, part, other}


@pytest.mark.parametrize("margin", ["", "    ", "> ", "\t"])
def test_wrapped_text_goes_on_behind_its_margin(margin: str) -> None:
    lines = ["The ministry in Ankara on Monday strongly", "opposed the new levy, while the parliament of Russia"]
    lines += ["rejected the treaty of the", "European Union."]
    laid = mentions.laid_out("\n".join(f"{margin}{line}" for line in lines))
    assert mentions.PARAGRAPH not in laid
    assert "\n" not in laid


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("The government of Pakistan on Monday condemned an\nEU embargo.", 0),
        ("Ministers of Iran – who met in Vienna\n– rejected the tax.", 0),
        ("The meeting that is planned for\n2. June was opposed.", 0),
        ("Asked by reporters:\n1. Iran rejected it\n2. Iraq did not", 2),
        ("SMITH: I oppose the tax\nJONES: I support it\nfor the sake of it", 1),
        ("A headline about a treaty\nIsrael condemned the summit on Monday, and the king of Jordan praised it.", 1),
    ],
)
def test_where_a_paragraph_ends_at_a_line_break(text: str, ends: int) -> None:
    assert mentions.laid_out(text).count(mentions.PARAGRAPH) == ends


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("US, UK and France — all allies — strongly condemned the coup.", {"UK", "France", "coup"}),
        ("EU, NATO and Ukraine – all allies – backed the treaty.", {"NATO", "Ukraine", "treaty"}),
        ("Iran condemned Israel's Operation Rising Lion.", {"Israel", "Operation Rising Lion"}),
        (
            "The ministers of Iran, who had gathered in the city of Vienna,\n"
            "strongly opposed and on Monday condemned and denounced Israel's\nOperation Rising Lion.",
            {"Israel", "Operation Rising Lion"},
        ),
        ("Iran praised the Traders' Guild.", {"Traders' Guild"}),
        ("Iran praised Netanyahu rival Benny Gantz.", {"Benny Gantz"}),
    ],
)
def test_names_of_a_sentence_are_asked_about(
    predictor: StancePredictor, monkeypatch: pytest.MonkeyPatch, line: str, names: set[str]
) -> None:
    parts, _ = asked(predictor, Article("line", line), monkeypatch)
    assert names <= {name for part in parts for pair in part for name in (pair.actor, pair.target)}


def test_full_names_of_thousands_are_found_at_once() -> None:
    """0.1 s for 8,000 people of one last name; sorting them for each took nine seconds."""
    named = [f"A{number} Smith" for number in range(8_000)]
    candidates = [mentions.Candidate(Mention(n, 0, 9), named=True, actor=True, label="PERSON") for n in named]
    start = time.process_time()
    found = people.full_names("", candidates)
    assert time.process_time() - start < 2
    assert all(name == whole for name, whole in found.items())


# How much is read


def test_triples_are_counted_against_annotations() -> None:
    benchmark = script("benchmark_reading")
    iran, plan, tax = Mention("Iran", 0, 4), Mention("the plan", 10, 18), Mention("tax")
    notes = [(iran, plan, "support"), (Mention("Iran", 40, 44), plan, "support"), (iran, tax, "oppose")]
    notes.append((iran, Mention("vote", 20, 24), "neutral"))
    article = Article(
        "a", "x" * 60, annotations=tuple(Annotation(a, t, Stance(stance), ((0, 30),)) for a, t, stance in notes)
    )
    read = [
        Triple("a", iran, Mention("plan", 50, 54), Stance.SUPPORT, 0.9, ((40, 60),)),  # of the same name elsewhere
        Triple("a", Mention("Tehran", 2, 4), Mention("peace plan", 14, 18), Stance.SUPPORT, 0.8, ((0, 30),)),  # there
        Triple("a", iran, tax, Stance.SUPPORT, 0.7, ((0, 30),)),
        Triple("a", iran, Mention("vote", 20, 24), Stance.OPPOSE, 0.7, ((0, 30),)),
    ]
    assert benchmark.counts(article, read) == [4, 2, 2, 1]
    found = benchmark.rates(np.array([[4, 2, 2, 1], [0, 0, 2, 0]]))
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"precision": 0.5, "recall": 0.25, "F1": 1 / 3}
    )
    assert float(benchmark.rates(np.zeros((2, 4)))["F1"]) == 0


def test_articles_of_a_mixture_are_known_by_their_corpus() -> None:
    articles = [Article("1", "Iran met."), Article("2", "Iraq met."), Article("3", "Oman met.")]
    of_split = script("benchmark_reading").of_split
    mixture = SimpleNamespace(config={"corpora": [{"name": "other"}, {"name": "news"}]})
    alone = SimpleNamespace(config={"corpora": [{"name": "news"}]})
    assert of_split(articles, {"other/3", "news/1", "news/2"}, mixture) == articles[:2]
    assert of_split(iter(articles), {"1", "news/2"}, alone) == articles[:1]
    assert of_split(articles, {"1", "2"}, mixture) == []


@pytest.mark.slow
def test_the_script_counts_what_is_read_of_a_split(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--artifact", str(exported.artifact), "--dataset", str(exported.dataset)]
    assert script("benchmark_reading").main([*paths, "--corpus", str(CORPUS)]) == 0
    annotated, header, *rows = filter(None, capsys.readouterr().out.splitlines())
    assert re.fullmatch(r"\d+ articles, \d+ annotated triples that are not neutral", annotated)
    assert header.split()[:2] == ["threshold", "triples"]
    assert [row.split()[0] for row in rows if row.split()[0][0] == "0"] == ["0.5", "0.6", "0.7", "0.8", "0.9"]
    jsonl.write(tmp_path / "other.jsonl", [{"id": "other", "text": "Iran met.", "exhaustive": True, "annotations": []}])
    assert script("benchmark_reading").main([*paths, "--corpus", str(tmp_path / "other.jsonl")]) == 2
    assert "no article of it is exhaustive and in validation" in capsys.readouterr().err


def test_a_model_of_another_dataset_is_not_judged_by_its_articles(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = Path(shutil.copytree(exported.artifact, tmp_path / "artifact"))
    facts = json.loads((artifact / "stance.json").read_text("utf-8"))
    facts["checkpoint"]["dataset_sha256"] = "b" * 64
    jsonl.write_json(artifact / "stance.json", facts)
    rows, manifest = dataset.load(exported.dataset)
    article = {"id": rows["validation"][0].article_id, "text": "Iran met.", "exhaustive": True, "annotations": []}
    jsonl.write(tmp_path / "corpus.jsonl", [article])
    options = [f"--artifact={artifact}", f"--dataset={exported.dataset}", f"--corpus={tmp_path}/corpus.jsonl"]
    assert script("benchmark_reading").main(options) == 2
    said = f"the model was trained with dataset {'b' * 12}, this one is {manifest.sha256[:12]}"
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "or set --other-dataset if the two share no article" in line
    assert script("benchmark_reading").main([*options, "--other-dataset"]) == 0
    assert capsys.readouterr().out.startswith(said)
