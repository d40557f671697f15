"""Who may come in: nobody waits longer than the queue is long; whoever finds it full is told so at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from dogvscat.service.limits import Limits
from dogvscat.service.problems import RequestError


class Admission:
    """Counts what is inside. It lives in the event loop alone, so it needs no lock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        """True from the signal to stop on: what is inside is finished, and nobody comes in any more."""
        self.waiting = 0
        """Pictures inside."""
        self.body_bytes = 0
        """Held by requests that are not answered yet."""

    def check(self, pictures: int = 1) -> None:
        """Make sure that so many pictures may come in.

        Raises:
            RequestError: 503 while the service stops, 429 where the queue is full.
        """
        if self.draining:
            raise RequestError(503, "stopping", "this server is stopping", retry_seconds=self.limits.retry_seconds)
        if self.waiting + pictures > self.limits.waiting:
            raise RequestError(
                429,
                "busy",
                f"the queue is full: {self.waiting} pictures are waiting, at most {self.limits.waiting} may",
                hint="Try again after the seconds in Retry-After, with fewer pictures at once.",
                retry_seconds=self.limits.retry_seconds,
            )

    @contextmanager
    def places(self, pictures: int) -> Iterator[None]:
        """Have so many places in the queue inside the block; raises as `check`."""
        self.check(pictures)
        self.waiting += pictures
        try:
            yield
        finally:
            self.waiting -= pictures

    def hold(self, num_bytes: int) -> None:
        """Count bytes of a body that has arrived; `release` them when its request is over.

        Raises:
            RequestError: 503 if all bodies together would take too much memory.
        """
        self.body_bytes += num_bytes
        if self.body_bytes > self.limits.body_bytes_together:
            message = "too many large requests are arriving at once"
            raise RequestError(503, "busy", message, retry_seconds=self.limits.retry_seconds)

    def release(self, num_bytes: int) -> None:
        """See `hold`."""
        self.body_bytes -= num_bytes
