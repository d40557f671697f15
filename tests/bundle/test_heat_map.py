"""Heat-maps of networks whose reasons are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dogvscat.bundle.heat_map import heat_maps, painted
from dogvscat.bundle.predictor import Predictor

LinearBundle = Callable[..., Path]

SIZE = 32


@pytest.fixture
def corner_predictor(tmp_path: Path, linear_bundle: LinearBundle, linear_graph: Callable[..., bytes]) -> Predictor:
    """Its logit looks at nothing but the red of the upper left quarter: red there is a dog, and dark a cat."""
    weights = np.zeros((SIZE, SIZE, 3))
    weights[: SIZE // 2, : SIZE // 2, 0] = 8.0 / (SIZE // 2) ** 2
    return Predictor.load(linear_bundle(tmp_path / "corner", graph=linear_graph(weights)))


def picture(red_rows: slice, red_columns: slice) -> np.ndarray:
    pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    pixels[red_rows, red_columns, 0] = 255
    return pixels


def test_the_evidence_lies_where_the_network_looks(corner_predictor: Predictor) -> None:
    red_corner = picture(slice(0, SIZE // 2), slice(0, SIZE // 2))
    everywhere = picture(slice(0, SIZE), slice(0, SIZE // 2))  # its lower half is red too, and means nothing
    heat = heat_maps(corner_predictor, np.stack([red_corner, everywhere]))
    assert heat.shape == (2, SIZE, SIZE)
    assert heat.dtype == np.float64
    assert heat.min() == 0.0
    assert heat.max(axis=(1, 2)) == pytest.approx([1.0, 1.0])
    for one in heat:
        quarter = one[: SIZE // 2, : SIZE // 2]
        assert quarter.sum() > 0.75 * one.sum()


def test_without_evidence_there_is_no_heat(corner_predictor: Predictor) -> None:
    nothing = np.zeros((1, SIZE, SIZE, 3), dtype=np.uint8)
    assert not heat_maps(corner_predictor, nothing).any()
    assert heat_maps(corner_predictor, nothing[:0]).shape == (0, SIZE, SIZE)


def test_paint_leaves_cold_places_as_they_are() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert (painted(photo, np.zeros((8, 8))) == photo).all()
    heat = np.zeros((50, 70))
    heat[:, 40:] = 1.0
    shown = painted(photo, heat)
    assert shown.shape == photo.shape
    assert shown.dtype == np.uint8
    assert (shown[:, :30] == photo[:, :30]).all()
    assert (shown[:, 50:] != photo[:, 50:]).any(axis=2).all()
