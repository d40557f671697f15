"""A bundle's network in Keras again: its architecture from the model card, its numbers from the published graph.

The bundle's `weights.npz` has half precision, which is enough to continue training from; its probabilities were up to
2e-3 away from the bundle's. The graph has the exact numbers, but the exporter folded batch normalisation: where
possible into the convolution before, elsewhere into one factor and one offset per channel. Here both become a batch
normalisation of mean 0 and variance 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.learning.engine import keras
from dogvscat.learning.model.networks import Brightness, average_over_flips, build_network

layers = keras.layers


def rebuild_network(bundle: Bundle) -> keras.Model:
    """The bundle's network, made only of layers that Keras has, so that its file is read without this package.

    Returns:
        A model from `pixels`, uint8 (n, image_size, image_size, 3), to outputs with the bundle's names: `logit`,
        calibrated, float32 (n, 1), and `neither`, of the same shape, if the network has that output.

    Raises:
        ModelError: if the graph is not that of the network which the card describes.
    """
    card = bundle.card
    fresh = build_network(card.config.network, card.image_size)
    network = keras.models.clone_model(fresh, clone_function=_as_keras_layer)
    _set_weights(network, list(_read_transforms(bundle.model)))
    if card.config.network.flip_averaging:
        network = average_over_flips(network)
    pixels = keras.Input(network.input_shape[1:], dtype="uint8", name="pixels")
    columns = network(pixels)  # (n, 1 or 2)
    outputs = {"logit": layers.Rescaling(1.0 / card.temperature, card.bias, name="calibration")(columns[:, :1])}
    if columns.shape[-1] == 2:
        outputs["neither"] = columns[:, 1:]
    return keras.Model(pixels, outputs, name="dogvscat")


@dataclass(frozen=True)
class _Transform:
    """A convolution or matrix product of the graph, and what happens to each of its channels afterwards."""

    kernel: np.ndarray
    """As Keras has it: (height, width, channels in, channels out) or (in, out)."""
    scale: np.ndarray
    """(channels out,), ones where the graph scales nothing."""
    shift: np.ndarray
    """(channels out,), zeros where the graph shifts nothing."""


def _as_keras_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The same layer without code of this package."""
    if isinstance(layer, Brightness):
        return layers.Conv2D(1, 1, use_bias=False, name=layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return layers.BatchNormalization.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def _set_weights(network: keras.Model, transforms: list[_Transform]) -> None:
    # Nodes and layers are in the same order: the n-th transform belongs to the n-th convolution or dense layer.
    with_weights = [layer for layer in network.layers if layer.weights]
    normalizations = [layer for layer in with_weights if isinstance(layer, layers.BatchNormalization)]
    linear = [layer for layer in with_weights if layer not in normalizations]
    if len(linear) != len(transforms):
        raise ModelError(
            f"the graph is not the network that the card describes: it has {len(transforms)} convolutions and "
            f"matrices, expected {len(linear)}"
        )
    try:
        for layer in with_weights:
            if layer in linear:
                transform = transforms[linear.index(layer)]
                layer.set_weights([transform.kernel, transform.shift] if layer.use_bias else [transform.kernel])
            else:  # of the convolution before it
                layer.set_weights(_normalization_weights(transform, layer.epsilon))
    except ValueError as error:
        raise ModelError(f"the graph is not the network that the card describes: {error}") from None


def _normalization_weights(transform: _Transform, epsilon: float) -> list[np.ndarray]:
    """Gamma, beta, mean and variance that do to each channel what the graph does."""
    # The layer computes gamma (x - mean) / sqrt(variance + epsilon) + beta. With mean 0 and variance 1 - epsilon the
    # root is 1, and what remains is scale * x + shift.
    zeros = np.zeros_like(transform.shift)
    return [transform.scale, transform.shift, zeros, zeros + np.float32(1.0 - epsilon)]


def _read_transforms(model: bytes) -> Iterator[_Transform]:
    """The transforms of a graph in order, each once: both directions of an average over flips share them."""
    graph = _Graph(model)
    seen = set()
    for node in graph.nodes:
        if node.op_type not in ("Conv", "MatMul") or node.input[1] not in graph.constants or node.input[1] in seen:
            continue
        seen.add(node.input[1])
        kernel = graph.constants[node.input[1]]
        if node.op_type == "Conv":
            kernel = kernel.transpose(2, 3, 1, 0)  # from (out, in, height, width)
        yield _Transform(kernel, *graph.scale_and_shift(node, kernel.shape[-1]))


class _Graph:
    """The part of an ONNX graph that computes the logits."""

    def __init__(self, model: bytes) -> None:
        graph = onnx.load_from_string(model).graph
        self.constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
        # Backwards from the outputs: each node stands after those that it reads from, so that one pass finds all.
        needed = {"logit", "neither"}
        nodes = []
        for node in reversed(graph.node):
            if needed.intersection(node.output):
                needed.update(node.input)
                nodes.append(node)
        self.nodes = nodes[::-1]

    def scale_and_shift(self, node: onnx.NodeProto, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the offset of each channel, from a convolution's bias or from the nodes after it."""
        scale, shift = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        if len(node.input) > 2:  # folded: the kernel is scaled already, and the bias is the shift
            return scale, self.constants[node.input[2]]
        # A normalisation behind a max pooling cannot be folded, since a negative factor would turn the maximum into the
        # minimum. It stands as Mul and Add after the pooling; any other node ends the search.
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
