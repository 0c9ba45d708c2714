"""What ends a training early: NaN and infinite losses, too little memory, inputs of no use. One line, exit code 2."""

import errno
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

import tiny
from conftest import ROOT, script
from stance.errors import MachineError, StanceError
from stance.jobs.training import TrainJob
from stance.network import encoders
from stance.network import model as checkpoints
from stance.records import Example
from stance.settings.training import LoraConfig, ModelConfig, TrainingConfig
from stance.training import failures, finetuning
from tiny import one_thread  # noqa: F401

SPLITS = {"train": tiny.examples(48, seed=1), "validation": tiny.examples(24, seed=2), "test": tiny.examples(6, seed=3)}
Cli = Callable[..., list[str]]


def train(
    encoder: str, output: Path, *, splits: Mapping[str, list[Example]] = SPLITS, resume: str = "never", **changes: Any
) -> finetuning.Result:
    values = {"epochs": 3, "learning_rate": 3e-3, "tokens_per_batch": 128, "precision": "fp32", **changes}
    return finetuning.train(
        splits, tiny.config(name=encoder), TrainingConfig(**values), output=output, about={}, resume=resume
    )


@pytest.fixture(scope="module")
def store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an MLflow database."""
    return Path(shutil.copy(empty_store, tmp_path_factory.mktemp("store") / "mlflow.db")).parent


@pytest.fixture
def refused(
    encoder: str, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Runs scripts/train.py as the command line does; it must end with code 2. Returns the lines on stderr."""

    def run(*overrides: str, splits: Mapping[str, list[Example]] = SPLITS) -> list[str]:
        settings = {
            "model.name": encoder,
            "model.max_passage_tokens": "48",
            "model.max_name_tokens": "8",
            "training.tokens_per_batch": "128",
            "training.precision": "fp32",
            "dataset": str(tiny.dataset(tmp_path / "dataset", splits)),
            "output": f"{tmp_path}/checkpoint",
            **tracking(store),
        } | dict(override.split("=", 1) for override in overrides)
        monkeypatch.setattr(sys, "argv", ["train.py", *(f"{key}={value}" for key, value in settings.items())])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                script("train").main.cli()
        finally:
            signal.signal(signal.SIGTERM, before)
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()

    return run


def tracking(folder: Path) -> dict[str, str]:
    """Settings of a store in `folder`."""
    uri, artifacts = f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts"
    return {"tracking.uri": uri, "tracking.artifacts": artifacts, "tracking.system_metrics_seconds": "0"}


