"""Random changes to training images: flip, shift, rotation, zoom, crop, colors, sharpness, cutout and cutmix.

Each image of each epoch gets its own numbers, drawn from (seed, epoch, sample). The result therefore depends neither on
the batch that the image is in nor on what was drawn before. Flip, shift, rotation, zoom and crop are combined into one
affine map, so that the image is resampled only once; beyond its edges the image is continued by its reflection.
"""

from dataclasses import dataclass

import numpy as np

from dogvscat.config import AugmentationConfig
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.learning.data.random import stateless_uniform
from dogvscat.learning.data.warp import saturate, sharpen, warp

_MID_GRAY = 128

# Columns of a sample's uniform numbers: 0 flip, 1-2 shift, 3 rotation, 4 zoom, 5 brightness, 6 contrast, 7-8 cutout,
# 9-11 color cast, 12 aspect, 13 crop's area, 14-15 its position, 16 sharpness, 17 saturation; the next 4 are cutmix's.
_NUM_VALUES = 18

RandomKey = tuple[int, int]
"""(seed of the training, epoch from 0): together with the index of a sample, all that its random numbers depend on."""


@dataclass(frozen=True)
class _Draws:
    """The changes drawn for a batch; every field has one row per image."""

    maps: np.ndarray
    """float64 (num_images, 6): output to input coordinates, in pixels, as `warp` takes them."""
    tables: np.ndarray
    """uint8 (num_images, 3, 256): brightness, contrast and color cast."""
    saturation: np.ndarray
    """float64 (num_images,): as `saturate` takes it."""
    sharpness: np.ndarray
    """float64 (num_images,): as `sharpen` takes it."""
    corners: np.ndarray
    """int64 (num_images, 2): row and column of the top left pixel of the square that cutout hides."""


def augment(
    images: LabeledImages, samples: np.ndarray, image_size: int, config: AugmentationConfig, key: RandomKey
) -> np.ndarray:
    """Changed copies of some training images.

    A crop is taken from the smallest cached size that has a pixel for each pixel of the result, so that the result
    shows real detail and is not an enlargement.

    Args:
        images: All training images.
        samples: int64 (num_images,), the index of each image that is wanted.
        image_size: Side of the result, in pixels.
        config: Which changes to make, and how strong.
        key: Seed and epoch.

    Returns:
        uint8 (num_images, image_size, image_size, 3).
    """
    if not config.enabled:
        return images.pixels(samples, image_size)
    draws = _draw(config, image_size, stateless_uniform(*key, samples, _NUM_VALUES))
    result = np.empty((len(samples), image_size, image_size, 3), np.uint8)
    source_sizes = _source_sizes(draws.maps, image_size, np.array(sorted(images.cached_images)))
    for source_size in np.unique(source_sizes):
        chosen = source_sizes == source_size
        maps = draws.maps[chosen] * (source_size / image_size)  # they lead to coordinates at `image_size`
        result[chosen] = warp(images.pixels(samples[chosen], source_size), maps, draws.tables[chosen], image_size)
    if config.saturation:
        result = saturate(result, draws.saturation)
    if config.sharpness:
        result = sharpen(result, draws.sharpness)
    if side := round(config.cutout * image_size):
        for image, (row, column) in zip(result, draws.corners, strict=True):
            image[row : row + side, column : column + side] = _MID_GRAY
    return result


def cutmix(
    pixels: np.ndarray, y_true: np.ndarray, samples: np.ndarray, config: AugmentationConfig, key: RandomKey
) -> tuple[np.ndarray, np.ndarray]:
    """Paste a square of the next image of the batch over some of the images, at the same position.

    Args:
        pixels: uint8 (num_images, image_size, image_size, 3); unchanged.
        y_true: int64 (num_images,), 0 or 1.
        samples: int64 (num_images,), the index of each training image.
        config: `cutmix` is the share of the images that get such a square.
        key: Seed and epoch.

    Returns:
        The images, and their labels mixed by area, float32 (num_images,).

    Source: Yun et al., CutMix: regularization strategy to train strong classifiers with localizable features, 2019; the
    area of the square is uniform, which is their Beta(1, 1).
    """
    labels = y_true.astype(np.float32)
    if not (config.enabled and config.cutmix):
        return pixels, labels
    size = pixels.shape[1]
    uniform = stateless_uniform(*key, samples, _NUM_VALUES + 4)[:, _NUM_VALUES:]  # (num_images, 4)
    sides = np.rint(np.sqrt(uniform[:, 1]) * size).astype(np.int64)
    corners = (uniform[:, 2:4] * (size - sides + 1)[:, None]).astype(np.int64)  # (num_images, 2)
    result = pixels.copy()
    for index in np.flatnonzero(uniform[:, 0] < config.cutmix):
        donor, side, (row, column) = (index + 1) % len(pixels), sides[index], corners[index]
        square = pixels[donor, row : row + side, column : column + side]
        result[index, row : row + side, column : column + side] = square
        # Cross-entropy is linear in the label. A label mixed by area therefore gives the same loss as two terms, one
        # for the class of each image, weighted by the area that it fills.
        area = side**2 / size**2
        labels[index] = (1 - area) * y_true[index] + area * y_true[donor]
    return result, labels


