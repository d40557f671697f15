"""Run a search: trials proposed by Optuna, cut short where they fall behind, each told to its storage once."""

import math
import statistics
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dogvscat import atomic
from dogvscat.durations import in_time
from dogvscat.errors import ConfigError, DataError, DogvscatError, Interrupted, UsageError
from dogvscat.exploring.execution.job import Executor, Job
from dogvscat.exploring.search.results import write_results
from dogvscat.exploring.search.search import Search, open_search, propose
from dogvscat.exploring.search.storage import in_memory, shown, using_storage
from dogvscat.exploring.search.trial import TrialWork
from dogvscat.exploring.study.plan import config_name
from dogvscat.exploring.training_job import (
    CellResult,
    cell_threads,
    look_at,
    note_of,
    num_validation,
    refuse_other_photos,
)
from dogvscat.learning.engine import prepare_backend
from dogvscat.learning.run.create import ComputeSettings
from dogvscat.locks import working_alone
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.splits import TRAIN
from dogvscat.stderr import Reporter

TRIALS_FOLDER = "trials"
_OWNER = "owner"
_SUBSET = "data.train_subset"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Limits:
    """When to stop: after so many trials in all, or seconds from now."""

    trials: int
    seconds: float | None = None


def tune(
    photos: Path, search: Search, folder: Path, limits: Limits, report: Reporter, executor: Executor
) -> optuna.Study:
    """Run trials until a limit is reached; the same call goes on where another one stopped.

    Args:
        photos: A folder or zip with photos of two classes.
        search: How.
        folder: Gets a folder a trial below `trials/`, and the journal unless a storage is named.
        limits: When to stop. Trials under way then are waited for.
        report: Told of every trial.
        executor: Where the trials run.

    Raises:
        UsageError: if the storage cannot be reached or holds another search, or another command is at work here.
        DataError: if the search was begun on other photos.
        WriteError: if the storage is lost midway; finished trials are kept in it.
        Interrupted: on Ctrl-C; finished trials are kept, the one under way goes on next time.
        ClusterError: if machines of a cluster keep failing.
        DogvscatError: as `train` does.
    """
    if executor.spread and in_memory(search.storage):
        hint = "Leave --storage out for a file beside the results, or name a database."
        raise UsageError(
            f"the storage {shown(search.storage, folder)} is in the memory of one process alone", hint=hint
        )
    with working_alone(folder):
        study = open_search(search, folder)
        with using_storage(search.storage, folder):
            manifest = _looked_at(study, search, photos)
            compute, owner = _computing(study, search), _owner(folder)
            _take_up(study, None if search.storage is None else owner)
            tuning = _Tuning(photos, search, folder, limits, report, executor, study, manifest, compute, owner)
            try:
                tuning.run()
            except (Interrupted, KeyboardInterrupt):  # what is finished can be looked at meanwhile
                with suppress(DogvscatError), using_storage(search.storage, folder):
                    write_results(folder, study, search)
                raise
    return study


