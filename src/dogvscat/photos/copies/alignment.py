"""Moves, scales and turns a tiny picture until it lies on another one, and measures how well the two agree.

Source: Lucas and Kanade, An iterative image registration technique, IJCAI 1981, for many pairs of pictures at once.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from dogvscat.photos.copies.landmarks import THUMBNAIL_SIDE, blurred, by_rows, product

Band = tuple[float, float]
"""The standard deviations of the two Gaussians whose difference is a texture, in pixels, the smaller one first."""
BROAD: Band = (1.0, 5.0)
"""For aligning two pictures that are still some pixels apart. Here even unrelated dark shapes on light ground agree."""
FINE: Band = (0.7, 2.5)
FINEST: Band = (0.6, 1.5)
"""`FINE` and `FINEST` are for distinguishing copies from unrelated pictures."""

_TEXTURE_STEPS = 32.0  # int8 values per standard deviation of a texture
_PART_SIDE = 4  # pixels; a picture has 64 such parts
_BEST_PARTS = 0.9
"""The share of the parts that must agree; the worst ones may show a printed date, or corners that are missing."""
_LEAST_VARIANCE = 0.03
"""Added to the variance of each part, as a share of the mean variance: a part without texture has only noise."""
_ZOOM_STEP = 1.1
"""Textures of a picture are computed for zooms in steps of this factor."""
_MOST_ZOOM = 1.8
"""A crop by 15% on each side enlarges by 1.43, and one by 22% by 1.8."""
_MOST_CORRECTION = 3.0  # pixels per step: where the pictures hardly agree, a step may point anywhere
_CHUNK = 2048  # pictures at a time


@dataclass(frozen=True)
class Moves:
    """Affine maps from one picture to another; each field has one value per pair of pictures."""

    first: np.ndarray
    """Index of the first picture of each pair: int (n,)."""
    second: np.ndarray
    """Index of the second picture of each pair: int (n,)."""
    matrix: np.ndarray
    """Takes a distance (y, x) in the first picture to one in the second: float32 (n, 2, 2)."""
    offset: np.ndarray
    """Where the first pixel of the first picture lies in the second: float32 (n, 2)."""
    polarity: np.ndarray
    """-1 where one of the pictures is a negative of the other, else 1: float32 (n,)."""

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: np.ndarray) -> "Moves":
        return Moves(*(getattr(self, field.name)[chosen] for field in fields(Moves)))

    def positions(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points (y, x) of the first picture lie in the second: y and x, each float32 (n, num_points)."""
        points = np.stack([y, x, np.ones_like(y)])
        moved = product(np.concatenate([self.matrix, self.offset[:, :, None]], axis=2).reshape(-1, 3), points)
        return moved[::2], moved[1::2]

    def zoom(self) -> np.ndarray:
        """By which factor things are larger in the second picture: float32 (n,)."""
        zoom: np.ndarray = np.sqrt(np.abs(np.linalg.det(self.matrix)))
        return zoom

    def enlarging(self) -> "Moves":
        """The same moves, each directed from the wider view to the picture that shows things larger."""
        backward = self.zoom() < 1
        inverse = np.linalg.inv(np.where(backward[:, None, None], self.matrix, np.eye(2, dtype=np.float32)))
        inverse_offset = -(inverse @ self.offset[:, :, None])[:, :, 0]
        return Moves(
            first=np.where(backward, self.second, self.first),
            second=np.where(backward, self.first, self.second),
            matrix=np.where(backward[:, None, None], inverse, self.matrix),
            offset=np.where(backward[:, None], inverse_offset, self.offset),
            polarity=self.polarity,
        )


@dataclass(frozen=True)
class Agreement:
    """How well pairs of pictures agree where they lie on each other; each field has one value per pair."""

    correlation: np.ndarray
    """-1 to 1; brightness and contrast do not matter, and negatives were inverted."""
    overlap: np.ndarray
    """Share of the first picture that lies on the second."""


