"""Scoring what ships: the exported predictor beside its baselines, each score with its interval."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from stance import progress
from stance.bootstrap import Estimate, Rates
from stance.building.splits import SPLITS
from stance.errors import StanceError
from stance.predictor import StancePredictor
from stance.records import LABELS, PHENOMENA, Example, as_printed, without_places
from stance.scoring import abstention, baselines, calibration
from stance.scoring.abstention import Kept
from stance.scoring.scores import (
    SUMMARY,
    Answers,
    Counts,
    by_group,
    choices,
    confusion,
    estimates,
    flat,
    known,
    pointless,
    present,
    rates,
    slice_rates,
)
from stance.settings.scoring import EvaluationConfig

MODEL = "model"
USED = {
    "train": "the model has learned these very rows",
    "validation": "these rows chose the epoch that was kept, the temperatures and the thresholds",
}
"""What the pipeline did with the rows of a split before they are scored."""
AS_ASKED, BARE = "as_asked", "without_places"


@dataclass(frozen=True)
class Report:
    """Scores of the model and of each baseline, with what they were computed from.

    `scores` maps a system's name to its estimates, measures of calibration included. Slices of the model's:
    `annotated_only` leaves the sampled neutral pairs out, `sampled_only` all others (empty where there are none),
    `without_places` asks by canonical names alone, `as_printed` by the passage's own words, `phenomena` takes the
    annotated pairs with one tag. `annotated_baselines` learn from annotated pairs and answer annotated pairs. `kept`
    says how the artifact's thresholds fare, by way of asking, and is empty when it has none. All but that is over the
    labels that each row's corpus knows; macro-F1 is over those that some corpus knows, and no other label has scores.
    Of annotated pairs it is over the labels that they have: without sampled pairs there may be no neutral one.
    """

    split: str
    examples: Sequence[Example]
    answers: Answers
    confusion: Counts
    scores: dict[str, dict[str, Estimate]]
    kept: dict[str, Kept]
    articles: int
    annotated_only: dict[str, Estimate]
    sampled_only: dict[str, Estimate]
    without_places: dict[str, Estimate]
    as_printed: dict[str, Estimate]
    phenomena: dict[str, tuple[int, dict[str, Estimate]]]
    annotated_baselines: dict[str, dict[str, Estimate]]

    def to_json(self) -> dict[str, Any]:
        """Scores and counts, without the rows."""
        return {
            "split": self.split,
            "used_before": USED.get(self.split, ""),
            "pairs": len(self.examples),
            "articles": self.articles,
            "confusion": {"labels": list(LABELS), "rows_true_columns_predicted": self.confusion.tolist()},
            "scores": {system: _plain(values) for system, values in self.scores.items()},
            "abstention": {way: kept.to_json() for way, kept in self.kept.items()},
            "annotated_only": _plain(self.annotated_only),
            "sampled_only": _plain(self.sampled_only),
            "without_places": _plain(self.without_places),
            "as_printed": _plain(self.as_printed),
            "phenomena": {tag: {"pairs": n, **_plain(values)} for tag, (n, values) in self.phenomena.items()},
            "annotated_baselines": {name: _plain(values) for name, values in self.annotated_baselines.items()},
        }

    def on_curve(self) -> Kept | None:
        """What the threshold does where it is a point of the risk–coverage curve, which is over the known labels."""
        return self.kept.get(AS_ASKED) if known(self.examples).all() else None

    def predictions(self) -> list[dict[str, Any]]:
        """One row an example: the question, the true stance and the answer."""
        rows = []
        for example, probabilities in zip(self.examples, self.answers.probabilities, strict=True):
            rows.append(
                {
                    "id": example.id,
                    "article_id": example.article_id,
                    "actor": example.actor,
                    "target": example.target,
                    "text": example.text,
                    "provenance": example.provenance,
                    "stance": example.stance.value,
                    "predicted": LABELS[int(probabilities.argmax())],
                    **{label: float(p) for label, p in zip(LABELS, probabilities, strict=True)},
                }
            )
        return rows


def score(predictor: StancePredictor, rows: Mapping[str, Sequence[Example]], config: EvaluationConfig) -> Report:
    """Score the exported predictor and the baselines, which learn from `rows["train"]`, on one split."""
    examples = rows[config.split]
    scored, unknown = partial(rates, labels=choices(examples)), pointless(choices(examples))

    def estimate(answers: Answers, of: Rates = scored) -> dict[str, Estimate]:
        return {name: found for name, found in _estimates(answers, config, of).items() if name not in unknown}

    def estimate_slice(kept: npt.NDArray[np.bool_]) -> dict[str, Estimate]:
        return estimate(answers.only(kept), slice_rates(answers.references[kept]))

    asked = {AS_ASKED: examples, BARE: [without_places(example) for example in examples]}
    given = {way: progress.probabilities(predictor, part, way.replace("_", " ")) for way, part in asked.items()}
    answers, unplaced = (Answers.to(examples, given[way]) for way in (AS_ASKED, BARE))
    printed = progress.probabilities(predictor, [as_printed(example) for example in examples], "names as printed")
    systems = {MODEL: answers}
    for name, found in baselines.probabilities(rows["train"], examples, seed=config.seed).items():
        systems[name] = replace(answers, probabilities=found)
    annotated = np.array([example.provenance != "sampled" for example in examples], np.bool_)
    held = partial(estimate, of=partial(rates, labels=present(answers.references[annotated])))
    tagged = {tag: np.array([tag in example.tags for example in examples], np.bool_) for tag in PHENOMENA}
    return Report(
        split=config.split,
        examples=examples,
        answers=answers,
        confusion=confusion(answers.references.tolist(), answers.probabilities.argmax(1).tolist()),
        scores={name: estimate(found) for name, found in systems.items()},
        kept=_kept(predictor, asked, given, config),
        articles=len({example.article_id for example in examples}),
        annotated_only=held(answers.only(annotated)),
        sampled_only={} if annotated.all() else estimate_slice(~annotated),
        without_places=estimate(unplaced),
        as_printed=estimate(Answers.to(examples, printed)),
        phenomena={tag: (int(kept.sum()), estimate_slice(kept)) for tag, kept in tagged.items() if kept.any()},
        annotated_baselines=_annotated_baselines(rows["train"], examples, answers, held, seed=config.seed),
    )


def _estimates(answers: Answers, config: EvaluationConfig, of: Rates) -> dict[str, Estimate]:
    """Scores and measures of calibration, with intervals over articles."""
    predicted = answers.probabilities.argmax(1).tolist()
    counts = by_group(answers.references.tolist(), predicted, answers.groups.tolist())
    return {
        **estimates(counts, resamples=config.resamples, seed=config.seed, of=of),
        **calibration.estimates(answers, resamples=config.resamples, seed=config.seed),
    }


def _kept(
    predictor: StancePredictor,
    asked: Mapping[str, Sequence[Example]],
    given: Mapping[str, npt.NDArray[np.float32]],
    config: EvaluationConfig,
) -> dict[str, Kept]:
    found = {
        way: abstention.judge(given[way], predictor, part, resamples=config.resamples, seed=config.seed)
        for way, part in asked.items()
    }
    return {way: kept for way, kept in found.items() if kept}


def _annotated_baselines(
    train: Sequence[Example],
    examples: Sequence[Example],
    answers: Answers,
    estimate: Callable[[Answers], dict[str, Estimate]],
    *,
    seed: int,
) -> dict[str, dict[str, Estimate]]:
    """Whether names give the stance away, if not all pairs are sampled, whose names are of another kind."""
    learned = [example for example in train if example.provenance != "sampled"]
    kept = [i for i, example in enumerate(examples) if example.provenance != "sampled"]
    if not learned or not kept:
        return {}
    found = baselines.probabilities(learned, [examples[i] for i in kept], seed=seed)
    asked = answers.only(np.array(kept, np.int64))
    return {name: estimate(replace(asked, probabilities=values)) for name, values in found.items()}


def check(config: EvaluationConfig, rows: Mapping[str, Sequence[Example]]) -> None:
    """Refuse a split that the dataset does not have, and settings without a meaning."""
    if config.split not in SPLITS:
        raise StanceError(f"evaluation.split={config.split}: unknown split; expected one of {', '.join(SPLITS)}")
    if not rows[config.split]:
        there = ", ".join(name for name in SPLITS if rows[name])
        raise StanceError(f"evaluation.split={config.split}: the dataset has no rows in it; choose one of {there}")
    if config.resamples < 100 or not 0 <= config.seed < 2**32:  # fewer have no tails to read 2.5 % off
        raise StanceError("evaluation.resamples must be at least 100 and evaluation.seed from 0 to 4294967295")


def metrics(report: Report) -> dict[str, float]:
    """All scores with the bounds of their intervals, as flat metric names; none for the risk of no answers."""
    found: dict[str, float] = {}
    parts = {report.split if s == MODEL else f"{report.split}_baseline_{slug(s)}": v for s, v in report.scores.items()}
    for way, kept in report.kept.items():
        parts[f"{report.split}_abstaining_{way}"] = {"coverage": kept.coverage, "risk": kept.risk}
    for prefix, values in parts.items():
        found |= flat(prefix, values)
    for tag, (_, slice_scores) in report.phenomena.items():
        found[f"{report.split}_phenomenon_{slug(tag)}_f1"] = slice_scores["f1"].value
    return found


def slug(name: str) -> str:
    """A name as part of a metric's name."""
    return re.sub(r"\W+", "_", name.casefold()).strip("_")


