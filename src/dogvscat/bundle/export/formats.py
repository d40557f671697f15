"""The formats that a bundle can be exported to, and the conversions without Keras: ONNX and OpenVINO."""

import difflib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.folder import MODEL_FILE, Bundle
from dogvscat.bundle.graph import open_graph
from dogvscat.bundle.predict.predictor import BATCH_SIZE
from dogvscat.cpus import available_cpus
from dogvscat.errors import ModelError, UsageError
from dogvscat.judging.decision import Logits
from dogvscat.stderr import track

_NUM_TIMINGS = 9


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
        "LiteRT (TensorFlow Lite)",
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
    "huggingface": Format(
        "a model folder for Transformers.js and the Hugging Face Hub",
        '`pipeline("image-classification", ...)` of Transformers.js reads the folder.',
        ("onnx",),
    ),
    "browser": Format(
        "a static folder for the browser, with ONNX Runtime Web",
        "Put the folder on any web server, or try it with `python3 -m http.server --directory FOLDER`, and open "
        "`index.html` from there. Photos stay on the visitor's machine.",
    ),
}


LAYERS = "layers"
"""The name of what `dogvscat visualize` writes, which is a folder like those of the formats."""
_PAGE_OF_LAYERS = Format(
    "what each layer computes, as a web page",
    "Open `index.html` in a browser; no web server is needed. Photos stay on the visitor's machine.",
)


@dataclass(frozen=True)
class Precision:
    """How exactly the numbers of an export are stored and computed with."""

    max_difference: float
    """Largest difference in probability from the bundle, over all images and outputs, that is allowed."""
    formats: tuple[str, ...]
    """The formats that can have it."""
    reading: str
    """What it means for its user: a sentence or two."""
    details: Mapping[str, str] = field(default_factory=dict)
    """More sentences about some formats, by format."""


PRECISIONS = {
    "float32": Precision(0.001, tuple(FORMATS), ""),
    "float16": Precision(
        0.02,
        ("onnx", "litert"),
        "Weights are stored in float16, in half of the space. Graphics processors and phones compute with them as they "
        "are; most other processors convert them first, and gain no time.",
    ),
    "int8": Precision(
        0.1,
        ("onnx", "litert"),
        "Convolutions compute with 8-bit integers. The first convolution and the last layer stay in float32. "
        "Processors with VNNI or similar instructions gain most.",
        {
            "onnx": "Weights are signed integers of 7 bits, activations unsigned integers of 8 bits. Processors "
            "without VNNI add their products in 16 bits. With weights of 8 bits these sums could overflow; with 7 bits "
            "they cannot. So every processor gives the same answers up to rounding.",
            "litert": "Weights and activations are signed integers of 8 bits. The layers between the convolutions "
            "compute with integers as well.",
        },
    ),
}
"""The precisions by name."""


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
    precision: str = "float32"
    """One of `PRECISIONS`."""
    cost: str = ""
    """Size and time compared with float32, a sentence, if the precision is another one."""
    readme: str = ""
    """README.md, if the format's readers expect another one than the usual description."""
    interface: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the usual inputs and outputs, by key of preprocessing.json."""


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


def described_format(name: str) -> Format:
    """One of `FORMATS`, or the page that `dogvscat visualize` writes."""
    return _PAGE_OF_LAYERS if name == LAYERS else FORMATS[name]


def get_precision(name: str, format_name: str) -> Precision:
    """The precision with this name.

    Raises:
        UsageError: if there is none, or the format cannot have it.
    """
    precision = PRECISIONS.get(name)
    if precision is None:
        raise UsageError(f"there is no precision {name!r}, expected one of {', '.join(PRECISIONS)}")
    if format_name not in precision.formats:
        formats = " or ".join(precision.formats)
        raise UsageError(f"the format {format_name} cannot be exported as {name}; expected --format {formats}")
    return precision


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


def time_ratio(run: Callable[[], Any], reference: Callable[[], Any]) -> float:
    """The time of `run` divided by the time of `reference`: the median of measurements that alternate."""
    ratios = []
    for _ in range(_NUM_TIMINGS):
        seconds = []
        for timed in (run, reference):
            start = time.perf_counter()
            timed()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios))


def describe_cost(sizes: Sequence[int], ratio: float, runtime: str) -> str:
    """A sentence about an export: its size in bytes and the size in float32, and the ratio of their times."""
    small, exact = (f"{size / 1e6:.1f} MB" for size in sizes)
    time = f"On the machine of this export, a photo takes {ratio:.2f} times as long as with float32 in {runtime}."
    return f"{small} instead of {exact} in float32. {time}"


def convert_to_onnx(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The bundle's own graph, loaded again.

    Args:
        bundle: What to export.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if the graph cannot be run.
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
