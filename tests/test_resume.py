"""Trainings that SIGKILL ends and that go on: the same weights, the same history, the same MLflow run, or a refusal."""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.entities import Run as Recorded
from mlflow.tracking import MlflowClient

import killed
import tiny
from conftest import Workplace, script
from killed import SERVER, SPLITS, train
from stance import files, tracking
from stance.errors import StanceError
from stance.network.precision import choose_precision
from stance.records import LABELS
from stance.settings.tracking import TrackingConfig
from stance.settings.training import LoraConfig, ModelConfig, TrainingConfig
from stance.training import checkpoints, finetuning, resume
from stance.training.finetuning import Result
from tiny import one_thread  # noqa: F401

EVERY = {"save_steps": 3}
STOPS = {"epochs": 6, "early_stopping": 2, "learning_rate": 1e-3}


def slow(*values: Any) -> Any:
    """A case for `make test-slow`: each starts a process or two."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def whole(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A training that nobody interrupted."""
    return train(encoder, tmp_path_factory.mktemp("whole") / "checkpoint")


@pytest.fixture(scope="module")
def stopped(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One that stopped early, and whose best epoch is not its last."""
    result = train(encoder, tmp_path_factory.mktemp("stopped") / "checkpoint", **STOPS)
    scores = [entry["eval_macro_f1"] for entry in result.history if "eval_macro_f1" in entry]
    assert len(scores) < STOPS["epochs"]
    assert 0 < scores.index(max(scores)) < len(scores) - 1
    return result


@pytest.fixture(scope="module")
def interrupt(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Leaves what a training killed at a moment leaves beside its output; the same moment is trained up to once."""
    left: dict[str, Path] = {}

    def leave(moment: str, count: int, output: Path, **settings: Any) -> None:
        which = f"{moment} {count} {settings}"
        if which not in left:
            folder = tmp_path_factory.mktemp("interrupted")
            killed.killed(moment, count, encoder, folder / output.name, **settings)
            left[which] = folder
        shutil.copytree(left[which], output.parent, dirs_exist_ok=True)

    return leave


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def history(result: Result) -> list[dict[str, float]]:
    """All that was logged but for the time that it took."""
    return [{k: v for k, v in entry.items() if "runtime" not in k and "second" not in k} for entry in result.history]


def work_of(output: Path) -> Path:
    return output.with_name(output.name + ".partial")


def steps(output: Path) -> list[int]:
    """The checkpoints in a work folder, whole or not."""
    return sorted(checkpoints.step_of(path) for path in work_of(output).glob("checkpoint-*"))


def best_step(result: Result) -> int:
    """The step after which the kept weights were saved."""
    return int(max((e for e in result.history if "eval_macro_f1" in e), key=lambda e: e["eval_macro_f1"])["step"])


# Exactness

KEPT = [-1]
"""At the end of a training: the best checkpoint and the last one."""


def test_the_same_settings_give_the_same_weights_and_history(encoder: str, whole: Result, tmp_path: Path) -> None:
    again = train(encoder, tmp_path / "checkpoint")
    assert weights(again.checkpoint) == weights(whole.checkpoint)
    assert history(again) == history(whole)


def test_checkpoints_within_an_epoch_change_nothing(encoder: str, whole: Result, tmp_path: Path) -> None:
    often = train(encoder, tmp_path / "checkpoint", save_steps=1)
    assert weights(often.checkpoint) == weights(whole.checkpoint)
    assert history(often) == history(whole)


@pytest.mark.parametrize(
    ("moment", "count", "settings", "left"),
    [
        ("step", 2, EVERY, []),
        slow("step", 18, {}, [10]),
        ("step", 18, EVERY, [10, 15]),
        slow("evaluation", 7, EVERY, [10, 18]),
        ("checkpoint half written", 3, EVERY, [6, 9]),
        slow("checkpoint all but whole", 4, EVERY, [9, 10]),
        slow("checkpoint all but whole", 8, EVERY, [10, 18, 20]),
        slow("old checkpoint half removed", 2, EVERY, [6, 9]),
        slow("best checkpoint read", 1, {}, KEPT),
        slow("output half written", 1, {}, KEPT),
        slow("output written", 1, {}, KEPT),
        slow("work folder half removed", 2, {}, KEPT),
    ],
)
def test_a_killed_training_goes_on_to_the_same_weights_and_history(
    encoder: str, interrupt: Callable[..., None], whole: Result, tmp_path: Path, moment: str, count: int,
    settings: dict[str, int], left: list[int],
) -> None:  # fmt: skip
    output = tmp_path / "checkpoint"
    interrupt(moment, count, output, **settings)
    assert steps(output) == (left if left != KEPT else sorted({best_step(whole), 30}))
    result = train(encoder, output, resume="auto", **settings)
    assert weights(output) == weights(whole.checkpoint)
    assert history(result) == history(whole)
    assert result.scores["macro_f1"] == whole.scores["macro_f1"]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"], "nothing else is left"


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_weights(
    encoder: str, whole: Result, tmp_path: Path
) -> None:
    output = tmp_path / "checkpoint"
    for moment, count in (("step", 5), ("checkpoint half written", 2), ("evaluation", 1), ("step", 9)):
        killed.killed(moment, count, encoder, output, resume="auto", save_steps=2)
    result = train(encoder, output, resume="auto", save_steps=2)
    assert weights(output) == weights(whole.checkpoint)
    assert history(result) == history(whole)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["step", "evaluation"])
