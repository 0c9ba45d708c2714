"""The baselines that stand beside every score: what a model must beat to have learned anything.

`chance` draws labels as often as the training split has them. It, not the majority, is what a classifier gets that
knows nothing: macro-F1 punishes one answer for all. The majority's confidence is its label's share of that split.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from stance.records import LABELS, Example
from stance.scoring.scores import known

Predictions = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
MAJORITY = "majority"
CHANCE = "chance"
BAG_OF_WORDS = "TF-IDF + logistic regression"
NAMES_ONLY = "actor and target only"
SYSTEMS = (MAJORITY, CHANCE, BAG_OF_WORDS, NAMES_ONLY)
MOST = 100_000
"""Rows that `BAG_OF_WORDS` learns from: what it needs grows with the different words of all passages."""


def predictions(
    train: Sequence[Example], test: Sequence[Example], *, seed: int, systems: Sequence[str] = SYSTEMS
) -> dict[str, Predictions]:
    """Fit the baselines named in `systems` on `train`; class indices for `test`, by the baseline's name."""
    fitted = probabilities(train, test, seed=seed, systems=systems)
    return {name: found.argmax(1) for name, found in fitted.items()}


def probabilities(
    train: Sequence[Example], test: Sequence[Example], *, seed: int, systems: Sequence[str] = SYSTEMS
) -> dict[str, Probabilities]:
    """Fit the baselines named in `systems` on `train`; probabilities of shape `(test, 3)`, by the baseline's name.

    Of more than `MOST` rows so many are drawn by the seed for `BAG_OF_WORDS`; the others learn from all.
    Labels that a row's corpus does not know get none, unless a baseline gives the others none either.
    """
    labels, drawn = [LABELS.index(example.stance) for example in train], list(range(len(train)))
    if len(train) > MOST:
        drawn = sorted(np.random.default_rng(seed).choice(len(train), MOST, replace=False).tolist())
    recipes: dict[str, tuple[Pipeline | DummyClassifier, Callable[[Example], str]]] = {
        MAJORITY: (DummyClassifier(strategy="prior"), _names),
        CHANCE: (DummyClassifier(strategy="stratified", random_state=seed), _names),
        BAG_OF_WORDS: (_logistic(seed), _everything),
        NAMES_ONLY: (_logistic(seed), _names),
    }
    result, possible = {}, known(test)
    for name in systems:
        classifier, text = recipes[name]
        rows = drawn if name == BAG_OF_WORDS else range(len(train))
        told = [labels[row] for row in rows]
        if len(set(told)) == 1:  # there is nothing to fit
            classifier = DummyClassifier(strategy="prior")
        classifier.fit([text(train[row]) for row in rows], told)
        found = np.zeros((len(test), len(LABELS)))
        found[:, classifier.classes_] = classifier.predict_proba([text(example) for example in test])
        if name == CHANCE:
            _draw_again(found, np.bincount(labels, minlength=len(LABELS)).astype(float) * possible, seed)
        allowed = found * possible
        total = allowed.sum(1, keepdims=True)
        result[name] = np.where(total > 0, allowed / np.where(total > 0, total, 1), found)
    return result


def _draw_again(drawn: Probabilities, shares: Probabilities, seed: int) -> None:
    """Where a label was drawn that the row's corpus does not know, draw one of those that it knows by their shares."""
    total = shares.sum(1)
    lost = ((drawn * (shares > 0)).sum(1) == 0) & (total > 0)
    reached = shares[lost].cumsum(1) / total[lost, None]
    places = np.random.default_rng(seed).random((int(lost.sum()), 1))
    drawn[lost] = np.eye(len(LABELS))[(reached > places).argmax(1)]


def _logistic(seed: int) -> Pipeline:
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
    return make_pipeline(vectors, LogisticRegression(max_iter=1000, class_weight="balanced", random_state=seed))


def _names(example: Example) -> str:
    return f"{_marked('actor', example.actor)} {_marked('target', example.target)}"


def _everything(example: Example) -> str:
    return f"{_names(example)} {example.text}"


def _marked(role: str, name: str) -> str:
    """A name's words, each with its role, so that a bag of words keeps actor and target apart."""
    return " ".join(f"{role}_{word}" for word in name.casefold().split())
