"""Many small images with captions in one PNG: the wall of mistakes and the augmentation preview."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dogvscat.judging.figure_style import INK, MUTED, drawing, label_text

_TILE = 1.45  # inches
_GAP = 0.12
_CAPTION_LINE = 0.155
_HEADER_LINE = 0.28
_CAPTION_CHARACTERS = 23


def image_grid(
    path: Path,
    images: np.ndarray,
    captions: Sequence[str],
    columns: int,
    title: str = "",
    note: str | None = None,
) -> None:
    """Images in rows of `columns`, each with its caption below.

    Args:
        path: The PNG to write.
        images: uint8 [N, H, W, 3], RGB; N may be 0.
        captions: N texts of one or more lines; names in them may hold any character. Or none at all.
        columns: Images a row.
        title: Words above the grid.
        note: Words that must be seen with the picture.

    Raises:
        ValueError: if captions are given but not one an image.
        WriteError: if the file could not be written.
    """
    if len(captions) not in (0, len(images)):
        raise ValueError(f"expected {len(images)} captions or none, received {len(captions)}")
    lines = [caption.split("\n") for caption in captions]
    caption_height = _CAPTION_LINE * max(map(len, lines), default=0)
    rows = max(1, -(-len(images) // columns))
    width = columns * (_TILE + _GAP) + _GAP
    header = _GAP + _HEADER_LINE * (bool(title) + bool(note))
    height = header + rows * (_TILE + caption_height + _GAP)
    with drawing(path, width, height, note) as figure:
        figure.set_layout_engine("none")  # places are computed here, because captions are no part of a layout
        top = 1 - (_GAP + _HEADER_LINE * bool(note)) / height
        figure.text(_GAP / width, top, label_text(title), fontsize=11, va="top", fontweight="bold")
        for i, image in enumerate(images):
            left = _GAP + (i % columns) * (_TILE + _GAP)
            bottom = height - header - (i // columns) * (_TILE + caption_height + _GAP) - _TILE
            axes = figure.add_axes((left / width, bottom / height, _TILE / width, _TILE / height))
            axes.imshow(image, interpolation="bicubic")
            axes.axis("off")
            for depth, line in enumerate(lines[i] if captions else []):
                place = ((left + _TILE / 2) / width, (bottom - 0.05 - depth * _CAPTION_LINE) / height)
                shown = label_text(line, _CAPTION_CHARACTERS)
                figure.text(*place, shown, ha="center", va="top", fontsize=8, color=MUTED if depth else INK)
