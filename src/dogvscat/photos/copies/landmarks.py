"""Landmarks: bright or dark spots that are found again after a picture was cropped, shifted, framed or turned.

A landmark has a position, axes and a description of its surroundings along these axes. If two pictures have landmarks
that are described alike, they may show the same scene, and the axes say how one would lie on the other. Source of the
idea: Lowe, Distinctive image features from scale-invariant keypoints, IJCV 60, 2004; here in tiny pictures and with
descriptions of a few bits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal

import numpy as np

from dogvscat import stderr

THUMBNAIL_SIDE = 32
"""Side of the gray pictures that landmarks are searched in, in pixels."""

# Sizes are standard deviations of Gaussians, in pixels of the thumbnail: the rungs of a ladder, each 1.149 times the
# one before. A crop by 15% on each side enlarges by 1.43. The sizes of spots span that factor and more. The steps are
# so small that a description hardly changes when the size is wrong by half a step.
_NUM_SIZES = 7
_FIRST_SIZE, _RUNGS_PER_OCTAVE = 1.1, 5
# Blurs in rungs relative to the spot. A spot is compared with its surroundings (1.5 times its size). Its description is
# sampled from a sharper picture (0.57 times), and the direction of its axes is measured in a softer one (2 times).
_TO_SURROUNDINGS, _TO_SHARP, _TO_SOFT = 3, -4, 5
_PER_SIZE = 8
"""At most this many landmarks of each size, those that stand out most."""
_LEAST_CONTRAST = 0.5
"""In gray values of 255; a spot that stands out less may be noise."""

_PATCH_SIDE, _PATCH_STEP = 6, 1.3  # samples along the described square, and their distance in sizes of the spot
_OVERHANG = 1.0  # pixels by which the described square may reach beyond the picture
_WAVES = 5  # cosine frequencies along each side of the square
# Frequencies (y, x) of the description, the lowest first. (0, 0) is the mean; (0, 1) and (1, 0) are the gradient, whose
# direction the axes have.
_FREQUENCIES = [(y, total - y) for total in range(1, 2 * _WAVES - 1) for y in range(total + 1)]
_FREQUENCIES = [pair for pair in _FREQUENCIES if max(pair) < _WAVES and pair not in ((0, 1), (1, 0))]
_FREQUENCY_Y, _FREQUENCY_X = np.array(_FREQUENCIES).T
_BIT_VALUES = (2.0 ** np.arange(len(_FREQUENCIES))).astype(np.float32)
_AMBIGUOUS = 0.05
"""Frequency (1, 1) decides whether a description is mirrored. If it is weaker than this, both versions are kept. The
length of a description is 1."""
_NUM_CODED = 21  # frequencies in the code: 21 x 3 bits fit into 64
_CODE_LIMITS = np.array([0.4, 0.9, 1.6], dtype=np.float32)
_TYPICAL = (0.5 / (_FREQUENCY_Y + _FREQUENCY_X) ** 1.3).astype(np.float32)  # strengths in real photos

_ONE_THREAD = 2**18  # multiplications up to which OpenBLAS uses one thread
_CHUNK = 128  # pictures at a time: 0.5 MB for each float array of them, so that they stay in a cache


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of many pictures; each field has one value per landmark."""

    picture: np.ndarray
    """Index of the picture: int32 (n,)."""
    y: np.ndarray
    """Position in pixels of the thumbnail: float32 (n,), like `x`."""
    x: np.ndarray
    axes: np.ndarray
    """Takes (y, x) of the description to (y, x) of the thumbnail, in pixels: float32 (n, 2, 2)."""
    polarity: np.ndarray
    """1 for a bright spot, -1 for a dark one: int8 (n,). Dark ones are described as if they were bright."""
    key: np.ndarray
    """Signs of the description: int32 (n,), equal for most copies."""
    second_key: np.ndarray
    """The key with its least certain bit flipped: int32 (n,)."""
    code: np.ndarray
    """Strengths of the frequencies of the description: uint64 (n,). Similar descriptions differ in few bits."""

    def __len__(self) -> int:
        return len(self.key)


