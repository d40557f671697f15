"""Which photos show the same picture, and what else can be wrong with photos, without a trained network.

Equal files, and files whose perceptual hashes differ in few bits, show the same picture: they form a group. A split
must not divide a group, or a network would be tested on what it was trained on.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dogvscat.photos.scan import ScannedPhoto

ISSUE_KINDS = (
    "unreadable",
    "empty",
    "exact_duplicate",
    "near_duplicate",
    "label_conflict",
    "low_information",
    "odd_size",
    "odd_aspect_ratio",
    "tiny",
    "label_suspect",
    "neither_suspect",
)
LABEL_KINDS = ("label_suspect", "neither_suspect")
"""Kinds that only networks trained on the other photos can find: see `learning/label_audit`."""

NEAR_DUPLICATE_BITS = 48
"""Two hashes of 256 bits that differ in at most this many bits belong to the same picture, saved, scaled or cropped
differently. The hashes of unrelated photos differ in 128 bits on average. Among 22,500 real photos, the closest
different ones differed in 72 bits and the farthest copies in 6."""

LOW_INFORMATION_CONTRAST = 5.0
"""Below this standard deviation of grey values, in 0..127.5, a photo is blank. Its hash is noise and not compared."""

TINY_SIDE = 32
"""A shorter side below this, in pixels, leaves too little to see."""
ODD_SIZE_FACTOR = 10.0
"""A photo with this many times more or fewer pixels than the median photo has an odd size."""
ODD_ASPECT_RATIO = 3.0
"""A longer side of more than this many times the shorter one is odd: squashing it distorts the animal badly."""

_BLOCK_ROWS = 512  # bounds the memory: 512 x 25,000 distances of 2 bytes are 26 MB


class Pair(NamedTuple):
    """Two photos, by index, and the number of bits in which their hashes differ."""

    first: int
    second: int
    bits: int


@dataclass(frozen=True)
class Issue:
    """One reason why a person may want to look at a photo."""

    path: str
    kind: str
    """One of `ISSUE_KINDS`."""
    group: str
    """Name of the photo's duplicate group."""
    detail: str
    """For people: the sizes, the copies or the reason."""


def near_duplicates(scanned: Sequence[ScannedPhoto]) -> list[Pair]:
    """Pairs of usable photos whose files differ and whose perceptual hashes nearly agree.

    Every photo is compared with every other: 250 million pairs of the real archive take seconds, and no index of
    hashes is needed.

    Returns:
        The pairs with `first < second`, ordered by both.
    """
    comparable = [
        index
        for index, photo in enumerate(scanned)
        if not photo.error_code and photo.contrast >= LOW_INFORMATION_CONTRAST
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


def find_issues(scanned: Sequence[ScannedPhoto], groups: Sequence[str], pairs: Iterable[Pair]) -> list[Issue]:
    """All issues but those of `LABEL_KINDS`, sorted by kind in the order of `ISSUE_KINDS`, then by group and path.

    Args:
        scanned: The photos.
        groups: The name of the duplicate group of each photo.
        pairs: Near duplicates, as indices into `scanned`.
    """
    issues = [
        *_undecodable(scanned, groups),
        *_exact_duplicates(scanned, groups),
        *_near_duplicates(scanned, groups, pairs),
        *_label_conflicts(scanned, groups),
        *_unusual_content(scanned, groups),
    ]
    return sorted(issues, key=lambda issue: (ISSUE_KINDS.index(issue.kind), issue.group, issue.path))


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


def _undecodable(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    for photo, group in zip(scanned, groups, strict=True):
        if photo.error_code:
            yield Issue(photo.path, "empty" if photo.error_code == "empty" else "unreadable", group, photo.error)


def _exact_duplicates(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    same_content = defaultdict(list)
    for index, photo in enumerate(scanned):
        if not photo.error_code:
            same_content[photo.sha256].append(index)
    for indices in same_content.values():
        for index in indices if len(indices) > 1 else []:
            copies = [scanned[copy] for copy in indices if copy != index]
            detail = f"same file as {_listed_paths(copies)}"
            yield Issue(scanned[index].path, "exact_duplicate", groups[index], detail)


def _near_duplicates(scanned: Sequence[ScannedPhoto], groups: Sequence[str], pairs: Iterable[Pair]) -> Iterable[Issue]:
    neighbours = defaultdict(list)  # of each photo: distance in bits and index, so that min() is the closest
    for first, second, bits in pairs:
        neighbours[first].append((bits, second))
        neighbours[second].append((bits, first))
    for index, candidates in neighbours.items():
        bits, closest = min(candidates)
        detail = f"perceptual hash differs in {bits} of 256 bits from that of {scanned[closest].path}"
        yield Issue(scanned[index].path, "near_duplicate", groups[index], detail)


def _label_conflicts(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    """Every photo of a group that has both labels: a copy of a copy shows the same animal as well."""
    by_group = defaultdict(list)
    for photo, group in zip(scanned, groups, strict=True):
        if not photo.error_code:
            by_group[group].append(photo)
    for group, photos in by_group.items():
        for photo in photos:
            if opposed := [copy for copy in photos if copy.label != photo.label]:
                same_file = [copy for copy in opposed if copy.sha256 == photo.sha256]
                relation = "same file as" if same_file else "nearly the same picture as"
                yield Issue(photo.path, "label_conflict", group, f"{relation} {_listed_paths(same_file or opposed)}")


def _unusual_content(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    usable = [photo for photo in scanned if not photo.error_code]
    # The median does not move when a few photos are huge, as the mean would.
    median = float(np.median([photo.width * photo.height for photo in usable])) if usable else 0.0
    for photo, group in zip(scanned, groups, strict=True):
        if photo.error_code:
            continue
        size = f"{photo.width} x {photo.height} pixels"
        longer, shorter = max(photo.width, photo.height), min(photo.width, photo.height)
        if photo.contrast < LOW_INFORMATION_CONTRAST:
            detail = f"standard deviation of the grey values: {photo.contrast:.1f} (at most 127.5)"
            yield Issue(photo.path, "low_information", group, detail)
        if shorter < TINY_SIDE:
            yield Issue(photo.path, "tiny", group, size)
        # The number of pixels is compared, so 10 times more is about 3 times the side.
        if not 1 / ODD_SIZE_FACTOR <= photo.width * photo.height / median <= ODD_SIZE_FACTOR:
            detail = f"{size}, {photo.width * photo.height:,} in total; the median photo has {median:,.0f}"
            yield Issue(photo.path, "odd_size", group, detail)
        if longer / shorter > ODD_ASPECT_RATIO:
            yield Issue(photo.path, "odd_aspect_ratio", group, size)


def _listed_paths(photos: Sequence[ScannedPhoto]) -> str:
    first_three = ", ".join(photo.path for photo in photos[:3])
    return first_three if len(photos) <= 3 else f"{first_three} and {len(photos) - 3} more"
