"""Which photos show the same picture: copies form a group, and a split must not divide a group.

Otherwise a network would be tested on what it was trained on. Copies are recognized in three ways: equal files; similar
perceptual hashes, which also match mirrored, turned and inverted pictures; and, for pictures that were cropped, shifted
or framed, landmarks that agree in both pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dogvscat.photos.copies.groups import Groups
from dogvscat.photos.copies.landmarks import THUMBNAIL_SIDE
from dogvscat.photos.copies.near_hashes import VERSIONS, NearPairs, near_pairs
from dogvscat.photos.copies.same_scene import aligned_pairs
from dogvscat.photos.scan import ScannedPhoto

_FAR = 1 << 62
"""The key of a hash that has no partner."""
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

    Of a thousand copies of one picture, half a million pairs could be listed. Those that matter are: for each photo its
    most similar copy, the first one if several are equally similar, and enough pairs to connect all copies.

    Returns:
        At most two pairs per photo with similar hashes, and one or more for each photo that is cropped, shifted or
        framed; with `first < second`, ordered by both.
    """
    comparable = [
        index
        for index, photo in enumerate(scanned)
        if not photo.error_code and photo.contrast >= LOW_INFORMATION_CONTRAST
    ]
    pairs = _similar_hashes(scanned, comparable)
    return sorted([*pairs, *_same_scenes(scanned, comparable, pairs)], key=lambda pair: pair[:2])


def find_copies(hashes: Sequence[str], reference_hashes: Sequence[str]) -> list[int | None]:
    """For each perceptual hash, the index of the nearest reference hash if both belong to the same picture, else None.

    Args:
        hashes: Hexadecimal digits; an empty hash has no copy.
        reference_hashes: Likewise. Of equally near ones, the first counts.
    """
    rows, references = _DistinctHashes(hashes), _DistinctHashes(reference_hashes)
    nearest = _Nearest(len(rows.first))
    for pairs in near_pairs(rows.digits, references.digits):
        nearest.update(pairs.row, pairs.column, pairs)
    reference_of_row = [references.first[column] if column >= 0 else None for column in nearest.partner.tolist()]
    return [reference_of_row[number] if number >= 0 else None for number in rows.numbers]


def group_names(scanned: Sequence[ScannedPhoto], pairs: Iterable[Pair]) -> list[str]:
    """The name of each photo's group: photos that are connected by equal content or by pairs share a group.

    Connections chain: if A is a copy of B and B of C, all three are one group, even if A and C are not a pair.

    Returns:
        One name per photo: the start of the smallest sha256 in its group. It does not depend on file names or their
        order, so the same photos are split in the same way wherever they are stored.
    """
    roots = _groups(scanned, pairs).roots(np.arange(len(scanned))).tolist()
    smallest_sha256: dict[int, str] = {}  # of each root's group
    for root, photo in zip(roots, scanned, strict=True):
        smallest_sha256[root] = min(photo.sha256, smallest_sha256.get(root, photo.sha256))
    names = {root: sha256[:16] for root, sha256 in smallest_sha256.items()}
    return [names[root] for root in roots]


def _groups(scanned: Sequence[ScannedPhoto], pairs: Iterable[Pair]) -> Groups:
    """The photos in groups: connected by equal content or by pairs."""
    first_index: dict[str, int] = {}  # of each sha256
    same_content = (first_index.setdefault(photo.sha256, index) for index, photo in enumerate(scanned))
    groups = Groups(np.fromiter(same_content, np.int64, len(scanned)))
    ends = np.array([pair[:2] for pair in pairs], dtype=np.int64).reshape(-1, 2)
    groups.join(ends[:, 0], ends[:, 1])
    return groups


class _DistinctHashes:
    """Hashes without repetitions, numbered in the order in which they first appear.

    Args:
        hashes: Hexadecimal digits; empty ones get no number.
    """

    def __init__(self, hashes: Sequence[str]) -> None:
        number_of: dict[str, int] = {}
        self.first: list[int] = []
        """Index of the first hash that has each number."""
        self.numbers: list[int] = []
        """The number of each hash; -1 if it is empty."""
        for index, digits in enumerate(hashes):
            number = number_of.setdefault(digits, len(number_of)) if digits else -1
            if number == len(self.first):
                self.first.append(index)
            self.numbers.append(number)
        self.digits = list(number_of)
        """The hashes, by number."""


