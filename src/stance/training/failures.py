"""What ends a training before its time: a NaN or infinite loss or gradient, and too little memory.

The error names the batch and the settings to change.
"""

import math
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from stance.errors import StanceError
from stance.network.memory import is_memory
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training import distributed
from stance.training.batches import IGNORED, Rows

if TYPE_CHECKING:
    from stance.training.trainer import StanceTrainer

SHOWN = 5
"""Examples of a batch that a message names."""
_REQUEST = re.compile(r"allocate ([\d.]+) ?(\w+)")


class NotFiniteError(StanceError):
    """A loss or a gradient is NaN or infinite."""


class Guard(TrainerCallback):  # type: ignore[misc]
    """Knows the batch at hand, and stops the run at a NaN or infinite loss or gradient before it reaches a weight.

    The trainer tells it of every batch, loss and gradient norm. The check comes with the gradients, which all
    processes share, so that they stop together.
    """

    def __init__(self, recipe: TrainingConfig) -> None:
        self.recipe = recipe
        self.place = "before the first step"
        self.shape: tuple[int, ...] = ()
        self.bad: tuple[float, list[str]] | None = None

    def enter(self, place: str, rows: Rows, inputs: Mapping[str, Tensor]) -> None:
        """Take note of the batch that comes next."""
        self.place, self.shape = place, tuple(inputs["input_ids"].shape)
        self.rows, self.numbers = rows, inputs["examples"]

    def loss(self, loss: Tensor) -> None:
        """Take note of the loss of the batch."""
        if self.bad is None and not torch.isfinite(loss):
            self.bad = float(loss), self._ids()

    def _ids(self) -> list[str]:
        return [self.rows.ids[number] for number in self.numbers[self.numbers != IGNORED].tolist()]

    def gradient(self, norm: float, state: TrainerState, rate: float) -> None:
        """Check the norm of a step's gradient, and the losses that it came from.

        Raises:
            NotFiniteError: one of them is NaN or infinite; the weights are those of the step before.
        """
        if self.bad is None and math.isfinite(norm):
            return
        known = [(self.bad, self._ids())]
        if not math.isfinite(norm):  # for all processes, since they share it; the examples are perhaps another one's
            known = distributed.everywhere(known[0])
        bad = next((bad for bad, _ in known if bad), None)
        value, ids = bad or (norm, [name for _, names in known for name in names])
        what = f"the {'loss' if bad else 'norm of the gradient'} is {value}"
        batch = "a batch" if bad or self.recipe.accumulation == 1 else "several batches, the last"
        named = ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")
        raise NotFiniteError(
            f"training stopped: {what} at step {state.global_step + 1} of {state.max_steps} (epoch "
            f"{state.epoch or 0:.2f}, learning rate {rate:.3g}), in {batch} of {len(ids)} examples: {named}; "
            f"{self._advice(state)}"
        )

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Stop before an epoch is saved whose weights no longer give a number."""
        loss = (metrics or {}).get("eval_loss", 0.0)
        if not math.isfinite(loss):
            raise NotFiniteError(
                f"training stopped: the validation loss is {loss} after epoch {state.epoch or 0:.0f} (step "
                f"{state.global_step}); {self._advice(state)}"
            )

    def _advice(self, state: TrainerState) -> str:
        if state.global_step == 0:
            start = f"training.initial={self.recipe.initial}" if self.recipe.initial else "model.name"
            return f"no step was taken yet, so the weights of {start} or these examples hold NaN or infinite numbers"
        precision = "" if self.recipe.precision == "fp32" else ", or set training.precision=fp32"
        return (
            f"lower training.learning_rate (now {self.recipe.learning_rate:g}) or lengthen training.warmup (now "
            f"{self.recipe.warmup:g}){precision}"
        )


@contextmanager
def explained(
    trainer: "StanceTrainer",
    models: ModelConfig,
    keep: Callable[[Mapping[str, float], Path], None] | None,
    *,
    output: Path,
    left: Callable[[], Path | None] | None = None,
) -> Iterator[None]:
    """Turn what ends a run before its time into one line for the user.

    Args:
        trainer: runs inside.
        models: the settings of its encoder.
        keep: writes the trainer's model with validation scores as a checkpoint directory; None where none is wanted.
        output: the checkpoint directory that the training was to write; what is kept of it lies beside.
        left: the checkpoint that the next training to the same output would ask about, if any.

    Raises:
        StanceError: a loss or a gradient is NaN or infinite, or memory ran out.
    """
    try:
        yield
    except NotFiniteError as error:
        kept = f"; {_rescue(trainer, keep, output)}" if keep else ""
        raise StanceError(f"{error}{kept}{_anew(left)}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # what they hold is the memory that is lacking
        guard, encoder = trainer.guard, trainer.model.encoder
        raise StanceError(
            f"out of memory {guard.place}{_request(error)}, on a batch of {_shape(guard.shape)}; "
            f"{relief(guard.shape, guard.recipe, models, recomputes=encoder.supports_gradient_checkpointing)}"
            f"{_anew(left)}"
        ) from error


def _anew(left: Callable[[], Path | None] | None) -> str:
    """What to add to other settings for the next try: a resume takes none but the same."""
    there = left and left()
    return f"; with other settings also set resume=never, since {there} is left" if there else ""


def _free(folder: Path) -> Path:
    """The folder, or where an earlier try has left a checkpoint there, the first with a number that is free."""
    names = chain([folder.name], (f"{folder.name}-{number}" for number in count(2)))
    return next(path for path in map(folder.with_name, names) if not path.exists())


def _rescue(trainer: "StanceTrainer", keep: Callable[[Mapping[str, float], Path], None], output: Path) -> str:
    """Write the best epoch so far as a checkpoint directory, `OUTPUT.best`, and say where it is."""
    if not trainer.state.best_model_checkpoint:
        return "no epoch had ended, so there is no checkpoint to keep"
    epoch, scores = trainer.kept_epoch()
    folder = _free(output.with_name(f"{output.name}.best"))
    trainer._load_best_model()  # knows adapters and shards
    keep(scores, folder)
    return (
        f"epoch {epoch:.0f}, the best before it (validation macro-F1 {scores['macro_f1']:.3f}), is kept: "
        f"go on from it with training.initial={folder} or export it with checkpoint={folder}"
    )


def loading(models: ModelConfig) -> AbstractContextManager[None]:
    """Tell of too little memory while the encoder is loaded and the dataset tokenised, before training (`_lacking`)."""
    return _lacking(
        f"model.name={models.name} was loaded and the dataset was encoded",
        "choose a smaller encoder, build a smaller dataset (corpora.KEY.cap), or free memory",
    )


def asking(folder: Path) -> AbstractContextManager[None]:
    """Tell of too little memory while a teacher is asked (`_lacking`)."""
    return _lacking(
        f"training.teacher={folder} answered",
        "choose a smaller teacher, or free memory: the answers that it has given are kept",
    )


@contextmanager
def _lacking(what: str, advice: str) -> Iterator[None]:
    """Turn a lack of memory while something was done into what a user can do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        raise StanceError(f"out of memory while {what}{_request(error)}; {advice}") from error


