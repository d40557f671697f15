"""The outermost layer: limits bytes and time of each request, adds security headers, and counts and logs it."""

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
SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_LOGGER = logging.getLogger(__name__)
_LINGER_SECONDS = 1.0
_LINGER_RATE = MEGABYTE
"""Bytes per second that a client must send to be read for longer than `_LINGER_SECONDS` after an early answer."""
_LINGER_MAX_SECONDS = 10.0
_LINGER_MAX_BYTES = 256 * MEGABYTE


class RequestGuard:
    """ASGI middleware around the whole app.

    Args:
        app: The app.
        admission: Has the limits, and counts the bytes of bodies.
        metrics: Counts every request.
        log: Gets one line per request.
    """

    def __init__(self, app: ASGIApp, admission: Admission, metrics: Metrics, log: LogWriter) -> None:
        self.app = app
        self.admission = admission
        self.metrics = metrics
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self.admission, scope, receive, send)
        with self.metrics.request():
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except asyncio.CancelledError:  # the server stops and cannot wait any longer
                await exchange.send_stopping()
            except Exception:
                if not exchange.answered:
                    raise
                # Starlette raises again after the answer 500. Raised further, uvicorn would close the connection
                # although the answer had no `Connection: close`, and the client's next request would be lost.
                _LOGGER.exception("a request failed")
            finally:
                self.admission.release(exchange.num_bytes)
                self._record(scope, exchange)
        # Outside of the metrics: the request is answered, and a stop need not wait for the rest of its body.
        await exchange.linger()

    def _record(self, scope: Scope, exchange: "_Exchange") -> None:
        status = exchange.status or 500  # 0: canceled before there was an answer
        seconds = time.perf_counter() - exchange.started
        self.metrics.count_request(status, seconds)
        self.log.write(
            method=scope["method"],
            path=scope["path"],
            status=status,
            seconds=round(seconds, 4),
            bytes=exchange.num_bytes,
        )


class _Exchange:
    """One request and its response: wraps the `receive` and `send` between server and app."""

    def __init__(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self.started = time.perf_counter()
        self.status = 0
        self.answered = False
        self.num_bytes = 0
        """Bytes of the body that have arrived."""
        self._admission = admission
        self._limits = admission.limits
        self._receive = receive
        self._send = send
        # h11 refuses malformed and contradictory lengths before they get here.
        self._declared = int(headers.get(b"content-length", b"0"))
        self._body_open = self._declared > 0 or b"transfer-encoding" in headers
        """Whether more of the body may come."""
        self._awaits_continue = b"expect" in headers
        """Whether the client waits for `100 Continue` before it sends the body."""
        self._body_since: float | None = None
        self._lingering = False

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
            RequestError: 413 or 408 if the body is too large or too slow, 503 if all bodies together are too large.
        """
        if not self._body_open:
            return await self._receive()
        if self._declared > self._limits.body_bytes:
            raise self._too_large()
        self._awaits_continue = False  # uvicorn sends `100 Continue` at the first `receive`
        message = await self._receive_in_time()
        self._note_end_of_body(message)
        num_received = len(message.get("body", b""))
        self.num_bytes += num_received
        self._admission.hold(num_received)
        if self.num_bytes > self._limits.body_bytes:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """A part of the response. If the body was not read to its end, the connection is closed afterwards."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            close = [(b"connection", b"close")] if self._body_open or self._admission.draining else []
            message = {**message, "headers": [*message.get("headers", []), *SECURITY_HEADERS, *close]}
        elif not message.get("more_body", False):
            self.answered = True
            if self._body_open:
                # The last part of the response goes out now, but is not marked as the last: `linger` sends that mark.
                message = {**message, "more_body": True}
                self._lingering = True
        await self._send(message)

    async def send_stopping(self) -> None:
        """Answer 503 if no answer has started."""
        if not self.status:
            message = "this server is stopping, and could not finish in time"
            error = RequestError(503, "stopping", message, retry_seconds=self._limits.retry_seconds)
            await problem_response(error)({"type": "http"}, self.receive, self.send)

    async def linger(self) -> None:
        """Read and discard more of the body after an early answer, as long as the client sends quickly.

        If the connection were closed at once, a client that is still sending would get a reset and might lose the
        answer (RFC 9112, section 9.6). Many clients read nothing before they have sent all.
        """
        if not self._lingering:
            return
        started, num_bytes = asyncio.get_running_loop().time(), 0
        with suppress(TimeoutError):
            while self._body_open and not self._awaits_continue and num_bytes < _LINGER_MAX_BYTES:
                seconds = min(_LINGER_SECONDS + num_bytes / _LINGER_RATE, _LINGER_MAX_SECONDS)
                async with asyncio.timeout_at(started + seconds):
                    message = await self._receive()
                self._note_end_of_body(message)
                num_bytes += len(message.get("body", b""))
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _note_end_of_body(self, message: Message) -> None:
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_open = False

    async def _receive_in_time(self) -> Message:
        if self._body_since is None:
            self._body_since = asyncio.get_running_loop().time()
        # Each byte that has arrived moves the deadline, so a body may take long as long as it reaches `body_rate`.
        allowed_seconds = self._limits.body_seconds + self.num_bytes / self._limits.body_rate
        try:
            async with asyncio.timeout_at(self._body_since + allowed_seconds):
                return await self._receive()
        except TimeoutError:
            seconds = asyncio.get_running_loop().time() - self._body_since
            message = f"the body arrived too slowly: {self.num_bytes:,} bytes in {seconds:.0f} seconds"
            raise RequestError(408, "slow", message, hint="Send it again over a faster connection.") from None

    def _too_large(self) -> RequestError:
        limit = self._limits.body_bytes
        received = f"{self._declared:,} bytes" if self._declared else f"more than {limit:,} bytes"
        message = f"the body has {received}, at most {limit:,} are read"
        return RequestError(413, "too_large", message, hint="Send a smaller photo.")
