"""Splits: what is nearly the same text stays on one side, and nothing but seed and ids decides which side."""

import json
import random
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance import corpora, jsonl
from stance.building import division, leaks, splits
from stance.building.division import Units
from stance.building.splits import SPLITS
from stance.corpora.__main__ import main
from stance.errors import StanceError
from stance.forms import article_to_json
from stance.records import Article
from stance.settings.building import CorpusConfig, LeaksConfig, SplitConfig

ARTICLES = corpora.read(Path(__file__).resolve().parents[1] / "data" / "corpus")[:40]
THRESHOLD = SplitConfig().near_duplicate


def edited(article: Article, share: float, seed: int) -> Article:
    """A copy in which a share of the words was replaced."""
    draw = random.Random(seed)  # noqa: S311
    words = [f"edit{i}" if draw.random() < share else w for i, w in enumerate(article.text.split(" "))]
    return replace(article, id=f"{article.id}-{seed}", text=" ".join(words))


def overlap(one: Article, other: Article) -> float:
    """Jaccard similarity of the word 5-grams, counted without sketches."""
    grams = []
    for article in (one, other):
        words = re.findall(r"\w+", article.text.casefold())
        grams.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def units(articles: list[Article], config: SplitConfig, fixed: dict[str, str] | None = None) -> Units:
    """Articles of one corpus as the builder sees them."""
    groups = np.zeros(len(articles), np.int64)
    for number, members in enumerate(splits.groups(articles, config.near_duplicate)):
        groups[members] = number
    return Units(
        ids=[a.id for a in articles],
        where=[a.where for a in articles],
        dates=[a.date for a in articles],
        topics=[a.topic for a in articles],
        corpus=[0] * len(articles),
        fixed=[(fixed or {}).get(a.id, "") for a in articles],
        groups=groups,
        official=[False] * len(articles),
        weak=[False] * len(articles),
        labelled=[True] * len(articles),
    )


def assign(articles: list[Article], config: SplitConfig, fixed: dict[str, str] | None = None) -> dict[str, str]:
    splits.check(config)
    chosen = division.divide(units(articles, config, fixed), config)
    return dict(zip((a.id for a in articles), chosen, strict=True))


def together(articles: list[Article], threshold: float = THRESHOLD) -> set[frozenset[str]]:
    return {frozenset(articles[i].id for i in group) for group in splits.groups(articles, threshold)}


def test_articles_that_differ_are_groups_of_their_own() -> None:
    assert together(ARTICLES) == {frozenset([a.id]) for a in ARTICLES}


@settings(max_examples=40)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=3, unique=True), data=st.data())
def test_articles_well_over_the_threshold_are_in_one_group(seeds: list[int], data: st.DataObject) -> None:
    article = data.draw(st.sampled_from(ARTICLES))
    copies = [article, *(edited(article, data.draw(st.floats(0, 0.12)), seed) for seed in seeds)]
    found = together(copies)
    for one, other in combinations(copies, 2):
        if overlap(one, other) >= THRESHOLD + 0.1:  # nearer to it, MinHash may miss one of some hundred
            assert any({one.id, other.id} <= group for group in found), overlap(one, other)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), share=st.floats(0.08, 0.5), number=st.integers(0, 39))
def test_two_articles_under_the_threshold_are_two_groups(seed: int, share: float, number: int) -> None:
    pair = [ARTICLES[number], edited(ARTICLES[number], share, seed)]
    one, near = len(together(pair)) == 1, overlap(*pair)
    assert one <= (near >= THRESHOLD)
    assert one or near < THRESHOLD + 0.1  # nearer to it, MinHash may miss one of some hundred


def test_a_chain_of_near_duplicates_is_one_group() -> None:
    first = ARTICLES[0]
    second = edited(first, 0.04, 1)
    third = edited(second, 0.04, 2)
    threshold = min(overlap(first, second), overlap(second, third))
    assert overlap(first, third) < threshold - 0.05
    assert together([first, third, second], threshold - 0.01) == {frozenset({first.id, second.id, third.id})}


def test_case_and_punctuation_do_not_part_duplicates() -> None:
    shouted = replace(ARTICLES[0], id="loud", text=ARTICLES[0].text.upper().replace(",", " -"))
    assert together([ARTICLES[0], shouted]) == {frozenset({ARTICLES[0].id, "loud"})}


