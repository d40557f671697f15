"""The images of a run, decoded and split: what every step reads, from the first batch to the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dogvscat.photos.manifest import Manifest
from dogvscat.photos.pixels import PixelCache
from dogvscat.photos.reading.sources import SYNTHETIC_NOTE


def synthetic_note(manifest: Manifest) -> str | None:
    """The note to show with every result on these images, if they are synthetic."""
    return SYNTHETIC_NOTE if manifest.is_synthetic else None


@dataclass(frozen=True)
class LabeledImages:
    """Some images of the pixel caches, with their labels."""

    cached_images: Mapping[int, np.ndarray]
    """By image size: uint8 (num_cached, image_size, image_size, 3), memory-mapped."""
    indices: np.ndarray
    """int64 (num_images,), where each image lies in the cache."""
    y_true: np.ndarray
    """int64 (num_images,), 0 or 1."""

    def __len__(self) -> int:
        return len(self.indices)

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

    images: dict[str, LabeledImages] = field(init=False)
    """By split, of those that have photos: `train`, `validation` and `test`."""
    note: str | None = field(init=False)
    """To be shown with every result, if any."""

    def __post_init__(self) -> None:
        splits = dict.fromkeys(row.split for row in self.manifest.rows if row.split)
        # A frozen class has no other way to fill in a field.
        object.__setattr__(self, "note", synthetic_note(self.manifest))
        object.__setattr__(self, "images", {split: self._images_of(split) for split in splits})

    def _images_of(self, split: str) -> LabeledImages:
        rows = self.manifest.of_split(split)
        cached_images = {image_size: cache.images for image_size, cache in self.pixels.items()}
        any_cache = next(iter(self.pixels.values()))  # all caches hold the same photos in the same order
        return LabeledImages(cached_images, any_cache.indices(rows), self.manifest.labels(rows))
