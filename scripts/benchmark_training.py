"""Training: our recipe against the Trainer with its defaults. Part of benchmark.py."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from benchmark_figures import Bench, Figure, Task, alternate, lower, points, rate, yes
from stance import training
from stance.records import LABELS, Example
from stance.scores import StanceScore
from stance.trainer import attention_kernels

MARK = 4.0


class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds inside the epochs: loading of batches and steps, but neither evaluation nor checkpoints."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.start = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.start = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Stop; the trainer evaluates and saves after this."""
        self.seconds += time.perf_counter() - self.start


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """The scores of one pair a row."""
    scores: dict[str, float] = StanceScore().compute(
        predictions=prediction.predictions.argmax(1), references=prediction.label_ids
    )
    return scores


def stock_trainer(bench: Bench, *, seed: int = 42, **settings: Any) -> Trainer:
    """The Trainer with its defaults but for `settings`; the texts are tokenised once, which is generous."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(bench.encoder)
    model = AutoModelForSequenceClassification.from_pretrained(
        bench.encoder, num_labels=len(LABELS), id2label=dict(enumerate(LABELS)), dtype=torch.float32
    )

    def encode(examples: Sequence[Example]) -> list[dict[str, Any]]:
        questions = [f"{e.actor} on {e.target}" for e in examples]
        encoded = tokenizer(questions, [e.text for e in examples], truncation=True)
        columns = [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]
        return [c | {"labels": LABELS.index(e.stance)} for c, e in zip(columns, examples, strict=True)]

    arguments = TrainingArguments(
        output_dir=str(bench.work / "stock-run"),
        seed=seed,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        **settings,
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=encode(bench.rows["train"]),
        eval_dataset=encode(bench.rows["validation"]),
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def training_speed(bench: Bench, steps: int) -> dict[str, list[Figure]]:
    """Training pairs/s: an epoch of ours and `steps` random batches of stock's, drawn from the same pairs."""

    def ours(turn: int) -> Sequence[float]:
        clock, config = Clock(), replace(bench.job.training, epochs=1, seed=turn)
        trainer, _ = training.assemble(bench.rows, bench.job.model, config, work=bench.work / "ours-run")
        trainer.add_callback(clock)
        with attention_kernels():
            trainer.train()
        return [trainer.pairs_seen / clock.seconds]

    def stock(turn: int) -> Sequence[float]:
        clock, trainer = Clock(), stock_trainer(bench, seed=turn, max_steps=steps)
        trainer.add_callback(clock)
        trainer.train()
        trainer.save_model(str(bench.stock))
        return [steps * trainer.args.train_batch_size / clock.seconds]

    return alternate({"training, stance": ours, "training, stock": stock}, bench.repeats)


def quality(bench: Bench, seeds: int) -> dict[str, list[Figure]]:
    """Validation macro-F1 and seconds of whole trainings, one a seed.

    Ours, stock, and stock for as many epochs as ours, of which it too may keep the best.
    """
    best = {"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1, "load_best_model_at_end": True}
    longer = best | {"metric_for_best_model": "macro_f1", "num_train_epochs": bench.job.training.epochs}

    def ours(turn: int) -> Sequence[float]:
        config = replace(bench.job.training, seed=turn)
        start = time.perf_counter()
        result = training.train(bench.rows, bench.job.model, config, output=bench.work / "ours", about={})
        return result.scores["macro_f1"], time.perf_counter() - start

    def stock(turn: int, settings: Mapping[str, Any]) -> Sequence[float]:
        start = time.perf_counter()
        trainer = stock_trainer(bench, seed=turn, **settings)
        trainer.train()
        seconds = time.perf_counter() - start
        trainer.save_model(str(bench.stock))
        return trainer.evaluate()["eval_macro_f1"], seconds

    tasks: dict[str, Task] = {
        "whole training, stance": ours,
        "whole training, stock": lambda turn: stock(turn, {}),
        "whole training, stock for longer": lambda turn: stock(turn, longer),
    }
    return alternate(tasks, seeds)


def trained_rows(speed: Mapping[str, list[Figure]], scores: Mapping[str, list[Figure]], epochs: int) -> list[list[str]]:
    """Rows of training: the ratio counts only with an equal score, so the scores come with it."""
    pace = "training, pairs/s", speed["training, stance"][0], speed["training, stock"][0], MARK
    if not scores:
        return [rate(*pace, refused="score not compared (`--quality`)")]
    ours, stock, longer = scores.values()
    rows = [
        points("validation macro-F1; stock: 3 epochs, its default", ours[0], stock[0]),
        points(f"validation macro-F1; stock: best of {epochs} epochs", ours[0], longer[0]),
    ]
    equal = all(row[-1] == yes(True) for row in rows)
    return [
        rate(*pace, refused="" if equal else "**no**, the score is lower"),
        *rows,
        lower("whole training, s; stock: 3 epochs", ours[1], stock[1], ",.0f"),
        lower(f"whole training, s; stock: {epochs} epochs", ours[1], longer[1], ",.0f"),
    ]
