"""The perceptual hash: 256 bits that hardly change when a photo is saved again, scaled, mirrored, turned or inverted.

Each bit is the sign of one of the lowest 16 x 16 frequencies of the gray picture. Mirroring a picture only flips the
signs of its odd frequencies, turning it swaps rows with columns as well, and inverting it flips every sign. So the
hash of one version gives the hashes of all sixteen versions, without hashing their pictures.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from dogvscat.cpus import available_cpus

HASH_SIDE = 16
"""The hash has HASH_SIDE x HASH_SIDE bits. With the usual 64 bits, different photos lie less far apart."""
GRAY_SIDE = 4 * HASH_SIDE
"""Side of the gray picture that a hash is computed from, in pixels."""
NUM_BITS = HASH_SIDE * HASH_SIDE
NEAR_DUPLICATE_BITS = 48
"""Two hashes that differ in at most this many bits belong to the same picture. The hashes of unrelated photos differ
in 128 bits on average. Among 22,500 real photos, the closest different ones differed in 72 bits, mirrored, turned and
inverted versions included, and the farthest copies in 6."""

# Words for a version of a picture, by whether rows and columns are swapped, and whether each of them is reversed.
# The direction of a turn is left out, because it depends on which of the two pictures is called the original.
_VERSIONS = {
    (False, False, False): "",
    (False, False, True): "mirrored",
    (False, True, False): "mirrored",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "mirrored and turned",
    (True, False, True): "turned by 90 degrees",
    (True, True, False): "turned by 90 degrees",
    (True, True, True): "mirrored and turned",
}
_BLOCK_ROWS = 64  # 64 x 25,000 words of 8 bytes are 13 MB, for each thread
_WORD_BITS = 64


class NearHash(NamedTuple):
    """Two hashes of the same picture."""

    row: int
    column: int
    bits: int
    """The number of bits in which they differ, in the version where they differ least."""
    version: str
    """What was done to one to get the other, such as `mirrored`; empty if nothing was."""


_NO_HASH = NearHash(-1, -1, NUM_BITS, "")


def perceptual_hash(gray: np.ndarray) -> str:
    """The hash of a picture, as 64 hexadecimal digits.

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010. In that hash a bit says
    whether a frequency is above the median. Here it is the sign of the frequency: nearly the same, but known exactly
    after mirroring.

    Args:
        gray: Any numbers (GRAY_SIDE, GRAY_SIDE), brightness.
    """
    frequencies = _COSINES @ gray @ _COSINES.T  # (HASH_SIDE, HASH_SIDE)
    frequencies[0, 0] = 0.0  # the mean brightness: always positive, it says nothing
    return np.packbits((frequencies > 0).ravel()[_BY_PARITY]).tobytes().hex()


def near_hashes(rows: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[NearHash]:
    """All pairs of hashes that differ in at most `NEAR_DUPLICATE_BITS` bits, in the version where they differ least.

    Every hash is compared with every other: 250 million pairs of the real archive take seconds, and no index of
    hashes is needed.

    Args:
        rows: Hashes.
        columns: Other hashes to compare them with. None compares `rows` with each other, each pair once.

    Yields:
        The pairs, by row and column; where `columns` is None, `row < column`.
    """
    row_words = _packed(rows)
    column_words = row_words if columns is None else _packed(columns)
    straight, swapped = np.ascontiguousarray(column_words.T), np.ascontiguousarray(_with_axes_swapped(column_words).T)

    def near_in_rows(start: int) -> list[NearHash]:
        block = row_words[start : start + _BLOCK_ROWS]
        # Hashes before `start` were compared with these rows when they were rows themselves.
        first_column = start if columns is None else 0
        near: dict[tuple[int, int], NearHash] = {}
        for axes_swapped, words in ((False, straight[:, first_column:]), (True, swapped[:, first_column:])):
            for row, column, bits, version in _near_in_block(block, words, axes_swapped):
                pair = NearHash(start + row, first_column + column, bits, version)
                is_wanted = columns is not None or pair.row < pair.column
                if is_wanted and bits < near.get(pair[:2], _NO_HASH).bits:
                    near[pair[:2]] = pair
        return [near[pair] for pair in sorted(near)]

    with ThreadPoolExecutor(available_cpus()) as pool:  # NumPy computes without holding Python's lock
        for near_pairs in pool.map(near_in_rows, range(0, len(row_words), _BLOCK_ROWS)):
            yield from near_pairs


def _near_in_block(block: np.ndarray, words: np.ndarray, axes_swapped: bool) -> Iterator[tuple[int, int, int, str]]:
    """The near pairs of some rows with all columns.

    Args:
        block: Packed hashes, uint64 (num_rows, 4).
        words: Packed hashes as words by column, uint64 (4, num_columns).
        axes_swapped: Whether the rows and columns of the pictures of `words` were swapped.
    """
    # How far the number of differing bits of each word lies from 32, the mean of unrelated pictures. Mirroring flips
    # all bits of two words, and inverting those of all four, which only changes the signs of these deviations. So a
    # pair can be near in some version only if their absolute values add up to at least 128 - NEAR_DUPLICATE_BITS. The
    # first two of the four words already rule out nearly every pair of unrelated pictures.
    needed = NUM_BITS // 2 - NEAR_DUPLICATE_BITS
    first_two = np.abs(_deviations(block[:, None, 0], words[None, 0]))
    first_two += np.abs(_deviations(block[:, None, 1], words[None, 1]))
    rows, columns = np.divmod(np.flatnonzero(first_two >= needed - _WORD_BITS), words.shape[1])
    deviations = np.stack([_deviations(block[rows, word], words[word, columns]) for word in range(4)]).astype(np.int16)
    near = np.flatnonzero(np.abs(deviations).sum(axis=0) >= needed)
    for row, column, (even, odd_x, odd_y, odd_both) in zip(rows[near], columns[near], deviations.T[near], strict=True):
        for reversed_y, reversed_x in ((False, False), (False, True), (True, False), (True, True)):
            x, y = (-1 if reversed_x else 1), (-1 if reversed_y else 1)
            deviation = int(even + x * odd_x + y * odd_y + x * y * odd_both)
            if abs(deviation) >= needed:
                version = _VERSIONS[axes_swapped, reversed_y, reversed_x]
                if deviation > 0:  # more than half of the bits differ
                    version = f"{version} and inverted" if version else "inverted"
                yield int(row), int(column), NUM_BITS // 2 - abs(deviation), version


def _deviations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Numbers of differing bits between words, minus 32: int8, in the shape of both together."""
    num_differing: np.ndarray = np.bitwise_count(first ^ second)
    return num_differing.view(np.int8) - np.int8(_WORD_BITS // 2)


def _by_parity() -> np.ndarray:
    """Indices of the frequencies in four blocks: even in y and x, odd in x only, odd in y only, odd in both.

    Mirroring then flips whole blocks.

    Returns:
        int64 (NUM_BITS,), into the frequencies in rows.
    """
    indices = np.arange(NUM_BITS).reshape(HASH_SIDE, HASH_SIDE)
    return np.concatenate([indices[y::2, x::2].ravel() for y in (0, 1) for x in (0, 1)])


def _packed(hashes: Sequence[str]) -> np.ndarray:
    """Hexadecimal digits as uint64 (num_hashes, 4): one word for each block of `_by_parity`."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(-1, 4)


def _with_axes_swapped(words: np.ndarray) -> np.ndarray:
    """The packed hashes of the pictures with rows and columns swapped."""
    blocks = np.unpackbits(words.view(np.uint8), axis=1).reshape(len(words), 4, HASH_SIDE // 2, HASH_SIDE // 2)
    swapped = blocks.transpose(0, 1, 3, 2)[:, [0, 2, 1, 3]]  # odd in x only becomes odd in y only
    return np.packbits(swapped.reshape(len(words), NUM_BITS), axis=1).view(np.uint64)


def _cosines() -> np.ndarray:
    """The lowest cosine waves over the side of the picture, float64 (HASH_SIDE, GRAY_SIDE), one per row."""
    positions = (np.arange(GRAY_SIDE) + 0.5) / GRAY_SIDE
    return np.cos(np.pi * np.arange(HASH_SIDE)[:, None] * positions)


_COSINES = _cosines()
_BY_PARITY = _by_parity()
