"""The serving runtime and its door: answers of a real artifact, and one refusal for each thing it won't take."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import CORPUS, Workplace
from stance import encoding, jsonl, predictor
from stance.artifact import verify
from stance.errors import StanceError
from stance.files import sha256
from stance.forms import MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS
from stance.lookup import find_mention
from stance.predictor import StancePredictor
from stance.records import LABELS, Pair, Span

# What the training and tracking rings bring along; a service has none of it.
FOREIGN = (
    "torch", "transformers", "datasets", "hydra", "omegaconf", "mlflow", "sklearn", "scipy", "pandas", "pyarrow",
    "spacy", "evaluate", "onnx",
)  # fmt: skip
SERVICE = """
import json, sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
from stance.predictor import StancePredictor
from stance.records import Pair

pairs = [Pair(**pair) for pair in json.load(sys.stdin)]
answers = StancePredictor.load(sys.argv[2], precision=sys.argv[3]).predict(pairs)
print(json.dumps([answer.probabilities for answer in answers]))
"""
TEXT = (
    "Pakistan welcomed the Russian peace initiative on Tuesday. The Ghani administration rejected the interim "
    "government that Moscow proposes, while Abdul Rashid Dostum called it a betrayal. ECOWAS stayed silent."
)
PLACES = ("Pakistan", "Moscow", "ECOWAS", "Abdul Rashid Dostum", "the Ghani administration", "the interim government",
          "the Russian peace initiative", "Kyrgyzstan", "a betrayal")  # fmt: skip


@pytest.fixture(scope="session")
def fp32(exported: Workplace) -> StancePredictor:
    return StancePredictor.load(exported.artifact, precision="fp32")


@pytest.fixture
def artifact(exported: Workplace, tmp_path: Path) -> Path:
    """A copy, to be spoilt, of what the int8 model needs."""
    for name in ("stance.json", "tokenizer.json", "model.int8.onnx"):
        shutil.copy(exported.artifact / name, tmp_path / name)
    return tmp_path


def company() -> list[Pair]:
    """More than 65 pairs: all of one short text, and some of corpus articles that are longer than a window."""
    texts = [row["text"] for _, row in jsonl.read(CORPUS / "part-01.jsonl")][:3]
    return [Pair(TEXT, a, t) for a in PLACES for t in PLACES if a != t] + [
        Pair(text, "the government", "the plan") for text in texts
    ]


def alter(artifact: Path, **changes: Any) -> Path:
    metadata = json.loads((artifact / "stance.json").read_text("utf-8"))
    (artifact / "stance.json").write_text(json.dumps(metadata | changes), "utf-8")
    return artifact


def listed(artifact: Path, name: str) -> Path:
    """The artifact with the sum of a file as it is now."""
    files = json.loads((artifact / "stance.json").read_text("utf-8"))["files"]
    return alter(artifact, files=files | {name: sha256(artifact / name)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_passage_tokens", "x"), ("max_passage_tokens", -4), ("max_pairs", 0), ("pad_id", None), ("cls_id", 1.5),
        ("layout", "x"), ("question", "nope"),
    ],
)  # fmt: skip
def test_an_encoding_without_a_meaning_is_refused(artifact: Path, key: str, value: Any) -> None:
    encoding = json.loads((artifact / "stance.json").read_text("utf-8"))["encoding"]
    with pytest.raises(StanceError, match=rf"stance\.json: encoding\.\w+ .*{key}|encoding\.{key} "):
        StancePredictor.load(alter(artifact, encoding=encoding | {key: value}))


@pytest.mark.parametrize(("key", "value"), [("cls_id", 10**9), ("position_offset", 600)])
def test_an_encoding_that_the_model_does_not_take_is_refused_when_it_is_loaded(
    artifact: Path, key: str, value: int
) -> None:
    encoding = json.loads((artifact / "stance.json").read_text("utf-8"))["encoding"]
    with pytest.raises(StanceError, match=r"the model does not answer with this encoding .*; export again"):
        StancePredictor.load(alter(artifact, encoding=encoding | {key: value}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"temperature": 10**400}, r"stance\.json: temperature 10+, expected a number above 0 and below 1e9"),
        ({"abstention": {"with_places": None, "without_places": {"threshold": 0.5}}}, r"stance\.json: abstention "),
        ({"abstention": {"with_places": 0.5, "without_places": {"threshold": 0.5}}}, r"stance\.json: abstention "),
    ],
)
def test_numbers_that_nothing_can_be_divided_by_are_refused(
    artifact: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(StanceError, match=expected):
        StancePredictor.load(alter(artifact, **changes))


def test_a_manifest_nested_without_end_is_refused(artifact: Path) -> None:
    (artifact / "stance.json").write_text("[" * 100_000, "utf-8")
    with pytest.raises(StanceError, match=r"stance\.json: not valid JSON"):
        StancePredictor.load(artifact)


def test_a_label_that_the_model_never_learned_is_no_answer(artifact: Path) -> None:
    whole = StancePredictor.load(artifact)
    pairs = [Pair(f"Iran {verb} the plan.", "Iran", "the plan") for verb in ("praised", "met", "rejected", "read")]
    two = StancePredictor.load(alter(artifact, checkpoint={"knows": ["oppose", "support"]}))
    found, all_three = two.probabilities(pairs), whole.probabilities(pairs)
    assert found[:, 1].tolist() == [0] * len(pairs)
    assert found[:, [0, 2]] == pytest.approx(
        all_three[:, [0, 2]] / all_three[:, [0, 2]].sum(1, keepdims=True), abs=1e-6
    )
    assert {answer.stance for answer in two.predict(pairs)} <= {"oppose", "support"}


@pytest.mark.parametrize("knows", [[], ["likes"], "oppose", None, [["oppose"]]])
def test_labels_that_a_model_can_not_have_learned_are_refused(artifact: Path, knows: Any) -> None:
    with pytest.raises(
        StanceError, match=r"stance\.json: knows .*, expected some of \['oppose', 'neutral', 'support'\]"
    ):
        StancePredictor.load(alter(artifact, checkpoint={"knows": knows}))


def test_many_pairs_are_read_in_parts_that_keep_the_pairs_of_a_text_together(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, parts = StancePredictor.load(artifact), list[int]()
    texts = [f"{name} praised the plan that Oman rejected." for name in ("Iran", "Chad", "Peru", "Fiji", "Mali")]
    pairs = [Pair(text, actor, "the plan") for actor in ("Iran", "Oman") for text in texts]
    whole = predictor.probabilities(pairs, lambda cuts: parts.append(cuts.pairs))
    monkeypatch.setattr("stance.predictor.CHUNK", 5)
    assert predictor.probabilities(pairs, lambda cuts: parts.append(cuts.pairs)) == pytest.approx(whole, abs=1e-5)
    monkeypatch.setattr("stance.predictor.CHARACTERS", 1)
    assert predictor.probabilities(pairs, lambda cuts: parts.append(cuts.pairs)) == pytest.approx(whole, abs=1e-5)
    assert parts == [10, 4, 4, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("origin", [None, [], {"dataset_sha256": 5}, {"train_run": None}])
def test_an_origin_of_another_kind_is_refused(artifact: Path, origin: Any) -> None:
    with pytest.raises(StanceError, match=r"stance\.json: checkpoint .*expected an object, dataset_sha256 and train"):
        StancePredictor.load(alter(artifact, checkpoint=origin))


def flip(path: Path) -> None:
    """Alter one byte in the middle of a file, its length stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_pair_gets_the_same_probabilities_alone_and_among_64_others(fp32: StancePredictor) -> None:
    pairs = company()[-67:]
    together = fp32.probabilities(pairs)
    for place in (0, 17, 40, 63, 64, 66):
        others = pairs[:place] + pairs[place + 1 :]
        assert len(others) >= 64
        assert np.abs(fp32.probabilities([pairs[place]])[0] - together[place]).max() < 1e-5


