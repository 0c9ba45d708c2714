"""Studies train models only to ask them: bake-off, learning curve, review, sweep. Here: what they share."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stance import jsonl
from stance.errors import StanceError
from stance.network import inference, model
from stance.network.inference import Logits
from stance.network.memory import free
from stance.records import Example
from stance.scoring.scores import ALL, choices
from stance.settings.scoring import TransferConfig
from stance.settings.training import ModelConfig, TrainingConfig
from stance.studies import scratch
from stance.training import finetuning
from stance.training.finetuning import Result
from stance.training.recipe import MAX_SEED, without_effect
from stance.training.resume import job_digest, note

ALTERED = "macro-F1 over the labels that are known"
"""Sets of fewer labels were scored over all three once; what was kept of them is another measure."""
Sets = Mapping[str, Sequence[Example]]
"""Examples by the name of their set."""


def train_and_predict(
    splits: Sets, models: ModelConfig, recipe: TrainingConfig, sets: Sets
) -> tuple[Result, dict[str, Logits]]:
    """Train a model, which is thrown away, and let it answer the examples of each set, shape `(examples, 3)`."""
    recipe = replace(recipe, save_steps=0)  # nothing goes on from within a training
    free()
    with scratch.folder() as folder:
        result = finetuning.train(splits, models, recipe, output=folder / "checkpoint", about={}, rescue=False)
        free()
        checkpoint = model.load(result.checkpoint)
    return result, {name: inference.logits(checkpoint, [row.pair() for row in rows]) for name, rows in sets.items()}


def recipe_digest(models: ModelConfig, recipe: TrainingConfig, dataset_sha256: str) -> str:
    """What a study knows a recipe by: all of it but the seed, in whose place it has seeds of its own."""
    return job_digest(models, replace(recipe, seed=TrainingConfig.seed), dataset_sha256)


def joined(alerts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What several trainings warned of, for one record: for each alert all its texts, each once."""
    told: dict[str, dict[str, None]] = {}
    for name, text in alerts:
        told.setdefault(name, {})[text] = None
    return {name: "; ".join(texts) for name, texts in told.items()}


def told(found: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """What each of several trainings, by its name, warned of, joined by alert."""
    return joined((alert, f"{name}: {text}") for name, alerts in found for alert, text in alerts.items())


def seedless(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Resolved settings of a study, for its record, without `training.seed`: it has seeds of its own."""
    return {**settings, "training": {key: value for key, value in settings["training"].items() if key != "seed"}}


def say_unused(config: TrainingConfig, seeds: str = "", *, among: Sequence[TrainingConfig] = ()) -> None:
    """Say which given settings a study has no use for.

    Args:
        config: what was given.
        seeds: the setting that a study has in place of `training.seed`; a review has none, and begins anew each time.
        among: see `recipe.without_effect`.
    """
    said = without_effect(config, among)
    if config.save_steps:
        why = "a study goes on after its last training" if seeds else "a review begins anew"
        said.append(f"training.save_steps={config.save_steps} is not used: {why}")
    if seeds and config.seed != TrainingConfig.seed:
        said.append(f"training.seed={config.seed} is not used: {seeds} are")
    for line in said:
        print(line)


def say_unasked(config: TransferConfig, *, public: bool) -> None:
    """Say which settings of the public corpora were given to a study that does not ask about these."""
    default = asdict(TransferConfig())
    for key, value in asdict(config).items():
        if not public and value != default[key]:
            print(f"transfer.{key}={value} has no effect without public=true")


@contextmanager
def noted(memory: Path) -> Iterator[Callable[[str], str]]:
    """Keep the id of a study's run beside its memory while the study goes on.

    Yields:
        Notes an id, and returns that of a run whose process was killed; empty for none, and where another process
        has a study with this memory at this moment.
    """
    memory.parent.mkdir(parents=True, exist_ok=True)
    path, lock = memory.with_name(f".{memory.name}.run"), FileLock(memory.with_name(f".{memory.name}.run.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield lambda run: ""
        return

    before = path.read_bytes() if path.is_file() else b""
    try:
        yield partial(note, path)
        path.unlink(missing_ok=True)
    except Exception:  # a run that failed has ended too; where there was none, the note is still of a killed one
        if path.is_file() and path.read_bytes() != before:
            path.unlink()
        raise
    finally:
        lock.release()


def learned(train: Sequence[Example], sets: Sets) -> dict[str, str]:
    """The alert about sets whose passages are learned: a public corpus, perhaps, that the dataset divided anew."""
    texts = "\n".join(dict.fromkeys(row.text for row in train))  # which may have the sentence in its context
    known = {text for text in {row.text for rows in sets.values() for row in rows} if text in texts}
    counts = {name: sum(row.text in known for row in rows) for name, rows in sets.items()}
    told = [f"{n} of {len(sets[name])} of {name}" for name, n in counts.items() if n]
    doubt = f"the passages of {', '.join(told)} are learned: scores there are too good"
    return {"learned_scored": doubt} if told else {}


def contents(sets: Sets) -> str:
    """A digest of all that is in the sets, labels too."""
    found = hashlib.sha256()
    for name, rows in sets.items():
        found.update(f"{name}\n{'' if choices(rows) == ALL else ALTERED}".encode())
        for row in rows:
            found.update(jsonl.dumps(row.to_json()).encode())
    return found.hexdigest()


def are_seeds(numbers: Sequence[int]) -> bool:
    """Whether these can be the seeds of a study: at least one, from 0 to `MAX_SEED`, each once."""
    return bool(numbers) and min(numbers) >= 0 and max(numbers) <= MAX_SEED and len(set(numbers)) == len(numbers)


class Memory:
    """Finished parts of a study by key, in a file of JSON Lines: a run that was cut off goes on after them.

    Studies beside each other may share the file.

    Raises:
        StanceError: the file is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known = self._read()

    def keep(self, key: str, part: dict[str, Any]) -> None:
        """Add a part, and write the file anew, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            self.known = {**self._read(), key: part}
            jsonl.write(self.path, ({"key": known, **row} for known, row in self.known.items()))

    def _read(self) -> dict[str, dict[str, Any]]:
        rows = [row for _, row in jsonl.read(self.path)] if self.path.is_file() else []
        if not all("key" in row for row in rows):
            raise StanceError(f"{self.path}: not the finished parts of a study; choose another output")
        return {row.pop("key"): row for row in rows}
