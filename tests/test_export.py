"""Export: the graph answers as PyTorch does, the artifact is whole and says what it is, a bad one never appears."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.onnx._internal.exporter import _onnx_program

import tiny
from conftest import Workplace, script
from stance import export, progress
from stance.building import dataset
from stance.encoding import PairEncoder, collate
from stance.errors import StanceError
from stance.network import encoders, inference
from stance.network import model as models
from stance.network.model import Checkpoint, StanceModel
from stance.predictor import StancePredictor
from stance.records import LABELS, MASKED, Example, Pair, without_places
from stance.scoring.calibration import softmax
from stance.scoring.scores import Answers
from stance.settings.scoring import ExportConfig
from stance.tracking import registry

VALIDATION = tiny.examples(24, seed=2)


def checkpoint(kind: str) -> Checkpoint:
    tokens = tiny.tokenizer(kind)
    pretrained = encoders.prepare(tiny.encoder(kind, tokens), tokens, tiny.config())
    torch.manual_seed(0)
    model = StanceModel(pretrained.encoder, pretrained.encoding.layout).eval()
    return Checkpoint(model, pretrained.tokenizer, pretrained.encoding, {})


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the digest of its content."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint directory."""
    path = tmp_path_factory.mktemp("toy") / "checkpoint"
    models.save(checkpoint("bert"), path)
    return path


