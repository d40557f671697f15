"""A graph with more outputs answers as before, and its numbers depend on the pixels that receptive fields name."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from dogvscat.bundle.card import Provenance
from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.visualization.description import describe_network, new_outputs
from dogvscat.bundle.visualization.graph_outputs import with_outputs
from dogvscat.errors import ModelError
from dogvscat.network.receptive_fields import receptive_fields
from tests.bundle.networks import NETWORKS, SIZE, operations_of, publish_random

PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def run(graph: bytes, pixels: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_stay_and_outputs_are_those_that_the_onnx_library_would_add(
    name: str, tmp_path: Path, no_provenance: Provenance
) -> None:
    bundle = load_bundle(publish_random(tmp_path / "bundle", NETWORKS[name], no_provenance))
    names = new_outputs(describe_network(bundle))
    outputs = run(with_outputs(bundle.model, names), PIXELS)
    before = run_graph(open_graph(bundle.model, "test"), PIXELS)
    np.testing.assert_allclose(outputs["logit"][:, 0], before.positive, rtol=1e-5, atol=1e-5)
    model = onnx.load_from_string(bundle.model)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None) for output in names
    )
    expected = run(model.SerializeToString(), PIXELS)
    assert outputs.keys() == expected.keys() >= set(names)
    for output, values in outputs.items():
        np.testing.assert_array_equal(values, expected[output], err_msg=output)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operation_has_numbers_of_its_shape(name: str, tmp_path: Path, no_provenance: Provenance) -> None:
    bundle = load_bundle(publish_random(tmp_path / "bundle", NETWORKS[name], no_provenance))
    network = describe_network(bundle)
    outputs = run(with_outputs(bundle.model, new_outputs(network)), PIXELS[:1])
    ways = 1 + network["flip_averaging"]
    for operation, entry in network["operations"].items():
        shape = entry["output_shape"]
        in_graph = (shape[2], *shape[:2]) if len(shape) == 3 else tuple(shape)
        received = outputs[entry["value"]]
        assert received.shape[1:] == in_graph, operation
        assert len(received) == (1 if operation == "scaling" else ways)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_position_depends_on_its_square_and_on_nothing_else(
    name: str, tmp_path: Path, no_provenance: Provenance
) -> None:
    bundle = load_bundle(publish_random(tmp_path / "bundle", NETWORKS[name], no_provenance))
    network, fields = describe_network(bundle), receptive_fields(operations_of(name))
    graph = with_outputs(bundle.model, new_outputs(network))
    before, rng = run(graph, PIXELS[:1]), np.random.default_rng(1)
    for operation, field in fields.items():
        if field is None:
            continue
        side = network["operations"][operation]["output_shape"][0]
        row, column = int(rng.integers(side)), int(rng.integers(side))
        value = network["operations"][operation]["value"]
        top, left = (max(0, field.start + index * field.step) for index in (row, column))
        bottom, right = (field.start + index * field.step + field.side for index in (row, column))
        outside = rng.integers(0, 256, PIXELS[0].shape, dtype=np.uint8)
        outside[top:bottom, left:right] = PIXELS[0, top:bottom, left:right]
        changed = run(graph, outside[None])[value][0, ..., row, column]
        np.testing.assert_allclose(changed, before[value][0, ..., row, column], atol=1e-5, err_msg=operation)
        # Its first and last row count as well, if they are in the image: at least one channel changes.
        for edge_row in {top, min(bottom, SIZE) - 1}:
            edge = PIXELS[0].copy()
            edge[edge_row, left:right] = 255 - edge[edge_row, left:right]
            changed = run(graph, edge[None])[value][0, ..., row, column]
            assert np.abs(changed - before[value][0, ..., row, column]).max() > 1e-6, (operation, edge_row)


def test_a_graph_of_another_program_is_refused(untouched_bundle: Path) -> None:
    with pytest.raises(ModelError, match="has no value for scaling, so its layers cannot be shown"):
        describe_network(load_bundle(untouched_bundle))