def test_an_int8_answer_hangs_on_no_other_text(exported: Workplace) -> None:
    """What is scored together shares the scale that its numbers are rounded by."""
    predictor = StancePredictor.load(exported.artifact, precision="int8")
    pairs = [*company()[-3:], *(Pair(f"{TEXT} {more}", "Pakistan", "Moscow") for more in ("No.", "So it was.", "Why?"))]
    assert len({pair.text for pair in pairs}) == len(pairs)
    together = predictor.probabilities(pairs)
    assert np.concatenate([predictor.probabilities([pair]) for pair in pairs]).tolist() == together.tolist()


def test_a_name_is_looked_up_once_in_a_text(fp32: StancePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def find(text: str, name: str) -> Span | None:
        asked.append((text, name))
        return find_mention(text, name)

    monkeypatch.setattr(encoding, "find_mention", find)
    fp32.logits(company())
    assert len(asked) == len(set(asked)) > len(PLACES)


def test_answers_come_in_the_order_of_the_pairs(fp32: StancePredictor) -> None:
    pairs = company()
    order = np.random.default_rng(0).permutation(len(pairs))
    expected = fp32.probabilities(pairs)
    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(fp32.probabilities([pairs[i] for i in order]), expected[order], atol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_probabilities_sum_to_one_and_the_largest_is_the_answer(exported: Workplace, precision: str) -> None:
    for answer in StancePredictor.load(exported.artifact, precision=precision).predict(company()):
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-6)
        assert min(answer.probabilities) >= 0
        assert answer.confidence == max(answer.probabilities)
        assert answer.stance == LABELS[answer.probabilities.index(answer.confidence)]


def test_temperatures_of_the_artifact_divide_the_logits_by_the_way_of_asking(artifact: Path) -> None:
    bare = company()[:12]
    both, one = {"actor_span": (0, 8), "target_span": (9, 12)}, {"target_span": (9, 12)}
    pairs = [*bare, *(replace(pair, **both) for pair in bare), *(replace(pair, **one) for pair in bare)]
    expected = StancePredictor.load(artifact).logits(pairs) / np.repeat([4, 2, 4], 12)[:, None]
    altered = alter(artifact, temperature=2.0, temperature_without_places=4.0)
    found = np.log(StancePredictor.load(altered).probabilities(pairs))
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-3)


