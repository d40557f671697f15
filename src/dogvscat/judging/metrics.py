"""Evaluating the predictions of one split: every metric, each with n and a 95% interval.

From accuracy to ROC AUC, higher is better; for losses and errors, lower is.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dogvscat.judging.decision import Decision, Logits, is_at_chance
from dogvscat.judging.intervals import RESAMPLES, MetricValue, bootstrap, centered_interval, percentile_interval, wilson
from dogvscat.judging.predictions import Predictions
from dogvscat.labels import ClassNames

CALIBRATION_BINS = 15
"""As in Guo et al. 2017."""

# The columns of the bootstrap; the calibration error is one more, at the end.
_BOOTSTRAPPED = ("balanced_accuracy", "f1_0", "f1_1", "roc_auc", "log_loss", "brier_score")


@dataclass(frozen=True, eq=False)
class SplitResult:
    """The evaluation of one split.

    Args:
        predictions: The predictions that were evaluated.
        metrics: Each metric by name, as from `compute_metrics` and `compute_unsure_metrics`.
    """

    predictions: Predictions
    metrics: dict[str, MetricValue]
    n: int
    """Number of images."""
    num_correct: int
    """Number of correct predictions."""
    confusion: list[list[int]]
    """Images by stored label (rows) and predicted class (columns), in class order."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for `metrics.json`."""
        return {
            "split": self.predictions.split,
            "n": self.n,
            "class_names": list(self.predictions.class_names),
            "confusion_matrix": self.confusion,
            # The file format calls the metrics figures.
            "figures": {name: asdict(value) for name, value in self.metrics.items()},
        }


def evaluate_split(predictions: Predictions, seed: int = 0) -> SplitResult:
    """Every metric of the predictions; the seed is that of the bootstrap."""
    y_true, y_pred = predictions.y_true, predictions.y_pred
    metrics = compute_metrics(y_true, predictions.y_prob, y_pred, predictions.class_names, seed)
    metrics |= compute_unsure_metrics(y_true, y_pred, predictions.unsure)
    confusion = [[int(np.sum((y_true == true) & (y_pred == pred))) for pred in (0, 1)] for true in (0, 1)]
    return SplitResult(predictions, metrics, predictions.n, int(np.sum(y_true == y_pred)), confusion)


def compute_metrics(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    y_pred: np.ndarray,
    class_names: ClassNames,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, MetricValue]:
    """The metrics of predictions for labeled images.

    Args:
        y_true: int64 (n,) of 0 and 1, n >= 1.
        y_prob: float64 (n,), probability of class 1, the positive one.
        y_pred: int64 (n,) of 0 and 1, the predicted class.
        class_names: Names of class 0 and 1, used in the keys `precision_<name>`, `recall_<name>`, `f1_<name>`.
        seed: Seed of the bootstrap.
        resamples: Bootstrap samples.

    Returns:
        accuracy, balanced_accuracy, precision_*, recall_*, f1_*, roc_auc, log_loss, brier_score,
        expected_calibration_error and majority_baseline (accuracy of always predicting the majority class).
        Proportions of images have Wilson intervals, the others bootstrap intervals.
    """
    n, correct = len(y_true), y_true == y_pred
    statistics = _statistics(y_true, y_prob, y_pred)
    values = statistics(np.ones((1, n)))[0]  # (7,): each image once
    resampled = bootstrap(statistics, n, seed, resamples)  # (resamples, 7)
    metrics = {"accuracy": wilson(int(correct.sum()), n)}
    bootstrapped = {
        name: percentile_interval(values[column], resampled[:, column], n) for column, name in enumerate(_BOOTSTRAPPED)
    }
    metrics["balanced_accuracy"] = bootstrapped["balanced_accuracy"]
    for label, name in enumerate(class_names):
        true_count = int(np.sum(correct & (y_true == label)))
        metrics[f"precision_{name}"] = wilson(true_count, int(np.sum(y_pred == label)))
        metrics[f"recall_{name}"] = wilson(true_count, int(np.sum(y_true == label)))
        metrics[f"f1_{name}"] = bootstrapped[f"f1_{label}"]
    for name in ("roc_auc", "log_loss", "brier_score"):
        metrics[name] = bootstrapped[name]
    metrics["expected_calibration_error"] = centered_interval(float(values[-1]), resampled[:, -1], n)
    metrics["majority_baseline"] = wilson(_majority_count(y_true), n)
    return metrics


def compute_unsure_metrics(y_true: np.ndarray, y_pred: np.ndarray, unsure: np.ndarray) -> dict[str, MetricValue]:
    """How often the answer is "unsure", and how good the other answers are.

    Returns:
        unsure_rate, and selective_accuracy: the accuracy of the answers that are not "unsure".
    """
    sure = ~np.asarray(unsure, dtype=bool)
    return {
        "unsure_rate": wilson(int(np.sum(~sure)), len(sure)),
        "selective_accuracy": wilson(int(np.sum((y_true == y_pred)[sure])), int(sure.sum())),
    }


def guesses(y_true: np.ndarray, y_pred: np.ndarray) -> bool:
    """Whether these answers may be guesses: the interval of their accuracy reaches the share of the majority class."""
    accuracy = wilson(int(np.sum(y_true == y_pred)), len(y_true))
    return is_at_chance(accuracy.low, _majority_count(y_true) / len(y_true))


