"""Out-of-fold predictions: every picture judged by a network that saw neither it nor a copy of it.

Each fold is a run folder whose validation split is the fold; what stops goes on there, what is finished stays.
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
from dogvscat.judging.decision import Decision
from dogvscat.judging.predictions import check_finite
from dogvscat.labels import ClassNames
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.engine import ComputeSettings, forget_networks, open_engine
from dogvscat.learning.run.create import InputPaths, record_start
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import Manifest, ManifestRow
from dogvscat.photos.pixels import PixelCache, cached_pixels
from dogvscat.photos.sources import PhotoSource
from dogvscat.photos.splits import LEFT_OUT, TRAIN, VALIDATION
from dogvscat.settings import changed, differences
from dogvscat.stderr import Reporter
from dogvscat.text import counted

COLUMNS = ("path", "sha256", "y_true", "y_prob")


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Pictures, their labels as filed, and what networks that never saw them say."""

    class_names: ClassNames
    rows: Sequence[ManifestRow]
    """Every usable picture, by path."""
    y_true: np.ndarray
    """int64 [N] of 0 and 1."""
    y_prob: np.ndarray
    """float64 [N], probability of the positive class."""


@dataclass(frozen=True)
class Fold:
    """One part of the pictures and the run that learns from the others."""

    number: int
    """From 1."""
    run: Run
    manifest: Manifest
    """The fold is its validation split, the other pictures its training split."""

    @property
    def answers_file(self) -> Path:
        """The fold's predictions; that it exists means that the fold is finished."""
        return self.run.folder / "out_of_fold.csv"


def fold_config(config: Config) -> Config:
    """The settings for folds: the last epoch's weights are kept, since the held-out fold must choose nothing, and
    photos of neither class take no part.

    Raises:
        UsageError: if the learning rate follows the validation loss, which here is that of the held-out fold.
    """
    if config.training.schedule == "reduce_on_plateau":
        message = f"the recipe {config.recipe!r} lowers its learning rate by looking at validation pictures"
        hint = "Those must choose nothing here. Use --recipe fast, or --set training.schedule=one_cycle."
        raise UsageError(f"{message} (training.schedule = reduce_on_plateau)", hint=hint)
    return changed(config, ["training.early_stopping_patience=0", "network.neither_output=false"])


def divide(manifest: Manifest, folds: int, seed: int) -> list[Manifest]:
    """The manifest once a fold: with the fold as its validation split and all other usable pictures as its training
    split. Folds are stratified by label; a duplicate group lies in one fold as a whole.

    Args:
        manifest: Pictures of any split take part; those left out stay so.
        folds: At least 2.
        seed: Equal seeds give equal folds.

    Raises:
        DataError: if a class has fewer groups than there are to be folds.
    """
    usable = [row for row in manifest.rows if row.split != LEFT_OUT]
    y_true, groups = manifest.labels(usable), np.array([row.group for row in usable])
    scarcest = min(len(np.unique(groups[y_true == label])) for label in (0, 1))
    if scarcest < folds:
        message = f"{folds} folds need at least {folds} different photos of each class, found {scarcest}"
        raise DataError(message, hint="Ask for fewer --folds, or add photos.")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [
        _held_out(manifest, set(groups[held_out].tolist())) for _, held_out in splitter.split(y_true, y_true, groups)
    ]


def predict_out_of_fold(
    source: PhotoSource, manifest: Manifest, config: Config, folds: int, folder: Path, report: Reporter
) -> OutOfFold:
    """Train once a fold on the other folds, and judge the fold.

    Args:
        source: The photos.
        manifest: Of these photos, labels as filed.
        config: As `fold_config` gives it.
        folds: How many.
        folder: Each fold has a run folder below it, named by its number. Finished ones are not trained again.
        report: Told what happens.

    Raises:
        UsageError: if `folder` holds folds of other settings, or another number of them.
        DataError: if it holds folds of other photos, or the photos are too few.
        ModelError: if what it holds is damaged, or a training diverged.
        WriteError: if it cannot be written.
        Interrupted: on Ctrl-C; the same call goes on.
    """
    parts = divide(manifest, folds, config.data.split_seed)
    divided = [Fold(number, Run(folder / str(number)), part) for number, part in enumerate(parts, start=1)]
    for fold in divided:
        _refuse_another(fold, config)
    _train_unfinished(divided, config, source, report)
    y_prob: dict[str, float] = {}
    for fold in divided:
        y_prob |= _read_answers(fold)
    rows = [row for row in manifest.rows if row.split != LEFT_OUT]
    return OutOfFold(manifest.class_names, rows, manifest.labels(rows), np.array([y_prob[row.sha256] for row in rows]))


