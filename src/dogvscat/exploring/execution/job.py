"""One training of many, and what runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dogvscat.errors import DataError, DogvscatError, ModelError, UsageError


@dataclass(frozen=True)
class Job:
    """One training of many.

    Args:
        title: What it is, for people.
        folder: Its own, for whatever is to be kept; no two jobs under way may have the same.
        threads: CPU threads it computes with, on whatever machine.
        work: Takes nothing and returns the result; it can be pickled, and done again it goes on where it was.
    """

    title: str
    folder: Path
    threads: int
    work: Callable[[], Any]


class Executor(Protocol):
    """Runs jobs. `start` as many as there are `places` for; `wait` for any to finish."""

    spread: bool
    """Whether jobs run elsewhere, several at a time."""

    def places(self, threads: int) -> int:
        """How many jobs with so many threads run at the same time, those under way among them.

        Raises:
            ClusterError: if none ever would.
        """

    def start(self, job: Job) -> None:
        """Have a job run."""

    def wait(self) -> tuple[Job, Any]:
        """The next job that is finished, with its result.

        Raises:
            DogvscatError: what the job raised; or, as ClusterError, that its machines kept failing.
            Interrupted: on Ctrl-C; what the jobs have done so far is in their folders.
        """


def named(error: DogvscatError, job: Job) -> DogvscatError:
    """An error that a job raised, saying which one where the job may be at fault."""
    if isinstance(error, UsageError | DataError | ModelError):
        error.message = f"{job.title}: {error.message}"
        error.args = (error.message,)
    return error
