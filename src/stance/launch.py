"""The processes that `torchrun`, `accelerate launch` or Slurm started, as every script sees them. Needs no torch.

What they share while they train is `stance.training.distributed`'s matter.
"""

import os
import time

PATIENCE = 30.0
"""Seconds, of which `torchrun` needs a tenth; the first process may meet the same error some seconds later."""
LOGS = "outputs/multirun/.submitit"
"""Where jobs of submitit write what they print."""


def rank() -> int:
    """The number of this process among those of a launcher; 0 is the one that prints and writes."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """How many of them the launcher started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def stay_quiet() -> None:
    """Show no progress in this process, which is not the first."""
    import datasets  # here and below, since most scripts are one process and need none of this
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()


def let_first_speak() -> None:
    """Before an error is told: when the first process has one too, the launcher ends this one while it waits."""
    if rank():
        time.sleep(PATIENCE)


def join_slurm() -> None:
    """In a job of submitit with several tasks: make them processes of one training, as `torchrun` does."""
    import submitit  # of the extra `slurm`

    if submitit.JobEnvironment().num_tasks > 1:
        # Each task sees every card of its machine, as under torchrun: accelerate takes the one of its LOCAL_RANK.
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)


def told_by_submitit(error: Exception) -> str:
    """What a user is told of jobs that could not be submitted, or that ended without an answer; empty for a bug."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or "with trace" in lines[0]:
        return ""
    if 'detect "srun"' in lines[0]:
        return f"{lines[0]}; on a machine without Slurm hydra/launcher=submitit_local runs the jobs"
    return f"{lines[0]}; logs are in {LOGS}" if type(error).__module__.partition(".")[0] == "submitit" else ""


def leave() -> None:
    """Take leave of the other processes before this one ends."""
    if processes() > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()
