"""How long will a study take? From a few timed steps of its base, and better with every cell that is finished."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dogvscat.config import Config
from dogvscat.exploring.study.cells import FinishedCell
from dogvscat.exploring.study.plan import PlannedCell
from dogvscat.exploring.training_job import cell_threads
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import prepare_backend
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.splits import LEFT_OUT, TRAIN

_JUDGED = 1 / 3
"""What judging a picture costs against learning from it, as in the estimate of `train`."""


@dataclass(frozen=True)
class BaseTiming:
    """What the base of a study costs on this machine."""

    config: Config
    epoch_seconds: float
    """Of its first epoch, validation included."""
    build_seconds: float
    """Of building and compiling its network."""
    num_train: int
    """Pictures that it learns from."""
    num_usable: int
    """Pictures that it could learn from without `data.train_subset`."""

    def seconds(self, config: Config) -> float:
        """Of a training with other settings, as far as its epochs, its pictures and their area decide.

        Other filters or layers count for nothing here: what they cost is known once one such cell is finished.
        """
        areas = [config.image_size_at(epoch) ** 2 for epoch in range(config.training.epochs)]
        learned = sum(areas) / self.config.image_size_at(0) ** 2 * self._share(config)
        return self.epoch_seconds * learned

    def around_seconds(self, config: Config) -> float:
        """Of what comes before and after a training: building, and judging every picture once."""
        area = config.data.image_size**2 / self.config.image_size_at(0) ** 2
        return self.build_seconds + _JUDGED * self.epoch_seconds * area * self._share(config)

    def _share(self, config: Config) -> float:
        wanted = config.data.train_subset or self.num_usable
        return min(wanted, self.num_usable) / self.num_train


def time_base(dataset: Dataset, base: PlannedCell, folder: Path) -> BaseTiming:
    """Time a few steps of a study's base; nothing is written.

    Args:
        dataset: Its pictures.
        base: One of its cells.
        folder: That cell's own.

    Raises:
        DogvscatError: as `train` does.
    """
    config = base.config
    prepare_backend(cell_threads(config))

    from dogvscat.learning.loop.setup import forget_networks, prepare_training  # Keras, after the backend was prepared

    forget_networks()
    started = time.monotonic()
    training = prepare_training(Run(folder), config, dataset, lambda sentence: None)
    seconds = training.epoch_seconds(0)
    build = max(0.0, time.monotonic() - started - seconds / training.loader.steps_per_epoch)
    return BaseTiming(config, seconds, build, len(training.loader.pictures), _num_usable(dataset.manifest))


@dataclass(frozen=True)
class StudyTime:
    """Expected seconds of cells that are not finished yet.

    A change that is finished with one seed is expected to take as long with the next. Any other cell is expected to
    take what the timing of the base says, times how much longer or shorter the finished ones took than it said: some
    stop early, and others may use the machine as well.
    """

    timing: BaseTiming
    finished: Sequence[FinishedCell]

    def of(self, *cells: PlannedCell) -> float:
        """Seconds of these cells, one after the other."""
        return sum(self._training(cell) + self.timing.around_seconds(cell.config) for cell in cells)

    def _training(self, cell: PlannedCell) -> float:
        alike = [done.result.seconds for done in self.finished if done.cell.treatment == cell.treatment]
        if alike:
            return statistics.mean(alike)
        foreseen = sum(self.timing.seconds(done.cell.config) for done in self.finished)
        factor = sum(done.result.seconds for done in self.finished) / foreseen if foreseen else 1.0
        return factor * self.timing.seconds(cell.config)


def _num_usable(manifest: Manifest) -> int:
    """About how many photos could be learned from, whatever `data.train_subset` says: a few of them are doubtful."""
    return sum(1 for row in manifest.rows if row.perceptual_hash and row.split in (TRAIN, LEFT_OUT))
