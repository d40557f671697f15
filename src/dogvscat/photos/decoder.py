"""The only code that turns a photo into pixels. Training, audit, prediction and service all go through `decode`.

What it promises: the content decides the format, never the name; only the formats of a short list are opened; the
header is checked and the number of pixels limited before anything is decoded; EXIF orientation is applied, transparent
parts become white, every mode becomes RGB; the first frame of an animation is used; every failure is an `ImageError`
with the path.
"""

import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from dogvscat.errors import ImageError

Result = TypeVar("Result")

DECODER_VERSION = 1
"""To be raised when the same file gives other pixels: the caches of older versions are then ignored."""

MAX_PIXELS = 50_000_000
"""Largest number of pixels that the header of a photo may declare."""
MAX_FILE_BYTES = 100 * 1024 * 1024
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else []))
PHOTO_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif"]
    # HEIC cannot be read, but such a file gets an error with advice instead of being skipped silently.
).union([".heic", ".heif"])

# Pillow warns about odd metadata, which does no harm, and about sizes that MAX_PIXELS refuses anyway.
warnings.filterwarnings("ignore", module=r"PIL\..*")

# How to turn the stored image upright, by EXIF orientation; 1 is upright already (EXIF 2.32, tag 0x0112).
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112
_LOADING = threading.Lock()
# The brands that follow `ftyp` in HEIC files: ISO/IEC 23008-12, and MIAF.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class DecodedPhoto(NamedTuple):
    """The pixels of a photo and the facts in its header."""

    pixels: np.ndarray
    """uint8 (image_size, image_size, 3), RGB."""
    width: int
    """Width after EXIF orientation, in pixels."""
    height: int
    """Height after EXIF orientation, in pixels."""
    mode: str
    """Pillow's name of the pixel type in the file, such as RGB, CMYK, P or I;16."""


def decode(data: bytes, path: str, image_size: int) -> np.ndarray:
    """The photo's pixels, squashed to a square without regard to its aspect ratio.

    Args:
        data: The whole file.
        path: The name of the photo in errors.
        image_size: Side of the square, in pixels.

    Returns:
        uint8 (image_size, image_size, 3), RGB.

    Raises:
        ImageError: with code `empty`, `unreadable`, `unsupported_format` or `too_large`.
    """
    return decode_with_facts(data, path, image_size).pixels


def decode_photo(path: Path, image_size: int) -> np.ndarray:
    """Like `decode`, for a file.

    Raises:
        ImageError: as in `decode`, or with code `not_found` or `permission`.
    """
    return decode(read_photo(path), str(path), image_size)


def read_photo(path: Path) -> bytes:
    """The bytes of a photo file; its size is checked before it is read.

    Raises:
        ImageError: with code `not_found`, `permission`, `too_large` or `unreadable`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device could wait for ever
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "pipe or a device"
            raise ImageError(str(path), "unreadable", f"is a {kind}, expected a photo")
        num_bytes = status.st_size
        if num_bytes > MAX_FILE_BYTES:
            raise ImageError(str(path), "too_large", f"has {num_bytes:,} bytes, at most {MAX_FILE_BYTES:,} are read")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(str(path), "not_found", "there is no such file") from None
    except PermissionError:
        raise ImageError(str(path), "permission", "cannot be read: this user has no permission") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise ImageError(str(path), "unreadable", f"cannot be read: {error}") from None


def decode_for_display(data: bytes, path: str, longest_side: int) -> np.ndarray:
    """The photo for people to look at: with its aspect ratio, and never enlarged.

    Args:
        data: The whole file.
        path: The name of the photo in errors.
        longest_side: Largest number of pixels along the longer side of the result.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: as in `decode`.
    """
    return _open_and_render(
        data, path, lambda image: np.asarray(_resize_upright(image, path, _fitting_size(image, longest_side))[0])
    )


def _fitting_size(image: Image.Image, longest_side: int) -> tuple[int, int]:
    scale = min(1.0, longest_side / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def decode_image(image: Image.Image, path: str, image_size: int) -> np.ndarray:
    """Like `decode`, for an image that is open in Pillow.

    If Pillow has opened the image but not read its pixels yet, the result is the same as for its file. A JPEG whose
    pixels were read at full size may differ by a few grey levels, because a file is decoded at a reduced size.
    """
    with _as_image_errors(path):
        _check_size(image, path)
        with _LOADING:  # two threads may hold the same image
            unread_file = _unread_jpeg(image)
            if unread_file is None:
                image.load()
        # Draft mode would change the caller's image, so an unread JPEG is decoded from its bytes instead.
        if unread_file is not None:
            return decode(unread_file, path, image_size)
        return _render(image, path, image_size).pixels


def decode_array(array: np.ndarray, path: str, image_size: int) -> np.ndarray:
    """Like `decode`, for pixels uint8 (height, width, 3), RGB.

    Raises:
        ImageError: with code `unsupported_format` for any other array, or `too_large`.
    """
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        received = f"is an array of {array.dtype} {array.shape}, expected uint8 (height, width, 3)"
        raise ImageError(path, "unsupported_format", received)
    return decode_image(Image.fromarray(np.ascontiguousarray(array)), path, image_size)


def decode_with_facts(data: bytes, path: str, image_size: int) -> DecodedPhoto:
    """Like `decode`, and the photo's width, height and mode as well."""
    return _open_and_render(data, path, lambda image: _render(image, path, image_size))


