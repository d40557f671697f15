"""Where the trainings of a study or a search run: one after the other in this process, or on a Ray cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dogvscat.errors import DataError, DogvscatError, Interrupted, ModelError, UsageError

Say = Callable[[str], None]


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


class LocalExecutor:
    """One job at a time, in this process, when it is waited for."""

    spread = False

    def __init__(self) -> None:
        self._job: Job | None = None

    def places(self, threads: int) -> int:
        """One."""
        return 1

    def start(self, job: Job) -> None:
        """Remember the job."""
        self._job = job

    def wait(self) -> tuple[Job, Any]:
        """Run it."""
        job, self._job = self._job, None
        if job is None:
            raise RuntimeError("wait was called before start")
        try:
            return job, job.work()
        except DogvscatError as error:
            raise named(error, job) from None
        except KeyboardInterrupt:  # outside the steps of a training, which say themselves where they stopped
            raise Interrupted(f"{job.title}: stopped between two steps; nothing is lost") from None


def named(error: DogvscatError, job: Job) -> DogvscatError:
    """An error that a job raised, saying which one where the job may be at fault."""
    if isinstance(error, UsageError | DataError | ModelError):
        error.message = f"{job.title}: {error.message}"
        error.args = (error.message,)
    return error


@contextmanager
def open_executor(cluster: str | None, say: Say) -> Iterator[Executor]:
    """An executor to use within the block.

    Args:
        cluster: `local` or HOST:PORT for Ray, or None for this process alone.
        say: Told about the cluster.

    Raises:
        UsageError: if the address is none.
        ClusterError: if the cluster cannot be used.
    """
    if cluster is None:
        yield LocalExecutor()
        return
    from dogvscat.cluster import joined
    from dogvscat.exploring.ray_executor import RayExecutor

    with joined(cluster) as machines:
        cores = sum(machine.cores for machine in machines)
        say(f"cluster {cluster}: {len(machines)} machine{'s' * (len(machines) != 1)}, {cores} cores")
        with RayExecutor(say) as executor:
            yield executor
