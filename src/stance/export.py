"""From a checkpoint to the artifact that a service loads: ONNX in fp32 and int8, tokenizer, `stance.json` last.

Every export is checked on the validation split: PyTorch, fp32 and int8 must give the same labels, up to a
configured share, before anything appears under the artifact's name.
"""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

import stance
from stance import jsonl, progress
from stance.artifact import FORMAT_VERSION, MODELS
from stance.errors import StanceError
from stance.files import replace_directory, sha256
from stance.network import model as models
from stance.network.inference import Logits
from stance.network.inference import logits as torch_logits
from stance.network.model import Checkpoint
from stance.predictor import StancePredictor
from stance.records import LABELS, MASKED, Example, without_places
from stance.scoring.calibration import FEW, measures, softmax
from stance.scoring.scores import Answers, known, score
from stance.scoring.trust import Asked, Trust, fit
from stance.settings.scoring import ExportConfig

OPSETS = range(17, 23)
"""Versions of the operator set that PyTorch writes as asked and ONNX Runtime runs, tried one by one."""
ENTRIES = frozenset({"hf", "tokenizer.json", *MODELS.values(), "stance.json"})
"""What an artifact's directory holds."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported models are from PyTorch on the validation split."""

    pairs: int
    fp32_label_changes: int
    int8_label_changes: int
    fp32_largest_difference: float
    int8_largest_difference: float

    def __str__(self) -> str:
        return (
            f"parity with PyTorch on {self.pairs} validation pairs: fp32 {self.fp32_label_changes} labels differ "
            f"(largest difference of a probability {self.fp32_largest_difference:.1e}), int8 "
            f"{self.int8_label_changes} ({self.int8_label_changes / max(self.pairs, 1):.1%}, "
            f"{self.int8_largest_difference:.3f})"
        )


@dataclass(frozen=True, slots=True)
class Exported:
    """An artifact with its parity, and what the shipped int8 model does on validation."""

    artifact: Path
    parity: Parity
    trust: Trust
    validation: dict[str, float]


def write(
    checkpoint: Path,
    validation: Sequence[Example],
    config: ExportConfig,
    *,
    output: Path,
    about: Mapping[str, Any],
    read: Mapping[str, Any] | None = None,
) -> Exported:
    """Export a checkpoint, check it on `validation` and write the artifact, with the facts `about` it, to `output`.

    `read` is what the checkpoint said of itself before, where something was concluded from it.

    Raises:
        StanceError: a setting has no meaning, the checkpoint can't be used, or an exported model answers too
            differently; `output` is left as it was.
    """
    check(config)
    source = models.load(checkpoint, read)
    _check_size(source, checkpoint)
    with replace_directory(output, marker="stance.json", own=ENTRIES) as folder:
        models.save(source, folder / "hf")
        source.tokenizer.save(str(folder / "tokenizer.json"))
        to_onnx(source, folder / "model.onnx", config.opset)
        quantize(folder / "model.onnx", folder / "model.int8.onnx")
        metadata = _metadata(folder, source, about)
        jsonl.write_json(folder / "stance.json", metadata)  # provisional: the predictor needs one to load
        logits = {precision: _logits(folder, precision, validation) for precision in ("fp32", "int8")}
        logits["torch"] = _reference(source, validation)
        asked = _among_known(validation, logits["int8"])
        risk = {"target_risk": config.target_risk, "risk_confidence": config.risk_confidence}
        trust = fit(_asked(folder, validation, asked), knows=source.knows, **risk)
        temperatures = trust.temperatures(validation)
        parity = _parity(logits, temperatures)
        _refuse(parity, config)
        scores = _scores(validation, softmax(asked / temperatures))
        metadata |= {"validation": scores, "parity": asdict(parity), **trust.to_json()}
        jsonl.write_json(folder / "stance.json", metadata)
        StancePredictor.load(folder)  # what appears under the artifact's name can be loaded
    return Exported(output, parity, trust, scores)


def check(config: ExportConfig) -> None:
    """Refuse settings without a meaning."""
    if not 0 <= config.target_risk < 1:
        raise StanceError(
            f"export.target_risk={config.target_risk}: expected a share of wrong answers, from 0 to below 1"
        )
    if not 0 < config.risk_confidence < 1:
        raise StanceError(f"export.risk_confidence={config.risk_confidence}: expected a probability between 0 and 1")
    if not 0 <= config.tolerance < math.inf or not 0 <= config.max_label_changes <= 1:
        raise StanceError(
            f"export.tolerance={config.tolerance}, export.max_label_changes={config.max_label_changes}: expected a "
            "difference of probabilities from 0, and a share from 0 to 1"
        )
    if config.opset not in OPSETS:
        raise StanceError(f"export.opset={config.opset}: expected {OPSETS[0]} to {OPSETS[-1]}")


def metrics(exported: Exported) -> dict[str, float]:
    """All numbers of an export, as flat metric names."""
    flat = {f"validation_{name}": value for name, value in exported.validation.items()}
    flat |= {f"parity_{name}": float(value) for name, value in asdict(exported.parity).items()}
    return flat | exported.trust.metrics()


