"""The check that an export agrees with its bundle: the images that both answer, and the largest difference."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.export.formats import PRECISIONS
from dogvscat.bundle.folder import GOLDEN_FOLDER, Bundle
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.errors import DataError, ImageError, ModelError
from dogvscat.judging.decision import Logits, sigmoid
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.drawing.sample import KINDS, draw
from dogvscat.photos.reading.sources import PhotoSource, open_any
from dogvscat.stderr import track

NUM_PHOTOS = 200
NUM_DRAWINGS = 58


@dataclass(frozen=True)
class ParityImages:
    """The images that the bundle and its export both answer, with the bundle's answers."""

    pixels: np.ndarray
    """uint8 (num_images, image_size, image_size, 3)."""
    logits: Logits
    """The bundle's answers, float64 (num_images,) each."""
    num_golden: int
    num_photos: int
    num_drawings: int
    """Drawings other than the golden pictures, which are drawings too."""


@dataclass(frozen=True)
class Parity:
    """How much an export differs from its bundle."""

    images: ParityImages
    difference: float
    """The largest difference in probability, over all images and outputs."""
    allowed: float
    """The largest difference that would have been accepted."""

    def summary(self) -> str:
        """One sentence for people."""
        images = self.images
        others = f"{images.num_photos} photographs" if images.num_photos else f"{images.num_drawings} other drawings"
        return (
            f"The export differs from the bundle by at most {self.difference:.1e} in probability, on "
            f"{images.num_golden} golden pictures and {others}."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "largest_probability_difference": self.difference,
            "allowed": self.allowed,
            "golden_pictures": self.images.num_golden,
            "photographs": self.images.num_photos,
            "other_drawn_pictures": self.images.num_drawings,
        }


def parity_images(bundle: Bundle, photos: Path | None) -> ParityImages:
    """The golden pictures, and 200 photographs or 58 drawings, with the bundle's answers.

    Args:
        bundle: A verified bundle.
        photos: A folder or zip with photographs of anything; up to 200 readable ones are used. None: use drawings.

    Raises:
        LayoutError: if there is no photo.
        DataError: if none of the photos can be read.
        ModelError: if the bundle cannot answer.
    """
    size = bundle.card.image_size
    source = open_any(photos) if photos is not None else None
    predictor = Predictor(bundle, exact=True)
    predictor.check_golden()
    golden = [decode(bundle.read(picture.file), picture.file, size) for picture in bundle.card.golden]
    others = _sample_photos(source, size) if source else draw_images(size)
    pixels = np.stack([*golden, *others])
    batches = np.array_split(pixels, -(-len(pixels) // BATCH_SIZE))  # the division rounds up
    batch_logits = [predictor.logits(batch) for batch in track(batches, "Predicting with the bundle")]
    # From one (positive, neither) per batch to one column per output; a network without `neither` has None there.
    columns = [np.concatenate(column) for column in zip(*batch_logits, strict=True) if column[0] is not None]
    has_photos = source is not None and not source.is_synthetic
    return ParityImages(
        pixels,
        Logits(*columns),
        num_golden=len(golden),
        num_photos=len(others) if has_photos else 0,
        num_drawings=0 if has_photos else len(others),
    )


def check_parity(images: ParityImages, export_logits: Logits, format_name: str, precision: str = "float32") -> Parity:
    """Compare the export's answers with the bundle's.

    Args:
        images: The images with the bundle's answers.
        export_logits: The export's answers, float (num_images,) each.
        format_name: Names the export in errors.
        precision: One of `PRECISIONS`, which says how much a probability may differ.

    Raises:
        ModelError: if a probability differs by more, or an output is missing.
    """
    if (images.logits.neither is None) != (export_logits.neither is None):
        raise ModelError(f"the {format_name} export does not have the outputs of its bundle; nothing was written")
    # (num_outputs, num_images) each.
    expected, received = (
        np.stack([output for output in logits if output is not None]) for logits in (images.logits, export_logits)
    )
    difference = float(np.max(np.abs(sigmoid(expected) - sigmoid(received))))
    allowed = PRECISIONS[precision].max_difference
    if not difference <= allowed:  # also true for NaN
        raise ModelError(
            f"the {format_name} export differs from its bundle by {difference:.2g} in probability, at most "
            f"{allowed:g} is allowed; nothing was written"
        )
    return Parity(images, difference, allowed)


def golden_files(bundle: Bundle) -> dict[str, bytes]:
    """The golden pictures as files, by their path in the bundle (`golden/...`)."""
    return {name: bundle.read(name) for name in bundle.checksums.by_name if name.startswith(GOLDEN_FOLDER)}


def _sample_photos(source: PhotoSource, image_size: int) -> list[np.ndarray]:
    """Up to 200 photos from all over a source; unreadable ones are skipped."""
    num_needed = min(NUM_PHOTOS, len(source.photos))
    images: list[np.ndarray] = []
    for image in track(readable_images(source, image_size), "Reading photos", num_needed):
        images.append(image)
        if len(images) == num_needed:
            break
    if not images:
        raise DataError(f"none of the photos in {source.location} can be read")
    return images


def readable_images(source: PhotoSource, image_size: int) -> Iterator[np.ndarray]:
    """The photos of a source that can be read, uint8 (image_size, image_size, 3), mixed in the same order each time."""
    for index in np.random.default_rng(0).permutation(len(source.photos)):
        path = source.photos[index].path
        try:
            yield decode(source.read(path), path, image_size)
        except ImageError:
            continue


def draw_images(image_size: int, first_seed: int = 1000) -> list[np.ndarray]:
    """Drawings other than the golden pictures, prepared like photographs: as JPEG files that are not square.

    Args:
        image_size: Side, in pixels.
        first_seed: Seed of the first drawing; each further drawing has the next number as its seed. Another first seed
            gives other drawings if it lies far away.

    Returns:
        58 arrays, uint8 (image_size, image_size, 3).
    """
    images = []
    for index in range(NUM_DRAWINGS):
        buffer = BytesIO()
        # The golden pictures have small seeds.
        drawing = draw(KINDS[index % 2], first_seed + index, 2 * image_size)
        drawing.resize((3 * image_size, 2 * image_size)).save(buffer, "JPEG", quality=90)
        images.append(decode(buffer.getvalue(), f"drawing {index}", image_size))
    return images
