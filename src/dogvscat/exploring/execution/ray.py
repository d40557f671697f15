"""Runs trainings on a Ray cluster: as many at once as cores (and GPUs) allow, and again if a worker died.

A training may run twice if a machine was wrongly taken for dead. That does no harm: both write the same bits into the
same folder.
"""

import _thread
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dogvscat._version import installed_versions
from dogvscat.cluster import (
    Machine,
    alive_machines,
    first_line,
    refuse_missing_package,
    refuse_other_versions,
)
from dogvscat.errors import ClusterError, DogvscatError, Interrupted
from dogvscat.exploring.execution.job import Job, with_title
from dogvscat.learning.engine import sees_gpu
from dogvscat.learning.loop.progress import StopRequest
from dogvscat.stderr import Reporter

ATTEMPTS = 3
"""How many times a job is started before it is given up, if its worker keeps dying."""

_STOP_FILE = "stop"
"""A file of this name in a job's folder, which all machines see, asks the job to stop. `ray.cancel` is not used: if a
task ends at the moment it is canceled, this whole process crashes
(https://github.com/ray-project/ray/pull/54798)."""

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 30.0
"""How long running jobs have to write a checkpoint on Ctrl-C, and how long a cluster may be without a machine that can
run a job."""


@dataclass(frozen=True)
class _RunningJob:
    job: Job
    attempt: int
    """1 for the first."""