def _draw(config: AugmentationConfig, size: int, uniform: np.ndarray) -> _Draws:
    signed = 2.0 * uniform - 1.0  # (num_images, _NUM_VALUES) in [-1, 1)
    mirror = np.where(uniform[:, 0] < 0.5, -1.0, 1.0) if config.flip else np.ones(len(uniform))
    shift_x, shift_y = signed[:, 1] * config.shift * size, signed[:, 2] * config.shift * size
    angle = np.deg2rad(signed[:, 3] * config.rotation)
    # The area of the crop is drawn uniformly, so its side is a square root. Its position: -1 is at the left or upper
    # edge of the image, 1 at the right or lower edge.
    window = np.sqrt(config.smallest_crop + uniform[:, 13] * (1.0 - config.smallest_crop))  # share of the side
    shift_x = shift_x + signed[:, 14] * (1 - window) / 2 * size
    shift_y = shift_y + signed[:, 15] * (1 - window) / 2 * size
    scale = window / (1.0 + signed[:, 4] * config.zoom)
    stretch = (1.0 + config.aspect) ** (signed[:, 12] / 2)  # wider as often as narrower, at equal area
    side = round(config.cutout * size)
    corners = np.stack([uniform[:, 7] * (size - side + 1), uniform[:, 8] * (size - side + 1)], axis=1)
    return _Draws(
        maps=_affine_maps(size, mirror, angle, (scale * stretch, scale / stretch), (shift_x, shift_y)),
        tables=_tables(
            signed[:, 5:6] * config.brightness + signed[:, 9:12] * config.color_cast,  # (num_images, 3)
            1.0 + signed[:, 6] * config.contrast,
        ),
        saturation=1.0 + signed[:, 17] * config.saturation,
        sharpness=signed[:, 16] * config.sharpness,
        corners=corners.astype(np.int64),
    )


def _source_sizes(maps: np.ndarray, image_size: int, available_sizes: np.ndarray) -> np.ndarray:
    """From which of the available sizes each image is best resampled: int64 (num_images,)."""
    a, b, _, d, e, _ = maps.T
    # The determinant is the area of input, at `image_size`, that one output pixel covers; its root is the step from one
    # output pixel to the next. A step of 1/2 needs an image twice as large, which has a pixel for each step.
    step = np.sqrt(np.abs(a * e - b * d))
    needed = np.rint(image_size / np.minimum(step, 1.0))  # rounded, or 64.0000001 would need the next size after 64
    smallest = np.searchsorted(available_sizes, needed)
    return np.asarray(available_sizes[np.minimum(smallest, len(available_sizes) - 1)])  # the largest if none suffices


def _affine_maps(
    size: int,
    mirror: np.ndarray,
    angle: np.ndarray,
    scale: tuple[np.ndarray, np.ndarray],
    shift: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Maps from output to input coordinates, in pixels, about the center: float64 (num_images, 6)."""
    across, down = mirror * scale[0], scale[1]
    a, b = across * np.cos(angle), -across * np.sin(angle)
    d, e = down * np.sin(angle), down * np.cos(angle)
    center = size / 2  # the center of the output comes from the center of the input plus the shift
    c = center + shift[0] - (a + b) * center
    f = center + shift[1] - (d + e) * center
    return np.stack([a, b, c, d, e, f], axis=1)


def _tables(brightness: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """What each of the 256 values becomes, for each image and color: uint8 (num_images, 3, 256).

    Args:
        brightness: float64 (num_images, 3), added, as a share of full white.
        contrast: float64 (num_images,), factor on the distance from mid-gray.
    """
    values = np.arange(256, dtype=np.float64) - _MID_GRAY
    changed = values * contrast[:, None, None] + _MID_GRAY + 255.0 * brightness[:, :, None]
    return np.asarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8))
