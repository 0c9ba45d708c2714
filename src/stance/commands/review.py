"""Doubtful annotations and missed pairs of a corpus, for a person to look at."""

from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

from stance import corpora, examples, jsonl, review, tracking, training
from stance.evaluation import slug
from stance.jobs.building import sources
from stance.jobs.studies import ReviewJob
from stance.records import Example
from stance.show import columns


def run(job: ReviewJob) -> Path:
    """Train on folds of the articles and write a queue of what the models doubt."""
    review.check(job.review)
    job = replace(job, training=training.suit(job.model, job.training))
    read = {source.name: corpora.sound(source) for source in sources(job.corpora)}

    def made(ratio: float) -> list[Example]:
        settings = replace(job.examples, neutral_ratio=ratio, unlabelled=0)
        made = (examples.make(articles, settings, corpus=name) for name, articles in read.items())
        return [row for kept, _ in chain.from_iterable(made) for row in kept]

    print(
        f"review: {', '.join(f'{len(articles)} articles of {name}' for name, articles in read.items())} -> {job.output}"
    )
    with tracking.run(job.tracking, stage="review", settings=asdict(job)) as active:
        rows, asked = made(job.examples.neutral_ratio), made(job.review.candidates)
        found = review.review(rows, asked, job.model, job.training, job.review)
        jsonl.write(Path(job.output), (doubt.to_json() for doubt in found.doubts))
        active.sink({f"out_of_fold_{slug(name)}_macro_f1": v["macro_f1"].value for name, v in found.scores.items()}, 0)
        active.file(Path(job.output))
    print(columns(review.table(found)))
    for kind in ("label", "missed"):
        print(f"{kind}: {sum(doubt.kind == kind for doubt in found.doubts)} to look at")
    return Path(job.output)
