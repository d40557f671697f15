"""Admission control: a request that would have to wait too long is refused at once, instead of waiting in vain."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from dogvscat.service.limits import Limits
from dogvscat.service.pace import Paces
from dogvscat.service.problem_details import RequestError

_ADMITTED_SHARE = 0.5
"""Share of the deadline that the queue may take by the estimate: the rest is for photos that take longer."""


class Admission:
    """Counts the photos in the queue and the bytes of unfinished bodies.

    It is only used in the event loop's thread, so it needs no lock.

    Args:
        limits: Length of the queue, deadline and sizes.
        paces: How long photos take.
    """

    def __init__(self, limits: Limits, paces: Paces) -> None:
        self.limits = limits
        self.paces = paces
        self.draining = False
        """True from the signal to stop: accepted requests are finished, new ones are refused."""
        self.num_queued = 0
        """Photos that are waiting or being processed."""
        self.num_heat_maps = 0
        """How many of them get a heat map."""
        self.body_bytes = 0
        """Bytes of the bodies of all requests that are not answered yet."""

    def check(self) -> None:
        """Refuse a request early, before its body is read.

        Raises:
            RequestError: 503 while the service stops, 429 if the queue is full.
        """
        if self.draining:
            raise RequestError(503, "stopping", "this server is stopping", retry_seconds=self.limits.retry_seconds)
        self._check_queue(1, 0)  # how many photos a form has is only known after its body

    @contextmanager
    def queue_places(self, num_photos: int, *, explain: bool = False) -> Iterator[None]:
        """Take that many places in the queue, until the block ends.

        It does not look at `draining`: a request whose body was accepted before the signal to stop is still answered.

        Args:
            num_photos: Number of places.
            explain: Whether each photo gets a heat map.

        Raises:
            RequestError: 429 if there are not enough free places, or the answer would come too late.
        """
        num_heat_maps = num_photos if explain else 0
        self._check_queue(num_photos, num_heat_maps)
        self.num_queued += num_photos
        self.num_heat_maps += num_heat_maps
        try:
            yield
        finally:
            self.num_queued -= num_photos
            self.num_heat_maps -= num_heat_maps

    def _check_queue(self, num_photos: int, num_heat_maps: int) -> None:
        limits = self.limits
        if self.num_queued + num_photos > limits.queue_length:
            raise self._busy(
                f"the queue is full: {self.num_queued} photos are waiting or in progress, "
                f"at most {limits.queue_length} are accepted"
            )
        # A request that finds the queue empty is let in whatever the estimate says, for its time corrects the estimate.
        seconds = self.paces.seconds(self.num_queued + num_photos, self.num_heat_maps + num_heat_maps)
        if self.num_queued and seconds > _ADMITTED_SHARE * limits.answer_seconds:
            waiting = "a photo is waiting" if self.num_queued == 1 else f"{self.num_queued} photos are waiting"
            raise self._busy(f"{waiting}: an answer might not be ready within {limits.answer_seconds:g} seconds")

    def _busy(self, message: str) -> RequestError:
        queue_seconds = math.ceil(self.paces.seconds(self.num_queued, self.num_heat_maps))
        retry_seconds = max(self.limits.retry_seconds, min(queue_seconds, math.ceil(self.limits.answer_seconds)))
        hint = "Try again after the number of seconds in Retry-After, with fewer photos at once."
        return RequestError(429, "busy", message, hint=hint, retry_seconds=retry_seconds)

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
