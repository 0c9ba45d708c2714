"""A sweep: a process that runs trials of a shared study until the study has as many as it should. Knows no MLflow.

When no place is free any more it waits for the trials of other processes, to start again what a killed one leaves.
"""

import math
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import optuna
from optuna import Trial, TrialPruned
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from stance.errors import StanceError
from stance.network.memory import free
from stance.studies import findings, precision
from stance.studies import trial as trials
from stance.studies.space import Settings, changed, draw
from stance.studies.study import MISSED_BEATS, Opened, counted, give_back, lost, pruner, retried, sampler, tally
from stance.studies.trial import Plan, Record, TrialError

Watch = Callable[[int, Settings], AbstractContextManager[Record]]
"""Opens the record of a trial by its number and its settings."""


def _print(text: str) -> None:
    print(text, flush=True)


VERDICTS: dict[str, type[Exception]] = {"pruned": TrialPruned, "failed": TrialError}
"""What ends a trial before its value, by the name that the trial keeps of it."""


def _note(trial: Trial, verdict: str, error: Exception) -> None:
    trial.set_user_attr("reason", str(error))
    trial.set_user_attr("verdict", verdict)


class SurplusError(Exception):
    """Two processes took the last free trial, or one that was to be tried again, at once; this one came second."""


@dataclass
class Worker:
    """A process at work on a study.

    Args:
        opened: the study.
        plan: what a trial does.
        watch: opens the record of a trial.
        say: takes a line a trial.
    """

    opened: Opened
    plan: Plan
    watch: Watch
    say: Callable[[str], None] = _print
    _unborn: dict[int, float] = field(default_factory=dict)

    def run(self) -> None:
        """Run trials until the study has `sweep.trials` of them, those of other processes included, or time is up.

        Raises:
            StanceError: `sweep.max_failures` trials in a row failed.
        """
        self.opened.study.pruner = pruner(self.plan.config, self.plan.steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self._run()

    def _run(self) -> None:
        config, study, failures, waited = self.plan.config, self.opened.study, 0, False
        end = time.monotonic() + (config.timeout or math.inf)
        while time.monotonic() < end:
            self._find_killed()
            now = tally(study)
            if now.done + now.running < config.trials:  # what waits takes the next places
                trial, waited = self._next(), False
                if trial is None:
                    continue
                self.say(findings.line(study, trial, self.plan.config))
                failures = failures + 1 if trial.state == TrialState.FAIL else 0
                if failures >= config.max_failures:
                    reason = trial.user_attrs["reason"]
                    raise StanceError(
                        f"{failures} trials in a row failed (sweep.max_failures), the last with: {reason}"
                    )
            elif now.running:
                if not waited:
                    self.say(f"{now.done} of {config.trials} done; waiting for {now.running} of other processes")
                    waited = True
                time.sleep(min(config.heartbeat, 5))
            else:
                self._tidy()
                return

    def _tidy(self) -> None:
        """Remove the checkpoints of killed trials: no trial runs any more."""
        for folder in self.plan.scratch.glob(self._folder("*").name):
            shutil.rmtree(folder, ignore_errors=True)

    def _find_killed(self) -> None:
        """Queue trials again whose process gives no sign of life, or died before it could give the first one."""
        study, now = self.opened.study, time.monotonic()
        optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            since = self._unborn.setdefault(trial.number, now)
            begun = trial.user_attrs.get("begun") == trial.number
            if not begun and now - since > MISSED_BEATS * self.plan.config.heartbeat:
                give_back(study, trial.number, retries=self.plan.config.retries)
        for number in lost(study):
            give_back(study, number, retries=self.plan.config.retries)

    def _next(self) -> FrozenTrial | None:
        """Run the next trial; None if it was not needed, or another process has taken it over."""
        study, begun, ended = self.opened.study, list[int](), False

        def objective(trial: Trial) -> float:
            nonlocal ended
            begun.append(trial.number)
            try:
                return self._value(trial)
            finally:  # by another process, which took this one for dead; perhaps the trial has no try left
                ended = study.get_trials(deepcopy=False)[trial.number].state.is_finished()

        study.sampler = sampler(self.plan.config, self.plan.space, self.opened)
        try:
            study.optimize(objective, n_trials=1, catch=(TrialError, SurplusError))
        except BaseException as error:
            taken = {number for trial in study.get_trials(deepcopy=False) for number in retried(trial)}
            if isinstance(error, Exception) and (ended or taken & set(begun)):
                return None
            for number in begun:  # an error of ours, or of the machine, would come again and again
                give_back(study, number, retries=self.plan.config.retries if isinstance(error, Exception) else None)
            raise
        finally:
            free()
        trial = study.get_trials()[begun[0]]
        return None if "surplus" in trial.user_attrs else trial

    def _value(self, trial: Trial) -> float:
        """The value of a trial, with a record of its own."""
        if "surplus" in trial.user_attrs:  # of a try before, killed between the mark and its end
            raise SurplusError
        known = self.opened.study.get_trials(deepcopy=False)
        before = retried(known[trial.number])
        twice = before and any(t.number < trial.number and retried(t)[-1:] == before[-1:] for t in known)
        late = not before and sum(t.number < trial.number for t in counted(known)) >= self.plan.config.trials
        if twice or late:
            trial.set_user_attr("surplus", True)
            if late:  # else a grid would take the combination, which nobody trains, for visited
                self.opened.study._storage.set_trial_system_attr(trial._trial_id, "search_space", {})
            raise SurplusError
        trial.set_user_attr("begun", trial.number)
        for number in before:
            shutil.rmtree(self._folder(number), ignore_errors=True)
        if verdict := trial.user_attrs.get("verdict"):  # of the try before, killed before the study heard of it
            raise VERDICTS[verdict](trial.user_attrs["reason"])
        settings, pruned = self._drawn(trial), None
        with self.watch(trial.number, settings) as record:
            trial.set_user_attr("run", record.id)
            try:
                value = trials.value(trial, self.plan, settings, record, folder=self._folder(trial.number))
            except TrialPruned as error:
                pruned = error
                _note(trial, "pruned", error)
            except TrialError as error:
                _note(trial, "failed", error)
                record.tag(state="failed")
                raise
            record.tag(state="pruned" if pruned else "complete")
        if pruned:
            raise pruned
        return value

    def _drawn(self, trial: Trial) -> Settings:
        """What a trial trains with; all that leave the precision to the machine take the same."""
        found = changed(self.plan.settings, draw(trial, self.plan.space))
        auto = found.training.precision == "auto"
        return changed(found, {"training.precision": self._precision}) if auto else found

    @cached_property
    def _precision(self) -> str:
        return precision.shared(self.opened.study)

    def _folder(self, number: int | str) -> Path:
        return self.plan.scratch / f".trial-{self.opened.key[:8]}-{number}"