def recorded(folder: Path) -> Any:
    """The latest run of the store in `folder`."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("stance").experiment_id])[0]


# Numbers that are none


def poisoned(encoder: str, folder: Path) -> str:
    """A checkpoint of the encoder with a weight that is NaN."""
    train(encoder, folder, epochs=1)
    weights = load_file(folder / "model.safetensors")
    weights["head.3.bias"][1] = torch.nan
    save_file(weights, folder / "model.safetensors")
    return str(folder)


def test_a_learning_rate_that_blows_up_stops_with_place_and_examples(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError) as caught:
        train(encoder, tmp_path / "checkpoint", learning_rate=1e30)
    text = str(caught.value)
    found = re.match(
        r"training stopped: the loss is nan at step (\d+) of 21 \(epoch 0\.\d+, learning rate [\d.e+]+\), in a batch "
        r"of (\d+) examples: ([^;]+); lower training\.learning_rate \(now 1e\+30\) or lengthen .*no epoch had ended",
        text,
    )
    assert found, text
    assert 1 < int(found[1]) < 8
    assert "training.precision=fp32" not in text, "it is set already"
    named = found[3].removesuffix(", …").split(", ")
    assert set(named) <= {example.id for example in SPLITS["train"]}
    assert len(named) == min(int(found[2]), failures.SHOWN)
    assert not (tmp_path / "checkpoint").exists()


def test_the_best_epoch_before_it_is_kept_and_can_be_used(encoder: str, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    # One batch is an epoch, so the first one is saved before the learning rate has done anything: it is warmed up.
    with pytest.raises(StanceError, match=r"validation loss is nan after epoch 2 \(step 2\).* is kept: ") as caught:
        train(encoder, output, learning_rate=1e30, tokens_per_batch=100_000, warmup=0.6)
    (folder,) = re.findall(r"training\.initial=(\S+) ", str(caught.value))
    assert f"export it with checkpoint={folder}" in str(caught.value)
    kept = checkpoints.load(Path(folder))
    assert all(torch.isfinite(p).all() for p in kept.model.parameters())
    # Untrained, it gives one label to all: an F1 of 1/2 for that one, since a third have it, and 0 for the others.
    assert kept.about["validation"]["macro_f1"] == pytest.approx(1 / 6)
    assert not output.exists()
    # Another try that fails leaves the first one's checkpoint where it is.
    before = (Path(folder) / "checkpoint.json").read_bytes()
    with pytest.raises(StanceError, match=rf"training\.initial={folder}-2 or export"):
        train(encoder, output, learning_rate=1e30, tokens_per_batch=100_000, warmup=0.6)
    assert (Path(folder) / "checkpoint.json").read_bytes() == before
    # What the message says to do, with the same output; a training that ends well leaves what it started from.
    result = train(encoder, output, initial=folder, learning_rate=1e-12, weight_decay=0.0, epochs=1)
    assert result.scores["macro_f1"] == pytest.approx(kept.about["validation"]["macro_f1"])
    assert folder == f"{output}.best"
    assert (Path(folder) / "checkpoint.json").read_bytes() == before


def test_where_a_checkpoint_is_left_the_next_try_with_other_settings_is_told_how(encoder: str, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    with pytest.raises(
        StanceError, match=r"; with other settings also set resume=never, since \S+checkpoint-1 is left$"
    ):
        train(encoder, output, learning_rate=1e30, tokens_per_batch=100_000, warmup=0.6, resume="stop")
    with pytest.raises(StanceError, match=r"checkpoint-1: an interrupted training; resume=auto"):
        train(encoder, output, epochs=1, resume="stop")
    with pytest.raises(StanceError, match="resume=never") as caught:
        train(encoder, output, learning_rate=1e30, resume="auto")
    assert "was another one" in str(caught.value)
    with pytest.raises(StanceError, match=r"no epoch had ended, so there is no checkpoint to keep$"):
        train(encoder, tmp_path / "other", learning_rate=1e30, resume="stop")


def test_weights_that_are_no_numbers_are_blamed_before_any_step(encoder: str, tmp_path: Path) -> None:
    initial = poisoned(encoder, tmp_path / "poisoned")
    with pytest.raises(StanceError, match=r"the loss is nan at step 1 of .*no step was taken yet, so the weights") as e:
        train(encoder, tmp_path / "checkpoint", initial=initial)
    assert f"training.initial={initial}" in str(e.value)
    assert "lower training.learning_rate" not in str(e.value)


def test_a_gradient_that_is_infinite_under_a_finite_loss_stops_too(encoder: str, tmp_path: Path) -> None:
    values = TrainingConfig(epochs=1, tokens_per_batch=128, precision="fp32")
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), values, work=tmp_path / "work")
    weight = trainer.model.head[0].weight
    weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weight.detach().clone()
    with pytest.raises(
        failures.NotFiniteError, match=r"the norm of the gradient is (nan|inf) at step 1 of \d+ .*batch of"
    ):
        trainer.train()
    assert torch.equal(weight, before), "no step was taken with it"


def test_of_a_step_of_several_batches_the_last_is_named_as_such(encoder: str, tmp_path: Path) -> None:
    values = TrainingConfig(epochs=1, tokens_per_batch=128, precision="fp32", accumulation=3)
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), values, work=tmp_path / "work")
    trainer.model.head[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(failures.NotFiniteError, match=r"in several batches, the last of \d+ examples: "):
        trainer.train()


def test_numbers_that_are_none_end_the_script_with_one_line_and_a_failed_run(refused: Cli, store: Path) -> None:
    lines = refused("training.learning_rate=1e30")
    assert lines[-1].startswith("error: training stopped: the loss is nan at step ")
    assert sum(line.startswith("error: ") for line in lines) == 1
    run = recorded(store)
    assert run.info.status == "FAILED"
    assert run.data.tags["stance.error"].startswith("StanceError: training stopped: the loss is nan at step ")


# Memory

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of the address space is Linux's")
LACKING = (
    r"out of memory in training step \d+( \(asked for [\d.e-]+ GiB more\))?, on a batch of \d+ passages x \d+ tokens; "
    r"lower training\.tokens_per_batch \(now 1000000; "
)
SPARE = 320 * 2**20
LONG = {"max_passage_tokens": 500, "max_name_tokens": 8}
LIMIT = f"""
import resource, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT / "tests")!r}]

