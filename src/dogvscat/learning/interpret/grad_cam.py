"""Knows TensorFlow, torch and JAX: Grad-CAM needs a gradient, which Keras leaves to each of its backends."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dogvscat.bundle.predict.heat_map import heat_maps_of_evidence
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import UsageError
from dogvscat.learning.engine import keras
from dogvscat.learning.interpret.layer_maps import load_bundled_network
from dogvscat.learning.model.networks import layer_of
from dogvscat.network.operations import Operation


class GradCam:
    """Heat maps by gradients, for the last feature maps of any network.

    Each map is weighted by the mean gradient of the logit with respect to it. Where the network ends in a mean over
    positions, the result is its class activation map without the bias. Source: Selvaraju et al., Grad-CAM, 2017.

    Args:
        predictor: Whose predictions are explained.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        network = load_bundled_network(predictor.bundle)
        # The network is cut in two at the last feature maps, where the gradient is taken.
        card = predictor.card
        last_maps = layer_of(network, _last_with_positions(card.config.network.operations(card.image_size))).output
        self._lower = keras.Model(network.input, last_maps)
        self._upper = keras.Model(last_maps, network.output)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Heat maps of the predicted classes, as `dogvscat.bundle.predict.heat_map.heat_maps` gives them."""
        evidence = self.evidence(pixels)
        if self._predictor.card.config.network.flip_averaging:
            evidence = (evidence + self.evidence(pixels[:, :, ::-1])[:, :, ::-1]) / 2
        y_pred = self._predictor.card.decision().predict(self._predictor.probabilities(pixels))
        return heat_maps_of_evidence(y_pred, evidence, self._predictor.card.image_size)

    def evidence(self, pixels: np.ndarray) -> np.ndarray:
        """How strong the evidence for the positive class is at each position.

        Args:
            pixels: uint8 (n, image_size, image_size, 3).

        Returns:
            float32 (n, height, width), without a unit; negative where it is evidence for the negative class.
        """
        maps = np.asarray(self._lower.predict_on_batch(pixels))  # (n, height, width, filters)
        weights = gradient_of_first_logit(self._upper, maps).mean(axis=(1, 2))  # (n, filters)
        return np.asarray(np.einsum("nhwf,nf->nhw", maps, weights))


def gradient_of_first_logit(upper: keras.Model, features: np.ndarray) -> np.ndarray:
    """The derivative of the first logit of each image with respect to the features of that image.

    Args:
        upper: The upper part of a network, from features to logits (n, 1 or 2).
        features: float32 (n, height, width, filters).

    Returns:
        float32, shaped like `features`.

    Raises:
        UsageError: if the backend of Keras is not TensorFlow, JAX or PyTorch.
    """
    # All three differentiate the sum of the logits: an image has no influence on the logits of the others, so the
    # derivative of the sum is that of its own logit.
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tensor = tf.convert_to_tensor(features)
            with tf.GradientTape() as tape:
                tape.watch(tensor)
                logits = upper(tensor)[:, 0]  # (n,); the tape sums them
            gradient: Any = tape.gradient(logits, tensor)
        case "torch":
            tensor = keras.ops.convert_to_tensor(features).detach().requires_grad_(True)
            upper(tensor)[:, 0].sum().backward()
            gradient = tensor.grad
        case "jax":
            import jax

            gradient = jax.grad(lambda values: upper(values)[:, 0].sum())(keras.ops.convert_to_tensor(features))
        case backend:
            raise UsageError(f"Grad-CAM needs the Keras backend tensorflow, torch or jax, received {backend}")
    return np.asarray(keras.ops.convert_to_numpy(gradient))


def _last_with_positions(operations: Sequence[Operation]) -> str:
    """The last operation before the positions are flattened or averaged away."""
    kinds = ("flatten", "mean")
    return next(op.inputs[0] for op in operations if op.kind in kinds and len(op.output_shape) == 1)
