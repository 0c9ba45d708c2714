"""Weak labels: what each labelling function says of a sentence, the lexicon's mistakes, the label model, the script."""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from spacy.tokens import Doc

from conftest import ROOT, script
from stance import jsonl, mentions
from stance.building import workers
from stance.errors import StanceError
from stance.forms import article_from_json, article_to_json
from stance.records import Annotation, Article, Mention, Stance
from stance.settings import LEXICON
from stance.settings.building import WeakConfig
from stance.weak import grammar, label_model, labelling, lexicon, tally
from stance.weak.labelling import Vote
from stance.weak.lexicon import Lexicon
from stance.weak.readings import FUNCTIONS

WORDS = ROOT / LEXICON
ONE = WeakConfig(processes=1)
SHARES = {"active": 0.9, "deed": 0.8, "negated/neutral": 0.6, "unvoted": 0.9}

SENTENCES = {
    # active, coordination, relative clauses
    "Pakistan backed the peace plan.": ["active: Pakistan support peace plan"],
    "Brazil and Chile condemned the coup and the junta.": [
        "active: Brazil oppose coup", "active: Brazil oppose junta",
        "active: Chile oppose coup", "active: Chile oppose junta",
    ],
    "The plan, which Russia opposes, failed.": ["active: Russia oppose plan"],
    "Russia, which opposes the plan, waited.": ["active: Russia oppose plan"],
    "The White House supports the bill but not the clause.": ["active: White House support bill"],
    "The minister, Ana Ruiz, praised the police.": ["active: Ana Ruiz support police"],
    "Diplomats said Pakistan backed the initiative.": ["active: Pakistan support initiative"],
    "Brazil would back the treaty if Chile paid.": ["active: Brazil support treaty"],
    "Brazil accused Chile of blocking the treaty.": ["active: Brazil oppose Chile"],
    "Brazil criticised Chile's decision.": ["active: Brazil oppose Chile's decision", "within: Brazil oppose Chile"],
    "Brazil condemned Ana Ruiz's arrest by Chile.": [
        "active: Brazil oppose Ana Ruiz's arrest", "within: Brazil oppose Chile",
    ],
    "Brazil criticised Ana Ruiz's arrest.": ["active: Brazil oppose Ana Ruiz's arrest"],
    "Brazil condemned the attack on Israel.": ["active: Brazil oppose attack"],
    "Brazil welcomed the offer from Chile.": ["active: Brazil support offer", "within: Brazil support Chile"],
    "Brazil condemned the coup; Chile denies that it was one.": ["active: Brazil oppose coup"],
    "Brazil hates the treaty.": ["active: Brazil oppose treaty"],
    "Brazil boycotts the games.": ["deed: Brazil oppose games"],
    # passive
    "The peace plan was backed by Pakistan and Iran.": [
        "passive: Pakistan support peace plan", "passive: Iran support peace plan",
    ],
    "A plan backed by France failed.": ["passive: France support plan"],
    "The decision was welcomed by the union but criticised by the Harbour Board.": [
        "passive: union support decision", "passive: Harbour Board oppose decision",
    ],
    # prepositional and clausal
    "Russia warned against the withdrawal of troops.": ["prepositional: Russia oppose withdrawal"],
    "Brazil called for a ceasefire.": ["prepositional: Brazil support ceasefire"],
    "Brazil turned down the offer.": ["prepositional: Brazil oppose offer"],
    "Brazil threw its weight behind the treaty.": ["prepositional: Brazil support treaty"],
    "Brazil wants to reject the treaty.": ["clausal: Brazil oppose treaty"],
    # request
    "Brazil urged Chile to sign the treaty.": ["request: Brazil support treaty"],
    "Brazil wants the treaty to be scrapped.": ["request: Brazil oppose treaty"],
    "Brazil said that the treaty must be scrapped.": ["request: Brazil oppose treaty"],
    "Brazil told Chile not to sign the treaty.": ["negated: Brazil oppose treaty"],
    "Chile was urged by Brazil to sign the treaty.": ["request: Brazil support treaty"],
    "Chile was told by Brazil not to sign the treaty.": ["negated: Brazil oppose treaty"],
    "Chile was forced to sign the treaty.": [],
    '"Chile must sign the treaty," Brazil demanded.': ["request: Brazil support treaty"],
    "Brazil hopes Chile will reject the treaty.": ["request: Brazil oppose treaty"],
    "Brazil hopes to reject the treaty.": ["clausal: Brazil oppose treaty"],
    # deeds
    "Brazil imposed sanctions on Chile.": ["deed: Brazil oppose Chile"],
    "Brazil vetoed the resolution.": ["deed: Brazil oppose resolution"],
    "Brazil sued the company.": ["deed: Brazil oppose company"],
    "Brazil vowed to block the treaty.": ["deed: Brazil oppose treaty"],
    "Brazil joined the alliance.": ["deed: Brazil support alliance"],
    # negation, weakening, what is only supposed
    "Brazil refused to sign the treaty.": ["negated: Brazil oppose treaty"],
    "Brazil will not support the treaty.": ["negated: Brazil oppose treaty"],
    "Brazil decided not to sign the treaty.": ["negated: Brazil oppose treaty"],
    "Brazil regretted signing the treaty.": ["negated: Brazil oppose treaty"],
    "Brazil not only rejected the treaty but burned it.": ["active: Brazil oppose treaty"],
    "Brazil did not merely reject the treaty.": ["active: Brazil oppose treaty"],
    "Brazil can't just halt the vote.": ["negated: Brazil neutral vote"],
    "Brazil used the summit to praise the treaty.": ["clausal: Brazil support treaty"],
    "Brazil is not just critical of the treaty.": ["adjective: Brazil oppose treaty"],
    "Brazil is far from supporting the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil was quick to condemn the attack, yet it sent no aid.": ["clausal: Brazil oppose attack"],
    "Brazil will not only support the treaty but fund it.": ["active: Brazil support treaty"],
    "Brazil never simply accepted the treaty.": [],
    "Brazil is yet to back the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil's failure to back the treaty hurt.": ["negated: Brazil neutral treaty"],
    "Brazil ruled out joining the alliance.": ["negated: Brazil oppose alliance"],
    "Brazil no longer opposes the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil has not endorsed the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil has yet to endorse the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil stopped short of endorsing the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil did not oppose the treaty or condemn the coup.": [
        "negated: Brazil neutral treaty", "negated: Brazil neutral coup",
    ],
    "Brazil thanked Chile without endorsing the offer.": [
        "active: Brazil support Chile", "negated: Brazil neutral offer",
    ],
    "Brazil did not support the treaty.": [],
    "If Brazil opposes the treaty, the talks will fail.": [],
    "Does Brazil support the treaty?": [],
    '"Is Brazil critical of the treaty?" the union said.': [],
    "Why did the treaty draw criticism from Brazil?": [],
    "Brazil may reject the treaty.": [],
    "Brazil may be hardly critical of the treaty.": [],
    "Brazil opposed the treaty; Chile may sign it.": ["active: Brazil oppose treaty"],
    "Brazil used to oppose the treaty.": [],
    "There is no evidence that Brazil backed the treaty.": [],
    "Brazil fears that Chile will reject the treaty.": [],
    "Brazil did not say that Chile opposed the treaty.": [],
    "Brazil withdrew its support for the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil lifted its objection to the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil dropped its objections to the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil abandoned its opposition to the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil halted its support for the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil denied backing the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil voiced little support for the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil voiced few objections to the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil voiced a little support for the treaty.": ["light_verb: Brazil support treaty"],
    "Few governments supported the treaty.": [],
    "A few governments supported the treaty.": ["active: few governments support treaty"],
    "The few governments opposed the treaty.": ["active: few governments oppose treaty"],
    "Brazil denies opposing the treaty.": ["negated: Brazil neutral treaty"],
    "Brazil abandoned the treaty.": ["deed: Brazil oppose treaty"],
    "Brazil has not decided whether to back the treaty.": ["undecided: Brazil neutral treaty"],
    # contact
    "Brazil discussed the treaty.": ["contact: Brazil neutral treaty"],
    "Brazil declined to comment on the treaty.": ["contact: Brazil neutral treaty"],
    # nouns and adjectives
    "Brazil's opposition to the treaty is known.": ["nominalisation: Brazil oppose treaty"],
    "Opposition to the treaty from Brazil grew.": ["nominalisation: Brazil oppose treaty"],
    "Brazil resigned in protest against the treaty.": ["nominalisation: Brazil oppose treaty"],
    "Brazil voiced support for the treaty.": ["light_verb: Brazil support treaty"],
    "Brazil repeated its opposition to the treaty.": ["light_verb: Brazil oppose treaty"],
    "The treaty drew criticism from Brazil.": ["received: Brazil oppose treaty"],
    "The treaty drew no criticism from Brazil.": [],
    "The treaty drew little criticism from Brazil.": [],
    "The treaty may draw criticism from Brazil.": [],
    "Brazil is critical of the treaty.": ["adjective: Brazil oppose treaty"],
    "Brazil is opposed to the treaty.": ["adjective: Brazil oppose treaty"],
    "Brazil, wary of the treaty, waited.": ["adjective: Brazil oppose treaty"],
    "Brazil is neutral on the treaty.": ["adjective: Brazil neutral treaty"],
    # who speaks
    '"We oppose the treaty," said the union.': ["quoted: union oppose treaty"],
    "Brazil said it would oppose the treaty.": ["quoted: Brazil oppose treaty"],
    "Brazil said the treaty was a mistake.": ["judged: Brazil oppose treaty"],
    "Brazil said the treaty was not acceptable.": ["judged: Brazil oppose treaty"],
    '"The treaty is a disgrace," the Brazilian minister said.': ["judged: Brazilian minister oppose treaty"],
    "Brazil called the treaty a mistake.": ["labelled: Brazil oppose treaty"],
    "Brazil described the treaty as reckless.": ["labelled: Brazil oppose treaty"],
    # nothing to say
    "He opposed the treaty.": [],
    "It rained in Brazil.": [],
    "The treaty is old.": [],
}  # fmt: skip


