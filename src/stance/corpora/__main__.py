"""`python -m stance.corpora PATH`: check a corpus against the annotation guidelines.

Prints one line a fault, then the counts. Exit code 0 when all is well, 1 when rules are broken, 2 when the
corpus can't be read.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from stance import corpora
from stance.corpora.check import check
from stance.errors import StanceError
from stance.records import LABELS


def main(arguments: list[str] | None = None) -> int:
    """Run the validator; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stance.corpora", description="Check an annotated corpus.")
    parser.add_argument("path", type=Path, help="a JSON Lines file or a directory of them")
    parser.add_argument("--min-words", type=int, default=220, help="shortest article (default 220)")
    parser.add_argument("--max-words", type=int, default=450, help="longest article (default 450)")
    options = parser.parse_args(arguments)
    try:
        articles = corpora.read(options.path)
    except StanceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    problems = check(articles, words=(options.min_words, options.max_words))
    for problem in problems:
        print(problem)
    counts = Counter(annotation.stance.value for article in articles for annotation in article.annotations)
    total = max(sum(counts.values()), 1)
    shares = ", ".join(f"{label} {counts[label]} ({counts[label] / total:.0%})" for label in LABELS)
    print(f"{len(articles)} articles, {sum(counts.values())} annotations: {shares}; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
