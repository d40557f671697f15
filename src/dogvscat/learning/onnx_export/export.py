"""A trained network as ONNX, and the check that the graph answers as the network does."""

import numpy as np

from dogvscat.bundle.graph import open_graph, run_class_activation, run_graph
from dogvscat.config import NetworkConfig
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Decision, sigmoid
from dogvscat.learning.engine import keras
from dogvscat.learning.model.networks import named_weights
from dogvscat.learning.onnx_export.writer import write_onnx


def export_onnx(model: keras.Model, config: NetworkConfig, decision: Decision) -> bytes:
    """The ONNX graph of a network, as `write_onnx` describes it.

    Args:
        model: From `pixels` to the logit, on any backend of Keras.
        config: Its description.
        decision: Its temperature and bias become part of the graph.
    """
    operations = config.operations(model.input_shape[1])
    weights = named_weights(model, operations)
    return write_onnx(operations, weights, decision, flip_averaging=config.flip_averaging)


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
