"""The serving runtime: load an artifact, score pairs. Needs numpy, tokenizers and onnxruntime only."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from stance import jsonl
from stance.encoding import Cuts, Encoded, PairEncoder, collate
from stance.errors import StanceError, naming
from stance.files import sha256
from stance.forms import check_pairs
from stance.layouts import read_encoding
from stance.records import LABELS, Pair, Prediction, Stance

FORMAT_VERSION = 1
MODELS = {"int8": "model.int8.onnx", "fp32": "model.onnx"}
TOLD = ("dataset_sha256", "train_run")
"""What is asked of the checkpoint that an artifact was made of."""
WAYS = ("without_places", "with_places")
"""How a pair is asked, in the order of `Pair.placed`."""
MAX_PADDED_TOKENS = 8192
MAX_ROWS = {"int8": 1, "fp32": 4}
"""Most passages that are scored together: more gains nothing on a CPU and pads more (docs/LOG.md).

In int8 all that is scored together shares a scale, so that an answer would hang on its neighbours by up to 0.2.
"""
MAX_THREADS = 1024
AGAIN = "export again"
_KEY = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)\Z")
"""What protobuf writes before a key of eight letters: its field and its length, either with zeros behind it."""
_PROBE = Pair("Iran praised the plan.", "Iran", "plan")


class StancePredictor:
    """Scores pairs with an exported model.

    `metadata` is the content of the artifact's `stance.json`, and `rows` are the most passages that are scored
    together. Pairs that come without a mention's place have a temperature and a threshold of their own: a model is less
    often right about them and hardly less confident.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        encoder: PairEncoder,
        temperature: float,
        metadata: dict[str, Any],
        rows: int = 1,
    ) -> None:
        self.encoder = encoder
        self.rows = rows
        self.metadata = metadata
        self._session = session
        self._temperatures = (float(metadata.get("temperature_without_places", temperature)), temperature)
        chosen = metadata.get("abstention") or {}
        self._thresholds = tuple(chosen.get(way, {}).get("threshold") for way in WAYS)

    @classmethod
    def load(cls, directory: str | Path, *, precision: str = "int8", threads: int = 0) -> Self:
        """Open an artifact directory and check that it is whole.

        Args:
            directory: what `scripts/export.py` wrote.
            precision: `int8` (smaller and faster) or `fp32`.
            threads: threads within one call; 0 takes one a core.

        Raises:
            StanceError: a file is missing, truncated or altered, or the format, the labels or the markers are
                not those of this version, weights are in a further file, or it can't answer; or `precision` or
                `threads` has no meaning.
        """
        root = Path(directory)
        metadata = read_metadata(root)
        check_precision(precision)
        if not 0 <= threads <= MAX_THREADS:
            raise StanceError(f"threads={threads}: expected 1 to {MAX_THREADS} threads; 0 takes one a core")
        for name in ("tokenizer.json", MODELS[precision]):
            _check_file(root / name, metadata["files"].get(name))
        encoding = read_encoding(metadata["encoding"], root / "stance.json", AGAIN)
        with naming(root / "tokenizer.json", "can't be read as a tokenizer", AGAIN):
            tokenizer = Tokenizer.from_file(str(root / "tokenizer.json"))
        encoder = PairEncoder(tokenizer, encoding)
        with naming(root / MODELS[precision], "ONNX Runtime can't open it", AGAIN):
            _check_alone(root / MODELS[precision])
            session = _session(root / MODELS[precision], threads)
        predictor = cls(session, encoder, float(metadata["temperature"]), metadata, MAX_ROWS[precision])
        with naming(root, "the model does not answer with this encoding", AGAIN):
            (row,), _ = encoder.encode([_PROBE])
            far = replace(row, positions=[*row.positions[:-1], encoder.settings.longest_position])
            session.run(None, dict(collate([row, far], encoder.settings.pad_id)))
        return predictor

    def predict(
        self, pairs: Sequence[Pair], *, abstain: bool = False, report: Callable[[Cuts], None] | None = None
    ) -> list[Prediction]:
        """Score `pairs`; the answers come in the same order. Pairs of one text share one pass.

        Args:
            pairs: the questions.
            abstain: say of each answer whether its confidence is below the threshold of its way of asking; where that
                way alone has none, it always is.
            report: is called with what the lengths that the model reads take away from the pairs.

        Raises:
            StanceError: a text is too long, or the artifact has no threshold to abstain by.
        """
        if abstain:
            self.check_abstains()
        return [
            Prediction(
                Stance(LABELS[int(row.argmax())]),
                float(row.max()),
                tuple(map(float, row)),
                bool(row.max() < least) if abstain else None,
            )
            for row, least in zip(self.probabilities(pairs, report), self.thresholds(pairs), strict=True)
        ]

    def thresholds(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float32]:
        """The least confidence of an answer to each pair that keeps to the target risk; infinite where none does."""
        return self._by_way([float("inf") if value is None else value for value in self._thresholds], pairs)

    @property
    def abstains(self) -> bool:
        """Whether there is a threshold to abstain by, for one way of asking at least."""
        return any(value is not None for value in self._thresholds)

    def check_abstains(self, *, placed: bool | None = None) -> None:
        """Refuse to abstain without a threshold.

        Args:
            placed: whether only pairs with, or without, the mentions' places will be asked, if that is known.

        Raises:
            StanceError: none was chosen at export, or none kept to the target risk.
        """
        if not (self.abstains if placed is None else self._thresholds[placed] is not None):
            chosen = self.metadata.get("abstention") or {}
            why = "none kept to the target risk on validation" if chosen else "none was chosen"
            if chosen and not any(way.get("pairs", 1) for way in chosen.values()):
                raise StanceError(
                    "this artifact has no threshold to abstain by: no validation pair's corpus knows all labels"
                )
            raise StanceError(
                f"this artifact has no threshold to abstain by: {why}; export it again with another export.target_risk"
            )

    def _by_way(self, values: Sequence[float], pairs: Sequence[Pair]) -> npt.NDArray[np.float32]:
        return np.array([values[pair.placed] for pair in pairs], np.float32)

    def probabilities(
        self, pairs: Sequence[Pair], report: Callable[[Cuts], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Calibrated probabilities of shape `(pairs, 3)`, columns as in `LABELS`; `report` as in `predict`."""
        logits = self.logits(pairs, report) / self._by_way(self._temperatures, pairs)[:, None]
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True), np.float32)

    def logits(self, pairs: Sequence[Pair], report: Callable[[Cuts], None] | None = None) -> npt.NDArray[np.float32]:
        """Raw scores of shape `(pairs, 3)`, before the temperature; `report` as in `predict`."""
        check_pairs(pairs)
        scores = np.zeros((len(pairs), len(LABELS)), np.float32)
        if not pairs:
            return scores
        rows, cuts = self.encoder.encode(pairs)
        if report:
            report(cuts)
        for batch in _batches(rows, self.rows):
            (logits,) = self._session.run(None, dict(collate(batch, self.encoder.settings.pad_id)))
            for row, values in zip(batch, logits, strict=True):
                scores[row.pairs] = values[: len(row.pairs)]
        return scores


def _session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # The arena keeps every peak for ever; without it the resident memory stays near the model's size.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


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
    _check_abstention(metadata.get("abstention"), path)
    return metadata


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
        _check_file(root / name, expected)


def check_precision(precision: str) -> None:
    """Refuse a precision that an artifact has no model of."""
    if precision not in MODELS:
        raise StanceError(f"unknown precision {precision!r}; expected one of {', '.join(MODELS)}")


def parts(artifact: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """The files of an artifact with this metadata, none of which an output may take the place of."""
    return [artifact / name for name in ("stance.json", *metadata["files"])]


def _check_file(path: Path, expected: str | None) -> None:
    if not path.is_file():
        raise StanceError(f"{path}: missing from the artifact; export again or copy the whole directory")
    if sha256(path) != expected:
        raise StanceError(
            f"{path}: its sha256 is not the one in stance.json: the file is truncated or was altered; "
            "export again or copy the whole directory"
        )


def _check_alone(path: Path) -> None:
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


def _batches(rows: Sequence[Encoded], most: int) -> Iterator[list[Encoded]]:
    """At most so many rows, of like length, together, so that little is padded."""
    batch: list[Encoded] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if batch and (len(batch) == most or (len(batch) + 1) * len(row.ids) > MAX_PADDED_TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
