"""The HTTP server of a page that shows a training, on this machine only. It needs only the standard library."""

import json
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

from dogvscat.errors import UsageError
from dogvscat.glossary.page import explain_words

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
_UPDATE_SECONDS = 1.0
"""Longest wait between a step and the page showing it. A page that shows a hundred steps per second is no use."""
_GOODBYE_SECONDS = 3.0
"""Longest wait for pages to receive the end of the training."""
_FILES = {
    "/": ("dogvscat.learning.monitor", "page/index.html", "text/html"),
    "/report.css": ("dogvscat.judging", "report.css", "text/css"),
    "/page.css": ("dogvscat.learning.monitor", "page/page.css", "text/css"),
    "/page.js": ("dogvscat.learning.monitor", "page/page.js", "text/javascript"),
    "/chart.js": ("dogvscat.learning.monitor", "page/chart.js", "text/javascript"),
}
"""By path: package, file and media type."""
_HEADERS = {
    "Cache-Control": "no-store",  # another training may answer at the same address tomorrow
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; "
    "style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class PageContent:
    """What the server asks for. Both are called in threads of the server."""

    progress: Callable[[], tuple[object, dict[str, Any]]]
    """A version, and the state of the training as JSON values. After a change, the version is another object."""
    picture: Callable[[int], bytes | None]
    """The PNG of a validation photo, or None if there is no such photo."""


class PageServer(ThreadingTCPServer):
    """Serves the page from a thread of its own, and each visitor from another; none of them keeps the process alive.

    Args:
        port: 0 for any free port.
        content: What the page shows.

    Raises:
        UsageError: if the port is taken or not allowed.
    """

    allow_reuse_address = True  # else a port is unusable for a minute after a training
    daemon_threads = True

    def __init__(self, port: int, content: PageContent) -> None:
        self.content = content
        self.changed = threading.Condition()
        self.is_closing = False
        self.num_streams = 0
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            hint = "Choose another --port, or 0 for any that is free."
            message = f"cannot listen at {LOOPBACK} port {port}: {error.strerror or error}"
            raise UsageError(message, hint=hint) from None
        self.port: int = self.socket.getsockname()[1]
        threading.Thread(target=self.serve_forever, name="training page", daemon=True).start()

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{LOOPBACK}:{self.port}"

    def announce(self) -> None:
        """Send a change to the open pages at once; without this call they get it within a second."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Send the last state to the open pages, and stop."""
        with self.changed:
            self.is_closing = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.num_streams, _GOODBYE_SECONDS)
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent about visitors who leave in the middle of an answer: that is not an error of the training."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds for a request, so that a silent visitor does not hold a thread forever
    server: PageServer
    server_version, sys_version = "dogvscat", ""

    def do_GET(self) -> None:
        """Answer with a file of the page, a picture, or the stream of changes."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        path = urlsplit(self.path).path
        if host not in _NAMES:  # else a website could point its own name here, and read the photos
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"Open this page at http://127.0.0.1 or http://localhost.\n")
        elif path == "/events":
            self._stream()
        elif path in _FILES:
            package, name, media_type = _FILES[path]
            text = files(package).joinpath(name).read_text(encoding="utf-8")
            self._send(
                HTTPStatus.OK, media_type, (explain_words(text, with_links=False) if path == "/" else text).encode()
            )
        elif (picture := self._picture(path)) is not None:
            self._send(HTTPStatus.OK, "image/png", picture)
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"There is no such page.\n")

    def _picture(self, path: str) -> bytes | None:
        number = path.removeprefix("/pictures/").removesuffix(".png")
        is_number = path == f"/pictures/{number}.png" and number.isascii() and number.isdecimal() and len(number) < 10
        return self.server.content.picture(int(number)) if is_number else None

    def _send(self, status: HTTPStatus, media_type: str, body: bytes) -> None:
        self._send_head(status, media_type if media_type == "image/png" else f"{media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_head(self, status: HTTPStatus, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        for name, value in _HEADERS.items():
            self.send_header(name, value)

    def _stream(self) -> None:
        """Send the state now and after each change, until the training ends or the visitor leaves.

        Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
        """
        server, sent = self.server, None
        self._send_head(HTTPStatus.OK, "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with server.changed:
            server.num_streams += 1
        try:
            is_last = False
            while not is_last:
                is_last = server.is_closing  # before the state is read, so that the last one is complete
                version, progress = server.content.progress()
                # A line that starts with a colon is a comment: sending it shows whether the visitor is still there.
                event = f"data: {json.dumps(progress, allow_nan=False)}\n\n" if version is not sent else ":\n\n"
                self.wfile.write(event.encode())
                sent = version
                with server.changed:
                    if not (is_last or server.is_closing):
                        server.changed.wait(_UPDATE_SECONDS)
        finally:
            with server.changed:
                server.num_streams -= 1
                server.changed.notify_all()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the terminal belongs to the training."""
