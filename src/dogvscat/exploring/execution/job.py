"""One training of many, what runs it, and the simplest way to run it: in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dogvscat.errors import DataError, DogvscatError, Interrupted, ModelError, UsageError


@dataclass(frozen=True)
class Job:
    """One training of many.

    Args:
        title: What it is, for people.
        folder: Where it keeps its files. Jobs that run at the same time have different folders.
        threads: CPU threads that it computes with, on any machine.
        work: Takes nothing and returns the result. It can be pickled, and a second call resumes what the first left.
    """

    title: str
    folder: Path
    threads: int
    work: Callable[[], Any]


class Executor(Protocol):
    """Runs jobs: `start` as many as there are `slots` for, then `wait` for any of them to finish."""

    distributed: bool
    """Whether jobs run in other processes, several at a time."""

    def slots(self, threads: int) -> int:
        """How many jobs with that many threads can run at the same time, including those that run now.

        Raises:
            ClusterError: if none could ever run.
        """

    def start(self, job: Job) -> None:
        """Run a job."""

    def wait(self) -> tuple[Job, Any]:
        """The next job that finishes, with its result.

        Raises:
            DogvscatError: what the job raised, or a ClusterError if its machines kept failing.
            Interrupted: on Ctrl-C; the jobs have kept their progress in their folders.
        """


class LocalExecutor:
    """Runs one job at a time in this process: `start` remembers it and `wait` runs it."""

    distributed = False

    def __init__(self) -> None:
        self._job: Job | None = None

    def slots(self, threads: int) -> int:
        """One."""
        return 1

    def start(self, job: Job) -> None:
        """Remember the job."""
        self._job = job

    def wait(self) -> tuple[Job, Any]:
        """Run the job."""
        job, self._job = self._job, None
        if job is None:
            raise RuntimeError("wait was called before start")
        try:
            return job, job.work()
        except DogvscatError as error:
            raise with_title(error, job) from None
        except KeyboardInterrupt:  # inside a training, Ctrl-C becomes Interrupted, which says in which epoch
            raise Interrupted(f"{job.title}: stopped between two steps; nothing is lost") from None


def with_title(error: DogvscatError, job: Job) -> DogvscatError:
    """An error that a job raised, with the job's title in front where the job's settings may have caused it."""
    if isinstance(error, UsageError | DataError | ModelError):
        error.message = f"{job.title}: {error.message}"
        error.args = (error.message,)
    return error
