"""Better settings of a training."""

from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from stance.building import dataset
from stance.building.dataset import Manifest
from stance.errors import StanceError
from stance.files import check_outside, check_permitted
from stance.jobs import DATASET
from stance.jobs.studies import SweepJob
from stance.settings.training import ModelConfig, TrainingConfig
from stance.studies import database, findings, joined, say_unused, seedless, study, trial
from stance.studies.space import Settings, Space, changed, ends, overruled, values
from stance.studies.sweep import Worker
from stance.tracking import sweep_runs
from stance.tracking.runs import Run
from stance.training import ancestry, finetuning


def run(job: SweepJob) -> float:
    """Search for better settings of a training; several processes and machines can share a search.

    The same command goes on with a search that was killed; given twice at a time, two processes share it. What it
    finds is used by `python scripts/train.py output=outputs/tuned $(cat outputs/sweep/NAME/best.overrides)`.
    More in docs/SWEEPS.md.
    """
    study.check(job.sweep)
    if database.same(job.sweep.storage, job.tracking.uri):
        raise StanceError(
            f"sweep.storage={study.shown(job.sweep.storage)}: tracking.uri names the same database, which Optuna and "
            "MLflow can't share; give each a database of its own"
        )
    folder = Path(job.output) / job.sweep.name
    check_permitted(folder / "best.yaml")
    check_outside(folder, Path(job.dataset))
    rows, manifest = dataset.load(Path(job.dataset))
    plan = trial.plan(job.sweep, Settings(job.model, job.training), rows, scratch=folder)
    for key, value in overruled(plan.settings, plan.space).items():
        print(f"{key}={value} is not used: sweep.space searches it")
    _say_unused(plan.settings, plan.space)
    with study.reached(job.sweep):
        return _search(job, plan, manifest, folder)


def _say_unused(settings: Settings, space: Space) -> None:
    """Say which given settings, but for those that are searched, no trial has a use for."""
    default = values(Settings(ModelConfig(), TrainingConfig()))
    given = changed(settings, {key: default[key] for key in space})
    say_unused(given.training, "sweep.seeds", among=[drawn.training for drawn in ends(settings, space)])


def _search(job: SweepJob, plan: trial.Plan, manifest: Manifest, folder: Path) -> float:
    """Run trials until the study is whole, and write what was found."""
    storage = study.connect(job.sweep, on_stale=lambda found: sweep_runs.killed(job.tracking, found))
    opened = study.join(job.sweep, storage, trial.facts(plan, manifest.sha256))
    where = study.shown(job.sweep.storage)
    print(
        f"sweep: study {job.sweep.name} in {where}, {study.tally(opened.study).done} of {plan.config.trials} done, "
        f"seeds {job.sweep.seeds}; {len(plan.splits['train'])} pairs of {job.dataset}, findings in {folder}",
        flush=True,
    )

    def child(number: int, drawn: Settings) -> AbstractContextManager[Run]:
        return sweep_runs.child(job.tracking, opened, manifest, Path(job.dataset), number, as_trained(drawn))

    settings = seedless(asdict(replace(job, sweep=replace(job.sweep, storage=where))))  # a URL may hold a password
    with sweep_runs.parent(job.tracking, opened, settings, manifest) as active:
        active.warn(_doubts(plan, manifest))
        Worker(opened, plan, child).run()
        extra = {} if job.dataset == DATASET else {"dataset": job.dataset}
        files = findings.write(opened.study, plan, folder, extra=extra)
        for path in (*files, *findings.draw(opened.study, job.sweep, folder)):
            active.file(path)
        best, value = opened.study.best_trial.number, opened.study.best_value
        active.sink({f"best_{job.sweep.metric}": value}, study.tally(opened.study).done)
        active.tag(best_trial=str(best))
    print(
        f"best: trial {best}, median {job.sweep.metric} {value:.3f} over seeds {job.sweep.seeds}; train with it by\n"
        f"{findings.command(folder)}"
    )
    return value


def _doubts(plan: trial.Plan, manifest: Manifest) -> dict[str, str]:
    """What the ancestors of some trials may know of the validation rows."""
    found = (ancestry.doubts(settings.training, manifest.sha256) for settings in trial.beginnings(plan))
    return joined(alert for alerts in found for alert in alerts.items())


def as_trained(drawn: Settings) -> Settings:
    """What a trial trains with, for its record: with all that is left to the encoder."""
    try:
        return replace(drawn, training=finetuning.suit(drawn.model, drawn.training))
    except StanceError:  # the trial meets the same error, and tells of it
        return drawn