def test_at_threshold_1_only_equal_texts_stay_together() -> None:
    same = replace(ARTICLES[0], id="same")
    near = edited(ARTICLES[0], 0.02, 3)
    assert overlap(ARTICLES[0], near) < 1
    assert together([ARTICLES[0], same, near], 1.0) == {frozenset({ARTICLES[0].id, "same"}), frozenset({near.id})}


@settings(max_examples=15)
@given(
    copied=st.lists(st.integers(0, 39), min_size=1, max_size=8, unique=True),
    copies=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_no_article_and_no_near_duplicate_spans_two_splits(copied: list[int], copies: int, seed: int) -> None:
    clusters = [[ARTICLES[i], *(edited(ARTICLES[i], 0.03, n) for n in range(copies))] for i in copied]
    alone = [a for i, a in enumerate(ARTICLES) if i not in copied]
    chosen = assign([*alone, *(a for cluster in clusters for a in cluster)], SplitConfig(seed=seed))
    assert set(chosen) == {a.id for a in alone} | {a.id for cluster in clusters for a in cluster}
    assert set(chosen.values()) == set(SPLITS)
    for cluster in clusters:
        assert len({chosen[a.id] for a in cluster}) == 1


@settings(max_examples=15)
@given(order=st.permutations(range(40)), seed=st.integers(0, 10**6))
def test_the_split_does_not_depend_on_the_order_of_the_articles(order: list[int], seed: int) -> None:
    articles = [*ARTICLES[:36], *(edited(a, 0.03, 9) for a in ARTICLES[:4])]
    config = SplitConfig(seed=seed)
    assert assign([articles[i] for i in order], config) == assign(articles, config)


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    assert assign(ARTICLES, SplitConfig()) == assign(ARTICLES, SplitConfig())
    assert assign(ARTICLES, SplitConfig()) != assign(ARTICLES, SplitConfig(seed=8))


def test_the_shares_are_kept_to_the_article() -> None:
    counts = Counter(assign(ARTICLES, SplitConfig(validation=0.1, test=0.25)).values())
    assert counts == {"train": 26, "validation": 4, "test": 10}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_shares_are_kept_to_the_article_though_some_have_far_more_annotations(seed: int) -> None:
    note = replace(ARTICLES[0].annotations[0], tags=())
    same = [replace(article, theme="", region="", outlet_kind="", annotations=(note,)) for article in ARTICLES]
    uneven = [*(replace(article, annotations=(note,) * 12) for article in same[:4]), *same[4:]]
    chosen = splits.complete(uneven, SplitConfig(validation=0.1, test=0.25, seed=seed), {})
    assert Counter(chosen.values()) == {"train": 26, "validation": 4, "test": 10}


def test_a_cluster_that_is_too_large_for_the_small_splits_goes_to_train() -> None:
    cluster = [replace(ARTICLES[0], id=f"copy-{n}") for n in range(12)]
    chosen = assign([*ARTICLES[1:], *cluster], SplitConfig())
    assert {chosen[a.id] for a in cluster} == {"train"}


@pytest.mark.parametrize(
    ("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (-0.1, 0.2), (0.5, 0.5), (0.9, 0.9), (float("nan"), 0.2)]
)
def test_shares_that_leave_a_split_empty_are_refused(validation: float, test: float) -> None:
    with pytest.raises(
        StanceError, match=rf"split\.validation={validation}, split\.test={test}: expected shares above"
    ):
        assign(ARTICLES, SplitConfig(validation=validation, test=test))


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01])
def test_a_similarity_that_has_no_meaning_is_refused(threshold: float) -> None:
    with pytest.raises(StanceError, match=rf"split\.near_duplicate={threshold}: expected a similarity above 0"):
        assign(ARTICLES, SplitConfig(near_duplicate=threshold))


def test_a_similarity_at_which_sketches_miss_many_near_duplicates_is_refused() -> None:
    what = re.escape(
        "near_duplicate=0.3: expected 0.4 or more; sketches choose which texts are compared, and would miss"
    )
    with pytest.raises(StanceError, match=rf"^split\.{what} 42% of the pairs"):
        splits.check(SplitConfig(near_duplicate=0.3))
    with pytest.raises(StanceError, match=rf"^leaks\.{what}"):
        leaks.check(LeaksConfig(near_duplicate=0.3))
    with pytest.raises(StanceError, match=r"leaks\.near_duplicate=1\.5: expected a similarity above 0, up to 1"):
        leaks.check(LeaksConfig(near_duplicate=1.5))
    splits.check(SplitConfig(near_duplicate=0.4))
    leaks.check(LeaksConfig(near_duplicate=0.4, part=0.1))


