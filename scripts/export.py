"""A checkpoint to an artifact in MLflow's registry: `python scripts/export.py --help`."""

from stance.config import Script
from stance.jobs.training import ExportJob

main = Script(
    __file__,
    job=ExportJob,
    examples=(
        "python scripts/export.py checkpoint=outputs/roberta output=outputs/roberta-artifact",
        "python scripts/export.py register=false export.max_label_changes=0.01",
    ),
    several="export.target_risk=0.05,0.1",
)

if __name__ == "__main__":
    main.cli()
