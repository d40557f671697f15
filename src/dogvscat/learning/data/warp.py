"""Resampling of small images by affine maps, and changes of their colors and sharpness, compiled.

On two cores, the time to prepare a batch is taken from the network. Numba turns the loops below into machine code
that needs a tenth of the time that Pillow takes for the same images (docs/experiments.md). The loops compute in
integers only.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np

_FRACTION_BITS = 16  # coordinates are in 65536ths of a pixel
_WEIGHT_BITS = 6  # interpolation weights are in 64ths along each axis
_ONE = np.uint64(1 << 2 * _WEIGHT_BITS)  # the sum of a pixel's four weights

# The three colors of a pixel are packed into one 64-bit word, so that one multiplication weights all of them. A color
# has 8 bits and a weighted sum 8 + 12 = 20; the colors start 21 bits apart, so none runs over into the next.
_RED, _GREEN, _BLUE = np.uint64(0), np.uint64(21), np.uint64(42)
_HALF = (_ONE >> np.uint64(1)) * np.uint64(1 | 1 << 21 | 1 << 42)  # rounds all three sums

_Function = TypeVar("_Function", bound=Callable[..., object])


def _compiled(function: _Function) -> _Function:
    # Without Python's lock, so that the network computes at the same time. Numba's own types would hide the signature.
    return cast("_Function", numba.njit(nogil=True)(function))


def _compiled_once(function: _Function) -> _Function:
    """As `_compiled`, but kept on disk for later processes: compiling takes seconds at the start of each training."""
    compiled = _compiled(function)
    try:
        kept_on_disk = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder to keep it in
        return compiled

    def call(*arguments: object) -> object:
        try:
            return kept_on_disk(*arguments)
        except OSError:  # the disk is full
            return compiled(*arguments)

    return cast("_Function", call)


def warp(images: np.ndarray, maps: np.ndarray, tables: np.ndarray, size: int) -> np.ndarray:
    """Resample each image bilinearly and look each value up in a table.

    Args:
        images: uint8 (num_images, side, side, 3).
        maps: float64 (num_images, 6): a, b, c, d, e, f of x_in = a x + b y + c, y_in = d x + e y + f, from output to
            input coordinates in pixels, where the center of the first pixel lies at 0.5. Outside of an image lies its
            own reflection.
        tables: uint8 (num_images, 3, 256), what each of the 256 values of each color becomes afterwards.
        size: Side of the result, in pixels.

    Returns:
        uint8 (num_images, size, size, 3). Positions are rounded down to 64ths of a pixel.
    """
    a, b, c, d, e, f = maps.T
    # Where the first output pixel reads. The center of the first input pixel now lies at 0, so that the whole part of a
    # coordinate is the index of a pixel, and its fraction the weight of the neighbor.
    first_x, first_y = c + 0.5 * (a + b) - 0.5, f + 0.5 * (d + e) - 0.5
    fixed = np.rint(np.stack([a, b, first_x, d, e, first_y], axis=1) * (1 << _FRACTION_BITS)).astype(np.int64)
    result = np.empty((len(images), size, size, 3), np.uint8)
    _warp_images(images, fixed, tables, result)
    return result


def sharpen(images: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Move each image away from its smoothed copy, or towards it.

    Args:
        images: uint8 (num_images, size, size, 3).
        amounts: float64 (num_images,): 0 changes nothing, -1 gives the copy smoothed by weights 1, 2, 1 in both
            directions, and 1 an image that is sharper by as much (unsharp masking). At the edges pixels repeat.

    Returns:
        uint8, shaped like `images`.
    """
    result = np.empty_like(images)
    _sharpen_images(images, np.rint(amounts * 16).astype(np.int64), result)
    return result