@pytest.mark.parametrize("placed", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_where_few_rows_have_places_all_tell_both_temperatures(toy: Path, tmp_path: Path, placed: int) -> None:
    rows = [*VALIDATION[:placed], *map(without_places, VALIDATION[placed:])]
    done = export.write(toy, rows, ExportConfig(max_label_changes=1.0), output=tmp_path / "artifact", about={})
    found = [(way.pairs, np.isfinite(way.temperature)) for way in done.trust.calibration.values()]
    assert found == [(24, True)] * 2


@pytest.mark.slow
def test_a_large_model_is_one_file_too(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch writes the weights of a model over 1.5 GiB to a file of their own, whatever it is told."""
    monkeypatch.setattr(_onnx_program, "_LARGE_MODEL_THRESHOLD", 1000)
    config = ExportConfig(max_label_changes=1.0)
    done = export.write(toy, VALIDATION, config, output=tmp_path / "artifact", about={})
    assert {path.name for path in done.artifact.iterdir()} == export.ENTRIES
    assert done.parity.fp32_label_changes == 0


def test_a_model_that_one_file_cannot_hold_is_refused_before_the_work(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx.checker, "MAXIMUM_PROTOBUF", 1000)
    with pytest.raises(
        StanceError, match=r"checkpoint: 0\.0 GB of weights, and an ONNX file holds 0\.0 GB; let it teach"
    ):
        export.write(toy, VALIDATION, ExportConfig(), output=tmp_path / "artifact", about={})
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 20])
def test_the_operator_set_is_the_one_that_is_asked_for(toy: Path, tmp_path: Path, opset: int) -> None:
    config = ExportConfig(max_label_changes=1.0, opset=opset)
    done = export.write(toy, VALIDATION, config, output=tmp_path / "artifact", about={})
    versions = {one.domain: one.version for one in onnx.load(done.artifact / "model.onnx").opset_import}
    assert versions[""] == opset


@pytest.mark.parametrize(
    "kind", ["bert", *(pytest.param(kind, marks=pytest.mark.slow) for kind in tiny.KINDS if kind != "bert")]
)
def test_onnx_gives_the_logits_of_pytorch_at_other_sizes(kind: str, tmp_path: Path) -> None:
    source = checkpoint(kind)
    export.to_onnx(source, tmp_path / "model.onnx", ExportConfig().opset)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    encoder = PairEncoder(source.tokenizer, source.encoding)
    # One row of one pair; rows of up to four pairs with padding; passages longer than the local attention.
    names = [Pair("talks", "a", "b")]
    several = [e.pair() for e in tiny.examples(9, seed=8)] + [Pair("talks on Monday", n, "Ghani") for n in "abc"]
    long = [Pair(" ".join(["Pakistan welcomed the talks"] * 9), "Pakistan", "the talks")] * 3
    for pairs in (names, several, long):
        rows, _ = encoder.encode(pairs)
        inputs = dict(collate(rows, source.encoding.pad_id))
        with torch.inference_mode():
            expected = source.model(**{k: torch.from_numpy(v) for k, v in inputs.items()}).numpy()
        (found,) = session.run(None, inputs)
        assert found.shape == expected.shape == (*inputs["markers"].shape[:2], len(LABELS))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_artifact_has_the_files_of_the_design(exported: Workplace) -> None:
    assert set(contents(exported.artifact)) == {
        "model.onnx",
        "model.int8.onnx",
        "tokenizer.json",
        "stance.json",
        "hf/config.json",
        "hf/model.safetensors",
        "hf/tokenizer.json",
        "hf/checkpoint.json",
    }


def test_stance_json_has_the_sha256_of_every_other_file(exported: Workplace) -> None:
    found = contents(exported.artifact)
    del found["stance.json"]
    assert metadata(exported)["files"] == found


def metadata(place: Workplace) -> dict[str, object]:
    values: dict[str, object] = json.loads((place.artifact / "stance.json").read_text())
    return values


def test_stance_json_says_where_the_model_comes_from(exported: Workplace) -> None:
    facts = metadata(exported)
    manifest = json.loads((exported.dataset / "manifest.json").read_text())
    assert facts["dataset_sha256"] == manifest["sha256"]
    assert facts["labels"] == ["oppose", "neutral", "support"]
    trained = json.loads((exported.checkpoint / "checkpoint.json").read_text())
    assert facts["checkpoint"]["train_run"] == trained["train_run"]  # type: ignore[index]
    assert facts["encoding"] == trained["encoding"]


@pytest.fixture(scope="module")
def validation(exported: Workplace) -> Sequence[Example]:
    """The rows that checked the export."""
    return dataset.load(exported.dataset)[0]["validation"]


def test_the_reported_parity_is_what_the_shipped_models_show(
    exported: Workplace, validation: Sequence[Example]
) -> None:
    pairs = [example.pair() for example in validation]
    temperatures = [metadata(exported)[key] for key in ("temperature_without_places", "temperature")]
    divisor = np.array([temperatures[pair.placed] for pair in pairs], float)[:, None]
    expected = softmax(inference.logits(models.load(exported.checkpoint), [e.pair() for e in validation]) / divisor)
    parity = metadata(exported)["parity"]
    assert isinstance(parity, dict)
    for precision in ("fp32", "int8"):
        found = StancePredictor.load(exported.artifact, precision=precision).probabilities(pairs)
        assert parity[f"{precision}_label_changes"] == (found.argmax(1) != expected.argmax(1)).sum()
        largest = parity[f"{precision}_largest_difference"]
        assert largest == pytest.approx(np.abs(found - expected).max(), abs=1e-5)
    assert parity["pairs"] == len(pairs)
    assert parity["fp32_label_changes"] == 0
    assert parity["fp32_largest_difference"] < 1e-4


def test_the_artifacts_hf_folder_is_the_checkpoint(exported: Workplace, validation: Sequence[Example]) -> None:
    shipped = inference.logits(models.load(exported.artifact / "hf"), [e.pair() for e in validation])
    trained = inference.logits(models.load(exported.checkpoint), [e.pair() for e in validation])
    assert np.array_equal(shipped, trained)


def test_int8_is_smaller_than_fp32(exported: Workplace) -> None:
    fp32, int8 = ((exported.artifact / name).stat().st_size for name in ("model.onnx", "model.int8.onnx"))
    assert int8 < fp32 / 2


def test_the_predictor_groups_pairs_as_training_did(exported: Workplace, validation: Sequence[Example]) -> None:
    predictor = StancePredictor.load(exported.artifact, precision="fp32")
    pairs = [example.pair() for example in validation[:24]]
    together = predictor.probabilities(pairs)
    alone = np.concatenate([predictor.probabilities([pair]) for pair in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def write(source: Path, output: Path, **changes: float) -> export.Exported:
    config = ExportConfig(**{"max_label_changes": 1.0, **changes})  # type: ignore[arg-type]
    return export.write(source, VALIDATION, config, output=output, about={"export_run": "toy"})


@pytest.fixture(scope="module")
def earlier(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> export.Exported:
    """An artifact that later exports may not harm."""
    return write(toy, tmp_path_factory.mktemp("earlier") / "artifact")


def test_the_graph_is_one_file_with_the_four_inputs(earlier: export.Exported) -> None:
    for name in ("model.onnx", "model.int8.onnx"):
        graph = onnx.load(earlier.artifact / name, load_external_data=False).graph
        assert [i.name for i in graph.input] == ["input_ids", "position_ids", "block_ids", "markers"]
        assert not any(tensor.external_data for tensor in graph.initializer)


def test_the_report_of_parity_names_both_precisions(earlier: export.Exported) -> None:
    assert f"on {len(VALIDATION)} validation pairs: fp32 0 labels differ" in str(earlier.parity)
    assert f"int8 {earlier.parity.int8_label_changes} " in str(earlier.parity)


def refuses(source: Path, output: Path, match: str, **changes: float) -> None:
    """Expect a refusal that leaves the folder around `output` as it was."""
    before = contents(output.parent)
    with pytest.raises(StanceError, match=match):
        write(source, output, **changes)
    assert contents(output.parent) == before
    assert not list(output.parent.glob(".artifact*"))


def test_too_many_label_changes_are_refused() -> None:
    parity = replace(export.Parity(24, 0, 0, 0.0, 0.0), int8_label_changes=3)
    match = r"int8 changes 3 of 24 validation labels .*allowed are 10.0% \(export\.max_label_changes\); nothing"
    with pytest.raises(StanceError, match=match):
        export._refuse(parity, ExportConfig(max_label_changes=0.1))
    export._refuse(parity, ExportConfig(max_label_changes=0.125))


def test_an_onnx_model_that_answers_otherwise_is_refused(toy: Path, earlier: export.Exported) -> None:
    match = r"ONNX in fp32 differs from PyTorch by .*\(export\.tolerance\); nothing was exported"
    refuses(toy, earlier.artifact, match, tolerance=0.0)


@pytest.mark.parametrize(
    "setting",
    [
        {"tolerance": np.nan}, {"tolerance": -1.0}, {"tolerance": np.inf}, {"max_label_changes": np.nan},
        {"max_label_changes": 2.0},
    ],
)  # fmt: skip
def test_a_gate_that_lets_everything_pass_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(StanceError, match=rf"export\.{next(iter(setting))}=.*from 0"):
        export.check(ExportConfig(**setting))


@pytest.mark.parametrize("numbers", [{"fp32_largest_difference": np.nan}, {"int8_largest_difference": np.inf}])
def test_answers_that_are_no_numbers_are_refused(numbers: dict[str, float]) -> None:
    parity = replace(export.Parity(24, 0, 0, 0.0, 0.0), **numbers)
    with pytest.raises(StanceError, match="answers some validation pairs with no number; nothing was exported"):
        export._refuse(parity, ExportConfig())


@pytest.mark.slow
def test_a_label_that_no_corpus_knows_is_compared_too(tmp_path: Path) -> None:
    rows = [replace(example, labels=("oppose", "support")) for example in VALIDATION if example.stance != "neutral"]
    source = checkpoint("bert")
    last = [module for module in source.model.head.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias[LABELS.index("neutral")] = torch.nan
    models.save(source, tmp_path / "checkpoint")
    with pytest.raises(StanceError, match="answers some validation pairs with no number; nothing was exported"):
        export.write(tmp_path / "checkpoint", rows, ExportConfig(), output=tmp_path / "artifact", about={})


@pytest.mark.slow
def test_what_a_model_never_learned_counts_for_nothing_in_its_export(tmp_path: Path) -> None:
    two = ["oppose", "support"]
    rows = [replace(example, labels=tuple(two)) for example in VALIDATION if example.stance != "neutral"]
    source = replace(checkpoint("bert"), about={"knows": two})
    last = [module for module in source.model.head.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias[LABELS.index("neutral")] = 50.0
    models.save(source, tmp_path / "checkpoint")
    config = ExportConfig(target_risk=0.9, risk_confidence=0.5)
    export.write(tmp_path / "checkpoint", rows, config, output=tmp_path / "artifact", about={})
    predictor = StancePredictor.load(tmp_path / "artifact")
    assert predictor.metadata["abstention"]["without_places"]["pairs"] == len(rows)
    given = predictor.probabilities([row.pair() for row in rows])
    assert given[:, 1].max() == 0
    assert given == pytest.approx(Answers.to(rows, given).probabilities, abs=1e-6), "as they were scored"
    assert inference.logits(models.load(tmp_path / "checkpoint"), [rows[0].pair()])[0, 1] == MASKED


def test_an_export_of_no_checkpoint_is_refused(tmp_path: Path, earlier: export.Exported) -> None:
    refuses(tmp_path, earlier.artifact, r"checkpoint\.json: missing; expected a checkpoint directory")


def test_an_output_that_is_no_artifact_is_refused(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    refuses(toy, folder, r"holds files but no stance\.json.*nothing was overwritten")


def test_what_takes_long_shows_how_far_it_is(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, config = tiny.examples(70), ExportConfig(max_label_changes=1.0)
    export.write(toy, rows, config, output=tmp_path / "artifact", about={})
    assert "pair" not in capsys.readouterr().err, "it takes no five seconds"
    monkeypatch.setattr(progress, "PATIENCE", 0)
    export.write(toy, rows, config, output=tmp_path / "artifact", about={})
    bars = [line for line in re.split("[\r\n]+", capsys.readouterr().err) if "100%" in line]
    names = ["fp32", "int8", "PyTorch", "int8 without places"]
    assert [*dict.fromkeys(bar.partition(":")[0] for bar in bars)] == [f"validation, {name}" for name in names]
    assert all(" 70/70 " in bar for bar in bars)


def test_the_registry_need_not_score_an_export_again(exported: Workplace, validation: Sequence[Example]) -> None:
    known = json.loads((exported.artifact / "stance.json").read_text())["validation"]["macro_f1"]
    assert registry.macro_f1(exported.artifact, validation) == known


def test_a_second_export_replaces_the_first(toy: Path, earlier: export.Exported, tmp_path: Path) -> None:
    output = tmp_path / "artifact"
    shutil.copytree(earlier.artifact, output)
    (output / "hf" / "stale.txt").write_text("left from the first")
    write(toy, output)
    assert not (output / "hf" / "stale.txt").exists()
    assert StancePredictor.load(output).metadata["export_run"] == "toy"


def test_what_lies_beside_an_artifact_is_not_lost_by_another_export(exported: Workplace, tmp_path: Path) -> None:
    shutil.copytree(exported.artifact, tmp_path / "artifact")
    (tmp_path / "artifact" / "answers.jsonl").write_text("mine")
    read = [f"checkpoint={exported.checkpoint}", f"dataset={exported.dataset}", "register=false", *exported.tracking]
    with pytest.raises(StanceError, match=r"artifact: holds answers\.jsonl, which is no part of an earlier output"):
        script("export").main([*read, f"output={tmp_path}/artifact"])
    assert (tmp_path / "artifact" / "answers.jsonl").read_text() == "mine"
