"""The words that show a stance, from a YAML file that users edit: patterns by polarity, and words with a part to play.

Knows nothing of parses: `stance.weak.grammar` finds the patterns there. The file says how they are written.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stance import jsonl
from stance.errors import StanceError
from stance.records import LABELS, Stance
from stance.settings import LEXICON

MAX_BYTES = 1_000_000
_SPELLINGS = (
    (re.compile(r"(?<=\w\w)is(e|ing|ed|ation)\b"), r"iz\1"),
    (re.compile(r"(?<=\w\w)our(s|ed|ing|able)?\b"), r"or\1"),
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A word and those that hang on it in the parse, in base form and `normal` spelling, with the stance they show."""

    words: tuple[str, ...]
    stance: Stance


Patterns = Mapping[str, tuple[Pattern, ...]]
"""Patterns by their first word, longest first."""


@dataclass(frozen=True)
class Lexicon:
    """A checked lexicon. Sections of patterns have a polarity each; the others are mere lists of words."""

    verbs: Patterns
    deeds: Patterns
    nouns: Patterns
    adjectives: Patterns
    judgements: Patterns
    carriers: frozenset[str]
    receivers: frozenset[str]
    reports: frozenset[str]
    labels: frozenset[str]
    requests: frozenset[str]
    turners: frozenset[str]
    weakeners: frozenset[str]
    negators: frozenset[str]
    enders: frozenset[str] = frozenset()
    doubters: frozenset[str] = frozenset()
    resolvers: frozenset[str] = frozenset()
    undergone: frozenset[str] = frozenset()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Share of a function's votes for a stance that are right, under `function` or `function/stance`."""


_BY_STANCE = ("verbs", "deeds", "nouns", "adjectives", "judgements")
_LISTS = tuple(f.name for f in fields(Lexicon) if f.name not in (*_BY_STANCE, "accuracy"))
_LATER = ("enders", "doubters", "resolvers", "undergone")
"""Sections that a file of an earlier version lacks."""


def normal(word: str) -> str:
    """A word in lower case and one spelling: "criticise" is "criticize", "favour" is "favor"."""
    word = word.lower().replace("’", "'")
    for pattern, spelling in _SPELLINGS:
        word = pattern.sub(spelling, word)
    return word


def load(path: Path) -> Lexicon:
    """Read and check a lexicon.

    Raises:
        StanceError: no such file, not YAML, a section or polarity that is unknown, missing or stands twice, or an
            entry that is no text, empty or stands twice; with file and line.
    """
    if not path.is_file():
        found = "is a directory" if path.is_dir() else "no such file"
        raise StanceError(f"{path}: {found}; expected a lexicon of stance words (YAML), such as {LEXICON}")
    if path.stat().st_size > MAX_BYTES:
        raise StanceError(f"{path}: over {MAX_BYTES:,} bytes, the most that is read of a lexicon")
    try:
        root = yaml.compose(jsonl.read_text(path), Loader=yaml.SafeLoader)  # nodes keep their lines
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise StanceError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    sections = _mapping(root, path, "section", (*_BY_STANCE, *_LISTS, "accuracy"))
    if missing := [name for name in (*_BY_STANCE, *_LISTS) if name not in (*sections, *_LATER)]:
        raise StanceError(
            f"{path}: the section {missing[0]!r} is missing; expected {', '.join((*_BY_STANCE, *_LISTS))}"
        )
    patterns = {name: _patterns(sections[name], path) for name in _BY_STANCE}
    _once(patterns, path)
    values: dict[str, Any] = {name: _by_first(found) for name, found in patterns.items()}
    values |= {
        name: frozenset(_normal(word) for word, _ in _words(sections[name], path))
        for name in _LISTS
        if name in sections
    }
    return Lexicon(**values, accuracy=_accuracy(sections.get("accuracy"), path))


def _patterns(node: Node, path: Path) -> list[tuple[Pattern, int]]:
    found = []
    for polarity, words in _mapping(node, path, "polarity", LABELS).items():
        found += [(Pattern(tuple(_normal(word).split()), Stance(polarity)), line) for word, line in _words(words, path)]
    return found


def _once(sections: Mapping[str, list[tuple[Pattern, int]]], path: Path) -> None:
    """Refuse a pattern that stands twice in a section; verbs and deeds count as one."""
    for names in (("verbs", "deeds"), ("nouns",), ("adjectives",), ("judgements",)):
        seen: dict[tuple[str, ...], int] = {}
        for pattern, line in (item for name in names for item in sections[name]):
            if pattern.words in seen:
                raise StanceError(
                    f"{path}:{line}: {' '.join(pattern.words)!r} stands in {' or '.join(names)} at line "
                    f"{seen[pattern.words]} already; keep one of the two"
                )
            seen[pattern.words] = line


def _by_first(found: list[tuple[Pattern, int]]) -> Patterns:
    index: dict[str, list[Pattern]] = {}
    for pattern, _ in found:
        index.setdefault(pattern.words[0], []).append(pattern)
    return {word: tuple(sorted(some, key=lambda p: (-len(p.words), p.words))) for word, some in index.items()}


def _words(node: Node, path: Path) -> Iterator[tuple[str, int]]:
    if not isinstance(node, SequenceNode):
        raise StanceError(f"{_at(node, path)}: expected a list of words, found {_kind(node)}")
    for item in node.value:
        if not isinstance(item, ScalarNode) or not item.value.strip():
            raise StanceError(f"{_at(item, path)}: expected a word or a pattern of words, found {_kind(item)}")
        yield item.value, item.start_mark.line + 1


def _mapping(node: Node | None, path: Path, what: str, known: tuple[str, ...]) -> dict[str, Node]:
    if not isinstance(node, MappingNode):
        raise StanceError(f"{_at(node, path)}: expected a {what} a key ({', '.join(known)}), found {_kind(node)}")
    found: dict[str, Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else _kind(key)
        if name not in known:
            raise StanceError(f"{_at(key, path)}: unknown {what} {name!r}; expected one of {', '.join(known)}")
        if name in found:
            raise StanceError(f"{_at(key, path)}: the {what} {name!r} stands twice; put both lists into one")
        found[name] = value
    return found


def _accuracy(node: Node | None, path: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    if node is None:
        return found
    if not isinstance(node, MappingNode):
        raise StanceError(f"{_at(node, path)}: expected 'function/stance: share' a line, found {_kind(node)}")
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise StanceError(f"{_at(key, path)}: expected a function or function/stance, found {_kind(key)}")
        try:
            share = float(value.value)
        except (TypeError, ValueError):
            share = -1.0
        if not 0 < share < 1:
            raise StanceError(f"{_at(value, path)}: accuracy of {key.value!r}: expected a share between 0 and 1")
        if key.value in found:
            raise StanceError(f"{_at(key, path)}: the accuracy of {key.value!r} stands twice; keep one")
        found[key.value] = share
    return found


def _normal(words: str) -> str:
    return " ".join(normal(word) for word in words.split())


def _at(node: Node | None, path: Path) -> str:
    return f"{path}:{node.start_mark.line + 1}" if node else str(path)


def _kind(node: Node | None) -> str:
    if isinstance(node, ScalarNode):
        return repr(node.value) if node.value.strip() else "nothing"
    return {"MappingNode": "a mapping", "SequenceNode": "a list"}.get(type(node).__name__, "nothing")
