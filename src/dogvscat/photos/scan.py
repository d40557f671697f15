"""The scan: what can be known about each photo on its own, such as its size, its digest and its perceptual hash.

Every photo is read and decoded once; the result is cached under the fingerprint of the source.
"""

import csv
import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from dogvscat import atomic, caches, stderr
from dogvscat.cpus import map_in_order
from dogvscat.errors import ImageError, WriteError
from dogvscat.locks import one_at_a_time
from dogvscat.photos.copies.perceptual_hash import GRAY_SIDE, perceptual_hash
from dogvscat.photos.copies.thumbnail import box_without_frame, make_thumbnail
from dogvscat.photos.decoding.decoder import DECODER_VERSION, DecodedPhoto, decode_with_facts
from dogvscat.photos.file_facts import read_file_facts
from dogvscat.photos.reading.layout import Photo
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.text import unescape_cell

SCAN_VERSION = 5
"""Increase this number when the same photo gives another result; caches of older versions are then ignored."""
DecodeWithFacts: TypeAlias = Callable[[bytes, str, int], DecodedPhoto]
"""From the bytes of a file, a name for errors, and the side of the square image."""
_GRAY_RANGE = 1.0  # between the channels, of 255: a gray photo that was compressed as a color one has less
_TEMPORARY_ERRORS = ("permission", "not_found")  # they can be fixed without changing the file's fingerprint


@dataclass(frozen=True, slots=True)
class ScannedPhoto:
    """The facts about one photo that do not depend on any other."""

    path: str
    label: int
    declared_split: str
    """`train`, `validation` or `test` if the folders declare it, else empty."""
    num_bytes: int
    sha256: str
    perceptual_hash: str
    """64 hexadecimal digits, empty if the photo cannot be decoded."""
    width: int
    """In pixels, after EXIF orientation; 0 if the photo cannot be decoded. The same holds for `height`."""
    height: int
    mode: str
    """Pillow's name of the pixel type."""
    contrast: float
    """Standard deviation of the gray values, in 0..127.5; near 0 for a blank photo."""
    error_code: str
    """Empty if the photo can be decoded, else the code of the ImageError."""
    error: str
    """Empty, or the reason of the ImageError and what to do."""
    thumbnail: bytes = b""
    """From `make_thumbnail`; empty if the photo cannot be decoded."""
    format: str = ""
    """As in `FileFacts`, like the next two."""
    jpeg_quality: int = 0
    camera: str = ""
    is_grey: bool = False
    """Whether the photo has no colors, whatever its mode."""


def scan(source: PhotoSource, decode: DecodeWithFacts = decode_with_facts) -> list[ScannedPhoto]:
    """Scan every photo of a source on all cores, with a progress bar, or return the cached scan.

    Args:
        source: The photos.
        decode: Decodes them, as `decoder.decode_with_facts` does.

    Returns:
        One entry per photo, in the source's order; the entry of a photo that cannot be decoded has the reason.

    Raises:
        ArchiveError: if the archive turns out to be hostile or no longer exists.
    """
    cache_file = caches.folder("scans") / f"{fingerprint(source)[:32]}-{DECODER_VERSION}-{SCAN_VERSION}.csv"
    if (scanned := _load_scan(cache_file, source.photos)) is not None:
        return scanned
    with one_at_a_time(caches.folder("scans")):  # another process may be scanning the same photos
        return _load_scan(cache_file, source.photos) or _scan_all(source, cache_file, decode)


def _scan_all(source: PhotoSource, cache_file: Path, decode: DecodeWithFacts) -> list[ScannedPhoto]:
    by_content: dict[str, ScannedPhoto] = {}
    # Threads suffice: Pillow decodes without holding Python's lock.
    results = map_in_order(lambda photo: _scan_photo(source, photo, decode, by_content), source.photos)
    scanned = list(stderr.track(results, "Scanning photos", len(source.photos)))
    if not any(photo.error_code in _TEMPORARY_ERRORS for photo in scanned):
        with suppress(WriteError):  # the cache only saves time; a full disk is reported where it matters
            columns = [field.name for field in fields(ScannedPhoto)]
            atomic.write_csv(cache_file, columns, map(_to_row, scanned))
    return scanned


