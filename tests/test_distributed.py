"""Scaling out: shares of batches, accumulation, recomputation, compilation, and the launchers that exist for it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from mlflow.tracking import MlflowClient
from torch import Tensor

import sharded
import tiny
from conftest import ROOT, Workplace, script
from stance import launch as launched
from stance.commands import train as command
from stance.errors import StanceError
from stance.jobs.training import TrainJob
from stance.network import inference
from stance.network import model as models
from stance.records import Example
from stance.settings.training import LoraConfig, ModelConfig, TrainingConfig
from stance.training import distributed, finetuning, resume
from stance.training.batches import IGNORED, TokenBudget
from stance.training.distributed import Shared, Shares
from stance.training.finetuning import Result
from tiny import one_thread  # noqa: F401


def weighted(examples: Sequence[Example]) -> list[Example]:
    """Examples of other weights, so that a mean of means is another number than the mean."""
    return [replace(example, weight=0.25 + i % 4) for i, example in enumerate(examples)]


SPLITS = {"train": weighted(tiny.examples(47, seed=1)), "validation": weighted(tiny.examples(23, seed=2))}
RECIPE = TrainingConfig(epochs=3, learning_rate=3e-3, tokens_per_batch=128, precision="fp32")


def assemble(encoder: str, path: Path, **changes: Any) -> Any:
    """A trainer without dropout."""
    recipe = replace(RECIPE, **changes)
    return finetuning.assemble(SPLITS, tiny.config(name=encoder), recipe, work=path / "work")[0]


def train(encoder: str, output: Path, **changes: Any) -> Result:
    recipe = replace(RECIPE, **changes)
    return finetuning.train(SPLITS, tiny.config(name=encoder), recipe, output=output, about={})


def logits(result: Result) -> Any:
    return inference.logits(models.load(result.checkpoint), [e.pair() for e in SPLITS["validation"]])


def history(result: Result, name: str) -> list[float]:
    return [entry[name] for entry in result.history if name in entry]


# Shares of a batch


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_shares_of_a_batch_are_equally_many_rows_and_together_the_batch(processes: int, shuffle: bool) -> None:
    lengths = np.random.default_rng(0).integers(4, 60, 50).tolist()
    sampler = TokenBudget(lengths, 128, seed=1, shuffle=shuffle)
    shares = [Shares(sampler, 50, rank=rank, processes=processes) for rank in range(processes)]
    for share in shares:
        share.set_epoch(3)
    whole = list(sampler)
    assert {len(share) for share in shares} == {len(whole)}
    for batch, *parts in zip(whole, *shares, strict=True):
        assert len({len(part) for part in parts}) == 1
        assert sorted(index for part in parts for index in part if index < 50) == sorted(batch)
        assert sum(len(part) for part in parts) - len(batch) < processes


def test_rows_that_fill_up_a_share_have_neither_label_nor_weight(encoder: str, tmp_path: Path) -> None:
    rows = assemble(encoder, tmp_path).train_dataset
    shared = Shared(rows)
    assert [shared[i] for i in range(len(rows))] == rows.rows
    blank = shared[len(rows) + 2]
    assert blank.encoded == rows[2].encoded
    assert set(blank.labels) == {IGNORED}
    assert set(blank.weights) == {0.0}


def amount(trainer: Any, batch: dict[str, Tensor]) -> Tensor:
    """What the mean over a batch's pairs is divided by, as if it were a whole step."""
    pairs: Tensor = (batch["labels"] != IGNORED).sum()
    return pairs * trainer.mean_weight


