"""The table of all photos of a run: the path, label, hashes, size, duplicate group, split and issues of each."""

import csv
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.config import DataConfig
from dogvscat.errors import ModelError
from dogvscat.labels import NEITHER, NEITHER_NAMES, ClassNames
from dogvscat.photos.duplicates import find_copies, group_names, near_duplicates
from dogvscat.photos.giveaways import Giveaway, find_giveaways
from dogvscat.photos.issues import Issue, find_issues
from dogvscat.photos.reading.layout import sorted_class_names
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.scan import ScannedPhoto, scan
from dogvscat.photos.splits import (
    LEFT_OUT,
    TEST,
    TRAIN,
    VALIDATION,
    choose_splits,
    draw_neither_test_groups,
    refuse_if_mostly_unreadable,
)
from dogvscat.text import pluralize, printable, unescape_cell

RELABELLED = "relabelled"
"""One of a row's issues: the label was corrected. The photo is filed under the other class."""

_UNBALANCED = 1.5
"""Class weights are suggested if the larger class has over this many times the photos of the smaller one."""
_MAX_REASONS = 10
"""Largest number of reasons to list for photos that cannot be read."""


@dataclass(frozen=True, slots=True)
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
    """All photos of a source, sorted by path.

    Raises:
        ValueError: if a duplicate group is divided between two splits. Whatever is trained or measured has a manifest,
            so nothing is trained or measured with such a leak.
    """

    class_names: ClassNames
    rows: tuple[ManifestRow, ...]
    is_synthetic: bool = False
    """Whether the images were drawn by code."""
    unreadable: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Path and reason of each photo that cannot be read; empty in a manifest that was loaded."""
    giveaways: tuple[Giveaway, ...] = ()
    """Facts about the files that reveal the class; the CSV file does not have them."""
    digest: str = field(init=False)
    """sha256 over the sorted pairs of sha256 and filed label: equal for a zip and its unpacked folder.

    Splits, corrected labels and file names do not change it.
    """

    def __post_init__(self) -> None:
        _refuse_divided_groups(self.rows)
        digest = hashlib.sha256()
        for sha256, label in sorted((row.sha256, self.filed_as(row)) for row in self.rows):
            digest.update(f"{sha256} {label}\n".encode("utf-8", "surrogateescape"))
        object.__setattr__(self, "digest", digest.hexdigest())  # a frozen class has no other way to fill in a field

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
        y_true = self.labels(self.of_split(split))
        return {name: int(np.sum(y_true == self.class_names.index(name))) for name in self.class_names}


def _refuse_divided_groups(rows: Sequence[ManifestRow]) -> None:
    first_row: dict[str, ManifestRow] = {}  # of each group, out of the photos that are in a split
    for row in rows:
        if row.split != LEFT_OUT and first_row.setdefault(row.group, row).split != row.split:
            first = first_row[row.group]
            places = f"{first.path} is in {first.split}, {row.path} in {row.split}"
            raise ValueError(f"the duplicate group {row.group} is divided between splits: {places}")


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
    conflicting = {issue.path for issue in issues if issue.kind == "label_conflict"}
    splits = choose_splits(scanned, groups, conflicting, config)
    manifest = _manifest(source, scanned, groups, splits, issues)
    return replace(manifest, giveaways=find_giveaways(scanned, groups))


def make_neither_manifest(source: PhotoSource, config: DataConfig, class_manifest: Manifest) -> Manifest:
    """Like `make_manifest`, for photos that show neither class: some are for training, the others for testing.

    A photo with a copy in `class_manifest` shows one of the classes after all, and is in no split.

    Raises:
        DataError: if most photos cannot be read, or fewer than two different ones remain.
    """
    scanned = scan(source)
    refuse_if_mostly_unreadable(scanned)
    pairs = near_duplicates(scanned)
    groups = group_names(scanned, pairs)
    class_hashes = [row.perceptual_hash for row in class_manifest.rows]
    # Only perceptual hashes are compared: an exact copy has the same hash as well.
    copies = find_copies([photo.perceptual_hash for photo in scanned], class_hashes)
    usable = [i for i, photo in enumerate(scanned) if not photo.error_code and copies[i] is None]
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
            sys.intern(f"{photo.width}x{photo.height}"),  # the same text for many photos, in memory once
            photo.mode,
            group,
            split,
            kinds.get(photo.path, ""),
        )
        for photo, group, split in zip(scanned, groups, splits, strict=True)
    )
    unreadable = tuple((photo.path, photo.error) for photo in scanned if photo.error_code)
    return Manifest(source.class_names, tuple(rows), source.is_synthetic, unreadable)


def describe(manifest: Manifest, source: PhotoSource, is_weighted: bool) -> Iterator[str]:
    """What a person should know before a training: how folders were read, counts, what is left out, unbalanced classes,
    giveaways.

    Args:
        manifest: Of photos of two classes.
        source: These photos.
        is_weighted: Whether the training weights the classes already.
    """
    yield from source.notes
    if manifest.is_synthetic:
        yield "These images are DRAWN BY CODE: a network that learns from them is of no use on photographs."
    for split in (TRAIN, VALIDATION, TEST):
        counts = manifest.count(split)
        if any(counts.values()):
            by_class = _counts_in_words(counts)
            yield f"{split}: {pluralize(sum(counts.values()), 'photo')} ({by_class})"
    num_left_out = len(manifest.of_split(LEFT_OUT))
    if num_left_out or source.skipped:
        kinds = "another kind" if source.skipped == 1 else "other kinds"
        photos, files = pluralize(num_left_out, "photo"), pluralize(source.skipped, "file")
        yield f"left out: {photos} (manifest.csv says why), {files} of {kinds}"
    yield from _unreadable_in_words(manifest.unreadable)
    counts = manifest.count(TRAIN)
    if max(counts.values()) > _UNBALANCED * min(counts.values()):
        balance = (
            "class weights compensate for this" if is_weighted else "consider --set training.class_weights=balanced"
        )
        yield f"The classes are unbalanced ({_counts_in_words(counts)}); {balance}"
    for giveaway in manifest.giveaways:
        yield f"Warning: {giveaway.sentence()}"


def _unreadable_in_words(unreadable: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A sentence for each of the most frequent reasons, with the first photo as an example."""
    examples = {reason: path for path, reason in reversed(unreadable)}
    reasons = Counter(reason for _, reason in unreadable).most_common()
    for reason, count in reasons[:_MAX_REASONS]:
        yield f"cannot be read: {pluralize(count, 'photo')}, such as {printable(examples[reason])}: {reason}"
    if len(reasons) > _MAX_REASONS:
        yield "More photos cannot be read for other reasons: `dogvscat audit` lists every one."


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest as CSV."""
    columns = [column.name for column in fields(ManifestRow)]
    atomic.write_csv(path, columns, map(attrgetter(*columns), manifest.rows))  # takes a third of the time of astuple


def load_manifest(path: Path, is_synthetic: bool = False, giveaways: tuple[Giveaway, ...] = ()) -> Manifest:
    """Read a manifest written by `save_manifest`.

    Args:
        path: The CSV file.
        is_synthetic: Whether the images were drawn by code; the file does not say.
        giveaways: Of the manifest that was saved; the file does not have them.

    Raises:
        ModelError: if the file is missing or is not a manifest.
    """
    try:
        # surrogateescape keeps the bytes of file names that are not UTF-8; newline="" those that contain line ends.
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            lines = csv.reader(file)
            if next(lines, []) != [column.name for column in fields(ManifestRow)]:
                raise ValueError("its first line does not name the columns of a manifest")
            texts: dict[str, str] = {}
            rows = tuple(_read_row(line, texts) for line in lines)
        labels = {row.label for row in rows}  # the file does not name the classes apart from its rows
        return Manifest(
            NEITHER_NAMES if labels == {NEITHER} else sorted_class_names(labels),
            rows,
            is_synthetic,
            giveaways=giveaways,
        )
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise ModelError(f"{path} is not a manifest: {error}") from None


def _read_row(line: Sequence[str], texts: dict[str, str]) -> ManifestRow:
    """A row of the file. Texts that several rows have in common are in memory once: those in `texts`.

    Raises:
        TypeError: if it has more or fewer cells than there are columns.
        ValueError: if a cell is impossible.
    """
    path, *cells = map(unescape_cell, line)
    row = ManifestRow(path, *(texts.setdefault(cell, cell) for cell in cells))
    _refuse_impossible_row(row)
    return row


def _refuse_impossible_row(row: ManifestRow) -> None:
    if not re.fullmatch("[0-9a-f]{64}", row.sha256):
        raise ValueError(f"expected the sha256 of {row.path!r} as 64 hexadecimal digits, received {row.sha256!r}")
    if not re.fullmatch("([0-9a-f]{64})?", row.perceptual_hash):
        raise ValueError(f"expected 64 hexadecimal digits or nothing as perceptual_hash of {row.path!r}")
    if row.split not in (TRAIN, VALIDATION, TEST, LEFT_OUT):
        raise ValueError(f"there is no split {row.split!r}, as for {row.path!r}")


def _kinds_by_path(issues: Sequence[Issue]) -> dict[str, str]:
    """The kinds of each photo's issues, as in `ManifestRow.issues`."""
    kinds: dict[str, str] = {}
    for issue in issues:
        kinds[issue.path] = sys.intern(f"{kinds[issue.path]};{issue.kind}") if issue.path in kinds else issue.kind
    return kinds


def _counts_in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
