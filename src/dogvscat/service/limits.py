"""The limits of the service: sizes, times and queue lengths, in one place."""

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much a single request may ask for, and how much all requests together."""

    body_bytes: int = 32 * MEGABYTE
    """Largest body of one request, counted while it arrives."""
    total_body_bytes: int = 512 * MEGABYTE
    """Largest sum of the bodies of all requests that are not answered yet: the memory that bodies may take."""
    photos: int = 64
    """Largest number of photos in one request."""
    tensor_images: int = 16
    """Largest number of images in one request of the Open Inference Protocol, which needs much memory for its JSON."""
    queue_length: int = 64
    """Largest number of photos of all requests that are waiting or being processed: from end of body to answer."""
    batch_size: int = 4
    """Images that go through the network together while several wait: larger batches are no faster and take more
    memory."""
    answer_seconds: float = 10.0
    """Deadline from the end of a request's body to its answer."""
    body_seconds: float = 10.0
    """Deadline for a body, in addition to the time that it may take at `body_rate`."""
    body_rate: int = 16 * 1024
    """Bytes per second that a slow client must reach once `body_seconds` are used up, so that a large photo over a slow
    line still arrives."""
    retry_seconds: int = 1
    """The Retry-After of every refused request, in seconds."""
