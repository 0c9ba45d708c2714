"""A training sharded by FSDP over processes of the CPU: `torchrun --nproc-per-node 2 tests/sharded.py ENCODER OUTPUT`.

accelerate shards on accelerators alone, although PyTorch can on a CPU too; what it asks for that is changed here. The
settings are those of `conf/accelerate/fsdp_gpus.yaml`.
"""

import os
import sys
from pathlib import Path

import torch
import yaml
from accelerate.state import PartialState
from accelerate.utils import DistributedType

import tiny
from stance import launch
from stance.settings.training import LoraConfig, TrainingConfig
from stance.training import finetuning

CONFIG = Path(__file__).resolve().parents[1] / "conf" / "accelerate" / "fsdp_gpus.yaml"
SPLITS = {"train": tiny.examples(47, seed=1), "validation": tiny.examples(23, seed=2)}
RANKS = (0, 2)
"""Of the adapters; 0 is without."""


def recipe(rank: int) -> TrainingConfig:
    """What is trained, with and without adapters."""
    lora = LoraConfig(rank=rank)
    return TrainingConfig(epochs=2, learning_rate=3e-3, tokens_per_batch=128, precision="fp32", lora=lora)


def shard_on_cpu() -> None:
    """Let accelerate take these processes for ones with a GPU each."""
    settings = yaml.safe_load(CONFIG.read_text("utf-8"))["fsdp_config"]
    os.environ |= {key.upper(): str(value) for key, value in settings.items()}  # as `accelerate launch` does
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda self, *_: ("gloo", DistributedType.MULTI_GPU)
    PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))


if __name__ == "__main__":
    shard_on_cpu()
    encoder, output = sys.argv[1], Path(sys.argv[2])
    for rank in RANKS:
        trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), recipe(rank), work=output / "work")
        assert trainer.is_fsdp_enabled
        finetuning.train(SPLITS, tiny.config(name=encoder), recipe(rank), output=output / f"rank-{rank}", about={})
    launch.leave()