def test_a_killed_training_with_adapters_accumulation_and_r_drop_goes_on_to_the_same_weights(
    encoder: str, tmp_path: Path, moment: str
) -> None:
    settings = {"lora": LoraConfig(rank=2), "accumulation": 2, "r_drop": 0.5, "swap_names": 0.3, "save_steps": 2}
    reference = train(encoder, tmp_path / "reference", **settings)
    killed.killed(moment, 13, encoder, tmp_path / "checkpoint", **settings)
    result = train(encoder, tmp_path / "checkpoint", resume="auto", **settings)
    assert weights(result.checkpoint) == weights(reference.checkpoint)
    assert history(result) == history(reference)


@pytest.mark.parametrize(("moment", "count"), [slow("step", 35), slow("evaluation", 17), ("best checkpoint read", 1)])
def test_a_resumed_training_stops_as_early_and_keeps_the_same_epoch(
    encoder: str, stopped: Result, tmp_path: Path, moment: str, count: int
) -> None:
    output = tmp_path / "checkpoint"
    killed.killed(moment, count, encoder, output, **STOPS)
    result = train(encoder, output, resume="auto", **STOPS)
    assert history(result) == history(stopped)
    assert weights(output) == weights(stopped.checkpoint)


@pytest.mark.slow
def test_a_work_folder_that_was_moved_still_knows_its_best_checkpoint(
    encoder: str, stopped: Result, tmp_path: Path
) -> None:
    killed.killed("step", 38, encoder, tmp_path / "checkpoint", **STOPS)
    work_of(tmp_path / "checkpoint").rename(work_of(tmp_path / "other"))
    train(encoder, tmp_path / "other", resume="auto", **STOPS)
    assert weights(tmp_path / "other") == weights(stopped.checkpoint)


