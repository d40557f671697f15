"""Grad-CAM against finite differences and against the class activation map."""

import keras
import numpy as np
import pytest

from dogvscat.learning.interpret.grad_cam import GradCam, gradient_of_first_logit
from dogvscat.learning.model.networks import build_network, layer_of
from tests.helpers import NOISE, PLAIN_NETWORK, RESIDUAL_NETWORK, PublishNetwork

pytestmark = pytest.mark.slow


def test_gradients_are_finite_differences() -> None:
    network = build_network(PLAIN_NETWORK, 32, seed=1)
    features = layer_of(network, "flatten").input
    upper = keras.Model(features, network.output)
    values = np.asarray(keras.Model(network.input, features).predict_on_batch(NOISE))
    gradient = gradient_of_first_logit(upper, values)
    assert gradient.shape == values.shape
    rng = np.random.default_rng(1)
    for _ in range(5):
        direction = rng.normal(size=values.shape).astype(np.float32)
        step = 1e-3
        more, less = (np.asarray(upper(values + sign * step * direction))[:, 0] for sign in (1, -1))
        expected = (more - less) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), expected, rtol=0.02, atol=1e-3)


def test_grad_cam_is_the_class_activation_map_where_there_is_one(publish_network: PublishNetwork) -> None:
    """Selvaraju et al. 2017, section 3: for a mean over positions they differ only by the bias and a factor."""
    network = build_network(RESIDUAL_NETWORK, 32, seed=1)
    predictor = publish_network(RESIDUAL_NETWORK, network)
    activation = predictor.class_activation(NOISE)
    assert activation is not None
    cam = GradCam(predictor)
    evidence = (cam.evidence(NOISE) + cam.evidence(NOISE[:, :, ::-1])[:, :, ::-1]) / 2
    num_positions = activation[0].size
    np.testing.assert_allclose(evidence * num_positions, activation, rtol=0.02, atol=0.02)  # half precision; bias 0
    heat = cam(NOISE)
    assert heat.shape == (3, 32, 32)
    assert heat.max() == pytest.approx(1.0)
    assert heat.min() >= 0.0


def test_randomized_weights_give_other_heat_maps(publish_network: PublishNetwork) -> None:
    """Adebayo et al. 2018: a map that stays the same has nothing to do with what was learned."""
    first = GradCam(publish_network(PLAIN_NETWORK, build_network(PLAIN_NETWORK, 32, seed=1))).evidence(NOISE)
    again = GradCam(publish_network(PLAIN_NETWORK, build_network(PLAIN_NETWORK, 32, seed=1))).evidence(NOISE)
    different = GradCam(publish_network(PLAIN_NETWORK, build_network(PLAIN_NETWORK, 32, seed=2))).evidence(NOISE)
    np.testing.assert_allclose(first, again, rtol=1e-5)
    assert abs(np.corrcoef(first.ravel(), different.ravel())[0, 1]) < 0.5
