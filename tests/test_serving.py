"""The registered model as MLflow gives it out: loaded in this process, and behind a real HTTP server."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import infer_and_parse_data

import servers
from conftest import Workplace
from stance import tracking
from stance.building import dataset
from stance.predictor import StancePredictor
from stance.records import LABELS, Pair
from stance.settings.tracking import TrackingConfig

MODEL = "models:/stance@champion"
COLUMNS = ["stance", "confidence", *LABELS]


@pytest.fixture(scope="module")
def pairs(exported: Workplace) -> list[Pair]:
    """Test pairs as a service asks them, without places; two of one text and a name that is not printed."""
    found = [Pair(e.text, e.actor, e.target) for e in dataset.load(exported.dataset)[0]["test"][:12]]
    return [*found, Pair(found[0].text, "Atlantis", found[0].target)]


@pytest.fixture(scope="module")
def expected(exported: Workplace, pairs: list[Pair]) -> list[dict[str, Any]]:
    """What the predictor answers to the same batch."""
    return [answer.to_json() for answer in StancePredictor.load(exported.artifact).predict(pairs)]


def frame(pairs: list[Pair]) -> pd.DataFrame:
    return pd.DataFrame([{"text": p.text, "actor": p.actor, "target": p.target} for p in pairs])


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [row["stance"] for row in found] == [row["stance"] for row in expected]
    for row, answer in zip(found, expected, strict=True):
        for name in COLUMNS[1:]:
            assert row[name] == pytest.approx(answer[name], abs=1e-6)


@pytest.fixture(scope="module")
def loaded(exported: Workplace) -> mlflow.pyfunc.PyFuncModel:
    """The champion, as any MLflow user loads it."""
    tracking.connect(TrackingConfig(uri=exported.uri, system_metrics_seconds=0))
    return mlflow.pyfunc.load_model(MODEL)


def test_the_loaded_champion_answers_as_the_predictor(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair], expected: list[dict[str, Any]]
) -> None:
    answers = loaded.predict(frame(pairs))
    assert list(answers.columns) == COLUMNS
    same(answers.to_dict("records"), expected)


def test_the_answers_stand_under_the_index_of_the_questions(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair]
) -> None:
    table = frame(pairs[:4])
    some = table.iloc[[3, 1]]
    table["stance"] = loaded.predict(some)["stance"]
    assert table["stance"].isna().tolist() == [True, False, True, False]
    assert [table["stance"][1], table["stance"][3]] == loaded.predict(table.iloc[[1, 3]])["stance"].tolist()
    none = loaded.predict(some.iloc[:0])
    assert (list(none.columns), len(none)) == (COLUMNS, 0)


def test_the_loaded_champion_takes_the_places_of_mentions(
    loaded: mlflow.pyfunc.PyFuncModel, exported: Workplace
) -> None:
    rows = [e for e in dataset.load(exported.dataset)[0]["test"] if e.actor_span][:8]
    given = [
        {"text": e.text, "actor": e.actor, "target": e.target}
        | {"actor_span": list(e.actor_span or ()), "target_span": list(e.target_span) if e.target_span else None}
        for e in rows
    ]
    assert [row["target_span"] is None for row in given] != [True] * 8
    bare = {name: given[0][name] for name in ("text", "actor", "target")}
    predictor = StancePredictor.load(exported.artifact)
    pairs = [*(e.pair() for e in rows), Pair(rows[0].text, rows[0].actor, rows[0].target)]
    same(
        loaded.predict(pd.DataFrame([*given, bare])).to_dict("records"),
        [answer.to_json() for answer in predictor.predict(pairs)],
    )


def test_the_loaded_champion_takes_places_in_any_form(loaded: mlflow.pyfunc.PyFuncModel) -> None:
    row = {"text": "Iran praised the plan.", "actor": "Iran", "target": "plan"}
    spans = [[0, 4], (0, 4), np.array([0, 4]), [np.int64(0), np.int64(4)], [0.0, 4.0], np.array([0.0, 4.0])]
    first, *others = loaded.predict(pd.DataFrame([row | {"actor_span": span} for span in spans])).to_dict("records")
    same(others, [first] * 5)


def test_the_loaded_champion_names_the_row_with_a_place_outside_its_text(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair]
) -> None:
    table = frame(pairs[:2])
    table["actor_span"] = [[0, 1], [0, 100_000]]
    with pytest.raises(MlflowException, match=r"row 2: actor_span: span \[0, 100000\] is outside the text"):
        loaded.predict(table)
    table["actor_span"] = [[0, 1], [0, [4]]]
    expected = r"row 2: actor_span: expected \[start, end\] or null, found \[0, \[4\]\]"
    with pytest.raises(MlflowException, match=expected):
        loaded.predict(table)


def test_the_loaded_champion_names_the_row_that_is_too_long(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair]
) -> None:
    table = frame(pairs[:3])
    table.loc[2, "actor"] = "x" * 2001
    with pytest.raises(MlflowException, match=r"row 3: name of 2,001 characters; at most 2,000 are looked up"):
        loaded.predict(table)
    table = frame(pairs[:2])
    table.loc[1, "text"] = "x" * 1_000_001
    with pytest.raises(MlflowException, match=r"row 2: text of 1,000,001 characters; at most 1,000,000 are scored"):
        loaded.predict(table)


def test_the_loaded_champion_answers_in_fp32_where_that_is_asked_for(
    loaded: mlflow.pyfunc.PyFuncModel, exported: Workplace, pairs: list[Pair]
) -> None:
    answers = loaded.predict(frame(pairs), params={"precision": "fp32"})
    expected = StancePredictor.load(exported.artifact, precision="fp32").predict(pairs)
    same(answers.to_dict("records"), [answer.to_json() for answer in expected])
    assert loaded.predict(frame(pairs))["confidence"].tolist() != answers["confidence"].tolist()
    with pytest.raises(MlflowException, match="unknown precision 'fp16'; expected one of"):
        loaded.predict(frame(pairs), params={"precision": "fp16"})


def test_who_asks_for_a_loaded_precision_waits_for_no_other(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair]
) -> None:
    answers = list[pd.DataFrame]()
    model = loaded.unwrap_python_model()
    with model.loading:  # as while fp32 is loaded
        asking = Thread(target=lambda: answers.append(model.predict(None, frame(pairs[:1]))), daemon=True)
        asking.start()
        asking.join(30)
        assert len(answers) == 1


def test_the_models_signature_is_explicit(loaded: mlflow.pyfunc.PyFuncModel) -> None:
    assert loaded.metadata.signature.inputs.input_names() == ["text", "actor", "target", "actor_span", "target_span"]
    assert loaded.metadata.signature.inputs.required_input_names() == ["text", "actor", "target"]
    assert loaded.metadata.signature.outputs.input_names() == COLUMNS
    assert loaded.metadata.signature.outputs.required_input_names() == COLUMNS
    assert [(p.name, p.default) for p in loaded.metadata.signature.params] == [
        ("abstain", False),
        ("precision", "int8"),
    ]


@pytest.mark.parametrize("params", [None, {"precision": "fp32"}])
def test_every_column_of_the_signature_is_in_every_answer(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair], params: dict[str, Any] | None
) -> None:
    """Spark makes a struct of all of them, also of those that are not required, and takes each from the answers."""
    told = loaded.metadata.signature.outputs
    answers = loaded.predict(frame(pairs[:2]), params=params)
    assert set(told.input_names()) <= set(answers.columns)


@pytest.mark.parametrize(
    ("actor", "match"), [(None, "row 2: 'actor' is null"), (5, "row 2: 'actor' must be a string, found int")]
)
def test_a_table_in_json_reaches_the_model_as_it_is(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair], actor: object, match: str
) -> None:
    rows: list[dict[str, Any]] = frame(pairs[:2]).to_dict("records")
    rows[1]["actor"] = actor
    split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    for asked in ({"dataframe_records": rows}, {"dataframe_split": split}):
        table = infer_and_parse_data(asked, loaded.metadata.get_input_schema())
        with pytest.raises(MlflowException, match=match):
            loaded.predict(table)


def test_nothing_in_the_registered_model_is_pickled(exported: Workplace, tmp_path: Path) -> None:
    tracking.connect(TrackingConfig(uri=exported.uri, system_metrics_seconds=0))
    folder = Path(mlflow.artifacts.download_artifacts(MODEL, dst_path=str(tmp_path)))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".bin")]
    assert list(folder.rglob("model.int8.onnx"))


def test_the_loaded_champion_refuses_a_table_without_actor(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair]
) -> None:
    with pytest.raises(MlflowException, match=r"missing inputs.*actor"):
        loaded.predict(frame(pairs).drop(columns="actor"))


def test_the_loaded_champion_names_the_row_with_an_empty_actor(
    loaded: mlflow.pyfunc.PyFuncModel, pairs: list[Pair]
) -> None:
    table = frame(pairs[:3])
    table.loc[1, "actor"] = "  "
    with pytest.raises(MlflowException, match=r"row 2: 'actor' is empty"):
        loaded.predict(table)


@pytest.fixture(scope="module")
def server(exported: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow models serve`."""
    folder, port = tmp_path_factory.mktemp("server"), servers.free_port()
    command = ["models", "serve", "-m", MODEL, "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    # What other tests told MLflow in this process is in its environment, the registry's address too.
    store = dict.fromkeys(("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"), exported.uri)
    with servers.mlflow(command, "ping", folder, port, store) as address:
        yield address


def post(address: str, table: pd.DataFrame) -> tuple[int, dict[str, Any]]:
    return send(address, {"dataframe_split": table.to_dict("split")})


def send(address: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    body = json.dumps(asked).encode()
    request = urllib.request.Request(  # noqa: S310
        f"{address}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
def test_the_server_gives_the_probabilities_of_the_predictor(
    server: str, pairs: list[Pair], expected: list[dict[str, Any]]
) -> None:
    status, answer = post(server, frame(pairs))
    assert status == 200
    same(answer["predictions"], expected)


@pytest.mark.slow
def test_the_server_takes_the_places_of_mentions(server: str, exported: Workplace) -> None:
    row = next(e for e in dataset.load(exported.dataset)[0]["test"] if e.actor_span and e.target_span)
    asked = pd.DataFrame(
        [{"text": row.text, "actor": row.actor, "target": row.target, "actor_span": list(row.actor_span or ())}]
    )
    status, answer = post(server, asked)
    assert status == 200
    expected = StancePredictor.load(exported.artifact).predict([replace(row, target_span=None).pair()])
    same(answer["predictions"], [found.to_json() for found in expected])
    some = asked.to_dict("records") + asked.drop(columns="actor_span").to_dict("records")
    status, answer = send(server, {"dataframe_records": some})
    assert status == 200, answer
    pairs = [replace(row, target_span=None).pair(), Pair(row.text, row.actor, row.target)]
    same(answer["predictions"], [f.to_json() for f in StancePredictor.load(exported.artifact).predict(pairs)])


@pytest.mark.slow
def test_a_request_without_actor_is_refused_and_the_server_goes_on(
    server: str, pairs: list[Pair], expected: list[dict[str, Any]]
) -> None:
    status, answer = post(server, frame(pairs).drop(columns="actor"))
    assert 400 <= status < 500
    assert "actor" in json.dumps(answer)
    status, answer = post(server, frame(pairs))
    assert status == 200
    same(answer["predictions"], expected)


@pytest.mark.slow
def test_a_request_with_an_empty_actor_is_refused_and_says_which(server: str, pairs: list[Pair]) -> None:
    table = frame(pairs[:3])
    table.loc[1, "actor"] = ""
    status, answer = post(server, table)
    assert 400 <= status < 500
    assert answer["message"].endswith("row 2: 'actor' is empty")
    assert "stack_trace" not in answer
