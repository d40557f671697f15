"""Cuts off frames, and makes the tiny gray picture in which landmarks are searched."""

import numpy as np
from PIL import Image

from dogvscat.photos.copies.landmarks import THUMBNAIL_SIDE

_PLAIN_RANGE = 12
"""The most by which the gray values of a frame differ. Compression causes less; skies and walls nearly always vary
more."""
_MAX_FRAME = 0.32
"""A frame is at most this share of the side wide. A wider plain border counts as part of the picture."""


Box = tuple[int, int, int, int]
"""Left, top, right and bottom end of a part of a picture, in pixels."""


def box_without_frame(gray: np.ndarray) -> Box:
    """The part of a picture that remains when a frame is cut off.

    Bars at some sides, as a shifted or letterboxed picture has them, are cut off as well. Otherwise any two framed
    pictures would look similar, and a picture would look different from its own framed copy.

    Args:
        gray: uint8 (height, width).
    """
    height, width = gray.shape
    left, right = _frame_lines(gray.T), _frame_lines(gray.T[::-1])
    top, bottom = _frame_lines(gray), _frame_lines(gray[::-1])
    return left, top, width - right, height - bottom


def make_thumbnail(gray: Image.Image, box: Box) -> bytes:
    """The pixels of the thumbnail of a part of a picture.

    Args:
        gray: Of mode "L".
        box: The part.

    Returns:
        THUMBNAIL_SIDE x THUMBNAIL_SIDE bytes, row by row.
    """
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return gray.resize(size, Image.Resampling.BOX, box).tobytes()


def _frame_lines(lines: np.ndarray) -> int:
    """How many of the first lines belong to a frame.

    Args:
        lines: uint8 (num_lines, num_pixels), from the edge inward.
    """
    darkest, brightest = 255, 0  # of all lines so far
    num_plain = 0
    for line in lines:  # nearly always, the loop ends at the first line
        darkest, brightest = min(darkest, int(line.min())), max(brightest, int(line.max()))
        if brightest - darkest > _PLAIN_RANGE:
            break
        num_plain += 1
    if not 0 < num_plain <= _MAX_FRAME * len(lines):
        return 0
    return num_plain + 1  # the next line is partly frame, partly picture
