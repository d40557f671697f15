"""Reads an ONNX file as untrusted data: its nodes, and the shapes of its constants, without any ONNX library.

ONNX files are Protocol Buffers (protobuf.dev/programming-guides/encoding): records of a field number, a type and a
value, nested in each other. The field numbers are those of onnx.proto3. Only what graphs of this project have is
accepted: functions, graphs inside of nodes, sparse constants and constants in other files are refused.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]
Integers: TypeAlias = tuple[int, ...]

_MOST_PARTS = 20_000
"""Most nodes, constants or inputs of a graph; the largest network here has a few hundred."""
MOST_AXES = 8
"""Most axes of any value; images and kernels have four."""
_LISTED = 64
"""Constants of at most this many integers are read: shapes, axes, ranges."""
_FLOAT, _UINT8, _INT8, _INT32, _INT64 = 1, 2, 3, 6, 7
_NUM_BYTES = {_FLOAT: 4, _INT64: 8}
"""Bytes of a number, by the number types that constants may have ..."""
_QUANTIZED_NUM_BYTES = {**_NUM_BYTES, _UINT8: 1, _INT8: 1, _INT32: 4}
"""... and those of a graph in 8 bits."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Value: TypeAlias = int | memoryview


class GraphFault(Exception):
    """A graph is not one that a network of this project could have; the text says why."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph."""

    kind: str
    """The ONNX operator."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int | Integers | str]
    """Integers, lists of integers and texts; others are left out."""


@dataclass(frozen=True)
class Constant:
    """A constant of a graph, without its numbers unless they are a few integers."""

    shape: Shape
    integers: Integers | None


@dataclass
class GraphFile:
    """The parts of a graph that its sizes depend on."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    is_quantized: bool = False
    """Whether it may have what graphs in 8 bits have."""


def read_graph(data: bytes, *, is_quantized: bool = False) -> GraphFile:
    """The parts of an ONNX file.

    Args:
        data: Its content.
        is_quantized: Whether constants may have 8-bit integers, and 32-bit integers for biases.

    Raises:
        GraphFault: if it is damaged or has something that no graph of this project has.
    """
    graphs = []
    for number, value in _fields(memoryview(data)):
        match number:
            case 7:
                graphs.append(_read_graph(_message(value), is_quantized))
            case 1 | 2 | 3 | 4 | 5 | 6 | 8 | 14:  # versions, names, notes
                continue
            case _:  # such as functions, or instructions for training
                raise GraphFault(f"it has an unexpected part ({number})")
    if len(graphs) != 1:
        raise GraphFault("it is not an ONNX file with one graph")
    return graphs[0]


def _read_graph(data: memoryview, is_quantized: bool) -> GraphFile:
    graph, num_bytes = GraphFile(is_quantized=is_quantized), _QUANTIZED_NUM_BYTES if is_quantized else _NUM_BYTES
    for number, value in _fields(data):
        match number:
            case 1:
                graph.nodes.append(_read_node(_message(value)))
            case 5:
                name, constant = _read_constant(_message(value), num_bytes)
                if name in graph.constants:
                    raise GraphFault(f"two constants have the name {name!r}")
                graph.constants[name] = constant
            case 11:
                graph.inputs.append(next((_text(part) for key, part in _fields(_message(value)) if key == 1), ""))
            case 2 | 10 | 12 | 13 | 16:  # names, notes, outputs, shapes that are only claimed
                continue
            case _:
                raise GraphFault(f"the graph has an unexpected part ({number})")
        if max(len(graph.nodes), len(graph.constants), len(graph.inputs)) > _MOST_PARTS:
            raise GraphFault(f"it has more than {_MOST_PARTS:,} parts")
    return graph


def _read_node(data: memoryview) -> Node:
    kind, inputs, outputs, attributes = "", [], [], {}
    for number, value in _fields(data):
        match number:
            case 1:
                inputs.append(_text(value))
            case 2:
                outputs.append(_text(value))
            case 4:
                kind = _text(value)
            case 5:
                name, content = _read_attribute(_message(value))
                attributes[name] = content
            case 7:
                if domain := _text(value):
                    raise GraphFault(f"its operators are of another domain, {domain!r}")
            case 3 | 6 | 9:  # a name, notes
                continue
            case _:
                raise GraphFault(f"a node has an unexpected part ({number})")
    return Node(kind, tuple(inputs), tuple(outputs), {name: value for name, value in attributes.items() if value != ""})