def saturate(images: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Move each pixel away from the gray of its brightness, or towards it.

    Args:
        images: uint8 (num_images, size, size, 3).
        factors: float64 (num_images,): 1 changes nothing, 0 gives gray, 2 doubles the distance from gray.

    Returns:
        uint8, shaped like `images`. Brightness is luma by ITU-R BT.601.
    """
    result = np.empty_like(images)
    _saturate_images(images, np.rint(factors * 256).astype(np.int64), result)
    return result


@_compiled_once
def _saturate_images(images: np.ndarray, factors: np.ndarray, result: np.ndarray) -> None:
    size = images.shape[1]
    for number in range(len(images)):
        image, factor = images[number], factors[number]
        for row in range(size):
            for column in range(size):
                red, green, blue = image[row, column]
                luma = 77 * np.int64(red) + 150 * np.int64(green) + 29 * np.int64(blue)  # in 256ths
                for color in range(3):
                    # luma + factor * (value - luma), in 65536ths, rounded by a half
                    changed = (256 * luma + factor * (256 * np.int64(image[row, column, color]) - luma) + 32768) >> 16
                    result[number, row, column, color] = min(max(changed, 0), 255)


@_compiled_once
def _sharpen_images(images: np.ndarray, amounts: np.ndarray, result: np.ndarray) -> None:
    size = images.shape[1]
    for number in range(len(images)):
        image, amount = images[number], amounts[number]
        for row in range(size):
            above, below = max(row - 1, 0), min(row + 1, size - 1)
            for column in range(size):
                before, after = max(column - 1, 0), min(column + 1, size - 1)
                for color in range(3):
                    corners = (
                        np.int64(image[above, before, color])
                        + image[above, after, color]
                        + image[below, before, color]
                        + image[below, after, color]
                    )
                    sides = (
                        np.int64(image[above, column, color])
                        + image[below, column, color]
                        + image[row, before, color]
                        + image[row, after, color]
                    )
                    middle = np.int64(image[row, column, color])
                    smooth = corners + 2 * sides + 4 * middle  # in sixteenths
                    changed = (256 * middle + amount * (16 * middle - smooth) + 128) >> 8
                    result[number, row, column, color] = min(max(changed, 0), 255)


@_compiled_once
def _warp_images(images: np.ndarray, maps: np.ndarray, tables: np.ndarray, result: np.ndarray) -> None:
    side = images.shape[1]
    words = np.empty((side, side), np.uint64)
    for number in range(len(images)):
        _pack(images[number], words)
        _warp_packed(words, maps[number], tables[number], result[number])


@_compiled
def _pack(image: np.ndarray, words: np.ndarray) -> None:
    for row in range(len(image)):
        for column in range(len(image)):
            red, green, blue = image[row, column]
            words[row, column] = np.uint64(red) << _RED | np.uint64(green) << _GREEN | np.uint64(blue) << _BLUE


@_compiled
def _warp_packed(words: np.ndarray, affine: np.ndarray, table: np.ndarray, result: np.ndarray) -> None:
    """Resample one packed image, uint64 (side, side), into uint8 (size, size, 3)."""
    side, size = len(words), len(result)
    x_by_column, x_by_row, first_x, y_by_column, y_by_row, first_y = affine
    for row in range(size):
        # Along a row the input position moves by the same step from pixel to pixel, so that two additions replace the
        # matrix product. In integers the steps add up without rounding errors.
        x, y = first_x + row * x_by_row, first_y + row * y_by_row
        for column in range(size):
            left, top = x >> _FRACTION_BITS, y >> _FRACTION_BITS  # >> rounds down, below zero as well
            right, bottom = left + 1, top + 1
            if left < 0 or top < 0 or right >= side or bottom >= side:
                left, right = _reflected(left, side), _reflected(right, side)
                top, bottom = _reflected(top, side), _reflected(bottom, side)
            # Bilinear weights u v, (1 - u) v, u (1 - v) and, as what is left of 1, (1 - u)(1 - v): one multiplication,
            # and they add up to 1 exactly.
            from_left, from_top = _weight(x), _weight(y)
            lower_right = from_left * from_top
            lower_left = (from_top << np.uint64(_WEIGHT_BITS)) - lower_right
            upper_right = (from_left << np.uint64(_WEIGHT_BITS)) - lower_right
            word = (
                words[np.uint64(top), np.uint64(left)] * (_ONE - lower_right - lower_left - upper_right)
                + words[np.uint64(top), np.uint64(right)] * upper_right
                + words[np.uint64(bottom), np.uint64(left)] * lower_left
                + words[np.uint64(bottom), np.uint64(right)] * lower_right
                + _HALF
            ) >> np.uint64(2 * _WEIGHT_BITS)
            result[row, column, 0] = table[0, (word >> _RED) & np.uint64(255)]
            result[row, column, 1] = table[1, (word >> _GREEN) & np.uint64(255)]
            result[row, column, 2] = table[2, (word >> _BLUE) & np.uint64(255)]
            x, y = x + x_by_column, y + y_by_column


@_compiled
def _weight(position: int) -> np.uint64:
    """How far a position lies beyond its pixel, in 64ths. Unsigned, as Numba would else check for negative indices."""
    return np.uint64((position >> (_FRACTION_BITS - _WEIGHT_BITS)) & ((1 << _WEIGHT_BITS) - 1))


@_compiled
def _reflected(position: int, size: int) -> int:
    """The index that a position outside 0..size-1 mirrors to: 0 1 2 3 2 1 0 1 2 3 for a size of 4."""
    position = abs(position) % (2 * size - 2)
    return min(position, 2 * size - 2 - position)
