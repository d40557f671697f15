"""A training from photographs to a judged bundle, read downward: data, network, loop, judging, bundle, report."""

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dogvscat import atomic, caches
from dogvscat.config import Config
from dogvscat.errors import DataError, Interrupted, UsageError
from dogvscat.judging.image_grid import image_grid
from dogvscat.learning.data.augmentation import augment, cutmix
from dogvscat.learning.data.batches import BatchLoader
from dogvscat.learning.data.dataset import SYNTHETIC_NOTE, Dataset
from dogvscat.learning.engine import prepare_backend
from dogvscat.learning.loop.checkpoint import load_checkpoint
from dogvscat.learning.run.create import InputPaths, refuse_existing, start_run
from dogvscat.learning.run.folder import Run
from dogvscat.photos.manifest import Manifest, make_manifest, make_neither_manifest
from dogvscat.photos.pixels import PixelCache, cached_pixels, mapped_pixels
from dogvscat.photos.relabel import Relabelling, read_relabelling, relabel
from dogvscat.photos.sources import PhotoSource, open_neither, open_photos
from dogvscat.settings import changed
from dogvscat.stderr import Reporter
from dogvscat.text import counted

EXTENDABLE = ("training.epochs", "training.early_stopping_patience", "training.checkpoint_seconds")
"""Settings that may change when a run is resumed; any other would make it a different run."""

_PREVIEWED = 5
_UNEQUAL = 1.5


def train(
    photos: Path,
    config: Config,
    out: Path | None,
    report: Reporter,
    relabel_file: Path | None = None,
    neither: Path | None = None,
) -> Run:
    """Train from scratch, judge, and write a run folder.

    Args:
        photos: A folder or zip with photos of two classes.
        config: Every setting.
        out: The run folder, or None for the next free one below `runs/`.
        report: Told what happens, a sentence at a time.
        relabel_file: A table of corrections as `audit --labels` writes it, or None. It changes the training split
            alone, after the split was drawn: the pictures that judge stay the same, with their labels as filed.
        neither: A folder or zip of photos that show neither class, or None. With them the network learns a second
            output, whether a photo shows neither; some are kept to measure how many it notices.

    Raises:
        DataError: if the photos cannot be used, or `relabel_file` is not such a table.
        UsageError: if `out` exists, or `network.neither_output` is set without photos of neither.
        WriteError: if a file cannot be written; what was finished before is kept.
        Interrupted: on Ctrl-C; go on with `resume`.
    """
    refuse_existing(out)
    config = _with_neither(config, neither)
    if not os.path.exists(caches.area("pixels")):  # noqa: PTH110 - else all that is needed may be there; never raises
        atomic.refuse_unwritable(caches.area("pixels"))
    source = open_photos(photos)
    relabelling = read_relabelling(relabel_file, source.class_names) if relabel_file else None
    manifest = make_manifest(source, config.data)
    if relabelling:
        manifest = _relabelled(manifest, relabelling, report)
    _describe(manifest, source.skipped, report)
    pixels = {size: cached_pixels(source, manifest, size) for size in config.image_sizes}
    dataset = Dataset(manifest, pixels, _open_neither(neither, config, manifest, report) if neither else None)
    report("Loading Keras")
    threads = prepare_backend(config.training.threads)
    input_paths = InputPaths(photos, neither, relabelling.digest if relabelling else None)
    run = start_run(out, config, dataset, input_paths, threads)
    _fit_and_finish(run, config, dataset, report)
    return run


def resume(folder: Path, settings: Sequence[str], report: Reporter) -> Run:
    """Go on with a run that was stopped or killed, or judge one again; the result is as if nothing had happened.

    Args:
        folder: The run folder.
        settings: `section.key=value`, of `EXTENDABLE` only.
        report: Told what happens.

    Raises:
        ModelError: if the folder holds no run, or its checkpoint is damaged.
        UsageError: if a setting may not change.
        DataError: if the photos are gone or have changed, and the pixel cache is gone as well.
        WriteError: if the folder cannot be written.
    """
    run = Run(folder)
    config = _extended(run.load_config(), settings)
    atomic.refuse_unwritable(folder)
    environment = run.load_environment()
    manifest = run.load_manifest()
    if run.checkpoint_file.exists():
        load_checkpoint(run.checkpoint_file)  # a damaged one is told of now, and not after the photos were decoded
    pixels = _pixels_again(partial(_look, Path(environment["photos"]), config), manifest, config)
    dataset = Dataset(manifest, pixels)
    if config.network.neither_output:
        others = run.load_neither_manifest()
        look = partial(_look_at_neither, Path(environment["neither"]), config, manifest)
        dataset = replace(dataset, neither=Dataset(others, _pixels_again(look, others, config)))
    prepare_backend(environment["threads"])
    run.save_config(config)
    _fit_and_finish(run, config, dataset, report)
    return run


