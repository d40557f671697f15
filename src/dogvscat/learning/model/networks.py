"""The Keras model of a network: one Keras layer for each operation of its description. Pixels in, logits out.

Scaling the pixels is the first layer, so that no caller can forget or repeat it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from dogvscat.config import NetworkConfig
from dogvscat.learning.data.random import stateless_words
from dogvscat.learning.engine import keras
from dogvscat.learning.model.batch_norm import BatchNormalization
from dogvscat.network.folding import Weights
from dogvscat.network.operations import LOGIT, PIXELS, Operation

layers = keras.layers

_ANY_SIZE = 512
"""The size for which the layers of a network of any input size are made. It has no influence: only the weights after
`flatten` depend on the size, and a network of any input size has no `flatten`."""
_DROPOUT_SEED = 0 if keras.backend.backend() == "torch" else None
"""On PyTorch, Keras ignores the random state of a layer that has no seed, so that no resumed run would have the same
bits (findings/keras_torch_dropout_state.sh). Any seed will do: the state is set again in each step."""


def build_network(
    config: NetworkConfig, image_size: int | None, *, l2: float = 0.0, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """A network with fresh weights.

    Args:
        config: Its description.
        image_size: Side of the input, in pixels; None for any size, if `config.takes_any_size`.
        l2: Penalty on kernels.
        seed: Of the first weights.
        precision: Arithmetic of the layers, `float32` or `bfloat16`; weights and logits are float32 in both.

    Returns:
        A model from `pixels`, uint8 (num_images, image_size, image_size, 3) in 0..255, to the logit of the positive
        class, float32 (num_images, 1); the sigmoid of the logit is the probability. With `neither_output` a second
        column is the logit that the image shows neither class, (num_images, 2). `layer_of` gives the layer of an
        operation, and its weights have the order of the operations.

    Raises:
        NetworkError: if the layers do not fit together at this size.
    """
    # The mixed policy keeps weights in float32: an update is often too small for the 8 bits of precision of bfloat16.
    build = _Layers(config.initializer, l2, seed, "mixed_bfloat16" if precision == "bfloat16" else "float32")
    return _build_model(config.operations(image_size or _ANY_SIZE), image_size, build)


def build_from_operations(operations: Sequence[Operation], weights: Weights) -> keras.Model:
    """A network with known weights, for predictions only.

    Args:
        operations: The network; its normalizations may be folded.
        weights: All of its weights.

    Returns:
        A model as `build_network` makes it, for the image size of the operations.
    """
    model = _build_model(operations, operations[0].output_shape[0], _Layers("glorot", 0.0, 0, "float32"))
    model.set_weights([weights[name] for operation in operations for name in operation.weights])
    return model


def named_weights(model: keras.Model, operations: Sequence[Operation]) -> dict[str, np.ndarray]:
    """The weights of a network by the names of its description.

    Args:
        model: From `build_network`, or from `average_over_flips` of such a network.
        operations: Its description, at any image size that it takes.
    """
    names = [name for operation in operations for name in operation.weights]
    return dict(zip(names, model.get_weights(), strict=True))


def layer_of(model: keras.Model, operation: str) -> keras.layers.Layer:
    """The layer of a network that computes an operation of its description, by the name of the operation."""
    return model.get_layer(layer_name(operation))


def average_over_flips(model: keras.Model) -> keras.Model:
    """A model that gives the mean of a network's logits for an image and for its mirror image."""
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    logits, mirrored_logits = keras.ops.split(model(_with_mirror_images(pixels)), 2)  # (n, 1 or 2) each
    average = layers.Average(name="both_ways")([logits, mirrored_logits])
    return keras.Model(pixels, average, name=f"{model.name}_averaged")


