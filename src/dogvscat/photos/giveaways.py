"""Giveaways: does the file of a photo reveal its class, whatever the picture shows?

If all cats were saved small and all dogs large, a network can distinguish them by their sharpness. It then looks
accurate on every split, and fails on photos from elsewhere. So for each fact about the files, this module measures how
often the fact by itself predicts the class.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dogvscat.photos.scan import ScannedPhoto

LEAST_SKILL = 0.3
"""Always naming the majority class makes many mistakes. A fact is a giveaway if it avoids at least this share of them,
judged by the lower end of its interval. With equal classes, such a fact is correct for 65% of the photos. In the public
archive, where all photos have one size and one quality, the bytes per pixel are correct for 62%, only because cats and
dogs, and what is around them, compress differently. That does no harm."""

_NUM_FOLDS = 5
_NUM_BINS = 16
"""A number is replaced by one of this many ranges with equally many photos each."""
_PRIOR = 1.0  # photos of each class that every range starts with, so that a range with one photo is not certain
_Z = 1.959964  # of a 95% interval


@dataclass(frozen=True)
class Giveaway:
    """A fact about the files that reveals the class. The fields are JSON values."""

    fact: str
    """Such as `the size in pixels`."""
    accuracy: float
    """Share of photos whose class the fact predicts correctly, each by a rule fitted on other photos."""
    low: float
    """Lower end of the 95% interval of the accuracy (Wilson)."""
    high: float
    n: int
    """Number of photos, one for each group of copies."""
    majority_share: float
    """Share of the larger class, which is correct without any fact."""
    advice: str

    def sentence(self) -> str:
        """What was found, and what to do, for people."""
        return (
            f"{self.fact[0].upper()}{self.fact[1:]} by itself reveals the class: it is correct for {self.summary()}. A "
            f"network may learn this instead of the animals, and fail on photos from elsewhere. {self.advice}"
        )

    def summary(self) -> str:
        """The accuracy with its interval, and what it is compared with."""
        return (
            f"{100 * self.accuracy:.1f}% ({100 * self.low:.1f}-{100 * self.high:.1f}) of {self.n:,} photos, "
            f"where guessing the larger class is correct for {100 * self.majority_share:.1f}%"
        )


@dataclass(frozen=True)
class _Fact:
    name: str
    value: Callable[[ScannedPhoto], float | str]
    advice: str


_SAVE_ALIKE = (
    "Save the photos of both classes with the same program, format and quality, or take both from the same source."
)
_FACTS = (
    _Fact(
        "the size in pixels",
        lambda photo: photo.width * photo.height,
        "Small photos are blurred when they are enlarged, and a network can see that. Scale the photos of both classes "
        "to the same size, or take both from the same source.",
    ),
    _Fact(
        "the shape",
        lambda photo: photo.width / photo.height,
        "Photos are squashed to a square, and a network sees how much. Crop the photos of both classes to the same "
        "shape, or take both from the same source.",
    ),
    _Fact(
        "the color mode",
        lambda photo: "gray" if photo.is_grey else photo.mode,
        "Use color photos of both classes, or gray ones of both, saved by the same program.",
    ),
    _Fact("the file format", lambda photo: photo.format, _SAVE_ALIKE),
    _Fact("the number of bytes per pixel", lambda photo: photo.num_bytes / (photo.width * photo.height), _SAVE_ALIKE),
    _Fact("the JPEG quality", lambda photo: photo.jpeg_quality, _SAVE_ALIKE),
    _Fact(
        "the maker of the camera",
        lambda photo: photo.camera,
        "Take the photos of both classes with the same cameras: lens, noise and colors differ.",
    ),
)
_TOGETHER = _Fact("all facts about the files together", lambda photo: "", _SAVE_ALIKE)


def find_giveaways(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> tuple[Giveaway, ...]:
    """The facts that reveal the class, the strongest first; all of them together only if none does so by itself.

    Args:
        scanned: The photos.
        groups: The name of each photo's duplicate group. One photo of each group is used, and none of a group that is
            filed under both classes.
    """
    photos = list(_one_per_group(scanned, groups))
    y_true = np.array([photo.label for photo in photos], dtype=bool)
    if min(np.sum(y_true), np.sum(~y_true)) < _NUM_FOLDS:
        return ()
    evidence = {fact: _held_out_evidence([fact.value(photo) for photo in photos], y_true) for fact in _FACTS}
    giveaways = [_judge(fact, weights, y_true) for fact, weights in evidence.items()]
    strong = [giveaway for giveaway in giveaways if _is_strong(giveaway)]
    if not strong:
        # Naive Bayes: the facts' evidence adds up.
        together = _judge(_TOGETHER, np.sum(list(evidence.values()), axis=0), y_true)
        strong = [together] if _is_strong(together) else []
    return tuple(sorted(strong, key=lambda giveaway: -giveaway.accuracy))


def _one_per_group(scanned: Sequence[ScannedPhoto], groups: Sequence[str]) -> Iterator[ScannedPhoto]:
    """The photo with the smallest sha256 of each group, in the order of the groups' names: a random, fixed order."""
    members: dict[str, list[ScannedPhoto]] = {}
    for photo, group in zip(scanned, groups, strict=True):
        if not photo.error_code:
            members.setdefault(group, []).append(photo)
    for _, photos in sorted(members.items()):
        if len({photo.label for photo in photos}) == 1:
            yield min(photos, key=lambda photo: photo.sha256)


