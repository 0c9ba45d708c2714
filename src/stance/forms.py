"""Records from JSON and back: everything that comes from outside is checked here, at the door.

Every error says where, what was expected and what was found.
"""

import re
import reprlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stance.errors import StanceError
from stance.records import LABELS, PHENOMENA, PROVENANCES, Annotation, Article, Mention, Pair, Span, Stance

_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_TEXT_CHARACTERS, MAX_NAME_CHARACTERS = 1_000_000, 2_000
MAX_KEYS = 20
"""Most keys of a row that an error names."""
FIELDS = ("title", "date", "outlet", "theme", "topic", "region", "outlet_kind", "split")
"""What an article's JSON may say about it besides id, text, exhaustive and annotations: strings, all of them."""


def pair_from_json(row: Mapping[str, Any], where: str) -> Pair:
    """Check a request `{text, actor, target}` with optional `actor_span` and `target_span`."""
    text = string(row, "text", where)
    pair = Pair(
        text=text,
        actor=string(row, "actor", where),
        target=string(row, "target", where),
        actor_span=_place(row.get("actor_span"), text, f"{where}: actor_span"),
        target_span=_place(row.get("target_span"), text, f"{where}: target_span"),
    )
    _check_lengths(pair, f"{where}: ")
    return pair


def article_from_json(row: Mapping[str, Any], where: str) -> Article:
    """Check one article in the form of docs/DATA.md. Unknown keys are ignored."""
    text = string(row, "text", where)
    exhaustive = row.get("exhaustive", False)
    if not isinstance(exhaustive, bool):
        raise StanceError(f"{where}: 'exhaustive' must be true or false, found {exhaustive!r}")
    annotations = row.get("annotations", [])
    if not isinstance(annotations, list):
        raise StanceError(f"{where}: 'annotations' must be a list, found {type(annotations).__name__}")
    return Article(
        id=string(row, "id", where),
        text=text,
        exhaustive=exhaustive,
        annotations=tuple(
            annotation_from_json(item, text, f"{where}: annotation {number}")
            for number, item in enumerate(annotations, 1)
        ),
        where=where,
        **{name: string(row, name, where, empty=True) for name in FIELDS if row.get(name) is not None},
    )


def annotation_from_json(row: Any, text: str, where: str) -> Annotation:
    """Check one annotation against the article's text: labels, tags, and every span inside the text."""
    _object(row, where)
    evidence = row.get("evidence")
    if not isinstance(evidence, list) or not evidence:
        raise StanceError(f"{where}: 'evidence' must be a list of [start, end] spans, found {evidence!r}")
    spans = tuple(_evidence(item, text, f"{where}: evidence") for item in evidence)
    tags = row.get("tags", [])
    if not isinstance(tags, list):
        raise StanceError(f"{where}: 'tags' must be a list, found {tags!r}")
    for tag in tags:
        if tag not in PHENOMENA:
            raise StanceError(f"{where}: unknown tag {tag!r}; expected some of {', '.join(PHENOMENA)}")
    return Annotation(
        actor=_mention(row.get("actor"), text, f"{where}: actor"),
        target=_mention(row.get("target"), text, f"{where}: target"),
        stance=stance(row.get("stance"), where),
        evidence=spans,
        tags=tuple(tags),
        annotator=string(row, "annotator", where, empty=True) if "annotator" in row else "",
        provenance=_provenance(row.get("provenance", "gold"), where),
        weight=number(row.get("weight", 1.0), f"{where}: weight"),
        soft=_soft(row.get("soft", []), f"{where}: soft"),
    )


def article_to_json(article: Article) -> dict[str, Any]:
    """What `article_from_json` reads; empty fields are left out."""
    row = {name: value for name in FIELDS if (value := getattr(article, name))}
    if article.exhaustive:
        row["exhaustive"] = True
    return {
        "id": article.id,
        "text": article.text,
        **row,
        "annotations": [annotation_to_json(a) for a in article.annotations],
    }


def annotation_to_json(note: Annotation) -> dict[str, Any]:
    """What `annotation_from_json` reads; what is as by default is left out, but for the four main fields."""
    row: dict[str, Any] = {"actor": asdict(note.actor), "target": asdict(note.target), "stance": note.stance.value}
    row["evidence"] = [list(place) for place in note.evidence]
    extra = {"tags": list(note.tags), "annotator": note.annotator, "soft": list(note.soft)}
    row |= {name: value for name, value in extra.items() if value}
    row |= {"provenance": note.provenance} if note.provenance != "gold" else {}
    return row | ({"weight": note.weight} if note.weight != 1 else {})


def stance(value: Any, where: str) -> Stance:
    """The label named `value`."""
    if value not in LABELS:
        raise StanceError(f"{where}: unknown stance {value!r}; expected one of {', '.join(LABELS)}")
    return Stance(value)


def _keys(row: Mapping[str, Any]) -> str:
    keys = sorted(row)
    more = [f"{len(keys) - MAX_KEYS:,} more"] if len(keys) > MAX_KEYS else []
    return ", ".join(keys[:MAX_KEYS] + more) or "none"


def string(row: Mapping[str, Any], key: str, where: str, *, empty: bool = False) -> str:
    """The string under `key`, which must be there and, unless `empty`, hold more than white space."""
    value = row.get(key)
    if value is None:
        lack = "null; expected a string" if key in row else f"missing; found the keys {_keys(row)}"
        raise StanceError(f"{where}: '{key}' is {lack}")
    if not isinstance(value, str):
        raise StanceError(f"{where}: '{key}' must be a string, found {type(value).__name__}")
    check_string(value, f"{where}: '{key}'", empty=empty)
    return value