def test_an_artifact_with_one_temperature_takes_it_for_every_pair(artifact: Path) -> None:
    metadata = json.loads((artifact / "stance.json").read_text("utf-8"))
    del metadata["temperature_without_places"]
    (artifact / "stance.json").write_text(json.dumps(metadata | {"temperature": 2.0}), "utf-8")
    pairs = company()[:12]
    predictor = StancePredictor.load(artifact)
    expected, found = predictor.logits(pairs) / 2, np.log(predictor.probabilities(pairs))
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-3)


def test_direction_of_a_pair_changes_its_answer(fp32: StancePredictor) -> None:
    there, back = fp32.probabilities([Pair(TEXT, "Pakistan", "Moscow"), Pair(TEXT, "Moscow", "Pakistan")])
    assert np.abs(there - back).max() > 1e-4


def test_given_span_and_looked_up_name_are_read_in_the_same_way(fp32: StancePredictor) -> None:
    at = TEXT.index("Moscow")
    spans = Pair(TEXT, "Pakistan", "Moscow", (0, 8), (at, at + 6))
    assert fp32.logits([spans]).tolist() == fp32.logits([Pair(TEXT, "Pakistan", "Moscow")]).tolist()
    arrays: Any = np.array([0, 8]), np.array([at, at + 6])  # as pandas gives the cells of a Parquet file
    assert fp32.logits([Pair(TEXT, "Pakistan", "Moscow", *arrays)]).tolist() == fp32.logits([spans]).tolist()


@pytest.mark.parametrize(
    "pair",
    [
        Pair(TEXT, "Kyrgyzstan", "the Lisbon declaration"),
        Pair("和平 \u200b \x00", "Łódź " * 50, "\u200b"),
    ],
    ids=["not printed", "odd characters"],
)
def test_names_that_the_text_does_not_print_are_scored(fp32: StancePredictor, pair: Pair) -> None:
    (answer,) = fp32.predict([pair])
    assert np.isfinite(answer.probabilities).all()
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-6)


def test_no_pairs_get_no_answers(fp32: StancePredictor) -> None:
    assert fp32.predict([]) == []
    assert fp32.probabilities([]).shape == (0, 3)


def test_answer_as_json_names_the_probability_of_every_label(fp32: StancePredictor) -> None:
    (answer,) = fp32.predict([Pair(TEXT, "Pakistan", "Moscow")])
    row = answer.to_json()
    assert list(row) == ["stance", "confidence", "oppose", "neutral", "support"]
    assert [row[label] for label in LABELS] == list(answer.probabilities)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_service_without_the_training_stack_gives_the_same_probabilities(exported: Workplace, precision: str) -> None:
    pairs = company()
    command = [sys.executable, "-W", "error", "-c", SERVICE, ",".join(FOREIGN), str(exported.artifact), precision]
    question = json.dumps([asdict(pair) for pair in pairs])
    answer = subprocess.run(command, input=question, capture_output=True, text=True, check=False)
    assert answer.stderr == ""
    here = StancePredictor.load(exported.artifact, precision=precision).probabilities(pairs)
    np.testing.assert_allclose(json.loads(answer.stdout), here, atol=1e-6)


