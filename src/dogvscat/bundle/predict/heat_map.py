"""Heat maps: where in an image the evidence for its prediction lies, and how to show it."""

import numpy as np
from PIL import Image

from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor

_GRID = 7
"""Number of patches per side in occlusion. They overlap: the image has one more row and column of cells, and a patch
covers two by two cells."""

HEAT_COLORS = np.array([[60, 10, 110], [150, 25, 110], [225, 60, 50], [252, 140, 10], [255, 240, 90]], dtype=np.float64)
"""RGB from the least evidence to the most, dark to light, so that color-blind people can read them as well."""
HEAT_OPACITY = 0.75
"""Opacity of the strongest color over the photo."""


def heat_maps(predictor: Predictor, pixels: np.ndarray, *, by_occlusion: bool = False) -> np.ndarray:
    """How much evidence each position holds for the predicted class; if unsure, for the more probable class.

    Where the network ends in a mean over positions, this is what each position adds to the logit (class activation map,
    Zhou et al. 2016). Any other network is run once per position, with that position hidden (occlusion).

    Args:
        predictor: The predictor to explain.
        pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.
        by_occlusion: Use occlusion for every network.

    Returns:
        float64 (num_images, image_size, image_size) in 0..1, where 1 is the strongest position of the same image; all 0
        where there is no evidence for the class.

    Raises:
        ModelError: if the graph fails, or its outputs are not finite numbers of the expected shape.
    """
    size = predictor.card.image_size
    if not len(pixels):
        return np.zeros((0, size, size))
    # (n, height, width), for the positive class
    evidence = None if by_occlusion else predictor.class_activation(pixels)
    if evidence is None:
        evidence = np.stack([_occlusion_map(predictor, image) for image in pixels])
        positive = predictor.logits(pixels).positive
    else:
        positive = evidence.mean(axis=(1, 2))  # the logit, as the network computes it
    decision = predictor.card.decision()
    return heat_maps_of_evidence(decision.predict(decision.probabilities(positive)), evidence, size)


def heat_maps_of_evidence(y_pred: np.ndarray, evidence: np.ndarray, size: int) -> np.ndarray:
    """Heat maps in the form that `heat_maps` returns.

    Args:
        y_pred: (n,) of 0 and 1, the class that each map shows evidence for.
        evidence: float (n, height, width), the evidence for class 1; negative values are evidence for class 0.
        size: Side of the maps, in pixels.

    Returns:
        float64 (n, size, size) in 0..1.
    """
    for_class = np.where(np.asarray(y_pred)[:, None, None] == 1, evidence, -evidence)  # (n, height, width)
    return np.stack([_normalized(image_evidence, size) for image_evidence in for_class])


def occlusion_edges(size: int) -> np.ndarray:
    """Where the cells of an image with this side start and end, in pixels: int (9,). A patch covers two by two."""
    return np.linspace(0, size, _GRID + 2).round().astype(int)


def explained_class(predictor: Predictor, prediction: Prediction) -> str:
    """The class that a heat map shows evidence for: the predicted one or, if unsure, the more probable one."""
    names = predictor.card.class_names
    y_prob = np.array([prediction.probabilities[names[1]]])  # (1,)
    return names[predictor.card.decision().predict(y_prob)[0]]


def _normalized(evidence: np.ndarray, size: int) -> np.ndarray:
    """Evidence (height, width) as a heat map (size, size) in 0..1; evidence against the class counts as none."""
    # The outer maximum removes what bicubic resizing overshoots below zero.
    smooth = np.maximum(_resize(np.maximum(evidence, 0.0), size, size), 0.0)
    return np.asarray(smooth / smooth.max() if smooth.any() else smooth)


def overlay_heat_map(photo: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A photo with a heat map over it. The photo turns gray, so that every color means evidence.

    Args:
        photo: uint8 (height, width, 3), RGB, of any size.
        heat: float64 (h, w) in 0..1, of any size; it is stretched over the photo.

    Returns:
        uint8 (height, width, 3).
    """
    height, width = photo.shape[:2]
    color, opacity = _color_and_opacity(heat, height, width)
    gray = np.asarray(Image.fromarray(photo).convert("L"), dtype=np.float32)[..., None]  # (height, width, 1)
    blended = gray * (1.0 - opacity) + color * opacity  # (height, width, 3)
    return np.asarray(np.rint(blended), dtype=np.uint8)


def heat_map_layer(heat: np.ndarray) -> np.ndarray:
    """A heat map as a transparent image. Stretched over the gray photo, it looks like `overlay_heat_map`.

    Args:
        heat: float64 (height, width) in 0..1.

    Returns:
        uint8 (height, width, 4), RGBA.
    """
    height, width = heat.shape
    color, opacity = _color_and_opacity(heat, height, width)
    return np.asarray(np.rint(np.concatenate([color, 255.0 * opacity], axis=2)), dtype=np.uint8)


def _color_and_opacity(heat: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Color, float64 (height, width, 3) in 0..255, and opacity, float64 (height, width, 1) in 0..1."""
    strength = np.clip(_resize(heat, height, width), 0.0, 1.0)  # (height, width)
    position = strength * (len(HEAT_COLORS) - 1)  # on the scale of colors; between two of them, their mixture
    color = np.stack([np.interp(position, range(len(HEAT_COLORS)), channel) for channel in HEAT_COLORS.T], axis=-1)
    return color, HEAT_OPACITY * strength[..., None] ** 0.7  # the exponent makes half the evidence easy to see


def _occlusion_map(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """How far the logit of the positive class falls when a patch of mean color hides each position: (_GRID, _GRID).

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    edges = occlusion_edges(len(image))
    hidden = np.repeat(image[None], _GRID * _GRID + 1, axis=0)  # the last copy stays unchanged
    for number in range(_GRID * _GRID):
        row, column = divmod(number, _GRID)
        patch = hidden[number, edges[row] : edges[row + 2], edges[column] : edges[column + 2]]
        patch[:] = image.reshape(-1, 3).mean(axis=0).round()  # patch is a view: this changes `hidden`
    parts = np.array_split(hidden, -(-len(hidden) // BATCH_SIZE))  # in batches, to bound the memory
    logits = np.concatenate([predictor.logits(part).positive for part in parts])  # (_GRID * _GRID + 1,)
    return np.asarray((logits[-1] - logits[:-1]).reshape(_GRID, _GRID))


def _resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.asarray(values, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
