"""Scores of an artifact beside its baselines."""

from dataclasses import asdict
from pathlib import Path

from stance import jsonl, tracking
from stance.artifact import files_of
from stance.building import dataset
from stance.files import check_output
from stance.jobs.training import EvaluateJob
from stance.predictor import load_version
from stance.reporting import plots
from stance.reporting.show import columns
from stance.scoring import baselines, evaluation
from stance.scoring.evaluation import MODEL
from stance.tracking import registry
from stance.tracking.runs import Run
from stance.training import ancestry


def run(job: EvaluateJob) -> float:
    """Score the exported model and baselines, with intervals over articles.

    Returns:
        The model's macro-F1.
    """
    rows, manifest = dataset.load(Path(job.dataset))
    predictor, scored = load_version(job.artifact, job.precision)
    registry.check_name(job.tracking.model)
    check_output(Path(job.output), job.dataset, *files_of(Path(job.artifact), predictor.metadata))
    split = job.evaluation.split
    evaluation.check(job.evaluation, rows)
    origin, exported = predictor.metadata.get("checkpoint", {}), predictor.metadata.get("export_run", "")
    doubts = ancestry.check(manifest, origin, allowed=job.other_dataset)
    print(f"evaluate: {job.artifact} ({job.precision}) on {len(rows[split])} {split} pairs of {job.dataset}")
    if (learned := len(rows["train"])) > baselines.MOST:
        print(f"{baselines.BAG_OF_WORDS} learns from {baselines.MOST:,} of {learned:,} training pairs")
    if split in evaluation.USED:
        print(f"scores and confidence will look too good: {evaluation.USED[split]}")
    with tracking.run(job.tracking, stage="evaluate", settings=asdict(job)) as active:
        active.dataset(manifest, Path(job.dataset), split)
        active.warn(doubts)
        active.tag(train_run=origin.get("train_run", ""), export_run=exported)
        report = evaluation.score(predictor, rows, job.evaluation)
        facts = {"dataset_sha256": manifest.sha256, "precision": job.precision, "export_run": exported}
        document = jsonl.finite(report.to_json() | facts)
        jsonl.write_json(Path(job.output), document)
        _show(report)  # also if MLflow is away
        active.document(document, "report.json")  # whatever the file is called: there are others in the run
        _keep(report, job, active)
        macro_f1, tested = report.scores[MODEL]["macro_f1"], dataset.fingerprint({split: rows[split]})
        what = f"{job.precision}_{split}"
        tags = {f"{split}_dataset": manifest.sha256, "evaluate_run": active.id, f"{what}_run": active.id}
        tags |= _tags(what, str(macro_f1), tested)
        version = registry.annotate(job.tracking.model, scored, tags)
        active.tag(model_version=version or "not registered", **{f"{split}_rows": tested})
        others = registry.rivals(job.tracking.model, split, tested)
    if len(others) > 1:
        print(f"\n{columns(others)}")
    return macro_f1.value


def _tags(what: str, macro_f1: str, tested: str) -> dict[str, str]:
    """The score of a version, beside those on other rows, whose fingerprints tell them apart."""
    return {f"{what}_macro_f1": macro_f1, f"{what}_rows": tested, f"{what}_macro_f1.{tested[:12]}": macro_f1}


def _keep(report: evaluation.Report, job: EvaluateJob, active: Run) -> None:
    """Numbers, pictures and predictions for the run."""
    split = job.evaluation.split
    active.sink(evaluation.metrics(report), 0)
    active.table(report.predictions(), "predictions.json")
    active.figure(plots.confusion_matrix(report.confusion, f"{split}, {job.precision}"), "confusion_matrix.png")
    active.figure(plots.reliability_diagram(report.answers, split), "reliability.png")
    active.figure(plots.risk_coverage_curve(report.answers, split, report.on_curve()), "risk_coverage.png")


def _show(report: evaluation.Report) -> None:
    print(columns(evaluation.table(report)))
    for part in (evaluation.confidence, evaluation.per_class, evaluation.names_alone, evaluation.per_phenomenon):
        print(f"\n{columns(part(report))}")
    print("", *(f"abstaining, {way.replace('_', ' ')}: {kept}" for way, kept in report.kept.items()), sep="\n")
