"""ONNX graphs of every kind of layer, compared with Keras, and read by the tools that others use."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from dogvscat.bundle.export.formats import FORMATS
from dogvscat.bundle.graph import open_graph, run_class_activation, run_graph
from dogvscat.config import NetworkConfig
from dogvscat.judging.decision import Decision
from dogvscat.learning.model.networks import average_over_flips, build_network
from dogvscat.learning.onnx_export.export import export_onnx
from tests.helpers import plain_layers, residual_layers

NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {"layers": plain_layers(4, 8)},
    "normalizations before, behind and between pools": {
        "layers": ["norm, conv 8, max pool, norm, relu, conv 8, norm, relu, average pool, norm", "global mean"]
    },
    "features": {"layers": ["conv 4 5x5 stride 3 valid, elu, flatten, dense 8, norm, silu, dropout 0.2"]},
    "as best": {
        "layers": ["soft colors", *residual_layers(4, 8, 16)],
        "flip_averaging": True,
        "neither_output": True,
    },
    "everything else": {
        "layers": [
            "conv 8 4x4 stride 3, leaky relu, squeeze-excite, blur pool",
            "max pool 3x3 stride 2, 2 x residual 5x5 silu squeeze-excite, conv 12 valid, norm, global mean",
        ],
        "neither_output": True,
    },
}
SIZE = 48
DECISION = Decision(1.7, 0.6)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_graph_answers_as_keras(name: str, seed: int) -> None:
    config = NetworkConfig(**NETWORKS[name])
    model, rng = build_network(config, SIZE, seed=seed), np.random.default_rng(seed)
    for variable in model.weights:
        if len(variable.shape) == 1:  # fresh ones are 0 or 1, and would hide a mistake; half of the factors negative
            signs = rng.choice([-1.0, 1.0], variable.shape) if variable.path.endswith("gamma") and seed else 1.0
            variable.assign(rng.uniform(0.5, 1.5, variable.shape) * signs)
    model = average_over_flips(model) if config.flip_averaging else model
    session = open_graph(export_onnx(model, config, DECISION), "test")
    pixels = rng.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    expected = np.asarray(model.predict_on_batch(pixels), dtype=np.float64)  # (3, 1 or 2)
    logits, activation = run_graph(session, pixels), run_class_activation(session, pixels)
    assert np.std(expected[:, 0]) > 1e-3
    np.testing.assert_allclose(logits.positive, expected[:, 0] / 1.7 + 0.6, rtol=1e-4, atol=1e-4)
    assert (logits.neither is not None) == config.neither_output
    if logits.neither is not None:
        np.testing.assert_allclose(logits.neither, expected[:, 1], rtol=1e-4, atol=1e-4)
    assert (activation is not None) == (config.layers[-1].endswith("global mean"))
    if activation is not None:
        np.testing.assert_allclose(activation.mean(axis=(1, 2)), logits.positive, rtol=1e-4, atol=1e-4)


def as_best() -> bytes:
    config = NetworkConfig(**NETWORKS["as best"])
    return export_onnx(build_network(config, SIZE, seed=1), config, DECISION)


def slimmed(graph: bytes) -> onnx.ModelProto:
    import onnxslim

    return onnxslim.slim(onnx.load_from_string(graph))


def simplified(graph: bytes) -> onnx.ModelProto:
    import onnxsim

    return onnxsim.simplify(onnx.load_from_string(graph))[0]


def halved(graph: bytes) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load_from_string(graph))


@pytest.mark.parametrize(("convert", "difference"), [(slimmed, 1e-5), (simplified, 1e-5), (halved, 0.05)])
def test_other_tools_take_the_graph(convert: Callable[[bytes], onnx.ModelProto], difference: float) -> None:
    """`benchmarks/outside_tools.py` has more of them, which are too large for tests."""
    graph = as_best()
    converted = convert(graph).SerializeToString()
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    expected, received = (run_graph(open_graph(each, "test"), pixels) for each in (graph, converted))
    assert np.std(expected.positive) > 1e-3
    assert received.neither is not None
    assert expected.neither is not None
    np.testing.assert_allclose(received.positive, expected.positive, atol=difference)
    np.testing.assert_allclose(received.neither, expected.neither, atol=difference)


def test_names_are_those_of_the_description() -> None:
    graph = onnx.load_from_string(as_best())
    (opset,) = graph.opset_import
    assert FORMATS["onnx"].title == f"ONNX, opset {opset.version}"
    weights = {constant.name: tuple(constant.dims) for constant in graph.graph.initializer}
    assert weights["stage1.block1.conv1.weight"] == (8, 8, 3, 3)
    assert weights["stage1.block1.conv1.bias"] == (8,)  # of the normalization behind it
    nodes = {node.name: node for node in graph.graph.node}
    assert len(nodes) == len(graph.graph.node)
    assert nodes["stage2.block1.relu2"].input == ["stage2.block1.add"]
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds[:2] == ["Cast", "Transpose"]
    assert kinds.count("Cast") == 1
    # A factor of a fresh block is zero, and stays apart; each other normalization is folded.
    assert kinds.count("BatchNormalization") == 2


def test_equal_weights_give_equal_bytes_in_every_process() -> None:
    script = """
import hashlib
import numpy as np
from dogvscat.config import NetworkConfig
from dogvscat.judging.decision import Decision
from dogvscat.learning.onnx_export.writer import write_onnx

operations = NetworkConfig(**NETWORK).operations(48)
shapes = {name: shape for operation in operations for name, shape in operation.weights.items()}
weights = {name: np.full(shape, 0.1, np.float32) for name, shape in shapes.items()}
print(hashlib.sha256(write_onnx(operations, weights, Decision(1.7, 0.6), flip_averaging=True)).hexdigest())
"""
    command = [sys.executable, "-c", script.replace("NETWORK)", f"{NETWORKS['as best']!r})")]
    digests = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.append(process.stdout)
    assert len(digests[0]) == 65
    assert digests[0] == digests[1]
