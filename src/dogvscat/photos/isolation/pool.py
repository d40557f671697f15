"""Decodes photos in processes with limits on CPU time and memory, for what `budget.py` does not foresee.

A photo that exceeds a limit, or makes a library crash, costs one process, which is replaced. Its own caller gets an
error, and no other caller is affected.

CPU time is limited on Linux and macOS, memory on Linux. Everywhere, a photo has a limit on its time by the clock.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import numpy as np

import dogvscat
from dogvscat.errors import DogvscatError, ImageError
from dogvscat.photos.decoding.decoder import DecodedPhoto
from dogvscat.photos.isolation.messages import Message, error_of, receive, send
from dogvscat.photos.isolation.worker import OUT_OF_MEMORY

_COMMAND = (sys.executable, "-P", "-m", "dogvscat.photos.isolation.worker")
"""-P: a module in the current folder, which may be a folder of strangers' photos, must not be imported."""
_MAX_PIXEL_BYTES = 256 * 1024 * 1024
_END_SECONDS = 2.0
_REASONS = {
    OUT_OF_MEMORY: "memory",
    # Windows has neither signal. The system sends SIGKILL when the memory of all processes runs out.
    **{
        -getattr(signal, name): reason
        for name, reason in (("SIGPROF", "cpu"), ("SIGKILL", "memory"))
        if hasattr(signal, name)
    },
}
"""Why a process has ended, by its exit code."""


@dataclass(frozen=True)
class DecoderLimits:
    """What one photo may cost."""

    cpu_seconds: float = 2.0
    memory_bytes: int = 300_000_000
    """In addition to that of an idle process."""
    seconds: int = 30
    """By the clock, however busy the machine is."""


