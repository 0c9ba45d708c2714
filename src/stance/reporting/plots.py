"""Pictures of a run: confusion matrix, reliability, risk over coverage, scores by the size of the corpus.

Figures only; who keeps them decides where.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from stance.records import LABELS
from stance.scoring.abstention import Kept
from stance.scoring.calibration import reliability, risk_coverage
from stance.scoring.scores import Answers


def confusion_matrix(counts: npt.NDArray[Any], title: str) -> Figure:
    """Counts with rows for the true and columns for the predicted label, shaded by the share of the row."""
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            colour = "white" if shares[i, j] > 0.6 else "black"
            axes.text(j, i, f"{count}\n{shares[i, j]:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_yticks(range(len(LABELS)), LABELS, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    return figure


def reliability_diagram(answers: Answers, title: str) -> Figure:
    """Accuracy over confidence in ten bins; the bars' width is the bin, the dots' area the share of the pairs."""
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="calibrated")
    for low, high, accuracy, confidence, share in reliability(answers):
        axes.bar((low + high) / 2, accuracy, width=(high - low) * 0.95, color="tab:blue", alpha=0.35)
        axes.scatter(confidence, accuracy, s=20 + 400 * share, color="tab:blue", zorder=3)
    axes.set(xlim=(0.3, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that is right", title=title)
    axes.legend(loc="upper left", frameon=False)
    return figure


def risk_coverage_curve(answers: Answers, title: str, kept: Kept | None = None) -> Figure:
    """Share of wrong answers over the share that is answered, the most confident first, and where an artifact abstains.

    Beside it the ideal, a confidence that puts every wrong answer last, and one that tells nothing.
    """
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    _, coverage, risk = risk_coverage(answers)
    axes.plot(coverage, risk, color="tab:blue", label="model")
    share = np.linspace(0.005, 1, 200)
    ideal = (1 - (1 - risk[-1]) / share).clip(0)
    axes.plot(share, ideal, color="grey", linestyle="--", linewidth=1, label="ideal")
    axes.axhline(risk[-1], color="grey", linestyle=":", linewidth=1, label="no information")
    if kept and kept.coverage.value:
        axes.scatter(
            kept.coverage.value, kept.risk.value, color="tab:red", zorder=3, label=f"target {kept.target_risk:g}"
        )
    settled = risk[coverage >= 0.05].max()  # the first few answers alone may all be wrong
    top = min(1.0, 1.4 * settled) or 1.0  # room for the legend above the lines
    axes.set(xlim=(0, 1), ylim=(0, top), xlabel="share that is answered", ylabel="share of these that is wrong")
    axes.set_title(title)
    axes.legend(loc="upper left", frameon=False)
    return figure


def learning_by_size(found: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Scores over the number of training articles: a dot a model, a line through the means, for each named score."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, values in found.items():
        sizes = sorted({size for size, _ in values})
        means = [sum(v for s, v in values if s == size) / sum(s == size for s, _ in values) for size in sizes]
        (line,) = axes.plot(sizes, means, label=name)
        axes.scatter([size for size, _ in values], [v for _, v in values], s=12, color=line.get_color(), alpha=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set(xlabel="training articles", ylabel="score")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure
