"""The images of a run, decoded and split: what every step reads, from the first batch to the report."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dogvscat.photos.manifest import Manifest
from dogvscat.photos.pixels import PixelCache
from dogvscat.photos.sources import SYNTHETIC_NOTE


def synthetic_note(manifest: Manifest) -> str | None:
    """The note to show with every result on these images, if they are synthetic."""
    return SYNTHETIC_NOTE if manifest.is_synthetic else None


@dataclass(frozen=True)
class LabelledImages:
    """Some images of the pixel caches, with their labels."""

    cached_images: Mapping[int, np.ndarray]
    """By image size: uint8 (num_cached, image_size, image_size, 3), memory-mapped."""
    indices: np.ndarray
    """int64 (num_images,), where each image lies in the cache."""
    y_true: np.ndarray
    """int64 (num_images,), 0 or 1."""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def image_sizes(self) -> np.ndarray:
        """The sizes they are cached at, in pixels, smallest first: int64 (num_sizes,)."""
        return np.array(sorted(self.cached_images))

    def pixels(self, samples: np.ndarray, image_size: int) -> np.ndarray:
        """Copies of some of the images: uint8 (num_samples, image_size, image_size, 3)."""
        # A sample counts within these images, `indices` within the cache.
        return np.asarray(self.cached_images[image_size][self.indices[samples]])


@dataclass(frozen=True)
class Dataset:
    """A manifest with the pixels of its photos."""

    manifest: Manifest
    pixels: Mapping[int, PixelCache]
    """By image size."""
    neither: "Dataset | None" = None
    """Photos that show neither class, split into `train` and `test`."""

    @property
    def note(self) -> str | None:
        """The note to show with every result, if any."""
        return synthetic_note(self.manifest)

    def images(self, split: str) -> LabelledImages:
        """The images of `train` or `validation`, with their labels."""
        rows = self.manifest.of_split(split)
        cached_images = {image_size: cache.images for image_size, cache in self.pixels.items()}
        any_cache = next(iter(self.pixels.values()))  # all caches hold the same photos in the same order
        return LabelledImages(cached_images, any_cache.indices(rows), self.manifest.labels(rows))

    def neither_images(self, split: str) -> LabelledImages | None:
        """The images that show neither class, of `train` or `test`; None if the run has none."""
        return None if self.neither is None else self.neither.images(split)