def textures(gray: np.ndarray, band: Band, zoom: float = 1.0) -> np.ndarray:
    """The textures of pictures: the difference of two blurred copies, scaled to the same contrast in all pictures.

    Args:
        gray: uint8 (num_pictures, side, side).
        band: The scales.
        zoom: By which factor things are larger in these pictures than in those they are compared with.

    Returns:
        int8 (num_pictures, side, side).
    """
    result = np.empty(gray.shape, dtype=np.int8)
    for start in range(0, len(gray), _CHUNK):
        rows = by_rows(gray[start : start + _CHUNK])
        detail = blurred(rows, band[0] * zoom) - blurred(rows, band[1] * zoom)
        detail *= _TEXTURE_STEPS / (detail.std(axis=(0, 2), keepdims=True) + 1e-3)
        result[start : start + _CHUNK] = np.clip(np.rint(detail), -127, 127).transpose(1, 0, 2)
    return result


def at_grid(texture: np.ndarray, side: int) -> np.ndarray:
    """The values of textures at side x side evenly spread points: int8 (num_pictures, side * side)."""
    y, x = (points.astype(np.intp) for points in _grid(side))
    return texture[:, y, x]


def rough_agreement(texture: np.ndarray, grid_texture: np.ndarray, moves: Moves) -> Agreement:
    """How well pictures agree at the points of a grid, where the nearest pixel stands for each point.

    It runs for millions of pairs, so it is written for speed.

    Args:
        texture: From `textures`, of all pictures.
        grid_texture: From `at_grid`, of the same pictures.
        moves: The pairs.
    """
    y, x = (np.floor(points) for points in _grid(math.isqrt(grid_texture.shape[1])))
    moved_y, moved_x = moves.positions(y, x)
    row, column = (moved_y + 0.5).astype(np.int32), (moved_x + 0.5).astype(np.int32)
    # A coordinate that is negative or at least THUMBNAIL_SIDE has some bit above the lowest five set.
    inside = ((row | column) & -THUMBNAIL_SIDE) == 0
    pixel = np.where(inside, row * THUMBNAIL_SIDE + column, 0) + moves.second[:, None] * THUMBNAIL_SIDE**2
    weight = inside.astype(np.float32)
    first = grid_texture[moves.first] * weight
    second = texture.reshape(-1).take(pixel) * weight
    count = np.maximum(inside.sum(axis=1), 1)
    first_mean, second_mean = first.sum(axis=1) / count, second.sum(axis=1) / count
    covariance = np.einsum("np,np->n", first, second) / count - first_mean * second_mean
    first_variance = np.einsum("np,np->n", first, first) / count - first_mean**2
    second_variance = np.einsum("np,np->n", second, second) / count - second_mean**2
    correlation = covariance / np.sqrt(np.maximum(first_variance * second_variance, 1e-3)) * moves.polarity
    return Agreement(correlation, count / len(y))


def refined(texture: np.ndarray, moves: Moves, side: int) -> tuple[Agreement, Moves]:
    """One step towards the move with which the pictures agree best; shear and unequal scales are allowed.

    Args:
        texture: From `textures`, of all pictures.
        moves: The pairs.
        side: The pictures are compared at side x side points.

    Returns:
        The agreement before the step, and the moves after it.
    """
    y, x = _grid(side)
    pixels, slope_y, slope_x, inside = _interpolated(texture, moves.second, *moves.positions(y, x))
    first = _Standardized.of(_at_points(texture, moves.first, y, x), inside)
    second = _Standardized.of(pixels, inside)
    # Least squares: by how much must each of the six numbers of the move change for the second picture to become the
    # first? Positions are relative to the middle, so that all six have similar effects, in pixels.
    middle = (THUMBNAIL_SIDE - 1) / 2
    relative = np.stack([(y - middle) / middle, (x - middle) / middle, np.ones_like(y)])  # (3, num_points)
    effects = np.concatenate([relative * (slope_y * inside)[:, None], relative * (slope_x * inside)[:, None]], axis=1)
    residual = first.values * moves.polarity[:, None] - second.values  # (n, num_points)
    normal = effects @ effects.transpose(0, 2, 1)  # (n, 6, 6)
    # Without slopes in some direction a picture could move far along it; a little of the mean diagonal prevents that.
    normal += np.eye(6, dtype=np.float32) * (1e-3 * np.trace(normal, axis1=1, axis2=2) + 1e-3)[:, None, None]
    change = np.linalg.solve(normal, effects @ (residual * second.spread[:, None])[:, :, None])
    change = np.clip(change.reshape(-1, 2, 3), -_MOST_CORRECTION, _MOST_CORRECTION)
    matrix_change = change[:, :, :2] / middle
    offset_change = change[:, :, 2] - matrix_change.sum(axis=2) * middle
    moved = replace(moves, matrix=moves.matrix + matrix_change, offset=moves.offset + offset_change)
    return _agreement(first, second, moves.polarity), moved


