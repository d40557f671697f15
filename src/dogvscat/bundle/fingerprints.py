"""Fingerprints of the photos that a network learned from. They ship with the bundle, so that an evaluation can
recognise these photos, wherever the bundle was copied to.

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

_SIDE = 32
_WAVES = 8
_COSINES = np.cos(np.pi * np.outer(np.arange(_WAVES), np.arange(_SIDE) + 0.5) / _SIDE)  # (_WAVES, _SIDE)
_BLOCK = 256  # bounds the memory: 256 x 20,000 words of 8 bytes are 41 MB


def compute_fingerprints(images: Iterable[np.ndarray]) -> np.ndarray:
    """The fingerprint of each image, which hardly changes when its photo is saved again, scaled or brightened.

    Each bit says whether one of the lowest 8 x 8 frequencies of the grey image is above their median (pHash). Source:
    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.

    Args:
        images: uint8 (height, width, 3) each.

    Returns:
        uint64 (num_images,).
    """
    bits = []
    for pixels in images:
        grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        frequencies = _COSINES @ np.asarray(grey, dtype=np.float64) @ _COSINES.T  # (_WAVES, _WAVES)
        frequencies = frequencies.round(6)  # so that a blank image has the same fingerprint on every processor
        bits.append(np.packbits(frequencies > np.median(frequencies)))
    return np.array(bits, dtype=np.uint8).reshape(-1, 8).view(">u8").astype(np.uint64)[:, 0]


def pack_fingerprints(fingerprints: np.ndarray) -> bytes:
    """The content of a file, from uint64 (num_images,)."""
    return np.unique(fingerprints).astype(">u8").tobytes()


def match_fingerprints(fingerprints: np.ndarray, packed: Mapping[str, bytes]) -> list[str | None]:
    """The split of each image that the network learned from, None for others.

    Args:
        fingerprints: uint64 (num_images,).
        packed: The content of the file of each split. Where two are equally near, the first counts.
    """
    splits: list[str | None] = [None] * len(fingerprints)
    nearest = np.full(len(fingerprints), MAX_BITS + 1)  # in bits
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
