"""How long will a study take? Estimated from a few timed steps of its base, and better with every finished training."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dogvscat.config import Config
from dogvscat.exploring.study.cells import FinishedCell
from dogvscat.exploring.study.plan import PlannedCell
from dogvscat.exploring.training_job import cell_precision
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import EVALUATION_COST, ComputeSettings, forget_networks, open_engine
from dogvscat.learning.run import Run
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.splits import LEFT_OUT, TRAIN


@dataclass(frozen=True)
class BaseTiming:
    """What the base of a study costs on this machine."""

    config: Config
    epoch_seconds: float
    """Seconds of its first epoch, validation included."""
    build_seconds: float
    """Seconds for building and compiling its network."""
    num_train: int
    """Photos that it learns from."""
    num_usable: int
    """Photos that it could learn from without `data.train_subset`."""

    def seconds(self, config: Config) -> float:
        """Expected seconds of a training with other settings, from its epochs, its number of photos and their area.

        Other filters or layers do not count here: what they cost is known once a training with them is finished.
        """
        # Convolutions cost in proportion to the area, and `progressive_resizing` changes it from epoch to epoch.
        areas = [config.image_size_at(epoch) ** 2 for epoch in range(config.training.epochs)]
        base_area = self.config.image_size_at(0) ** 2
        return self.epoch_seconds * sum(areas) / base_area * self._photos_ratio(config)

    def overhead_seconds(self, config: Config) -> float:
        """Expected seconds before and after a training: to build the network, and to evaluate every photo once."""
        area_ratio = config.data.image_size**2 / self.config.image_size_at(0) ** 2
        return self.build_seconds + EVALUATION_COST * self.epoch_seconds * area_ratio * self._photos_ratio(config)

    def _photos_ratio(self, config: Config) -> float:
        """The number of photos that a training learns from, relative to the base."""
        return min(config.data.train_subset or self.num_usable, self.num_usable) / self.num_train


def time_base(dataset: Dataset, base: PlannedCell, folder: Path, compute: ComputeSettings) -> BaseTiming:
    """Time a few steps of a study's base. Nothing is written.

    Args:
        dataset: The images of the study.
        base: One of the base's cells.
        folder: The folder of that cell.
        compute: How every cell of the study is computed.

    Raises:
        DogvscatError: as `train` does.
    """
    config, run = base.config, Run(folder)
    compute = open_engine(compute.threads, cell_precision(run, config, compute))

    from dogvscat.learning.loop.training import set_up_training

    forget_networks()
    start = time.monotonic()
    training = set_up_training(run, config, dataset, compute, lambda sentence: None)
    seconds = training.epoch_seconds(0)
    # The clock has counted the build, the first step, in which the network is compiled, and a few more steps. Only one
    # step is subtracted: the others are few and short.
    build = max(0.0, time.monotonic() - start - seconds / training.loader.steps_per_epoch)
    return BaseTiming(config, seconds, build, len(training.loader.images), _count_usable(dataset.manifest))


@dataclass(frozen=True)
class StudyTime:
    """Expected seconds of cells that are not finished yet.

    A treatment that is finished with one seed is expected to take as long with the next. Any other cell is expected to
    take what the timing of the base predicts, corrected by how far that prediction was off for the finished cells: some
    trainings stop early, and other programs may use the machine as well.
    """

    timing: BaseTiming
    finished: Sequence[FinishedCell]

    def seconds(self, *cells: PlannedCell) -> float:
        """Expected seconds of these cells, one after the other."""
        return sum(self._training_seconds(cell) + self.timing.overhead_seconds(cell.config) for cell in cells)

    def _training_seconds(self, planned: PlannedCell) -> float:
        # The same treatment with another seed is the best prediction.
        same_treatment = [cell.result.seconds for cell in self.finished if cell.plan.treatment == planned.treatment]
        if same_treatment:
            return statistics.mean(same_treatment)
        # How much longer or shorter than predicted the finished trainings took, all together.
        predicted = sum(self.timing.seconds(cell.plan.config) for cell in self.finished)
        correction = sum(cell.result.seconds for cell in self.finished) / predicted if predicted else 1.0
        return correction * self.timing.seconds(planned.config)


def _count_usable(manifest: Manifest) -> int:
    """About how many photos could be learned from, whatever `data.train_subset` says. Also counts the few that are left
    out because they are filed under both classes."""
    # A photo without a perceptual hash could not be read.
    return sum(1 for row in manifest.rows if row.perceptual_hash and row.split in (TRAIN, LEFT_OUT))