class _Nearest:
    """For each of some hashes the nearest partner so far; of equally near ones, that with the smallest number."""

    def __init__(self, count: int) -> None:
        self._keys = np.full(count, _FAR, dtype=np.int64)  # bits, number and version of the partner, the least counts

    def update(self, hashes: np.ndarray, partners: np.ndarray, pairs: NearPairs) -> None:
        """Take the partners of some hashes into account, of which each is one end of a pair."""
        keys = (pairs.bits.astype(np.int64) << 40) + (partners.astype(np.int64) << 8) + pairs.version
        np.minimum.at(self._keys, hashes, keys)

    @property
    def partner(self) -> np.ndarray:
        """Number of the partner: int64 (count,); -1 if there is none."""
        return np.where(self._keys == _FAR, -1, self._keys >> 8 & 0xFFFFFFFF)

    @property
    def bits(self) -> np.ndarray:
        """Number of bits in which the hash and its partner differ: int64 (count,)."""
        return self._keys >> 40

    @property
    def version(self) -> np.ndarray:
        """Index into `VERSIONS`: int64 (count,)."""
        return self._keys & 0xFF


def _similar_hashes(scanned: Sequence[ScannedPhoto], comparable: Sequence[int]) -> list[Pair]:
    """The pairs with similar hashes that `near_duplicates` returns."""
    hashes = _DistinctHashes([scanned[index].perceptual_hash for index in comparable])
    first = [comparable[position] for position in hashes.first]  # the first photo with each hash
    nearest, groups, pairs = _Nearest(len(first)), Groups(np.arange(len(first))), set[Pair]()
    for near in near_pairs(hashes.digits):
        nearest.update(near.row, near.column, near)
        nearest.update(near.column, near.row, near)
        joined = groups.join(near.row, near.column)
        ends = zip(near.row[joined], near.column[joined], near.bits[joined], near.version[joined], strict=True)
        pairs.update(
            Pair(first[row], first[column], int(bits), VERSIONS[version]) for row, column, bits, version in ends
        )
    # Photos with equal hashes: the first one whose file differs from the file of the first photo.
    differing: dict[int, int] = {}
    for index, number in zip(comparable, hashes.numbers, strict=True):
        if scanned[index].sha256 != scanned[first[number]].sha256:
            differing.setdefault(number, index)
    partner, bits, version = nearest.partner.tolist(), nearest.bits.tolist(), nearest.version.tolist()
    for index, number in zip(comparable, hashes.numbers, strict=True):
        candidates = []
        if partner[number] >= 0:
            candidates.append((bits[number], first[partner[number]], VERSIONS[version[number]]))
        if number in differing:
            is_same_file = scanned[index].sha256 == scanned[first[number]].sha256
            candidates.append((0, differing[number] if is_same_file else first[number], ""))
        if candidates:
            num_bits, copy, version_name = min(candidates)
            pairs.add(Pair(min(index, copy), max(index, copy), num_bits, version_name))
    return list(pairs)


def _same_scenes(scanned: Sequence[ScannedPhoto], comparable: Sequence[int], pairs: Sequence[Pair]) -> Iterator[Pair]:
    """More pairs, of photos that are not connected by the given ones."""
    groups = _groups(scanned, pairs)
    by_content = {scanned[index].sha256: index for index in reversed(comparable) if scanned[index].thumbnail}
    # In the order of their contents: which pairs are found must not depend on the names of files.
    indices = [index for _, index in sorted(by_content.items())]
    if len(indices) < 2:
        return
    pixels = np.frombuffer(b"".join(scanned[index].thumbnail for index in indices), dtype=np.uint8)
    thumbnails = pixels.reshape(len(indices), THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    photo_of = np.array(indices)

    def same_group(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        is_same: np.ndarray = groups.roots(photo_of[first]) == groups.roots(photo_of[second])
        return is_same

    for aligned in aligned_pairs(thumbnails, same_group):
        first, second = sorted((indices[aligned.first], indices[aligned.second]))
        groups.join(np.array([first]), np.array([second]))
        yield Pair(first, second, None)
