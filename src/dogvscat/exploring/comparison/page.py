"""What `compare` writes: figures as JSON, pictures, and one self-contained page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dogvscat import atomic
from dogvscat.exploring.comparison.compare import Comparison, JudgedRun, Side
from dogvscat.exploring.comparison.difference import headline, in_a_sentence
from dogvscat.judging import report
from dogvscat.judging.figure_style import INK, MUTED, SIDES, add_title, drawing, label_text
from dogvscat.judging.figures import percent_ticks
from dogvscat.judging.image_grid import image_grid
from dogvscat.pages import data_uri, open_templates
from dogvscat.photos.pixels import mapped_pixels
from dogvscat.text import printable

_SHOWN = 12
"""Disagreements shown each way."""
_COLUMNS = 6
_LONG_SECONDS = 180
"""A training as long as this is told of in minutes."""


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """JSON values: every side, every difference, and the sentences."""
    first, *others = comparison.sides
    return {
        "split": comparison.split,
        "n": len(comparison.paths),
        "note": comparison.note,
        "seeds_alone": comparison.seeds_alone,
        "caveat": comparison.caveat,
        "data_digest": comparison.manifest.digest,
        "sides": [
            {"name": side.name, "runs": [str(run.run.folder) for run in side.runs], "accuracies": side.accuracies}
            for side in comparison.sides
        ],
        "differences": [
            {
                "from": first.name,
                "to": side.name,
                "accuracy": difference.accuracy.to_dict(),
                "only_first": difference.only_first,
                "only_second": difference.only_second,
                "p_value": difference.p_value,
                "clear": difference.clear,
                "headline": headline(first.name, side.name, difference),
                "sentence": in_a_sentence(first.name, side.name, difference),
                "settings": [[key, str(was), str(now)] for key, was, now in comparison.settings(side)],
            }
            for side, difference in zip(others, comparison.differences, strict=True)
        ],
    }


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write comparison.json, the pictures and comparison.html.

    Raises:
        WriteError: if the folder cannot be written.
    """
    document = to_dict(comparison)
    atomic.write_json(folder / "comparison.json", document)
    pictures = {"curves": folder / "curves.png", "differences": folder / "differences.png"}
    draw_curves(pictures["curves"], comparison)
    draw_differences(pictures["differences"], comparison)
    for number, side in enumerate(comparison.sides[1:], start=1):
        for better, name in ((True, "gained"), (False, "lost")):
            picture = folder / f"{name}{number}.png"
            if _draw_disagreements(picture, comparison, side, better):
                pictures[picture.stem] = picture
    atomic.write_bytes(folder / "comparison.html", _page(document, pictures).encode("utf-8", "backslashreplace"))


def draw_curves(path: Path, comparison: Comparison) -> None:
    """Validation accuracy of every run over epochs and over time."""
    sides = comparison.sides
    longest = max(sum(row["seconds"] for row in run.history) for side in sides for run in side.runs)
    unit, seconds = ("Minutes", 60.0) if longest >= _LONG_SECONDS else ("Seconds", 1.0)
    with drawing(path, 10, 4.4, comparison.note) as figure:
        over_epochs, over_time = figure.subplots(1, 2, sharey=True)
        for side, colour in zip(sides, _colours(len(sides)), strict=True):
            for number, run in enumerate(side.runs):
                label = label_text(side.name, 40) if number == 0 else None
                accuracy = [row["val_accuracy"] for row in run.history]
                over_epochs.plot([row["epoch"] for row in run.history], accuracy, color=colour, label=label)
                over_time.plot(_elapsed(run) / seconds, accuracy, color=colour)
        over_epochs.set_xlabel("Epoch")
        over_epochs.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        over_time.set_xlabel(f"{unit} of training")
        over_time.set_xlim(left=0)
        add_title(over_epochs, "Validation accuracy", "as it was after each epoch")
        over_epochs.yaxis.set_major_formatter(percent_ticks())
        figure.legend(loc="outside lower center", ncols=3)


def draw_differences(path: Path, comparison: Comparison) -> None:
    """Accuracy of each side less that of the first, in points with 95% intervals."""
    first, *others = comparison.sides
    with drawing(path, 9, 1.8 + 0.5 * len(others), comparison.note) as figure:
        axes: Axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        for row, (difference, colour) in enumerate(
            zip(comparison.differences, _colours(len(comparison.sides))[1:], strict=True)
        ):
            figures = difference.accuracy
            low, value, high = (100 * (number or 0.0) for number in (figures.low, figures.value, figures.high))
            axes.plot([low, high], [row, row], color=colour, linewidth=3, solid_capstyle="round")
            axes.plot([value], [row], "o", color=colour, markersize=9)
        axes.set_yticks(range(len(others)), [label_text(side.name, 40) for side in others])
        axes.set_ylim(len(others) - 0.5, -0.5)
        axes.set_xlabel("Points of accuracy")
        counted = f"{len(comparison.paths):,} {comparison.split} pictures, 95% intervals"
        add_title(axes, f"Better or worse than {label_text(first.name, 40)}", counted)


def _draw_disagreements(path: Path, comparison: Comparison, side: Side, better: bool) -> bool:
    """The pictures about which a side and the first disagree most; False if there are none or no pixels are cached."""
    first = comparison.sides[0]
    gain = side.right.mean(axis=0) - first.right.mean(axis=0)  # [N]
    chosen = np.flatnonzero(gain > 0 if better else gain < 0)
    size = first.runs[0].config.data.image_size
    pixels = mapped_pixels(comparison.manifest, size)
    if not len(chosen) or pixels is None:
        return False
    strongest = chosen[np.argsort(-np.abs(side.y_prob - first.y_prob)[chosen], kind="stable")][:_SHOWN]
    by_path = {row.path: row for row in comparison.manifest.rows}
    rows = [by_path[comparison.paths[index]] for index in strongest]
    images = pixels.images[pixels.indices(rows)]
    captions = [_caption(comparison, side, index) for index in strongest]
    who = side.name if better else first.name
    title = f"{len(chosen)} pictures that {who} answers rightly more often"
    image_grid(path, images, captions, _COLUMNS, title, comparison.note)
    return True


def _caption(comparison: Comparison, side: Side, index: int) -> str:
    first = comparison.sides[0]
    answers = first.runs[0].answers
    label = int(answers.y_true[index])
    was, now = (100 * abs(1 - label - y_prob[index]) for y_prob in (first.y_prob, side.y_prob))
    filed = printable(answers.class_names[label])
    return f"{printable(answers.paths[index])}\nfiled as {filed}\n{filed}: {was:.0f}%, then {now:.0f}%"


def _page(document: Mapping[str, Any], pictures: Mapping[str, Path]) -> str:
    templates = open_templates(Path(__file__).parent, Path(report.__file__).parent)  # the latter for report.css
    images = {name: data_uri(path.read_bytes()) for name, path in pictures.items()}
    return templates.get_template("comparison.html.jinja").render(document=document, images=images)


def _elapsed(run: JudgedRun) -> np.ndarray:
    """Seconds of training at the end of each epoch: float64 [epochs]."""
    return np.cumsum([row["seconds"] for row in run.history])


def _colours(count: int) -> list[str]:
    return [SIDES[index] if index < len(SIDES) else MUTED for index in range(count)]