@pytest.fixture(scope="session")
def words() -> Lexicon:
    return lexicon.load(WORDS)


def votes(text: str, words: Lexicon) -> list[Vote]:
    (doc,) = mentions.docs([text])
    return list(labelling.votes(labelling.scene(doc, words)))


def said(text: str, words: Lexicon) -> list[str]:
    return [f"{v.function}: {v.actor.name} {v.stance} {v.target.name}" for v in votes(text, words)]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_functions_say_who_is_for_or_against_what(sentence: str, words: Lexicon) -> None:
    assert sorted(said(sentence, words)) == sorted(SENTENCES[sentence])


def test_no_name_has_a_stance_on_itself(words: Lexicon) -> None:
    assert said("Iran said Iran opposes Chile.", words) == ["active: Iran oppose Chile"]
    assert said("Iran said Iran opposes Iran.", words) == []


def test_what_stands_on_both_sides_of_a_blank_line_is_not_one_sentence(words: Lexicon) -> None:
    assert said("Pakistan on Monday\nbacked the peace plan.", words) == ["active: Pakistan support peace plan"]
    assert said("Pakistan on Monday\n\nbacked the peace plan.", words) == []


def test_every_function_is_shown_by_a_sentence() -> None:
    assert {vote.partition(":")[0] for found in SENTENCES.values() for vote in found} == set(FUNCTIONS)


