"""Choosing calibration and unsure band on validation images, and evaluating that choice fairly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from dogvscat.judging.decision import THRESHOLD, WIDEST_BAND, Decision, sigmoid
from dogvscat.judging.predictions import check_finite

TEMPERATURES = (0.05, 20.0)
"""Bounds of the search. A network twenty times too confident or too timid is broken; beyond these bounds the search
only follows rounding errors."""
UNSURE_BUDGET = 0.045
"""Largest share of the validation images that may be answered "unsure". A classifier that is unsure about one image in
twenty is still useful; the budget is a little smaller, so that the share stays below that on other images as well."""
NEITHER_UNSURE_BUDGET = 0.03
"""The part of UNSURE_BUDGET for images that seem to show neither class; the rest is for answers too close to call."""
LIKELIHOOD_RATIO_THRESHOLD = 3.84
"""The calibration has a bias only where that is significant at 5% in a likelihood-ratio test: this is the quantile of
chi-squared with one degree of freedom."""


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Predictions for the images on which the decision was chosen, each by a decision fitted without that image.

    Args:
        y_prob: float64 (n,), calibrated probability of the positive class.
        y_pred: int64 (n,) of 0 and 1.
        unsure: bool (n,).
        folds: Number of folds; 0 if there were too few images, so that all predictions are by the default decision
            (temperature 1, no bias, never unsure).
    """

    y_prob: np.ndarray
    y_pred: np.ndarray
    unsure: np.ndarray
    folds: int


def fit_decision(y_true: np.ndarray, logits: np.ndarray, neither_logits: np.ndarray | None = None) -> Decision:
    """Choose temperature and bias, then where answers are unsure, on validation images.

    Args:
        y_true: int64 (n,) of 0 and 1.
        logits: float64 (n,), log-odds of the positive class as the network gives them.
        neither_logits: float64 (n,), log-odds of showing neither class, if the network has that output.

    Raises:
        ModelError: if a logit is not a finite number.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017 (temperature scaling).
    """
    check_finite(logits)
    y_true, logits = np.asarray(y_true), np.asarray(logits, dtype=np.float64)
    temperature, bias = _fit_bias(y_true, logits, _fit_temperature(y_true, logits))
    y_prob = Decision(temperature, bias).probabilities(logits)
    # The budget as a number of images; the tiny step keeps 0.045 * 1000 at 45, whatever the rounding.
    allowed = int(UNSURE_BUDGET * len(y_prob) + 1e-9)
    neither_limit = 1.0
    if neither_logits is not None:
        check_finite(neither_logits)
        neither_limit = _choose_neither_limit(sigmoid(neither_logits))
        seems_neither = sigmoid(neither_logits) > neither_limit
        # These images are unsure already; the band may use what they leave of the budget.
        allowed, y_prob = allowed - int(seems_neither.sum()), y_prob[~seems_neither]
    half_width = _unsure_half_width(y_prob, allowed)
    low, high = max(THRESHOLD - half_width, WIDEST_BAND[0]), min(THRESHOLD + half_width, WIDEST_BAND[1])
    return Decision(temperature, bias, low, high, neither_limit)


