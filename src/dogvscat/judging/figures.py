"""Pictures of a training and of its answers, one PNG each. Every rate says how many pictures it was counted on."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter
from sklearn import metrics

from dogvscat.judging.answers import Answers
from dogvscat.judging.decision import Decision
from dogvscat.judging.display import split_words
from dogvscat.judging.figure_style import (
    INK,
    MUTED,
    TRAIN,
    VALIDATION,
    WRONG,
    add_title,
    drawing,
    label_text,
    say_instead,
)
from dogvscat.judging.history import History
from dogvscat.judging.intervals import Figure, as_decimal, wilson
from dogvscat.judging.metrics import CALIBRATION_BINS, confidence_bins

_HISTOGRAM_BINS = 40


def learning_curves(path: Path, history: History, note: str | None = None) -> None:
    """Loss and accuracy of training and validation over the epochs, with the epoch whose weights were kept."""
    with drawing(path, 7.2, 7.2, note) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        ending = "stopped early" if history.stopped_early else "ended"
        kept = f"weights of epoch {history.best_epoch} kept, {ending} after epoch {history.last_epoch}"
        counted = f"{history.num_train:,} training and {history.num_validation:,} validation pictures"
        _draw_curve(above, history, "loss", "Loss")
        add_title(above, "Loss, lower is better", kept)
        _draw_curve(below, history, "accuracy", "Accuracy")
        add_title(below, "Accuracy, higher is better", counted)
        below.yaxis.set_major_formatter(percent_ticks())
        below.set_xlabel("Epoch")
        below.set_xlim(history.column("epoch")[0] - 0.5, history.last_epoch + 0.5)
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        # One below the other: how training figures differ may fill a line by itself.
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower center")


def confusion_matrix(path: Path, answers: Answers, normalized: bool, note: str | None = None) -> None:
    """Stored labels in rows, answers in columns: counts, or shares of each row with 95% intervals."""
    counts = metrics.confusion_matrix(answers.y_true, answers.y_pred, labels=[0, 1])  # [2, 2]
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    names = [label_text(name, 18) for name in answers.class_names]
    with drawing(path, 5.6, 5.4, note) as figure:
        axes = figure.subplots()
        shown = shares if normalized else counts / max(1, counts.max())
        axes.imshow(shown, cmap="Blues", vmin=0, vmax=1.25)  # the darkest blues would swallow the numbers
        for row, column in np.ndindex(2, 2):
            text = _share_text(counts[row, column], totals[row, 0]) if normalized else f"{counts[row, column]:,}"
            colour = "white" if shown[row, column] > 0.7 else INK
            size = 13 if normalized else 20
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size, linespacing=1.5)
        axes.set_xticks([0, 1], names)
        axes.set_yticks([0, 1], names, rotation=90, va="center")
        axes.set(xlabel="Answer", ylabel="Stored label")
        axes.grid(False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        title = "Confusion matrix: shares of each label" if normalized else "Confusion matrix: counts"
        add_title(axes, title, _counted(answers))


def roc(path: Path, answers: Answers, area: Figure, note: str | None = None) -> None:
    """The trade between finding the positive class and false alarms, over all thresholds.

    Args:
        path: The file to write.
        answers: The answers to draw.
        area: The area under the curve, as `measure` found it.
        note: Words that must be seen with the picture.
    """
    negative, positive = (label_text(name, 18) for name in answers.class_names)
    with drawing(path, 5.6, 5.8, note) as figure:
        if len(np.unique(answers.y_true)) < 2:
            say_instead(figure, "ROC curve", "There is none: it needs pictures of both classes.")
            return
        false_rate, true_rate, _ = metrics.roc_curve(answers.y_true, answers.y_prob)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="guessing")
        axes.plot(false_rate, true_rate, color=VALIDATION, label="this network")
        decided = [np.mean(answers.y_pred[answers.y_true == label]) for label in (0, 1)]
        axes.plot(*decided, "o", color=WRONG, markersize=8, label="threshold in use", clip_on=False)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel(f"Share of {negative} pictures called {positive}")
        axes.set_ylabel(f"Share of {positive} pictures found")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(percent_ticks())
        axes.legend(loc="lower right")
        add_title(axes, "ROC curve", f"area {as_decimal(area)}, {_counted(answers)}")


def reliability(path: Path, answers: Answers, error: Figure, note: str | None = None) -> None:
    """How often the network is right, for each confidence it claims, over a histogram of those confidences.

    Args:
        path: The file to write.
        answers: The answers to draw.
        error: The expected calibration error, as `measure` found it; the bins are the same.
        note: Words that must be seen with the picture.
    """
    confidence, bins = confidence_bins(answers.y_prob)
    right = (answers.y_prob >= 0.5) == (answers.y_true == 1)
    used = np.unique(bins)
    shares = [wilson(int(right[bins == k].sum()), int(np.sum(bins == k))) for k in used]
    value = np.array([share.value for share in shares], dtype=float)
    reach = np.abs(np.array([[share.low, share.high] for share in shares], dtype=float).T - value)  # [2, bins used]
    with drawing(path, 5.6, 7.0, note) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.plot([0.5, 1], [0.5, 1], color=MUTED, linewidth=1, linestyle="--", label="perfectly calibrated")
        means = [confidence[bins == k].mean() for k in used]
        style = {"color": VALIDATION, "marker": "o", "linewidth": 1.5, "capsize": 3}
        above.errorbar(means, value, yerr=reach, label="this network, with 95% interval", **style)
        above.set_ylim(min(0.45, float((value - reach[0]).min()) - 0.03), 1.02)
        above.set_ylabel("Share of answers that were right")
        above.legend(loc="lower right")
        add_title(above, "Reliability", f"calibration error {as_decimal(error)}, {_counted(answers)}")
        below.hist(confidence, bins=np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS, color=TRAIN, rwidth=0.92)
        below.set(ylabel="Pictures", xlabel="Confidence in the answer", xlim=(0.46, 1.01))
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        below.yaxis.set_major_formatter(_thousands())
        for axis in (above.yaxis, below.xaxis):
            axis.set_major_formatter(percent_ticks())


def probability_histogram(path: Path, answers: Answers, decision: Decision, note: str | None = None) -> None:
    """Probability of the positive class, for the pictures of each class: right and wrong answers, threshold, band."""
    edges = np.linspace(0, 1, _HISTOGRAM_BINS + 1)
    positive = label_text(answers.class_names[1], 24)
    with drawing(path, 7.2, 6.4, note) as figure:
        rows = figure.subplots(2, 1, sharex=True, sharey=True)
        for label, axes in enumerate(rows):
            of_class = answers.y_true == label
            wrong = of_class & (answers.y_pred != label)
            if decision.unsure_low < decision.unsure_high:
                axes.axvspan(decision.unsure_low, decision.unsure_high, color="#f0e6c8", label="unsure", linewidth=0)
            axes.hist(answers.y_prob[of_class & ~wrong], edges, color=VALIDATION, rwidth=0.9, label="right")
            axes.hist(answers.y_prob[wrong], edges, color=WRONG, rwidth=0.9, label="wrong")
            axes.axvline(decision.threshold, color=INK, linewidth=1, linestyle="--", label="threshold")
            # Most probabilities lie at the ends; on a plain scale the mistakes between them would not be seen.
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(_thousands())
            axes.set_ylabel("Pictures (log scale)")
            counted = f"{wrong.sum():,} of {of_class.sum():,} answered wrongly"
            title = f"Pictures labelled {label_text(answers.class_names[label], 24)}"
            add_title(axes, title, f"{_named(answers)}{counted}")
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        rows[1].set(xlabel=f"Probability of {positive}", xlim=(0, 1))
        rows[1].xaxis.set_major_formatter(percent_ticks())


def _draw_curve(axes: Axes, history: History, name: str, label: str) -> None:
    epochs, validation = history.column("epoch"), history.column(f"val_{name}")
    marker = "o" if len(epochs) < 3 else None
    learned_on = f" ({history.learned_on})" if history.learned_on else ""
    axes.plot(epochs, history.column(name), color=TRAIN, label=f"training{learned_on}", marker=marker)
    axes.plot(epochs, validation, color=VALIDATION, label="validation", marker=marker)
    axes.axvline(history.best_epoch, color=WRONG, linewidth=1, linestyle="--")
    best = validation[history.best_index]
    axes.plot(history.best_epoch, best, "o", color=WRONG, markersize=8, label="weights kept", zorder=3)
    axes.set_ylabel(label)


def _share_text(count: int, total: int) -> str:
    share = wilson(int(count), int(total))
    if share.value is None or share.low is None or share.high is None:
        return "no pictures"
    return f"{100 * share.value:.1f} %\n({100 * share.low:.1f}-{100 * share.high:.1f})\n{count:,} of {total:,}"


def _counted(answers: Answers) -> str:
    return f"{_named(answers)}n = {answers.n:,}"


def _named(answers: Answers) -> str:
    words = split_words(answers.split)
    return f"{label_text(words, 18)}, " if words else ""


def percent_ticks() -> FuncFormatter:
    """With as many decimals as a tick needs, so that neighbours never read alike."""
    return FuncFormatter(lambda share, _: f"{round(100 * share, 2):g}%")


def _thousands() -> StrMethodFormatter:
    return StrMethodFormatter("{x:,.0f}")
