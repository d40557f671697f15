"""Search for better settings: trials proposed by Optuna, cut short where they fall behind, kept in its storage.

Everything is in the storage, which `optuna-dashboard` opens; a search that was killed goes on there.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dogvscat.config import Config
from dogvscat.errors import ModelError, UsageError
from dogvscat.exploring.cell import CellResult, note_of, num_validation, run_cell
from dogvscat.exploring.space import SearchSpace
from dogvscat.exploring.storage import open_storage, using_storage
from dogvscat.exploring.study_plan import config_name
from dogvscat.judging.intervals import Figure, wilson
from dogvscat.learning.state import TrainingState

TRIALS_FOLDER = "trials"
SAMPLERS = ("tpe", "random")
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        space: Where.
        sampler: `tpe` (Bergstra et al., Algorithms for hyper-parameter optimization, 2011) or `random`.
        pruning: Whether trials that fall behind are cut short, by Hyperband (Li et al., JMLR 18, 2018).
        seed: Of the sampler and of every training.
        storage: URL of a database, or None for a journal file in the folder of the results.
    """

    space: SearchSpace
    sampler: str = "tpe"
    pruning: bool = True
    seed: int = 0
    storage: str | None = None


@dataclass(frozen=True)
class Limits:
    """When to stop: after so many trials in all, or seconds from now."""

    trials: int
    seconds: float | None = None


def tune(photos: Path, search: Search, folder: Path, limits: Limits, say: Say) -> optuna.Study:
    """Run trials until a limit is reached; the same call goes on where another one stopped.

    Args:
        photos: A folder or zip with photos of two classes.
        search: How.
        folder: Gets a folder a trial below `trials/`, and the journal unless a storage is named.
        limits: When to stop.
        say: Told of every trial.

    Raises:
        UsageError: if the storage cannot be reached or holds another search.
        WriteError: if the storage is lost midway; finished trials are kept in it.
        Interrupted: on Ctrl-C; finished trials are kept, the one under way goes on next time.
        DogvscatError: as `train` does.
    """
    study = open_search(search, folder)
    with using_storage(search.storage, folder):
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):  # of a process that was killed
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        started = time.monotonic()
        while (done := len(_ended(study))) < limits.trials:
            spent = time.monotonic() - started
            if limits.seconds is not None and spent >= limits.seconds:
                say(f"The time is used up after {done} of {limits.trials} trials; the same command goes on.")
                break
            _run_trial(photos, study, search, folder, say)
            _say_progress(study, limits, started, say)
    return study


