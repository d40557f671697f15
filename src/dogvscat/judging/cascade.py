"""When the answer of a quick first network may stand, and when the full network must be asked.

The first network answers one view of an image. If that answer is not sure, it also answers the mirror image, and the
mean of the two counts. If that is not sure either, the full network answers. An answer is sure if its log-odds lie at
least a margin away from every limit beyond which the answer would be another one. So the answer for an image depends on
that image only.

Like decision.py, it needs only NumPy: margin_fit.py chooses the margins, and every prediction uses them.

Source: Viola and Jones, Rapid object detection using a boosted cascade of simple features, CVPR 2001 (cascades).
"""

from dataclasses import dataclass

import numpy as np

from dogvscat.judging.decision import THRESHOLD, Decision, Logits

ONE_VIEW, TWO_VIEWS, FULL = 1, 2, 3
"""The stages: the first network after one view, or after two, or the full network."""


@dataclass(frozen=True)
class Margins:
    """How far from every limit an answer of the first network must lie to be sure, in log-odds."""

    one_view: float
    two_views: float


def distances(decision: Decision, logits: Logits) -> np.ndarray:
    """How far the log-odds of each image lie from the nearest limit at which the answer would change.

    Args:
        decision: Where the limits are. It must not calibrate: the logits are calibrated.
        logits: Of n images.

    Returns:
        float64 (n,), at least 0.
    """
    from_threshold, from_low, from_high = (
        np.abs(logits.positive - _log_odds(share)) for share in (THRESHOLD, decision.unsure_low, decision.unsure_high)
    )
    nearest = np.minimum(from_threshold, np.minimum(from_low, from_high))
    if logits.neither is None:
        return np.asarray(nearest)
    beyond = logits.neither - _log_odds(decision.neither_limit)  # above 0: the image seems to show neither class
    # Above 0 the answer is `unsure` anyway, so the band does not matter. The threshold still does, because the more
    # probable class counts for the accuracy.
    return np.asarray(np.minimum(np.abs(beyond), np.where(beyond > 0, from_threshold, nearest)))


def stages(decision: Decision, margins: Margins, one_view: Logits, two_views: Logits) -> np.ndarray:
    """The stage that answers each image: int64 (n,) of ONE_VIEW, TWO_VIEWS and FULL.

    Args:
        decision: As for `distances`.
        margins: When an answer is sure.
        one_view: Logits of the first network for n images.
        two_views: Mean of these and of its logits for the mirror images.
    """
    sure = [
        distances(decision, logits) >= margin
        for logits, margin in ((one_view, margins.one_view), (two_views, margins.two_views))
    ]
    return np.select(sure, [ONE_VIEW, TWO_VIEWS], FULL)


def mean_logits(first: Logits, second: Logits) -> Logits:
    """The mean of two answers for the same images."""
    positive = (first.positive + second.positive) / 2
    if first.neither is None or second.neither is None:
        return Logits(positive)
    return Logits(positive, (first.neither + second.neither) / 2)


def _log_odds(share: float) -> float:
    return float(np.log(share / (1.0 - share))) if share < 1.0 else float("inf")
