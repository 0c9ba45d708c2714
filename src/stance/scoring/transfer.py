"""How a model carries over to public corpora that it was not trained on: their development parts, scored as published.

* SEESAW valid: accuracy of support against oppose, the pair given (it has no neutral).
* DSE valid without the rows that repeat a training row: directed, each sentence asked both ways, 3 classes.
* NewsMTSC dev (rw, mt): 3 classes towards the target; the holder is "someone".
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stance import corpora
from stance.bootstrap import Estimate
from stance.building import examples
from stance.corpora import dse
from stance.errors import StanceError
from stance.network.inference import Logits
from stance.predictor import StancePredictor
from stance.records import LABELS, Article, Example, Stance
from stance.scoring import abstention, calibration
from stance.scoring.abstention import Kept
from stance.scoring.scores import Answers, by_group, estimates, independent, slice_rates
from stance.settings.building import ExamplesConfig
from stance.settings.scoring import TransferConfig

PUBLIC, OWN = ("seesaw", "dse", "newsmtsc"), "jsonl:stance-news"
POLAR = [LABELS.index(Stance.OPPOSE), LABELS.index(Stance.SUPPORT)]


@dataclass(frozen=True)
class Transfer:
    """Scores on one set. `headline` names the one that is published for it."""

    name: str
    pairs: int
    headline: str
    scores: dict[str, Estimate]


@dataclass(frozen=True)
class Confidence:
    """How far confidence can be trusted on one set, and how the artifact's threshold fares there (None without one)."""

    name: str
    measures: dict[str, Estimate]
    kept: Kept | None

    def estimates(self) -> dict[str, Estimate]:
        """The measures, and coverage and risk at the threshold."""
        return self.measures | ({"coverage": self.kept.coverage, "risk": self.kept.risk} if self.kept else {})


def load(config: TransferConfig) -> dict[str, list[Example]]:
    """The examples of each development part that is there. Prints how many rows can't be asked about, and why.

    Raises:
        StanceError: none is there, or a file is not of the published format.
    """
    root = Path(config.root)
    if config.context < 0 or config.resamples < 100 or config.seed < 0:
        raise StanceError("transfer.context and transfer.seed must not be negative, transfer.resamples at least 100")
    found: dict[str, list[Article]] = {}
    if (root / "seesaw" / "SEESAW").is_dir():
        articles = corpora.read(root / "seesaw" / "SEESAW", "seesaw")
        found["seesaw-valid"] = [article for article in articles if article.split == "validation"]
    if (root / "dse" / "valid.txt").is_file():
        valid, train = (corpora.read(root / "dse" / f"{part}.txt", "dse") for part in ("valid", "train"))
        leaked = dse.leaked(valid, train)
        found["dse-valid-clean"] = [article for article in valid if article.id not in leaked]
    for part in ("rw", "mt"):
        if (file := root / "newsmtsc" / f"{part}_dev.jsonl").is_file():
            found[f"newsmtsc-{part}"] = corpora.read(file, "newsmtsc")
    if not found:
        raise StanceError(
            f"transfer.root={root}: no public corpus there; expected seesaw/SEESAW, dse or newsmtsc below it "
            "(`python scripts/fetch_corpus.py name=dse` fetches one)"
        )
    settings = ExamplesConfig(context=config.context, alone=0, neutral_ratio=0)
    asked = {name: list(_asked(name, articles, settings)) for name, articles in found.items()}
    for name in [name for name, rows in asked.items() if not rows]:
        print(f"{name}: not scored: no row to ask about")
        del asked[name]
    if not asked:
        raise StanceError(f"transfer.root={root}: no corpus there has a development row to ask about")
    return asked


def _asked(name: str, articles: Sequence[Article], settings: ExamplesConfig) -> Iterator[Example]:
    """The examples of a set; what can't be asked about is printed."""
    lost: Counter[str] = Counter()
    for kept, dropped in examples.make(articles, settings, corpus=name):
        lost.update(item.reason for item in dropped)
        yield from kept
    for reason, number in lost.items():
        print(f"{name}: not scored: {number}: {reason}")


def score(
    logits: Mapping[str, Logits], rows: Mapping[str, Sequence[Example]], config: TransferConfig
) -> list[Transfer]:
    """Score answers of shape `(examples, 3)`, logits or probabilities, for each set."""
    return [_score(name, logits[name], part, config) for name, part in rows.items()]


