"""What each layer of a network sees, counted by hand, and the pictures that show it."""

from pathlib import Path

import numpy as np
from PIL import Image

from dogvscat.learning.interpret.layer_maps import layer_maps, load_bundled_network, write_layers
from dogvscat.learning.model.networks import build_network
from tests.helpers import NOISE, PLAIN_NETWORK, RESIDUAL_NETWORK, PublishNetwork


def test_a_bundled_network_answers_as_its_graph(publish_network: PublishNetwork) -> None:
    predictor = publish_network(PLAIN_NETWORK, build_network(PLAIN_NETWORK, 32, seed=2))
    logits = np.asarray(load_bundled_network(predictor.bundle)(NOISE))[:, 0]
    np.testing.assert_allclose(logits, predictor.logits(NOISE).positive, atol=1e-5)


def test_receptive_fields_of_layers() -> None:
    plain = {
        layer.name: layer
        for layer in layer_maps(build_network(PLAIN_NETWORK, 32), PLAIN_NETWORK.operations(32), NOISE[0])
    }
    assert {name: layer.receptive_field for name, layer in plain.items()} == {"relu1": 3, "relu2": 3 + 1 + 2 * 2}
    assert {name: layer.maps.shape for name, layer in plain.items()} == {"relu1": (30, 30, 4), "relu2": (13, 13, 6)}
    layers = layer_maps(build_network(RESIDUAL_NETWORK, 32), RESIDUAL_NETWORK.operations(32), NOISE[0])
    residual = {layer.name: layer.receptive_field for layer in layers}
    # the stem: 3 pixels every 2, pooled: 5 every 4; each convolution of 3 then adds twice the step
    assert residual["stem.relu1"] == 5
    assert residual["stage1.relu1"] == 5 + 8
    assert residual["stage1.block1.relu2"] == 5 + 3 * 8
    assert residual["stage2.relu1"] == 32  # 5 + 4 * 8 + 4 would be more than the image


def test_a_position_sees_no_further_than_its_receptive_field() -> None:
    network = build_network(PLAIN_NETWORK, 32, seed=1)
    operations, changed = PLAIN_NETWORK.operations(32), NOISE[0].copy()
    changed[16, 16] = 255 - changed[16, 16]
    for before, after in zip(
        layer_maps(network, operations, NOISE[0]), layer_maps(network, operations, changed), strict=True
    ):
        rows, columns = np.nonzero((before.maps != after.maps).any(axis=-1))
        step = {"relu1": 1, "relu2": 2}[before.name]
        assert len(rows)
        assert np.ptp(rows) * step <= before.receptive_field
        assert np.ptp(columns) * step <= before.receptive_field


def test_pictures_of_every_layer_are_drawn(tmp_path: Path) -> None:
    network = build_network(PLAIN_NETWORK, 32, seed=1)
    write_layers(network, PLAIN_NETWORK.operations(32), NOISE[0], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["00-filters.png", "01-relu1.png", "02-relu2.png"]
    for file in tmp_path.iterdir():
        with Image.open(file) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
