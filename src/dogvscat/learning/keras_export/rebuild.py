"""A bundle's network, built again from layers of Keras only. A saved network can then be read without this package."""

import numpy as np

from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.weights import load_weights
from dogvscat.learning.engine import keras
from dogvscat.learning.model.networks import Brightness, average_over_flips, build_from_operations
from dogvscat.network.folding import fold_norms
from dogvscat.network.operations import LUMA

layers = keras.layers


def rebuild_network(bundle: Bundle) -> keras.Model:
    """The bundle's network, with its normalizations folded as in the bundle's graph.

    Returns:
        A model from `pixels`, uint8 (n, image_size, image_size, 3), to outputs with the bundle's names: `logit`,
        calibrated, float32 (n, 1), and `neither`, of the same shape, if the network has that output.

    Raises:
        ModelError: if the weights are not those of the network that the card describes.
    """
    card = bundle.card
    operations, weights = fold_norms(card.config.network.operations(card.image_size), load_weights(bundle))
    network = _with_layers_of_keras(build_from_operations(operations, weights))
    if card.config.network.flip_averaging:
        network = average_over_flips(network)
    pixels = keras.Input(network.input_shape[1:], dtype="uint8", name="pixels")
    columns = network(pixels)  # (n, 1 or 2)
    outputs = {"logit": layers.Rescaling(1.0 / card.temperature, card.bias, name="calibration")(columns[:, :1])}
    if columns.shape[-1] == 2:
        outputs["neither"] = columns[:, 1:]
    return keras.Model(pixels, outputs, name="dogvscat")


def _with_layers_of_keras(network: keras.Model) -> keras.Model:
    """The same network without code of this package."""
    clone = keras.models.clone_model(network, clone_function=_as_keras_layer)
    for layer, cloned in zip(network.layers, clone.layers, strict=True):
        is_brightness = isinstance(layer, Brightness)
        cloned.set_weights([np.reshape(LUMA, (1, 1, 3, 1))] if is_brightness else layer.get_weights())
    return clone


def _as_keras_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, Brightness):
        return layers.Conv2D(1, 1, use_bias=False, name=layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return layers.BatchNormalization.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())
