"""Writes a network as an ONNX graph, operation by operation, with the names of its description.

Equal weights give equal bytes, in every process and on every backend of Keras.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from dogvscat.bundle.graph import ACTIVATION
from dogvscat.judging.decision import Decision
from dogvscat.labels import NEITHER
from dogvscat.learning.onnx_export.nodes import CHANNELS, IMAGES, Nodes
from dogvscat.network.folding import Weights, fold_norms
from dogvscat.network.operations import LOGIT, PIXELS, Operation, Shape, class_activation_source

_SIMPLE: dict[str, tuple[str, dict[str, str]]] = {
    "add": ("Add", {}),
    "subtract": ("Sub", {}),
    "multiply": ("Mul", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": "slope"}),
    "elu": ("Elu", {}),
    "sigmoid": ("Sigmoid", {}),
}
"""The operations that are one ONNX operator each: that operator, and the setting for each of its attributes."""
_POOLS = {"max_pool": "MaxPool", "average_pool": "AveragePool"}  # whose means do not count padding, unless told to


def write_onnx(
    operations: Sequence[Operation],
    weights: Weights,
    decision: Decision,
    *,
    flip_averaging: bool = False,
    class_activation: bool = True,
) -> bytes:
    """The ONNX graph of a network, calibrated.

    A node has the name of its operation, and a constant has the name of its weight. Two kinds of operations leave no
    node: dropout, and normalizations that can be folded into the kernel before them.

    Args:
        operations: The network.
        weights: All of its weights.
        decision: Its temperature and bias are applied to the logit, and to each position of the class activation.
        flip_averaging: Answer for the image and for its mirror image, and average.
        class_activation: Whether the graph may have that output.

    Returns:
        A graph with input `pixels`, uint8 (num_images, image_size, image_size, 3), and output `logit`, float32
        (num_images, 1). With a second output of the network it also has `neither`, the log-odds of showing neither
        class, float32 (num_images, 1); and if the network ends in a mean over positions, `activation`, the calibrated
        log-odds of each position, float32 (num_images, height, width), whose mean is the logit.
    """
    operations, weights = fold_norms(operations, weights)
    weights = {**weights, **_calibrated_logit(weights, decision)}
    nodes = Nodes()
    pixels = nodes.add("Cast", "pixels.float", PIXELS, to=TensorProto.FLOAT)
    values = {PIXELS: nodes.add("Transpose", "pixels.nchw", pixels, perm=[0, 3, 1, 2])}
    for operation in operations[:-1]:  # all but the logit
        inputs = [values[name] for name in operation.inputs]
        values[operation.name] = _add_operation(nodes, operation, inputs, weights)
        if flip_averaging and operation.kind == "scaling":
            values[operation.name] = _add_mirror_images(nodes, values[operation.name])
    outputs: dict[str, Shape] = dict.fromkeys(
        _add_logits(nodes, values[operations[-1].inputs[0]], weights, flip_averaging), (1,)
    )
    if class_activation and (source := class_activation_source(operations)):
        shape = next(operation.output_shape for operation in operations if operation.name == source)
        outputs[ACTIVATION] = _add_activation(nodes, values[source], shape, weights, flip_averaging)
    return nodes.serialize(operations[0].output_shape, outputs)


def _calibrated_logit(weights: Weights, decision: Decision) -> Weights:
    """Weight and bias of the logit's layer with the calibration inside: (features, 1 or 2) and (1 or 2,)."""
    weight, bias = (weights[f"{LOGIT}.{name}"].astype(np.float64) for name in ("weight", "bias"))
    weight[:, 0] /= decision.temperature
    bias[0] = bias[0] / decision.temperature + decision.bias
    return {f"{LOGIT}.weight": weight.astype(np.float32), f"{LOGIT}.bias": bias.astype(np.float32)}


