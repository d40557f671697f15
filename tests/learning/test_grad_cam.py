"""Grad-CAM against finite differences and against the class activation map."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.config import NetworkConfig
from dogvscat.learning.interpret.grad_cam import GradCam, gradient_of_first_logit
from dogvscat.learning.model.networks import build_network

PLAIN = NetworkConfig(filters=(4, 6), dense_units=8)
RESIDUAL = NetworkConfig(
    name="residual", stem_filters=4, filters=(4, 8), residual_blocks=(1, 1), dropout=0.0, flip_averaging=True
)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def test_gradients_are_finite_differences() -> None:
    network = build_network(PLAIN, 32, seed=1)
    features = network.get_layer("flatten").input
    upper = keras.Model(features, network.output)
    values = np.asarray(keras.Model(network.input, features).predict_on_batch(PIXELS))
    gradient = gradient_of_first_logit(upper, values)
    assert gradient.shape == values.shape
    rng = np.random.default_rng(1)
    for _ in range(5):
        direction = rng.normal(size=values.shape).astype(np.float32)
        step = 1e-3
        more, less = (np.asarray(upper(values + sign * step * direction))[:, 0] for sign in (1, -1))
        expected = (more - less) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), expected, rtol=0.02, atol=1e-3)


def test_grad_cam_is_the_class_activation_map_where_there_is_one(publish_network: Callable[..., Predictor]) -> None:
    """Selvaraju et al. 2017, section 3: for a mean over positions they differ only by the bias and a factor."""
    network = build_network(RESIDUAL, 32, seed=1)
    predictor = publish_network(RESIDUAL, network)
    activation = predictor.class_activation(PIXELS)
    assert activation is not None
    cam = GradCam(predictor)
    evidence = (cam.evidence(PIXELS) + cam.evidence(PIXELS[:, :, ::-1])[:, :, ::-1]) / 2
    num_positions = activation[0].size
    np.testing.assert_allclose(evidence * num_positions, activation, rtol=0.02, atol=0.02)  # half precision; bias 0
    heat = cam(PIXELS)
    assert heat.shape == (3, 32, 32)
    assert heat.max() == pytest.approx(1.0)
    assert heat.min() >= 0.0


def test_randomised_weights_give_other_heat_maps(publish_network: Callable[..., Predictor]) -> None:
    """Adebayo et al. 2018: a map that stays the same has nothing to do with what was learned."""
    first = GradCam(publish_network(PLAIN, build_network(PLAIN, 32, seed=1))).evidence(PIXELS)
    again = GradCam(publish_network(PLAIN, build_network(PLAIN, 32, seed=1))).evidence(PIXELS)
    different = GradCam(publish_network(PLAIN, build_network(PLAIN, 32, seed=2))).evidence(PIXELS)
    np.testing.assert_allclose(first, again, rtol=1e-5)
    assert abs(np.corrcoef(first.ravel(), different.ravel())[0, 1]) < 0.5
