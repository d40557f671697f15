"""Figures of a training and of its predictions, one PNG each. Every rate says how many images it was counted on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from sklearn import metrics

from dogvscat.judging.decision import THRESHOLD, Decision
from dogvscat.judging.intervals import MetricValue, as_decimal, wilson
from dogvscat.judging.metrics import CALIBRATION_BINS, SplitResult, confidence_bins
from dogvscat.judging.plotting import (
    INK,
    MUTED,
    TRAIN,
    VALIDATION,
    WRONG,
    add_title,
    image_grid,
    label_text,
    new_figure,
    percent_ticks,
    show_message,
)
from dogvscat.judging.predictions import History, Predictions, num_images
from dogvscat.text import printable

GRID_COLUMNS = 6
GRID_ROWS = 4
"""Size of the grid of mistakes."""

LoadImages = Callable[[Sequence[int]], np.ndarray]
"""From K indices into the predictions to their images: uint8 (K, height, width, 3)."""

_HISTOGRAM_BINS = 40


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
        decision: Its unsure band is drawn into the histogram.
        load_images: Called once, with the indices of the most confident mistakes, or not at all if there are none.
        history: The training behind the predictions, or None.
        note: Words that must be seen with each figure, such as "pictures drawn by code, not photographs".

    Returns:
        The files by their names without suffix.

    Raises:
        WriteError: if a file could not be written.
    """
    predictions, values = result.predictions, result.metrics
    names = ["confusion_matrix", "confusion_matrix_normalized", "roc", "reliability", "probability_histogram"]
    paths = {name: folder / f"{name}.png" for name in ["learning_curves"] * bool(history) + [*names, "mistakes"]}
    if history:
        learning_curves(paths["learning_curves"], history, note)
    confusion_matrix(paths["confusion_matrix"], predictions, normalized=False, note=note)
    confusion_matrix(paths["confusion_matrix_normalized"], predictions, normalized=True, note=note)
    roc(paths["roc"], predictions, values["roc_auc"], note)
    reliability(paths["reliability"], predictions, values["expected_calibration_error"], note)
    probability_histogram(paths["probability_histogram"], predictions, decision, note)
    mistake_grid(paths["mistakes"], predictions, load_images, note)
    return paths


def learning_curves(path: Path, history: History, note: str | None = None) -> None:
    """Loss and accuracy of training and validation over the epochs, with the epoch whose weights were kept."""
    with new_figure(path, 7.2, 7.2, note) as figure:
        loss_axes, accuracy_axes = figure.subplots(2, 1, sharex=True)
        ending = "stopped early" if history.stopped_early else "ended"
        kept_epoch = f"weights of epoch {history.best_epoch} kept, {ending} after epoch {history.last_epoch}"
        sizes = f"{history.num_train:,} training and {history.num_validation:,} validation images"
        _draw_curve(loss_axes, history, "loss", "Loss")
        add_title(loss_axes, "Loss, lower is better", kept_epoch)
        _draw_curve(accuracy_axes, history, "accuracy", "Accuracy")
        add_title(accuracy_axes, "Accuracy, higher is better", sizes)
        accuracy_axes.yaxis.set_major_formatter(percent_ticks())
        accuracy_axes.set_xlabel("Epoch")
        accuracy_axes.set_xlim(history.columns["epoch"][0] - 0.5, history.last_epoch + 0.5)
        accuracy_axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        # One entry per line: the conditions of training may fill a line by themselves.
        figure.legend(*loss_axes.get_legend_handles_labels(), loc="outside lower center")


