"""The page about a dataset: whole HTML, nothing that loads or runs, readable, and the same in a real browser."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from stance.building import markup, page
from stance.building.dataset import Manifest
from stance.records import LABELS, Example, Stance

VOID = {"meta", "link", "br", "hr", "img", "input"}
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
LEAKS = [["split", "kind", "rows", "of"], ["validation", "same text", 392, 1461]]
NASTY = (
    ("<script>document.title='broken'</script>", '"><img src=x onerror=alert(1)>'),
    ("حكومة غني", "الحكومة المؤقتة"),
    ("Donaudampfschifffahrtsgesellschaftskapitän" * 9, "plan\x00\x07\u202e & <!-- -->"),
    ("\ud800 half", "</style></title></body>"),
)


def example(name: str, stance: str = "support", **changes: Any) -> Example:
    return Example(
        id=name, text="Iran praised the plan.", actor="Iran", target="plan", actor_span=(0, 4), target_span=(17, 21),
        stance=Stance(stance), article_id="a", corpus="toy-news", date="2021-03-04", provenance="gold", weight=1.0,
        **changes,
    )  # fmt: skip


def rows() -> list[tuple[str, Example, str]]:
    """Two corpora, three splits, all labels, and names that try to break out."""
    made = []
    for number in range(300):
        split = ("train", "train", "validation", "test")[number % 4]
        row = example(f"r{number}", LABELS[number % 3])
        if number % 5 == 0:
            actor, target = NASTY[number % len(NASTY)]
            text = f"{actor} wants {target}. " * (1 + number % 7)
            span, start = (0, len(actor)), len(actor) + 7
            row = replace(row, text=text, actor=actor, target=target, actor_span=span,
                          target_span=(start, start + len(target)), corpus="<b>other</b>", date="")  # fmt: skip
        made.append((split, row, "peace" if number % 2 else "<i>sport</i>"))
    return made


def summary(taken: list[tuple[str, Example, str]]) -> page.Summary:
    found = page.Summary()
    for split, row, theme in taken:
        found.add(split, row, theme)
    return found


def manifest(**changes: Any) -> Manifest:
    splits = ("train", "validation", "test")
    values = {
        "name": "toy-news", "sha256": "ab" * 32, "articles": dict.fromkeys(splits, 7),
        "rows": dict.fromkeys(splits, 100), "labels": {}, "provenance": {},
        "dropped": {"actor and target have the same name": 1204, "<b>no</b>": 2}, "config": {"split": {"seed": 7}},
    }  # fmt: skip
    return Manifest(**{**values, **changes})


class Reader(HTMLParser):
    """Collects elements and text, and fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.headings: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        headings = [tag for tag in self.open if re.fullmatch(r"h\d", tag)]
        if headings:
            self.headings.append((int(headings[-1][1]), data))

    def attributes(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag != "style")


def parsed(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def whole() -> str:
    return page.html(manifest(), summary(rows()), leaks=LEAKS)


# Form


def test_elements_nest_ids_are_unique_and_links_lead_somewhere(whole: str) -> None:
    reader = parsed(whole)
    assert whole.startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in reader.attributes("a")]
    assert len(links) == 11
    assert {link.removeprefix("#") for link in links} <= set(ids)
    named = [attributes["aria-labelledby"] for attributes in reader.attributes("section")]
    assert set(named) <= set(ids)
    assert len(named) == 10


