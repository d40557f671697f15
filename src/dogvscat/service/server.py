"""Runs the app with uvicorn, and stops only when all accepted requests are answered."""

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
import uvicorn

from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import Interrupted
from dogvscat.photos.isolation.pool import DecoderLimits, DecoderPool
from dogvscat.service import access_log
from dogvscat.service.access import AccessRules
from dogvscat.service.access_log import LogWriter
from dogvscat.service.admission import Admission
from dogvscat.service.app import create_app, model_name
from dogvscat.service.connections import Connection
from dogvscat.service.limits import Limits
from dogvscat.service.metrics import Metrics
from dogvscat.service.pace import Paces

_DRAIN_SECONDS = 20.0
"""Longest wait for accepted requests after the signal to stop."""
_NOTICE_SECONDS = 0.5
"""Shortest time between the signal and the stop, in which load balancers see that this server is not ready any more."""
_CLOSE_SECONDS = 5
"""Longest wait for open connections after that."""
_MOST_DECODERS = 9
"""Most processes that decode photos. More would not help, because the network takes more time than they do, and each of
them takes 35 MB of memory and more."""


@dataclass(frozen=True)
class ServiceSettings:
    """What to serve, and how."""

    model: Path | None = None
    """A run folder or a bundle, None for the bundled model."""
    threads: int = 0
    """CPU threads of the network, 0 for as many as there are CPUs that this process may use."""
    limits: Limits = field(default_factory=Limits)
    public_key: Path | None = None
    """A PEM file; the model must be signed with the matching private key."""
    decoder_limits: DecoderLimits = field(default_factory=DecoderLimits)
    """What the decoding of one photo may cost."""
    exact: bool = False
    """Whether the full network answers everything."""
    access: AccessRules = field(default_factory=AccessRules)
    """Who may use the service."""
    replaces_worker: bool = False
    """Whether this is a worker in the place of one that has ended."""


class DrainingServer(uvicorn.Server):
    """Stops in three steps on SIGTERM or Ctrl-C: refuse new requests, answer the accepted ones, close the connections.

    Args:
        config: uvicorn's settings.
        admission: Switched to draining at the signal.
        metrics: Has the number of requests in progress.
        on_ready: Called once requests can be answered.
    """

    def __init__(
        self, config: uvicorn.Config, admission: Admission, metrics: Metrics, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._admission = admission
        self._metrics = metrics
        self._on_ready = on_ready
        self._draining_since = 0.0
        self.exit_code = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """In addition to uvicorn: call `on_ready` at the end."""
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain; a second Ctrl-C does not wait for the requests in progress.

        uvicorn's own handler sets `should_exit` at once, which would close the listening socket before load balancers
        know, so it is not called.
        """
        if sig == signal.SIGINT:
            self.exit_code = Interrupted.exit_code
            if self._admission.draining:
                # Not uvicorn's `force_exit`, which skips the end of the app's lifespan.
                self.config.timeout_graceful_shutdown = 0
                self.should_exit = True
        if not self._admission.draining:
            self._admission.draining = True
            self._draining_since = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        """Whether to close the connections; uvicorn asks ten times per second."""
        return await super().on_tick(counter) or (self._admission.draining and self._is_drained())

    def _is_drained(self) -> bool:
        seconds = time.monotonic() - self._draining_since
        return seconds > _DRAIN_SECONDS or (seconds > _NOTICE_SECONDS and not self._metrics.in_progress)


def run(settings: ServiceSettings, bound_socket: socket.socket, on_ready: Callable[[str], None]) -> int:
    """Answer requests until a signal to stop.

    Args:
        settings: What to serve.
        bound_socket: From `bind`.
        on_ready: Called with the model's name once requests can be answered.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        ModelError: if there is no bundle, or it does not answer its golden pictures as its card says.
        UsageError: if the public key cannot be used.

    Example:
        Serve the bundled model at a free port, in a thread, until the program ends:

        >>> import json
        >>> import threading
        >>> from urllib.request import urlopen
        >>> from dogvscat.service.sockets import bind, url_of
        >>> bound_socket, ready = bind("127.0.0.1", 0), threading.Event()
        >>> arguments = (ServiceSettings(), bound_socket, lambda name: ready.set())
        >>> threading.Thread(target=run, args=arguments, daemon=True).start()
        >>> ready.wait()
        True
        >>> with urlopen(f"{url_of(bound_socket)}/api/v1/model") as response:
        ...     model = json.load(response)
        >>> model["name"], model["class_names"]
        ('best', ['cat', 'dog'])
    """
    predictor = Predictor.load(settings.model, settings.threads, settings.public_key, exact=settings.exact)
    predictor.check_golden()  # `load` checks a bundle only the first time; a service checks at each start
    name = model_name(predictor)
    log = LogWriter()
    if predictor.problem:
        log.write(level="warning", message=predictor.problem)
    access_log.install(log)
    metrics = Metrics(name, predictor.bundle.digest)
    if settings.replaces_worker:
        metrics.count_replaced_worker()
    # One more than there are threads: a photo that takes long does not hold up all others on a single CPU.
    num_decoders = min(predictor.threads + 1, _MOST_DECODERS)
    admission = Admission(settings.limits, Paces(num_decoders, _network_seconds(predictor)))

    def note_killed_decoder(reason: str) -> None:
        metrics.count_killed_decoder(reason)
        log.write(level="warning", message=f"a photo ended the process that decoded it ({reason})")

    decoders = DecoderPool(num_decoders, settings.decoder_limits, note_killed_decoder)
    config = uvicorn.Config(
        create_app(predictor, decoders, admission, metrics, log, settings.access),
        http=Connection,
        loop="asyncio",  # `Connection` sets the read size of asyncio's own transports
        ws="none",
        lifespan="on",
        log_config=None,  # `access_log.install` has set up logging
        access_log=False,  # the middleware writes those lines
        server_header=False,
        proxy_headers=False,  # clients' addresses are neither used nor logged
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    server = DrainingServer(config, admission, metrics, lambda: on_ready(name))
    try:
        with decoders:
            server.run(sockets=[bound_socket])
    finally:
        log.close()
    return server.exit_code


def _network_seconds(predictor: Predictor) -> float:
    """The time of one photo in the full network, measured once: the first estimate of how long photos take."""
    size, started = predictor.card.image_size, time.perf_counter()
    predictor.logits(np.full((1, size, size, 3), 128, np.uint8))
    return time.perf_counter() - started
