"""The log of a training as a picture. Apart from `stance.reporting.plots`, since every tracked script can draw it."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Training and validation loss, and validation macro-F1, over epochs, from the trainer's log."""
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(entry["epoch"], entry[key]) for entry in history if key in entry and "epoch" in entry]
        left.plot(*zip(*points, strict=True), marker="." if key == "eval_loss" else "", label=label)
    left.set(xlabel="epoch", ylabel="loss")
    left.legend(frameon=False)
    points = [(entry["epoch"], entry["eval_macro_f1"]) for entry in history if "eval_macro_f1" in entry]
    right.plot(*zip(*points, strict=True), marker=".")
    right.set(xlabel="epoch", ylabel="validation macro-F1", ylim=(0, 1))
    return figure