def _with_mirror_images(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """The images followed by their mirror images, for one call: (n, height, width, 3) to (2n, height, width, 3)."""
    return keras.ops.concatenate([pixels, keras.ops.flip(pixels, axis=2)])


def layer_name(operation: str) -> str:
    """The name of the layer that computes an operation of the description."""
    return operation.replace(".", "-")  # PyTorch forbids "." in the names of weights, and Keras "/" in those of layers


def _build_model(operations: Sequence[Operation], image_size: int | None, build: "_Layers") -> keras.Model:
    tensors = {PIXELS: keras.Input((image_size, image_size, 3), dtype="uint8", name=PIXELS)}
    for operation in operations:
        inputs = [tensors[name] for name in operation.inputs]
        tensors[operation.name] = build.layer(operation)(inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(tensors[PIXELS], tensors[LOGIT], name="network")  # (n, 1 or 2)


class _Layers:
    """Makes the Keras layers of one network, all of one precision; each kernel has its own seed."""

    def __init__(self, initializer: str, l2: float, seed: int, policy: str) -> None:
        self._l2, self._seed, self._policy = l2, seed, policy
        self._initializer = {"glorot": keras.initializers.GlorotUniform, "he": keras.initializers.HeNormal}[initializer]

    def layer(self, operation: Operation) -> keras.layers.Layer:
        """The layer of an operation, with its name."""
        kind, arguments = self._kind(operation)
        policy = "float32" if operation.name == LOGIT else self._policy
        return kind(name=layer_name(operation.name), dtype=policy, **arguments)

    def _kind(self, operation: Operation) -> tuple[type[keras.layers.Layer], dict[str, Any]]:
        """The class of a layer and its arguments."""
        settings, channels = operation.settings, operation.output_shape[-1]
        match operation.kind:
            case "conv":
                window = {"kernel_size": settings["kernel"], "strides": settings["stride"]}
                return layers.Conv2D, {
                    "filters": channels,
                    **window,
                    "padding": settings["padding"],
                    **self._kernel(operation),
                }
            case "dense":
                return layers.Dense, {"units": channels, **self._kernel(operation)}
            case "norm":
                gamma = "zeros" if settings["zero_gamma"] else "ones"
                constants = {"momentum": settings["momentum"], "epsilon": settings["epsilon"]}
                return BatchNormalization, {"gamma_initializer": gamma, **constants}
            case "max_pool" | "average_pool" as kind:
                window = {"pool_size": settings["size"], "strides": settings["stride"]}
                pool = layers.MaxPooling2D if kind == "max_pool" else layers.AveragePooling2D
                return pool, {**window, "padding": settings["padding"]}
            case kind:
                layer, names = _SIMPLE[kind]
                return layer, {name: settings[setting] for name, setting in names.items()}

    def _kernel(self, operation: Operation) -> dict[str, Any]:
        """Bias, initializer and penalty of a kernel."""
        seed = int(stateless_words(self._seed, operation.kernels_before + 1)[0] >> 1)  # 31 bits
        return {
            "use_bias": operation.settings["bias"],
            "kernel_initializer": self._initializer(seed=seed),
            "kernel_regularizer": keras.regularizers.L2(self._l2) if self._l2 else None,
        }


class Brightness(keras.layers.Layer):
    """The weighted sum of red, green and blue: (n, height, width, 3) to (n, height, width, 1)."""

    def __init__(self, color_weights: tuple[float, float, float], **settings: Any) -> None:
        super().__init__(**settings)
        self._color_weights = color_weights

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The weighted sum of the colors."""
        # As a convolution: single colors lie three values apart in memory, which makes slices slow.
        kernel = keras.ops.reshape(keras.ops.convert_to_tensor(self._color_weights, inputs.dtype), (1, 1, 3, 1))
        return keras.ops.conv(inputs, kernel, padding="same")


_SIMPLE: dict[str, tuple[Any, dict[str, str]]] = {
    "scaling": (layers.Rescaling, {"scale": "scale"}),
    "brightness": (Brightness, {"color_weights": "weights"}),
    "subtract": (layers.Subtract, {}),
    "add": (layers.Add, {}),
    "multiply": (layers.Multiply, {}),
    "relu": (layers.ReLU, {}),
    "leaky_relu": (layers.LeakyReLU, {"negative_slope": "slope"}),
    "elu": (layers.ELU, {}),
    "silu": (layers.Activation, {"activation": "function"}),
    "sigmoid": (layers.Activation, {"activation": "function"}),
    "dropout": (partial(layers.Dropout, seed=_DROPOUT_SEED), {"rate": "rate"}),
    "flatten": (layers.Flatten, {}),
    "mean": (layers.GlobalAveragePooling2D, {"keepdims": "keeps_axes"}),
}
"""The Keras layer of each operation without weights, and the setting behind each of its arguments."""
