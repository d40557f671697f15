"""Several worker processes behind one address: the system gives each new connection to a worker that accepts it."""

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from dogvscat.errors import DogvscatError, Interrupted, ModelError
from dogvscat.service.access_log import LogWriter
from dogvscat.service.metrics import FOLDER_VARIABLE, forget_worker
from dogvscat.service.server import ServiceSettings, run

_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2
"""How long a signal to stop may go unnoticed: a signal does not end the wait for the workers."""
_SPAWN = multiprocessing.get_context("spawn")  # a forked process would inherit locks that other threads hold


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    """The supervisor's end. The worker sends the model's name once it is ready, or the error that prevents it."""


def run_workers(
    settings: ServiceSettings, bound_socket: socket.socket, num_workers: int, on_ready: Callable[[str], None]
) -> int:
    """Like `server.run`, in several processes. A worker that dies is replaced.

    Args:
        settings: What each worker serves.
        bound_socket: From `sockets.bind`; all workers listen on it.
        num_workers: Number of processes.
        on_ready: Called with the model's name once all workers can answer.

    Raises:
        ModelError: if a worker ends before it is ready.
        DogvscatError: as `server.run`, if that is why a worker cannot start.
    """
    with tempfile.TemporaryDirectory(prefix="dogvscat-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder  # before the workers import prometheus_client
        stop_signal, log = _StopSignal(), LogWriter()
        workers = [_start_worker(settings, bound_socket) for _ in range(num_workers)]
        try:
            names = [_await_ready(worker) for worker in workers]
            on_ready(names[0])
            # A sentinel becomes ready when its process ends.
            while not stop_signal.number:
                ended = wait([worker.process.sentinel for worker in workers], timeout=_POLL_SECONDS)
                for index, worker in enumerate(workers):
                    if worker.process.sentinel in ended and not stop_signal.number:
                        worker.process.join()  # the sentinel is ready a moment before the exit code is
                        forget_worker(worker.process.pid, folder)
                        workers[index] = _start_worker(replace(settings, replaces_worker=True), bound_socket)
                        code = worker.process.exitcode
                        log.write(level="error", message=f"a worker ended with {code}; a new one has replaced it")
        finally:
            _stop_workers(workers)
            log.close()
    return Interrupted.exit_code if stop_signal.number == signal.SIGINT else 0


class _StopSignal:
    """Remembers the first signal to stop; its `number` is 0 until then."""

    def __init__(self) -> None:
        self.number = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self.number = self.number or number


def _start_worker(settings: ServiceSettings, bound_socket: socket.socket) -> _Worker:
    supervisor_end, worker_end = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_work, args=(settings, bound_socket, worker_end), daemon=True)
    process.start()
    worker_end.close()  # so that the supervisor sees the end of the pipe when the worker dies
    return _Worker(process, supervisor_end)


def _await_ready(worker: _Worker) -> str:
    try:
        reply = worker.pipe.recv()
    except EOFError:
        raise ModelError("a worker ended before it was ready; its message is above") from None
    if isinstance(reply, DogvscatError):
        raise reply
    return str(reply)


def _work(settings: ServiceSettings, bound_socket: socket.socket, pipe: Connection) -> None:
    """The main function of a worker process."""
    # On SIGKILL the supervisor cannot stop its workers, so each one watches the pipe to it.
    threading.Thread(target=_stop_with_supervisor, args=(pipe,), daemon=True).start()
    try:
        code = run(settings, bound_socket, pipe.send)
    except DogvscatError as error:
        pipe.send(error)
        code = error.exit_code
    raise SystemExit(code)


def _stop_with_supervisor(pipe: Connection) -> None:
    """Stop this worker when the supervisor is killed: only then does the pipe end, since nothing is ever sent."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


def _stop_workers(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