def _held_out_evidence(values: Sequence[float | str], y_true: np.ndarray) -> np.ndarray:
    """How much each photo's value speaks for the positive class, judged by the photos of the other folds.

    Args:
        values: One per photo: all numbers, or all words.
        y_true: bool (num_photos,).

    Returns:
        float64 (num_photos,), natural logarithm of a likelihood ratio; 0 says nothing.
    """
    evidence = np.zeros(len(y_true))
    for fold in range(_NUM_FOLDS):
        held_out = np.arange(len(y_true)) % _NUM_FOLDS == fold
        cells = _cells(np.array(values), ~held_out)
        counts = [np.bincount(cells[~held_out & (y_true == label)], minlength=cells.max() + 1) for label in (0, 1)]
        shares = [(count + _PRIOR) / (count.sum() + _PRIOR * len(count)) for count in counts]
        evidence[held_out] = np.log(shares[1] / shares[0])[cells[held_out]]
    return evidence


def _cells(values: np.ndarray, is_training: np.ndarray) -> np.ndarray:
    """Each value as the number of a word, or of a range with about equally many training photos: int (num_photos,)."""
    if values.dtype.kind == "U":
        return np.unique(values, return_inverse=True)[1]
    num_bins = int(np.clip(np.sum(is_training) // 10, 2, _NUM_BINS))
    limits = np.unique(np.quantile(values[is_training], np.arange(1, num_bins) / num_bins))
    return np.searchsorted(limits, values, side="right")


def _judge(fact: _Fact, evidence: np.ndarray, y_true: np.ndarray) -> Giveaway:
    """How often the evidence, together with the sizes of the classes, names the class."""
    n, num_positive = len(y_true), int(y_true.sum())
    is_correct = (evidence + np.log(num_positive / (n - num_positive)) > 0) == y_true
    accuracy = float(is_correct.mean())
    low, high = _wilson(accuracy, n)
    return Giveaway(fact.name, accuracy, low, high, n, max(num_positive, n - num_positive) / n, fact.advice)


def _is_strong(giveaway: Giveaway) -> bool:
    return giveaway.low > giveaway.majority_share + LEAST_SKILL * (1 - giveaway.majority_share)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval as in `judging/intervals.py`, without SciPy, which the light install does not have."""
    center = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return float(center - half), float(center + half)