def compute_neither_metrics(
    neither: Logits, classes: Logits, decision: Decision, seed: int = 0
) -> dict[str, MetricValue]:
    """How well photos that show neither class are detected.

    Args:
        neither: Logits of photos that show neither class.
        classes: Logits of photos that show one of the classes.
        decision: Defines which answers are "unsure".
        seed: Seed of the bootstrap.

    Returns:
        unsure_rate, the share of the photos of neither class answered "unsure"; and neither_roc_auc, the chance that
        such a photo gets a higher probability of showing neither than a photo of a class.
    """
    unsure = decision.is_unsure(decision.probabilities(neither.positive), neither.neither)
    scores = np.concatenate([logits.neither for logits in (neither, classes) if logits.neither is not None])
    is_neither = np.repeat([1, 0], [len(neither.positive), len(classes.positive)])
    n = len(is_neither)
    # Only the column of the AUC is of use here, which needs the order of the scores and no predicted classes.
    statistics, column = _statistics(is_neither, scores, is_neither), _BOOTSTRAPPED.index("roc_auc")
    auc = float(statistics(np.ones((1, n)))[0, column])
    resampled = bootstrap(statistics, n, seed, RESAMPLES)[:, column]
    return {
        "unsure_rate": wilson(int(np.sum(unsure)), len(unsure)),
        "neither_roc_auc": percentile_interval(auc, resampled, n),
    }


def _majority_count(y_true: np.ndarray) -> int:
    return int(max(np.sum(y_true == 0), np.sum(y_true == 1)))


def expected_calibration_error(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """How far confidence and accuracy lie apart, from 0 (best) to 1.

    The more probable class is taken as the answer and its probability, max(p, 1 - p), as the confidence. Over
    CALIBRATION_BINS equal bins of confidence from 0 to 1 (with two classes, those below one half stay empty):
    sum of (share of images in the bin) * |mean confidence - accuracy in the bin|. It depends on the probabilities
    only, not on the threshold.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017; Naeini et al., AAAI 2015.
    """
    return float(np.abs(_calibration_gaps(y_true, y_prob).sum(axis=0)).sum() / len(y_true))


def confidence_bins(y_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of the more probable class, float64 (n,), and the calibration bin it falls in, int64 (n,)."""
    confidence = np.maximum(y_prob, 1 - y_prob)
    # Bins are open below and closed above, as in the paper; the tiny step keeps an exact edge in its bin.
    bins = np.ceil(confidence * CALIBRATION_BINS - 1e-9).astype(np.int64) - 1
    return confidence, np.clip(bins, 0, CALIBRATION_BINS - 1)


def _statistics(y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that computes the same metrics for many resamples at once, as `bootstrap` expects.

    Its results equal scikit-learn's with `sample_weight` (tested), whose checks at each of 2,000 calls would take half
    a minute. Nearly every metric is a function of sums over images, so that one matrix product, counts (rows, n) times
    what each image adds (n, columns), covers all resamples.
    """
    order = np.argsort(y_prob, kind="stable")
    y_true, y_prob, y_pred = y_true[order], y_prob[order], y_pred[order]
    positive = np.flatnonzero(y_true == 1)
    # Images are sorted by probability now: before ties_start lie those with a lower probability than a positive image,
    # from there to ties_end those with the same.
    ties_start = np.searchsorted(y_prob, y_prob[positive], side="left")
    ties_end = np.searchsorted(y_prob, y_prob[positive], side="right")
    cells = np.stack([(y_true == true) & (y_pred == pred) for true in (0, 1) for pred in (0, 1)], axis=1)  # (n, 4)
    tiny = np.finfo(np.float64).eps  # scikit-learn keeps probabilities this far away from 0 and 1
    loss = -np.log(np.clip(np.where(y_true == 1, y_prob, 1 - y_prob), tiny, 1 - tiny))
    squared_error = (y_prob - y_true) ** 2
    columns = np.column_stack([cells, loss, squared_error, _calibration_gaps(y_true, y_prob)])  # (n, 6 + bins)

    def statistic(counts: np.ndarray) -> np.ndarray:
        n = counts.shape[1]
        sums = counts @ columns  # (rows, 6 + bins)
        # With class 0 as the negative one: predicted correctly or falsely as class 0 or class 1.
        true_0, false_1, false_0, true_1 = sums[:, :4].T
        below = np.cumsum(counts * (y_true == 0), axis=1)
        below = np.concatenate([np.zeros((len(counts), 1)), below], axis=1)  # (rows, n + 1)
        # ROC AUC as the Mann-Whitney statistic: a positive outranks the negatives below it, and half of its ties.
        outranked = (counts[:, positive] * (below[:, ties_start] + below[:, ties_end])).sum(axis=1) / 2
        with np.errstate(divide="ignore", invalid="ignore"):  # NaN where a resample lacks a class
            recall_0, recall_1 = true_0 / (true_0 + false_1), true_1 / (true_1 + false_0)
            f1_0 = 2 * true_0 / (2 * true_0 + false_0 + false_1)
            f1_1 = 2 * true_1 / (2 * true_1 + false_0 + false_1)
            auc = outranked / ((true_0 + false_1) * (true_1 + false_0))
        calibration = np.abs(sums[:, 6:]).sum(axis=1) / n
        balanced = (recall_0 + recall_1) / 2
        return np.column_stack([balanced, f1_0, f1_1, auc, sums[:, 4] / n, sums[:, 5] / n, calibration])

    return statistic


def _calibration_gaps(y_true: np.ndarray, y_prob: np.ndarray) -> np.ndarray:
    """Confidence minus correctness (0 or 1) of each image, in the column of its bin: float64 (n, CALIBRATION_BINS)."""
    confidence, bins = confidence_bins(y_prob)
    correct = (y_prob >= 0.5) == (y_true == 1)
    gaps = np.zeros((len(y_true), CALIBRATION_BINS))
    gaps[np.arange(len(y_true)), bins] = confidence - correct
    return gaps
