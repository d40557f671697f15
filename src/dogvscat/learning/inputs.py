"""The photos of a training: found, split, corrected, described and decoded; and found again when a run is resumed."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dogvscat import atomic, caches
from dogvscat.config import Config
from dogvscat.errors import DataError, UsageError
from dogvscat.judging.learning_curve import describe_small_set
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.loop.checkpoint import load_checkpoint
from dogvscat.learning.run import Run
from dogvscat.photos.manifest import Manifest, describe, make_manifest, make_neither_manifest
from dogvscat.photos.pixels import PixelCache, cached_pixels_by_size, mapped_pixels
from dogvscat.photos.reading.photo_list import read_photo_list, without_listed
from dogvscat.photos.reading.sources import PhotoSource, open_neither, open_photos
from dogvscat.photos.relabel import Relabeling, read_relabeling, relabel
from dogvscat.photos.splits import TRAIN
from dogvscat.settings.resolve import with_settings
from dogvscat.stderr import Reporter


def with_neither_output(config: Config, neither: Path | None) -> Config:
    """The configuration with the second output if photos that show neither class are given.

    Raises:
        UsageError: if `network.neither_output` is set and no such photos are given.
    """
    if neither is not None:
        return with_settings(config, ["network.neither_output=true"])
    if config.network.neither_output:
        hint = "Give such photos with --neither PHOTOS, or add --set network.neither_output=false."
        raise UsageError("network.neither_output is set, but no photos that show neither class are given", hint=hint)
    return config


def read_dataset(
    paths: InputPaths, relabel_file: Path | None, config: Config, report: Reporter
) -> tuple[Dataset, InputPaths]:
    """Find, split, correct and decode the photos.

    Raises:
        DataError: if the photos cannot be used, `relabel_file` is not a table of corrections, or none of the photos is
            in the list of photos to leave out.
        WriteError: if the caches cannot be written.
    """
    if not os.path.exists(caches.folder("pixels")):  # noqa: PTH110 - never raises, as Path.exists may
        atomic.refuse_unwritable(caches.folder("pixels"))
    source = _open(paths.photos, paths.exclude)
    relabeling = read_relabeling(relabel_file, source.class_names) if relabel_file else None
    manifest = make_manifest(source, config.data)
    if relabeling:
        manifest = _relabeled(manifest, relabeling, report)
    for sentence in describe(manifest, source, config.training.class_weights == "balanced"):
        report(sentence)
    if not manifest.is_synthetic and (expected := describe_small_set(len(manifest.of_split(TRAIN)))):
        report(expected)
    neither_dataset = _read_neither(paths.neither, config, manifest, report) if paths.neither else None
    pixels = cached_pixels_by_size(source, manifest, config.image_sizes)
    dataset = Dataset(manifest, pixels, neither_dataset)
    return dataset, replace(paths, relabel_digest=relabeling.digest if relabeling else None)


def reread_dataset(run: Run, config: Config, environment: dict[str, Any]) -> Dataset:
    """The photos of a run that is resumed, from the pixel cache or, where that was cleared, from the photos.

    Raises:
        ModelError: if the run's manifest or checkpoint is damaged.
        DataError: if the photos are gone or have changed, and the pixel cache is gone as well.
        WriteError: if the caches cannot be written.
    """
    manifest = run.load_manifest()
    if run.checkpoint_file.exists():
        load_checkpoint(run.checkpoint_file)  # a damaged one is reported now, not after all photos were decoded
    exclude = Path(environment["exclude"]) if "exclude" in environment else None
    scan = partial(_scan, Path(environment["photos"]), exclude, config)
    pixels = _pixels_again(scan, manifest, config)
    if not config.network.neither_output:
        return Dataset(manifest, pixels)
    neither_manifest = run.load_neither_manifest()
    scan = partial(_scan_neither, Path(environment["neither"]), config, manifest)
    return Dataset(manifest, pixels, Dataset(neither_manifest, _pixels_again(scan, neither_manifest, config)))


def _open(photos: Path, exclude: Path | None) -> PhotoSource:
    source = open_photos(photos)
    return without_listed(source, read_photo_list(exclude)) if exclude else source


def _scan(photos: Path, exclude: Path | None, config: Config) -> tuple[PhotoSource, Manifest]:
    source = _open(photos, exclude)
    return source, make_manifest(source, config.data)


def _scan_neither(neither: Path, config: Config, classes: Manifest) -> tuple[PhotoSource, Manifest]:
    source = open_neither(neither)
    return source, make_neither_manifest(source, config.data, classes)


def _read_neither(neither: Path, config: Config, classes: Manifest, report: Reporter) -> Dataset:
    source, manifest = _scan_neither(neither, config, classes)
    for note in source.notes:
        report(note)
    num_train, num_test = (len(manifest.of_split(split)) for split in ("train", "test"))
    report(
        f"photos that show neither class: {num_train:,} to learn from, "
        f"{num_test:,} held out to measure how many are recognized"
    )
    return Dataset(manifest, cached_pixels_by_size(source, manifest, config.image_sizes))


def _pixels_again(
    scan: Callable[[], tuple[PhotoSource, Manifest]], manifest: Manifest, config: Config
) -> dict[int, PixelCache]:
    mapped = {size: mapped_pixels(manifest, size) for size in config.image_sizes}
    complete = {size: cache for size, cache in mapped.items() if cache is not None}
    if len(complete) == len(mapped):
        return complete
    source, manifest_now = scan()  # the photos may have other paths now, but must have the same contents
    if manifest_now.digest != manifest.digest:
        message = f"the photos in {source.location} have changed since this run was started"
        raise DataError(message, hint="Start a new run.")
    return cached_pixels_by_size(source, manifest_now, config.image_sizes)


def _relabeled(manifest: Manifest, relabeling: Relabeling, report: Reporter) -> Manifest:
    result = relabel(manifest, relabeling)
    report(f"{relabeling.file}: {result.num_relabeled:,} training photos relabeled, {result.num_left_out:,} left out")
    if result.num_held_out:
        report(f"{result.num_held_out:,} photos in the table are validation or test photos: they keep their labels")
    if result.num_unknown:
        report(f"{result.num_unknown:,} photos in the table were not found (no photo has their sha256)")
    return result.manifest
