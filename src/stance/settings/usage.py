"""Settings as a person reads and types them: keys, texts and defaults, and values as a command line wants them."""

import ast
import dataclasses
import difflib
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stance.errors import StanceError

KEY = "KEY"
"""Stands in a help text for a name that the person who types chooses."""
FLAGS = {"--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--info", "-i",
         "--shell-completion", "-sc"}  # fmt: skip
WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
              "--experimental-rerun"}  # fmt: skip
ALONE = {"--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}
"""Options of a command line, all of them Hydra's; those with a value take the next word where none is joined by `=`,
and of the last few there can be one."""
_NO_TEXT = re.compile(
    r"[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?|[+-]?(?:inf|nan)|true|false", re.IGNORECASE
)  # what Hydra reads as a number or a truth value


def arranged(words: Sequence[str]) -> list[str]:
    """The words of a command line with options first, as Hydra's parser wants them: `-m` may stand anywhere.

    Raises:
        StanceError: an option that there is none, or two that exclude each other.
    """
    options, rest, left = list[str](), list[str](), list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            rest.append(word)
            continue
        name = word.partition("=")[0]
        if name not in FLAGS | WITH_VALUE:
            raise StanceError(f"{word}: no such option; settings are typed as KEY=VALUE, and --help lists them")
        options.append(word)
        if word in WITH_VALUE:
            options += left[:1]
            del left[:1]
        elif word in ("--info", "-i"):  # its value may be left out, and would be the first setting then
            options[-1] = f"--info={left.pop(0) if left and left[0].isidentifier() else 'all'}"
    apart = list(dict.fromkeys(word for word in options if word.partition("=")[0] in ALONE))
    if len(apart) > 1:
        raise StanceError(f"{' and '.join(apart)} don't go together; take one of them")
    return options + rest


def quoted(job: type[Any], word: str) -> str:
    """The word with its value in quotes where a text is wanted and Hydra reads something else: `output=2026_11_29`."""
    key, _, value = word.partition("=")
    return f"{key}='{value}'" if _NO_TEXT.fullmatch(value) and _kind(job, key.lstrip("+").split(".")) is str else word


def _kind(job: Any, path: Sequence[str]) -> Any:
    """The type of the setting under a dotted key; None where there is none."""
    for part in path:
        many = next((kind for kind in typing.get_args(job) if dataclasses.is_dataclass(kind)), None)
        known = {field.name: field.type for field in dataclasses.fields(job)} if dataclasses.is_dataclass(job) else {}
        job = many or known.get(part)
    return job


def settings(job: type[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`key=default` and the text of every setting of a job, nested ones with dotted keys.

    Settings that there are once for each of several things have `KEY` in their key; before them comes what that is.
    """
    texts = field_docs(job)
    for field in dataclasses.fields(job):
        key = f"{prefix}{field.name}"
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        many = next((a for a in typing.get_args(field.type) if dataclasses.is_dataclass(a)), None)
        if dataclasses.is_dataclass(default):
            yield from settings(type(default), f"{key}.")
        elif isinstance(many, type):
            yield f"{key}.{KEY}", texts.get(field.name, "")
            yield from settings(many, f"{key}.{KEY}.")
        else:
            yield f"{key}={written(default)}", texts.get(field.name, "")


def field_docs(job: type[Any]) -> dict[str, str]:
    """The docstring under each field of a dataclass, inherited ones too; the one of a subclass counts."""
    docs: dict[str, str] = {}
    for kind in filter(dataclasses.is_dataclass, reversed(job.__mro__)):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for statement, following in itertools.pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs


def written(value: Any) -> str:
    """A value as Hydra's command line reads it."""
    if isinstance(value, list):
        return f"[{','.join(written(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{written(item)}' for key, item in value.items())}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return repr(value)
    plain = re.fullmatch(r"[A-Za-z_/.][\w./@+:-]*", value, re.ASCII)  # Hydra's words have no other letters
    if plain and value.lower() != "null" and not _NO_TEXT.fullmatch(value):
        return value
    # Inside quotes a backslash stands for itself, unless a quote follows it.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def at_home(value: Any) -> Any:
    """The same with `~/` as the home, also of a SQLite file: a value in a file, or in quotes, was seen by no shell."""
    if isinstance(value, str):
        value = re.sub(r"^(sqlite(?:\+\w+)?:///)~/", lambda found: f"{found[1]}{Path.home()}/", value)
        return str(Path(value).expanduser()) if value.startswith("~/") else value
    if isinstance(value, list):
        return [at_home(item) for item in value]
    if isinstance(value, dict):
        return {key: at_home(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: at_home(getattr(value, name)) for name in names})
    return value


def check_settings(job: Any) -> None:
    """Refuse settings that a job does not have, and an empty text for a file, a directory or a choice.

    Raises:
        StanceError: `+KEY=VALUE` added one; or a text is empty, as where a shell variable is not set.
    """
    _check_known(job, "")
    for field in dataclasses.fields(job):
        if isinstance(field.default, str) and field.default and getattr(job, field.name) == "":
            raise StanceError(f"{field.name}=: is empty; expected a value, such as {field.default}")


def _check_known(job: Any, prefix: str) -> None:
    """Refuse what `+KEY=VALUE` adds to a job: OmegaConf keeps it as an attribute that nobody reads."""
    names = [field.name for field in dataclasses.fields(job)]
    for key, value in vars(job).items():
        if key not in names:
            raise StanceError(unknown(f"{prefix}{key}", names))
        for name, inner in value.items() if isinstance(value, dict) else [("", value)]:
            if dataclasses.is_dataclass(inner):
                _check_known(inner, ".".join(part for part in (f"{prefix}{key}", str(name)) if part) + ".")


def unknown(full_key: str, names: Sequence[str]) -> str:
    """What is said of a setting that there is none."""
    key = full_key.rpartition(".")[2]
    close = difflib.get_close_matches(key, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{full_key}: unknown setting {key!r}; expected one of {', '.join(names)}{hint}"
