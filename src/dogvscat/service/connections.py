"""uvicorn's HTTP/1.1 connection with what it leaves open: a deadline for headers, and an end to how many there are."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""From the first moment of waiting for a request to the end of its headers. uvicorn's own deadline between requests
ends with the first byte that arrives."""
MOST_CONNECTIONS = 1000
"""At once. More are closed unheard."""
_READ_BYTES = 32 * 1024


class Connection(H11Protocol):
    """One connection; `uvicorn.Config(http=Connection)`."""

    _header_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Also: no more than so many at once, and a deadline for the first request."""
        super().connection_made(transport)
        # asyncio reads 256 kB at a time, which is more than a body may exceed its limit by before it is refused.
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        """Also: what has arrived may complete the headers, or begin new ones."""
        super().data_received(data)
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Also: nothing is waited for any more."""
        self._forget_deadline()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Only where there is none yet: what follows an answer may be nonsense as well."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _watch_headers(self) -> None:
        """The client is in state IDLE from the end of one request to the end of the next one's headers."""
        if self.conn.their_state is not h11.IDLE:
            self._forget_deadline()
        elif self._header_deadline is None:
            self._header_deadline = self.loop.call_later(HEADER_SECONDS, self._cut)

    def _forget_deadline(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _cut(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