def test_votes_name_places_of_the_text_within_their_sentence(words: Lexicon) -> None:
    text = "  It rained.\n\n" + "\n\n".join(SENTENCES)
    found = votes(text, words)
    assert len(found) > 50
    for vote in found:
        for mention in (vote.actor, vote.target):
            assert mention.span is not None
            assert text[slice(*mention.span)] == mention.name
            assert vote.sentence[0] <= mention.span[0] < mention.span[1] <= vote.sentence[1]


# The lexicon


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = WORDS.read_text("utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def test_lexicon_is_wide(words: Lexicon) -> None:
    count = sum(len(patterns) for section in (words.verbs, words.deeds) for patterns in section.values())
    assert count > 600


@pytest.mark.parametrize(("british", "american"), [("criticise", "criticize"), ("favour", "favor"),
                                                  ("Favoured", "favored"), ("honouring", "honoring")])  # fmt: skip
def test_british_and_american_spellings_are_one(british: str, american: str) -> None:
    assert lexicon.normal(british) == lexicon.normal(american)


def test_user_edited_lexicon_changes_the_result(words: Lexicon, tmp_path: Path) -> None:
    sentence = "Brazil applauded the treaty."
    assert said(sentence, words) == ["active: Brazil support treaty"]
    mine = lexicon.load(edited(tmp_path, "applaud,", ""))
    assert said(sentence, mine) == []
    (tmp_path / "turned.yaml").write_text(
        WORDS.read_text("utf-8").replace("applaud,", "", 1).replace("abhor,", "abhor, applaud,", 1), "utf-8"
    )
    assert said(sentence, lexicon.load(tmp_path / "turned.yaml")) == ["active: Brazil oppose treaty"]


MISTAKES = [
    ("verbs:", "verb:", r"mine\.yaml:\d+: unknown section 'verb'; expected one of verbs, deeds"),
    (
        "  oppose:",
        "  against:",
        r"mine\.yaml:\d+: unknown polarity 'against'; expected one of oppose, neutral, support",
    ),
    ("verbs:\n  support:", "verbs:\n  oppose: []\n  support:", r":\d+: the polarity 'oppose' stands twice"),
    ("accept,", "accept, oppose,", r":\d+: 'oppose' stands in verbs or deeds at line \d+ already; keep one of the two"),
    ("accept,", "accept, [back],", r":\d+: expected a word or a pattern of words, found a list"),
    ("accept,", "accept, '',", r":\d+: expected a word or a pattern of words, found nothing"),
    ("accept,", "accept: yes]", r":\d+: not YAML: "),
    ("reports:", "rapports:", r":\d+: unknown section 'rapports'"),
    ("\naccuracy:", "\naccuracy:\n  passive: high", r":\d+: accuracy of 'passive': expected a share between 0 and 1"),
    ("\naccuracy:", "\naccuracy:\n  ? [active, support]\n  : 0.9", r":\d+: expected a function or .*, found a list"),
    ("\naccuracy:", "\naccuracy:\n  passive: 1.5", r":\d+: accuracy of 'passive': expected a share between 0 and 1"),
]


@pytest.mark.parametrize(("old", "new", "match"), MISTAKES)
def test_mistake_in_a_lexicon_is_one_line_that_names_the_place(old: str, new: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=match):
        lexicon.load(edited(tmp_path, old, new))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"expected a section a key \(verbs, .*\), found nothing"),
        (b"just words", r":1: expected a section a key \(verbs, .*\), found 'just words'"),
        (b"verbs: {support: [back]}\n", r"the section 'deeds' is missing; expected verbs, deeds"),
        (b"verbs: {support: [b\xe9ck]}\n", r"not UTF-8"),
        (b"verbs: [\n", r":\d+: not YAML: "),
        (b"a: !!python/object/apply:os.system [ls]\n", r"unknown section 'a'"),
        (b"#" * 1_000_001, r"over 1,000,000 bytes"),
    ],
)
def test_file_that_is_no_lexicon_is_refused(content: bytes, match: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(StanceError, match=match):
        lexicon.load(path)


def test_a_lexicon_of_an_earlier_version_lacks_no_section(words: Lexicon, tmp_path: Path) -> None:
    text = WORDS.read_text("utf-8")
    start, end = text.index("enders: ["), text.index("negators: [")
    (tmp_path / "old.yaml").write_text(text[:start] + text[end:], "utf-8")
    found = lexicon.load(tmp_path / "old.yaml")
    assert (found.enders, found.weakeners) == (frozenset(), words.weakeners)
    assert "withdraw" in words.enders


def test_missing_lexicon_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"none\.yaml: no such file; expected a lexicon"):
        lexicon.load(tmp_path / "none.yaml")


