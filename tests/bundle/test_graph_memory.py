"""The memory of a graph is worked out before a runtime sees it, and a graph that needs too much is refused."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dogvscat.bundle import graph_memory
from dogvscat.bundle.folder import DEFAULT_BUNDLE, load_bundle, load_card
from dogvscat.bundle.graph_file import GraphFault, read_graph
from dogvscat.bundle.graph_memory import check_graph
from dogvscat.errors import ModelError
from tests.helpers import seal

SIZE = 32


def graph_of(*nodes: onnx.NodeProto, **constants: np.ndarray) -> bytes:
    """A graph with a sound logit and these nodes, whose values nobody asks for."""
    sound = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["numbers"], ["mean"]),
        helper.make_node("ReduceMean", ["mean"], ["logit"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        [*sound, *nodes],
        "graph",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(("file", "is_quantized"), [("model.onnx", False), ("first.onnx", True)])
def test_the_sizes_are_those_that_onnx_infers(file: str, is_quantized: bool) -> None:
    model = onnx.load(DEFAULT_BUNDLE / file)
    size = load_card().image_size
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    values = [*inferred.value_info, *inferred.output]
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
    # The outputs of the graph claim a number of images with a name; here it is 1.
    shapes |= {value.name: [1, *shapes[value.name][1:]] for value in inferred.output}
    assert shapes.keys() == {node.output[0] for node in model.graph.node}
    constants = sum(prod(constant.dims) for constant in model.graph.initializer)
    expected = constants + size * size * 3 + sum(map(prod, shapes.values()))
    graph = read_graph(model.SerializeToString(), is_quantized=is_quantized)
    received = graph_memory._count_numbers(graph, (1, size, size, 3))
    assert received == expected


column, row = np.ones((2000, 1), np.float32), np.ones((1, 2000), np.float32)
shape = np.array([1, 3, 1, SIZE, SIZE])
BOMBS = {
    "an outer product": graph_of(helper.make_node("Mul", ["column", "row"], ["out"]), column=column, row=row),
    "a matrix product": graph_of(helper.make_node("MatMul", ["column", "row"], ["out"]), column=column, row=row),
    "Gemm": graph_of(helper.make_node("Gemm", ["row", "row"], ["out"], transA=1), row=row),
    "padding": graph_of(
        helper.make_node("Conv", ["numbers", "kernel"], ["out"], pads=[0, 60_000, 0, 60_000]),
        kernel=np.ones((1, SIZE, 1, 1), np.float32),
    ),
    "many filters": graph_of(
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["out"]),
        kernel=np.ones((4000, 3, 1, 1), np.float32),
    ),
    "doubling": graph_of(
        *(
            helper.make_node("Concat", [f"{'numbers' if n == 0 else f'd{n}'}"] * 2, [f"d{n + 1}"], axis=1)
            for n in range(11)
        )
    ),
}


@pytest.mark.parametrize("graph", BOMBS.values(), ids=BOMBS.keys())
def test_a_small_file_that_needs_much_memory_is_refused(
    graph: bytes, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits are lowered, so that nothing would break if the check did: these need 16 MB, not 6 GB."""
    assert len(graph) < 64_000
    check_graph(graph, load_card(bundle), "here")
    monkeypatch.setattr(graph_memory, "_MARGIN", 1_000_000)
    (bundle / "model.onnx").write_bytes(graph)
    seal(bundle)
    with pytest.raises(ModelError, match=r"needs \d+ MB for one image, and the network that its card describes needs"):
        load_bundle(bundle)


def test_no_card_allows_more_than_a_gigabyte(bundle: Path) -> None:
    card = load_card(bundle)
    network = card.config.network.model_copy(update={"layers": ("conv 1024, conv 1024, global mean",)})
    data = card.config.data.model_copy(update={"image_size": 512})
    config = card.config.model_copy(update={"network": network, "data": data})
    large = card.model_copy(update={"config": config, "image_size": 512})
    assert graph_memory._allowed_numbers(large) == 256_000_000


