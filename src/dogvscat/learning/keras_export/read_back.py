"""Runs an exported model in its own process: `python -m dogvscat.learning.keras_export.read_back MODEL IN OUT`.

None of this package's layers is imported here, so the file has to hold everything that it needs.
"""

import sys
from pathlib import Path

import numpy as np

from dogvscat.bundle.export.formats import run_in_batches
from dogvscat.learning.engine import open_engine


def read_back(model: Path, pixels: Path, out: Path) -> None:
    """Write the logits that an exported model gives.

    Args:
        model: A file that Keras saved, or the folder of a SavedModel.
        pixels: NumPy file of uint8 (num_images, image_size, image_size, 3).
        out: NumPy archive to write: `positive` and, if the network has that output, `neither`, float64 (num_images,).
    """
    open_engine(0)
    from dogvscat.learning.engine import keras

    if model.is_dir():
        network = keras.layers.TFSMLayer(model, "serve")
    else:
        network = keras.saving.load_model(model, compile=False)
    logits = run_in_batches(lambda batch: network(batch), np.load(pixels, allow_pickle=False))
    outputs = {name: values for name, values in logits._asdict().items() if values is not None}
    np.savez(out, allow_pickle=False, **outputs)


if __name__ == "__main__":
    read_back(*map(Path, sys.argv[1:]))