def to_onnx(checkpoint: Checkpoint, path: Path, opset: int) -> None:
    """Write the model as one ONNX file with dynamic batch, tokens and pairs."""
    model = checkpoint.model.eval()
    ids = torch.full((2, 24), checkpoint.encoding.cls_id, dtype=torch.int64)
    blocks = torch.zeros((2, 24), dtype=torch.int64)
    if checkpoint.encoding.layout == "one_pass":
        blocks[:, 12:16], blocks[:, 16:20], blocks[:, 20:] = 1, 2, -1
    markers = torch.tensor([[[12, 14], [16, 18], [12, 14]]] * 2)
    inputs = {
        "input_ids": ids,
        "position_ids": torch.arange(24).repeat(2, 1) + checkpoint.encoding.position_offset,
        "block_ids": blocks,
        "markers": markers,
    }
    batch, tokens, pairs = (torch.export.Dim(name, min=1) for name in ("batch", "tokens", "pairs"))
    shapes = {name: {0: batch, 1: tokens} for name in ("input_ids", "position_ids", "block_ids")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (),
            str(path),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes={**shapes, "markers": {0: batch, 1: pairs}},
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    _join(path)


def _join(path: Path) -> None:
    """Make one file of a model whose weights PyTorch puts beside it, as it does with large ones whatever it is told."""
    beside = path.with_name(f"{path.name}.data")
    if beside.exists():
        model = onnx.load(path)
        beside.unlink()
        onnx.save(model, path)


def _check_size(source: Checkpoint, path: Path) -> None:
    """Refuse, before the work, a model that one ONNX file can't hold."""
    size = sum(tensor.nbytes for tensor in source.model.state_dict().values())
    if size > onnx.checker.MAXIMUM_PROTOBUF:
        raise StanceError(
            f"{path}: {size / 1e9:.1f} GB of weights, and an ONNX file holds {onnx.checker.MAXIMUM_PROTOBUF / 1e9:.1f} "
            "GB; let it teach a smaller model (training.teacher), and export that one"
        )


def quantize(source: Path, target: Path) -> None:
    """Quantise to int8: weights per output channel, activations of a whole tensor at run time.

    Projections that contract (the second of each feed-forward layer, the head) get scales by blocks of 128 instead,
    of weights and of each row of activations: the outliers that one scale for a tensor can't hold are in their
    inputs. Measured in docs/LOG.md.
    """
    # Its import sets the root logger to INFO, and every library with it.
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    prepared = target.with_suffix(".prepared")
    logging.getLogger().setLevel(logging.WARNING)
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(prepared)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    contracting = {
        node.name for node in products if any(len(s) == 2 and s[0] > s[1] for s in map(shapes.get, node.input) if s)
    }
    blocks = MatMulNBitsQuantizer(
        model,
        bits=8,
        block_size=128,
        is_symmetric=True,
        accuracy_level=4,
        nodes_to_exclude=[node.name for node in products if node.name not in contracting],
    )
    blocks.process()
    blocks.model.save_model_to_file(str(prepared), False)
    quantize_dynamic(prepared, target, weight_type=QuantType.QInt8, per_channel=True)
    prepared.unlink()


def _logits(folder: Path, precision: str, examples: Sequence[Example], how: str = "") -> Logits:
    predictor = StancePredictor.load(folder, precision=precision)
    return progress.logits(predictor, examples, f"validation, {precision}{how}")


def _reference(source: Checkpoint, examples: Sequence[Example]) -> Logits:
    with progress.bar("validation, PyTorch", len(examples)) as done:
        return torch_logits(source, [example.pair() for example in examples], report=done)


def _among_known(examples: Sequence[Example], logits: Logits) -> Logits:
    """The logits without those of labels that a row's corpus does not know: they can't be its answer."""
    return np.where(known(examples), logits, MASKED)


def _asked(folder: Path, validation: Sequence[Example], logits: Logits) -> Asked:
    """The rows and their int8 logits for each way of asking; where few have a place, all of them for both."""
    unplaced = [without_places(example) for example in validation]
    bare = _among_known(validation, _logits(folder, "int8", unplaced, " without places"))
    placed = [i for i, example in enumerate(validation) if example.pair().placed]
    if len(placed) < min(FEW, len(validation)):
        placed = list(range(len(validation)))
    return {"with_places": ([validation[i] for i in placed], logits[placed]), "without_places": (validation, bare)}


def _metadata(folder: Path, source: Checkpoint, about: Mapping[str, Any]) -> dict[str, Any]:
    files = {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        "format_version": FORMAT_VERSION,
        "stance_version": stance.__version__,
        "labels": list(LABELS),
        "encoding": source.encoding.to_json(),
        "temperature": 1.0,
        "files": files,
        "checkpoint": source.about,
        **about,
    }


def _parity(logits: Mapping[str, Logits], temperatures: npt.NDArray[np.float64]) -> Parity:
    reference = softmax(logits["torch"] / temperatures)

    def against(name: str) -> tuple[int, float]:
        other = softmax(logits[name] / temperatures)
        changed = int((other.argmax(1) != reference.argmax(1)).sum())
        return changed, float(np.abs(other - reference).max())

    fp32, int8 = against("fp32"), against("int8")
    return Parity(len(reference), fp32[0], int8[0], fp32[1], int8[1])


def _refuse(parity: Parity, config: ExportConfig) -> None:
    if not np.isfinite([parity.fp32_largest_difference, parity.int8_largest_difference]).all():
        raise StanceError("ONNX answers some validation pairs with no number; nothing was exported")
    share = parity.int8_label_changes / max(parity.pairs, 1)
    if share > config.max_label_changes:
        raise StanceError(
            f"int8 changes {parity.int8_label_changes} of {parity.pairs} validation labels ({share:.1%}), allowed "
            f"are {config.max_label_changes:.1%} (export.max_label_changes); nothing was exported"
        )
    if parity.fp32_largest_difference > config.tolerance:
        raise StanceError(
            f"ONNX in fp32 differs from PyTorch by {parity.fp32_largest_difference:.1e}, allowed is "
            f"{config.tolerance:.1e} (export.tolerance); nothing was exported"
        )


def _scores(examples: Sequence[Example], probabilities: npt.NDArray[np.float64]) -> dict[str, float]:
    answers = Answers.to(examples, probabilities)
    return score(examples, answers.probabilities.argmax(1)) | measures(answers)
