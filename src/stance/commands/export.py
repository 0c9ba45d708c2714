"""A checkpoint to an artifact in MLflow's registry."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stance import export, tracking
from stance.building import dataset
from stance.files import check_outside, check_replaceable, remove_leftovers
from stance.jobs.training import ExportJob
from stance.network import model
from stance.records import Example
from stance.tracking import origin, registry
from stance.tracking.runs import Run
from stance.training import ancestry, resume


def run(job: ExportJob) -> Path:
    """Export a checkpoint to ONNX in fp32 and int8, check both against PyTorch, and register the artifact."""
    output = Path(job.output)
    if job.register:
        registry.check_name(job.tracking.model)
    export.check(job.export)
    check_replaceable(output, marker="stance.json", own=export.ENTRIES)
    for read in (job.checkpoint, job.dataset):
        check_outside(output, Path(read))
    rows, manifest = dataset.load(Path(job.dataset))
    about = model.about(Path(job.checkpoint))
    doubts = ancestry.check(manifest, about, allowed=job.other_dataset)
    print(f"export: {job.checkpoint} -> artifact in {output}, checked on {len(rows['validation'])} validation pairs")
    with (
        resume.hold_work(output, name="export") as work,
        tracking.run(job.tracking, stage="export", settings=asdict(job)) as active,
    ):
        tracking.give_up(resume.note(work / resume.RUN, active.id))  # that of an export that was killed
        remove_leftovers(output)
        active.dataset(manifest, Path(job.dataset), "validation")
        active.warn(doubts)
        if job.register:
            registry.check_champion(job.tracking.model)
        active.tag(train_run=str(about.get("train_run", "")))
        facts = {
            "dataset_sha256": manifest.sha256,
            "commit": origin.git_commit()[0],
            "export_run": active.id,
        }
        place, validation = Path(job.checkpoint), rows["validation"]
        exported = export.write(place, validation, job.export, output=output, about=facts, read=about)
        active.sink(export.metrics(exported), 0)
        active.file(output / "stance.json")
        active.warn(exported.trust.doubts())
        print(exported.parity, *exported.trust.lines(), sep="\n")
        if job.register:
            _register(exported, validation, job.tracking.model, active)
    return output


def _register(exported: export.Exported, validation: Sequence[Example], name: str, active: Run) -> None:
    found = exported.validation["macro_f1"]
    version = registry.register(exported.artifact, validation, name=name, run_id=active.id, known=found)
    active.tag(model_version=version.version, alias=version.alias)
    print(f"registered {name} version {version.version} as {version.alias}: {version.reason}")
