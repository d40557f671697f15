"""The training loop: steps, epochs, validation, learning rate, early stopping, checkpoints.

Written out instead of `model.fit`, because a run that is killed at any moment has to go on with the same bits: every
random number is a function of (epoch, step), and everything else lies in the checkpoint.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import DivergedError, Interrupted
from dogvscat.judging.decision import Logits
from dogvscat.learning.data.batches import Batch, BatchLoader
from dogvscat.learning.data.dataset import LabelledImages
from dogvscat.learning.data.random import stateless_words
from dogvscat.learning.loop.checkpoint import (
    Weights,
    load_checkpoint,
    read_variables,
    restore_checkpoint,
    save_checkpoint,
    take_checkpoint,
    write_variables,
)
from dogvscat.learning.loop.interrupts import StopRequest
from dogvscat.learning.loop.progress import TrainingDisplay
from dogvscat.learning.loop.state import HISTORY_COLUMNS, TrainingState
from dogvscat.learning.loop.weight_averaging import averaged_weights, recalibrate
from dogvscat.learning.model.schedules import learning_rate
from dogvscat.text import counted

_JUDGED_AT_ONCE = 256
_TIMED_STEPS = 8
_RECALIBRATED = 1000  # pictures, after each epoch; the final network takes as many as it is told


@dataclass
class Training:
    """A model on its way, with what it learns from and where its checkpoint lies."""

    model: keras.Model
    config: Config
    loader: BatchLoader
    validation: LabelledImages
    checkpoint_file: Path
    history_file: Path
    more_to_come: int = 0
    """Trainings like this one that follow it; for the estimate of the time alone."""
    quiet: bool = False
    """Show nothing."""
    after_epoch: Callable[[TrainingState], None] | None = None
    """Told of every epoch, after its checkpoint was written; it may raise to end the training there."""

    def __post_init__(self) -> None:
        self.state = TrainingState()
        self._best: Weights = []
        self._saved_at = time.monotonic()

    def resume(self) -> None:
        """Go back to the checkpoint.

        Raises:
            ModelError: if there is none or it does not fit.
        """
        checkpoint = load_checkpoint(self.checkpoint_file)
        restore_checkpoint(self.model, checkpoint)
        self.state, self._best = checkpoint.state, checkpoint.best

    def fit(self) -> None:
        """Train until early stopping or the last epoch, and leave the chosen weights in the model.

        Raises:
            Interrupted: on Ctrl-C or SIGTERM, after a checkpoint was written.
        """
        config, state = self.config.training, self.state
        with StopRequest() as stop, TrainingDisplay(config, state, self.loader.steps_per_epoch, self.quiet) as display:
            if not (state.finished(config) or self.quiet):
                display.report(self._estimate())
            while not state.finished(config):
                self._train_epoch(display, stop)
                self._finish_epoch()
                display.epoch(state)
                if self.after_epoch:
                    self.after_epoch(state)
        chosen = self._best if config.early_stopping_patience and self._best else averaged_weights(self.model)
        write_variables(self.model.weights, chosen)

    def _train_epoch(self, display: TrainingDisplay, stop: StopRequest) -> None:
        state, num_steps = self.state, self.config.training.epochs * self.loader.steps_per_epoch
        started = time.monotonic() - state.epoch_seconds
        for batch in self.loader.batches(state.epoch, state.step):
            step = state.epoch * self.loader.steps_per_epoch + state.step
            rate = learning_rate(self.config.training, step, num_steps, state.reductions)
            loss, accuracy = self._step(batch, rate)
            if not math.isfinite(loss):
                raise _diverged(f"the loss became {loss} in epoch {state.epoch + 1}, step {state.step + 1}")
            state.add_step(len(batch.y_true), loss, accuracy, rate)
            state.epoch_seconds = time.monotonic() - started
            display.step(state)
            if stop.requested:
                self._save()
                raise Interrupted(f"stopped in epoch {state.epoch + 1} after step {state.step}; nothing is lost")
            if time.monotonic() - self._saved_at > self.config.training.checkpoint_seconds:
                self._save()

    def _step(self, batch: Batch, rate: float) -> tuple[float, float]:
        """One step; returns the batch's loss and accuracy before it."""
        state = self.state
        self.model.optimizer.learning_rate = rate
        seed_layers(self.model, self.config.training.seed, state.epoch, state.step)
        self.model.reset_metrics()  # figures of this batch alone; the epoch's mean is in the state, which is resumable
        figures = self.model.train_on_batch(*batch, return_dict=True)
        return float(figures["loss"]), float(figures["accuracy"])

    def _finish_epoch(self) -> None:
        state = self.state
        started = time.monotonic()
        weights = averaged_weights(self.model)
        logits = self._validation_logits(weights)
        row = {
            "epoch": state.epoch + 1,
            "loss": state.loss,
            "accuracy": state.accuracy,
            "val_loss": log_loss(self.validation.y_true, logits),
            "val_accuracy": float(np.mean((logits >= 0) == self.validation.y_true)),
            "learning_rate": state.learning_rate,
            "seconds": round(state.epoch_seconds + time.monotonic() - started, 2),
        }
        if not math.isfinite(row["val_loss"]):  # the last step's own loss was that before the step
            raise _diverged(f"the validation loss became {row['val_loss']} in epoch {state.epoch + 1}")
        if state.finish_epoch(row, self.config.training):
            self._best = weights
        self._save()
        rows = ([row[name] for name in HISTORY_COLUMNS] for row in state.history)
        atomic.write_csv(self.history_file, HISTORY_COLUMNS, rows)

    def _validation_logits(self, weights: Weights) -> np.ndarray:
        """At the size that was just learned from; a small price for statistics that fit averaged weights."""
        size, settings = self.config.image_size_at(self.state.epoch), self.config.training
        latest = read_variables(self.model.weights)
        write_variables(self.model.weights, weights)
        recalibrate(self.model, self.loader.pictures, min(_RECALIBRATED, settings.recalibrated_pictures), size)
        logits = predict_logits(self.model, self.validation, size).positive
        write_variables(self.model.weights, latest)
        return logits

    def _save(self) -> None:
        save_checkpoint(self.checkpoint_file, take_checkpoint(self.model, self.state, self._best))
        self._saved_at = time.monotonic()

    def _estimate(self) -> str:
        """Time a few steps, put everything back as it was, and say how long the rest may take."""
        before = take_checkpoint(self.model, self.state, self._best)
        every = [self.config.image_size_at(epoch) for epoch in range(self.config.training.epochs)]
        left = every[self.state.epoch :]
        sizes = list(dict.fromkeys(every if self.more_to_come else left))
        seconds = {size: self.epoch_seconds(every.index(size)) for size in sizes}
        restore_checkpoint(self.model, before)

        def minutes(sizes: list[int]) -> int:
            return max(1, round(sum(seconds[size] for size in sizes) / 60))

        each = ", ".join(f"{seconds[size]:.{0 if seconds[size] >= 10 else 1}f}" for size in sizes)
        early = ", less if it stops early" if self.config.training.early_stopping_patience else ""
        said = f"about {each} s an epoch, at most {minutes(left)} min for {counted(len(left), 'epoch')}{early}"
        if self.more_to_come:
            whole = minutes(left + every * self.more_to_come)
            said += f"; about {whole} min with the trainings that follow ({self.more_to_come})"
        return said

    def epoch_seconds(self, epoch: int) -> float:
        batch = self.loader.batch(epoch, 0)
        self._step(batch, rate=0.0)  # compiles
        started = time.monotonic()
        for _ in range(_TIMED_STEPS):
            self._step(batch, rate=0.0)
        seconds = (time.monotonic() - started) / _TIMED_STEPS
        return seconds * self.loader.steps_per_epoch * (1 + len(self.validation) / len(self.loader.pictures) / 3)


