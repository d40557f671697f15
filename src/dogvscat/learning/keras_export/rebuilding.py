"""A bundle's network in Keras again: its shape from the card's words, its numbers from the graph that ships.

The bundle's `weights.npz` has half precision, enough to go on training from; its probabilities were measured up to 2e-3
away from the bundle's. The graph has the numbers that are judged, though batch normalisation is folded in it: where
possible into the convolution before, elsewhere into a factor and an offset a channel. That is put back here, as a batch
normalisation of mean 0 and variance 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import onnx
from keras import layers
from onnx import numpy_helper

from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.learning.model.networks import Brightness, averaged_over_flips, build_network


def rebuild_network(bundle: Bundle) -> keras.Model:
    """The bundle's network, made of Keras' own layers only, so that its file is read without this package.

    Returns:
        A model from `pixels`, uint8 (n, image_size, image_size, 3), to outputs by name as the bundle has them: `logit`,
        calibrated, float32 (n, 1), and `neither`, likewise, if the network tells.

    Raises:
        ModelError: if the graph does not have the shape that the card tells of.
    """
    card = bundle.card
    network = keras.models.clone_model(
        build_network(card.config.network, card.image_size), clone_function=_as_plain_layer
    )
    _set_weights(network, list(_transforms(bundle.model)))
    if card.config.network.flip_averaging:
        network = averaged_over_flips(network)
    pixels = keras.Input(network.input_shape[1:], dtype="uint8", name="pixels")
    columns = network(pixels)  # (n, 1 or 2)
    outputs = {"logit": layers.Rescaling(1.0 / card.temperature, name="temperature")(columns[:, :1])}
    if columns.shape[-1] == 2:
        outputs["neither"] = columns[:, 1:]
    return keras.Model(pixels, outputs, name="dogvscat")


@dataclass(frozen=True)
class _Transform:
    """A convolution or a matrix of the graph, and what happens to each of its channels afterwards."""

    kernel: np.ndarray
    """As Keras has it: (height, width, channels in, channels out) or (in, out)."""
    scale: np.ndarray
    """(channels out,), ones where the graph scales nothing."""
    shift: np.ndarray
    """(channels out,), zeros where the graph shifts nothing."""


def _as_plain_layer(layer: layers.Layer) -> layers.Layer:
    if isinstance(layer, Brightness):
        return layers.Conv2D(1, 1, use_bias=False, name=layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return layers.BatchNormalization.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def _set_weights(network: keras.Model, transforms: list[_Transform]) -> None:
    """Layers and transforms follow each other in the same order; shapes that do not fit are another network's."""
    weighty = [layer for layer in network.layers if layer.weights]
    normalizations = [layer for layer in weighty if isinstance(layer, layers.BatchNormalization)]
    linear = [layer for layer in weighty if layer not in normalizations]
    if len(linear) != len(transforms):
        raise ModelError(
            f"the graph is not the network that the card describes: it has {len(transforms)} convolutions and "
            f"matrices, expected {len(linear)}"
        )
    try:
        for layer in weighty:
            if layer in linear:
                transform = transforms[linear.index(layer)]
                layer.set_weights([transform.kernel, transform.shift] if layer.use_bias else [transform.kernel])
            else:  # it normalises what the layer before gave
                layer.set_weights(_normalization(transform, layer.epsilon))
    except ValueError as error:
        raise ModelError(f"the graph is not the network that the card describes: {error}") from None


def _normalization(transform: _Transform, epsilon: float) -> list[np.ndarray]:
    """Gamma, beta, mean and variance that do to each channel what the graph does."""
    zeros = np.zeros_like(transform.shift)
    return [transform.scale, transform.shift, zeros, zeros + np.float32(1.0 - epsilon)]


def _transforms(model: bytes) -> Iterator[_Transform]:
    """Those of a graph in order, each once: both ways of an average over flips share them."""
    graph = _Graph(model)
    seen = set()
    for node in graph.nodes:
        if node.op_type not in ("Conv", "MatMul") or node.input[1] not in graph.constants or node.input[1] in seen:
            continue
        seen.add(node.input[1])
        kernel = graph.constants[node.input[1]]
        if node.op_type == "Conv":
            kernel = kernel.transpose(2, 3, 1, 0)
        yield _Transform(kernel, *graph.scale_and_shift(node, kernel.shape[-1]))


class _Graph:
    """The part of an ONNX graph that logits are made by."""

    def __init__(self, model: bytes) -> None:
        graph = onnx.load_from_string(model).graph
        self.constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
        wanted = {"logit", "neither"}
        nodes = []
        for node in reversed(graph.node):  # sorted so that each comes after what it needs
            if wanted.intersection(node.output):
                wanted.update(node.input)
                nodes.append(node)
        self.nodes = nodes[::-1]

    def scale_and_shift(self, node: onnx.NodeProto, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """What a convolution's bias and the nodes after it multiply each channel by and add to it."""
        scale, shift = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        if len(node.input) > 2:
            return scale, self.constants[node.input[2]]
        following = self._next(node)
        while following is not None:
            constants = [self.constants[name] for name in following.input if name in self.constants]
            if following.op_type != "MaxPool" and (not constants or constants[0].size != channels):
                break
            if following.op_type == "Add":
                return scale, constants[0].ravel()
            if following.op_type == "Mul":
                scale = constants[0].ravel()
            following = self._next(following)
        return scale, shift

    def _next(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        kinds = ("MaxPool", "Mul", "Add")
        return next((n for n in self.nodes if n.op_type in kinds and node.output[0] in n.input), None)
