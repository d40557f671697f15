"""The pixel cache: every photo decoded once, its pixels stored on disk and mapped into memory.

Decoding takes far more time than running a small network, so it is done once per data digest and image size.
The cache is one `.npy` file, written completely or not at all. Its images are in the order of their files' sha256, so a
folder and its zip share one cache, and copies of a file share one image.
"""

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogvscat import atomic, caches, stderr
from dogvscat.cpus import map_in_order
from dogvscat.errors import DataError
from dogvscat.locks import one_at_a_time
from dogvscat.photos.decoding.decoder import DECODER_VERSION, decode
from dogvscat.photos.manifest import Manifest, ManifestRow
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.scan import sha256_of


@dataclass(frozen=True)
class PixelCache:
    """The decoded photos of a manifest."""

    images: np.ndarray
    """uint8 (num_images, image_size, image_size, 3), RGB, mapped from disk, read-only."""
    digests: np.ndarray
    """The sha256 of each image's file in hexadecimal digits, sorted: S64 (num_images,)."""

    def indices(self, rows: Sequence[ManifestRow]) -> np.ndarray:
        """The index in `images` of each of some manifest rows: int64 (num_rows,)."""
        return np.searchsorted(self.digests, np.array([row.sha256 for row in rows], dtype="S64"))


def cached_pixels_by_size(source: PhotoSource, manifest: Manifest, image_sizes: Iterable[int]) -> dict[int, PixelCache]:
    """The pixel caches of a manifest for several image sizes, as `cached_pixels` returns each."""
    return {size: cached_pixels(source, manifest, size) for size in image_sizes}


def cached_pixels(source: PhotoSource, manifest: Manifest, image_size: int) -> PixelCache:
    """The pixel cache of a manifest; the photos are decoded now if it does not exist yet.

    Args:
        source: The photos, which are read only if the cache does not exist.
        manifest: The manifest of the same photos.
        image_size: Side of the square images, in pixels.

    Raises:
        DataError: if a photo changed since it was scanned, can no longer be decoded, or the cache is damaged.
        WriteError: if the disk is full.
    """
    if (pixels := mapped_pixels(manifest, image_size)) is None:
        # Processes that start at the same time need the same images: one decodes them, the others wait.
        with one_at_a_time(caches.folder("pixels")):
            if mapped_pixels(manifest, image_size) is None:
                paths = {row.sha256: row.path for row in manifest.rows if row.perceptual_hash}  # one path per content
                _decode_all(source, sorted(paths.items()), cache_file(manifest, image_size), image_size)
        pixels = mapped_pixels(manifest, image_size)
    if pixels is None:
        hint = "Remove it with `dogvscat cache --clear pixels`."
        raise DataError(f"the pixel cache {cache_file(manifest, image_size)} is damaged", hint=hint)
    return pixels


def mapped_pixels(manifest: Manifest, image_size: int) -> PixelCache | None:
    """The pixel cache of a manifest if it exists and is complete, else None; the photos are not needed."""
    digests = np.array(sorted({row.sha256 for row in manifest.rows if row.perceptual_hash}), dtype="S64")
    shape = (len(digests), image_size, image_size, 3)
    header = _npy_header(shape)
    # Checked by header and length, not by reading gigabytes: the file was renamed into place when it was complete.
    try:
        with cache_file(manifest, image_size).open("rb") as file:
            complete = file.read(len(header)) == header and file.seek(0, os.SEEK_END) == len(header) + math.prod(shape)
            images = np.memmap(file, np.uint8, "r", len(header), shape) if complete else None
    except OSError:
        return None
    return None if images is None else PixelCache(images, digests)


def cache_file(manifest: Manifest, image_size: int) -> Path:
    """The path of a manifest's cache; it does not depend on splits or settings."""
    return caches.folder("pixels") / f"{manifest.digest[:32]}-{image_size}px-{DECODER_VERSION}.npy"


def _decode_all(source: PhotoSource, photos: Sequence[tuple[str, str]], file: Path, image_size: int) -> None:
    with atomic.atomic_file(file) as target:  # not a memory map: a full disk would kill the process with SIGBUS
        target.write(_npy_header((len(photos), image_size, image_size, 3)))
        images = _decode_in_order(source, photos, image_size)
        for pixels in stderr.track(images, "Decoding photos", len(photos)):
            target.write(pixels.data)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of the file. Comparing them is safer than parsing the header of a damaged file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _decode_in_order(source: PhotoSource, photos: Sequence[tuple[str, str]], image_size: int) -> Iterator[np.ndarray]:
    """The pixels of photos given by sha256 and path, each uint8 (image_size, image_size, 3), decoded on all cores."""

    def decode_checked(photo: tuple[str, str]) -> np.ndarray:
        sha256, path = photo
        data = source.read(path)
        if sha256_of(data) != sha256:  # its pixels would be stored under the digest of another content
            hint = "Run `dogvscat cache --clear scans`, then the same command again."
            raise DataError(f"{path} has changed since it was scanned", hint=hint)
        return decode(data, path, image_size)

    return map_in_order(decode_checked, photos)
