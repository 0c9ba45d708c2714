"""Fine-tuning: Hugging Face's Trainer over passages with many pairs. Knows neither MLflow nor Hydra.

Metrics leave through a `Sink`; the result is a checkpoint directory (see `stance.network.model`).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments, set_seed

from stance import launch
from stance.augmentation.augment import unused, vary, without_labels
from stance.building.dataset import fingerprint
from stance.encoding import PairEncoder
from stance.files import check_replaceable, remove_leftovers, replace_directory
from stance.network import encoders, lora
from stance.network.encoders import Pretrained
from stance.network.model import ENTRIES, Checkpoint, StanceModel, save
from stance.network.precision import choose_precision
from stance.records import LABELS, UNLABELLED, Example
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import ancestry, distributed, engine, failures, rehearsal
from stance.training.balance import balance, power
from stance.training.batches import Rows
from stance.training.callbacks import Sink
from stance.training.checkpoints import Keeper, check_disk, epochs_done, newest
from stance.training.detectors import detectors
from stance.training.recipe import check_r_drop, suited
from stance.training.resume import begin_job, describe_job, find_interrupted, hold_work, job_digest, with_precision
from stance.training.teacher import answer, further, knows, say_unanswered, teach
from stance.training.trainer import StanceTrainer
from stance.training.validation import Validation
from stance.training.watch import Listener, Watch, record


@dataclass(frozen=True)
class Result:
    """What a training run leaves: where, how good on validation, how fast (training pairs per second of all processes).

    `trained_share` is the share of the parameters that were trained: 1 without adapters and frozen layers;
    `alerts` what a person should know, by name.
    """

    checkpoint: Path
    scores: dict[str, float]
    history: list[dict[str, float]]
    pairs_per_second: float
    precision: str
    cuts: dict[str, str]
    trained_share: float = 1.0
    alerts: dict[str, str] = field(default_factory=dict)


def train(
    splits: Mapping[str, Sequence[Example]],
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    output: Path,
    about: Mapping[str, Any],
    sink: Sink = lambda metrics, step: None,
    listener: Listener | None = None,
    resume: str = "never",
    rescue: bool = True,
) -> Result:
    """Fine-tune on `splits["train"]`, choose the epoch by macro-F1 on `splits["validation"]`.

    Args:
        splits: examples by split, and questions without a label as `unlabelled` for `training.teacher`, if any.
        model_config, config: the encoder and its input, and the recipe.
        output: the checkpoint directory of a training that ends well; `rescue` keeps another's best epoch beside it.
        about: facts that the checkpoint keeps (dataset fingerprint, commit, run). Of several processes
            (`stance.training.distributed`), which all call this, the first alone writes, and needs this and `sink`.
        sink, listener: hear of metrics as they come, after a resume also of those before; of alerts and epochs' ends.
        resume: where an interrupted training into `output` stopped `auto` goes on, `stop` refuses, `never` starts anew.

    Raises:
        StanceError: settings, data or checkpoint don't fit, `output` is taken, a loss is not finite, or memory ran out.
    """
    config = with_precision(model_config, config, about.get("dataset_sha256", ""), output, resume)
    check_replaceable(output, marker="checkpoint.json", own=ENTRIES)
    with hold_work(output) as work:
        job = describe_job(model_config, config, about.get("dataset_sha256") or fingerprint(splits))
        start = find_interrupted(work, job, resume).checkpoint
        alerts = _doubted(config, about, sink, listener, again=start is not None)
        with failures.loading(model_config):
            trainer, pretrained = assemble(splits, model_config, config, work=work, sink=sink, listener=listener)
        keep = _keeper(trainer, pretrained, model_config, about)
        saved, left = keep if rescue else None, partial(newest, work) if resume != "never" else None
        with failures.explained(trainer, model_config, saved, output=output, left=left):
            scores = _fit(trainer, _begin(trainer, job, start, resume=resume, run=about.get("train_run", "")))
        keep(scores, output)
        return _end(trainer, output, scores, alerts)


def _doubted(
    config: TrainingConfig, about: Mapping[str, Any], sink: Sink, listener: Listener | None, *, again: bool
) -> dict[str, str]:
    """Alerts about what is taken over, raised before it is used; not said `again` by a run that goes on."""
    found = ancestry.doubts(config, about["dataset_sha256"]) if "dataset_sha256" in about else {}
    if launch.rank() == 0:
        for name, text in found.items():
            if not again:
                print(f"warning: {text}", file=sys.stderr)
            record(name, text, 0, sink, listener)
    return found


def _keeper(
    trainer: StanceTrainer, pretrained: Pretrained, model_config: ModelConfig, about: Mapping[str, Any]
) -> Callable[[Mapping[str, float], Path], None]:
    """What writes the trainer's model, with these validation scores, as a checkpoint directory."""
    targets = [shares for row in trainer.train_dataset.rows for shares in row.targets]
    initial = ancestry.started_from(trainer.recipe)
    before = knows(initial) if initial else ()
    known = {
        **about,
        "model": asdict(model_config),
        "training": asdict(trainer.recipe),
        "ancestors": ancestry.datasets(ancestry.ancestors(trainer.recipe)),
        "knows": [name for i, name in enumerate(LABELS) if name in before or any(shares[i] >= 0 for shares in targets)],
        "job": job_digest(model_config, trainer.recipe, about.get("dataset_sha256", "")),
    }

    def keep(scores: Mapping[str, float], folder: Path) -> None:
        model = _trained(trainer, model_config)  # all processes have their part in it
        if launch.rank() == 0:
            facts = {**known, "validation": dict(scores)}
            with replace_directory(folder, marker="checkpoint.json", own=ENTRIES) as place:
                save(Checkpoint(model, pretrained.tokenizer, pretrained.encoding, facts), place)

    return keep