def _open_and_render(data: bytes, path: str, render: Callable[[Image.Image], Result]) -> Result:
    if not data:
        raise ImageError(path, "empty", "the file is empty")
    with _as_image_errors(path):
        try:
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                return render(image)
        except UnidentifiedImageError:
            raise _unknown_format(data, path) from None


@contextmanager
def _as_image_errors(path: str) -> Iterator[None]:
    """Turn whatever Pillow raises inside the block into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(path, "too_large", f"declares far too many pixels: {error}") from None
    except MemoryError:
        raise ImageError(path, "too_large", "needs more memory than is available") from None
    except Exception as error:  # malformed files make Pillow raise many kinds: ValueError, SyntaxError, struct.error
        reason = str(error) or type(error).__name__
        raise ImageError(path, "unreadable", f"is damaged: {reason}") from None


def _unread_jpeg(image: Image.Image) -> bytes | None:
    """The bytes of a JPEG whose pixels Pillow has not read yet, else None. The position in its file is restored."""
    file = getattr(image, "fp", None)
    # Pillow empties `tile`, its list of what is still to be decoded, when the pixels have been read.
    if image.format != "JPEG" or not getattr(image, "tile", None) or file is None:
        return None
    position = file.tell()
    file.seek(0)
    data: bytes = file.read()
    file.seek(position)
    return data


def _check_size(image: Image.Image, path: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(path, "too_large", f"declares {width} x {height} pixels, at most {MAX_PIXELS:,} are decoded")


def _render(image: Image.Image, path: str, image_size: int) -> DecodedPhoto:
    mode = image.mode
    rgb, width, height = _resize_upright(image, path, (image_size, image_size))
    return DecodedPhoto(np.asarray(rgb), width, height, mode)  # (image_size, image_size, 3)


def _resize_upright(image: Image.Image, path: str, size: tuple[int, int]) -> tuple[Image.Image, int, int]:
    """The image in RGB, stretched to `size` and then turned upright; and its original upright width and height."""
    _check_size(image, path)
    width, height = image.size
    # JPEG only: decode at 1/2, 1/4 or 1/8 of the size, but never below `size`. The JPEG library then skips most of the
    # inverse cosine transform, and decoding takes a fraction of the time.
    draft = image.draft("RGB", size)
    # The scaled size is rounded up: 375 rows at 1/2 become 188, and half of the last row lies outside the photo. The
    # box is the exact part of the scaled image, here 187.5 rows, that the photo covers.
    box = draft[1] if draft else None
    image.load()
    orientation = _orientation(image)  # read after loading: Pillow turns a TIFF itself and sets this back to 1
    rgb = _to_rgb(image).resize(size, Image.Resampling.BILINEAR, box)  # antialiased by Pillow
    if orientation in _TRANSPOSE:
        rgb = rgb.transpose(_TRANSPOSE[orientation])
    if orientation >= 5:  # these four turn by a quarter
        width, height = height, width
    return rgb, width, height


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a photo with broken EXIF data is still a good photo
        return 1
    return orientation if orientation in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency over white, 16 and 32 bits scaled to 8."""
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_rgb(image)
    # Also a palette or an RGB file that marks one color as transparent. A plain convert("RGB") would drop the alpha
    # channel and uncover whatever color the file stores under the transparent pixels.
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits; Pillow's own conversion would clip it at 255.

    For integers white is 65535, whatever values occur, so that a dark image stays dark. For floats white is 1, or 255
    if any value is above 1. Values outside the range are clipped; NaN and infinity become black.
    """
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)  # (height, width)
    white = 65535.0 if image.mode != "F" else 255.0 if grey.max(initial=0.0) > 1.0 else 1.0
    scaled = np.clip(grey / white, 0.0, 1.0) * 255.0
    return Image.fromarray((scaled + 0.5).astype(np.uint8)).convert("RGB")  # + 0.5 rounds


def _unknown_format(data: bytes, path: str) -> ImageError:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        hint = "Convert it to JPEG first; iPhones do so with Settings > Camera > Formats > Most Compatible."
        return ImageError(path, "unsupported_format", "is a HEIC picture, which cannot be read", hint=hint)
    hint = f"Photos may be {', '.join(FORMATS)}."
    if data.startswith(b"PK\x03\x04"):
        hint = "It is an archive: unpack it first, and give the folder."
    return ImageError(path, "unsupported_format", "is not a picture of a known format", hint=hint)
