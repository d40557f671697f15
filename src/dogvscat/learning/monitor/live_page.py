"""`train --watch`: what the page of a training shows, and the moments at which the training hands it on.

The training stores a small, unchangeable snapshot after each step; everything else (time left, JSON, pictures) is
computed in the threads of the server, and only while somebody looks. So the training has the same bits and the same
speed with the page and without it.
"""

from dataclasses import asdict, dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dogvscat.config import Config
from dogvscat.errors import DogvscatError, Interrupted
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.monitor.mistakes import Mistakes, find_mistakes
from dogvscat.learning.monitor.page_server import PageContent, PageServer
from dogvscat.learning.monitor.time_left import seconds_left
from dogvscat.learning.run import Run
from dogvscat.photos.splits import VALIDATION
from dogvscat.text import printable, shell_word

if TYPE_CHECKING:
    from dogvscat.learning.loop.checkpoint import TrainingState


@dataclass(frozen=True)
class _Step:
    """The epoch under way, after a step."""

    step: int = 0
    loss: float = 0.0
    """Mean over the epoch so far; so is `accuracy`."""
    accuracy: float = 0.0
    learning_rate: float = 0.0
    epoch_seconds: float = 0.0


@dataclass(frozen=True)
class _Snapshot:
    """Everything that changes on the page. A change makes a new one, so a thread never sees half of it."""

    phase: str = "preparing"
    """`preparing`, `training`, `evaluating`, `finished`, `stopped` (by Ctrl-C) or `failed`."""
    message: str = ""
    hint: str | None = None
    history: tuple[dict[str, float], ...] = ()
    best_epoch: int = 0
    step: _Step = _Step()
    mistakes: Mistakes | None = None


@dataclass(frozen=True)
class _Subject:
    """The training that the page shows, once it is known."""

    run: Run
    config: Config
    dataset: Dataset
    steps_per_epoch: int


class LivePage:
    """A page that shows one training while it runs. It answers from the start, before the photos are read.

    Args:
        port: 0 for any free port.

    Raises:
        UsageError: if the port is taken or not allowed.
    """

    def __init__(self, port: int) -> None:
        self._snapshot = _Snapshot()
        self._subject: _Subject | None = None
        self._server = PageServer(port, PageContent(self._progress, self._picture))

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return self._server.url

    def show_message(self, sentence: str) -> None:
        """What happens now."""
        self.change(message=printable(sentence))

    def open_training(
        self, run: Run, config: Config, dataset: Dataset, steps_per_epoch: int, state: "TrainingState"
    ) -> "PageObserver":
        """Show this training from now on; returns what the loop hands its figures to."""
        self._subject = _Subject(run, config, dataset, steps_per_epoch)
        self.change(phase=_phase(state, config), history=tuple(state.history), best_epoch=state.best_epoch)
        return PageObserver(self, config, dataset)

    def show_running(self, step: _Step) -> None:
        """Replace the figures of the epoch under way; the open pages get them within a second."""
        self._snapshot = replace(self._snapshot, step=step)

    def change(self, **changes: Any) -> None:
        """Replace parts of the snapshot, and send it to the open pages."""
        self._snapshot = replace(self._snapshot, **changes)
        self._server.announce()

    def close(self, error: BaseException | None) -> None:
        """Show how the training ended, and stop serving. Open pages stay as they are then.

        Args:
            error: What ended the training, or None if it is finished.
        """
        if error is None:
            self.change(phase="finished", message="", hint=None)
        elif isinstance(error, DogvscatError):
            phase = "stopped" if isinstance(error, Interrupted) else "failed"
            self.change(phase=phase, message=printable(error.message), hint=error.hint and printable(error.hint))
        else:
            phase = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            self.change(phase=phase, message=f"The training ended with {type(error).__name__}.")
        self._server.close()

    def _progress(self) -> tuple[_Snapshot, dict[str, Any]]:
        snapshot, subject = self._snapshot, self._subject
        document = vars(snapshot) | {"step": asdict(snapshot.step)}
        if snapshot.mistakes is not None:
            document["mistakes"] = asdict(snapshot.mistakes)
        if subject is not None:
            config, step = subject.config, snapshot.step
            share = step.step / subject.steps_per_epoch
            document |= {
                "run": printable(str(subject.run.folder)),
                "report": printable(str(subject.run.report_file.resolve())),
                "resume": f"dogvscat train --resume {shell_word(subject.run)} --watch",
                "note": subject.dataset.note,
                "epochs": config.training.epochs,
                "steps_per_epoch": subject.steps_per_epoch,
                "stops_early": config.training.early_stopping_patience > 0,
                "seconds_left": seconds_left(config, snapshot.history, step.epoch_seconds, share),
            }
        return snapshot, document

    def _picture(self, sample: int) -> bytes | None:
        if self._subject is None:
            return None
        images, image_size = self._subject.dataset.images[VALIDATION], self._subject.config.data.image_size
        if sample >= len(images):
            return None
        buffer = BytesIO()
        Image.fromarray(images.pixels(np.array([sample]), image_size)[0]).save(buffer, "PNG")
        return buffer.getvalue()


class PageObserver:
    """Receives the figures of the loop for the page.

    Args:
        page: The page.
        config: Of the training.
        dataset: Its validation photos are those that the logits belong to.
    """

    def __init__(self, page: LivePage, config: Config, dataset: Dataset) -> None:
        self._page, self._config, self._dataset = page, config, dataset

    def show_step(self, state: "TrainingState") -> None:
        """After each step: the epoch's figures so far."""
        self._page.show_running(_Step(state.step, state.loss, state.accuracy, state.learning_rate, state.epoch_seconds))

    def show_epoch(self, state: "TrainingState", logits: np.ndarray) -> None:
        """After each epoch: its row of the history, and the mistakes on the validation photos."""
        self._page.change(
            phase=_phase(state, self._config),
            history=tuple(state.history),
            best_epoch=state.best_epoch,
            step=_Step(),
            mistakes=find_mistakes(self._dataset, logits),
        )


def _phase(state: "TrainingState", config: Config) -> str:
    return "evaluating" if state.is_finished(config.training) else "training"