def _held_out(manifest: Manifest, groups: set[str]) -> Manifest:
    rows = (
        row if row.split == LEFT_OUT else replace(row, split=VALIDATION if row.group in groups else TRAIN)
        for row in manifest.rows
    )
    return replace(manifest, rows=tuple(rows))


def _refuse_another(fold: Fold, config: Config) -> None:
    """Make sure that what was begun in the fold's folder is what is asked for now."""
    run = fold.run
    if not run.environment_file.exists():  # it is written last: without it nothing was trained
        return
    folder = run.folder.parent
    hint = f"Give the first command again, choose another --out, or delete {folder} to begin anew."
    if (begun := run.load_config()) != config:
        raise UsageError(f"{folder} was begun with other settings: {_difference(begun, config)}", hint=hint)
    manifest = run.load_manifest()
    if manifest.digest != fold.manifest.digest:
        raise DataError(f"{folder} was begun with other photos, or these have changed since", hint=hint)
    if _judged(manifest) != _judged(fold.manifest):
        raise UsageError(f"{folder} was begun with another number of folds", hint=hint)


def _difference(begun: Config, now: Config) -> str:
    differing = [f"{key} was {was} and is now {wanted}" for key, was, wanted in differences(begun, now)]
    return "; ".join(differing) or f"recipe was {begun.recipe} and is now {now.recipe}"


def _judged(manifest: Manifest) -> set[str]:
    return {row.sha256 for row in manifest.of_split(VALIDATION)}


def _train_unfinished(folds: Sequence[Fold], config: Config, source: PhotoSource, report: Reporter) -> None:
    unfinished = [fold for fold in folds if not fold.answers_file.exists()]
    if not unfinished:
        return
    manifest = unfinished[0].manifest  # all folds are of the same pictures
    pixels = {size: cached_pixels(source, manifest, size) for size in config.image_sizes}
    report("Loading Keras")
    # All folds compute in the precision that the first one was started in, on whatever machine it was started.
    started = (fold.run.load_environment() for fold in folds if fold.run.environment_file.exists())
    precision = next(started, {}).get("precision", config.training.precision)
    compute = open_engine(config.training.threads, precision)
    for num_following, fold in zip(reversed(range(len(unfinished))), unfinished, strict=True):
        num_train, num_judged = (len(fold.manifest.of_split(split)) for split in (TRAIN, VALIDATION))
        name = f"fold {fold.number} of {len(folds)}"
        report(f"{name}: {counted(num_judged, 'photo')} judged by a network that learns from the {num_train:,} others")
        try:
            if not fold.run.environment_file.exists():
                record_start(fold.run, config, Dataset(fold.manifest, pixels), InputPaths(source.location), compute)
            _train_fold(fold, config, pixels, compute, num_following, report)
        except (Interrupted, KeyboardInterrupt) as stop:
            where = stop.message if isinstance(stop, Interrupted) else "stopped"
            hint = "Give the same command again: finished folds are kept, and the one under way goes on."
            raise Interrupted(f"{name}: {where}", hint=hint) from None


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
    from dogvscat.learning.loop.setup import set_up_training

    forget_networks()
    training = set_up_training(fold.run, config, Dataset(fold.manifest, pixels), compute, report, num_following)
    training.fit()
    network = final_network(training.model, config, training.loader.images)
    logits = predict_logits(network, training.validation, config.data.image_size).positive
    check_finite(logits)
    rows = fold.manifest.of_split(VALIDATION)
    answers = zip(rows, training.validation.y_true, Decision().probabilities(logits), strict=True)
    table = ((row.path, row.sha256, int(label), float(positive)) for row, label, positive in answers)
    atomic.write_csv(fold.answers_file, COLUMNS, table)


def _read_answers(fold: Fold) -> dict[str, float]:
    """Probability of the positive class by sha256, of every picture of a finished fold."""
    try:
        with fold.answers_file.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            header, *lines = csv.reader(file)
        y_prob = {sha256: float(positive) for _, sha256, _, positive in lines}
        if tuple(header) != COLUMNS or y_prob.keys() != _judged(fold.manifest):
            raise ValueError("it is about other pictures")
        if not all(0.0 <= positive <= 1.0 for positive in y_prob.values()):
            raise ValueError("a probability does not lie between 0 and 1")
    except (OSError, ValueError, csv.Error) as error:
        hint = "Delete it and give the same command again: only this fold is judged anew."
        raise ModelError(f"{fold.answers_file} cannot be used: {error}", hint=hint) from None
    return y_prob
