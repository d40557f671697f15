"""What is counted, for Prometheus. Requests add up: received = in progress + ok + refused + shed + failed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers put what they count, so that each can tell for all."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_SHED = (429, 503)


def outcome_of(status: int) -> str:
    """`ok`, `refused` (the request's fault), `shed` (too many of them) or `failed` (ours)."""
    if status < 400:
        return "ok"
    return "shed" if status in _SHED else "refused" if status < 500 else "failed"


class Metrics:
    """The counters of one process.

    Args:
        model: Name of the bundle.
        digest: sha256 of its card.
    """

    def __init__(self, model: str, digest: str) -> None:
        disable_created_metrics()  # a second line for each counter, which nobody asks for
        self._registry = registry = CollectorRegistry()
        self._received = Counter("requests_received", "Requests whose headers arrived", registry=registry)
        self._requests = Counter("requests", "Requests that are over", ["code", "outcome"], registry=registry)
        self._seconds = Histogram(
            "request_duration_seconds",
            "From headers to the last byte of the answer",
            registry=registry,
            buckets=_SECONDS,
        )
        self._in_progress = Gauge(
            "in_progress", "Requests not answered yet", registry=registry, multiprocess_mode="livesum"
        )
        self._batch_size = Histogram(
            "batch_size", "Pictures that went through the network together", registry=registry, buckets=_SIZES
        )
        self._predictions = Counter("prediction", "Answers", ["label"], registry=registry)
        info = Gauge(
            "model_info", "The bundle that answers", ["name", "digest"], registry=registry, multiprocess_mode="max"
        )
        info.labels(model, digest).set(1)
        self.in_progress = 0
        if FOLDER_VARIABLE not in os.environ:
            ProcessCollector(registry=registry)

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request is in progress inside the block."""
        self._received.inc()
        self._in_progress.inc()
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1
            self._in_progress.dec()

    def over(self, status: int, seconds: float) -> None:
        """Count a finished request."""
        self._requests.labels(str(status), outcome_of(status)).inc()
        self._seconds.observe(seconds)

    def batch(self, size: int) -> None:
        """Count a batch."""
        self._batch_size.observe(size)

    def answer(self, label: str) -> None:
        """Count an answer."""
        self._predictions.labels(label).inc()

    def page(self) -> bytes:
        """Everything as Prometheus text, over all workers where there are several."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
