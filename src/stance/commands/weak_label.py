"""Weak labels for articles that nobody annotated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stance import corpora, jsonl, tracking
from stance.corpora.source import Dropped, Found
from stance.errors import StanceError
from stance.files import check_output
from stance.forms import article_to_json
from stance.jobs.building import WeakJob
from stance.records import Article
from stance.reporting.show import columns
from stance.settings.building import SourceConfig
from stance.weak import label_model, lexicon, tally
from stance.weak.lexicon import Lexicon
from stance.weak.tally import Outcome, Tally


def run(job: WeakJob) -> Path:
    """Let labelling functions annotate articles, and report how often each votes and is right against gold."""
    label_model.check(job.weak)
    check_output(Path(job.output), job.source.path, job.weak.gold, job.weak.lexicon)
    words = lexicon.load(Path(job.weak.lexicon))
    stated = label_model.given(words)
    found = _opened(replace(job.source, name=job.source.name or Path(job.source.path).stem))
    print(f"weak_label: {job.source.path} -> {job.output}")
    with tracking.run(job.tracking, stage="weak", settings=asdict(job)) as active:
        known = _measured(words, job) if job.weak.gold else Tally()
        shares = {**stated, **tally.shares(known)}
        seen, outcome, lost = Tally(), Outcome(), Counter[str]()

        def rows() -> Iterator[dict[str, Any]]:
            for voted in label_model.vote(tqdm(_articles(found, job, lost), "articles", unit=""), words, job.weak):
                labelled = label_model.label(voted, shares, job.weak)
                seen.add(voted)
                outcome.add(labelled, voted.article.annotations)
                if labelled.annotations:
                    yield article_to_json(labelled)

        jsonl.write(Path(job.output), rows())
        active.sink(tally.metrics(outcome), 0)
        active.table(tally.rows(seen, known), "functions.json")
        active.document({"shares": shares, "not_used": dict(lost)}, "weak.json")
    print(columns(tally.table(seen, known)))
    print(
        f"\n{outcome.labels} labels in {outcome.articles} articles; {sum(lost.values())} rows not used",
        *lost,
        sep="\n  ",
    )
    if outcome.own:
        print(columns(tally.outcome_table(outcome)))
    return Path(job.output)


def _opened(source: SourceConfig) -> Iterator[Found]:
    """What a source has; one that can't be read is told of now, not after all gold articles."""
    found = corpora.stream(source)
    first = list(islice(found, 1))
    return chain(first, found)


def _measured(words: Lexicon, job: WeakJob) -> Tally:
    """How often each function is right about the gold articles."""
    articles = tqdm(tally.gold(Path(job.weak.gold)), "gold articles", unit="")
    known = tally.measure(label_model.vote(articles, words, job.weak))
    if not known.articles:
        raise StanceError(
            f"weak.gold={job.weak.gold}: no article of the train split there; expected some, or weak.gold= to take "
            "the accuracies of the lexicon"
        )
    return known


def _articles(items: Iterator[Found], job: WeakJob, lost: Counter[str]) -> Iterator[Article]:
    found = False
    for item in items:
        if isinstance(item, Dropped):
            lost[item.reason if item.reason in lost or len(lost) < 20 else "for further reasons"] += 1
        elif isinstance(item, Article) and job.part in ("", item.split):
            found = True
            yield item
    if not found:
        part = f" of the split {job.part!r}" if job.part else ""
        raise StanceError(f"source.path={job.source.path}: no article{part} there; expected some to label")
