"""Ways to train, compared over seeds: `python scripts/bakeoff.py --help`."""

from stance.config import Script
from stance.jobs.studies import BakeoffJob

main = Script(
    __file__,
    job=BakeoffJob,
    examples=(
        "python scripts/bakeoff.py bakeoff=encodings public=true transfer.root=data/public",
        "python scripts/bakeoff.py bakeoff=recipes 'bakeoff.seeds=[1,2]' model.encoder_dropout=0.1",
        """python scripts/bakeoff.py '+bakeoff.contenders={plain: [], longer: ["training.epochs=4"]}'""",
    ),
    several="training.epochs=2,4",
)

if __name__ == "__main__":
    main.cli()
