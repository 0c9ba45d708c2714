"""What an artifact says about its confidence: a temperature and a threshold for each way that pairs are asked.

The ways are `stance.artifact.WAYS`. A model is less often right about pairs that come without their mentions' places,
and hardly less confident, so that one temperature can't suit both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stance.artifact import WAYS
from stance.records import LABELS, Example
from stance.scoring.abstention import Abstention, choose
from stance.scoring.calibration import FEW, Calibration, calibrate, softmax
from stance.scoring.scores import Answers, known

Asked = Mapping[str, tuple[Sequence[Example], npt.NDArray[np.float32]]]
"""Examples and their logits, shape `(examples, 3)`, by way of asking."""
NUMBERS = ("threshold", "coverage", "risk", "bound")


@dataclass(frozen=True, slots=True)
class Trust:
    """Temperatures and thresholds by way of asking; without a target risk there are no thresholds."""

    calibration: dict[str, Calibration]
    abstention: dict[str, Abstention]

    def temperatures(self, examples: Sequence[Example]) -> npt.NDArray[np.float64]:
        """Those of examples as they are asked, shape `(examples, 1)`."""
        return np.array([self.calibration[WAYS[example.pair().placed]].temperature for example in examples])[:, None]

    def to_json(self) -> dict[str, Any]:
        """The part of `stance.json`."""
        return {
            "temperature": self.calibration["with_places"].temperature,
            "temperature_without_places": self.calibration["without_places"].temperature,
            "calibration": {way: asdict(found) for way, found in self.calibration.items()},
            "abstention": {way: asdict(found) for way, found in self.abstention.items()} or None,
        }

    def metrics(self) -> dict[str, float]:
        """All numbers as flat metric names; a threshold that was not found has none."""
        flat = {}
        for way, found in self.calibration.items():
            flat[f"{way}_temperature"] = found.temperature
            flat |= {f"{way}_uncalibrated_{name}": value for name, value in found.before.items()}
            flat |= {f"{way}_{name}": value for name, value in found.after.items()}
        for way, one in self.abstention.items():
            if one.threshold is not None:
                flat |= {f"{way}_{name}": getattr(one, name) for name in NUMBERS}
        return flat

    def doubts(self) -> dict[str, str]:
        """A warning where few pairs told the temperatures."""
        pairs = min(found.pairs for found in self.calibration.values())
        said = f"confidence is fitted on {pairs} validation pairs, and {FEW} would tell more: don't trust it far"
        return {"few_validation_pairs": said} if pairs < FEW else {}

    def lines(self) -> list[str]:
        """What a reader is told."""
        asked = {way: f"asked {way.replace('_', ' ')}" for way in WAYS}
        fitted = [f"{asked[way]}: {found}" for way, found in self.calibration.items()]
        return fitted + [f"{asked[way]}, least confidence: {found}" for way, found in self.abstention.items()]


def fit(asked: Asked, *, target_risk: float, risk_confidence: float, knows: Sequence[str] = LABELS) -> Trust:
    """Fit a temperature for each way of asking, and choose a threshold for it unless `target_risk` is 0.

    Args:
        asked: validation.
        target_risk: the share of wrong answers that is allowed.
        risk_confidence: how sure it is that there are no more.
        knows: the labels that the model learned.
    """
    choices = np.isin(LABELS, knows)
    calibration = {way: calibrate(logits, examples) for way, (examples, logits) in asked.items()}
    abstention = {}
    for way, (examples, logits) in asked.items() if target_risk > 0 else ():
        whole = np.all(known(examples) | ~choices, 1)  # the shipped model chooses among all labels that it learned
        answers = Answers.to(examples, softmax(logits / calibration[way].temperature)).only(whole)
        abstention[way] = choose(answers, target_risk=target_risk, risk_confidence=risk_confidence)
    return Trust(calibration, abstention)
