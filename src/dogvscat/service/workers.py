"""Several processes behind one address: the system hands each new connection to one that waits for it."""

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from prometheus_client.multiprocess import mark_process_dead

from dogvscat.errors import DogvscatError, Interrupted, ModelError
from dogvscat.service.access_log import LogWriter
from dogvscat.service.metrics import FOLDER_VARIABLE
from dogvscat.service.server import Serving, run

_STOP_SECONDS = 30.0
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold


@dataclass
class _Worker:
    process: SpawnProcess
    line: Connection
    """Brings the model's name once the worker is ready, or the error that keeps it from it."""


def run_workers(serving: Serving, bound: socket.socket, num_workers: int, ready: Callable[[str], None]) -> int:
    """As `server.run`, in several processes; one that dies is replaced."""
    with tempfile.TemporaryDirectory(prefix="dogvscat-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder  # before the workers import prometheus_client
        stop, log = _Stop(), LogWriter()
        workers = [_start(serving, bound) for _ in range(num_workers)]
        try:
            names = [_await_ready(worker) for worker in workers]
            ready(names[0])
            while not stop.signal:
                gone = wait([worker.process.sentinel for worker in workers], timeout=0.2)
                for index, worker in enumerate(workers):
                    if worker.process.sentinel in gone and not stop.signal:
                        worker.process.join()  # its pipe is closed a moment before its code can be had
                        code = worker.process.exitcode
                        log.write(level="error", message=f"a worker ended with {code}; another takes its place")
                        mark_process_dead(worker.process.pid, folder)
                        workers[index] = _start(serving, bound)
        finally:
            _stop_all(workers)
            log.close()
    return Interrupted.exit_code if stop.signal == signal.SIGINT else 0


class _Stop:
    """Notes the signal to stop."""

    def __init__(self) -> None:
        self.signal = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self.signal = self.signal or number


def _start(serving: Serving, bound: socket.socket) -> _Worker:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_work, args=(serving, bound, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _await_ready(worker: _Worker) -> str:
    try:
        said = worker.line.recv()
    except EOFError:
        raise ModelError("a worker ended before it was ready; its message is above") from None
    if isinstance(said, DogvscatError):
        raise said
    return str(said)


def _work(serving: Serving, bound: socket.socket, line: Connection) -> None:
    """What a worker does, in its own process."""
    threading.Thread(target=_stop_with_parent, args=(line,), daemon=True).start()
    try:
        code = run(serving, bound, line.send)
    except DogvscatError as error:
        line.send(error)
        code = error.exit_code
    raise SystemExit(code)


def _stop_with_parent(line: Connection) -> None:
    try:
        line.recv()
    except (EOFError, OSError):  # killed: nobody would ever stop this worker
        os.kill(os.getpid(), signal.SIGTERM)


def _stop_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
