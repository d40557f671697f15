"""Admission control: the queue has a fixed length, and a request that finds it full is refused at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from dogvscat.service.limits import Limits
from dogvscat.service.problem_details import RequestError


class Admission:
    """Counts the photos in the queue and the bytes of unfinished bodies.

    It is only used in the event loop's thread, so it needs no lock.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        """True from the signal to stop: accepted requests are finished, new ones are refused."""
        self.num_queued = 0
        """Photos that are waiting or being processed."""
        self.body_bytes = 0
        """Bytes of the bodies of all requests that are not answered yet."""

    def check(self) -> None:
        """Refuse a request early, before its body is read.

        Raises:
            RequestError: 503 while the service stops, 429 if the queue is full.
        """
        if self.draining:
            raise RequestError(503, "stopping", "this server is stopping", retry_seconds=self.limits.retry_seconds)
        self._check_queue(1)  # how many photos a form has is only known after its body

    @contextmanager
    def queue_places(self, num_photos: int) -> Iterator[None]:
        """Take that many places in the queue, until the block ends.

        It does not look at `draining`: a request whose body was accepted before the signal to stop is still answered.

        Raises:
            RequestError: 429 if there are not enough free places.
        """
        self._check_queue(num_photos)
        self.num_queued += num_photos
        try:
            yield
        finally:
            self.num_queued -= num_photos

    def _check_queue(self, num_photos: int) -> None:
        if self.num_queued + num_photos > self.limits.queue_length:
            raise RequestError(
                429,
                "busy",
                f"the queue is full: {self.num_queued} photos are waiting or in progress, "
                f"at most {self.limits.queue_length} are accepted",
                hint="Try again after the number of seconds in Retry-After, with fewer photos at once.",
                retry_seconds=self.limits.retry_seconds,
            )

    def hold(self, num_bytes: int) -> None:
        """Count bytes of a body that have arrived; `release` them when the request is over.

        Raises:
            RequestError: 503 if all bodies together would take too much memory.
        """
        # Counted before the check: the caller releases all bytes that it passed in, refused ones too.
        self.body_bytes += num_bytes
        if self.body_bytes > self.limits.total_body_bytes:
            message = "too many large requests are arriving at once"
            raise RequestError(503, "busy", message, retry_seconds=self.limits.retry_seconds)

    def release(self, num_bytes: int) -> None:
        """Stop counting these bytes, see `hold`."""
        self.body_bytes -= num_bytes
