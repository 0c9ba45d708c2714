"""Scoring what ships: the exported predictor beside its baselines, each score with its interval."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stance import baselines
from stance.errors import StanceError
from stance.predictor import StancePredictor
from stance.records import LABELS, PHENOMENA, Example, Pair, as_printed
from stance.scores import (
    SUMMARY,
    Counts,
    Estimate,
    Rates,
    by_group,
    calibration_error,
    confusion,
    estimates,
    only_known,
    rates,
    slice_rates,
)

MODEL = "model"


@dataclass
class EvaluationConfig:
    """How scores are computed."""

    split: str = "test"
    """The split that is scored."""
    resamples: int = 1000
    """Bootstrap samples of articles for each interval."""
    seed: int = 11
    """Of the bootstrap and of the baselines."""


@dataclass(frozen=True)
class Report:
    """Scores of the model and of each baseline, with what they were computed from.

    `scores` maps a system's name to its estimates; `probabilities` has shape `(examples, 3)`. Slices of the model's:
    `annotated_only` leaves the sampled neutral pairs out, `without_places` asks by canonical names alone, `as_printed`
    by the passage's own words, `phenomena` takes the annotated pairs with one tag. `annotated_baselines` learn from
    annotated pairs and answer annotated pairs.
    """

    split: str
    examples: Sequence[Example]
    probabilities: npt.NDArray[np.float32]
    confusion: Counts
    scores: dict[str, dict[str, Estimate]]
    calibration_error: float
    articles: int
    annotated_only: dict[str, Estimate]
    without_places: dict[str, Estimate]
    as_printed: dict[str, Estimate]
    phenomena: dict[str, tuple[int, dict[str, Estimate]]]
    annotated_baselines: dict[str, dict[str, Estimate]]

    def to_json(self) -> dict[str, Any]:
        """Scores and counts, without the rows."""
        return {
            "split": self.split,
            "pairs": len(self.examples),
            "articles": self.articles,
            "calibration_error": self.calibration_error,
            "confusion": {"labels": list(LABELS), "rows_true_columns_predicted": self.confusion.tolist()},
            "scores": {system: _plain(values) for system, values in self.scores.items()},
            "annotated_only": _plain(self.annotated_only),
            "without_places": _plain(self.without_places),
            "as_printed": _plain(self.as_printed),
            "phenomena": {tag: {"pairs": n, **_plain(values)} for tag, (n, values) in self.phenomena.items()},
            "annotated_baselines": {name: _plain(values) for name, values in self.annotated_baselines.items()},
        }

    def predictions(self) -> list[dict[str, Any]]:
        """One row an example: the question, the true stance and the answer."""
        rows = []
        for example, probabilities in zip(self.examples, self.probabilities, strict=True):
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
    references = [LABELS.index(example.stance) for example in examples]

    def answers(pairs: Sequence[Pair]) -> npt.NDArray[np.float32]:
        return only_known(predictor.probabilities(pairs), examples)

    probabilities = answers([example.pair() for example in examples])
    systems = {MODEL: probabilities.argmax(1)} | baselines.predictions(rows["train"], examples, seed=config.seed)

    def estimate(predicted: npt.NDArray[Any], kept: npt.NDArray[np.int64], of: Rates = rates) -> dict[str, Estimate]:
        groups = [examples[i].article_id for i in kept]
        counts = by_group([references[i] for i in kept], predicted[kept].tolist(), groups)
        return estimates(counts, resamples=config.resamples, seed=config.seed, of=of)

    bare = [Pair(example.text, example.actor, example.target) for example in examples]
    printed = [as_printed(example).pair() for example in examples]
    everything = np.arange(len(examples))
    annotated = np.array([i for i, example in enumerate(examples) if example.provenance != "sampled"], np.int64)
    tagged = {tag: np.array([i for i, e in enumerate(examples) if tag in e.tags], np.int64) for tag in PHENOMENA}
    tagged = {tag: kept for tag, kept in tagged.items() if len(kept)}
    return Report(
        split=config.split,
        examples=examples,
        probabilities=probabilities,
        confusion=confusion(references, systems[MODEL]),
        scores={name: estimate(predicted, everything) for name, predicted in systems.items()},
        calibration_error=calibration_error(probabilities, references),
        articles=len({example.article_id for example in examples}),
        annotated_only=estimate(systems[MODEL], annotated),
        without_places=estimate(answers(bare).argmax(1), everything),
        as_printed=estimate(answers(printed).argmax(1), everything),
        phenomena={tag: (len(kept), estimate(systems[MODEL], kept, slice_rates)) for tag, kept in tagged.items()},
        annotated_baselines=_annotated_baselines(rows["train"], [examples[i] for i in annotated], config),
    )


def _annotated_baselines(
    train: Sequence[Example], examples: Sequence[Example], config: EvaluationConfig
) -> dict[str, dict[str, Estimate]]:
    """Whether names give the stance away, without the sampled pairs, whose names are of another kind."""
    learned = [example for example in train if example.provenance != "sampled"]
    references = [LABELS.index(example.stance) for example in examples]
    groups = [example.article_id for example in examples]
    return {
        name: estimates(by_group(references, predicted.tolist(), groups), resamples=config.resamples, seed=config.seed)
        for name, predicted in baselines.predictions(learned, examples, seed=config.seed).items()
    }


def check(config: EvaluationConfig, rows: Mapping[str, Sequence[Example]]) -> None:
    """Refuse a split that the dataset does not have, and settings without a meaning."""
    if config.split not in rows:
        raise StanceError(f"evaluation.split={config.split}: unknown split; expected one of {', '.join(rows)}")
    if config.resamples < 1 or config.seed < 0:
        raise StanceError("evaluation.resamples must be at least 1 and evaluation.seed 0 or more")


def metrics(report: Report) -> dict[str, float]:
    """All scores with the bounds of their intervals, as flat metric names."""
    flat = {f"{report.split}_calibration_error": report.calibration_error}
    for system, values in report.scores.items():
        prefix = report.split if system == MODEL else f"{report.split}_baseline_{slug(system)}"
        for name, estimate in values.items():
            flat[f"{prefix}_{name}"] = estimate.value
            flat[f"{prefix}_{name}_low"] = estimate.low
            flat[f"{prefix}_{name}_high"] = estimate.high
    for tag, (_, slice_scores) in report.phenomena.items():
        flat[f"{report.split}_phenomenon_{slug(tag)}_f1"] = slice_scores["f1"].value
    return flat


def slug(name: str) -> str:
    """A name as part of a metric's name."""
    return re.sub(r"\W+", "_", name.casefold()).strip("_")


