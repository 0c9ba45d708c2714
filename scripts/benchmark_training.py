"""Training: our recipe against the Trainer with its defaults. Part of benchmark.py."""

import sys

if __name__ == "__main__":
    sys.exit("error: a part of scripts/benchmark.py; run that")

import hashlib
import itertools
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
from stance import studies
from stance.building import dataset
from stance.records import LABELS, Example, without_places
from stance.scoring.scores import StanceScore
from stance.studies import Memory, bakeoff
from stance.tracking import origin
from stance.training import finetuning, resume

MARK = 6.0
OUR_STEPS = 100
"""Of different lengths, so that it takes many."""
STOCK_EPOCHS = 3
"""The default of `TrainingArguments`."""
STANCE, NAMES_ALONE, STOCK = "stance", "stance, names alone", "stock"
"""Whose scores: ours given the places of the mentions, ours asked as stock is, stock."""


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
        trainer, _ = finetuning.assemble(bench.rows, bench.job.model, config, work=bench.work / "ours-run")
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
        seeds: how many trainings of each side are wanted; 0 takes those that the memory has, from the first seed on.
        memory: JSON Lines of finished trainings; a run that was cut off goes on after them. Scores, unlike speeds,
            do not suffer from other work on the machine, so they may be taken beforehand.

    Returns:
        Scores of the seeds by `STANCE`, `NAMES_ALONE` and `STOCK`; empty without a training of both sides.
    """
    data = dataset.fingerprint(bench.rows)
    facts = {
        ours: f"{NAMES_ALONE} {resume.job_digest(bench.job.model, bench.job.training, data)}",
        stock: f"{STOCK_EPOCHS} {bench.job.model.name} {bench.job.model.revision} {data}",  # none of our settings
    }
    done, commit = Memory(memory), origin.git_commit()[0]
    found: dict[str, list[float]] = {}
    for seed in range(1, seeds + 1) if seeds else itertools.count(1):
        known = {train: _key(train.__name__, seed, fact) for train, fact in facts.items()}
        if not seeds and not all(key in done.known for key in known.values()):
            if not found:
                progress(f"{memory} has no training of both sides for these data, settings and packages: scores are "
                         "left out; --quality 1 trains them")  # fmt: skip
            break
        for train, key in known.items():
            if key not in done.known:
                done.keep(key, {"scores": train(bench, seed), "commit": commit})
            for side, score in done.known[key]["scores"].items():
                found.setdefault(side, []).append(score)
                of = done.known[key]["commit"][:12]
                progress(f"whole training, seed {seed} ({of}): validation macro-F1 of {side} {score:.3f}")
    return {side: Figure(tuple(scores)) for side, scores in found.items()}


def _key(side: str, seed: int, facts: str) -> str:
    return f"{side}, seed {seed}, {hashlib.sha256(f'{origin.versions()} {facts}'.encode()).hexdigest()}"


def ours(bench: Bench, seed: int) -> dict[str, float]:
    """The scores of a whole training of ours: given the mentions' places, and asked by names alone, as stock is."""
    rows, config = bench.rows["validation"], replace(bench.job.training, seed=seed)
    bare = [without_places(row) for row in rows]
    result, answers = studies.train_and_predict(bench.rows, bench.job.model, config, {NAMES_ALONE: bare})
    return {STANCE: result.scores["macro_f1"], NAMES_ALONE: bakeoff.score(answers[NAMES_ALONE], bare)}


def stock(bench: Bench, seed: int) -> dict[str, float]:
    """The score of the best of the Trainer's epochs."""
    best: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    best |= {"metric_for_best_model": "macro_f1", "save_total_limit": 1, "num_train_epochs": STOCK_EPOCHS}
    trainer = stock_trainer(bench, seed=seed, **best)
    trainer.train()
    return {STOCK: float(trainer.evaluate()["eval_macro_f1"])}


def trained_rows(speed: Mapping[str, list[Figure]], scores: Mapping[str, Figure]) -> list[list[str]]:
    """Rows of training: the ratio counts only with an equal score of the same questions, so the scores come with it."""
    pace = "training, pairs/s", speed["training, stance"][0], speed["training, stock"][0], MARK
    if not scores:
        return [rate(*pace, refused="score not compared (`--quality`)")]
    title = f"validation macro-F1, both asked by names alone; stock: best of its {STOCK_EPOCHS} epochs"
    row = points(title, scores[NAMES_ALONE], scores[STOCK])
    told = ["the same, ours given the places of the mentions", scores[STANCE].text(".3f"), "", "", "", ""]
    return [rate(*pace, refused="" if row[-1] == yes(True) else "**no**, the score is lower"), row, told]