def test_too_few_articles_are_refused() -> None:
    with pytest.raises(StanceError, match="the validation and test split would be empty with 3 articles; give more"):
        assign(ARTICLES[:3], SplitConfig())


def test_copies_of_one_article_are_refused() -> None:
    copies = [replace(ARTICLES[0], id=f"copy-{n}") for n in range(20)]
    with pytest.raises(StanceError, match="the validation and test split would be empty with 20 articles"):
        assign(copies, SplitConfig())


def test_by_time_no_training_article_is_newer_than_a_test_article() -> None:
    chosen = assign(ARTICLES, SplitConfig(by="time"))
    days = {split: sorted(a.date for a in ARTICLES if chosen[a.id] == split) for split in SPLITS}
    assert days["train"][-1] < days["validation"][0]
    assert days["validation"][-1] < days["test"][0]
    assert [len(days[split]) for split in SPLITS] == [28, 6, 6]


def test_by_time_articles_without_a_date_have_no_split_and_those_of_one_day_share_it() -> None:
    undated = replace(ARTICLES[0], date="")
    same_day = [replace(a, date="2030-01-01") for a in ARTICLES[1:10]]
    chosen = assign([undated, *same_day, *ARTICLES[10:]], SplitConfig(by="time"))
    assert chosen[undated.id] == ""
    assert len({chosen[a.id] for a in same_day}) == 1


def test_by_time_dates_are_read_however_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    days = [f"20{n:02}-03-04" for n in range(10, 30)]
    written = [
        f"March 4, 20{n}" if n % 3 == 0 else f"20{n}-03-04T0{n % 10}:00:00Z" if n % 3 == 1 else f"20{n}-03-04"
        for n in range(10, 30)
    ]
    plain = [replace(a, date=day) for a, day in zip(ARTICLES[:20], days, strict=True)]
    same = [replace(a, date="2020-01-01T10:00:00") for a in ARTICLES[20:25]]
    same += [replace(a, date=f"2020-01-01T1{n}:30:00+01:00") for n, a in enumerate(ARTICLES[25:30])]
    odd = [replace(ARTICLES[30], date="some day", where="c.jsonl:31")]
    odd_written = [replace(a, date=date) for a, date in zip(plain, written, strict=True)]
    config = SplitConfig(by="time")
    chosen = assign([*odd_written, *same, *odd], config)
    assert len({chosen[a.id] for a in same}) == 1
    assert chosen[odd[0].id] == ""
    assert capsys.readouterr().err == (
        "split.by=time: 1 articles have a date that can't be read, and no split; first c.jsonl:31: 'some day'; "
        "write it as YYYY-MM-DD\n"
    )
    assert chosen == assign([*plain, *(replace(a, date="2020-01-01") for a in same), *odd], config)


def test_by_story_articles_of_one_topic_share_a_split_and_others_need_not() -> None:
    topics = [replace(a, topic=f"topic {n // 4}") for n, a in enumerate(ARTICLES)]
    chosen = assign(topics, SplitConfig(by="story"))
    for first in range(0, 40, 4):
        assert len({chosen[a.id] for a in topics[first : first + 4]}) == 1
    assert set(chosen.values()) == set(SPLITS)


def test_in_folds_every_article_is_tested_once_and_never_with_its_near_duplicate_in_training() -> None:
    articles = [*ARTICLES[:30], *(edited(a, 0.03, 9) for a in ARTICLES[:8])]
    tested: Counter[str] = Counter()
    for fold in range(4):
        chosen = assign(articles, SplitConfig(by="fold", folds=4, fold=fold))
        tested.update(name for name, split in chosen.items() if split == "test")
        for article, copy in zip(articles[:8], articles[30:], strict=True):
            assert chosen[article.id] == chosen[copy.id]
        assert set(chosen.values()) == set(SPLITS)
    assert tested == Counter({a.id: 1 for a in articles})


