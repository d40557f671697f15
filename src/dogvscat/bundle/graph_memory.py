"""How much memory a graph needs, worked out from its file before a runtime sees it.

A file of a thousand bytes can describe a graph that needs gigabytes: an outer product of two constants is enough, and
ONNX Runtime computes it while it loads the file. So the shape of every value is derived here, node by node, and their
sum is compared with the network that the card describes.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TypeAlias

from dogvscat.bundle.card import Card
from dogvscat.bundle.graph_file import MOST_AXES, Constant, GraphFault, GraphFile, Integers, Node, Shape, read_graph
from dogvscat.errors import ModelError

_MARGIN = 16_000_000
"""Numbers that every graph may need in addition to those of the network in its card: 64 MB."""
_FACTOR = 2
"""A graph may need this many times the numbers of its network: an operation can need several values: silu needs two."""
_MOST_NUMBERS = 256_000_000
"""Most numbers that any graph may need, 1 GB, whatever its card describes."""


_NUMBER_TYPES = (1, 2, 7, 10)
"""What values may be cast to: float32, uint8, int64, float16."""


class _Mismatch(Exception):
    """The shapes of a node's inputs do not fit together."""


def check_graph(graph: bytes, card: Card, origin: str, *, is_quantized: bool = False) -> None:
    """Refuse a graph that does not fit the network in the card.

    Args:
        graph: The content of the ONNX file.
        card: Describes the network.
        origin: Where the graph came from, for errors.
        is_quantized: Whether it may also have what graphs in 8 bits have.

    Raises:
        ModelError: if the file is damaged, has operators that no network here has, or needs much more memory.
    """
    size = card.image_size
    try:
        received = _count_numbers(read_graph(graph, is_quantized=is_quantized), (1, size, size, 3))
    except GraphFault as fault:
        raise ModelError(f"the graph in {origin} cannot be run: {fault}") from None
    except _Mismatch as mismatch:
        shape = (size, size, 3)
        raise ModelError(f"the graph in {origin} cannot be run on images of shape {shape}: {mismatch}") from None
    allowed = _allowed_numbers(card)
    if received > allowed:
        raise ModelError(
            f"the graph in {origin} cannot be run: it needs {4 * received / 1e6:,.0f} MB for one image, and the "
            f"network that its card describes needs at most {4 * allowed / 1e6:,.0f} MB",
            hint="Do not use this bundle: its graph is not one that dogvscat made.",
        )


def _allowed_numbers(card: Card) -> int:
    """Numbers that the graph of a card's network may need, for one image."""
    operations = card.config.network.operations(card.image_size)
    values = sum(prod(operation.output_shape) for operation in operations)
    weights = sum(prod(shape) for operation in operations for shape in operation.weights.values())
    passes = 2 if card.config.network.flip_averaging else 1
    return min(_MOST_NUMBERS, _MARGIN + _FACTOR * (passes * values + weights))


def _count_numbers(graph: GraphFile, pixels: Shape) -> int:
    """Numbers in all constants and values of a graph, for one image of this shape."""
    rules = _RULES | _QUANTIZED_RULES if graph.is_quantized else _RULES
    shapes = {name: constant.shape for name, constant in graph.constants.items()}
    shapes |= {name: pixels for name in graph.inputs if name not in graph.constants}
    numbers = sum(map(prod, shapes.values()))
    for node in graph.nodes:
        rule = rules.get(node.kind)
        if rule is None or len(node.outputs) != 1:
            raise GraphFault(f"no network of dogvscat has the operator {node.kind!r} with {len(node.outputs)} outputs")
        try:
            inputs = [shapes[name] for name in node.inputs]
            shape = rule(inputs, _Arguments(node, graph.constants))
        except KeyError as error:
            raise GraphFault(f"{node.kind} has no input {error}") from None
        except (_Mismatch, IndexError, ValueError, TypeError, ZeroDivisionError):
            sizes = " and ".join(map(str, inputs)) or "nothing"
            raise _Mismatch(f"{node.kind} would get values of shape {sizes}") from None
        if node.outputs[0] in shapes:
            raise GraphFault(f"two values have the name {node.outputs[0]!r}")
        if len(shape) > MOST_AXES or any(length < 0 for length in shape):
            raise GraphFault(f"{node.kind} gives the impossible shape {shape}")
        shapes[node.outputs[0]] = shape
        numbers += prod(shape)
    return numbers


