"""A dataset to a checkpoint: `python scripts/train.py --help`."""

from stance.config import Script
from stance.jobs.training import TrainJob

main = Script(
    __file__,
    job=TrainJob,
    examples=(
        "python scripts/train.py training.epochs=4 training.learning_rate=5e-5",
        "python scripts/train.py -m training.seed=1,2,3",
        "python scripts/train.py model=roberta_base output=outputs/roberta",
        "python scripts/train.py training.save_steps=200 resume=auto",
        "torchrun --nproc-per-node 2 scripts/train.py",
        "python scripts/train.py -m training.seed=1,2,3 hydra/launcher=submitit_slurm hydra.launcher.timeout_min=240",
    ),
    several="training.seed=1,2,3",
    many=True,
)

if __name__ == "__main__":
    main.cli()
