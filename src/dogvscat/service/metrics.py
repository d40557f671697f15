"""Prometheus metrics, all with the prefix `dogvscat_` except those that Prometheus itself defines for each process.

Requests add up: received = in progress + ok + refused + shed + failed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: a folder where several workers share their counters, so that each of them
can report the sums. It must be set before prometheus_client is imported."""

# Upper bounds of the histograms' buckets.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_SHED_STATUSES = (429, 503)
_NAMESPACE = "dogvscat"
"""Prefix of the names, so that they are not those of another service in the same Prometheus."""


def outcome_of(status: int) -> str:
    """`ok`, `refused` (the client's fault), `shed` (too many requests) or `failed` (the server's fault)."""
    if status < 400:
        return "ok"
    return "shed" if status in _SHED_STATUSES else "refused" if status < 500 else "failed"


class Metrics:
    """The counters of one process.

    Args:
        model: Name of the bundle.
        digest: That of the bundle.
    """

    def __init__(self, model: str, digest: str) -> None:
        disable_created_metrics()  # a second line for each counter, of no use here
        self._registry = registry = CollectorRegistry()
        options: dict[str, Any] = {"namespace": _NAMESPACE, "registry": registry}
        self._received = Counter("requests_received", "Requests whose headers have arrived", **options)
        self._requests = Counter("requests", "Finished requests", ["code", "outcome"], **options)
        seconds_text = "From the headers to the last byte of the answer"
        self._seconds = Histogram("request_duration_seconds", seconds_text, buckets=_SECONDS, **options)
        self._in_progress = Gauge("in_progress", "Requests not answered yet", multiprocess_mode="livesum", **options)
        missed_text = "Accepted requests that had no answer within the deadline"
        self._missed_deadlines = Counter("missed_deadlines", missed_text, **options)
        batch_text = "Images that went through the network together"
        self._batch_size = Histogram("batch_size", batch_text, buckets=_SIZES, **options)
        self._predictions = Counter("prediction", "Predictions by label", ["label"], **options)
        killed_text = "Decoding processes that ended because of a photo"
        self._killed_decoders = Counter("killed_decoders", killed_text, ["reason"], **options)
        self._replaced_workers = Counter("replaced_workers", "Workers that have ended and were replaced", **options)
        info = Gauge("model_info", "The bundle in use", ["name", "digest"], multiprocess_mode="max", **options)
        info.labels(model, digest).set(1)
        self.in_progress = 0
        if FOLDER_VARIABLE not in os.environ:  # it measures one process, not the sum of several
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

    def count_request(self, status: int, seconds: float) -> None:
        """Count a finished request."""
        self._requests.labels(str(status), outcome_of(status)).inc()
        self._seconds.observe(seconds)

    def count_missed_deadline(self) -> None:
        """Count a request that was accepted and had no answer in time."""
        self._missed_deadlines.inc()

    def count_replaced_worker(self) -> None:
        """Count a worker that has ended; the worker in its place counts it."""
        self._replaced_workers.inc()

    def count_batch(self, size: int) -> None:
        """Count a batch of that many images."""
        self._batch_size.observe(size)

    def count_prediction(self, label: str) -> None:
        """Count a prediction."""
        self._predictions.labels(label).inc()

    def count_killed_decoder(self, reason: str) -> None:
        """Count a decoding process that ended because of a photo; the reason is that of `DecoderPool`."""
        self._killed_decoders.labels(reason).inc()

    def page(self) -> bytes:
        """All metrics as Prometheus text; with several workers, the sums over all of them."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        combined = CollectorRegistry()
        MultiProcessCollector(combined)  # registers itself
        return generate_latest(combined)


def forget_worker(pid: int | None, folder: str) -> None:
    """Remove the gauges of a process that has ended, so that its requests in progress no longer count.

    Args:
        pid: Of the process.
        folder: The value of `FOLDER_VARIABLE`.
    """
    mark_process_dead(pid, folder)
