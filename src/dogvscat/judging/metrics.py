"""Every figure about a split's answers, each with n and a 95% interval.

`*_score`-like figures (accuracy to ROC AUC) are better when higher; losses and errors when lower.
"""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, log_loss, roc_auc_score

from dogvscat.judging.decision import Decision, Logits, sigmoid
from dogvscat.judging.intervals import RESAMPLES, Figure, bootstrap, percentile_interval, wilson
from dogvscat.labels import ClassNames

CALIBRATION_BINS = 15
"""As in Guo et al. 2017."""


def measure(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    y_pred: np.ndarray,
    class_names: ClassNames,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Figure]:
    """Judge answers about labelled pictures.

    Args:
        y_true: int64 [N] of 0 and 1, N >= 1.
        y_prob: float64 [N], probability of class 1, the positive one.
        y_pred: int64 [N] of 0 and 1, the class decided on.
        class_names: Names of class 0 and 1, used in the keys `precision_<name>`, `recall_<name>`, `f1_<name>`.
        seed: Seed of the bootstrap.
        resamples: Bootstrap samples.

    Returns:
        accuracy, balanced_accuracy, precision_*, recall_*, f1_*, roc_auc, log_loss, brier_score,
        expected_calibration_error and majority_baseline (accuracy of always naming the commoner class). Shares of
        pictures have Wilson intervals, the others bootstrap intervals.
    """
    n = len(y_true)
    right = y_true == y_pred
    figures = {"accuracy": wilson(int(right.sum()), n)}
    resampled = bootstrap(_statistics(y_true, y_prob, y_pred), n, seed, resamples)  # [resamples, 7]
    values = _values(y_true, y_prob, y_pred)
    spread = {
        name: percentile_interval(values[name], resampled[:, column], n) for column, name in enumerate(_BOOTSTRAPPED)
    }
    figures["balanced_accuracy"] = spread["balanced_accuracy"]
    for label, name in enumerate(class_names):
        hits = int(np.sum(right & (y_true == label)))
        figures[f"precision_{name}"] = wilson(hits, int(np.sum(y_pred == label)))
        figures[f"recall_{name}"] = wilson(hits, int(np.sum(y_true == label)))
        figures[f"f1_{name}"] = spread[f"f1_{label}"]
    for name in ("roc_auc", "log_loss", "brier_score"):
        figures[name] = spread[name]
    figures["expected_calibration_error"] = _around_value(
        expected_calibration_error(y_true, y_prob), resampled[:, -1], n
    )
    commoner = int(max(np.sum(y_true == 0), np.sum(y_true == 1)))
    figures["majority_baseline"] = wilson(commoner, n)
    return figures


def measure_unsure(y_true: np.ndarray, y_pred: np.ndarray, unsure: np.ndarray) -> dict[str, Figure]:
    """How often the answer is "unsure", and how good the other answers are.

    Returns:
        unsure_rate, and selective_accuracy: the accuracy of the answers that are not "unsure".
    """
    sure = ~np.asarray(unsure, dtype=bool)
    return {
        "unsure_rate": wilson(int(np.sum(~sure)), len(sure)),
        "selective_accuracy": wilson(int(np.sum((y_true == y_pred)[sure])), int(sure.sum())),
    }


def measure_neither(neither: Logits, classes: Logits, decision: Decision, seed: int = 0) -> dict[str, Figure]:
    """How well photos of neither class are noticed.

    Args:
        neither: About photos that show neither class.
        classes: About photos that show one.
        decision: What is unsure.
        seed: Of the bootstrap.

    Returns:
        unsure_rate: the share of the former answered "unsure"; neither_roc_auc: the chance that one of the former gets
        a higher probability of neither than one of the latter.
    """
    unsure = decision.is_unsure(decision.probabilities(neither.positive), neither.neither)
    scores = np.concatenate([logits.neither for logits in (neither, classes) if logits.neither is not None])
    is_neither = np.repeat([1, 0], [len(neither.positive), len(classes.positive)])
    n = len(is_neither)
    auc = float(roc_auc_score(is_neither, scores))
    resampled = bootstrap(_statistics(is_neither, sigmoid(scores), is_neither), n, seed, RESAMPLES)[:, 3]
    return {
        "unsure_rate": wilson(int(np.sum(unsure)), len(unsure)),
        "neither_roc_auc": percentile_interval(auc, resampled, n),
    }


