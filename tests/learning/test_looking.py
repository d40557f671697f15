"""Grad-CAM against finite differences and against the class activation map; what layers see, counted by hand."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from dogvscat.learning.interpret.gradients import gradient_of_first_logit
from PIL import Image

from dogvscat.bundle.card import Provenance
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.config import NetworkConfig
from dogvscat.learning.finalize.onnx_export import export_onnx
from dogvscat.learning.interpret.layer_maps import GradCam, bundled_network, layer_maps, write_layers
from dogvscat.learning.model.networks import average_over_flips, build_network
from dogvscat.settings import build_config

LinearBundle = Callable[..., Path]
PLAIN = NetworkConfig(filters=(4, 6), dense_units=8)
RESIDUAL = NetworkConfig(
    name="residual", stem_filters=4, filters=(4, 8), residual_blocks=(1, 1), dropout=0.0, flip_averaging=True
)
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def predictor_of(tmp_path: Path, no_provenance: Provenance) -> Callable[[NetworkConfig, keras.Model], Predictor]:
    """Publishes a network as a bundle and loads it."""
    from dogvscat.bundle.publish import publish_bundle
    from dogvscat.judging.decision import Decision

    def make(config: NetworkConfig, network: keras.Model) -> Predictor:
        shipped = average_over_flips(network) if config.flip_averaging else network
        settings = build_config({"data": {"image_size": 32}, "network": config.model_dump()})
        weights = [np.asarray(weight) for weight in network.weights]
        graph = export_onnx(shipped, 1.0)
        publish_bundle(tmp_path / "bundle", graph, weights, ("cat", "dog"), settings, Decision(), no_provenance, {})
        return Predictor.load(tmp_path / "bundle")

    return make


def test_gradients_are_finite_differences() -> None:
    network = build_network(PLAIN, 32, seed=1)
    features = network.get_layer("flatten").input
    upper = keras.Model(features, network.output)
    values = np.asarray(keras.Model(network.input, features).predict_on_batch(PICTURES))
    gradient = gradient_of_first_logit(upper, values)
    assert gradient.shape == values.shape
    rng = np.random.default_rng(1)
    for _ in range(5):
        direction = rng.normal(size=values.shape).astype(np.float32)
        step = 1e-3
        more, less = (np.asarray(upper(values + sign * step * direction))[:, 0] for sign in (1, -1))
        expected = (more - less) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), expected, rtol=0.02, atol=1e-3)


def test_grad_cam_is_the_class_activation_map_where_there_is_one(predictor_of: Callable[..., Predictor]) -> None:
    """Selvaraju et al. 2017, section 3: for a mean over places they differ by the bias and a factor alone."""
    network = build_network(RESIDUAL, 32, seed=1)
    predictor = predictor_of(RESIDUAL, network)
    activation = predictor.class_activation(PICTURES)
    assert activation is not None
    cam = GradCam(predictor)
    evidence = (cam.evidence(PICTURES) + cam.evidence(PICTURES[:, :, ::-1])[:, :, ::-1]) / 2
    places = activation[0].size
    np.testing.assert_allclose(evidence * places, activation, rtol=0.02, atol=0.02)  # half-precision weights; bias 0
    heat = cam(PICTURES)
    assert heat.shape == (3, 32, 32)
    assert heat.max() == pytest.approx(1.0)
    assert heat.min() >= 0.0


def test_a_bundled_network_answers_as_its_graph(predictor_of: Callable[..., Predictor]) -> None:
    predictor = predictor_of(PLAIN, build_network(PLAIN, 32, seed=2))
    logits = np.asarray(bundled_network(predictor.bundle)(PICTURES))[:, 0]
    np.testing.assert_allclose(logits, predictor.logits(PICTURES).positive, atol=0.01)  # half-precision weights


def test_randomised_weights_give_other_heat_maps(predictor_of: Callable[..., Predictor]) -> None:
    """Adebayo et al. 2018: a map that stays the same has nothing to do with what was learned."""
    one = GradCam(predictor_of(PLAIN, build_network(PLAIN, 32, seed=1))).evidence(PICTURES)
    again = GradCam(predictor_of(PLAIN, build_network(PLAIN, 32, seed=1))).evidence(PICTURES)
    other = GradCam(predictor_of(PLAIN, build_network(PLAIN, 32, seed=2))).evidence(PICTURES)
    np.testing.assert_allclose(one, again, rtol=1e-5)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.5


def test_layers_say_how_much_of_the_photo_they_see() -> None:
    plain = {layer.name: layer for layer in layer_maps(build_network(PLAIN, 32), PICTURES[0])}
    assert {name: layer.field for name, layer in plain.items()} == {"relu1": 3, "relu2": 3 + 1 + 2 * 2}
    assert {name: layer.maps.shape for name, layer in plain.items()} == {"relu1": (30, 30, 4), "relu2": (13, 13, 6)}
    residual = {layer.name: layer.field for layer in layer_maps(build_network(RESIDUAL, 32), PICTURES[0])}
    # the stem: 3 pixels every 2, pooled: 5 every 4; each convolution of 3 then adds twice the step
    assert residual["stem_relu"] == 5
    assert residual["stage1_relu"] == 5 + 8
    assert residual["stage1_block1_relu2"] == 5 + 3 * 8
    assert residual["stage2_relu"] == 5 + 4 * 8 + 4


def test_a_place_sees_no_further_than_is_said() -> None:
    network = build_network(PLAIN, 32, seed=1)
    changed = PICTURES[0].copy()
    changed[16, 16] = 255 - changed[16, 16]
    for before, after in zip(layer_maps(network, PICTURES[0]), layer_maps(network, changed), strict=True):
        rows, columns = np.nonzero((before.maps != after.maps).any(axis=-1))
        step = {"relu1": 1, "relu2": 2}[before.name]
        assert len(rows)
        assert np.ptp(rows) * step <= before.field
        assert np.ptp(columns) * step <= before.field


def test_pictures_of_every_layer_are_drawn(tmp_path: Path) -> None:
    network = build_network(PLAIN, 32, seed=1)
    write_layers(network, PICTURES[0], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["00-filters.png", "01-relu1.png", "02-relu2.png"]
    for file in tmp_path.iterdir():
        with Image.open(file) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