def _read_attribute(data: memoryview) -> tuple[str, int | Integers | str]:
    """Name and value; an empty text for a number with a fraction, which no size depends on."""
    name: str = ""
    content: int | Integers | str = ""
    integers: list[int] = []
    for number, value in _fields(data):
        match number:
            case 1:
                name = _text(value)
            case 3:
                content = _signed(value)
            case 4:
                content = _text(value)
            case 8:
                integers += _integers(value)
            case 2 | 7 | 13 | 20:  # numbers with a fraction, notes, the type
                continue
            case _:
                raise GraphFault("a node has a graph, a constant or a text list as an attribute")
    return name, tuple(integers) or content


def _read_constant(data: memoryview, num_bytes: Mapping[int, int]) -> tuple[str, Constant]:
    parts: dict[int, list[Value]] = {}
    for number, value in _fields(data):
        parts.setdefault(number, []).append(value)
    name = _text(parts.get(8, [memoryview(b"")])[-1])
    if unexpected := parts.keys() - {1, 2, 4, 7, 8, 9, 12, 13, 14}:
        raise GraphFault(f"the constant {name!r} has an unexpected part ({min(unexpected)})")
    if 13 in parts or any(parts.get(14, [])):
        raise GraphFault(f"the numbers of {name!r} lie in another file")
    kind = _signed(parts.get(2, [0])[-1])
    if kind not in num_bytes:
        raise GraphFault(f"the constant {name!r} has numbers of an unexpected type ({kind})")
    shape = tuple(length for value in parts.get(1, []) for length in _integers(value))
    if len(shape) > MOST_AXES or min(shape, default=0) < 0:
        raise GraphFault(f"the constant {name!r} has the impossible shape {shape}")
    received = _count_numbers(parts, kind)
    if received != prod(shape):
        raise GraphFault(f"the constant {name!r} of shape {shape} has {received:,} numbers")
    has_integers = kind == _INT64 and received <= _LISTED
    return name, Constant(shape, _read_integers(parts) if has_integers else None)


def _count_numbers(parts: Mapping[int, list[Value]], kind: int) -> float:
    """How many numbers a constant has. They are stored as bytes, packed or one by one."""
    if 9 in parts:
        return sum(len(_message(value)) for value in parts[9]) / _QUANTIZED_NUM_BYTES[kind]
    if kind == _INT64:
        return len(_read_integers(parts))
    return sum(len(value) / 4 if isinstance(value, memoryview) else 1 for value in parts.get(4, []))


def _read_integers(parts: Mapping[int, list[Value]]) -> Integers:
    if 9 in parts:
        raw = b"".join(_message(value) for value in parts[9])
        return struct.unpack(f"<{len(raw) // 8}q", raw)
    return tuple(integer for value in parts.get(7, []) for integer in _integers(value))


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Field number and value of each record: an int, or the bytes of a text, a message or packed numbers. A number with
    a fraction is replaced by 0."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise GraphFault(f"it is damaged: a record of type {kind}")
        if position + length > len(data):
            raise GraphFault("it is damaged: a part is longer than the file")
        # Numbers with a fraction become 0: no size depends on them.
        yield number, data[position : position + length] if kind == _BYTES else 0
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of 7 bits per byte, lowest first, and the position behind it."""
    number = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    raise GraphFault("it is damaged: a number has no end")


def _integers(value: Value) -> list[int]:
    """One integer, or packed ones."""
    if isinstance(value, int):
        return [_signed(value)]
    if len(value) > 10 * _LISTED:
        raise GraphFault(f"a list of integers has more than {10 * _LISTED} bytes")
    integers, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        integers.append(_signed(number))
    return integers


def _signed(value: Value) -> int:
    if not isinstance(value, int):
        raise GraphFault("it is damaged: a number is missing")
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise GraphFault("it is damaged: a number stands in the place of a part")
    return value


def _text(value: Value) -> str:
    return bytes(_message(value)).decode("utf-8", "replace")
