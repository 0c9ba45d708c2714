"""SEESAW (Zhang, Beauchamp, Wang, EMNLP 2022): US political news, stances annotated by sentence. CC BY-NC-SA 4.0.

Published at https://github.com/launchnlp/SEESAW as `SEESAW/{articles,annotations,meta}/*.json`. An article's sentences
are joined by spaces. Names are canonical; a name gets a place only where the sentence prints it as it is.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stance import jsonl
from stance.corpora.source import Dropped, Found
from stance.errors import StanceError
from stance.records import SOMEONE, Annotation, Article, Mention, Span, Stance
from stance.settings.building import SourceConfig

NAMES = {"None": "the author", "Not in the list": SOMEONE}
"""What the corpus calls the author of the article, and a holder or target that nobody listed."""
_STANCES = {"POS": Stance.SUPPORT, "NEG": Stance.OPPOSE}
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def read(source: SourceConfig) -> Iterator[Found]:
    """Read the directory that holds `articles`, `annotations` and `meta`."""
    path = Path(source.path)
    annotated = sorted((path / "annotations").glob("*.json"))
    if not annotated:
        raise StanceError(f"{path}: no annotations/*.json; expected the SEESAW directory of the published corpus")
    for file in annotated:
        try:
            yield _article(path, file)
        except StanceError as error:
            yield Dropped.by(error, str(file))


def _article(root: Path, file: Path) -> Article:
    stances, body = _load(file), _load(root / "articles" / file.name)
    story = _load(root / "meta" / f"{file.name.partition('_DOCUMENT')[0]}.json")
    try:
        text, places = _join({int(sentence["id"]): str(sentence["text"]) for sentence in body["text"]})
        annotations = tuple(
            _annotation(text, places[int(sentence)], row)
            for sentence, rows in stances["sentence-level stances"].items()
            for row in rows
        )
        return Article(
            id=f"seesaw-{file.stem}",
            text=text,
            title=str(body.get("title", "")),
            date=str(story.get("story_time", "")),
            topic=str(story.get("story_topic", "")),
            split=_SPLITS[story["Split"]],
            annotations=annotations,
            where=str(file),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StanceError(f"{file}: not an annotation of SEESAW ({error!r}); take the published files") from error


def _join(sentences: Mapping[int, str]) -> tuple[str, dict[int, Span]]:
    text, places = "", {}
    for number, sentence in sorted(sentences.items()):
        start = len(text) + bool(text)
        text = f"{text} {sentence}" if text else sentence
        places[number] = (start, start + len(sentence))
    return text, places


def _annotation(text: str, place: Span, row: Mapping[str, Any]) -> Annotation:
    actor, target = (_mention(text, place, str(row[role])) for role in ("subject", "object"))
    return Annotation(actor, target, _STANCES[row["sentiment"]], (place,))


def _mention(text: str, place: Span, name: str) -> Mention:
    found = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)").search(text, *place)
    return Mention(NAMES.get(name, name), *(found.span() if found and name not in NAMES else (None, None)))


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise StanceError(f"{path}: missing; expected the published files of SEESAW, whole")
    return jsonl.document(path, "fetch the published files of SEESAW again")
