"""A dataset to a checkpoint."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from stance import launch, tracking
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.errors import StanceError
from stance.files import check_outside, check_replaceable
from stance.jobs.training import TrainJob
from stance.network import encoders, model
from stance.records import UNLABELLED, Example
from stance.tracking import origin
from stance.tracking.runs import Run
from stance.training import ancestry, distributed, failures, finetuning, resume, teacher
from stance.training.engine import auto_settings
from stance.training.recipe import doubt, suited, without_effect
from stance.training.rehearsal import rehearse


def run(job: TrainJob) -> float:
    """Fine-tune an encoder on a dataset and keep the epoch with the best validation macro-F1.

    Returns:
        That macro-F1.
    """
    distributed.check_devices()
    _check_output(job)
    width = encoders.pretrained_config(job.model).hidden_size
    rows, manifest = dataset.load(Path(job.dataset))
    recipe = resume.with_precision(
        job.model, suited(job.training, width), manifest.sha256, Path(job.output), job.resume
    )
    idle = without_effect(job.training)
    job = replace(job, training=recipe)
    if job.resume == "auto" and (made := _made(job, manifest)) is not None:
        return made
    if launch.rank():  # the first process alone prints and keeps a record
        return _follow(job, rows)
    with failures.loading(job.model):
        rehearse(job.model, recipe, rows)  # before a run is begun for what can't be trained
    _announce(job, rows, filter(None, (doubt(recipe, width), *idle)))
    with resume.hold_work(Path(job.output)) as work:
        before = resume.find_interrupted(
            work, resume.describe_job(job.model, job.training, manifest.sha256), job.resume
        )
        with tracking.run(job.tracking, stage="train", settings=asdict(job), resume=before.run) as active:
            tracking.give_up(before.given_up)
            tracking.give_up(resume.note(work / resume.RUN, active.id))
            active.dataset(manifest, Path(job.dataset), "training")
            result = _train(job, rows, manifest, active)
    for split, cuts in result.cuts.items():
        print(f"{split}: {cuts}")
    print(
        f"trained in {result.precision} at {result.pairs_per_second:.0f} pairs/s; "
        f"validation macro-F1 {result.scores['macro_f1']:.3f}"
        + (f"; adapters: {result.trained_share:.1%} of the parameters were trained" if job.training.lora.rank else "")
    )
    return result.scores["macro_f1"]


def _check_output(job: TrainJob) -> None:
    """Refuse an output that is read, or that holds something else, before there is a run."""
    output = Path(job.output)
    resume.check_apart(job.training, output)
    check_outside(output, Path(job.dataset))
    check_replaceable(output, marker="checkpoint.json", own=model.ENTRIES)


def _announce(job: TrainJob, rows: dict[str, list[Example]], remarks: Iterable[str]) -> None:
    """Say what begins, and what is to be said of its settings."""
    print(
        f"train: {job.model.name} on {len(rows['train'])} pairs of {job.dataset}{_asked(job, rows)}, at most "
        f"{job.training.epochs} epochs, learning rate {job.training.learning_rate:g} -> checkpoint in {job.output}",
        *remarks,
        sep="\n",
    )
    _say_replaced(Path(job.output))


def _say_replaced(output: Path) -> None:
    """Say which finished checkpoint stands in the place of the output: it may have taken hours."""
    if (output / "checkpoint.json").is_file():
        with suppress(StanceError, AttributeError, TypeError, ValueError):
            there = model.about(output)
            score = there.get("validation", {}).get("macro_f1", math.nan)
            by = f"of {there.get('model', {}).get('name')}, dataset {str(there.get('dataset_sha256'))[:12]}"
            print(f"when it ends it replaces the checkpoint that is there: {by}, validation macro-F1 {score:.3f}")


def _made(job: TrainJob, manifest: Manifest) -> float | None:
    """The validation macro-F1 of the output, if these settings and this dataset made it already."""
    made = resume.finished(Path(job.output), resume.job_digest(job.model, job.training, manifest.sha256))
    if made and not launch.rank():
        print(
            f"{job.output}: has been trained with these settings on this dataset, validation macro-F1 "
            f"{made['macro_f1']:.3f}; resume=never trains it anew"
        )
    return made.get("macro_f1")


def _train(job: TrainJob, rows: dict[str, list[Example]], manifest: Manifest, active: Run) -> finetuning.Result:
    """Train within a tracked run."""
    about = {
        "dataset_sha256": manifest.sha256,
        "train_run": active.id,
        "commit": origin.git_commit()[0],
        "learned_from": ancestry.learned_from(manifest, job.training),
    }
    active.tag(**auto_settings(job.model, job.training))
    result = finetuning.train(
        rows,
        job.model,
        job.training,
        output=Path(job.output),
        about=about,
        sink=active.sink,
        listener=active,
        resume=job.resume,
    )
    active.sink({"pairs_per_second": result.pairs_per_second}, 0)
    active.sink({f"best_validation_{name}": value for name, value in result.scores.items()}, 0)
    active.epoch(result.history)
    active.document(result.cuts, "cuts.json")
    return result


def _asked(job: TrainJob, rows: dict[str, list[Example]]) -> str:
    """How many questions without a label the teachers will answer, if any."""
    number = sum(teacher.heard(rows.get(UNLABELLED, ()), job.training))
    return f" and {number} questions without a label" if number else ""


def _follow(job: TrainJob, rows: dict[str, list[Example]]) -> float:
    """Train as one of the further processes."""
    output = Path(job.output)
    return finetuning.train(rows, job.model, job.training, output=output, about={}, resume=job.resume).scores[
        "macro_f1"
    ]
