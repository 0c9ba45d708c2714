"""The model registry in MLflow: exported artifacts as versions, the best one under the alias `champion`.

Beside it only `stance.tracking`, `stance.tracking.runs`, `stance.tracking.stores` and `stance.pyfunc` import mlflow.
"""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

import stance
from stance import progress
from stance.artifact import MODELS, read_metadata, verify
from stance.errors import MachineError, StanceError, no_room
from stance.files import sha256
from stance.predictor import StancePredictor
from stance.records import LABELS, Example
from stance.scoring.scores import only_known, score
from stance.tracking.stores import keeping, reason, scrubbed

CHAMPION, CHALLENGER = "champion", "challenger"
ASKED = "stance.json", "tokenizer.json", MODELS["int8"]
"""The files of an artifact by which int8 answers; those of a base model are an eighth of it."""
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            *(ColSpec(DataType.string, name) for name in ("text", "actor", "target")),
            *(ColSpec(AnyType(), name, required=False) for name in ("actor_span", "target_span")),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.string, "stance"),
            ColSpec(DataType.double, "confidence"),
            *(ColSpec(DataType.double, label) for label in LABELS),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("abstain", DataType.boolean, default=False),
            ParamSpec("precision", DataType.string, default="int8"),
        ]
    ),
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A new version with its alias, and why it got that one."""

    version: str
    alias: str
    reason: str


def check_name(name: str) -> None:
    """Refuse, before the work, a name that MLflow takes for no model."""
    if name.strip() in ("", ".", "..") or set(name) & set("/:?'\""):
        raise StanceError(f"tracking.model={name}: expected a name without / : ? and quotation marks, for the registry")


def check_champion(name: str) -> None:
    """Refuse, before the work, a champion that nothing can be compared with.

    Raises:
        StanceError: its files are gone, or of another version of stance.
    """
    _no_bars_in_logs()
    if champion := _champion(MlflowClient(), name):
        with _fetched(champion, whole=False) as folder, _asking(champion, folder):
            read_metadata(folder)


def register(
    artifact: Path, validation: Sequence[Example], *, name: str, run_id: str, known: float | None = None
) -> Registered:
    """Log the artifact as a model of the active run, register it and give it an alias.

    It becomes the champion when its int8 macro-F1 on `validation` is higher than the present champion's on the
    same rows, else the challenger. The test split has no say in this. A champion that was trained with another dataset
    may have learned these rows, or never saw their like; the reason says so.

    Args:
        artifact: a whole artifact directory; nothing else is registered.
        validation: the rows on which both are scored.
        name: of the registered model.
        run_id: of the active run.
        known: the artifact's int8 macro-F1 on these rows, where it was computed before.
    """
    verify(artifact)
    _no_bars_in_logs()
    value = macro_f1(artifact, validation) if known is None else known
    client = MlflowClient()
    champion = _champion(client, name)
    alias, reason = _compared(artifact, value, champion, validation)
    version = _log(artifact, name, run_id, value)
    while _number(now := _champion(client, name)) != _number(champion):  # another export was quicker
        champion = now
        alias, reason = _compared(artifact, value, champion, validation)
    client.set_registered_model_alias(name, alias, version)
    return Registered(version, alias, reason)


def _no_bars_in_logs() -> None:
    if not sys.stderr.isatty():
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _compared(
    artifact: Path, value: float, champion: ModelVersion | None, validation: Sequence[Example]
) -> tuple[str, str]:
    """The alias of an artifact with this macro-F1, and why."""
    learned = _learned(artifact)
    if champion is None:
        return CHAMPION, f"there was no champion{learned}"
    with _fetched(champion) as folder:
        with _asking(champion, folder):
            other = macro_f1(folder, validation, "validation, champion")
        better = value > other
        doubt = _doubt(folder, artifact, better=better)
    return CHAMPION if better else CHALLENGER, (
        f"validation macro-F1 {value:.4f} is {'above' if better else 'not above'} {other:.4f} of version "
        f"{champion.version}, both int8, on the same {len(validation)} rows{learned or doubt}"
    )


def _number(version: ModelVersion | None) -> str:
    return str(version.version) if version else ""


def _learned(artifact: Path) -> str:
    """A doubt about the value of a model that was trained with another dataset than that of these rows."""
    facts = read_metadata(artifact)
    model, here = facts.get("checkpoint", {}), facts.get("dataset_sha256", "")
    trained, others = model.get("dataset_sha256", ""), [n for n in model.get("ancestors", ()) if n != here]
    if not here or (trained == here and not others):
        return ""
    who = "this model was trained with" if trained != here else "an ancestor of this model learned from"
    which = str(trained if trained != here else others[0])[:12] or "unknown"
    return (
        f"; {who} another dataset ({which}) and may have learned these rows: "
        f"if it did, give the alias {CHAMPION} to another by hand"
    )


def _doubt(champion: Path, artifact: Path, *, better: bool) -> str:
    """A doubt about a comparison with a champion of another dataset, on rows of this one's."""
    that, this = (read_metadata(folder).get("checkpoint", {}) for folder in (champion, artifact))
    theirs, ours = (about.get("dataset_sha256", "") for about in (that, this))
    if theirs == ours:
        others = [name for name in that.get("ancestors", ()) if name not in (ours, *this.get("ancestors", ()))]
        told = f"; an ancestor of the champion learned from another dataset ({str(others[0])[:12]}), " if others else ""
        return told and f"{told}which may have taught it these rows: if it did, give the alias {CHAMPION} by hand"
    datasets = f"; the champion was trained with another dataset ({theirs[:12] or 'unknown'}, this one with "
    datasets += f"{ours[:12] or 'unknown'}), which "
    if better:
        return datasets + (
            "may hold none of these texts' like, so on its own rows it may be the better one: if those are what is "
            f"served, give it the alias {CHAMPION} back, and register this one under another tracking.model"
        )
    return datasets + f"may have taught it these rows: if it did, give the alias {CHAMPION} by hand"