def relief(shape: tuple[int, ...], recipe: TrainingConfig, models: ModelConfig, *, recomputes: bool = True) -> str:
    """What to set so that a batch of this shape (rows, tokens) needs less memory, the mildest first.

    Args:
        shape: of the batch, or of its beginning.
        recipe: the settings in force; what is set already is not advised.
        models: of the encoder.
        recomputes: whether the encoder can do with `training.gradient_checkpointing`.
    """
    passage = f"model.max_passage_tokens (now {models.max_passage_tokens})"
    passage += "" if models.layout == "pair" else f", model.max_pairs (now {models.max_pairs})"
    budget = (
        f"training.tokens_per_batch (now {recipe.tokens_per_batch}; half of it with twice the training.accumulation "
        "takes the same steps)"
    )
    first = f"the batch is a single passage, so lower {passage}" if shape[:1] == (1,) else f"lower {budget}, {passage}"
    more = ["training.gradient_checkpointing=true"] if recomputes and not recipe.gradient_checkpointing else []
    more += [] if recipe.lora.rank else ["training.lora.rank=8"]
    return first + (f", set {' or '.join(more)}" if more else "") + ", or choose a smaller encoder"


def _request(error: BaseException) -> str:
    found = _REQUEST.search(str(error))
    if not found:
        return ""
    number, unit = found.groups()
    return f" (asked for {float(number) / 2**30:.3g} GiB more)" if unit == "bytes" else f" (asked for {number} {unit})"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n} {what}" for n, what in zip(shape, ("passages", "tokens"), strict=False)) or "nothing yet"