def find_landmarks(thumbnails: np.ndarray, chunk_map: Callable[..., Iterable[Landmarks]] = map) -> Landmarks:
    """The landmarks of many pictures.

    Args:
        thumbnails: uint8 (num_pictures, THUMBNAIL_SIDE, THUMBNAIL_SIDE), gray; at least one.
        chunk_map: The `map` of an executor, to process several chunks at the same time.
    """
    starts = range(0, len(thumbnails), _CHUNK)
    parts = chunk_map(lambda start: _find_in_chunk(thumbnails[start : start + _CHUNK], start), starts)
    return _joined(list(stderr.track(parts, "Finding landmarks", len(starts))))


def blurred(rows: np.ndarray, size: float) -> np.ndarray:
    """Pictures blurred with a Gaussian.

    Args:
        rows: float32 (side, num_pictures, side): the first rows of all pictures, then the second rows, and so on. So
            each direction is a product with one large matrix, which takes a third of the time of many small ones.
        size: The standard deviation in pixels.
    """
    side = len(rows)
    matrix = _blur_matrix(size, side)
    blurred_along_x = product(rows.reshape(-1, side), matrix.T)
    # The same along y, with rows and columns exchanged, so that `product` again cuts the long side into pieces.
    return product(blurred_along_x.reshape(side, -1).T, matrix.T).T.reshape(rows.shape)


def product(long: np.ndarray, small: np.ndarray) -> np.ndarray:
    """The matrix product long @ small, float32, computed by the calling thread only.

    For large products the linear algebra library behind NumPy wakes threads of its own. Several threads that do so at
    once wait for each other, spinning, and take two to three times the time of the processor.
    """
    order: Literal["F", "C"] = "F" if long.flags.f_contiguous else "C"
    result = np.empty((len(long), small.shape[1]), np.float32, order)
    num_rows = max(1, _ONE_THREAD // small.size)
    for start in range(0, len(long), num_rows):
        np.matmul(long[start : start + num_rows], small, out=result[start : start + num_rows])
    return result


def by_rows(pictures: np.ndarray) -> np.ndarray:
    """Pictures (num_pictures, side, side) in the order that `blurred` takes: float32 (side, num_pictures, side)."""
    return np.ascontiguousarray(pictures.transpose(1, 0, 2), dtype=np.float32)


@lru_cache
def _blur_matrix(size: float, side: int) -> np.ndarray:
    """Blurs a line of pixels: float32 (side, side). Beyond its ends the line is mirrored."""
    reach = int(np.ceil(4 * size))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * size**2))
    sources = (np.arange(side)[:, None] + offsets) % (2 * side)
    sources = np.where(sources < side, sources, 2 * side - 1 - sources)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], sources), weights / weights.sum())
    return matrix.astype(np.float32)


def _joined(parts: Sequence[Landmarks]) -> Landmarks:
    return Landmarks(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Landmarks)))


def _find_in_chunk(thumbnails: np.ndarray, first_picture: int) -> Landmarks:
    rows = by_rows(thumbnails)
    ladder = {rung: blurred(rows, _size(rung)) for rung in range(_TO_SHARP, _NUM_SIZES + _TO_SOFT)}
    return _joined([_of_size(ladder, rung, first_picture) for rung in range(_NUM_SIZES)])


def _size(rung: int) -> float:
    return float(_FIRST_SIZE * 2 ** (rung / _RUNGS_PER_OCTAVE))


