"""One look at every photo: can it be decoded, how large is it, what are its digest and its perceptual hash?"""

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from dogvscat import atomic, caches, stderr
from dogvscat.errors import ImageError, WriteError
from dogvscat.photos.decoder import DECODER_VERSION, decode_with_facts
from dogvscat.photos.sources import Photo, PhotoSource

SCAN_VERSION = 1
HASH_SIDE = 16
"""The perceptual hash has HASH_SIDE squared bits, more than the customary 64, to keep copies and chance apart."""

_SCAN_SIZE = 4 * HASH_SIDE  # what the hash's cosine transform looks at, in pixels
_PASSING = ("permission", "not_found")  # put right without touching the file, so not worth remembering


@dataclass(frozen=True)
class ScannedPhoto:
    """What is known about one photo without knowing any other."""

    path: str
    label: int
    declared_split: str
    """train, validation or test where the folders say so, else empty."""
    num_bytes: int
    sha256: str
    perceptual_hash: str
    """64 hexadecimal digits, empty if the photo cannot be decoded."""
    width: int
    height: int
    mode: str
    contrast: float
    """Standard deviation of the grey values, in 0..127.5; near 0 for a blank picture."""
    error_code: str
    """Empty, or the code of the ImageError."""
    error: str

    @property
    def usable(self) -> bool:
        """Whether the photo can be decoded."""
        return not self.error_code


def scan(source: PhotoSource) -> list[ScannedPhoto]:
    """Look at every photo of a source, on all cores, with a progress bar; remembered for next time.

    Returns:
        One entry a photo, in the source's order; photos that cannot be decoded carry the reason.
    """
    remembered = caches.area("scans") / f"{source.fingerprint()[:32]}-{DECODER_VERSION}-{SCAN_VERSION}.csv"
    if (scanned := _load(remembered, source.photos)) is not None:
        return scanned
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        results = pool.map(lambda photo: _look(source, photo), source.photos)
        scanned = list(stderr.track(results, "Looking at photos", len(source.photos)))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
    if not any(photo.error_code in _PASSING for photo in scanned):
        with suppress(WriteError):  # it only saves time; who needs the disk for more will say so
            _save(remembered, scanned)
    return scanned


def perceptual_hash(pixels: np.ndarray) -> str:
    """The 256-bit pHash of a picture: the signs of its low frequencies, as 64 hexadecimal digits.

    Similar pictures differ in few bits. Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash
    Functions, 2010, as in the library ImageHash.

    Args:
        pixels: uint8 (height, width, 3).
    """
    return str(imagehash.phash(Image.fromarray(pixels), hash_size=HASH_SIDE))


def sha256_of(data: bytes) -> str:
    """The digest by which a photo's content is known, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _look(source: PhotoSource, photo: Photo) -> ScannedPhoto:
    data = b""
    facts = {"perceptual_hash": "", "width": 0, "height": 0, "mode": "", "contrast": 0.0}
    error_code = error = ""
    try:
        data = source.read(photo.path)
        picture = decode_with_facts(data, photo.path, _SCAN_SIZE)
        grey = picture.pixels.mean(axis=2)  # (_SCAN_SIZE, _SCAN_SIZE)
        facts = {
            "perceptual_hash": perceptual_hash(picture.pixels),
            "width": picture.width,
            "height": picture.height,
            "mode": picture.mode,
            "contrast": round(float(grey.std()), 3),
        }
    except ImageError as problem:
        error_code, error = problem.code, problem.reason
    return ScannedPhoto(
        photo.path,
        photo.label,
        photo.split or "",
        len(data),
        sha256_of(data),
        **facts,  # type: ignore[arg-type]
        error_code=error_code,
        error=error,
    )


def _save(path: Path, scanned: Iterable[ScannedPhoto]) -> None:
    names = [field.name for field in fields(ScannedPhoto)]
    atomic.write_csv(path, names, (list(asdict(photo).values()) for photo in scanned))


def _load(path: Path, photos: Sequence[Photo]) -> list[ScannedPhoto] | None:
    """The remembered scan, or None if there is none or it is not one of these photos."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            scanned = [_from_row(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return None
    known = [(photo.path, photo.label, photo.declared_split) for photo in scanned]
    return scanned if known == [(photo.path, photo.label, photo.split or "") for photo in photos] else None


def _from_row(row: dict[str, str]) -> ScannedPhoto:
    numbers = {name: int(row[name]) for name in ("label", "num_bytes", "width", "height")}
    return ScannedPhoto(**{**row, **numbers, "contrast": float(row["contrast"])})  # type: ignore[arg-type]
