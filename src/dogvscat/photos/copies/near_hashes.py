"""Finds all pairs of similar perceptual hashes among a million, in all versions of a picture, in little memory.

Every hash is compared with every other: with so many bits that may differ, an index of hashes would propose nearly as
many pairs. But one comparison of 128 bits rules out nearly all pairs, in all sixteen versions at once.

Swapping rows with columns only exchanges bits; mirroring and inverting flip whole words. So if two bits are exchanged
with each other, or always flipped together, their XOR is the same in every version of a picture. The 128 bits are such
XORs: 64 are the same in every version, and the other 64 are the same or all flipped. Each bit of a hash is in one XOR
only, so n wrong bits of a copy spoil at most n XORs.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dogvscat import stderr
from dogvscat.cpus import map_in_order
from dogvscat.photos.copies.perceptual_hash import HASH_SIDE, NUM_BITS

NEAR_DUPLICATE_BITS = 48
"""Two hashes that differ in at most this many bits belong to the same picture. The hashes of unrelated photos differ
in 128 bits on average. Among 22,500 real photos, the closest different ones differed in 72 bits, mirrored, turned and
inverted versions included, and the farthest copies in 6."""

_WORD_BITS = 64
_NUM_WORDS = NUM_BITS // _WORD_BITS
_BLOCK_SIDE = HASH_SIDE // 2  # of the 8 x 8 frequencies of a word
_TILE_ROWS, _TILE_COLUMNS = 16, 4096  # 65,536 words of 8 bytes fit into a second-level cache; NumPy wants long rows
_STRIP_COLUMNS = 16 * _TILE_COLUMNS  # compared by one thread at a time: even if all are near, it is a million pairs
_CHUNK = 4096  # hashes to unpack at a time

# The number of differing bits of two words, minus 32, changes its sign when one of them is flipped. Rows: the words
# that are even in y and x, odd in x, odd in y, and odd in both. Columns: neither reversed, x, y, or both.
_SIGNS = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=np.int16)
# Words for a version of a picture: as it is, mirrored, turned. First four ways of reversing, then the same four after
# swapping rows with columns, then all eight inverted. The direction of a turn is left out, because it depends on which
# of the two pictures is called the original.
_STRAIGHT = ("", "mirrored", "mirrored", "turned by 180 degrees")
_SWAPPED = ("mirrored and turned", "turned by 90 degrees", "turned by 90 degrees", "mirrored and turned")
VERSIONS = (
    *(_STRAIGHT + _SWAPPED),
    *(f"{version} and inverted" if version else "inverted" for version in _STRAIGHT + _SWAPPED),
)
"""What was done to one picture to get another, by number; empty if nothing was."""


class NearHash(NamedTuple):
    """Two hashes of the same picture."""

    row: int
    column: int
    bits: int
    """The number of bits in which they differ, in the version where they differ least."""
    version: str
    """What was done to one to get the other, such as `mirrored`; empty if nothing was."""


class NearPairs(NamedTuple):
    """Pairs of hashes of the same picture; each array has one value per pair."""

    row: np.ndarray
    """int32 (n,), like `column`."""
    column: np.ndarray
    bits: np.ndarray
    """As in `NearHash`: uint8 (n,)."""
    version: np.ndarray
    """Index into `VERSIONS`: uint8 (n,)."""


class _Packed(NamedTuple):
    """Hashes as words of 64 bits."""

    words: np.ndarray
    """The four words of each hash: uint64 (4, n)."""
    swapped: np.ndarray
    """The same after rows were swapped with columns."""
    constant: np.ndarray
    """64 bits that are the same in all versions: uint64 (n,)."""
    flipping: np.ndarray
    """64 more, which are the same or are all flipped: uint64 (n,)."""


def near_hashes(rows: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[NearHash]:
    """Like `near_pairs`, but one pair at a time."""
    for pairs in near_pairs(rows, columns):
        for row, column, bits, version in zip(*(array.tolist() for array in pairs), strict=True):
            yield NearHash(row, column, bits, VERSIONS[version])


def near_pairs(rows: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[NearPairs]:
    """All pairs of hashes that differ in at most `NEAR_DUPLICATE_BITS` bits, in the version where they differ least.

    Args:
        rows: Hashes, each 64 hexadecimal digits.
        columns: Other hashes to compare them with. None compares `rows` with each other, each pair once.

    Yields:
        The pairs in blocks, so that memory does not grow with their number; where `columns` is None, with
        `row < column`.
    """
    packed_rows = _packed(rows)
    packed_columns = packed_rows if columns is None else _packed(columns)

    def search(corner: tuple[int, int]) -> NearPairs:
        pairs = _verified(packed_rows, packed_columns, *_candidates(packed_rows, packed_columns, *corner))
        return pairs if columns is not None else NearPairs(*(array[pairs.row < pairs.column] for array in pairs))

    def lefts(top: int) -> range:
        # Hashes before `top` were compared with these rows when they were rows themselves.
        return range(top if columns is None else 0, len(packed_columns.constant), _STRIP_COLUMNS)

    tops = range(0, len(packed_rows.constant), _TILE_ROWS)
    blocks = map_in_order(search, ((top, left) for top in tops for left in lefts(top)))
    tracked = stderr.track(blocks, "Comparing photos", sum(len(lefts(top)) for top in tops))
    yield from (pairs for pairs in tracked if len(pairs.row))


def _candidates(rows: _Packed, columns: _Packed, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each pair of a strip that may be near: int64 (n,) each."""
    constant = rows.constant[top : top + _TILE_ROWS, None]
    flipping = rows.flipping[top : top + _TILE_ROWS, None]
    # Memory that every tile uses again: new arrays for each would take longer than the comparison.
    differing = np.empty(_TILE_ROWS * _TILE_COLUMNS, np.uint64)
    counts = np.empty((2, len(differing)), np.uint8)
    end = min(left + _STRIP_COLUMNS, len(columns.constant))
    candidates = []
    for start in range(left, end, _TILE_COLUMNS):
        tile = slice(start, min(start + _TILE_COLUMNS, end))
        shape = len(constant), tile.stop - start
        bits, count, flipping_count = (array[: math.prod(shape)].reshape(shape) for array in (differing, *counts))
        np.bitwise_count(np.bitwise_xor(constant, columns.constant[tile], out=bits), out=count)
        np.bitwise_count(np.bitwise_xor(flipping, columns.flipping[tile], out=bits), out=flipping_count)
        # Of the second 64 bits, d or 64 - d differ: at least 32 - |d - 32|. So this is the least number of all, minus
        # 32. The numbers fit into int8, and so 32 of them into a register.
        deviation = flipping_count.view(np.int8)
        np.abs(np.subtract(deviation, _WORD_BITS // 2, out=deviation), out=deviation)
        least = np.subtract(count.view(np.int8), deviation, out=deviation)
        positions = np.flatnonzero(least <= NEAR_DUPLICATE_BITS - _WORD_BITS // 2)
        tile_rows, tile_columns = np.divmod(positions, shape[1])
        candidates.append((tile_rows + top, tile_columns + start))
    row, column = (np.concatenate(parts) for parts in zip(*candidates, strict=True))
    return row, column


def _verified(rows: _Packed, columns: _Packed, row: np.ndarray, column: np.ndarray) -> NearPairs:
    """The near pairs among some candidates, ordered by row and column."""
    # A pair can be near in some version only if the absolute deviations of its words add up to this much. Two of the
    # four words rule out nearly all candidates that remain.
    needed = NUM_BITS // 2 - NEAR_DUPLICATE_BITS
    is_likely = np.zeros(len(row), dtype=bool)
    for column_words in (columns.words, columns.swapped):
        deviations = _deviations(rows.words[:2], column_words[:2], row, column)
        is_likely |= np.abs(deviations[0]) + np.abs(deviations[1]) >= needed - 2 * (_WORD_BITS // 2)
    row, column = row[is_likely], column[is_likely]
    straight = _deviations(rows.words, columns.words, row, column)
    swapped = _deviations(rows.words, columns.swapped, row, column)
    # For each version, how far the number of differing bits lies from half of all bits: (num_pairs, 8).
    totals = np.concatenate([words.T.astype(np.int16) @ _SIGNS for words in (straight, swapped)], axis=1)
    version = np.abs(totals).argmax(axis=1)
    total = totals[np.arange(len(row)), version]
    bits = NUM_BITS // 2 - np.abs(total)
    version += np.where(total > 0, totals.shape[1], 0)  # over half of the bits differ: inverted
    near = np.flatnonzero(bits <= NEAR_DUPLICATE_BITS)
    near = near[np.lexsort((column[near], row[near]))]
    row, column = row[near].astype(np.int32), column[near].astype(np.int32)
    return NearPairs(row, column, bits[near].astype(np.uint8), version[near].astype(np.uint8))


def _deviations(row_words: np.ndarray, column_words: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """For each of some words the number of differing bits of each pair, minus 32: int8 (num_words, num_pairs)."""
    counts = np.empty((len(row_words), len(row)), np.uint8)
    for count, first, second in zip(counts, row_words, column_words, strict=True):  # one take for all is far slower
        np.bitwise_count(first.take(row) ^ second.take(column), out=count)
    return counts.view(np.int8) - np.int8(_WORD_BITS // 2)


def _packed(hashes: Sequence[str]) -> _Packed:
    chunks = [_packed_chunk(hashes[start : start + _CHUNK]) for start in range(0, len(hashes), _CHUNK)]
    joined = np.concatenate([np.empty((10, 0), np.uint64), *chunks], axis=1)
    return _Packed(joined[:4], joined[4:8], joined[8], joined[9])


def _packed_chunk(hashes: Sequence[str]) -> np.ndarray:
    """The four words of each hash, the same with rows and columns swapped, and the two words that hardly depend on the
    version: uint64 (10, num_hashes)."""
    data = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8)
    # A word for each parity of y and x; the bits of a word by y and x.
    bits = np.unpackbits(data).reshape(len(hashes), _NUM_WORDS, _BLOCK_SIDE, _BLOCK_SIDE)
    swapped = bits.transpose(0, 1, 3, 2)[:, [0, 2, 1, 3]]  # odd in x only becomes odd in y only
    combined = bits ^ swapped
    # In the first word and the last one, (y, x) and (x, y) are exchanged: their combinations lie above the diagonal.
    # The diagonal stays where it is, but is flipped with its word: neighbors on it are combined.
    y, x = np.triu_indices(_BLOCK_SIDE, 1)
    diagonal = np.diagonal(bits[:, [0, 3]], axis1=2, axis2=3)  # (num_hashes, 2, 8)
    constant = [combined[:, 0, y, x], combined[:, 3, y, x], *(diagonal[..., ::2] ^ diagonal[..., 1::2]).swapaxes(0, 1)]
    parts = [bits, swapped, np.concatenate(constant, axis=1), combined[:, 1]]
    flat = np.concatenate([part.reshape(len(hashes), -1) for part in parts], axis=1)  # (num_hashes, 640)
    return np.packbits(flat, axis=1).view(np.uint64).T