def test_accuracy_of_an_unknown_function_is_refused(words: Lexicon) -> None:
    with pytest.raises(StanceError, match=r"accuracy of 'actve/support' in the lexicon: expected function or"):
        label_model.given(replace(words, accuracy={"actve/support": 0.9}))


# The label model


def vote(function: str, stance: Stance, target: str = "treaty") -> Vote:
    return Vote(function, Mention("Brazil", 0, 6), Mention(target, 20, 26), stance, (0, 30))


def test_one_vote_leaves_the_accuracy_of_its_function() -> None:
    assert label_model.combine([vote("active", Stance.OPPOSE)], SHARES) == (Stance.OPPOSE, pytest.approx(0.9))
    assert label_model.combine([vote("received", Stance.OPPOSE)], SHARES) == (
        Stance.OPPOSE,
        pytest.approx(label_model.UNMEASURED),
    )


def test_agreeing_votes_are_surer_and_the_more_accurate_function_wins_a_conflict() -> None:
    active, deed = vote("active", Stance.OPPOSE), vote("deed", Stance.OPPOSE)
    assert label_model.combine([active, deed], SHARES)[1] > 0.9
    stance, confidence = label_model.combine([vote("deed", Stance.SUPPORT), active], SHARES)
    assert stance == Stance.OPPOSE
    assert 0.5 < confidence < 0.9


