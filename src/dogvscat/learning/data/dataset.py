"""The pictures of a run, decoded and split: what every step from the first batch to the report reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from dogvscat.learning.data.labelled_images import LabelledPictures
from dogvscat.photos.manifest import Manifest
from dogvscat.photos.pixels import PixelCache

DRAWN_NOTE = "drawn sample, not photographs"
"""Seen on every picture of a run that learned from drawings."""


def drawn_note(manifest: Manifest) -> str | None:
    """What must be seen beside every result on these pictures, if anything."""
    return DRAWN_NOTE if manifest.drawn else None


@dataclass(frozen=True)
class Material:
    """A manifest with the pixels of its pictures."""

    manifest: Manifest
    pixels: Mapping[int, PixelCache]
    """By image size."""
    neither: "Material | None" = None
    """Photos of neither class, split into `train` and `test`."""

    @property
    def note(self) -> str | None:
        """What must be seen beside every result, if anything."""
        return drawn_note(self.manifest)

    def neither_pictures(self, split: str) -> LabelledPictures | None:
        """The photos of neither of `train` or `test`, if there are any."""
        return None if self.neither is None else self.neither.pictures(split)

    def pictures(self, split: str) -> LabelledPictures:
        """The pictures of `train` or `validation` with their labels."""
        rows = self.manifest.of_split(split)
        images = {image_size: cache.images for image_size, cache in self.pixels.items()}
        anyone = next(iter(self.pixels.values()))  # all hold the same pictures in the same order
        return LabelledPictures(images, anyone.indices(rows), self.manifest.labels(rows))
