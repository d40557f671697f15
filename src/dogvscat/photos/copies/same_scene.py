"""Pairs of pictures that show the same scene, cropped, shifted or framed, among many thousand pictures.

Any two landmarks with similar descriptions propose how their pictures lie on each other. Each later stage costs more
per pair than the one before, and receives fewer pairs: a rough comparison, a few refining steps, and at last a
comparison of all pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dogvscat import stderr
from dogvscat.cpus import available_cpus, map_in_order
from dogvscat.photos.copies.alignment import (
    BROAD,
    FINE,
    FINEST,
    Moves,
    at_grid,
    part_agreement,
    refined,
    rough_agreement,
    textures,
)
from dogvscat.photos.copies.landmarks import THUMBNAIL_SIDE, Landmarks, find_landmarks

LEAST_AGREEMENT = 0.78
"""The mean correlation of the small parts of a picture with what lies on them."""
LEAST_OVERLAP = 0.4
"""The least share of a picture that must lie on the other one."""

_CODE_BITS = 12  # the descriptions of two landmarks may differ in this many of 63 bits
_ROUGH_CORRELATION = 0.7
_BROAD_STEPS = ((8, 0.0), (8, 0.75), (12, 0.82), (12, 0.85), (12, 0.85))
"""For each of the first refining steps the points compared along each side of a picture, and the least correlation
before the step. Both rise with the precision of the move."""
_FINE_STEPS = 3
_ROUGH_SIDE = 8  # points compared along each side of a picture
_NEIGHBORS = 256
"""A landmark is compared with at most this many others with the same key. More exist only if hundreds of photos look
alike; these still end up in one group, because groups chain together."""
_VOTES_AT_ONCE = 4000  # of 64 points each: an array of them fits into a processor's cache
_COMPARED_AT_ONCE = 500_000  # landmarks; most of them are not similar
_PAIRS_AT_ONCE, _PARTS = 8192, 16  # pairs between two updates of the groups, and parts of them for the threads

Votes = tuple[np.ndarray, np.ndarray]
"""Pairs of landmarks, as two arrays of indices."""


class AlignedPair(NamedTuple):
    """Two pictures that show the same scene."""

    first: int
    second: int
    correlation: float
    """Of the parts that lie on each other, 0 to 1."""
    overlap: float
    """Share of the picture with the wider view that lies on the other one."""


def aligned_pairs(
    thumbnails: np.ndarray, same_group: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Iterator[AlignedPair]:
    """Pairs of pictures that show the same scene, at least one for each picture that has such a partner.

    Args:
        thumbnails: uint8 (num_pictures, THUMBNAIL_SIDE, THUMBNAIL_SIDE), gray.
        same_group: Whether the two pictures of each pair are already known to show the same scene, given by index:
            bool (n,). Such pairs are not compared.
    """
    broad = textures(thumbnails, BROAD)
    rough = at_grid(broad, _ROUGH_SIDE)
    with ThreadPoolExecutor(available_cpus()) as pool:  # NumPy computes without holding Python's lock
        landmarks = find_landmarks(thumbnails, pool.map)
        similar = _similar_landmarks(landmarks)
        chunks = map_in_order(lambda votes: _roughly_similar(broad, rough, landmarks, votes), similar)
        votes = _best_of_each_pair(landmarks, stderr.track(chunks, "Comparing landmarks"))
        for start in range(0, len(votes[0]), _PAIRS_AT_ONCE):
            moves = _proposed_moves(landmarks, *(index[start : start + _PAIRS_AT_ONCE] for index in votes))
            parts = np.array_split(np.flatnonzero(~same_group(moves.first, moves.second)), _PARTS)
            for pairs in pool.map(lambda part: _verified(thumbnails, broad, moves[part]), parts):  # noqa: B023
                yield from pairs


def _similar_landmarks(landmarks: Landmarks) -> Iterator[Votes]:
    """Pairs of landmarks of different pictures that are described alike, in chunks."""
    order = np.lexsort((landmarks.code, landmarks.key))
    keys = landmarks.key[order]
    positions = np.arange(len(order))
    ends = np.searchsorted(keys, keys, side="right")
    yield from _similar_in_ranges(landmarks, order, order, positions + 1, ends)
    # A second key differs from the key in one bit, so it never proposes a pair of equal keys again.
    queries = np.argsort(landmarks.second_key, kind="stable")
    second_keys = landmarks.second_key[queries]
    starts, ends = np.searchsorted(keys, second_keys), np.searchsorted(keys, second_keys, side="right")
    yield from _similar_in_ranges(landmarks, order, queries, starts, ends)


def _similar_in_ranges(
    landmarks: Landmarks, order: np.ndarray, queries: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> Iterator[Votes]:
    """Each queried landmark with those at `starts` to `ends` in `order` whose description is similar."""
    counts = np.minimum(ends - starts, _NEIGHBORS)
    totals = np.cumsum(counts)
    codes, pictures = landmarks.code[order], landmarks.picture[order]
    position = 0
    while position < len(queries):
        goal = totals[position] + _COMPARED_AT_ONCE
        chunk = slice(position, max(position + 1, int(np.searchsorted(totals, goal))))
        position = chunk.stop
        query = np.repeat(queries[chunk], counts[chunk])
        # Runs 0, 1, 2... for each query: a running number minus the number at which its run starts.
        runs = np.arange(len(query)) - np.repeat(np.cumsum(counts[chunk]) - counts[chunk], counts[chunk])
        match = np.repeat(starts[chunk], counts[chunk]) + runs
        differing = np.bitwise_count(landmarks.code[query] ^ codes[match])
        similar = np.flatnonzero((differing <= _CODE_BITS) & (landmarks.picture[query] != pictures[match]))
        for start in range(0, len(similar), _VOTES_AT_ONCE):
            part = similar[start : start + _VOTES_AT_ONCE]
            yield query[part], order[match[part]]


def _proposed_moves(landmarks: Landmarks, first: np.ndarray, second: np.ndarray) -> Moves:
    """The moves with which landmarks of one picture lie on those of another, given by index."""
    # From the first picture to the common description, and from there to the second picture. The axes are at right
    # angles and equally long, so that the inverse of their matrix is its transpose, divided by the squared length.
    # Written out, because a million products of 2 x 2 matrices take several times as long.
    axes = landmarks.axes[first]
    inverse = axes.transpose(0, 2, 1) / (axes[:, :1, :1] ** 2 + axes[:, 1:, :1] ** 2)
    matrix = landmarks.axes[second][:, :, :1] * inverse[:, :1] + landmarks.axes[second][:, :, 1:] * inverse[:, 1:]
    first_center_moved = matrix[:, :, 0] * landmarks.y[first, None] + matrix[:, :, 1] * landmarks.x[first, None]
    second_center = np.stack([landmarks.y[second], landmarks.x[second]], axis=1)
    return Moves(
        first=landmarks.picture[first],
        second=landmarks.picture[second],
        matrix=matrix,
        offset=second_center - first_center_moved,
        polarity=(landmarks.polarity[first] * landmarks.polarity[second]).astype(np.float32),
    )


def _roughly_similar(
    broad: np.ndarray, rough: np.ndarray, landmarks: Landmarks, votes: Votes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The votes whose pictures roughly agree, as in `Votes`, and the correlations."""
    first, second = votes
    agreement = rough_agreement(broad, rough, _proposed_moves(landmarks, first, second))
    similar = (agreement.correlation >= _ROUGH_CORRELATION) & (agreement.overlap >= LEAST_OVERLAP)
    return first[similar], second[similar], agreement.correlation[similar]


