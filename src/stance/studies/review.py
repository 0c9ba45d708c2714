"""What a corpus may have wrong: models that never saw an article doubt its annotations and point at missed pairs.

Articles are divided into folds; each fold's pairs are answered by a model trained on the others. cleanlab (Northcutt,
Jiang, Chuang, JAIR 2021) finds the annotations whose label is probably wrong; unannotated pairs that are called
support or oppose with confidence may have been missed. A person looks at each: nothing is changed here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from stance import studies
from stance.bootstrap import Estimate
from stance.building import splits
from stance.errors import StanceError
from stance.records import LABELS, Example, Stance
from stance.scoring import baselines
from stance.scoring.calibration import softmax
from stance.scoring.scores import by_group, choices, estimates, only_known, rates, together
from stance.settings.building import SplitConfig
from stance.settings.studies import ReviewConfig
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training.recipe import lacking


@dataclass(frozen=True)
class Doubt:
    """A row of the queue. `kind` is `label` (an annotation that the model calls wrong) or `missed`.

    `quality` is cleanlab's self-confidence: the probability that the model gives to the annotated label.
    """

    corpus: str
    article_id: str
    kind: str
    actor: str
    target: str
    stance: str | None
    predicted: str
    confidence: float
    quality: float | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class Review:
    """The queue, out-of-fold scores of the model and the baselines on annotated pairs, and what trainings warned of."""

    doubts: list[Doubt]
    scores: dict[str, dict[str, Estimate]]
    alerts: dict[str, str]


def check(config: ReviewConfig) -> None:
    """Refuse settings without a meaning."""
    for name, sensible, expected in (
        ("folds", config.folds >= 2, "2 or more"),
        ("candidates", 1 <= config.candidates <= 1000, "from 1 to 1000 pairs for each annotated one"),
        ("confidence", 0 < config.confidence <= 1, "a probability above 0"),
        ("per_article", config.per_article >= 0, "0 or more"),
    ):
        if not sensible:
            raise StanceError(f"review.{name}={getattr(config, name)}: expected {expected}")


def check_rows(rows: Sequence[Example], asked: Sequence[Example], config: ReviewConfig) -> None:
    """Refuse settings without a meaning, and rows of which no model can learn, or none can be judged.

    Raises:
        StanceError: all annotations have one stance, there are fewer articles than folds, or one of the folds misses
            a label.
    """
    check(config)
    _annotated(asked)
    _check_folds(rows, folds(rows, config.folds), config)


def check_recipe(recipe: TrainingConfig) -> None:
    """Refuse to start from, or to learn from, a model that may have seen the fold that is held out."""
    for name in ("initial", "teacher"):
        if getattr(recipe, name):
            raise StanceError(
                f"training.{name}={getattr(recipe, name)}: may have learned the articles that are asked about; "
                "a review needs models that have not, so leave it out"
            )


def review(
    rows: Sequence[Example],
    asked: Sequence[Example],
    models: ModelConfig,
    recipe: TrainingConfig,
    config: ReviewConfig,
) -> Review:
    """Learn from the folds of `rows` and list the doubts about `asked`: the same annotated pairs, more unannotated.

    The epoch of each model is chosen on the fold that it then answers: a choice among a few numbers, not a fit.
    Articles with a passage in common are in one fold. Answers are among the labels that a row's corpus knows.

    Raises:
        StanceError: see `check_rows`.
    """
    check_rows(rows, asked, config)
    gold, fold_of = _annotated(asked), folds(rows, config.folds)
    probabilities = np.zeros((len(asked), len(LABELS)))
    systems, told = dict[str, npt.NDArray[np.int64]](), list[tuple[str, dict[str, str]]]()
    for fold in range(config.folds):
        learned = [row for row in rows if fold_of[_article(row)] != fold]
        held = [row for row in rows if fold_of[_article(row)] == fold]
        # An article without a row to learn from is in no fold: any model may answer for it.
        here = np.array([i for i, row in enumerate(asked) if fold_of.get(_article(row), 0) == fold])
        print(f"fold {fold + 1} of {config.folds}: {len(learned)} pairs to learn from, {len(here)} to answer")
        own = replace(recipe, seed=recipe.seed + fold)
        probabilities[here], alerts = _answers(learned, held, [asked[i] for i in here], models, own)
        told.append((f"fold {fold + 1}", alerts))
        annotated, wanted = [row for row in learned if row.provenance != "sampled"], np.intersect1d(gold, here)
        for name, answers in baselines.predictions(annotated, [asked[i] for i in wanted], seed=recipe.seed).items():
            systems.setdefault(name, np.zeros(len(asked), np.int64))[wanted] = answers
    systems = {"model": probabilities.argmax(1), **systems}
    doubts = [*_labels(asked, gold, probabilities), *_missed(asked, probabilities, config)]
    return Review(
        queue(doubts),
        _scores([asked[i] for i in gold], {name: answers[gold] for name, answers in systems.items()}),
        studies.told(told),
    )


def queue(doubts: Sequence[Doubt]) -> list[Doubt]:
    """Doubts as a person works through them: article by article, those with the surest doubt first."""
    surest: dict[tuple[str, str], float] = {}
    for doubt in doubts:
        surest[_article(doubt)] = max(surest.get(_article(doubt), 0), doubt.confidence)
    return sorted(doubts, key=lambda doubt: (-surest[_article(doubt)], _article(doubt), doubt.kind, -doubt.confidence))


def _annotated(asked: Sequence[Example]) -> npt.NDArray[np.int64]:
    """The places of the annotated pairs; refuses those of one stance."""
    gold = np.array([i for i, row in enumerate(asked) if row.provenance != "sampled"])
    if len({asked[i].stance for i in gold}) < 2:  # cleanlab compares labels, and says so only after the training
        raise StanceError("a review needs annotations of at least two stances, here all are of one; give more articles")
    return gold


def _check_folds(rows: Sequence[Example], fold_of: Mapping[tuple[str, str], int], config: ReviewConfig) -> None:
    """Refuse folds that a model can't learn from or be judged on, before the first of them is trained."""
    for fold in range(config.folds):
        for inside in (True, False):
            part = [row for row in rows if (fold_of[_article(row)] == fold) == inside]
            if missing := lacking(part):
                what = "has" if inside else "leaves"
                raise StanceError(
                    f"review.folds={config.folds}: fold {fold + 1} {what} no example of {', '.join(missing)}; give "
                    "more articles or another number of folds, or name the labels that the corpus knows in "
                    "corpora.KEY.label_set"
                )


