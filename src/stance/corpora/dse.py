"""DSE (Park, Pan, Joo, Findings of ACL 2021): directed sentiment between two bracketed entities of a sentence.

Published at https://github.com/bywords/directed_sentiment_analysis as tab-separated lines: sentence, p, q, class. A
sentence becomes an article with two annotations, p towards q and q towards p; the one that the class does not name is
neutral.
"""

import csv
import re
from pathlib import Path

from stance.errors import StanceError
from stance.records import Annotation, Article, Mention, Span, Stance

_CLASSES = {
    "0": (Stance.NEUTRAL, Stance.NEUTRAL),
    "1": (Stance.SUPPORT, Stance.NEUTRAL),
    "2": (Stance.NEUTRAL, Stance.SUPPORT),
    "3": (Stance.OPPOSE, Stance.NEUTRAL),
    "4": (Stance.NEUTRAL, Stance.OPPOSE),
}
_REST_OF_WORD = re.compile(r"\w*")


def read(path: Path) -> list[Article]:
    """Read one file of the published format; its name (train, valid, test) is the split."""
    if not path.is_file():
        raise StanceError(f"{path}: no such file; expected a tab-separated file of DSE")
    split = {"valid": "validation"}.get(path.stem, path.stem)
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t"))
    return [_article(row, f"{path}:{n}", f"dse-{path.stem}-{n:05}", split) for n, row in enumerate(rows, 1) if row]


def _article(parts: list[str], where: str, name: str, split: str) -> Article:
    if len(parts) != 4 or parts[3] not in _CLASSES:
        raise StanceError(f"{where}: expected sentence, p, q and a class from 0 to 4, separated by tabs")
    sentence, first, second, label = parts
    text, spans = _unbracket(sentence, (first, second), where)
    p, q = (Mention(text[slice(*span)], *span) for span in spans)
    start = len(text) - len(text.lstrip())
    evidence = ((start, len(text.rstrip())),)
    forth, back = _CLASSES[label]
    annotations = Annotation(p, q, forth, evidence), Annotation(q, p, back, evidence)
    return Article(id=name, text=text, split=split, annotations=annotations, where=where)


def _unbracket(sentence: str, names: tuple[str, str], where: str) -> tuple[str, list[Span]]:
    """The sentence without the brackets of the two names, and where they stand, to the end of their last word.

    The published brackets end one character early in many names ("[Congre]ss").
    """
    marked = "|".join(rf"\[\s*{re.escape(name)}\s*\]" for name in names)
    pieces = re.split(f"({marked})", sentence)
    if len(pieces) != 5:
        raise StanceError(f"{where}: expected [{names[0]}] and [{names[1]}] once each in the sentence")
    text = ""
    starts: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        if number % 2:  # a name between its brackets, some with a space beside it
            inside = piece[1:-1]
            starts.setdefault(inside.strip(), len(text) + len(inside) - len(inside.lstrip()))
            piece = inside
        text += piece
    spans = []
    for name in names:
        rest = _REST_OF_WORD.match(text, starts[name] + len(name))
        spans.append((starts[name], rest.end() if rest else starts[name] + len(name)))
    return text, spans


def leaked(rows: list[Article], train: list[Article]) -> set[str]:
    """Ids of the rows that repeat a training row exactly: sentence, pair and class."""
    known = {(article.text, article.annotations) for article in train}
    return {article.id for article in rows if (article.text, article.annotations) in known}
