"""Running the app: uvicorn with a stop that loses nothing, and the address it really listens at."""

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import Interrupted, UsageError
from dogvscat.service import access_log
from dogvscat.service.access_log import LogWriter
from dogvscat.service.admission import Admission
from dogvscat.service.app import create_app, model_name
from dogvscat.service.connections import Connection
from dogvscat.service.limits import Limits
from dogvscat.service.metrics import Metrics

_DRAIN_SECONDS = 20.0
"""At most, for requests that were accepted before the signal to stop."""
_NOTICE_SECONDS = 0.5
"""At least: those who ask whether this server is ready hear that it is not any more."""
_CLOSE_SECONDS = 5
"""For connections that linger."""


@dataclass(frozen=True)
class Serving:
    """What to serve, and how."""

    model: Path | None = None
    threads: int = 0
    """CPU threads of the network, 0 for all."""
    limits: Limits = field(default_factory=Limits)


class DrainingServer(uvicorn.Server):
    """On SIGTERM or Ctrl-C nobody new is let in, what is inside is answered, and then it stops.

    Args:
        config: uvicorn's.
        admission: Told to let nobody in.
        metrics: Know how much is still in progress.
        ready: Called once requests can be answered.
    """

    def __init__(
        self, config: uvicorn.Config, admission: Admission, metrics: Metrics, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._admission = admission
        self._metrics = metrics
        self._ready = ready
        self._stopping_since = 0.0
        self.exit_code = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Also: says so when done."""
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C does not wait for what is inside."""
        if sig == signal.SIGINT:
            self.exit_code = Interrupted.exit_code
            if self._admission.draining:
                # Not uvicorn's `force_exit`, which leaves the app without its own end.
                self.config.timeout_graceful_shutdown = 0
                self.should_exit = True
        if not self._admission.draining:
            self._admission.draining = True
            self._stopping_since = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to close the connections."""
        return await super().on_tick(counter) or (self._admission.draining and self._is_drained())

    def _is_drained(self) -> bool:
        seconds = time.monotonic() - self._stopping_since
        return seconds > _DRAIN_SECONDS or (seconds > _NOTICE_SECONDS and not self._metrics.in_progress)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, for `run`; it does not listen yet.

    Raises:
        UsageError: if the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        hint = "Choose another --port, or 0 for any that is free."
        raise UsageError(f"cannot listen at {host} port {port}: {error.strerror or error}", hint=hint) from None
    bound.set_inheritable(True)
    return bound


def url_of(bound: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def load(serving: Serving) -> Predictor:
    """The bundle, its golden pictures answered anew.

    Raises:
        ModelError: if there is none, or it does not answer as its card says.
    """
    predictor = Predictor.load(serving.model, serving.threads)
    predictor.check_golden()
    return predictor


def run(serving: Serving, bound: socket.socket, ready: Callable[[str], None]) -> int:
    """Answer requests until told to stop.

    Args:
        serving: What to serve.
        bound: From `bind`.
        ready: Told the model's name once requests can be answered.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        ModelError: as `load`.
    """
    predictor = load(serving)
    name = model_name(predictor)
    log = LogWriter()
    access_log.install(log)
    admission, metrics = Admission(serving.limits), Metrics(name, predictor.bundle.digest)
    config = uvicorn.Config(
        create_app(predictor, admission, metrics, log),
        http=Connection,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    server = DrainingServer(config, admission, metrics, lambda: ready(name))
    try:
        server.run(sockets=[bound])
    finally:
        log.close()
    return server.exit_code
