"""The state of a training in one file, written atomically: weights, optimizer, best weights, progress.

The file is NumPy's `.npz` without pickled objects. Writing it whole or not at all is what keeps a killed run resumable;
Keras' own BackupAndRestore writes weights and epoch separately and forgets patience and the best score.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dogvscat import atomic
from dogvscat.errors import ModelError
from dogvscat.learning.loop.state import TrainingState

if TYPE_CHECKING:  # a damaged file is found out without the seconds that Keras takes to load
    import keras

Weights = list[np.ndarray]


@dataclass
class Checkpoint:
    """A moment of a training."""

    state: TrainingState
    variables: Weights
    """The network's and the optimizer's variables, in their order."""
    best: Weights
    """The network's weights after the best epoch; empty before the first."""


def take_checkpoint(model: keras.Model, state: TrainingState, best: Weights) -> Checkpoint:
    """Copy a compiled, built model's whole state."""
    return Checkpoint(state, read_variables(_all_variables(model)), best)


def restore_checkpoint(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's variables back into a model of the same configuration.

    Raises:
        ModelError: if the number or the shapes of the variables differ.
    """
    write_variables(_all_variables(model), checkpoint.variables)


def read_variables(variables: Sequence[keras.Variable]) -> Weights:
    """Copies of some variables' values."""
    return [np.array(variable.numpy()) for variable in variables]


def write_variables(variables: Sequence[keras.Variable], values: Weights) -> None:
    """Set some variables.

    Raises:
        ModelError: if the number or the shapes differ.
    """
    expected, received = [tuple(v.shape) for v in variables], [v.shape for v in values]
    if expected != received:
        raise ModelError(f"the weights do not fit this network: expected shapes {expected}, received {received}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    arrays = {f"variables/{index:04d}": value for index, value in enumerate(checkpoint.variables)}
    arrays |= {f"best/{index:04d}": value for index, value in enumerate(checkpoint.best)}
    state = np.frombuffer(json.dumps(checkpoint.state.to_dict()).encode(), dtype=np.uint8)
    with atomic.atomic_file(path) as file:
        np.savez(file, allow_pickle=False, state=state, **arrays)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ModelError: if there is none, or it is damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = sorted(file.files)
            state = TrainingState.from_dict(json.loads(file["state"].tobytes()))
            variables = [file[name] for name in names if name.startswith("variables/")]
            best = [file[name] for name in names if name.startswith("best/")]
    except FileNotFoundError:
        raise ModelError(f"there is no checkpoint {path}", hint="Start the training again.") from None
    except Exception as error:  # NumPy and zipfile raise a dozen kinds on malformed files
        raise ModelError(f"the checkpoint {path} is damaged: {error}", hint="Start the training again.") from None
    return Checkpoint(state, variables, best)


def _all_variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