@pytest.mark.parametrize("by", ["article", "story", "actor", "fold"])
def test_a_weak_article_follows_what_it_is_nearly_the_text_of(by: str) -> None:
    twins = [replace(a, id=f"twin-{a.id}") for a in ARTICLES[:30]]
    both = units([*ARTICLES[:30], *twins, *ARTICLES[30:]], SplitConfig(by=by))
    got = division.divide(replace(both, weak=[False] * 30 + [True] * 40), SplitConfig(by=by))
    assert got[:30] == got[30:60]
    assert set(got[:30]) == set(SPLITS)
    assert by == "story" or set(got[60:]) == {"train"}


@pytest.mark.parametrize("by", ["article", "fold"])
@pytest.mark.parametrize("prefix", ["", "0-"])
def test_raw_and_weak_copies_move_no_annotated_article(by: str, prefix: str) -> None:
    config = SplitConfig(by=by)
    alone = division.divide(units(ARTICLES, config), config)
    copies = [replace(a, id=f"{prefix}{a.id}") for a in ARTICLES]
    for first, both in ((True, [*copies, *ARTICLES]), (False, [*ARTICLES, *copies])):
        weak, corpus = [first] * 40 + [not first] * 40, [0] * 40 + [1] * 40
        got = division.divide(replace(units(both, config), weak=weak, corpus=corpus), config)
        assert (got[40:] if first else got[:40]) == alone


def test_what_is_like_articles_of_several_official_splits_is_held_out() -> None:
    copies = [replace(ARTICLES[0], id=str(n)) for n in range(4)]
    given = units([*copies, *ARTICLES[1:10]], SplitConfig(), {"0": "train", "1": "test", "2": "validation"})
    chosen = division.divide(replace(given, official=[True] * 3 + [False] * 10), SplitConfig())
    assert chosen[:4] == ["train", "test", "validation", "test"]


@pytest.mark.parametrize(
    "config", [SplitConfig(by="time"), SplitConfig(by="fold", fold=2), SplitConfig(seed=8), SplitConfig(test=0.2)]
)
def test_a_division_of_articles_that_all_have_a_split_is_refused(config: SplitConfig) -> None:
    fixed = assign(ARTICLES, SplitConfig())
    with pytest.raises(StanceError, match=r"^split\.\w+=\S+: every article has a fixed split"):
        assign(ARTICLES, config, fixed)
    assert assign(ARTICLES, SplitConfig(by="actor"), fixed) == fixed
    weak = replace(units([*ARTICLES, edited(ARTICLES[0], 0.9, 1)], config, fixed), weak=[False] * 40 + [True])
    if config.by != "time":
        with pytest.raises(StanceError, match="every article has a fixed split"):
            division.divide(weak, config)
    some = dict(list(fixed.items())[:20])
    assert assign(ARTICLES, config, some).items() >= some.items()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SplitConfig(by="moon"), "split.by=moon: expected one of article, story"),
        (SplitConfig(by="fold", folds=2), "split.folds=2, split.fold=0: expected 3 or more"),
        (SplitConfig(by="fold", folds=5, fold=5), "split.folds=5, split.fold=5"),
        (SplitConfig(fold=1), "split.fold=1: split.by=article makes no use of it, only fold; leave it out"),
        (SplitConfig(by="story", folds=4), "split.folds=4: split.by=story makes no use of it, only fold"),
        (SplitConfig(by="time", seed=8), "split.seed=8: split.by=time makes no use of it, only article, story, actor"),
        (SplitConfig(by="fold", test=0.2), "split.test=0.2: split.by=fold makes no use of it, only article, story"),
        (SplitConfig(by="fold", validation=0.2), "split.validation=0.2: split.by=fold makes no use of it"),
    ],
)
def test_divisions_without_a_meaning_are_refused(config: SplitConfig, message: str) -> None:
    with pytest.raises(StanceError, match=re.escape(message)):
        assign(ARTICLES, config)


# Splits that a file fixes.


