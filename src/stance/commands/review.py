"""Doubtful annotations and missed pairs of a corpus, for a person to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from stance import corpora, jsonl, studies, tracking
from stance.building import build, examples
from stance.building.dataset import article_name
from stance.files import check_output
from stance.jobs.building import sources
from stance.jobs.studies import ReviewJob
from stance.records import Article, Example
from stance.reporting.show import columns
from stance.scoring.evaluation import slug
from stance.settings.building import CorpusConfig, ExamplesConfig
from stance.studies import review
from stance.training import finetuning
from stance.training.rehearsal import rehearse


def run(job: ReviewJob) -> Path:
    """Train on folds of the articles and write a queue of what the models doubt."""
    review.check(job.review)
    review.check_recipe(job.training)
    examples.check(job.examples)
    given, job = job.training, replace(job, training=finetuning.suit(job.model, job.training))
    chosen = sources(job.corpora)
    build.check(chosen)
    check_output(Path(job.output), job.model.name, job.training.lexicon, *(source.path for source in chosen))
    read, mixed = {source.name: (source, corpora.sound(source, mend=True)) for source in chosen}, len(chosen) > 1

    def made(ratio: float) -> list[Example]:
        settings = replace(job.examples, neutral_ratio=ratio, unlabelled=0)
        rows = (_rows(source, articles, settings, mixed=mixed) for source, articles in read.values())
        return [*chain.from_iterable(rows)]

    told = ", ".join(f"{len(articles)} articles of {name}" for name, (_, articles) in read.items())
    print(f"review: {told} -> {job.output}")
    studies.say_unused(given)
    rows, asked = made(job.examples.neutral_ratio), made(job.review.candidates)
    review.check_rows(rows, asked, job.review)
    rehearse(job.model, job.training, {"train": rows, "validation": rows})
    noted = studies.noted(Path(job.output))
    with noted as begin, tracking.run(job.tracking, stage="review", settings=asdict(job)) as active:
        tracking.give_up(begin(active.id))
        found = review.review(rows, asked, job.model, job.training, job.review)
        jsonl.write(Path(job.output), (_told(doubt, mixed=mixed) for doubt in found.doubts))
        _show(found, sampled=sum(row.provenance == "sampled" for row in asked))  # also if MLflow is away
        active.sink({f"out_of_fold_{slug(name)}_macro_f1": v["macro_f1"].value for name, v in found.scores.items()}, 0)
        for name, text in found.alerts.items():  # which the training itself has printed
            active.alert(name, text)
        active.file(Path(job.output))
    return Path(job.output)


def _show(found: review.Review, *, sampled: int) -> None:
    print(columns(review.table(found)))
    labels, missed = (sum(doubt.kind == kind for doubt in found.doubts) for kind in ("label", "missed"))
    why = "no exhaustive article of a corpus that knows neutral has one"
    print(f"label: {labels} to look at")
    print(f"missed: {missed} to look at" + ("" if sampled else f", as no unannotated pair was asked about: {why}"))


def _rows(
    source: CorpusConfig, articles: Sequence[Article], settings: ExamplesConfig, *, mixed: bool
) -> Iterator[Example]:
    """The examples of a corpus whose stance it knows, as a build has them but for the cap: all are judged."""
    labels = source.known_labels()
    for kept, _ in examples.make(articles, settings, corpus=source.name):
        for row in kept:
            if row.stance in labels:
                name = article_name(source.name, row.article_id, mixed=mixed)
                yield replace(row, article_id=name, labels=labels, weight=row.weight * source.weight)


def _told(doubt: review.Doubt, *, mixed: bool) -> dict[str, Any]:
    """A doubt as it is written, with the id by which the article is found in its corpus."""
    own = doubt.article_id.removeprefix(article_name(doubt.corpus, "", mixed=mixed))
    return doubt.to_json() | {"article_id": own}
