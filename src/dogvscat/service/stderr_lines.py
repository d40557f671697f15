"""Everything that the processes of the service write to stderr becomes lines of JSON, whatever a library prints."""

import json
import os
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self

from dogvscat.text import printable

_READ_BYTES = 65536
_MAX_LINE_BYTES = 1_000_000
"""A line that is longer is divided."""
_END_SECONDS = 5.0
_ATOMIC_BYTES = 512
_LINE_START = b'{"time": '
"""How the lines of `log_line` start. They are passed on as they are."""


def log_line(**entry: Any) -> bytes:
    """A line of the log with these members and the time in UTC."""
    return f"{json.dumps({'time': datetime.now(UTC).isoformat(timespec='milliseconds'), **entry})}\n".encode()


class JsonStderr:
    """Inside the block, file descriptor 2 is a pipe, also for child processes. A thread reads it, and writes its lines
    as JSON to where stderr went before.

    Redirecting `sys.stderr` would not be enough: libraries in C and child processes write to the descriptor itself.
    """

    def __enter__(self) -> Self:
        sys.stderr.flush()
        self._is_terminal = sys.stderr.isatty()
        self._stderr = os.dup(2)
        self._pipe, self._pipe_end = os.pipe()
        os.dup2(self._pipe_end, 2)
        self._last_line = os.urandom(16).hex().encode()
        self._thread = threading.Thread(target=self._pass_lines_on, name="stderr", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        os.dup2(self._stderr, 2)
        # A last line ends the reading thread. The end of the pipe would come too late: a child process that
        # `multiprocessing` starts holds it open as long as this process lives. The line is written in a thread, because
        # writing waits while the pipe is full, and it stays full if nobody reads stderr.
        threading.Thread(target=self._write_last_line, daemon=True).start()
        self._thread.join(_END_SECONDS)
        os.close(self._pipe)  # whoever still waits to write gets an error, and can end

    def report(self, sentence: str) -> None:
        """Show a message: plainly to a person at a terminal, else as a line of the log."""
        if self._is_terminal:
            self._write(f"{printable(sentence)}\n".encode())
        else:
            self.write(level="info", message=sentence)

    def write(self, **entry: Any) -> None:
        """Write a line of the log with these members."""
        self._write(log_line(**entry))

    def _write_last_line(self) -> None:
        with suppress(OSError):
            os.write(self._pipe_end, b"\n%b\n" % self._last_line)

    def _pass_lines_on(self) -> None:
        incomplete = b""
        with suppress(OSError):  # closed at the end of the block
            while data := os.read(self._pipe, _READ_BYTES):
                *lines, incomplete = (incomplete + data).split(b"\n")
                for line in lines:
                    if line == self._last_line:
                        return
                    self._pass_on(line)
                if len(incomplete) > _MAX_LINE_BYTES:
                    self._pass_on(incomplete)
                    incomplete = b""

    def _pass_on(self, line: bytes) -> None:
        if line.startswith(_LINE_START) and _is_json(line):
            self._write(line + b"\n")
        elif text := line.decode(errors="replace").strip():
            self.write(level="warning", message=text)

    def _write(self, line: bytes) -> None:
        with suppress(OSError):  # nobody reads stderr any more: no reason to stop answering
            while line:
                line = line[os.write(self._stderr, line) :]


def _is_json(line: bytes) -> bool:
    # Long lines of processes that write to one pipe at the same time may get mixed up; short ones cannot (POSIX).
    if len(line) < _ATOMIC_BYTES:
        return True
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
