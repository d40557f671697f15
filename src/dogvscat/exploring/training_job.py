"""One training of many: from a configuration to two accuracies, in its own folder, without report and bundle.

In code such a training is called a cell, after the cells of the table setting x seed that a study fills. Its folder is
a run folder without report and bundle: a cell that was killed resumes, and `dogvscat runs` and `dogvscat compare` read
finished cells.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from dogvscat import atomic
from dogvscat.config import Config, DataConfig
from dogvscat.cpus import available_cpus
from dogvscat.errors import DataError, DivergedError
from dogvscat.exploring.cell_result import RESULT_FILE, CellResult, Diverged, read_result
from dogvscat.judging.decision import Decision
from dogvscat.judging.predictions import Predictions, write_predictions
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, forget_networks, open_engine
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.loop.checkpoint import TrainingState
from dogvscat.learning.new_run import create_run
from dogvscat.learning.run import Run
from dogvscat.locks import exclusive
from dogvscat.photos.manifest import Manifest, make_manifest
from dogvscat.photos.pixels import cached_pixels_by_size
from dogvscat.photos.reading.sources import SYNTHETIC_NOTE, PhotoSource, open_photos
from dogvscat.photos.splits import TRAIN
from dogvscat.settings.toml import to_toml
from dogvscat.stderr import Reporter

AfterEpoch = Callable[[TrainingState], None]


def config_name(config: Config) -> str:
    """The name of a cell's folder: equal for equal settings, in any study or search."""
    return hashlib.sha256(to_toml(config).encode()).hexdigest()[:16]


def cell_threads(config: Config) -> int:
    """CPU threads of a cell.

    If the settings ask for all of them, these are the CPUs that this process may use where the command was given,
    wherever the cell then runs: equal settings have to give equal results.
    """
    return config.training.threads or available_cpus()


def run_cell(
    photos: Path, config: Config, folder: Path, compute: ComputeSettings, after_epoch: AfterEpoch | None = None
) -> CellResult | Diverged:
    """Train and evaluate one configuration. A finished cell is read; one that was stopped resumes.

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting.
        folder: The cell's own folder.
        compute: The threads, as from `cell_threads`, and what `training.precision = "auto"` stands for; both the same
            for all cells that are compared.
        after_epoch: Called after each epoch. It may raise to stop the cell there, which is then not finished.

    Raises:
        DogvscatError: as `train` does.
        DataError: if the cell was started with different photos.
        UsageError: if another process trains in the folder.
        Interrupted: on Ctrl-C; the same call resumes.
    """
    if (result := read_result(folder)) is not None:  # written last, so it is there only if everything else is
        return result
    with exclusive(folder):  # `train --resume` may be given this folder as well
        return _train_cell(photos, config, folder, compute, after_epoch)


def _train_cell(
    photos: Path, config: Config, folder: Path, compute: ComputeSettings, after_epoch: AfterEpoch | None
) -> CellResult | Diverged:
    dataset = open_dataset(photos, config)
    refuse_other_photos(dataset.manifest, [folder])
    run = Run(folder)
    compute = open_engine(compute.threads, cell_precision(run, config, compute))

    from dogvscat.learning.loop.inference import final_network, predict_logits
    from dogvscat.learning.loop.training import set_up_training

    forget_networks()  # those of earlier cells in this process
    if not run.environment_file.exists():
        create_run(folder, config, dataset, InputPaths(photos), compute)
    training = set_up_training(run, config, dataset, compute, lambda sentence: None)
    training.quiet, training.after_epoch = True, after_epoch
    try:
        training.fit()
    except DivergedError as error:
        diverged = Diverged(error.message)
        _finish(run, asdict(diverged))
        return diverged
    # Averaged weights and batch statistics, as `train` finalizes a network, but no calibration: Decision() leaves the
    # logits as they are.
    network = final_network(training.model, config, training.loader.images)
    splits = []
    for split, images in (("train", training.loader.images), ("validation", training.validation)):
        logits = predict_logits(network, images, config.data.image_size)
        paths, class_names = [row.path for row in dataset.manifest.of_split(split)], dataset.manifest.class_names
        splits.append(Predictions.from_logits(split, class_names, paths, images.y_true, logits, Decision()))
    write_predictions(run.predictions_file, splits)
    training_accuracy, validation_accuracy = (float((split.y_true == split.y_pred).mean()) for split in splits)
    history = training.state.history
    seconds = round(sum(row["seconds"] for row in history), 1)
    result = CellResult(validation_accuracy, training_accuracy, seconds, len(history), history)
    _finish(run, result.to_dict())
    return result


