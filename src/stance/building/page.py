"""A page about a dataset: one HTML file for a browser, with nothing to load and nothing that runs.

Rows pass once through a `Summary`, whose memory does not grow with their number. The page is built as a tree, so
that what the rows say is text and never markup.
"""

import hashlib
import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from stance.building.markup import Child, Counts, bars, columns, document, el, key, short, table
from stance.building.splits import SPLITS
from stance.corpora import cells
from stance.records import LABELS, Example, Span

if TYPE_CHECKING:
    from stance.building.dataset import Manifest

SAMPLE = 20
"""Rows that are shown in full."""
NAMES = 50_000
"""Names of each kind that are counted at least."""
LONGEST = 20_000
"""Passages over so many characters count as so long."""
BINS = 40
MOST_THEMES, MOST_YEARS, MOST_NAMES, MOST_REASONS = 30, 40, 20, 50
PASSAGE, AROUND = 1500, 300
"""A longer passage is shown up to so many characters around its marks, and not more than four such lengths of it."""
_YEAR = re.compile("([0-9]{4})(?:[-/](?:0[1-9]|1[0-2])(?:[-/](?:0[1-9]|[12][0-9]|3[01])[ T].*)?)?")
"""A year alone or with its month, which is no day to divide articles by, or a day with a time of an odd form."""
_UNDATED = "undated"
Cells = Sequence[Sequence[object]]


class Tally:
    """Counts of each label by name. Of more than twice as many names as it should `keep`, the rarest are forgotten.

    `whole` turns false then: counts may be too low.
    """

    def __init__(self, keep: int = NAMES) -> None:
        self.counts: dict[str, Counts] = {}
        self.whole, self.keep = True, keep

    def add(self, name: str, label: int) -> None:
        """Count one row."""
        self.counts.setdefault(name[:200], [0] * len(LABELS))[label] += 1
        if len(self.counts) > 2 * self.keep:
            self.counts, self.whole = dict(self.top(self.keep)), False

    def top(self, most: int) -> list[tuple[str, Counts]]:
        """The names of the most rows, by name where as many."""
        return heapq.nsmallest(most, self.counts.items(), key=lambda item: (-sum(item[1]), item[0]))


class Summary:
    """What the page says about the rows of a dataset, gathered as they pass."""

    def __init__(self) -> None:
        self.splits, self.corpora, self.provenance = Tally(), Tally(), Tally()
        self.themes, self.years, self.actors, self.targets = Tally(), Tally(), Tally(), Tally()
        self.lengths: Counter[int] = Counter()
        self.rows = 0
        self._drawn: dict[tuple[str, str], list[tuple[int, int, str, Example]]] = {}

    def add(self, split: str, example: Example, theme: str = "") -> None:
        """Take in one row; `theme` is that of its article."""
        label = LABELS.index(example.stance)
        self.splits.add(split, label)
        self.corpora.add(f"{example.corpus}, {split}", label)
        self.provenance.add(f"{example.provenance}, {split}", label)
        self.themes.add(theme or "without a theme", label)
        date = example.date.strip()
        year = _YEAR.fullmatch(date)
        self.years.add(cells.day(date)[:4] or (year[1] if year else _UNDATED), label)
        self.actors.add(example.actor, label)
        self.targets.add(example.target, label)
        self.lengths[min(len(example.text), LONGEST)] += 1
        self.rows += 1
        draw = int.from_bytes(hashlib.blake2b(f"{split}:{example.id}".encode(), digest_size=8).digest(), "big")
        drawn = self._drawn.setdefault((example.corpus, example.stance.value), [])
        heapq.heappush(drawn, (-draw, self.rows, split, example))
        if len(drawn) > SAMPLE:
            heapq.heappop(drawn)

    def sample(self) -> list[tuple[str, Example]]:
        """`(split, row)` of some rows, in turn from each corpus and label; in whatever order they came, the same."""
        ranked = [sorted(drawn, reverse=True) for _, drawn in sorted(self._drawn.items())]
        turns = (row for turn in zip_longest(*ranked) for row in turn if row is not None)
        return [(split, example) for _, (_, _, split, example) in zip(range(SAMPLE), turns, strict=False)]