def span(value: Any, text: str, where: str) -> Span | None:
    """`[start, end]` checked to lie inside `text`, or None for null."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2 or any(type(n) is not int for n in value):
        raise StanceError(f"{where}: expected [start, end] or null, found {reprlib.repr(value)}")
    start, end = value
    if not 0 <= start < end <= len(text):
        raise StanceError(f"{where}: span [{start}, {end}] is outside the text of {len(text)} characters")
    return start, end


def check_string(value: str, what: str, *, empty: bool = False) -> None:
    """Refuse a text that is nothing but white space, unless `empty`, or that no tokenizer can read."""
    if not value.isascii() and (found := _SURROGATE.search(value)):  # JSON can write half a pair; UTF-8 can't
        raise StanceError(f"{what} has half a surrogate pair at character {found.start()}; write it whole")
    if not empty and (not value or value.isspace()):  # no copy of a long text, for each pair that is asked about it
        raise StanceError(f"{what} is empty")


def check_length(name: str, what: str = "name") -> None:
    """Refuse a name of more characters than are looked up, which takes long."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise StanceError(f"{what} of {len(name):,} characters; at most {MAX_NAME_CHARACTERS:,} are looked up")


def number(value: Any, where: str) -> float:
    """A finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise StanceError(f"{where}: expected a number from 0, found {value!r}")
    return float(value)


def _provenance(value: Any, where: str) -> str:
    if value not in PROVENANCES:
        raise StanceError(f"{where}: unknown provenance {value!r}; expected one of {', '.join(PROVENANCES)}")
    return str(value)


def _soft(value: Any, where: str) -> tuple[float, ...]:
    if value == []:
        return ()
    if not isinstance(value, list) or len(value) != len(LABELS):
        raise StanceError(f"{where}: expected one share for each of {', '.join(LABELS)}, found {value!r}")
    shares = tuple(number(share, where) for share in value)
    if abs(sum(shares) - 1) > 1e-3:
        raise StanceError(f"{where}: the shares {value!r} must add up to 1")
    return shares


def _mention(row: Any, text: str, where: str) -> Mention:
    _object(row, where)
    start, end = row.get("start"), row.get("end")
    if (start is None) != (end is None):
        raise StanceError(f"{where}: 'start' and 'end' must both be numbers or both null, found {start}, {end}")
    if start is not None:
        _printed([start, end], text, where)
    name = string(row, "name", where)
    check_length(name, f"{where}: name")
    return Mention(name, start, end)


def _printed(value: Any, text: str, where: str) -> None:
    """Refuse a mention's place whose words can't be asked about as a name."""
    if found := _place(value, text, where):
        check_length(text[slice(*found)], f"{where}: mention")


def _evidence(value: Any, text: str, where: str) -> Span:
    found = _place(value, text, where)
    if found is None:
        raise StanceError(f"{where}: expected [start, end], found null")
    return found


def _place(value: Any, text: str, where: str) -> Span | None:
    """A span that holds words, or None for null."""
    if found := span(value, text, where):
        _words(text, found, where)
    return found


def _words(text: str, found: Span, where: str) -> None:
    if not text[slice(*found)].strip():
        raise StanceError(f"{where}: span {list(found)} holds no words")


def _object(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise StanceError(f"{where}: expected a JSON object, found {type(row).__name__}")


def _check_lengths(pair: Pair, where: str = "") -> None:
    """Refuse a text longer than is scored, and names longer than are looked up."""
    if len(pair.text) > MAX_TEXT_CHARACTERS:
        raise StanceError(f"{where}text of {len(pair.text):,} characters; at most {MAX_TEXT_CHARACTERS:,} are scored")
    check_length(max(pair.actor, pair.target, key=len), f"{where}name")


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Refuse what can't be asked.

    Raises:
        StanceError: which pair it is, counted from 1, and why: a text or a name is no string, empty, longer than is
            scored or no Unicode, or a span is none of its text or holds no words.
    """
    known = set[str]()  # a long text may come with many pairs
    for number, pair in enumerate(pairs, 1):
        try:
            _check_pair(pair, known)
        except StanceError as error:
            raise StanceError(f"pair {number}: {error}") from error


def _check_pair(pair: Pair, known: set[str]) -> None:
    strings: tuple[tuple[str, Any], ...] = (("text", pair.text), ("actor", pair.actor), ("target", pair.target))
    for role, value in strings:  # a table's empty cell is None or NaN
        if not isinstance(value, str):
            raise StanceError(f"{role} must be a string, found {type(value).__name__}")
    if pair.text not in known:
        check_string(pair.text, "text")
        known.add(pair.text)
    _check_lengths(pair)
    for role, name in strings[1:]:
        check_string(name, role)
    _check_place(pair.actor_span, pair.text, "actor_span")
    _check_place(pair.target_span, pair.text, "target_span")


def _check_place(given: Any, text: str, role: str) -> None:
    if given is None:
        return
    try:
        start, end = given
        words = text[start:end] if 0 <= start < end <= len(text) else None
    except (TypeError, ValueError):  # as of a table: NaN, or numbers that are not whole
        words = None
    if words and not words.isspace():
        return
    raise StanceError(
        f"{role} {reprlib.repr(given)}: {'no place' if words is None else 'holds no words'} in a text of {len(text)} "
        "characters; expected (start, end) within it, or None where it is not known"
    )
