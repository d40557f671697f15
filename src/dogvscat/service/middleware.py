"""The outermost layer: every request is counted, bounded in bytes and time, answered with safe headers, and logged."""

import asyncio
import logging
import time
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dogvscat.service.access_log import LogWriter
from dogvscat.service.admission import Admission
from dogvscat.service.limits import MEGABYTE
from dogvscat.service.metrics import Metrics
from dogvscat.service.problem_details import RequestError, problem_response

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self' blob: data:; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_LOGGER = logging.getLogger(__name__)
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 4 * MEGABYTE


class Edge:
    """ASGI middleware.

    Args:
        app: What answers.
        admission: Whose limits hold; counts the bytes of bodies.
        metrics: Told of every request.
        log: Gets a line a request.
    """

    def __init__(self, app: ASGIApp, admission: Admission, metrics: Metrics, log: LogWriter) -> None:
        self.app = app
        self.admission = admission
        self.metrics = metrics
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self.admission, scope, receive, send)
        try:
            with self.metrics.request():
                try:
                    await self.app(scope, exchange.receive, exchange.send)
                except asyncio.CancelledError:  # the server stops, and cannot wait any longer
                    await exchange.give_up()
                except Exception:
                    if not exchange.answered:
                        raise
                    # Not raised any more: uvicorn would close the connection, though nobody was told that it would.
                    _LOGGER.exception("a request failed")
                finally:
                    self._record(scope, exchange)
            await exchange.linger()
        finally:
            self.admission.release(exchange.num_bytes)

    def _record(self, scope: Scope, exchange: "_Exchange") -> None:
        status = exchange.status or 500  # 0: cancelled before there was an answer
        seconds = time.perf_counter() - exchange.started
        self.metrics.over(status, seconds)
        self.log.write(
            method=scope["method"],
            path=scope["path"],
            status=status,
            seconds=round(seconds, 4),
            bytes=exchange.num_bytes,
        )


class _Exchange:
    """One request and its answer: what passes between the server and the app."""

    def __init__(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self.started = time.perf_counter()
        self.status = 0
        self.answered = False
        self.num_bytes = 0
        """Of the body, so far."""
        self._admission = admission
        self._limits = admission.limits
        self._receive = receive
        self._send = send
        self._declared = int(headers.get(b"content-length", b"0"))
        self._body_open = self._declared > 0 or b"transfer-encoding" in headers
        """Whether more of the body may come."""
        self._body_held = b"expect" in headers
        """Whether the client keeps the body until it is asked for it."""
        self._body_since: float | None = None
        self._lingering = False

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
            RequestError: 413 or 408 if it is too large or too slow, 503 if all bodies together are too large.
        """
        if not self._body_open:
            return await self._receive()
        if self._declared > self._limits.body_bytes:
            raise self._too_large()
        self._body_held = False
        message = await self._received_in_time()
        self._note(message)
        received = len(message.get("body", b""))
        self.num_bytes += received
        self._admission.hold(received)
        if self.num_bytes > self._limits.body_bytes:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer. Where the body was not read to its end, the connection is closed after it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            closing = [(b"connection", b"close")] if self._body_open or self._admission.draining else []
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS, *closing]}
        elif not message.get("more_body", False):
            self.answered = True
            if self._body_open:
                message = {**message, "more_body": True}  # `linger` ends it
                self._lingering = True
        await self._send(message)

    async def give_up(self) -> None:
        """Answer that there is no answer, if none has begun."""
        if not self.status:
            message = "this server is stopping, and could not finish in time"
            error = RequestError(503, "stopping", message, retry_seconds=self._limits.retry_seconds)
            await problem_response(error)({"type": "http"}, self.receive, self.send)

    async def linger(self) -> None:
        """Read on for a moment after an early answer: a client that still writes when the connection is closed may
        lose the answer on its way. Nothing of this is kept."""
        if not self._lingering:
            return
        left = 0 if self._body_held else _LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._body_open and left > 0:
                    message = await self._receive()
                    self._note(message)
                    left -= len(message.get("body", b""))
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _note(self, message: Message) -> None:
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_open = False

    async def _received_in_time(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._body_since is None:
            self._body_since = now
        allowed = self._limits.body_seconds + self.num_bytes / self._limits.body_rate
        try:
            async with asyncio.timeout_at(self._body_since + allowed):
                return await self._receive()
        except TimeoutError:
            message = f"the body came too slowly: {self.num_bytes:,} bytes in {now - self._body_since:.0f} seconds"
            raise RequestError(408, "slow", message, hint="Send it again over a faster line.") from None

    def _too_large(self) -> RequestError:
        most = self._limits.body_bytes
        declared = f"has {self._declared:,} bytes" if self._declared else "is larger"
        return RequestError(
            413, "too_large", f"the body {declared}, at most {most:,} are read", hint="Send a smaller picture."
        )
