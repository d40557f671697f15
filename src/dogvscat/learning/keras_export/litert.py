"""LiteRT files in float32, float16 and 8 bits, each read back by LiteRT before it is published.

Knows TensorFlow: only its converter writes LiteRT with fewer bits.
"""

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.export.formats import Conversion, describe_cost, run_in_batches, time_ratio
from dogvscat.bundle.export.quantization import calibration_pixels, integer_convolutions
from dogvscat.bundle.folder import Bundle
from dogvscat.judging.decision import Logits
from dogvscat.learning.engine import keras
from dogvscat.learning.keras_export.convert import convert_network
from dogvscat.learning.model.networks import layer_name
from dogvscat.stderr import quiet_stderr

_FILE = "model.tflite"


def convert_to_litert(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.tflite` file. `pixels` and errors are as for `convert_network`."""
    return _convert(bundle, pixels, _write_float32)


def convert_to_litert_float16(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.tflite` file with weights in float16, and its size and time compared with float32. `pixels` and errors are as
    for `convert_network`."""
    return _convert_to_fewer_bits(bundle, pixels, _write_float16, "float16")


def convert_to_litert_int8(bundle: Bundle, pixels: np.ndarray, photos: Path | None) -> Conversion:
    """A `.tflite` file that computes with 8-bit integers from the second convolution to the last one.

    Args:
        bundle: What to export.
        pixels: Pictures to answer.
        photos: A folder or zip of photos. The ranges of the activations are chosen on them and on drawings; None for
            drawings only.

    Raises:
        ModelError: as for `convert_network`, and if the network has only one convolution, which stays in float32.
        DataError: if there is no photo in `photos`.
    """
    layers = _integer_layers(bundle)
    write = partial(_write_int8, layers=layers, pixels=calibration_pixels(bundle, photos))
    return _convert_to_fewer_bits(bundle, pixels, write, "int8")


def _integer_layers(bundle: Bundle) -> Set[str]:
    """The names of the Keras layers from the second convolution to the last one."""
    operations = bundle.card.config.network.operations(bundle.card.image_size)
    convolutions, names = integer_convolutions(operations), [operation.name for operation in operations]
    start, end = (names.index(convolution.name) for convolution in (convolutions[0], convolutions[-1]))
    return {layer_name(name) for name in names[start : end + 1]}


def _convert(bundle: Bundle, pixels: np.ndarray, write: Callable[[keras.Model, Path], None]) -> Conversion:
    return convert_network(bundle, pixels, _FILE, write, _read, f"LiteRT {version('ai-edge-litert')}")


def _convert_to_fewer_bits(
    bundle: Bundle, pixels: np.ndarray, write: Callable[[keras.Model, Path], None], precision: str
) -> Conversion:
    small, exact = _convert(bundle, pixels, write), convert_to_litert(bundle, pixels[:1])
    contents = [conversion.files[_FILE] for conversion in (small, exact)]
    ratio = time_ratio(*(partial(_runner(content), pixels=pixels[:1]) for content in contents))
    return replace(small, precision=precision, cost=describe_cost([*map(len, contents)], ratio, "LiteRT"))


def _write_float32(network: keras.Model, path: Path) -> None:
    network.export(str(path), format="litert", verbose=False)


def _write_float16(network: keras.Model, path: Path) -> None:
    import tensorflow as tf

    types = {"supported_types": [tf.float16]}
    network.export(
        str(path), format="litert", verbose=False, optimizations=[tf.lite.Optimize.DEFAULT], target_spec=types
    )


def _write_int8(network: keras.Model, path: Path, *, layers: Set[str], pixels: np.ndarray) -> None:
    """Write a network in which these layers compute with integers."""
    import tensorflow as tf

    def calibration_batches() -> Iterator[list[np.ndarray]]:
        for image in pixels:
            yield [image[None]]

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the debugger still opens its files with an older name of LiteRT
        network.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibration_batches
        # The converter itself quantizes every layer; only its debugger can leave some of them as they are.
        debugger = tf.lite.experimental.QuantizationDebugger(converter=converter)
        tensors = _open(debugger.calibrated_model).get_tensor_details()
        exact = [tensor["name"] for tensor in tensors if not _layers_of(tensor["name"]) & layers]
        # The node that splits the logits of an image from those of its mirror image has two outputs. Listing this node
        # by its name does not keep it in float32; only listing its kind does.
        debugger.options = tf.lite.experimental.QuantizationDebugOptions(
            denylisted_nodes=exact, denylisted_ops=["SPLIT"]
        )
        path.write_bytes(debugger.get_nondebug_quantized_model())


def _layers_of(tensor: str) -> set[str]:
    """The layers in the name of a tensor, which joins the names of all operations that were fused into one.

    For instance `network_1/stem-conv1_1/convolution;network_1/stem-conv1_1/add` has the layer `stem-conv1`.
    """
    return {re.sub(r"_\d+$", "", word) for word in re.split("[/;]", tensor)}


def _read(path: Path, pixels: np.ndarray) -> Logits:
    run = _runner(path.read_bytes())
    with quiet_stderr():  # LiteRT announces its delegate at the first call
        run(pixels=pixels[:1])
    return run_in_batches(lambda batch: run(pixels=batch), pixels)


def _runner(model: bytes) -> Any:
    """The function in a LiteRT file, from pixels to outputs by name."""
    return _open(model).get_signature_runner("serving_default")


def _open(model: bytes) -> Any:
    with quiet_stderr():
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=model)