def test_completing_gives_every_article_a_split_near_the_shares_and_balanced() -> None:
    chosen = splits.complete(ARTICLES, SplitConfig(), {})
    counts = Counter(chosen.values())
    assert counts == {"train": 28, "validation": 6, "test": 6}
    tags = Counter((tag, chosen[a.id]) for a in ARTICLES for note in a.annotations for tag in note.tags)
    common = {tag for tag, _ in tags if sum(tags[tag, s] for s in SPLITS) >= 40}
    assert common
    for tag in common:
        total = sum(tags[tag, s] for s in SPLITS)
        assert 0.05 < tags[tag, "test"] / total < 0.3
    at_random = assign(ARTICLES, SplitConfig())
    assert spread(chosen) < spread(at_random)


def spread(chosen: dict[str, str]) -> float:
    """How far the phenomena are from the shares 70, 15 and 15 %, on average."""
    tags = Counter((tag, chosen[a.id]) for a in ARTICLES for note in a.annotations for tag in note.tags)
    names = {tag for tag, _ in tags}
    shares = {"train": 0.7, "validation": 0.15, "test": 0.15}
    return sum(
        abs(tags[tag, s] / sum(tags[tag, x] for x in SPLITS) - share) for tag in names for s, share in shares.items()
    ) / len(names)


def test_articles_that_have_a_split_keep_it_when_others_come() -> None:
    before = splits.complete(ARTICLES[:20], SplitConfig(), {})
    after = splits.complete(ARTICLES, SplitConfig(), before)
    assert {name: after[name] for name in before} == before
    assert len(after) == 40


def test_a_near_duplicate_of_a_fixed_article_follows_it() -> None:
    fixed = splits.complete(ARTICLES, SplitConfig(), {})
    copies = [edited(article, 0.02, 1) for article in ARTICLES]
    chosen = splits.complete([*ARTICLES, *copies], SplitConfig(), fixed)
    assert all(chosen[copy.id] == fixed[article.id] for article, copy in zip(ARTICLES, copies, strict=True))


def test_fixed_splits_are_kept() -> None:
    fixed = {a.id: SPLITS[n % 3] for n, a in enumerate(ARTICLES)}
    assert assign(ARTICLES, SplitConfig(), fixed) == fixed
    with pytest.raises(StanceError, match="the test split would be empty"):
        assign(ARTICLES[:4], SplitConfig(), {a.id: SPLITS[n % 2] for n, a in enumerate(ARTICLES)})


def test_official_splits_that_nobody_knows_or_that_no_article_names_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def given(*named: str) -> list[str]:
        places = [str(n) for n in range(len(named))]
        return splits.given(source, places, [f"c.csv:{n}" for n in places], named)

    source = CorpusConfig(name="c", path="c.csv", splits="official")
    assert given("training", "Development", " testing", "") == ["train", "validation", "test", splits.NONE]
    expected = (
        "c.csv:1: 2 articles of the corpus 'c' name the split 'eval'; expected train, training, validation, valid, "
        "val, dev, development, test, testing, or nothing"
    )
    with pytest.raises(StanceError, match=f"^{re.escape(expected)}"):
        given("", "eval", "eval", "")
    with pytest.raises(StanceError, match=r"^c\.csv: splits=official, but none of the 2 articles of .* names a split;"):
        given("", " ")
    assert given("train", "test", "challenge") == ["train", "test", splits.NONE], "another corpus may have validation"
    assert "1 articles of the corpus 'c' name the split 'challenge', which is none of train" in capsys.readouterr().err


def test_near_duplicates_that_are_fixed_to_two_splits_are_refused() -> None:
    copy = edited(ARTICLES[0], 0.02, 1)
    fixed = {a.id: SPLITS[n % 3] for n, a in enumerate(ARTICLES)} | {copy.id: "test"}
    with pytest.raises(StanceError, match=r"nearly the text of .* but fixed to test and train"):
        assign([*ARTICLES, copy], SplitConfig(), fixed)


def test_the_file_of_splits_is_read_as_it_was_written(tmp_path: Path) -> None:
    chosen = splits.complete(ARTICLES, SplitConfig(), {})
    splits.write(tmp_path / "splits.json", chosen)
    assert splits.read(tmp_path / "splits.json") == chosen


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected an object with lists"),
        ('{"train": ["a"], "validation": [], "test": [], "train": ["b"]}', "the key 'train' stands twice"),
        ('{"train": [], "test": []}', "expected an object with lists"),
        ('{"train": [1], "validation": [], "test": []}', "expected an object with lists"),
        ('{"train": ["a"], "validation": [], "test": ["a"]}', "the id 'a' stands 2 times"),
    ],
)
def test_a_broken_file_of_splits_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "splits.json").write_text(content)
    with pytest.raises(StanceError, match=message):
        splits.read(tmp_path / "splits.json")