# Articles

TEXT = "Pakistan backed the peace plan. Iran vetoed the peace plan. Brazil has not endorsed the peace plan."


def annotate(texts: list[str], words: Lexicon, config: WeakConfig = ONE) -> list[Article]:
    return labelled([Article(f"a{i}", text, exhaustive=True) for i, text in enumerate(texts)], words, config)


def labelled(articles: list[Article], words: Lexicon, config: WeakConfig = ONE) -> list[Article]:
    return [label_model.label(found, SHARES, config) for found in label_model.vote(articles, words, config)]


def test_weak_labels_carry_provenance_confidence_and_their_sentence(words: Lexicon) -> None:
    (article,) = annotate([TEXT], words)
    assert [(a.actor.name, a.stance, a.weight) for a in article.annotations] == [
        ("Pakistan", "support", 0.9), ("Iran", "oppose", 0.8), ("Brazil", "neutral", 0.6),
    ]  # fmt: skip
    assert {a.provenance for a in article.annotations} == {"weak"}
    assert not article.exhaustive
    ((start, end),) = article.annotations[1].evidence
    assert TEXT[start:end] == "Iran vetoed the peace plan."
    assert article_from_json(article_to_json(article), "") == replace(article, where="")


def test_weak_labels_take_the_place_of_an_article_s_own_annotations(words: Lexicon) -> None:
    own = Annotation(Mention("X"), Mention("Y"), Stance.SUPPORT, ((0, 5),))
    (article,) = labelled([Article("a", TEXT, annotations=(own,))], words)
    assert own not in article.annotations


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (replace(ONE, confidence=0.85), ["Pakistan"]),
        (replace(ONE, neutral=False), ["Pakistan", "Iran"]),
        (replace(ONE, confidence=1), []),
    ],
)
def test_settings_say_which_labels_are_kept(config: WeakConfig, kept: list[str], words: Lexicon) -> None:
    (article,) = annotate([TEXT], words, config)
    assert [a.actor.name for a in article.annotations] == kept


def test_pair_is_annotated_once_an_article_at_its_surest_sentence(words: Lexicon) -> None:
    (article,) = annotate(["Iran vetoed the plan. Iran opposes the plan. Iran opposes the plan."], words)
    ((start, end),) = (a.evidence[0] for a in article.annotations)
    assert (start, end) == (22, 44)


def test_pairs_without_a_vote_are_neutral_where_asked_for(words: Lexicon) -> None:
    text = f"{TEXT} The mayor of Paris met in Rome while the senator of Texas and the governor of Ohio slept in Lima."
    (plain,) = annotate([text], words)
    (more,) = annotate([text], words, replace(ONE, unvoted=1))
    added = [a for a in more.annotations if a not in plain.annotations]
    assert len(added) == len(plain.annotations)
    assert {(a.stance, a.weight, a.provenance) for a in added} == {("neutral", 0.9, "weak")}


def test_pairs_without_a_vote_are_as_sure_as_other_labels_and_from_all_over_the_text(words: Lexicon) -> None:
    text = f"{TEXT} The mayor of Paris met in Rome while the senator of Texas and the governor of Ohio slept in Lima."

    def neutral(text: str, unsure: float, config: WeakConfig) -> list[Annotation]:
        (voted,) = label_model.vote([Article("a", text)], words, config)
        found = label_model.label(voted, {**SHARES, label_model.UNVOTED: unsure}, config)
        assert found.annotations
        return [note for note in found.annotations if note.stance == "neutral"]

    config = replace(ONE, unvoted=1, confidence=0.8)
    assert neutral(text, 0.9, config)
    assert neutral(text, 0.7, config) == []
    met = "The mayor of Oslo met the king of Nauru in Lima with the senator of Texas and the governor of Ohio. " * 9
    long = f"{TEXT} {met}\n\n" + "It rained. " * 1900 + f"\n\n{met}"
    starts = [note.evidence[0][0] for note in neutral(long, 0.9, replace(config, unvoted=5))]
    assert min(starts) < len(long) / 2 < max(starts)


