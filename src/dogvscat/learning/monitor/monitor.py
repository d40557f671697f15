"""What shows a training in addition to the terminal: the page of `train --watch`, the files of `--log tensorboard`."""

from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.monitor.live_page import LivePage
from dogvscat.learning.monitor.tensorboard import TensorBoardLog
from dogvscat.learning.run import Run
from dogvscat.stderr import Reporter

if TYPE_CHECKING:  # these import Keras
    from dogvscat.learning.loop.progress import Observer
    from dogvscat.learning.loop.training import Training

Log = Literal["csv", "tensorboard"]
"""Where the figures of each epoch go: to history.csv only, or to event files as well."""


class Monitor:
    """Within `with`, shows one training.

    Args:
        watch_port: Port of a page that shows the training, 0 for any free port, None for no page.
        log: `csv` or `tensorboard`.
        report: Receives messages for the user. Those given to the method `report` appear on the page, too.

    Raises:
        UsageError: if the port is taken or not allowed.
    """

    def __init__(self, watch_port: int | None, log: Log, report: Reporter) -> None:
        self._log = log
        self._report = report
        self._page = None if watch_port is None else LivePage(watch_port)

    def __enter__(self) -> Self:
        if self._page is not None:
            self._report(f"Watch the training at {self._page.url}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._page is not None:
            self._page.close(error)

    def report(self, sentence: str) -> None:
        """Show a message on the terminal and on the page."""
        self._report(sentence)
        if self._page is not None:
            self._page.show_message(sentence)

    def observers(self, run: Run, training: "Training", dataset: Dataset) -> list["Observer"]:
        """What the loop of this training hands its figures to.

        Raises:
            WriteError: if the event files cannot be written.
        """
        observers: list[Observer] = []
        if self._page is not None:
            steps_per_epoch = training.loader.steps_per_epoch
            observers.append(self._page.open_training(run, training.config, dataset, steps_per_epoch, training.state))
        if self._log == "tensorboard":
            observers.append(TensorBoardLog(run.event_folder, training.state.history))
        return observers
