"""For 8-bit exports to every format: which convolutions compute with integers, and the pictures on which the ranges of
the integers are chosen."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dogvscat.bundle.export.parity import NUM_PHOTOS, draw_images, readable_images
from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.network.operations import Operation
from dogvscat.photos.reading.sources import open_any

NUM_CALIBRATION_PHOTOS = 100


def integer_convolutions(operations: Sequence[Operation]) -> list[Operation]:
    """The convolutions that compute with 8-bit integers: all but the first, in order.

    The first one sees the pixels, and the last layer makes the logit: rounding there changes answers most.

    Args:
        operations: The network.

    Raises:
        ModelError: if the network has only one convolution.
    """
    convolutions = [operation for operation in operations if operation.kind == "conv"]
    if len(convolutions) < 2:
        raise ModelError("this network has only one convolution, which stays in float32, so nothing becomes 8-bit")
    return convolutions[1:]


def calibration_pixels(bundle: Bundle, photos: Path | None) -> np.ndarray:
    """Pictures to choose the ranges of 8-bit numbers on, none of which is a parity image.

    Args:
        bundle: A verified bundle.
        photos: As for `parity_images`. With few photos only drawings are left.

    Returns:
        uint8 (num_images, image_size, image_size, 3), drawings first.

    Raises:
        DataError: if there is no photo in `photos`.
    """
    size = bundle.card.image_size
    source = open_any(photos) if photos is not None else None
    images = draw_images(size, first_seed=2000)
    if source is not None:
        photo_images = readable_images(source, size)
        images += [*itertools.islice(photo_images, NUM_PHOTOS, NUM_PHOTOS + NUM_CALIBRATION_PHOTOS)]
    return np.stack(images)
