"""Hydra at the rim: command line and YAML in, a typed job out. The only module that imports hydra.

A script is `main = Script(__file__, job=TrainJob)`: `main(["training.epochs=1"])` runs
`stance.commands.train` from Python and returns what its `run` returns; `main.cli()` is the command line with `--help`,
`-m` and one-line errors. A command is imported once its settings are known to be sound, since its libraries take
seconds. Processes may be many (`torchrun`, `accelerate launch`) and, with `-m hydra/launcher=submitit_slurm`, run
elsewhere.
"""

import ast
import dataclasses
import gc
import importlib
import os
import re
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stance import launch
from stance.errors import StanceError, hidden, install, no_room, printable, replace_unprintable
from stance.settings import usage
from stance.training import multirun

Job = TypeVar("Job")
USAGE_ERROR = 2
ONLY_PRINT = {"--help", "-h", "--cfg", "-c", "--info", "-i", "--version", "--hydra-help", "--shell-completion", "-sc"}
"""Arguments of a command line, ours and Hydra's, with which a script prints something and does nothing else."""
CONFIGURATION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError)
_SEVERAL = re.compile(r": (bool|float|int|list|str) is not a subclass of")


class Script(Generic[Job]):
    """A command with its configuration: callable from Python, and a command line.

    Args:
        file: the script, `scripts/NAME.py`; `conf/NAME.yaml` beside its folder is its primary configuration, and
            `run` of `stance.commands.NAME` does the work.
        job: the dataclass of its settings.
        examples: lines of the help text that show how it is used.
        several: a setting with values that are worth a run each, which shows in the help text what `-m` is for.
        many: whether several processes can share the work; `run` is then called in each.
    """

    def __init__(
        self,
        file: str,
        *,
        job: type[Job],
        examples: Sequence[str] = (),
        several: str = "",
        many: bool = False,
    ) -> None:
        self.file = Path(file).resolve()
        self.conf, self.name = self.file.parents[1] / "conf", self.file.stem
        self.job, self.examples, self.several, self.many = job, examples, several, many
        ConfigStore.instance().store(name=f"{self.name}_schema", node=job)

    def __call__(self, overrides: Sequence[str] = ()) -> Any:
        """Compose the configuration with `overrides` and run.

        Raises:
            StanceError: an override has no meaning, or the job can't be done.
        """
        job = self.compose(overrides)
        return self._command()(job)

    def compose(self, overrides: Sequence[str] = ()) -> Job:
        """The typed job that the YAML and `overrides` make."""
        try:
            with hydra.initialize_config_dir(str(self.conf), version_base="1.3"):
                return self._typed(hydra.compose(self.name, self._chosen(overrides)))
        except CONFIGURATION_ERRORS as error:
            raise StanceError(explain(error)) from error

    def cli(self) -> None:
        """Run from the command line and exit: 0, or 2 after one line about a user's mistake."""
        replace_unprintable()
        # Beside the script, evaluate.py would hide the package `evaluate`.
        sys.path[:] = [place for place in sys.path if Path(place).resolve() != self.file.parent]
        if ONLY_PRINT & {argument.partition("=")[0] for argument in sys.argv[1:]}:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` may have seen enough
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(self.help())
            sys.exit(0)
        # Makes Hydra raise instead of printing a message of its own; `explain` says it in one line.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        # PyTorch, which comes later, spins where it waits: eighteen times slower beside another busy program.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        if not launch.rank():
            signal.signal(signal.SIGTERM, _end)
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
                signal.signal(signal.SIGHUP, _end)  # its terminal was closed
        if launch.processes() > 1 and not self.many:
            _exit(f"scripts/{self.name}.py works in one process; start it with python, without torchrun or accelerate")
        decorated = hydra.main(version_base="1.3", config_path=str(self.conf), config_name=self.name)
        try:
            sys.argv[1:] = self._chosen(usage.arranged(sys.argv[1:]))
            decorated(self._task)()
        except CONFIGURATION_ERRORS as error:
            _exit(explain(error))
        except StanceError as error:  # of a job that ran elsewhere
            _exit(str(error))
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            launch.let_first_speak()
            if said := launch.told_by_submitit(error):
                _exit(said)
            raise
        launch.leave()

    def help(self) -> str:
        """What the script does, the groups to choose from, every setting with its default, and examples."""
        lines = [
            self._purpose(),
            "",
            f"usage: python scripts/{self.name}.py {'[-m] ' if self.several else ''}[KEY=VALUE ...]",
        ]
        groups = [
            f"  {folder.name}={'|'.join(sorted(f.stem for f in folder.glob('*.yaml')))}"
            for folder in sorted(self.conf.iterdir())
            if (folder.is_dir() and f"/{folder.name}:" in self._primary()) or f"- {folder.name}:" in self._primary()
        ]
        if groups:
            lines += ["", "groups (a YAML file of settings each, in conf/):", *groups]
        lines += ["", "settings with their defaults:"]
        lines += [f"  {setting}\n      {text}" for setting, text in usage.settings(self.job)]
        lines += ["", "--cfg job   print the composed configuration and stop"]
        if self.several:
            lines += [f"-m          run once for each value of a list, as in {self.several}"]
        if self.examples:
            lines += ["", "examples:", *(f"  {line}" for line in self.examples)]
        return "\n".join(lines)

    def _chosen(self, words: Sequence[str]) -> list[str]:
        """The words without `GROUP=null` where none is the default, as conf/ writes it; Hydra would not take it."""
        kept, primary = list[str](), self._primary()
        for word in words:
            group, given, choice = word.partition("=")
            if given and choice.strip() in ("null", "") and group.isidentifier() and f"- {group}:" in primary:
                if f"- {group}: null" in primary:
                    continue
                names = sorted(file.stem for file in (self.conf / group).glob("*.yaml"))
                raise StanceError(f"{word}: expected one of {', '.join(names)}")
            kept.append(usage.quoted(self.job, word))
        return kept

    def _command(self) -> Callable[[Job], Any]:
        """What does the work; its module and the libraries of that are imported here."""
        run: Callable[[Job], Any] = importlib.import_module(f"stance.commands.{self.name}").run
        return run

    def _purpose(self) -> str:
        """The docstring of the command, which is read and not imported, but for what the function returns."""
        source = Path(__file__).with_name("commands") / f"{self.name}.py"
        body = ast.parse(source.read_text("utf-8")).body
        texts = (ast.get_docstring(f) for f in body if isinstance(f, ast.FunctionDef) and f.name == "run")
        return (next(texts) or "").partition("\n\nReturns:")[0]

    def _primary(self) -> str:
        return (self.conf / f"{self.name}.yaml").read_text("utf-8")

    def _task(self, config: DictConfig) -> float | str | None:
        many = HydraConfig.get().mode == RunMode.MULTIRUN
        if many:
            _without_passwords(Path(HydraConfig.get().sweep.dir) / "multirun.yaml")
        elsewhere = many and "submitit" in HydraConfig.get().launcher._target_
        try:
            if elsewhere:
                launch.join_slurm()
                if launch.processes() > 1 and not self.many:
                    raise StanceError(
                        f"scripts/{self.name}.py works in one process, here are {launch.processes()}; set "
                        "hydra.launcher.nodes=1 and hydra.launcher.tasks_per_node=1"
                    )
            job = self._typed(config)
            output = getattr(job, "output", None)
            if many and output:
                suffixed, number = bool(Path(str(getattr(self.job, "output", ""))).suffix), HydraConfig.get().job.num
                if not number and not elsewhere and getattr(job, "resume", "") == "stop":
                    multirun.check_left(Path(output))
                setattr(job, "output", str(multirun.numbered(Path(output), number, suffixed=suffixed)))  # noqa: B010
            if launch.rank():
                launch.stay_quiet()
            run = self._command()
            if many:
                gc.collect()  # what the job before left in circles, a model perhaps, must not be frozen
            gc.freeze()  # what was imported: each collection of a training would look through it, the last for seconds
            result = run(job)
        except Exception as error:
            if not (said := _said(error)):
                raise
            if elsewhere:  # goes back to the process that submitted the job
                raise StanceError(said) from error
            _exit(said)
        return result if isinstance(result, float | str) else None

    def _typed(self, config: DictConfig) -> Job:
        job = OmegaConf.to_object(config)
        if not isinstance(job, self.job):
            raise StanceError(f"{self.conf / self.name}.yaml: its defaults must begin with {self.name}_schema")
        usage.check_settings(job)
        return typing.cast(Job, usage.at_home(job))


def _without_passwords(kept: Path) -> None:
    """Take the passwords out of what Hydra has kept of the configuration of several jobs."""
    text = kept.read_text("utf-8") if kept.is_file() else ""
    if text != hidden(text):
        kept.write_text(hidden(text), "utf-8")


def _end(number: int, _: Any) -> None:
    """Leave as after an error, so that runs are ended. Further signals would end that halfway; launchers send two."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _said(error: Exception) -> str:
    """What a user is told of an error that he can do something about; empty for a bug."""
    if isinstance(error, StanceError):
        return str(error)
    if isinstance(error, PermissionError):
        return f"{error.filename}: no permission to write or read it ({error.strerror}); choose another path"
    return no_room(error)


def override(job: Job, overrides: Sequence[str]) -> Job:
    """A copy of a job with settings given as `key=value`, as on a command line.

    Raises:
        StanceError: a key that the job does not have, or a value of another type.
    """
    try:
        words = [usage.quoted(type(job), word) for word in overrides]
        changed = OmegaConf.merge(OmegaConf.structured(job), OmegaConf.from_dotlist(words))
        return typing.cast(Job, usage.at_home(OmegaConf.to_object(changed)))
    except CONFIGURATION_ERRORS as error:
        raise StanceError(explain(error)) from error


def explain(error: BaseException) -> str:
    """One line about a mistake in the configuration, with the key and the choices where Hydra knows them."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    added = re.findall(r"merging override \+*([^\s=]+)=", str(error))  # what is added to a dict has only its own key
    for link in chain:
        kind = getattr(link, "object_type", None)
        key, full_key = getattr(link, "key", None), getattr(link, "full_key", None)
        if isinstance(link, OmegaConfBaseException) and full_key:
            full_key = next((k for k in added if k.endswith(f".{full_key}")), full_key)
            first = str(link.msg or link).splitlines()[0].rstrip(".")
            if dataclasses.is_dataclass(kind) and key not in (names := [f.name for f in dataclasses.fields(kind)]):
                return usage.unknown(full_key, names)
            return f"{full_key}: {_wanted(full_key, first) or first}"
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if _SEVERAL.search(text):
        return "holds several settings; set each by its name, KEY.NAME=VALUE (--help lists them)"
    if isinstance(error, OverrideParseException):
        text = f"{error.override}: {text}; a value with special characters needs quotes: 'KEY=\"VALUE\"'"
    text = re.sub(r"\s*Config search path:.*|\s*Set the environment variable.*", "", text)
    return hidden(text) + (f"; {install('slurm')}" if "hydra/launcher/submitit" in text else "")


def _wanted(key: str, told: str) -> str:
    """What to write instead of a setting of which OmegaConf tells this; empty where nothing better is known."""
    group, _, name = key.partition(".")
    if "is not a ListConfig" in told:
        return f"expected a list, as in {key}=[VALUE]"
    if _SEVERAL.search(told):
        return f"holds several settings; set each by its name, {key}.NAME=VALUE (--help lists them)"
    if group == "corpora" and name.isidentifier() and "is not in struct" in told:
        return f"no such corpus is chosen; choose it with corpus={name}, or corpus=[{name},…] for several"
    return f"{told}; to add it write +{key}=VALUE" if "is not in struct" in told else ""


def _exit(message: str) -> None:
    launch.let_first_speak()
    print(f"error: {printable(hidden(message))}", file=sys.stderr)
    sys.exit(USAGE_ERROR)
