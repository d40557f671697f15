"""One calm, colour-blind-safe look for every picture, and the one way a picture is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine

from dogvscat.atomic import write_bytes
from dogvscat.judging.display import shortened
from dogvscat.text import printable

INK = "#22303c"
MUTED = "#66727d"
GRID = "#e3e7ea"
TRAIN = "#8a949e"
VALIDATION = "#0072b2"
WRONG = "#d55e00"
"""With blue the pair of Okabe and Ito (2008) that stays apart under every common colour blindness."""

SIDES = (TRAIN, VALIDATION, WRONG, "#009e73", "#cc79a7", "#e69f00")
"""Colours of what is compared, the one compared with first; likewise from Okabe and Ito."""

_FONT = "DejaVu Sans"  # ships with matplotlib, so that pictures are equal on every machine
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


@contextmanager
def drawing(path: Path, width: float, height: float, note: str | None = None) -> Iterator[Drawing]:
    """An empty drawing, in inches; when the block ends it is written to `path` as PNG, whole or not at all.

    Args:
        path: The file to write.
        width: Width in inches, of 150 pixels each.
        height: Height in inches.
        note: Words that must be seen with the picture, such as "drawn sample, not photographs".

    Raises:
        WriteError: if the file could not be written.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Drawing(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        if note:
            figure.suptitle(label_text(note), x=0.99, ha="right", fontsize=10, color=WRONG)
        yield figure
        buffer = BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def add_title(axes: Axes, title: str, subtitle: str) -> None:
    """A bold title and, under it, a grey line that says what was counted."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=24)
    line = axes.annotate(subtitle, (0, 1), (0, 7), "axes fraction", "offset points", color=MUTED, fontsize=10)
    line.set_in_layout(False)  # the title keeps the room; a long line must not push the axes aside


def say_instead(figure: Drawing, title: str, message: str) -> None:
    """A picture that says in words why there is nothing to draw."""
    axes = figure.subplots()
    axes.axis("off")
    add_title(axes, title, "")
    axes.text(0.5, 0.5, message, ha="center", va="center", color=MUTED)


def label_text(text: str, limit: int = 200) -> str:
    """Any name as plain words in a picture: shortened at the front, unprintable characters and those the font lacks
    escaped."""
    shown = "".join(char if _in_font(char) else char.encode("unicode_escape").decode() for char in printable(text))
    return shortened(shown, limit)


@cache
def _in_font(char: str) -> bool:
    return bool(get_font(findfont(FontProperties(family=_FONT))).get_char_index(ord(char)))
