"""Makes the quick first network of a bundle: the network itself for one view, with convolutions in 8 bits."""

from collections.abc import Iterable

import numpy as np

from dogvscat.bundle.card import FirstNetwork
from dogvscat.bundle.export.quantization import integer_convolutions
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.predict.networks import mirrored
from dogvscat.bundle.publish import FirstGraph
from dogvscat.config import NetworkConfig
from dogvscat.judging.cascade import ONE_VIEW, TWO_VIEWS, mean_logits
from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.margin_fit import LEAST_IMAGES, fit_margins
from dogvscat.learning.onnx_export.precision import quantize_convolutions
from dogvscat.learning.onnx_export.writer import write_onnx
from dogvscat.network.folding import Weights

NUM_CALIBRATION_IMAGES = 64
"""Training images that the ranges of the 8-bit numbers are chosen on."""
_LEAST_MACS = 100_000_000
"""Multiply-accumulates of one view. In a smaller network, reading the photo takes most of the time."""


def may_have_first_network(config: NetworkConfig, image_size: int, decision: Decision, num_images: int) -> bool:
    """Whether a first network can save time, and enough validation images can show that its answers are the same."""
    operations = config.operations(image_size)
    return (
        config.flip_averaging
        and not decision.at_chance
        and num_images >= LEAST_IMAGES
        and sum(operation.macs for operation in operations) >= _LEAST_MACS
    )


def write_first_graph(
    config: NetworkConfig, weights: Weights, decision: Decision, calibration_pixels: np.ndarray
) -> bytes:
    """The ONNX graph of the first network, with the outputs of the full one, except the class activation.

    Args:
        config: The network.
        weights: All of its weights.
        decision: Its temperature and bias become part of the graph.
        calibration_pixels: Images to choose the ranges of the 8-bit numbers on, uint8 (n, image_size, image_size, 3).
    """
    operations = config.operations(calibration_pixels.shape[1])
    graph = write_onnx(operations, weights, decision, class_activation=False)
    return quantize_convolutions(graph, integer_convolutions(operations), calibration_pixels)


def fit_first_network(
    graph: bytes, decision: Decision, batches: Iterable[np.ndarray], y_true: np.ndarray, full: Logits
) -> FirstGraph | None:
    """Choose how sure the first network must be.

    Args:
        graph: From `write_first_graph`.
        decision: Where answers are unsure. It must not calibrate: all logits here are calibrated.
        batches: The validation images, uint8 (n, image_size, image_size, 3) each.
        y_true: int64 (num_images,), their classes.
        full: Logits of the full network for them, (num_images,) each.

    Returns:
        None if too many labels would change, or too little time would be saved.
    """
    session = open_graph(graph, "the first network")
    views = [[run_graph(session, view) for view in (pixels, mirrored(pixels))] for pixels in batches]
    one_view, other_view = (concatenate(logits) for logits in zip(*views, strict=True))
    fitted = fit_margins(y_true, decision, one_view, mean_logits(one_view, other_view), full)
    if fitted is None:
        return None
    description = FirstNetwork(
        one_view_margin=fitted.margins.one_view,
        two_views_margin=fitted.margins.two_views,
        agreement=vars(fitted.agreement),
        one_view_share=fitted.shares[ONE_VIEW],
        two_views_share=fitted.shares[TWO_VIEWS],
    )
    return FirstGraph(graph, description)


def concatenate(batches: Iterable[Logits]) -> Logits:
    """The logits of all images, from those of batches of a network."""
    positive, neither = zip(*batches, strict=True)
    return Logits(np.concatenate(positive), None if neither[0] is None else np.concatenate(neither))