def _fit_and_finish(run: Run, config: Config, dataset: Dataset, report: Reporter) -> None:
    # Keras is imported here and in what follows, after the backend was prepared and the photos proved usable.
    from dogvscat.learning.finalize.finalize import finish
    from dogvscat.learning.loop.setup import prepare_training

    training = prepare_training(run, config, dataset, report)
    if training.state.finished(config.training):
        report("Nothing is left to train, unless training.epochs, or the patience if it stopped early, is raised.")
    _preview_augmentation(run, training.loader, dataset.manifest.is_synthetic)
    try:
        training.fit()
    except Interrupted as stop:
        stop.hint = f"Go on with: dogvscat train --resume {shlex.quote(str(run.folder))}"
        raise
    report("Judging the pictures, and writing the bundle and the report.")
    finish(run, training, dataset)


def _extended(config: Config, settings: Sequence[str]) -> Config:
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key not in EXTENDABLE:
            hint = f"Only these may change: {', '.join(EXTENDABLE)}. Anything else is another run."
            raise UsageError(f"{key} cannot change when a run is resumed", hint=hint)
    return changed(config, settings)


def _with_neither(config: Config, neither: Path | None) -> Config:
    if neither is not None:
        return changed(config, ["network.neither_output=true"])
    if config.network.neither_output:
        hint = "Name them with --neither, or --set network.neither_output=false."
        raise UsageError("network.neither_output is set, but no photos of neither class are given", hint=hint)
    return config


def _open_neither(neither: Path, config: Config, classes: Manifest, report: Reporter) -> Dataset:
    source, manifest = _look_at_neither(neither, config, classes)
    counts = {split: len(manifest.of_split(split)) for split in ("train", "test")}
    taught = counted(counts["train"], "photo")
    report(f"neither: {taught} to learn from, {counts['test']:,} kept to measure how many are noticed")
    return Dataset(manifest, {size: cached_pixels(source, manifest, size) for size in config.image_sizes})


def _pixels_again(
    look: Callable[[], tuple[PhotoSource, Manifest]], manifest: Manifest, config: Config
) -> dict[int, PixelCache]:
    """The pixel caches of a run; decoded again from the photos if one was cleared and they are still the same."""
    caches = {size: mapped_pixels(manifest, size) for size in config.image_sizes}
    there = {size: cache for size, cache in caches.items() if cache is not None}
    if len(there) == len(caches):
        return there
    source, found = look()  # paths may have changed, contents may not
    if found.digest != manifest.digest:
        message = f"the photos in {source.location} have changed since this run was started"
        raise DataError(message, hint="Start a new run.")
    return {size: cached_pixels(source, found, size) for size in config.image_sizes}


def _look(photos: Path, config: Config) -> tuple[PhotoSource, Manifest]:
    source = open_photos(photos)
    return source, make_manifest(source, config.data)


def _look_at_neither(neither: Path, config: Config, classes: Manifest) -> tuple[PhotoSource, Manifest]:
    source = open_neither(neither)
    return source, make_neither_manifest(source, config.data, classes)


def _relabelled(manifest: Manifest, relabelling: Relabelling, report: Reporter) -> Manifest:
    done = relabel(manifest, relabelling)
    report(f"{relabelling.file}: {done.num_relabelled:,} training photos relabelled, {done.num_left_out:,} left out")
    if done.num_held_out:
        report(f"{done.num_held_out:,} of its photos judge and do not train: they keep the labels they are filed under")
    if done.num_unknown:
        report(f"{done.num_unknown:,} of its photos are not among these (another sha256)")
    return done.manifest


def _describe(manifest: Manifest, skipped: int, report: Reporter) -> None:
    if manifest.is_synthetic:
        report(
            "These pictures are DRAWN BY CODE, not photographs; what is learned from them is of no use on photographs."
        )
    for split in ("train", "validation", "test"):
        counts = manifest.count(split)
        if any(counts.values()):
            report(f"{split}: {counted(sum(counts.values()), 'photo')} ({_in_words(counts)})")
    left_out = [row for row in manifest.rows if not row.split]
    if left_out or skipped:
        others = counted(skipped, "file") + " of " + ("another kind" if skipped == 1 else "other kinds")
        report(f"left out: {counted(len(left_out), 'photo')} (manifest.csv says why), {others}")
    counts = manifest.count("train")
    if max(counts.values()) > _UNEQUAL * min(counts.values()):
        report(f"The classes are unequal ({_in_words(counts)}); consider --set training.class_weights=balanced")


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _preview_augmentation(run: Run, loader: BatchLoader, is_synthetic: bool) -> None:
    """A picture of five training pictures, each changed five times."""
    if run.augmentation_picture.exists():
        return
    samples = np.linspace(0, len(loader.pictures) - 1, _PREVIEWED).astype(np.int64)
    images = np.stack([_changed(loader, epoch, samples) for epoch in range(5)], axis=1)
    # (5 pictures, 5 epochs, image_size, image_size, 3)
    flat = images.reshape(-1, *images.shape[2:])
    title = "Each row: one picture as five epochs see it"
    image_grid(run.augmentation_picture, flat, [], _PREVIEWED, title, SYNTHETIC_NOTE if is_synthetic else None)


def _changed(loader: BatchLoader, epoch: int, samples: np.ndarray) -> np.ndarray:
    """The pictures as an epoch sees them."""
    settings, place = loader.config.augmentation, (loader.config.training.seed, epoch)
    images = augment(loader.pictures, samples, loader.config.data.image_size, settings, place)
    return cutmix(images, loader.pictures.y_true[samples], samples, settings, place)[0]
