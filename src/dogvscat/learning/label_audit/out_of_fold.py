"""Out-of-fold predictions: every photo is predicted by a network that was trained on neither it nor a copy of it.

Each fold is a run folder whose validation split is the fold. A stopped fold resumes there, a finished one is kept.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import DataError, Interrupted, ModelError, UsageError
from dogvscat.judging.calibration import cross_fit
from dogvscat.judging.decision import Decision
from dogvscat.judging.predictions import check_finite
from dogvscat.labels import ClassNames
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, forget_networks, open_engine
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.new_run import create_run
from dogvscat.learning.run import Run
from dogvscat.locks import exclusive
from dogvscat.photos.manifest import Manifest, ManifestRow
from dogvscat.photos.pixels import PixelCache, cached_pixels_by_size
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.splits import LEFT_OUT, TRAIN, VALIDATION
from dogvscat.settings.keys import differences
from dogvscat.settings.resolve import with_settings
from dogvscat.stderr import Reporter
from dogvscat.text import pluralize

COLUMNS = ("path", "sha256", "y_true", "y_prob")


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictions:
    """Photos, the labels they are filed under, and the predictions of networks that never saw them."""

    class_names: ClassNames
    rows: Sequence[ManifestRow]
    """Every usable photo, sorted by path."""
    y_true: np.ndarray
    """int64 (num_photos,), 0 or 1."""
    y_prob: np.ndarray
    """float64 (num_photos,), probability of the positive class, as the networks give it."""

    def calibrated(self) -> "OutOfFoldPredictions":
        """The same with calibrated probabilities, each from a calibration that was fitted on other photos.

        Over-confident networks contradict more labels than they should.
        """
        # Log-odds again; a probability of exactly 0 or 1 has none.
        y_prob = np.clip(self.y_prob, 1e-15, 1 - 1e-15)
        logits = np.log(y_prob) - np.log1p(-y_prob)
        return replace(self, y_prob=cross_fit(self.y_true, logits, [row.group for row in self.rows]).y_prob)


@dataclass(frozen=True)
class Fold:
    """One part of the photos, and the run that is trained on the others."""

    number: int
    """From 1."""
    run: Run
    manifest: Manifest
    """The fold is its validation split, all other photos are its training split."""

    @property
    def predictions_file(self) -> Path:
        """The fold's predictions. The file is written last: if it exists, the fold is finished."""
        return self.run.folder / "out_of_fold.csv"


def fold_config(config: Config) -> Config:
    """The settings for folds: the last epoch's weights are kept, and photos that show neither class take no part.

    Raises:
        UsageError: if the learning rate follows the validation loss, which here is the loss of the held-out fold.
    """
    # The labels of a fold are under suspicion, so they must influence nothing in its own network: neither the epoch
    # whose weights are kept, nor the learning rate.
    if config.training.schedule == "reduce_on_plateau":
        message = f"the recipe {config.recipe!r} lowers its learning rate when the validation loss stalls"
        hint = (
            "Here validation photos must not influence the learning rate. Use --recipe fast, or "
            "--set training.schedule=one_cycle."
        )
        raise UsageError(f"{message} (training.schedule = reduce_on_plateau)", hint=hint)
    return with_settings(config, ["training.early_stopping_patience=0", "network.neither_output=false"])


def divide_into_folds(manifest: Manifest, num_folds: int, seed: int) -> list[Manifest]:
    """The manifest once per fold, with the fold as its validation split and all other usable photos as training split.

    Folds are stratified by label, and no duplicate group is divided between two folds.

    Args:
        manifest: Photos of all splits take part; those that are left out stay so.
        num_folds: At least 2.
        seed: Equal seeds give equal folds.

    Raises:
        DataError: if a class has fewer duplicate groups than `num_folds`.
    """
    usable = [row for row in manifest.rows if row.split != LEFT_OUT]
    y_true, groups = manifest.labels(usable), np.array([row.group for row in usable])
    fewest = min(len(np.unique(groups[y_true == label])) for label in (0, 1))
    if fewest < num_folds:
        message = f"{num_folds} folds need at least {num_folds} different photos of each class, found {fewest}"
        raise DataError(message, hint="Ask for fewer --folds, or add photos.")
    # By group, since a copy of a held-out photo among the training photos would reveal its label.
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    folds = splitter.split(y_true, y_true, groups)  # of the first argument only the length counts
    return [_hold_out(manifest, set(groups[held_out].tolist())) for _, held_out in folds]


def predict_out_of_fold(
    source: PhotoSource, manifest: Manifest, config: Config, num_folds: int, folder: Path, report: Reporter
) -> OutOfFoldPredictions:
    """For each fold, train a network on the other folds and predict the photos of the fold.

    Args:
        source: The photos.
        manifest: Of these photos, with the labels they are filed under.
        config: From `fold_config`.
        num_folds: Number of folds.
        folder: Each fold has a run folder in it, named by its number. Finished folds are not trained again.
        report: Receives messages about the progress.

    Raises:
        UsageError: if `folder` holds folds of other settings, or a different number of folds.
        DataError: if it holds folds of other photos, or there are too few photos.
        ModelError: if its files are damaged, or a training diverged.
        WriteError: if it cannot be written.
        Interrupted: on Ctrl-C; the same call resumes.
    """
    manifests = divide_into_folds(manifest, num_folds, config.data.split_seed)
    folds = [Fold(number, Run(folder / str(number)), part) for number, part in enumerate(manifests, start=1)]
    for fold in folds:
        _refuse_different(fold, config)
    _train_unfinished(folds, config, source, report)
    y_prob: dict[str, float] = {}
    for fold in folds:
        y_prob |= _read_predictions(fold)
    rows = [row for row in manifest.rows if row.split != LEFT_OUT]
    y_prob_of_rows = np.array([y_prob[row.sha256] for row in rows])
    return OutOfFoldPredictions(manifest.class_names, rows, manifest.labels(rows), y_prob_of_rows)


