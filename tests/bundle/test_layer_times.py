"""Times of layers, from the profile of a graph whose nodes bear their names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.layer_times import measure_operations, seconds_by_operation
from dogvscat.config import NetworkConfig


def test_fused_and_renamed_nodes_count_for_their_operation() -> None:
    operations = NetworkConfig(layers=("stage1: conv 4, norm, relu, residual", "global mean")).operations(32)
    durations = {
        "model_run": ("", 900),
        "stage1.relu1_nchwc": ("Conv", 300),
        "fused stage1.block1.conv2": ("FusedConv", 200),
        "stage1.block1.relu2": ("Conv", 100),
        "stage1.block1.add_token_7": ("Add", 70),
        "reorder": ("ReorderOutput", 50),
    }
    events = [
        {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": kind}}
        for name, (kind, us) in durations.items()
    ]
    events[0] = {"cat": "Session", "name": "model_run", "dur": 900}
    events += [{**events[1], "dur": 310}, {**events[1], "dur": 9_000}]  # one slow run does not count
    seconds = seconds_by_operation(events, operations)
    assert seconds is not None
    expected = {"stage1.conv1": 310e-6, "stage1.block1.conv2": 300e-6, "stage1.block1.add": 70e-6}
    assert {name: round(value, 9) for name, value in seconds.items() if value} == expected
    assert seconds_by_operation(events, NetworkConfig(layers=("flatten",)).operations(32)) is None


def test_a_graph_with_names_of_its_own_is_not_measured(untouched_bundle: Path) -> None:
    bundle = load_bundle(untouched_bundle)
    operations = bundle.card.config.network.operations(bundle.card.image_size)
    assert measure_operations(bundle, operations) is None


def test_the_time_of_a_large_product_is_that_of_its_layer(untouched_bundle: Path) -> None:
    """A graph of two dense layers, one of which has nearly all of the work."""
    bundle = load_bundle(untouched_bundle)
    size = bundle.card.image_size
    features = size * size * 3
    rng = np.random.default_rng(0)
    arrays = {
        "dense1.weight": rng.normal(size=(features, 2_000)).astype(np.float32),
        "logit.weight": rng.normal(size=(2_000, 1)).astype(np.float32),
        "shape": np.array([-1, features]),
    }
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["pixels"], ["floats"], "scaling", to=onnx.TensorProto.FLOAT),
        node("Reshape", ["floats", "shape"], ["flat"], "flatten"),
        node("MatMul", ["flat", "dense1.weight"], ["hidden"], "dense1"),
        node("MatMul", ["hidden", "logit.weight"], ["logit"], "logit"),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [value("pixels", onnx.TensorProto.UINT8, ["n", size, size, 3])],
        [value("logit", onnx.TensorProto.FLOAT, ["n", 1])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    named = replace(bundle, model=model)
    operations = NetworkConfig(layers=("flatten, dense 2000",)).operations(size)
    seconds = measure_operations(named, operations)
    assert seconds is not None
    assert seconds["dense1"] > 0.5 * sum(seconds.values())
