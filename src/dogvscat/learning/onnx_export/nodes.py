"""The nodes and constants of an ONNX graph that is being written, and how they become bytes.

Tensors in the graph have the axes (image, channel, row, column), which every ONNX runtime computes fastest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
_IR_VERSION = 8  # the one that came with this opset

IMAGES, CHANNELS, COLUMNS = 0, 1, 3
"""Axes."""
_BEFORE_FIRST = -(2**63) + 1  # the end of a slice that runs backwards through the first index


class Nodes:
    """Nodes in the order in which they are computed. Each gives one value, which has the node's name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns its name."""
        self._nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, values: np.ndarray | list[int]) -> str:
        """A constant that nodes can take: float32, or int64 for indices; returns its name."""
        array = np.ascontiguousarray(values)
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def slice(self, name: str, value: str, axis: int, index: int) -> str:
        """One index of an axis, which stays as an axis of length 1."""
        return self._slice(name, value, axis, index, index + 1, 1)

    def mirror(self, name: str, value: str) -> str:
        """The mirror image: the columns in reverse order."""
        return self._slice(name, value, COLUMNS, -1, _BEFORE_FIRST, -1)

    def reshape(self, name: str, value: str, shape: list[int]) -> str:
        """The same numbers in another shape, in which -1 stands for what remains."""
        return self.add("Reshape", name, value, self.constant(f"{name}.shape", shape))

    def _slice(self, name: str, value: str, axis: int, start: int, end: int, step: int) -> str:
        indices = {"start": start, "end": end, "axis": axis, "step": step}
        return self.add(
            "Slice", name, value, *(self.constant(f"{name}.{key}", [index]) for key, index in indices.items())
        )

    def serialize(self, image_shape: Sequence[int], outputs: Mapping[str, Sequence[int]]) -> bytes:
        """The whole graph.

        Args:
            image_shape: Shape of the input `pixels`, uint8, without the axis of images.
            outputs: Shape of each output, float32, without the axis of images.
        """
        pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["num_images", *image_shape])
        answers = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["num_images", *shape])
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, "dogvscat", [pixels], answers, list(self._constants.values()))
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, producer_name="dogvscat", ir_version=_IR_VERSION, opset_imports=[opset])
        onnx.checker.check_model(model, full_check=True)
        serialized: bytes = model.SerializeToString(deterministic=True)
        return serialized
