"""What did each layer learn? Grad-CAM, the filters of the first layer, and what every layer makes of a photo.

For any network that this room can build, from the weights that lie in its bundle.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from dogvscat.bundle.card import WEIGHTS_FILE
from dogvscat.bundle.folder import Bundle, read_verified
from dogvscat.bundle.predict.heat_map import evidence_for
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import unpacked_weights
from dogvscat.judging.image_grid import image_grid
from dogvscat.learning.interpret.gradients import gradient_of_first_logit
from dogvscat.learning.loop.checkpoint import write_variables
from dogvscat.learning.model.networks import build_network

_MOST_MAPS = 32
_COLUMNS = 8
_TILE = 96
"""Side of a drawn filter or map, in pixels."""


def bundled_network(bundle: Bundle) -> keras.Model:
    """The network of a bundle, without averaging over flips; its weights were rounded to half precision.

    Raises:
        ModelError: if the weights are damaged or do not fit.
    """
    config = bundle.card.config
    network = build_network(config.network, bundle.card.image_size)
    write_variables(network.weights, unpacked_weights(read_verified(bundle.folder, bundle.card, WEIGHTS_FILE)))
    return network


class GradCam:
    """Heat-maps by gradients, for the last maps of any network.

    A map counts by the mean gradient of the logit in it. Where the network ends in a mean over places, this is the
    class activation map without its bias. Source: Selvaraju et al., Grad-CAM, 2017.

    Args:
        predictor: Whose answers are explained.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        network = bundled_network(predictor.bundle)
        last_maps = _last_maps(network)
        self._lower = keras.Model(network.input, last_maps)
        self._upper = keras.Model(last_maps, network.output)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Heat-maps as `dogvscat.bundle.predict.heat_map.heat_maps` gives them."""
        evidence = self.evidence(pixels)
        if self._predictor.card.config.network.flip_averaging:
            evidence = (evidence + self.evidence(pixels[:, :, ::-1])[:, :, ::-1]) / 2
        y_pred = self._predictor.card.decision().predict(self._predictor.probabilities(pixels))
        return evidence_for(y_pred, evidence, self._predictor.card.image_size)

    def evidence(self, pixels: np.ndarray) -> np.ndarray:
        """How much each place speaks for the positive class.

        Args:
            pixels: uint8 (n, image_size, image_size, 3).

        Returns:
            float32 (n, height, width), in no unit.
        """
        maps = np.asarray(self._lower.predict_on_batch(pixels))  # (n, height, width, filters)
        weights = gradient_of_first_logit(self._upper, maps).mean(axis=(1, 2))  # (n, filters)
        return np.einsum("nhwf,nf->nhw", maps, weights)


class LayerMaps(NamedTuple):
    """What one layer makes of a photo."""

    name: str
    maps: np.ndarray
    """float32 (height, width, filters), none negative."""
    field: int
    """Side of the square of the photo that one place can see, in pixels."""


def layer_maps(network: keras.Model, picture: np.ndarray) -> Iterator[LayerMaps]:
    """What each layer says about a photo, in the order of the network.

    Args:
        network: From `build_network`.
        picture: uint8 (image_size, image_size, 3).
    """
    fields = _receptive_fields(network)
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.ReLU) and layer.output.ndim == 4]
    said = keras.Model(network.input, [layer.output for layer in layers]).predict_on_batch(picture[None])
    for layer, maps in zip(layers, said, strict=True):
        yield LayerMaps(layer.name, np.asarray(maps)[0], fields[layer.name])


def write_layers(network: keras.Model, picture: np.ndarray, folder: Path) -> None:
    """Pictures for those who want to see a network at work: the first layer's filters, and each layer's maps.

    Args:
        network: From `bundled_network`.
        picture: uint8 (image_size, image_size, 3).
        folder: Gets 00-filters.png and a picture a layer.

    Raises:
        WriteError: if they cannot be written.
    """
    _draw_filters(network, folder / "00-filters.png")
    for number, layer in enumerate(layer_maps(network, picture), start=1):
        _draw_maps(layer, folder / f"{number:02d}-{layer.name}.png")


def _draw_filters(network: keras.Model, file: Path) -> None:
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    kernels = np.asarray(first.kernel).transpose(3, 0, 1, 2)  # (filters, height, width, 3)
    scale = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    shown = np.rint(127.5 + 127.5 * kernels / np.where(scale > 0, scale, 1.0)).astype(np.uint8)
    size = f"{kernels.shape[1]} x {kernels.shape[2]}"
    title = f"{first.name}: {len(kernels)} filters of {size} pixels. What looks like a tile, light or dark, excites it."
    image_grid(file, _enlarged(shown), [f"filter {n + 1}" for n in range(len(shown))], _COLUMNS, title)


def _draw_maps(layer: LayerMaps, file: Path) -> None:
    height, width, num_filters = layer.maps.shape
    strongest = np.argsort(-layer.maps.mean(axis=(0, 1)), kind="stable")[:_MOST_MAPS]
    maps = layer.maps[..., np.sort(strongest)].transpose(2, 0, 1)  # (n, height, width)
    most = maps.max(axis=(1, 2), keepdims=True)
    grey = np.rint(255 * maps / np.where(most > 0, most, 1.0)).astype(np.uint8)
    captions = [f"filter {n + 1}" for n in np.sort(strongest)]
    which = f"the {len(maps)} strongest of " if len(maps) < num_filters else ""
    title = f"{layer.name}: {which}{num_filters} maps of {width} x {height} places."
    title += f" White answers most; a place sees {layer.field} x {layer.field} pixels."
    image_grid(file, _enlarged(np.repeat(grey[..., None], 3, axis=-1)), captions, _COLUMNS, title)


def _enlarged(images: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width, 3) with every pixel as a square, so that nothing is smoothed away."""
    factor = max(1, _TILE // images.shape[1])
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def _last_maps(network: keras.Model) -> keras.KerasTensor:
    kinds = (keras.layers.GlobalAveragePooling2D, keras.layers.Flatten)
    return next(layer.input for layer in network.layers if isinstance(layer, kinds))


def _receptive_fields(network: keras.Model) -> dict[str, int]:
    """Layer -> side of what one of its places sees, counted along the longest path."""
    field, step, fields = 1, 1, {}
    for layer in network.layers:
        kinds = (keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
        if isinstance(layer, kinds):
            size = layer.kernel_size if isinstance(layer, keras.layers.Conv2D) else layer.pool_size
            field += (size[0] - 1) * step
            step *= layer.strides[0]
        fields[layer.name] = field
    return fields