def fingerprint(source: PhotoSource) -> str:
    """A digest of the source's location and stamp. It names the cache of the scan."""
    return sha256_of(os.fsencode(source.location.resolve()) + b"\0" + source.stamp.encode())


def sha256_of(data: bytes) -> str:
    """The digest that identifies a photo's content, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _scan_photo(
    source: PhotoSource, photo: Photo, decode: DecodeWithFacts, by_content: dict[str, ScannedPhoto]
) -> ScannedPhoto:
    """The facts about a photo. Copies of a file in `by_content`, by sha256, are not decoded again, and share memory."""
    data = b""
    facts: dict[str, Any] = {"perceptual_hash": "", "width": 0, "height": 0, "mode": "", "contrast": 0.0}
    error_code = error = ""
    try:
        data = source.read(photo.path)
        if same_file := by_content.get(sha256_of(data)):
            return replace(same_file, path=photo.path, label=photo.label, declared_split=photo.split or "")
        decoded = decode(data, photo.path, GRAY_SIDE)
        facts = vars(read_file_facts(data)) | _picture_facts(decoded)
    except ImageError as problem:
        error_code, error = problem.code, problem.reason_and_hint
    scanned = ScannedPhoto(
        photo.path,
        photo.label,
        photo.split or "",
        len(data),
        sha256_of(data),
        **facts,
        error_code=error_code,
        error=error,
    )
    if not error_code:
        by_content[scanned.sha256] = scanned
    return scanned


def _picture_facts(decoded: DecodedPhoto) -> dict[str, Any]:
    gray_image = Image.fromarray(decoded.pixels).convert("L")
    gray = np.asarray(gray_image)  # uint8 (GRAY_SIDE, GRAY_SIDE)
    # Channel by channel, which takes a tenth of the time of a sum or a maximum over the short last axis.
    red, green, blue = (decoded.pixels[:, :, channel] for channel in range(3))
    channel_sum = (red.astype(np.uint16) + green + blue).ravel().astype(np.float64)
    channel_range = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return {
        # Of the whole picture: a plain border may seem to end elsewhere in a copy that was saved again.
        "perceptual_hash": perceptual_hash(gray.astype(np.float64)),
        "thumbnail": make_thumbnail(gray_image, box_without_frame(gray)),
        "width": decoded.width,
        "height": decoded.height,
        "mode": decoded.mode,
        "contrast": round(_standard_deviation(channel_sum) / 3, 3),
        "is_grey": bool(channel_range.mean() < _GRAY_RANGE),
    }


def _standard_deviation(values: np.ndarray) -> float:
    """As NumPy's, in a quarter of the time."""
    return float(np.sqrt(max(values @ values / len(values) - values.mean() ** 2, 0.0)))


def _load_scan(path: Path, photos: Sequence[Photo]) -> list[ScannedPhoto] | None:
    """The cached scan, or None if there is none, it is damaged, or it is a scan of other photos."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file)
            header, by_content = next(rows, []), dict[str, ScannedPhoto]()
            scanned = [_from_row(dict(zip(header, map(unescape_cell, row), strict=True)), by_content) for row in rows]
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return None
    cached = [(photo.path, photo.label, photo.declared_split) for photo in scanned]
    return scanned if cached == [(photo.path, photo.label, photo.split or "") for photo in photos] else None


def _to_row(photo: ScannedPhoto) -> list[object]:
    values = {field.name: getattr(photo, field.name) for field in fields(ScannedPhoto)}
    return list({**values, "thumbnail": b64encode(photo.thumbnail).decode()}.values())


def _from_row(row: dict[str, Any], by_content: dict[str, ScannedPhoto]) -> ScannedPhoto:
    """A photo from its row; copies of a file share memory."""
    if same_file := by_content.get(row["sha256"]):
        return replace(same_file, path=row["path"], label=int(row["label"]), declared_split=row["declared_split"])
    numbers = {name: int(row[name]) for name in ("label", "num_bytes", "width", "height", "jpeg_quality")}
    converted = {
        "contrast": float(row["contrast"]),
        "thumbnail": b64decode(row["thumbnail"], validate=True),
        "is_grey": row["is_grey"] == "True",
    }
    photo = ScannedPhoto(**{**row, **numbers, **converted})
    if not photo.error_code:
        by_content[photo.sha256] = photo
    return photo