UNEXPECTED = {
    "a loop": helper.make_node("Loop", ["numbers"], ["out"]),
    "a shape that is computed": helper.make_node("Reshape", ["numbers", "mean"], ["out"]),
    "a node without an input": helper.make_node("Relu", ["nothing"], ["out"]),
    "two outputs": helper.make_node("MaxPool", ["numbers"], ["out", "indices"], kernel_shape=[1, 1]),
    "a value twice": helper.make_node("Relu", ["numbers"], ["mean"]),
    "text": helper.make_node("Cast", ["numbers"], ["out"], to=TensorProto.STRING),
    "a stride of zero": helper.make_node("MaxPool", ["numbers"], ["out"], kernel_shape=[1, 1], strides=[0, 0]),
    "automatic padding": helper.make_node("MaxPool", ["numbers"], ["out"], kernel_shape=[1, 1], auto_pad="SAME_UPPER"),
    "a constant inside": helper.make_node("Relu", ["numbers"], ["out"], value=helper.make_tensor("t", 1, [1], [1.0])),
    "an operator of others": helper.make_node("FusedConv", ["numbers"], ["out"], domain="com.microsoft"),
}


@pytest.mark.parametrize("node", UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_what_no_network_of_this_project_has_is_refused(node: onnx.NodeProto, untouched_bundle: Path) -> None:
    with pytest.raises(ModelError, match="the graph in here cannot be run"):
        check_graph(graph_of(node), load_card(untouched_bundle), "here")


INTEGERS = np.zeros((2, 3), np.int8)


@pytest.mark.parametrize("kind", ["QuantizeLinear", "DequantizeLinear"])
def test_8_bits_are_only_for_the_first_network(kind: str, untouched_bundle: Path) -> None:
    node = helper.make_node(kind, ["numbers", "scale", "zero"], ["out"])
    graph = graph_of(node, scale=np.array(0.5, np.float32), zero=np.array(3, np.uint8))
    card = load_card(untouched_bundle)
    check_graph(graph, card, "here", is_quantized=True)
    with pytest.raises(ModelError, match="numbers of an unexpected type"):
        check_graph(graph, card, "here")


SCALES = {
    "one for each channel": (np.ones(3, np.float32), np.zeros(3, np.int8), {}, True),
    "one for each row": (np.ones(2, np.float32), np.zeros(2, np.int8), {"axis": 0}, True),
    "too many": (np.ones(4, np.float32), np.zeros(4, np.int8), {}, False),
    "an outer product": (np.ones((3, 1), np.float32), np.zeros((3, 1), np.int8), {}, False),
    "another number of zero points": (np.ones(3, np.float32), np.array(0, np.int8), {}, False),
    "an axis that is not there": (np.ones(3, np.float32), np.zeros(3, np.int8), {"axis": 7}, False),
}


@pytest.mark.parametrize(("scale", "zero", "attributes", "is_sound"), SCALES.values(), ids=SCALES.keys())
def test_scales_must_fit_their_numbers(
    scale: np.ndarray, zero: np.ndarray, attributes: dict[str, Any], is_sound: bool, untouched_bundle: Path
) -> None:
    node = helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["out"], **attributes)
    graph, card = graph_of(node, integers=INTEGERS, scale=scale, zero=zero), load_card(untouched_bundle)
    if is_sound:
        check_graph(graph, card, "here", is_quantized=True)
        return
    with pytest.raises(ModelError, match="DequantizeLinear would get values of shape"):
        check_graph(graph, card, "here", is_quantized=True)


def test_a_constant_that_claims_more_numbers_than_it_has_is_refused() -> None:
    model = onnx.load_from_string(graph_of(kernel=np.ones((4, 4), np.float32)))
    model.graph.initializer[0].dims[0] = 2**40
    with pytest.raises(GraphFault, match=r"of shape \(1099511627776, 4\) has 16"):
        read_graph(model.SerializeToString())


def test_a_file_cut_anywhere_or_changed_anywhere_never_raises_anything_else() -> None:
    graph = graph_of(helper.make_node("Reshape", ["numbers", "shape"], ["out"]), shape=shape)
    rng = np.random.default_rng(0)
    damaged = [graph[:length] for length in range(len(graph))]
    for position in range(len(graph)):
        changed = bytearray(graph)
        changed[position] = rng.integers(256)
        damaged.append(bytes(changed))
    card, messages = load_card(), []
    for data in damaged:
        try:
            check_graph(data, card, "here")
        except ModelError as error:
            messages.append(error.message)
    assert len(messages) > 0.5 * len(damaged)
    assert all("the graph in here cannot be run" in message for message in messages)