def gradients(trainer: Any, batches: Sequence[dict[str, Tensor]], weight: Tensor) -> Tensor:
    """The sum of the gradients of `batches`, whose loss is a mean over pairs of the weight `weight`."""
    trainer.model.zero_grad()
    for batch in batches:
        trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=weight).backward()
    found = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return torch.cat(found).clone()


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_the_gradients_of_the_shares_add_up_to_that_of_the_batch(encoder: str, tmp_path: Path, processes: int) -> None:
    trainer = assemble(encoder, tmp_path, class_weights="balanced")
    trainer.model.eval()
    rows = trainer.train_dataset
    sampler = TokenBudget(rows.lengths(), 256, seed=1)
    shares = [list(Shares(sampler, len(rows), rank=rank, processes=processes)) for rank in range(processes)]
    whole = next(batch for batch in sampler if len(batch) % processes)
    parts = [share[list(sampler).index(whole)] for share in shares]
    batch = rows.collate([rows[i] for i in whole])
    weight = batch["weights"].sum()
    expected = gradients(trainer, [batch], weight)
    shared = Shared(rows)
    found = gradients(trainer, [rows.collate([shared[i] for i in part]) for part in parts], weight)
    assert expected.abs().max() > 1e-2
    assert (found - expected).abs().max() < 1e-6


def test_the_mean_of_the_processes_losses_is_the_loss_of_the_batch(encoder: str, tmp_path: Path) -> None:
    trainer = assemble(encoder, tmp_path)
    trainer.model.eval()
    rows = trainer.train_dataset
    batch = rows.collate(rows.rows[:7])
    alone = trainer.compute_loss(trainer.model, dict(batch))
    given = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=amount(trainer, batch))
    assert alone.item() == pytest.approx(given.item(), rel=1e-6)


# Accumulation


def test_accumulated_batches_have_the_gradient_of_one_batch_of_all_their_rows(encoder: str, tmp_path: Path) -> None:
    trainer = assemble(encoder, tmp_path, accumulation=3)
    rows, loader = trainer.train_dataset, trainer.get_train_dataloader()
    indices = [i for batch in list(loader.batch_sampler)[:3] for i in batch]
    batches, weight = trainer.get_batch_samples(iter(loader), 3, torch.device("cpu"))
    trainer.model.zero_grad()
    reported = sum(trainer.training_step(trainer.model, dict(batch), weight) for batch in batches)
    found = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    one = rows.collate([rows[i] for i in indices])
    expected = gradients(trainer, [one], amount(trainer, one))
    assert len({len(batch["labels"]) for batch in batches}) > 1, "a mean of means should differ"
    assert (found - expected).abs().max() < 1e-6
    assert reported.item() == pytest.approx(trainer.compute_loss(trainer.model, one).item(), rel=1e-5)


def test_accumulating_an_epoch_trains_like_one_batch_of_it(encoder: str, tmp_path: Path) -> None:
    one = train(encoder, tmp_path / "one", tokens_per_batch=100_000)
    many = train(encoder, tmp_path / "many", accumulation=1000)
    for name, count in (("eval_macro_f1", 3), ("mean_loss", 1)):
        assert history(many, name) == pytest.approx(history(one, name), abs=1e-5)
        assert len(history(many, name)) == count
    assert np.abs(logits(many) - logits(one)).max() < 1e-3
    assert {entry["step"] for entry in many.history if "eval_loss" in entry} == {1, 2, 3}


def test_every_pair_is_counted_once_however_many_batches_a_step_has(encoder: str, tmp_path: Path) -> None:
    trainer = assemble(encoder, tmp_path, accumulation=4, epochs=2)
    trainer.train()
    assert trainer.pairs_seen == 2 * len(SPLITS["train"])


@pytest.mark.parametrize("value", [0, -2])
def test_accumulation_below_one_is_refused(encoder: str, tmp_path: Path, value: int) -> None:
    with pytest.raises(StanceError, match=f"training.accumulation={value}: expected 1 or more"):
        assemble(encoder, tmp_path, accumulation=value)


# Recomputation and compilation


