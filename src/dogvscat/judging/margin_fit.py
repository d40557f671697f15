"""Chooses the margins of a cascade on validation images, and measures on them how often the label stays the same."""

from dataclasses import dataclass
from math import inf

import numpy as np

from dogvscat.judging.cascade import FULL, ONE_VIEW, TWO_VIEWS, Margins, distances
from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.intervals import MetricValue, wilson

AGREEMENT = 0.998
"""At least this share of the labels must be those of the full network."""
LEAST_IMAGES = 765
"""With fewer images, `_LEAST_PROVEN` cannot be reached, even if both networks give equal labels for all of them."""
_FITTED_AGREEMENT = 0.9995
"""The share on the images that the margins are chosen on. Only a quarter as many labels may differ as `AGREEMENT`
allows, because margins suit the images that they were chosen on better than others."""
_LEAST_PROVEN = 0.995
"""What the lower end of the 95% interval of this share must reach."""
_VIEW_COST = 0.3
"""Time of the first network for one view, as a share of the time of the full network (both views, float32): 0.3 on a
processor with AVX2, less with VNNI. It only decides which of the allowed margins save most time."""
_WORTHWHILE = 0.7
"""A cascade that needs a larger share of the time of the full network is not worth its place in the bundle."""
_ONE_VIEW_MARGINS = np.arange(0, 41) / 10  # log-odds
_TWO_VIEW_MARGINS = np.arange(0, 21) / 20
_FOLDS = 5


@dataclass(frozen=True)
class FittedMargins:
    """Margins, and what they do on the images that they were chosen on."""

    margins: Margins
    agreement: MetricValue
    """Share of the labels that are those of the full network; each fold counts with margins chosen on the others."""
    shares: dict[int, float]
    """Share of the images that each stage answers."""


def fit_margins(
    y_true: np.ndarray, decision: Decision, one_view: Logits, two_views: Logits, full: Logits
) -> FittedMargins | None:
    """The margins that save most time, among those that change few enough labels and lose no accuracy.

    Args:
        y_true: int64 (n,) of 0 and 1.
        decision: Where answers are unsure. It must not calibrate: the logits are calibrated.
        one_view: Logits of the first network, for images that it did not learn from.
        two_views: Mean of these and of its logits for the mirror images.
        full: Logits of the full network.

    Returns:
        None if there are too few images to prove the agreement, or the cascade would save too little time.
    """
    images = _ComparedImages(y_true, decision, one_view, two_views, full)
    everything = np.ones(len(y_true), bool)
    margins = images.choose(everything)
    if margins is None:
        return None
    fold = np.arange(len(y_true)) % _FOLDS
    num_changed = 0
    for number in range(_FOLDS):
        # The other folds may be too few images for the proof; then the full network answers this one.
        crossed = images.choose(fold != number) or Margins(inf, inf)
        num_changed += images.num_changed(crossed, fold == number)
    stage = images.stages(margins)
    return FittedMargins(
        margins,
        wilson(len(y_true) - num_changed, len(y_true)),
        {number: float(np.mean(stage == number)) for number in (ONE_VIEW, TWO_VIEWS, FULL)},
    )


class _ComparedImages:
    """What each stage answers to the same images, compared with the full network.

    The arrays have a row for each of the first two stages and a column per image.
    """

    def __init__(
        self, y_true: np.ndarray, decision: Decision, one_view: Logits, two_views: Logits, full: Logits
    ) -> None:
        early = (one_view, two_views)
        self._distance = np.stack([distances(decision, logits) for logits in early])
        self._changed = np.stack([_labels(decision, logits) for logits in early]) != _labels(decision, full)
        correct, exactly_correct = (
            np.stack([decision.predict(decision.probabilities(logits.positive)) == y_true for logits in group])
            for group in (early, [full])
        )
        self._gain = correct.astype(int) - exactly_correct  # 1: correct only here; -1: correct only in the full network

    def stages(self, margins: Margins) -> np.ndarray:
        """The stage that answers each image, as `cascade.stages`."""
        sure = self._distance >= np.array([[margins.one_view], [margins.two_views]])
        return np.select([sure[0], sure[1]], [ONE_VIEW, TWO_VIEWS], FULL)

    def num_changed(self, margins: Margins, chosen: np.ndarray) -> int:
        """How many labels are not those of the full network, among some images: bool (n,)."""
        return int((self._answered(margins, chosen) & self._changed).sum())

    def choose(self, chosen: np.ndarray) -> Margins | None:
        """The best margins for some images, bool (n,); None if there are none that will do."""
        costs = self._costs(chosen)
        for index in np.argsort(costs, axis=None, kind="stable"):  # the cheapest first
            one_view, two_views = np.unravel_index(index, costs.shape)
            if costs[one_view, two_views] > _WORTHWHILE:
                return None
            margins = Margins(float(_ONE_VIEW_MARGINS[one_view]), float(_TWO_VIEW_MARGINS[two_views]))
            if self._is_allowed(margins, chosen):
                return margins
        return None

    def _answered(self, margins: Margins, chosen: np.ndarray) -> np.ndarray:
        """Which of some images each of the first two stages answers: bool (2, n)."""
        return np.asarray((self.stages(margins) == np.array([[ONE_VIEW], [TWO_VIEWS]])) & chosen)

    def _costs(self, chosen: np.ndarray) -> np.ndarray:
        """Expected time for one of some images, as a share of the time of the full network, for each pair of margins:
        float64 (margins for one view, margins for two views)."""
        one_view, two_views = self._distance[:, chosen]
        unsure = (one_view < _ONE_VIEW_MARGINS[:, None]).astype(float)  # (margins for one view, n)
        still_unsure = (two_views < _TWO_VIEW_MARGINS[:, None]).astype(float)  # (margins for two views, n)
        return np.asarray(_VIEW_COST * (1 + unsure.mean(axis=1)[:, None]) + unsure @ still_unsure.T / len(one_view))

    def _is_allowed(self, margins: Margins, chosen: np.ndarray) -> bool:
        num_images = int(chosen.sum())
        agreement = wilson(num_images - self.num_changed(margins, chosen), num_images)
        gain = (self._answered(margins, chosen) * self._gain).sum()
        return gain >= 0 and (agreement.value or 0) >= _FITTED_AGREEMENT and (agreement.low or 0) >= _LEAST_PROVEN


def _labels(decision: Decision, logits: Logits) -> np.ndarray:
    """The answers with their reasons, str (n,)."""
    y_prob = decision.probabilities(logits.positive)
    reasons = decision.unsure_reasons(y_prob, logits.neither)
    return np.where(reasons == "", decision.predict(y_prob).astype(str), reasons)