def cross_fit(
    y_true: np.ndarray,
    logits: np.ndarray,
    groups: Sequence[object] | np.ndarray,
    neither_logits: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
) -> CrossFitted:
    """Predict each image with a decision fitted on the other folds only; a group never crosses folds.

    Args:
        y_true: int64 (n,) of 0 and 1.
        logits: float64 (n,), log-odds of the positive class.
        groups: The duplicate group of each image; equal values belong together.
        neither_logits: float64 (n,), log-odds of showing neither class, if the network has that output.
        folds: Number of folds; fewer are used where a class has fewer groups.
        seed: Seed of the folds.

    Raises:
        ModelError: if a logit is not a finite number.
    """
    check_finite(logits)
    y_true, logits = np.asarray(y_true), np.asarray(logits, dtype=np.float64)
    group_ids = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)[1]  # (n,)
    num_folds = min(folds, *(len(np.unique(group_ids[y_true == label])) for label in (0, 1)))
    if num_folds < 2:
        default = Decision()
        y_prob = default.probabilities(logits)
        return CrossFitted(y_prob, default.predict(y_prob), default.is_unsure(y_prob), 0)
    y_prob, y_pred, unsure = np.zeros(len(logits)), np.zeros(len(logits), np.int64), np.zeros(len(logits), bool)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    for fit, held_out in splitter.split(logits, y_true, group_ids):
        neither_fit, neither_held_out = (
            None if neither_logits is None else neither_logits[indices] for indices in (fit, held_out)
        )
        decision = fit_decision(y_true[fit], logits[fit], neither_fit)
        y_prob[held_out] = decision.probabilities(logits[held_out])
        y_pred[held_out] = decision.predict(y_prob[held_out])
        unsure[held_out] = decision.is_unsure(y_prob[held_out], neither_held_out)
    return CrossFitted(y_prob, y_pred, unsure, num_folds)


def _fit_temperature(y_true: np.ndarray, logits: np.ndarray) -> float:
    """The temperature with the lowest log loss.

    It is 1 if there is only one class or no mistake: then there is no minimum, because the loss keeps falling with the
    temperature.
    """
    sign = np.where(y_true == 1, 1.0, -1.0)  # a logit times its sign is positive if the answer is correct
    if len(np.unique(y_true)) < 2 or np.all(logits * sign > 0):
        return 1.0

    def log_loss(log_temperature: float) -> float:
        return float(np.mean(np.logaddexp(0.0, -sign * logits / np.exp(log_temperature))))

    bounds = (float(np.log(TEMPERATURES[0])), float(np.log(TEMPERATURES[1])))
    minimum = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(minimum.x))


def _fit_bias(y_true: np.ndarray, logits: np.ndarray, temperature: float) -> tuple[float, float]:
    """Temperature and bias of the calibration, by a logistic regression on the logits; the bias is often 0.

    The bias corrects a network that leans towards one class: with it, both classes are equally likely at a probability
    of one half. The boundary with the most correct answers would depend on every single image. This boundary comes from
    a fit of two parameters, and is far more stable on other images.
    Source: Platt, Probabilistic outputs for support vector machines, 1999.

    Args:
        y_true: int64 (n,) of 0 and 1.
        logits: float64 (n,).
        temperature: The best one without a bias.
    """
    scaled = logits / temperature
    sign = np.where(y_true == 1, 1.0, -1.0)
    if len(np.unique(y_true)) < 2 or np.all(scaled * sign > 0) or np.ptp(scaled) == 0:
        return temperature, 0.0
    regression = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000).fit(scaled[:, None], y_true)
    slope, bias = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    biased = slope * scaled + bias
    # By how much the log-likelihood rises when slope and bias are free, compared with slope 1 and bias 0.
    gain = np.sum(np.logaddexp(0.0, -sign * scaled) - np.logaddexp(0.0, -sign * biased))
    if slope <= 0 or 2 * gain < LIKELIHOOD_RATIO_THRESHOLD:
        return temperature, 0.0
    if np.all(biased * sign > 0):  # without a mistake, no slope is steep enough: only the boundary counts
        return temperature, bias / slope
    return temperature / slope, bias


def _choose_neither_limit(neither_prob: np.ndarray) -> float:
    """The limit that at most NEITHER_UNSURE_BUDGET of the images exceed. All of these images show a class.

    Args:
        neither_prob: float64 (n,), probability of showing neither class.
    """
    allowed = int(NEITHER_UNSURE_BUDGET * len(neither_prob) + 1e-9)
    return float(np.sort(neither_prob)[-1 - allowed])


def _unsure_half_width(y_prob: np.ndarray, allowed: int) -> float:
    """Half the width of the widest band around the threshold that holds at most `allowed` images.

    The band is empty where no image is allowed, because so few images do not show where it should end.
    """
    if not allowed:
        return 0.0
    return float(np.sort(np.abs(y_prob - THRESHOLD))[allowed])  # the nearest image that must stay outside