def html(manifest: "Manifest", summary: Summary, *, leaks: Cells | None = None, found: Cells = ()) -> str:
    """The page, as text to be written in UTF-8.

    Args:
        manifest: of the dataset.
        summary: of all its rows.
        leaks: what rows of validation and test repeat, as a table, header first; None where there is no report.
        found: the same before something was done about it.
    """
    sections = {
        "Splits and labels": [key(), _splits(manifest, summary)],
        "Sources": [bars("Pairs by corpus and split", "corpus", _by_split(summary.corpora)),
                    bars("Pairs by provenance and split", "provenance", _by_split(summary.provenance))],
        "Themes": [bars("Pairs by theme of the article", "theme", *_most(summary.themes, MOST_THEMES))],
        "Years": _years(summary.years),
        "Passages": _lengths(summary.lengths),
        "Names": [el("div", bars("Most frequent actors", "actor", *_most(summary.actors, MOST_NAMES)),
                      bars("Most frequent targets", "target", *_most(summary.targets, MOST_NAMES)), class_="two")],
        "Leaks": _leaks(leaks, found),
        "Dropped": _dropped(manifest.dropped),
        "Sample rows": [_marks_key(), *(_row(split, example) for split, example in summary.sample())],
        "Configuration": [_configuration(manifest)],
    }  # fmt: skip
    links = [el("li", el("a", title, href=f"#{_id(title)}")) for title in sections]
    body = el(
        "body",
        el("a", "Skip to the content", href="#main", class_="skip"),
        _header(manifest, summary),
        el("nav", el("ul", *links), aria_label="Sections"),
        el("main", *(_section(title, parts) for title, parts in sections.items()), id="main"),
        el("footer", el("p", "Written by stance. Nothing on this page is loaded from elsewhere.", class_="quiet")),
    )
    return document(f"{manifest.name}: dataset", body, style=Path(__file__).with_name("page.css").read_text("utf-8"))


def _id(title: str) -> str:
    return title.lower().replace(" ", "-")


def _section(title: str, parts: Iterable[Element]) -> Element:
    name = _id(title)
    return el("section", el("h2", title, id=f"{name}-title"), *parts, id=name, aria_labelledby=f"{name}-title")


def _header(manifest: "Manifest", summary: Summary) -> Element:
    years = sorted(year for year in summary.years.counts if year != _UNDATED)
    corpora = {name.rpartition(", ")[0] for name in summary.corpora.counts}
    tiles = {
        "pairs": f"{summary.rows:,}",
        "articles": f"{sum(manifest.articles.values()):,}",
        "corpus" if len(corpora) == 1 else "corpora": f"{len(corpora):,}",
        "years": f"{years[0]}–{years[-1]}" if years else _UNDATED,
    }
    return el(
        "header",
        el("h1", el("bdi", manifest.name)),
        el("p", "Who supports or opposes what: labelled pairs of actor and target.", class_="quiet"),
        el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in tiles.items()), class_="tiles"),
        el("p", "sha256 of the content: ", el("code", manifest.sha256), class_="quiet"),
    )


def _marks_key() -> Element:
    return el("p", "In the passages ", el("mark", "the actor", class_="actor"), " and ",
               el("mark", "the target", class_="target"), " are marked where they are printed.")  # fmt: skip


def _splits(manifest: "Manifest", summary: Summary) -> Element:
    return bars("Articles, pairs and labels by split", "split", _by_split(summary.splits), articles=manifest.articles)


def _by_split(tally: Tally) -> list[tuple[str, Counts]]:
    """By name, its splits in the order in which they are used."""

    def place(item: tuple[str, Counts]) -> tuple[str, int, str]:
        name, _, split = item[0].rpartition(", ")
        return name, SPLITS.index(split) if split in SPLITS else len(SPLITS), split

    return sorted(tally.counts.items(), key=place)


def _most(tally: Tally, most: int) -> tuple[list[tuple[str, Counts]], str]:
    """The names of the most rows, and a note of how many others there are."""
    others = len(tally.counts) - most
    note = f"{others:,} more are not shown." if others > 0 else ""
    return (
        tally.top(most),
        note
        if tally.whole
        else f"Of over {2 * tally.keep:,} names the rarest were forgotten on the way, so that counts may be too low.",
    )


def _years(tally: Tally) -> list[Element]:
    """Pairs by year as columns, one for each year up to the last, and in figures, where undated ones stand too."""
    every = sorted(year for year in tally.counts if year != _UNDATED)
    dated = [year for year in every if int(year) > int(every[-1]) - MOST_YEARS]
    told = [*dated, *([_UNDATED] if _UNDATED in tally.counts else [])]
    figures = bars("Pairs by year of the article", "year", [(year, tally.counts[year]) for year in told])
    if len(dated) < 2:
        return [figures]
    names = [f"{year:04}" for year in range(int(dated[0]), int(dated[-1]) + 1)]
    rows = [(year, tally.counts.get(year, [0] * len(LABELS))) for year in names]
    text = f"Pairs by year of the article, from {names[0]} to {names[-1]}"
    plot = columns(text, rows, (names[0], "year of the article", names[-1]), classes=LABELS)
    note = f"{len(every) - len(dated):,} earlier years are not shown." if len(every) > len(dated) else ""
    return [el("p", f"{text}. {note}"), key(), plot, _figures(figures)]