def table(report: Report) -> list[list[str]]:
    """Rows for a reader: a header, then each system with its summary scores and intervals."""
    rows = [["system", "macro-F1 [95 %]", "accuracy [95 %]", "MCC [95 %]"]]
    rows += [[system, *(str(values[name]) for name in SUMMARY)] for system, values in report.scores.items()]
    slices = {
        "model, asked without the mentions' places": report.without_places,
        "model, names in the passage's words": report.as_printed,
        "model, annotated pairs only": report.annotated_only,
    }
    return [*rows, *([title, *(str(values[name]) for name in SUMMARY)] for title, values in slices.items())]


def per_phenomenon(report: Report) -> list[list[str]]:
    """Rows for a reader: F1 (mean over the labels that the slice has) and accuracy of the pairs with each tag."""
    slices = sorted(report.phenomena.items(), key=lambda item: item[1][1]["f1"].value)
    return [
        ["phenomenon", "pairs", "F1 [95 %]", "accuracy [95 %]"],
        *([tag, str(n), str(found["f1"]), str(found["accuracy"])] for tag, (n, found) in slices),
    ]


def names_alone(report: Report) -> list[list[str]]:
    """Rows for a reader: what baselines get on annotated pairs, to see whether names give the stance away."""
    return [
        ["on annotated pairs", "macro-F1 [95 %]", "accuracy [95 %]"],
        *([name, str(v["macro_f1"]), str(v["accuracy"])] for name, v in report.annotated_baselines.items()),
    ]


def per_class(report: Report) -> list[list[str]]:
    """Rows for a reader: precision, recall and F1 of each label, with its count."""
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
        ),
    ]


def _plain(values: Mapping[str, Estimate]) -> dict[str, list[float]]:
    return {name: [e.value, e.low, e.high] for name, e in values.items()}
