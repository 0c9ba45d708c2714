"""Several processes on one training: whose turn it is to write, which rows are whose, what a loss is divided by.

`torchrun`, `accelerate launch` or Slurm start the processes, accelerate lets them talk. A batch is one batch however
many processes share it: each takes every N-th of its rows, and the gradient is that of the whole. A batch whose rows
N does not divide is filled up with rows whose pairs have no label and no weight.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import broadcast_object_list, gather_object, reduce
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer

from stance.errors import StanceError
from stance.launch import processes_here, rank
from stance.training.batches import IGNORED, Row, Rows, TokenBudget

T = TypeVar("T")
WAIT = timedelta(hours=12)
"""The longest that processes wait for what the first one does alone, such as asking a teacher."""


def check_devices() -> None:
    """Refuse more processes on this machine than there are GPUs for: each takes one of its own.

    Raises:
        StanceError: there are more.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and processes_here() > gpus:
        slurm = "; in Slurm each task has to see all: gpus_per_node, not gpus_per_task"
        raise StanceError(
            f"{processes_here()} processes on this machine, GPUs that this process sees: {gpus}; start at most {gpus}, "
            f"or set CUDA_VISIBLE_DEVICES= to train on the CPU{slurm if 'SLURM_JOB_ID' in os.environ else ''}"
        )


def on_first(make: Callable[[], T]) -> T:
    """What `make` returns in the first process, for all of them; the others wait and do not call it."""
    PartialState(cpu=not torch.cuda.is_available(), timeout=WAIT)  # the processes must know each other before they wait
    box: list[Any] = [make() if rank() == 0 else None]
    return broadcast_object_list(box)[0]  # type: ignore[no-any-return]


def total(values: Tensor) -> Tensor:
    """The sums of `values` over the processes."""
    return reduce(values, "sum")  # type: ignore[no-any-return]


def everywhere(value: T) -> list[T]:
    """What each process has, by rank. All of them have to call this."""
    return gather_object([value])  # type: ignore[no-any-return]


def own_noise(seed: int) -> None:
    """Let each process draw dropout masks of its own; the first draws those of a training in one process."""
    if rank():
        torch.manual_seed(seed + 1_000_003 * rank())


class Shares(Sampler[list[int]]):
    """Of each batch of `sampler` the rows of one process: equally many for all processes, so that none waits.

    Index `rows + i` stands for row `i` without its labels; such rows fill up the last shares.
    """

    def __init__(self, sampler: TokenBudget, rows: int, *, rank: int, processes: int) -> None:
        self.sampler = sampler
        self.rows = rows
        self.rank = rank
        self.processes = processes

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer at the start of each epoch."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.sampler:
            share = batch[self.rank :: self.processes]
            missing = -(-len(batch) // self.processes) - len(share)
            yield share + [self.rows + batch[-1]] * missing


class Shared(Dataset[Row]):
    """The rows that `Shares` speaks of."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        row = self.rows[index % len(self.rows)]
        if index < len(self.rows):
            return row
        return replace(row, labels=[IGNORED] * len(row.labels), weights=[0.0] * len(row.weights))


def loader(rows: Rows, sampler: TokenBudget) -> DataLoader[Row]:
    """This process's shares of the batches of `sampler`, on its device."""
    state = PartialState()
    shares = Shares(sampler, len(rows), rank=state.process_index, processes=state.num_processes)
    return prepare_data_loader(  # type: ignore[no-any-return]
        DataLoader(Shared(rows), batch_sampler=shares, collate_fn=rows.collate),
        device=state.device,
        num_processes=1,  # a share is a share already
        process_index=0,
        put_on_device=True,
    )


def name_blocks(model: nn.Module) -> None:
    """Tell FSDP the classes of a model's layers, which it shards one by one."""
    stacks = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    # accelerate reads the attribute by which transformers' own models tell it; not all encoders have it.
    model._no_split_modules = sorted({type(layer).__name__ for stack in stacks for layer in stack})  # type: ignore[assignment]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    """The trained weights, gathered from where FSDP keeps them. Every process has to call this."""
    state: dict[str, Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return state