def limit():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {SPARE},) * 2)
"""
"""The start of programs that limit their own memory, a process each: what oneDNN lacked once, it lacks for ever."""
TRAINED = """
import tiny
from test_failures import LONG, SPLITS, many
from stance.training import finetuning
from stance.settings.training import TrainingConfig

def train(splits, tokens):
    values = TrainingConfig(epochs=1, tokens_per_batch=tokens, precision="fp32")
    finetuning.train(splits, tiny.config(name=sys.argv[1], **LONG), values, output=Path(sys.argv[2]), about={})

train(SPLITS, 128)  # so that nothing has to be imported under the limit
limit()
try:
    train({**SPLITS, "train": many()}, 1_000_000)
except Exception as error:
    print(type(error).__name__, error)
"""
SCRIPT = """
from conftest import script
main = script("train").main
# no later imports
import stance.commands.train, mlflow.store.tracking.sqlalchemy_store, sklearn.linear_model, torch._dynamo
limit()
main.cli()
"""


def many() -> list[Example]:
    """Long examples whose mask alone, the first thing that a batch of them needs, does not fit into `SPARE`.

    Where it is a small allocation that fails, libraries say nothing of memory, or crash.
    """
    return [replace(example, text=example.text + " said" * 480) for example in tiny.examples(800, seed=1)]


def limited(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the programs above."""
    return subprocess.run(
        [sys.executable, "-c", LIMIT + program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def lengthy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny BERT for passages of 500 tokens."""
    folder, tokens = tmp_path_factory.mktemp("lengthy"), tiny.tokenizer("bert")
    tiny.encoder("bert", tokens, max_position_embeddings=600).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@LINUX
def test_too_little_memory_says_what_to_lower(lengthy: str, tmp_path: Path) -> None:
    done = limited(TRAINED, lengthy, str(tmp_path / "checkpoint"))
    assert re.match("StanceError " + LACKING, done.stdout.splitlines()[-1]), done


@LINUX
@pytest.mark.slow
def test_too_little_memory_ends_the_script_with_one_line(lengthy: str, tmp_path: Path) -> None:
    settings = {
        "model.name": lengthy,
        **{f"model.{key}": str(value) for key, value in LONG.items()},
        "training.precision": "fp32",
        "training.tokens_per_batch": "1000000",
        "dataset": str(tiny.dataset(tmp_path / "dataset", {**SPLITS, "train": many()})),
        "output": f"{tmp_path}/checkpoint",
        **tracking(tmp_path),
    }
    done = limited(SCRIPT, *(f"{key}={value}" for key, value in settings.items()))
    assert done.returncode == 2, done.stderr
    assert re.match("error: " + LACKING, done.stderr.splitlines()[-1]), done.stderr
    assert recorded(tmp_path).info.status == "FAILED"


def test_an_allocation_that_fails_is_known_as_lack_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert failures.is_memory(caught.value)
    assert not failures.is_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_what_onednn_says_when_it_has_no_memory_for_its_code_is_known() -> None:
    # Seen under a limit of the address space, where as often the process crashes: its words alone are tested.
    assert failures.is_memory(RuntimeError("could not create a primitive"))
    assert not failures.is_memory(RuntimeError("could not create a primitive descriptor for a matmul primitive"))


def test_what_a_gpu_says_when_its_memory_is_full_is_told_with_the_size(encoder: str, tmp_path: Path) -> None:
    values = TrainingConfig(precision="fp32", tokens_per_batch=4096)
    trainer, _ = finetuning.assemble(SPLITS, tiny.config(name=encoder), values, work=tmp_path / "work")
    trainer.guard.enter("in training step 7", trainer.train_dataset, next(iter(trainer.get_train_dataloader())))
    with (
        pytest.raises(StanceError, match=r"^out of memory in training step 7 \(asked for 2\.00 GiB\), on .*now 4096"),
        failures.explained(trainer, tiny.config(), lambda scores, folder: None, output=tmp_path / "out"),
    ):
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.21 GiB "
            "is free. Including non-PyTorch memory, this process has 77.88 GiB memory in use."
        )


def test_another_error_of_pytorch_is_left_as_it_is(encoder: str, tmp_path: Path) -> None:
    trainer, _ = finetuning.assemble(
        SPLITS, tiny.config(name=encoder), TrainingConfig(precision="fp32"), work=tmp_path / "work"
    )
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        failures.explained(trainer, tiny.config(), lambda scores, folder: None, output=tmp_path / "out"),
    ):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_memory_that_lacks_while_loading_says_to_take_less() -> None:
    with (
        pytest.raises(
            StanceError, match=r"out of memory while model\.name=toy was loaded .*asked for [\d.e+]+ GiB more"
        ),
        failures.loading(ModelConfig(name="toy")),
    ):
        torch.empty(2**55)


@pytest.mark.parametrize(("shape", "first"), [((8, 128), "training.tokens_per_batch"), ((1, 900), "model.max_passage")])
def test_what_to_lower_begins_with_what_helps(shape: tuple[int, int], first: str) -> None:
    text = failures.relief(shape, TrainingConfig(), ModelConfig())
    assert text.split("lower ", 1)[1].startswith(first)


def test_what_is_set_or_impossible_is_not_advised() -> None:
    recipe = TrainingConfig(gradient_checkpointing=True)
    assert "gradient_checkpointing" not in failures.relief((8, 128), recipe, ModelConfig())
    assert "gradient_checkpointing" not in failures.relief((8, 128), TrainingConfig(), ModelConfig(), recomputes=False)
    both = replace(recipe, lora=LoraConfig(rank=8))
    assert failures.relief((8, 128), both, ModelConfig()).endswith(
        "model.max_pairs (now 32), or choose a smaller encoder"
    )


def test_pairs_that_have_a_pass_each_can_not_be_fewer() -> None:
    assert "max_pairs" not in failures.relief((8, 128), TrainingConfig(), ModelConfig(layout="pair"))


def test_want_of_memory_while_an_encoder_is_read_is_no_fault_of_the_encoder() -> None:
    told = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
    for error in (RuntimeError(told), OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))):
        short = pytest.raises(MachineError, match=r"^model\.name=embedded: out of memory while it is loaded \(.*; free")
        with short, encoders._reading(ModelConfig()):
            raise error
    other = pytest.raises(StanceError, match=r"model\.name=embedded: cannot load it \(no such tensor\)")
    with other, encoders._reading(ModelConfig()):
        raise RuntimeError("no such tensor")


def test_every_setting_that_a_message_names_exists() -> None:
    text = failures.relief((8, 128), TrainingConfig(), ModelConfig())
    job = TrainJob()
    named = re.findall(r"(training|model)\.(\w+)", text)
    assert len(named) >= 3
    for group, setting in named:
        assert setting in {field.name for field in fields(getattr(job, group))}, f"{group}.{setting}"


# Inputs of no use


def without(label: str, split: str) -> dict[str, list[Example]]:
    return {**SPLITS, split: [example for example in SPLITS[split] if example.stance != label]}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_label_that_no_example_has_ends_with_one_line_and_counts(refused: Cli, split: str) -> None:
    splits = without("support", split)
    (line,) = refused(splits=splits)
    counts = {label: sum(e.stance == label for e in splits[split]) for label in ("oppose", "neutral")}
    assert line.startswith(
        f"error: the {split} split has no example of support (found toy: {counts['oppose']} oppose, "
        f"{counts['neutral']} neutral); build the dataset from more articles"
    )
    assert "corpora.KEY.label_set" in line


def test_a_corpus_of_one_label_is_not_advised_to_know_that_one_alone(refused: Cli) -> None:
    (line,) = refused(splits={**SPLITS, "train": [e for e in SPLITS["train"] if e.stance == "support"]})
    assert "the train split has no example of oppose, neutral (found toy: " in line
    assert "label_set" not in line


def test_a_label_that_no_corpus_knows_is_not_missed(encoder: str, tmp_path: Path) -> None:
    splits = {
        split: [replace(e, labels=("oppose", "support")) for e in part if e.stance != "neutral"]
        for split, part in SPLITS.items()
    }
    result = train(encoder, tmp_path / "checkpoint", splits=splits, epochs=1)
    assert result.scores["neutral_predicted"] == 0
    assert result.scores["names_macro_f1"] > 0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_refused(refused: Cli, split: str) -> None:
    (line,) = refused(splits={**SPLITS, split: []})
    assert line.startswith(f"error: the {split} split is empty; build the dataset from more articles")


def test_a_label_whose_examples_all_weigh_nothing_is_refused(encoder: str, tmp_path: Path) -> None:
    train_split = [replace(e, provenance="sampled") if e.stance == "neutral" else e for e in SPLITS["train"]]
    splits = {**SPLITS, "train": train_split}
    with pytest.raises(
        StanceError, match=r"all training examples of neutral have the weight 0.*sampled_weight \(now 0\)"
    ):
        train(encoder, tmp_path / "checkpoint", splits=splits, sampled_weight=0.0)
    train(encoder, tmp_path / "checkpoint", splits=splits, epochs=1, sampled_weight=0.1)


def test_weights_of_zero_are_refused(refused: Cli) -> None:
    (line,) = refused(splits={**SPLITS, "train": [replace(e, weight=0.0) for e in SPLITS["train"]]})
    assert line.startswith("error: all training examples of neutral, oppose, support have the weight 0")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_a_weight_that_is_no_weight_names_its_example(encoder: str, tmp_path: Path, weight: float) -> None:
    splits = {**SPLITS, "train": [*SPLITS["train"], replace(SPLITS["train"][0], id="odd", weight=weight)]}
    with pytest.raises(StanceError, match=rf"the weight of training example odd is {weight}; expected a number from 0"):
        train(encoder, tmp_path / "checkpoint", splits=splits)
    assert list(tmp_path.iterdir()) == []


def gpt2(folder: Path) -> Path:
    """A tiny GPT-2 with a tokenizer of its kind: one special token, and none for padding."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([example.text for example in tiny.examples(20)], trainer)
    end = "<|endoftext|>"
    tokens = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end)
    tokens.save_pretrained(folder)
    GPT2Model(
        GPT2Config(
            vocab_size=len(tokens), n_embd=32, n_layer=1, n_head=2, n_positions=130, bos_token_id=0, eos_token_id=0
        )
    ).save_pretrained(folder)
    return folder


def test_a_tokenizer_without_padding_token_ends_with_one_line(refused: Cli, tmp_path: Path) -> None:
    lines = refused(f"model.name={gpt2(tmp_path / 'gpt2')}")
    assert [line for line in lines if line.startswith("error")] == [
        f"error: model.name={tmp_path}/gpt2: its tokenizer has no padding (pad) token; use another encoder"
    ]


def test_an_encoder_that_cannot_take_the_position_ids_ends_with_one_line(refused: Cli, tmp_path: Path) -> None:
    folder = tiny.folder("deberta-v2", tmp_path / "deberta")
    lines = refused(f"model.name={folder}", "model.layout=one_pass")
    (line,) = [line for line in lines if line.startswith("error")]
    assert line.startswith(
        "error: model.layout=one_pass: a deberta-v2 encoder can't take position ids per pair; these can: "
    )
    assert all(kind in line for kind in ("bert", "distilbert", "roberta"))
    assert line.endswith("Use model.layout=pair")


def test_a_refusal_leaves_the_reason_in_the_store_and_no_checkpoint(refused: Cli, store: Path, tmp_path: Path) -> None:
    refused(splits={**SPLITS, "train": []})
    run = recorded(store)
    assert (run.info.status, run.data.tags["stance.error"][:12]) == ("FAILED", "StanceError:")
    assert not list(tmp_path.glob("checkpoint*"))
    assert json.loads((tmp_path / "dataset" / "manifest.json").read_text())["rows"]["train"] == 0


HEAP = """
import sys
from pathlib import Path
import torch
from stance.network.memory import free

def resident():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024

before = resident()
tensors = [torch.ones(25_000) for _ in range(3000)]  # 100 kB each: the heap's, not pages of their own
tensors = tensors[-1:]  # and one above them keeps the heap from shrinking by itself
held = resident()
free()
print(held - before, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or "glibc" not in platform.libc_ver(), reason="glibc's heap")
def test_what_tensors_have_left_in_the_heap_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, check=True)
    held, left = map(float, done.stdout.split())
    assert held > 200, "MB that nobody uses"
    assert left < held / 4
