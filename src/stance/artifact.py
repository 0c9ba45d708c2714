"""An exported artifact on disk: which files it has, that they are whole and of this version, what `stance.json` says.

Written by `stance.export`, opened by `stance.predictor`.
"""

import re
from collections.abc import Mapping, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from stance import jsonl
from stance.errors import StanceError
from stance.files import sha256
from stance.records import LABELS

FORMAT_VERSION = 1
MODELS = {"int8": "model.int8.onnx", "fp32": "model.onnx"}
TOLD = ("dataset_sha256", "train_run")
"""What is asked of the checkpoint that an artifact was made of."""
WAYS = ("without_places", "with_places")
"""How a pair is asked, in the order of `Pair.placed`."""
AGAIN = "export again"
_KEY = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)\Z")
"""What protobuf writes before a key of eight letters: its field and its length, either with zeros behind it."""


def read_metadata(root: Path) -> dict[str, Any]:
    """The content of `stance.json`, checked for format version and labels."""
    path = root / "stance.json"
    if not root.is_dir():
        raise StanceError(f"{root}: no such directory; expected an artifact written by scripts/export.py")
    if not path.is_file():
        raise StanceError(
            f"{path}: missing; the export is not whole or this is no artifact. Run scripts/export.py again"
        )
    metadata = jsonl.document(path, "run scripts/export.py again")
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise StanceError(
            f"{path}: format version {version!r}, this stance reads {FORMAT_VERSION}; "
            "export again or install the version that wrote it"
        )
    missing = sorted({"labels", "encoding", "temperature", "files"} - set(metadata))
    if missing:
        raise StanceError(f"{path}: misses {', '.join(missing)}; run scripts/export.py again")
    if metadata["labels"] != list(LABELS):
        raise StanceError(f"{path}: labels {metadata['labels']}, expected {list(LABELS)}")
    for name in ("temperature", "temperature_without_places"):
        value = metadata.get(name, 1.0)
        if not isinstance(value, int | float) or not 0 < value < 1e9:
            raise StanceError(f"{path}: {name} {value!r}, expected a number above 0 and below 1e9; export again")
    for name in ("files", "encoding"):
        if not isinstance(metadata[name], dict):
            raise StanceError(f"{path}: '{name}' must be an object; run scripts/export.py again")
    origin = metadata.get("checkpoint", {})
    if not isinstance(origin, dict) or not all(isinstance(origin.get(k, ""), str) for k in TOLD):
        raise StanceError(f"{path}: checkpoint {origin!r}, expected an object, {' and '.join(TOLD)} text; export again")
    learned = origin.get("knows", LABELS)
    if not isinstance(learned, Sequence) or not learned or not all(label in LABELS for label in learned):
        raise StanceError(f"{path}: knows {learned!r}, expected some of {list(LABELS)}; export again")
    _check_abstention(metadata.get("abstention"), path)
    return metadata


def knows(checkpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels that a checkpoint says it has learned; old ones do not say so, and count as having learned all."""
    said = checkpoint.get("knows", LABELS)
    return tuple(label for label in LABELS if label in said)


def _check_abstention(value: Any, path: Path) -> None:
    ways = value if isinstance(value, dict) else {}
    found = [way.get("threshold") for way in ways.values() if isinstance(way, dict)]
    whole = len(found) == len(ways) and all(t is None or (isinstance(t, int | float) and 0 <= t <= 1) for t in found)
    if not whole or not (value is None or set(ways) == set(WAYS)):
        raise StanceError(
            f"{path}: abstention {value!r}, expected null or {' and '.join(WAYS)}, each with a threshold that is null "
            "or from 0 to 1; export again"
        )


def verify(root: Path) -> None:
    """Check every file that `stance.json` lists, also those that serving does not open.

    Raises:
        StanceError: one is missing, truncated or altered.
    """
    for name, expected in read_metadata(root)["files"].items():
        check_file(root / name, expected)


def check_precision(precision: str) -> None:
    """Refuse a precision that an artifact has no model of."""
    if precision not in MODELS:
        raise StanceError(f"unknown precision {precision!r}; expected one of {', '.join(MODELS)}")


def files_of(artifact: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """The files of an artifact with this metadata, none of which an output may take the place of."""
    return [artifact / name for name in ("stance.json", *metadata["files"])]


def check_file(path: Path, expected: str | None) -> None:
    """Refuse a file of an artifact that is missing, or whose sha256 is not the one that `stance.json` has."""
    if not path.is_file():
        raise StanceError(f"{path}: missing from the artifact; export again or copy the whole directory")
    if sha256(path) != expected:
        raise StanceError(
            f"{path}: its sha256 is not the one in stance.json: the file is truncated or was altered; "
            "export again or copy the whole directory"
        )


def check_alone(path: Path) -> None:
    """Refuse a model that reads weights from further files, whose sums nobody knows: ONNX tells each one's `location`.

    An export writes one file.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        found = -1
        while (found := content.find(b"location", found + 1)) >= 0:
            if _KEY.search(content[max(found - 12, 0) : found]):
                raise StanceError(
                    f"{path}: keeps weights in another file, which has no sum in stance.json; export again"
                )
