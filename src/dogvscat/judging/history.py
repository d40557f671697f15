"""How a training went, epoch by epoch, as the report and its curves need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class History:
    """The epochs of one training.

    Args:
        rows: One mapping per epoch, in order, with the keys epoch, loss, accuracy, val_loss, val_accuracy,
            learning_rate and seconds. `loss` and `accuracy` are of the training images as the network saw them:
            augmented, with dropout on. None stands for a value that was not a finite number.
        best_epoch: The epoch, as numbered in the rows, whose weights were kept.
        stopped_early: Whether early stopping ended the training before its last planned epoch.
        num_train: Number of training images.
        num_validation: Number of validation images.
        train_conditions: How the training metrics differ from those of validation, such as `augmented, with dropout`.

    Raises:
        ValueError: if there is no row, or the best epoch is not among them.
    """

    rows: Sequence[Mapping[str, float | None]]
    best_epoch: int
    stopped_early: bool
    num_train: int
    num_validation: int
    train_conditions: str = ""

    def __post_init__(self) -> None:
        if self.best_epoch not in [row["epoch"] for row in self.rows]:
            raise ValueError(f"expected best_epoch among {len(self.rows)} rows of epochs, received {self.best_epoch}")

    def column(self, name: str) -> np.ndarray:
        """One column, float64 (epochs,), NaN where the value was not a finite number."""
        return np.array([np.nan if row[name] is None else row[name] for row in self.rows], dtype=np.float64)

    @property
    def best_index(self) -> int:
        """Position of the best epoch among the rows."""
        return [row["epoch"] for row in self.rows].index(self.best_epoch)

    @property
    def last_epoch(self) -> int:
        """Number of the last epoch that was trained."""
        return int(self.rows[-1]["epoch"] or 0)
