"""Whether a bundle in another format gives the bundle's answers: the pictures both are asked about, and how far off."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.card import GOLDEN_FOLDER
from dogvscat.bundle.folder import Bundle
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.errors import DataError, ImageError, ModelError
from dogvscat.judging.decision import Logits, sigmoid
from dogvscat.photos.decoder import decode, decode_photo
from dogvscat.photos.drawing import KINDS, draw
from dogvscat.photos.sources import PhotoSource, open_any
from dogvscat.stderr import track

LARGEST_DIFFERENCE = 1e-3
"""In probability, between a bundle and an export of it."""
NUM_PHOTOS = 200
NUM_DRAWN = 58


@dataclass(frozen=True)
class ParityPictures:
    """What both sides are asked about, and what the bundle says."""

    pixels: np.ndarray
    """uint8 (num_pictures, image_size, image_size, 3)."""
    logits: Logits
    """The bundle's own."""
    golden: int
    photographs: int
    synthetic: int
    """How many of each; golden pictures are drawn as well."""


@dataclass(frozen=True)
class Parity:
    """How far an export lies from its bundle."""

    pictures: ParityPictures
    difference: float
    """The largest, in probability, over all pictures and outputs."""

    def in_words(self) -> str:
        """One sentence."""
        pictures = self.pictures
        others = (
            f"{pictures.photographs} photographs"
            if pictures.photographs
            else f"{pictures.synthetic} other drawn pictures"
        )
        return (
            f"At most {self.difference:.1e} from the bundle in probability, on {pictures.golden} golden and {others}."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "largest_probability_difference": self.difference,
            "allowed": LARGEST_DIFFERENCE,
            "golden_pictures": self.pictures.golden,
            "photographs": self.pictures.photographs,
            "other_drawn_pictures": self.pictures.synthetic,
        }


def parity_pictures(bundle: Bundle, photos: Path | None) -> ParityPictures:
    """The golden pictures, and photographs or, without any, drawn pictures.

    Args:
        bundle: Its golden pictures and its answers are taken.
        photos: A folder or zip with photographs of whatever it may be, of which 200 that can be read are used; or None.

    Raises:
        LayoutError: if there is no photo.
        DataError: if none of them can be read.
        ModelError: if the bundle cannot answer.
    """
    size = bundle.card.image_size
    source = open_any(photos) if photos is not None else None
    predictor = Predictor(bundle)
    predictor.check_golden()
    golden = [decode_photo(bundle.folder / picture.file, size) for picture in bundle.card.golden]
    others = _photographs(source, size) if source else _drawn(size)
    pixels = np.stack([*golden, *others])
    batches = np.array_split(pixels, -(-len(pixels) // BATCH_SIZE))
    answers = [predictor.logits(batch) for batch in track(batches, "Asking the bundle")]
    photographed = source is not None and not source.is_synthetic
    outputs = [np.concatenate(column) for column in zip(*answers, strict=True) if column[0] is not None]
    return ParityPictures(
        pixels,
        Logits(*outputs),
        golden=len(golden),
        photographs=len(others) if photographed else 0,
        synthetic=0 if photographed else len(others),
    )


def check_parity(pictures: ParityPictures, received: Logits, what: str) -> Parity:
    """Compare an export's answers with the bundle's.

    Args:
        pictures: With what the bundle says.
        received: What the export says.
        what: To call the export in errors.

    Raises:
        ModelError: if a probability differs by more than 1e-3, or an output is missing.
    """
    if (pictures.logits.neither is None) != (received.neither is None):
        raise ModelError(f"the {what} export does not have the outputs of its bundle; nothing was written")
    ours, theirs = (np.stack([row for row in logits if row is not None]) for logits in (pictures.logits, received))
    difference = float(np.max(np.abs(sigmoid(ours) - sigmoid(theirs))))
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelError(
            f"the {what} export differs from its bundle by {difference:.2g} in probability, at most "
            f"{LARGEST_DIFFERENCE:g} is allowed; nothing was written"
        )
    return Parity(pictures, difference)


def golden_files(bundle: Bundle) -> dict[str, bytes]:
    """The golden pictures as files, by relative path below `golden/`."""
    return {name: (bundle.folder / name).read_bytes() for name in bundle.card.files if name.startswith(GOLDEN_FOLDER)}


def _photographs(source: PhotoSource, image_size: int) -> list[np.ndarray]:
    """Photos from all over a source; those that cannot be read are passed over."""
    found: list[np.ndarray] = []
    wanted = min(NUM_PHOTOS, len(source.photos))
    for picture in track(_readable(source, image_size), "Reading photos", wanted):
        found.append(picture)
        if len(found) == wanted:
            break
    if not found:
        raise DataError(f"none of the photos in {source.location} can be read")
    return found


def _readable(source: PhotoSource, image_size: int) -> Iterator[np.ndarray]:
    for index in np.random.default_rng(0).permutation(len(source.photos)):
        path = source.photos[index].path
        try:
            yield decode(source.read(path), path, image_size)
        except ImageError:
            continue


def _drawn(image_size: int) -> list[np.ndarray]:
    """Other pictures than the golden ones, as photographs come: JPEG, not square."""
    pictures = []
    for seed in range(NUM_DRAWN):
        buffer = BytesIO()
        drawn = draw(KINDS[seed % 2], 1000 + seed, 2 * image_size)
        drawn.resize((3 * image_size, 2 * image_size)).save(buffer, "JPEG", quality=90)
        pictures.append(decode(buffer.getvalue(), f"drawn picture {seed}", image_size))
    return pictures
