"""Graphs with numbers of 16 and 8 bits: close to the bundle, smaller, and exact where it matters."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from dogvscat.bundle.export.formats import Conversion, get_precision
from dogvscat.bundle.export.parity import ParityImages, check_parity, parity_images
from dogvscat.bundle.export.quantization import calibration_pixels
from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import ModelError, UsageError
from dogvscat.learning.model.networks import build_network
from dogvscat.learning.onnx_export.precision import convert_to_float16, convert_to_int8
from tests.helpers import NOISE, PLAIN_NETWORK, RESIDUAL_NETWORK, PublishNetwork

COST = re.compile(
    r"\d\.\d MB instead of \d\.\d MB in float32\. On the machine of this export, a photo takes \d+\.\d\d times as long "
    r"as with float32 in ONNX Runtime\."
)


@pytest.fixture
def bundle(publish_network: PublishNetwork) -> Bundle:
    network = build_network(RESIDUAL_NETWORK, 32, seed=1)
    for variable in network.weights:
        if variable.path.endswith("gamma"):  # some are zero at first, which would leave blocks without effect
            variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    predictor: Predictor = publish_network(RESIDUAL_NETWORK, network)
    return predictor.bundle


def constants_by_type(conversion: Conversion) -> dict[int, set[str]]:
    constants = onnx.load_from_string(conversion.files["model.onnx"]).graph.initializer
    return {kind: {c.name for c in constants if c.data_type == kind} for kind in {c.data_type for c in constants}}


def images(bundle: Bundle) -> ParityImages:
    return ParityImages(NOISE, Predictor(bundle).logits(NOISE), 0, 0, len(NOISE))


def test_float16_has_half_of_the_bytes_and_an_exact_logit(bundle: Bundle) -> None:
    conversion = convert_to_float16(bundle, NOISE)
    assert check_parity(images(bundle), conversion.logits, "onnx", "float16").difference < 0.01
    constants = constants_by_type(conversion)
    assert constants[TensorProto.FLOAT] == {
        "logit.weight",
        "logit.bias",
        "activation.weight",
        "activation.bias",
        "half",
    }
    assert "stage1.block1.conv1.weight" in constants[TensorProto.FLOAT16]
    assert COST.fullmatch(conversion.cost), conversion.cost


def test_int8_leaves_the_first_convolution_and_the_logit_as_they_are(bundle: Bundle) -> None:
    conversion = convert_to_int8(bundle, NOISE, None)
    difference = check_parity(images(bundle), conversion.logits, "onnx", "int8").difference
    assert 0 < difference < 0.1
    exact = constants_by_type(conversion)[TensorProto.FLOAT]
    assert {"stem.conv1.weight", "logit.weight"} <= exact
    assert not {name for name in exact if name.startswith("stage") and name.endswith(".weight")}
    graph = onnx.load_from_string(conversion.files["model.onnx"]).graph
    quantized = {c.name: numpy_helper.to_array(c) for c in graph.initializer if c.name.endswith("weight_quantized")}
    assert {array.dtype for array in quantized.values()} == {np.dtype(np.int8)}
    assert max(np.abs(array).max() for array in quantized.values()) <= 64  # 7 bits: nothing overflows without VNNI
    assert COST.fullmatch(conversion.cost), conversion.cost


def test_a_network_of_one_convolution_has_nothing_for_int8(publish_network: PublishNetwork) -> None:
    config = PLAIN_NETWORK.model_copy(update={"layers": ("conv 4, relu, global mean",)})
    predictor = publish_network(config, build_network(config, 32, seed=1))
    with pytest.raises(ModelError, match="only one convolution, which stays in float32"):
        convert_to_int8(predictor.bundle, NOISE, None)


def test_no_picture_for_calibration_is_one_for_parity(bundle: Bundle) -> None:
    compared = {pixels.tobytes() for pixels in parity_images(bundle, None).pixels}
    calibrated = {pixels.tobytes() for pixels in calibration_pixels(bundle, None)}
    assert len(calibrated) == 58
    assert not compared & calibrated


@pytest.mark.parametrize(
    ("name", "format_name", "message"),
    [
        ("int4", "onnx", "there is no precision 'int4', expected one of float32, float16, int8"),
        ("int8", "openvino", "the format openvino cannot be exported as int8; expected --format onnx or litert"),
        ("float16", "keras", "the format keras cannot be exported as float16; expected --format onnx or litert"),
    ],
)
def test_what_is_not_there_is_said(name: str, format_name: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        get_precision(name, format_name)