# What loading refuses.


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"none: no such directory; expected an artifact written by scripts/export"):
        StancePredictor.load(tmp_path / "none")


def test_artifact_without_its_manifest_is_refused(artifact: Path) -> None:
    (artifact / "stance.json").unlink()
    with pytest.raises(StanceError, match=r"stance\.json: missing; the export is not whole or this is no artifact"):
        StancePredictor.load(artifact)


def test_truncated_manifest_is_refused(artifact: Path) -> None:
    content = (artifact / "stance.json").read_bytes()
    (artifact / "stance.json").write_bytes(content[: len(content) // 2])
    with pytest.raises(StanceError, match=r"stance\.json: not valid JSON \(.*\); run scripts/export\.py again"):
        StancePredictor.load(artifact)


def test_manifest_without_a_key_is_refused(artifact: Path) -> None:
    metadata = json.loads((artifact / "stance.json").read_text("utf-8"))
    del metadata["temperature"], metadata["files"]
    (artifact / "stance.json").write_text(json.dumps(metadata), "utf-8")
    with pytest.raises(StanceError, match=r"stance\.json: misses files, temperature; run scripts/export\.py again"):
        StancePredictor.load(artifact)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.int8.onnx"])
def test_missing_file_is_refused(artifact: Path, name: str) -> None:
    (artifact / name).unlink()
    with pytest.raises(StanceError, match=rf"{name}: missing from the artifact; export again or copy the whole"):
        StancePredictor.load(artifact)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.int8.onnx"])
def test_truncated_file_is_refused(artifact: Path, name: str) -> None:
    content = (artifact / name).read_bytes()
    (artifact / name).write_bytes(content[:-100])
    with pytest.raises(StanceError, match=rf"{name}: its sha256 is not the one in stance\.json: .* truncated"):
        StancePredictor.load(artifact)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.int8.onnx"])
def test_altered_file_is_refused(artifact: Path, name: str) -> None:
    flip(artifact / name)
    with pytest.raises(StanceError, match=rf"{name}: its sha256 is not the one in stance\.json: .* altered"):
        StancePredictor.load(artifact)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("model.int8.onnx", b"no model", r"model\.int8\.onnx: ONNX Runtime can't open it \(.+\); export again$"),
        ("model.int8.onnx", b"", r"model\.int8\.onnx: ONNX Runtime can't open it \(.+\); export again$"),
        ("tokenizer.json", b'{"model": {"type": "Newer"}}', r"tokenizer\.json: can't be read as a tokenizer \(.+\);"),
    ],
)
def test_a_file_of_a_form_that_its_library_does_not_know_is_refused(
    artifact: Path, name: str, content: bytes, expected: str
) -> None:
    (artifact / name).write_bytes(content)
    with pytest.raises(StanceError, match=expected):
        StancePredictor.load(listed(artifact, name))


def test_a_model_with_weights_in_a_file_that_no_sum_covers_is_refused(artifact: Path) -> None:
    model = onnx.load(artifact / "model.int8.onnx")
    onnx.save(model, artifact / "model.int8.onnx", save_as_external_data=True, location="weights.bin", size_threshold=9)
    assert (artifact / "weights.bin").is_file()
    with pytest.raises(StanceError, match=r"model\.int8\.onnx: keeps weights in another file, which has no sum in "):
        StancePredictor.load(listed(artifact, "model.int8.onnx"))


def test_int8_is_served_without_the_fp32_model_but_fp32_is_not(artifact: Path) -> None:
    assert StancePredictor.load(artifact).predict([Pair(TEXT, "Pakistan", "Moscow")])
    with pytest.raises(StanceError, match=r"model\.onnx: missing from the artifact"):
        StancePredictor.load(artifact, precision="fp32")


def test_other_format_version_is_refused(artifact: Path) -> None:
    with pytest.raises(StanceError, match=r"format version 99, this stance reads 1; export again or install"):
        StancePredictor.load(alter(artifact, format_version=99))


