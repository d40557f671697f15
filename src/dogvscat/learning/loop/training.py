"""The training loop: steps, epochs, validation, learning rate, early stopping, checkpoints.

Written out instead of `model.fit`, because a run that is killed at any moment has to resume with the same bits: every
random number is a function of (epoch, step), and everything else lies in the checkpoint.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dogvscat import atomic
from dogvscat.config import Config
from dogvscat.errors import DivergedError, Interrupted, ModelError
from dogvscat.learning.data.batches import Batch, BatchLoader, balanced_class_weights
from dogvscat.learning.data.dataset import Dataset, LabeledImages
from dogvscat.learning.data.random import stateless_words
from dogvscat.learning.engine import EVALUATION_COST, ComputeSettings, keras
from dogvscat.learning.history import HISTORY_COLUMNS
from dogvscat.learning.loop.checkpoint import (
    TrainingState,
    Weights,
    load_checkpoint,
    restore_checkpoint,
    save_checkpoint,
    take_checkpoint,
    write_variables,
)
from dogvscat.learning.loop.inference import averaged_weights, validate
from dogvscat.learning.loop.progress import Observer, StopRequest, TrainingDisplay
from dogvscat.learning.model.networks import build_network
from dogvscat.learning.model.optimizers import compile_network, learning_rate
from dogvscat.learning.run import Run
from dogvscat.stderr import Reporter
from dogvscat.text import pluralize

_TIMED_STEPS = 8
_RECALIBRATED_PER_EPOCH = 1000
"""Images for the batch statistics of one epoch's validation; the final network takes as many as its recipe says."""


