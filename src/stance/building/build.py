"""Building a dataset: corpora to stages, stages to splits without leaks, splits to a directory.

Corpora may hold millions of rows: only numbers about each row are in memory, the rows stream from disk to disk. The
same corpora and the same configuration give the same bytes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm
from xxhash import xxh64_intdigest

from stance import corpora, records
from stance.building import dataset, division, leaks, splits, stages, writing
from stance.building.dataset import Manifest
from stance.building.division import Units
from stance.building.duplicates import Hashes, Index, Numbers
from stance.building.leaks import NONE, TRAIN, UNLABELLED, Cap, Rows
from stance.building.splits import SPLITS
from stance.building.stages import Stage
from stance.building.writing import Plan
from stance.errors import StanceError
from stance.files import check_outside, check_replaceable, remove_leftovers, replace_directory
from stance.lookup import composed
from stance.records import LABELS, folded
from stance.settings.building import CorpusConfig, ExamplesConfig, LeaksConfig, SplitConfig

WEAK = "weak labels are for training only"
NO_SPLIT = "its article has no split"
UNKNOWN_LABEL = "its stance is none of the labels of its corpus (label_set)"
RANKS = ("gold", "sampled", "weak", records.UNLABELLED)
"""Which of two rows that repeat or contradict each other stays."""


def build(
    sources: Sequence[CorpusConfig],
    example_config: ExamplesConfig,
    split_config: SplitConfig,
    leaks_config: LeaksConfig,
    *,
    output: Path,
) -> Manifest:
    """Read the corpora, make examples, divide them without leaks and write the dataset to `output`.

    What was made of each corpus is kept in `OUTPUT.stages` and taken again while its files and settings are the same.

    Raises:
        StanceError: a corpus can't be used, or a split would be empty or miss a label; nothing is written.
    """
    check_all(sources, split_config, leaks_config, output=output)
    work = output.with_name(f"{output.name}.stages")
    with stages.alone(work, of=output):
        return _build(sources, example_config, split_config, leaks_config, output=output, work=work)


def _build(
    sources: Sequence[CorpusConfig],
    example_config: ExamplesConfig,
    split_config: SplitConfig,
    leaks_config: LeaksConfig,
    *,
    output: Path,
    work: Path,
) -> Manifest:
    made = [stages.stage(source, example_config, work=work) for source in sources]
    texts = Texts(made)
    units = _units(sources, made, texts, split_config)
    chosen = division.divide(units, split_config)
    rows = _rows(made, texts, units.groups, chosen, _labels(sources))
    _hold_back(rows, units, chosen)
    if split_config.by == "time":
        for place, reason in rows.reasons.items():
            if reason == NO_SPLIT:
                late = chosen[int(rows.article[place])] == division.LATE
                rows.reasons[place] = division.TOO_NEW if late else division.UNDATED
    if split_config.by in ("actor", "target"):
        leaks.only_unseen(rows, split_config.by)
    index = texts.index(leaks_config.near_duplicate)
    mended = leaks.mend(rows, index, leaks_config, list(_caps(rows, sources, made)))
    report = leaks.report(rows, mended)
    settings = {"examples": asdict(example_config), "split": asdict(split_config), "leaks": asdict(leaks_config)}
    config = {"corpora": [asdict(source) for source in sources], **settings}
    partial = leaks.partial(rows, rows.rank != RANKS.index("sampled"))
    remove_leftovers(output)
    with replace_directory(output, marker="manifest.json") as folder:
        return writing.write(folder, made, Plan(sources, units, rows, partial, report, config))


def check_all(
    sources: Sequence[CorpusConfig], split_config: SplitConfig, leaks_config: LeaksConfig, *, output: Path
) -> None:
    """Refuse settings without a meaning, and an output that is read or holds something else."""
    check_replaceable(output, marker="manifest.json", own=dataset.ENTRIES)
    check(sources)
    for source in sources:
        if Path(source.path).exists():
            check_outside(output, Path(source.path))
    splits.check(split_config)
    leaks.check(leaks_config)


def check(sources: Sequence[CorpusConfig]) -> None:
    """Refuse an empty list of corpora, names that two of them share, and settings without a meaning."""
    if not sources:
        raise StanceError("no corpus is given; choose some, as in corpus=[stance_news,seesaw]")
    names = [source.name for source in sources]
    for source in sources:
        if not source.name or set(source.name) & {"/", "\0"} or names.count(source.name) > 1:
            what = "expected one of its own for each corpus, without '/' and zero bytes"
            raise StanceError(f"the corpus name {source.name!r}: {what}")
        where = f"of the corpus {source.name!r}"
        if not 0 <= source.weight < math.inf:
            raise StanceError(f"corpora.KEY.weight={source.weight} {where}: expected a number from 0")
        if source.cap < 0:
            raise StanceError(f"corpora.KEY.cap={source.cap} {where}: expected 0 or more; 0 takes all rows")
        if not 0 <= source.max_dropped <= 1:
            raise StanceError(f"corpora.KEY.max_dropped={source.max_dropped} {where}: expected a share, from 0 to 1")
        if not source.path:
            raise StanceError(f"corpora.KEY.path {where}: not set; give a file or a directory, as the format has it")
        corpora.check_settings(source)
        stages.files(source)
        for label in source.label_set:
            if label not in LABELS:
                expected = ", ".join(LABELS)
                raise StanceError(f"corpora.KEY.label_set {where}: unknown stance {label!r}; expected {expected}")
        if len(set(source.label_set)) == 1:
            raise StanceError(
                f"corpora.KEY.label_set=[{source.label_set[0]}] {where}: one label is no choice: nothing can be "
                "learned or judged by it; name at least two, or none for all three"
            )


class Texts:
    """The texts of all stages by one number each; texts that are the same have the same number."""

    def __init__(self, made: Sequence[Stage]) -> None:
        self.tables = [stage.table("texts").column("text") for stage in made]
        self.starts = np.cumsum([0, *(len(table) for table in self.tables)])
        self.bands: Hashes = np.concatenate([stage.bands() for stage in made]) if len(made) > 1 else made[0].bands()
        hashes = np.fromiter(map(_hash, chain.from_iterable(self.tables)), np.uint64, int(self.starts[-1]))
        _, first, back = np.unique(hashes, return_index=True, return_inverse=True)
        self.same: Numbers = first[back]

    def numbers(self, stage: int, places: Numbers) -> Numbers:
        """The numbers of texts that a stage knows by their places in it."""
        numbers: Numbers = self.same[places + self.starts[stage]]
        return numbers

    def text(self, number: int) -> str:
        """The text of a number."""
        stage = int(np.searchsorted(self.starts, number, side="right")) - 1
        return str(self.tables[stage][number - int(self.starts[stage])].as_py())

    def index(self, threshold: float) -> Index:
        """An index of near duplicates over them."""
        return Index(self.text, self.bands, threshold)


def _hash(text: pa.StringScalar) -> int:
    return xxh64_intdigest(text.as_py().encode())


def _units(sources: Sequence[CorpusConfig], made: Sequence[Stage], texts: Texts, config: SplitConfig) -> Units:
    tables = [stage.table("articles") for stage in made]
    bodies = np.concatenate([texts.numbers(i, _numbers(table, "text")) for i, table in enumerate(tables)])
    groups = texts.index(config.near_duplicate).groups(np.unique(bodies))

    def column(name: str) -> list[str]:
        return list(chain.from_iterable(table.column(name).to_pylist() for table in tables))

    told = ([table.column(name).to_pylist() for name in ("id", "where", "split")] for table in tables)
    fixed = [split for source, facts in zip(sources, told, strict=True) for split in splits.given(source, *facts)]
    return Units(
        ids=column("id"),
        where=column("where"),
        dates=column("date"),
        topics=column("topic"),
        corpus=[number for number, table in enumerate(tables) for _ in range(len(table))],
        fixed=fixed,
        groups=groups[bodies],
        official=[source.official for source, table in zip(sources, tables, strict=True) for _ in table["id"]],
        weak=list(chain.from_iterable(map(_weak_articles, made))),
        labelled=list(chain.from_iterable(map(_labelled_articles, made))),
    )


def _weak_articles(stage: Stage) -> list[bool]:
    """For each article whether it has weak labels alone; or no label, as all others of its corpus.

    Questions without a label change the division of no corpus that has labels.
    """
    table = stage.table("rows").select(["article", "provenance"])
    table = table.filter(pc.not_equal(table.column("provenance"), records.UNLABELLED))
    if not len(table):
        return [True] * stage.articles
    weak = pc.equal(table.column("provenance"), "weak").to_numpy().astype(bool)
    articles = _numbers(table, "article")
    counts = np.bincount(articles, minlength=stage.articles)
    found: list[bool] = ((counts > 0) & (np.bincount(articles, weak, stage.articles) == counts)).tolist()
    return found


def _labelled_articles(stage: Stage) -> list[bool]:
    """For each article whether it has a label that may be held out, one that is not weak."""
    table = stage.table("rows").select(["article", "provenance"])
    table = table.filter(pc.invert(pc.is_in(table.column("provenance"), pa.array(["weak", records.UNLABELLED]))))
    found: list[bool] = (np.bincount(_numbers(table, "article"), minlength=stage.articles) > 0).tolist()
    return found


def _numbers(table: pa.Table, name: str) -> Numbers:
    numbers: Numbers = np.asarray(table.column(name).to_numpy(), np.int64)
    return numbers


def _labels(sources: Sequence[CorpusConfig]) -> list[list[int]]:
    """The codes of the labels that each corpus knows."""
    return [[LABELS.index(label) for label in source.known_labels()] for source in sources]


def _rows(
    made: Sequence[Stage], texts: Texts, groups: Numbers, chosen: Sequence[str], labels: Sequence[list[int]]
) -> Rows:
    """The numbers of every row. Weak labels and questions without one are for training only.

    A label that its corpus does not know is none.
    """
    tables = [stage.table("rows") for stage in made]
    starts = np.cumsum([0, *(stage.articles for stage in made)])
    article = np.concatenate([_numbers(table, "article") + starts[i] for i, table in enumerate(tables)])
    codes = np.array([SPLITS.index(name) if name in SPLITS else NONE for name in chosen], np.int8)
    rows = Rows(
        split=codes[article],
        article=article,
        group=groups[article],
        passage=np.concatenate([texts.numbers(i, _numbers(table, "passage")) for i, table in enumerate(tables)]),
        actor=np.concatenate([_names(table, "actor") for table in tables]),
        target=np.concatenate([_names(table, "target") for table in tables]),
        stance=np.concatenate([_codes(table, "stance", LABELS) for table in tables]),
        rank=np.concatenate([_codes(table, "provenance", RANKS) for table in tables]),
    )
    asked = rows.rank == RANKS.index(records.UNLABELLED)
    rows.split[asked] = np.where(rows.split[asked] == TRAIN, UNLABELLED, NONE)
    rows.drop(np.flatnonzero((rows.split == NONE) & ~asked), NO_SPLIT)
    known = [np.isin(_codes(table, "stance", LABELS), codes) for table, codes in zip(tables, labels, strict=True)]
    rows.drop(np.flatnonzero(~np.concatenate(known) & (rows.split != NONE) & ~asked), UNKNOWN_LABEL)
    rows.drop(np.flatnonzero((rows.rank == RANKS.index("weak")) & (rows.split > TRAIN)), WEAK)
    return rows


def _hold_back(rows: Rows, units: Units, chosen: Sequence[str]) -> None:
    """Ask nothing about an article that is nearly one of validation or test: raw copies of the news are common."""
    held = np.unique(units.groups[[name in SPLITS[1:] for name in chosen]])
    near = np.isin(units.groups, held)[rows.article]
    rows.drop(np.flatnonzero(near & (rows.split == UNLABELLED)), "")


def _names(table: pa.Table, role: str) -> Hashes:
    """A hash of each name, as names are compared."""
    names = tqdm(table.column(role), f"{role}s", len(table), unit="row", disable=len(table) < 100_000)
    return np.fromiter(
        (xxh64_intdigest(folded(composed(name.as_py())).encode()) for name in names), np.uint64, len(table)
    )


def _codes(table: pa.Table, name: str, values: Sequence[str]) -> npt.NDArray[np.int8]:
    """The place of each row's value among `values`."""
    places = pc.index_in(table.column(name), pa.array(values))
    return np.asarray(places.to_numpy(), np.int8)


def _caps(rows: Rows, sources: Sequence[CorpusConfig], made: Sequence[Stage]) -> Iterator[Cap]:
    """The training rows of each corpus with a cap in the order in which they are taken: by article, drawn by its id."""
    start = 0
    for source, stage in zip(sources, made, strict=True):
        here = start + np.flatnonzero(rows.split[start : start + stage.rows] == TRAIN)
        if source.cap and len(here) > source.cap:
            ids = stage.table("rows").select(["article_id", "id"]).take(pa.array(here - start))
            own, article = (np.fromiter(map(_hash, ids[name]), np.uint64, len(here)) for name in ("id", "article_id"))
            yield here[np.lexsort((own, article))], source.cap
        start += stage.rows
