"""The training of one trial of a search, wherever it runs."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import Trial

from dogvscat.config import Config
from dogvscat.exploring.cell_result import CellResult, Diverged
from dogvscat.exploring.search.search import Search
from dogvscat.exploring.search.storage import explaining_storage_errors
from dogvscat.exploring.training_job import run_cell
from dogvscat.learning.engine import ComputeSettings
from dogvscat.learning.loop.checkpoint import TrainingState


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended: with a result, with the reason of a failure, or with neither if it was pruned."""

    result: CellResult | None = None
    failure: str | None = None


@dataclass(frozen=True)
class TrialWork:
    """One trial's training: the `work` of a job.

    It may run in another process than the one that proposed the trial. It reports every epoch to the storage; how the
    trial ended is reported by the process that proposed it.
    """

    photos: Path
    search: Search
    folder: Path
    """Folder of the search."""
    training_folder: Path
    config: Config
    compute: ComputeSettings
    trial: Trial

    def __call__(self) -> TrialOutcome:
        """Train.

        Raises:
            WriteError: if the storage is lost.
            DogvscatError: as `run_cell`.
        """
        with explaining_storage_errors(self.search.storage, self.folder):
            # Optuna accepts each epoch once. A training that is repeated after a worker died must not report it again.
            reported = set(self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values)
            try:
                after_epoch = partial(self._after_epoch, reported)
                result = run_cell(self.photos, self.config, self.training_folder, self.compute, after_epoch)
            except optuna.TrialPruned:
                return TrialOutcome()
            return TrialOutcome(failure=result.diverged) if isinstance(result, Diverged) else TrialOutcome(result)

    def _after_epoch(self, reported: set[int], state: TrainingState) -> None:
        self.trial.set_user_attr("epochs", state.epoch)
        self.trial.set_user_attr("seconds", round(sum(row["seconds"] for row in state.history), 1))
        for epoch, row in enumerate(state.history, 1):  # several at once if the training has resumed
            if epoch not in reported:
                self.trial.report(row["val_accuracy"], epoch)
                reported.add(epoch)
        # After the last epoch nothing could be saved any more.
        if self.search.pruning and state.epoch < self.config.training.epochs and self.trial.should_prune():
            raise optuna.TrialPruned
