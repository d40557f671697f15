"""Converts gray of more than 8 bits to 8 bits, by what the file declares: never inverted, never black without reason.

Pillow's own conversion would clip everything above 255. Large photos are converted in bands of rows, because their
floating-point values need several times the memory of their pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dogvscat.errors import ImageError

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Values of TIFF's SampleFormat."""

_BAND_PIXELS = 1_000_000
_SAMPLE_PIXELS = 500_000
_FLOAT_WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0, 4294967295.0)
"""Floating-point pictures that are not 0..1 mostly hold integers of one of the usual widths."""
_USUAL_BITS = (8, 10, 12, 14, 16)
_BLACK = 12
"""A picture whose largest value is below 1/12 of white would look black."""
_OVERSHOOT = 0.05
"""Sharpening puts some values this far outside the range; they are clipped."""


@dataclass(frozen=True)
class GraySamples:
    """What a file declares about its samples."""

    bits: int = 16
    kind: int = UNSIGNED
    white_is_zero: bool = False
    transparent: int | None = None
    """The sample that stands for transparency."""
    significant_bits: int | None = None
    """PNG's sBIT: how many of the bits come from the camera."""
    smallest: float | None = None
    """TIFF's SMinSampleValue."""
    largest: float | None = None
    """TIFF's SMaxSampleValue."""


def samples_of(image: Image.Image) -> GraySamples:
    """What is known of a deep gray image in memory from its mode."""
    transparent = image.info.get("transparency")
    transparent = transparent if isinstance(transparent, int) else None
    match image.mode:
        case "F":
            return GraySamples(32, FLOAT)
        case "I":
            return GraySamples(32, SIGNED, transparent=transparent)
    return GraySamples(16, UNSIGNED, transparent=transparent)


def is_deep_gray(image: Image.Image) -> bool:
    """Whether the image has one channel of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def converter(image: Image.Image, samples: GraySamples, path: str) -> Callable[[Image.Image], Image.Image]:
    """A function that turns rows of a deep gray image into mode L, or into LA if a sample stands for transparency.

    Args:
        image: The whole image, of mode I, I;16, I;16B or F: black and white are chosen by the values of all rows.
        samples: What its file declares.
        path: The name of the photo in errors.

    Raises:
        ImageError: with code `unsupported_format`, if the picture would be black by what its file declares.
    """
    values = _sample(image, samples)
    black, white = _range(values, samples)
    # Samples of 8, 16, 32 or 64 bits often hold fewer significant bits, and `_range` takes that into account. Any other
    # width is taken as declared: values that are too small for it are a mistake of the program that wrote the file.
    is_whole = samples.bits in (8, 16, 32, 64)
    if not is_whole and values.min() < values.max() < black + (white - black) / _BLACK:
        message = f"would be black: its largest gray value is {values.max():,.0f}, and white is {white:,.0f}"
        raise ImageError(path, "unsupported_format", message, hint="Save it again with 8 or 16 bits per channel.")

    def convert(rows: Image.Image) -> Image.Image:
        values = _values(rows, samples)  # (num_rows, width)
        if values.dtype.itemsize == 2:  # a table of all values is faster
            table = _levels(np.arange(65536), black, white, samples.white_is_zero)
            gray = Image.fromarray(table[values])
        else:
            gray = Image.fromarray(_levels(values, black, white, samples.white_is_zero))
        if samples.transparent is None:
            return gray
        alpha = Image.fromarray(np.where(values == samples.transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (gray, alpha))

    return convert


def _levels(values: np.ndarray, black: float, white: float, white_is_zero: bool) -> np.ndarray:
    """Values as gray levels: uint8, 0 for black and 255 for white."""
    levels = values.astype(np.float64)
    levels -= black
    levels /= white - black
    np.clip(levels, 0.0, 1.0, out=levels)
    if white_is_zero:
        np.subtract(1.0, levels, out=levels)
    if values.dtype.kind == "f":  # NaN and infinity become black
        levels[~np.isfinite(values)] = 0.0
    levels *= 255.0
    levels += 0.5
    return levels.astype(np.uint8)


def _values(rows: Image.Image, samples: GraySamples) -> np.ndarray:
    """The samples of some rows, (num_rows, width)."""
    values = np.asarray(rows)
    if samples.kind == UNSIGNED and values.dtype == np.int32:
        return values.view(np.uint32)  # Pillow's mode I has a sign, the file has not
    return values


def _sample(image: Image.Image, samples: GraySamples) -> np.ndarray:
    """Finite values from all over the image, float64 (num_values,); of integers also the extremes of each band."""
    step = max(1, image.width * image.height // _SAMPLE_PIXELS)
    parts = []
    num_rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, num_rows):
        values = _values(image.crop((0, top, image.width, min(image.height, top + num_rows))), samples).ravel()
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        parts.append(finite[::step].astype(np.float64))
        if finite.size and samples.kind != FLOAT:
            parts.append(np.array([finite.min(), finite.max()], np.float64))
    return np.concatenate(parts)


def _range(values: np.ndarray, samples: GraySamples) -> tuple[float, float]:
    """The values of black and white, or of white and black in a file in which white is 0."""
    if not values.size:
        return 0.0, 1.0
    if samples.kind == FLOAT:
        return _float_range(values, samples)
    largest, smallest = float(values.max()), float(values.min())
    if samples.kind == SIGNED:
        return _signed_range(smallest, largest, samples.bits)
    if samples.significant_bits and largest < 2**samples.significant_bits:
        return 0.0, 2.0**samples.significant_bits - 1
    # Integers of 32 bits mostly hold 16 bits, and many cameras put 10 or 12 bits into 16 without declaring it. If the
    # brightest value is below 1/16 of white, the picture would be black: the next usual number of bits is taken.
    declared = 16 if samples.bits == 32 and largest <= 65535 else samples.bits
    if samples.bits in (16, 32, 64) and largest > smallest and largest < 2 ** (declared - 4):
        declared = next(bits for bits in (*_USUAL_BITS, declared) if largest < 2**bits)
    return 0.0, 2.0**declared - 1


def _signed_range(smallest: float, largest: float, bits: int) -> tuple[float, float]:
    if bits == 32 and smallest >= -65535 and largest <= 65535:  # Pillow and others write 16 bits this way
        return 0.0, 65535.0
    half = 2.0 ** (bits - 1)
    if smallest < -half * _OVERSHOOT:  # the scene lies around 0
        return -half, half - 1
    return 0.0, half - 1


def _float_range(values: np.ndarray, samples: GraySamples) -> tuple[float, float]:
    low, high = (float(limit) for limit in np.percentile(values, (1, 99)))
    if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return 0.0, 1.0
    if samples.smallest is not None and samples.largest is not None and samples.smallest < samples.largest:
        return samples.smallest, samples.largest
    if low == high or (low >= 0 and high <= 256):
        return 0.0, 255.0
    # Numbers that do not come near 0, such as temperatures, get their own range at the end.
    if -_OVERSHOOT * high <= low <= high / 2:
        for white in _FLOAT_WHITES:
            if high <= white * (1 + _OVERSHOOT / 10):
                return 0.0, white
    if low >= -1 - _OVERSHOOT and high <= 1 + _OVERSHOOT:
        return -1.0, 1.0
    low, high = (float(limit) for limit in np.percentile(values, (0.1, 99.9)))
    return (low, high) if low < high else (low, low + 1.0)
