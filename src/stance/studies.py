"""What studies share that train models only to ask them: learning curve, bake-off, review."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stance import inference, jsonl, model, training
from stance.inference import Logits
from stance.records import Example
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import Result

Sets = Mapping[str, Sequence[Example]]
"""Examples by the name of their set."""


def answers(splits: Sets, models: ModelConfig, recipe: TrainingConfig, sets: Sets) -> tuple[Result, dict[str, Logits]]:
    """Train a model, which is thrown away, and let it answer the examples of each set, shape `(examples, 3)`."""
    with tempfile.TemporaryDirectory(prefix="stance-study-") as folder:
        result = training.train(splits, models, recipe, output=Path(folder) / "checkpoint", about={})
        checkpoint = model.load(result.checkpoint)
    return result, {name: inference.logits(checkpoint, [row.pair() for row in rows]) for name, rows in sets.items()}


class Memory:
    """Finished parts of a study by key, in a file of JSON Lines: a run that was cut off goes on after them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = [row for _, row in jsonl.read(path)] if path.is_file() else []
        self.known: dict[str, dict[str, Any]] = {row.pop("key"): row for row in rows}

    def keep(self, key: str, part: dict[str, Any]) -> None:
        """Add a part, and write the file anew, whole or not at all."""
        self.known[key] = part
        jsonl.write(self.path, ({"key": known, **row} for known, row in self.known.items()))
