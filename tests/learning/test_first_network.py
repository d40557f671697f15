"""The quick first network: made only where it can save time, readable by the strict check, and its bundle holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from dogvscat.bundle.card import Provenance
from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.predict.networks import mirrored
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import publish_bundle
from dogvscat.config import NetworkConfig
from dogvscat.judging.decision import Decision, Logits
from dogvscat.judging.margin_fit import LEAST_IMAGES
from dogvscat.learning.finalize.first_network import fit_first_network, may_have_first_network, write_first_graph
from dogvscat.learning.model.networks import build_network, named_weights
from dogvscat.learning.onnx_export.writer import write_onnx
from dogvscat.settings.resolve import build_config, resolve_config
from tests.helpers import RESIDUAL_NETWORK

SIZE = 32
IMAGES = np.random.default_rng(1).integers(0, 256, (LEAST_IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
CALIBRATION = Decision(temperature=0.01, bias=0.5)  # so that an untrained network is sure of most


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    network = build_network(RESIDUAL_NETWORK, SIZE, seed=1)
    for variable in network.weights:
        if variable.path.endswith("gamma"):  # some are zero at first, which would leave blocks without effect
            variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    return dict(named_weights(network, RESIDUAL_NETWORK.operations(SIZE)))


@pytest.fixture(scope="module")
def first_graph(weights: dict[str, np.ndarray]) -> bytes:
    return write_first_graph(RESIDUAL_NETWORK, weights, CALIBRATION, IMAGES[:16])


def test_a_bundle_with_a_first_network_loads_and_answers(
    tmp_path: Path, weights: dict[str, np.ndarray], first_graph: bytes, no_provenance: Provenance
) -> None:
    full_graph = write_onnx(RESIDUAL_NETWORK.operations(SIZE), weights, CALIBRATION, flip_averaging=True)
    full = run_graph(open_graph(full_graph, "here"), IMAGES)
    y_true = (full.positive > 0).astype(np.int64)
    first = fit_first_network(first_graph, Decision(), np.array_split(IMAGES, 9), y_true, full)
    assert first is not None
    assert first.description.agreement["n"] == LEAST_IMAGES
    config = build_config({"data": {"image_size": SIZE}, "network": RESIDUAL_NETWORK.model_dump()})
    folder = tmp_path / "bundle"
    publish_bundle(
        folder, full_graph, weights, ("cat", "dog"), config, CALIBRATION, no_provenance, {}, first=first
    )  # fmt: skip
    assert load_bundle(folder).first == first_graph
    answers = Predictor.load(folder).answer_logits(IMAGES).positive
    assert np.mean((answers > 0) == (full.positive > 0)) >= 0.999
    assert not np.array_equal(answers, full.positive)  # the first network did answer


def test_it_answers_one_view_and_has_no_class_activation(weights: dict[str, np.ndarray], first_graph: bytes) -> None:
    model = onnx.load_from_string(first_graph)
    assert [value.name for value in model.graph.output] == ["logit"]
    one_view = write_onnx(RESIDUAL_NETWORK.operations(SIZE), weights, CALIBRATION)
    expected, received = (run_graph(open_graph(graph, "here"), IMAGES).positive for graph in (one_view, first_graph))
    assert np.corrcoef(expected, received)[0, 1] > 0.95
    assert not np.array_equal(expected, run_graph(open_graph(one_view, "here"), mirrored(IMAGES)).positive)


def test_nothing_is_printed_while_it_is_made(weights: dict[str, np.ndarray], capfd: pytest.CaptureFixture[str]) -> None:
    write_first_graph(RESIDUAL_NETWORK, weights, CALIBRATION, IMAGES[:8])
    assert capfd.readouterr() == ("", "")


def test_too_few_images_give_no_first_network(first_graph: bytes) -> None:
    few = IMAGES[: LEAST_IMAGES - 1]
    one, other = (run_graph(open_graph(first_graph, "here"), view).positive for view in (few, mirrored(few)))
    full = Logits((one + other) / 2)
    assert fit_first_network(first_graph, Decision(), [few], (full.positive > 0).astype(np.int64), full) is None


def test_only_networks_that_can_gain_get_one() -> None:
    best = resolve_config("best").network
    assert may_have_first_network(best, 176, Decision(), LEAST_IMAGES)
    assert not may_have_first_network(best, 176, Decision(), LEAST_IMAGES - 1)
    assert not may_have_first_network(best, 176, replace(Decision(), at_chance=True), LEAST_IMAGES)
    assert not may_have_first_network(best, 32, Decision(), LEAST_IMAGES)  # too small to pay
    one_way = NetworkConfig(**{**best.model_dump(), "flip_averaging": False})
    assert not may_have_first_network(one_way, 176, Decision(), LEAST_IMAGES)
