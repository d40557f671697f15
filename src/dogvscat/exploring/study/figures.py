"""Figures of a study: effects with intervals, learning curves, over-fitting, accuracy against number of photos."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dogvscat.exploring.effects import Effect, PowerLaw
from dogvscat.exploring.study.cells import FinishedCell, Study
from dogvscat.exploring.study.plan import treatment_name
from dogvscat.judging.plotting import (
    INK,
    MUTED,
    SERIES_COLORS,
    VALIDATION,
    WRONG,
    add_title,
    label_text,
    new_figure,
    percent_ticks,
)

_PANELS = 3
"""Learning curves per row."""
_ERROR_TICKS = [0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5]
_VERDICT_COLORS = {"helped": SERIES_COLORS[3], "hurt": WRONG, "no clear effect": MUTED, "not yet known": MUTED}


def draw_effects(path: Path, effects: Sequence[Effect], subtitle: str, note: str | None) -> None:
    """Every effect with its 95% interval, the largest gain first."""
    ordered = sorted(effects, key=lambda effect: -effect.difference)
    with new_figure(path, 9, 1.5 + 0.32 * len(ordered), note) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        for row, effect in enumerate(ordered):
            color = _VERDICT_COLORS[effect.verdict]
            if effect.low is not None and effect.high is not None:
                axes.plot([100 * effect.low, 100 * effect.high], [row, row], color=color, solid_capstyle="round")
            # Filled only if the effect is clear.
            face_color = color if effect.verdict in ("helped", "hurt") else "white"
            axes.plot([100 * effect.difference], [row], "o", color=color, markerfacecolor=face_color, markersize=7)
        _label_rows(axes, ordered)
        axes.set_xlabel("Validation accuracy against the base, points")
        add_title(axes, "What each change did", subtitle)


def draw_curves(path: Path, study: Study, note: str | None) -> None:
    """Validation accuracy over the epochs for every setting, with the base in each panel; one line per seed."""
    by_setting: dict[str, list[FinishedCell]] = {}
    for cell in study.finished:
        if cell not in study.base:
            by_setting.setdefault(cell.plan.treatment.setting, []).append(cell)
    columns = max(1, min(_PANELS, len(by_setting)))
    rows = max(1, -(-len(by_setting) // columns))
    with new_figure(path, max(7.2, 4 * columns), 0.5 + 2.6 * rows, note) as figure:
        panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
        for axes, (setting, cells) in zip(panels, by_setting.items(), strict=False):  # the last panels may be empty
            _draw_lines(axes, study.base, "base", SERIES_COLORS[0])
            values = dict.fromkeys(cell.plan.treatment.value for cell in cells)
            # The colors repeat where there are more values than colors.
            for value, color in zip(values, SERIES_COLORS[1:] * len(values), strict=False):
                _draw_lines(axes, [cell for cell in cells if cell.plan.treatment.value == value], value, color)
            axes.set_title(label_text(setting, 40), loc="left", fontsize=10)
            axes.yaxis.set_major_formatter(percent_ticks())
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.8, edgecolor="none")  # may lie on lines
        for axes in panels[len(by_setting) :]:
            axes.axis("off")
        figure.supxlabel("Epoch", fontsize=10)
        figure.supylabel("Validation accuracy", fontsize=10)


def draw_gaps(path: Path, effects: Sequence[Effect], base_gap: float, note: str | None) -> None:
    """The generalization gap of each change: how much better it is on its training photos than on others."""
    ordered = sorted(effects, key=lambda effect: -effect.gap_change)
    with new_figure(path, 9, 2.2 + 0.28 * len(ordered), note) as figure:  # room for title and legend, also of one bar
        axes = figure.subplots()
        # The base's mean gap plus the paired change: seeds that only some treatments have do not shift the bars.
        gaps = [100 * (base_gap + effect.gap_change) for effect in ordered]
        axes.barh(range(len(ordered)), gaps, color=VALIDATION, height=0.6)
        for row, effect in enumerate(ordered):
            if effect.gap_low is not None and effect.gap_high is not None:
                ends = [100 * (base_gap + end) for end in (effect.gap_low, effect.gap_high)]
                axes.plot(ends, [row, row], color=INK, linewidth=1.2)
        axes.axvline(100 * base_gap, color=WRONG, linewidth=1.5, label="the base")
        _label_rows(axes, ordered)
        axes.set_xlabel("Training accuracy minus validation accuracy, points")
        figure.legend(loc="outside lower center")
        add_title(axes, "Over-fitting", "without augmentation and dropout; 95% intervals of the change from the base")


def draw_scaling(path: Path, accuracies: Mapping[int, Sequence[float]], law: PowerLaw | None, note: str | None) -> None:
    """Validation error against the number of training photos, one point per seed, with the fitted power law.

    Args:
        path: The PNG file to write.
        accuracies: By number of photos, one value per seed.
        law: As fitted to their means, if it could be.
        note: Shown in the figure, if any.
    """
    with new_figure(path, 9, 4.6, note) as figure:
        axes = figure.subplots()
        for count, values in accuracies.items():
            axes.plot([count] * len(values), [1 - value for value in values], "o", color=VALIDATION, alpha=0.7)
        if law is not None:
            counts = np.geomspace(min(accuracies) / 1.2, 4 * max(accuracies), 50)
            axes.plot(
                counts,
                [1 - law.accuracy(count) for count in counts],
                "--",
                color=MUTED,
                label="power law, fitted to the means; extrapolated beyond the last point",
            )
            axes.legend(loc="upper right")
        axes.set(xscale="log", xlabel="Training photos", ylabel="Validation error")
        ticks = sorted(accuracies)
        axes.set_xticks(ticks, [f"{count:,}" for count in ticks])
        axes.minorticks_off()
        # A logarithmic axis has no zero, so a training without mistakes needs a linear one.
        errors = [1 - value for values in accuracies.values() for value in values]
        subtitle = "the horizontal axis is logarithmic"
        if min(errors) > 0:
            subtitle = "both axes are logarithmic: a power law is a straight line"
            axes.set_yscale("log")
            axes.minorticks_off()
            low, high = axes.get_ylim()
            axes.set_yticks([tick for tick in _ERROR_TICKS if low <= tick <= high])
        axes.yaxis.set_major_formatter(percent_ticks())
        add_title(axes, "What more photos bring", subtitle)


def _label_rows(axes: Axes, effects: Sequence[Effect]) -> None:
    """One row per effect, the first at the top."""
    axes.set_yticks(
        range(len(effects)), [label_text(treatment_name(effect.setting, effect.value), 60) for effect in effects]
    )
    axes.set_ylim(len(effects) - 0.5, -0.5)


def _draw_lines(axes: Axes, cells: Sequence[FinishedCell], name: str, color: str) -> None:
    """One line per seed; only the first has a label, so the legend names each value once."""
    for index, cell in enumerate(cells):
        epochs = [row["epoch"] for row in cell.result.history]
        accuracy = [row["val_accuracy"] for row in cell.result.history]
        label, marker = label_text(name, 24) if index == 0 else None, "o" if len(epochs) == 1 else None
        axes.plot(epochs, accuracy, color=color, linewidth=1.2, marker=marker, label=label)
