"""Which photos show the same picture: equal files, and files whose perceptual hashes differ in few bits."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dogvscat.photos.scan import ScannedPhoto

NEAR_DUPLICATE_BITS = 48
"""Hashes of 256 bits that differ in at most this many belong to one picture, saved, scaled or cropped differently.
Unrelated photos differ in 128 on average; among 22,500 real ones no two different
photos came below 72, and no copy above 6."""

LOW_INFORMATION_CONTRAST = 5.0
"""Below this standard deviation of grey values, in 0..127.5, a picture is blank; its hash is noise and not compared."""

_ROWS_AT_ONCE = 512


class Pair(NamedTuple):
    """Two photos, by index, and in how many bits their hashes differ."""

    first: int
    second: int
    bits: int


def near_duplicates(scanned: Sequence[ScannedPhoto]) -> list[Pair]:
    """Pairs of usable photos of different content whose pictures nearly agree."""
    comparable = [
        index for index, photo in enumerate(scanned) if photo.usable and photo.contrast >= LOW_INFORMATION_CONTRAST
    ]
    if len(comparable) < 2:
        return []
    hashes = _packed([scanned[index].perceptual_hash for index in comparable])  # (num_comparable, 4)
    pairs = []
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        rows = hashes[start : start + _ROWS_AT_ONCE]
        bits = _differing_bits(rows, hashes[start:])  # (num_rows, num_comparable - start)
        for row, column in np.argwhere(bits <= NEAR_DUPLICATE_BITS):
            first, second = comparable[start + row], comparable[start + column]
            if row < column and scanned[first].sha256 != scanned[second].sha256:
                pairs.append(Pair(first, second, int(bits[row, column])))
    return pairs


def find_copies(wanted: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """For each perceptual hash, the index of the nearest known one if it belongs to the same picture, else None.

    Args:
        wanted: Hashes as hexadecimal digits; an empty one has no copy.
        known: Likewise.
    """
    usable = [index for index, digits in enumerate(known) if digits]
    if not usable:
        return [None] * len(wanted)
    packed = _packed([known[index] for index in usable])  # (num_usable, 4)
    copies: list[int | None] = []
    for digits in wanted:
        bits = _differing_bits(_packed([digits]), packed)[0] if digits else np.array([NEAR_DUPLICATE_BITS + 1])
        nearest = int(np.argmin(bits))
        copies.append(usable[nearest] if bits[nearest] <= NEAR_DUPLICATE_BITS else None)
    return copies


def group_names(scanned: Sequence[ScannedPhoto], pairs: Iterable[Pair]) -> list[str]:
    """A group for each photo: photos connected by equal content or by a pair share one.

    The name is the start of the smallest sha256 in the group, so it does not depend on file names or their order.
    """
    parent = list(range(len(scanned)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_with: dict[str, int] = {}
    for index, photo in enumerate(scanned):
        parent[root(index)] = root(first_with.setdefault(photo.sha256, index))
    for pair in pairs:
        parent[root(pair.first)] = root(pair.second)
    smallest: dict[int, str] = {}
    for index, photo in enumerate(scanned):
        smallest[root(index)] = min(photo.sha256, smallest.get(root(index), photo.sha256))
    return [smallest[root(index)][:16] for index in range(len(scanned))]


def _packed(hashes: Sequence[str]) -> np.ndarray:
    """Hexadecimal digits as words, uint64 (num_hashes, 4)."""
    return np.array([np.frombuffer(bytes.fromhex(digits), dtype=np.uint64) for digits in hashes])


def _differing_bits(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Hamming distances of packed hashes, uint16 (num_rows, num_columns)."""
    bits = np.zeros((len(rows), len(columns)), dtype=np.uint16)
    for word in range(rows.shape[1]):
        bits += np.bitwise_count(rows[:, None, word] ^ columns[None, :, word])
    return bits
