"""Plain text for a terminal: aligned tables and the summary of a whole run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stance.building import dataset
from stance.building.dataset import Manifest
from stance.errors import printable
from stance.records import Article, Triple
from stance.scoring.calibration import MEASURES
from stance.scoring.scores import SUMMARY

UI = "mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db"
_TITLES = {"macro_f1": "macro-F1 [95 %]", "accuracy": "accuracy [95 %]", "mcc": "MCC [95 %]"}


def columns(rows: Sequence[Sequence[str]]) -> str:
    """A table with aligned columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def summary(
    manifest: Manifest,
    report: Mapping[str, Any],
    triples: Sequence[Triple],
    article: Article,
    *,
    artifact: Path,
    source: Path,
) -> None:
    """Print dataset counts, scores beside baselines, the triples of a fresh article, and where to go on."""
    console = Console(highlight=False, width=130)
    _print(console, f"Dataset {manifest.name} (sha256 {manifest.sha256[:12]})", dataset.table(manifest))
    systems = sorted(report["scores"].items(), key=lambda system: -system[1]["macro_f1"][0])
    scores = [["system", *(_TITLES[name] for name in SUMMARY)]]
    scores += [[system, *(_estimate(values[name]) for name in SUMMARY)] for system, values in systems]
    _print(
        console,
        f"Scores on {report['pairs']} {report['split']} pairs of {report['articles']} articles, {report['precision']}",
        scores,
    )
    measured = [["system", *(f"{heading} [95 %]" for heading in MEASURES.values())]]
    measured += [[name, *(_estimate(values[m]) for m in MEASURES)] for name, values in systems if "brier" in values]
    if measured[1:]:
        _print(console, "How far the confidence of each can be trusted", measured)
    found = [["actor", "stance", "target", "confidence", "evidence"]]
    for triple in triples:
        start, end = triple.evidence[0]
        evidence = article.text[start:end]
        found.append(
            [
                triple.actor.name,
                triple.stance.value,
                triple.target.name,
                f"{triple.confidence:.2f}",
                _short(evidence),
            ]
        )
    _print(console, f"What the model reads from {source}", found)
    console.print(Text(printable(f"Model       {artifact}   in Python: StancePredictor.load({str(artifact)!r})")))
    console.print(Text(f"MLflow UI   .venv/bin/{UI}"))


def _print(console: Console, title: str, rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=Text(printable(title)), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for number, name in enumerate(rows[0]):
        table.add_column(
            name,
            justify="left" if number == 0 or not rows[1:] or not rows[1][number][:1].isdigit() else "right",
        )
    for row in rows[1:]:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def _estimate(values: Sequence[float | None]) -> str:
    value, low, high = (float("nan") if number is None else number for number in values)  # as JSON has it
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