@dataclass
class Training:
    """A model under training, with what it learns from and where its checkpoint lies."""

    model: keras.Model
    config: Config
    loader: BatchLoader
    validation: LabeledImages
    checkpoint_file: Path
    history_file: Path
    num_following: int = 0
    """Trainings like this one that follow it; only for the estimate of the time."""
    quiet: bool = False
    """Show nothing."""
    after_epoch: Callable[[TrainingState], None] | None = None
    """Called after each epoch, when its checkpoint is written; it may raise to end the training there."""
    observers: Sequence[Observer] = ()
    """Are shown each step and epoch, in addition to the terminal."""
    state: TrainingState = field(default_factory=TrainingState, init=False)
    _best_weights: Weights = field(default_factory=list, init=False)

    def resume(self) -> None:
        """Go back to the checkpoint.

        Raises:
            ModelError: if there is none or it does not fit.
        """
        checkpoint = load_checkpoint(self.checkpoint_file)
        if checkpoint.state.step > self.loader.steps_per_epoch:
            steps = f"step {checkpoint.state.step:,} of {self.loader.steps_per_epoch:,} in an epoch"
            raise ModelError(f"the checkpoint {self.checkpoint_file} is damaged: it was saved at {steps}")
        try:
            restore_checkpoint(self.model, checkpoint)
        except ModelError as error:
            hint = "The checkpoint belongs to another training. Start this training again."
            raise ModelError(f"{self.checkpoint_file}: {error.message}", hint=hint) from None
        self.state, self._best_weights = checkpoint.state, checkpoint.best

    def fit(self) -> None:
        """Train until early stopping or the last epoch, and leave the chosen weights in the model.

        Raises:
            Interrupted: on Ctrl-C or SIGTERM, after a checkpoint was written.
            DivergedError: if the loss is no longer a finite number.
            WriteError: if a checkpoint cannot be written.
        """
        config, state, steps_per_epoch = self.config.training, self.state, self.loader.steps_per_epoch
        with StopRequest() as stop, TrainingDisplay(config, state, steps_per_epoch, self.quiet) as display:
            if not (state.is_finished(config) or self.quiet):
                display.report(self._estimate())
            observers = (display, *self.observers)
            while not state.is_finished(config):
                self._train_epoch(observers, stop)
                logits = self._finish_epoch()
                for observer in observers:
                    observer.show_epoch(state, logits)
                if self.after_epoch:
                    self.after_epoch(state)
        use_best = config.early_stopping_patience and self._best_weights
        chosen = self._best_weights if use_best else averaged_weights(self.model)
        write_variables(self.model.weights, chosen)

    def _train_epoch(self, observers: Sequence[Observer], stop: StopRequest) -> None:
        state, num_steps = self.state, self.config.training.epochs * self.loader.steps_per_epoch
        saved_at = time.monotonic()
        start = saved_at - state.epoch_seconds  # as if sessions before this one had run without a break
        for batch in self.loader.batches(state.epoch, state.step):
            step = state.epoch * self.loader.steps_per_epoch + state.step
            rate = learning_rate(self.config.training, step, num_steps, state.reductions)
            loss, accuracy = self._train_step(batch, rate)
            if not math.isfinite(loss):
                message = f"the loss became {loss} in epoch {state.epoch + 1}, step {state.step + 1}"
                raise _diverged(message, self.config)
            state.add_step(len(batch.y_true), loss, accuracy, rate)
            state.epoch_seconds = time.monotonic() - start
            for observer in observers:
                observer.show_step(state)
            if stop.requested:
                save_checkpoint(self.checkpoint_file, self.model, state, self._best_weights)
                raise Interrupted(f"stopped in epoch {state.epoch + 1} after step {state.step}; nothing is lost")
            if time.monotonic() - saved_at > self.config.training.checkpoint_seconds:
                save_checkpoint(self.checkpoint_file, self.model, state, self._best_weights)
                saved_at = time.monotonic()

    def _train_step(self, batch: Batch, rate: float) -> tuple[float, float]:
        """One step; returns the batch's loss and accuracy before it."""
        state = self.state
        self.model.optimizer.learning_rate = rate
        seed_layers(self.model, self.config.training.seed, state.epoch, state.step)
        # Keras would average figures over the epoch. Here they are of this batch only: the epoch's mean is kept in the
        # state, which can be saved and resumed.
        self.model.reset_metrics()
        figures = self.model.train_on_batch(*batch, return_dict=True)
        return float(figures["loss"]), float(figures["accuracy"])

    def _finish_epoch(self) -> np.ndarray:
        """Evaluate, and write everything down; returns the logits of the validation images."""
        state, settings = self.state, self.config.training
        start = time.monotonic()
        num_recalibrated = min(_RECALIBRATED_PER_EPOCH, settings.recalibrated_pictures)
        size = self.config.image_size_at(state.epoch)
        validation = validate(self.model, self.validation, self.loader.images, num_recalibrated, size)
        if not math.isfinite(validation.loss):  # the loss of the last step was measured before that step
            raise _diverged(f"the validation loss became {validation.loss} in epoch {state.epoch + 1}", self.config)
        row = {
            "epoch": state.epoch + 1,
            "loss": state.loss,
            "accuracy": state.accuracy,
            "val_loss": validation.loss,
            "val_accuracy": validation.accuracy,
            "learning_rate": state.learning_rate,
            "seconds": round(state.epoch_seconds + time.monotonic() - start, 2),
        }
        if state.finish_epoch(row, settings):
            self._best_weights = validation.weights
        save_checkpoint(self.checkpoint_file, self.model, state, self._best_weights)
        rows = ([row[name] for name in HISTORY_COLUMNS] for row in state.history)
        atomic.write_csv(self.history_file, HISTORY_COLUMNS, rows)
        return validation.logits

    def _estimate(self) -> str:
        """Time a few steps and return a sentence on how long the training may take."""
        all_sizes = [self.config.image_size_at(epoch) for epoch in range(self.config.training.epochs)]
        remaining_sizes = all_sizes[self.state.epoch :]  # one per epoch
        timed_sizes = list(dict.fromkeys(all_sizes if self.num_following else remaining_sizes))
        seconds = {size: self.epoch_seconds(all_sizes.index(size)) for size in timed_sizes}
        per_epoch = ", ".join(
            f"{seconds[size]:.{0 if seconds[size] >= 10 else 1}f} s per epoch at {size} px" for size in timed_sizes
        )
        early = ", less if training stops early" if self.config.training.early_stopping_patience else ""
        remaining = sum(seconds[size] for size in remaining_sizes)
        minutes, epochs = max(1, round(remaining / 60)), pluralize(len(remaining_sizes), "epoch")
        estimate = f"about {per_epoch}, at most {minutes} min for {epochs}{early}"
        if self.num_following:
            following = self.num_following * sum(seconds[size] for size in all_sizes)
            all_minutes = max(1, round((remaining + following) / 60))
            estimate += f"; about {all_minutes} min with {pluralize(self.num_following, 'more training')}"
        return estimate

    def epoch_seconds(self, epoch: int) -> float:
        """Expected seconds of an epoch, validation included: a few steps are timed, and everything is put back."""
        batch = self.loader.batch(epoch, 0)
        before = take_checkpoint(self.model, self.state, self._best_weights)
        self._train_step(batch, rate=0.0)  # compiles
        start = time.monotonic()
        for _ in range(_TIMED_STEPS):
            self._train_step(batch, rate=0.0)
        seconds_per_step = (time.monotonic() - start) / _TIMED_STEPS
        restore_checkpoint(self.model, before)
        validation_share = EVALUATION_COST * len(self.validation) / len(self.loader.images)
        return seconds_per_step * self.loader.steps_per_epoch * (1 + validation_share)