def open_search(search: Search, folder: Path) -> optuna.Study:
    """The search in its storage, new or begun earlier.

    Raises:
        UsageError: if the storage cannot be reached or holds another search.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(search.storage, folder)
    with using_storage(search.storage, folder, "cannot be used"):
        study = optuna.create_study(
            storage=storage,
            sampler=_sampler(search, 0),
            pruner=_pruner(search),
            study_name=f"dogvscat-{search.space.recipe}",
            direction="maximize",
            load_if_exists=True,
        )
        known = study.user_attrs.get("search")
        wanted = f"{search.space.fingerprint}-{search.sampler}-{search.pruning}-{search.seed}"
        if known is None:
            study.set_user_attr("search", wanted)
    if known not in (None, wanted):
        hint = "Choose another --out or --storage, or give the first command again."
        raise UsageError("the storage holds another search: its space, sampler, pruning or seed differ", hint=hint)
    return study


def best_config(study: optuna.Study, search: Search) -> Config | None:
    """The settings of the best finished trial, or None before the first."""
    return None if not _completed(study) else search.space.config(_values(study.best_trial, search), search.seed)


def best_figure(study: optuna.Study) -> Figure:
    """Validation accuracy of the best finished trial, with n and Wilson's interval. It flatters: of many trials the
    luckiest is chosen, on the pictures that it is judged on.

    Raises:
        ValueError: if no trial is finished.
    """
    n = study.best_trial.user_attrs.get("num_validation", 0)  # searches of versions before this one did not keep it
    return wilson(round(n * study.best_value), n) if n else Figure(study.best_value, None, None, 0, "none")


def _run_trial(photos: Path, study: optuna.Study, search: Search, folder: Path, say: Say) -> None:
    trial = _propose(study, search)
    values = {key: dimension.suggest(trial, key) for key, dimension in search.space.space.items()}
    config = search.space.config(values, search.seed)
    place = folder / TRIALS_FOLDER / config_name(config)  # by settings: one that was killed goes on in a new trial

    reported = 0

    def after_epoch(state: TrainingState) -> None:
        nonlocal reported
        trial.set_user_attr("epochs", state.epoch)
        trial.set_user_attr("seconds", round(sum(row["seconds"] for row in state.history), 1))
        for row in state.history[reported:]:  # several where a training goes on that was stopped
            trial.report(row["val_accuracy"], int(row["epoch"]))
        reported = len(state.history)
        if search.pruning and state.epoch < config.training.epochs and trial.should_prune():
            raise optuna.TrialPruned

    try:
        result = run_cell(photos, config, place, after_epoch)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except ModelError as error:  # this training diverged, which tells something about its settings
        say(f"trial {trial.number} failed: {error.message}")
        study.tell(trial, state=TrialState.PRUNED)
    else:
        _keep(trial, result, place)
        study.tell(trial, result.validation_accuracy)


def _propose(study: optuna.Study, search: Search) -> Trial:
    """The next trial. Its random numbers depend on the seed and its place alone: a search that was stopped proposes
    what it would have proposed, where one generator begun anew would propose its first trials again."""
    before = study.get_trials(deepcopy=False, states=(*_ENDED, TrialState.RUNNING))
    study.sampler = _sampler(search, len(before))
    return study.ask()


def _keep(trial: Trial, result: CellResult, place: Path) -> None:
    trial.set_user_attr("epochs", result.epochs)
    trial.set_user_attr("seconds", result.seconds)
    trial.set_user_attr("training_accuracy", result.training_accuracy)
    trial.set_user_attr("num_validation", num_validation(place))
    trial.set_user_attr("note", note_of(place))


def _say_progress(study: optuna.Study, limits: Limits, started: float, say: Say) -> None:
    last = study.get_trials(deepcopy=False)[-1]
    ended = _ended(study)
    epochs = last.user_attrs.get("epochs", 0)
    outcome = f"found {last.value:.2%}" if last.state == TrialState.COMPLETE else f"cut short in epoch {epochs}"
    best = f", best {study.best_value:.2%} (trial {study.best_trial.number})" if _completed(study) else ""
    mean = statistics.mean(trial.user_attrs.get("seconds", 0.0) for trial in ended)
    left = mean * (limits.trials - len(ended))
    if limits.seconds is not None:
        left = min(left, max(0.0, limits.seconds - (time.monotonic() - started)))
    settings = ", ".join(f"{key.partition('.')[2]} {_short(value)}" for key, value in last.params.items())
    done = f"{len(ended)} of {limits.trials} done"  # numbers of trials are Optuna's, as in trials.csv, from 0
    time_left = f", about {math.ceil(left / 60)} min left" if left else ""
    say(f"{done}: trial {last.number} {outcome}{best}{time_left}  [{settings}]")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _values(trial: FrozenTrial, search: Search) -> dict[str, Any]:
    """A finished trial's settings, as the space suggests them."""
    fixed = optuna.trial.FixedTrial(trial.params)
    return {key: dimension.suggest(fixed, key) for key, dimension in search.space.space.items()}  # type: ignore[arg-type]


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_ENDED)


def _completed(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def _sampler(search: Search, place: int) -> optuna.samplers.BaseSampler:
    """For the trial with so many before it."""
    seed = int(np.random.SeedSequence([search.seed, place]).generate_state(1)[0])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    epochs = search.space.config({}, search.seed).training.epochs
    return optuna.pruners.HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs)
