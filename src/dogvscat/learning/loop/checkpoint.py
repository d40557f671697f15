"""The state of a training in one file, written atomically: weights, optimizer, best weights, progress.

The file is NumPy's `.npz` without pickled objects. Writing it whole or not at all is what keeps a killed run resumable;
Keras' own BackupAndRestore writes weights and epoch separately and forgets patience and the best score.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dogvscat import atomic
from dogvscat.config import TrainingConfig
from dogvscat.errors import ModelError

if TYPE_CHECKING:  # a damaged file is reported without waiting seconds for Keras to load
    import keras

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


@dataclass
class TrainingState:
    """Progress of a training; JSON in, JSON out."""

    epoch: int = 0
    """Number of finished epochs, which is also the index of the current epoch, from 0."""
    step: int = 0
    """Number of finished steps in the current epoch."""
    num_seen: int = 0
    """Images seen in the current epoch."""
    loss_sum: float = 0.0
    """Sum of the losses of these images, each measured before the step of the image."""
    accuracy_sum: float = 0.0
    """Sum of the accuracies of these images, each measured before the step of the image."""
    learning_rate: float = 0.0
    """Learning rate of the last step."""
    epoch_seconds: float = 0.0
    """Time already spent on the current epoch, over all sessions."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One row per finished epoch, with the columns `HISTORY_COLUMNS`; epochs are counted from 1 here."""
    best_epoch: int = 0
    """Epoch, from 1, with the smallest validation loss; 0 before the first."""
    best_val_loss: float | None = None
    epochs_since_best: int = 0
    reductions: int = 0
    """How often a plateau reduced the learning rate."""
    epochs_since_reduction: int = 0
    """Epochs without a better validation loss since the best one or the last reduction."""

    @property
    def loss(self) -> float:
        """Mean training loss of the epoch so far."""
        return self.loss_sum / max(1, self.num_seen)

    @property
    def accuracy(self) -> float:
        """Mean training accuracy of the epoch so far, in 0..1."""
        return self.accuracy_sum / max(1, self.num_seen)

    def add_step(self, num_images: int, loss: float, accuracy: float, learning_rate: float) -> None:
        """Add the figures of one step."""
        self.step += 1
        self.num_seen += num_images
        self.loss_sum += num_images * loss
        self.accuracy_sum += num_images * accuracy
        self.learning_rate = learning_rate

    def finish_epoch(self, row: dict[str, float], config: TrainingConfig) -> bool:
        """Add the figures of an epoch; returns whether it is the best so far."""
        self.history.append(row)
        self.epoch, self.step, self.num_seen = self.epoch + 1, 0, 0
        self.loss_sum = self.accuracy_sum = self.epoch_seconds = 0.0
        if self.best_val_loss is None or row["val_loss"] < self.best_val_loss:
            self.best_epoch, self.best_val_loss = self.epoch, row["val_loss"]
            self.epochs_since_best = self.epochs_since_reduction = 0
            return True
        self.epochs_since_best += 1
        self.epochs_since_reduction += 1
        if config.schedule == "reduce_on_plateau" and self.epochs_since_reduction >= config.plateau_patience:
            self.reductions, self.epochs_since_reduction = self.reductions + 1, 0
        return False

    def stopped_early(self, config: TrainingConfig) -> bool:
        """Whether patience has run out."""
        return 0 < config.early_stopping_patience <= self.epochs_since_best

    def is_finished(self, config: TrainingConfig) -> bool:
        """Whether there is nothing left to train."""
        return self.epoch >= config.epochs or self.stopped_early(config)

    def limits_reached(self, config: TrainingConfig) -> list[str]:
        """The settings that ended the training; it continues if all of them are raised."""
        reached = {
            "training.early_stopping_patience": self.stopped_early(config),
            "training.epochs": self.epoch >= config.epochs,
        }
        return [key for key, is_reached in reached.items() if is_reached]

    def chosen_epoch(self, config: TrainingConfig) -> int:
        """The epoch whose weights the result has: the best one with early stopping, else the last one."""
        return self.best_epoch if config.early_stopping_patience else self.epoch

    def to_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TrainingState:
        """From the checkpoint."""
        return cls(**document)


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


def save_checkpoint(path: Path, model: keras.Model, state: TrainingState, best: Weights) -> None:
    """Write a compiled, built model's whole state atomically."""
    checkpoint = take_checkpoint(model, state, best)
    arrays = {f"variables/{index:04d}": value for index, value in enumerate(checkpoint.variables)}
    arrays |= {f"best/{index:04d}": value for index, value in enumerate(checkpoint.best)}
    state_bytes = np.frombuffer(json.dumps(checkpoint.state.to_dict()).encode(), dtype=np.uint8)
    with atomic.atomic_file(path) as file:
        np.savez(file, allow_pickle=False, state=state_bytes, **arrays)


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
