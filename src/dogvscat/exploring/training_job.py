"""One training of many: from a configuration to two accuracies, in a folder of its own, without report and bundle.

The folder is a run folder as far as it goes: a cell that was killed goes on where it was, and finished cells can be
looked at with `dogvscat runs` and `dogvscat compare`.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dogvscat import atomic, caches
from dogvscat.config import Config, DataConfig
from dogvscat.errors import DataError, DivergedError, ModelError
from dogvscat.judging.answers import Answers
from dogvscat.judging.decision import Decision
from dogvscat.judging.predictions import read_predictions, write_predictions
from dogvscat.learning.data.dataset import SYNTHETIC_NOTE, Dataset
from dogvscat.learning.engine import prepare_backend
from dogvscat.learning.loop.state import TrainingState
from dogvscat.learning.run.create import ComputeSettings, InputPaths, record_start
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import Manifest, make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.sources import PhotoSource, open_photos

RESULT_FILE = "cell.json"

AfterEpoch = Callable[[TrainingState], None]


@dataclass(frozen=True)
class CellResult:
    """What a finished cell found. Accuracies lie between 0 and 1, at a threshold of one half."""

    validation_accuracy: float
    training_accuracy: float
    """In inference mode, on plain training pictures."""
    seconds: float
    """Of training, over all sessions."""
    epochs: int
    history: list[dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Diverged:
    """A cell whose loss became infinite or no number: it is finished, without accuracies."""

    diverged: str
    """When, in words."""


def cell_threads(config: Config) -> int:
    """CPU threads of a cell. All of a machine means the one where the command was given, wherever the cell then runs:
    equal settings come to equal results."""
    return config.training.threads or os.cpu_count() or 1


def run_cell(
    photos: Path, config: Config, folder: Path, compute: ComputeSettings, after_epoch: AfterEpoch | None = None
) -> CellResult | Diverged:
    """Train and judge one configuration; a finished cell is read, and one that was stopped goes on.

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting.
        folder: The cell's own.
        compute: Threads as from `cell_threads`, and the precision; the same for every cell that is compared.
        after_epoch: Told of every epoch; it may raise to end the cell there, which is then not finished.

    Raises:
        DogvscatError: as `train` does.
        DataError: if the cell was begun on other photos.
        Interrupted: on Ctrl-C; the same call goes on.
    """
    if (result := read_result(folder)) is not None:
        return result
    dataset = open_dataset(photos, config)
    refuse_other_photos(dataset.manifest, [folder])
    prepare_backend(compute.threads)

    from dogvscat.learning.loop.setup import forget_networks, prepare_training
    from dogvscat.learning.loop.training import predict_logits
    from dogvscat.learning.loop.weight_averaging import final_network  # Keras, after the backend was prepared

    forget_networks()
    run = Run(folder)
    if not run.environment_file.exists():
        record_start(run, config, dataset, InputPaths(photos), compute)
    training = prepare_training(run, config, dataset, lambda sentence: None)
    training.quiet, training.after_epoch = True, after_epoch
    try:
        training.fit()
    except DivergedError as error:
        diverged = Diverged(error.message)
        atomic.write_json(folder / RESULT_FILE, asdict(diverged))
        run.checkpoint_file.unlink(missing_ok=True)
        return diverged
    network = final_network(training.model, config, training.loader.pictures)
    answers = []
    for split, pictures in (("train", training.loader.pictures), ("validation", training.validation)):
        logits = predict_logits(network, pictures, config.data.image_size)
        paths = [row.path for row in dataset.manifest.of_split(split)]
        answers.append(Answers.decided(split, dataset.manifest.class_names, paths, pictures.y_true, logits, Decision()))
    write_predictions(run.predictions_file, answers)
    accuracies = [float((split.y_true == split.y_pred).mean()) for split in answers]
    history = training.state.history
    seconds = sum(row["seconds"] for row in history)
    result = CellResult(accuracies[1], accuracies[0], round(seconds, 1), len(history), history)
    atomic.write_json(folder / RESULT_FILE, result.to_dict())
    run.checkpoint_file.unlink(missing_ok=True)  # a study of many cells would fill the disk
    return result


def read_result(folder: Path) -> CellResult | Diverged | None:
    """What a finished cell came to, or None if it is not finished.

    Raises:
        ModelError: if the file is damaged.
    """
    file = folder / RESULT_FILE
    try:
        document: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Diverged(**document) if "diverged" in document else CellResult(**document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        hint = "Delete it and give the same command again: only this cell is trained anew."
        raise ModelError(f"{file} is damaged: {error}", hint=hint) from None


def refuse_other_photos(manifest: Manifest, folders: Iterable[Path]) -> None:
    """Make sure that cells which were begun already learned from these photos.

    Raises:
        DataError: naming one that did not.
        ModelError: if one is damaged.
    """
    for folder in folders:
        run = Run(folder)
        if not run.environment_file.exists():
            continue
        environment = run.load_environment()
        if environment["data_digest"] != manifest.digest:
            digests = (
                f"their digest is {manifest.digest[:16]}, that of the earlier ones {environment['data_digest'][:16]}"
            )
            message = f"{folder} learned from other photos ({environment['photos']}): {digests}"
            raise DataError(message, hint="Give the photos it was begun with, or choose another --out.")


def begun_precision(folders: Iterable[Path]) -> str | None:
    """The arithmetic of the first of some cells that was begun; None before any was.

    Raises:
        ModelError: if it is damaged.
    """
    begun = (run for run in map(Run, folders) if run.environment_file.exists())
    return next((run.load_environment().get("precision") for run in begun), None)


def note_of(folder: Path) -> str | None:
    """What must be seen beside a cell's result, if anything.

    Raises:
        ModelError: if the cell was never begun or is damaged.
    """
    return SYNTHETIC_NOTE if Run(folder).load_environment()["drawn_sample"] else None


def num_validation(folder: Path) -> int:
    """How many pictures a finished cell was judged on.

    Raises:
        ModelError: if its answers are missing or damaged.
    """
    return len(read_predictions(Run(folder).predictions_file)["validation"].y_true)


def look_at(photos: Path, config: Config) -> Manifest:
    """The photos of a cell with their splits, looked at once for all cells of this process.

    Raises:
        DogvscatError: as `make_manifest`.
    """
    return _looked_at(photos, config.data.model_copy(update={"image_size": 64}))[1]


def open_dataset(photos: Path, config: Config) -> Dataset:
    """Photos looked at, split and decoded, at every size that a configuration needs.

    Raises:
        DogvscatError: as `make_manifest` and `cached_pixels`.
    """
    with caches.filled_by_one("pixels"):
        source, manifest = _looked_at(photos, config.data.model_copy(update={"image_size": 64}))
        return Dataset(manifest, {size: cached_pixels(source, manifest, size) for size in config.image_sizes})


@lru_cache(maxsize=8)  # cells of one study differ in few settings about data, and looking for copies takes seconds
def _looked_at(photos: Path, config: DataConfig) -> tuple[PhotoSource, Manifest]:
    source = open_photos(photos)
    return source, make_manifest(source, config)
