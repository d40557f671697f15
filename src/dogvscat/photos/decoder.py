"""The only code that turns a photo into pixels. Training, audit, prediction and service all go through `decode`.

What it promises: the content decides the format, never the name; only allow-listed formats are opened; the header
is checked and the pixel count capped before anything is decoded; EXIF orientation is applied, transparency is laid on
white, every mode becomes RGB, of an animation the first frame counts; every failure is one `ImageError` with the path.
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
from PIL import Image, features

from dogvscat.errors import ImageError

Result = TypeVar("Result")

DECODER_VERSION = 1
"""Raise it when the same file gives other pixels: cached pictures of older versions are then not used."""

MAX_PIXELS = 50_000_000
MAX_FILE_BYTES = 100 * 1024 * 1024
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else []))
PHOTO_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif"]
    # HEIC is not read, but named with advice instead of passed over.
).union([".heic", ".heif"])

# Pillow warns about odd metadata and about sizes that MAX_PIXELS refuses anyway; what a photo is worth is decided here.
warnings.filterwarnings("ignore", module=r"PIL\..*")

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
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class Picture(NamedTuple):
    """A decoded photo and what its header said."""

    pixels: np.ndarray
    """uint8 (image_size, image_size, 3), RGB."""
    width: int
    """Width as seen, after EXIF orientation, in pixels."""
    height: int
    """Height as seen, in pixels."""
    mode: str
    """Pillow's name of the pixel type in the file, such as RGB, CMYK, P or I;16."""


def decode(data: bytes, path: str, image_size: int) -> np.ndarray:
    """The photo's pixels, squashed to a square.

    Args:
        data: The whole file.
        path: What to call it in errors.
        image_size: Side of the square, in pixels.

    Returns:
        uint8 (image_size, image_size, 3), RGB.

    Raises:
        ImageError: with code `empty`, `unreadable`, `unsupported_format` or `too_large`.
    """
    return examine(data, path, image_size).pixels


def decode_photo(path: Path, image_size: int) -> np.ndarray:
    """As `decode`, reading the file.

    Raises:
        ImageError: as `decode`, or with code `not_found` or `permission`.
    """
    return decode(read_photo(path), str(path), image_size)


def read_photo(path: Path) -> bytes:
    """The bytes of a photo file, checked for size before it is read.

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
        raise ImageError(str(path), "permission", "may not be read by this user") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise ImageError(str(path), "unreadable", f"cannot be read: {error}") from None


def decode_to_show(data: bytes, path: str, longest_side: int) -> np.ndarray:
    """The photo for people to look at: its aspect kept, never enlarged.

    Args:
        data: The whole file.
        path: What to call it in errors.
        longest_side: Of the result, at most, in pixels.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: as `decode`.
    """
    return _opened(data, path, lambda image: np.asarray(_upright(image, path, _fitting(image, longest_side))[0]))


def _fitting(image: Image.Image, longest_side: int) -> tuple[int, int]:
    scale = min(1.0, longest_side / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def decode_image(image: Image.Image, path: str, image_size: int) -> np.ndarray:
    """As `decode`, for a picture that is open in Pillow.

    One that was opened and not read yet gives the same pixels as its file. A JPEG that was read in full is scaled down
    from full size, which the file never is, and may differ by some levels.
    """
    with _errors_named(path):
        _check_size(image, path)
        with _LOADING:  # two threads may hold the same picture
            unread = _unread_jpeg(image)
            if unread is None:
                image.load()
        return decode(unread, path, image_size) if unread is not None else _render(image, path, image_size).pixels


def decode_array(array: np.ndarray, path: str, image_size: int) -> np.ndarray:
    """As `decode`, for pixels uint8 (height, width, 3), RGB.

    Raises:
        ImageError: with code `unsupported_format` for any other array, or `too_large`.
    """
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        received = f"is an array of {array.dtype} {array.shape}, expected uint8 (height, width, 3)"
        raise ImageError(path, "unsupported_format", received)
    return decode_image(Image.fromarray(np.ascontiguousarray(array)), path, image_size)


def examine(data: bytes, path: str, image_size: int) -> Picture:
    """As `decode`, with width, height and mode as well."""
    return _opened(data, path, lambda image: _render(image, path, image_size))


def _opened(data: bytes, path: str, render: Callable[[Image.Image], Result]) -> Result:
    if not data:
        raise ImageError(path, "empty", "the file is empty")
    with _errors_named(path):
        try:
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                return render(image)
        except Image.UnidentifiedImageError:
            raise _not_a_photo(data, path) from None


@contextmanager
def _errors_named(path: str) -> Iterator[None]:
    """Turn whatever Pillow raises inside the block into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(path, "too_large", f"declares far too many pixels: {error}") from None
    except MemoryError:
        raise ImageError(path, "too_large", "needs more memory than there is") from None
    except Exception as error:  # malformed files make Pillow raise many kinds: ValueError, SyntaxError, struct.error
        reason = str(error) or type(error).__name__
        raise ImageError(path, "unreadable", f"is damaged: {reason}") from None


