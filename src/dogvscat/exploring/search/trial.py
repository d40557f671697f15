"""The training of one trial of a search, wherever it runs."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import Trial

from dogvscat.config import Config
from dogvscat.exploring.search.search import Search
from dogvscat.exploring.search.storage import using_storage
from dogvscat.exploring.training_job import CellResult, Diverged, run_cell
from dogvscat.learning.loop.state import TrainingState
from dogvscat.learning.run.create import ComputeSettings


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended: with a result, with a failure in words, or with neither, cut short."""

    result: CellResult | None = None
    failure: str | None = None


@dataclass(frozen=True)
class TrialWork:
    """One trial's training. It may run in another process than the one that proposed it, and reports every epoch to the
    storage; who proposed it tells the storage how it ended."""

    photos: Path
    search: Search
    folder: Path
    """Of the search."""
    place: Path
    """Of the training."""
    config: Config
    compute: ComputeSettings
    trial: Trial

    def __call__(self) -> TrialEnd:
        """Train.

        Raises:
            WriteError: if the storage is lost.
            DogvscatError: as `run_cell`.
        """
        with using_storage(self.search.storage, self.folder):
            reported = set(self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values)
            try:
                after_epoch = partial(self._after_epoch, reported)
                end = run_cell(self.photos, self.config, self.place, self.compute, after_epoch)
            except optuna.TrialPruned:
                return TrialEnd()
            return TrialEnd(failure=end.diverged) if isinstance(end, Diverged) else TrialEnd(end)

    def _after_epoch(self, reported: set[int], state: TrainingState) -> None:
        self.trial.set_user_attr("epochs", state.epoch)
        self.trial.set_user_attr("seconds", round(sum(row["seconds"] for row in state.history), 1))
        for epoch, row in enumerate(state.history, 1):  # several where a training goes on that was stopped
            if epoch not in reported:
                self.trial.report(row["val_accuracy"], epoch)
                reported.add(epoch)
        if self.search.pruning and state.epoch < self.config.training.epochs and self.trial.should_prune():
            raise optuna.TrialPruned