def test_there_is_one_of_each_landmark_and_headings_skip_no_level(whole: str) -> None:
    reader = parsed(whole)
    assert [len(reader.attributes(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(reader.attributes("table")) == len(reader.attributes("caption"))
    scopes = [attributes.get("scope") for attributes in reader.attributes("th")]
    assert set(scopes) == {"row", "col"}
    assert reader.attributes("svg")
    assert all("aria-label" in svg or svg.get("aria-hidden") == "true" for svg in reader.attributes("svg"))
    boxes = [box for box in reader.attributes("div") if "scroll" in box.values()]
    assert len(boxes) == len(reader.attributes("table"))
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def test_nothing_is_loaded_and_nothing_runs(whole: str) -> None:
    reader = parsed(whole)
    assert {"script", "img", "link", "iframe", "object", "form", "base"}.isdisjoint(tag for tag, _ in reader.elements)
    keys = {key for _, attributes in reader.elements for key in attributes}
    assert {"src", "srcset", "style", "xlink:href"}.isdisjoint(keys)
    assert not [key for key in keys if key.startswith("on")]
    (style,) = [data for tag, data in reader.texts if tag == "style"]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for a in reader.attributes("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_what_rows_say_is_text_and_never_markup(whole: str) -> None:
    reader = parsed(whole)
    for part in (NASTY[0][0], NASTY[0][1], NASTY[3][1], "<b>other</b>, train", "<i>sport</i>", "<b>no</b>"):
        assert part in reader.text
    assert not set(whole) & set("\x00\x07\u202e\ud800")
    assert "plan\ufffd\ufffd\ufffd & <!-- -->" in reader.text
    whole.encode("utf-8")
    named = parsed(page.html(manifest(name="</title><script>", config={"</pre>": ["<b>"]}), page.Summary()))
    assert "</title><script>: dataset" in reader_text(named, "title")
    assert '"</pre>"' in reader_text(named, "pre")


def reader_text(reader: Reader, tag: str) -> str:
    return "".join(data for name, data in reader.texts if name == tag)


def test_text_stands_out_from_what_is_behind_it_in_light_and_dark() -> None:
    css = Path(page.__file__).with_name("page.css").read_text("utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    )
    badges = re.findall(r"\.badge\.\w+ \{ background: (#\w+); \}", css)
    assert len(badges) == 3
    for theme in (light, dark):
        for behind in ("page", "surface"):
            assert min(contrast(theme[text], theme[behind]) for text in ("ink", "quiet", "link")) >= 4.5
        assert min(contrast(theme["ink"], theme[mark]) for mark in ("actor", "target", "code")) >= 4.5
        shapes = (*LABELS, "bar", "actor-line", "target-line")
        assert min(contrast(theme[shape], theme["surface"]) for shape in shapes) >= 3
    assert min(contrast("#ffffff", badge) for badge in badges) >= 4.5


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2 of two colours."""

    def luminance(colour: str) -> float:
        digits = "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour[1:]
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


# Content


def test_the_page_says_what_the_dataset_holds(whole: str) -> None:
    text = " ".join(parsed(whole).text.split())
    for part in ("toy-news", "300 pairs", "21 articles", "2 corpora", "2021–2021", "ab" * 32, "toy-news, validation",
                 "gold, test", "peace", "undated", "392", "1,461", "1,204", '"seed": 7'):  # fmt: skip
        assert part in swapped(text), part
    assert text.index("train 7 150") < text.index("validation 7 75") < text.index("test 7 75")


def swapped(text: str) -> str:
    """The text with the tiles' numbers before their names, as they are shown."""
    return re.sub(r"\b(pairs|articles|corpora|years) ([\d,–]+)", r"\2 \1", text)


def test_bars_are_as_long_as_their_counts() -> None:
    found = markup.bars("Pairs", "split", [("train", [10, 20, 10]), ("test", [5, 0, 5])])
    bars = [[float(rect.get("width", "")) for rect in svg.iter("rect")] for svg in found.iter("svg")]
    assert bars == [[25, 50, 25], [12.5, 12.5]]


def test_marks_lie_on_the_names_also_where_they_overlap() -> None:
    row = replace(example("x"), text="The Iran plan of <Iran>.", actor="Iran", target="Iran plan", actor_span=(4, 8),
                  target_span=(4, 13))  # fmt: skip
    whole = page.html(manifest(), summary([("train", row, "")]))
    marks = re.findall(r'<mark class="([\w ]+)">([^<]*)</mark>', whole.partition('id="sample-rows"')[2])[2:]
    assert marks == [("actor target", "Iran"), ("target", " plan")]


def test_a_long_passage_is_cut_around_its_marks() -> None:
    text = "a" * 4000 + " Iran wants the plan. " + "b" * 900_000
    row = replace(example("x"), text=text, actor_span=(4001, 4005), target_span=(4016, 4020))
    whole = page.html(manifest(), summary([("train", row, "")]))
    assert len(whole) < 40_000
    assert '<mark class="target">plan</mark>' in whole
    assert "…aaa" in whole
    assert "bbb…" in whole
    apart = replace(row, target_span=(len(text) - 9, len(text) - 5))
    assert len(page.html(manifest(), summary([("train", apart, "")]))) < 40_000


def test_a_name_that_the_passage_does_not_print_is_said_to_be_absent() -> None:
    row = replace(example("x"), actor_span=None, target_span=None)
    whole = page.html(manifest(), summary([("train", row, "")]))
    assert "the passage does not print the actor and the target" in whole


def test_the_sample_takes_turns_and_does_not_depend_on_the_order() -> None:
    taken = rows()
    found = summary(taken).sample()
    assert len(found) == page.SAMPLE
    assert found == summary(taken[::-1]).sample()
    groups = {(row.corpus, row.stance) for _, row in found}
    assert len(groups) == 6
    assert len({row.id for _, row in found}) == page.SAMPLE
    more = [*taken, *(("train", example(f"late{n}"), "") for n in range(5))]
    assert len({row.id for _, row in summary(more).sample()} & {row.id for _, row in found}) >= page.SAMPLE - 5
    assert len(summary(taken[:7]).sample()) == 7


def test_a_tally_of_too_many_names_keeps_the_frequent_ones_and_says_so() -> None:
    tally = page.Tally(keep=100)
    for number in range(1000):
        tally.add("often", 0)
        tally.add(f"once {number}", 2)
    assert len(tally.counts) <= 200
    assert tally.top(1) == [("often", [1000, 0, 0])]
    assert not tally.whole
    few = page.Tally(keep=100)
    few.add("x" * 1000, 1)
    assert few.whole
    assert len(next(iter(few.counts))) == 200


def test_the_histogram_counts_every_passage() -> None:
    lengths = [5] * 10 + [250] * 5 + [999_999]
    taken = [("train", replace(example(str(n)), text="x" * length), "") for n, length in enumerate(lengths)]
    found = summary(taken)
    assert found.lengths.total() == len(lengths)
    text = parsed(page.html(manifest(), found)).text
    assert "Half of the passages have 5 characters or fewer; the longest has 20,000 or more." in text
    shown = " ".join(text.split())
    assert "characters pairs 0–999 15 1,000–1,999 0 2,000–2,999 0" in shown
    assert "19,000–19,999 0 20,000 and more 1" in shown


def test_half_of_the_passages_have_the_length_that_is_said() -> None:
    taken = [("train", replace(example(str(n)), text="x" * (5 if n < 4 else 90)), "") for n in range(8)]
    assert "Half of the passages have 5 characters or fewer; the longest has 90." in page.html(
        manifest(), summary(taken)
    )


def test_an_empty_dataset_and_one_without_leaks_or_drops_have_a_page_too() -> None:
    text = parsed(page.html(manifest(dropped={}, rows={}, articles={}), page.Summary())).text
    assert "No rows." in text
    assert "Nothing was dropped." in text
    assert "This build gave no leak report." in text
    assert "No row of validation or test was found" in page.html(manifest(), page.Summary(), leaks=LEAKS[:1])


def test_long_lists_end_with_how_much_is_left_out() -> None:
    taken = [
        ("train", replace(example(str(n)), actor=f"actor {n}", date=f"{1900 + n}-01-01"), f"theme {n}")
        for n in range(60)
    ]
    reasons = {f"evidence of {n} characters": 1 for n in range(80)}
    text = parsed(page.html(manifest(dropped=reasons), summary(taken))).text
    for part in ("40 more are not shown.", "30 more are not shown.", "20 earlier years are not shown.",
                 "30 more for other reasons.", "Pairs by year of the article, from 1920 to 1959."):  # fmt: skip
        assert part in text


def test_the_years_of_a_page_are_those_of_the_calendar_and_undated_rows_stand_in_the_figures() -> None:
    dates = ["2016-05-01", "2019-01-01", "2019-02-01", ""]
    text = page.html(
        manifest(), summary([("train", replace(example(str(n)), date=d), "") for n, d in enumerate(dates)])
    )
    assert "Pairs by year of the article, from 2016 to 2019." in parsed(text).text
    assert "<title>2017: 0 pairs</title>" in text
    assert "<title>2018: 0 pairs</title>" in text
    assert "undated: 1 pairs" not in text
    assert "undated" in parsed(text).text
    taken = [("train", replace(example(str(n)), date=d), "") for n, d in enumerate(("2019-01-01", ""))]
    assert "from 2019 to" not in page.html(manifest(), summary(taken)), "one year is no chart"


def test_years_are_those_of_dates_that_can_be_read_however_they_are_written() -> None:
    dates = ["March 4, 2016", "28/02/2019", "1234 of them", "2018-99-99", "2016", "2019-05", "2019-08-05 10:00 +02"]
    found = summary([("train", replace(example(str(n)), date=d), "") for n, d in enumerate(dates)])
    assert {name: sum(counts) for name, counts in found.years.counts.items()} == {"2016": 2, "2019": 3, "undated": 2}


def test_years_that_the_chart_does_not_show_are_not_in_the_figures_either() -> None:
    dates = [f"{year}-01-01" for year in (1900, 1950, 2019, 2020)]
    taken = [("train", replace(example(str(n)), date=d), "") for n, d in enumerate(dates)]
    text = page.html(manifest(), summary(taken))
    assert "Pairs by year of the article, from 2019 to 2020. 2 earlier years are not shown." in parsed(text).text
    assert ">2019<" in text
    assert ">1950<" not in text


def test_undated_rows_take_no_place_of_a_year() -> None:
    dates = ["", *(f"{year}-01-01" for year in range(1920, 1960))]
    taken = [("train", replace(example(str(n)), date=d), "") for n, d in enumerate(dates)]
    text = parsed(page.html(manifest(), summary(taken))).text
    assert "Pairs by year of the article, from 1920 to 1959." in text
    assert "earlier years are not shown" not in text


# In a browser

MEASURE = """<script>parent.postMessage([innerWidth, document.documentElement.scrollWidth,
  document.querySelectorAll("section").length, document.title], "*")</script></body>"""
FRAMES = """<!doctype html><title>waiting</title><body>{frames}<script>
const seen = []; addEventListener("message", e => {{ seen.push(e.data);
  if (seen.length == {count}) document.body.append(JSON.stringify(seen) + " done"); }})</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here (Debian: apt-get install chromium)")
def test_a_browser_shows_the_page_at_every_width_in_light_and_dark(tmp_path: Path, whole: str) -> None:
    (tmp_path / "page.html").write_text(whole, "utf-8")
    for number, name in enumerate(("dark", "light")):
        browse(tmp_path, "page.html", f"--blink-settings=preferredColorScheme={number}", "--window-size=1000,2400",
               f"--screenshot={tmp_path / name}.png")  # fmt: skip
    dark, light = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("dark", "light"))
    assert dark.shape == light.shape == (2400, 1000, 3)
    assert dark.mean() < 0.3 < 0.8 < light.mean()
    colours = {tuple((pixel * 255).round().astype(int)) for pixel in light[::3, ::3].reshape(-1, 3)}
    assert {(0xC4, 0x50, 0x2F), (0x2C, 0x6F, 0xB5), (0x8B, 0x92, 0x9B)} <= colours  # the three labels are drawn

    # A copy that may run a script of ours tells how wide its content is: it never scrolls sideways.
    loose = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", whole).replace("</body>", MEASURE)
    (tmp_path / "loose.html").write_text(loose, "utf-8")
    widths = (320, 600, 1400)
    frames = "".join(f'<iframe src="loose.html" width="{width}" height="900"></iframe>' for width in widths)
    (tmp_path / "frames.html").write_text(FRAMES.format(frames=frames, count=len(widths)), "utf-8")
    dom = browse(tmp_path, "frames.html", "--virtual-time-budget=5000", "--window-size=1600,1000", "--dump-dom")
    seen = re.search(r"(\[\[.*\]\]) done", dom)
    assert seen, dom[-500:]
    measured = sorted(json.loads(seen.group(1)))
    assert [(inner, wide) for inner, wide, *_ in measured] == [(width, width) for width in widths]
    assert {(sections, title) for *_, sections, title in measured} == {(10, "toy-news: dataset")}


def browse(folder: Path, name: str, *options: str) -> str:
    """What headless Chromium prints about a file; each run has a profile of its own."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--user-data-dir={folder / 'profile'}", *options, (folder / name).as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
