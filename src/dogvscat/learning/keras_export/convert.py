"""Exports that Keras writes: LiteRT, SavedModel and its own archive. Each is read back before it is published.

Knows TensorFlow: only its converter writes LiteRT in float16.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.export.formats import Conversion, describe_cost, run_in_batches, time_ratio
from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Logits
from dogvscat.learning.engine import keras
from dogvscat.learning.keras_export.rebuild import rebuild_network
from dogvscat.stderr import quiet_stderr

_LITERT_FILE = "model.tflite"


def convert_to_keras(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.keras` archive, read back by a fresh process; `pixels` as for all conversions."""
    return _convert(
        bundle,
        pixels,
        "model.keras",
        lambda network, path: network.save(path),
        _read_in_a_fresh_process,
        f"Keras {keras.__version__} in a fresh process",
    )


def convert_to_savedmodel(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A SavedModel, read back by a fresh process."""
    return _convert(
        bundle,
        pixels,
        "saved_model",
        lambda network, path: network.export(str(path), format="tf_saved_model", verbose=False),
        _read_in_a_fresh_process,
        f"TensorFlow {_installed_version('tensorflow', 'tensorflow-cpu')} in a fresh process",
    )


def convert_to_litert(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.tflite` file, read back by LiteRT."""
    return _convert(
        bundle, pixels, _LITERT_FILE, _write_litert, _read_with_litert, f"LiteRT {version('ai-edge-litert')}"
    )


def convert_to_litert_float16(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.tflite` file with weights in float16, and its size and time compared with float32."""
    exact = convert_to_litert(bundle, pixels[:1])
    small = _convert(bundle, pixels, _LITERT_FILE, _write_litert_float16, _read_with_litert, exact.read_by)
    with tempfile.TemporaryDirectory() as temporary:
        contents = [conversion.files[_LITERT_FILE] for conversion in (small, exact)]
        paths = [Path(temporary, f"{number}.tflite") for number in range(2)]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        run, run_exact = (partial(_litert_runner(path), pixels=pixels[:1]) for path in paths)
        cost = describe_cost([*map(len, contents)], time_ratio(run, run_exact), "LiteRT")
    return replace(small, precision="float16", cost=cost)


def _convert(
    bundle: Bundle,
    pixels: np.ndarray,
    model_file: str,
    write: Callable[[keras.Model, Path], None],
    read: Callable[[Path, np.ndarray], Logits],
    read_by: str,
) -> Conversion:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, model_file)
        with quiet_stderr():  # TensorFlow's converter reports each step
            write(rebuild_network(bundle), path)
        logits = read(path, pixels)
        files = [file for file in sorted(Path(temporary).rglob("*")) if file.is_file()]
        contents = {file.relative_to(temporary).as_posix(): file.read_bytes() for file in files}
    return Conversion(contents, model_file, logits, read_by)


def _write_litert(network: keras.Model, path: Path) -> None:
    network.export(str(path), format="litert", verbose=False)


def _write_litert_float16(network: keras.Model, path: Path) -> None:
    import tensorflow as tf

    types = {"supported_types": [tf.float16]}
    network.export(
        str(path), format="litert", verbose=False, optimizations=[tf.lite.Optimize.DEFAULT], target_spec=types
    )


def _read_with_litert(path: Path, pixels: np.ndarray) -> Logits:
    run = _litert_runner(path)
    with quiet_stderr():  # LiteRT announces its delegate at the first call
        run(pixels=pixels[:1])
    return run_in_batches(lambda batch: run(pixels=batch), pixels)


def _litert_runner(path: Path) -> Any:
    with quiet_stderr():
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(str(path)).get_signature_runner("serving_default")


def _read_in_a_fresh_process(path: Path, pixels: np.ndarray) -> Logits:
    # This process already holds the network and its layers, so a file that lacks something could still work here.
    with tempfile.TemporaryDirectory() as temporary:
        pixels_file, logits_file = Path(temporary, "pixels.npy"), Path(temporary, "logits.npz")
        np.save(pixels_file, pixels, allow_pickle=False)
        module = "dogvscat.learning.keras_export.read_back"
        command = [sys.executable, "-m", module, str(path), str(pixels_file), str(logits_file)]
        process = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        if process.returncode:
            lines = process.stderr.strip().splitlines() or ["no error message"]
            raise ModelError(f"{path.name} cannot be read back: {lines[-1]}")
        with np.load(logits_file, allow_pickle=False) as logits:
            return Logits(*(logits[name] for name in Logits._fields if name in logits))


def _installed_version(*packages: str) -> str:
    """The version of the first of these packages that is installed; TensorFlow is published under two names."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""
