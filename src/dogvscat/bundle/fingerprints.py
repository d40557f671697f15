"""Fingerprints of the photos that a network learned from. They ship with the bundle, so that an evaluation on the same
photos can tell them apart, wherever the bundle was copied to.

A fingerprint is the first 64 bits of a photo's perceptual hash: the same for a copy that was saved again, scaled or
mirrored. Nobody can draw the photo from it, but whoever has a photo can see whether the network learned from it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

FINGERPRINT_FILES = {"train": "fingerprints/train.bin", "validation": "fingerprints/validation.bin"}
"""The file of each split, relative to the bundle."""
MAX_BITS = 4
"""Fingerprints that differ in at most this many bits are of the same picture."""

_DIGITS = 16  # hexadecimal ones, of 64 bits
_BLOCK = 256  # bounds the memory: 256 x 20,000 distances are 5 MB


def pack_fingerprints(hashes: Sequence[str]) -> bytes:
    """The content of a file: 8 bytes per photo, sorted.

    Args:
        hashes: Perceptual hashes, in hexadecimal digits.
    """
    return b"".join(sorted({bytes.fromhex(digits[:_DIGITS]) for digits in hashes if digits}))


def match_fingerprints(hashes: Sequence[str], packed: Mapping[str, bytes]) -> list[str | None]:
    """The split of each photo that has a fingerprint, else None.

    Args:
        hashes: Perceptual hashes; an empty one has no fingerprint.
        packed: The content of the file of each split. Among equally near ones, the first split counts.
    """
    splits: list[str | None] = [None] * len(hashes)
    usable = [index for index, digits in enumerate(hashes) if digits]
    fingerprints = np.array([int(hashes[index][:_DIGITS], 16) for index in usable], dtype=np.uint64)
    nearest = np.full(len(usable), MAX_BITS + 1)  # in bits
    for split, content in packed.items():
        known = np.frombuffer(content[: len(content) // 8 * 8], dtype=">u8").astype(np.uint64)
        if not len(known):
            continue
        for start in range(0, len(usable), _BLOCK):
            rows = slice(start, start + _BLOCK)
            bits = np.bitwise_count(fingerprints[rows, None] ^ known).min(axis=1)
            for index in np.flatnonzero(bits < nearest[rows]) + start:
                splits[usable[index]] = split
            nearest[rows] = np.minimum(nearest[rows], bits)
    return splits