def test_a_very_long_list_of_names_is_read(words: Lexicon) -> None:
    size = 3000
    vocab = mentions.pipeline().vocab
    deps, heads = ["ROOT", *["conj"] * (size - 1)], [0, *range(size - 1)]
    doc = Doc(vocab, ["Mali"] * size, deps=deps, heads=heads, tags=["VBN"] * size)
    assert [token.i for token in grammar.coordinated([doc[0]])] == list(range(size))
    assert not grammar.passive(doc[size - 1])


ODD = ["", "   \n\n \n", "…", "Yes", "Brazil", "和平", "- - -\n\n* * *", "\u200b\ufeff", "a" * 30_000]


def test_articles_without_sentences_have_no_labels_and_keep_their_place(words: Lexicon) -> None:
    found = annotate([*ODD, TEXT, *ODD], words)
    assert [article.id for article in found] == [f"a{i}" for i in range(2 * len(ODD) + 1)]
    assert [len(a.annotations) for a in found] == [0] * len(ODD) + [3] + [0] * len(ODD)


@pytest.mark.slow
def test_long_text_is_read_to_its_end_in_pieces(words: Lexicon) -> None:
    filler = "It rained on the hills and in the valley. " * 30
    names = ["Pakistan", "Iran", "Brazil", "Chile", "France"]
    text = "\n\n".join(f"{filler}\n\n{name} condemned the coup.\n\n{filler}" * 15 for name in names)
    assert len(text) > 8 * mentions.PIECE
    unbroken = "word " * mentions.PIECE
    pieces = [piece for _, piece in mentions.pieces(f"A plan.\n\n{unbroken}")]
    assert {word for piece in pieces for word in piece.split()} == {"A", "plan.", "word"}, "a word was cut"
    (article,) = annotate([text], words)
    assert [a.actor.name for a in article.annotations] == names
    for note in article.annotations:
        assert text[slice(*(note.actor.span or (0, 0)))] == note.actor.name
        assert text[slice(*note.evidence[0])] == f"{note.actor.name} condemned the coup."


@pytest.mark.parametrize(
    "text", ["x" * 50_001, "word " * 12_000, "One line.\n\n" * 4_000, "a\n" * 30_000, " " * 45_000]
)
def test_pieces_are_short_and_hold_every_word(text: str) -> None:
    found = list(mentions.pieces(text))
    assert all(len(piece) <= mentions.PIECE and text[start : start + len(piece)] == piece for start, piece in found)
    assert "".join(piece for _, piece in found).split() == text.split()
    assert sum(len(re.sub(r"\s", "", piece)) for _, piece in found) == len(re.sub(r"\s", "", text))


def test_articles_are_read_as_they_come(words: Lexicon) -> None:
    taken = 0

    def endless() -> Iterator[Article]:
        nonlocal taken
        while True:
            taken += 1
            yield Article(f"a{taken}", TEXT)

    first = next(label_model.vote(endless(), words, ONE))
    assert first.article.id == "a1"
    assert taken < 10 * mentions.BATCH


def test_labels_do_not_depend_on_the_number_of_processes(words: Lexicon, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*SENTENCES, TEXT * 3, *ODD]
    config = replace(ONE, unvoted=2)
    monkeypatch.setattr(label_model, "ALONE", 2)
    monkeypatch.setattr(workers, "CHUNK", 3)
    alone, again = annotate(texts, words, config), annotate(texts, words, config)
    assert alone == again == annotate(texts, words, replace(config, processes=2))


def die(articles: list[Article]) -> list[Article]:
    os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory is short
    return articles


def where(articles: list[Article]) -> list[int]:
    return [os.getpid() for _ in articles]


def test_a_few_long_articles_are_many_enough_for_further_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CHARACTERS", 100)
    long = [Article(str(number), "x" * 90) for number in range(6)]
    here = [place == os.getpid() for place in workers.spread(where, long, 2, alone=128)]
    assert here == [True] * 2 + [False] * 4
    assert set(workers.spread(where, long, 1, alone=0)) == {os.getpid()}


def test_a_process_that_dies_ends_the_work_with_a_message() -> None:
    with pytest.raises(StanceError, match="a process that works on articles has died: of too little memory"):
        list(workers.spread(die, [Article("a", TEXT)], 2, alone=0))


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (WeakConfig(confidence=1.2), r"weak\.confidence=1\.2: expected a share"),
        (WeakConfig(unvoted=-1), r"weak\.unvoted=-1: expected 0 to 100"),
        (WeakConfig(processes=-1), r"must not be negative"),
        (WeakConfig(seed=-1), r"must not be negative"),
    ],
)
def test_setting_without_a_meaning_is_refused(config: WeakConfig, match: str) -> None:
    with pytest.raises(StanceError, match=match):
        label_model.check(config)


