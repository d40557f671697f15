"""Run a search: trials proposed by Optuna, pruned where they fall behind, each reported to its storage once."""

import math
import statistics
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from dogvscat import atomic
from dogvscat.errors import ConfigError, DataError, DogvscatError, Interrupted, UsageError
from dogvscat.exploring.cell_result import CellResult, count_validation
from dogvscat.exploring.execution.job import Executor, Job
from dogvscat.exploring.search.results import write_results
from dogvscat.exploring.search.search import Search, ended_trials, open_search, propose
from dogvscat.exploring.search.storage import explaining_storage_errors, is_in_memory, printable_storage
from dogvscat.exploring.search.trial import TrialWork
from dogvscat.exploring.training_job import (
    cell_threads,
    config_name,
    read_note,
    refuse_other_photos,
    refuse_too_few_photos,
    report_layout,
    split_photos,
)
from dogvscat.learning.engine import ComputeSettings, open_engine
from dogvscat.locks import exclusive
from dogvscat.photos.manifest import Manifest
from dogvscat.stderr import Reporter
from dogvscat.text import format_duration

TRIALS_FOLDER = "trials"
_OWNER = "owner"
_SUBSET = "data.train_subset"


@dataclass(frozen=True)
class Limits:
    """When to stop: after a total number of trials, or some seconds from now."""

    trials: int
    seconds: float | None = None


def tune(
    photos: Path, search: Search, folder: Path, limits: Limits, report: Reporter, executor: Executor
) -> optuna.Study:
    """Run trials until a limit is reached. The same call resumes a search that was stopped.

    Args:
        photos: A folder or zip with photos of two classes.
        search: What to search, and how.
        folder: Gets one folder per trial below `trials/`, and the journal unless a storage is named.
        limits: When to stop. Trials that are still running then are finished first.
        report: Gets a sentence for every trial.
        executor: Where the trials run.

    Raises:
        UsageError: if the storage cannot be reached or holds another search, or another command runs in the folder.
        DataError: if the search was started with different photos.
        WriteError: if the storage is lost midway; finished trials are kept in it.
        Interrupted: on Ctrl-C; finished trials are kept, the running one resumes next time.
        ClusterError: if machines of a cluster keep failing.
        DogvscatError: as `train` does.
    """
    # A worker on another machine would open an empty database of its own.
    if executor.distributed and is_in_memory(search.storage):
        storage = printable_storage(search.storage, folder)
        hint = "Leave out --storage to use a file in --out, or name a database."
        raise UsageError(f"the storage {storage} is in the memory of one process only", hint=hint)
    with exclusive(folder):
        study = open_search(search, folder)
        with explaining_storage_errors(search.storage, folder):
            manifest = _check_photos(study, search, photos, report)
            compute, owner = _shared_compute(study, search), _owner_name(folder)
            _requeue_stopped(study, None if search.storage is None else owner)
            progress = _SearchInProgress(
                photos, search, folder, limits, report, executor, study, manifest, compute, owner
            )
            try:
                progress.run()
            except (Interrupted, KeyboardInterrupt):  # the results so far can be read until the search resumes
                with suppress(DogvscatError), explaining_storage_errors(search.storage, folder):
                    write_results(folder, study, search)
                raise
    return study


