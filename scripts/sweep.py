"""Better settings of a training: `python scripts/sweep.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from dataclasses import asdict, replace
from pathlib import Path

from stance import dataset, findings, study, sweep_runs, trial
from stance.config import Script
from stance.jobs import DATASET, SweepJob
from stance.space import Settings, written
from stance.study import Opened
from stance.sweep import Worker
from stance.tracking import Run
from stance.trial import Plan


def run(job: SweepJob) -> float:
    """Search for better settings of a training. The same command goes on with a search, also at the same time."""
    rows, manifest = dataset.load(Path(job.dataset))
    folder = Path(job.output) / job.sweep.name
    plan = trial.plan(job.sweep, Settings(job.model, job.training), rows, scratch=folder / "scratch")
    storage = study.connect(job.sweep, on_stale=lambda found: sweep_runs.killed(job.tracking, found))
    opened = study.join(job.sweep, storage, trial.facts(plan, manifest.sha256))
    where = study.shown(job.sweep.storage)
    print(
        f"sweep: study {job.sweep.name} in {where}, {study.tally(opened.study).done} of {job.sweep.trials} done, "
        f"seeds {job.sweep.seeds}; {len(plan.splits['train'])} pairs of {job.dataset}, findings in {folder}"
    )
    settings = asdict(replace(job, sweep=replace(job.sweep, storage=where)))  # a URL may hold a password
    with sweep_runs.parent(job.tracking, opened, settings, manifest) as active:
        Worker(opened, plan, lambda number, drawn: sweep_runs.child(job.tracking, opened, number, drawn)).run()
        value = report(job, opened, plan, active)
    print(f"train with these settings: python scripts/train.py $(cat {folder / 'best.overrides'})")
    return value


def report(job: SweepJob, opened: Opened, plan: Plan, active: Run) -> float:
    """Keep what was found in files and in MLflow; returns the best value."""
    folder = Path(job.output) / job.sweep.name
    extra = {} if job.dataset == DATASET else {"dataset": written(job.dataset)}
    for path in findings.write(opened.study, plan, folder, extra=extra):
        active.file(path)
    for name, figure in findings.figures(opened.study, job.sweep).items():
        figure.savefig(folder / name, dpi=120)
        active.figure(figure, name)
    best = opened.study.best_trial
    value = opened.study.best_value
    active.sink({f"best_{job.sweep.metric}": value}, best.number)
    active.tag(best_trial=str(best.number))
    print(
        f"best: trial {best.number}, median {job.sweep.metric} {value:.3f} over seeds {job.sweep.seeds}: {best.params}"
    )
    return value


main = Script(
    run,
    job=SweepJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="sweep",
    examples=(
        "python scripts/sweep.py sweep.trials=20 sweep.seeds=[1,2,3]",
        "python scripts/sweep.py sweep=smoke",
        "python scripts/sweep.py +sweep.space.training.weight_decay={type:float,low:0.0,high:0.1} sweep.name=decay",
        "python scripts/sweep.py sweep.storage=postgresql+psycopg://USER@HOST/NAME tracking=server",
        "python scripts/train.py $(cat outputs/sweep/recipe/best.overrides)   # trains with what was found",
    ),
)

if __name__ == "__main__":
    main.cli()
