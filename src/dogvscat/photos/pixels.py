"""The pixel cache: every picture decoded once, kept as bytes on disk, and mapped into memory.

Decoding costs far more than a small network, so it is done once per data digest and size. The cache is one `.npy` file,
written whole or not at all, in the order of the pictures' sha256; so a folder and its zip share it.
"""

import io
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogvscat import atomic, caches, stderr
from dogvscat.errors import DataError
from dogvscat.photos.decoder import DECODER_VERSION, decode
from dogvscat.photos.manifest import Manifest, ManifestRow
from dogvscat.photos.scan import sha256_of
from dogvscat.photos.sources import PhotoSource


@dataclass(frozen=True)
class PixelCache:
    """The decoded pictures of a manifest."""

    images: np.ndarray
    """uint8 (num_pictures, image_size, image_size, 3), mapped from disk, read-only."""
    digests: np.ndarray
    """The sha256 of each picture's file, sorted: <U64 (num_pictures,)."""

    def indices(self, rows: Sequence[ManifestRow]) -> np.ndarray:
        """Where the pictures of some manifest rows lie in `images`: int64 (num_rows,)."""
        return np.searchsorted(self.digests, [row.sha256 for row in rows])


def cached_pixels(source: PhotoSource, manifest: Manifest, image_size: int) -> PixelCache:
    """The pixel cache for a manifest, decoded now if it is not there yet.

    Raises:
        DataError: if a photo changed since it was scanned.
        WriteError: if the disk is full.
    """
    if (pixels := mapped_pixels(manifest, image_size)) is None:
        paths = {row.sha256: row.path for row in manifest.rows if row.perceptual_hash}  # those that can be decoded
        _decode_all(source, sorted(paths.items()), cache_file(manifest, image_size), image_size)
        pixels = mapped_pixels(manifest, image_size)
    if pixels is None:
        hint = "Remove it with `dogvscat cache --clear pixels`."
        raise DataError(f"the pixel cache {cache_file(manifest, image_size)} is damaged", hint=hint)
    return pixels


def mapped_pixels(manifest: Manifest, image_size: int) -> PixelCache | None:
    """The pixel cache for a manifest if it is there already and whole, without need of the photos."""
    digests = np.array(sorted({row.sha256 for row in manifest.rows if row.perceptual_hash}))
    shape = (len(digests), image_size, image_size, 3)
    header = _npy_header(shape)
    try:
        with cache_file(manifest, image_size).open("rb") as file:
            whole = file.read(len(header)) == header and file.seek(0, os.SEEK_END) == len(header) + math.prod(shape)
            images = np.memmap(file, np.uint8, "r", len(header), shape) if whole else None
    except OSError:
        return None
    return None if images is None else PixelCache(images, digests)


def cache_file(manifest: Manifest, image_size: int) -> Path:
    """Where the cache of a manifest lies; splits and settings do not matter."""
    return caches.area("pixels") / f"{manifest.digest[:32]}-{image_size}px-{DECODER_VERSION}.npy"


def _decode_all(source: PhotoSource, photos: Sequence[tuple[str, str]], file: Path, image_size: int) -> None:
    with atomic.atomic_file(file) as target:  # plain writes: a full disk under a memory map would kill the process
        target.write(_npy_header((len(photos), image_size, image_size, 3)))
        decoded = _decoded(source, photos, image_size)
        for pixels in stderr.track(decoded, "Decoding pictures", len(photos)):
            target.write(pixels.data)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """How the file must begin; comparing bytes is safer than parsing those of a damaged file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _decoded(source: PhotoSource, photos: Sequence[tuple[str, str]], image_size: int) -> Iterator[np.ndarray]:
    def decode_known(photo: tuple[str, str]) -> np.ndarray:
        sha256, path = photo
        data = source.read(path)
        if sha256_of(data) != sha256:  # its pixels would be kept under another picture's digest for ever
            hint = "Run `dogvscat cache --clear scans`, then the same command again."
            raise DataError(f"{path} has changed since it was first looked at", hint=hint)
        return decode(data, path, image_size)

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from pool.map(decode_known, photos)
    finally:
        pool.shutdown(cancel_futures=True)
