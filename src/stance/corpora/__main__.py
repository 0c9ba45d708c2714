"""`python -m stance.corpora COMMAND PATH`: check, describe, split, compare, combine and convert annotated corpora.

Exit code 0 when all is well, 1 when rules are broken, an export drops something or a decision is out of date, 2 when
the corpus, or a row of what is checked, can't be used.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from stance import corpora, jsonl
from stance.building import splits
from stance.building.splits import SPLITS
from stance.corpora import agreement, annotators, check, convert, coverage, variety
from stance.corpora.source import Dropped
from stance.errors import StanceError, printable, replace_unprintable
from stance.files import check_output, resolved, write_text
from stance.forms import article_to_json
from stance.records import LABELS, Article
from stance.settings.building import SourceConfig, SplitConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    replace_unprintable()
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except (StanceError, OSError) as error:
        _say(f"error: {error}", file=sys.stderr)
        return 2


def _say(text: str, file: TextIO | None = None) -> None:
    """Print lines, which may hold what a file says, as text that a terminal takes for nothing else."""
    print("\n".join(map(printable, text.split("\n"))), file=file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stance.corpora", description="Look after an annotated corpus.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        command.add_argument("path", type=Path, help="a JSON Lines file of articles, or a directory of them")
        return command

    low, high = check.WORDS
    command = add("check", _check, "Check a corpus against docs/ANNOTATING.md; one line a fault.")
    command.add_argument("--min-words", type=int, default=low, help=f"shortest article (default {low})")
    command.add_argument("--max-words", type=int, default=high, help=f"longest article (default {high})")
    command = add("coverage", _coverage, "Print what the corpus covers: themes, regions, phenomena, …")
    command.add_argument("--write", action="store_true", help="also write it into the directory's README.md")
    add("variety", _variety, "Measure how varied actors, verbs and wording are.")
    command = add("splits", _splits, "Give each article without a fixed split one, balanced over themes and phenomena.")
    command.add_argument("--write", action="store_true", help="write splits.json beside the articles")
    command = add("agreement", _agreement, "Compare annotators: of two files, or all that one corpus names.")
    command.add_argument("second", type=Path, nargs="?", help="the other annotator's articles")
    command.add_argument("--disagreements", type=Path, help="write what they disagree on, as JSON Lines")
    command = add("combine", _combine, "Combine the annotators of a corpus into one label a pair.")
    command.add_argument("--method", choices=annotators.METHODS, default="majority", help="default %(default)s")
    command.add_argument("--output", type=Path, required=True, help="JSON Lines of the articles with combined labels")
    command.add_argument("--queue", type=Path, help="write the pairs that they disagree on, for adjudication")
    adjudicated = "a queue with `decision` filled in; given again for each further one"
    command.add_argument("--adjudicated", type=Path, action="append", default=[], help=adjudicated)
    command = add("export", _export, "Write a corpus in another format: for an annotation tool, or back to JSON Lines.")
    command.add_argument("--format", default="jsonl", choices=corpora.FORMATS, help="of PATH (default jsonl)")
    command.add_argument("--to", required=True, choices=convert.WRITERS, help="the format to write")
    command.add_argument("--output", required=True, type=Path, help="the file, for brat the folder, to write")
    labels = "stances as PATH calls them; one that begins with a minus as --labels=-1=oppose"
    for name, pair, about in (("labels", "THEIRS=OURS", labels), ("columns", "OURS=THEIRS", "columns, for tables")):
        command.add_argument(f"--{name}", nargs="*", action="extend", default=[], metavar=pair, help=about)
    command.add_argument("--predictions", type=Path, help="a model's triples (JSON Lines) as pre-annotations")
    command = commands.add_parser("config", help="Print what a tool must be told about our labels.")
    command.set_defaults(run=_config)
    command.add_argument("--to", required=True, choices=convert.CONFIGS, help="the tool")
    return parser


def _check(options: argparse.Namespace) -> int:
    found = list(corpora.stream(SourceConfig(format="jsonl", path=str(options.path))))
    articles = [item for item in found if isinstance(item, Article)]
    problems = check.check(articles, words=(options.min_words, options.max_words))
    lost = [f"{item.where}: {item.reason}" for item in found if isinstance(item, Dropped)]
    for problem in (*lost[1:], *problems):
        _say(problem)
    if lost:
        raise StanceError(lost[0] + (f" ({len(lost)} can't be used, see above)" if lost[1:] else ""))
    counts = Counter(annotation.stance.value for article in articles for annotation in article.annotations)
    total = max(sum(counts.values()), 1)
    shares = ", ".join(f"{label} {counts[label]} ({counts[label] / total:.0%})" for label in LABELS)
    _say(f"{len(articles)} articles, {sum(counts.values())} annotations: {shares}; {len(problems)} problems")
    return 1 if problems else 0


def _coverage(options: argparse.Namespace) -> int:
    articles = corpora.read(options.path)
    file = splits.beside(options.path)
    block = coverage.markdown(articles, splits.read(file) if file.is_file() else {})
    _say(block)
    if options.write:
        card = options.path / "README.md"
        if not card.is_file():
            raise StanceError(f"{card}: no such file; --write wants a directory with a card")
        write_text(card, coverage.replace(jsonl.read_text(card), block))
    return 0


def _variety(options: argparse.Namespace) -> int:
    found = variety.measure(corpora.read(options.path))
    _say("actors:  " + ", ".join(f"{name} {share:.1%}" for name, share in found.actors))
    verbs = ", ".join(f"{name} {share:.1%}" for name, share in found.verbs)
    _say(f"verbs:   {verbs} of {found.sentences} evidence sentences")
    _say("grams:   " + ", ".join(f"{gram!r} {count}" for gram, count in found.grams))
    problems = found.problems()
    for problem in problems:
        _say(problem)
    return 1 if problems else 0


def _splits(options: argparse.Namespace) -> int:
    articles = corpora.read(options.path)
    file = splits.beside(options.path)
    fixed = splits.read(file) if file.is_file() else {}
    chosen = splits.complete(articles, SplitConfig(), fixed)
    elsewhere = {} if options.path.is_dir() else {name: fixed[name] for name in set(fixed) - set(chosen)}
    gone = set(fixed) - set(chosen) - set(elsewhere)
    if options.write:
        splits.write(file, chosen | elsewhere)
    kept = f", {len(elsewhere)} that are not in {options.path.name} stay" if elsewhere else ""
    _say(f"{len(set(chosen) - set(fixed))} articles are new, {len(gone)} of {file} are gone{kept}")
    _balance(articles, chosen)
    if lacking := [split for split in SPLITS if split not in chosen.values()]:
        _say(f"no article is in {' or '.join(lacking)}: a dataset wants some in each; add articles", file=sys.stderr)
    return 0


def _balance(articles: Sequence[Article], chosen: dict[str, str]) -> None:
    """Print the share of each split in articles, annotations and phenomena."""
    for title, key in (("articles", 0), ("annotations", 1)):
        counts = Counter[str]()
        for article in articles:
            counts[chosen[article.id]] += len(article.annotations) if key else 1
        total = max(sum(counts.values()), 1)
        _say(f"{title}: " + ", ".join(f"{split} {counts[split]} ({counts[split] / total:.1%})" for split in SPLITS))
    tags = Counter((tag, chosen[a.id]) for a in articles for note in a.annotations for tag in note.tags)
    for tag in sorted({tag for tag, _ in tags}):
        total = sum(tags[tag, split] for split in SPLITS)
        _say(f"  {tag}: " + ", ".join(f"{split} {tags[tag, split] / total:.0%}" for split in SPLITS))


def _agreement(options: argparse.Namespace) -> int:
    if options.disagreements:
        check_output(options.disagreements, options.path, options.second or "")
    first = corpora.read(options.path)
    if options.second is None:
        if options.disagreements:
            annotators.check_queue(options.disagreements)
        return _panel(first, options.disagreements)
    matched = agreement.match(first, corpora.read(options.second))
    result = agreement.measure(matched)
    _say(f"{result.articles} articles, {result.annotations[0]} and {result.annotations[1]} annotations")
    _say(f"Krippendorff's alpha on stance: {result.alpha}")
    _two(result)
    if options.disagreements:
        texts = {article.id: article.text for article in first}
        jsonl.write(options.disagreements, agreement.disagreements(matched, texts))
    return 0


def _panel(articles: Sequence[Article], disagreements: Path | None) -> int:
    """Print how far the annotators inside one corpus agree: all of them, then each two."""
    result = agreement.panel(articles)
    _say(f"{result.articles} of {len(articles)} articles have several annotators")
    for name, count in sorted(result.annotations.items()):
        _say(f"  {_named(name)}: {count} annotations")
    _say(f"Krippendorff's alpha on the stance of {result.units} shared pairs: {result.alpha}")
    for names, pair in result.pairs.items():
        _say(f"\n{' and '.join(map(_named, names))}: {pair.articles} articles, "
              f"{pair.annotations[0]} and {pair.annotations[1]} annotations")  # fmt: skip
        _two(pair)
    if disagreements:
        jsonl.write(disagreements, annotators.queue(annotators.combine(articles, "majority").cases))
    return 0


def _two(result: agreement.Agreement) -> None:
    _say(f"F1 on pairs: {result.pair_f1}")
    _say(f"F1 on pairs with stance: {result.triple_f1}")
    _say(f"Cohen's kappa on stance: {result.kappa}")
    _say(f"stances of the {result.stances.sum()} shared pairs (rows first, columns second: {', '.join(LABELS)}):")
    _say("\n".join("  " + " ".join(f"{n:5}" for n in row) for row in result.stances))


def _named(annotator: str) -> str:
    return annotator or "(no name)"


def _combine(options: argparse.Namespace) -> int:
    for file in filter(None, (options.output, options.queue)):
        check_output(file, options.path, *options.adjudicated)
    if options.queue:
        if resolved(options.queue) == resolved(options.output):
            raise StanceError(f"{options.queue}: --output and --queue are the same file; give the queue one of its own")
        annotators.check_queue(options.queue)
    articles = corpora.read(options.path)
    decisions = annotators.read_decisions(*options.adjudicated)
    result = annotators.combine(articles, options.method, decisions)
    jsonl.write(options.output, map(article_to_json, result.articles))
    if options.queue:
        jsonl.write(options.queue, annotators.queue(result.cases))
    several = len({case.article.id for case in result.cases})
    _say(f"{several} of {len(articles)} articles have several annotators; the others are unchanged")
    counts = ", ".join(f"{kind} {n}" for kind, n in sorted(result.counts().items()))
    _say(f"{len(result.cases)} pairs: {counts or 'none'}")
    _say(f"left out (ties, decisions to drop): {sum(case.stance is None for case in result.cases)}")
    if options.method == "weighted":
        for name, share in result.accuracy.items():
            _say(f"  {_named(name)}: right in an estimated {share:.0%}")
    for decision in result.stale:
        _say(f"{decision.where}: decides on a pair that the articles don't have (any more); make the queue again")
    return 1 if result.stale else 0


def _export(options: argparse.Namespace) -> int:
    source = SourceConfig(
        name=options.path.stem,
        format=options.format,
        path=str(options.path),
        labels=_pairs(options.labels),
        columns=_pairs(options.columns),
    )
    done = convert.convert(source, options.to, options.output, options.predictions)
    dropped = [remark for remark in done.remarks if isinstance(remark, Dropped)]
    for remark in done.remarks:
        what = f"dropped: {remark.reason}" if isinstance(remark, Dropped) else f"mended: {remark.what}"
        _say(f"{remark.where}: {remark.article_id}: {what}", file=sys.stderr)
    _say(
        f"{done.articles} articles, {done.annotations} annotations, {done.predictions} predictions → {options.output}; "
        f"{len(dropped)} dropped, {len(done.remarks) - len(dropped)} mended"
    )
    return 1 if dropped else 0


def _pairs(given: Sequence[str]) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise StanceError(f"expected NAME=VALUE, found {pair!r}")
    return dict(pair.split("=", 1) for pair in given)


def _config(options: argparse.Namespace) -> int:
    print(convert.CONFIGS[options.to], end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
