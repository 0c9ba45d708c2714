"""Values in the cells of tables, whatever type they come in: text, numbers, dates, stances, and places in a text."""

import math
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from stance.corpora.source import CountedError
from stance.errors import StanceError
from stance.lookup import composed, cuts_words, find_mention
from stance.records import LABELS, Span, Stance, folded, overlap

DROP = "drop"
"""What labels calls a stance whose rows are left out."""
NEAR = 10
"""Characters that a given offset may be off by and still be moved to the name that stands there."""
MOST = 100
"""Places at which one name is looked for in one text."""
LONGEST_DATE = 100
_YEARS = range(1700, 2101)
_DATES = (
    "%Y/%m/%d", "%Y.%m.%d", "%d %B %Y", "%d. %B %Y", "%d %b %Y", "%B %d, %Y", "%B %d %Y", "%b %d, %Y", "%b. %d, %Y",
    "%b. %d %Y", "%b %d %Y", "%d %b. %Y", "%A, %B %d, %Y", "%A, %d %B %Y", "%A %d %B %Y", "%A %B %d, %Y",
    "%a, %b %d, %Y",
)  # fmt: skip
_EITHER = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})")
_PAIR = re.compile(r"\D*(\d+)\D+(\d+)\D*")
_FRACTION = re.compile(r"(?<=\d)\.0+$")
_SIGN = re.compile(r"(?<!\d)-\d")


def text(value: Any) -> str:
    """A cell as text: "" for nothing, whole numbers without a fraction, dates in ISO form.

    Raises:
        StanceError: a list, an object or bytes; or a value that its table could not read.
    """
    if isinstance(value, StanceError):
        raise value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise StanceError(f"expected text, found {type(value).__name__}")


def day(written: str) -> str:
    """`YYYY-MM-DD` of a date, or "" for what can't be read or may be read in two ways, such as 03/04/2021.

    ISO 8601 with or without a time, RFC 2822, English names of months, and numbers whose order is certain. What has
    more than `LONGEST_DATE` characters is none.
    """
    return _day(written) if len(written) <= LONGEST_DATE else ""


@lru_cache(100_000)
def _day(written: str) -> str:
    found: date | None = None
    try:
        found = datetime.fromisoformat(re.sub(r"\s+(?:UTC|GMT)\s*$", "", written))
    except ValueError:
        found = _english(written) or _numbers(written) or _mail(written)
    return f"{found:%Y-%m-%d}" if found and found.year in _YEARS else ""


def stance(value: Any, labels: Mapping[str, str]) -> Stance:
    """The stance that a cell names, by `labels` as they stand, else however they are written, or by our own names.

    Raises:
        StanceError: an unknown stance, or one that `labels` drops, which counts as no loss.
    """
    written = text(value).strip()
    name = labels.get(written)
    if name is None:
        name = {_alike(theirs): ours for theirs, ours in labels.items()}.get(_alike(written), written.lower())
    if name == DROP:
        raise CountedError(f"the stance {written!r} is left out by labels", 0)
    if name not in LABELS:
        known = ", ".join(sorted(set(labels) | set(LABELS)))
        raise StanceError(f"unknown stance {written!r}; expected one of {known}; labels can map it, or drop it")
    return Stance(name)


def _alike(label: str) -> str:
    """A label as all ways to write it have it: `True` and `true`, `1.0` and `1`."""
    return _FRACTION.sub("", label.strip().lower())


def check_labels(labels: Mapping[str, str], tags: Sequence[str] = ()) -> None:
    """Refuse a map of labels to anything but our stances, drop, or one of the tags that a format knows.

    Raises:
        StanceError: names the first such label.
    """
    for theirs, ours in labels.items():
        if ours not in (*LABELS, DROP, *tags):
            raise StanceError(f"labels.{theirs}: found {ours!r}; expected one of {', '.join((*LABELS, DROP, *tags))}")


