"""What the service allows: sizes, times and places, in one place."""

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for, and how much all of them together."""

    body_bytes: int = 32 * MEGABYTE
    """Of one request, counted as they arrive."""
    body_bytes_together: int = 512 * MEGABYTE
    """Of all requests that are not answered yet: the memory that bodies may take."""
    pictures: int = 64
    """In one request."""
    tensor_pictures: int = 16
    """In one request of the Open Inference Protocol, whose numbers are JSON and take much room."""
    waiting: int = 64
    """Pictures between the end of their body and their answer, over all requests: the queue."""
    batch: int = 4
    """Pictures that go through the network together while several wait: more are no faster, and take more memory."""
    answer_seconds: float = 10.0
    """From the end of a request's body to its answer."""
    body_seconds: float = 10.0
    """For a body, beyond what it may take at `body_rate`."""
    body_rate: int = 16 * 1024
    """Bytes a second: a large photo over a slow line may take longer than `body_seconds`, as long as it moves."""
    retry_seconds: int = 1
    """What a refused client is told to wait."""
