"""LiteRT files with numbers of 16 and 8 bits: close to the bundle, smaller, and exact where it matters."""

import re
from collections.abc import Mapping

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.export.parity import ParityImages, check_parity
from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.config import NetworkConfig
from dogvscat.errors import ModelError
from dogvscat.learning.keras_export.litert import convert_to_litert_float16, convert_to_litert_int8
from dogvscat.learning.model.networks import build_network
from tests.helpers import PLAIN_NETWORK, PublishNetwork, residual_layers

pytestmark = pytest.mark.slow

NOISE = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
NETWORK = NetworkConfig(
    layers=("soft colors", *residual_layers(4, 4, 8)), initializer="he", flip_averaging=True, neither_output=True
)
COST = re.compile(
    r"0\.0 MB instead of 0\.\d MB in float32\. On the machine of this export, a photo takes \d+\.\d\d times as long "
    r"as with float32 in LiteRT\."
)


@pytest.fixture
def bundle(publish_network: PublishNetwork) -> Bundle:
    network = build_network(NETWORK, 32, seed=1)
    for variable in network.weights:
        if variable.path.endswith("gamma"):  # some are zero at first, which would leave blocks without effect
            variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    loaded: Bundle = publish_network(NETWORK, network).bundle
    return loaded


def difference(bundle: Bundle, conversion: Conversion) -> float:
    images = ParityImages(NOISE, Predictor(bundle).logits(NOISE), 0, 0, len(NOISE))
    return check_parity(images, conversion.logits, "litert", conversion.precision).difference


def types_by_shape(conversion: Conversion) -> Mapping[tuple[int, ...], set[np.dtype]]:
    """The types of all tensors of a shape."""
    types: dict[tuple[int, ...], set[np.dtype]] = {}
    for tensor in Interpreter(model_content=conversion.files["model.tflite"]).get_tensor_details():
        types.setdefault(tuple(tensor["shape"]), set()).add(np.dtype(tensor["dtype"]))
    return types


def test_float16_has_half_of_the_bytes(bundle: Bundle) -> None:
    conversion = convert_to_litert_float16(bundle, NOISE)
    assert difference(bundle, conversion) < 0.01
    assert np.dtype(np.float16) in types_by_shape(conversion)[8, 3, 3, 4]  # of stage2.conv1
    assert COST.fullmatch(conversion.cost), conversion.cost


def test_int8_leaves_the_first_convolution_and_the_logit_as_they_are(bundle: Bundle) -> None:
    conversion = convert_to_litert_int8(bundle, NOISE, None)
    assert 0 < difference(bundle, conversion) < 0.1
    types = types_by_shape(conversion)
    assert types[8, 3, 3, 4] == types[8, 3, 3, 8] == {np.dtype(np.int8)}  # stage2.conv1 and its block
    assert types[4, 3, 3, 3] == types[2, 8] == {np.dtype(np.float32)}  # stem.conv1, and the last layer
    assert COST.fullmatch(conversion.cost), conversion.cost
    # The kernels for this processor and the reference, which is written without its instructions: nothing overflows.
    answers = []
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_REF):
        interpreter = Interpreter(
            model_content=conversion.files["model.tflite"], experimental_op_resolver_type=resolver
        )
        answers.append(interpreter.get_signature_runner("serving_default")(pixels=NOISE)["logit"])
    np.testing.assert_allclose(answers[0], answers[1], atol=0.02)


def test_a_network_of_one_convolution_has_nothing_for_int8(publish_network: PublishNetwork) -> None:
    config = PLAIN_NETWORK.model_copy(update={"layers": ("conv 4, relu, global mean",)})
    bundle = publish_network(config, build_network(config, 32, seed=1)).bundle
    with pytest.raises(ModelError, match="only one convolution, which stays in float32"):
        convert_to_litert_int8(bundle, NOISE, None)