class RayExecutor:
    """Use it in a `with` statement, inside of `cluster.ray_cluster`.

    Args:
        report: Gets a sentence for every worker that died.
    """

    distributed = True

    def __init__(self, report: Reporter) -> None:
        import ray

        self._ray = ray
        self._report = report
        self._running: dict[Any, _RunningJob] = {}  # by Ray's reference to the result
        self._stop = StopRequest()
        self._no_machine_since: float | None = None  # time.monotonic()
        self._gpus_per_job = int(any(machine.gpus for machine in alive_machines()) and self._backend_sees_gpu())

    def __enter__(self) -> Self:
        self._stop.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_jobs()
        self._stop.__exit__()

    def slots(self, threads: int) -> int:
        """As many as the machines have room for. A job runs on one machine."""
        machines = alive_machines()
        slots = sum(self._slots_of(machine, threads) for machine in machines)
        if not slots and not self._running:
            raise _no_machine(threads, machines)
        return slots

    def start(self, job: Job) -> None:
        """Hand the job to Ray. Its folder is made here; a machine that does not see the folder refuses the job."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / _STOP_FILE).unlink(missing_ok=True)
        self._submit(_RunningJob(job, 1))

    def wait(self) -> tuple[Job, Any]:
        """The next job that finishes. A job whose worker died is started again, up to `ATTEMPTS` times."""
        while True:
            # A short timeout, so that Ctrl-C and a cluster without machines are noticed while jobs run for hours.
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_POLL_SECONDS)
            if self._stop.requested:
                self._stop_jobs()
                raise Interrupted("stopped; nothing is lost")
            if not ready:
                self._refuse_endless_waiting()
                continue
            running = self._running.pop(ready[0])
            # Three kinds of failure. What a job raised on purpose comes back as a value, and is raised here. An
            # exception that nobody expected arrives as RayTaskError. Any other RayError means that the job did not
            # end: its worker or machine died, and the job is started again.
            try:
                result, error = self._ray.get(ready[0])
            except self._ray.exceptions.RayTaskError as unexpected:
                refuse_missing_package(unexpected)
                raise  # a bug: it keeps its traceback
            except self._ray.exceptions.RayError as death:
                self._restart(running, death)
                continue
            if error is not None:
                raise with_title(error, running.job)
            return running.job, result

    def _submit(self, running: _RunningJob) -> None:
        # An environment variable, so that Ray starts a worker process of its own for each number of threads:
        # TensorFlow keeps the number that a process had first.
        variables = {"OMP_NUM_THREADS": str(running.job.threads)}
        if backend := os.environ.get("KERAS_BACKEND"):
            variables["KERAS_BACKEND"] = backend
        task = self._ray.remote(_attempt).options(
            name=f"dogvscat {running.job.folder.name}",
            num_cpus=running.job.threads,
            num_gpus=self._gpus_per_job,
            max_retries=0,  # Ray's own retries would be silent, and endless where memory runs out
            runtime_env={"env_vars": variables},
        )
        self._running[task.remote(running.job, installed_versions())] = running

    def _restart(self, running: _RunningJob, death: Exception) -> None:
        if isinstance(death, self._ray.exceptions.LocalRayletDiedError):
            # The cluster is gone. Nothing is left to stop; a minute later Ray would end this process without a word.
            self._running.clear()
            hint = "Finished trainings are kept. Start the cluster again, then run the same command again."
            raise ClusterError("the cluster has stopped on this machine", hint=hint)
        reason, title = first_line(death), running.job.title
        if running.attempt == ATTEMPTS:
            hint = (
                "Finished trainings are kept. Look at that machine's memory and logs, then run the same command again."
            )
            raise ClusterError(f"{title}: its worker died {ATTEMPTS} times. The last reason: {reason}", hint=hint)
        attempt = running.attempt + 1
        self._report(f"{title}: its worker died and was started again ({attempt} of {ATTEMPTS}). {reason}")
        self._submit(_RunningJob(running.job, attempt))

    def _slots_of(self, machine: Machine, threads: int) -> int:
        slots = machine.cores // threads
        return min(slots, machine.gpus) if self._gpus_per_job else slots

    def _refuse_endless_waiting(self) -> None:
        """Raise if for `_GRACE_SECONDS` there was no machine that a running job could run on.

        Ray itself would wait for such a machine forever.
        """
        threads, machines = min(running.job.threads for running in self._running.values()), alive_machines()
        if any(self._slots_of(machine, threads) for machine in machines):
            self._no_machine_since = None
            return
        self._no_machine_since = self._no_machine_since or time.monotonic()
        if time.monotonic() - self._no_machine_since > _GRACE_SECONDS:
            raise _no_machine(threads, machines)

    def _stop_jobs(self) -> None:
        """Ask the running jobs to stop, as Ctrl-C would, and wait for them: they write a checkpoint first."""
        files = [running.job.folder / _STOP_FILE for running in self._running.values()]
        for file in files:
            file.touch()
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=_GRACE_SECONDS)
        self._running.clear()
        for file in files:
            file.unlink(missing_ok=True)

    def _backend_sees_gpu(self) -> bool:
        probe = self._ray.remote(sees_gpu).options(num_cpus=0, num_gpus=1)
        return bool(self._ray.get(probe.remote()))


def _attempt(job: Job, versions: dict[str, str]) -> tuple[Any, DogvscatError | None]:
    """Runs on the worker: the result of a job, or the error that it raised on purpose."""
    try:
        refuse_other_versions(versions)
        if not job.folder.is_dir():
            hint = "Choose an --out on storage that all machines share, at the same path."
            raise ClusterError(f"{socket.gethostname()} does not see {job.folder}", hint=hint)
        with _interrupted_by(job.folder / _STOP_FILE):
            return job.work(), None
    except DogvscatError as error:
        return None, error


@contextmanager
def _interrupted_by(file: Path) -> Iterator[None]:
    """Within the block, the main thread is interrupted as by Ctrl-C once the file exists."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.is_set():
            if file.exists():
                _thread.interrupt_main()
                return
            finished.wait(_POLL_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def _no_machine(threads: int, machines: list[Machine]) -> ClusterError:
    largest = max((machine.cores for machine in machines), default=0)
    message = f"no machine of the cluster can run a training with {threads} threads, the largest has {largest} cores"
    hint = 'Use fewer threads in all trainings: "training.threads" = 1 in [base] of the --config file.'
    return ClusterError(message, hint=hint)