def part_agreement(thumbnails: np.ndarray, moves: Moves, band: Band) -> Agreement:
    """How well small parts of pictures agree, at every pixel of the picture with the wider view.

    The correlation of whole pictures is high if they share one large outline. So each part of 4 x 4 pixels has equal
    weight. A tenth of the parts may differ, such as a date printed on one copy, or corners that a turned copy lacks.

    Args:
        thumbnails: uint8 (num_pictures, THUMBNAIL_SIDE, THUMBNAIL_SIDE), gray.
        moves: The pairs.
        band: The scales of texture, in pixels of the picture with the wider view. The other one, which shows things
            larger, is blurred more by the same factor, so that both lack the same details.

    Returns:
        The agreement; its correlation is the mean over the best parts.
    """
    moves = moves.enlarging()
    y, x = _grid(THUMBNAIL_SIDE)
    first = textures(thumbnails[moves.first], band).reshape(len(moves), len(y)).astype(np.float32)
    second, inside = np.zeros_like(first), np.zeros(first.shape, dtype=bool)
    zoom_steps = np.rint(np.log(np.clip(moves.zoom(), 1, _MOST_ZOOM)) / np.log(_ZOOM_STEP))
    for zoom_step in np.unique(zoom_steps):
        members = np.flatnonzero(zoom_steps == zoom_step)
        texture = textures(thumbnails[moves.second[members]], band, _ZOOM_STEP**zoom_step)
        positions = moves[members].positions(y, x)
        second[members], _, _, inside[members] = _interpolated(texture, np.arange(len(members)), *positions)
    parts = (_in_parts(values) for values in (first, second * moves.polarity[:, None], inside))
    correlation = _mean_of_best_parts(*parts)
    return Agreement(correlation, inside.mean(axis=1))


def _in_parts(pixels: np.ndarray) -> np.ndarray:
    """Pixels (n, THUMBNAIL_SIDE ** 2) by part: (n, num_parts, _PART_SIDE ** 2)."""
    per_side = THUMBNAIL_SIDE // _PART_SIDE
    parts = pixels.reshape(-1, per_side, _PART_SIDE, per_side, _PART_SIDE).transpose(0, 1, 3, 2, 4)
    return parts.reshape(len(pixels), per_side**2, _PART_SIDE**2)


