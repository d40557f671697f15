"""A limit on the requests per second of each client: token buckets."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_MAX_CLIENTS = 10_000
"""Clients that are remembered. The one that was quiet for longest is forgotten first."""


@dataclass
class _Bucket:
    level: float
    """Requests that may come at once."""
    time: float
    """When that was the level."""


class RateLimit:
    """Each client may send `per_second` requests per second in the long run, and as many at once after a pause.

    Args:
        per_second: Requests per second; below 1, a single request may come at once.
        clock: Seconds from any start.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._capacity = max(1.0, per_second)
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def wait_seconds(self, client: Hashable) -> float:
        """0 if a request of this client may be answered, and is now counted; else the seconds until one may."""
        now = self._clock()
        bucket = self._buckets.setdefault(client, _Bucket(self._capacity, now))
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        bucket.level = min(self._capacity, bucket.level + (now - bucket.time) * self._per_second)
        bucket.time = now
        if bucket.level < 1:
            return (1 - bucket.level) / self._per_second
        bucket.level -= 1
        return 0.0
