"""cell.json: what one training of a study or a search reached, and the predictions next to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.errors import ModelError
from dogvscat.judging.predictions import read_predictions
from dogvscat.learning.history import refuse_impossible_history
from dogvscat.learning.run import Run
from dogvscat.text import parse_json

RESULT_FILE = "cell.json"


@dataclass(frozen=True)
class CellResult:
    """What a finished cell reached. Accuracies lie between 0 and 1, at a threshold of one half."""

    validation_accuracy: float
    training_accuracy: float
    """In inference mode, on training photos without augmentation."""
    seconds: float
    """Time spent on training, over all sessions."""
    epochs: int
    history: list[dict[str, float]]
    """One row per epoch, with the columns of history.csv."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    def refuse_impossible(self) -> None:
        """Check a result that was read from a file.

        Raises:
            ValueError: if no training can have it.
        """
        refuse_impossible_history(self.history)
        if self.epochs != len(self.history):
            raise ValueError(f"it counts {self.epochs!r} epochs and has the figures of {len(self.history)}")
        for name, most in (("validation_accuracy", 1.0), ("training_accuracy", 1.0), ("seconds", 1e9)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise ValueError(f"{name} should lie between 0 and {most:g}, received {value!r}")


@dataclass(frozen=True)
class Diverged:
    """A cell whose loss became infinite or NaN: it is finished, without accuracies."""

    diverged: str
    """A sentence for people that says when."""


def read_result(folder: Path) -> CellResult | Diverged | None:
    """The result of a finished cell, or None if the cell is not finished.

    Raises:
        ModelError: if the file is damaged.
    """
    file = folder / RESULT_FILE
    try:
        # The file has the fields of the one class or of the other.
        document: Mapping[str, Any] = parse_json(file.read_text(encoding="utf-8"))
        if "diverged" in document:
            return Diverged(**document)
        result = CellResult(**document)
        result.refuse_impossible()
        return result
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        hint = "Delete it and run the same command again: only this training is repeated."
        raise ModelError(f"{file} is damaged: {error}", hint=hint) from None


def read_validation(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the validation photos of a finished cell, and its answers: int64 (n,) of 0 and 1 each.

    Raises:
        ModelError: if its predictions are missing or damaged.
    """
    file = Run(folder).predictions_file
    predictions = read_predictions(file).get("validation")
    if predictions is None:
        raise ModelError(f"{file} is damaged: it has no validation photo")
    return predictions.y_true, predictions.y_pred


def count_validation(folder: Path) -> int:
    """The number of validation photos that a finished cell was evaluated on; raises as `read_validation`."""
    return len(read_validation(folder)[0])
