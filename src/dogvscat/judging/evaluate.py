"""Evaluating the predictions of one split: every metric, and every figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix as count_by_class

from dogvscat.judging.decision import Decision
from dogvscat.judging.figures import confusion_matrix, learning_curves, probability_histogram, reliability, roc
from dogvscat.judging.history import History
from dogvscat.judging.intervals import MetricValue
from dogvscat.judging.metrics import compute_metrics, compute_unsure_metrics
from dogvscat.judging.plotting import image_grid
from dogvscat.judging.predictions import Predictions, num_images
from dogvscat.text import printable

GRID_COLUMNS = 6
GRID_ROWS = 4
"""Size of the grid of mistakes."""

LoadImages = Callable[[Sequence[int]], np.ndarray]
"""From K indices into the predictions to their images: uint8 (K, height, width, 3)."""


@dataclass(frozen=True, eq=False)
class SplitResult:
    """The evaluation of one split.

    Args:
        predictions: The predictions that were evaluated.
        metrics: Each metric by name, as from `compute_metrics` and `compute_unsure_metrics`.
    """

    predictions: Predictions
    metrics: dict[str, MetricValue]

    @property
    def n(self) -> int:
        """Number of images."""
        return self.predictions.n

    @property
    def num_correct(self) -> int:
        """Number of correct predictions."""
        return int(np.sum(self.predictions.y_true == self.predictions.y_pred))

    @property
    def confusion(self) -> list[list[int]]:
        """Images by stored label (rows) and predicted class (columns), in class order."""
        predictions = self.predictions
        counts: list[list[int]] = count_by_class(predictions.y_true, predictions.y_pred, labels=[0, 1]).tolist()
        return counts

    def to_dict(self) -> dict[str, Any]:
        """JSON values for `metrics.json`."""
        return {
            "split": self.predictions.split,
            "n": self.n,
            "class_names": list(self.predictions.class_names),
            "confusion_matrix": self.confusion,
            # The file format calls the metrics figures.
            "figures": {name: value.to_dict() for name, value in self.metrics.items()},
        }


def evaluate_split(predictions: Predictions, seed: int = 0) -> SplitResult:
    """Every metric of the predictions; the seed is that of the bootstrap."""
    y_true, y_pred = predictions.y_true, predictions.y_pred
    metrics = compute_metrics(y_true, predictions.y_prob, y_pred, predictions.class_names, seed)
    return SplitResult(predictions, metrics | compute_unsure_metrics(y_true, y_pred, predictions.unsure))


def write_figures(
    folder: Path,
    result: SplitResult,
    decision: Decision,
    load_images: LoadImages,
    history: History | None = None,
    note: str | None = None,
) -> dict[str, Path]:
    """Draw every figure of one split, and the learning curves where there is a history.

    Args:
        folder: Where the PNGs go.
        result: The split, as from `evaluate_split`.
        decision: Its threshold and unsure band are drawn into the histogram.
        load_images: Called once, with the indices of the most confident mistakes, or not at all if there are none.
        history: The training behind the predictions, or None.
        note: Words that must be seen with each figure, such as "drawn sample, not photographs".

    Returns:
        The files by their names without suffix, in the order in which a report shows them.

    Raises:
        WriteError: if a file could not be written.
    """
    predictions, metrics = result.predictions, result.metrics
    names = ["confusion_matrix", "confusion_matrix_normalized", "roc", "reliability", "probability_histogram"]
    paths = {name: folder / f"{name}.png" for name in ["learning_curves"] * bool(history) + [*names, "mistakes"]}
    if history:
        learning_curves(paths["learning_curves"], history, note)
    confusion_matrix(paths["confusion_matrix"], predictions, normalized=False, note=note)
    confusion_matrix(paths["confusion_matrix_normalized"], predictions, normalized=True, note=note)
    roc(paths["roc"], predictions, metrics["roc_auc"], note)
    reliability(paths["reliability"], predictions, metrics["expected_calibration_error"], note)
    probability_histogram(paths["probability_histogram"], predictions, decision, note)
    _draw_mistakes(paths["mistakes"], predictions, load_images, note)
    return paths


def _draw_mistakes(path: Path, predictions: Predictions, load_images: LoadImages, note: str | None) -> None:
    mistakes = predictions.mistakes()  # the most confident first
    drawn = mistakes[: GRID_COLUMNS * GRID_ROWS].tolist()
    total = f"among {num_images(predictions.n, predictions.split)}"
    if not drawn:
        image_grid(path, np.zeros((0, 1, 1, 3), np.uint8), [], GRID_COLUMNS, f"No mistake {total}", note)
        return
    captions = [_caption(predictions, index) for index in drawn]
    title = f"The only mistake {total}" if len(mistakes) == 1 else f"All {len(mistakes):,} mistakes {total}"
    if len(drawn) < len(mistakes):
        title = f"The {len(drawn)} most confident of {len(mistakes):,} mistakes {total}"
    image_grid(path, load_images(drawn), captions, GRID_COLUMNS, title, note)


def _caption(predictions: Predictions, index: int) -> str:
    """The file, the stored label, and the prediction with its probability, as `predict` would give it."""
    y_pred = int(predictions.y_pred[index])
    probability = predictions.y_prob[index] if y_pred == 1 else 1 - predictions.y_prob[index]
    names = [printable(name) for name in predictions.class_names]
    predicted, stored = names[y_pred], names[1 - y_pred]  # a mistake: the label is the other class
    answer = f"predicted as {predicted}, {100 * probability:.1f}%"
    if predictions.unsure[index]:
        answer = f"unsure, rather {predicted}"
    return f"{printable(predictions.paths[index])}\nfiled as {stored}\n{answer}"
