"""Stances of pairs with an exported model."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stance import jsonl
from stance.artifact import WAYS, files_of
from stance.encoding import Cuts
from stance.errors import StanceError
from stance.files import check_output
from stance.forms import pair_from_json
from stance.jobs.serving import PredictJob
from stance.lookup import cuts_words
from stance.predictor import StancePredictor, load_version
from stance.records import LABELS, Pair, Prediction

ANSWER = {"stance", "confidence", *LABELS}
ABSTAINED = {"abstained"}


def run(job: PredictJob) -> Path:
    """Score a JSON Lines file of {text, actor, target}; the answers come in the same order."""
    predictor, _ = load_version(job.artifact, job.precision, threads=job.threads)
    check_output(Path(job.output), job.input, *files_of(Path(job.artifact), predictor.metadata))
    rows = _rows(Path(job.input))
    try:
        pairs = [pair_from_json(row, where) for where, row in rows]
        for where, row in rows:
            jsonl.check_writable(row, where)
    except StanceError as error:
        raise StanceError(f"{error}; nothing was scored") from error
    for where, row in rows:
        if taken := sorted((ANSWER | ABSTAINED if job.abstain else ANSWER) & set(row)):
            raise StanceError(f"{where}: the answer would overwrite {', '.join(taken)}; rename these keys of the input")
    print(f"predict: {len(pairs)} pairs of {job.input} with {job.artifact} ({job.precision}) -> {job.output}")
    _say_cutting(pairs)
    if job.abstain:
        predictor.check_abstains({pair.placed for pair in pairs})
    answers, cut = _answers(predictor, pairs, job.abstain)
    if job.abstain:
        _say_abstained(predictor, pairs)
    if cut.windowed or cut.shortened_name:
        print(f"longer than the model reads: {cut}")
    output = Path(job.output)
    jsonl.write(output, ({**row, **a.to_json()} for (_, row), a in zip(rows, answers, strict=True)))
    return output


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The input's rows and where they are; the pairs of a passage share one copy of it."""
    rows, texts = list[tuple[str, dict[str, Any]]](), dict[str, str]()
    for where, row in jsonl.read(path):
        if isinstance(text := row.get("text"), str):
            row["text"] = texts.setdefault(text, text)
        rows.append((where, row))
    return rows


def _say_cutting(pairs: Sequence[Pair]) -> None:
    """Say how many places cut a word: behind the first "é" those in bytes do, behind an emoji those in UTF-16."""
    places = [(p.text, place) for p in pairs for place in (p.actor_span, p.target_span) if place]
    if cutting := sum(cuts_words(text, place) for text, place in places):
        print(
            f"{cutting} of {len(places)} places begin or end inside a word: offsets count characters, not bytes or "
            "UTF-16 units"
        )


def _answers(predictor: StancePredictor, pairs: Sequence[Pair], abstain: bool) -> tuple[list[Prediction], Cuts]:
    """The answers to all pairs, under a progress bar, and what the lengths that the model reads took away."""
    cut = Cuts(0, 0, 0, 0)
    with tqdm(total=len(pairs), desc="pairs", unit="") as bar:

        def said(more: Cuts) -> None:
            nonlocal cut
            cut += more
            bar.update(more.pairs)

        answers = predictor.predict(pairs, abstain=abstain, report=said)
    return answers, cut


def _say_abstained(predictor: StancePredictor, pairs: Sequence[Pair]) -> None:
    """Say where a way of asking has no threshold, so that all of its pairs abstain."""
    never = [pair for pair, least in zip(pairs, predictor.thresholds(pairs), strict=True) if math.isinf(least)]
    if never:
        way = WAYS[never[0].placed].replace("_", " ")
        print(f"{len(never)} of {len(pairs)} pairs are asked {way}, for which export found no threshold: all abstain")