def macro_f1(artifact: Path, examples: Sequence[Example], what: str = "validation") -> float:
    """Macro-F1 of an artifact's int8 model; `what` is the name of the progress bar."""
    probabilities = progress.probabilities(StancePredictor.load(artifact), examples, what)
    return score(examples, only_known(probabilities, examples).argmax(1))["macro_f1"]


def annotate(name: str, digest: str, tags: dict[str, str]) -> str | None:
    """Set tags on the version whose `stance.json` has this sha256; its number, or None, which is told, if none has."""
    client = MlflowClient()
    for version in client.search_model_versions(f"name='{name}'"):
        if version.tags.get("stance.artifact") == digest:
            for key, value in tags.items():
                client.set_model_version_tag(name, version.version, f"stance.{key}", value)
            return str(version.version)
    print(f"this artifact is no version of the registered model {name} (tracking.model): none keeps these scores")
    return None


def rivals(name: str, split: str, rows: str) -> list[list[str]]:
    """Rows for a reader: the scores of all versions on `split`, and whether they were taken on the same rows.

    Args:
        name: the registered model.
        split: the split that was scored.
        rows: the fingerprint of the rows at hand.
    """
    client = MlflowClient()
    models = client.search_registered_models(f"name = '{name}'")
    aliases = [(str(of), alias) for model in models for alias, of in sorted(model.aliases.items())]
    table = [["version", "alias", f"{split} macro-F1 [95 %], int8", "on these rows"]]
    for version in sorted(client.search_model_versions(f"name='{name}'"), key=lambda v: int(v.version)):
        score, theirs = (version.tags.get(f"stance.int8_{split}_{name}") for name in ("macro_f1", "rows"))
        if here := version.tags.get(f"stance.int8_{split}_macro_f1.{rows[:12]}"):  # others may have been scored since
            score, theirs = here, rows
        if score:
            same = "yes" if theirs == rows else f"no, {theirs[:12]}: not comparable" if theirs else "unknown"
            names = ", ".join(alias for of, alias in aliases if of == str(version.version))
            table.append([str(version.version), names, score, same])
    return table


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    models = client.search_registered_models(f"name = '{name}'")
    if not models or CHAMPION not in models[0].aliases:
        return None
    return client.get_model_version_by_alias(name, CHAMPION)


@contextmanager
def _asking(champion: ModelVersion, folder: Path) -> Iterator[None]:
    try:
        yield
    except StanceError as error:
        raise StanceError(
            f"the champion, version {champion.version} of {champion.name}, can't be asked "
            f"({str(error).replace(str(folder), 'its artifact')}); delete that version or give the alias "
            f"{CHAMPION} to another one; then export again"
        ) from error


@contextmanager
def _fetched(version: ModelVersion, *, whole: bool = True) -> Iterator[Path]:
    """A copy of the files that are `ASKED`, removed afterwards: MLflow would leave what it gets from a server.

    Args:
        version: which one.
        whole: whether more than its `stance.json` is needed.
    """
    with tempfile.TemporaryDirectory(prefix="stance-champion-") as copy:
        try:
            source = f"models:/{version.name}/{version.version}"
            with keeping(source):
                store = ModelsArtifactRepository(source)  # a path behind an address is lost where the name has "@"
                held = store.list_artifacts("artifacts")
                if not held:
                    raise FileNotFoundError(f"{source} holds no artifact")
                there = {Path(entry.path).name for entry in store.list_artifacts(held[0].path)}
                if lacking := [name for name in ASKED if name not in there]:
                    raise FileNotFoundError(f"{source} holds no {', '.join(lacking)}")
                for name in ASKED if whole else ASKED[:1]:
                    folder = Path(store.download_artifacts(f"{held[0].path}/{name}", dst_path=copy)).parent
        except (MlflowException, OSError, ValueError) as error:
            if no_room(error):
                raise MachineError(
                    f"no space in {tempfile.gettempdir()} for the files of the champion, version {version.version} of "
                    f"{version.name}; free some, or let TMPDIR name another folder; then export again"
                ) from error
            raise StanceError(
                f"the files of the champion, version {version.version} of {version.name}, can't be read "
                f"({scrubbed(reason(error))}); if they are gone, restore them or delete that version; then export again"
            ) from error
        yield folder


def _log(artifact: Path, name: str, run_id: str, score: float) -> str:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    requirements = [f"{p}=={packages.version(p)}" for p in ("mlflow", "numpy", "onnxruntime", "pandas", "tokenizers")]
    package = Path(stance.__file__).parent
    with (
        keeping("the model"),
        warnings.catch_warnings(),
    ):  # the signature is explicit, so no input example is needed to infer it
        warnings.simplefilter("ignore", UserWarning)
        model = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "pyfunc.py"),
            artifacts={"artifact": str(artifact.resolve())},
            signature=SIGNATURE,
            pip_requirements=requirements,
            code_paths=[str(package)],
        )
    tags = {
        "stance.artifact": sha256(artifact / "stance.json"),
        "stance.export_run": run_id,
        "stance.validation_macro_f1": f"{score:.6f}",
    }
    version = mlflow.register_model(model.model_uri, name, tags=tags, await_registration_for=60)
    return str(version.version)
