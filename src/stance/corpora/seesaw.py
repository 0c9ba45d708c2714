"""SEESAW (Zhang, Beauchamp, Wang, EMNLP 2022): US political news, stances annotated by sentence. CC BY-NC-SA 4.0.

Published at https://github.com/launchnlp/SEESAW as `SEESAW/{articles,annotations,meta}/*.json`. An article's sentences
are joined by spaces. Names are canonical; a name gets a place only where the sentence prints it as it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stance import jsonl
from stance.corpora.source import Dropped, Found
from stance.errors import StanceError
from stance.forms import MAX_NAME_CHARACTERS, annotation_from_json, article_from_json
from stance.records import SOMEONE, Mention, Span
from stance.settings.building import SourceConfig

NAMES = {"None": "the author", "Not in the list": SOMEONE}
"""What the corpus calls the author of the article, and a holder or target that nobody listed."""
_STANCES = {"POS": "support", "NEG": "oppose"}
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def read(source: SourceConfig) -> Iterator[Found]:
    """Read the directory that holds `articles`, `annotations` and `meta`."""
    path = Path(source.path)
    annotated = sorted((path / "annotations").glob("*.json"))
    if not annotated:
        raise StanceError(
            f"{path}: no annotations/*.json; expected the SEESAW directory of the published corpus "
            "(`python scripts/fetch_corpus.py name=seesaw` fetches it)"
        )
    for file in annotated:
        try:
            yield from _article(path, file)
        except StanceError as error:
            yield Dropped.by(error, str(file))


def _article(root: Path, file: Path) -> Iterator[Found]:
    stances, body = _load(file), _load(root / "articles" / file.name)
    story = _load(root / "meta" / f"{file.name.partition('_DOCUMENT')[0]}.json")
    try:
        text, places = _join({int(sentence["id"]): str(sentence["text"]) for sentence in body["text"]})
        rows = [
            _annotation(text, places[int(sentence)], row)
            for sentence, rows in stances["sentence-level stances"].items()
            for row in rows
        ]
        about = {
            "title": str(body.get("title", "")),
            "date": str(story.get("story_time", "")),
            "topic": str(story.get("story_topic", "")),
            "split": _SPLITS[story["Split"]],
        }
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise StanceError(f"{file}: not an annotation of SEESAW ({error!r}); take the published files") from error
    article = article_from_json({"id": f"seesaw-{file.stem}", "text": text, **about}, str(file))
    annotations = []
    for number, row in enumerate(rows, 1):
        try:
            annotations.append(annotation_from_json(row, text, f"{file}: annotation {number}"))
        except StanceError as error:
            yield Dropped.by(error, str(file), article.id)
    yield replace(article, annotations=tuple(annotations))


def _join(sentences: Mapping[int, str]) -> tuple[str, dict[int, Span]]:
    text, places = "", {}
    for number, sentence in sorted(sentences.items()):
        start = len(text) + bool(text)
        text += f" {sentence}" if text else sentence
        places[number] = (start, start + len(sentence))
    return text, places


def _annotation(text: str, place: Span, row: Mapping[str, Any]) -> dict[str, Any]:
    actor, target = (asdict(_mention(text, place, str(row[role]))) for role in ("subject", "object"))
    return {"actor": actor, "target": target, "stance": _STANCES[row["sentiment"]], "evidence": [place]}


def _mention(text: str, place: Span, name: str) -> Mention:
    if name in NAMES or not 0 < len(name) <= MAX_NAME_CHARACTERS:
        return Mention(NAMES.get(name, name))
    found = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)").search(text, *place)
    return Mention(name, *(found.span() if found else (None, None)))


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise StanceError(f"{path}: missing; expected the published files of SEESAW, whole")
    return jsonl.document(path, "fetch the published files of SEESAW again")
