"""The serving runtime: load an artifact, score pairs. Needs numpy, tokenizers and onnxruntime only."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from stance.artifact import AGAIN, MODELS, WAYS, check_alone, check_file, check_precision, knows, read_metadata
from stance.encoding import Cuts, Encoded, PairEncoder, collate
from stance.errors import StanceError, naming
from stance.files import sha256
from stance.forms import check_pairs
from stance.layouts import read_encoding
from stance.records import LABELS, MASKED, Pair, Prediction, Stance

MAX_PADDED_TOKENS = 8192
MAX_ROWS = {"int8": 1, "fp32": 4}
"""Most passages that are scored together: more gains nothing on a CPU and pads more (docs/LOG.md).

In int8 all that is scored together shares a scale, so that an answer would hang on its neighbours by up to 0.2.
"""
CHUNK, CHARACTERS = 512, 2_000_000
"""About how many pairs, and characters of their texts, are made into tokens at once."""
MAX_THREADS = 1024
CPU = Path("/proc/cpuinfo")
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""What Linux calls the instructions that sum products of int8 exactly."""
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
        self._knows = np.isin(LABELS, knows(metadata.get("checkpoint", {})))

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
            check_file(root / name, metadata["files"].get(name))
        encoding = read_encoding(metadata["encoding"], root / "stance.json", AGAIN)
        with naming(root / "tokenizer.json", "can't be read as a tokenizer", AGAIN):
            tokenizer = Tokenizer.from_file(str(root / "tokenizer.json"))
        encoder = PairEncoder(tokenizer, encoding)
        with naming(root / MODELS[precision], "ONNX Runtime can't open it", AGAIN):
            check_alone(root / MODELS[precision])
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
        """Score `pairs`; the answers come in the same order. In the layout `one_pass` pairs of one text share a pass.

        Args:
            pairs: the questions.
            abstain: say of each answer whether its confidence is below the threshold of its way of asking; where that
                way alone has none, it always is.
            report: is called, when some pairs after the others are scored, with what the lengths that the model reads
                took away from them.

        Raises:
            StanceError: a pair can't be asked (see `check_pairs`), or the artifact has no threshold to abstain by.
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

    def check_abstains(self, placed: Collection[bool] = ()) -> None:
        """Refuse to abstain without a threshold.

        Args:
            placed: whether pairs with, or without, the mentions' places will be asked; empty where that is unknown.

        Raises:
            StanceError: for no such pairs was one chosen at export, or none kept to the target risk.
        """
        asked = set(placed) or {False, True}
        if any(self._thresholds[way] is not None for way in asked):
            return
        chosen = self.metadata.get("abstention") or {}
        why = "none kept to the target risk on validation" if chosen else "none was chosen"
        if chosen and not any(way.get("pairs", 1) for way in chosen.values()):
            raise StanceError(
                "this artifact has no threshold to abstain by: no validation pair's corpus knows all labels"
            )
        those = f" for pairs asked {WAYS[asked.pop()].replace('_', ' ')}" if self.abstains else ""
        raise StanceError(
            f"this artifact has no threshold to abstain by: {why}{those}; export it again with another "
            "export.target_risk"
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
        """Raw scores of shape `(pairs, 3)`, before the temperature; `report` as in `predict`.

        That of a label which the model never learned is `MASKED`.
        """
        check_pairs(pairs)
        scores = np.zeros((len(pairs), len(LABELS)), np.float32)
        for places in _chunks(pairs):
            rows, cuts = self.encoder.encode([pairs[place] for place in places])
            for batch in _batches(rows, self.rows):
                (logits,) = self._session.run(None, dict(collate(batch, self.encoder.settings.pad_id)))
                for row, values in zip(batch, logits, strict=True):
                    scores[[places[number] for number in row.pairs]] = values[: len(row.pairs)]
            if report:
                report(cuts)
        return np.where(self._knows, scores, np.float32(MASKED))


def load_version(artifact: str | Path, precision: str, *, threads: int = 0) -> tuple[StancePredictor, str]:
    """The model, and the sha256 that tells which version it is: another export may take its place at any time.

    Raises:
        StanceError: one did while it was read, or see `StancePredictor.load`.
    """
    read_metadata(Path(artifact))  # says what is missing
    facts = Path(artifact) / "stance.json"
    replaced = f"{artifact}: another export took its place while it was read; run this again"
    try:
        before = sha256(facts)
        try:
            return StancePredictor.load(artifact, precision=precision, threads=threads), before
        finally:  # also where it fails: a file of the one, the facts of the other
            if sha256(facts) != before:
                raise StanceError(replaced)
    except FileNotFoundError as error:  # between the old one and the new one
        raise StanceError(replaced) from error


def _session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # The arena keeps every peak for ever; without it the resident memory stays near the model's size.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # On x86 ONNX Runtime sums products of int8 in 16 bits where there is no VNNI, and what is larger is cut off. This
    # takes its exact kernels; where there is VNNI it would take them too, and they are slow. Elsewhere it does nothing.
    options.add_session_config_entry("session.x64quantprecision", "0" if _vnni() else "1")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _vnni() -> bool:
    """Whether this processor says that it has VNNI; where none can say so, it has not."""
    try:
        with CPU.open(encoding="utf-8", errors="replace") as facts:
            flags = next((line for line in facts if line.startswith("flags")), "")
    except OSError:
        return False
    return not VNNI.isdisjoint(flags.split())


def _chunks(pairs: Sequence[Pair]) -> Iterator[list[int]]:
    """The places of the pairs, those of one text together, in parts that don't fill the memory with tokens."""
    of_text: dict[str, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        of_text[pair.text].append(place)
    chunk: list[int] = []
    characters = 0
    for text, places in of_text.items():
        if chunk and (len(chunk) + len(places) > CHUNK or characters + len(text) > CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk, characters = chunk + places, characters + len(text)
    if chunk:
        yield chunk


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