def _figures(*parts: Element) -> Element:
    return el("details", el("summary", "In figures"), *parts)


def _lengths(lengths: Counter[int]) -> list[Element]:
    """A histogram of the passages' characters, in words and figures too."""
    if not lengths:
        return [el("p", "No rows.")]
    median, top = (_quantile(lengths, share) for share in (0.5, 0.995))
    width = next(w for w in (10, 20, 50, 100, 200, 500, 1000) if top / w < BINS)
    last = top // width
    bins = [0] * (last + 1)
    for length, count in lengths.items():
        bins[min(length // width, last)] += count
    names = [*(f"{i * width:,}–{(i + 1) * width - 1:,}" for i in range(last)), f"{last * width:,} and more"]
    longest = f"{max(lengths):,}" + (" or more" if max(lengths) == LONGEST else "")
    text = f"Half of the passages have {median:,} characters or fewer; the longest has {longest}."
    rows = [(name, [count]) for name, count in zip(names, bins, strict=True)]
    plot = columns(f"Passages by length. {text}", rows, ("0", "characters of the passage", names[-1]))
    figures = table("Pairs by length of the passage", [["characters", "pairs"], *zip(names, bins, strict=True)])
    return [el("p", text), plot, _figures(figures)]


def _quantile(lengths: Counter[int], share: float) -> int:
    """The length that this share of the rows does not pass."""
    passed = 0
    for length, count in sorted(lengths.items()):
        passed += count
        if passed >= share * lengths.total():
            return length
    return 0


def _leaks(leaks: Cells | None, found: Cells) -> list[Element]:
    """What is left, and what was found before, if that is something else."""
    if leaks is None:
        return [el("p", "This build gave no leak report.")]
    if len(leaks) < 2:
        left = el("p", "No row of validation or test was found to repeat a training row.")
    else:
        left = table("Rows of validation and test that repeat others: what is left in this dataset", leaks)
    changed = len(found) > 1 and list(found) != list(leaks)
    return [left, *([table("What was found before rows were dropped for it", found)] if changed else [])]


def _dropped(reasons: Mapping[str, int]) -> list[Element]:
    if not reasons:
        return [el("p", "Nothing was dropped.")]
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    found = [table("What could not be used, and why", [["reason", "dropped"], *ordered[:MOST_REASONS]])]
    others = sum(count for _, count in ordered[MOST_REASONS:])
    return [*found, el("p", f"{others:,} more for other reasons.", class_="quiet")] if others else found


def _configuration(manifest: "Manifest") -> Element:
    whole = json.dumps(manifest.config, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    return el("details", el("summary", "The settings that built this dataset"), el("pre", whole, tabindex="0"))


def _row(split: str, example: Example) -> Element:
    """One row of the dataset, with its names marked in its passage."""
    facts = [split, example.corpus, example.provenance, example.date, ", ".join(example.tags)]
    absent = [role for role, span in (("actor", example.actor_span), ("target", example.target_span)) if not span]
    if absent:
        facts.append(f"the passage does not print the {' and the '.join(absent)}")
    return el(
        "article",
        el("h3", el("span", example.stance.value, class_=f"badge {example.stance.value}"),
            el("bdi", short(example.actor)), "→", el("bdi", short(example.target))),
        el("p", *_marked(example.text, example.actor_span, example.target_span), dir="auto"),
        el("small", " · ".join(filter(None, facts)), " · ", el("code", short(example.id))),
        class_="row",
    )  # fmt: skip


def _marked(text: str, actor: Span | None, target: Span | None) -> list[Child]:
    """The passage, cut around its marks if it is long, in pieces that are the actor, the target, both or neither."""
    spans = {role: span for role, span in (("actor", actor), ("target", target)) if span}
    low, high = 0, len(text)
    if high > PASSAGE:
        low = max(min((start for start, _ in spans.values()), default=0) - AROUND, 0)
        reach = max((end for _, end in spans.values()), default=0) + AROUND
        high = min(max(reach, low + PASSAGE), low + 4 * PASSAGE, len(text))
    cuts = sorted({low, high, *(min(max(place, low), high) for span in spans.values() for place in span)})
    pieces: list[Child] = ["…" if low else ""]
    for start, end in pairwise(cuts):
        roles = [role for role, span in spans.items() if span[0] <= start and end <= span[1]]
        pieces.append(el("mark", text[start:end], class_=" ".join(roles)) if roles else text[start:end])
    return [*pieces, "…" if high < len(text) else ""]
