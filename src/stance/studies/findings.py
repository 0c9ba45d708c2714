"""What a sweep has found: a line a trial, the table of all, the best settings ready for use, and pictures."""

import csv
import re
import shlex
import statistics
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna.visualization.matplotlib as pictures
import yaml
from matplotlib import pyplot
from matplotlib.axes import Axes
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from stance.errors import StanceError
from stance.files import replacing, write_text
from stance.settings.studies import SweepConfig
from stance.settings.usage import written
from stance.studies.space import changed, overrides
from stance.studies.study import counted, retried, tally
from stance.studies.trial import Plan

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def best(study: Study) -> FrozenTrial | None:
    """The best trial that was not cut short, or None."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_trial if complete else None


def line(study: Study, trial: FrozenTrial, config: SweepConfig) -> str:
    """What a finished trial came to, and how far the study is.

    `trial 4: training.epochs=2 -> median macro_f1 0.712 (0.70, 0.71, 0.73); best 0.720 of trial 2; 5 of 30 done, …`
    """
    drawn = ", ".join(f"{key}={_short(value)}" for key, value in sorted(trial.params.items()))
    scores = ", ".join(f"{score:.3f}" for score in trial.user_attrs.get("scores", {}).values())
    ended = {
        TrialState.COMPLETE: lambda: f"median {config.metric} {trial.value:.3f} ({scores})",
        TrialState.PRUNED: lambda: f"pruned {trial.user_attrs['reason']} at {trial.value:.3f}",
    }.get(trial.state, lambda: f"failed: {trial.user_attrs['reason']}")()
    first = best(study)
    leader = f"best {first.value:.3f} of trial {first.number}; " if first else ""
    again = f" ({tried[0]} again)" if (tried := retried(trial)) else ""
    return f"trial {trial.number}{again}: {drawn} -> {ended}; {leader}{_progress(study, config)}"


def command(folder: Path) -> str:
    """How a shell trains with `best.overrides`; xargs, which passes no signal on, only where a value must be quoted.

    The checkpoint gets a place of its own: the default one may be what `make run` made.
    """
    file, train = folder / "best.overrides", "python scripts/train.py output=outputs/tuned"
    if re.search(r"['\"\\]", file.read_text("utf-8")):
        return f"xargs {train} < {shlex.quote(str(file))}"
    return f"{train} $(cat {shlex.quote(str(file))})"


def _word(text: str) -> str:
    """A word as xargs reads it; without need it is as `$(cat best.overrides)` wants it, too."""
    return shlex.quote(text) if re.search(r"[\s'\"\\]", text) else text


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _progress(study: Study, config: SweepConfig) -> str:
    now = tally(study)
    left = config.trials - now.done
    seconds = [t.duration.total_seconds() for t in counted(study.get_trials(deepcopy=False)) if t.duration]
    if left <= 0 or not seconds:
        return f"{now.done} of {config.trials} done"
    ahead = timedelta(seconds=round(statistics.mean(seconds) * left / (now.running + 1)))
    return f"{now.done} of {config.trials} done, about {ahead} left"


def table(study: Study) -> list[dict[str, Any]]:
    """A row a trial that counts: number, state, value, drawn settings, scores by seed, reason, seconds."""
    return [
        {
            "trial": trial.number,
            "state": STATES[trial.state],
            "value": trial.value,
            **dict(sorted(trial.params.items())),
            **{f"seed_{seed}": score for seed, score in trial.user_attrs.get("scores", {}).items()},
            "reason": trial.user_attrs.get("reason", ""),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
        }
        for trial in counted(study.get_trials(deepcopy=False))
    ]


def draw(study: Study, config: SweepConfig, folder: Path) -> list[Path]:
    """Write pictures: the values over time, which settings matter, and which values go together.

    Importance is that of PED-ANOVA (Watanabe et al., 2023); it and the parallel coordinates need two complete trials.
    """
    drawing: dict[str, Callable[..., Axes]] = {"history.png": pictures.plot_optimization_history}
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) > 1:
        drawing["importance.png"] = pictures.plot_param_importances
        drawing["parallel_coordinates.png"] = pictures.plot_parallel_coordinate
    pyplot.switch_backend("agg")
    with pyplot.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental interfaces; a setting with one value has no range
        for name, plot in drawing.items():
            plot(study, target_name=f"validation {config.metric}")
            figure = pyplot.gcf()
            if name == "parallel_coordinates.png":
                figure.set_size_inches(max(9, 3 + 2 * len(study.best_params)), 5)
            figure.savefig(folder / name, dpi=120, bbox_inches="tight")
            pyplot.close(figure)
    return [folder / name for name in drawing]


def write(study: Study, plan: Plan, folder: Path, *, extra: Mapping[str, Any]) -> list[Path]:
    """Write the best trial's settings and the table of trials.

    Args:
        study: with at least one complete trial.
        plan: the settings that were not searched.
        folder: gets `best.yaml` (an experiment for conf/experiment/), `best.overrides` (a command line
            for xargs) and `trials.csv`.
        extra: further settings of the training's script, such as its dataset.

    Raises:
        StanceError: no trial is complete.
    """
    winner = best(study)
    if winner is None:
        reasons = [f"{row['state']}: {row['reason']}" for row in table(study) if row["reason"]]
        last = f"; the last one was {reasons[-1]}" if reasons else ""
        raise StanceError(f"study {study.study_name!r}: no trial is complete{last}")
    settings = dict(extra) | overrides(changed(plan.settings, winner.params)) | winner.params
    tree: dict[str, Any] = {}
    for key, value in sorted(settings.items()):
        *path, name = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[name] = value
    head = f"# @package _global_\n# Trial {winner.number} of study {study.study_name}: {winner.value:.4f}\n"
    write_text(folder / "best.yaml", head + yaml.safe_dump(tree, sort_keys=True))
    line = [_word(f"{key}={written(value)}") for key, value in sorted(settings.items())]
    write_text(folder / "best.overrides", " ".join(line) + "\n")
    rows = table(study)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(folder / "trials.csv") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)
    return [folder / name for name in ("best.yaml", "best.overrides", "trials.csv")]