def expected_calibration_error(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """How far confidence and accuracy lie apart, from 0 (best) to 1.

    The more probable class is taken as the answer and its probability, max(p, 1 - p), as the confidence. Over
    CALIBRATION_BINS equal bins of confidence from 0 to 1 (those below one half stay empty with two classes):
    sum of (share of pictures in the bin) * |mean confidence - accuracy in the bin|. It looks at the probabilities
    only, not at the threshold.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017; Naeini et al., AAAI 2015.
    """
    return float(np.abs(_calibration_gaps(y_true, y_prob).sum(axis=0)).sum() / len(y_true))


def confidence_bins(y_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of the more probable class, float64 [N], and the calibration bin it falls in, int64 [N]."""
    confidence = np.maximum(y_prob, 1 - y_prob)
    # Bins are open below and closed above, as in the paper; the tiny step keeps an exact edge in its bin.
    bins = np.ceil(confidence * CALIBRATION_BINS - 1e-9).astype(np.int64) - 1
    return confidence, np.clip(bins, 0, CALIBRATION_BINS - 1)


_BOOTSTRAPPED = ("balanced_accuracy", "f1_0", "f1_1", "roc_auc", "log_loss", "brier_score")


def _values(y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray) -> dict[str, float | None]:
    """The bootstrapped figures on the pictures themselves."""
    both = len(np.unique(y_true)) == 2
    seen = set(np.unique(y_true)) | set(np.unique(y_pred))
    return {
        "balanced_accuracy": balanced_accuracy_score(y_true, y_pred) if both else None,
        "f1_0": f1_score(y_true, y_pred, pos_label=0) if 0 in seen else None,
        "f1_1": f1_score(y_true, y_pred, pos_label=1) if 1 in seen else None,
        "roc_auc": roc_auc_score(y_true, y_prob) if both else None,
        "log_loss": log_loss(y_true, y_prob, labels=[0, 1]),
        "brier_score": brier_score_loss(y_true, y_prob, pos_label=1, labels=[0, 1]),
    }


def _statistics(y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The same figures for many resamples at once, given how often each picture was drawn.

    Equal to scikit-learn's with `sample_weight` (tested), whose checks at each of 2,000 calls would cost half a minute.
    """
    order = np.argsort(y_prob, kind="stable")
    y_true, y_prob, y_pred = y_true[order], y_prob[order], y_pred[order]
    positive = np.flatnonzero(y_true == 1)
    ties_start = np.searchsorted(y_prob, y_prob[positive], side="left")
    ties_end = np.searchsorted(y_prob, y_prob[positive], side="right")
    cells = np.stack([(y_true == true) & (y_pred == pred) for true in (0, 1) for pred in (0, 1)], axis=1)  # [N, 4]
    tiny = np.finfo(np.float64).eps  # what scikit-learn keeps probabilities away from 0 and 1 by
    loss = -np.log(np.clip(np.where(y_true == 1, y_prob, 1 - y_prob), tiny, 1 - tiny))
    squared_error = (y_prob - y_true) ** 2
    columns = np.column_stack([cells, loss, squared_error, _calibration_gaps(y_true, y_prob)])  # [N, 6 + bins]

    def statistic(counts: np.ndarray) -> np.ndarray:
        n = counts.shape[1]
        sums = counts @ columns  # [rows, 6 + bins]
        true_0, false_1, false_0, true_1 = sums[:, :4].T
        below = np.cumsum(counts * (y_true == 0), axis=1)
        below = np.concatenate([np.zeros((len(counts), 1)), below], axis=1)  # [rows, n + 1]
        # A positive beats the negatives below it, and half of those with the same probability.
        beaten = (counts[:, positive] * (below[:, ties_start] + below[:, ties_end])).sum(axis=1) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            recall_0, recall_1 = true_0 / (true_0 + false_1), true_1 / (true_1 + false_0)
            f1_0 = 2 * true_0 / (2 * true_0 + false_0 + false_1)
            f1_1 = 2 * true_1 / (2 * true_1 + false_0 + false_1)
            auc = beaten / ((true_0 + false_1) * (true_1 + false_0))
        calibration = np.abs(sums[:, 6:]).sum(axis=1) / n
        balanced = (recall_0 + recall_1) / 2
        return np.column_stack([balanced, f1_0, f1_1, auc, sums[:, 4] / n, sums[:, 5] / n, calibration])

    return statistic


def _calibration_gaps(y_true: np.ndarray, y_prob: np.ndarray) -> np.ndarray:
    """Confidence minus rightness of each picture, in the column of its bin, float64 [N, CALIBRATION_BINS]."""
    confidence, bins = confidence_bins(y_prob)
    right = (y_prob >= 0.5) == (y_true == 1)
    gaps = np.zeros((len(y_true), CALIBRATION_BINS))
    gaps[np.arange(len(y_true)), bins] = confidence - right
    return gaps


def _around_value(value: float, resampled: np.ndarray, n: int) -> Figure:
    """The bootstrap interval, moved so that it is centred on the value.

    Noise can only raise a sum of absolute gaps, so that every resample of a well calibrated network has a larger
    calibration error than the pictures themselves and the plain interval would exclude the value it is about.
    Source: Kumar, Liang and Ma, Verified uncertainty calibration, NeurIPS 2019 (the bias of this estimate).
    """
    figure = percentile_interval(value, resampled - (resampled.mean() - value), n)
    low = max(0.0, min(value, figure.low or 0.0))
    return Figure(figure.value, low, max(value, figure.high or 0.0), n, figure.method)
