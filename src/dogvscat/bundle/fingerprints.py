"""Fingerprints of the photos that a network learned from. They ship with the bundle, so that an evaluation can
recognize these photos, wherever the bundle was copied to.

A fingerprint has 64 bits. The photo cannot be reconstructed from it, but anyone who has a photo can check whether the
network learned from it.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

FINGERPRINT_FILES = {"train": "fingerprints/train.bin", "validation": "fingerprints/validation.bin"}
"""The file of each split, relative to the bundle: 8 bytes per photo, big-endian, sorted."""
MAX_BITS = 6
"""Fingerprints that differ in at most this many bits are of the same picture. Of the 250 million pairs of photos that
`best` learned from, one pair of different photos differs in 6 bits, and none in fewer. 200 original photos differ in at
most 6 bits from their copies in the archive, which are smaller and were saved again."""
MAX_TURNED_BITS = 4
"""The same for a photo that was mirrored or turned. A photo has seven such versions. Of 570 million pairs of one of
them and a different photo that `best` learned from, none differs in fewer than 6 bits. Of 300 mirrored copies, 299
differ in at most 4."""

_SIDE = 32
_WAVES = 8
_COSINES = np.cos(np.pi * np.outer(np.arange(_WAVES), np.arange(_SIDE) + 0.5) / _SIDE)  # (_WAVES, _SIDE)
_ALTERNATING = 1 - 2 * (np.arange(_WAVES) % 2)
_MIRRORED = [
    np.outer(rows, columns) for rows in (np.ones(_WAVES), _ALTERNATING) for columns in (np.ones(_WAVES), _ALTERNATING)
]
"""The signs of the frequencies of an image as it is, and mirrored in three ways."""
_BLOCK = 256  # bounds the memory: 256 x 20,000 words of 8 bytes are 41 MB


def compute_fingerprints(images: Iterable[np.ndarray]) -> np.ndarray:
    """The fingerprint of each image, which hardly changes when its photo is saved again, scaled or brightened.

    Each bit says whether one of the lowest 8 x 8 frequencies of the gray image is above their median (pHash). Source:
    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.

    Args:
        images: uint8 (height, width, 3) each.

    Returns:
        uint64 (num_images,).
    """
    return _versions(images)[:, 0]


def _versions(images: Iterable[np.ndarray]) -> np.ndarray:
    """The fingerprint of each image, and those of the image mirrored and turned: uint64 (num_images, 8)."""
    bits = []
    for pixels in images:
        gray = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        frequencies = _COSINES @ np.asarray(gray, dtype=np.float64) @ _COSINES.T  # (_WAVES, _WAVES)
        # Mirroring an image changes the signs of its odd frequencies, and turning it also swaps rows with columns.
        versions = np.stack([axes * signs for axes in (frequencies, frequencies.T) for signs in _MIRRORED])
        versions = versions.round(6).reshape(len(versions), -1)  # equal for a blank image on every processor
        bits.append(np.packbits(versions > np.median(versions, axis=1, keepdims=True), axis=1))
    return np.array(bits, dtype=np.uint8).reshape(-1, 8, 8).view(">u8").astype(np.uint64)[:, :, 0]


def pack_fingerprints(fingerprints: np.ndarray) -> bytes:
    """The content of a file, from uint64 (num_images,)."""
    return np.unique(fingerprints).astype(">u8").tobytes()


def match_images(images: Iterable[np.ndarray], packed: Mapping[str, bytes]) -> list[str | None]:
    """The split of each image that the network learned from, also mirrored or turned; None for others.

    Args:
        images: uint8 (height, width, 3) each.
        packed: As for `match_fingerprints`.
    """
    versions = _versions(images)
    splits = np.array(match_fingerprints(versions[:, 0], packed), dtype=object)
    for version in versions.T[1:]:
        unmatched = np.flatnonzero(splits == None)  # noqa: E711 - each element is compared
        splits[unmatched] = match_fingerprints(version[unmatched], packed, MAX_TURNED_BITS)
    return list(splits)


def match_fingerprints(
    fingerprints: np.ndarray, packed: Mapping[str, bytes], max_bits: int = MAX_BITS
) -> list[str | None]:
    """The split of each image that the network learned from, None for others.

    Args:
        fingerprints: uint64 (num_images,).
        packed: The content of the file of each split. If two splits have fingerprints that are equally near, the first
            of the two counts.
        max_bits: Largest number of bits in which two fingerprints of the same picture differ.
    """
    splits: list[str | None] = [None] * len(fingerprints)
    nearest = np.full(len(fingerprints), max_bits + 1)  # in bits
    for split, content in packed.items():
        references = np.frombuffer(content[: len(content) // 8 * 8], dtype=">u8").astype(np.uint64)
        if not len(references):
            continue
        for start in range(0, len(fingerprints), _BLOCK):
            rows = slice(start, start + _BLOCK)
            bits = np.bitwise_count(fingerprints[rows, None] ^ references).min(axis=1)
            for index in np.flatnonzero(bits < nearest[rows]) + start:
                splits[index] = split
            nearest[rows] = np.minimum(nearest[rows], bits)
    return splits
