"""The published graph gives the logits of the trained network."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from dogvscat.bundle.graph import open_graph, run_class_activation, run_graph
from dogvscat.config import NetworkConfig
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Decision
from dogvscat.learning.model.networks import average_over_flips, build_network
from dogvscat.learning.onnx_export.export import check_parity, export_onnx
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.reading.sources import open_photos
from dogvscat.settings.resolve import resolve_config
from tests.helpers import plain_layers, residual_layers

pytestmark = pytest.mark.slow

SMALL = NetworkConfig(layers=plain_layers(4, 8), dropout=0.5)


def with_shifted_output(graph: bytes, name: str, shift: float) -> bytes:
    """The same graph, one of whose outputs is larger by `shift`."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.output[:] = [f"{output}_before" if output == name else output for output in node.output]
        node.input[:] = [f"{value}_before" if value == name else value for value in node.input]
    constant = onnx.numpy_helper.from_array(np.array(shift, dtype=np.float32), "shift")
    model.graph.initializer.append(constant)
    model.graph.node.append(onnx.helper.make_node("Add", [f"{name}_before", "shift"], [name]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_keras_and_onnx_agree_on_500_real_photos(test_data: Path) -> None:
    config = resolve_config("classic")
    size = config.data.image_size
    model = build_network(config.network, size, seed=3)
    temperature = 0.05  # fresh weights give logits near 0; this spreads them over all probabilities
    source = open_photos(test_data / "kagglecatsanddogs.zip")
    photos = [photo for photo in source.photos if source.read(photo.path)][:: len(source.photos) // 500][:500]
    pixels = np.stack([decode(source.read(photo.path), photo.path, size) for photo in photos])
    graph = export_onnx(model, config.network, Decision(temperature))
    onnx_logits = run_graph(open_graph(graph, "test"), pixels).positive
    keras_logits = np.asarray(model.predict_on_batch(pixels), dtype=np.float64)[:, 0] / temperature
    difference = np.abs(1 / (1 + np.exp(-onnx_logits)) - 1 / (1 + np.exp(-keras_logits)))
    assert len(pixels) == 500
    assert np.std(keras_logits) > 0.2
    assert difference.max() <= 1e-4


@pytest.mark.parametrize("network", [SMALL, NetworkConfig(layers=SMALL.layers, changes=("norm after each conv",))])
def test_the_graph_has_the_promised_inputs_and_outputs(network: NetworkConfig) -> None:
    graph = onnx.load_from_string(export_onnx(build_network(network, 32), network, Decision(2.0)))
    onnx.checker.check_model(graph)
    (given,), (result,) = graph.graph.input, graph.graph.output
    assert (given.name, given.type.tensor_type.elem_type) == ("pixels", onnx.TensorProto.UINT8)
    assert [dimension.dim_value for dimension in given.type.tensor_type.shape.dim[1:]] == [32, 32, 3]
    assert not given.type.tensor_type.shape.dim[0].dim_value  # any number of pictures
    assert (result.name, result.type.tensor_type.elem_type) == ("logit", onnx.TensorProto.FLOAT)


def test_temperature_divides_the_logit_and_the_bias_is_added() -> None:
    model = build_network(SMALL, 32, seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    decisions = (Decision(), Decision(4.0), Decision(4.0, -1.5))
    plain, cool, biased = (
        run_graph(open_graph(export_onnx(model, SMALL, d), "test"), pixels).positive for d in decisions
    )
    np.testing.assert_allclose(cool, plain / 4.0, rtol=1e-5)
    np.testing.assert_allclose(biased, plain / 4.0 - 1.5, rtol=1e-5)


def test_a_graph_with_other_logits_is_refused() -> None:
    model = build_network(SMALL, 32, seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    graph = export_onnx(model, SMALL, Decision(1.0))
    check_parity(model, Decision(1.0), graph, pixels)
    with pytest.raises(ModelError, match="differs from the network"):
        check_parity(model, Decision(1.0), with_shifted_output(graph, "logit", 0.01), pixels)


def test_the_neither_output_keeps_its_own_scale() -> None:
    model = build_network(SMALL.model_copy(update={"neither_output": True}), 32, seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    columns = np.asarray(model.predict_on_batch(pixels), dtype=np.float64)  # (3, 2)
    graph = export_onnx(model, SMALL, Decision(4.0))
    exported = run_graph(open_graph(graph, "test"), pixels)
    assert exported.neither is not None
    np.testing.assert_allclose(exported.positive, columns[:, 0] / 4.0, atol=1e-5)
    np.testing.assert_allclose(exported.neither, columns[:, 1], atol=1e-5)
    check_parity(model, Decision(4.0), graph, pixels)
    with pytest.raises(ModelError, match="differs from the network"):
        check_parity(model, Decision(4.0), with_shifted_output(graph, "neither", 0.01), pixels)


RESIDUAL = NetworkConfig(layers=residual_layers(4, 4, 8), initializer="he", neither_output=True)


@pytest.mark.parametrize("averaged", [False, True])
def test_the_mean_of_the_class_activation_map_is_the_logit(averaged: bool) -> None:
    """Zhou et al. 2016: the last layer is linear, and so is the mean."""
    model = build_network(RESIDUAL, 48, seed=1)
    for variable in model.weights:
        if variable.path.endswith(("bias", "beta", "gamma")):  # fresh ones are 0 or 1, and would hide a mistake
            variable.assign(np.random.default_rng(len(variable.path)).uniform(0.5, 1.5, variable.shape))
    config = RESIDUAL.model_copy(update={"flip_averaging": averaged})
    model = average_over_flips(model) if averaged else model
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    decision = Decision(1.7, 0.6)
    graph = export_onnx(model, config, decision)
    session = open_graph(graph, "test")
    activation, logits = run_class_activation(session, pixels), run_graph(session, pixels)
    assert activation is not None
    assert activation.shape == (3, 6, 6)  # 48 halved by the stem, its pooling and the second stage
    assert np.std(activation) > 0.01
    np.testing.assert_allclose(activation.mean(axis=(1, 2)), logits.positive, atol=1e-5)
    columns = np.asarray(model.predict_on_batch(pixels), dtype=np.float64)  # (3, 2)
    np.testing.assert_allclose(logits.positive, columns[:, 0] / 1.7 + 0.6, atol=1e-5)
    check_parity(model, decision, graph, pixels)
    with pytest.raises(ModelError, match="the mean over the exported positions differs from the logit by"):
        check_parity(model, decision, with_shifted_output(graph, "activation", 0.01), pixels)


def test_the_activation_map_of_a_mirror_image_is_mirrored() -> None:
    model = average_over_flips(build_network(RESIDUAL, 48, seed=1))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    config = RESIDUAL.model_copy(update={"flip_averaging": True})
    session = open_graph(export_onnx(model, config, Decision(1.0)), "test")
    activation, mirrored = (
        run_class_activation(session, pixels),
        run_class_activation(session, pixels[:, :, ::-1].copy()),
    )
    assert activation is not None
    assert mirrored is not None
    np.testing.assert_allclose(mirrored, activation[:, :, ::-1], atol=1e-5)
    assert np.abs(activation - activation[:, :, ::-1]).max() > 1e-3


def test_a_network_without_a_mean_over_positions_has_no_activation_map() -> None:
    session = open_graph(export_onnx(build_network(SMALL, 32), SMALL, Decision(1.0)), "test")
    assert run_class_activation(session, np.zeros((1, 32, 32, 3), dtype=np.uint8)) is None
