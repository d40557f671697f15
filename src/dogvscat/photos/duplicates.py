"""Which photos show the same picture: equal files, and files whose perceptual hashes differ in few bits.

Photos of one picture form a group. A split must not divide a group, or a network would be tested on what it was trained
on.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dogvscat.photos.scan import ScannedPhoto

NEAR_DUPLICATE_BITS = 48
"""Two hashes of 256 bits that differ in at most this many bits belong to the same picture, saved, scaled or cropped
differently. The hashes of unrelated photos differ in 128 bits on average. Among 22,500 real photos, the closest
different ones differed in 72 bits and the farthest copies in 6."""

LOW_INFORMATION_CONTRAST = 5.0
"""Below this standard deviation of grey values, in 0..127.5, a photo is blank. Its hash is noise and not compared."""

_BLOCK_ROWS = 512  # bounds the memory: 512 x 25,000 distances of 2 bytes are 26 MB


class Pair(NamedTuple):
    """Two photos, by index, and the number of bits in which their hashes differ."""

    first: int
    second: int
    bits: int


def near_duplicates(scanned: Sequence[ScannedPhoto]) -> list[Pair]:
    """Pairs of usable photos whose files differ and whose perceptual hashes nearly agree.

    Every photo is compared with every other: 250 million pairs of the real archive take seconds, and no index of
    hashes is needed.

    Returns:
        The pairs with `first < second`, ordered by both.
    """
    comparable = [
        index for index, photo in enumerate(scanned) if photo.usable and photo.contrast >= LOW_INFORMATION_CONTRAST
    ]
    if len(comparable) < 2:
        return []
    hashes = _packed([scanned[index].perceptual_hash for index in comparable])  # (num_comparable, 4)
    pairs = []
    for start in range(0, len(hashes), _BLOCK_ROWS):
        rows = hashes[start : start + _BLOCK_ROWS]
        # Photos before `start` were compared with these rows when they were rows themselves.
        bits = _hamming_distances(rows, hashes[start:])  # (num_rows, num_comparable - start)
        for row, column in np.argwhere(bits <= NEAR_DUPLICATE_BITS):
            first, second = comparable[start + row], comparable[start + column]
            # row < column leaves out each photo itself, and each pair in reverse order.
            if row < column and scanned[first].sha256 != scanned[second].sha256:
                pairs.append(Pair(first, second, int(bits[row, column])))
    return pairs


def find_copies(hashes: Sequence[str], reference_hashes: Sequence[str]) -> list[int | None]:
    """For each perceptual hash, the index of the nearest reference hash if both belong to the same picture, else None.

    Args:
        hashes: Hexadecimal digits; an empty hash has no copy.
        reference_hashes: Likewise.
    """
    usable = [index for index, digits in enumerate(reference_hashes) if digits]
    if not usable:
        return [None] * len(hashes)
    packed = _packed([reference_hashes[index] for index in usable])  # (num_usable, 4)
    copies: list[int | None] = []
    for digits in hashes:
        bits = _hamming_distances(_packed([digits]), packed)[0] if digits else np.array([NEAR_DUPLICATE_BITS + 1])
        nearest = int(np.argmin(bits))
        copies.append(usable[nearest] if bits[nearest] <= NEAR_DUPLICATE_BITS else None)
    return copies


def group_names(scanned: Sequence[ScannedPhoto], pairs: Iterable[Pair]) -> list[str]:
    """The name of each photo's group: photos that are connected by equal content or by pairs share a group.

    Connections chain: if A is a copy of B and B of C, all three are one group, even if A and C are not a pair.

    Returns:
        One name per photo: the start of the smallest sha256 in its group. It does not depend on file names or their
        order, so the same photos are split in the same way wherever they are stored.
    """
    # Connected components with a union-find structure: each photo points to another of its group or, if it is the
    # group's root, to itself. Joining two groups lets the root of one point to the root of the other.
    parent = list(range(len(scanned)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]  # halves the path, so that later walks are short
            index = parent[index]
        return index

    first_index: dict[str, int] = {}  # of each sha256
    for index, photo in enumerate(scanned):
        parent[root(index)] = root(first_index.setdefault(photo.sha256, index))
    for pair in pairs:
        parent[root(pair.first)] = root(pair.second)
    smallest_sha256: dict[int, str] = {}  # of each root's group
    for index, photo in enumerate(scanned):
        smallest_sha256[root(index)] = min(photo.sha256, smallest_sha256.get(root(index), photo.sha256))
    return [smallest_sha256[root(index)][:16] for index in range(len(scanned))]


def _packed(hashes: Sequence[str]) -> np.ndarray:
    """Hexadecimal digits as uint64 (num_hashes, 4): four words of 64 bits each."""
    return np.array([np.frombuffer(bytes.fromhex(digits), dtype=np.uint64) for digits in hashes])


def _hamming_distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Numbers of differing bits between packed hashes, uint16 (num_rows, num_columns)."""
    # XOR leaves a 1 where two words differ. One word at a time: all four at once would need four times the memory.
    bits = np.zeros((len(rows), len(columns)), dtype=np.uint16)
    for word in range(rows.shape[1]):
        bits += np.bitwise_count(rows[:, None, word] ^ columns[None, :, word])
    return bits
