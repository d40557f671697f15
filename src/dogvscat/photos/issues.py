"""Issues of photos that can be found without a trained network."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from dogvscat.photos.copies.perceptual_hash import NUM_BITS
from dogvscat.photos.duplicates import LOW_INFORMATION_CONTRAST, Pair
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

TINY_SIDE = 32
"""A shorter side below this, in pixels, leaves too little to see."""
ODD_SIZE_FACTOR = 10.0
"""A photo with this many times more or fewer pixels than the median photo has an odd size."""
ODD_ASPECT_RATIO = 3.0
"""A longer side of more than this many times the shorter one is odd: squashing it distorts the animal badly."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One reason why a person may want to look at a photo."""

    path: str
    kind: str
    """One of `ISSUE_KINDS`."""
    group: str
    """Name of the photo's duplicate group."""
    detail: str
    """For people: the sizes, the copies or the reason."""


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
    # Sorts are stable, so the last one counts most. One key of three values would be a tuple for each issue.
    issues.sort(key=attrgetter("path"))
    issues.sort(key=attrgetter("group"))
    issues.sort(key=lambda issue: ISSUE_KINDS.index(issue.kind))
    return issues


def _undecodable(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    for photo, group in zip(scanned, groups, strict=True):
        if photo.error_code:
            yield Issue(photo.path, "empty" if photo.error_code == "empty" else "unreadable", group, photo.error)


def _exact_duplicates(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    same_content: dict[str, array[int]] = defaultdict(lambda: array("q"))
    for index, photo in enumerate(scanned):
        if not photo.error_code:
            same_content[photo.sha256].append(index)
    for indices in same_content.values():
        details = [
            # The first four hold three others. The fifth stands for all after it: they share one text.
            f"same file as {_listed_paths([scanned[copy] for copy in indices[:4] if copy != index], len(indices) - 1)}"
            for index in indices[:5]
        ]
        for position, index in enumerate(indices if len(indices) > 1 else []):
            yield Issue(scanned[index].path, "exact_duplicate", groups[index], details[min(position, 4)])


def _near_duplicates(scanned: Sequence[ScannedPhoto], groups: Sequence[str], pairs: Iterable[Pair]) -> Iterable[Issue]:
    neighbors: dict[int, list[Pair]] = defaultdict(list)  # of each photo
    for pair in pairs:
        neighbors[pair.first].append(pair)
        neighbors[pair.second].append(pair)
    for index, candidates in neighbors.items():
        # The closest; a pair that only landmarks connect comes last.
        pair = min(candidates, key=lambda pair: (NUM_BITS if pair.bits is None else pair.bits, sum(pair[:2])))
        copy = scanned[pair.second if pair.first == index else pair.first].path
        yield Issue(scanned[index].path, "near_duplicate", groups[index], _relation(pair, copy))


def _relation(pair: Pair, copy: str) -> str:
    if pair.bits is None:
        return f"shows the same scene as {copy}, cropped, shifted, framed or turned"
    difference = f"perceptual hash differs in {pair.bits} of {NUM_BITS} bits from that of {copy}"
    return f"{pair.version}: {difference}" if pair.version else difference


def _label_conflicts(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    """Every photo of a group that has both labels: a copy of a copy shows the same animal as well."""
    by_group: dict[str, list[ScannedPhoto]] = defaultdict(list)
    for photo, group in zip(scanned, groups, strict=True):
        if not photo.error_code:
            by_group[group].append(photo)
    for group, photos in by_group.items():
        by_label: dict[int, list[ScannedPhoto]] = defaultdict(list)
        by_content: dict[tuple[int, str], list[ScannedPhoto]] = defaultdict(list)
        for photo in photos:
            by_label[photo.label].append(photo)
            by_content[photo.label, photo.sha256].append(photo)
        details: dict[tuple[int, str], str] = {}  # by label and content
        for photo in photos if len(by_label) > 1 else []:
            if (key := (photo.label, photo.sha256)) not in details:
                same_file = by_content.get((1 - photo.label, photo.sha256))
                relation = "same file as" if same_file else "nearly the same picture as"
                opposed = same_file or by_label[1 - photo.label]
                details[key] = f"{relation} {_listed_paths(opposed, len(opposed))}"
            yield Issue(photo.path, "label_conflict", group, details[key])


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
            detail = f"standard deviation of the gray values: {photo.contrast:.1f} (at most 127.5)"
            yield Issue(photo.path, "low_information", group, detail)
        if shorter < TINY_SIDE:
            yield Issue(photo.path, "tiny", group, size)
        # The number of pixels is compared, so 10 times more is about 3 times the side.
        if not 1 / ODD_SIZE_FACTOR <= photo.width * photo.height / median <= ODD_SIZE_FACTOR:
            detail = f"{size}, {photo.width * photo.height:,} in total; the median photo has {median:,.0f}"
            yield Issue(photo.path, "odd_size", group, detail)
        if longer / shorter > ODD_ASPECT_RATIO:
            yield Issue(photo.path, "odd_aspect_ratio", group, size)


def _listed_paths(photos: Sequence[ScannedPhoto], count: int) -> str:
    """The first three paths, and how many of `count` are more."""
    first_three = ", ".join(photo.path for photo in photos[:3])
    return first_three if count <= 3 else f"{first_three} and {count - 3} more"
