"""The state of a training in one file, written atomically: weights, optimizer, best weights, progress.

The file is NumPy's `.npz` without pickled objects. Writing it whole or not at all is what keeps a killed run resumable;
Keras' own BackupAndRestore writes weights and epoch separately and forgets patience and the best score.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dogvscat import atomic
from dogvscat.config import TrainingConfig
from dogvscat.errors import ModelError
from dogvscat.learning.history import refuse_impossible_history
from dogvscat.text import parse_json

if TYPE_CHECKING:  # a damaged file is reported without waiting seconds for Keras to load
    import keras

_LARGEST_COUNT = 10**9
"""Largest number of steps, and of images, in one epoch."""


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

    def refuse_impossible(self) -> None:
        """Check a state that was read from a file.

        Raises:
            ValueError: if no training can be in this state.
        """
        refuse_impossible_history(self.history)
        num_epochs = len(self.history)
        of_epochs = ("epoch", "best_epoch", "epochs_since_best", "reductions", "epochs_since_reduction")
        limits = dict.fromkeys(of_epochs, num_epochs) | dict.fromkeys(("step", "num_seen"), _LARGEST_COUNT)
        for name, most in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"{name} should be a whole number from 0 to {most:,}, received {value!r}")
        # A loss near zero may be rounded to less, and a mean of rounded accuracies to more than 1.
        least_loss, most_accuracy = -1e-3 * self.num_seen, 1.001 * self.num_seen
        for name, lowest, highest in (
            ("loss_sum", least_loss, math.inf),
            ("accuracy_sum", 0.0, most_accuracy),
            ("learning_rate", 0.0, 10.0),
            ("epoch_seconds", 0.0, 1e8),
        ):
            value = getattr(self, name)
            if type(value) not in (int, float) or not lowest <= value <= highest or not math.isfinite(value):
                raise ValueError(f"{name} should lie between {lowest:g} and {highest:g}, received {value!r}")
        best_val_loss = self.history[self.best_epoch - 1]["val_loss"] if self.best_epoch else None
        if self.epoch != num_epochs or bool(self.best_epoch) != bool(num_epochs) or self.best_val_loss != best_val_loss:
            message = f"epoch {self.epoch}, best epoch {self.best_epoch} and best loss {self.best_val_loss}"
            raise ValueError(f"{message} do not fit the figures of {num_epochs} epochs")


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
        ModelError: as for `refuse_misfit`, also for the weights of the best epoch.
    """
    refuse_misfit(model.weights, checkpoint.best or read_variables(model.weights))
    write_variables(_all_variables(model), checkpoint.variables)


def read_variables(variables: Sequence[keras.Variable]) -> Weights:
    """Copies of some variables' values."""
    return [np.array(variable.numpy()) for variable in variables]


def write_variables(variables: Sequence[keras.Variable], values: Weights) -> None:
    """Set some variables.

    Raises:
        ModelError: as for `refuse_misfit`.
    """
    refuse_misfit(variables, values)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def refuse_misfit(variables: Sequence[keras.Variable], values: Weights) -> None:
    """Raise if some variables cannot be set to these values.

    Raises:
        ModelError: if the number of variables or a shape differs, or if integers are given for floats or the reverse.
    """
    # Only the kind of number counts, not its size or sign: what one backend saved as float64 may be float32 in another,
    # and on JAX the uint32 of a seed generator is saved as int32.
    expected = [(tuple(v.shape), _kind(v.dtype)) for v in variables]
    received = [(v.shape, _kind(v.dtype)) for v in values]
    if expected != received:
        pairs = zip(expected, received, strict=False)
        first = next(((a, b) for a, b in pairs if a != b), (len(expected), len(received)))
        raise ModelError(f"the weights do not fit this network: expected {first[0]}, received {first[1]}")


def _kind(dtype: object) -> str:
    return "integers" if "int" in str(dtype) else "floats"


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
            _refuse_compressed(file.zip)
            names = sorted(file.files)
            document = parse_json(file["state"].tobytes().decode())
            if not isinstance(document, dict) or document.keys() != {entry.name for entry in fields(TrainingState)}:
                raise ValueError("its state has other entries than expected")
            state = TrainingState.from_dict(document)
            state.refuse_impossible()
            variables = [file[name] for name in names if name.startswith("variables/")]
            best = [file[name] for name in names if name.startswith("best/")]
            if bool(best) != bool(state.best_epoch):
                raise ValueError(f"its best epoch is {state.best_epoch}, and it has {len(best)} arrays of best weights")
            for values in (*variables, *best):
                if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
                    raise ValueError("an array holds something else than finite numbers")
    except FileNotFoundError:
        raise ModelError(f"there is no checkpoint {path}", hint="Start the training again.") from None
    except Exception as error:  # NumPy and zipfile raise a dozen kinds on malformed files
        reason = str(error) or type(error).__name__
        raise ModelError(f"the checkpoint {path} is damaged: {reason}", hint="Start the training again.") from None
    return Checkpoint(state, variables, best)


def _refuse_compressed(archive: zipfile.ZipFile) -> None:
    """Checkpoints are stored as they are. A compressed one was not written here, and could unpack to any size."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise ValueError("it is compressed")


def _all_variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