def _of_size(ladder: Mapping[int, np.ndarray], rung: int, first_picture: int) -> Landmarks:
    picture, y, x, polarity = _find_spots(ladder[rung] - ladder[rung + _TO_SURROUNDINGS], _size(rung))
    axes = _axes(ladder[rung + _TO_SOFT], picture, y, x, polarity) * np.float32(_size(rung))
    patches = _sample(ladder[rung + _TO_SHARP], picture, y, x, axes) * polarity[:, None, None]
    described, is_mirrored, description = _describe(patches)
    key = (description > 0) @ _BIT_VALUES  # exact, as all are below 2 ** 24, and float products are much faster
    # Two descriptions that differ in one bit are still compared, if that bit is the least certain one of either.
    uncertain_bit = np.abs(description).argmin(axis=1)
    axes = axes[described]
    axes[is_mirrored, :, 0] *= -1
    return Landmarks(
        picture=(picture[described] + first_picture).astype(np.int32),
        y=y[described],
        x=x[described],
        axes=axes,
        polarity=polarity[described].astype(np.int8),
        key=key.astype(np.int32),
        second_key=key.astype(np.int32) ^ (1 << uncertain_bit).astype(np.int32),
        code=_code(description),
    )


def _find_spots(contrast: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The pixels that differ from their surroundings more than all eight neighbors do.

    Args:
        contrast: How much brighter a pixel is than its surroundings, float32 (side, num_pictures, side).
        size: Of the spots, in pixels.

    Returns:
        Picture, y and x to a fraction of a pixel, and polarity of each spot.
    """
    side = len(contrast)
    margin = max(1, int(np.ceil(size * _PATCH_STEP * (_PATCH_SIDE - 1) / 2 - _OVERHANG)))
    strength = np.abs(contrast[margin - 1 : side - margin + 1, :, margin - 1 : side - margin + 1])
    row_peak = np.maximum(np.maximum(strength[:, :, :-2], strength[:, :, 1:-1]), strength[:, :, 2:])
    peak = np.maximum(np.maximum(row_peak[:-2], row_peak[1:-1]), row_peak[2:])
    inner = strength[1:-1, :, 1:-1]
    y, picture, x = np.nonzero((inner == peak) & (inner > _LEAST_CONTRAST))
    # The strongest of each picture: sorted by picture and strength, the rank is the position within the picture.
    order = np.lexsort((-inner[y, picture, x], picture))
    rank = np.arange(len(order)) - np.searchsorted(picture[order], picture[order])
    order = order[rank < _PER_SIZE]
    picture, y, x = picture[order], y[order] + margin, x[order] + margin
    center = contrast[y, picture, x]
    fine_y = y + _vertex(contrast[y - 1, picture, x], center, contrast[y + 1, picture, x])
    fine_x = x + _vertex(contrast[y, picture, x - 1], center, contrast[y, picture, x + 1])
    return picture, fine_y.astype(np.float32), fine_x.astype(np.float32), np.sign(center)


def _vertex(before: np.ndarray, center: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where the parabola through three equally spaced values has its extremum, in -0.5..0.5 of the spacing."""
    curvature = before - 2 * center + after
    is_flat = np.abs(curvature) < 1e-6
    vertex = (before - after) / (2 * np.where(is_flat, 1, curvature))
    return np.where(is_flat, 0, np.clip(vertex, -0.5, 0.5))


def _axes(soft: np.ndarray, picture: np.ndarray, y: np.ndarray, x: np.ndarray, polarity: np.ndarray) -> np.ndarray:
    """Axes of each spot, the second one in the direction in which the surroundings get brighter.

    So a landmark is described in the same way when its picture is turned, by any angle.

    Returns:
        float32 (num_spots, 2, 2), whose columns are unit vectors (y, x) at right angles.
    """
    down = (_interpolated(soft, picture, y + 1, x) - _interpolated(soft, picture, y - 1, x)) * polarity
    right = (_interpolated(soft, picture, y, x + 1) - _interpolated(soft, picture, y, x - 1)) * polarity
    length = np.sqrt(down**2 + right**2) + 1e-6
    down, right = down / length, right / length
    return np.stack([np.stack([right, down], axis=1), np.stack([-down, right], axis=1)], axis=1).astype(np.float32)


def _sample(rows: np.ndarray, picture: np.ndarray, y: np.ndarray, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The square along the axes of each spot, interpolated between pixels.

    Args:
        rows: float32 (side, num_pictures, side).
        picture: Index of the picture of each spot.
        y: Position of each spot, like `x`.
        x: In pixels.
        axes: float32 (num_spots, 2, 2).

    Returns:
        float32 (num_spots, _PATCH_SIDE, _PATCH_SIDE).
    """
    line = ((np.arange(_PATCH_SIDE) - (_PATCH_SIDE - 1) / 2) * _PATCH_STEP).astype(np.float32)
    patch_y, patch_x = np.repeat(line, _PATCH_SIDE), np.tile(line, _PATCH_SIDE)
    ys = y[:, None] + axes[:, 0, 0, None] * patch_y + axes[:, 0, 1, None] * patch_x
    xs = x[:, None] + axes[:, 1, 0, None] * patch_y + axes[:, 1, 1, None] * patch_x
    return _interpolated(rows, picture[:, None], ys, xs).reshape(-1, _PATCH_SIDE, _PATCH_SIDE)


def _interpolated(rows: np.ndarray, picture: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The values of pictures, float32 (side, num_pictures, side), between pixels; beyond the edge the last one."""
    side, num_pictures = rows.shape[:2]
    y, x = np.clip(y, 0, side - 1.001), np.clip(x, 0, side - 1.001)  # leaves room for the neighbors
    row, column = y.astype(np.int32), x.astype(np.int32)
    down, right = (y - row).astype(np.float32), (x - column).astype(np.float32)
    row_step = num_pictures * side  # from a pixel to the one below
    index = row * row_step + picture * side + column
    pixels = rows.reshape(-1)
    top_left, bottom_left = pixels[index], pixels[index + row_step]
    upper = top_left + (pixels[index + 1] - top_left) * right
    lower = bottom_left + (pixels[index + row_step + 1] - bottom_left) * right
    result: np.ndarray = upper + (lower - upper) * down
    return result


def _describe(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The low cosine frequencies of each square, mirrored if need be for frequency (1, 1) to be positive.

    Returns:
        Index of the patch, whether it was mirrored, and description float32 (num_descriptions, len(_FREQUENCIES)).
        A patch in which that frequency is weak has two descriptions, plain and mirrored.
    """
    waves = np.cos(np.pi * np.arange(_WAVES)[:, None] * (np.arange(_PATCH_SIDE) + 0.5) / _PATCH_SIDE)
    waves[0] /= np.sqrt(2)
    waves = waves.astype(np.float32)
    spectrum = waves @ patches @ waves.T  # (num_patches, _WAVES, _WAVES)
    spectrum[:, 0, 0] = 0
    spectrum /= np.sqrt((spectrum**2).sum(axis=(1, 2), keepdims=True)) + 1e-6
    description = spectrum[:, _FREQUENCY_Y, _FREQUENCY_X]
    mirrored_description = description * np.where(_FREQUENCY_Y % 2, -1, 1).astype(np.float32)
    plain = np.flatnonzero(spectrum[:, 1, 1] > -_AMBIGUOUS)
    mirrored = np.flatnonzero(spectrum[:, 1, 1] < _AMBIGUOUS)
    is_mirrored = np.repeat([False, True], [len(plain), len(mirrored)])
    descriptions = np.concatenate([description[plain], mirrored_description[mirrored]])
    return np.concatenate([plain, mirrored]), is_mirrored, descriptions


def _code(description: np.ndarray) -> np.ndarray:
    """The strengths of the frequencies in steps: uint64, one bit for each limit that is exceeded."""
    strength = np.abs(description[:, :_NUM_CODED]) / _TYPICAL[:_NUM_CODED]
    bits = (strength[:, :, None] > _CODE_LIMITS).reshape(len(description), 3 * _NUM_CODED)
    return np.packbits(np.pad(bits, ((0, 0), (0, 1))), axis=1).view(np.uint64)[:, 0]
