"""The scripts as a person meets them: help, composition, one-line errors, exit codes, and calls from Python."""

import dataclasses
import errno
import gc
import inspect
import io
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import tiny
from conftest import CORPUS, ROOT, Workplace, script
from stance import corpora, errors, jsonl
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.config import Script, override
from stance.corpora import tables, web
from stance.errors import StanceError
from stance.jobs.building import BuildJob
from stance.jobs.training import TrainJob
from stance.predictor import StancePredictor
from stance.records import LABELS, Article, Mention, Pair, Stance, Triple
from stance.reporting import show
from stance.scoring import calibration, transfer
from stance.scoring.scores import Answers
from stance.settings import usage
from stance.settings.building import CorpusConfig, SourceConfig
from stance.settings.scoring import TransferConfig
from stance.settings.usage import arranged, field_docs
from stance.tracking import registry
from stance.training import recipe
from test_public import write_seesaw

NAMES = (
    "build_dataset", "train", "export", "evaluate", "predict", "transfer", "learning_curve", "review", "fetch_corpus",
    "weak_label", "fetch_encoder", "bakeoff", "sweep", "average",
)  # fmt: skip
GROUPS = [
    (name, folder.name, option.stem)
    for name in NAMES
    for folder in sorted((ROOT / "conf").iterdir())
    if folder.is_dir() and f"- {folder.name}:" in (ROOT / "conf" / f"{name}.yaml").read_text("utf-8")
    for option in sorted(folder.glob("*.yaml"))
]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A script as a process of its own, started from another folder than the repository."""
    name, *rest = arguments
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *rest]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def keys(job: Any, prefix: str = "") -> list[str]:
    """Every setting of a composed job, nested ones with dots."""
    found = []
    for field in dataclasses.fields(job):
        value = getattr(job, field.name)
        inner = CorpusConfig() if field.name == "corpora" else value
        name = f"{prefix}{field.name}{'.KEY' if inner is not value else ''}"
        found += keys(inner, f"{name}.") if dataclasses.is_dataclass(inner) else [name]
    return found


# Help and composition


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_setting_with_its_meaning(name: str) -> None:
    main = script(name).main
    lines = main.help().splitlines()
    for key in keys(main.job()):
        (number,) = [i for i, line in enumerate(lines) if line.startswith(f"  {key}=")]
        assert len(lines[number + 1].strip()) > 5, f"{key} is not explained"


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_the_script_does_and_shows_examples(name: str) -> None:
    text = script(name).main.help()
    purpose = import_module(f"stance.commands.{name}").run.__doc__
    assert len(purpose) > 40
    assert text.partition("\n\nusage:")[0] == inspect.cleandoc(purpose).partition("\n\nReturns:")[0]
    assert text.count(f"python scripts/{name}.py ") >= 2


@pytest.mark.parametrize("name", NAMES)
def test_every_default_in_the_help_can_be_typed(name: str) -> None:
    main = script(name).main
    lines = main.help().splitlines()
    single = [key for key in keys(main.job()) if ".KEY." not in key]
    typed = [line.strip() for key in single for line in lines if line.startswith(f"  {key}=")]
    assert len(typed) == len(single) > 0
    job, default = main.compose(typed), main.compose()
    assert job == default


@pytest.mark.parametrize("name", NAMES)
def test_what_the_help_runs_several_times_are_values_of_a_setting_of_the_script(name: str) -> None:
    main = script(name).main
    shown = re.findall(r"-m {10}run once for each value of a list, as in (\S+)=(\S+)$", main.help(), re.MULTILINE)
    if name in ("fetch_encoder", "average"):  # one encoder, or one list of checkpoints, to one place
        assert "-m " not in main.help()
        assert shown == []
        return
    ((key, values),) = shown
    assert "[-m]" in main.help()
    assert key in [*keys(main.job()), *(group for script, group, _ in GROUPS if script == name)]
    jobs = [main.compose([f"{key}={value}"]) for value in values.split(",")]
    assert len(jobs) > 1
    assert all(one != other for one, other in itertools.combinations(jobs, 2))


@pytest.mark.parametrize(
    ("name", "prefix"), [("build_dataset", "corpora.KEY."), ("review", "corpora.KEY."), ("weak_label", "source.")]
)
def test_help_lists_the_formats_of_a_corpus_and_the_columns_of_a_table(name: str, prefix: str) -> None:
    lines = script(name).main.help().splitlines()

    def said(key: str) -> str:
        (number,) = [i for i, line in enumerate(lines) if line.startswith(f"  {prefix}{key}=")]
        return lines[number + 1]

    formats = re.sub(r" \([^)]*\)", "", said("format")).partition(": ")[2].rstrip(".")
    assert sorted(re.split(", | or ", formats)) == sorted(corpora.FORMATS)
    named = said("columns").partition("Ours are ")[2].rstrip(".")
    ours = {kind: names.split(", ") for kind, names in (part.split(": ") for part in named.split("; "))}
    assert sorted(ours["in table and hub"]) == sorted({*tables.REQUIRED, *tables.OPTIONAL})
    assert sorted(ours["in web"]) == sorted(web.COLUMNS)


@pytest.mark.parametrize("name", ["build_dataset", "review"])
def test_the_key_of_a_corpus_is_the_name_of_its_file(name: str) -> None:
    main = script(name).main
    assert "  corpora.KEY\n      KEY is the name of a file of conf/corpus/ that is chosen" in main.help()
    for file in (ROOT / "conf" / "corpus").glob("*.yaml"):
        assert list(main.compose([f"corpus={file.stem}"]).corpora) == [file.stem]


@pytest.mark.parametrize(
    "key", ["weight=2", "cap=1", "splits=official", "label_set=[support]", "max_dropped=1", "licence=mit"]
)
def test_weak_labelling_refuses_what_only_a_dataset_needs(key: str) -> None:
    refused("weak_label", f"source.{key}", match=rf"^source\.{key.partition('=')[0]}: unknown setting")
    assert f"source.{key.partition('=')[0]}=" not in script("weak_label").main.help()


def test_help_and_a_typo_need_not_wait_for_a_library() -> None:
    slow = {"torch", "transformers", "datasets", "mlflow", "spacy", "sklearn", "optuna", "onnxruntime", "pandas"}
    slow |= {"requests", "charset_normalizer", "trafilatura", "pyarrow", "datasketch"}
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from conftest import script
for name in {NAMES}:
    script(name).main.help()
    script(name).main.compose()
sys.argv = ["train.py", "training.epocs=1"]
try:
    script("train").main.cli()
except SystemExit as end:
    print(end.code)
print(sorted(set(sys.modules) & {slow}))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "2\n[]\n"
    assert "did you mean 'epochs'?" in process.stderr


@pytest.mark.slow
def test_threads_that_wait_do_not_spin_unless_somebody_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "dataset=missing"]
    told = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for chosen, policy in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")):
        environment = told | {"OMP_DISPLAY_ENV": "true"} | chosen
        process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert process.returncode == 2
        assert set(re.findall("OMP_WAIT_POLICY = '(.*)'", process.stderr)) == {policy}


@pytest.mark.parametrize("printed", ["--help", "--cfg job", "-c=job"])
def test_nobody_need_read_what_is_printed(printed: str) -> None:
    command = f"{sys.executable} scripts/train.py {printed} | :"  # the reader is gone before there is something to read
    process = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert process.stderr == ""


def test_a_path_below_the_home_is_one_in_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    job = script("train").main.compose(
        ['output="~/run"', 'training.teacher=["~/a","b~/c"]', 'dataset="~other/d"', 'tracking.uri="sqlite:///~/m.db"']
    )
    assert job.tracking.uri == f"sqlite:///{tmp_path}/m.db"
    assert (job.output, job.training.teacher, job.dataset) == (
        f"{tmp_path}/run",
        [f"{tmp_path}/a", "b~/c"],
        "~other/d",
    )


@pytest.mark.slow
def test_the_benchmark_refuses_a_typo_at_once(tmp_path: Path) -> None:
    process = run("benchmark", "--dataset", f"{tmp_path}/none", "training.epocs=1", cwd=tmp_path)
    assert process.returncode == 2
    assert "unknown setting 'epocs'" in process.stderr


def test_a_benchmark_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        script("benchmark_peak").main(["--steps", "0"])
    assert capsys.readouterr().err.endswith("error: argument --steps: 0: expected 1 or more\n")


@pytest.mark.usefixtures("process")
def test_a_script_leaves_what_was_imported_out_of_garbage_collection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    main, before = script("predict").main, [[0]]
    assert any(one is before for one in gc.get_objects())
    monkeypatch.setattr(sys, "argv", ["predict.py", f"artifact={tmp_path}/none"])
    with pytest.raises(SystemExit):
        main.cli()
    assert not any(one is before for one in gc.get_objects())


@pytest.mark.parametrize(("name", "group", "option"), GROUPS)
def test_help_names_every_group_option_and_each_composes(name: str, group: str, option: str) -> None:
    main = script(name).main
    (line,) = [line for line in main.help().splitlines() if line.startswith(f"  {group}=")]
    assert option in line.split("=")[1].split("|")
    assert isinstance(main.compose([f"{group}={option}"]), main.job)


@pytest.mark.parametrize("name", NAMES)
def test_yaml_without_overrides_gives_the_defaults_of_the_dataclasses(name: str) -> None:
    main = script(name).main
    job = main.compose()
    if name in ("build_dataset", "review"):
        assert job.corpora == {"stance_news": CorpusConfig(name="stance-news", path="data/corpus", licence="cc-by-4.0")}
        job.corpora = {}
    if name == "sweep":  # its data: what is searched
        assert set(job.sweep.space) == {"training", "model"}
        job.sweep.space = {}
    assert job == main.job()


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_help_compose(name: str) -> None:
    main = script(name).main
    assert main.examples
    for example in main.examples:
        overrides = shlex.split(example.partition(f"scripts/{name}.py")[2])
        if "-m" not in overrides:
            assert isinstance(main.compose(overrides), main.job)


@pytest.mark.parametrize("name", ["sweep", "bakeoff", "learning_curve"])
def test_a_study_takes_the_settings_of_a_preset_but_not_the_name_of_its_checkpoint(name: str) -> None:
    main = script(name).main
    job = main.compose(["experiment=everything", "training.epochs=1"])
    assert (job.training.r_drop, job.model.encoder_dropout, job.training.epochs) == (1.0, 0.1, 1)
    assert job.dataset == "outputs/dataset-everything"
    assert job.output == main.job().output
    assert main.compose(["experiment=everything", "output=here.png"]).output == "here.png"


def test_no_group_as_conf_writes_it_is_taken_and_else_refused() -> None:
    main = script("train").main
    assert main.compose(["experiment=null", "training.seed=9"]).training.seed == 9
    for word in ("model=null", "training="):
        with pytest.raises(StanceError, match=rf"^{word}: expected one of "):
            main.compose([word])


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("a=1 -m b=2", "-m a=1 b=2"),
        ("a=1 --cfg job b=2 --resolve -p hydra", "--cfg job --resolve -p hydra a=1 b=2"),
        ("a=1 --cfg=job --help", "--cfg=job --help a=1"),
        ("~a +b=-1 c=--x", "~a +b=-1 c=--x"),
        ("a=1 -p", "-p a=1"),
        ("a=1 --info b=2", "--info=all a=1 b=2"),
        ("a=1 --info defaults --resolve", "--info=defaults --resolve a=1"),
        ("-m a=1 -m", "-m -m a=1"),
    ],
)
def test_options_may_stand_anywhere(typed: str, parsed: str) -> None:
    assert arranged(typed.split()) == parsed.split()


@pytest.mark.parametrize(
    ("typed", "match"),
    [("--epochs 3", r"^--epochs: no such option; settings"), ("a=1 -m --cfg job", r"^-m and --cfg ")],
)
def test_options_that_there_are_none_or_not_together_are_refused(typed: str, match: str) -> None:
    with pytest.raises(StanceError, match=match):
        arranged(typed.split())


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What make would do, told neither by the make that runs the tests nor by variables that are set here."""
    own = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "EXPERIMENT", "MODEL", "MIXTURE", "RESUME", "PRECISION"}
    settled = {name: value for name, value in os.environ.items() if name not in own} | environment
    return subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, env=settled)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ("EXPERIMENT=quick", "experiment=quick dataset=outputs/dataset output=outputs/checkpoint"),
        (
            "EXPERIMENT=public RESUME=auto",
            "experiment=public resume=auto dataset=outputs/dataset-public output=outputs/p",
        ),
        ("EXPERIMENT=gpu-base MODEL=mpnet_local", "tracking.model=stance-everything"),
        ("EXPERIMENT=base", "experiment=base dataset=outputs/dataset-everything output=outputs/base/checkpoint"),
        ("EXPERIMENT=distilled", "experiment=distilled dataset=outputs/dataset-everything"),
        ("EXPERIMENT=base-again", "experiment=base-again dataset=outputs/dataset-everything"),
        ("EXPERIMENT=smoke MIXTURE=everything", "mixture=everything output=outputs/dataset-everything"),
        ("EXPERIMENT=../experiment/full", r"EXPERIMENT=../experiment/full: expected one of "),
        ("experiment=full", "make takes EXPERIMENT=, MODEL=, MIXTURE=, RESUME= and PRECISION= in capitals"),
        ("mixture=public", "make takes EXPERIMENT=, MODEL=, MIXTURE=, RESUME= and PRECISION= in capitals"),
        ("MODEL=x", "MODEL=x: expected one of "),
        ("MIXTURE=x", "MIXTURE=x: expected one of everything own public"),
        ("RESUME=x", "RESUME=x: expected one of auto never stop"),
        ("EXPERIMENT=%", "EXPERIMENT=%: expected one of"),
        ("precision=fp32", "RESUME= and PRECISION= in capitals"),
    ],
)
def test_make_passes_its_variables_on(variables: str, found: str) -> None:
    done = make("run", *variables.split())
    assert found in " ".join((done.stdout + done.stderr).split())
    assert (done.returncode == 0) == ("expected one of" not in found and "capitals" not in found)