class DecoderPool:
    """Processes that decode photos. Threads may share it; it is a context manager that ends the processes.

    Its methods are those of `decoding/decoder.py`, with the same results and errors.

    Args:
        num_workers: Number of processes; as many photos are decoded at the same time.
        limits: What one photo may cost.
        on_killed: Called with `cpu`, `memory`, `time` or `crash` each time a photo has cost a process.

    Raises:
        DogvscatError: if a process cannot start.
    """

    def __init__(
        self,
        num_workers: int,
        limits: DecoderLimits = DecoderLimits(),
        on_killed: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.num_workers = num_workers
        self._limits = limits
        self._on_killed = on_killed
        self._workers = [_Worker(limits) for _ in range(num_workers)]
        self._idle: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.num_killed: Counter[str] = Counter()
        """Processes that a photo has cost, by reason as in `on_killed`."""
        self._closed = threading.Event()
        for index, worker in enumerate(self._workers):
            if not worker.await_ready():
                self.close()
                raise DogvscatError("a process that decodes photos did not start; its message is above")
            self._idle.put(index)
        threading.Thread(target=self._watch, name="decoder watch", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes. Photos that are being decoded get an error."""
        self._closed.set()
        for worker in self._workers:
            worker.close_requests()
        for worker in self._workers:
            worker.end()

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    def decode(self, data: bytes, path: str, image_size: int) -> np.ndarray:
        """As `decoder.decode`: uint8 (image_size, image_size, 3)."""
        return self.decode_with_facts(data, path, image_size).pixels

    def decode_with_facts(self, data: bytes, path: str, image_size: int) -> DecodedPhoto:
        """As `decoder.decode_with_facts`."""
        header, pixels = self._ask(data, path, image_size, for_display=False)
        return DecodedPhoto(pixels, header["width"], header["height"], header["mode"])

    def decode_for_display(self, data: bytes, path: str, longest_side: int) -> np.ndarray:
        """As `decoder.decode_for_display`: uint8 (height, width, 3)."""
        return self._ask(data, path, longest_side, for_display=True)[1]

    def _ask(self, data: bytes, path: str, size: int, for_display: bool) -> tuple[dict[str, Any], np.ndarray]:
        """The header of the reply, and the pixels, uint8 (height, width, 3)."""
        index = self._idle.get()
        if self._workers[index].process.poll() is not None and not self._closed.is_set():
            self._workers[index].end()  # this only closes its pipes: it was ended from outside, not by a photo
            self._workers[index] = _Worker(self._limits)
        reply = self._workers[index].ask({"size": size, "for_display": for_display}, data)
        if reply is None or reply.header.get("is_last"):
            raise self._replace(index, path)
        self._idle.put(index)
        if error := error_of(reply.header, path):
            try:
                raise error
            finally:
                del error  # it refers to this frame, and each would keep the other, with the photo, in memory
        return reply.header, np.frombuffer(bytearray(reply.content), np.uint8).reshape(reply.header["shape"])

    def _replace(self, index: int, path: str) -> ImageError:
        """Put a new process in the place of one that has ended, and say why it has."""
        worker = self._workers[index]
        worker.end()
        reason, error = worker.why_it_ended(path)
        if self._closed.is_set():
            self._idle.put(index)  # for threads that still wait; they get an error as well
            return error
        self._workers[index] = _Worker(self._limits)
        # Other photos do not wait for its start, only for processes that are ready.
        threading.Thread(target=self._offer_once_ready, args=(index,), daemon=True).start()
        self.num_killed[reason] += 1
        self._on_killed(reason)
        return error

    def _offer_once_ready(self, index: int) -> None:
        self._workers[index].await_ready()
        self._idle.put(index)  # if it did not start, the next photo gets an error, and it is replaced again

    def _watch(self) -> None:
        """Kill processes that take too long by the clock."""
        # Seconds are counted one by one: if the whole machine is suspended, no photo has taken long.
        while not self._closed.wait(1.0):
            for worker in self._workers:
                worker.count_second()


class _Worker:
    """One process, used by one thread at a time."""

    def __init__(self, limits: DecoderLimits) -> None:
        self._limits = limits
        self._is_ready = False
        self._busy_seconds: int | None = None
        self._took_too_long = False
        package_root = str(Path(dogvscat.__file__).parents[1])
        search_path = os.pathsep.join([package_root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [*_COMMAND, repr(limits.cpu_seconds), str(limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # One thread: NumPy only copies here, and each thread would reserve memory.
            env={**os.environ, "PYTHONPATH": search_path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._requests = cast(BinaryIO, self.process.stdin)
        self._replies = cast(BinaryIO, self.process.stdout)

    def await_ready(self) -> bool:
        """Wait until photos can be sent. False if the process does not start; stderr then has the reason."""
        self._is_ready = self._is_ready or receive(self._replies, 0) is not None
        return self._is_ready

    def ask(self, header: dict[str, Any], data: bytes) -> Message | None:
        """The reply to a request; None if the process has ended."""
        self._busy_seconds = 0
        try:
            if not self.await_ready():
                return None
            send(self._requests, header, data)
            return receive(self._replies, _MAX_PIXEL_BYTES)
        except (OSError, ValueError):  # ValueError: the pipe was closed by `DecoderPool.close`
            return None
        finally:
            self._busy_seconds = None

    def count_second(self) -> None:
        """Note that a second has passed, and kill the process if its photo has taken too long."""
        if self._busy_seconds is not None:
            self._busy_seconds += 1
            if self._busy_seconds > self._limits.seconds:
                self._took_too_long = True
                self.process.kill()

    def close_requests(self) -> None:
        """Let the process end after its present photo."""
        with suppress(OSError):
            self._requests.close()

    def end(self) -> None:
        """Wait for the end of the process, and kill it if that takes long."""
        self.close_requests()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._replies.close()

    def why_it_ended(self, path: str) -> tuple[str, ImageError]:
        """The reason as in `DecoderPool.on_killed`, and the error for the photo."""
        code, limits = self.process.returncode, self._limits
        reason = "time" if self._took_too_long else _REASONS.get(code, "crash")
        if reason == "crash":
            ending = f"signal {-code}" if code < 0 else f"exit code {code}"
            message = f"has ended the process that decoded it ({ending})"
            hint = "It is damaged, or made to do harm. Copy it again, or export it again with an image editor."
            return reason, ImageError(path, "unreadable", message, hint=hint)
        used = {
            "cpu": f"{limits.cpu_seconds:g} seconds of CPU time",
            "memory": f"{limits.memory_bytes:,} bytes of memory",
            "time": f"{limits.seconds} seconds",
        }[reason]
        message = f"needs more than {used}, which is the limit per photo"
        hint = "Make it smaller, or export it as an ordinary JPEG, with an image editor."
        return reason, ImageError(path, "too_large", message, hint=hint)
