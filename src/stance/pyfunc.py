"""The artifact as an MLflow model, in the models-from-code form: MLflow runs this file, nothing is pickled.

Executing it declares the model to MLflow; do not import it for anything else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from stance.artifact import check_precision
from stance.errors import StanceError, printable
from stance.forms import pair_from_json
from stance.predictor import StancePredictor
from stance.records import LABELS


class StancePyfunc(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers a table of `text`, `actor`, `target` with `stance`, `confidence` and the labels' probabilities.

    `actor_span` and `target_span`, `[start, end]` of the mentions, may be left out, also in some rows alone.
    The parameter `abstain` adds a column `abstained`: whether the confidence is too low for the target risk;
    `precision` chooses `int8` or `fp32`.
    """

    def load_context(self, context: Any) -> None:
        """Open the artifact that was logged with the model; its fp32 model when it is first asked for."""
        self.artifact = context.artifacts["artifact"]
        self.predictors = {"int8": StancePredictor.load(self.artifact)}
        self.loading = Lock()

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score every row; the answers come in the same order, under the rows' index.

        Raises:
            MlflowException: a row can't be asked (`INVALID_PARAMETER_VALUE`; a server answers 400).
        """
        rows = [{str(k): _plain(v) for k, v in row.items()} for row in model_input.to_dict("records")]
        abstain, precision = bool((params or {}).get("abstain")), str((params or {}).get("precision", "int8"))
        with _asking():
            pairs = [pair_from_json(row, f"row {number}") for number, row in enumerate(rows, 1)]
            check_precision(precision)
        predictor = self._predictor(precision)  # outside of that: a damaged file is no mistake of the one who asks
        with _asking():
            answers = [answer.to_json() for answer in predictor.predict(pairs, abstain=abstain)]
        columns = ["stance", "confidence", *LABELS, *(["abstained"] if abstain else [])]
        return pd.DataFrame(answers, model_input.index, columns)

    def _predictor(self, precision: str) -> StancePredictor:
        if precision not in self.predictors:  # who asks for one that is loaded does not wait for another one
            with self.loading:
                if precision not in self.predictors:
                    self.predictors[precision] = StancePredictor.load(self.artifact, precision=precision)
        return self.predictors[precision]


@contextmanager
def _asking() -> Iterator[None]:
    """Answer a mistake of the one who asks as such."""
    try:
        yield
    except StanceError as error:
        raise MlflowException(printable(str(error)), error_code=INVALID_PARAMETER_VALUE) from error


def _plain(value: Any) -> Any:
    """A cell as JSON has it: a span may come as an array, or in whole floats, and is NaN where other rows have one."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [int(item) if isinstance(item, float) and item.is_integer() else item for item in map(_plain, value)]
    return None if isinstance(value, float) and np.isnan(value) else value


mlflow.models.set_model(StancePyfunc())