@pytest.mark.parametrize(
    ("variables", "artifact", "precision", "registered"),
    [
        ("", "outputs/artifact", "int8", "stance"),
        ("EXPERIMENT=distilled PRECISION=fp32", "outputs/distilled/artifact", "fp32", "stance-everything"),
    ],
)
def test_presets_are_scored_on_development_parts_by_settings_that_there_are(
    variables: str, artifact: str, precision: str, registered: str
) -> None:
    lines = [line.split() for line in make("development", *variables.split()).stdout.splitlines()]
    found = {Path(words[1]).stem: words[2:] for words in lines if words[1].startswith("scripts/")}
    assert list(found) == ["build_dataset", "evaluate", "transfer"]
    built, evaluated, transferred = (script(name).main.compose(words) for name, words in found.items())
    assert built.output == evaluated.dataset
    assert evaluated.evaluation.split == "validation"
    for job in (evaluated, transferred):
        assert (job.artifact, job.precision, job.tracking.model) == (artifact, precision, registered)
    assert evaluated.output != transferred.output
    assert {evaluated.output, transferred.output} <= set(make("clean", *variables.split()).stdout.split())


@pytest.mark.parametrize(
    ("goal", "variable", "said"),
    [
        (
            "development",
            "precision=fp32",
            "make takes EXPERIMENT=, MODEL=, MIXTURE=, RESUME= and PRECISION= in capitals",
        ),
        ("development", "MODEL=bert", "MODEL=bert: make development scores what was exported; make run takes MODEL="),
        ("development", "RESUME=auto", "RESUME=auto: make development scores what was exported; make run takes RE"),
        ("run", "PRECISION=fp32", "PRECISION=fp32: make run scores int8; make development takes PRECISION="),
    ],
)
def test_a_variable_without_an_effect_is_refused(goal: str, variable: str, said: str) -> None:
    done = make(goal, variable)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    name, value = variable.split("=")
    assert make(goal, **{name: value}).returncode == 0, "it may be somebody else's"


def test_run_and_development_together_take_the_variables_of_both() -> None:
    done = make("run", "development", "PRECISION=fp32", "MODEL=mpnet_local", "RESUME=auto")
    assert "model=mpnet_local" in done.stdout
    assert "precision=fp32" in done.stdout


def test_a_variable_of_the_environment_stops_only_what_looks_at_it() -> None:
    assert "pytest" in make("test", MODEL="somebody-elses").stdout
    assert "rm -rf" in make("clean", MODEL="somebody-elses").stdout
    assert "MODEL=somebody-elses: expected one of" in make("run", MODEL="somebody-elses").stderr