class _Arguments:
    """The attributes of a node, and its constant inputs."""

    def __init__(self, node: Node, constants: Mapping[str, Constant]) -> None:
        self._node = node
        self._constants = constants

    def integer(self, name: str, default: int) -> int:
        value = self._node.attributes.get(name, default)
        if not isinstance(value, int):
            raise _Mismatch
        return value

    def integers(self, name: str, default: Integers) -> Integers:
        value = self._node.attributes.get(name, default)
        if not isinstance(value, tuple):
            raise _Mismatch
        return value

    def constant(self, index: int) -> Integers | None:
        """The integers of an input, which must be a constant; None if the node has no such input."""
        if index >= len(self._node.inputs):
            return None
        constant = self._constants.get(self._node.inputs[index])
        if constant is None or constant.integers is None:
            raise _Mismatch  # a shape that is computed could be any
        return constant.integers

    def refuse(self, *names: str) -> None:
        """Refuse attributes that change a shape in a way that no graph of this project uses."""
        for name in names:
            if self._node.attributes.get(name, 0) not in (0, "NOTSET"):
                raise _Mismatch


Rule: TypeAlias = Callable[[Sequence[Shape], _Arguments], Shape]
"""The shape of a node's output, from the shapes of its inputs."""


def _same(inputs: Sequence[Shape], _arguments: _Arguments) -> Shape:
    return inputs[0]


