"""What a corpus covers: counts by theme, region, outlet, decade, length and phenomenon, as tables for its card."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from stance.corpora import cells
from stance.records import LABELS, PHENOMENA, Annotation, Article

START = "<!-- coverage: written by `python -m stance.corpora coverage . --write` in this folder -->"
END = "<!-- end of coverage -->"
_BLOCK = re.compile(r"<!-- coverage: written by [^\n]*-->.*?" + END, re.DOTALL)
Table = list[list[str]]
LENGTHS = ((0, 180), (180, 270), (270, 400), (400, 550), (550, sys.maxsize))


def tables(articles: Sequence[Article], chosen: Mapping[str, str]) -> dict[str, Table]:
    """Tables by their title; `chosen` gives the split of each article id, or nothing."""
    by: dict[str, Callable[[Article], str]] = {
        "theme": lambda a: a.theme,
        "region": lambda a: a.region,
        "kind of outlet": lambda a: a.outlet_kind,
        "decade": lambda a: f"{day[:3]}0s" if (day := cells.day(a.date)) else "no date",
        "words": lambda a: _length(len(a.text.split())),
    }
    found = {name: _by(articles, key, name) for name, key in by.items()}
    found["phenomenon"] = _phenomena(articles, chosen)
    if chosen:
        found["split"] = _by(articles, lambda a: chosen.get(a.id, "none"), "split")
    return found


def markdown(articles: Sequence[Article], chosen: Mapping[str, str]) -> str:
    """The tables for a dataset card, between `START` and `END`."""
    parts = [START, "", summary(articles)]
    for rows in tables(articles, chosen).values():
        header, *body = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
        parts += ["", header, "|---" + "|--:" * (len(rows[0]) - 1) + "|", *body]
    return "\n".join([*parts, "", END])


def _cell(value: str) -> str:
    """A cell of a table, whatever an article says of itself."""
    return " ".join(value.splitlines()).replace("|", "\\|")


def replace(card: str, block: str) -> str:
    """The card with its block replaced, whatever command it names; appended where there is none. Line ends stay."""
    block = block.replace("\n", "\r\n") if "\r\n" in card else block
    found = _BLOCK.search(card)
    if not found:
        end = "\r\n" if "\r\n" in card else "\n"
        return f"{card.rstrip()}{end}{end}{block}{end}"
    return card[: found.start()] + block + card[found.end() :]


def summary(articles: Sequence[Article]) -> str:
    """One sentence: articles, annotations, labels, lengths, dates."""
    notes = [annotation for article in articles for annotation in article.annotations]
    counts = Counter(annotation.stance.value for annotation in notes)
    words = sorted(len(article.text.split()) for article in articles) or [0]
    dates = sorted(article.date for article in articles if article.date) or ["-"]
    labels = ", ".join(f"{counts[label]:,} {label} ({counts[label] / max(len(notes), 1):.0%})" for label in LABELS)
    return (
        f"{len(articles)} articles of {words[0]} to {words[-1]} words (median {words[len(words) // 2]}), "
        f"dated {dates[0]} to {dates[-1]}, with {len(notes):,} annotations: {labels}."
    )


def _by(articles: Sequence[Article], key: Callable[[Article], str], title: str) -> Table:
    found: dict[str, list[Article]] = {}
    for article in articles:
        found.setdefault(key(article) or "none", []).append(article)
    if title not in ("decade", "words", "split"):
        names = sorted(found, key=lambda name: (-len(found[name]), name))
    else:
        names = sorted(found)
    rows = [[title, "articles", "annotations", *LABELS]]
    return rows + [
        [name, str(len(found[name])), *_labels(a for x in found[name] for a in x.annotations)] for name in names
    ]


def _labels(annotations: Iterable[Annotation]) -> list[str]:
    counts = Counter(annotation.stance.value for annotation in annotations)
    total = sum(counts.values())
    return [str(total), *(f"{counts[label] / max(total, 1):.0%}" for label in LABELS)]


def _phenomena(articles: Sequence[Article], chosen: Mapping[str, str]) -> Table:
    rows = [["phenomenon", "annotations", *LABELS, "in test"]]
    for tag in PHENOMENA:
        tagged = [(article, note) for article in articles for note in article.annotations if tag in note.tags]
        test = sum(chosen.get(article.id) == "test" for article, _ in tagged)
        rows.append([tag, *_labels(note for _, note in tagged), str(test)])
    return rows


def _length(words: int) -> str:
    low, high = next((low, high) for low, high in LENGTHS if low <= words < high)
    return f"{low:3}–{high - 1}" if high < LENGTHS[-1][1] else f"{low} and more"
