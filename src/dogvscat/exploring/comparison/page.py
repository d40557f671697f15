"""What `compare` writes: its numbers as JSON, figures, and one self-contained page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dogvscat import atomic
from dogvscat.exploring.comparison.compare import Arm, Comparison
from dogvscat.exploring.comparison.evaluated_run import EvaluatedRun
from dogvscat.glossary.page import explain_words
from dogvscat.judging import report
from dogvscat.judging.plotting import (
    INK,
    MUTED,
    SERIES_COLORS,
    add_title,
    image_grid,
    label_text,
    new_figure,
    percent_ticks,
)
from dogvscat.pages import data_uri, open_templates
from dogvscat.photos.pixels import mapped_pixels
from dogvscat.text import pluralize, printable

_NUM_SHOWN = 12
"""For each of two arms, at most this many photos are shown that it classifies correctly more often than the other."""
_COLUMNS = 6
_LONG_SECONDS = 180
"""From this length on, the time axis of trainings is in minutes."""


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write comparison.json, the figures and comparison.html.

    Raises:
        WriteError: if the folder cannot be written.
    """
    document = comparison.to_dict()
    atomic.write_json(folder / "comparison.json", document)
    figures = {"curves": folder / "curves.png", "differences": folder / "differences.png"}
    draw_curves(figures["curves"], comparison)
    draw_differences(figures["differences"], comparison)
    for number, arm in enumerate(comparison.arms[1:], start=1):
        for is_gain, name in ((True, "gained"), (False, "lost")):
            figure = folder / f"{name}{number}.png"
            if _draw_disagreements(figure, comparison, arm, is_gain):
                figures[figure.stem] = figure
    # File names may hold bytes that are not UTF-8.
    atomic.write_bytes(folder / "comparison.html", _html(document, figures).encode("utf-8", "backslashreplace"))


def draw_curves(path: Path, comparison: Comparison) -> None:
    """Validation accuracy of every run over epochs and over time."""
    arms = comparison.arms
    longest = max(sum(row["seconds"] for row in run.history) for arm in arms for run in arm.runs)
    unit, seconds = ("Minutes", 60.0) if longest >= _LONG_SECONDS else ("Seconds", 1.0)
    with new_figure(path, 10, 4.4, comparison.note) as figure:
        over_epochs, over_time = figure.subplots(1, 2, sharey=True)
        for arm, color in zip(arms, _arm_colors(len(arms)), strict=True):
            for index, run in enumerate(arm.runs):
                label = label_text(arm.name, 40) if index == 0 else None  # names each arm once in the legend
                accuracy = [row["val_accuracy"] for row in run.history]
                over_epochs.plot([row["epoch"] for row in run.history], accuracy, color=color, label=label)
                over_time.plot(_elapsed_seconds(run) / seconds, accuracy, color=color)
        over_epochs.set_xlabel("Epoch")
        over_epochs.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        over_time.set_xlabel(f"{unit} of training")
        over_time.set_xlim(left=0)
        add_title(over_epochs, "Validation accuracy", "after each epoch")
        over_epochs.yaxis.set_major_formatter(percent_ticks())
        figure.legend(loc="outside lower center", ncols=3)


def draw_differences(path: Path, comparison: Comparison) -> None:
    """Accuracy of each arm minus that of the first, in points with 95% intervals."""
    first, *others = comparison.arms
    with new_figure(path, 9, 1.8 + 0.5 * len(others), comparison.note) as figure:
        axes: Axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        colors = _arm_colors(len(comparison.arms))[1:]
        for row, (difference, color) in enumerate(zip(comparison.differences, colors, strict=True)):
            accuracy = difference.accuracy
            low, value, high = (100 * (number or 0.0) for number in (accuracy.low, accuracy.value, accuracy.high))
            axes.plot([low, high], [row, row], color=color, linewidth=3, solid_capstyle="round")
            axes.plot([value], [row], "o", color=color, markersize=9)
        axes.set_yticks(range(len(others)), [label_text(arm.name, 40) for arm in others])
        axes.set_ylim(len(others) - 0.5, -0.5)
        axes.set_xlabel("Points of accuracy")
        subtitle = f"{len(comparison.paths):,} {comparison.split} photos, 95% intervals"
        add_title(axes, f"Better or worse than {label_text(first.name, 40)}", subtitle)


def _draw_disagreements(path: Path, comparison: Comparison, arm: Arm, is_gain: bool) -> bool:
    """Draw the photos on which an arm and the first disagree most.

    Args:
        path: The PNG file to write.
        comparison: Has the first arm.
        arm: One of the others.
        is_gain: Whether to draw the photos that `arm` classifies correctly more often, or those that the first does.

    Returns:
        Whether anything was drawn: not if there are no such photos, or if their pixels are no longer cached.
    """
    first = comparison.arms[0]
    gains = arm.is_correct.mean(axis=0) - first.is_correct.mean(axis=0)  # (num_photos,)
    chosen = np.flatnonzero(gains > 0 if is_gain else gains < 0)
    size = first.runs[0].config.data.image_size
    pixels = mapped_pixels(comparison.manifest, size)
    if not len(chosen) or pixels is None:
        return False
    # Sorted by how far the two probabilities are apart; a stable sort keeps the order of the photos among equal ones.
    strongest = chosen[np.argsort(-np.abs(arm.y_prob - first.y_prob)[chosen], kind="stable")][:_NUM_SHOWN]
    by_path = {row.path: row for row in comparison.manifest.rows}
    rows = [by_path[comparison.paths[index]] for index in strongest]
    images = pixels.images[pixels.indices(rows)]  # uint8 (num_shown, image_size, image_size, 3)
    captions = [_caption(comparison, arm, index) for index in strongest]
    better = arm.name if is_gain else first.name
    title = f"{pluralize(len(chosen), 'photo')} that {better} classifies correctly more often"
    image_grid(path, images, captions, _COLUMNS, title, comparison.note)
    return True


def _caption(comparison: Comparison, arm: Arm, index: int) -> str:
    """The file of a photo, its label, and the probability of that label in the first arm and in another one."""
    first = comparison.arms[0]
    predictions = first.runs[0].predictions
    label = int(predictions.y_true[index])
    # y_prob is that of class 1; for a photo of class 0, |1 - 0 - p| is the probability of class 0.
    before, after = (100 * abs(1 - label - y_prob[index]) for y_prob in (first.y_prob, arm.y_prob))
    class_name = printable(predictions.class_names[label])
    path = printable(predictions.paths[index])
    return f"{path}\nfiled as {class_name}\n{class_name}: {before:.0f}%, then {after:.0f}%"


def _html(document: Mapping[str, Any], pictures: Mapping[str, Path]) -> str:
    templates = open_templates(Path(__file__).parent, Path(report.__file__).parent)  # the latter for report.css
    images = {name: data_uri(path.read_bytes()) for name, path in pictures.items()}
    html = templates.get_template("comparison.html.jinja").render(document=document, images=images)
    return explain_words(html, with_links=False)  # its sentences are full of names of runs


def _elapsed_seconds(run: EvaluatedRun) -> np.ndarray:
    """Seconds of training at the end of each epoch: float64 (num_epochs,)."""
    return np.cumsum([row["seconds"] for row in run.history])


def _arm_colors(count: int) -> list[str]:
    """A color per arm; gray once the series is used up."""
    return [SERIES_COLORS[index] if index < len(SERIES_COLORS) else MUTED for index in range(count)]
