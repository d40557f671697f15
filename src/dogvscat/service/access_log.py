"""The log on stderr: one JSON object per line, for each request and each server message. Photos are never logged."""

import logging
import queue
import sys
import threading
import traceback
from typing import Any

from dogvscat.service.stderr_lines import log_line

_MAX_QUEUED_LINES = 10_000


class LogWriter:
    """Writes lines from its own thread, so that a slow reader of stderr does not slow down the answers.

    If too many lines are waiting, new lines are dropped; the next line that fits has their number in `lines_dropped`.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MAX_QUEUED_LINES)  # None ends the thread
        self._num_dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()

    def write(self, **entry: Any) -> None:
        """Add a line with these members and the time in UTC."""
        if self._num_dropped:
            entry["lines_dropped"] = self._num_dropped
        try:
            self._lines.put_nowait(log_line(**entry))
            self._num_dropped = 0
        except queue.Full:
            self._num_dropped += 1

    def close(self) -> None:
        """Write the waiting lines, for a few seconds at most."""
        try:
            self._lines.put(None, timeout=1.0)
        except queue.Full:
            return
        self._thread.join(5.0)

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
            except OSError:  # nobody reads stderr any more: no reason to stop answering
                continue


class JsonLogHandler(logging.Handler):
    """Writes warnings and errors of uvicorn and asyncio in the same form, errors with their traceback."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__(logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        members = {"traceback": "".join(traceback.format_exception(error))} if error else {}
        self._writer.write(level=record.levelname.lower(), message=record.getMessage(), **members)


def install(writer: LogWriter) -> None:
    """Send all log messages of this process through the writer."""
    root = logging.getLogger()
    root.handlers = [JsonLogHandler(writer)]
    # python_multipart warns about malformed forms. They are answered with a 422 and need no second line in the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