def set_up_training(
    run: Run, config: Config, dataset: Dataset, compute: ComputeSettings, report: Reporter, num_following: int = 0
) -> Training:
    """A training ready to `fit`, from the run's checkpoint if there is one, else from fresh weights.

    Args:
        run: Where checkpoint and history go.
        config: Every setting.
        dataset: Its `train` split is learned from, its `validation` split is evaluated after each epoch.
        compute: As `open_engine` settled it.
        report: Receives a sentence on what is trained, unless nothing remains to train.
        num_following: Trainings like this one that follow it; only for the estimate of the time.

    Raises:
        ModelError: if the checkpoint is damaged or does not fit.
    """
    growth_warning = cut_short_growth(config)
    model, loader = build_model_and_batches(config, dataset, compute)
    validation = dataset.images["validation"]
    training = Training(model, config, loader, validation, run.checkpoint_file, run.history_file, num_following)
    if run.checkpoint_file.exists():
        training.resume()
        report(f"Resuming after epoch {training.state.epoch}, step {training.state.step}.")
    if not training.state.is_finished(config.training):
        weights = f"{model.count_params():,} weights, {compute.precision}"
        weights += "" if compute.backend == "tensorflow" else f", {compute.backend}"
        report(f"Training `{config.recipe}` ({weights}) in {run.folder}")
        if growth_warning:
            report(growth_warning)
    return training


def build_model_and_batches(
    config: Config, dataset: Dataset, compute: ComputeSettings
) -> tuple[keras.Model, BatchLoader]:
    """A compiled network with fresh weights, and the batches it learns from."""
    settings = config.training.model_copy(update={"precision": compute.precision})
    train = dataset.images["train"]
    class_weights = balanced_class_weights(train.y_true) if settings.class_weights == "balanced" else (1.0, 1.0)
    neither = None if dataset.neither is None else dataset.neither.images["train"]
    loader = BatchLoader(train, config, class_weights, neither)
    # `flatten` fixes the size of the input; a network that ends in a mean over positions takes images of any size.
    image_size = None if config.network.takes_any_size else config.data.image_size
    model = build_network(config.network, image_size, l2=settings.l2, seed=settings.seed, precision=settings.precision)
    compile_network(model, settings)
    return model, loader


def cut_short_growth(config: Config) -> str | None:
    """A warning if the training ends before its images have grown as `progressive_resizing` says, else None.

    It is not an error: a recipe tried with few epochs trains, but on smaller images than those it is evaluated on.
    """
    growth_epochs = sum(epochs for epochs, _ in config.training.progressive_resizing)
    epochs = config.training.epochs
    last_size, final_size = config.image_size_at(epochs - 1), config.data.image_size
    if growth_epochs <= epochs or last_size == final_size:
        return None
    return (
        f"training.progressive_resizing takes {growth_epochs} epochs and training.epochs is {epochs}: images grow only "
        f"to {last_size} px, and the network is evaluated at {final_size} px. "
        "Shorten progressive_resizing as well, or add --set training.progressive_resizing=[]."
    )


def seed_layers(model: keras.Model, seed: int, epoch: int, step: int) -> None:
    """Give layers such as dropout the random numbers of one step."""
    generators = (getattr(layer, "seed_generator", None) for layer in model.layers)
    for index, generator in enumerate(generator for generator in generators if generator is not None):
        generator.state.assign(stateless_words(seed, epoch, step, index))


def _diverged(message: str, config: Config) -> DivergedError:
    smaller = f"training.learning_rate={config.training.learning_rate / 10:.2g}"
    return DivergedError(f"{message}: training diverged", hint=f"Start again with smaller steps: --set {smaller}")
