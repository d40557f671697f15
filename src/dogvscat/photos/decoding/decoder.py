"""The only code that turns a photo into pixels. Training, audit, prediction and service all go through `decode`.

What it promises: the content decides the format, never the name; only the formats of a short list are opened; the
header is checked and the cost limited (`budget.py`) before anything is decoded; the photo is turned upright,
transparent parts become white, colors become sRGB, every mode becomes RGB; the first frame of an animation is used;
every failure is an `ImageError` with the path. `opening.py` chooses the picture inside a file.
"""

import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.budget import MAX_JPEG_PIXELS, MAX_PIXELS, check_cost, check_num_pixels
from dogvscat.photos.decoding.opening import (
    FORMATS,
    Picture,
    is_readable_here,
    load_pixels,
    open_picture,
    picture_in_memory,
)
from dogvscat.photos.decoding.orientation import orientation_of, turn_upright
from dogvscat.photos.decoding.rgb import resize_to_rgb

__all__ = [
    "DECODER_VERSION",
    "FORMATS",
    "MAX_FILE_BYTES",
    "MAX_JPEG_PIXELS",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "DecodedPhoto",
    "decode",
    "decode_array",
    "decode_for_display",
    "decode_image",
    "decode_photo",
    "decode_with_facts",
    "read_photo",
]

Result = TypeVar("Result")

DECODER_VERSION = 2
"""Increase this number when the same file gives other pixels; caches of older versions are then ignored."""

MAX_FILE_BYTES = 100 * 1024 * 1024
PHOTO_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif"]
    # Not all of these can be read, but such a file gets an error with advice instead of being skipped silently.
).union([".heic", ".heif", ".hif", ".mpo", ".jxl", ".jp2", ".j2k", ".jpf", ".jls", ".jxr"])

# Pillow warns about odd metadata, which does no harm, and about sizes that MAX_PIXELS refuses anyway.
warnings.filterwarnings("ignore", module=r"PIL\..*")

_LOADING = threading.Lock()


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
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device could wait forever
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
        data,
        path,
        lambda picture: np.asarray(_resize_upright(picture, path, _fitting_size(picture.image, longest_side))[0]),
    )


def _fitting_size(image: Image.Image, longest_side: int) -> tuple[int, int]:
    scale = min(1.0, longest_side / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def decode_image(image: Image.Image, path: str, image_size: int) -> np.ndarray:
    """Like `decode`, for an image that is open in Pillow.

    If Pillow has opened the image but not read its pixels yet, the result is the same as for its file. A JPEG whose
    pixels were read at full size may differ by a few gray levels, because a file is decoded at a reduced size.
    """
    with _as_image_errors(path):
        with _LOADING:  # two threads may hold the same image
            unread_file = _unread_file(image)
            if unread_file is None:
                check_num_pixels(*image.size, MAX_PIXELS, path)
                image.load()
        # Draft mode would change the caller's image, so an unread file is decoded from its bytes instead.
        if unread_file is not None:
            return decode(unread_file, path, image_size)
        return _render(picture_in_memory(image), path, image_size).pixels


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
    return _open_and_render(data, path, lambda picture: _render(picture, path, image_size))


def _open_and_render(data: bytes, path: str, render: Callable[[Picture], Result]) -> Result:
    if not data:
        raise ImageError(path, "empty", "the file is empty")
    with _as_image_errors(path):
        picture = open_picture(data, path)
        with picture.image:
            return render(picture)


@contextmanager
def _as_image_errors(path: str) -> Iterator[None]:
    """Turn whatever Pillow raises inside the block into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(path, "too_large", f"declares far too many pixels: {error}") from None
    except MemoryError as error:  # stays as the cause: a decoder process sees it there, and ends
        raise ImageError(path, "too_large", "needs more memory than is available") from error
    except Exception as error:  # malformed files make Pillow raise many kinds: ValueError, SyntaxError, struct.error
        reason = str(error) or type(error).__name__
        raise ImageError(path, "unreadable", f"is damaged: {reason}") from None


def _unread_file(image: Image.Image) -> bytes | None:
    """The bytes of a file whose pixels Pillow has not read yet, else None. The position in the file is restored."""
    file = getattr(image, "fp", None)
    # Pillow empties `tile`, its list of what is still to be decoded, when the pixels have been read. WebP has none.
    if not is_readable_here(image) or not getattr(image, "tile", None) or file is None or image.tell() != 0:
        return None
    position = file.tell()
    file.seek(0)
    data: bytes = file.read()
    file.seek(position)
    return data


def _render(picture: Picture, path: str, image_size: int) -> DecodedPhoto:
    mode = picture.image.mode
    rgb, width, height = _resize_upright(picture, path, (image_size, image_size))
    return DecodedPhoto(np.asarray(rgb), width, height, mode)  # (image_size, image_size, 3)


def _resize_upright(picture: Picture, path: str, size: tuple[int, int]) -> tuple[Image.Image, int, int]:
    """The picture in RGB, stretched to `size` and then turned upright; and its original upright width and height."""
    image = picture.image
    check_cost(image, picture.frame, picture.num_bytes, path)
    width, height = image.size
    box = None
    if image.format in ("JPEG", "MPO") and not (picture.frame and picture.frame.is_lossless):
        # Decode at 1/2, 1/4 or 1/8 of the size, but never below `size`. The JPEG library then skips most of the
        # inverse cosine transform, and decoding takes a fraction of the time.
        draft = image.draft("RGB", size)
        # The scaled size is rounded up: 375 rows at 1/2 become 188, and half of the last row lies outside the photo.
        # The box is the exact part of the scaled image, here 187.5 rows, that the photo covers.
        box = draft[1] if draft else None
        check_num_pixels(*image.size, MAX_PIXELS, path)  # an extremely long photo is hardly reduced
    load_pixels(picture, path)
    # PNG's EXIF data may come after the pixels.
    orientation = picture.orientation or orientation_of(image)
    rgb = turn_upright(resize_to_rgb(picture, size, box, path), orientation)
    if orientation >= 5:  # these four turn by a quarter
        width, height = height, width
    return rgb, width, height
