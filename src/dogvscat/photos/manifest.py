"""The table of all photos of a run: the path, label, hashes, size, duplicate group, split and issues of each."""

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.config import DataConfig
from dogvscat.errors import DataError, ModelError
from dogvscat.labels import NEITHER, NEITHER_NAMES, ClassNames, sorted_class_names
from dogvscat.photos.duplicates import find_copies, group_names, near_duplicates
from dogvscat.photos.issues import Issue, find_issues
from dogvscat.photos.scan import ScannedPhoto, scan
from dogvscat.photos.sources import PhotoSource
from dogvscat.photos.splits import (
    LEFT_OUT,
    TEST,
    TRAIN,
    assign_splits,
    complete_declared_splits,
    draw_neither_test_groups,
    limit_training,
)
from dogvscat.text import pluralize

MAX_UNREADABLE_SHARE = 0.5
"""Above this share of unreadable photos, something is wrong with the whole folder and not with single photos."""
RELABELLED = "relabelled"
"""One of a row's issues: the photo was filed under the other class than its label."""


@dataclass(frozen=True)
class ManifestRow:
    """One photo. The fields are the columns of the CSV file."""

    path: str
    label: str
    """The class that the network is trained on; the class it was filed under, unless `issues` has `relabelled`."""
    sha256: str
    perceptual_hash: str
    """64 hexadecimal digits; empty if the photo cannot be decoded."""
    size: str
    """`WIDTHxHEIGHT` in pixels, after EXIF orientation."""
    mode: str
    """Pillow's name of the pixel type."""
    group: str
    """Name of the duplicate group."""
    split: str
    """`train`, `validation` or `test`; empty if the photo is left out."""
    issues: str
    """Kinds of issues, joined by `;`."""


@dataclass(frozen=True)
class Manifest:
    """All photos of a source, sorted by path."""

    class_names: ClassNames
    rows: tuple[ManifestRow, ...]
    is_synthetic: bool = False
    """Whether the images were drawn by code."""

    @property
    def digest(self) -> str:
        """sha256 over the sorted pairs of sha256 and filed label: equal for a zip and its unpacked folder.

        Splits, corrected labels and file names do not change it.
        """
        pairs = sorted(f"{row.sha256} {self.filed_as(row)}\n" for row in self.rows)
        return hashlib.sha256("".join(pairs).encode("utf-8", "surrogateescape")).hexdigest()

    def filed_as(self, row: ManifestRow) -> str:
        """The class that a photo was filed under, before any correction of its label."""
        if RELABELLED not in row.issues.split(";"):
            return row.label
        first, second = self.class_names
        return second if row.label == first else first

    def of_split(self, split: str) -> list[ManifestRow]:
        """The rows of `train`, `validation` or `test`."""
        return [row for row in self.rows if row.split == split]

    def labels(self, rows: Sequence[ManifestRow]) -> np.ndarray:
        """y_true of some rows: int64 (num_rows,), 0 or 1, 1 for the positive class."""
        return np.array([self.class_names.index(row.label) for row in rows], dtype=np.int64)

    def count(self, split: str) -> dict[str, int]:
        """Number of photos of each class in a split."""
        counts = Counter(row.label for row in self.rows if row.split == split)
        return {name: counts[name] for name in self.class_names}


def make_manifest(source: PhotoSource, config: DataConfig) -> Manifest:
    """Scan the photos, find duplicates and issues, and split.

    Photos that cannot be decoded, and photos that are filed under both classes, are in no split.

    Raises:
        DataError: if most photos cannot be read, or too few remain to train and validate with both classes.
    """
    scanned = scan(source)
    pairs = near_duplicates(scanned)
    groups = group_names(scanned, pairs)
    issues = find_issues(scanned, groups, pairs)
    splits = _splits(scanned, groups, issues, config)
    return _manifest(source, scanned, groups, splits, issues)


def make_neither_manifest(source: PhotoSource, config: DataConfig, class_manifest: Manifest) -> Manifest:
    """Like `make_manifest`, for photos that show neither class: some are for training, the others for testing.

    A photo with a copy in `class_manifest` shows one of the classes after all, and is in no split.

    Raises:
        DataError: if most photos cannot be read, or fewer than two different ones remain.
    """
    scanned = scan(source)
    _refuse_if_mostly_unreadable(scanned)
    pairs = near_duplicates(scanned)
    groups = group_names(scanned, pairs)
    class_hashes = [row.perceptual_hash for row in class_manifest.rows]
    # Only perceptual hashes are compared: an exact copy has the same hash as well.
    copies = find_copies([photo.perceptual_hash for photo in scanned], class_hashes)
    usable = [i for i, photo in enumerate(scanned) if photo.usable and copies[i] is None]
    test_groups = draw_neither_test_groups([groups[i] for i in usable], config)
    splits = [LEFT_OUT] * len(scanned)
    for index in usable:
        splits[index] = TEST if groups[index] in test_groups else TRAIN
    return _manifest(source, scanned, groups, splits, find_issues(scanned, groups, pairs))


