"""The pictures of a run, decoded and split: what every step from the first batch to the report reads."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dogvscat.photos.manifest import Manifest
from dogvscat.photos.pixels import PixelCache

SYNTHETIC_NOTE = "drawn sample, not photographs"
"""Seen on every picture of a run that learned from drawings."""


def synthetic_note(manifest: Manifest) -> str | None:
    """What must be seen beside every result on these pictures, if anything."""
    return SYNTHETIC_NOTE if manifest.is_synthetic else None


@dataclass(frozen=True)
class LabelledImages:
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


@dataclass(frozen=True)
class Dataset:
    """A manifest with the pixels of its pictures."""

    manifest: Manifest
    pixels: Mapping[int, PixelCache]
    """By image size."""
    neither: "Dataset | None" = None
    """Photos of neither class, split into `train` and `test`."""

    @property
    def note(self) -> str | None:
        """What must be seen beside every result, if anything."""
        return synthetic_note(self.manifest)

    def neither_pictures(self, split: str) -> LabelledImages | None:
        """The photos of neither of `train` or `test`, if there are any."""
        return None if self.neither is None else self.neither.pictures(split)

    def pictures(self, split: str) -> LabelledImages:
        """The pictures of `train` or `validation` with their labels."""
        rows = self.manifest.of_split(split)
        images = {image_size: cache.images for image_size, cache in self.pixels.items()}
        anyone = next(iter(self.pixels.values()))  # all hold the same pictures in the same order
        return LabelledImages(images, anyone.indices(rows), self.manifest.labels(rows))
