"""Plotting: one calm, color-blind-safe look for every figure, the way a figure is written, and the grid of images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

from dogvscat.atomic import write_bytes
from dogvscat.text import printable

INK = "#22303c"
MUTED = "#66727d"
GRID = "#e3e7ea"
TRAIN = "#8a949e"
VALIDATION = "#0072b2"
WRONG = "#d55e00"
"""Together with blue, the pair of Okabe and Ito (2008) that stays apart under every common color blindness."""

SERIES_COLORS = (TRAIN, VALIDATION, WRONG, "#009e73", "#cc79a7", "#e69f00")
"""Colors of the things compared in one plot, the baseline first; also from Okabe and Ito."""

_FONT = "DejaVu Sans"  # ships with matplotlib, so that figures are equal on every machine
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": False,
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "font.family": _FONT,
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2,
    "text.color": INK,
    "text.parse_math": False,  # names are shown as they are, dollars included
    "text.usetex": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 10,
}

# Sizes in `image_grid`, in inches.
_TILE = 1.45
_GAP = 0.12
_CAPTION_LINE = 0.155
_HEADER_LINE = 0.28
_CAPTION_CHARACTERS = 23


@contextmanager
def new_figure(path: Path, width: float, height: float, note: str | None = None) -> Iterator[Figure]:
    """An empty figure, written to `path` as PNG when the block ends, whole or not at all.

    Args:
        path: The file to write.
        width: Width in inches, of 150 pixels each.
        height: Height in inches.
        note: Words that must be seen with the figure, such as "pictures drawn by code, not photographs".

    Raises:
        WriteError: if the file could not be written.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        if note:
            figure.suptitle(label_text(note), x=0.99, ha="right", fontsize=10, color=WRONG)
        yield figure
        buffer = BytesIO()
        # Without the metadata, which names the version of matplotlib, equal figures are equal files.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def add_title(axes: Axes, title: str, subtitle: str) -> None:
    """A bold title and, under it, a gray line that says what was counted."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=24)
    line = axes.annotate(subtitle, (0, 1), (0, 7), "axes fraction", "offset points", color=MUTED, fontsize=10)
    line.set_in_layout(False)  # the title keeps the room; a long line must not push the axes aside


def show_message(figure: Figure, title: str, message: str) -> None:
    """Show a sentence in place of a plot that cannot be drawn."""
    axes = figure.subplots()
    axes.axis("off")
    add_title(axes, title, "")
    axes.text(0.5, 0.5, message, ha="center", va="center", color=MUTED)


def percent_ticks() -> FuncFormatter:
    """Tick labels of a share as percent, with as many decimals as needed to tell neighboring ticks apart."""
    return FuncFormatter(lambda share, _: f"{round(100 * share, 2):g}%")


def label_text(text: str, limit: int = 200) -> str:
    """Any name as plain text for a figure.

    It is shortened at the front to `limit` characters, because the end of a path tells files apart. Characters that
    are unprintable or missing from the font are escaped.
    """
    drawable = _font_characters()
    escaped = "".join(
        char if ord(char) in drawable else char.encode("unicode_escape").decode() for char in printable(text)
    )
    return escaped if len(escaped) <= limit else "…" + escaped[len(escaped) - limit + 1 :]


@cache
def _font_characters() -> frozenset[int]:
    """Code points of the characters that the font has."""
    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())


def image_grid(
    path: Path,
    images: np.ndarray,
    captions: Sequence[str],
    columns: int,
    title: str = "",
    note: str | None = None,
) -> None:
    """Many small images with captions in one PNG, such as the mistakes or a preview of the augmentation.

    Args:
        path: The PNG to write.
        images: uint8 (num_images, height, width, 3), RGB; there may be none.
        captions: One text per image, of one or more lines; names in it may hold any character. Or no captions at all.
        columns: Images per row.
        title: Words above the grid.
        note: Words that must be seen with the images.

    Raises:
        ValueError: if there are captions, but not one per image.
        WriteError: if the file could not be written.
    """
    if len(captions) not in (0, len(images)):
        raise ValueError(f"expected {len(images)} captions or none, received {len(captions)}")
    lines = [caption.split("\n") for caption in captions]
    caption_height = _CAPTION_LINE * max(map(len, lines), default=0)
    rows = max(1, -(-len(images) // columns))  # rounded up
    width = columns * (_TILE + _GAP) + _GAP
    header = _GAP + _HEADER_LINE * (bool(title) + bool(note))
    height = header + rows * (_TILE + caption_height + _GAP)
    with new_figure(path, width, height, note) as figure:
        figure.set_layout_engine("none")  # positions are computed here, because captions are not part of a layout
        # matplotlib wants positions as shares of the figure, measured from its lower left corner.
        top = 1 - (_GAP + _HEADER_LINE * bool(note)) / height
        figure.text(_GAP / width, top, label_text(title), fontsize=11, va="top", fontweight="bold")
        for i, image in enumerate(images):
            left = _GAP + (i % columns) * (_TILE + _GAP)
            bottom = height - header - (i // columns) * (_TILE + caption_height + _GAP) - _TILE
            axes = figure.add_axes((left / width, bottom / height, _TILE / width, _TILE / height))
            axes.imshow(image, interpolation="bicubic")
            axes.axis("off")
            for depth, line in enumerate(lines[i] if captions else []):
                x, y = (left + _TILE / 2) / width, (bottom - 0.05 - depth * _CAPTION_LINE) / height
                color = MUTED if depth else INK  # the first line is the name of the image
                figure.text(x, y, label_text(line, _CAPTION_CHARACTERS), ha="center", va="top", fontsize=8, color=color)