def _mean_of_best_parts(first: np.ndarray, second: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mean correlation of the best parts: float32 (n,). Parts that mostly lie outside the overlap do not count.

    Args:
        first: float32 (n, num_parts, num_pixels).
        second: Likewise.
        inside: Whether a pixel lies in the overlap.
    """
    count = np.maximum(inside.sum(axis=2), 1)
    first, second = (
        (values - np.einsum("npk,npk->np", values, inside)[:, :, None] / count[:, :, None]) * inside
        for values in (first, second)
    )
    covariance = np.einsum("npk,npk->np", first, second) / count
    first_variance, second_variance = (np.einsum("npk,npk->np", part, part) / count for part in (first, second))
    first_variance += _LEAST_VARIANCE * first_variance.mean(axis=1, keepdims=True)
    second_variance += _LEAST_VARIANCE * second_variance.mean(axis=1, keepdims=True)
    correlation = covariance / np.sqrt(first_variance * second_variance + 1e-9)
    counts = inside.sum(axis=2) >= _PART_SIDE**2 / 2
    ranked = -np.sort(np.where(counts, -correlation, 2.0), axis=1)  # the best first, those that do not count last
    num_best = np.maximum(np.rint(counts.sum(axis=1) * _BEST_PARTS), 1)
    is_best = np.arange(ranked.shape[1]) < num_best[:, None]
    mean: np.ndarray = (ranked * is_best).sum(axis=1) / num_best
    return mean


@dataclass(frozen=True)
class _Standardized:
    """Values at points of many pictures with mean 0 and standard deviation 1; 0 outside the overlap."""

    values: np.ndarray
    """float32 (n, num_points)."""
    spread: np.ndarray
    """The standard deviation before: float32 (n,)."""
    count: np.ndarray
    """Number of points in the overlap: (n,)."""

    @classmethod
    def of(cls, values: np.ndarray, inside: np.ndarray) -> "_Standardized":
        count = np.maximum(inside.sum(axis=1), 1).astype(np.float32)
        mean = np.einsum("np,np->n", values, inside) / count
        centered = (values - mean[:, None]) * inside
        spread = np.sqrt(np.einsum("np,np->n", centered, centered) / count + 1e-3)
        return cls(centered / spread[:, None], spread, count)


def _agreement(first: _Standardized, second: _Standardized, polarity: np.ndarray) -> Agreement:
    correlation = np.einsum("np,np->n", first.values, second.values) / first.count * polarity
    return Agreement(correlation, first.count / first.values.shape[1])


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Points that are evenly spread over a picture: y and x, each float32 (side * side,)."""
    line = ((np.arange(side) + 0.5) * THUMBNAIL_SIDE / side - 0.5).astype(np.float32)
    return np.repeat(line, side), np.tile(line, side)


def _at_points(texture: np.ndarray, picture: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The values at the same points of many pictures: float32 (num_pictures, num_points)."""
    return _interpolated(
        texture, picture, *(np.broadcast_to(points, (len(picture), len(points))) for points in (y, x))
    )[0]


def _interpolated(
    texture: np.ndarray, picture: np.ndarray, y: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values between pixels.

    Args:
        texture: int8 (num_pictures, THUMBNAIL_SIDE, THUMBNAIL_SIDE).
        picture: int (n,).
        y: float32 (n, num_points), like `x`.
        x: The positions.

    Returns:
        Value, slope down, slope to the right, and whether the position is inside the picture: each (n, num_points).
    """
    last = THUMBNAIL_SIDE - 1
    inside = (y >= 0) & (y <= last) & (x >= 0) & (x <= last)
    y, x = np.clip(y, 0, last - 0.001), np.clip(x, 0, last - 0.001)  # room for the neighbors below and at the right
    row, column = y.astype(np.intp), x.astype(np.intp)
    down, right = (y - row).astype(np.float32), (x - column).astype(np.float32)
    pixel = (picture.astype(np.intp) * THUMBNAIL_SIDE**2)[:, None] + row * THUMBNAIL_SIDE + column
    flat = texture.reshape(-1)
    corners = (flat[pixel + step].astype(np.float32) for step in (0, 1, THUMBNAIL_SIDE, THUMBNAIL_SIDE + 1))
    top_left, top_right, bottom_left, bottom_right = corners
    upper_slope, lower_slope = top_right - top_left, bottom_right - bottom_left
    upper, lower = top_left + upper_slope * right, bottom_left + lower_slope * right
    slope_y, slope_x = lower - upper, upper_slope + (lower_slope - upper_slope) * down
    return upper + slope_y * down, slope_y, slope_x, inside