def _unread_jpeg(image: Image.Image) -> bytes | None:
    """The file of a JPEG that Pillow has opened and not read yet; where it stands in the file does not change."""
    file = getattr(image, "fp", None)
    if image.format != "JPEG" or not getattr(image, "tile", None) or file is None:
        return None
    place = file.tell()
    file.seek(0)
    data: bytes = file.read()
    file.seek(place)
    return data


def _check_size(image: Image.Image, path: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(path, "too_large", f"declares {width} x {height} pixels, at most {MAX_PIXELS:,} are decoded")


def _render(image: Image.Image, path: str, image_size: int) -> Picture:
    mode = image.mode
    rgb, width, height = _upright(image, path, (image_size, image_size))
    return Picture(np.asarray(rgb), width, height, mode)  # (image_size, image_size, 3)


def _upright(image: Image.Image, path: str, size: tuple[int, int]) -> tuple[Image.Image, int, int]:
    """The picture in RGB as it is seen, stretched to `size` before it is turned; and its own width and height."""
    _check_size(image, path)
    width, height = image.size
    draft = image.draft("RGB", size)  # JPEG only: decode at 1/2, 1/4 or 1/8, never below the size wanted
    box = draft[1] if draft else None  # 375 rows at 1/2 become 188, of which the last is half beyond the edge
    image.load()
    orientation = _orientation(image)  # only now: loading a TIFF turns it, and sets this back to 1
    rgb = _to_rgb(image).resize(size, Image.Resampling.BILINEAR, box)  # antialiased by Pillow
    if orientation in _TRANSPOSE:
        rgb = rgb.transpose(_TRANSPOSE[orientation])
    if orientation >= 5:
        width, height = height, width
    return rgb, width, height


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF must not cost a good picture
        return 1
    return orientation if orientation in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency on white, 16 and 32 bits scaled to 8."""
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits; Pillow's own conversion would clip it at 255.

    White is 65535 for whole numbers, whatever the picture holds: a dark one stays dark. For fractions white is 1, or
    255 if any is above 1. What lies outside is clipped; what is no number is black.
    """
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)  # (height, width)
    white = 65535.0 if image.mode != "F" else 255.0 if grey.max(initial=0.0) > 1.0 else 1.0
    scaled = np.clip(grey / white, 0.0, 1.0) * 255.0
    return Image.fromarray((scaled + 0.5).astype(np.uint8)).convert("RGB")


def _not_a_photo(data: bytes, path: str) -> ImageError:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        hint = "Convert it to JPEG first; iPhones do so with Settings > Camera > Formats > Most Compatible."
        return ImageError(path, "unsupported_format", "is a HEIC picture, which is not read", hint=hint)
    hint = f"Photos may be {', '.join(FORMATS)}."
    if data.startswith(b"PK\x03\x04"):
        hint = "It is an archive: unpack it first, and name the folder."
    return ImageError(path, "unsupported_format", "is not a picture of a known format", hint=hint)
