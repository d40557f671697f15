"""Which photos show the same picture: copies form a group, and a split must not divide a group.

Otherwise a network would be tested on what it was trained on. Copies are recognized in three ways: equal files; similar
perceptual hashes, which also match mirrored, turned and inverted pictures; and, for pictures that were cropped, shifted
or framed, landmarks that agree in both pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dogvscat.photos.copies.landmarks import THUMBNAIL_SIDE
from dogvscat.photos.copies.perceptual_hash import near_hashes
from dogvscat.photos.copies.same_scene import aligned_pairs
from dogvscat.photos.scan import ScannedPhoto

LOW_INFORMATION_CONTRAST = 5.0
"""Below this standard deviation of gray values, in 0..127.5, a photo is blank, and its hash is not compared."""


class Pair(NamedTuple):
    """Two photos, by index, that show the same picture."""

    first: int
    second: int
    bits: int | None
    """The number of bits in which their hashes differ. None if only landmarks connect the two."""
    version: str = ""
    """What was done to one to get the other, such as `mirrored`; empty if nothing was, or `bits` is None."""


def near_duplicates(scanned: Sequence[ScannedPhoto]) -> list[Pair]:
    """Pairs of usable photos whose files differ and which show the same picture.

    Returns:
        All pairs with similar hashes, and one or more pairs for each photo that is cropped, shifted or framed; with
        `first < second`, ordered by both.
    """
    comparable = [
        index
        for index, photo in enumerate(scanned)
        if not photo.error_code and photo.contrast >= LOW_INFORMATION_CONTRAST
    ]
    pairs = [
        Pair(comparable[near.row], comparable[near.column], near.bits, near.version)
        for near in near_hashes([scanned[index].perceptual_hash for index in comparable])
        if scanned[comparable[near.row]].sha256 != scanned[comparable[near.column]].sha256
    ]
    return sorted([*pairs, *_same_scenes(scanned, comparable, pairs)], key=lambda pair: pair[:2])


def find_copies(hashes: Sequence[str], reference_hashes: Sequence[str]) -> list[int | None]:
    """For each perceptual hash, the index of the nearest reference hash if both belong to the same picture, else None.

    Args:
        hashes: Hexadecimal digits; an empty hash has no copy.
        reference_hashes: Likewise.
    """
    usable = [index for index, digits in enumerate(hashes) if digits]
    usable_references = [index for index, digits in enumerate(reference_hashes) if digits]
    nearest: dict[int, tuple[int, int]] = {}  # of each hash: distance and index of the reference
    for near in near_hashes([hashes[i] for i in usable], [reference_hashes[i] for i in usable_references]):
        candidate = (near.bits, usable_references[near.column])
        nearest[usable[near.row]] = min(candidate, nearest.get(usable[near.row], candidate))
    return [nearest[index][1] if index in nearest else None for index in range(len(hashes))]


def group_names(scanned: Sequence[ScannedPhoto], pairs: Iterable[Pair]) -> list[str]:
    """The name of each photo's group: photos that are connected by equal content or by pairs share a group.

    Connections chain: if A is a copy of B and B of C, all three are one group, even if A and C are not a pair.

    Returns:
        One name per photo: the start of the smallest sha256 in its group. It does not depend on file names or their
        order, so the same photos are split in the same way wherever they are stored.
    """
    groups = _Groups(scanned, pairs)
    smallest_sha256: dict[int, str] = {}  # of each root's group
    for index, photo in enumerate(scanned):
        root = groups.root(index)
        smallest_sha256[root] = min(photo.sha256, smallest_sha256.get(root, photo.sha256))
    return [smallest_sha256[groups.root(index)][:16] for index in range(len(scanned))]


class _Groups:
    """Connected components with a union-find structure.

    Each photo points to another of its group or, if it is the group's root, to itself. Two groups are joined by
    letting the root of one point to the root of the other.
    """

    def __init__(self, scanned: Sequence[ScannedPhoto], pairs: Iterable[Pair]) -> None:
        self._parent = list(range(len(scanned)))
        first_index: dict[str, int] = {}  # of each sha256
        for index, photo in enumerate(scanned):
            self.join(index, first_index.setdefault(photo.sha256, index))
        for pair in pairs:
            self.join(pair.first, pair.second)

    def root(self, index: int) -> int:
        parent = self._parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]  # halves the path, so that later walks are short
            index = parent[index]
        return index

    def join(self, first: int, second: int) -> None:
        self._parent[self.root(first)] = self.root(second)


def _same_scenes(scanned: Sequence[ScannedPhoto], comparable: Sequence[int], pairs: Sequence[Pair]) -> Iterator[Pair]:
    """More pairs, of photos that are not connected by the given ones."""
    groups = _Groups(scanned, pairs)
    by_content = {scanned[index].sha256: index for index in reversed(comparable) if scanned[index].thumbnail}
    # In the order of their contents: which pairs are found must not depend on the names of files.
    indices = [index for _, index in sorted(by_content.items())]
    if len(indices) < 2:
        return
    pixels = np.frombuffer(b"".join(scanned[index].thumbnail for index in indices), dtype=np.uint8)
    thumbnails = pixels.reshape(len(indices), THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    same_group = lambda first, second: groups.root(indices[first]) == groups.root(indices[second])  # noqa: E731
    for aligned in aligned_pairs(thumbnails, same_group):
        first, second = sorted((indices[aligned.first], indices[aligned.second]))
        groups.join(first, second)
        yield Pair(first, second, None)
