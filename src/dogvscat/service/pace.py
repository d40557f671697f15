"""How long the photos of a queue will take, from measured times of each step."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

_RISE, _FALL = 0.5, 0.1
"""Weight of a new measurement that is above the estimate, and of one that is below it. The estimate rises quickly when
the machine gets busy or costly photos arrive: too few accepted requests do less harm than requests that are accepted
and then not answered in time."""


class Pace:
    """The seconds that one photo takes in one step, while many pass through it. Threads may share it.

    Args:
        seconds: The first estimate.
        num_parallel: How many photos the step works on at the same time.
    """

    def __init__(self, seconds: float = 0.0, num_parallel: int = 1) -> None:
        self.seconds_per_photo = seconds
        self._num_parallel = num_parallel
        self._lock = threading.Lock()

    def note(self, seconds: float, num_photos: int = 1) -> None:
        """Take a measurement into account: so many photos took this long together."""
        measured = seconds / (num_photos * self._num_parallel)
        with self._lock:
            weight = _RISE if measured > self.seconds_per_photo else _FALL
            self.seconds_per_photo += weight * (measured - self.seconds_per_photo)

    @contextmanager
    def measured(self, num_photos: int = 1) -> Iterator[None]:
        """Measure the block, also if it fails: a photo that is refused takes time as well."""
        started = perf_counter()
        try:
            yield
        finally:
            self.note(perf_counter() - started, num_photos)


class Paces:
    """The pace of each step from a photo to its answer.

    Args:
        num_decoders: How many photos are decoded at the same time.
        network_seconds: The first estimate of the network's time per photo.
    """

    def __init__(self, num_decoders: int, network_seconds: float) -> None:
        self.decoding = Pace(num_parallel=num_decoders)
        self.network = Pace(network_seconds)
        self.heat_map = Pace(network_seconds)

    def seconds(self, num_photos: int, num_heat_maps: int) -> float:
        """How long that many photos take, heat maps for some of them included.

        The steps overlap, so the estimate tends to be too long.
        """
        per_photo = self.decoding.seconds_per_photo + self.network.seconds_per_photo
        return num_photos * per_photo + num_heat_maps * self.heat_map.seconds_per_photo
