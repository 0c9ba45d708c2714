"""An artifact on public corpora that it was not trained on: `python scripts/transfer.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from dataclasses import asdict
from pathlib import Path

from stance import jsonl, tracking, transfer
from stance.config import Script
from stance.jobs import TransferJob
from stance.predictor import StancePredictor
from stance.show import columns


def run(job: TransferJob) -> float:
    """Score the exported model on the development parts of public corpora; returns the mean of the headline scores."""
    predictor = StancePredictor.load(job.artifact, precision=job.precision)
    rows = transfer.load(job.transfer)
    print(f"transfer: {job.artifact} ({job.precision}) on {', '.join(f'{n} ({len(r)})' for n, r in rows.items())}")
    with tracking.run(job.tracking, stage="transfer", settings=asdict(job)) as active:
        active.tag(train_run=predictor.metadata.get("checkpoint", {}).get("train_run", ""))
        answers = {name: predictor.logits([row.pair() for row in part]) for name, part in rows.items()}
        found = transfer.score(answers, rows, job.transfer)
        flat = {f"{t.name}_{n}".replace("-", "_"): e.value for t in found for n, e in t.scores.items()}
        active.sink(flat, 0)
        jsonl.write_json(Path(job.output), {t.name: {"pairs": t.pairs, "scores": asdict(t)["scores"]} for t in found})
        active.file(Path(job.output))
    print(columns(transfer.table(found)))
    print("* the score that is published for this corpus")
    return sum(t.scores[t.headline].value for t in found) / len(found)


main = Script(
    run,
    job=TransferJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="transfer",
    examples=("python scripts/transfer.py transfer.root=data/public precision=fp32",),
)

if __name__ == "__main__":
    main.cli()