def seed_layers(model: keras.Model, seed: int, epoch: int, step: int) -> None:
    """Give layers such as dropout the random numbers of one step."""
    generators = (getattr(layer, "seed_generator", None) for layer in model.layers)
    for index, generator in enumerate(generator for generator in generators if generator is not None):
        generator.state.assign(stateless_words(seed, epoch, step, index))


def predict_logits(model: keras.Model, pictures: LabelledImages, image_size: int) -> Logits:
    """The network's answers in inference mode, without augmentation, for each picture."""
    columns = np.empty((len(pictures), model.output_shape[-1]))
    for start in range(0, len(pictures), _JUDGED_AT_ONCE):
        samples = np.arange(start, min(start + _JUDGED_AT_ONCE, len(pictures)))
        columns[samples] = np.asarray(model.predict_on_batch(pictures.pixels(samples, image_size)))
    return Logits(*columns.T)


def log_loss(y_true: np.ndarray, logits: np.ndarray) -> float:
    """Mean cross-entropy in nats, without smoothing or penalties, stable for large logits."""
    return float(np.mean(np.logaddexp(0.0, np.where(y_true == 1, -logits, logits))))


def _diverged(what: str) -> DivergedError:
    return DivergedError(f"{what}: training diverged", hint="Start again with a smaller training.learning_rate.")