def _begin(trainer: StanceTrainer, job: Mapping[str, Any], start: Path | None, *, resume: str, run: str) -> Path | None:
    """Make the work folder ready once for all processes; the checkpoint to go on from."""
    work = Path(trainer.args.output_dir)
    if trainer.args.process_index == 0:
        check_disk(work, trainer.model, trainer.recipe, sharded=trainer.is_fsdp_enabled)
        begin_job(work, job, start, resume=resume, run=run)
    trainer.accelerator.wait_for_everyone()
    return start


def _end(trainer: StanceTrainer, output: Path, scores: dict[str, float], alerts: Mapping[str, str]) -> Result:
    """Say what there is to say of a training whose checkpoint is written."""
    if launch.rank() == 0:
        trainer.watch.judge(scores, trainer.state)
        remove_leftovers(output)
    return Result(
        output,
        scores,
        [dict(entry) for entry in trainer.state.log_history],
        trainer.pairs_seen / max(trainer.pace.seconds, 1e-9),
        choose_precision(trainer.recipe.precision),
        {"train": str(trainer.train_dataset.cuts), "validation": str(trainer.eval_dataset.cuts)},
        trainer.trained_share,
        dict(trainer.watch.alerts) | dict(alerts),
    )


def _fit(trainer: StanceTrainer, checkpoint: Path | None) -> dict[str, float]:
    """Train, from `checkpoint` on; the validation scores of the epoch that was kept."""
    if checkpoint and (done := epochs_done(checkpoint)) is not None:
        trainer.args.num_train_epochs = done
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.accelerator.wait_for_everyone()  # all have read the best epoch before the first removes its file
    finally:
        trainer.view.close()
    return trainer.kept_epoch()[1]


def assemble(
    splits: Mapping[str, Sequence[Example]],
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    work: Path,
    sink: Sink = lambda metrics, step: None,
    listener: Listener | None = None,
) -> tuple["StanceTrainer", Pretrained]:
    """The trainer that `train` starts and the encoder in it; `work` takes its checkpoints."""
    rehearsal.check(model_config, config, splits)
    check_r_drop(config, model_config)
    precision = choose_precision(config.precision)
    set_seed(config.seed)
    pretrained = encoders.load(model_config)
    config = suited(config, pretrained.encoder.config.hidden_size)
    model = engine.network(pretrained, model_config, config)
    encoder = PairEncoder(pretrained.tokenizer, pretrained.encoding)
    rows = {
        "train": Rows(balance(_learned(splits, config), power(config.class_weights)), encoder),
        "validation": Rows(splits["validation"], encoder),
    }
    trainer = StanceTrainer(
        model,
        rows=rows,
        config=config,
        arguments=_arguments(config, work, precision),
        sink=sink,
        validation=Validation(splits["train"], splits["validation"], seed=config.seed, passes=config.epochs),
        watch=Watch(detectors(config, splits), sink=sink, listener=listener),
    )
    trainer.add_callback(Keeper(trainer, config.save_steps))
    return trainer, pretrained


def suit(model_config: ModelConfig, config: TrainingConfig) -> TrainingConfig:
    """The recipe with all that is left to the encoder settled (`stance.training.recipe.suited`).

    Raises:
        StanceError: the encoder can't be found.
    """
    return suited(config, encoders.pretrained_config(model_config).hidden_size)


def _learned(splits: Mapping[str, Sequence[Example]], config: TrainingConfig) -> list[Example]:
    """What is trained on: the training pairs, taught and varied, and what only teachers answer, varied as well."""
    examples, unlabelled = splits["train"], splits.get(UNLABELLED, ())
    made: dict[str, int] = {}
    if not config.teacher:
        varied = vary(examples, config, made)
        if launch.rank() == 0:
            say_unanswered(len(unlabelled))
            _say_unused(config, made)
        return varied

    def learned() -> list[Example]:
        asked, more = further(examples, config), dict[str, int]()
        opened = [*answer(asked, config), *answer(unlabelled, config)]
        varied = [*vary(teach(examples, config), config, made), *vary(opened, without_labels(config), more)]
        both = {name: number + more[name] for name, number in made.items()}
        _say_unused(config, both | {"teacher_questions": len(asked), "teacher_questions_weight": len(opened)})
        return varied

    return distributed.on_first(learned)


def _say_unused(config: TrainingConfig, made: Mapping[str, int]) -> None:
    """A line about each setting that finds nothing to do."""
    for line in unused(config, made):
        print(line, file=sys.stderr)


def _trained(trainer: StanceTrainer, model_config: ModelConfig) -> StanceModel:
    """The trained model, whole and without adapters."""
    model: StanceModel = trainer.model
    if trainer.is_fsdp_enabled:
        state = distributed.weights(trainer)
        model = engine.network(encoders.load(model_config), model_config, trainer.recipe)
        if launch.rank() == 0:
            model.load_state_dict(state)
    model.encoder = lora.merge(model.encoder)
    return model


def _arguments(config: TrainingConfig, work: Path, precision: str) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(work.absolute()),  # else a folder that is called ~ would be taken for the home
        num_train_epochs=config.epochs,
        gradient_accumulation_steps=config.accumulation,
        torch_compile=config.compile,
        ddp_find_unused_parameters=False,  # there are none, see engine.freeze_idle
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        optim="adamw_torch_fused",
        logging_steps=10,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would hide what the guard must see
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # a resumed run must not forget its patience
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        label_names=["labels", "examples"],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
    arguments.mixed_precision = "bf16" if precision == "bf16" else "no"  # whatever accelerate's own settings say
    arguments._n_gpu = min(arguments.n_gpu, 1)  # else one process splits its batches over all GPUs by DataParallel
    return arguments