# Counting


def gold(*notes: tuple[str, str, Stance]) -> Article:
    made = tuple(
        Annotation(*(Mention(n, TEXT.index(n), TEXT.index(n) + len(n)) for n in (actor, target)), stance, ((0, 31),))
        for actor, target, stance in notes
    )
    return Article("a", TEXT, annotations=made, exhaustive=True)


def test_votes_are_judged_by_the_annotations_that_they_overlap(words: Lexicon) -> None:
    for stance, right in ((Stance.SUPPORT, 1), (Stance.OPPOSE, 0)):
        found = tally.measure(label_model.vote([gold(("Pakistan", "plan", stance))], words, ONE))
        count = found.counts["active/support"]
        assert (count["votes"], count["judged"], count["right"], count["unmet"]) == (1, 1, right, 0)
        assert found.counts["deed/oppose"]["unmet"] == 1
    assert tally.shares(found)["active/support"] == pytest.approx(3 / 6)
    assert tally.shares(found)["deed/oppose"] == pytest.approx(3.5 / 6)


def test_annotation_without_a_place_is_met_by_its_name() -> None:
    note = Annotation(Mention("Donald Trump"), Mention("Iran", 10, 14), Stance.OPPOSE, ((0, 30),))
    pair = Mention("Trump", 0, 5), Mention("Iran", 10, 14)
    assert tally.judge(*pair, Stance.OPPOSE, (0, 30), [note]) is True
    assert tally.judge(*pair, Stance.SUPPORT, (0, 30), [note]) is False
    assert tally.judge(Mention("Biden", 0, 5), pair[1], Stance.OPPOSE, (0, 30), [note]) is None
    assert tally.judge(*pair, Stance.OPPOSE, (40, 60), [note]) is None


@pytest.mark.parametrize(("one", "other", "same"), [
    ("EU", "EU", True), ("the EU", "EU", True), ("Bank of the South", "minister of the interior", False),
    ("President Biden", "Joe Biden", True),
])  # fmt: skip
def test_a_gold_name_without_a_place_is_met_by_a_word_that_tells_it(one: str, other: str, same: bool) -> None:
    note = Annotation(Mention(one), Mention("plan"), Stance.OPPOSE, ((0, 30),))
    assert bool(tally.matching(Mention(other, 0, 9), Mention("plan", 10, 14), (0, 30), [note])) is same


def test_overlapping_and_conflicting_votes_are_counted(words: Lexicon) -> None:
    found = tally.measure(
        label_model.vote([Article("a", "The senate sanctioned and hailed the sale as a mistake.")], words, ONE)
    )
    assert sum(count["conflict"] for count in found.counts.values()) >= 2
    assert found.counts["labelled/oppose"]["overlap"] == 1


def test_only_the_train_split_tells_the_accuracies(tmp_path: Path) -> None:
    rows = [article_to_json(Article(name, TEXT)) for name in ("one", "two", "three")]
    jsonl.write(tmp_path / "articles.jsonl", rows)
    assert [a.id for a in tally.gold(tmp_path)] == ["one", "two", "three"]
    jsonl.write_json(tmp_path / "splits.json", {"train": ["two"], "validation": ["one"], "test": ["three"]})
    assert [a.id for a in tally.gold(tmp_path)] == ["two"]
    jsonl.write(tmp_path / "articles.jsonl", [*rows, {"id": "four"}])
    with pytest.raises(StanceError, match=r"articles\.jsonl:4: .*'text'"):  # not the accuracies of what is left
        list(tally.gold(tmp_path))
    (tmp_path / "splits.json").write_text("[]")
    with pytest.raises(StanceError, match=r"splits\.json: .*expected an object with lists of article ids under train,"):
        list(tally.gold(tmp_path))


# The script


def weak_label(tmp_path: Path, *overrides: str) -> list[str]:
    return [
        f"source.path={tmp_path}/in.jsonl", f"output={tmp_path}/weak.jsonl", "weak.processes=1",
        f"weak.lexicon={WORDS}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
        f"tracking.artifacts={tmp_path}/artifacts", "tracking.system_metrics_seconds=0", *overrides,
    ]  # fmt: skip


