"""How much of what articles say is read from them: `python scripts/benchmark_reading.py --help`.

Of the articles of a split that are annotated exhaustively: the triples that `ArticleReader` reports at each threshold
against the annotated ones that are not neutral. A triple is right if the article has an annotation of the same stance
whose actor and target are the same names, or stand at the same place; a pair of names that is annotated several times
counts once. What is wrong here may be right and unsaid by the annotators, so compare, and don't take it for the truth.
"""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS] + [SCRIPTS]  # else evaluate.py would hide the package `evaluate`

import argparse
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmark_figures import report
from stance import corpora
from stance.bootstrap import intervals
from stance.building import dataset
from stance.errors import StanceError
from stance.jobs import ARTIFACT, DATASET
from stance.predictor import StancePredictor
from stance.reader import ArticleReader
from stance.records import Annotation, Article, Mention, Stance, Triple, folded, overlap
from stance.reporting.show import columns
from stance.training import ancestry

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
RESAMPLES = 1000


def same(one: Mention, other: Mention) -> bool:
    """Whether two mentions are of one name or stand at one place."""
    return folded(one.name) == folded(other.name) or overlap(one.span, other.span)


def counts(article: Article, triples: Sequence[Triple]) -> list[int]:
    """Triples, right ones, annotated pairs with their stance, and those of them that were found."""

    def key(note: Annotation) -> tuple[str, str, Stance]:
        return folded(note.actor.name), folded(note.target.name), note.stance

    def right(note: Annotation, triple: Triple) -> bool:
        return note.stance is triple.stance and same(note.actor, triple.actor) and same(note.target, triple.target)

    wanted = [note for note in article.annotations if note.stance is not Stance.NEUTRAL]
    hits = [[key(note) for note in wanted if right(note, triple)] for triple in triples]
    found = {hit for those in hits for hit in those}
    return [len(triples), sum(map(bool, hits)), len({key(note) for note in wanted}), len(found)]


def rates(counted: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float64]]:
    """Precision, recall and their harmonic mean of counts of articles, shape `(..., articles, 4)`."""
    reported, right, wanted, found = np.moveaxis(counted.sum(-2), -1, 0)
    precision, recall = right / reported.clip(1), found / wanted.clip(1)
    return {"precision": precision, "recall": recall, "F1": 2 * precision * recall / (precision + recall).clip(1e-9)}


def table(articles: Sequence[Article], read: Sequence[Sequence[Triple]]) -> list[list[str]]:
    """A row for each threshold, with intervals over articles."""
    rows = [["threshold", "triples", "precision [95 %]", "recall [95 %]", "F1 [95 %]"]]
    for least in THRESHOLDS:
        sure = [[triple for triple in triples if triple.confidence >= least] for triples in read]
        counted = np.array([counts(article, triples) for article, triples in zip(articles, sure, strict=True)])
        found = intervals(lambda drawn, c=counted: rates(c[drawn]), len(articles), resamples=RESAMPLES, seed=1)
        rows.append([f"{least:g}", f"{counted[:, 0].sum():,}", *map(str, found.values())])
    return rows


def of_split(articles: Iterable[Article], ids: Collection[str], manifest: dataset.Manifest) -> list[Article]:
    """Those articles that a split's rows are of: rows of a mixture name their article after its corpus.

    The corpus is the one that most of them are of, since another one may have an article of the same id.
    """
    names, everything = [source["name"] for source in manifest.config["corpora"]], list(articles)

    def of(corpus: str) -> list[Article]:
        mixed = len(names) > 1
        return [article for article in everything if dataset.article_name(corpus, article.id, mixed=mixed) in ids]

    return max(map(of, names), key=len)


def run(options: argparse.Namespace) -> str:
    """Read the articles and return the table."""
    rows, manifest = dataset.load(options.dataset)
    predictor = StancePredictor.load(options.artifact)
    origin = predictor.metadata.get("checkpoint", {})
    doubts = ancestry.check(manifest, origin, allowed=options.other_dataset, by="--other-dataset").values()
    ids = {row.article_id for row in rows[options.split]}
    articles = of_split((article for article in corpora.read(options.corpus) if article.exhaustive), ids, manifest)
    if not articles:
        raise StanceError(
            f"{options.corpus}: no article of it is exhaustive and in {options.split} of {manifest.name}; "
            "give the corpus that the dataset was made of"
        )
    reader = ArticleReader(predictor, threshold=min(THRESHOLDS))
    read = [reader.read(article) for article in tqdm(articles, "reading", unit="article")]
    wanted = sum(counts(article, [])[2] for article in articles)
    annotated = f"{len(articles)} articles, {wanted:,} annotated triples that are not neutral"
    return "\n".join([*doubts, annotated, columns(table(articles, read))])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Precision and recall of what is read from whole articles.")
    parser.add_argument("--artifact", type=Path, default=Path(ARTIFACT), help="by scripts/export.py (%(default)s)")
    parser.add_argument("--dataset", type=Path, default=Path(DATASET), help="tells the split (%(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"), help="its articles (%(default)s)")
    parser.add_argument(
        "--split", default="validation", choices=("train", "validation"), help="of the dataset (%(default)s)"
    )
    parser.add_argument(
        "--other-dataset", action="store_true", help="read for a model that another dataset trained all the same"
    )
    return report(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