def test_other_labels_are_refused(artifact: Path) -> None:
    with pytest.raises(StanceError, match=r"labels \['support', 'neutral', 'oppose'\], expected \['oppose', "):
        StancePredictor.load(alter(artifact, labels=["support", "neutral", "oppose"]))


def test_encoding_with_another_key_is_refused(artifact: Path) -> None:
    with pytest.raises(StanceError, match=r"stance\.json: 'encoding' has the keys \['layout'\], expected \['actor_id"):
        StancePredictor.load(alter(artifact, encoding={"layout": "one_pass"}))


@pytest.mark.parametrize("changes", [{"max_passage_tokens": 1024}, {"max_name_tokens": 5000}, {"position_offset": 400}])
def test_an_encoding_that_reaches_further_than_the_model_is_refused_at_once(
    artifact: Path, changes: dict[str, int]
) -> None:
    encoding = json.loads((artifact / "stance.json").read_text("utf-8"))["encoding"]
    with pytest.raises(StanceError, match="the model does not answer with this encoding"):
        StancePredictor.load(alter(artifact, encoding=encoding | changes))


def test_markers_of_another_tokenizer_are_refused(artifact: Path) -> None:
    encoding = json.loads((artifact / "stance.json").read_text("utf-8"))["encoding"]
    with pytest.raises(StanceError, match=r"the tokenizer has \[TARGET\] as \d+, the encoding expects 5"):
        StancePredictor.load(alter(artifact, encoding=encoding | {"target_id": 5}))


