"""The baselines that stand beside every score: what a model must beat to have learned anything.

`chance` draws labels as often as the training split has them. It, not the majority, is what a classifier gets that
knows nothing: macro-F1 punishes one answer for all.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from stance.records import LABELS, Example
from stance.scores import known

Predictions = npt.NDArray[np.int64]
MAJORITY = "majority"
CHANCE = "chance"
BAG_OF_WORDS = "TF-IDF + logistic regression"
NAMES_ONLY = "actor and target only"
SYSTEMS = (MAJORITY, CHANCE, BAG_OF_WORDS, NAMES_ONLY)


def predictions(
    train: Sequence[Example], test: Sequence[Example], *, seed: int, systems: Sequence[str] = SYSTEMS
) -> dict[str, Predictions]:
    """Fit the baselines named in `systems` on `train`; class indices for `test`, by the baseline's name."""
    labels = [LABELS.index(example.stance) for example in train]
    recipes: dict[str, tuple[Pipeline | DummyClassifier, Callable[[Example], str]]] = {
        MAJORITY: (DummyClassifier(strategy="most_frequent"), _names),
        CHANCE: (DummyClassifier(strategy="stratified", random_state=seed), _names),
        BAG_OF_WORDS: (_logistic(seed), _everything),
        NAMES_ONLY: (_logistic(seed), _names),
    }
    result = {}
    for name in systems:
        classifier, text = recipes[name]
        classifier.fit([text(example) for example in train], labels)
        result[name] = _choose(classifier, [text(example) for example in test], known(test))
    return result


def _choose(
    classifier: Pipeline | DummyClassifier, texts: Sequence[str], choices: npt.NDArray[np.bool_]
) -> Predictions:
    """The most probable class among those that are a choice; the classifier's own where it gives none of them any."""
    found = np.zeros(choices.shape)
    found[:, classifier.classes_] = classifier.predict_proba(texts)
    allowed = found * choices
    return np.asarray(np.where(allowed.any(1), allowed.argmax(1), found.argmax(1)), np.int64)


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
