"""What is wrong with the pictures: the kinds of issues, and how those are found that need no network."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

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
"""What only networks can find, trained on the other photos: see `learning/label_evidence.py`."""

TINY_SIDE = 32
"""A shorter side below this, in pixels, leaves too little to see."""
ODD_SIZE_FACTOR = 10.0
"""A number of pixels this many times above or below the median is odd."""
ODD_ASPECT_RATIO = 3.0
"""A longer side this many times the shorter one is odd: squashing it distorts the animal beyond recognition."""


@dataclass(frozen=True)
class Issue:
    """One thing about one photo that a person may want to look at."""

    path: str
    kind: str
    """One of `ISSUE_KINDS`."""
    group: str
    """Name of the photo's duplicate group."""
    detail: str


def find_issues(scanned: Sequence[ScannedPhoto], groups: Sequence[str], pairs: Iterable[Pair]) -> list[Issue]:
    """All issues but those of `LABEL_KINDS`, sorted by kind in the order of `ISSUE_KINDS`, then by group and path.

    Args:
        scanned: The photos.
        groups: The duplicate group of each.
        pairs: Near duplicates.
    """
    issues = [
        *_undecodable(scanned, groups),
        *_exact_duplicates(scanned, groups),
        *_near_duplicates(scanned, groups, pairs),
        *_label_conflicts(scanned, groups),
        *_odd(scanned, groups),
    ]
    return sorted(issues, key=lambda issue: (ISSUE_KINDS.index(issue.kind), issue.group, issue.path))


def _undecodable(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    for photo, group in zip(scanned, groups, strict=True):
        if not photo.usable:
            yield Issue(photo.path, "empty" if photo.error_code == "empty" else "unreadable", group, photo.error)


def _exact_duplicates(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    same_content = defaultdict(list)
    for index, photo in enumerate(scanned):
        if photo.usable:
            same_content[photo.sha256].append(index)
    for indices in same_content.values():
        for index in indices if len(indices) > 1 else []:
            photo, group = scanned[index], groups[index]
            others = [scanned[other] for other in indices if other != index]
            yield Issue(photo.path, "exact_duplicate", group, f"same file as {_names(others)}")


def _near_duplicates(scanned: Sequence[ScannedPhoto], groups: Sequence[str], pairs: Iterable[Pair]) -> Iterable[Issue]:
    near = defaultdict(list)
    for first, second, bits in pairs:
        near[first].append((bits, second))
        near[second].append((bits, first))
    for index, neighbours in near.items():
        bits, closest = min(neighbours)
        detail = f"{bits} of 256 bits from {scanned[closest].path}"
        yield Issue(scanned[index].path, "near_duplicate", groups[index], detail)


def _label_conflicts(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    """Every photo of a group that holds both labels: a copy of a copy shows the same animal as well."""
    by_group = defaultdict(list)
    for photo, group in zip(scanned, groups, strict=True):
        if photo.usable:
            by_group[group].append(photo)
    for group, photos in by_group.items():
        for photo in photos:
            if contrary := [other for other in photos if other.label != photo.label]:
                same_file = [other for other in contrary if other.sha256 == photo.sha256]
                detail = "same file as" if same_file else "nearly the same picture as"
                yield Issue(photo.path, "label_conflict", group, f"{detail} {_names(same_file or contrary)}")


def _odd(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterable[Issue]:
    usable = [photo for photo in scanned if photo.usable]
    median = float(np.median([photo.width * photo.height for photo in usable])) if usable else 0.0
    for photo, group in zip(scanned, groups, strict=True):
        if not photo.usable:
            continue
        size = f"{photo.width} x {photo.height} pixels"
        longer, shorter = max(photo.width, photo.height), min(photo.width, photo.height)
        if photo.contrast < LOW_INFORMATION_CONTRAST:
            yield Issue(photo.path, "low_information", group, f"grey values vary by {photo.contrast:.1f} of 127")
        if shorter < TINY_SIDE:
            yield Issue(photo.path, "tiny", group, size)
        if not 1 / ODD_SIZE_FACTOR <= photo.width * photo.height / median <= ODD_SIZE_FACTOR:
            yield Issue(photo.path, "odd_size", group, f"{size}, the median photo has {median:,.0f} in all")
        if longer / shorter > ODD_ASPECT_RATIO:
            yield Issue(photo.path, "odd_aspect_ratio", group, size)


def _names(photos: Sequence[ScannedPhoto]) -> str:
    shown = ", ".join(photo.path for photo in photos[:3])
    return shown if len(photos) <= 3 else f"{shown} and {len(photos) - 3} more"