@pytest.mark.usefixtures("fresh_store")
def test_script_writes_labelled_articles_and_logs_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = gold(("Pakistan", "plan", Stance.SUPPORT))
    jsonl.write(tmp_path / "gold.jsonl", [article_to_json(marked)])
    rows = [article_to_json(replace(marked, id=name, text=text)) for name, text in (("one", TEXT), ("two", "It " * 20))]
    (tmp_path / "in.jsonl").write_text("\n".join([*map(json.dumps, rows), "broken"]) + "\n")
    out = script("weak_label").main(weak_label(tmp_path, f"weak.gold={tmp_path}/gold.jsonl"))
    (row,) = [row for _, row in jsonl.read(out)]
    assert row["id"] == "one"
    assert [a["weight"] for a in row["annotations"]] == pytest.approx([4 / 6, 3.5 / 6, 3.5 / 6], abs=1e-3)
    printed = capsys.readouterr().out
    assert "1 rows not used" in printed
    assert "gold pairs with a label" in printed
    assert re.search(r"^active +support +1 ", printed, re.MULTILINE)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("stance").experiment_id])
    assert run.data.tags["stance.stage"] == "weak"
    assert (run.data.metrics["labels"], run.data.metrics["accuracy"]) == (3, 1)
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"functions.json", "weak.json"}


@pytest.mark.usefixtures("fresh_store")
def test_script_takes_the_lexicon_s_accuracies_without_gold(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "in.jsonl", [article_to_json(Article("one", TEXT))])
    out = script("weak_label").main(weak_label(tmp_path, "weak.gold=''"))
    stated = lexicon.load(WORDS).accuracy
    ((_, row),) = jsonl.read(out)
    assert row["annotations"][0]["weight"] == pytest.approx(stated["active/support"], abs=1e-4)


def test_accuracies_of_no_article_are_refused(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "in.jsonl", [article_to_json(Article("one", TEXT))])
    held = replace(gold(("Pakistan", "plan", Stance.SUPPORT)), split="test")
    jsonl.write(tmp_path / "gold.jsonl", [article_to_json(held)])
    with pytest.raises(StanceError, match=r"weak\.gold=.*gold\.jsonl: no article of the train split there"):
        script("weak_label").main(weak_label(tmp_path, f"weak.gold={tmp_path}/gold.jsonl"))


def test_labels_of_two_tables_without_ids_have_ids_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f'text\n"{TEXT}"\n')
        given = [f"source.path={tmp_path}/{name}.csv", "source.format=web", f"output={tmp_path}/{name}.jsonl"]
        script("weak_label").main(weak_label(tmp_path, "weak.gold=''", *given))
    assert [row["id"] for name in ("a", "b") for _, row in jsonl.read(tmp_path / f"{name}.jsonl")] == [
        "a-0000001",
        "b-0000001",
    ]


def test_script_writes_over_nothing_that_it_reads(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "in.jsonl", [article_to_json(Article("one", TEXT))])
    before = (tmp_path / "in.jsonl").read_bytes()
    for overrides in (["weak.gold=''"], [f"weak.gold={tmp_path}/in.jsonl", f"source.path={tmp_path}/other.jsonl"]):
        with pytest.raises(StanceError, match=r"in\.jsonl: is read as part of .*in\.jsonl"):
            script("weak_label").main(weak_label(tmp_path, f"output={tmp_path}/in.jsonl", *overrides))
    assert (tmp_path / "in.jsonl").read_bytes() == before
    words = Path(shutil.copy(WORDS, tmp_path / "words.yaml"))
    with pytest.raises(StanceError, match=r"words\.yaml: is read as part of .*words\.yaml"):
        script("weak_label").main(weak_label(tmp_path, f"weak.lexicon={words}", f"output={words}"))
    assert words.read_bytes() == WORDS.read_bytes()


def test_script_refuses_a_split_without_articles(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "in.jsonl", [article_to_json(Article("one", TEXT))])
    with pytest.raises(StanceError, match=r"no article of the split 'train' there"):
        script("weak_label").main(weak_label(tmp_path, "part=train", "weak.gold=''"))
    assert not (tmp_path / "weak.jsonl").exists()


def test_script_tells_of_a_source_that_is_none_before_it_reads_gold(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"in\.jsonl: no such file"):
        script("weak_label").main(weak_label(tmp_path, f"weak.gold={tmp_path}/gold.jsonl"))