def two_way(answers: Logits) -> npt.NDArray[np.int64]:
    """The class indices of support or oppose, whichever answers of shape `(examples, 3)` have higher."""
    return np.asarray(np.array(POLAR)[answers[:, POLAR].argmax(1)], np.int64)


def _score(name: str, answers: Logits, rows: Sequence[Example], config: TransferConfig) -> Transfer:
    references = np.array([LABELS.index(row.stance) for row in rows])
    groups = independent(rows)

    def estimate(predicted: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]) -> dict[str, Estimate]:
        counts = by_group(references[kept].tolist(), predicted[kept].tolist(), groups[kept].tolist())
        return estimates(counts, resamples=config.resamples, seed=config.seed, of=slice_rates(references[kept]))

    polar = np.isin(references, POLAR)
    polar_only = estimate(two_way(answers), polar)
    three_way = estimate(answers.argmax(1), np.ones(len(rows), bool))
    scores = {
        "two_way_accuracy": polar_only["accuracy"],
        "two_way_macro_f1": polar_only["f1"],
        "macro_f1": three_way["f1"],
        "accuracy": three_way["accuracy"],
    }
    return Transfer(name, len(rows), "two_way_accuracy" if polar.all() else "macro_f1", scores)


def learned(name: str, artifact: Mapping[str, Any]) -> bool | None:
    """Whether an artifact has learned from the training part of a set's corpus; None if that is not known.

    It goes by the formats of the corpora: what came in a general one (a table, JSON Lines) may be any of them, unless
    it is the corpus of this project.

    Args:
        name: of the set.
        artifact: its `stance.json`.
    """
    found = artifact.get("checkpoint", {}).get("learned_from")
    if found is None:
        return None
    if name.split("-")[0] in {corpus.partition(":")[0] for corpus in found}:
        return True
    return False if all(map(_certain, found)) else None


def _certain(corpus: str) -> bool:
    return corpus == OWN or corpus.partition(":")[0] in PUBLIC


def warning(known: Mapping[str, bool | None]) -> str:
    """What to say of sets of whose corpus an artifact has learned, or may have (`learned`); empty for none."""
    seen = ", ".join(name for name, answer in known.items() if answer)
    if seen:
        return f"the artifact has learned from the training parts of {seen}: these scores are not of transfer"
    if None in known.values():
        return "it is not known whether the artifact has learned from these corpora: the scores may not be of transfer"
    return ""


def table(found: Sequence[Transfer]) -> list[list[str]]:
    """Rows for a reader; the published score of each set is marked."""
    names = ("two_way_accuracy", "two_way_macro_f1", "macro_f1", "accuracy")
    header = ["set", "pairs", *(name.replace("_", " ") for name in names)]
    return [
        header,
        *([t.name, str(t.pairs), *(f"{t.scores[n]}{' *' * (n == t.headline)}" for n in names)] for t in found),
    ]


def confidence(
    probabilities: Mapping[str, npt.NDArray[Any]],
    rows: Mapping[str, Sequence[Example]],
    config: TransferConfig,
    predictor: StancePredictor,
) -> list[Confidence]:
    """How far an artifact's confidence can be trusted on each set, over the labels that the set knows.

    Its threshold is judged over all labels, as it is applied.

    Args:
        probabilities: of the artifact, shape `(examples, 3)`, by set.
        rows: the examples by set.
        config: of the intervals.
        predictor: the artifact.
    """
    found = []
    for name, part in rows.items():
        labels = tuple(label for label in LABELS if label in {row.stance for row in part})
        answers = Answers.to([replace(row, labels=labels) for row in part], probabilities[name])
        measures = calibration.estimates(answers, resamples=config.resamples, seed=config.seed)
        kept = abstention.judge(probabilities[name], predictor, part, resamples=config.resamples, seed=config.seed)
        found.append(Confidence(name, measures, kept))
    return found


def confidence_table(found: Sequence[Confidence]) -> list[list[str]]:
    """Rows for a reader: the measures of calibration, and what the threshold does."""
    header, *lines = calibration.table("set", {c.name: c.measures for c in found})
    if not any(c.kept for c in found):
        return [header, *lines]
    return [
        [*header, "coverage [95 %]", "risk [95 %]"],
        *([*line, *_told(c.kept)] for line, c in zip(lines, found, strict=True)),
    ]


def _told(kept: Kept | None) -> tuple[str, str]:
    return (str(kept.coverage), str(kept.risk)) if kept else ("–", "–")
