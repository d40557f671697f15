"""A bundle's own ONNX graph with more outputs: what each operation computes, and the weights. Needs no ONNX library.

The nodes, and so the answers, stay as they are.
"""

from collections.abc import Iterable, Sequence

from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.graph_file import GraphFile, read_graph
from dogvscat.errors import ModelError
from dogvscat.network.operations import Operation

# Field numbers of onnx.proto3.
_MODEL_GRAPH = 7
_GRAPH_OUTPUT = 12
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_FLOAT_ELEMENTS = bytes([1 << 3, 1])
"""A tensor type whose field 1, the type of its elements, is 1: float32."""


def find_values(bundle: Bundle, operations: Sequence[Operation]) -> dict[str, str]:
    """The name of the graph's value that each operation of the network gives, by the name of the operation.

    An operation without a node of its own has the value of its input: dropout, and a normalization that is folded into
    the kernel before it.

    Raises:
        ModelError: if the graph does not have the names of the network, because another program wrote it.
    """
    graph = read_graph(bundle.model)
    outputs = {output for node in graph.nodes for output in node.outputs}
    outputs_by_weight = {name: node.outputs[0] for node in graph.nodes for name in node.inputs[1:]}
    values: dict[str, str] = {}
    for operation in operations:
        # The value of the logit has another name if it is averaged over flips or has a second output, but its weights
        # always have the same name.
        candidates = (outputs_by_weight.get(f"{operation.name}.weight"), operation.name, f"{operation.name}.positions")
        value = next((name for name in candidates if name in outputs), None)
        if value is None and operation.kind in ("dropout", "norm"):
            value = values[operation.inputs[0]]
        if value is None:
            raise ModelError(
                f"the graph of {bundle.folder} has no value for {operation.name}, so its layers cannot be shown",
                hint="Another program wrote this graph. Train the network again.",
            )
        values[operation.name] = value
    return values


def find_weights(bundle: Bundle, operations: Sequence[Operation]) -> dict[str, list[str]]:
    """The names of the graph's constants that each operation with weights takes, by the name of the operation."""
    graph = read_graph(bundle.model)
    with_weights = [operation.name for operation in operations if operation.weights or operation.kind == "brightness"]
    return {name: _constants_of(graph, name) for name in with_weights}


def with_outputs(model: bytes, names: Iterable[str]) -> bytes:
    """A graph with more outputs, float32.

    Args:
        model: An ONNX file.
        names: Of values and constants of the graph that are not outputs yet.
    """
    value_type = _field(_TYPE_TENSOR, _FLOAT_ELEMENTS)
    outputs = (_field(_VALUE_NAME, name.encode()) + _field(_VALUE_TYPE, value_type) for name in names)
    # If a field with a message is in a file twice, Protocol Buffers joins the lists inside. So a second graph that has
    # only outputs adds them to the first one. Runtimes do that, but not every viewer (findings/onnx_second_graph.sh).
    return model + _field(_MODEL_GRAPH, b"".join(_field(_GRAPH_OUTPUT, output) for output in outputs))


def _constants_of(graph: GraphFile, operation: str) -> list[str]:
    keys = ("weight", "bias", "gamma", "beta", "mean", "variance")
    return [name for key in keys if (name := f"{operation}.{key}") in graph.constants]


def _field(number: int, content: bytes) -> bytes:
    """A record of bytes with its field number and length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """A number as 7 bits per byte, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
