"""The search space of a sweep: which settings of `model.*` and `training.*` vary, and over which values.

It comes as data (YAML), is checked here against the settings' own types, and leaves as Optuna's distributions.
Knows nothing of studies or trials but how to draw from one.
"""

import dataclasses
import difflib
import math
import operator
import types
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from stance.errors import StanceError
from stance.settings.training import ModelConfig, TrainingConfig
from stance.training.resume import FREE

Space = Mapping[str, BaseDistribution]
"""Distributions by dotted key."""

NUMBERS = {"float": FloatDistribution, "int": IntDistribution}
ENTRIES = {
    "float": ("type", "low", "high", "log", "step"),
    "int": ("type", "low", "high", "log", "step"),
    "categorical": ("type", "choices"),
}
MOST_COMBINATIONS = 100_000
"""Of a grid."""
# Settings that a sweep sets by itself.
OWN = {"training.seed": "a trial trains a model for each of sweep.seeds"}


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a training is told."""

    model: ModelConfig
    training: TrainingConfig


def keys(kind: Any = Settings, prefix: str = "") -> dict[str, Any]:
    """The type of every setting by its dotted key."""
    found: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(kind).items():
        key = f"{prefix}{name}"
        found |= keys(hint, f"{key}.") if dataclasses.is_dataclass(hint) else {key: hint}
    return found


def values(settings: Settings) -> dict[str, Any]:
    """Every setting by its dotted key, but for those that a sweep sets by itself."""
    return {key: operator.attrgetter(key)(settings) for key in keys() if key not in OWN}


def overruled(settings: Settings, elsewhere: Iterable[str]) -> dict[str, Any]:
    """Those of the keys set `elsewhere`, as by a search, that were given another value than their default in vain."""
    given, default = values(settings), values(Settings(ModelConfig(), TrainingConfig()))
    return {key: given[key] for key in elsewhere if key in given and given[key] != default[key]}


def changed(settings: Settings, drawn: Mapping[str, Any]) -> Settings:
    """`settings` with other values at some dotted keys."""
    for key, value in drawn.items():
        settings = _replaced(settings, key.split("."), value)
    return settings


def _replaced(config: Any, path: Sequence[str], value: Any) -> Any:
    head, *rest = path
    return dataclasses.replace(config, **{head: _replaced(getattr(config, head), rest, value) if rest else value})


def parse(tree: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """The distributions that `sweep.space` describes, by dotted key in alphabetical order.

    Args:
        tree: nested (or dotted) keys down to `{type: float|int, low, high, log, step}` or
            `{type: categorical, choices}`.

    Raises:
        StanceError: there is no such setting, it takes other values, or a range is none.
    """
    kinds = keys()
    found: dict[str, BaseDistribution] = {}
    for key, entry in _leaves(tree, kinds):
        where = f"sweep.space.{key}"
        if key not in kinds:
            (near,) = difflib.get_close_matches(key, kinds, n=1, cutoff=0)
            raise StanceError(f"{where}: there is no setting {key}; the nearest one is {near}")
        if why := OWN.get(key) or ("it changes no weight" if key in FREE else ""):
            raise StanceError(f"{where}: not searched, since {why}; take it out")
        if typing.get_origin(kinds[key]) not in (None, typing.Union, types.UnionType):
            raise StanceError(f"{where}: holds a collection; only single values can be searched, take it out")
        if not isinstance(entry, Mapping):
            raise StanceError(f"{where}={entry}: expected {{type: float|int|categorical, ...}}")
        if key in found:
            raise StanceError(f"{where}: stands twice, with dots and nested; keep one of the two")
        found[key] = _distribution(where, entry, kinds[key])
    if not found:
        raise StanceError("sweep.space is empty: name settings of model.* or training.* to search, as conf/sweep/ does")
    return dict(sorted(found.items()))


def _leaves(tree: Mapping[str, Any], kinds: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, entry in tree.items():
        key = f"{prefix}{name}"
        group = any(known.startswith(f"{key}.") for known in kinds)
        misspelt = isinstance(entry, Mapping) and entry and all(isinstance(inner, Mapping) for inner in entry.values())
        if isinstance(entry, Mapping) and (group or misspelt):
            yield from _leaves(entry, kinds, f"{key}.")
        else:
            yield key, entry


def _distribution(where: str, entry: Mapping[str, Any], hint: Any) -> BaseDistribution:
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in ENTRIES:
        raise StanceError(f"{where}.type={kind}: expected one of {', '.join(ENTRIES)}")
    for name in entry:
        if name not in ENTRIES[kind]:
            twisted = [known for known in ENTRIES[kind] if sorted(known) == sorted(str(name))]  # "stpe" is no "type"
            (near,) = twisted or difflib.get_close_matches(str(name), ENTRIES[kind], n=1, cutoff=0)
            raise StanceError(f"{where}.{name}: unknown; {kind} has {', '.join(ENTRIES[kind])}; did you mean {near}?")
    if kind == "categorical":
        return _categorical(where, entry.get("choices"), hint)
    return _number(where, entry, hint)


def _categorical(where: str, choices: Any, hint: Any) -> BaseDistribution:
    if not isinstance(choices, list) or not choices:
        raise StanceError(f"{where}.choices={choices}: expected a list of values")
    if hint is str:  # as everywhere else a number is its text: training.class_weights=0.25
        choices = [str(choice) if type(choice) in (int, float) else choice for choice in choices]
    for choice in choices:
        if not _fits(choice, hint):
            raise StanceError(f"{where}.choices: {choice!r} is no {_named(hint)}, which this setting takes")
    if any(one == other for one, other in combinations(choices, 2)):
        raise StanceError(f"{where}.choices={choices}: a value is there twice")
    return CategoricalDistribution(choices)


def _number(where: str, entry: Mapping[str, Any], hint: Any) -> BaseDistribution:
    kind = entry["type"]
    if not _fits(1 if kind == "int" else 0.5, hint):
        raise StanceError(f"{where}.type={kind}: this setting takes {_named(hint)}")
    for name in ("low", "high", "step"):
        value = entry.get(name)
        if name == "step" and value is None:
            continue
        if not _fits(value, int if kind == "int" else float):
            raise StanceError(f"{where}.{name}={value}: expected a number of type {kind}")
    if not isinstance(entry.get("log", False), bool):
        raise StanceError(f"{where}.log={entry['log']}: expected true or false")
    options = {name: value for name, value in entry.items() if name != "type" and value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna mends a range that its step does not divide
        try:
            return NUMBERS[kind](**options)
        except (ValueError, ArithmeticError, UserWarning) as error:
            fine = isinstance(error, ArithmeticError)  # its text says nothing
            reason = f"step={entry.get('step')} is too fine" if fine else " ".join(str(error).split()).replace("`", "")
            raise StanceError(f"{where}: low={entry['low']}, high={entry['high']} is no range: {reason}") from error


def _fits(value: Any, hint: Any) -> bool:
    kinds = typing.get_args(hint) or (hint,)
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return type(value) in kinds or (type(value) is int and float in kinds)


def _named(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint))


def draw(trial: Trial, space: Space) -> dict[str, Any]:
    """A value for each searched setting, from the sampler of the trial's study."""
    found: dict[str, Any] = {}
    for key, kind in space.items():
        if isinstance(kind, FloatDistribution):
            found[key] = trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)
        elif isinstance(kind, IntDistribution):
            found[key] = trial.suggest_int(key, kind.low, kind.high, step=kind.step, log=kind.log)
        elif isinstance(kind, CategoricalDistribution):
            found[key] = trial.suggest_categorical(key, kind.choices)
    return found


