"""Exports that Keras writes: TensorFlow's SavedModel and Keras' own archive. Each is read back before it is published.
litert.py writes the third, LiteRT.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Logits
from dogvscat.learning.engine import keras
from dogvscat.learning.keras_export.rebuild import rebuild_network
from dogvscat.stderr import quiet_stderr


def convert_to_keras(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A `.keras` archive, read back by a fresh process. `pixels` and errors are as for `convert_network`."""
    return convert_network(
        bundle,
        pixels,
        "model.keras",
        lambda network, path: network.save(path),
        _read_in_a_fresh_process,
        f"Keras {keras.__version__} in a fresh process",
    )


def convert_to_savedmodel(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """A SavedModel, read back by a fresh process. `pixels` and errors are as for `convert_network`."""
    return convert_network(
        bundle,
        pixels,
        "saved_model",
        lambda network, path: network.export(str(path), format="tf_saved_model", verbose=False),
        _read_in_a_fresh_process,
        f"TensorFlow {_installed_version('tensorflow', 'tensorflow-cpu')} in a fresh process",
    )


def convert_network(
    bundle: Bundle,
    pixels: np.ndarray,
    model_file: str,
    write: Callable[[keras.Model, Path], None],
    read: Callable[[Path, np.ndarray], Logits],
    read_by: str,
) -> Conversion:
    """The network of a bundle, written and read back.

    Args:
        bundle: What to export.
        pixels: Pictures to answer, uint8 (num_images, image_size, image_size, 3).
        model_file: Name of the file or folder that `write` makes.
        write: Writes a network to a path.
        read: Loads the model at a path and gives its answers to pictures.
        read_by: Name and version of the library that reads it.

    Raises:
        ModelError: if the weights are not those of the network that the card describes, or the export cannot be read
            back.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, model_file)
        with quiet_stderr():  # TensorFlow's converter reports each step
            write(rebuild_network(bundle), path)
        logits = read(path, pixels)
        files = [file for file in sorted(Path(temporary).rglob("*")) if file.is_file()]
        contents = {file.relative_to(temporary).as_posix(): file.read_bytes() for file in files}
    return Conversion(contents, model_file, logits, read_by)


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
