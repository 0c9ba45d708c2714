"""Training: our recipe against the Trainer with its defaults. Part of benchmark.py."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
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

from benchmark_figures import Bench, Figure, alternate, points, progress, rate, yes
from stance import dataset, origin, resume, training
from stance.records import LABELS, Example
from stance.scores import StanceScore
from stance.studies import Memory

MARK = 6.0
OUR_STEPS = 100
"""Of different lengths, so that it takes many."""
STOCK_EPOCHS = 3
"""The default of `TrainingArguments`."""


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
    """Training pairs/s: `OUR_STEPS` batches of ours and `steps` of stock's, drawn at random from the same pairs."""

    def ours(turn: int) -> Sequence[float]:
        clock, config = Clock(), replace(bench.job.training, epochs=1, seed=turn)
        trainer, _ = training.assemble(bench.rows, bench.job.model, config, work=bench.work / "ours-run")
        trainer.args.max_steps = OUR_STEPS
        trainer.add_callback(clock)
        trainer.train()
        return [trainer.pairs_seen / clock.seconds]

    def stock(turn: int) -> Sequence[float]:
        clock, trainer = Clock(), stock_trainer(bench, seed=turn, max_steps=steps)
        trainer.add_callback(clock)
        trainer.train()
        trainer.save_model(str(bench.stock))
        return [steps * trainer.args.train_batch_size / clock.seconds]

    return alternate({"training, stance": ours, "training, stock": stock}, bench.repeats)


def quality(bench: Bench, seeds: int, memory: Path) -> dict[str, Figure]:
    """Validation macro-F1 of whole trainings, one a seed; both sides keep their best epoch.

    Args:
        bench: the data and both systems.
        seeds: how many trainings of each side.
        memory: JSON Lines of finished trainings; a run that was cut off goes on after them. Scores, unlike speeds,
            do not suffer from other work on the machine, so they may be taken beforehand.
    """
    data = dataset.fingerprint(bench.rows)
    facts = {
        "stance": resume.digest(bench.job.model, bench.job.training, data),
        "stock": f"{STOCK_EPOCHS} {bench.job.model.name} {bench.job.model.revision} {data}",  # none of our settings
    }
    done, commit = Memory(memory), origin.git_commit()[0]
    found: dict[str, list[float]] = {"stance": [], "stock": []}
    for seed in range(1, seeds + 1):
        for side, train in (("stance", ours), ("stock", stock)):
            known = hashlib.sha256(f"{origin.versions()} {facts[side]}".encode()).hexdigest()
            key = f"{side}, seed {seed}, {known}"
            if key not in done.known:
                done.keep(key, {"macro_f1": train(bench, seed), "commit": commit})
            found[side].append(done.known[key]["macro_f1"])
            of = done.known[key]["commit"][:12]
            progress(f"whole training, {side} {seed}/{seeds} ({of}): validation macro-F1 {found[side][-1]:.3f}")
    return {side: Figure(tuple(scores)) for side, scores in found.items()}


def ours(bench: Bench, seed: int) -> float:
    """The score of a whole training of ours."""
    config = replace(bench.job.training, seed=seed)
    result = training.train(bench.rows, bench.job.model, config, output=bench.work / "ours", about={})
    return result.scores["macro_f1"]


def stock(bench: Bench, seed: int) -> float:
    """The score of the best of the Trainer's epochs."""
    best: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    best |= {"metric_for_best_model": "macro_f1", "save_total_limit": 1, "num_train_epochs": STOCK_EPOCHS}
    trainer = stock_trainer(bench, seed=seed, **best)
    trainer.train()
    return float(trainer.evaluate()["eval_macro_f1"])


def trained_rows(speed: Mapping[str, list[Figure]], scores: Mapping[str, Figure]) -> list[list[str]]:
    """Rows of training: the ratio counts only with an equal score, so the scores come with it."""
    pace = "training, pairs/s", speed["training, stance"][0], speed["training, stock"][0], MARK
    if not scores:
        return [rate(*pace, refused="score not compared (`--quality`)")]
    row = points(f"validation macro-F1; stock: best of its {STOCK_EPOCHS} epochs", scores["stance"], scores["stock"])
    return [rate(*pace, refused="" if row[-1] == yes(True) else "**no**, the score is lower"), row]
