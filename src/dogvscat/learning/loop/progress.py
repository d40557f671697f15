"""What a person sees of a training: bars with the time left on a terminal, else one plain line an epoch. On stderr."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dogvscat.config import TrainingConfig
from dogvscat.learning.loop.state import TrainingState
from dogvscat.stderr import on_terminal


class TrainingDisplay:
    """Told of every step and epoch by the loop; shows nothing more than it is told."""

    def __init__(self, config: TrainingConfig, state: TrainingState, steps_per_epoch: int, quiet: bool = False) -> None:
        self._config = config
        self._quiet = quiet
        self._steps_per_epoch = steps_per_epoch
        self._bars: Progress | None = None
        if on_terminal() and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            figures = (TextColumn("left,"), TimeElapsedColumn(), TextColumn("{task.fields[figures]}"))
            self._bars = Progress(*columns, *figures, console=Console(stderr=True))
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
        """A line that stays."""
        if self._bars:
            self._bars.console.print(sentence, highlight=False, markup=False)
        elif not self._quiet:
            print(sentence, file=sys.stderr, flush=True)

    def step(self, state: TrainingState) -> None:
        """After each step, with the epoch's figures so far."""
        if self._bars:
            self._bars.update(self._epochs, completed=state.epoch * self._steps_per_epoch + state.step)
            figures = f"loss {state.loss:.3f}  accuracy {state.accuracy:.1%}"
            self._bars.update(
                self._steps, completed=state.step, figures=figures, description=f"epoch {state.epoch + 1}"
            )

    def epoch(self, state: TrainingState) -> None:
        """After each epoch, with its figures in the history."""
        row = state.history[-1]
        best = "  best so far" if state.best_epoch == state.epoch else f"  (best: epoch {state.best_epoch})"
        best = best if self._config.early_stopping_patience else ""  # else the last epoch is kept, good or not
        self.report(
            f"epoch {state.epoch:3d}/{self._config.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
            f"validation loss {row['val_loss']:.4f}  validation accuracy {row['val_accuracy']:.2%}  "
            f"learning rate {row['learning_rate']:.2g}  {row['seconds']:.0f} s{best}"
        )