@pytest.mark.slow
def test_a_checkpoint_whose_best_one_is_gone_is_not_used(encoder: str, stopped: Result, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    killed.killed("step", 38, encoder, output, **STOPS)
    best, _ = steps(output)
    (work_of(output) / f"checkpoint-{best}" / "model.safetensors").unlink()
    assert checkpoints.newest(work_of(output)) is None
    train(encoder, output, resume="auto", **STOPS)
    assert weights(output) == weights(stopped.checkpoint)


@pytest.mark.parametrize(
    "name", ["whole.json", slow("optimizer.pt"), slow("model.safetensors"), slow("trainer_state.json")]
)
def test_a_truncated_checkpoint_is_passed_over_and_removed(
    encoder: str, interrupt: Callable[..., None], whole: Result, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "checkpoint"
    interrupt("step", 18, output, **EVERY)
    file = work_of(output) / "checkpoint-15" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    seen: list[list[int]] = []
    train(encoder, output, resume="auto", sink=lambda metrics, step: seen.append(steps(output)), **EVERY)
    assert seen[0] == [10]
    assert weights(output) == weights(whole.checkpoint)


@pytest.mark.slow
def test_every_pair_counts_once_for_the_speed(encoder: str, interrupt: Callable[..., None], tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    interrupt("step", 18, output, **EVERY)
    killed.killed("best checkpoint read", 1, encoder, output, resume="auto", **EVERY)
    progress = json.loads((work_of(output) / "checkpoint-30" / "progress-0.json").read_text())
    assert progress["pairs"] == 3 * len(SPLITS["train"])
    result = train(encoder, output, resume="auto", **EVERY)
    assert result.pairs_per_second == pytest.approx(progress["pairs"] / progress["seconds"], rel=0.5)


def test_a_checkpoint_s_progress_is_gone_on_from(encoder: str, tmp_path: Path) -> None:
    trainer, _ = finetuning.assemble(SPLITS, *killed.job(encoder), work=tmp_path)
    progress = {"logged": 2, "loss": 0.25, "total_loss": 1.5, "pairs": 40, "seconds": 8.5}
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3" / "progress-0.json").write_text(json.dumps(progress))
    keeper = checkpoints.Keeper(trainer, save_steps=3)
    trainer.state.global_step = 3
    keeper.on_train_begin(trainer.args, trainer.state, trainer.control)
    assert (trainer.pairs_seen, trainer.pace.seconds) == (40, 8.5)
    assert (trainer._globalstep_last_logged, trainer._total_loss_scalar) == (2, 1.5)
    assert float(trainer._tr_loss) == 0.25


def test_the_sink_gets_what_the_killed_process_may_have_lost(
    encoder: str, interrupt: Callable[..., None], tmp_path: Path
) -> None:
    output = tmp_path / "checkpoint"
    interrupt("step", 18, output, **EVERY)
    seen: list[tuple[str, int]] = []
    train(encoder, output, resume="auto", sink=lambda metrics, step: seen.extend((n, step) for n in metrics), **EVERY)
    assert [step for name, step in seen if name == "validation_macro_f1"] == [10, 20, 30]
    assert [step for name, step in seen if name == "train_loss"] == [1, 10, 20, 30]


def test_without_resume_a_killed_training_starts_anew(encoder: str, whole: Result, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    killed.killed("step", 18, encoder, output, seed=7, **EVERY)
    train(encoder, output, resume="never")
    assert weights(output) == weights(whole.checkpoint)


def test_resume_without_an_interrupted_training_starts_anew_and_says_so(
    encoder: str, whole: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(encoder, tmp_path / "checkpoint", resume="auto")
    assert weights(tmp_path / "checkpoint") == weights(whole.checkpoint)
    assert "checkpoint.partial: starting from the first step" in capsys.readouterr().err


def test_a_training_from_what_an_earlier_one_rescued_can_be_killed(encoder: str, whole: Result, tmp_path: Path) -> None:
    reference = train(encoder, tmp_path / "reference", initial=str(whole.checkpoint), epochs=1)
    output = tmp_path / "checkpoint"
    rescued = Path(shutil.copytree(whole.checkpoint, tmp_path / "checkpoint.best"))
    settings = {"initial": str(rescued), "epochs": 1, **EVERY}
    killed.killed("step", 8, encoder, output, **settings)
    train(encoder, output, resume="auto", **settings)
    assert weights(output) == weights(reference.checkpoint)
    assert not work_of(output).exists()
    assert weights(rescued) == weights(whole.checkpoint), "whatever ends well, it stays"


# Refusals


@pytest.fixture(scope="module")
def interrupted(interrupt: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a training that was killed after its first epoch; the refusals leave it as it is."""
    output = tmp_path_factory.mktemp("refused") / "checkpoint"
    interrupt("step", 12, output)
    return output


def refused(encoder: str, output: Path, match: str, **changes: Any) -> None:
    before = {path: path.read_bytes() for path in work_of(output).rglob("*") if path.is_file()}
    with pytest.raises(StanceError, match=match) as caught:
        train(encoder, output, resume="auto", **changes)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in work_of(output).rglob("*") if path.is_file()} == before


def test_another_recipe_is_refused_and_every_difference_named(encoder: str, interrupted: Path) -> None:
    refused(
        encoder,
        interrupted,
        r"job\.json: the interrupted run was another one: training\.learning_rate was 0\.003, is 0\.001; "
        r"training\.seed was 1, is 2\. Repeat its settings to go on from it, or start anew with resume=never$",
        learning_rate=1e-3,
        seed=2,
    )


def test_another_dataset_is_refused_by_its_sha256(encoder: str, interrupted: Path) -> None:
    other = {**SPLITS, "train": [replace(SPLITS["train"][0], weight=0.5), *SPLITS["train"][1:]]}
    refused(encoder, interrupted, r"another one: dataset was [0-9a-f]{64}, is [0-9a-f]{64}\. Repeat", splits=other)


def test_another_encoder_is_refused(encoder: str, interrupted: Path, tmp_path: Path) -> None:
    other = str(tiny.folder("bert", tmp_path / "other"))
    refused(other, interrupted, r"another one: model\.name was \S+, is \S+other\. Repeat")


def test_an_encoder_with_other_weights_under_the_same_name_is_refused(interrupted: Path, tmp_path: Path) -> None:
    job = described(interrupted)
    (name, digest) = next(iter(job["weights"].items()))
    changed = {**job, "weights": {name: "0" * 64}}
    with pytest.raises(StanceError, match=rf"weights\.{name} was {digest}, is {'0' * 64}\. Repeat"):
        resume.find_interrupted(work_of(interrupted), changed, "auto")
    assert resume.find_interrupted(work_of(interrupted), {**job, "weights": {}}, "auto").checkpoint, (
        "weights that are gone"
    )


def test_another_number_of_processes_is_refused(
    encoder: str, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StanceError, match=r"another one: processes was 1, is 2\. Repeat"):
        resume.find_interrupted(work_of(interrupted), described(interrupted), "auto")


def test_another_kind_of_device_is_refused(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = ("cuda", "cpu") if torch.cuda.is_available() else ("cpu", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there == "cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    with pytest.raises(StanceError, match=rf"another one: device was {here}, is {there}\. Repeat"):
        resume.find_interrupted(work_of(interrupted), described(interrupted), "auto")


def described(output: Path) -> dict[str, Any]:
    """The job of an interrupted training as this process would describe it."""
    before = json.loads((work_of(output) / "job.json").read_text())["job"]
    model, config = killed.job(before["model"]["name"])
    return resume.describe_job(model, config, before["dataset"])


@pytest.mark.parametrize("rewriting", [{"deny": 0.5}, {"passive": 0.5}])
def test_a_training_whose_pairs_a_lexicon_changes_is_another_one_with_another_lexicon(
    tmp_path: Path, rewriting: dict[str, float]
) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("back: support")
    assert resume.weight_digests(ModelConfig(), TrainingConfig(lexicon=str(words))).keys() == set()
    found = resume.weight_digests(ModelConfig(), TrainingConfig(lexicon=str(words), **rewriting))  # type: ignore[arg-type]
    assert found == {str(words): hashlib.sha256(words.read_bytes()).hexdigest()}


def test_class_weights_that_were_of_the_whole_mixture_are_another_training() -> None:
    model, config = killed.job("encoder")
    assert "class weights of this version" not in resume.describe_job(model, config, "0"), "nothing has changed"
    for setting in ("balanced", "0.25"):
        job = resume.describe_job(model, replace(config, class_weights=setting), "0")
        assert job["class weights of this version"] == "within a corpus"


def test_the_precision_that_auto_takes_is_what_counts() -> None:
    model, config = killed.job("encoder", precision="auto")
    taken = replace(config, precision=choose_precision("auto"))
    assert resume.describe_job(model, config, "0") == resume.describe_job(model, taken, "0")


def test_a_resume_takes_the_precision_that_was_measured_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another measurement may come out otherwise, which would be another training."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("stance.network.precision.bf16_instructions", lambda: ["avx512_bf16"])
    model, config, output = ModelConfig(), TrainingConfig(), tmp_path / "checkpoint"
    work_of(output).mkdir()
    for before, gain in (("bf16", 0.5), ("fp32", 3.0)):
        monkeypatch.setattr("stance.network.precision.bf16_gain", lambda gain=gain: gain)
        measured = "bf16" if gain > 1 else "fp32"
        assert resume.with_precision(model, config, "0", output, "never").precision == measured
        (work_of(output) / "job.json").write_text(json.dumps({"job": {"training": {"precision": before}}}))
        assert resume.with_precision(model, config, "0", output, "auto").precision == before
        assert resume.with_precision(model, config, "0", output, "never").precision == measured
        (work_of(output) / "job.json").write_text('{"job": 1}')
        assert resume.with_precision(model, config, "0", output, "auto").precision == measured
    assert resume.with_precision(model, replace(config, precision="fp32"), "0", output, "auto").precision == "fp32"


def test_a_setting_that_changes_no_weight_may_change(
    encoder: str, interrupt: Callable[..., None], whole: Result, tmp_path: Path
) -> None:
    output = tmp_path / "checkpoint"
    interrupt("step", 12, output)
    train(encoder, output, resume="auto", save_steps=4, disk_budget_gb=1.0, teacher_cache=str(tmp_path / "other"))
    assert weights(output) == weights(whole.checkpoint)


@pytest.mark.parametrize(
    ("name", "text"),
    [("whole.json", "[]"), ("whole.json", '{"a": 1'), ("whole.json", '{"trainer_state.json": null}'),
     ("trainer_state.json", "[]"), ("trainer_state.json", "\0\0")],
)  # fmt: skip
def test_what_can_not_be_read_is_no_whole_checkpoint(tmp_path: Path, name: str, text: str) -> None:
    for step in (3, 6):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text('{"best_global_step": null}')
        checkpoints._seal(folder)
    (tmp_path / "checkpoint-x").mkdir()
    (tmp_path / "checkpoint-9").write_text("a file")
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-6"
    (tmp_path / "checkpoint-6" / name).write_text(text)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-3"


def test_a_checkpoint_with_a_zeroed_file_is_passed_over(tmp_path: Path) -> None:
    """A power cut or a bad disk leaves files of the right size without their content."""
    for step in (3, 6):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text('{"best_global_step": null}')
        (folder / "optimizer.pt").write_bytes(b"moments")
        checkpoints._seal(folder)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-6"
    (tmp_path / "checkpoint-6" / "optimizer.pt").write_bytes(bytes(7))
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-3"


def test_resume_that_is_no_choice_is_refused(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"^resume=perhaps: expected stop, auto or never$"):
        train(encoder, tmp_path / "checkpoint", resume="perhaps")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ['{"job": ', "[]", "{}", '{"job": null, "run": null}', '{"job": {}}'])
def test_a_job_file_that_cannot_be_read_is_refused(interrupted: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    assert resume.find_interrupted(tmp_path, described(interrupted), "never") == resume.Before()
    with pytest.raises(StanceError, match=r"job\.json: not the JSON .* start anew with resume=never"):
        resume.find_interrupted(tmp_path, described(interrupted), "auto")


def test_a_work_folder_that_is_something_else_is_left_alone(encoder: str, tmp_path: Path) -> None:
    work_of(tmp_path / "checkpoint").mkdir()
    (work_of(tmp_path / "checkpoint") / "thesis.tex").write_text("mine")
    with pytest.raises(StanceError, match=r"checkpoint\.partial: holds files but no training\.lock"):
        train(encoder, tmp_path / "checkpoint")
    assert (work_of(tmp_path / "checkpoint") / "thesis.tex").read_text() == "mine"


def hold(output: Path, ready: Any) -> None:
    with resume.hold_work(output):
        ready.set()
        time.sleep(120)


def test_a_second_training_into_the_same_output_is_refused_while_the_first_lives(encoder: str, tmp_path: Path) -> None:
    output, ready = tmp_path / "checkpoint", SERVER.Event()
    process = SERVER.Process(target=hold, args=(output, ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(StanceError, match=r"training\.lock: another process writes \S+checkpoint at this moment"):
        train(encoder, output)
    process.kill()
    process.join()
    train(encoder, output, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


# Disk


def test_only_the_last_and_the_best_checkpoint_are_kept(encoder: str, tmp_path: Path) -> None:
    output, most = tmp_path / "checkpoint", 0

    def count(metrics: Mapping[str, float], step: int) -> None:
        nonlocal most
        most = max(most, len(steps(output)))

    train(encoder, output, sink=count, save_steps=1, epochs=4, learning_rate=2e-2)
    assert most == 2


def needed(output: Path) -> int:
    """The bytes of a real checkpoint with its moments."""
    folder = work_of(output) / "checkpoint-10"
    return sum((folder / name).stat().st_size for name in ("model.safetensors", "optimizer.pt"))


def test_checkpoints_over_the_budget_are_refused_before_training(
    encoder: str, interrupted: Path, tmp_path: Path
) -> None:
    one = needed(interrupted) / 1e9
    calls: list[int] = []
    with pytest.raises(
        StanceError,
        match=r"the checkpoints need 0\.00 GB \(3 of 0\.00 GB\), training\.disk_budget_gb=\S+ allows less: raise it, "
        r"choose a smaller model, or training\.save_steps=0 with at most 2 epochs$",
    ):
        train(encoder, tmp_path / "a", disk_budget_gb=2.5 * one, sink=lambda metrics, step: calls.append(step))
    assert calls == []
    assert list(tmp_path.iterdir()) == []
    train(encoder, tmp_path / "b", disk_budget_gb=3.2 * one, epochs=1)
    train(encoder, tmp_path / "c", disk_budget_gb=1.2 * one, epochs=1)


def test_checkpoints_over_the_free_space_are_refused_before_training(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StanceError, match=r"the disk has 0\.00 GB for them: set output elsewhere \(.*\), choose a "):
        train(encoder, tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


def test_the_output_too_needs_room_beside_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    size, usage = model.weight.nbytes, shutil.disk_usage(tmp_path)  # a checkpoint has it thrice, and three are kept
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10 * size))
    checkpoints.check_disk(tmp_path, model, TrainingConfig(save_steps=1))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10 * size - 1))
    with pytest.raises(StanceError, match=r"the checkpoints need 0\.04 GB .*, the disk has 0\.04 GB for them"):
        checkpoints.check_disk(tmp_path, model, TrainingConfig(save_steps=1))


def test_one_epoch_needs_room_for_the_last_checkpoint_and_the_one_being_written(tmp_path: Path) -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    checkpoints.check_disk(tmp_path, model, TrainingConfig(epochs=1, save_steps=1, disk_budget_gb=0.025))
    with pytest.raises(StanceError, match=r"need 0\.02 GB \(2 of 0\.01 GB\), training\.disk_budget_gb=0\.023"):
        checkpoints.check_disk(tmp_path, model, TrainingConfig(epochs=1, save_steps=1, disk_budget_gb=0.023))


@pytest.mark.parametrize("setting", ["save_steps", "disk_budget_gb"])
def test_a_negative_number_of_steps_or_gigabytes_is_refused(encoder: str, tmp_path: Path, setting: str) -> None:
    with pytest.raises(StanceError, match=rf"training\.{setting}=-1: must not be negative"):
        train(encoder, tmp_path / "checkpoint", **{setting: -1})


def test_leftovers_of_a_killed_write_are_removed_and_nothing_else(tmp_path: Path) -> None:
    mine = (".checkpoint.partial", ".checkpoint.old", ".checkpoint.old.qwertyui", ".checkpoints.01234567", "checkpoint",
            ".checkpoint.original", ".checkpoint.previous")  # fmt: skip
    for name in (*mine, ".checkpoint.0123cdef", ".checkpoint.old.abcdefgh/checkpoint"):
        (tmp_path / name).mkdir(parents=True)
    file = tmp_path / ".checkpoint.deadbeef"
    file.touch()
    files.remove_leftovers(tmp_path / "checkpoint")
    assert {path.name for path in tmp_path.iterdir()} == {*mine, file.name}


# In MLflow


def settings(place: Workplace, encoder: str, root: Path, output: str) -> list[str]:
    """Overrides of a training of some thirty steps on a real dataset, in a store of its own."""
    return [
        f"dataset={place.dataset}",
        f"model.name={encoder}",
        "model.max_passage_tokens=48",
        "model.max_name_tokens=8",
        "training.epochs=2",
        "training.precision=fp32",
        "training.tokens_per_batch=2048",
        "training.save_steps=4",
        f"tracking.uri=sqlite:///{store(place, root)}",
        f"tracking.artifacts={root}/artifacts",
        "tracking.system_metrics_seconds=0",
        f"output={root}/{output}",
    ]


def store(place: Workplace, root: Path) -> Path:
    """A copy of the workplace's database, since MLflow takes long to make one."""
    if not (root / "mlflow.db").exists():
        shutil.copy(place.root / "mlruns" / "mlflow.db", root)
    return root / "mlflow.db"


def runs(root: Path) -> list[Recorded]:
    """The training runs of this test, the oldest first; the copied database may have others, of the tests before."""
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("stance").experiment_id
    found = client.search_runs([experiment], "tags.`stance.stage` = 'train'", order_by=["start_time"])
    return [run for run in found if run.data.params["output"].startswith(f"{root}/")]


def metrics(root: Path, run: Recorded) -> dict[str, list[tuple[int, float]]]:
    """Every value by name and step, but for those that tell the time."""
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
    return {
        name: sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
        if "second" not in name and "runtime" not in name
    }


@pytest.mark.slow
@pytest.mark.parametrize("flush", [True, False], ids=["metrics written ahead", "metrics lost"])
def test_a_resumed_training_is_the_same_run_with_every_metric_once(
    built: Workplace, encoder: str, tmp_path: Path, flush: bool
) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    killed.script_killed("step", 24, overrides, flush=flush)
    (before,) = runs(tmp_path)
    assert before.info.status == "RUNNING"
    assert ("train_loss" in before.data.metrics) == flush
    script("train").main([*overrides, "resume=auto"])
    (after,) = runs(tmp_path)
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert after.data.tags["stance.resumed"] == "1"
    assert after.data.tags["stance.resumed_at"].startswith("20")
    assert after.data.params == before.data.params
    assert len(after.inputs.dataset_inputs) == 1
    script("train").main(settings(built, encoder, tmp_path, "reference"))
    reference = runs(tmp_path)[-1]
    assert weights(tmp_path / "checkpoint") == weights(tmp_path / "reference")
    found = metrics(tmp_path, after)
    assert found == metrics(tmp_path, reference)
    assert max(Counter(step for step, _ in values).most_common(1)[0][1] for values in found.values()) == 1


@pytest.mark.slow
def test_a_training_that_failed_before_is_no_longer_called_failed(
    built: Workplace, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    with monkeypatch.context() as patch:
        patch.setattr("stance.tracking.runs.learning_curves", lambda history: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            script("train").main(overrides)
    assert runs(tmp_path)[0].data.tags["stance.error"].startswith("ZeroDivisionError")
    script("train").main([*overrides, "resume=auto"])
    (run,) = runs(tmp_path)
    assert run.info.status == "FINISHED"
    assert "stance.error" not in run.data.tags
    assert not work_of(tmp_path / "checkpoint").exists()


def test_a_refused_setting_leaves_no_work_folder(built: Workplace, encoder: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"training\.label_smoothing=2"):
        script("train").main([*settings(built, encoder, tmp_path, "checkpoint"), "training.label_smoothing=2"])
    assert not work_of(tmp_path / "checkpoint").exists()


@pytest.mark.slow
def test_an_interrupted_training_is_not_thrown_away_unasked(built: Workplace, encoder: str, tmp_path: Path) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    killed.script_killed("step", 14, overrides, flush=True)
    work, before = work_of(tmp_path / "checkpoint"), runs(tmp_path)
    kept = sorted(work.rglob("*"))
    with pytest.raises(StanceError, match=r"\.partial/checkpoint-\d+: an interrupted training; resume=auto goes"):
        script("train").main(overrides)
    assert sorted(work.rglob("*")) == kept
    assert [run.to_dictionary() for run in runs(tmp_path)] == [run.to_dictionary() for run in before]
    script("train").main([*overrides, "resume=never"])
    assert [run.info.status for run in runs(tmp_path)] == ["KILLED", "FINISHED"]
    assert not work.exists()


@pytest.mark.slow
def test_an_interruption_before_the_first_checkpoint_needs_no_choice(
    built: Workplace, encoder: str, tmp_path: Path
) -> None:
    overrides = [*settings(built, encoder, tmp_path, "checkpoint"), "training.save_steps=0"]
    killed.script_killed("step", 1, overrides, flush=True)
    assert work_of(tmp_path / "checkpoint").exists()
    script("train").main(overrides)
    assert (tmp_path / "checkpoint" / "checkpoint.json").is_file()


@pytest.mark.slow
def test_a_training_killed_before_its_first_step_leaves_no_open_run(
    built: Workplace, encoder: str, tmp_path: Path
) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    killed.script_killed("assembly", 1, overrides, flush=True)
    assert [run.info.status for run in runs(tmp_path)] == ["RUNNING"]
    killed.script_killed("assembly", 1, [*overrides, "resume=auto"], flush=True)
    assert [run.info.status for run in runs(tmp_path)] == ["KILLED", "RUNNING"]
    with pytest.raises(StanceError, match=r"training\.label_smoothing=2"):
        script("train").main([*overrides, "training.label_smoothing=2"])
    assert [run.info.status for run in runs(tmp_path)] == ["KILLED", "RUNNING"], "nothing was begun"
    script("train").main([*overrides, "training.label_smoothing=0.1"])
    assert [run.info.status for run in runs(tmp_path)] == ["KILLED", "KILLED", "FINISHED"]
    assert not work_of(tmp_path / "checkpoint").exists()


def test_what_has_been_trained_is_not_trained_again(
    built: Workplace, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    value = script("train").main([*overrides, "resume=auto"])
    file = tmp_path / "checkpoint" / "model.safetensors"
    first = file.stat().st_mtime_ns
    assert script("train").main([*overrides, "resume=auto", "training.save_steps=7"]) == value
    assert "has been trained with these settings on this dataset" in capsys.readouterr().out
    assert (file.stat().st_mtime_ns, len(runs(tmp_path))) == (first, 1)
    script("train").main([*overrides, "resume=auto", "training.seed=2"])
    assert file.stat().st_mtime_ns > first
    assert len(runs(tmp_path)) == 2


@pytest.mark.parametrize("name", ["checkpoint", "partial"])
def test_a_training_that_has_ended_tells_its_precision_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(resume, "choose_precision", lambda wanted: "bf16" if wanted == "auto" else wanted)
    model, config, output = ModelConfig(), TrainingConfig(), tmp_path / "checkpoint"
    facts, job = {"training": {"precision": "fp32"}}, resume.job_digest(model, replace(config, precision="fp32"), "0")
    file = output / "checkpoint.json" if name == "checkpoint" else work_of(output) / "job.json"
    file.parent.mkdir()
    file.write_text(
        json.dumps({"job": job, "labels": LABELS, **facts} if name == "checkpoint" else {"job": facts, "run": ""})
    )
    assert resume.with_precision(model, config, "0", output, "auto").precision == "fp32"
    assert resume.with_precision(model, config, "0", output, "never").precision == "bf16"


def test_another_training_does_not_take_the_precision_of_what_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "choose_precision", lambda wanted: "bf16" if wanted == "auto" else wanted)
    model, config, output = ModelConfig(), TrainingConfig(), tmp_path / "checkpoint"
    job = resume.job_digest(model, replace(config, precision="fp32"), "0")
    output.mkdir()
    (output / "checkpoint.json").write_text(
        json.dumps({"job": job, "labels": LABELS, "training": {"precision": "fp32"}})
    )
    assert resume.with_precision(model, config, "0", output, "auto").precision == "fp32"
    assert resume.with_precision(model, config, "another dataset", output, "auto").precision == "bf16"
    assert resume.with_precision(model, replace(config, epochs=9), "0", output, "auto").precision == "bf16"
    assert resume.with_precision(replace(model, name="other"), config, "0", output, "auto").precision == "bf16"


@pytest.mark.parametrize("name", ["initial", "teacher"])
def test_a_training_does_not_replace_what_it_learns_from(tmp_path: Path, name: str) -> None:
    (tmp_path / "here").mkdir()
    output, same = tmp_path / "checkpoint", str(tmp_path / "here" / ".." / "checkpoint")
    config = TrainingConfig(**{name: same if name == "initial" else [f"toy:{same}"]})  # type: ignore[arg-type]
    with pytest.raises(StanceError, match=rf"output=\S+: is what training\.{name} names, .* choose another output"):
        resume.check_apart(config, output)
    resume.check_apart(config, tmp_path / "other")
    with pytest.raises(StanceError, match="further: is read as part of "):
        resume.check_apart(config, output / "further")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    round_trip = str(tmp_path / "one")
    circle = TrainingConfig(**{name: round_trip if name == "initial" else [round_trip]})  # type: ignore[arg-type]
    with pytest.raises(StanceError, match="one: a link that leads nowhere"):
        resume.check_apart(circle, output)
    given = f"training.initial={same}" if name == "initial" else f"training.teacher=[{same}]"
    with pytest.raises(StanceError, match=rf"is what training\.{name} names"):
        script("train").main([given, f"output={output}"])


def test_an_interrupted_training_is_newer_than_what_was_trained_before(tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    output.mkdir()
    assert resume.finished(output, "d") == {}
    made = {"job": "d", "labels": LABELS, "validation": {"macro_f1": 0.5}}
    (output / "checkpoint.json").write_text(json.dumps(made))
    assert resume.finished(output, "d") == {"macro_f1": 0.5}
    assert resume.finished(output, "e") == {}
    work_of(output).mkdir()
    (work_of(output) / "job.json").write_text("{}")
    assert resume.finished(output, "d") == {}


def test_a_refused_resume_leaves_the_run_as_it_was(built: Workplace, encoder: str, tmp_path: Path) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    killed.script_killed("step", 6, overrides, flush=True)
    before = runs(tmp_path)
    with pytest.raises(StanceError, match=r"training\.seed was 1, is 5"):
        script("train").main([*overrides, "resume=auto", "training.seed=5"])
    assert [run.to_dictionary() for run in runs(tmp_path)] == [run.to_dictionary() for run in before]


@pytest.mark.slow
def test_a_run_that_the_store_no_longer_has_is_replaced_by_a_new_one(
    built: Workplace, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = settings(built, encoder, tmp_path, "checkpoint")
    killed.script_killed("step", 14, overrides, flush=True)
    (tmp_path / "mlflow.db").unlink()
    store(built, tmp_path)
    script("train").main([*overrides, "resume=auto"])
    (run,) = runs(tmp_path)
    assert "does not have the interrupted run" in capsys.readouterr().err
    assert run.info.status == "FINISHED"
    assert "training.epochs" in run.data.params
    assert metrics(tmp_path, run)["train_loss"][0][0] == 1, "what came before is there too"


def test_a_run_in_another_experiment_is_ended_when_a_new_one_takes_its_place(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, artifacts = f"sqlite:///{store(built, tmp_path)}", str(tmp_path / "artifacts")
    config = TrackingConfig(uri=uri, artifacts=artifacts, system_metrics_seconds=0)
    client = MlflowClient(tracking_uri=uri)
    first = client.create_run(client.create_experiment("first")).info.run_id
    with tracking.run(config, stage="toy", settings={}, resume=first) as active:
        assert active.id != first
    assert f"does not have the interrupted run {first}; a new run" in capsys.readouterr().err
    ended = client.get_run(first)
    assert ended.info.status == "KILLED"
    assert "another one took its place" in ended.data.tags["stance.error"]


def test_a_deleted_run_is_replaced_by_a_new_one(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, artifacts = f"sqlite:///{store(built, tmp_path)}", str(tmp_path / "artifacts")
    config = TrackingConfig(uri=uri, artifacts=artifacts, system_metrics_seconds=0)
    with tracking.run(config, stage="toy", settings={}) as active:
        first = active.id
    MlflowClient(tracking_uri=config.uri).delete_run(first)
    with tracking.run(config, stage="toy", settings={}, resume=first) as active:
        assert active.id != first
    assert f"does not have the interrupted run {first}; a new run" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_may_make_a_store_at_a_time(tmp_path: Path) -> None:
    configs = [
        TrackingConfig(
            uri=f"sqlite:///{tmp_path}/new/mlflow.db", experiment=name, artifacts=f"{tmp_path}/artifacts",
            system_metrics_seconds=0,
        )
        for name in ("stance", "stance", "another")
    ]  # fmt: skip
    processes = [killed.SERVER.Process(target=tracking.connect, args=[config]) for config in configs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 3
    found = MlflowClient(configs[0].uri).search_experiments()
    assert {experiment.name for experiment in found} == {"Default", "stance", "another"}
