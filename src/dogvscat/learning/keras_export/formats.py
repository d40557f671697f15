"""Exports that are written by Keras: LiteRT, SavedModel and its own archive. Each is read back before it is used."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from dogvscat.bundle.export.formats import Conversion, in_batches
from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Logits
from dogvscat.learning.keras_export.rebuilding import rebuild_network
from dogvscat.stderr import quiet_stderr


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
        f"TensorFlow {_version('tensorflow', 'tensorflow-cpu')} in a fresh process",
    )


def convert_to_litert(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.tflite` file, read back by LiteRT."""
    return _convert(
        bundle,
        pixels,
        "model.tflite",
        lambda network, path: network.export(str(path), format="litert", verbose=False),
        _read_with_litert,
        f"LiteRT {version('ai-edge-litert')}",
    )


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
        with quiet_stderr():  # TensorFlow's converter tells of each step
            write(rebuild_network(bundle), path)
        logits = read(path, pixels)
        files = [file for file in sorted(Path(temporary).rglob("*")) if file.is_file()]
        contents = {file.relative_to(temporary).as_posix(): file.read_bytes() for file in files}
    return Conversion(contents, model_file, logits, read_by)


def _read_with_litert(path: Path, pixels: np.ndarray) -> Logits:
    with quiet_stderr():  # it announces its delegate
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(str(path)).get_signature_runner("serving_default")
        run(pixels=pixels[:1])
    return in_batches(lambda batch: run(pixels=batch), pixels)


def _read_in_a_fresh_process(path: Path, pixels: np.ndarray) -> Logits:
    """What is in the file and not in this process's memory."""
    with tempfile.TemporaryDirectory() as temporary:
        asked, answered = Path(temporary, "pixels.npy"), Path(temporary, "logits.npz")
        np.save(asked, pixels, allow_pickle=False)
        command = [sys.executable, "-m", "dogvscat.learning.keras_export.reading", *map(str, (path, asked, answered))]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["nothing was said"]
            raise ModelError(f"{path.name} cannot be read back: {lines[-1]}")
        with np.load(answered, allow_pickle=False) as logits:
            return Logits(*(logits[name] for name in Logits._fields if name in logits))


def _version(*packages: str) -> str:
    """Of whichever is installed: TensorFlow comes under two names."""
    from importlib.metadata import PackageNotFoundError

    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""
