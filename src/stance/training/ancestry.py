"""What a model has learned from, also by its teachers and the weights it starts from: held-out rows, perhaps."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stance.building.dataset import Manifest
from stance.errors import StanceError
from stance.network import model
from stance.settings.training import TrainingConfig
from stance.training.recipe import teachers

TEACHER, INITIAL = "foreign_teacher", "foreign_initial"
"""The alerts about a teacher, and about weights to start from, that learned from another dataset."""


def doubts(config: TrainingConfig, dataset_sha256: str) -> dict[str, str]:
    """A text for each alert about checkpoints that learned from another dataset than this one.

    Raises:
        StanceError: a teacher is no checkpoint of ours.
    """
    found = {}
    folders = list(dict.fromkeys(folder for _, folder in teachers(config)))
    told = [text for folder in folders if (text := _other("teacher", folder, dataset_sha256))]
    if told:
        found[TEACHER] = "; ".join(f"{text}, its answers may know held-out rows" for text in told)
    if initial := started_from(config):
        text = _other("initial", initial, dataset_sha256)
        found |= {INITIAL: f"{text}, the scores of this training are too good"} if text else {}
    return found


def started_from(config: TrainingConfig) -> Path | None:
    """The checkpoint of ours that a training starts from; None where there is none, or weights alone."""
    initial = Path(config.initial)
    return initial if config.initial and (initial / "checkpoint.json").is_file() else None


def check(
    manifest: Manifest, about: Mapping[str, Any], *, allowed: bool, by: str = "other_dataset=true"
) -> dict[str, str]:
    """Refuse to judge a model by a dataset that it was not trained with: its rows may have been training rows.

    Args:
        manifest: of the dataset at hand.
        about: what the model's checkpoint says of itself.
        allowed: take another dataset all the same.
        by: the setting that allows it, if there is one.

    Returns:
        The alerts about another dataset, its own or that of an ancestor: of a teacher, or of the weights it began with.
    """
    here, trained_on, found = manifest.sha256, str(about.get("dataset_sha256") or ""), dict[str, str]()
    if trained_on != here:
        found["other_dataset"] = (
            f"the model was trained with dataset {trained_on[:12] or 'unknown'}, this one is {here[:12]}: "
            "its rows may have been training rows"
        )
        if not allowed:
            otherwise = f", train again, or set {by} if the two share no article" if by else " or train again"
            raise StanceError(f"{found['other_dataset']}; name the dataset of the training{otherwise}")
    if others := [str(name) for name in about.get("ancestors", ()) if name != here]:
        found["foreign_ancestor"] = (
            f"an ancestor of the model learned from another dataset ({others[0][:12]}, this one is {here[:12]}): the "
            "rows that it is scored on may have been among its training rows"
        )
    return found


def learned_from(manifest: Manifest, config: TrainingConfig) -> list[str] | None:
    """The corpora, as `FORMAT:NAME`, that a training on this dataset learns from, its ancestors' included.

    None if a teacher, or the weights it starts from, do not say what they have learned from.
    """
    taught = manifest.corpora.get("train", {})
    found = {f"{s['format']}:{s['name']}" for s in manifest.config.get("corpora", ()) if s["name"] in taught}
    theirs = corpora(ancestors(config))
    return None if theirs is None else sorted(found.union(theirs))


def corpora(folders: Iterable[Path]) -> list[str] | None:
    """What these models have learned from together; None if one of them does not say so."""
    found = set[str]()
    for folder in folders:
        file = folder / "checkpoint.json"
        theirs = model.about(folder).get("learned_from") if file.is_file() else None
        if theirs is None:
            return None
        found |= set(theirs)
    return sorted(found)


def datasets(folders: Iterable[Path]) -> list[str]:
    """The fingerprints of all datasets that these models, and theirs before them, have learned from."""
    ours = (folder for folder in folders if (folder / "checkpoint.json").is_file())
    return sorted(set().union(*map(_datasets, ours)))


def ancestors(config: TrainingConfig) -> list[Path]:
    """The teachers of a training, and what it starts from."""
    return [folder for _, folder in teachers(config)] + [Path(config.initial)] * bool(config.initial)


def _datasets(folder: Path) -> set[str]:
    """What a checkpoint and its ancestors have learned from, as far as it says."""
    about = model.about(folder)
    return {str(name) for name in (about.get("dataset_sha256"), *about.get("ancestors", ())) if name}


def _other(setting: str, folder: Path, here: str) -> str:
    others = sorted(_datasets(folder) - {here})
    if not others:
        return ""
    return (
        f"training.{setting}={folder} learned from another dataset (sha256 {others[0][:12]}, here {here[:12]}): "
        "where that one has other splits of the same articles"
    )
