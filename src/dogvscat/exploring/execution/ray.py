"""Runs trainings on a Ray cluster: as many at once as cores (and GPUs) allow, and again where a worker died.

A training that is done twice, because a machine was wrongly taken for dead, comes to the same bits in the same folder.
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

from dogvscat.cluster import Machine, installed, machines, refuse_missing_package, refuse_other_versions
from dogvscat.errors import ClusterError, DogvscatError, Interrupted
from dogvscat.exploring.execution.job import Job, named
from dogvscat.learning.engine import sees_gpu
from dogvscat.learning.loop.interrupts import StopRequest
from dogvscat.stderr import Reporter

ATTEMPTS = 3
"""How often a job is begun whose worker dies."""

_STOP = "stop"
"""Name of the file that asks a job to stop, in the job's folder, which all machines see. Not `ray.cancel`: cancelled in
the moment it ends, a task takes this whole process down (https://github.com/ray-project/ray/pull/54798)."""

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 30.0
"""How long jobs under way have to write a checkpoint on Ctrl-C, and how long a cluster may be without a fit machine."""


@dataclass(frozen=True)
class _Flight:
    job: Job
    attempt: int


class RayExecutor:
    """Use it within `with`, inside of `cluster.joined`.

    Args:
        report: Told of workers that died.
    """

    spread = True

    def __init__(self, report: Reporter) -> None:
        import ray

        self._ray = ray
        self._report = report
        self._flights: dict[Any, _Flight] = {}
        self._stop = StopRequest()
        self._unfit_since: float | None = None
        self._gpus = int(any(machine.gpus for machine in machines()) and self._backend_sees_gpu())

    def __enter__(self) -> Self:
        self._stop.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel()
        self._stop.__exit__()

    def places(self, threads: int) -> int:
        """As many as machines have room for, each job on one machine."""
        alive = machines()
        places = sum(self._places(machine, threads) for machine in alive)
        if not places and not self._flights:
            raise _no_machine(threads, alive)
        return places

    def start(self, job: Job) -> None:
        """Hand it to Ray; the folder is made here, and a machine that does not see it says so."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / _STOP).unlink(missing_ok=True)
        self._begin(_Flight(job, 1))

    def wait(self) -> tuple[Job, Any]:
        """The next that is finished; one whose worker died is begun again, up to `ATTEMPTS` times."""
        while True:
            ready, _ = self._ray.wait(list(self._flights), num_returns=1, timeout=_POLL_SECONDS)
            if self._stop.requested:
                self._cancel()
                raise Interrupted("stopped; nothing is lost")
            if not ready:
                self._refuse_waiting_for_ever()
                continue
            flight = self._flights.pop(ready[0])
            try:
                result, raised = self._ray.get(ready[0])
            except self._ray.exceptions.RayTaskError as error:
                refuse_missing_package(error)
                raise  # a fault of ours: it keeps its traceback
            except self._ray.exceptions.RayError as lost:
                self._begin_again(flight, lost)
                continue
            if raised is not None:
                raise named(raised, flight.job)
            return flight.job, result

    def _begin(self, flight: _Flight) -> None:
        variables = {
            "OMP_NUM_THREADS": str(flight.job.threads)
        }  # of its own for each count: TensorFlow keeps its first
        if backend := os.environ.get("KERAS_BACKEND"):
            variables["KERAS_BACKEND"] = backend
        task = self._ray.remote(_attempt).options(
            name=f"dogvscat {flight.job.folder.name}",
            num_cpus=flight.job.threads,
            num_gpus=self._gpus,
            max_retries=0,  # Ray's own would be silent, and without end where memory runs out
            runtime_env={"env_vars": variables},
        )
        self._flights[task.remote(flight.job, installed())] = flight

    def _begin_again(self, flight: _Flight, lost: Exception) -> None:
        if isinstance(lost, self._ray.exceptions.LocalRayletDiedError):
            self._flights.clear()  # nobody is left to cancel them; a minute later Ray would end us without a word
            hint = "What is finished is kept. Start the cluster again, then give the same command again."
            raise ClusterError("the cluster has ended on this machine", hint=hint)
        reason = str(lost).strip().splitlines()[0] if str(lost).strip() else type(lost).__name__
        if flight.attempt == ATTEMPTS:
            hint = "What is finished is kept. Look at that machine's memory and logs, then give the same command again."
            raise ClusterError(
                f"{flight.job.title}: its worker died {ATTEMPTS} times, last because: {reason}", hint=hint
            )
        self._report(f"{flight.job.title}: its worker died, begun again ({flight.attempt + 1} of {ATTEMPTS}). {reason}")
        self._begin(_Flight(flight.job, flight.attempt + 1))

    def _places(self, machine: Machine, threads: int) -> int:
        places = machine.cores // threads
        return min(places, machine.gpus) if self._gpus else places

    def _refuse_waiting_for_ever(self) -> None:
        """Raise if no machine has been left for some time that a job under way could run on."""
        threads, alive = min(flight.job.threads for flight in self._flights.values()), machines()
        if any(self._places(machine, threads) for machine in alive):
            self._unfit_since = None
            return
        self._unfit_since = self._unfit_since or time.monotonic()
        if time.monotonic() - self._unfit_since > _GRACE_SECONDS:
            raise _no_machine(threads, alive)

    def _cancel(self) -> None:
        """Ask the jobs under way to stop, as Ctrl-C does: they write a checkpoint first."""
        files = [flight.job.folder / _STOP for flight in self._flights.values()]
        for file in files:
            file.touch()
        if self._flights:
            self._ray.wait(list(self._flights), num_returns=len(self._flights), timeout=_GRACE_SECONDS)
        self._flights.clear()
        for file in files:
            file.unlink(missing_ok=True)

    def _backend_sees_gpu(self) -> bool:
        probe = self._ray.remote(sees_gpu).options(num_cpus=0, num_gpus=1)
        return bool(self._ray.get(probe.remote()))


def _attempt(job: Job, versions: dict[str, str]) -> tuple[Any, DogvscatError | None]:
    """On the worker: the result of a job, or what it raised on purpose."""
    try:
        refuse_other_versions(versions)
        if not job.folder.is_dir():
            hint = "Choose an --out on storage that all machines share, at the same path."
            raise ClusterError(f"{socket.gethostname()} does not see {job.folder}", hint=hint)
        with _interrupted_by(job.folder / _STOP):
            return job.work(), None
    except DogvscatError as error:
        return None, error


@contextmanager
def _interrupted_by(file: Path) -> Iterator[None]:
    """Within the block, the main thread is interrupted as by Ctrl-C once the file exists."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if file.exists():
                _thread.interrupt_main()
                return
            over.wait(_POLL_SECONDS)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _no_machine(threads: int, alive: list[Machine]) -> ClusterError:
    largest = max((machine.cores for machine in alive), default=0)
    message = f"no machine of the cluster can run a training with {threads} threads, the largest has {largest} cores"
    hint = 'Set fewer, which all trainings then have: "training.threads" = 1 in [base] of the --config file.'
    return ClusterError(message, hint=hint)
