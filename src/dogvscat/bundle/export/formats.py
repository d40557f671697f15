"""The formats that a bundle can be exported to, and the conversions without Keras: ONNX and OpenVINO."""

import difflib
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.card import MODEL_FILE
from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.graph import open_graph
from dogvscat.bundle.predict.predictor import BATCH_SIZE
from dogvscat.cpus import available_cpus
from dogvscat.errors import ModelError, UsageError
from dogvscat.judging.decision import Logits
from dogvscat.stderr import track


@dataclass(frozen=True)
class Format:
    """A format of exports."""

    title: str
    """Its name, for people."""
    reading: str
    """How its files are read: a sentence or two."""
    needs: tuple[str, ...] = ()
    """Packages of the extra `export` that writing it needs."""


FORMATS = {
    "onnx": Format(
        "ONNX, opset 17",
        "Any ONNX runtime reads `model.onnx`; ONNX Runtime supports Python, C++, C#, Java, JavaScript and phones.",
    ),
    "openvino": Format(
        "OpenVINO IR, weights in float32",
        "OpenVINO reads `model.xml` and `model.bin` from one folder. On processors with bfloat16 units it computes in "
        "bfloat16, which is less exact than the check of this export, unless `INFERENCE_PRECISION_HINT=f32` is set.",
        ("openvino",),
    ),
    "litert": Format(
        "LiteRT (TensorFlow Lite), weights in float32",
        "LiteRT reads `model.tflite` on phones and small devices; its signature is `serving_default`. The number of "
        "images is 1 until the input is resized.",
        ("keras", "tensorflow", "onnx", "ai_edge_litert"),
    ),
    "savedmodel": Format(
        "TensorFlow SavedModel",
        "TensorFlow and TensorFlow Serving read the folder `saved_model`; its signature is `serving_default`.",
        ("keras", "tensorflow", "onnx"),
    ),
    "keras": Format(
        "Keras 3 archive, with Keras' own layers only",
        "`keras.saving.load_model` reads `model.keras` without any code of dogvscat.",
        ("keras", "tensorflow", "onnx"),
    ),
    "browser": Format(
        "a static folder for the browser, with ONNX Runtime Web",
        "Put the folder on any web server, or try it with `python3 -m http.server --directory FOLDER`, and open "
        "`index.html` from there. Photos stay on the visitor's machine.",
    ),
}


@dataclass(frozen=True)
class Conversion:
    """A bundle in another format, and its answers after the files were read back."""

    files: Mapping[str, bytes]
    """Content by relative path."""
    model_file: str
    """What to open: one of the files, or a folder of some of them."""
    logits: Logits
    """Its answers for the parity images."""
    read_by: str
    """Name and version of the library that read it back."""


def get_format(name: str) -> Format:
    """The format with this name.

    Raises:
        UsageError: if there is none; it suggests the most similar name.
    """
    if name in FORMATS:
        return FORMATS[name]
    similar = difflib.get_close_matches(name.lower(), FORMATS, n=1)
    hint = f"Did you mean '{similar[0]}'?" if similar else None
    raise UsageError(f"there is no format {name!r}, expected one of {', '.join(FORMATS)}", hint=hint)


def run_in_batches(run: Callable[[np.ndarray], Mapping[str, Any]], pixels: np.ndarray) -> Logits:
    """The answers of a model for some images, computed in small batches.

    Args:
        run: From uint8 (n, image_size, image_size, 3) to outputs (n, 1) by name: `logit`, and `neither` if it has one.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Returns:
        float64 (num_images,) each.
    """
    batches = np.array_split(pixels, -(-len(pixels) // BATCH_SIZE))  # the division rounds up
    batch_outputs = [run(batch) for batch in track(batches, "Checking the export")]
    columns = [
        np.concatenate([np.asarray(outputs[name], dtype=np.float64)[:, 0] for outputs in batch_outputs])
        for name in ("logit", "neither")
        if name in batch_outputs[0]
    ]
    return Logits(*columns)


def convert_to_onnx(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The bundle's own graph, loaded again.

    Args:
        bundle: What to export.
        pixels: uint8 (num_images, image_size, image_size, 3).
    """
    import onnxruntime

    session = open_graph(bundle.model, str(bundle.folder))
    names = [value.name for value in session.get_outputs()]
    logits = run_in_batches(
        lambda batch: dict(zip(names, session.run(names, {"pixels": batch}), strict=True)),
        pixels,
    )
    return Conversion({MODEL_FILE: bundle.model}, MODEL_FILE, logits, f"ONNX Runtime {onnxruntime.__version__}")


def convert_to_openvino(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """OpenVINO's intermediate representation, converted from the ONNX graph.

    Args:
        bundle: What to export.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if OpenVINO cannot convert or run it.
    """
    openvino = _import_openvino()
    with tempfile.TemporaryDirectory() as temporary:
        onnx, model = Path(temporary, MODEL_FILE), Path(temporary, "model.xml")
        onnx.write_bytes(bundle.model)
        try:
            openvino.save_model(openvino.convert_model(onnx), model, compress_to_fp16=False)
            # On processors with bfloat16 units OpenVINO would compute in bfloat16, but the written weights are float32:
            # the check must measure the file, not this processor.
            options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": available_cpus()}
            compiled = openvino.Core().compile_model(model, "CPU", options)
            logits = run_in_batches(lambda batch: _outputs_by_name(compiled({"pixels": batch})), pixels)
        except Exception as error:  # OpenVINO raises its own types, and RuntimeError for most errors
            raise ModelError(f"OpenVINO cannot convert this network: {error}") from None
        files = {file.name: file.read_bytes() for file in (model, model.with_suffix(".bin"))}
    return Conversion(files, model.name, logits, f"OpenVINO {openvino.__version__.partition('-')[0]}")


def _import_openvino() -> Any:
    """OpenVINO, whose converter reports every import and conversion to a server.

    It has no setting against this, but it works without the package that sends the reports.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: as if it was not installed
    import openvino

    return openvino


def _outputs_by_name(outputs: Any) -> dict[str, np.ndarray]:
    # An output of OpenVINO may have several names.
    return {name: values for names, values in zip(outputs.names(), outputs.values(), strict=True) for name in names}