@dataclass
class _SearchInProgress:
    """A search while its trials run."""

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
    running: dict[Path, Trial] = field(default_factory=dict)
    """By the folder of each trial's training."""
    start_time: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Run trials, as many at once as there are slots, until a limit is reached."""
        while True:
            # Slots are counted each time: machines of a cluster come and go.
            while self.may_start_another() and len(self.running) < self.executor.slots(self.compute.threads):
                self.start_trial()
            if not self.running:
                return
            self.finish_trial()

    def may_start_another(self) -> bool:
        """Whether one more trial is within the limits."""
        num_ended = len(ended_trials(self.study))
        if num_ended + len(self.running) >= self.limits.trials:
            return False
        if self._seconds_left() > 0:
            return True
        if not self.running:  # reported once, after the last running trial has ended
            count = f"{num_ended} of {self.limits.trials} trials"
            self.report(f"The time is used up after {count}; the same command resumes.")
        return False

    def start_trial(self) -> None:
        """Ask Optuna for settings and start training with them."""
        trial = propose(self.study, self.search)
        trial.set_user_attr(_OWNER, self.owner)  # see _requeue_stopped
        try:
            config = self.search.config(trial)
        except ConfigError as error:
            # The values do not fit together. They count as a trial, or a search in an impossible space would never end.
            self.study.tell(trial, state=TrialState.PRUNED)
            self.report(f"trial {trial.number} is impossible: {error.message}")
            return
        # Named by its settings: a trial that was killed resumes there under its new number.
        training_folder = self.folder / TRIALS_FOLDER / config_name(config)
        while training_folder in self.running:  # proposed twice: two trainings cannot share a folder
            self.finish_trial()
        refuse_other_photos(self.manifest, [training_folder])
        work = TrialWork(self.photos, self.search, self.folder, training_folder, config, self.compute, trial)
        self.executor.start(Job(f"trial {trial.number}", training_folder, self.compute.threads, work))
        self.running[training_folder] = trial

    def finish_trial(self) -> None:
        """Wait for a trial, store how it ended, and report it."""
        try:
            job, outcome = self.executor.wait()
        except Interrupted as stop:
            stop.hint = stop.hint or "Run the same command again: finished trials are kept, and the others resume."
            raise
        trial = self.running.pop(job.folder)
        if outcome.result is None:
            if outcome.failure is not None:
                self.report(f"trial {trial.number} failed: {outcome.failure}")
            # A training that diverged counts as pruned too, not as failed: Optuna's samplers ignore failed trials, and
            # would propose such settings again.
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            _store_attributes(trial, outcome.result, job.folder)
            self.study.tell(trial, outcome.result.validation_accuracy)
        self._report_progress(trial.number)

    def _report_progress(self, number: int) -> None:
        trial = self.study.get_trials(deepcopy=False)[number]
        ended = ended_trials(self.study)
        epochs = trial.user_attrs.get("epochs", 0)
        is_complete = trial.state == TrialState.COMPLETE
        outcome = f"reached {trial.value:.2%}" if is_complete else f"pruned after epoch {epochs}"
        best = ""
        if any(other.state == TrialState.COMPLETE for other in ended):
            best = f", best {self.study.best_value:.2%} (trial {self.study.best_trial.number})"
        mean_seconds = statistics.mean(other.user_attrs.get("seconds", 0.0) for other in ended)
        # The running trials and the one that takes the free slot share the rest.
        seconds_left = mean_seconds * (self.limits.trials - len(ended)) / (len(self.running) + 1)
        seconds_left = min(seconds_left, max(0.0, self._seconds_left()))
        time_left = f", about {format_duration(seconds_left)} left" if seconds_left else ""
        settings = ", ".join(f"{key.partition('.')[2]} {_short_value(value)}" for key, value in trial.params.items())
        # Trials are numbered by Optuna, from 0, as in trials.csv.
        count = f"{len(ended)} of {self.limits.trials} done"
        self.report(f"{count}: trial {trial.number} {outcome}{best}{time_left}  [{settings}]")

    def _seconds_left(self) -> float:
        if self.limits.seconds is None:
            return math.inf
        return self.limits.seconds - (time.monotonic() - self.start_time)


def _check_photos(study: optuna.Study, search: Search, photos: Path, report: Reporter) -> Manifest:
    """The photos of the search. Their digest is kept in the storage, and how their folders were read is reported.

    Raises:
        DataError: if the search was started with different photos, or asks for more than there are.
    """
    base = search.space.config({}, search.seed)
    subset = search.space.space.get(_SUBSET)
    # The largest number of photos that any trial may ask for. 0 stands for all of them, and is never too many.
    most = max([base.data.train_subset, *(subset.examples if subset else ())])
    refuse_too_few_photos(photos, base, most, "the search needs up to")
    report_layout(photos, base, report)
    manifest = split_photos(photos, search.space.config({_SUBSET: 0}, search.seed))
    earlier = study.user_attrs.get("data_digest", manifest.digest)
    if earlier != manifest.digest and study.get_trials(deepcopy=False):
        digests = f"their digest is {earlier[:16]}; the photos given now have {manifest.digest[:16]}"
        message = f"the search was started with different photos: {digests}"
        raise DataError(message, hint="Give the photos it was started with, or choose another --out.")
    study.set_user_attr("data_digest", manifest.digest)
    return manifest


def _shared_compute(study: optuna.Study, search: Search) -> ComputeSettings:
    """Threads and arithmetic for all trials that leave the arithmetic open.

    If the arithmetic were measured for each trial, bfloat16 and float32 might be compared with each other. So a resumed
    search uses the arithmetic of its first call, which the storage keeps, on any machine.
    """
    base = search.space.config({}, search.seed)
    threads = cell_threads(base)
    if base.training.precision != "auto" and "training.precision" not in search.space.space:
        return ComputeSettings(threads, base.training.precision)
    compute = open_engine(threads, study.user_attrs.get("precision") or "auto")
    study.set_user_attr("precision", compute.precision)
    return compute


def _owner_name(folder: Path) -> str:
    """A unique name for the process that starts trials in a folder. It is kept in the folder and moves with it."""
    file = folder / TRIALS_FOLDER / "owner"
    if not file.exists():
        atomic.write_text(file, uuid.uuid4().hex)
    return file.read_text(encoding="utf-8")


def _requeue_stopped(study: optuna.Study, owner: str | None) -> None:
    """Queue the trials again that ran in a process that was killed.

    Args:
        study: The search.
        owner: Only trials of this owner, as other machines may use the storage as well; None for all trials.
    """
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if owner is None or trial.user_attrs.get(_OWNER, owner) == owner:
            # In this order: if the process is killed in between, the settings are tried twice and not lost.
            study.enqueue_trial(trial.params)
            study.tell(trial.number, state=TrialState.FAIL)


def _store_attributes(trial: Trial, result: CellResult, training_folder: Path) -> None:
    trial.set_user_attr("epochs", result.epochs)
    trial.set_user_attr("seconds", result.seconds)
    trial.set_user_attr("training_accuracy", result.training_accuracy)
    trial.set_user_attr("num_validation", count_validation(training_folder))
    trial.set_user_attr("note", read_note(training_folder))


def _short_value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