def place(row: Mapping[str, Any], role: str, length: int) -> Span | None:
    """The offsets of `{role}_span`, or of `{role}_start` and `{role}_end`; None where the cells are empty.

    Without an end, the span has `length` characters.

    Raises:
        StanceError: the cells hold something else.
    """
    both = row.get(f"{role}_span")
    if isinstance(both, list | tuple) and len(both) == 2:
        start, end = both
    elif written := text(both).strip():
        if not (found := _PAIR.fullmatch(written)) or _SIGN.search(written):
            raise StanceError(f"{role}_span: expected two offsets, found {written!r}")
        start, end = found.groups()
    else:
        start, end = row.get(f"{role}_start"), row.get(f"{role}_end")
    first, last = (text(value).strip().removesuffix(".0") for value in (start, end))
    if not first and not last:
        return None
    if not first.isdecimal() or not (last.isdecimal() or not last) or len(first + last) > 40:
        raise StanceError(f"{role}: expected offsets from 0, found {first[:40]!r} and {last[:40]!r}")
    return int(first), int(last) if last else int(first) + length


def printed(passage: str, name: str) -> list[Span]:
    """Where a text prints a name as whole words: as it is, else in any case and spacing; at most 100 places."""
    found: list[Span] = []
    at = passage.find(name)
    while at >= 0 and len(found) < MOST:
        end = at + len(name)
        if not _is_word(passage[at - 1 : at]) and not _is_word(passage[end : end + 1]):
            found.append((at, end))
        at = passage.find(name, end)
    words = name.split()
    if found or words[-1].lower() not in passage.lower():
        return found
    spaced = r"\s+".join(map(re.escape, words))
    pattern = re.compile(rf"(?<!\w){spaced}(?!\w)", re.IGNORECASE)
    return [match.span() for match in islice(pattern.finditer(passage), MOST)]


def looked_up(passage: str, name: str) -> list[Span]:
    """Where a text prints a name, if need be with other accents or apostrophes; never a part of it."""
    if found := printed(passage, name):
        return found
    place = find_mention(passage, name)
    same = place and folded(composed(passage[slice(*place)])) == folded(composed(name))
    return [place] if place and same else []


def settle(passage: str, name: str, given: Span) -> tuple[Span | None, str]:
    """Where a name given at `given` stands, and what was mended, "" for nothing.

    A mention may be worded unlike the name ("its"); it is left where it is if it is made of whole words, and is no part
    of a printed name that the offsets have slipped from.
    """
    start, end = given
    if passage[start:end] == name:
        return given, ""
    shown = passage[start:end] if start < end <= len(passage) else ""
    places = printed(passage, name)
    near = min(places, key=lambda span: abs(span[0] - start), default=None)
    off = near is not None and abs(near[0] - start) <= NEAR
    if shown and len(core := shown.strip()) > 0:
        first = start + shown.index(core)
        inner = first, first + len(core)
        if not cuts_words(passage, inner) and not (off and overlap(inner, near)):
            return inner, "" if inner == given else f"white space taken off the mention {core!r} of {name!r}"
    if near and off:
        return near, f"offsets {start}-{end} of {name!r} moved to {near[0]}-{near[1]}, where it stands"
    what = f"moved to {near[0]}-{near[1]}, where it stands" if near else "left out: the text does not print it"
    return near, f"offsets {start}-{end} of {name!r} ({shown[:40]!r}) {what}"


def nearest(first: Sequence[Span], second: Sequence[Span]) -> tuple[Span | None, Span | None]:
    """Of the places of two names, the two that stand closest together without overlap; None for an empty list."""
    best: tuple[int, Span, Span] | None = None
    starts = [span[0] for span in second]
    for a in first:
        at = bisect_left(starts, a[0])
        for b in second[max(at - 1, 0) : at + 2]:
            if overlap(a, b):
                continue
            gap = max(a[0] - b[1], b[0] - a[1])
            if best is None or gap < best[0]:
                best = gap, a, b
    if best:
        return best[1], best[2]
    return (first[0] if first else None), (second[0] if second else None)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _english(written: str) -> date | None:
    words = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", " ".join(written.split()))
    words = re.sub(r"\bSept\b", "Sep", words, flags=re.IGNORECASE)  # the Associated Press's abbreviation
    for form in _DATES:
        try:
            return datetime.strptime(words, form)
        except ValueError:
            continue
    return None


def _numbers(written: str) -> date | None:
    """`31/12/2021` and `12/31/2021`, where only one order gives a date."""
    if not (found := _EITHER.fullmatch(written.strip())):
        return None
    one, _, other, year = found.groups()
    days = set()
    for month, number in ((one, other), (other, one)):
        try:
            days.add(date(int(year), int(month), int(number)))
        except ValueError:
            continue
    return days.pop() if len(days) == 1 else None


def _mail(written: str) -> date | None:
    try:
        return parsedate_to_datetime(written)
    except (ValueError, OverflowError):
        return None
