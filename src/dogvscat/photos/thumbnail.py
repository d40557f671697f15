"""The tiny grey picture in which landmarks are searched: without the frame that a photo may have."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from dogvscat.photos.landmarks import THUMBNAIL_SIDE

_PLAIN_RANGE = 12
"""The most by which the grey values of a frame differ. Compression causes less; skies and walls nearly always vary
more."""
_MAX_FRAME = 0.32
"""A frame is at most this share of the side wide. Where more is plain, it is part of the picture."""


def make_thumbnail(grey: np.ndarray) -> bytes:
    """The pixels of a thumbnail.

    A frame is cut off, and so are bars at some sides, as they remain when a picture was shifted or letterboxed:
    otherwise their corners would stand out more than anything in the picture.

    Args:
        grey: uint8 (side, side).

    Returns:
        THUMBNAIL_SIDE x THUMBNAIL_SIDE bytes, row by row.
    """
    height, width = grey.shape
    rows = list(zip(grey.min(axis=1).tolist(), grey.max(axis=1).tolist(), strict=True))
    columns = list(zip(grey.min(axis=0).tolist(), grey.max(axis=0).tolist(), strict=True))
    left, right = _frame_lines(columns), _frame_lines(columns[::-1])
    top, bottom = _frame_lines(rows), _frame_lines(rows[::-1])
    box = (left, top, width - right, height - bottom)
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return Image.fromarray(grey).resize(size, Image.Resampling.BOX, box).tobytes()


def _frame_lines(lines: Sequence[tuple[int, int]]) -> int:
    """How many of the first lines belong to a frame.

    Args:
        lines: The darkest and the brightest pixel of each line, from the edge inward.
    """
    darkest, brightest = 255, 0  # of all lines so far
    num_plain = 0
    for line_darkest, line_brightest in lines:
        darkest, brightest = min(darkest, line_darkest), max(brightest, line_brightest)
        if brightest - darkest > _PLAIN_RANGE:
            break
        num_plain += 1
    if not 0 < num_plain <= _MAX_FRAME * len(lines):
        return 0
    return num_plain + 1  # the next line is partly frame, partly picture
