"""Reads an exported model in a process of its own: `python -m dogvscat.learning.keras_export.reading MODEL IN OUT`.

Nothing of this package's networks is imported here, so that what runs is what the file holds.
"""

import sys
from pathlib import Path

import numpy as np

from dogvscat.bundle.export.formats import in_batches
from dogvscat.learning.engine import prepare_backend


def read(model: Path, pixels: Path, out: Path) -> None:
    """Answer pictures.

    Args:
        model: A file that Keras saved, or the folder of a SavedModel.
        pixels: NumPy file of uint8 (num_pictures, image_size, image_size, 3).
        out: Where to write `positive` and, if the network tells, `neither`, float64 (num_pictures,) each.
    """
    prepare_backend(0)
    import keras

    network = (
        keras.layers.TFSMLayer(model, "serve") if model.is_dir() else keras.saving.load_model(model, compile=False)
    )
    logits = in_batches(lambda batch: network(batch), np.load(pixels, allow_pickle=False))
    answers = {name: values for name, values in logits._asdict().items() if values is not None}
    np.savez(out, allow_pickle=False, **answers)


if __name__ == "__main__":
    read(*map(Path, sys.argv[1:]))
