"""Random changes to training pictures: flip, shift, rotation, zoom, crop, colours, sharpness and cutout.

Every picture of every epoch has numbers of its own, drawn from (seed, epoch, sample), so the result depends neither on
the batch it is in nor on what was drawn before. Flip, shift, rotation, zoom and crop are one affine map, so that the
picture is resampled once; what the map brings in from outside is the picture's own reflection.
"""

from dataclasses import dataclass

import numpy as np

from dogvscat.config import AugmentationConfig
from dogvscat.learning.data.dataset import LabelledImages
from dogvscat.learning.data.random import stateless_uniform
from dogvscat.learning.data.warp import saturate, sharpen, warp

_MID_GREY = 128
_NUM_VALUES = 18

Place = tuple[int, int]
"""Seed of the training, and which pass over the pictures, from 0."""


@dataclass(frozen=True)
class _Draws:
    """What was drawn for each picture of a batch; every field has one row a picture."""

    maps: np.ndarray
    """float64 (num_images, 6): output to input coordinates, in pixels, as `warp` takes them."""
    tables: np.ndarray
    """uint8 (num_images, 3, 256): brightness, contrast and colour cast."""
    saturation: np.ndarray
    """float64 (num_images,): as `saturate` takes it."""
    sharpness: np.ndarray
    """float64 (num_images,): as `sharpen` takes it."""
    corners: np.ndarray
    """int64 (num_images, 2): top left of the hidden square, row and column."""


def augment(
    pictures: LabelledImages, samples: np.ndarray, image_size: int, config: AugmentationConfig, place: Place
) -> np.ndarray:
    """Changed copies of some training pictures.

    A crop is taken from the smallest of the sizes at hand that has a pixel for each of the result's, so that it shows
    what is really there and not an enlargement.

    Args:
        pictures: All of them.
        samples: int64 (num_images,), the number of each picture.
        image_size: Side of the result, in pixels.
        config: Which changes, how strong.
        place: Where in the training.

    Returns:
        uint8 (num_images, image_size, image_size, 3).
    """
    if not config.enabled:
        return pictures.pixels(samples, image_size)
    draws = _draw(config, image_size, stateless_uniform(*place, samples, _NUM_VALUES))
    result = np.empty((len(samples), image_size, image_size, 3), np.uint8)
    sides = _sides(draws.maps, image_size, pictures.image_sizes)
    for side in np.unique(sides):
        chosen = sides == side
        images = pictures.pixels(samples[chosen], side)
        result[chosen] = warp(images, draws.maps[chosen] * (side / image_size), draws.tables[chosen], image_size)
    if config.saturation:
        result = saturate(result, draws.saturation)
    if config.sharpness:
        result = sharpen(result, draws.sharpness)
    side = round(config.cutout * image_size)
    for image, (row, column) in zip(result, draws.corners, strict=True) if side else ():
        image[row : row + side, column : column + side] = _MID_GREY
    return result


def _sides(maps: np.ndarray, image_size: int, at_hand: np.ndarray) -> np.ndarray:
    """From which of the sizes at hand each picture is best resampled: int64 (num_images,)."""
    a, b, _, d, e, _ = maps.T
    step = np.sqrt(np.abs(a * e - b * d))  # pixels of the picture at image_size from one of the result's to the next
    wanted = np.rint(image_size / np.minimum(step, 1.0))
    return at_hand[np.minimum(np.searchsorted(at_hand, wanted), len(at_hand) - 1)]


def cutmix(
    images: np.ndarray, y_true: np.ndarray, samples: np.ndarray, config: AugmentationConfig, place: Place
) -> tuple[np.ndarray, np.ndarray]:
    """Paste a piece of the next picture of the batch over some of them, from the same place.

    Args:
        images: uint8 (num_images, image_size, image_size, 3); unchanged.
        y_true: int64 (num_images,), 0 or 1.
        samples: int64 (num_images,), the number of each training picture.
        config: Which share of them.
        place: Where in the training.

    Returns:
        The pictures, and their labels mixed by area, float32 (num_images,).

    Source: Yun et al., CutMix: regularization strategy to train strong classifiers with localizable features, 2019; the
    area is uniform, their Beta(1, 1).
    """
    labels = y_true.astype(np.float32)
    if not (config.enabled and config.cutmix):
        return images, labels
    size = images.shape[1]
    uniform = stateless_uniform(*place, samples, _NUM_VALUES + 4)[:, _NUM_VALUES:]  # (num_images, 4)
    sides = np.rint(np.sqrt(uniform[:, 1]) * size).astype(np.int64)
    corners = (uniform[:, 2:4] * (size - sides + 1)[:, None]).astype(np.int64)  # (num_images, 2)
    result = images.copy()
    for index in np.flatnonzero(uniform[:, 0] < config.cutmix):
        other, side, (row, column) = (index + 1) % len(images), sides[index], corners[index]
        result[index, row : row + side, column : column + side] = images[
            other, row : row + side, column : column + side
        ]
        share = side**2 / size**2
        labels[index] = (1 - share) * y_true[index] + share * y_true[other]
    return result, labels


def _draw(config: AugmentationConfig, size: int, uniform: np.ndarray) -> _Draws:
    signed = 2.0 * uniform - 1.0  # (num_images, _NUM_VALUES) in [-1, 1)
    mirror = np.where(uniform[:, 0] < 0.5, -1.0, 1.0) if config.flip else np.ones(len(uniform))
    shift_x, shift_y = signed[:, 1] * config.shift * size, signed[:, 2] * config.shift * size
    angle = np.deg2rad(signed[:, 3] * config.rotation)
    window = np.sqrt(config.smallest_crop + uniform[:, 13] * (1.0 - config.smallest_crop))  # its side, as a share
    shift_x, shift_y = (
        shift_x + signed[:, 14] * (1 - window) / 2 * size,
        shift_y + signed[:, 15] * (1 - window) / 2 * size,
    )
    scale = window / (1.0 + signed[:, 4] * config.zoom)
    stretch = (1.0 + config.aspect) ** (signed[:, 12] / 2)  # as often wider as narrower, at equal area
    side = round(config.cutout * size)
    corners = np.stack([uniform[:, 7] * (size - side + 1), uniform[:, 8] * (size - side + 1)], axis=1)
    return _Draws(
        maps=_affine_maps(size, mirror, angle, (scale * stretch, scale / stretch), (shift_x, shift_y)),
        tables=_tables(
            signed[:, 5:6] * config.brightness + signed[:, 9:12] * config.color_cast,
            1.0 + signed[:, 6] * config.contrast,
        ),
        saturation=1.0 + signed[:, 17] * config.saturation,
        sharpness=signed[:, 16] * config.sharpness,
        corners=corners.astype(np.int64),
    )


def _affine_maps(
    size: int,
    mirror: np.ndarray,
    angle: np.ndarray,
    scale: tuple[np.ndarray, np.ndarray],
    shift: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Maps from output to input pixels, about the centre: (num_images, 6)."""
    across, down = mirror * scale[0], scale[1]
    a, b = across * np.cos(angle), -across * np.sin(angle)
    d, e = down * np.sin(angle), down * np.cos(angle)
    centre = size / 2
    c = centre + shift[0] - (a + b) * centre
    f = centre + shift[1] - (d + e) * centre
    return np.stack([a, b, c, d, e, f], axis=1)


def _tables(brightness: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """What each of the 256 values becomes, for each picture and colour: uint8 (num_images, 3, 256)."""
    values = np.arange(256, dtype=np.float64) - _MID_GREY
    changed = values * contrast[:, None, None] + _MID_GREY + 255.0 * brightness[:, :, None]
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
