"""What a person sees of a training on stderr (bars on a terminal, else one line per epoch), and how Ctrl-C stops it."""

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Protocol, Self

import numpy as np
from rich.progress import Progress, TextColumn

from dogvscat.config import TrainingConfig
from dogvscat.learning.loop.checkpoint import TrainingState
from dogvscat.stderr import on_terminal, progress_bars


class Observer(Protocol):
    """Is shown a training while it runs. It must be quick, because the training waits for it, and change nothing."""

    def show_step(self, state: TrainingState) -> None:
        """After each step; the state changes with the next one."""

    def show_epoch(self, state: TrainingState, logits: np.ndarray) -> None:
        """After each epoch, when its checkpoint is written.

        Args:
            state: Its history ends with the row of the epoch.
            logits: Of the validation images after this epoch: float64 (num_images,).
        """


class TrainingDisplay:
    """Shows the steps and epochs that the loop reports to it.

    Args:
        config: For the number of epochs.
        state: Where the training starts or resumes.
        steps_per_epoch: How many.
        quiet: Show nothing.
    """

    def __init__(self, config: TrainingConfig, state: TrainingState, steps_per_epoch: int, quiet: bool = False) -> None:
        self._config = config
        self._quiet = quiet
        self._steps_per_epoch = steps_per_epoch
        self._bars: Progress | None = None
        if on_terminal() and not quiet:
            self._bars = progress_bars(TextColumn("{task.fields[figures]}"))
            total = config.epochs * steps_per_epoch
            self._epochs = self._bars.add_task("all epochs", total=total, figures="")
            self._steps = self._bars.add_task("epoch 1", total=steps_per_epoch, figures="")
            self._bars.update(self._epochs, completed=state.epoch * steps_per_epoch + state.step)

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def report(self, sentence: str) -> None:
        """Show a line that stays."""
        if self._bars:
            self._bars.console.print(sentence, highlight=False, markup=False)
        elif not self._quiet:
            print(sentence, file=sys.stderr, flush=True)

    def show_step(self, state: TrainingState) -> None:
        """After each step: the epoch's figures so far."""
        if self._bars:
            self._bars.update(self._epochs, completed=state.epoch * self._steps_per_epoch + state.step)
            figures = f"loss {state.loss:.3f}  accuracy {state.accuracy:.1%}"
            epoch = f"epoch {state.epoch + 1}"
            self._bars.update(self._steps, completed=state.step, figures=figures, description=epoch)

    def show_epoch(self, state: TrainingState, logits: np.ndarray) -> None:
        """After each epoch: its row of the history."""
        row = state.history[-1]
        best = "  best so far" if state.best_epoch == state.epoch else f"  (best: epoch {state.best_epoch})"
        best = best if self._config.early_stopping_patience else ""  # without it the last epoch counts, not the best
        self.report(
            f"epoch {state.epoch:3d}/{self._config.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
            f"validation loss {row['val_loss']:.4f}  validation accuracy {row['val_accuracy']:.2%}  "
            f"learning rate {row['learning_rate']:.2g}  {row['seconds']:.0f} s{best}"
        )


class StopRequest:
    """Within `with`, remembers Ctrl-C or SIGTERM instead of raising in the middle of a step.

    The loop ends after the step under way, with everything saved. A second Ctrl-C ends it at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, signal.Handlers] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread receives signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