def test_recomputed_activations_give_the_same_weights(encoder: str, tmp_path: Path) -> None:
    kept = assemble(encoder, tmp_path / "kept", epochs=1)
    again = assemble(encoder, tmp_path / "again", epochs=1, gradient_checkpointing=True)
    assert again.model.encoder.is_activation_checkpointing
    for trainer in (kept, again):
        trainer.train()
    other = again.model.state_dict()
    assert max((tensor - other[name]).abs().max() for name, tensor in kept.model.state_dict().items()) < 1e-6


def test_an_encoder_that_cannot_recompute_is_refused(tmp_path: Path) -> None:
    folder = str(tiny.folder("mpnet", tmp_path / "encoder"))
    recipe = replace(RECIPE, gradient_checkpointing=True)
    with pytest.raises(StanceError, match=r"gradient_checkpointing=true: .* is a mpnet encoder, which can't recompute"):
        finetuning.assemble(SPLITS, tiny.config(name=folder, layout="pair"), recipe, work=tmp_path / "work")


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(encoder: str, tmp_path: Path) -> None:
    plain = train(encoder, tmp_path / "plain", epochs=1)
    compiled = train(encoder, tmp_path / "compiled", epochs=1, compile=True)
    assert history(compiled, "eval_loss") == pytest.approx(history(plain, "eval_loss"), abs=1e-4)
    assert np.abs(logits(compiled) - logits(plain)).max() < 1e-2


@pytest.mark.slow
def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    code = "from stance.training import engine; engine.check_compiler()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "StanceError: training.compile=true: PyTorch can't compile on this machine" in done.stderr
    assert "set training.compile=false" in done.stderr


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_every_weight_that_is_not_frozen_gets_a_gradient(kind: str, tmp_path: Path) -> None:
    # DDP would wait for a missing one for ever, FSDP can't save the optimizer's state of it.
    trainer = assemble(str(tiny.folder(kind, tmp_path / "encoder")), tmp_path)
    batch = trainer.train_dataset.collate(trainer.train_dataset.rows[:2])
    trainer.compute_loss(trainer.model, batch).backward()
    for name, parameter in trainer.model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.requires_grad or "pooler" in name


# Launchers


