"""Several checkpoints to one: the mean of their weights."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from stance import progress, tracking
from stance.building import dataset
from stance.errors import StanceError
from stance.files import check_outside, check_replaceable, remove_leftovers, replace_directory
from stance.jobs.training import AverageJob
from stance.network import inference, model
from stance.network.precision import choose_precision
from stance.records import MASKED, Example
from stance.scoring.scores import known, score
from stance.tracking import origin
from stance.training import ancestry, averaging, resume

WORSE = (
    "the average has a validation macro-F1 of {found:.3f}, less than each of its parts ({least:.3f} and more): weights "
    "average where they began as the same ones, head included; train its parts with training.initial of one checkpoint"
)


def run(job: AverageJob) -> float:
    """Average the weights of checkpoints that began with the same ones, such as further epochs with other seeds.

    Returns:
        The validation macro-F1 of the average.
    """
    output, folders = Path(job.output), [Path(folder) for folder in job.checkpoints]
    check_replaceable(output, marker="checkpoint.json", own=model.ENTRIES)
    for read in (*folders, Path(job.dataset)):
        check_outside(output, read)
    rows, manifest = dataset.load(Path(job.dataset))
    held = rows["validation"]
    doubts = _doubts(manifest, folders)
    checkpoint = averaging.average(folders)
    print(f"average: {', '.join(job.checkpoints)} -> checkpoint in {output}, scored on {len(held):,} validation pairs")
    with (
        resume.hold_work(output, name="average") as work,
        tracking.run(job.tracking, stage="average", settings=asdict(job)) as active,
    ):
        tracking.give_up(resume.note(work / resume.RUN, active.id))  # that of one that was killed
        remove_leftovers(output)
        active.dataset(manifest, Path(job.dataset), "validation")
        active.warn(doubts)
        scores = _scores(checkpoint, held)
        facts = {"dataset_sha256": manifest.sha256, "commit": origin.git_commit()[0], "train_run": active.id}
        checkpoint.about.update(facts, validation=scores)
        with replace_directory(output, marker="checkpoint.json", own=model.ENTRIES) as place:
            model.save(checkpoint, place)
        parts = [part["validation"].get("macro_f1", math.nan) for part in checkpoint.about["averaged"]]
        active.sink({f"best_validation_{name}": value for name, value in scores.items()}, 0)
        active.document({"parts": checkpoint.about["averaged"]}, "averaged.json")
        found = scores["macro_f1"]
        if found < min(parts):
            active.warn({"worse_average": WORSE.format(found=found, least=min(parts))})
    print(f"validation macro-F1 {found:.3f}; of what it is the mean of: {', '.join(f'{part:.3f}' for part in parts)}")
    return found


def _doubts(manifest: dataset.Manifest, folders: Sequence[Path]) -> dict[str, str]:
    """The alerts about what the parts have learned from; refuses parts of another dataset."""
    found = dict[str, str]()
    for folder in folders:
        about = model.about(folder)
        try:
            found |= ancestry.check(manifest, about, allowed=False, by="")
        except StanceError as error:
            raise StanceError(f"{folder}: {error}") from error
    return found


def _scores(checkpoint: model.Checkpoint, rows: Sequence[Example]) -> dict[str, float]:
    """As a training's validation computes them, in the precision that one would take here."""
    pairs, precision = [row.pair() for row in rows], choose_precision("auto")
    with progress.bar("validation", len(pairs)) as done:
        answers = inference.logits(checkpoint, pairs, precision=precision, report=done)
    return score(rows, np.where(known(rows), answers, MASKED).argmax(1))