def _hold_out(manifest: Manifest, groups: set[str]) -> Manifest:
    """The manifest with these duplicate groups as its validation split."""
    rows = (
        row if row.split == LEFT_OUT else replace(row, split=VALIDATION if row.group in groups else TRAIN)
        for row in manifest.rows
    )
    return replace(manifest, rows=tuple(rows))


def _refuse_different(fold: Fold, config: Config) -> None:
    """Raise if the fold was started with other settings, photos or folds than those given now."""
    run = fold.run
    if not run.environment_file.exists():  # it is the last file of a start: without it nothing was trained
        return
    folder = run.folder.parent
    hint = f"Run the first command again, choose another --out, or delete {folder} to start again."
    if (started_config := run.load_config()) != config:
        differing = _differing_settings(started_config, config)
        raise UsageError(f"{folder} was started with other settings: {differing}", hint=hint)
    manifest = run.load_manifest()
    if manifest.digest != fold.manifest.digest:
        raise DataError(f"{folder} was started with different photos, or the photos have changed since", hint=hint)
    if _held_out_digests(manifest) != _held_out_digests(fold.manifest):
        raise UsageError(f"{folder} was started with a different number of folds", hint=hint)


def _differing_settings(before: Config, now: Config) -> str:
    differing = [f"{key} was {old} and is now {new}" for key, old, new in differences(before, now)]
    return "; ".join(differing) or f"recipe was {before.recipe} and is now {now.recipe}"


def _held_out_digests(manifest: Manifest) -> set[str]:
    return {row.sha256 for row in manifest.of_split(VALIDATION)}


def _train_unfinished(folds: Sequence[Fold], config: Config, source: PhotoSource, report: Reporter) -> None:
    unfinished = [fold for fold in folds if not fold.predictions_file.exists()]
    if not unfinished:
        return
    manifest = unfinished[0].manifest  # all folds have the same photos
    pixels = cached_pixels_by_size(source, manifest, config.image_sizes)
    report("Loading Keras")
    # All folds compute in the precision that the first one was started in, on whatever machine it was started.
    started = (fold.run.load_environment() for fold in folds if fold.run.environment_file.exists())
    precision = next(started, {}).get("precision", config.training.precision)
    compute = open_engine(config.training.threads, precision)
    for num_following, fold in zip(reversed(range(len(unfinished))), unfinished, strict=True):
        num_train, num_held_out = (len(fold.manifest.of_split(split)) for split in (TRAIN, VALIDATION))
        name = f"fold {fold.number} of {len(folds)}"
        report(f"{name}: training on {pluralize(num_train, 'photo')}, to predict the {num_held_out:,} held out")
        try:
            with exclusive(fold.run.folder):
                if not fold.run.environment_file.exists():
                    create_run(
                        fold.run.folder, config, Dataset(fold.manifest, pixels), InputPaths(source.location), compute
                    )
                _train_fold(fold, config, pixels, compute, num_following, report)
        except (Interrupted, KeyboardInterrupt) as stop:
            message = stop.message if isinstance(stop, Interrupted) else "stopped"
            hint = "Run the same command again: finished folds are kept, and the stopped one resumes."
            raise Interrupted(f"{name}: {message}", hint=hint) from None


def _train_fold(
    fold: Fold,
    config: Config,
    pixels: Mapping[int, PixelCache],
    compute: ComputeSettings,
    num_following: int,
    report: Reporter,
) -> None:
    # These need Keras, which engine.py hands out only now that it is open.
    from dogvscat.learning.loop.inference import final_network, predict_logits
    from dogvscat.learning.loop.training import set_up_training

    forget_networks()
    training = set_up_training(fold.run, config, Dataset(fold.manifest, pixels), compute, report, num_following)
    training.fit()
    network = final_network(training.model, config, training.loader.images)
    logits = predict_logits(network, training.validation, config.data.image_size).positive
    check_finite(logits)
    rows = fold.manifest.of_split(VALIDATION)
    y_prob = Decision().probabilities(logits)  # not calibrated yet: `calibrated` does that, for all folds together
    table = (
        (row.path, row.sha256, int(label), float(probability))
        for row, label, probability in zip(rows, training.validation.y_true, y_prob, strict=True)
    )
    atomic.write_csv(fold.predictions_file, COLUMNS, table)


def _read_predictions(fold: Fold) -> dict[str, float]:
    """Probability of the positive class by sha256, for every photo of a finished fold."""
    file = fold.predictions_file
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            header, *lines = csv.reader(stream)
        y_prob = {sha256: float(probability) for _, sha256, _, probability in lines}
        if tuple(header) != COLUMNS or y_prob.keys() != _held_out_digests(fold.manifest):
            raise ValueError("it lists different photos")
        if not all(0.0 <= probability <= 1.0 for probability in y_prob.values()):
            raise ValueError("a probability does not lie between 0 and 1")
    except (OSError, ValueError, csv.Error) as error:
        hint = "Delete it and run the same command again: only the photos of this fold are predicted again."
        raise ModelError(f"{file} cannot be used: {error}", hint=hint) from None
    return y_prob
