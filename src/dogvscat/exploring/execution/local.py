"""One training after the other, in this process."""

from typing import Any

from dogvscat.errors import DogvscatError, Interrupted
from dogvscat.exploring.execution.job import Job, named


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
