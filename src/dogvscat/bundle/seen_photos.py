"""Recognizes the photos that a model was trained or validated on: by its run, or by its fingerprints."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dogvscat.bundle.fingerprints import FINGERPRINT_FILES, match_images
from dogvscat.bundle.folder import RUN_BUNDLE, Bundle
from dogvscat.photos.duplicates import find_copies
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.reading.layout import Photo
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.scan import scan
from dogvscat.stderr import Reporter

DecodedPhotos = Sequence[tuple[Photo, np.ndarray]]
"""Photos, each with its pixels, uint8 (image_size, image_size, 3)."""
SplitFinder = Callable[[DecodedPhotos], Sequence[str]]
"""The split of each photo: one that the model knows, `all` for others, or empty if the run left the photo out."""


def split_finder(bundle: Bundle, source: PhotoSource, report: Reporter) -> SplitFinder:
    """How photos that the model learned from are recognized: by its run, or by the fingerprints in its bundle."""
    if manifest_file := _run_manifest(bundle.folder):
        split_of_path = _splits_in_run(manifest_file, source)
        return lambda decoded: [split_of_path.get(photo.path, "all") for photo, _ in decoded]
    files = {split: name for split, name in FINGERPRINT_FILES.items() if name in bundle.checksums.by_name}
    packed = {split: bundle.read(name) for split, name in files.items()}
    if packed:
        return lambda decoded: _splits_by_fingerprint(decoded, packed)
    report(
        "This bundle is not inside its run folder and has no fingerprints, so photos it learned from cannot be "
        "recognized. Such photos make the model look better than it is."
    )
    return lambda decoded: ["all"] * len(decoded)


def _run_manifest(bundle: Path) -> Path | None:
    """The manifest of the run folder that a bundle lies in, if it lies in one."""
    file = bundle.parent / "manifest.csv"
    return file if bundle.name == RUN_BUNDLE and file.is_file() else None


def _splits_in_run(manifest_file: Path, source: PhotoSource) -> dict[str, str]:
    """Path -> split of the photos that are in a run; the split is empty if the run left the photo out.

    A photo is recognized by its bytes, or else by its perceptual hash: saved again at another size, it is still one
    that the network learned from.
    """
    rows = load_manifest(manifest_file).rows
    split_of_content = {row.sha256: row.split for row in rows}
    scanned = scan(source)
    by_content = {photo.path: split_of_content[photo.sha256] for photo in scanned if photo.sha256 in split_of_content}
    unmatched = [photo for photo in scanned if photo.path not in by_content and not photo.error_code]
    # For each unmatched photo, the index of the row that shows the same picture, or None.
    copies = find_copies([photo.perceptual_hash for photo in unmatched], [row.perceptual_hash for row in rows])
    by_picture = {
        photo.path: rows[copy].split for photo, copy in zip(unmatched, copies, strict=True) if copy is not None
    }
    return by_content | by_picture


def _splits_by_fingerprint(decoded: DecodedPhotos, packed: Mapping[str, bytes]) -> list[str]:
    return [split or "all" for split in match_images((pixels for _, pixels in decoded), packed)]
