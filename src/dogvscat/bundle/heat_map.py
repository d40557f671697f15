"""Where in a picture the evidence for its answer lies, and how to show it."""

import numpy as np
from PIL import Image

from dogvscat.bundle.predictor import BATCH_SIZE, Predictor

_GRID = 7
"""Occlusion: so many patches a side, each covering two of its cells."""

_COLORS = np.array([[64, 0, 92], [160, 20, 90], [230, 60, 40], [252, 150, 10], [252, 240, 120]], dtype=np.float64)
"""From no evidence to the most, dark to light, so that colour-blind eyes read them as well."""
_OPACITY = 0.6


def heat_maps(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    """How much each place speaks for the answer given; for `unsure`, for the class that is nearer.

    Args:
        predictor: Whose answers are explained.
        pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.

    Returns:
        float64 (num_images, image_size, image_size) in 0..1, 1 being the strongest place of its own picture; all 0
        where nothing speaks for the answer.

    Raises:
        ModelError: if the graph does not answer as it should.
    """
    size = predictor.card.image_size
    heat = np.empty((len(pixels), size, size))
    for index, picture in enumerate(pixels):
        evidence = np.maximum(_occluded(predictor, picture), 0.0)  # (grid, grid)
        smooth = np.clip(_resized(evidence, size, size), 0.0, None)  # (size, size)
        heat[index] = smooth / smooth.max() if smooth.max() > 0 else 0.0
    return heat


def painted(photo: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A photo with a heat-map over it.

    Args:
        photo: uint8 (height, width, 3), RGB, of any size.
        heat: float64 (h, w) in 0..1, of any size as well; it is stretched over the photo.

    Returns:
        uint8 (height, width, 3).
    """
    color, opacity = _colored(heat, *photo.shape[:2])
    return np.rint(photo * (1.0 - opacity) + color * opacity).astype(np.uint8)


def layer(heat: np.ndarray) -> np.ndarray:
    """A heat-map as a picture to lay over the photo, stretched to its size: what `painted` paints, without the photo.

    Args:
        heat: float64 (height, width) in 0..1.

    Returns:
        uint8 (height, width, 4), RGBA.
    """
    color, opacity = _colored(heat, *heat.shape)
    return np.rint(np.concatenate([color, 255.0 * opacity], axis=2)).astype(np.uint8)


def _colored(heat: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours, float64 (height, width, 3) in 0..255, and how much they cover, float64 (height, width, 1) in 0..1."""
    strength = np.clip(_resized(heat, height, width), 0.0, 1.0)  # (height, width)
    place = strength * (len(_COLORS) - 1)
    below = np.minimum(place.astype(np.int64), len(_COLORS) - 2)
    color = _COLORS[below] + (place - below)[..., None] * (_COLORS[below + 1] - _COLORS[below])  # (height, width, 3)
    return color, _OPACITY * strength[..., None]


def _occluded(predictor: Predictor, picture: np.ndarray) -> np.ndarray:
    """By how much the log-odds of the answer fall when a grey patch hides each place, float64 (grid, grid).

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    size = len(picture)
    edges = np.linspace(0, size, _GRID + 2).round().astype(int)
    hidden = np.repeat(picture[None], _GRID * _GRID + 1, axis=0)  # the last one stays as it is
    grey = picture.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    for number in range(_GRID * _GRID):
        row, column = divmod(number, _GRID)
        hidden[number, edges[row] : edges[row + 2], edges[column] : edges[column + 2]] = grey
    parts = np.array_split(hidden, -(-len(hidden) // BATCH_SIZE))
    logits = np.concatenate([predictor.logits(part).positive for part in parts])  # (grid * grid + 1,)
    decision = predictor.card.decision()
    says_positive = decision.predict(decision.probabilities(logits[-1:]))[0]
    fall = logits[-1] - logits[:-1] if says_positive else logits[:-1] - logits[-1]
    return fall.reshape(_GRID, _GRID)


def _resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.asarray(values, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