def extremes(kind: BaseDistribution) -> list[Any]:
    """The ends of a range, or all choices: what has to be allowed for all between them to be."""
    if isinstance(kind, FloatDistribution | IntDistribution):
        return [kind.low, kind.high]
    return list(kind.choices) if isinstance(kind, CategoricalDistribution) else []


def ends(settings: Settings, space: Space) -> list[Settings]:
    """What trials may train with: all that is searched once at each end, the rest as given where that can be drawn."""
    base = changed(settings, undrawn(settings, space))
    return [base, *(changed(base, {key: end}) for key, kind in space.items() for end in extremes(kind))]


def undrawn(settings: Settings, space: Space) -> dict[str, Any]:
    """An end of each range that the given value lies outside of: it counts only where it can be drawn."""
    given = values(settings)
    return {key: extremes(kind)[0] for key, kind in space.items() if not within(given[key], kind)}


def within(value: Any, kind: BaseDistribution) -> bool:
    """Whether a value lies in a range or among choices, whatever the steps."""
    if isinstance(kind, FloatDistribution | IntDistribution):
        return isinstance(value, int | float) and kind.low <= value <= kind.high
    return isinstance(kind, CategoricalDistribution) and value in kind.choices


def grid(space: Space) -> dict[str, list[Any]]:
    """All values of each searched setting.

    Raises:
        StanceError: a range is continuous, or there are more than `MOST_COMBINATIONS`, all of which Optuna lists.
    """
    counts = {key: _count(key, kind) for key, kind in space.items()}
    if (total := math.prod(counts.values())) > MOST_COMBINATIONS:
        each = ", ".join(f"{key} {count:.6g}" for key, count in counts.items())
        raise StanceError(
            f"sweep.sampler=grid: {total:.6g} combinations ({each}), expected at most {MOST_COMBINATIONS:,}; take "
            "larger steps, search fewer settings, or sweep.sampler=random"
        )
    found: dict[str, list[Any]] = {}
    for key, kind in space.items():
        if isinstance(kind, CategoricalDistribution):
            found[key] = list(kind.choices)
        elif isinstance(kind, FloatDistribution | IntDistribution) and kind.step is not None:
            found[key] = [min(kind.low + number * kind.step, kind.high) for number in range(int(counts[key]))]
    return found


def _count(key: str, kind: BaseDistribution) -> float:
    """How many values a grid has of a setting, perhaps infinitely many."""
    if isinstance(kind, CategoricalDistribution):
        return float(len(kind.choices))
    if isinstance(kind, FloatDistribution | IntDistribution) and kind.step is not None and not kind.log:
        try:
            return float(round((kind.high - kind.low) / kind.step) + 1)
        except OverflowError:
            return math.inf
    raise StanceError(f"sweep.sampler=grid: sweep.space.{key} has no grid; give it a step and log: false, or choices")


def overrides(settings: Settings) -> dict[str, Any]:
    """What differs from the defaults, by dotted key."""
    default = values(Settings(ModelConfig(), TrainingConfig()))
    return {key: value for key, value in values(settings).items() if value != default[key]}