def _scores(gold: Sequence[Example], systems: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, dict[str, Estimate]]:
    references = [LABELS.index(row.stance) for row in gold]
    groups = ["/".join(article) for article in together([*map(_article, gold)], [row.text for row in gold])]
    of = partial(rates, labels=choices(gold))
    return {
        name: estimates(by_group(references, answers.tolist(), groups), resamples=1000, seed=11, of=of)
        for name, answers in systems.items()
    }


def _article(row: Example | Doubt) -> tuple[str, str]:
    return row.corpus, row.article_id


def folds(rows: Sequence[Example], folds: int) -> dict[tuple[str, str], int]:
    """The fold of each article; those that share a passage are together."""
    articles = [_article(row) for row in rows]
    first = dict(zip(articles, together(articles, [row.text for row in rows]), strict=True))
    apart = set(first.values())
    if len(apart) < folds:
        raise StanceError(
            f"review.folds={folds}: there are {len(apart)} articles of different passages with a usable annotation; "
            "give more articles or fewer folds"
        )
    order = splits.shuffled(["/".join(article) for article in apart], SplitConfig().seed)
    fold_of = {name: number % folds for number, name in enumerate(order)}
    return {article: fold_of["/".join(one)] for article, one in first.items()}


def _answers(
    learned: Sequence[Example],
    held: Sequence[Example],
    asked: Sequence[Example],
    models: ModelConfig,
    recipe: TrainingConfig,
) -> tuple[npt.NDArray[np.float64], dict[str, str]]:
    """What a model that is trained on these rows says to what is asked, and what its training warned of."""
    result, answers = studies.train_and_predict(
        {"train": learned, "validation": held}, models, recipe, {"asked": asked}
    )
    return only_known(softmax(answers["asked"]), asked), result.alerts


def _labels(
    asked: Sequence[Example], gold: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> Iterator[Doubt]:
    labels = np.array([LABELS.index(asked[i].stance) for i in gold])
    quality = get_label_quality_scores(labels, probabilities[gold])
    # In one process: cleanlab would fork others, and one that is forked from several threads may wait for ever.
    for place in find_label_issues(labels, probabilities[gold], return_indices_ranked_by="self_confidence", n_jobs=1):
        i = int(gold[place])
        yield _doubt(asked[i], "label", probabilities[i], asked[i].stance, float(quality[place]))


def _missed(asked: Sequence[Example], probabilities: npt.NDArray[np.float64], config: ReviewConfig) -> Iterator[Doubt]:
    by_article: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for i, row in enumerate(asked):
        stance = LABELS[int(probabilities[i].argmax())]
        if row.provenance == "sampled" and stance != Stance.NEUTRAL and probabilities[i].max() >= config.confidence:
            by_article.setdefault(_article(row), []).append((-float(probabilities[i].max()), i))
    for found in by_article.values():
        for _, i in sorted(found)[: config.per_article]:
            yield _doubt(asked[i], "missed", probabilities[i], None, None)


def _doubt(
    row: Example, kind: str, answer: npt.NDArray[np.float64], stance: Stance | None, quality: float | None
) -> Doubt:
    return Doubt(
        corpus=row.corpus,
        article_id=row.article_id,
        kind=kind,
        actor=row.actor,
        target=row.target,
        stance=stance.value if stance else None,
        predicted=LABELS[int(answer.argmax())],
        confidence=float(answer.max()),
        quality=quality,
        text=row.text,
    )


def table(found: Review) -> list[list[str]]:
    """Rows for a reader: out-of-fold scores on annotated pairs."""
    names = ("macro_f1", "accuracy")
    return [
        ["out of fold, annotated pairs", "macro-F1 [95 %]", "accuracy [95 %]"],
        *([system, *(str(values[name]) for name in names)] for system, values in found.scores.items()),
    ]
