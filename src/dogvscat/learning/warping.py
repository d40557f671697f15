"""Bilinear resampling of many small pictures by affine maps, in NumPy integers.

Pillow does the same one picture at a time at three times the cost, which slowed training on two cores by a sixth. Here
the four bytes of a pixel (three colours and a spare) travel in one 32-bit word, and two colours are blended by one
multiplication, as software renderers have long done.
"""

import numpy as np

_AT_ONCE = 8  # so that the arrays of a few pictures stay in the processor's cache
_FRACTION_BITS = 16
_BYTE = np.uint32(8)
_EVEN_BYTES = np.uint32(0x00FF00FF)


def warp(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Resample each picture; what lies outside of it is its own reflection.

    Args:
        images: uint8 (num_images, size, size, 3).
        maps: float64 (num_images, 6): a, b, c, d, e, f of x_in = a x + b y + c, y_in = d x + e y + f, from output to
            input coordinates in pixels, where the centre of the first pixel lies at 0.5.

    Returns:
        uint8, shaped like `images`; each value within 3 of exact bilinear interpolation.
    """
    result = np.empty_like(images)
    for start in range(0, len(images), _AT_ONCE):
        few = slice(start, start + _AT_ONCE)
        result[few] = _warp_few(images[few], maps[few])
    return result


def _warp_few(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    num_images, size = images.shape[:2]
    margin = _margin(maps, size)
    words = _reflected_words(images, margin)  # (num_images, side, side)
    side = size + 2 * margin
    x, x_fraction = _coordinates(maps[:, :3], margin, size)  # (num_images, size, size) each
    y, y_fraction = _coordinates(maps[:, 3:], margin, size)
    index = y * np.int32(side) + x
    index += (np.arange(num_images, dtype=np.int32) * np.int32(side * side))[:, None, None]
    flat = words.reshape(-1)
    corners = []
    for step in (0, 1, side, -1):  # upper left, upper right, lower right, lower left
        index += np.int32(step)
        corners.append(flat.take(index, mode="clip"))  # every index is valid; `clip` is faster than checking that
    upper = _blended(corners[0], corners[1], x_fraction)
    lower = _blended(corners[3], corners[2], x_fraction)
    blended = _blended(upper, lower, y_fraction)  # (num_images, size, size)
    return blended.view(np.uint8).reshape(num_images, size, size, 4)[..., :3]


def _margin(maps: np.ndarray, size: int) -> int:
    """How far beyond the border these maps look, in pixels."""
    corners = np.array([[x, y, 1.0] for x in (0.5, size - 0.5) for y in (0.5, size - 0.5)])
    seen = np.concatenate([maps[:, :3] @ corners.T, maps[:, 3:] @ corners.T]) - 0.5
    return int(max(0.0, np.ceil(-seen.min()), np.ceil(seen.max()) - (size - 1))) + 1


def _reflected_words(images: np.ndarray, margin: int) -> np.ndarray:
    """Pixels as words with a reflected margin, uint32 (num_images, size + 2 margin, size + 2 margin)."""
    num_images, size = images.shape[:2]
    four = np.zeros((num_images, size, size, 4), dtype=np.uint8)
    four[..., :3] = images
    line = np.pad(np.arange(size), margin, mode="reflect")
    index = (line[:, None] * size + line).ravel()
    side = size + 2 * margin
    return four.view(np.uint32).reshape(num_images, -1).take(index, axis=1, mode="clip").reshape(num_images, side, side)


def _coordinates(rows: np.ndarray, margin: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each output pixel looks, along one axis: whole pixels int32, and 256ths of a pixel uint32."""
    centre = rows[:, 2] + 0.5 * (rows[:, 0] + rows[:, 1]) - 0.5 + margin
    fixed = np.rint(np.column_stack([rows[:, :2], centre]) * 2**_FRACTION_BITS).astype(np.int32)
    steps = np.arange(size, dtype=np.int32)
    along_y = fixed[:, 1, None] * steps + fixed[:, 2, None]  # (num_images, size)
    position = (fixed[:, 0, None] * steps)[:, None, :] + along_y[:, :, None]  # (num_images, size, size)
    fraction = (position >> np.int32(_FRACTION_BITS - 8)).astype(np.uint32)
    fraction &= np.uint32(255)
    position >>= np.int32(_FRACTION_BITS)
    return position, fraction


def _blended(first: np.ndarray, second: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """first + (second - first) * fraction / 256 for all four bytes of each word; `second` is used up."""
    even, odd = first & _EVEN_BYTES, (first >> _BYTE) & _EVEN_BYTES
    second_odd = (second >> _BYTE) & _EVEN_BYTES
    second &= _EVEN_BYTES
    for this, other in ((even, second), (odd, second_odd)):
        other -= this  # a borrow from the neighbour is paid back by the addition below
        other *= fraction
        other >>= _BYTE
        this += other
        this &= _EVEN_BYTES
    odd <<= _BYTE
    odd |= even
    return odd