def _add_operation(nodes: Nodes, operation: Operation, inputs: Sequence[str], weights: Weights) -> str:
    """The nodes of an operation; returns the name of the value that it gives."""
    name, settings = operation.name, operation.settings
    if operation.kind in _SIMPLE:
        kind, attributes = _SIMPLE[operation.kind]
        return nodes.add(kind, name, *inputs, **{key: settings[setting] for key, setting in attributes.items()})
    if operation.weights:
        constants = [nodes.constant(weight, _as_in_onnx(weights[weight])) for weight in operation.weights]
        return _add_with_weights(nodes, operation, [*inputs, *constants])
    match operation.kind:
        case "scaling":
            return nodes.add(
                "Mul", name, *inputs, nodes.constant(f"{name}.scale", np.array(settings["scale"], np.float32))
            )
        case "brightness":
            kernel = np.array(settings["weights"], np.float32).reshape(1, -1, 1, 1)
            return nodes.add("Conv", name, *inputs, nodes.constant(f"{name}.weight", kernel))
        case "max_pool" | "average_pool" as kind:
            return nodes.add(_POOLS[kind], name, *inputs, **_window(settings["size"], settings))
        case "mean":
            mean = nodes.add("GlobalAveragePool", f"{name}.positions", *inputs)
            return mean if settings["keeps_axes"] else nodes.add("Flatten", name, mean)
        case "flatten":  # in the order of the description: the channels of a position together
            return nodes.add("Flatten", name, nodes.add("Transpose", f"{name}.nhwc", *inputs, perm=[0, 2, 3, 1]))
        case "silu":
            return nodes.add("Mul", name, *inputs, nodes.add("Sigmoid", f"{name}.sigmoid", *inputs))
        case "dropout":
            return inputs[0]
    raise ValueError(f"expected a kind of operation that network/operations.py lists, received {operation.kind!r}")


def _add_with_weights(nodes: Nodes, operation: Operation, inputs: Sequence[str]) -> str:
    name, settings = operation.name, operation.settings
    match operation.kind:
        case "conv":
            return nodes.add("Conv", name, *inputs, **_window(settings["kernel"], settings))
        case "norm":
            return nodes.add("BatchNormalization", name, *inputs, epsilon=settings["epsilon"])
        case _:
            return nodes.add("Gemm", name, *inputs)


def _add_mirror_images(nodes: Nodes, value: str) -> str:
    """The images followed by their mirror images."""
    return nodes.add("Concat", "both_ways", value, nodes.mirror("mirrored", value), axis=IMAGES)


def _add_logits(nodes: Nodes, features: str, weights: Weights, flip_averaging: bool) -> Sequence[str]:
    """The last layer; returns the names of the outputs that come from it."""
    num_logits = len(weights[f"{LOGIT}.bias"])
    name = LOGIT if num_logits == 1 else "logits"  # of the last value: an output, or both of them
    constants = [nodes.constant(f"{LOGIT}.{key}", weights[f"{LOGIT}.{key}"]) for key in ("weight", "bias")]
    value = nodes.add("Gemm", f"{name}.both_ways" if flip_averaging else name, features, *constants)
    outputs = (LOGIT, NEITHER)[:num_logits]
    if flip_averaging:
        pairs = nodes.reshape(f"{name}.pairs", value, [2, -1, num_logits])
        nodes.add("ReduceMean", name, pairs, axes=[IMAGES], keepdims=0)
    if num_logits == 2:
        for column, output in enumerate(outputs):
            nodes.slice(output, name, CHANNELS, column)
    return outputs


def _add_activation(nodes: Nodes, features: str, shape: Shape, weights: Weights, flip_averaging: bool) -> Shape:
    """The last layer at each position, before the mean, as an output; returns its shape: (height, width)."""
    kernel, bias = weights[f"{LOGIT}.weight"][:, :1].T[..., None, None], weights[f"{LOGIT}.bias"][:1]
    constants = [nodes.constant(f"{ACTIVATION}.weight", kernel), nodes.constant(f"{ACTIVATION}.bias", bias)]
    value = nodes.add("Conv", f"{ACTIVATION}.positions", features, *constants)  # (images, 1, height, width)
    if flip_averaging:
        pairs = nodes.reshape(f"{ACTIVATION}.pairs", value, [2, -1, *shape[:2]])
        one_way, other_way = (nodes.slice(f"{ACTIVATION}.way{way + 1}", pairs, IMAGES, way) for way in (0, 1))
        both = nodes.add("Add", f"{ACTIVATION}.sum", one_way, nodes.mirror(f"{ACTIVATION}.mirrored", other_way))
        value = nodes.add("Mul", f"{ACTIVATION}.mean", both, nodes.constant("half", np.array(0.5, np.float32)))
    nodes.reshape(ACTIVATION, value, [-1, *shape[:2]])
    return shape[:2]


def _as_in_onnx(weight: np.ndarray) -> np.ndarray:
    """A kernel (height, width, in, out) as (out, in, height, width); other weights as they are."""
    return weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight


def _window(size: int, settings: Mapping[str, Any]) -> dict[str, list[int]]:
    """The attributes of a window that slides over rows and columns."""
    (before, after), stride = settings["pads"], settings["stride"]
    return {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [before, before, after, after]}