def test_threads_that_no_machine_has_are_refused(exported: Workplace) -> None:
    for threads in (-3, 100_000):
        with pytest.raises(StanceError, match=rf"^threads={threads}: expected 1 to 1024 threads; 0 takes one a core"):
            StancePredictor.load(exported.artifact, threads=threads)


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A model that multiplies unsigned numbers with the largest signed ones."""
    of = [helper.make_tensor_value_info(name, kind, [1, 64]) for name, kind in (("x", 2), ("y", TensorProto.INT32))]
    weights = numpy_helper.from_array(np.full((64, 64), 127, np.int8), "w")
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", of[:1], of[1:], [weights])
    opset = helper.make_opsetid("", 17)
    (tmp_path / "model.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    )
    return tmp_path / "model.onnx"


def test_a_sum_of_int8_products_is_exact_on_this_machine(product: Path) -> None:
    (found,) = predictor._session(product, 1).run(None, {"x": np.full((1, 64), 255, np.uint8)})
    assert found.tolist() == [[64 * 127 * 255] * 64]


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512bw\n", "1"),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n", "0"),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n", "0"),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "1"),
        ("", "1"),
    ],
)
def test_exact_kernels_are_asked_for_where_no_vnni_is_known(
    product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: str, asked: str
) -> None:
    if facts:
        (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(predictor, "CPU", tmp_path / "cpuinfo")
    options = predictor._session(product, 1).get_session_options()
    assert options.get_session_config_entry("session.x64quantprecision") == asked


def test_unknown_precision_is_refused(exported: Workplace) -> None:
    with pytest.raises(StanceError, match=r"unknown precision 'int4'; expected one of int8, fp32"):
        StancePredictor.load(exported.artifact, precision="int4")


def test_text_over_the_limit_is_refused(fp32: StancePredictor) -> None:
    long = Pair("x" * (MAX_TEXT_CHARACTERS + 1), "Pakistan", "Moscow")
    with pytest.raises(StanceError, match=r"text of 1,000,001 characters; at most 1,000,000 are scored"):
        fp32.predict([long])
    with pytest.raises(StanceError, match=r"name of 2,001 characters; at most 2,000 are looked up"):
        fp32.predict([Pair("Pakistan met Moscow.", "Pakistan", "x" * (MAX_NAME_CHARACTERS + 1))])


@pytest.mark.parametrize("span", [(500, 504), (-5, -1), (4, 0), (4, 4), (0, 23)])
@pytest.mark.parametrize("role", ["actor_span", "target_span"])
def test_a_place_that_the_text_does_not_have_is_refused(
    fp32: StancePredictor, span: tuple[int, int], role: str
) -> None:
    pair = Pair("Iran praised the plan.", "Iran", "plan")
    with pytest.raises(StanceError, match=rf"{role} \({span[0]}, {span[1]}\): no place in a text of 22 characters"):
        fp32.predict([pair, replace(pair, **{role: span})])


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair(" ", "Iran", "plan"), "text is empty"),
        (Pair("Iran praised it.", "", "plan"), "actor is empty"),
        (Pair("Iran praised it.", "Iran", "\n"), "target is empty"),
        (Pair("Iran praised it.", "Iran", "plan \ud83d"), "target has half a surrogate pair at character 5"),
    ],
)
def test_what_can_not_be_read_is_refused(fp32: StancePredictor, pair: Pair, message: str) -> None:
    with pytest.raises(StanceError, match=message):
        fp32.predict([pair])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "text must be a string, found NoneType"),
        ({"actor": float("nan")}, "actor must be a string, found float"),
        ({"target": None}, "target must be a string, found NoneType"),
        ({"actor": " "}, "actor is empty"),
        ({"target": "x" * 2001}, "name of 2,001 characters"),
        ({"actor_span": (4, 5)}, r"actor_span \(4, 5\): holds no words in a text of 22 characters"),
        ({"target_span": float("nan")}, "target_span nan: no place in a text of 22 characters"),
        ({"target_span": (17.0, 21.0)}, r"target_span \(17\.0, 21\.0\): no place in a text"),
        ({"target_span": (17,)}, r"target_span \(17,\): no place in a text"),
    ],
)
def test_an_error_says_which_pair_can_not_be_asked(
    fp32: StancePredictor, changes: dict[str, Any], message: str
) -> None:
    pair = Pair("Iran praised the plan.", "Iran", "plan")
    with pytest.raises(StanceError, match=f"^pair 3: {message}"):
        fp32.predict([pair, pair, replace(pair, **changes), pair])


def test_places_may_be_numbers_of_numpy(fp32: StancePredictor) -> None:
    pair = Pair("Iran praised the plan.", "Iran", "plan", (0, 4), (17, 21))
    places: list[Any] = [(np.int64(start), np.int64(end)) for start, end in ((0, 4), (17, 21))]
    assert fp32.predict([replace(pair, actor_span=places[0], target_span=places[1])]) == fp32.predict([pair])


def test_pairs_are_reported_when_they_are_scored(exported: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    service, scored, seen = StancePredictor.load(exported.artifact), list[int](), list[int]()
    run = service._session.run

    class Counting:
        def run(self, names: Any, inputs: Any) -> Any:
            scored.append(1)
            return run(names, inputs)

    monkeypatch.setattr(service, "_session", Counting())
    monkeypatch.setattr(predictor, "CHUNK", 2)
    texts = [f"{name} praised the plan." for name in ("Iran", "Chad", "Peru", "Fiji")]
    service.predict([Pair(text, text[:4], "plan") for text in texts], report=lambda _: seen.append(len(scored)))
    assert seen == [2, 4]


def test_no_batch_of_a_service_is_padded_to_more_tokens_than_it_may_have() -> None:
    lengths = [7, 1000, 300, 1000, 1000, 900, *[500] * 40, 1000, 3000, 3000, 9000, *[12] * 900]
    rows = [encoding.Encoded([0] * length, [], [], [], [number]) for number, length in enumerate(lengths)]
    batches = list(predictor._batches(rows, 600))
    assert sorted(row.pairs[0] for batch in batches for row in batch) == list(range(len(rows)))
    assert max(map(len, batches)) == 600
    sizes = [len(batch) * max(len(row.ids) for row in batch) for batch in batches if len(batch) > 1]
    assert max(sizes) <= predictor.MAX_PADDED_TOKENS
    assert [len(batch) for batch in batches if len(batch[-1].ids) == 9000] == [1], "alone, there is no other way"


BROKEN = [
    ("temperature", 0),
    ("temperature", "x"),
    ("temperature_without_places", -1),
    ("files", []),
    ("encoding", None),
]


@pytest.mark.parametrize(("key", "value"), BROKEN)
def test_metadata_of_the_wrong_kind_is_refused(artifact: Path, key: str, value: object) -> None:
    with pytest.raises(StanceError, match=key):
        StancePredictor.load(alter(artifact, **{key: value}))


def test_verify_finds_an_altered_file_that_serving_does_not_open(exported: Workplace, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported.artifact, tmp_path / "artifact"))
    verify(copy)
    (copy / "hf" / "config.json").write_text("{}")
    with pytest.raises(StanceError, match=r"config\.json: its sha256 is not the one in stance\.json"):
        verify(copy)
