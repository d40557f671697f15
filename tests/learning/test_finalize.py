"""What a finished run shows of itself."""

from pathlib import Path

import numpy as np
from PIL import Image

from dogvscat.judging.figures import learning_curves
from dogvscat.judging.predictions import History
from dogvscat.learning.finalize.finalize import _training_conditions
from dogvscat.settings.resolve import resolve_config


def test_the_legend_of_the_curves_fits_with_all_its_words(tmp_path: Path) -> None:
    words = _training_conditions(resolve_config("fast", None, ["network.neither_output=true"]))
    assert words.count(",") == 3
    figures = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"), 0.5)
    history = History([{"epoch": 1.0, **figures}, {"epoch": 2.0, **figures}], 2, True, 40, 20, train_conditions=words)
    learning_curves(tmp_path / "curves.png", history)
    with Image.open(tmp_path / "curves.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels[:, :4].min() == pixels[:, -4:].min() == 255  # nothing is cut off at the sides