def table(report: Report) -> list[list[str]]:
    """Rows for a reader: a header, then each system with its summary scores and intervals."""
    rows = [["system", "macro-F1 [95 %]", "accuracy [95 %]", "MCC [95 %]"]]
    named = report.scores | _slices(report)
    return [*rows, *([title, *(str(values[name]) for name in SUMMARY)] for title, values in named.items())]


def confidence(report: Report) -> list[list[str]]:
    """Rows for a reader: how far the confidence of each system can be trusted, and of the model in each slice."""
    sampled = {"model, sampled pairs only": report.sampled_only} if report.sampled_only else {}
    return calibration.table("system", report.scores | _slices(report) | sampled)


def _slices(report: Report) -> dict[str, dict[str, Estimate]]:
    return {
        "model, asked without the mentions' places": report.without_places,
        "model, names in the passage's words": report.as_printed,
        "model, annotated pairs only": report.annotated_only,
    }


def per_phenomenon(report: Report) -> list[list[str]]:
    """Rows for a reader: F1 (mean over the labels that the slice has), accuracy and overconfidence by tag."""
    slices = sorted(report.phenomena.items(), key=lambda item: item[1][1]["f1"].value)
    return [
        ["phenomenon", "pairs", "F1 [95 %]", "accuracy [95 %]", "overconfidence [95 %]"],
        *(
            [tag, str(n), *(str(found[name]) for name in ("f1", "accuracy", "overconfidence"))]
            for tag, (n, found) in slices
        ),
    ]


def names_alone(report: Report) -> list[list[str]]:
    """Rows for a reader: what baselines get on annotated pairs, to see whether names give the stance away."""
    return [
        ["on annotated pairs", "macro-F1 [95 %]", "accuracy [95 %]"],
        *([name, str(v["macro_f1"]), str(v["accuracy"])] for name, v in report.annotated_baselines.items()),
    ]


def per_class(report: Report) -> list[list[str]]:
    """Rows for a reader: precision, recall and F1 of each label that some corpus knows, with its count."""
    counts = Counter(example.stance.value for example in report.examples)
    scores = report.scores[MODEL]
    return [
        ["label", "pairs", "precision", "recall", "F1 [95 %]"],
        *(
            [
                label,
                str(counts[label]),
                f"{scores[f'{label}_precision'].value:.3f}",
                f"{scores[f'{label}_recall'].value:.3f}",
                str(scores[f"{label}_f1"]),
            ]
            for label in LABELS
            if f"{label}_f1" in scores
        ),
    ]


def _plain(values: Mapping[str, Estimate]) -> dict[str, list[float]]:
    return {name: [e.value, e.low, e.high] for name, e in values.items()}