def _best_of_each_pair(landmarks: Landmarks, chunks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Votes:
    """The best vote for each pair of pictures, the best of all first.

    Args:
        landmarks: Of all pictures.
        chunks: Votes and their correlations.
    """
    none = np.zeros(0, dtype=np.int64)  # there may be no chunks
    first, second, correlation = (np.concatenate(part) for part in zip((none, none, none), *chunks, strict=True))
    # The picture with the smaller index first, so that each pair has one name.
    backward = landmarks.picture[first] > landmarks.picture[second]
    first, second = np.where(backward, second, first), np.where(backward, first, second)
    order = np.lexsort((second, first, -correlation))
    first, second = first[order], second[order]
    pair_names = (landmarks.picture[first].astype(np.int64) << 32) + landmarks.picture[second]
    best = np.sort(np.unique(pair_names, return_index=True)[1])
    return first[best], second[best]


def _verified(thumbnails: np.ndarray, broad: np.ndarray, moves: Moves) -> list[AlignedPair]:
    """The pairs of pictures that agree after their move was refined.

    Args:
        thumbnails: Of all pictures.
        broad: Their textures.
        moves: The pairs.
    """
    for side, least_correlation in _BROAD_STEPS:
        agreement, moved = refined(broad, moves, side)
        moves = moved[(agreement.correlation >= least_correlation) & (agreement.overlap >= LEAST_OVERLAP)]
    if not len(moves):
        return []
    # Textures of these pictures only. From here on, a picture's index is its position in `pictures`.
    pictures, numbers = np.unique(np.concatenate([moves.first, moves.second]), return_inverse=True)
    moves = replace(moves, first=numbers[: len(moves)], second=numbers[len(moves) :])
    fine = textures(thumbnails[pictures], FINE)
    for _ in range(_FINE_STEPS):
        _, moves = refined(fine, moves, THUMBNAIL_SIDE)
    agreements = [part_agreement(thumbnails[pictures], moves, band) for band in (FINE, FINEST)]
    correlation = (agreements[0].correlation + agreements[1].correlation) / 2
    overlap = agreements[0].overlap
    same = np.flatnonzero((correlation >= LEAST_AGREEMENT) & (overlap >= LEAST_OVERLAP))
    first, second = pictures[moves.first[same]].tolist(), pictures[moves.second[same]].tolist()
    return [
        AlignedPair(*pair)
        for pair in zip(first, second, correlation[same].tolist(), overlap[same].tolist(), strict=True)
    ]
