"""A page for one person on this machine: who may ask, and a server that runs until Ctrl-C."""

import hmac
import secrets
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dogvscat.errors import Interrupted
from dogvscat.service.connections import Connection
from dogvscat.service.hosts import host_name, is_loopback
from dogvscat.service.middleware import SECURITY_HEADERS
from dogvscat.service.problem_details import RequestError, problem_response
from dogvscat.service.sockets import listen

TOKEN_HEADER = "x-page-token"
_CLOSE_SECONDS = 1
"""Longest wait for requests in progress at the end; each takes milliseconds."""


def new_token() -> str:
    """A secret that only the page knows; a new one for each start of the command."""
    return secrets.token_urlsafe(32)


class LoopbackGuard:
    """ASGI middleware around an app that only its own page, in a browser of this machine, may use.

    Any other site that is open in the same browser can send requests to this machine. A site whose name resolves to
    127.0.0.1 (DNS rebinding) is refused because the header `Host` has its name. A request that changes something needs
    the token of the page in a header. Other sites cannot read the page. Nor can they send this header: the browser asks
    the server for permission first (a CORS preflight), and that is refused as well. Bodies are read after these checks.

    Args:
        app: The app.
        token: From `new_token`; the page has it, and sends it in `TOKEN_HEADER`.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *SECURITY_HEADERS]}
            await send(message)

        refusal = self._refusal(scope)
        app = self._app if refusal is None else problem_response(refusal)
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = dict(scope["headers"])
        host = host_name(headers.get(b"host", b"").decode("latin-1"))
        if host is None or not is_loopback(host):
            hint = "Open the address that the command printed."
            return RequestError(
                403, "host", "this page answers only to names of this machine, such as localhost", hint=hint
            )
        is_reading = scope["method"] in ("GET", "HEAD")
        if not is_reading and not hmac.compare_digest(headers.get(TOKEN_HEADER.encode(), b""), self._token):
            message = "the request lacks the token of the page: the command was started again, or another site sent it"
            return RequestError(403, "token", message, hint="Reload the page.")
        return None


class _PageServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.exit_code = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal once more at the end.
        self.exit_code = Interrupted.exit_code if sig == signal.SIGINT else 0
        self.should_exit = True


def run_page(app: ASGIApp, bound_socket: socket.socket, on_ready: Callable[[], None]) -> int:
    """Serve a page until Ctrl-C or SIGTERM.

    Args:
        app: Guarded by a `LoopbackGuard`.
        bound_socket: From `bind`, of a loopback address.
        on_ready: Called once requests can be answered.

    Returns:
        The exit code: 130 after Ctrl-C, else 0.

    Raises:
        UsageError: if another process listens at the address by now.
    """
    listen(bound_socket)
    config = uvicorn.Config(
        app,
        http=Connection,
        loop="asyncio",  # `Connection` sets the read size of asyncio's own transports
        ws="none",
        log_config=None,  # errors go to stderr, as in every command
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    server = _PageServer(config, on_ready)
    server.run(sockets=[bound_socket])
    return server.exit_code
