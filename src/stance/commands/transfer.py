"""An artifact on public corpora that it was not trained on."""

from dataclasses import asdict
from pathlib import Path

from stance import jsonl, progress, tracking
from stance.artifact import files_of
from stance.files import check_output
from stance.jobs.training import TransferJob
from stance.predictor import load_version
from stance.reporting.show import columns
from stance.scoring import transfer
from stance.scoring.scores import flat
from stance.tracking import registry


def run(job: TransferJob) -> float:
    """Score the exported model on the development parts of public corpora.

    Returns:
        The mean of the scores that are published for them.
    """
    predictor, scored = load_version(job.artifact, job.precision)
    registry.check_name(job.tracking.model)
    origin = predictor.metadata.get("checkpoint", {})
    check_output(Path(job.output), job.transfer.root, *files_of(Path(job.artifact), predictor.metadata))
    rows = transfer.load(job.transfer)
    print(f"transfer: {job.artifact} ({job.precision}) on {', '.join(f'{n} ({len(r)})' for n, r in rows.items())}")
    known = {name: transfer.learned(name, predictor.metadata) for name in rows}
    if told := transfer.warning(known):
        print(told)
    with tracking.run(job.tracking, stage="transfer", settings=asdict(job)) as active:
        active.tag(train_run=origin.get("train_run", ""), export_run=predictor.metadata.get("export_run", ""))
        active.tag(dataset_sha256=origin.get("dataset_sha256", ""))  # which it was trained with
        answers = {name: progress.probabilities(predictor, part, name) for name, part in rows.items()}
        found = transfer.score(answers, rows, job.transfer)
        trust = transfer.confidence(answers, rows, job.transfer, predictor)
        scores = {t.name: t.scores | c.estimates() for t, c in zip(found, trust, strict=True)}
        for name, values in scores.items():
            active.sink(flat(name.replace("-", "_"), values), 0)
        plain = {name: {n: asdict(e) for n, e in values.items()} for name, values in scores.items()}
        report = {t.name: {"pairs": t.pairs, "learned_from": known[t.name], "scores": plain[t.name]} for t in found}
        jsonl.write_json(Path(job.output), jsonl.finite(report))
        print(columns(transfer.table(found)))  # also if MLflow is away
        print(f"* the score that is published for this corpus\n\n{columns(transfer.confidence_table(trust))}")
        active.file(Path(job.output))
        version = registry.annotate(job.tracking.model, scored, {f"{job.precision}_transfer_run": active.id})
        active.tag(model_version=version or "not registered")
    return sum(t.scores[t.headline].value for t in found) / len(found)
