"""An artifact on public corpora that it was not trained on: `python scripts/transfer.py --help`."""

from stance.config import Script
from stance.jobs.training import TransferJob

main = Script(
    __file__,
    job=TransferJob,
    examples=("python scripts/transfer.py transfer.root=data/public precision=fp32",),
    several="precision=int8,fp32",
)

if __name__ == "__main__":
    main.cli()
