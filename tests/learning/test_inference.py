"""The network that is judged and shipped."""

import keras
import numpy as np
import pytest

from dogvscat.config import NetworkConfig, TrainingConfig
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.learning.loop.checkpoint import read_variables
from dogvscat.learning.loop.inference import averaged_weights, final_network, recalibrate
from dogvscat.learning.model.networks import average_over_flips, build_network, layer_of
from dogvscat.learning.model.optimizers import compile_network
from dogvscat.settings.resolve import build_config
from tests.helpers import residual_layers

pytestmark = pytest.mark.slow

RESIDUAL = NetworkConfig(layers=residual_layers(4, 4, 8), initializer="he")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


def all_of(pixels: np.ndarray) -> LabeledImages:
    return LabeledImages({32: pixels}, np.arange(len(pixels)), np.arange(len(pixels)) % 2)


def stirred(network: keras.Model) -> keras.Model:
    """With weights as after some training, so that no block is the identity."""
    rng = np.random.default_rng(1)
    for variable in network.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.3, variable.shape))
    return network


def test_after_recalibration_inference_equals_training_mode_on_the_same_pictures(pixels: np.ndarray) -> None:
    network = stirred(build_network(RESIDUAL, 32, seed=1))
    expected = np.asarray(network(pixels, training=True))
    recalibrate(network, all_of(pixels), len(pixels), 32)
    np.testing.assert_allclose(np.asarray(network(pixels)), expected, atol=1e-4)


def test_recalibration_averages_the_statistics_of_equal_parts(pixels: np.ndarray) -> None:
    pixels = np.concatenate([pixels] * 13)[:500]  # two parts
    pixels[250:] //= 2
    network = build_network(RESIDUAL, 32, seed=1)
    before = keras.Model(network.input, layer_of(network, "stem.norm1").input)
    inputs = [np.asarray(before(part), dtype=np.float64) for part in (pixels[:250], pixels[250:])]
    recalibrate(network, all_of(pixels), 500, 32)
    norm = layer_of(network, "stem.norm1")
    np.testing.assert_allclose(norm.moving_mean, np.mean([x.mean((0, 1, 2)) for x in inputs], axis=0), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, np.mean([x.var((0, 1, 2)) for x in inputs], axis=0), atol=1e-5)
    assert norm.momentum == 0.9


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_averaged_weights_follow_the_steps_as_computed_by_hand(pixels: np.ndarray, optimizer: str) -> None:
    network = build_network(RESIDUAL, 32, seed=1)
    compile_network(network, TrainingConfig(optimizer=optimizer, ema_momentum=0.25, learning_rate=0.01))
    y_true = (np.arange(40) % 2).astype(np.float32)[:, None]
    expected: list[np.ndarray] = []
    for kept in (0.0, 2 / 11, 3 / 12, 0.25, 0.25):  # (1 + t) / (10 + t) at first, what the setting says thereafter
        network.train_on_batch(pixels, y_true)
        latest = read_variables(network.trainable_variables)
        expected = [kept * before + (1 - kept) * now for before, now in zip(expected or latest, latest, strict=True)]
    averaged = dict(zip([v.path for v in network.weights], averaged_weights(network), strict=True))
    for variable, value, now in zip(network.trainable_variables, expected, latest, strict=True):
        np.testing.assert_allclose(averaged[variable.path], value, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(variable.numpy(), now)  # the network itself goes on from its latest


def test_an_average_over_flips_says_the_same_of_a_mirror_image(pixels: np.ndarray) -> None:
    network = stirred(build_network(RESIDUAL, 32, seed=1))
    both = average_over_flips(network)
    mirrored = pixels[:, :, ::-1]
    one, other = np.asarray(network(pixels)), np.asarray(network(mirrored))
    np.testing.assert_allclose(np.asarray(both(pixels)), (one + other) / 2, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(both(pixels)), np.asarray(both(mirrored)), rtol=1e-5)
    assert np.abs(one - other).max() > 1e-3


def test_weights_trained_at_any_size_and_precision_are_judged_in_float32_at_one(pixels: np.ndarray) -> None:
    config = build_config(
        {
            "data": {"image_size": 32},
            "network": RESIDUAL.model_dump(),
            "training": {"precision": "bfloat16", "recalibrated_pictures": 0},
        }
    )
    trained = stirred(build_network(config.network, None, seed=1, precision="bfloat16"))
    final = final_network(trained, config, all_of(pixels))
    assert final.input_shape == (None, 32, 32, 3)
    for one, other in zip(final.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    answers, trained_answers = np.asarray(final(pixels)), np.asarray(trained(pixels))
    assert answers.dtype == trained_answers.dtype == np.float32
    np.testing.assert_allclose(answers, trained_answers, atol=0.05 * np.abs(answers).max())
    assert not np.array_equal(answers, trained_answers)


def test_statistics_come_from_training_pictures_when_asked_for(pixels: np.ndarray) -> None:
    settings = {"data": {"image_size": 32}, "network": RESIDUAL.model_dump()}
    config = build_config({**settings, "training": {"recalibrated_pictures": 40}})
    trained = stirred(build_network(config.network, None, seed=1))
    expected = np.asarray(trained(pixels, training=True))
    np.testing.assert_allclose(np.asarray(final_network(trained, config, all_of(pixels))(pixels)), expected, atol=1e-4)
