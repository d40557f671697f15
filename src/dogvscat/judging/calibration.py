"""Choosing temperature, threshold and unsure band, and judging that choice on pictures that took no part in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from dogvscat.judging.answers import check_finite
from dogvscat.judging.decision import Decision, sigmoid

TEMPERATURES = (0.05, 20.0)
"""A network twenty times too sure or too timid is broken; beyond that the search only chases rounding."""
UNSURE_SHARE = 0.045
"""Most of the validation pictures that may be answered "unsure". One in twenty is still a useful classifier; a little
less, so that other pictures stay below that as well."""
NEITHER_SHARE = 0.03
"""Most of them that may be so for seeming to show neither class; the rest is for answers that are close."""
CLEAR_BIAS = 3.84
"""The threshold leaves 0.5 only where a bias of the logits shows in a likelihood-ratio test at 5%: the quantile of
chi-squared with one degree of freedom."""


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Answers for pictures that also served to choose the decision, each judged by a choice it took no part in.

    Args:
        y_prob: float64 [N], calibrated probability of the positive class.
        y_pred: int64 [N] of 0 and 1.
        unsure: bool [N].
        folds: How many folds were used; 0 if there were too few pictures and the plain decision (temperature 1,
            threshold 0.5, never unsure) judged them all.
    """

    y_prob: np.ndarray
    y_pred: np.ndarray
    unsure: np.ndarray
    folds: int


def fit_decision(y_true: np.ndarray, logits: np.ndarray, neither_logits: np.ndarray | None = None) -> Decision:
    """Choose temperature, then threshold, then where answers are unsure, on validation pictures.

    Args:
        y_true: int64 [N] of 0 and 1.
        logits: float64 [N], log-odds of the positive class as the network gives them.
        neither_logits: float64 [N], log-odds of showing neither class, if the network tells.

    Raises:
        ModelError: if a logit is not a finite number.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017 (temperature scaling).
    """
    check_finite(logits)
    y_true, logits = np.asarray(y_true), np.asarray(logits, dtype=np.float64)
    temperature = _fit_temperature(y_true, logits)
    y_prob = Decision(temperature).probabilities(logits)
    threshold = _choose_threshold(y_true, y_prob)
    allowed = int(UNSURE_SHARE * len(y_prob) + 1e-9)
    limit = 1.0
    if neither_logits is not None:
        check_finite(neither_logits)
        limit = _neither_limit(sigmoid(neither_logits))
        seeming = sigmoid(neither_logits) > limit
        allowed, y_prob = allowed - int(seeming.sum()), y_prob[~seeming]
    half_width = _unsure_half_width(y_prob, threshold, allowed)
    return Decision(temperature, threshold, max(0.0, threshold - half_width), min(1.0, threshold + half_width), limit)


def cross_fit(
    y_true: np.ndarray,
    logits: np.ndarray,
    groups: Sequence[object] | np.ndarray,
    neither_logits: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
) -> CrossFitted:
    """Judge each picture by a decision fitted on the other folds only; a group never crosses folds.

    Args:
        y_true: int64 [N] of 0 and 1.
        logits: float64 [N], log-odds of the positive class.
        groups: One duplicate group a picture; equal values belong together.
        neither_logits: float64 [N], log-odds of showing neither class, if the network tells.
        folds: Folds wanted; fewer where a class has fewer groups.
        seed: Seed of the folds.
    """
    check_finite(logits)
    y_true, logits = np.asarray(y_true), np.asarray(logits, dtype=np.float64)
    group_ids = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)[1]
    possible = min(folds, *(len(np.unique(group_ids[y_true == label])) for label in (0, 1)))
    if possible < 2:
        plain = Decision()
        y_prob = plain.probabilities(logits)
        return CrossFitted(y_prob, plain.predict(y_prob), plain.is_unsure(y_prob), 0)
    y_prob, y_pred, unsure = np.zeros(len(logits)), np.zeros(len(logits), np.int64), np.zeros(len(logits), bool)
    splitter = StratifiedGroupKFold(possible, shuffle=True, random_state=seed)
    for fitting, judged in splitter.split(logits, y_true, group_ids):
        fitted, left_out = (None if neither_logits is None else neither_logits[part] for part in (fitting, judged))
        decision = fit_decision(y_true[fitting], logits[fitting], fitted)
        y_prob[judged] = decision.probabilities(logits[judged])
        y_pred[judged] = decision.predict(y_prob[judged])
        unsure[judged] = decision.is_unsure(y_prob[judged], left_out)
    return CrossFitted(y_prob, y_pred, unsure, possible)


def _fit_temperature(y_true: np.ndarray, logits: np.ndarray) -> float:
    """The temperature of least log loss; 1 where there is none, that is for one class or without a single mistake."""
    sign = np.where(y_true == 1, 1.0, -1.0)
    if len(np.unique(y_true)) < 2 or np.all(logits * sign > 0):
        return 1.0

    def log_loss(log_temperature: float) -> float:
        return float(np.mean(np.logaddexp(0.0, -sign * logits / np.exp(log_temperature))))

    bounds = (float(np.log(TEMPERATURES[0])), float(np.log(TEMPERATURES[1])))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _choose_threshold(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """The probability at which both classes are equally likely, by a logistic regression on the logits.

    A network that leans to one class is put straight by it. The threshold of most right answers would follow every
    single picture; this one has two parameters and is far steadier on other pictures.
    Source: Platt, Probabilistic outputs for support vector machines, 1999.
    """
    inside = np.clip(y_prob, 1e-9, 1 - 1e-9)
    logits = np.log(inside) - np.log1p(-inside)
    sign = np.where(y_true == 1, 1.0, -1.0)
    if len(np.unique(y_true)) < 2 or np.all(logits * sign > 0) or np.ptp(logits) == 0:
        return 0.5
    fitted = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000).fit(logits[:, None], y_true)
    slope, bias = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    gain = np.sum(np.logaddexp(0.0, -sign * logits) - np.logaddexp(0.0, -sign * (slope * logits + bias)))
    if slope <= 0 or 2 * gain < CLEAR_BIAS:
        return 0.5
    return float(1 / (1 + np.exp(np.clip(bias / slope, -700, 700))))


def _neither_limit(neither_prob: np.ndarray) -> float:
    """The probability of neither that at most NEITHER_SHARE of the pictures, which all show a class, exceed."""
    allowed = int(NEITHER_SHARE * len(neither_prob) + 1e-9)
    return float(np.sort(neither_prob)[-1 - allowed])


def _unsure_half_width(y_prob: np.ndarray, threshold: float, allowed: int) -> float:
    """Half the widest band centred on the threshold that holds at most `allowed` of the pictures.

    Where none are allowed, since the pictures are too few to tell where the band should end, it is empty.
    """
    if not allowed:
        return 0.0
    return float(np.sort(np.abs(y_prob - threshold))[allowed])  # the first picture that must stay outside