def _manifest(
    source: PhotoSource,
    scanned: Sequence[ScannedPhoto],
    groups: Sequence[str],
    splits: Sequence[str],
    issues: Sequence[Issue],
) -> Manifest:
    kinds = _kinds_by_path(issues)
    rows = (
        ManifestRow(
            photo.path,
            source.class_names[photo.label],
            photo.sha256,
            photo.perceptual_hash,
            f"{photo.width}x{photo.height}",
            photo.mode,
            group,
            split,
            ";".join(kinds.get(photo.path, ())),
        )
        for photo, group, split in zip(scanned, groups, splits, strict=True)
    )
    return Manifest(source.class_names, tuple(rows), source.is_synthetic)


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest as CSV."""
    columns = [field.name for field in fields(ManifestRow)]
    atomic.write_csv(path, columns, map(attrgetter(*columns), manifest.rows))  # a third of astuple's time


def load_manifest(path: Path, is_synthetic: bool = False) -> Manifest:
    """Read a manifest written by `save_manifest`.

    Args:
        path: The CSV file.
        is_synthetic: Whether the images were drawn by code; the file does not say.

    Raises:
        ModelError: if the file is missing or is not a manifest.
    """
    try:
        # surrogateescape keeps the bytes of file names that are not UTF-8; newline="" those that contain line ends.
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            header, *lines = csv.reader(file)
        if header != [field.name for field in fields(ManifestRow)]:
            raise ValueError("its first line does not name the columns of a manifest")
        rows = tuple(ManifestRow(*line) for line in lines)
        labels = {row.label for row in rows}  # the file does not name the classes apart from its rows
        return Manifest(NEITHER_NAMES if labels == {NEITHER} else sorted_class_names(labels), rows, is_synthetic)
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise ModelError(f"{path} is not a manifest: {error}") from None


def _splits(
    scanned: Sequence[ScannedPhoto], groups: Sequence[str], issues: Sequence[Issue], config: DataConfig
) -> list[str]:
    _refuse_if_mostly_unreadable(scanned)
    conflicting = {issue.path for issue in issues if issue.kind == "label_conflict"}
    usable = [i for i, photo in enumerate(scanned) if photo.usable and photo.path not in conflicting]
    labels = [scanned[i].label for i in usable]
    if min(labels.count(0), labels.count(1)) < 2:
        unusable = len(scanned) - len(usable)
        hint = f"`dogvscat audit` shows what is wrong with {pluralize(unusable, 'other photo')}." if unusable else None
        raise DataError(
            f"at least 2 usable photos of each class are needed, found {labels.count(0)} and {labels.count(1)}",
            hint=hint or "Add photos: a few hundred of each class are needed to be of use.",
        )
    # From here on lists are of the usable photos only; `usable` leads back to the indices of all photos.
    usable_groups = [groups[i] for i in usable]
    declared = [scanned[i].declared_split for i in usable]
    assigned = (
        complete_declared_splits(declared, labels, usable_groups, config)
        if any(declared)
        else assign_splits(labels, usable_groups, config)
    )
    limited = limit_training(assigned, labels, usable_groups, config)
    splits = [LEFT_OUT] * len(scanned)
    for index, split in zip(usable, limited, strict=True):
        splits[index] = split
    return splits


def _refuse_if_mostly_unreadable(scanned: Sequence[ScannedPhoto]) -> None:
    unreadable = [photo for photo in scanned if not photo.usable]
    if len(unreadable) > MAX_UNREADABLE_SHARE * len(scanned):
        first = unreadable[0]
        raise DataError(
            f"{len(unreadable)} of {len(scanned)} photos cannot be read, for example {first.path}: {first.error}",
            hint="`dogvscat audit` lists every one of them.",
        )


def _kinds_by_path(issues: Sequence[Issue]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for issue in issues:
        kinds.setdefault(issue.path, []).append(issue.kind)
    return kinds
