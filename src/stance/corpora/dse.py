"""DSE (Park, Pan, Joo, Findings of ACL 2021): directed sentiment between two bracketed entities of a sentence.

Published at https://github.com/bywords/directed_sentiment_analysis as tab-separated lines: sentence, p, q, class. A
sentence becomes an article with two annotations, p towards q and q towards p; the one that the class does not name is
neutral.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from stance import jsonl
from stance.corpora.source import Dropped, Found
from stance.errors import StanceError
from stance.records import Annotation, Article, Mention, Span, Stance
from stance.settings.building import SourceConfig

_CLASSES = {
    "0": (Stance.NEUTRAL, Stance.NEUTRAL),
    "1": (Stance.SUPPORT, Stance.NEUTRAL),
    "2": (Stance.NEUTRAL, Stance.SUPPORT),
    "3": (Stance.OPPOSE, Stance.NEUTRAL),
    "4": (Stance.NEUTRAL, Stance.OPPOSE),
}
_REST_OF_WORD = re.compile(r"\w*")


def read(source: SourceConfig) -> Iterator[Found]:
    """Read one file of the published format, or those of a directory; the names train, valid, test are splits."""
    path = Path(source.path)
    if path.is_dir():
        files = [path / f"{part}.txt" for part in ("train", "valid", "test") if (path / f"{part}.txt").is_file()]
        if not files:
            raise StanceError(
                f"{path}: none of train.txt, valid.txt, test.txt there; expected the published files of DSE "
                "(`python scripts/fetch_corpus.py name=dse` fetches them)"
            )
    else:
        files = [path]
    for file in files:
        yield from _file(file)


def _file(path: Path) -> Iterator[Found]:
    if not path.is_file():
        raise StanceError(
            f"{path}: no such file; expected a tab-separated file of DSE (`python scripts/fetch_corpus.py name=dse`)"
        )
    split = {"valid": "validation"}.get(path.stem, path.stem)
    with path.open("rb") as lines:
        for number, raw in enumerate(jsonl.short_lines(lines), 1):
            where = f"{path}:{number}"
            try:
                if raw.strip():
                    yield _article(_cells(raw, where), where, f"dse-{path.stem}-{number:05}", split)
            except StanceError as error:
                yield Dropped.by(error, where)


def _cells(raw: bytes, where: str) -> list[str]:
    """The cells of a line: each by itself, so that a quotation mark that is not closed takes no others with it."""
    if len(raw) > (most := jsonl.MAX_LINE_BYTES):
        raise StanceError(f"{where}: a line of over {most:,} bytes, the most that is read; take the published file")
    try:
        return next(csv.reader([raw.decode("utf-8-sig").rstrip("\r\n")], delimiter="\t", strict=True))
    except UnicodeDecodeError as error:
        raise StanceError(f"{where}: not UTF-8 (byte {raw[error.start]:#04x}); save it as UTF-8") from error
    except csv.Error as error:
        raise StanceError(f"{where}: {error}; expected quotation marks in twos, around and inside a cell") from error


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
    if len(pieces) != 5 or not {piece[1:-1].strip() for piece in pieces[1::2]} >= set(names):
        raise StanceError(f"{where}: expected {f'[{names[0]}]'!r} and {f'[{names[1]}]'!r} once each in the sentence")
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
