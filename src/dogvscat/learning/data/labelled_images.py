"""Decoded pictures with their labels, at every size that a training needs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelledPictures:
    """Some pictures of the pixel caches with their labels."""

    images: Mapping[int, np.ndarray]
    """By image size: uint8 (num_cached, image_size, image_size, 3), mapped from disk."""
    indices: np.ndarray
    """int64 (num_pictures,): which of the cached images."""
    y_true: np.ndarray
    """int64 (num_pictures,), 0 or 1."""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def image_sizes(self) -> np.ndarray:
        """The sides they can be had at, smallest first: int64 (num_sizes,)."""
        return np.array(sorted(self.images))

    def pixels(self, samples: np.ndarray, image_size: int) -> np.ndarray:
        """The pictures with some numbers, copied: uint8 (num_samples, image_size, image_size, 3)."""
        return self.images[image_size][self.indices[samples]]
