"""The last page of `make run`: what was built, how good it is, and what the model reads from a fresh article."""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS]  # evaluate.py would hide the package `evaluate`

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from stance import jsonl
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.errors import StanceError, printable, replace_unprintable
from stance.jobs import ARTIFACT, DATASET
from stance.predictor import StancePredictor, load_version
from stance.reader import ArticleReader
from stance.records import Article
from stance.reporting import show


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the summary; returns the exit code."""
    replace_unprintable()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, default=Path(DATASET))
    parser.add_argument("--artifact", type=Path, default=Path(ARTIFACT))
    parser.add_argument("--report", type=Path, default=Path("outputs/report.json"))
    parser.add_argument("--article", type=Path, default=Path("data/examples/article.txt"))
    options = parser.parse_args(arguments)
    try:
        manifest = dataset.read_manifest(options.dataset)
        report = _report(options.report)
        predictor, _ = load_version(options.artifact, str(report.get("precision", "int8")))
        _check_together(manifest, report, predictor, options)
        text = _text(options.article, "an article").strip()
        if not text:
            raise StanceError(f"{options.article}: no text in it; expected an article")
        article = Article(options.article.stem, text)
        triples = ArticleReader(predictor).read(article)
    except (StanceError, OSError, ValueError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    try:
        show.summary(manifest, report, triples, article, artifact=options.artifact, source=options.article)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        print(f"error: {printable(str(options.report))}: no report by scripts/evaluate.py ({error!r})", file=sys.stderr)
        return 2
    return 0


def _text(path: Path, expected: str) -> str:
    _check_file(path, expected)
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StanceError(f"{path}: not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8") from error


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        found = "is a directory" if path.is_dir() else "no such file"
        raise StanceError(f"{path}: {found}; expected {expected}")


def _report(path: Path) -> dict[str, Any]:
    _check_file(path, "a report by scripts/evaluate.py")
    report = jsonl.document(path, "run scripts/evaluate.py again")
    scores = report.get("scores")
    if not isinstance(scores, dict) or not all(isinstance(values, dict) for values in scores.values()):
        raise StanceError(f"{path}: no scores in it; expected a report by scripts/evaluate.py")
    return report


def _check_together(
    manifest: Manifest, report: Mapping[str, Any], predictor: StancePredictor, options: argparse.Namespace
) -> None:
    """Refuse to show the scores of one model beside what another one reads."""
    for name, here, path in (
        ("dataset_sha256", manifest.sha256, options.dataset),
        ("export_run", predictor.metadata.get("export_run", ""), options.artifact),
    ):
        if report.get(name) != here:
            raise StanceError(
                f"{options.report}: {name} is {report.get(name)!r}, of {path} it is {here!r}; evaluate that one, or "
                "name what belongs to the report"
            )


if __name__ == "__main__":
    sys.exit(main())
