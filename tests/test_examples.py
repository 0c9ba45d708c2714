"""Examples: nothing is lost without a reason, offsets are exact, and a sampled pair is nobody's annotation."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance import corpora, mentions
from stance.building import examples, questions
from stance.building.unannotated import Unannotated
from stance.corpora.source import Dropped
from stance.errors import StanceError
from stance.mentions import Candidate, Parsed
from stance.records import PARTIAL, SOMEONE, Annotation, Article, Example, Mention, Span, Stance
from stance.settings.building import ExamplesConfig

CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"
SENTENCES = (
    "On Holding rejected the toll plan in Bern on Monday.",
    "Ana Ruiz, who leads the union, praised the mayor of Geneva.",
    "The German government and Canada backed the toll plan.",
    "Nobody asked the farmers.",
    "Brazil told the World Bank that it would wait.",
)
TEXT = " ".join(SENTENCES[:3]) + "\n\n" + " ".join(SENTENCES[3:])
SHORT = {"a", "an", "and", "at", "by", "for", "from", "in", "its", "of", "on", "or", "that", "the", "to", "with"}

Made = list[tuple[list[Example], list[Dropped]]]


def at(phrase: str) -> Span:
    start = TEXT.index(phrase)
    return start, start + len(phrase)


def mention(name: str, phrase: str | None = None) -> Mention:
    return Mention(name, *at(phrase or name))


def oppose(**changes: object) -> Annotation:
    """(On Holding, toll plan, oppose) at the first sentence, with `changes`."""
    one = Annotation(mention("On Holding"), mention("toll plan"), Stance.OPPOSE, (at(SENTENCES[0]),))
    return replace(one, **changes)


def article(*annotations: Annotation, exhaustive: bool = True) -> Article:
    return Article(id="toll", text=TEXT, annotations=annotations, exhaustive=exhaustive, where="f.jsonl:1")


def make(one: Article, config: ExamplesConfig | None = None) -> tuple[list[Example], list[Dropped]]:
    ((made, dropped),) = examples.make([one], config or ExamplesConfig(), corpus="c")
    return made, dropped


def gold(made: Sequence[Example]) -> list[Example]:
    return [example for example in made if example.provenance == "gold"]


def sampled(made: Sequence[Example]) -> list[Example]:
    return [example for example in made if example.provenance == "sampled"]


def holds(annotation: Annotation, example: Example, where: Article) -> bool:
    """Whether an example is the one of an annotation: its names and stance, and its evidence in the passage."""
    same = (example.actor, example.target, example.stance) == (
        annotation.actor.name,
        annotation.target.name,
        annotation.stance,
    )
    start = where.text.index(example.text)
    return same and all(start <= a and b <= start + len(example.text) for a, b in annotation.evidence)


def known_words(name: str) -> set[str]:
    words = set(re.findall(r"\w+", name.casefold()))
    return words - SHORT or words or {name}


@pytest.fixture(scope="module")
def articles() -> list[Article]:
    return corpora.read(CORPUS)[::4]


@pytest.fixture(scope="module")
def whole(articles: list[Article]) -> Made:
    return list(examples.make(articles, ExamplesConfig(), corpus="stance-news"))


def test_every_annotation_of_the_corpus_ends_as_one_example_or_is_dropped(articles: list[Article], whole: Made) -> None:
    for one, (made, dropped) in zip(articles, whole, strict=True):
        gone = {d.where for d in dropped}
        assert len(gone) == len(dropped)
        assert len(gold(made)) + len(dropped) == len(one.annotations)
        for number, annotation in enumerate(one.annotations, 1):
            found = [e for e in gold(made) if holds(annotation, e, one)]
            assert found or f"{one.where}: annotation {number}" in gone


SPANS = st.sampled_from([at(s) for s in SENTENCES])
NAMES = [at(n) for n in ("On Holding", "toll plan", "Ana Ruiz", "Geneva", "Canada", "it", "Brazil")]
MENTIONS = st.one_of(
    st.sampled_from([Mention(TEXT[a:b], a, b) for a, b in NAMES]),
    st.sampled_from([Mention("Canada"), Mention("TOLL PLAN"), Mention("On", *at("On Holding")), Mention("€")]),
)
ANNOTATIONS = st.builds(
    Annotation,
    actor=MENTIONS,
    target=MENTIONS,
    stance=st.sampled_from(Stance),
    evidence=st.lists(SPANS, min_size=1, max_size=2).map(tuple),
)
CONFIGS = st.builds(
    ExamplesConfig,
    context=st.integers(0, 2),
    neutral_ratio=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    max_passage_characters=st.sampled_from([60, 150, 4000]),
    seed=st.integers(0, 5),
)


@given(annotations=st.lists(ANNOTATIONS, max_size=6), config=CONFIGS)
def test_any_annotations_give_exact_examples_and_reasons(annotations: list[Annotation], config: ExamplesConfig) -> None:
    one = article(*annotations)
    made, dropped = make(one, config)
    assert len(gold(made)) + len(dropped) == len(annotations)
    gone = {d.where: d.reason for d in dropped}
    assert all(gone.values())
    for number, annotation in enumerate(annotations, 1):
        if f"f.jsonl:1: annotation {number}" not in gone:
            assert sum(holds(annotation, e, one) for e in gold(made)) >= 1
    assert len({e.id for e in made}) == len(made)
    for example in made:
        assert example.text in TEXT
        assert len(example.text) <= config.max_passage_characters
    pairs = {(a.actor.name.casefold(), a.target.name.casefold()) for a in annotations}
    assert not pairs & {(e.actor.casefold(), e.target.casefold()) for e in sampled(made)}
    assert len(sampled(made)) <= round(config.neutral_ratio * len(gold(made)))


def test_the_spans_of_an_example_show_the_surface_that_was_annotated(articles: list[Article], whole: Made) -> None:
    seen: Counter[str] = Counter()
    for one, (made, _) in zip(articles, whole, strict=True):
        for example in made:
            assert one.text.count(example.text) == 1
            start = one.text.index(example.text)
            for name, span, role in (
                (example.actor, example.actor_span, "actor"),
                (example.target, example.target_span, "target"),
            ):
                spans = {getattr(a, role).span for a in one.annotations if getattr(a, role).name == name}
                if example.provenance == "gold":
                    moved = span and (start + span[0], start + span[1])
                    assert moved in spans
                    seen[f"{role} {'printed' if span else 'not printed'}"] += 1
                    if span and moved:
                        assert example.text[slice(*span)] == one.text[slice(*moved)]
                else:
                    assert span is not None
                    assert name == example.text[slice(*span)] or name in {
                        m.name for a in one.annotations for m in (a.actor, a.target)
                    }
    assert min(seen[f"{role} printed"] for role in ("actor", "target")) > 500
    assert seen["actor not printed"] + seen["target not printed"] > 0


def test_a_mention_that_the_passage_does_not_print_has_no_span() -> None:
    elsewhere = oppose(actor=mention("Brazil"), target=Mention("toll plan"))
    (example,), _ = make(article(elsewhere, exhaustive=False), ExamplesConfig(context=0))
    assert example.text == SENTENCES[0]
    assert (example.actor_span, example.target_span) == (None, None)


def test_a_passage_of_the_corpus_is_whole_sentences_around_the_evidence(articles: list[Article], whole: Made) -> None:
    few = articles[:5]
    for one, parsed, (made, _) in zip(few, mentions.parse(a.text for a in few), whole, strict=False):
        assert made
        for example in made:
            start = one.text.index(example.text)
            end = start + len(example.text)
            for a, b in parsed.sentences:
                assert (start <= a and b <= end) or b <= start or end <= a


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    context=st.integers(0, 3),
    data=st.data(),
)
def test_a_passage_takes_the_sentences_of_the_evidence_and_so_many_around(
    lengths: list[int], context: int, data: st.DataObject
) -> None:
    sentences, start = [], 0
    for length in lengths:
        sentences.append((start, start + length))
        start += length + 1
    touched = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=3))
    evidence = []
    for number in touched:
        a, b = sentences[number]
        first = data.draw(st.integers(a, b - 1))
        evidence.append((first, data.draw(st.integers(first + 1, b))))
    place = examples.passage(evidence, sentences, context)
    inside = [i for i, (a, b) in enumerate(sentences) if place[0] <= a and b <= place[1]]
    assert place == (sentences[inside[0]][0], sentences[inside[-1]][1])
    assert inside[0] == max(min(touched) - context, 0)
    assert inside[-1] == min(max(touched) + context, len(lengths) - 1)


# What is dropped, and why.


def test_a_passage_over_the_limit_is_dropped_with_both_lengths() -> None:
    annotation = oppose(evidence=(at(SENTENCES[0]), at(SENTENCES[4])))
    made, (dropped,) = make(article(annotation), ExamplesConfig(context=0, max_passage_characters=100))
    assert made == []
    assert dropped.reason == f"evidence and context of {len(TEXT)} characters, limit 100"
    assert (dropped.where, dropped.article_id) == ("f.jsonl:1: annotation 1", "toll")
    assert (dropped.actor, dropped.target) == ("On Holding", "toll plan")


def test_an_article_too_long_to_parse_is_dropped_and_the_others_stay() -> None:
    long = replace(article(oppose()), text=TEXT + " " + "word " * 210_000)
    (none, dropped), (some, _) = examples.make([long, article(oppose())], ExamplesConfig(), corpus="c")
    assert none == []
    assert [d.where for d in dropped] == ["f.jsonl:1: annotation 1"]
    assert "at most 1,000,000 are parsed" in dropped[0].reason
    assert some


def test_an_actor_that_is_its_own_target_is_dropped() -> None:
    _, (dropped,) = make(article(oppose(), oppose(target=Mention("on holding"))))
    assert dropped == Dropped(
        "f.jsonl:1: annotation 2", "toll", "On Holding", "on holding", "actor and target have the same name", 0
    )


def test_two_stances_of_one_pair_in_one_passage_are_both_dropped() -> None:
    made, dropped = make(article(oppose(), oppose(stance=Stance.SUPPORT), exhaustive=False))
    assert made == []
    assert [d.where for d in dropped] == ["f.jsonl:1: annotation 1", "f.jsonl:1: annotation 2"]
    assert {d.reason for d in dropped} == {"the same pair has two stances in the same passage"}


def test_two_stances_of_one_pair_however_it_is_written_are_both_dropped() -> None:
    other = oppose(target=mention("the toll plan", "toll plan"), stance=Stance.SUPPORT)
    made, dropped = make(article(oppose(), other, exhaustive=False))
    assert (made, [d.reason for d in dropped]) == ([], ["the same pair has two stances in the same passage"] * 2)


def test_an_open_holder_is_not_whom_the_text_calls_someone() -> None:
    text = "A plan that someone in Mali likes. Peru and Chile met there."
    note = Annotation(Mention(SOMEONE), Mention("plan", 2, 6), Stance.SUPPORT, ((0, 34),))
    one = Article(id="some", text=text, annotations=(note,), where="f.jsonl:1")
    made, _ = make(one, ExamplesConfig(unlabelled=6))
    assert {e.actor_span for e in asked(made)} == {None}


def test_rows_about_the_target_of_a_dropped_annotation_are_tagged_and_sampled_ones_as_well() -> None:
    both = oppose(), oppose(stance=Stance.SUPPORT)
    other = oppose(actor=mention("Ana Ruiz"))
    apart = oppose(actor=mention("Ana Ruiz"), target=mention("Brazil"))
    rows, dropped = make(article(*both, other, apart))
    assert len(dropped) == 2
    tagged = {(row.actor, row.target): PARTIAL in row.tags for row in gold(rows)}
    assert tagged == {(other.actor.name, other.target.name): True, (apart.actor.name, apart.target.name): False}
    assert sampled(rows)
    assert all(PARTIAL in row.tags for row in sampled(rows)), "they may be about what was dropped"
    twice, _ = make(article(oppose(), oppose()))
    assert not any(PARTIAL in row.tags for row in twice), "what stands twice is not lost"


def test_two_stances_of_one_pair_in_two_passages_are_both_kept() -> None:
    later = oppose(stance=Stance.SUPPORT, evidence=(at(SENTENCES[4]),))
    made, dropped = make(article(oppose(), later, exhaustive=False), ExamplesConfig(context=0))
    assert [e.stance for e in made] == [Stance.OPPOSE, Stance.SUPPORT]
    assert dropped == []


def test_a_pair_that_stands_twice_in_one_passage_is_kept_once() -> None:
    made, (dropped,) = make(article(oppose(), oppose(target=Mention("Toll Plan")), exhaustive=False))
    assert [e.target for e in made] == ["toll plan"]
    assert dropped.where == "f.jsonl:1: annotation 2"
    assert dropped.reason == "the same pair stands twice in the same passage"


# Sampled neutral pairs.


def test_a_sampled_pair_shares_no_word_with_an_annotated_pair_in_both_roles(
    articles: list[Article], whole: Made
) -> None:
    count = 0
    for one, (made, _) in zip(articles, whole, strict=True):
        taken = [(known_words(a.actor.name), known_words(a.target.name)) for a in one.annotations]
        for example in sampled(made):
            count += 1
            actor, target = known_words(example.actor), known_words(example.target)
            assert not any(actor & a and target & t for a, t in taken), (one.id, example.actor, example.target)
            assert not actor & target
            assert example.stance is Stance.NEUTRAL
    assert count > 1000


def test_what_stands_in_apposition_to_an_annotated_name_is_not_sampled_in_its_place() -> None:
    text = "The interior minister, Chhim Vuthy, told the senator, a farmer from Kampot, that the levy would be a coup."
    spans = [(text.index(name), text.index(name) + len(name)) for name in ("Chhim Vuthy", "levy")]
    holder, levy = Mention("Chhim Vuthy", *spans[0]), Mention("levy", *spans[1])
    note = Annotation(holder, levy, Stance.OPPOSE, ((0, len(text)),))
    made, _ = make(Article(id="a", text=text, annotations=(note,), exhaustive=True), ExamplesConfig(neutral_ratio=100))
    pairs = {(example.actor, example.target) for example in sampled(made)}
    assert {("Chhim Vuthy", "senator"), ("senator", "levy")} <= pairs
    assert not {name for pair in pairs for name in pair if "minister" in name}, "may be the one who was annotated"
    assert not {("senator", "farmer"), ("farmer", "senator")} & pairs


def test_a_pair_whose_name_is_a_function_word_is_not_sampled_again() -> None:
    # "On" is a shoe maker: a name may consist of words that elsewhere say nothing.
    annotation = oppose(actor=Mention("On", *at("On Holding")))
    made, _ = make(article(annotation), ExamplesConfig(neutral_ratio=50))
    assert sampled(made)
    assert ("On", "toll plan") not in {(e.actor, e.target) for e in sampled(made)}


def test_only_an_exhaustively_annotated_article_gives_sampled_pairs(articles: list[Article], whole: Made) -> None:
    partly, dropped = make(replace(articles[0], exhaustive=False))
    assert [replace(e, corpus="stance-news").pair() for e in partly] == [e.pair() for e in gold(whole[0][0])]
    assert sampled(partly) == []
    assert len(dropped) == len(whole[0][1])
    assert sampled(whole[0][0])


@pytest.mark.parametrize("ratio", [0.0, 0.5, 2.0])
def test_so_many_pairs_are_sampled_as_the_ratio_asks(articles: list[Article], ratio: float) -> None:
    made, _ = make(articles[0], ExamplesConfig(neutral_ratio=ratio))
    assert len(sampled(made)) == round(ratio * len(gold(made)))


def test_the_sample_spreads_over_the_passages_of_an_article(whole: Made) -> None:
    made = whole[0][0]
    assert len({e.text for e in sampled(made)}) >= 0.8 * len({e.text for e in gold(made)})


def test_the_same_seed_draws_the_same_pairs_and_another_draws_others(articles: list[Article], whole: Made) -> None:
    again = list(examples.make(articles[:2], ExamplesConfig(), corpus="stance-news"))
    other = list(examples.make(articles[:2], ExamplesConfig(seed=14), corpus="stance-news"))
    assert again == whole[:2]
    for (made, dropped), (same, same_dropped) in zip(other, again, strict=True):
        assert gold(made) == gold(same)
        assert dropped == same_dropped
        assert sampled(made) != sampled(same)


def test_an_article_gives_the_same_examples_alone_and_among_others(articles: list[Article], whole: Made) -> None:
    last = len(articles) - 1
    assert list(examples.make([articles[last]], ExamplesConfig(), corpus="stance-news")) == [whole[last]]


def test_ids_are_unique_over_the_corpus(whole: Made) -> None:
    ids = Counter(example.id for made, _ in whole for example in made)
    assert ids.most_common(1)[0][1] == 1


def test_an_example_says_where_it_came_from(articles: list[Article], whole: Made) -> None:
    for one, (made, _) in zip(articles, whole, strict=True):
        assert {(e.article_id, e.date, e.corpus) for e in made} == {(one.id, one.date, "stance-news")}


def test_a_negative_context_is_refused() -> None:
    with pytest.raises(StanceError, match=r"examples\.context=-1: expected sentences, 0 or more"):
        make(article(oppose()), ExamplesConfig(context=-1))


def test_a_negative_ratio_is_refused() -> None:
    with pytest.raises(StanceError, match=r"examples\.neutral_ratio=-0\.5: expected a ratio, from 0 to 1000"):
        make(article(oppose()), ExamplesConfig(neutral_ratio=-0.5))


def test_a_negative_longest_passage_is_refused() -> None:
    with pytest.raises(StanceError, match=r"examples\.max_passage_characters=-1: expected 0 or more"):
        make(article(oppose()), ExamplesConfig(max_passage_characters=-1))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(StanceError, match=r"examples\.seed=-1: expected 0 or more"):
        make(article(oppose()), ExamplesConfig(seed=-1))


# Questions without a label.


def asked(made: Sequence[Example]) -> list[Example]:
    return [example for example in made if example.provenance == "unlabelled"]


def praise() -> Annotation:
    phrase = at(SENTENCES[1])
    return Annotation(mention("Ana Ruiz"), Mention("the mayor of Geneva"), Stance.SUPPORT, (phrase,))


def test_each_sentence_of_an_annotated_article_is_asked_about_pairs_of_its_names() -> None:
    one = article(oppose(), praise(), exhaustive=False)
    config = ExamplesConfig(unlabelled=3, alone=1)
    made, _ = make(one, config)
    labelled, _ = make(one, replace(config, unlabelled=0))
    assert [e for e in made if e.provenance != "unlabelled"] == labelled, "labels don't depend on the questions"
    counts = Counter(e.text for e in asked(made))
    assert set(counts) == set(SENTENCES)
    assert set(counts.values()) <= {2, 3}, "a pair that has a label already is not asked about again"
    known = {"On Holding", "toll plan", "Ana Ruiz", "the mayor of Geneva"}
    for example in asked(made):
        assert {example.actor, example.target} < known
        assert example.actor != example.target
        for name, span in ((example.actor, example.actor_span), (example.target, example.target_span)):
            assert (span is not None) == (name in example.text)
            assert span is None or example.text[slice(*span)] == name
    assert len({e.id for e in made}) == len(made)


def test_more_pairs_than_there_are_give_them_all_and_each_once() -> None:
    made, _ = make(article(oppose(), exhaustive=False), ExamplesConfig(unlabelled=50, alone=1))
    pairs = Counter((e.text, e.actor, e.target) for e in asked(made))
    names = ("On Holding", "toll plan")
    wanted = [(sentence, a, t) for sentence in SENTENCES for a, t in (names, names[::-1])]
    assert pairs == Counter(wanted[1:]), "the first has a label"


def test_names_that_share_a_word_are_no_pair_and_nobody_is_a_target() -> None:
    notes = [
        oppose(actor=Mention(SOMEONE)),
        oppose(actor=Mention("the author"), target=mention("German government")),
        oppose(actor=Mention("the government of Canada"), target=mention("toll plan")),
    ]
    made, _ = make(article(*notes, exhaustive=False), ExamplesConfig(unlabelled=50, alone=1))
    pairs = {(e.actor, e.target) for e in asked(made)}
    assert {target for _, target in pairs} == {"German government", "toll plan"}, "the others are never printed"
    assert {actor for actor, _ in pairs} == {
        SOMEONE, "the author", "the government of Canada", "German government", "toll plan",
    }  # fmt: skip
    assert ("the government of Canada", "German government") not in pairs


def test_where_every_holder_was_left_open_someone_is_asked_about_the_other_names() -> None:
    one = article(oppose(actor=Mention(SOMEONE), target=mention("German government")), exhaustive=False)
    made, _ = make(one, ExamplesConfig(unlabelled=50, alone=1))
    assert {e.actor for e in asked(made)} == {SOMEONE}
    printed = {e.target: e for e in asked(made) if e.target_span}
    assert set(printed) == {
        "German government", "Ana Ruiz", "Bern", "Brazil", "Canada", "Geneva", "Holding", "World Bank",
    }  # fmt: skip
    for name, example in printed.items():
        assert example.target_span
        assert example.text[slice(*example.target_span)] == name


def test_names_of_the_passage_are_asked_about_more_often() -> None:
    notes = [oppose(target=Mention(name)) for name in ("Peru", "Chile", "Cuba", "Mali", "Chad", "toll plan")]
    counts = Counter[str]()
    for number in range(40):
        made, _ = make(replace(article(*notes, exhaustive=False), id=f"n{number}"), ExamplesConfig(unlabelled=1))
        counts += Counter(e.target for e in asked(made) if "toll plan" in e.text)
    assert counts["toll plan"] > max(counts[name] for name in ("Peru", "Chile", "Cuba", "Mali", "Chad"))


def test_an_article_without_annotations_is_asked_about_the_names_that_its_passages_print() -> None:
    made, dropped = make(article(exhaustive=False), ExamplesConfig(unlabelled=9, alone=1))
    assert not dropped
    assert asked(made) == made
    pairs = {(e.actor, e.target) for e in made}
    assert {("Brazil", "World Bank"), ("Canada", "German")} <= pairs
    assert all(e.text[slice(*e.actor_span)] == e.actor for e in made if e.actor_span)
    assert all(e.actor_span and e.target_span for e in made)


def test_a_question_has_the_context_that_a_label_would_have() -> None:
    made, _ = make(article(oppose(), exhaustive=False), ExamplesConfig(unlabelled=1, alone=0, context=1))
    assert {e.text for e in asked(made)} >= {" ".join(SENTENCES[:2]), " ".join(SENTENCES[:3])}
    short, _ = make(
        article(oppose(), exhaustive=False), ExamplesConfig(unlabelled=1, alone=1, max_passage_characters=40)
    )
    assert {e.text for e in asked(short)} == {SENTENCES[3]}, "a longer passage would be dropped if it had a label"


def test_an_article_too_long_to_parse_has_no_questions_but_keeps_labels_that_need_no_parser() -> None:
    text = "Bern rejected it. " + "x" * mentions.MAX_CHARACTERS
    note = Annotation(Mention("Bern", 0, 4), Mention("it", 14, 16), Stance.OPPOSE, ((0, 17),))
    one = Article(id="long", text=text, annotations=(note,), where="f.jsonl:1")
    made, dropped = make(one, ExamplesConfig(unlabelled=5, context=0))
    assert [e.provenance for e in made] == ["gold"]
    assert not dropped


@pytest.mark.parametrize("wrong", [-1, 1001])
def test_a_number_of_questions_without_a_meaning_is_refused(wrong: int) -> None:
    with pytest.raises(StanceError, match=rf"examples\.unlabelled={wrong}: expected pairs of a sentence, from 0 to 1"):
        make(article(oppose()), ExamplesConfig(unlabelled=wrong))


def test_questions_about_a_long_article_take_time_in_step_with_its_length() -> None:
    def seconds(number: int) -> float:
        sentences = [(60 * n, 60 * n + 59) for n in range(number)]
        candidates = [
            Candidate(Mention(f"Name{n}x{i}", 60 * n + 10 * i, 60 * n + 10 * i + 9), named=True, actor=True)
            for n in range(number)
            for i in range(3)
        ]
        one = Article(id="long", text=" " * 60 * number)
        start = time.process_time()
        found = list(questions.draw(one, Parsed(tuple(sentences), tuple(candidates)), sentences, 2, seed=1))
        assert len(found) == 2 * number
        return time.process_time() - start

    short, long = (min(seconds(number) for _ in range(3)) for number in (800, 8000))  # other work may slow one down
    assert long < 40 * short  # each for each would take a hundred times as long


def test_pairs_are_drawn_from_a_long_article_in_time_in_step_with_its_annotations() -> None:
    def seconds(number: int) -> float:
        places = [
            [Mention(f"N{n}x{i}", 100 * n + 10 * i, 100 * n + 10 * i + 8) for i in range(4)] for n in range(number)
        ]
        spans = [(100 * n, 100 * n + 99) for n in range(number)]
        notes = tuple(
            Annotation(a, b, Stance("support"), (span,)) for (a, b, *_), span in zip(places, spans, strict=True)
        )
        one = Article(id="long", text=" " * 100 * number, annotations=notes, exhaustive=True)
        parsed = Parsed(tuple(spans), tuple(Candidate(m, named=True, actor=True) for some in places for m in some))
        start = time.process_time()
        names = Unannotated(one, parsed)
        found = [len(names.pairs(span)[0]) for span in spans]
        assert set(found) == {3 * 4 - 3 - 1}, "all but a name with itself, and the annotated one"
        return time.process_time() - start

    short, long = (min(seconds(number) for _ in range(2)) for number in (200, 2000))
    assert long < 40 * short  # each for each would take a hundred times as long
