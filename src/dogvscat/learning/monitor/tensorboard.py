"""`train --log tensorboard`: the curves of a training as event files, one folder for each line of a plot."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dogvscat.atomic import wrap_write_errors
from dogvscat.learning.monitor.event_file import EventFile

if TYPE_CHECKING:
    import numpy as np

    from dogvscat.learning.loop.checkpoint import TrainingState

_FIGURES = {
    "train": {"loss": "loss", "accuracy": "accuracy", "learning_rate": "learning_rate", "seconds": "seconds"},
    "validation": {"loss": "val_loss", "accuracy": "val_accuracy"},
}
"""Columns of the history by folder and tag. TensorBoard draws equal tags of two folders into one plot."""


class TensorBoardLog:
    """Appends each epoch to the event files of a run.

    A resumed training writes its files again from the start. Otherwise, an epoch that was trained twice, because the
    process was killed before its checkpoint, would be two points.

    Args:
        folder: Gets a folder `train` and a folder `validation`. Files of an earlier session are removed.
        history: The epochs before this session, as in history.csv.

    Raises:
        WriteError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, float]]) -> None:
        with wrap_write_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
        self._files = {name: EventFile(folder / name) for name in _FIGURES}
        wall_time = time.time() - sum(row["seconds"] for row in history)  # as if there had been no break
        for row in history:
            wall_time += row["seconds"]
            self._add(row, wall_time)

    def show_step(self, state: "TrainingState") -> None:
        """Nothing: points are epochs."""

    def show_epoch(self, state: "TrainingState", logits: "np.ndarray") -> None:
        """Append the row of an epoch.

        Raises:
            WriteError: if it cannot be written.
        """
        self._add(state.history[-1], time.time())

    def _add(self, row: Mapping[str, float], wall_time: float) -> None:
        for name, columns in _FIGURES.items():
            figures = {tag: row[column] for tag, column in columns.items()}
            self._files[name].add(int(row["epoch"]), wall_time, figures)