def _quantize(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    """The same numbers with fewer bits, or the way back, by one scale and zero point, or one per channel."""
    values, scale, zero_point = inputs
    per_channel = (values[arguments.integer("axis", 1)],) if scale else ()
    if not scale == zero_point == per_channel:
        raise _Mismatch
    return values


def _cast(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    if arguments.integer("to", 0) not in _NUMBER_TYPES:
        raise _Mismatch
    return inputs[0]


def _broadcast(inputs: Sequence[Shape], _arguments: _Arguments) -> Shape:
    first, second = inputs
    num_axes = max(len(first), len(second))
    pairs = zip((1,) * (num_axes - len(first)) + first, (1,) * (num_axes - len(second)) + second, strict=True)
    return tuple(_common(left, right) for left, right in pairs)


def _common(left: int, right: int) -> int:
    if left != right and 1 not in (left, right):
        raise _Mismatch
    return right if left == 1 else left


def _transpose(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    axes = arguments.integers("perm", tuple(reversed(range(len(inputs[0])))))
    if sorted(axes) != list(range(len(inputs[0]))):
        raise _Mismatch
    return tuple(inputs[0][axis] for axis in axes)


def _conv(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    arguments.refuse("auto_pad")
    (images, channels, *_), (filters, per_group, *kernel) = inputs[:2]
    if channels != per_group * arguments.integer("group", 1):
        raise _Mismatch
    return (images, filters, *_window(inputs[0][2:], tuple(kernel), arguments))


def _pool(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    arguments.refuse("auto_pad", "ceil_mode")
    return (*inputs[0][:2], *_window(inputs[0][2:], arguments.integers("kernel_shape", ()), arguments))


def _window(sides: Shape, kernel: Integers, arguments: _Arguments) -> Shape:
    """Rows and columns after a window slid over them."""
    strides, steps = (arguments.integers(name, (1,) * len(sides)) for name in ("strides", "dilations"))
    pads = arguments.integers("pads", (0,) * 2 * len(sides))
    ends = zip(sides, kernel, strides, steps, pads[: len(sides)], pads[len(sides) :], strict=True)
    if min(*strides, *steps, *kernel) < 1 or min(pads) < 0:
        raise _Mismatch
    return tuple(
        (side + before + after - step * (length - 1) - 1) // stride + 1
        for side, length, stride, step, before, after in ends
    )


def _global_pool(inputs: Sequence[Shape], _arguments: _Arguments) -> Shape:
    return (*inputs[0][:2], *(1,) * (len(inputs[0]) - 2))


def _flatten(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    axis = arguments.integer("axis", 1)
    return prod(inputs[0][:axis]), prod(inputs[0][axis:])


def _gemm(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    (rows, inner), (other_inner, columns) = (
        shape[::-1] if arguments.integer(flag, 0) else shape
        for shape, flag in zip(inputs[:2], ("transA", "transB"), strict=True)
    )
    if inner != other_inner:
        raise _Mismatch
    return (rows, columns)


def _matmul(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    first, second = inputs
    (inner,), (other_inner, columns) = first[-1:], second[-2:]
    if inner != other_inner:
        raise _Mismatch
    return (*_broadcast((first[:-2], second[:-2]), arguments), *first[-2:-1], columns)


def _concat(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    axis = arguments.integer("axis", 0) % len(inputs[0])
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in inputs}) != 1:
        raise _Mismatch
    return (*inputs[0][:axis], sum(shape[axis] for shape in inputs), *inputs[0][axis + 1 :])


def _reshape(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    lengths = [inputs[0][axis] if length == 0 else length for axis, length in enumerate(arguments.constant(1) or ())]
    if -1 in lengths:
        lengths[lengths.index(-1)] = prod(inputs[0]) // -prod(lengths)
    if prod(lengths) != prod(inputs[0]):
        raise _Mismatch
    return tuple(lengths)


def _reduce(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    axes = arguments.integers("axes", arguments.constant(1) or tuple(range(len(inputs[0]))))
    reduced = {axis % len(inputs[0]) for axis in axes}
    keeps = arguments.integer("keepdims", 1)
    lengths = [1 if axis in reduced else length for axis, length in enumerate(inputs[0])]
    return tuple(length for axis, length in enumerate(lengths) if keeps or axis not in reduced)


def _slice(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    starts, ends = arguments.constant(1) or (), arguments.constant(2) or ()
    axes = arguments.constant(3) or tuple(range(len(starts)))
    steps = arguments.constant(4) or (1,) * len(starts)
    lengths = list(inputs[0])
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # The end of a slice that runs backwards to the first element is the smallest number, not -1.
        stop = None if step < 0 and end < -lengths[axis] else end
        lengths[axis] = len(range(*slice(start, stop, step).indices(lengths[axis])))
    return tuple(lengths)


def _squeeze(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    axes = arguments.constant(1) or tuple(axis for axis, length in enumerate(inputs[0]) if length == 1)
    removed = {axis % len(inputs[0]) for axis in axes}
    if any(inputs[0][axis] != 1 for axis in removed):
        raise _Mismatch
    return tuple(length for axis, length in enumerate(inputs[0]) if axis not in removed)


def _unsqueeze(inputs: Sequence[Shape], arguments: _Arguments) -> Shape:
    axes = arguments.constant(1) or ()
    added = {axis % (len(inputs[0]) + len(axes)) for axis in axes}
    lengths = iter(inputs[0])
    return tuple(1 if axis in added else next(lengths) for axis in range(len(inputs[0]) + len(added)))


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("Identity", "Relu", "LeakyRelu", "Elu", "Sigmoid", "Log", "BatchNormalization"), _same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _broadcast),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduce),
    "Cast": _cast,
    "Transpose": _transpose,
    "Conv": _conv,
    "GlobalAveragePool": _global_pool,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Concat": _concat,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
"""What the writer of learning/onnx_export/ uses, and a few more."""

_QUANTIZED_RULES: dict[str, Rule] = {"QuantizeLinear": _quantize, "DequantizeLinear": _quantize}
"""What a graph has in addition if its convolutions compute with 8-bit integers."""
