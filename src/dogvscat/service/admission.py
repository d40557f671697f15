"""Who may come in: nobody waits longer than the queue is long; whoever finds it full is told so at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from dogvscat.service.limits import Limits
from dogvscat.service.problem_details import RequestError


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

    def check(self) -> None:
        """Make sure that a request may come in, before anything is done for it.

        Raises:
            RequestError: 503 while the service stops, 429 where the queue is full.
        """
        if self.draining:
            raise RequestError(503, "stopping", "this server is stopping", retry_seconds=self.limits.retry_seconds)
        self._check_room(1)

    @contextmanager
    def places(self, pictures: int) -> Iterator[None]:
        """Have so many places in the queue inside the block. Who came in before the service stops still gets them.

        Raises:
            RequestError: 429 where there are not as many.
        """
        self._check_room(pictures)
        self.waiting += pictures
        try:
            yield
        finally:
            self.waiting -= pictures

    def _check_room(self, pictures: int) -> None:
        if self.waiting + pictures > self.limits.waiting:
            raise RequestError(
                429,
                "busy",
                f"the queue is full: {self.waiting} pictures are waiting, at most {self.limits.waiting} may",
                hint="Try again after the seconds in Retry-After, with fewer pictures at once.",
                retry_seconds=self.limits.retry_seconds,
            )

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
