"""What did each layer learn? The filters of the first layer, and the maps that every layer makes of a photo.

For any network that `build_network` makes, with the weights that lie in its bundle.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.weights import load_weights
from dogvscat.judging.plotting import image_grid
from dogvscat.learning.engine import keras
from dogvscat.learning.model.networks import build_from_operations, layer_of
from dogvscat.network.operations import Operation

_MOST_MAPS = 32
_COLUMNS = 8
_TILE_SIZE = 96
"""Side of a drawn filter or map, in pixels."""


def load_bundled_network(bundle: Bundle) -> keras.Model:
    """The network of a bundle, without averaging over flips.

    Raises:
        ModelError: if the weights are damaged, or not those of the network that the card describes.
    """
    card = bundle.card
    return build_from_operations(card.config.network.operations(card.image_size), load_weights(bundle))


class LayerMaps(NamedTuple):
    """What one layer makes of a photo."""

    name: str
    maps: np.ndarray
    """float32 (height, width, filters)."""
    receptive_field: int
    """Side of the square of the image that one position of the maps depends on, in pixels."""


def layer_maps(network: keras.Model, operations: Sequence[Operation], pixels: np.ndarray) -> Iterator[LayerMaps]:
    """The maps of each layer for one image, in the order of the network.

    Args:
        network: From `build_network`.
        operations: Its description, at the size of the image.
        pixels: uint8 (image_size, image_size, 3).
    """
    with_maps = [operation for operation in operations if len(operation.output_shape) == 3]
    # A response is what a layer passes on, after its activation function.
    functions = [operation for operation in with_maps if operation.kind in ("relu", "leaky_relu", "elu", "silu")]
    chosen = functions or [operation for operation in with_maps if operation.kind in ("conv", "scaling")]
    outputs = {operation.name: layer_of(network, operation.name).output for operation in chosen}
    maps = keras.Model(network.input, outputs).predict_on_batch(pixels[None])
    for operation in chosen:
        yield LayerMaps(operation.name, np.asarray(maps[operation.name])[0], operation.receptive_field)


def write_layers(network: keras.Model, operations: Sequence[Operation], pixels: np.ndarray, folder: Path) -> None:
    """Draw the filters of the first layer, and the maps of each layer for one image.

    Args:
        network: From `load_bundled_network`.
        operations: Its description, at the size of the image.
        pixels: uint8 (image_size, image_size, 3).
        folder: Gets 00-filters.png and one picture per layer.

    Raises:
        WriteError: if they cannot be written.
    """
    _draw_filters(network, folder / "00-filters.png")
    for number, layer in enumerate(layer_maps(network, operations, pixels), start=1):
        _draw_maps(layer, folder / f"{number:02d}-{layer.name}.png")


def _draw_filters(network: keras.Model, file: Path) -> None:
    first = next((layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)), None)
    if first is None:
        return
    kernels = np.asarray(first.kernel).transpose(3, 0, 1, 2)  # (filters, height, width, 3)
    # Each filter is scaled by its own largest weight; a weight of zero is mid-gray, so that signs can be seen.
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    tiles = np.rint(127.5 + 127.5 * kernels / np.where(largest > 0, largest, 1.0)).astype(np.uint8)
    size = f"{kernels.shape[1]} x {kernels.shape[2]}"
    title = f"{first.name}: {len(kernels)} filters of {size} pixels. Each responds to what looks like its tile."
    image_grid(file, _enlarge(tiles), [f"filter {n + 1}" for n in range(len(tiles))], _COLUMNS, title)


def _draw_maps(layer: LayerMaps, file: Path) -> None:
    height, width, num_filters = layer.maps.shape
    strongest = np.argsort(-layer.maps.mean(axis=(0, 1)), kind="stable")[:_MOST_MAPS]
    filters = np.sort(strongest)
    maps = layer.maps[..., filters].transpose(2, 0, 1)  # (n, height, width)
    largest = maps.max(axis=(1, 2), keepdims=True)
    gray = np.rint(255 * maps.clip(0) / np.where(largest > 0, largest, 1.0)).astype(np.uint8)
    captions = [f"filter {n + 1}" for n in filters]
    selection = f"the {len(maps)} strongest of " if len(maps) < num_filters else ""
    title = f"{layer.name}: {selection}{num_filters} maps of {width} x {height} positions."
    field = f"{layer.receptive_field} x {layer.receptive_field} pixels"
    title += f" White is the strongest response; one position sees {field} of the image."
    image_grid(file, _enlarge(np.repeat(gray[..., None], 3, axis=-1)), captions, _COLUMNS, title)


def _enlarge(tiles: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width, 3) with every pixel repeated as a square, so that nothing is smoothed away."""
    factor = max(1, _TILE_SIZE // tiles.shape[1])
    return tiles.repeat(factor, axis=1).repeat(factor, axis=2)