@pytest.mark.parametrize("goal", ["clean", "run"])
@pytest.mark.parametrize("preset", ["full /tmp/mine", "quick full", "full ", ""])
def test_make_takes_one_preset_and_removes_nothing_else(goal: str, preset: str) -> None:
    done = make(goal, f"EXPERIMENT={preset}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"EXPERIMENT={preset}: expected one of" in done.stderr


@pytest.mark.parametrize("name", ["base", "base-again", "gpu-base"])
def test_presets_of_the_base_tier_keep_their_layout_with_another_encoder(name: str) -> None:
    assert script("train").main.compose([f"experiment={name}", "model=roberta_base"]).model.layout == "pair"


def test_the_preset_of_a_further_epoch_begins_with_what_another_one_trained() -> None:
    again, before = (script("train").main.compose([f"experiment={name}"]) for name in ("base-again", "base"))
    assert (again.training.initial, again.dataset, again.model) == (before.output, before.dataset, before.model)


def test_the_teacher_of_a_preset_is_what_another_one_trains() -> None:
    pupil, teacher = (script("train").main.compose([f"experiment={name}"]) for name in ("distilled", "base"))
    assert pupil.training.teacher == [teacher.output]
    assert pupil.dataset == teacher.dataset
    assert (teacher.model.name, teacher.model.layout) == ("sentence-transformers/all-mpnet-base-v2", "pair")
    built = script("build_dataset").main.compose(["mixture=everything"])
    assert built.examples.unlabelled, "they are what the teacher answers beside the pairs"


def test_an_override_reaches_the_job() -> None:
    job = script("train").main.compose(["training.seed=9", "model.layout=pair", "output=here"])
    assert (job.training.seed, job.model.layout, job.output) == (9, "pair", "here")


def test_field_docs_are_the_strings_under_the_fields() -> None:
    docs = field_docs(script("train").main.job)
    assert docs["dataset"] == "Directory of the dataset."
    assert set(docs) == {"dataset", "output", "resume"}


def test_field_docs_are_inherited_unless_a_subclass_has_its_own() -> None:
    source, corpus = field_docs(SourceConfig), field_docs(CorpusConfig)
    assert corpus["path"] == source["path"]
    assert corpus["name"] != source["name"]
    assert set(corpus) == {field.name for field in dataclasses.fields(CorpusConfig)}


# Mistakes


def refused(name: str, *overrides: str, match: str) -> None:
    with pytest.raises(StanceError, match=match) as caught:
        script(name).main.compose(list(overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "word", "match"),
    [
        ("train", "training.teacher=outputs/base", r"^training\.teacher: expected a list, as in \S+=\[VALUE\]$"),
        ("learning_curve", "curve.articles=14", r"^curve\.articles: expected a list"),
        ("train", "training.lora=8", r"^training\.lora: holds several settings; .* training\.lora\.NAME=VALUE"),
        ("build_dataset", "corpora.jsonl.path=x", r"^corpora\.jsonl: no such corpus .* corpus=jsonl"),
        ("build_dataset", "corpora.stance_news.labels.pro=support", r"write \+corpora\.\S+\.pro=VALUE$"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_told_with_what_to_write(name: str, word: str, match: str) -> None:
    refused(name, word, match=match)


def test_a_typo_on_the_command_line_names_the_key_and_the_choices() -> None:
    refused(
        "train",
        "training.epoch=1",
        match=r"^training\.epoch: unknown setting 'epoch'; expected one of epochs, learning_rate, .*mean 'epochs'\?$",
    )


def test_a_typo_in_a_group_names_the_groups() -> None:
    refused("train", "modle=minilm", match=r"^modle: unknown setting .* expected one of model, .*mean 'model'\?$")


def test_a_setting_forced_with_a_plus_is_no_way_around_the_schema() -> None:
    refused("train", "+training.epoch=1", match=r"training\.epoch: unknown setting 'epoch'; expected one of epochs")


def test_an_unknown_group_option_names_the_options() -> None:
    refused("train", "model=robert", match=r"model/robert.*conflibert deberta_v3_base distilbert minilm")


def test_a_value_of_the_wrong_type_names_the_key_and_the_value() -> None:
    refused("train", "training.epochs=many", match=r"^training\.epochs: Value 'many' .* Integer")


def test_a_switch_that_is_neither_on_nor_off_is_refused() -> None:
    refused("export", "register=perhaps", match=r"^register: Value 'perhaps' is not a valid bool")


def test_several_values_without_multirun_are_refused() -> None:
    refused("train", "training.seed=1,2", match=r"training\.seed=1,2.*add --multirun")


def test_a_value_that_cannot_be_read_names_its_override() -> None:
    refused("train", "output=runs/lr=3", match=r"^output=runs/lr=3: .*special characters needs quotes")


def test_a_password_in_a_value_that_cannot_be_read_is_not_shown() -> None:
    storage = "sweep.storage=postgresql://me:se(cret@host/db"
    refused("sweep", storage, match=r"^sweep\.storage=postgresql://me:\*\*\*@host/db: ((?!cret).)*$")
    storage = "sweep.storage=postgresql://host/db?password=se(cret&x=1"
    refused("sweep", storage, match=r"^sweep\.storage=postgresql://host/db\?password=\*\*\*&x=1: ((?!cret).)*$")


def test_labels_that_are_numbers_can_be_given() -> None:
    main = script("build_dataset").main
    job = main.compose(["corpus=table", "+corpora.table.labels={1: support, -1: oppose, pro: support}"])
    assert job.corpora["table"].labels == {"1": "support", "-1": "oppose", "pro": "support"}
    job = main.compose(["corpus=table", "+corpora.table.labels={true: support, false: oppose}"])
    assert job.corpora["table"].labels == {"true": "support", "false": "oppose"}


def test_an_override_without_value_is_refused() -> None:
    refused("train", "training.epochs", match=r"training\.epochs.*missing EQUAL")


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    """A copy of conf/ that a test may spoil."""
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


def compose(conf: Path) -> Any:
    return Script(str(conf.parent / "scripts" / "train.py"), job=script("train").main.job).compose()


def test_settings_in_yaml_reach_the_job(yaml: Path) -> None:
    (yaml / "training" / "default.yaml").write_text("epochs: 17\n")
    assert compose(yaml).training.epochs == 17


def test_a_typo_in_yaml_names_the_key_and_the_choices(yaml: Path) -> None:
    (yaml / "training" / "default.yaml").write_text("epocs: 3\n")
    with pytest.raises(StanceError, match=r"unknown setting 'epocs'; expected one of epochs.*did you mean 'epochs'\?"):
        compose(yaml)


def test_a_wrong_type_in_yaml_is_refused(yaml: Path) -> None:
    (yaml / "training" / "default.yaml").write_text("epochs: [1, 2]\n")
    with pytest.raises(StanceError, match=r"epochs.*(Integer|list)"):
        compose(yaml)


def test_a_broken_yaml_file_is_refused(yaml: Path) -> None:
    (yaml / "training" / "default.yaml").write_text("epochs: [1, 2\n")
    with pytest.raises(StanceError, match=r"training.default\.yaml"):
        compose(yaml)


def test_a_default_in_yaml_that_does_not_exist_names_the_options(yaml: Path) -> None:
    primary = yaml / "train.yaml"
    primary.write_text(primary.read_text().replace("model: minilm", "model: minilmm"))
    with pytest.raises(StanceError, match=r"model/minilmm.*minilm"):
        compose(yaml)


@pytest.mark.usefixtures("fresh_store")
def test_a_corpus_of_ones_own_needs_a_path(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"corpora\.KEY\.path of the corpus 'jsonl': not set"):
        script("build_dataset").main(["corpus=jsonl", f"output={tmp_path}/dataset", *store(tmp_path)])
    assert not (tmp_path / "dataset").exists()


def store(folder: Path) -> list[str]:
    return [
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
        f"tracking.artifacts={folder}/artifacts",
        "tracking.system_metrics_seconds=0",
    ]


def test_a_typo_ends_a_script_with_code_2_and_one_line(tmp_path: Path) -> None:
    done = run("train", "training.epoch=1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: training.epoch: unknown setting 'epoch'")
    assert list(tmp_path.iterdir()) == []


# Calls from Python


@pytest.mark.usefixtures("fresh_store")
def test_build_returns_the_folder_of_the_dataset(tmp_path: Path) -> None:
    output = tmp_path / "dataset"
    overrides = [
        f"corpora.stance_news.path={ROOT}/data/corpus",
        "corpora.stance_news.limit=14",
        f"output={output}",
        *store(tmp_path),
    ]
    assert script("build_dataset").main(overrides) == output
    assert sum(dataset.load(output)[1].articles.values()) == 14


@pytest.mark.usefixtures("fresh_store")
def test_a_build_prints_what_was_mended_by_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stance.commands.build_dataset.KINDS", 1)
    parts, stances = ("train", "validation", "test"), ("oppose", "neutral", "support")
    rows = [
        {"text": f"Town{n} met Port{n}.", "actor": f"Town{n}", "target": f"Port{n}", "stance": stances[n // 3],
         "split": parts[n % 3], "date": "some day" if n in (2, 5) else "", "outlet": ["x"] if n == 1 else ""}
        for n in range(9)
    ]  # fmt: skip
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"corpora.table.path={tmp_path}/my.jsonl", "corpora.table.splits=official"]
    script("build_dataset").main(["corpus=table", *settings, f"output={tmp_path}/dataset", *store(tmp_path)])
    each = f"(each in {tmp_path}/dataset/repairs.jsonl)"
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(("mended", "note"))] == [
        f"mended 2: date … can't be read and was left out; write it as YYYY-MM-DD {each}",
        f"mended 1: 1 other kinds {each}",
    ]


@pytest.mark.usefixtures("fresh_store")
def test_a_build_prints_notes_about_a_whole_corpus_first_and_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stance.commands.build_dataset.KINDS", 2)
    folder, stances = tmp_path / "tables", ("oppose", "neutral", "support")
    folder.mkdir()
    for name in ("a.xlsx", "b.xlsx", "notes.pdf"):
        (folder / name).touch()
    for part in ("dev", "test", "train"):
        rows = [
            {"text": f"Town{part}{n % 3} met Port{part}{n % 3}.", "actor": f"Town{part}{n % 3}",
             "date": "some day", "target": f"Port{part}{n % 3}", "stance": stances[n % 3], "annotator": f"{n // 3}"}
            for n in range(6)
        ]  # fmt: skip
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"corpora.table.path={folder}", "corpora.table.splits=official"]
    script("build_dataset").main(["corpus=table", *settings, f"output={tmp_path}/dataset", *store(tmp_path)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("mended", "note"))]
    each = f"(each in {tmp_path}/dataset/repairs.jsonl)"
    assert lines[0].startswith(f"note: {folder}: 3 files of other kinds are left out (2 .xlsx, 1 .pdf); .csv")
    assert lines[1].startswith(f"note: {folder}/dev.jsonl:4: 3 times a text comes again behind rows of others")
    assert lines[1].endswith(f"(and 2 more such, each in {tmp_path}/dataset/repairs.jsonl)")
    mended = f"mended 18: date … can't be read and was left out; write it as YYYY-MM-DD {each}"
    assert lines[2:] == [mended]
    monkeypatch.setattr("stance.commands.build_dataset.KINDS", 1)
    script("build_dataset").main(["corpus=table", *settings, f"output={tmp_path}/dataset", *store(tmp_path)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("mended", "note"))]
    assert lines[1:] == [f"note: 3 others {each}", mended]


def tiny_training(folder: Path, place: Workplace) -> list[str]:
    """Overrides that train a tiny random encoder, made in `folder`, in seconds."""
    return [
        f"model.name={tiny.folder('bert', folder / 'encoder')}",
        "model.max_passage_tokens=64",
        "training.epochs=1",
        "training.precision=fp32",
        f"dataset={place.dataset}",
        f"output={folder}/checkpoint",
        *store(folder),
    ]


@pytest.fixture(scope="module")
def small(built: Workplace, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder with a tiny checkpoint, and what scripts/train.py returned."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder, script("train").main(tiny_training(folder, built))


def test_train_returns_the_validation_score_of_its_checkpoint(small: tuple[Path, float]) -> None:
    folder, score = small
    facts = json.loads((folder / "checkpoint" / "checkpoint.json").read_text())
    assert score == facts["validation"]["macro_f1"]
    assert 0 <= score <= 1


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("training.warmup=2", "training.warmup=2.0: expected a share"),
        ("model.layout=foo", "model.layout=foo: expected"),
        ("training.lora.rank=10000000", r"training.lora.rank=10000000: expected at most \d+, the encoder"),
        ("training.initial=nowhere", "training.initial=nowhere: no such directory"),
        ("tracking.experiment=", "tracking.experiment=: expected a name of 1 to 500"),
        ("tracking.artifacts=", "tracking.artifacts=: is empty; expected a directory"),
        ("tracking.uri=sqlite:///", "tracking.uri=sqlite:///: names no file; expected sqlite:///FILE"),
        (f"tracking.experiment={'x' * 501}", "tracking.experiment=x+: expected a name of 1 to 500"),
    ],
)
def test_what_cannot_be_trained_leaves_no_run(built: Workplace, tmp_path: Path, setting: str, match: str) -> None:
    with pytest.raises(StanceError, match=match):
        script("train").main([*tiny_training(tmp_path, built), setting])
    assert not (tmp_path / "mlflow.db").exists()


def test_a_training_into_what_somebody_else_wrote_leaves_no_run(built: Workplace, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    for output, match in (
        (tmp_path / "taken", "holds files but no checkpoint.json"),
        (built.dataset / "checkpoint", rf"is read as part of {built.dataset}"),
    ):
        with pytest.raises(StanceError, match=match):
            script("train").main([*tiny_training(tmp_path, built), f"output={output}"])
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("name", ["bakeoff", "learning_curve", "sweep"])
def test_a_study_is_not_written_into_its_dataset(built: Workplace, name: str) -> None:
    output = built.dataset / ("curve.png" if name == "learning_curve" else "study")
    more = {"sweep": ["sweep=smoke"], "bakeoff": ["bakeoff=speed"]}.get(name, [])
    with pytest.raises(StanceError, match=rf"is read as part of {built.dataset}"):
        script(name).main([f"dataset={built.dataset}", f"output={output}", *more])


@pytest.mark.parametrize(
    ("text", "match"),
    [('{"id": "article-1"}\n', "not the finished parts of a study"), ("Dear diary,\n", "broken JSON"), ("", "empty")],
)
@pytest.mark.parametrize("name", ["bakeoff", "learning_curve"])
def test_a_study_beside_a_foreign_file_leaves_no_run(
    built: Workplace, tmp_path: Path, name: str, text: str, match: str
) -> None:
    memory = tmp_path / "memory.jsonl"
    memory.write_text(text)
    more = {
        "bakeoff": [f"output={memory}", "+bakeoff.contenders={a: []}"],
        "learning_curve": [f"output={memory.with_suffix('.png')}", "curve.articles=[99]"],
    }
    with pytest.raises(StanceError, match=rf"memory\.jsonl.*{match}"):
        script(name).main([*tiny_training(tmp_path, built), *more[name]])
    assert {path.name for path in tmp_path.iterdir()} <= {"memory.jsonl", "encoder"}
    assert memory.read_text() == text


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ([], "holds files but no manifest\\.json"),
        (["output={tmp}/new", "split.by=colour"], r"split\.by=colour"),
        (["output={tmp}/new", "leaks.part=2"], r"leaks\.part=2(\.0)?: expected a similarity above 0, up to 1"),
        (["output={tmp}/new", "corpora.stance_news.cap=-1"], r"corpora\.KEY\.cap=-1"),
    ],
)
def test_a_build_that_is_refused_leaves_no_run(tmp_path: Path, more: list[str], match: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear", "utf-8")
    settings = [setting.format(tmp=tmp_path) for setting in more] or [f"output={tmp_path}/mine"]
    with pytest.raises(StanceError, match=match):
        script("build_dataset").main([*settings, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"])
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


@pytest.mark.slow
def test_what_is_left_to_a_wide_encoder_is_no_setting_without_effect(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "WIDE", 8)
    script("train").main([*tiny_training(tmp_path, built), "training.lora.rank=2"])
    assert "no effect" not in capsys.readouterr().out


def warned(folder: Path) -> dict[str, str]:
    """The alerts of the only run of a store, by the names of their tags."""
    (tags,) = [run.data.tags for run in recorded(folder)]
    return {name.removeprefix("stance.alert_"): text for name, text in tags.items() if "alert_" in name}


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_store")
def test_what_the_trainings_of_a_learning_curve_warned_of_is_kept(built: Workplace, tmp_path: Path) -> None:
    output = tmp_path / "curve.png"
    settings = [*tiny_training(tmp_path, built), f"output={output}", "curve.articles=[99]", "curve.seeds=[1,2]"]
    script("learning_curve").main(settings)
    kept = [row for _, row in jsonl.read(output.with_suffix(".jsonl"))]
    told = [(row["seed"], name, text) for row in kept for name, text in row["alerts"].items()]
    assert {seed for seed, _, _ in told} == {1, 2}, "one epoch of a random encoder"
    number = kept[0]["articles"]
    found = {
        name: "; ".join(f"{number} articles, seed {seed}: {text}" for seed, other, text in told if other == name)
        for _, name, _ in told
    }
    assert warned(tmp_path) == found


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_store")
def test_what_the_trainings_of_a_review_warned_of_is_kept(tmp_path: Path) -> None:
    script("review").main(
        [
            f"corpora.stance_news.path={ROOT}/data/corpus", "corpora.stance_news.limit=14", "review.folds=2",
            f"output={tmp_path}/review.jsonl", f"model.name={tiny.folder('bert', tmp_path / 'encoder')}",
            "model.max_passage_tokens=64", "training.epochs=1", "training.precision=fp32", *store(tmp_path),
        ]
    )  # fmt: skip
    found = warned(tmp_path)
    assert found, "one epoch of a random encoder"
    assert {text[:7] for text in found.values()} <= {"fold 1:", "fold 2:"}


@pytest.mark.usefixtures("fresh_store")
def test_settings_without_effect_are_said(built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script("train").main([*tiny_training(tmp_path, built), "training.lora.alpha=3", "training.teacher_weight=0.2"])
    said = [line for line in capsys.readouterr().out.splitlines() if "no effect" in line]
    assert said == [
        "training.teacher_weight=0.2 has no effect without training.teacher",
        "training.lora.alpha=3.0 has no effect without training.lora.rank",
    ]


@pytest.mark.parametrize(
    ("name", "own", "more"),
    [
        ("bakeoff", "bakeoff.seeds", ["+bakeoff.contenders={a: []}", "tracking.experiment="]),
        ("learning_curve", "curve.seeds", ["curve.articles=[99]", "tracking.experiment="]),
        ("sweep", "sweep.seeds", ["sweep=smoke", "sweep.storage=gopher://burrow"]),
    ],
)
def test_a_study_says_which_given_settings_have_no_effect(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, own: str, more: list[str]
) -> None:
    output = tmp_path / ("study.png" if name == "learning_curve" else "study")
    given = ["training.lora.alpha=3", "training.teacher_weight=0.2", "training.seed=7"]
    with pytest.raises(StanceError, match=r"^(tracking\.experiment|sweep\.storage)="):  # after all was told
        script(name).main([*tiny_training(tmp_path, built), *given, f"output={output}", *more])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("training.")]
    assert [line for line in told if not line.endswith("sweep.space searches it")] == [
        "training.teacher_weight=0.2 has no effect without training.teacher",
        "training.lora.alpha=3.0 has no effect without training.lora.rank",
        f"training.seed=7 is not used: {own} are",
    ]


def test_a_setting_to_which_a_contender_gives_an_effect_has_one(
    built: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contenders = "+bakeoff.contenders={whole: [], adapters: ['training.lora.rank=2']}"
    more = [f"output={tmp_path}/study", "training.lora.alpha=3", contenders, "tracking.experiment="]
    with pytest.raises(StanceError, match=r"^tracking\.experiment="):
        script("bakeoff").main([*tiny_training(tmp_path, built), *more])
    assert "no effect" not in capsys.readouterr().out


def test_an_export_into_what_it_reads_is_refused(built: Workplace, small: tuple[Path, float]) -> None:
    settings = export_overrides(small[0], built)
    for read in (small[0] / "checkpoint", built.dataset):
        with pytest.raises(StanceError, match=rf"a: is read as part of {read}"):
            script("export").main([*settings, f"output={read}/a"])


def export_overrides(folder: Path, place: Workplace) -> list[str]:
    names = [f"dataset={place.dataset}", f"checkpoint={folder}/checkpoint", f"output={folder}/artifact"]
    return [*names, "export.max_label_changes=1", "register=false", *store(folder)]


def test_export_returns_the_folder_of_the_artifact_and_registers_only_when_asked(
    built: Workplace, small: tuple[Path, float]
) -> None:
    folder, _ = small
    left = folder / ".artifact.0123cdef"  # by an export that was killed
    (left / "hf").mkdir(parents=True)
    assert script("export").main(export_overrides(folder, built)) == folder / "artifact"
    assert not left.exists()
    run = json.loads((folder / "checkpoint" / "checkpoint.json").read_text())["train_run"]
    assert StancePredictor.load(folder / "artifact").metadata["checkpoint"]["train_run"] == run
    assert MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").search_registered_models() == []


def test_exporting_with_a_dataset_of_another_training_is_refused(
    built: Workplace, small: tuple[Path, float], tmp_path: Path
) -> None:
    shutil.copytree(small[0] / "checkpoint", tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dataset_sha256": "f" * 64}))
    with pytest.raises(StanceError, match=r"trained with dataset ffffffffffff, this one is .*other_dataset=true"):
        script("export").main(export_overrides(tmp_path, built))
    assert not (tmp_path / "artifact").exists()


@pytest.mark.usefixtures("fresh_store")
@pytest.mark.parametrize(
    ("split", "caution"),
    [("test", ""), pytest.param("validation", "these rows chose the epoch", marks=pytest.mark.slow)],
)
def test_evaluate_returns_the_macro_f1_of_its_report_and_warns_of_rows_that_chose_something(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str, caution: str
) -> None:
    report = tmp_path / "report.json"
    score = script("evaluate").main(
        [
            f"dataset={exported.dataset}",
            f"artifact={exported.artifact}",
            f"output={report}",
            f"evaluation.split={split}",
            "evaluation.resamples=100",
            *store(tmp_path),
        ]
    )
    found = json.loads(report.read_text())
    assert found["scores"]["model"]["macro_f1"][0] == score
    assert found["used_before"].startswith(caution)
    assert found["dataset_sha256"] == dataset.read_manifest(exported.dataset).sha256
    assert found["precision"] == "int8"
    printed = capsys.readouterr().out
    assert all(system in printed for system in found["scores"])
    assert ("scores and confidence will look too good" in printed) == bool(caution) == bool(found["used_before"])


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_store")
def test_evaluate_prints_its_scores_though_mlflow_is_away_when_it_keeps_them(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise MlflowException("no answer")

    monkeypatch.setattr(MlflowClient, "log_table", away)
    given = [f"dataset={exported.dataset}", f"artifact={exported.artifact}", f"output={tmp_path}/report.json"]
    with pytest.raises(StanceError, match="MLflow failed during the run: no answer"):
        script("evaluate").main([*given, "evaluation.resamples=100", *store(tmp_path)])
    assert "macro-F1 [95 %]" in capsys.readouterr().out
    assert (tmp_path / "report.json").is_file()


@pytest.mark.slow
def test_evaluate_scores_the_model_of_the_precision_that_is_asked_for(
    exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: dict[str, str] = {}
    monkeypatch.setattr(registry, "annotate", lambda name, digest, found: tags.update(found))
    read = [f"dataset={exported.dataset}", f"artifact={exported.artifact}", f"output={tmp_path}/report.json"]
    script("evaluate").main([*read, "precision=fp32", "evaluation.resamples=100", *store(tmp_path)])
    found = json.loads((tmp_path / "report.json").read_text())
    rows = dataset.load(exported.dataset)[0]["test"]
    int8, fp32 = (
        calibration.measures(Answers.to(rows, predictor.probabilities([row.pair() for row in rows])))["brier"]
        for predictor in (StancePredictor.load(exported.artifact, precision=name) for name in ("int8", "fp32"))
    )
    assert found["precision"] == "fp32"
    assert found["scores"]["model"]["brier"][0] == pytest.approx(fp32)
    assert fp32 != pytest.approx(int8)
    assert tags.keys() >= {"fp32_test_macro_f1", "fp32_test_rows"}
    assert not [name for name in tags if "int8" in name]


@pytest.mark.slow
def test_transfer_scores_the_model_of_the_precision_that_is_asked_for(exported: Workplace, tmp_path: Path) -> None:
    write_seesaw(tmp_path / "public" / "seesaw" / "SEESAW")
    config = TransferConfig(root=f"{tmp_path}/public", resamples=100)
    read = [f"artifact={exported.artifact}", f"transfer.root={config.root}", f"output={tmp_path}/transfer.json"]
    script("transfer").main([*read, "precision=fp32", "transfer.resamples=100", *store(tmp_path)])
    found = json.loads((tmp_path / "transfer.json").read_text())["seesaw-valid"]["scores"]["brier"]["value"]
    rows = transfer.load(config)
    int8, fp32 = (
        transfer.confidence(
            {name: predictor.probabilities([row.pair() for row in part]) for name, part in rows.items()},
            rows, config, predictor,
        )[0].measures["brier"].value
        for predictor in (StancePredictor.load(exported.artifact, precision=name) for name in ("int8", "fp32"))
    )  # fmt: skip
    assert found == pytest.approx(fp32)
    assert fp32 != pytest.approx(int8)


@pytest.mark.slow
def test_a_model_whose_ancestor_learned_from_another_dataset_is_doubted(
    built: Workplace, small: tuple[Path, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small[0] / "checkpoint", tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "ancestors": ["b" * 64]}))
    scored = [f"dataset={built.dataset}", f"artifact={tmp_path}/artifact", f"output={tmp_path}/report.json"]
    for name, overrides in (
        ("export", export_overrides(tmp_path, built)),
        ("evaluate", [*scored, "evaluation.resamples=100", *store(tmp_path)]),
    ):
        capsys.readouterr()
        script(name).main(overrides)
        told = "warning: an ancestor of the model learned from another dataset (bbbbbbbbbbbb, this one is "
        assert told in capsys.readouterr().err, name


@pytest.mark.usefixtures("fresh_store")
@pytest.mark.parametrize("name", ["export", pytest.param("evaluate", marks=pytest.mark.slow)])
def test_a_model_is_not_judged_by_a_dataset_it_was_not_trained_with(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    # Another seed moves training articles into the other splits.
    other = [
        f"corpora.stance_news.path={CORPUS}",
        "corpora.stance_news.limit=14",
        "corpora.stance_news.splits=none",
        "split.seed=8",
        f"output={tmp_path}/other",
    ]
    script("build_dataset").main([*other, *store(tmp_path)])
    source = f"checkpoint={exported.checkpoint}" if name == "export" else f"artifact={exported.artifact}"
    overrides = [f"dataset={tmp_path}/other", source, f"output={tmp_path}/output", *store(tmp_path)]
    with pytest.raises(StanceError, match="its rows may have been training rows; name the dataset of the training"):
        script(name).main(overrides)
    assert not (tmp_path / "output").exists()
    if name == "evaluate":
        capsys.readouterr()
        script(name).main([*overrides, "other_dataset=true", "evaluation.resamples=100"])
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: the model was")]
        assert line.endswith("its rows may have been training rows")


def test_evaluating_an_unknown_split_is_refused(exported: Workplace, tmp_path: Path) -> None:
    overrides = [f"dataset={exported.dataset}", f"artifact={exported.artifact}", "evaluation.split=dev"]
    with pytest.raises(StanceError, match=r"evaluation\.split=dev: unknown split; expected one of train, "):
        script("evaluate").main([*overrides, *store(tmp_path)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["train", "export", "evaluate"])
def test_a_missing_dataset_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"none/manifest\.json: missing; expected a dataset"):
        script(name).main([f"dataset={tmp_path}/none", *store(tmp_path)])
    assert list(tmp_path.iterdir()) == []


# predict


def requests(path: Path, rows: list[dict[str, Any]]) -> Path:
    jsonl.write(path, rows)
    return path


ROWS = [
    {"text": f"{actor} {verb} {target} on Monday.", "actor": actor, "target": target, "id": number}
    for number, (actor, verb, target) in enumerate(
        [
            ("Pakistan", "welcomed", "the plan"),
            ("Moscow", "rejected", "the ceasefire"),
            ("Pakistan", "welcomed", "the plan"),
            ("the union", "condemned", "the strike law that the ministry had proposed in spring"),
        ]
    )
]


def test_predict_answers_in_the_order_of_the_requests(exported: Workplace, tmp_path: Path) -> None:
    source = requests(tmp_path / "pairs.jsonl", ROWS)
    output = tmp_path / "answers.jsonl"
    # In fp32, since the scales of int8 depend on the rows of a batch.
    overrides = [f"artifact={exported.artifact}", f"input={source}", f"output={output}", "precision=fp32"]
    assert script("predict").main(overrides) == output
    answers = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [{key: row[key] for key in ROWS[0]} for row in answers] == ROWS
    predictor = StancePredictor.load(exported.artifact, precision="fp32")
    for answer in answers:
        expected = predictor.predict([Pair(answer["text"], answer["actor"], answer["target"])])[0]
        assert [answer[label] for label in LABELS] == pytest.approx(expected.probabilities, abs=1e-5)
        assert answer["stance"] == expected.stance.value
        assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-5)


def test_predict_does_not_write_over_what_it_reads(exported: Workplace, tmp_path: Path) -> None:
    source = requests(tmp_path / "pairs.jsonl", ROWS)
    before = source.read_text()
    artifact = f"artifact={exported.artifact}"
    for output in (source, exported.artifact / "stance.json"):
        with pytest.raises(StanceError, match="is read as part of"):
            script("predict").main([artifact, f"input={source}", f"output={output}"])
    assert source.read_text() == before


def test_scores_and_doubts_are_written_over_nothing_that_is_read(exported: Workplace, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    shutil.copy(ROOT / "data" / "corpus" / "part-01.jsonl", corpus)
    read = [f"artifact={exported.artifact}", *exported.tracking]
    parts = ["manifest.json", "README.md"]
    words, picture = tmp_path / "words.yaml", tmp_path / "curve.png"
    for path in (words, picture):
        path.write_text("mine")
    contender = f"+bakeoff.contenders={{other: ['dataset={exported.dataset}']}}"
    other = shutil.copytree(exported.dataset, tmp_path / "other")
    cases = [
        *(("evaluate", [*read, f"dataset={exported.dataset}"], exported.dataset / name) for name in parts),
        ("evaluate", [*read, f"dataset={exported.dataset}"], exported.artifact / "model.int8.onnx"),
        ("transfer", [*read, f"transfer.root={tmp_path}"], exported.artifact / "stance.json"),
        ("review", ["corpus=jsonl", f"corpora.jsonl.path={corpus}", *exported.tracking], corpus),
        ("review", ["training.deny=0.5", f"training.lexicon={words}", *exported.tracking], words),
        ("bakeoff", [contender, f"dataset={other}", *exported.tracking], exported.dataset / "README.md"),
        ("bakeoff", ["bakeoff=speed", f"dataset={exported.dataset}", f"training.lexicon={words}"], words),
        ("learning_curve", ["public=true", f"transfer.root={tmp_path}", *exported.tracking], picture),
    ]
    for name, settings, output in cases:
        before = output.read_bytes()
        with pytest.raises(StanceError, match="is read as part of"):
            script(name).main([*settings, f"output={output}"])
        assert output.read_bytes() == before


def test_a_full_disk_ends_in_one_line() -> None:
    with pytest.raises(OSError, match="No space") as full, open("/dev/full", "w") as file:  # noqa: PTH123
        file.write("x" * 100_000)
    assert errors.no_room(full.value).startswith("no space left on the disk (")
    assert errors.no_room(OSError(errno.EROFS, "Read-only file system", "outputs/a")) == (
        "outputs/a: a read-only file system; choose another output"
    )
    assert errors.no_room(FileNotFoundError(2, "No such file", "a")) == ""
    assert errors.no_room(RuntimeError("no such thing")) == ""
    with pytest.raises(RuntimeError) as torn:
        torch.save({"moments": torch.zeros(100_000)}, "/dev/full")
    assert errors.no_room(torn.value).startswith("no space left on the disk (")


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("output=2026_11_29", "output='2026_11_29'"), ("dataset=1e3", "dataset='1e3'"), ("output=007", "output='007'"),
        ("training.epochs=1_0", "training.epochs=1_0"), ("output=outputs/1", "output=outputs/1"),
        ("training.initial=12", "training.initial='12'"), ("nothing.at.all=1_0", "nothing.at.all=1_0"),
        ("output=.5", "output='.5'"), ("output=true", "output='true'"), ("dataset=-inf", "dataset='-inf'"),
        ("tracking.enabled=true", "tracking.enabled=true"), ("output=.hidden", "output=.hidden"),
    ],
)  # fmt: skip
def test_a_text_that_looks_like_a_number_stays_as_it_is_written(word: str, kept: str) -> None:
    assert usage.quoted(TrainJob, word) == kept
    if word.startswith("output"):
        assert script("train").main.compose([kept]).output == word.partition("=")[2]


def test_a_contender_s_text_that_looks_like_a_number_stays_as_it_is_written() -> None:
    job = override(TrainJob(), ["dataset=2026_11_29", "model.revision=0123456", "training.epochs=3"])
    assert (job.dataset, job.model.revision, job.training.epochs) == ("2026_11_29", "0123456", 3)


@pytest.mark.parametrize("value", ["größe", "outputs/größe", ["a b", "größe"], "plain/path-1.5"])
def test_what_a_sweep_writes_for_the_command_line_is_read_by_it(value: str | list[str]) -> None:
    key = "training.teacher" if isinstance(value, list) else "dataset"
    job = script("train").main.compose([f"{key}={usage.written(value)}"])
    assert (job.training.teacher if isinstance(value, list) else job.dataset) == value


def test_what_hydra_keeps_of_several_jobs_has_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["-m", "precision=int8,fp32", "artifact=none", "tracking.uri=http://me:HUSHHUSH@127.0.0.1:9/x"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *given])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        script("evaluate").main.cli()
    said = capsys.readouterr()
    kept = (tmp_path / "outputs" / "multirun" / "multirun.yaml").read_text("utf-8")
    assert "precision=int8,fp32" in kept or "int8" in kept
    assert "HUSHHUSH" not in kept + said.out + said.err


@pytest.mark.parametrize(("name", "key"), [("train", "dataset"), ("export", "checkpoint"), ("predict", "artifact")])
def test_an_empty_path_is_named_by_its_setting(name: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StanceError, match=rf"^{key}=: is empty; expected a value, such as outputs/"):
        script(name).main([f"{key}="])


def test_settings_of_corpora_are_known_for_texts_too() -> None:
    assert usage.quoted(BuildJob, "corpora.mine.path=1_0") == "corpora.mine.path='1_0'"
    assert usage.quoted(BuildJob, "corpora.mine.limit=1_0") == "corpora.mine.limit=1_0"


@pytest.mark.slow
def test_a_request_without_actor_ends_predict_with_its_line_and_code_2(exported: Workplace, tmp_path: Path) -> None:
    rows = [*ROWS, {"text": "Moscow rejected it.", "target": "it"}]
    source = requests(tmp_path / "pairs.jsonl", rows)
    (tmp_path / "answers.jsonl").write_text("of yesterday\n")
    done = run(
        "predict",
        f"artifact={exported.artifact}",
        f"input={source}",
        f"output={tmp_path}/answers.jsonl",
        cwd=tmp_path,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == f"error: {source}:5: 'actor' is missing; found the keys target, text; nothing was scored"
    assert (tmp_path / "answers.jsonl").read_text() == "of yesterday\n"


def test_predict_names_the_row_that_is_too_long_before_it_scores_any(exported: Workplace, tmp_path: Path) -> None:
    source = requests(tmp_path / "pairs.jsonl", [ROWS[0], {**ROWS[0], "target": "x" * 2001}])
    with pytest.raises(StanceError, match=r"pairs\.jsonl:2: name of 2,001 characters; .* nothing was scored"):
        script("predict").main([f"artifact={exported.artifact}", f"input={source}", f"output={tmp_path}/out.jsonl"])


def test_predict_never_overwrites_a_key_of_the_request(exported: Workplace, tmp_path: Path) -> None:
    source = requests(tmp_path / "pairs.jsonl", [{**ROWS[0], "stance": "support"}])
    with pytest.raises(StanceError, match=r"pairs\.jsonl:1: the answer would overwrite stance; rename"):
        script("predict").main([f"artifact={exported.artifact}", f"input={source}", f"output={tmp_path}/out.jsonl"])
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROWS[0], "note": ["\ud800"]}, r"pairs\.jsonl:1: has half a surrogate pair, which UTF-8 can't write"),
        ({**ROWS[0], "\ud800": 1}, r"pairs\.jsonl:1: has half a surrogate pair"),
    ],
)
def test_predict_refuses_what_it_could_not_write_again_before_it_works(
    exported: Workplace, tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(StanceError, match=message):
        script("predict").main(
            [f"artifact={exported.artifact}", f"input={tmp_path}/pairs.jsonl", f"output={tmp_path}/out.jsonl"]
        )


@pytest.mark.parametrize("name", ["predict", "evaluate", "transfer", "review", "weak_label", "bakeoff"])
def test_an_output_that_is_a_directory_is_refused_before_the_work(
    exported: Workplace, tmp_path: Path, name: str
) -> None:
    inputs = [] if name in ("review", "weak_label", "bakeoff") else [f"artifact={exported.artifact}"]
    inputs += [f"dataset={exported.dataset}"] if name in ("evaluate", "bakeoff") else []
    inputs += ["bakeoff=recipes"] if name == "bakeoff" else []
    inputs += exported.tracking if name != "predict" else []
    (tmp_path / "there").mkdir()
    for output, message in (
        (tmp_path / "there", r"there: is a directory; expected the name of a file to write"),
        (tmp_path / "file" / "out.json", r"out\.json: \S*file is a file, no directory"),
    ):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(StanceError, match=message):
            script(name).main([*inputs, f"output={output}"])


@pytest.mark.parametrize("name", ["train", "export", "build_dataset", "sweep", "bakeoff", "learning_curve", "predict"])
def test_an_output_that_cannot_be_made_is_refused_before_the_work(
    exported: Workplace, tmp_path: Path, name: str
) -> None:
    inputs = {
        "export": [f"checkpoint={exported.checkpoint}"],
        "build_dataset": [f"corpora.stance_news.path={ROOT}/data/corpus", "corpora.stance_news.limit=14"],
        "bakeoff": ["bakeoff=speed"],
        "predict": [f"artifact={exported.artifact}", f"input={exported.artifact}/stance.json"],
    }.get(name, [])
    inputs += [] if name in ("build_dataset", "predict") else [f"dataset={exported.dataset}"]
    inputs += [] if name == "predict" else store(tmp_path)
    output = Path("/sys/made.png" if name in ("bakeoff", "learning_curve", "predict") else "/proc/made")
    reason = r"(can't be made \((No such file or directory|Operation not permitted|Permission denied)\)|no permission)"
    with pytest.raises(StanceError, match=rf"^output={output.parent}/.*: {reason}.*; choose another output$"):
        script(name).main([*inputs, f"output={output}"])
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_made_ends_a_script_with_code_2_and_one_line(
    built: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tiny_training(tmp_path, built)  # writes an encoder, with a progress bar
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["train.py", *given, "output=/proc/made"])
    with pytest.raises(SystemExit, match="2"):
        script("train").main.cli()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: output=/proc/made: ")


def test_predict_says_what_of_long_texts_is_not_read(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"artifact={exported.artifact}", f"input={tmp_path}/pairs.jsonl", f"output={tmp_path}/out.jsonl"]
    requests(tmp_path / "pairs.jsonl", ROWS)
    script("predict").main(settings)
    assert "longer than the model reads" not in capsys.readouterr().out
    requests(tmp_path / "pairs.jsonl", [*ROWS, {**ROWS[0], "text": ROWS[0]["text"] + " So it went on." * 200}])
    script("predict").main(settings)
    assert "longer than the model reads: of 5 pairs: passage windowed 1 (20.0%)" in capsys.readouterr().out


def test_predict_says_how_many_places_cut_a_word(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"artifact={exported.artifact}", f"input={tmp_path}/pairs.jsonl", f"output={tmp_path}/out.jsonl"]
    text = "Café owners in Mali backed the plan."
    row = {"text": text, "actor": "Mali", "target": "the plan"}
    start = text.index("Mali")
    in_bytes = len(text[:start].encode())
    right, wrong = ({**row, "actor_span": [place, place + 4]} for place in (start, in_bytes))
    requests(tmp_path / "pairs.jsonl", [row, right])
    script("predict").main(settings)
    assert "inside a word" not in capsys.readouterr().out
    requests(tmp_path / "pairs.jsonl", [row, right, wrong])
    script("predict").main(settings)
    said = "1 of 2 places begin or end inside a word: offsets count characters, not bytes or UTF-16 units"
    assert said in capsys.readouterr().out.splitlines()


def test_predict_keeps_one_copy_of_a_passage(
    exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, predict = list[Pair](), StancePredictor.predict

    def noted(self: StancePredictor, pairs: list[Pair], **options: Any) -> Any:
        asked.extend(pairs)
        return predict(self, pairs, **options)

    monkeypatch.setattr(StancePredictor, "predict", noted)
    source = requests(tmp_path / "pairs.jsonl", [{**ROWS[0], "actor": actor} for actor in ("Pakistan", "Iran", "Oman")])
    script("predict").main([f"artifact={exported.artifact}", f"input={source}", f"output={tmp_path}/out.jsonl"])
    assert len({id(pair.text) for pair in asked}) == 1 < len(asked)


def test_no_script_reads_two_exports_as_one(
    exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = Path(shutil.copytree(exported.artifact, tmp_path / "artifact"))
    facts, load, threads = artifact / "stance.json", StancePredictor.load, list[int]()

    def meanwhile(*given: Any, **named: Any) -> StancePredictor:
        threads.append(named["threads"])
        found = load(*given, **named)
        facts.write_text(facts.read_text() + " ")
        return found

    monkeypatch.setattr(StancePredictor, "load", meanwhile)
    source = requests(tmp_path / "pairs.jsonl", ROWS)
    replaced = f"{artifact}: another export took its place while it was read; run this again"
    with pytest.raises(StanceError, match=re.escape(replaced)):
        script("predict").main([f"artifact={artifact}", f"input={source}", f"output={tmp_path}/out.jsonl", "threads=3"])
    (tmp_path / "report.json").write_text('{"scores": {}}')
    paths = {"dataset": exported.dataset, "artifact": artifact, "report": tmp_path / "report.json"}
    assert script("summary").main([f"--{name}={path}" for name, path in paths.items()]) == 2
    assert replaced in capsys.readouterr().err
    assert threads == [3, 0]


def test_predict_without_input_file_is_refused(exported: Workplace, tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"none\.jsonl: no such file; expected a JSON Lines file"):
        script("predict").main([f"artifact={exported.artifact}", f"input={tmp_path}/none.jsonl"])


def test_an_error_of_predict_is_text_and_short(exported: Workplace, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"te\x1b[31mxt": 1}) + "\n", "utf-8")
    done = run("predict", f"artifact={exported.artifact}", f"input={path}", cwd=tmp_path)
    assert done.returncode == 2
    assert "'text' is missing; found the keys te\ufffd[31mxt" in done.stderr
    assert "\x1b" not in done.stderr
    done = run("predict", f"artifact={exported.artifact}", f"input={path}", f"output={'a' * 300}", cwd=tmp_path)
    assert done.returncode == 2
    assert "a longer name than the file system takes; choose a shorter one" in done.stderr
    assert "Traceback" not in done.stderr


# More than one run


@pytest.mark.slow
def test_the_jobs_of_a_multirun_are_numbered_behind_a_name_with_dots(built: Workplace, tmp_path: Path) -> None:
    done = run("train", "-m", "training.seed=3", *tiny_training(tmp_path, built), f"output={tmp_path}/minilm-v1.5",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "minilm-v1.5-0" / "checkpoint.json").is_file()


@pytest.mark.slow
def test_multirun_trains_once_for_each_seed(built: Workplace, tmp_path: Path) -> None:
    done = run("train", "-m", "training.seed=1,2", *tiny_training(tmp_path, built), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = [json.loads((tmp_path / f"checkpoint-{n}" / "checkpoint.json").read_text()) for n in (0, 1)]
    assert [fact["training"]["seed"] for fact in facts] == [1, 2]
    runs = recorded(tmp_path)
    assert sorted(run.data.params["training.seed"] for run in runs) == ["1", "2"]
    assert {run.info.run_name for run in runs} == {f"train {tmp_path}/checkpoint-{n}" for n in (0, 1)}
    assert {run.info.run_id for run in runs} == {fact["train_run"] for fact in facts}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_several_trainings_are_refused_where_a_later_one_was_interrupted(
    built: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for left in ("other-1", "checkpoint-old", "checkpoint-0", "checkpoint-1"):
        (tmp_path / f"{left}.partial" / "checkpoint-5").mkdir(parents=True)
        if left != "checkpoint-0":  # killed while it was cleared away: nothing in it is gone on with
            (tmp_path / f"{left}.partial" / "job.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "training.seed=1,2", *tiny_training(tmp_path, built)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        script("train").main.cli()
    assert "checkpoint-1.partial: an interrupted training of several; resume=auto" in capsys.readouterr().err
    assert not (tmp_path / "checkpoint-0").exists()


def recorded(folder: Path) -> list[Any]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("stance")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


@pytest.mark.slow
def test_a_terminated_script_leaves_a_killed_run_and_no_checkpoint(built: Workplace, tmp_path: Path) -> None:
    settings = [*tiny_training(tmp_path, built), "training.epochs=10000", "training.early_stopping=0"]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *settings]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("checkpoint.partial/checkpoint-*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):  # launchers send several
            process.send_signal(number)
            time.sleep(0.02)
        assert process.wait(60) == 143
    finally:
        process.kill()
        process.wait()
    (run,) = recorded(tmp_path)
    assert run.info.status == "KILLED"
    assert run.data.tags["stance.error"].startswith("SystemExit")
    assert not (tmp_path / "checkpoint").exists()


# What a person reads at the end


def test_columns_are_aligned() -> None:
    text = show.columns([["split", "n"], ["train", "7"], ["a", "1234"]])
    assert text.splitlines() == ["split  n", "train  7", "a      1234"]


def test_the_summary_shows_counts_intervals_and_triples(capsys: pytest.CaptureFixture[str]) -> None:
    splits = ("train", "validation", "test")
    manifest = Manifest(
        name="toy-news",
        sha256="ab" * 32,
        articles=dict.fromkeys(splits, 3),
        rows={"train": 611, "validation": 52, "test": 53},
        labels={split: {"oppose": 11, "neutral": 22, "support": 33} for split in splits},
        provenance={split: {} for split in splits},
        dropped={},
    )
    values = {"macro_f1": [0.5, 0.4, 0.6], "accuracy": [0.7, 0.6, 0.8], "mcc": [-0.1, -0.2, 0.3],
              "calibration_error": [0.02, 0.01, 0.03], "overconfidence": [0.01, -0.01, 0.02],
              "brier": [0.31, 0.29, 0.33], "aurc": [0.08, 0.07, 0.09]}  # fmt: skip
    scores = dict.fromkeys(("model", "majority"), values)
    report = {"scores": scores, "pairs": 53, "split": "test", "articles": 3, "precision": "int8"}
    article = Article("fresh", "Pakistan welcomed the plan. It rained.")
    triple = Triple("fresh", Mention("Pakistan", 0, 8), Mention("the plan", 18, 26), Stance.SUPPORT, 0.912, ((0, 27),))
    show.summary(manifest, report, [triple], article, artifact=Path("outputs/artifact"), source=Path("fresh.txt"))
    printed = capsys.readouterr().out
    for part in ("toy-news", "611", "majority", "0.500 [0.400, 0.600]", "-0.100 [-0.200, 0.300]",
                 "53 test pairs of 3 articles, int8", "ECE [95 %]",
                 "0.310 [0.290, 0.330]", "0.080 [0.070, 0.090]"):  # fmt: skip
        assert part in printed
    for part in ("Pakistan", "support", "the plan", "0.91", "Pakistan welcomed the plan.", "outputs/artifact"):
        assert part in printed
    assert "mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db" in printed


@pytest.mark.parametrize("changed", ["", "dataset_sha256", "export_run"])
def test_the_summary_shows_what_belongs_together(
    exported: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: str
) -> None:
    facts = {
        "dataset_sha256": dataset.read_manifest(exported.dataset).sha256,
        "export_run": StancePredictor.load(exported.artifact).metadata["export_run"],
        "precision": "fp32",
    }
    report = {
        "scores": {},
        "pairs": 0,
        "split": "test",
        "articles": 0,
        **facts,
        **({changed: "f" * 32} if changed else {}),
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    text = (ROOT / "data" / "examples" / "article.txt").read_text("utf-8")
    (tmp_path / "article.txt").write_text(text, "utf-8-sig")  # as an editor of Windows saves it
    paths = {"dataset": exported.dataset, "artifact": exported.artifact, "report": tmp_path / "report.json",
             "article": tmp_path / "article.txt"}  # fmt: skip
    code = script("summary").main([f"--{name}={path}" for name, path in paths.items()])
    printed = capsys.readouterr()
    assert "\ufeff" not in printed.out
    if changed:
        assert printed.err.startswith(f"error: {tmp_path}/report.json: {changed} is '{'f' * 32}', of {exported.root}/")
        assert code == 2
    else:
        assert "0 test pairs of 0 articles, fp32" in printed.out
        assert "What the model reads from" in printed.out
        assert code == 0


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("article", b"caf\xe9", r"article\.txt: not UTF-8 \(byte 0xe9\); save it as UTF-8"),
        ("article", b" \n", r"article\.txt: no text in it; expected an article"),
        ("report", b"{a", r"report\.txt: not valid JSON .*; run scripts/evaluate\.py again"),
        ("report", b'{"scores": 3}', r"report\.txt: no scores in it; expected a report by scripts/evaluate\.py"),
        ("report", b'{"scores": {"model": 3}}', r"report\.txt: no scores in it; expected a report"),
        ("article", None, r"article\.txt: no such file; expected an article"),
        ("numbers", 3, r"report\.txt: no report by scripts/evaluate\.py \(TypeError"),
    ],
)
def test_the_summary_names_the_file_that_it_cannot_read(
    exported: Workplace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: Any,
    match: str,
) -> None:
    facts = {
        "dataset_sha256": dataset.read_manifest(exported.dataset).sha256,
        "export_run": StancePredictor.load(exported.artifact).metadata["export_run"],
    }
    (tmp_path / "report.txt").write_text(json.dumps({"scores": {}, **facts}))
    if name == "numbers":
        (tmp_path / "article.txt").write_text("Iran backed the plan.")
        (tmp_path / "report.txt").write_text(json.dumps({"scores": {"model": {"macro_f1": content}}, **facts}))
    elif content is not None:
        (tmp_path / f"{name}.txt").write_bytes(content)
    paths = {"dataset": exported.dataset, "artifact": exported.artifact, "report": tmp_path / "report.txt",
             "article": tmp_path / "article.txt"}  # fmt: skip
    assert script("summary").main([f"--{key}={path}" for key, path in paths.items()]) == 2
    assert re.search(match, capsys.readouterr().err)


def test_the_summary_of_an_article_without_stances_still_prints(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Manifest("toy", "cd" * 32, {}, dict.fromkeys(("train", "validation", "test"), 0),
                        {"train": {}, "validation": {}, "test": {}}, {}, {})  # fmt: skip
    measures = ("macro_f1", "accuracy", "mcc", "calibration_error", "overconfidence", "brier", "aurc")
    one = {"model": {name: [0.5, None, None] for name in measures}}  # of one article, which has no interval
    for scores in ({}, one):
        report = {"scores": scores, "pairs": 0, "split": "test", "articles": 0, "precision": "int8"}
        show.summary(manifest, report, [], Article("a", "Rain."), artifact=Path("x"), source=Path("rain.txt"))
        assert "rain.txt" in (printed := capsys.readouterr().out)
    assert "0.500 [nan, nan]" in printed


def test_the_summary_prints_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Manifest("toy\x1b[31m", "cd" * 32, {}, dict.fromkeys(("train", "validation", "test"), 0),
                        {"train": {}, "validation": {}, "test": {}}, {}, {})  # fmt: skip
    report = {"scores": {}, "pairs": 0, "split": "te\x1b]0;st", "articles": 0, "precision": "int8"}
    odd = Path("x\x1b[2J\u202e")
    show.summary(manifest, report, [], Article("a", "Rain."), artifact=odd, source=odd)
    assert not set("\x1b\u202e") & set(capsys.readouterr().out)


def test_the_summary_on_a_terminal_without_all_letters_replaces_them(
    exported: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {
        "dataset_sha256": dataset.read_manifest(exported.dataset).sha256,
        "export_run": StancePredictor.load(exported.artifact).metadata["export_run"],
    }
    report = {"scores": {}, "pairs": 0, "split": "tést", "articles": 0, "precision": "fp32", **facts}
    (tmp_path / "report.json").write_text(json.dumps(report))
    paths = {"dataset": exported.dataset, "artifact": exported.artifact, "report": tmp_path / "report.json",
             "article": ROOT / "data" / "examples" / "article.txt"}  # fmt: skip
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert script("summary").main([f"--{name}={path}" for name, path in paths.items()]) == 0
    terminal.flush()
    assert b"0 t?st pairs" in terminal.buffer.getvalue()
    assert capsys.readouterr().err == ""
