"""An artifact on public corpora that it was not trained on: `python scripts/transfer.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.training import TransferJob

main = Script(
    job=TransferJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="transfer",
    examples=("python scripts/transfer.py transfer.root=data/public precision=fp32",),
    several="precision=int8,fp32",
)

if __name__ == "__main__":
    main.cli()
