"""uvicorn's HTTP/1.1 connection with two limits it lacks: a deadline for headers and a maximum number of connections.

The class overrides internals of uvicorn, so pyproject.toml bounds uvicorn's version from above. Their existence is
checked by tests/service/test_uvicorn.py.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""From the start of waiting for a request to the end of its headers. uvicorn's own keep-alive timeout ends with the
first byte that arrives, so a client that sends one byte at a time could hold a connection forever."""
MAX_CONNECTIONS = 1000
"""At once. Further connections are closed without an answer."""
_READ_BYTES = 32 * 1024


class Connection(H11Protocol):
    """One connection; pass it as `uvicorn.Config(http=Connection)`."""

    _header_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """In addition to uvicorn: enforce `MAX_CONNECTIONS` and start the deadline for the first request."""
        super().connection_made(transport)
        # asyncio reads 256 kB at a time, and a body may exceed its limit by one read before it is refused.
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._update_deadline()

    def data_received(self, data: bytes) -> None:
        """In addition to uvicorn: the data may complete the headers, or start those of the next request."""
        super().data_received(data)
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """In addition to uvicorn: cancel the deadline."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer 400 only if no answer has started: the malformed bytes may follow a complete request."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _update_deadline(self) -> None:
        """Run the deadline exactly while the client's state is IDLE: from the end of one request to the end of the next
        request's headers. A running deadline is not extended by further bytes."""
        if self.conn.their_state is not h11.IDLE:
            self._cancel_deadline()
        elif self._header_deadline is None:
            self._header_deadline = self.loop.call_later(HEADER_SECONDS, self._close_if_idle)

    def _cancel_deadline(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _close_if_idle(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
