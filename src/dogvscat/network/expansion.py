"""From the layers of a network to its operations. Each layer is checked against what it receives.

operations.py says what the operations mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from dogvscat.network.layers import (
    Activation,
    AveragePool,
    BlurPool,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    GlobalMean,
    MaxPool,
    NetworkError,
    Normalization,
    Residual,
    SoftColors,
    SqueezeExcite,
)
from dogvscat.network.operations import LOGIT, LUMA, PIXELS, Operation, Shape
from dogvscat.network.text import NamedLayer, Stage, named_layers

MOST_WEIGHTS = 200_000_000


def expand(stages: Sequence[Stage], image_size: int, num_logits: int = 1) -> tuple[Operation, ...]:
    """Every operation of a network, in an order in which they can be computed.

    Args:
        stages: As `parse_network` gives them.
        image_size: Side of the input, in pixels. Networks with `flatten` have other weights for another size.
        num_logits: 2 if the network also says whether an image shows neither class.

    Raises:
        NetworkError: if layers do not fit together: which one, what it receives and what it needs.
    """
    layers = named_layers(stages)
    graph = _Graph(image_size, {layer.number: layer.name for layer in layers})
    x = graph.add("scaling", "scaling", [PIXELS], (image_size, image_size, 3), settings={"scale": 1 / 255})
    for position, layer in enumerate(layers):
        graph.layer = layer
        x = _add_layer(graph, layer, x, has_bias=not _is_normalized(layers[position + 1 :]))
    graph.layer = NamedLayer(len(layers) + 1, LOGIT, "", Dense(num_logits))
    graph.needs_features(x, 'end the layers with "global mean" or "flatten"')
    _dense(graph, LOGIT, x, num_logits)
    return tuple(graph.operations.values())


@dataclass
class _Graph:
    """The operations so far, and the layer that is being added, for errors."""

    image_size: int
    layer_names: Mapping[int, str]
    """By the number of the layer."""
    operations: dict[str, Operation] = field(default_factory=dict)
    layer: NamedLayer | None = None
    _jumps: dict[str, int] = field(default_factory=lambda: {PIXELS: 1})
    """Distance between two neighboring positions of an operation's output, in pixels."""
    _num_kernels: int = 0
    _num_weights: int = 0

    def add(
        self,
        name: str,
        kind: str,
        inputs: Sequence[str],
        shape: Shape,
        *,
        weights: Mapping[str, Shape] | None = None,
        macs: int = 0,
        window: int = 1,
        step: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> str:
        """Append an operation. One output position depends on a square of `window` positions, the next one on a square
        `step` further."""
        if name in self.operations or name == PIXELS:
            raise NetworkError(f"two operations have the name {name!r}; rename the stage")
        fields = [self.operations[x].receptive_field if x in self.operations else 1 for x in inputs]
        jump = self._jumps[inputs[0]]
        whole = self.image_size if kind in ("flatten", "mean") else 0  # the receptive field is then the whole image
        self._jumps[name] = jump * step
        named = {f"{name}.{weight}": weight_shape for weight, weight_shape in (weights or {}).items()}
        operation = Operation(
            name,
            kind,
            tuple(inputs),
            settings or {},
            shape,
            named,
            macs,
            min(self.image_size, max(whole, *fields, fields[0] + (window - 1) * jump)),
            self.layer.number if self.layer else 0,
            self._num_kernels,
        )
        self._num_kernels += kind in ("conv", "dense")
        self._num_weights += operation.num_weights
        if self._num_weights > MOST_WEIGHTS:
            raise NetworkError(
                f"with {self.here} the network has more than {MOST_WEIGHTS:,} weights; use fewer filters or units, "
                'or put pooling or "global mean" before it'
            )
        self.operations[name] = operation
        return name

    def shape(self, name: str) -> Shape:
        """The shape of an operation's output."""
        return self.operations[name].output_shape

    @property
    def here(self) -> str:
        """The layer that is being added, for messages."""
        assert self.layer is not None  # noqa: S101 - only the scaling of the pixels has none
        return f'layer {self.layer.number} "{self.layer.layer.text}" ({self.layer.name})'

    def needs_picture(self, x: str, least: int = 1) -> Shape:
        """The shape of a picture with at least this many rows and columns."""
        shape, before = self.shape(x), self._before(x)
        if len(shape) == 1:
            raise NetworkError(f"{before} there are {shape[0]:,} features and no picture: {self.here} needs a picture")
        if shape[0] < least:
            raise NetworkError(
                f"{before} the picture is {shape[0]} x {shape[1]}: {self.here} needs {least} x {least}; "
                f"use larger images than {self.image_size} pixels, or fewer layers that make them smaller"
            )
        return shape

    def needs_features(self, x: str, hint: str) -> Shape:
        """The shape of a list of features."""
        shape = self.shape(x)
        if len(shape) != 1:
            what = "the logit" if self.layer and self.layer.name == LOGIT else self.here
            raise NetworkError(
                f"{self._before(x)} there is a picture of {' x '.join(map(str, shape))}: {what} needs a list of "
                f"features; {hint}"
            )
        return shape

    def _before(self, x: str) -> str:
        number = self.operations[x].layer
        return f"after layer {number} ({self.layer_names[number]})" if number else "at the start"


def _is_normalized(following: Sequence[NamedLayer]) -> bool:
    """Whether a normalization follows, directly or after pooling. Pooling does not change a bias."""
    pools = (MaxPool, AveragePool, BlurPool)
    first = next((layer.layer for layer in following if not isinstance(layer.layer, pools)), None)
    return isinstance(first, Normalization)


def _add_layer(graph: _Graph, named: NamedLayer, x: str, has_bias: bool) -> str:
    """The operations of one layer; returns the name of the last."""
    name = named.name
    match named.layer:
        case Convolution(filters, kernel, stride, padding):
            return _conv(graph, name, x, filters, kernel, stride, padding, has_bias)
        case Dense(units):
            graph.needs_features(x, 'put "global mean" or "flatten" before it')
            return _dense(graph, name, x, units, has_bias)
        case Residual():
            return _residual(graph, name, x, named.layer)
        case SqueezeExcite(reduction):
            return _squeeze_excite(graph, name, x, reduction)
        case BlurPool():
            # Two means of two pixels each are the weights 1/4, 1/2, 1/4.
            graph.needs_picture(x, 2)
            x = _pool(graph, f"{name}.average1", "average_pool", x, 2, 1, "same")
            return _pool(graph, f"{name}.average2", "average_pool", x, 2, 2, "same")
        case SoftColors():
            return _soft_colors(graph, name, x)
        case layer:
            return _add_simple_layer(graph, name, layer, x)


def _add_simple_layer(
    graph: _Graph,
    name: str,
    layer: Normalization | Activation | MaxPool | AveragePool | Dropout | Flatten | GlobalMean,
    x: str,
) -> str:
    """A layer that is one operation, and has no bias to decide."""
    match layer:
        case Normalization():
            return _norm(graph, name, x)
        case Activation(function):
            return _activation(graph, name, x, function)
        case MaxPool(size, stride):
            return _pool(graph, name, "max_pool", x, size, stride)
        case AveragePool(size, stride):
            return _pool(graph, name, "average_pool", x, size, stride)
        case Dropout(rate):
            return graph.add(name, "dropout", [x], graph.shape(x), settings={"rate": rate})
        case Flatten():
            return graph.add(name, "flatten", [x], (prod(graph.needs_picture(x)),))
        case GlobalMean():
            return graph.add(name, "mean", [x], graph.needs_picture(x)[2:], settings={"keeps_axes": False})


def _conv(
    graph: _Graph, name: str, x: str, filters: int, kernel: int, stride: int, padding: str, has_bias: bool
) -> str:
    height, _, channels = graph.needs_picture(x, kernel if padding == "valid" else 1)
    side, pads = _output_side(height, kernel, stride, padding)
    weights = {"weight": (kernel, kernel, channels, filters)} | ({"bias": (filters,)} if has_bias else {})
    macs = side * side * kernel * kernel * channels * filters
    settings = {"kernel": kernel, "stride": stride, "padding": padding, "pads": pads, "bias": has_bias}
    shape, cost = (side, side, filters), {"macs": macs, "window": kernel, "step": stride}
    return graph.add(name, "conv", [x], shape, weights=weights, settings=settings, **cost)


def _pool(graph: _Graph, name: str, kind: str, x: str, size: int, stride: int, padding: str = "valid") -> str:
    height, _, channels = graph.needs_picture(x, size if padding == "valid" else 1)
    side, pads = _output_side(height, size, stride, padding)
    settings = {"size": size, "stride": stride, "padding": padding, "pads": pads}
    return graph.add(name, kind, [x], (side, side, channels), window=size, step=stride, settings=settings)


def _norm(graph: _Graph, name: str, x: str, *, zero_gamma: bool = False) -> str:
    shape = graph.shape(x)
    weights = dict.fromkeys(("gamma", "beta", "mean", "variance"), shape[-1:])
    settings = {"epsilon": 1e-3, "momentum": 0.9, "zero_gamma": zero_gamma}
    return graph.add(name, "norm", [x], shape, weights=weights, settings=settings)


def _activation(graph: _Graph, name: str, x: str, function: str) -> str:
    kind = function.replace(" ", "_")
    settings = {"slope": 0.1} if kind == "leaky_relu" else {"function": kind} if kind == "silu" else {}
    return graph.add(name, kind, [x], graph.shape(x), settings=settings)


def _dense(graph: _Graph, name: str, x: str, units: int, has_bias: bool = True) -> str:
    (features,) = graph.shape(x)
    weights = {"weight": (features, units)} | ({"bias": (units,)} if has_bias else {})
    return graph.add(name, "dense", [x], (units,), weights=weights, macs=features * units, settings={"bias": has_bias})


def _residual(graph: _Graph, name: str, x: str, layer: Residual) -> str:
    filters = graph.needs_picture(x)[2]
    y = _conv(graph, f"{name}.conv1", x, filters, layer.kernel, 1, "same", has_bias=False)
    y = _activation(graph, f"{name}.relu1", _norm(graph, f"{name}.norm1", y), layer.function)
    y = _conv(graph, f"{name}.conv2", y, filters, layer.kernel, 1, "same", has_bias=False)
    y = _norm(graph, f"{name}.norm2", y, zero_gamma=True)
    if layer.squeezes:
        y = _squeeze_excite(graph, f"{name}.squeeze", y, SqueezeExcite().reduction)
    total = graph.add(f"{name}.add", "add", [x, y], graph.shape(x))
    return _activation(graph, f"{name}.relu2", total, layer.function)


def _squeeze_excite(graph: _Graph, name: str, x: str, reduction: int) -> str:
    channels = graph.needs_picture(x)[2]
    # The two dense layers as convolutions of a picture of one position, which can be multiplied with x as it is.
    weights = graph.add(f"{name}.mean", "mean", [x], (1, 1, channels), settings={"keeps_axes": True})
    weights = _conv(graph, f"{name}.conv1", weights, max(1, channels // reduction), 1, 1, "same", has_bias=True)
    weights = _activation(graph, f"{name}.relu", weights, "relu")
    weights = _conv(graph, f"{name}.conv2", weights, channels, 1, 1, "same", has_bias=True)
    weights = graph.add(f"{name}.sigmoid", "sigmoid", [weights], (1, 1, channels), settings={"function": "sigmoid"})
    return graph.add(f"{name}.multiply", "multiply", [x, weights], graph.shape(x))


def _soft_colors(graph: _Graph, name: str, x: str) -> str:
    """Brightness as it is; the remaining color is averaged over three by three pixels."""
    height, width, channels = graph.needs_picture(x)
    if channels != 3 or graph.operations[x].kind != "scaling":
        raise NetworkError(f"{graph.here} must be the first layer: only the first layer receives colors")
    brightness = graph.add(f"{name}.brightness", "brightness", [x], (height, width, 1), settings={"weights": LUMA})
    color = graph.add(f"{name}.color", "subtract", [x, brightness], (height, width, 3))
    color = _pool(graph, f"{name}.smooth", "average_pool", color, 3, 1, "same")
    return graph.add(f"{name}.add", "add", [color, brightness], (height, width, 3))


def _output_side(side: int, window: int, stride: int, padding: str) -> tuple[int, tuple[int, int]]:
    """The side of the output of a window that slides over a picture, and the padding before and after."""
    if padding == "valid":
        return (side - window) // stride + 1, (0, 0)
    output = -(-side // stride)
    total = max((output - 1) * stride + window - side, 0)
    return output, (total // 2, total - total // 2)