def cell_precision(run: Run, config: Config, compute: ComputeSettings) -> str:
    """The arithmetic of a cell: as set. For `auto`, the arithmetic that the cell was started with, or the one in
    `compute` if it was not started."""
    if config.training.precision != "auto":
        return config.training.precision
    return earlier_precision([run.folder]) or compute.precision


def _finish(run: Run, result: Mapping[str, Any]) -> None:
    atomic.write_json(run.folder / RESULT_FILE, result)
    run.checkpoint_file.unlink(missing_ok=True)  # the checkpoints of a hundred cells would fill the disk


def refuse_other_photos(manifest: Manifest, folders: Iterable[Path]) -> None:
    """Make sure that the cells that were started earlier learn from these photos.

    Raises:
        DataError: naming a cell that does not.
        ModelError: if a cell is damaged.
    """
    for folder in folders:
        run = Run(folder)
        if not run.environment_file.exists():  # not started
            continue
        environment = run.load_environment()
        if environment["data_digest"] != manifest.digest:
            digests = (
                f"their digest is {environment['data_digest'][:16]}; the photos given now have {manifest.digest[:16]}"
            )
            message = f"{folder} learned from different photos ({environment['photos']}): {digests}"
            raise DataError(message, hint="Give the photos it was started with, or choose another --out.")


def earlier_precision(folders: Iterable[Path]) -> str | None:
    """The arithmetic of the first of these cells that was started, or None if none was.

    Raises:
        ModelError: if this cell is damaged.
    """
    started = (run for run in map(Run, folders) if run.environment_file.exists())
    return next((run.load_environment().get("precision") for run in started), None)


def read_note(folder: Path) -> str | None:
    """The note to show with every result of a cell, if its images are synthetic.

    Raises:
        ModelError: if the cell was never started or is damaged.
    """
    return SYNTHETIC_NOTE if Run(folder).load_environment()["drawn_sample"] else None


def split_photos(photos: Path, config: Config) -> Manifest:
    """The photos of a cell with their splits. All cells of this process share the work.

    Raises:
        DogvscatError: as `make_manifest`.
    """
    return _open_and_split(photos, _without_image_size(config))[1]


def report_layout(photos: Path, config: Config, report: Reporter) -> None:
    """Report how the folders were read, where that is not obvious.

    Raises:
        DogvscatError: as `make_manifest`.
    """
    for note in _open_and_split(photos, _without_image_size(config))[0].notes:
        report(note)


def refuse_too_few_photos(photos: Path, config: Config, num_train: int, demand: str) -> int:
    """Make sure that there are enough photos to learn from.

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting; `data.train_subset` is ignored.
        num_train: The number that is asked for, 0 for all.
        demand: The start of the message, such as `the search needs up to`.

    Returns:
        The number of photos to learn from.

    Raises:
        DataError: if there are fewer than `num_train`.
        DogvscatError: as `make_manifest`, if the photos cannot be used.
    """
    # With a subset the other photos are not in the training split, and could not be counted.
    unlimited = config.model_copy(update={"data": config.data.model_copy(update={"train_subset": 0})})
    available = len(split_photos(photos, unlimited).of_split(TRAIN))
    if num_train > available:
        message = f"{demand} {num_train:,} training photos, there are only {available:,}"
        raise DataError(message, hint="Add --set data.train_subset=0 to learn from all of them.")
    return available


def open_dataset(photos: Path, config: Config) -> Dataset:
    """The photos, split and decoded at every size that a configuration needs.

    Raises:
        DogvscatError: as `make_manifest` and `cached_pixels_by_size`.
    """
    source, manifest = _open_and_split(photos, _without_image_size(config))
    return Dataset(manifest, cached_pixels_by_size(source, manifest, config.image_sizes))


def _without_image_size(config: Config) -> DataConfig:
    """The settings that decide the splits. The image size does not, so it must not make another cache entry."""
    return config.data.model_copy(update={"image_size": 64})


@lru_cache(maxsize=8)  # the search for duplicates takes seconds, and a study's cells differ in few settings of the data
def _open_and_split(photos: Path, config: DataConfig) -> tuple[PhotoSource, Manifest]:
    source = open_photos(photos)
    return source, make_manifest(source, config)