CONFIGS = sorted((ROOT / "conf" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_takes_each_configuration(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.num_processes >= 2
    assert config.mixed_precision == "no", "training.precision decides"
    assert config.use_cpu == (path.stem == "ddp_2cpu")


def test_there_are_configurations_for_cpus_gpus_and_sharding() -> None:
    assert [path.stem for path in CONFIGS] == ["ddp_2cpu", "ddp_gpus", "fsdp_gpus"]


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_sharding_finds_the_layers_of_an_encoder(kind: str, tmp_path: Path) -> None:
    trainer = assemble(str(tiny.folder(kind, tmp_path / "encoder")), tmp_path)
    (name,) = trainer.model._no_split_modules
    layers = [module for module in trainer.model.modules() if type(module).__name__ == name]
    assert len(layers) == trainer.model.encoder.config.num_hidden_layers


@pytest.mark.usefixtures("process")
def test_a_script_for_one_process_refuses_to_run_in_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(sys, "argv", ["export.py"])
    with pytest.raises(SystemExit, match="2"):
        script("export").main.cli()
    assert capsys.readouterr().err == (
        "error: scripts/export.py works in one process; start it with python, without torchrun or accelerate\n"
    )


@pytest.mark.parametrize(("gpus", "said"), [(1, "1; start at most 1"), (2, "2; start at most 2")])
def test_more_processes_than_gpus_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(gpus + 1))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    job = TrainJob(dataset=str(tmp_path / "none"), output=str(tmp_path / "checkpoint"))
    found = f"^{gpus + 1} processes on this machine, GPUs that this process sees: {said}, or set CUDA_VISIBLE_DEVIC"
    with pytest.raises(StanceError, match=f"{found}ES= to train on the CPU$"):
        command.run(job)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with pytest.raises(StanceError, match=f"{found}.*; in Slurm .*: gpus_per_node, not gpus_per_task$"):
        command.run(job)


@pytest.mark.parametrize(("gpus", "processes"), [(0, 3), (1, 1), (2, 2), (4, 2)])
def test_a_gpu_for_each_process_or_none_at_all_is_fine(
    monkeypatch: pytest.MonkeyPatch, gpus: int, processes: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    distributed.check_devices()


def settings(folder: Path, place: Workplace, output: str) -> list[str]:
    """Overrides that train a tiny encoder without dropout, so that no chance differs between processes."""
    encoder = folder / "encoder"
    return [
        f"model.name={encoder if encoder.exists() else tiny.folder('bert', encoder)}",
        "model.dropout=0",
        "model.max_passage_tokens=64",
        "training.epochs=2",
        "training.learning_rate=1e-3",
        "training.precision=fp32",
        f"dataset={place.dataset}",
        f"output={folder}/{output}",
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
        f"tracking.artifacts={folder}/artifacts",
        "tracking.system_metrics_seconds=0",
    ]


def launch(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A launcher of this environment, or a script, as a process of its own; on the CPU, where there are GPUs too."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=900, env=environment
    )


TRAIN = ROOT / "scripts" / "train.py"
ACCELERATE = Path(sys.executable).with_name("accelerate")
TORCHRUN = (Path(sys.executable).with_name("torchrun"), "--nproc-per-node", "2")


def runs(folder: Path) -> dict[str, Any]:
    """The finished MLflow runs by the names of their outputs."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("stance")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert len({run.data.params["output"] for run in found}) == len(found)
    return {Path(run.data.params["output"]).name: run for run in found}


def curve(folder: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    return [(entry.step, entry.value) for entry in client.get_metric_history(run.info.run_id, metric)]


def scores(checkpoint: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((checkpoint / "checkpoint.json").read_text())["validation"]
    return {name: value for name, value in found.items() if "runtime" not in name and "per_second" not in name}


def started(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """How many processes made a checkpoint, which knows it as a part of a digest; none if more than three."""
    about = models.about(checkpoint)
    recipe = TrainingConfig(**{**about["training"], "lora": LoraConfig(**about["training"]["lora"])})
    job = ModelConfig(**about["model"]), recipe, about["dataset_sha256"]
    with monkeypatch.context() as launcher:
        for number in (1, 2, 3):
            launcher.setenv("WORLD_SIZE", str(number))
            if resume.job_digest(*job) == about["job"]:
                return number
    return None


@pytest.fixture(scope="module")
def single(built: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training in one process: `one`."""
    folder = tmp_path_factory.mktemp("scale")
    done = launch(sys.executable, TRAIN, *settings(folder, built, "one"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_train_like_one(
    single: Path, built: Workplace, launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ROOT / "conf" / "accelerate" / "ddp_2cpu.yaml"
    start = TORCHRUN if launcher == "torchrun" else (ACCELERATE, "launch", "--config_file", config)
    done = launch(*start, TRAIN, *settings(single, built, launcher), cwd=single)
    assert done.returncode == 0, done.stderr
    found = runs(single)
    one, two = found["one"], found[launcher]
    assert two.info.status == "FINISHED"
    for metric in ("train_loss", "validation_loss", "train_grad_norm"):
        expected = curve(single, one, metric)
        assert len(expected) >= 2
        assert curve(single, two, metric) == [(step, pytest.approx(value, abs=1e-5)) for step, value in expected]
    assert scores(single / launcher) == pytest.approx(scores(single / "one"), abs=1e-6)
    assert started(single / launcher, monkeypatch) == 2
    assert started(single / "one", monkeypatch) == 1
    assert done.stdout.count("checkpoint in") == done.stdout.count("trained in") == 1
    assert done.stderr.count("epoch 2: validation loss") == 1
    assert not (single / f"{launcher}.partial").exists()


@pytest.mark.slow
def test_sharded_processes_train_like_one_with_and_without_adapters(encoder: str, tmp_path: Path) -> None:
    done = launch(*TORCHRUN, ROOT / "tests" / "sharded.py", encoder, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for rank in sharded.RANKS:
        recipe, output = sharded.recipe(rank), tmp_path / f"alone-{rank}"
        finetuning.train(sharded.SPLITS, tiny.config(name=encoder), recipe, output=output, about={})
        assert scores(tmp_path / f"rank-{rank}") == pytest.approx(scores(output), abs=1e-5)
        pairs = [example.pair() for example in sharded.SPLITS["validation"]]
        one, many = (inference.logits(models.load(path), pairs) for path in (output, tmp_path / f"rank-{rank}"))
        assert np.abs(one - many).max() < 1e-4


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_to_the_same_weights(built: Workplace, tmp_path: Path) -> None:
    chance = ("model.dropout=0.2", "training.save_steps=3")
    done = launch(*TORCHRUN, TRAIN, *settings(tmp_path, built, "whole"), *chance, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = (*TORCHRUN, TRAIN, *settings(tmp_path, built, "killed"), *chance)
    with subprocess.Popen([str(part) for part in command], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("killed.partial/checkpoint-*/whole.json")):
            assert process.poll() is None
            time.sleep(0.02)
        for worker in (*psutil.Process(process.pid).children(recursive=True), process):
            worker.kill()
    done = launch(*command, "resume=auto", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("going on from step ") == 1
    whole, resumed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == resumed
    found = runs(tmp_path)
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert curve(tmp_path, found["killed"], "train_loss") == curve(tmp_path, found["whole"], "train_loss")


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_another_process_is_told_with_its_examples(encoder: str, tmp_path: Path) -> None:
    """Of the examples of a batch one is wrong, whichever process has it."""
    for number in (0, 2):
        folder = tmp_path / str(number)
        splits = {**SPLITS, "train": [replace(e, soft=(1e300, 0.5, 0.5)) if i == number else e
                                      for i, e in enumerate(SPLITS["train"])]}  # fmt: skip
        rows = tiny.dataset(folder / "dataset", {**splits, "test": tiny.examples(6, seed=3)})
        settings = [f"dataset={rows}", f"model.name={encoder}", "model.max_passage_tokens=48",
                    f"output={folder}/checkpoint", f"tracking.uri=sqlite:///{folder}/mlflow.db",
                    "training.precision=fp32", "training.tokens_per_batch=128", "tracking.system_metrics_seconds=0",
                    f"tracking.artifacts={folder}/artifacts"]  # fmt: skip
        done = launch(*TORCHRUN, TRAIN, *settings, cwd=folder)
        (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
        assert "training stopped: the loss is inf at step " in line, "too large for fp32"
        assert splits["train"][number].id in line, number


@pytest.mark.slow
def test_a_mistake_is_told_once_by_all_processes_together(tmp_path: Path) -> None:
    done = launch(*TORCHRUN, TRAIN, "training.epoch=1", cwd=tmp_path)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith("error: training.epoch: unknown setting 'epoch'")
    assert "exitcode  : 2" in done.stderr  # torchrun's own code is 1 whatever its processes end with
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_submitit_trains_each_job_of_a_multirun_and_a_job_may_have_many_tasks(single: Path, built: Workplace) -> None:
    done = launch(
        sys.executable, TRAIN, "-m", "training.seed=1,2", "hydra/launcher=submitit_local",
        "hydra.launcher.tasks_per_node=2", *settings(single, built, "jobs"), cwd=single,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = runs(single)
    assert [found[name].info.status for name in ("jobs-0", "jobs-1")] == ["FINISHED", "FINISHED"]
    assert scores(single / "jobs-0") == pytest.approx(scores(single / "one"), abs=1e-6)
    assert models.about(single / "jobs-1")["training"]["seed"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.accumulation=0", "training.accumulation=0: expected 1 or more"),
        (f"output={'x' * 300}", "a longer name than the file system takes; choose a shorter one"),
    ],
    ids=["of its own", "of the machine"],
)
def test_a_mistake_in_a_job_of_submitit_comes_back_as_one_line(
    built: Workplace, tmp_path: Path, setting: str, said: str
) -> None:
    done = launch(
        sys.executable, TRAIN, "-m", "hydra/launcher=submitit_local", *settings(tmp_path, built, "job"), setting,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith(said)


@pytest.mark.slow
def test_what_works_in_one_process_refuses_a_job_of_several_tasks(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "sweep.py"
    tasks = "hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2"
    done = launch(sys.executable, script, "-m", *tasks, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: scripts/sweep.py works in one process, here are 2; set hydra.launcher.nodes=1")


def test_slurm_where_there_is_none_comes_back_as_one_line(built: Workplace, tmp_path: Path) -> None:
    command = sys.executable, TRAIN, "-m", "hydra/launcher=submitit_slurm", *settings(tmp_path, built, "job")
    done = launch(*command, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith('error: Could not detect "srun"')
    assert "hydra/launcher=submitit_local" in last
    assert "Traceback" not in done.stderr


def test_what_submitit_says_of_jobs_is_one_line_but_for_bugs() -> None:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    refused = FailedJobError(
        "sbatch: error: invalid partition specified: foo\nsbatch: error: Batch job submission failed"
    )
    assert launched.told_by_submitit(refused).startswith("sbatch: error: invalid partition specified: foo; logs are in")
    ended = UncompletedJobError(
        "Job 7 (task: 0) with path x has not produced any output (state: OUT_OF_MEMORY)\n---\nlog"
    )
    assert launched.told_by_submitit(ended).endswith("(state: OUT_OF_MEMORY); logs are in outputs/multirun/.submitit")
    bug = FailedJobError("Job (task=0) failed during processing with trace:\n----\nTraceback")
    assert launched.told_by_submitit(bug) == launched.told_by_submitit(RuntimeError("other")) == ""


WITHOUT_PLUGINS = """
import sys
sys.modules["hydra_plugins"] = None  # as if no plugin of Hydra were installed
sys.path[:0] = [sys.argv.pop(1)]
from conftest import script
script("predict").main.cli()
"""


def test_slurm_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    command = (sys.executable, "-c", WITHOUT_PLUGINS, ROOT / "tests", "-m", "hydra/launcher=submitit_slurm")
    done = launch(*command, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("run `pip install -e '.[slurm]'` in the folder of the repository")


def test_a_task_of_slurm_sees_every_card_of_its_machine(process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under torchrun: a task that saw one card alone would be told by its LOCAL_RANK to take another."""
    place = {"JOB_ID": "1", "NTASKS": "2", "JOB_NUM_NODES": "1", "NODEID": "0", "GLOBALID": "1", "LOCALID": "1"}
    for name, value in place.items():
        monkeypatch.setenv(f"SUBMITIT_LOCAL_{name}", value)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    launched.join_slurm()
    assert (launched.rank(), launched.processes(), launched.processes_here()) == (1, 2, 2)
    assert os.environ["LOCAL_RANK"] == "1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5"


def test_a_process_alone_is_the_first_and_keeps_its_noise() -> None:
    state = torch.get_rng_state()
    distributed.own_noise(1)
    assert (launched.rank(), launched.processes()) == (0, 1)
    assert torch.equal(state, torch.get_rng_state())


def test_other_processes_draw_noise_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.get_rng_state()
    drawn = []
    for rank in ("1", "2"):
        monkeypatch.setenv("RANK", rank)
        distributed.own_noise(1)
        drawn.append(torch.rand(3).tolist())
    torch.set_rng_state(state)
    assert drawn[0] != drawn[1]
