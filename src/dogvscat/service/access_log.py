"""One JSON object a line on stderr: a line a request, and whatever the server has to say. Never what is in a file."""

import json
import logging
import queue
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any

_MOST_WAITING = 10_000


class LogWriter:
    """Writes lines from a thread of its own: whoever reads stderr slowly must not slow down the answers.

    Lines that find too many others waiting are dropped, and their number is told once there is room.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def write(self, **entry: Any) -> None:
        """Add a line; it gets the time, UTC."""
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
        if self._dropped:
            entry["lines_dropped"] = self._dropped
        try:
            self._lines.put_nowait(json.dumps(entry))
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is waiting, for a few seconds at most."""
        try:
            self._lines.put(None, timeout=1.0)
        except queue.Full:
            return
        self._thread.join(5.0)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                sys.stderr.buffer.write(f"{line}\n".encode())
                sys.stderr.flush()
            except OSError:  # nobody reads; that is no reason to stop answering
                continue


class ServerMessages(logging.Handler):
    """Brings what uvicorn and asyncio log into the same form, with the traceback of errors."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__(logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        trace = {"traceback": "".join(traceback.format_exception(error))} if error else {}
        self._writer.write(level=record.levelname.lower(), message=record.getMessage(), **trace)


def install(writer: LogWriter) -> None:
    """Send every log of this process through the writer."""
    root = logging.getLogger()
    root.handlers = [ServerMessages(writer)]
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # warns about what its callers refuse anyway