def confusion_matrix(path: Path, predictions: Predictions, normalized: bool, note: str | None = None) -> None:
    """Stored labels in rows, predicted classes in columns: counts, or shares of each row with 95% intervals."""
    counts = metrics.confusion_matrix(predictions.y_true, predictions.y_pred, labels=[0, 1])  # (2, 2)
    totals = counts.sum(axis=1, keepdims=True)  # (2, 1), images of each label
    shares = counts / np.maximum(totals, 1)
    names = [label_text(name, 18) for name in predictions.class_names]
    with new_figure(path, 5.6, 5.4, note) as figure:
        axes = figure.subplots()
        darkness = shares if normalized else counts / max(1, counts.max())
        axes.imshow(darkness, cmap="Blues", vmin=0, vmax=1.25)  # on the darkest blues the numbers could not be read
        for row, column in np.ndindex(2, 2):
            count = counts[row, column]
            text = _share_text(count, totals[row, 0]) if normalized else f"{count:,}"
            color = "white" if darkness[row, column] > 0.7 else INK
            size = 13 if normalized else 20
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size, linespacing=1.5)
        axes.set_xticks([0, 1], names)
        axes.set_yticks([0, 1], names, rotation=90, va="center")
        axes.set(xlabel="Answer", ylabel="Stored label")
        axes.grid(False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        title = "Confusion matrix: shares of each label" if normalized else "Confusion matrix: counts"
        add_title(axes, title, _split_and_n(predictions))


def roc(path: Path, predictions: Predictions, area: MetricValue, note: str | None = None) -> None:
    """The trade-off between true and false positives, over all thresholds.

    Args:
        path: The file to write.
        predictions: The predictions to draw.
        area: The area under the curve, as `compute_metrics` computed it.
        note: Words that must be seen with the figure.
    """
    negative, positive = (label_text(name, 18) for name in predictions.class_names)
    y_true, y_pred = predictions.y_true, predictions.y_pred
    with new_figure(path, 5.6, 5.8, note) as figure:
        if len(np.unique(y_true)) < 2:
            show_message(figure, "ROC curve", "No ROC curve: it needs images of both classes.")
            return
        false_positive_rates, true_positive_rates, _ = metrics.roc_curve(y_true, predictions.y_prob)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="guessing")
        axes.plot(false_positive_rates, true_positive_rates, color=VALIDATION, label="this network")
        point = [np.mean(y_pred[y_true == label]) for label in (0, 1)]  # false and true positive rate
        axes.plot(*point, "o", color=WRONG, markersize=8, label="threshold in use", clip_on=False)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel(f"False positive rate: {negative} predicted as {positive}")
        axes.set_ylabel(f"True positive rate: {positive} predicted as {positive}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(percent_ticks())
        axes.legend(loc="lower right")
        add_title(axes, "ROC curve", f"area {as_decimal(area)}, {_split_and_n(predictions)}")


def reliability(path: Path, predictions: Predictions, error: MetricValue, note: str | None = None) -> None:
    """How often the network is correct at each confidence it claims, above a histogram of those confidences.

    Args:
        path: The file to write.
        predictions: The predictions to draw.
        error: The expected calibration error, as `compute_metrics` computed it; the bins are the same.
        note: Words that must be seen with the figure.
    """
    confidence, bins = confidence_bins(predictions.y_prob)
    # As in the calibration error: the answer is the more probable class, whatever the threshold.
    correct = (predictions.y_prob >= 0.5) == (predictions.y_true == 1)
    used_bins = np.unique(bins)
    shares = [wilson(int(correct[bins == k].sum()), int(np.sum(bins == k))) for k in used_bins]
    value = np.array([share.value for share in shares], dtype=float)  # (num_used_bins,)
    # matplotlib wants how far the ends of an interval lie from its value: (2, num_used_bins).
    reach = np.abs(np.array([[share.low, share.high] for share in shares], dtype=float).T - value)
    with new_figure(path, 5.6, 7.0, note) as figure:
        diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        diagram.plot([0.5, 1], [0.5, 1], color=MUTED, linewidth=1, linestyle="--", label="perfectly calibrated")
        means = [confidence[bins == k].mean() for k in used_bins]
        style = {"color": VALIDATION, "marker": "o", "linewidth": 1.5, "capsize": 3}
        diagram.errorbar(means, value, yerr=reach, label="this network, with 95% interval", **style)
        diagram.set_ylim(min(0.45, float((value - reach[0]).min()) - 0.03), 1.02)
        diagram.set_ylabel("Share of correct answers")
        diagram.legend(loc="lower right")
        add_title(diagram, "Reliability", f"calibration error {as_decimal(error)}, {_split_and_n(predictions)}")
        histogram.hist(confidence, bins=np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS, color=TRAIN, rwidth=0.92)
        histogram.set(ylabel="Images", xlabel="Confidence in the answer", xlim=(0.46, 1.01))
        histogram.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        histogram.yaxis.set_major_formatter(_thousands())
        for axis in (diagram.yaxis, histogram.xaxis):
            axis.set_major_formatter(percent_ticks())


def probability_histogram(path: Path, predictions: Predictions, decision: Decision, note: str | None = None) -> None:
    """Probability of the positive class for the images of each class, correct and wrong, with threshold and band."""
    edges = np.linspace(0, 1, _HISTOGRAM_BINS + 1)
    positive = label_text(predictions.class_names[1], 24)
    with new_figure(path, 7.2, 6.4, note) as figure:
        rows = figure.subplots(2, 1, sharex=True, sharey=True)
        for label, axes in enumerate(rows):
            of_class = predictions.y_true == label
            wrong = of_class & (predictions.y_pred != label)
            if decision.unsure_low < decision.unsure_high:
                axes.axvspan(decision.unsure_low, decision.unsure_high, color="#f0e6c8", label="unsure", linewidth=0)
            axes.hist(predictions.y_prob[of_class & ~wrong], edges, color=VALIDATION, rwidth=0.9, label="correct")
            axes.hist(predictions.y_prob[wrong], edges, color=WRONG, rwidth=0.9, label="wrong")
            axes.axvline(THRESHOLD, color=INK, linewidth=1, linestyle="--", label="threshold")
            # Most probabilities lie at the ends; on a linear scale the mistakes between them could not be seen.
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(_thousands())
            axes.set_ylabel("Images (log scale)")
            num_wrong = f"{wrong.sum():,} of {of_class.sum():,} answers wrong"
            title = f"Images labeled {label_text(predictions.class_names[label], 24)}"
            add_title(axes, title, f"{_split_prefix(predictions)}{num_wrong}")
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        rows[1].set(xlabel=f"Probability of {positive}", xlim=(0, 1))
        rows[1].xaxis.set_major_formatter(percent_ticks())


def mistake_grid(path: Path, predictions: Predictions, load_images: LoadImages, note: str | None = None) -> None:
    """The most confident mistakes, each image with its label and the answer."""
    drawn = predictions.mistakes[: GRID_COLUMNS * GRID_ROWS].tolist()
    captions = [_caption(predictions, index) for index in drawn]
    num_mistakes, total = len(predictions.mistakes), f"among {num_images(predictions.n, predictions.split)}"
    if not drawn:
        image_grid(path, np.zeros((0, 1, 1, 3), np.uint8), [], GRID_COLUMNS, f"No mistake {total}", note)
        return
    title = f"The only mistake {total}" if num_mistakes == 1 else f"All {num_mistakes:,} mistakes {total}"
    if len(drawn) < num_mistakes:
        title = f"The {len(drawn)} most confident of {num_mistakes:,} mistakes {total}"
    image_grid(path, load_images(drawn), captions, GRID_COLUMNS, title, note)


def _draw_curve(axes: Axes, history: History, name: str, label: str) -> None:
    epochs, validation = history.columns["epoch"], history.columns[f"val_{name}"]
    marker = "o" if len(epochs) < 3 else None
    conditions = f" ({history.train_conditions})" if history.train_conditions else ""
    axes.plot(epochs, history.columns[name], color=TRAIN, label=f"training{conditions}", marker=marker)
    axes.plot(epochs, validation, color=VALIDATION, label="validation", marker=marker)
    axes.axvline(history.best_epoch, color=WRONG, linewidth=1, linestyle="--")
    best = validation[history.best_index]
    axes.plot(history.best_epoch, best, "o", color=WRONG, markersize=8, label="weights kept", zorder=3)
    axes.set_ylabel(label)


def _caption(predictions: Predictions, index: int) -> str:
    """The file, the stored label, and the prediction with its probability, as `predict` would give it."""
    y_pred = int(predictions.y_pred[index])
    probability = predictions.y_prob[index] if y_pred == 1 else 1 - predictions.y_prob[index]
    names = [printable(name) for name in predictions.class_names]
    predicted, stored = names[y_pred], names[1 - y_pred]  # a mistake: the label is the other class
    answer = f"predicted as {predicted}, {100 * probability:.1f}%"
    if predictions.unsure[index]:
        answer = f"unsure, closer to {predicted}"
    return f"{printable(predictions.paths[index])}\nfiled as {stored}\n{answer}"


def _share_text(count: int, total: int) -> str:
    """A share with its interval and its count, on three lines."""
    share = wilson(int(count), int(total))
    if share.value is None or share.low is None or share.high is None:
        return "no images"
    return f"{100 * share.value:.1f}%\n({100 * share.low:.1f}-{100 * share.high:.1f})\n{count:,} of {total:,}"


def _split_and_n(predictions: Predictions) -> str:
    """For example `validation, n = 2,500`."""
    return f"{_split_prefix(predictions)}n = {predictions.n:,}"


def _split_prefix(predictions: Predictions) -> str:
    return f"{label_text(predictions.split_words, 18)}, " if predictions.split_words else ""


def _thousands() -> StrMethodFormatter:
    return StrMethodFormatter("{x:,.0f}")