@dataclass
class _Tuning:
    """A search under way."""

    photos: Path
    search: Search
    folder: Path
    limits: Limits
    report: Reporter
    executor: Executor
    study: optuna.Study
    manifest: Manifest
    compute: ComputeSettings
    owner: str
    under_way: dict[Path, Trial] = field(default_factory=dict)
    """By the folder of each trial's training."""
    started: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Trials, as many at once as there is room for, until a limit is reached."""
        while True:
            while self.wants_another() and len(self.under_way) < self.executor.places(self.compute.threads):
                self.begin_trial()
            if not self.under_way:
                return
            self.finish_trial()

    def wants_another(self) -> bool:
        """Whether a trial more stays within the limits."""
        done = len(_ended(self.study))
        if done + len(self.under_way) >= self.limits.trials:
            return False
        if self._seconds_left() > 0:
            return True
        if not self.under_way:
            self.report(f"The time is used up after {done} of {self.limits.trials} trials; the same command goes on.")
        return False

    def begin_trial(self) -> None:
        """Ask for settings and have them trained."""
        trial = propose(self.study, self.search)
        trial.set_user_attr(_OWNER, self.owner)
        try:
            config = self.search.config(trial)
        except ConfigError as error:  # these values do not go together; it counts as a trial, and no search is endless
            self.study.tell(trial, state=TrialState.PRUNED)
            self.report(f"trial {trial.number} is impossible: {error.message}")
            return
        place = self.folder / TRIALS_FOLDER / config_name(config)  # by settings: a killed one goes on in a new trial
        while place in self.under_way:  # proposed twice: two trainings in one folder would be in each other's way
            self.finish_trial()
        refuse_other_photos(self.manifest, [place])
        work = TrialWork(self.photos, self.search, self.folder, place, config, self.compute, trial)
        self.executor.start(Job(f"trial {trial.number}", place, self.compute.threads, work))
        self.under_way[place] = trial

    def finish_trial(self) -> None:
        """Wait for a trial, tell the storage how it ended, and say so."""
        try:
            job, end = self.executor.wait()
        except Interrupted as stop:
            stop.hint = stop.hint or "Give the same command again: finished trials are kept, and the others go on."
            raise
        trial = self.under_way.pop(job.folder)
        if end.result is None:
            if end.failure is not None:
                self.report(f"trial {trial.number} failed: {end.failure}")
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            _keep(trial, end.result, job.folder)
            self.study.tell(trial, end.result.validation_accuracy)
        self._say_progress(trial.number)

    def _say_progress(self, number: int) -> None:
        last = self.study.get_trials(deepcopy=False)[number]
        ended = _ended(self.study)
        epochs = last.user_attrs.get("epochs", 0)
        outcome = f"found {last.value:.2%}" if last.state == TrialState.COMPLETE else f"cut short in epoch {epochs}"
        completed = any(trial.state == TrialState.COMPLETE for trial in ended)
        best = f", best {self.study.best_value:.2%} (trial {self.study.best_trial.number})" if completed else ""
        mean = statistics.mean(trial.user_attrs.get("seconds", 0.0) for trial in ended)
        left = mean * (self.limits.trials - len(ended)) / (len(self.under_way) + 1)
        left = min(left, max(0.0, self._seconds_left()))
        settings = ", ".join(f"{key.partition('.')[2]} {_short(value)}" for key, value in last.params.items())
        done = f"{len(ended)} of {self.limits.trials} done"  # numbers of trials are Optuna's, as in trials.csv, from 0
        time_left = f", about {in_time(left)} left" if left else ""
        self.report(f"{done}: trial {last.number} {outcome}{best}{time_left}  [{settings}]")

    def _seconds_left(self) -> float:
        return math.inf if self.limits.seconds is None else self.limits.seconds - (time.monotonic() - self.started)


def _looked_at(study: optuna.Study, search: Search, photos: Path) -> Manifest:
    """The photos of the search, whose digest is kept in the storage."""
    manifest = look_at(photos, search.space.config({"data.train_subset": 0}, search.seed))
    available, digest = len(manifest.of_split(TRAIN)), manifest.digest
    base = search.space.config({}, search.seed).data.train_subset
    most = max([base, *search.space.space[_SUBSET].examples] if _SUBSET in search.space.space else [base])
    if most > available:
        message = f"the search learns from up to {most:,} photos, there are {available:,} to learn from"
        raise DataError(message, hint="Add --set data.train_subset=0 to learn from all there are.")
    known = study.user_attrs.get("data_digest", digest)
    if known != digest and study.get_trials(deepcopy=False):
        message = f"the search was begun on other photos: their digest is {known[:16]}, that of {photos} {digest[:16]}"
        raise DataError(message, hint="Give the photos it was begun with, or choose another --out.")
    study.set_user_attr("data_digest", digest)
    return manifest


def _computing(study: optuna.Study, search: Search) -> ComputeSettings:
    """The same for all trials, in the precision of those of earlier calls, which is kept in the storage."""
    base = search.space.config({}, search.seed)
    threads = cell_threads(base)
    if base.training.precision != "auto" and "training.precision" not in search.space.space:
        return ComputeSettings(threads)
    prepare_backend(threads)

    from dogvscat.learning.precision import faster_precision  # Keras, after the backend was prepared

    compute = ComputeSettings(threads, study.user_attrs.get("precision") or faster_precision())
    study.set_user_attr("precision", compute.precision)
    return compute


def _owner(folder: Path) -> str:
    """Who begins trials here: a name that moves with the folder, and is another one for any other folder."""
    file = folder / TRIALS_FOLDER / "owner"
    if not file.exists():
        atomic.write_text(file, uuid.uuid4().hex)
    return file.read_text(encoding="utf-8")


def _take_up(study: optuna.Study, owner: str | None) -> None:
    """Begin again what a process that was killed had under way.

    Args:
        study: The search.
        owner: Whose trials, where others may use the storage as well; None for everybody's.
    """
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if owner is None or trial.user_attrs.get(_OWNER, owner) == owner:
            study.enqueue_trial(trial.params)  # first: killed in between, it is tried twice and not lost
            study.tell(trial.number, state=TrialState.FAIL)


def _keep(trial: Trial, result: CellResult, place: Path) -> None:
    trial.set_user_attr("epochs", result.epochs)
    trial.set_user_attr("seconds", result.seconds)
    trial.set_user_attr("training_accuracy", result.training_accuracy)
    trial.set_user_attr("num_validation", num_validation(place))
    trial.set_user_attr("note", note_of(place))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_ENDED)
