"""From a decoded picture of any mode to RGB of the wanted size, transparency over white and colors in sRGB.

Large pictures are converted in bands of rows, because each step of a conversion takes as much memory as the picture.
The pixels are the same: Pillow resizes rows before columns, and rows do not depend on each other.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from PIL import Image

from dogvscat.photos.decoding import gray
from dogvscat.photos.decoding.color import lab_to_srgb, to_srgb
from dogvscat.photos.decoding.opening import Picture

_BAND_PIXELS = 1_000_000
_BILINEAR = Image.Resampling.BILINEAR  # antialiased where a picture becomes smaller

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""
ToRgb = Callable[[Image.Image], Image.Image]
"""From some rows of a picture to the same rows in RGB."""


def resize_to_rgb(picture: Picture, size: tuple[int, int], box: Box | None, path: str) -> Image.Image:
    """The picture in RGB, stretched to a size.

    Args:
        picture: With its pixels decoded.
        size: Width and height of the result.
        box: The part of the picture that is used, None for all of it.
        path: The name of the photo in errors.

    Raises:
        ImageError: with code `unsupported_format`, if it would be black by what its file declares.
    """
    image, to_rgb = picture.image, _converter(picture, path)
    left, top, right, bottom = box or (0, 0, *image.size)
    narrow = Image.new("RGB", (size[0], image.height))  # already of the width of the result
    position = 0
    for band in _bands(image):
        rows = to_rgb(band)
        if band is image:
            return rows.resize(size, _BILINEAR, box)
        narrow.paste(rows.resize((size[0], band.height), _BILINEAR, (left, 0, right, band.height)), (0, position))
        position += band.height
    return narrow.resize(size, _BILINEAR, (0, top, size[0], bottom))


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    """The rows of an image in order, a band at a time; a small image itself."""
    num_rows = max(1, _BAND_PIXELS // image.width)
    if image.height <= num_rows:
        yield image
        return
    for top in range(0, image.height, num_rows):
        yield image.crop((0, top, image.width, min(top + num_rows, image.height)))


def _converter(picture: Picture, path: str) -> ToRgb:
    image, profile = picture.image, picture.profile
    if image.mode == "LAB":
        return lab_to_srgb
    if not gray.is_deep_gray(image):
        # Also a palette or an RGB file that marks one color as transparent. A plain convert("RGB") would drop the alpha
        # channel and uncover whatever color the file stores under the transparent pixels.
        is_transparent = image.has_transparency_data and not _has_unused_alpha(_bands(image))
        return lambda band: _to_srgb(band, profile, is_transparent)
    to_8_bits = gray.converter(image, picture.gray, path)
    is_transparent = picture.gray.transparent is not None and not _has_unused_alpha(map(to_8_bits, _bands(image)))
    return lambda band: _to_srgb(to_8_bits(band), profile, is_transparent)


def _to_srgb(image: Image.Image, profile: bytes | None, is_transparent: bool) -> Image.Image:
    if is_transparent:
        return _over_white(image, profile)
    if image.has_transparency_data:
        return _colors(image, profile)
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    image = to_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image, profile: bytes | None) -> Image.Image:
    colors, alpha = _colors(image, profile), _rgba(image).getchannel("A")
    if alpha.getextrema() == (255, 255):
        return colors
    colors.putalpha(alpha)
    white = Image.new("RGBA", colors.size, "white")
    return Image.alpha_composite(white, colors).convert("RGB")


def _colors(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colors of an image with transparent parts, as if they were not transparent; RGB in sRGB."""
    is_gray = image.mode in ("1", "L", "LA", "La")
    colors = _rgba(image).getchannel("R") if is_gray else _rgba(image).convert("RGB")
    return to_srgb(colors, profile).convert("RGB")


def _rgba(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _has_unused_alpha(bands: Iterable[Image.Image]) -> bool:
    """Whether an alpha channel is 0 everywhere: some programs write an alpha channel and never fill it.

    It counts as used if the colors behind it are all the same.
    """
    extremes: set[tuple[tuple[int, int], ...]] = set()
    for band in bands:
        channels: Any = _rgba(band).getextrema()  # smallest and largest value of each
        *colors, (_, most_opaque) = channels
        if most_opaque:
            return False
        extremes.add(tuple(colors))
    return len(extremes) > 1 or any(low != high for colors in extremes for low, high in colors)
