"""Networks rebuilt from their bundles, and the formats that Keras writes, read by other libraries."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from dogvscat.bundle.card import Provenance
from dogvscat.bundle.export.folder import write_export
from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.export.parity import ParityImages, parity_images
from dogvscat.bundle.folder import Bundle, load_bundle
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import publish_bundle
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Decision, sigmoid
from dogvscat.learning.keras_export.convert import convert_to_keras, convert_to_savedmodel
from dogvscat.learning.keras_export.litert import convert_to_litert
from dogvscat.learning.keras_export.rebuild import rebuild_network
from dogvscat.learning.model.networks import average_over_flips, build_network, named_weights
from dogvscat.learning.onnx_export.export import export_onnx
from dogvscat.settings.resolve import build_config
from tests.helpers import plain_layers, residual_layers

pytestmark = pytest.mark.slow

SIZE = 32
PLAIN: dict[str, Any] = {"layers": plain_layers(4, 8)}
RESIDUAL: dict[str, Any] = {"layers": residual_layers(4, 8, 16), "initializer": "he"}
NETWORKS = {
    "plain": PLAIN,
    "plain, normalized": {**PLAIN, "changes": "norm after each conv"},
    "plain, one of everything": {"layers": plain_layers(1, 1, units=1)},
    "residual": RESIDUAL,
    "as best": {**RESIDUAL, "flip_averaging": True, "changes": "soft colors first", "neither_output": True},
}
Publish = Callable[..., Bundle]


@pytest.fixture
def publish(tmp_path: Path, no_provenance: Provenance) -> Publish:
    """Publishes a network whose weights are random throughout, statistics of batch normalization included."""

    def publish_network(network: dict[str, Any], on_card: dict[str, Any] | None = None) -> Bundle:
        config = build_config({"data": {"image_size": SIZE}, "network": network})
        model = build_network(config.network, SIZE, seed=1)
        rng = np.random.default_rng(0)
        for variable in model.weights:
            if len(variable.shape) == 1:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        if config.network.flip_averaging:
            model = average_over_flips(model)
        decision = Decision(0.7, -0.4)
        graph = export_onnx(model, config.network, decision)
        card_config = build_config({"data": {"image_size": SIZE}, "network": on_card or network})
        weights = named_weights(model, config.network.operations(SIZE))
        publish_bundle(tmp_path / "bundle", graph, weights, ("cat", "dog"), card_config, decision, no_provenance, {})
        return load_bundle(tmp_path / "bundle")

    return publish_network


def noise(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def spread(bundle: Bundle, count: int = 5) -> ParityImages:
    pixels = noise(count)
    return ParityImages(pixels, Predictor(bundle).logits(pixels), 0, 0, count)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_rebuilt_network_gives_the_logits_of_its_graph(publish: Publish, name: str) -> None:
    bundle = publish(NETWORKS[name])
    pictures = spread(bundle)
    outputs = rebuild_network(bundle).predict_on_batch(pictures.pixels)
    np.testing.assert_allclose(outputs["logit"][:, 0], pictures.logits.positive, rtol=1e-4, atol=1e-4)
    assert ("neither" in outputs) == (pictures.logits.neither is not None)
    if pictures.logits.neither is not None:
        np.testing.assert_allclose(outputs["neither"][:, 0], pictures.logits.neither, rtol=1e-4, atol=1e-4)


def test_the_bundled_network_is_rebuilt_to_the_last_digits() -> None:
    bundle = load_bundle()
    pictures = parity_images(bundle, None)
    some = np.arange(12)
    outputs = rebuild_network(bundle).predict_on_batch(pictures.pixels[some])
    difference = np.abs(sigmoid(outputs["logit"][:, 0]) - sigmoid(pictures.logits.positive[some]))
    assert difference.max() < 1e-5


@pytest.mark.parametrize("on_card", [{"layers": plain_layers(4, 16)}, {"layers": plain_layers(4)}, RESIDUAL])
def test_a_graph_that_is_not_what_the_card_describes_is_refused(publish: Publish, on_card: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"the weights of .* are not those of the network that its card describes"):
        rebuild_network(publish(PLAIN, on_card))


def export(bundle: Bundle, name: str, convert: Callable[..., Conversion], out: Path) -> tuple[ParityImages, Path]:
    """An export whose parity has passed, and the pictures."""
    pictures = spread(bundle)
    conversion = convert(bundle, pictures.pixels)
    parity = write_export(out, bundle, name, pictures, conversion)
    assert parity.difference < 1e-5
    return pictures, out / conversion.model_file


@pytest.mark.filterwarnings("ignore:[\\s\\S]*tf.lite.Interpreter is deprecated")
def test_tensorflow_reads_the_litert_file_and_any_number_of_pictures(publish: Publish, tmp_path: Path) -> None:
    import tensorflow as tf

    pictures, file = export(publish(NETWORKS["as best"]), "litert", convert_to_litert, tmp_path / "out")
    interpreter = tf.lite.Interpreter(str(file))
    (given,) = interpreter.get_input_details()
    assert list(given["shape_signature"]) == [-1, SIZE, SIZE, 3]
    assert given["dtype"] == np.uint8
    run = interpreter.get_signature_runner("serving_default")
    for count in (1, 5):
        outputs = run(pixels=pictures.pixels[:count])
        np.testing.assert_allclose(outputs["logit"][:, 0], pictures.logits.positive[:count], atol=1e-4)
        assert pictures.logits.neither is not None
        np.testing.assert_allclose(outputs["neither"][:, 0], pictures.logits.neither[:count], atol=1e-4)


def test_tensorflow_reads_the_savedmodel(publish: Publish, tmp_path: Path) -> None:
    import tensorflow as tf

    pictures, folder = export(publish(NETWORKS["as best"]), "savedmodel", convert_to_savedmodel, tmp_path / "out")
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    outputs = serve(pixels=tf.constant(pictures.pixels))
    assert set(outputs) == {"logit", "neither"}
    np.testing.assert_allclose(outputs["logit"].numpy()[:, 0], pictures.logits.positive, atol=1e-4)


def test_the_keras_file_holds_only_layers_of_keras(publish: Publish, tmp_path: Path) -> None:
    pictures, file = export(publish(NETWORKS["as best"]), "keras", convert_to_keras, tmp_path / "out")
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    assert "dogvscat." not in json.dumps(config)
    outputs = keras.saving.load_model(file).predict_on_batch(pictures.pixels)
    assert pictures.logits.neither is not None
    np.testing.assert_allclose(outputs["neither"][:, 0], pictures.logits.neither, atol=1e-4)


def test_a_file_that_cannot_be_read_back_is_reported(publish: Publish, tmp_path: Path) -> None:
    from dogvscat.learning.keras_export.convert import _read_in_a_fresh_process

    (tmp_path / "model.keras").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.keras cannot be read back: "):
        _read_in_a_fresh_process(tmp_path / "model.keras", noise(1))
