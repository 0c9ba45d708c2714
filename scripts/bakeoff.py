"""Ways to train, compared over seeds: `python scripts/bakeoff.py --help`."""

import sys

sys.path[:] = [p for p in sys.path if not p.endswith("scripts")]  # evaluate.py would hide the package `evaluate`

from pathlib import Path

from stance.config import Script
from stance.jobs.studies import BakeoffJob

main = Script(
    job=BakeoffJob,
    conf=Path(__file__).resolve().parents[1] / "conf",
    name="bakeoff",
    examples=(
        "python scripts/bakeoff.py bakeoff=encodings public=true transfer.root=data/public",
        "python scripts/bakeoff.py bakeoff=recipes 'bakeoff.seeds=[1,2]' model.encoder_dropout=0.1",
        """python scripts/bakeoff.py '+bakeoff.contenders={plain: [], longer: ["training.epochs=4"]}'""",
    ),
    several="training.epochs=2,4",
)

if __name__ == "__main__":
    main.cli()
