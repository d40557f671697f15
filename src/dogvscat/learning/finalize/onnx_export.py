"""A trained network as ONNX: pixels uint8 in, calibrated logit out.

It depends on the backend only through Keras' own exporter, which uses tf2onnx on TensorFlow.
"""

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx

from dogvscat.bundle.graph import ACTIVATION, open_graph, run_class_activation, run_graph
from dogvscat.config import NetworkConfig
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Decision, sigmoid
from dogvscat.learning.engine import keras
from dogvscat.learning.model.networks import with_class_activation
from dogvscat.stderr import quiet_stderr

OPSET = 17


def export_onnx(model: keras.Model, config: NetworkConfig, decision: Decision) -> bytes:
    """The ONNX graph of a network, calibrated.

    Args:
        model: From `pixels` to the logit.
        config: Its description.
        decision: Its temperature and bias are applied to the logit, and to each position of the class activation.

    Returns:
        A graph with input `pixels`, uint8 (N, image_size, image_size, 3), and output `logit`, float32 (N, 1). With a
        second output of the network it also has `neither`, the log-odds of showing neither class, float32 (N, 1); and
        if the network ends in a mean over positions, `activation`, the calibrated log-odds of each position, float32
        (N, height, width).
    """
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    with_map = with_class_activation(model, config)
    columns, activation = with_map(pixels) if with_map else (model(pixels), None)  # (N, 1 or 2), (N, height, width)
    outputs = {"logit": columns[:, :1]}
    if columns.shape[-1] == 2:
        outputs["neither"] = columns[:, 1:]
    if activation is not None:
        outputs[ACTIVATION] = activation
    network = keras.Model(pixels, outputs)
    network.predict_on_batch(np.zeros((1, *model.input_shape[1:]), dtype=np.uint8))  # the exporter needs one call
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), quiet_stderr():
        warnings.filterwarnings("ignore", message=".*np.object.*", category=FutureWarning)  # tf2onnx 1.17, NumPy 2
        file = os.path.join(folder, "model.onnx")  # noqa: PTH118 - Keras wants a string
        network.export(file, format="onnx", opset_version=OPSET, verbose=False)
        return calibrate_graph(Path(file).read_bytes(), decision)


def calibrate_graph(data: bytes, decision: Decision) -> bytes:
    """The same graph with calibrated outputs: `logit` and `activation` divided by the temperature, plus the bias.

    The mean of `activation` stays the `logit`, since every position gets the whole bias.
    """
    graph = onnx.load_from_string(data)
    constants = {"scale": 1.0 / decision.temperature, "bias": decision.bias}
    for name in [value.name for value in graph.graph.output if value.name in ("logit", ACTIVATION)]:
        for node in graph.graph.node:
            node.input[:] = [f"{name}_raw" if value == name else value for value in node.input]
            node.output[:] = [f"{name}_raw" if value == name else value for value in node.output]
        graph.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.array(number, dtype=np.float32), f"{name}_{constant}")
            for constant, number in constants.items()
        )
        graph.graph.node.append(onnx.helper.make_node("Mul", [f"{name}_raw", f"{name}_scale"], [f"{name}_scaled"]))
        graph.graph.node.append(onnx.helper.make_node("Add", [f"{name}_scaled", f"{name}_bias"], [name]))
    return _with_stable_names(graph.SerializeToString())


def _with_stable_names(data: bytes) -> bytes:
    """The same graph with its inner names numbered in order.

    The names that tf2onnx gives differ from one process to the next, and equal weights should give equal files.
    """
    graph = onnx.load_from_string(data)
    # Inputs and outputs keep their names; every other value is numbered at its first use. Nodes are in execution order.
    names = {value.name: value.name for value in [*graph.graph.input, *graph.graph.output]}
    for node in graph.graph.node:
        for name in [*node.input, *node.output]:
            if name:
                names.setdefault(name, f"value{len(names)}")
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}{number}"
        node.input[:] = [names.get(name, "") for name in node.input]
        node.output[:] = [names.get(name, "") for name in node.output]
    # The constants, too, are put in the order of their first use.
    constants = sorted(graph.graph.initializer, key=lambda constant: list(names).index(constant.name))
    for constant in constants:
        constant.name = names[constant.name]
    del graph.graph.initializer[:], graph.graph.value_info[:]
    graph.graph.doc_string = ""
    graph.graph.initializer.extend(constants)
    onnx.checker.check_model(graph)
    serialized: bytes = graph.SerializeToString(deterministic=True)
    return serialized


def check_parity(model: keras.Model, decision: Decision, graph: bytes, pixels: np.ndarray) -> None:
    """Make sure that an exported graph answers as the network does.

    Args:
        model: The network.
        decision: As exported.
        graph: As `export_onnx` returned it.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if the graph cannot be run, a probability differs by more than 1e-4, or the mean of the class
            activation is not the logit.
    """
    columns = np.array(model.predict_on_batch(pixels), dtype=np.float64)  # (num_images, 1 or 2)
    columns[:, 0] = decision.calibrate(columns[:, 0])
    session = open_graph(graph, "the new bundle")
    exported, activation = run_graph(session, pixels), run_class_activation(session, pixels)
    exported_columns = np.stack([logits for logits in exported if logits is not None], axis=1)  # (num_images, 1 or 2)
    difference = float(np.max(np.abs(sigmoid(columns) - sigmoid(exported_columns))))
    if not difference <= 1e-4:
        raise ModelError(
            f"the exported graph differs from the network by {difference:.2g} in probability, at most 1e-4 is allowed"
        )
    if activation is not None:
        difference = float(np.max(np.abs(activation.mean(axis=(1, 2)) - exported.positive)))
        if not difference <= 1e-3:
            what = "the mean over the exported positions differs from the logit"
            raise ModelError(f"{what} by {difference:.2g}, at most 1e-3 is allowed")
