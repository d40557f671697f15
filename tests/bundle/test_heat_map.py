"""Heat-maps of networks whose reasons are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.bundle.predict.heat_map import explained_class, heat_map_layer, heat_maps, overlay_heat_map
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from tests.helpers import LinearBundle, LinearGraph

SIZE = 32


@pytest.fixture
def corner_predictor(tmp_path: Path, linear_bundle: LinearBundle, linear_graph: LinearGraph) -> Predictor:
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


@pytest.fixture(scope="module")
def quarters() -> bytes:
    """A graph that ends in a mean over 2 x 2 places: each says 40 times its mean of red less that of blue."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Conv", ["means", "weights"], ["places"]),
        helper.make_node("Squeeze", ["places", "one"], ["activation"]),
        helper.make_node("GlobalAveragePool", ["places"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["logit"]),
    ]
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, 3, 1, 1], [40 / 255, 0.0, -40 / 255])
    graph = helper.make_graph(
        nodes,
        "quarters",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info("activation", TensorProto.FLOAT, ["N", 2, 2]),
        ],
        [weights, helper.make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.fixture
def telling_predictor(tmp_path: Path, linear_bundle: LinearBundle, quarters: bytes) -> Predictor:
    return Predictor.load(linear_bundle(tmp_path / "telling", graph=quarters, unsure=(0.4, 0.6)))


def colors(upper_left: str, upper_right: str, lower_left: str, lower_right: str) -> np.ndarray:
    pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    places = (upper_left, upper_right, lower_left, lower_right)
    for number, name in enumerate(places):
        row, column = divmod(number, 2)
        half = SIZE // 2
        channel = {"red": 0, "blue": 2, "black": 1}[name]
        value = 0 if name == "black" else 255
        pixels[row * half : (row + 1) * half, column * half : (column + 1) * half, channel] = value
    return pixels


def middles(heat: np.ndarray) -> list[float]:
    """What the heat-map says in the outer corners of the four quarters."""
    return [float(heat[row, column]) for row in (2, SIZE - 3) for column in (2, SIZE - 3)]


@pytest.mark.parametrize("by_occlusion", [False, True])
def test_each_class_has_evidence_of_its_own(telling_predictor: Predictor, by_occlusion: bool) -> None:
    dog, cat = colors("red", "red", "black", "blue"), colors("blue", "black", "red", "blue")
    answers = telling_predictor.predict_pixels(np.stack([dog, cat]), ["dog", "cat"])
    assert [answer.label for answer in answers] == ["dog", "cat"]
    for_dog, for_cat = heat_maps(telling_predictor, np.stack([dog, cat]), by_occlusion=by_occlusion)
    assert np.argsort(middles(for_dog))[-2:].tolist() in ([0, 1], [1, 0])  # red
    assert np.argsort(middles(for_cat))[-2:].tolist() in ([0, 3], [3, 0])  # blue
    assert max(middles(for_dog)[3], middles(for_cat)[2]) < 0.25  # what speaks for the other class


def test_unsure_is_explained_by_the_nearer_class(telling_predictor: Predictor) -> None:
    pixels = colors("red", "blue", "black", "black")
    pixels[0, 0] = (0, 0, 0)  # a little less red
    (answer,) = telling_predictor.predict_pixels(pixels[None], ["both"])
    assert answer.label == "unsure"
    assert explained_class(telling_predictor, answer) == "cat"
    (heat,) = heat_maps(telling_predictor, pixels[None])
    assert int(np.argmax(middles(heat))) == 1  # blue


def test_another_network_has_other_reasons(
    telling_predictor: Predictor, corner_predictor: Predictor, drawn_photos: Path
) -> None:
    """As Adebayo et al. 2018 ask of a heat-map; on the shipped network: benchmarks/heat_map.py."""
    from dogvscat.photos.decoding.decoder import decode_photo

    pixels = np.stack([decode_photo(photo, SIZE) for photo in sorted(drawn_photos.rglob("*.jpg"))[::6]])
    one, other = heat_maps(telling_predictor, pixels), heat_maps(corner_predictor, pixels)
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True) if b.any()]
    assert len(correlations) > 3
    assert np.median(correlations) < 0.6


def test_hiding_the_hottest_place_costs_most(telling_predictor: Predictor) -> None:
    pixels = colors("black", "red", "black", "black")
    (heat,) = heat_maps(telling_predictor, pixels[None])
    assert int(np.argmax(middles(heat))) == 1
    hidden = np.stack([pixels.copy() for _ in range(4)])
    for number in range(4):
        row, column = divmod(number, 2)
        half = SIZE // 2
        hidden[number, row * half : (row + 1) * half, column * half : (column + 1) * half] = 64
    assert int(np.argmin(telling_predictor.probabilities(hidden))) == 1


def test_paint_is_gray_where_nothing_speaks_and_yellow_where_most_does() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    heat = np.zeros((50, 70))
    heat[:, 40:] = 1.0
    shown = overlay_heat_map(photo, heat)
    assert shown.shape == photo.shape
    assert shown.dtype == np.uint8
    luma = photo[:, :30] @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(shown[:, :30], np.repeat(luma[..., None], 3, axis=-1), atol=1.0)
    hot = shown[:, 50:].astype(int)
    assert (hot[..., 0] > hot[..., 2] + 60).all()
    assert overlay_heat_map(photo, np.full((3, 3), 0.5)).shape == photo.shape  # a coarse map is stretched


def test_brighter_means_hotter_to_every_eye() -> None:
    gray = np.full((1, 101, 3), 128, dtype=np.uint8)
    shown = overlay_heat_map(gray, np.linspace(0, 1, 101)[None]).astype(np.float64)
    luma = (shown @ [0.299, 0.587, 0.114])[0]
    assert np.all(np.diff(luma[30:]) > -1.0)  # below a third it darkens from gray first
    assert luma[100] > 180


def test_the_class_of_a_heat_map_is_the_more_probable_one(untouched_bundle: Path) -> None:
    predictor = Predictor.load(untouched_bundle)
    assert explained_class(predictor, Prediction("", "unsure", {"cat": 0.51, "dog": 0.49})) == "cat"
    assert explained_class(predictor, Prediction("", "unsure", {"cat": 0.5, "dog": 0.5})) == "dog"


def test_a_layer_over_the_gray_photo_is_what_is_painted() -> None:
    rng = np.random.default_rng(0)
    photo, heat = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8), rng.random((24, 24))
    laid = Image.fromarray(photo).convert("L").convert("RGBA")
    laid.alpha_composite(Image.fromarray(heat_map_layer(heat)))
    difference = np.asarray(laid)[..., :3].astype(int) - overlay_heat_map(photo, heat)
    assert np.abs(difference).max() <= 1