def test_the_command_writes_splits_and_later_gives_only_new_articles_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(count: int) -> None:
        rows = [{"id": a.id, "text": a.text} for a in ARTICLES[:count]]
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(30)
    assert main(["splits", str(tmp_path)]) == 0
    assert not (tmp_path / "splits.json").exists()
    assert main(["splits", str(tmp_path), "--write"]) == 0
    before = splits.read(tmp_path / "splits.json")
    write(40)
    capsys.readouterr()
    assert main(["splits", str(tmp_path), "--write"]) == 0
    assert capsys.readouterr().out.startswith("10 articles are new, 0 of ")
    after = splits.read(tmp_path / "splits.json")
    assert {name: after[name] for name in before} == before
    assert len(after) == 40


def test_splits_are_found_beside_the_corpus_or_where_they_are_named(tmp_path: Path) -> None:
    corpus = tmp_path / "a.jsonl"
    assert splits.find(corpus, "auto") is None
    splits.write(tmp_path / "splits.json", {"a": "test"})
    splits.write(tmp_path / "other.json", {"a": "train"})
    assert splits.find(corpus, "auto") == splits.find(tmp_path, "auto") == {"a": "test"}
    assert splits.find(corpus, "none") is None
    assert splits.find(corpus, str(tmp_path / "other.json")) == {"a": "train"}
    with pytest.raises(StanceError, match=r"no such file of fixed splits; write it with `.* splits CORPUS --write`"):
        splits.find(corpus, str(tmp_path / "none.json"))


def test_the_command_forgets_no_article_of_the_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, part in (("a", ARTICLES[:10]), ("b", ARTICLES[10:20])):
        jsonl.write(tmp_path / f"{name}.jsonl", map(article_to_json, part))
        assert main(["splits", str(tmp_path / f"{name}.jsonl"), "--write"]) == 0
    assert "10 articles are new, 0 of " in (printed := capsys.readouterr().out)
    assert "are gone, 10 that are not in b.jsonl stay" in printed
    assert splits.read(tmp_path / "splits.json").keys() == {a.id for a in ARTICLES[:20]}
    (tmp_path / "a.jsonl").unlink()
    assert main(["splits", str(tmp_path), "--write"]) == 0
    assert splits.read(tmp_path / "splits.json").keys() == {a.id for a in ARTICLES[10:20]}


@pytest.mark.parametrize("seed", range(4))
def test_swaps_are_those_that_a_look_at_all_others_finds(seed: int) -> None:
    class Plain(splits._Balance):
        def distance(self) -> float:
            have = np.array([self.own[self.split_of == split].sum(0) for split in range(3)])
            return float((self.weights * (have - self.wanted) ** 2 / self.wanted).sum())

        def _swap(self, group: int, free: np.ndarray) -> bool:
            here, before, after = int(self.split_of[group]), self.distance(), {}
            for other in free[self.split_of[free] != here].tolist():
                there = int(self.split_of[other])
                self.split_of[group], self.split_of[other] = there, here
                after[other] = round(self.distance(), 9)
                self.split_of[group], self.split_of[other] = here, there
            best = min(after, key=lambda other: after[other])
            if after[best] >= before - 1e-9:
                return False
            there = int(self.split_of[best])
            for member, split in ((group, there), (best, here)):
                self.have[self.split_of[member]] -= self.own[member]
                self.put(member, split)
            return True

    draw = random.Random(seed)  # noqa: S311
    groups = []
    for _ in range(150):
        about = Counter({"article": 1, f"theme {draw.randrange(8)}": 1, "annotation": draw.randrange(1, 5)})
        groups.append(about + Counter(f"stance {draw.randrange(3)}" for _ in range(about["annotation"])))
    found = []
    for kind in (splits._Balance, Plain):
        balance = kind(groups, SplitConfig())
        for number in range(len(groups)):
            balance.put(number, int(balance.costs(number).argmin()))
        balance.improve(range(len(groups)))
        found.append(balance.split_of.tolist())
    assert found[0] == found[1]
