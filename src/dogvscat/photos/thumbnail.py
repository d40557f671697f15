"""The tiny grey picture in which landmarks are searched: without the frame that a photo may have."""

import numpy as np
from PIL import Image

from dogvscat.photos.landmarks import THUMBNAIL_SIDE

_PLAIN_MEAN, _PLAIN_MAX = 2.0, 10.0
"""Mean and largest difference of a plain line's pixels from the color of the frame, in grey values. Compression causes
less; skies and walls nearly always vary more."""
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
    values = grey.astype(np.float32)
    top, bottom = _frame_lines(values), _frame_lines(values[::-1])
    left, right = _frame_lines(values.T), _frame_lines(values.T[::-1])
    box = (left, top, width - right, height - bottom)
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return Image.fromarray(grey).resize(size, Image.Resampling.BOX, box).tobytes()


def _frame_lines(lines: np.ndarray) -> int:
    """How many of the first lines belong to a frame.

    Args:
        lines: float32 (num_lines, num_pixels), from the edge inward.
    """
    limit = int(_MAX_FRAME * len(lines))
    difference = np.abs(lines[: limit + 1] - np.median(lines[0]))
    is_plain = (difference.mean(axis=1) < _PLAIN_MEAN) & (difference.max(axis=1) < _PLAIN_MAX)
    num_plain = len(is_plain) if is_plain.all() else int(is_plain.argmin())
    if not 0 < num_plain <= limit:
        return 0
    return num_plain + 1  # the next line is partly frame, partly picture
