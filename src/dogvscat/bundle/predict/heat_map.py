"""Where in a picture the evidence for its answer lies, and how to show it."""

import numpy as np
from PIL import Image

from dogvscat.bundle.predict.predictor import BATCH_SIZE, Prediction, Predictor

_GRID = 7
"""Occlusion: so many patches a side, each covering two of its cells."""

_COLORS = np.array([[60, 10, 110], [150, 25, 110], [225, 60, 50], [252, 140, 10], [255, 240, 90]], dtype=np.float64)
"""From little evidence to the most, dark to light, so that colour-blind eyes can read them as well."""
_OPACITY = 0.75


def heat_maps(predictor: Predictor, pixels: np.ndarray, *, by_hiding: bool = False) -> np.ndarray:
    """How much each place speaks for the answer given; for `unsure`, for the class that is nearer.

    Where the network ends in a mean over places, this is what each place adds to the answer (class activation map, Zhou
    et al. 2016). Any other network is asked again and again with one place hidden.

    Args:
        predictor: Whose answers are explained.
        pixels: uint8 (num_images, image_size, image_size, 3), as the decoder gives them.
        by_hiding: Hide one place after the other whatever the network.

    Returns:
        float64 (num_images, image_size, image_size) in 0..1, 1 being the strongest place of its own picture; all 0
        where nothing speaks for the answer.

    Raises:
        ModelError: if the graph does not answer as it should.
    """
    size = predictor.card.image_size
    if not len(pixels):
        return np.zeros((0, size, size))
    evidence = None if by_hiding else predictor.activation(pixels)  # (n, height, width), for the positive class
    if evidence is None:
        evidence = np.stack([_hidden_in_turn(predictor, picture) for picture in pixels])
        positive = predictor.logits(pixels).positive
    else:
        positive = evidence.mean(axis=(1, 2))  # as the network has it
    decision = predictor.card.decision()
    return evidence_for(decision.predict(decision.probabilities(positive)), evidence, size)


def evidence_for(y_pred: np.ndarray, evidence: np.ndarray, size: int) -> np.ndarray:
    """Heat-maps as `heat_maps` gives them.

    Args:
        y_pred: (n,) of 0 and 1, the class that each map is to speak for.
        evidence: float (n, height, width), how much each place speaks for class 1.
        size: Side of the maps, in pixels.
    """
    towards = np.where(np.asarray(y_pred)[:, None, None] == 1, evidence, -evidence)
    return np.stack([_heat(one, size) for one in towards])


def explained_class(predictor: Predictor, answer: Prediction) -> str:
    """The class that the heat-map of an answer speaks for: the answer, or the nearer class where it is unsure."""
    names = predictor.card.class_names
    return names[predictor.card.decision().predict(np.array([answer.probabilities[names[1]]]))[0]]


def _heat(evidence: np.ndarray, size: int) -> np.ndarray:
    smooth = np.maximum(_resized(np.maximum(evidence, 0.0), size, size), 0.0)  # (size, size)
    return smooth / smooth.max() if smooth.any() else smooth


def painted(photo: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A photo with a heat-map over it. The photo turns grey, so that every colour means evidence.

    Args:
        photo: uint8 (height, width, 3), RGB, of any size.
        heat: float64 (h, w) in 0..1, of any size as well; it is stretched over the photo.

    Returns:
        uint8 (height, width, 3).
    """
    color, opacity = _colored(heat, *photo.shape[:2])
    grey = np.asarray(Image.fromarray(photo).convert("L"), dtype=np.float32)[..., None]  # (height, width, 1)
    return np.rint(grey * (1.0 - opacity) + color * opacity).astype(np.uint8)  # (height, width, 3)


def layer(heat: np.ndarray) -> np.ndarray:
    """A heat-map as a picture to lay over the grey photo, stretched to its size: what `painted` paints there.

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
    color = np.stack([np.interp(place, range(len(_COLORS)), channel) for channel in _COLORS.T], axis=-1)
    return color, _OPACITY * strength[..., None] ** 0.7  # so that half the evidence is easily seen


def _hidden_in_turn(predictor: Predictor, picture: np.ndarray) -> np.ndarray:
    """By how much the log-odds of the positive class fall when a patch of the mean colour hides each place, (grid,
    grid).

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    edges = np.linspace(0, len(picture), _GRID + 2).round().astype(int)
    hidden = np.repeat(picture[None], _GRID * _GRID + 1, axis=0)  # the last one stays as it is
    for number in range(_GRID * _GRID):
        row, column = divmod(number, _GRID)
        patch = hidden[number, edges[row] : edges[row + 2], edges[column] : edges[column + 2]]
        patch[:] = picture.reshape(-1, 3).mean(axis=0).round()
    parts = np.array_split(hidden, -(-len(hidden) // BATCH_SIZE))
    logits = np.concatenate([predictor.logits(part).positive for part in parts])  # (grid * grid + 1,)
    return (logits[-1] - logits[:-1]).reshape(_GRID, _GRID)


def _resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.asarray(values, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
