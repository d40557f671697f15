"""What a photo may cost: limits that are checked before its pixels are decoded, the same for every command.

With them, a file takes at most 2 seconds of CPU time and 300 MB of memory. The times in this file were measured on a
slow server core (AMD EPYC) with Pillow 13. Only the first frame of an animation is decoded, so the number of frames has
no limit of its own.
"""

from collections.abc import Iterable

from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding import gif, jpeg, png
from dogvscat.photos.decoding import tiff_tags as tags

MAX_PIXELS = 50_000_000
"""Largest number of pixels that the header of a photo may declare. A pixel takes 4 bytes in Pillow's memory."""
MAX_JPEG_PIXELS = 200_000_000
"""The same for a JPEG that can be decoded at a reduced size in little memory: one whose scans have all channels."""
MAX_LOSSLESS_JPEG_PIXELS = 16_000_000
"""The same for a JPEG that is never decoded at a reduced size, and is slow to decode."""
MAX_FORMAT_PIXELS = {"WEBP": 16_000_000, "AVIF": 12_000_000, "HEIF": 25_000_000}
"""The same for formats whose libraries hold the picture several times, or need 50 ns per pixel and more."""
MAX_PARTIAL_PIXELS = 20_000_000
"""The same for an animation whose first frame covers a part of it, and is therefore copied to a canvas."""
MAX_SIDE = 65_535
"""Longest side in pixels, as in JPEG. Pillow has a pointer, and PNG a filter, for every row."""
MAX_SAMPLE_BYTES = 150_000_000
"""Largest product of pixels, channels and bytes per channel: as much as 50 megapixels of RGB."""
MAX_PICTURE_BYTES = 280_000_000
"""Most memory for a picture, its file, and what its reader holds next to them, where that is more than a few rows."""

MAX_JPEG_SEGMENTS = 1_000
"""Segments before the first scan. Pillow reads each in Python; an ICC profile and extended XMP may need hundreds."""
MAX_EXIF_SEGMENTS = 100
"""Of these, segments with EXIF data. For each of them, Pillow copies the EXIF data of all earlier ones again."""
MAX_JUNK_BYTES = 1_000_000
"""Bytes between segments, which Pillow passes over one by one."""
MAX_SCANS = 100
"""Scans of a JPEG that is decoded in several passes. Usual ones have 10, optimized ones up to 30."""
MAX_SCAN_COEFFICIENTS = 1_000_000_000
"""Largest product of scans and coefficients. Even an empty scan visits every coefficient: 0.5 to 0.7 ns each."""
MAX_COEFFICIENT_BYTES = 200_000_000
"""Most memory for the coefficients of such a JPEG, 2 bytes each."""
MAX_PROGRESSIVE_BYTES = 32 * 1024 * 1024
"""Largest file of such a JPEG: 33 ns per byte, against 8 for a baseline JPEG."""
MAX_ARITHMETIC_BYTES = 8 * 1024 * 1024
"""Largest file of a JPEG with arithmetic codes, which are decoded bit by bit."""

MAX_PNG_CHUNKS = 250
"""Chunks other than pixels. Each may unpack to a megabyte."""
MAX_PNG_DATA_CHUNKS = 50_000
"""Chunks of pixels, and frames. A file of 100 MB with the usual 8 kB per chunk has 13,000."""
MAX_GIF_BLOCKS = 20_000
"""Blocks before the first frame, which Pillow reads in Python."""
MAX_RLE_BYTES = 1_000_000
"""Largest BMP with run-length coding, which Pillow decodes in Python."""
MAX_TIFF_PAGES = 1_000
"""Directories (IFDs) in the chain of a TIFF."""
MAX_TIFF_ENTRIES = 50_000
"""Tags of all these directories, and of the directories that they point to."""
MAX_TIFF_VALUES = 300_000
"""Numbers of one tag. A tag with the places of 65,535 rows in 4 planes has 262,140."""

_RESIZE = "Make it smaller with an image editor, or export it as an ordinary JPEG."
_EXPORT = "Export it again as an ordinary JPEG with an image editor."
_NUMBERS = frozenset("HIhifdQq")
"""Letters of `struct` for numbers; a tag of single bytes is never turned into Python objects."""
_BYTES_BY_MODE = {"I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2, "I": 4, "F": 4}


def check_structure(data: bytes, path: str) -> None:
    """Refuse a file with so many parts that listing them would take long. The format is not checked here.

    Args:
        data: The whole file.
        path: The name of the photo in errors.

    Raises:
        ImageError: with code `too_large`.
    """
    if jpeg.is_jpeg(data):
        _check_segments(data, path)
    elif data.startswith(png.SIGNATURE):
        _check_chunks(data, path)
    elif data.startswith(gif.SIGNATURES):
        limit = MAX_GIF_BLOCKS
        if gif.count_blocks(data, limit) > limit:
            raise _refused(path, f"has more than {limit:,} blocks before its first frame, at most", limit, "are read")
    elif data[:2] in (b"II", b"MM"):
        _check_directories(tags.pages(data, MAX_TIFF_PAGES + 1), path)
    elif data.startswith(b"BM") and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0") and len(data) > MAX_RLE_BYTES:
        message = f"is a BMP with run-length coding of {len(data):,} bytes, at most"
        raise _refused(path, message, MAX_RLE_BYTES, "are read")


def check_cost(image: Image.Image, frame: jpeg.JpegFrame | None, num_file_bytes: int, path: str) -> None:
    """Refuse a picture that would take too long or too much memory, before it is decoded.

    Args:
        image: As Pillow has opened it.
        frame: The frame header of a JPEG.
        num_file_bytes: Size of the file.
        path: The name of the photo in errors.

    Raises:
        ImageError: with code `too_large`.
    """
    width, height = image.size
    if frame is not None:
        _check_jpeg(frame, width, height, num_file_bytes, path)
        return
    check_num_pixels(width, height, MAX_FORMAT_PIXELS.get(image.format or "", MAX_PIXELS), path)
    num_bytes = width * height * _bytes_per_pixel(image)
    if num_bytes > MAX_SAMPLE_BYTES:
        size = f"{width} x {height} pixels of {_bytes_per_pixel(image)} bytes, {num_bytes:,} in all"
        raise _refused(path, f"declares {size}; at most", MAX_SAMPLE_BYTES, "are decoded", _RESIZE)
    check_memory(bytes_in_memory(image) + num_file_bytes, path)


def check_num_pixels(width: int, height: int, max_pixels: int, path: str) -> None:
    """Refuse too many pixels, or too long a side.

    Raises:
        ImageError: with code `too_large`.
    """
    size = f"declares {width} x {height} pixels"
    if width * height > max_pixels:
        raise _refused(path, f"{size}, at most", max_pixels, "are decoded", _RESIZE)
    if max(width, height) > MAX_SIDE:
        hint = "Cut it into shorter pieces with an image editor."
        raise _refused(path, f"{size}, at most", MAX_SIDE, "along the longer side are decoded", hint)


def check_memory(num_bytes: int, path: str) -> None:
    """Refuse a picture that would take this many bytes in memory, with its file and what its reader holds.

    Raises:
        ImageError: with code `too_large`.
    """
    if num_bytes > MAX_PICTURE_BYTES:
        raise _refused(path, f"needs {num_bytes:,} bytes of memory, at most", MAX_PICTURE_BYTES, "are used", _RESIZE)


def bytes_in_memory(image: Image.Image) -> int:
    """The bytes that Pillow needs for the pixels of an image."""
    per_pixel = _BYTES_BY_MODE.get(image.mode, 1 if image.mode in ("1", "L", "P") else 4)
    return image.width * image.height * per_pixel


def check_scans(data: bytes, frame: jpeg.JpegFrame | None, path: str) -> None:
    """Refuse a JPEG with so many scans that decoding would take long. Most have a single scan and are not searched.

    Raises:
        ImageError: with code `too_large`.
    """
    if frame is None or not frame.needs_all_coefficients:
        return
    limit = min(MAX_SCANS, MAX_SCAN_COEFFICIENTS // max(1, frame.num_coefficients))
    num_scans = jpeg.count_scans(data, limit)
    if num_scans > limit:
        size = f"{frame.width} x {frame.height} pixels"
        raise _refused(path, f"has more than {limit:,} scans of {size}, at most", limit, "of this size are decoded")


def _check_segments(data: bytes, path: str) -> None:
    num_exif = num_junk_bytes = 0
    for number, segment in enumerate(jpeg.segments(data), start=1):
        num_junk_bytes += segment.num_junk_bytes
        num_exif += data.startswith(b"Exif\0", segment.position + 4)
        for count, limit, parts in (
            (number, MAX_JPEG_SEGMENTS, "segments before its first scan"),
            (num_exif, MAX_EXIF_SEGMENTS, "segments with EXIF data"),
            (num_junk_bytes, MAX_JUNK_BYTES, "bytes between its segments"),
        ):
            if count > limit:
                raise _refused(path, f"has more than {limit:,} {parts}, at most", limit, "are read")


def _check_chunks(data: bytes, path: str) -> None:
    counts = {False: 0, True: 0}
    for name in png.chunk_names(data):
        is_data = name in (b"IDAT", b"fdAT", b"fcTL")
        counts[is_data] += 1
        limit, kind = (MAX_PNG_DATA_CHUNKS, "of pixels") if is_data else (MAX_PNG_CHUNKS, "other than pixels")
        if counts[is_data] > limit:
            raise _refused(path, f"has more than {limit:,} chunks {kind}, at most", limit, "are read")


def _check_directories(pages: Iterable[tags.Directory], path: str) -> None:
    num_entries = 0
    for number, page in enumerate(pages, start=1):
        if number > MAX_TIFF_PAGES:
            limit = MAX_TIFF_PAGES
            raise _refused(path, f"has more than {limit:,} pages in its chain, at most", limit, "are read")
        for directory in (page, *tags.sub_pages(page)):
            num_entries += directory.num_entries
            if num_entries > MAX_TIFF_ENTRIES:
                limit = MAX_TIFF_ENTRIES
                raise _refused(path, f"has more than {limit:,} tags, at most", limit, "are read")
        if (count := page.most_values(_NUMBERS)) > MAX_TIFF_VALUES:
            raise _refused(path, f"has a tag with {count:,} numbers, at most", MAX_TIFF_VALUES, "are read")


def _check_jpeg(frame: jpeg.JpegFrame, width: int, height: int, num_bytes: int, path: str) -> None:
    if frame.is_lossless:
        check_num_pixels(width, height, MAX_LOSSLESS_JPEG_PIXELS, path)
    elif frame.needs_all_coefficients:
        check_num_pixels(width, height, MAX_PIXELS, path)
        if 2 * frame.num_coefficients > MAX_COEFFICIENT_BYTES:
            message = f"is progressive and needs {2 * frame.num_coefficients:,} bytes of memory, at most"
            raise _refused(path, message, MAX_COEFFICIENT_BYTES, "are used")
        _check_num_bytes("is progressive", num_bytes, MAX_PROGRESSIVE_BYTES, path)
    else:
        check_num_pixels(width, height, MAX_JPEG_PIXELS, path)
    if frame.is_arithmetic:
        _check_num_bytes("has arithmetic codes", num_bytes, MAX_ARITHMETIC_BYTES, path)


def _check_num_bytes(what: str, num_bytes: int, limit: int, path: str) -> None:
    if num_bytes > limit:
        raise _refused(path, f"{what} and has {num_bytes:,} bytes, at most", limit, "of this kind are decoded")


def _bytes_per_pixel(image: Image.Image) -> int:
    """Channels times bytes per channel, as the file stores them."""
    tile = getattr(image, "tile", None)
    arguments = tile[0].args if tile else ""
    raw_mode = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    depth = 2 if ";16" in str(raw_mode) else 1  # Pillow narrows the channels of RGB and RGBA to 8 bits
    return _BYTES_BY_MODE.get(image.mode, depth * len(image.getbands()))


def _refused(path: str, message: str, limit: int, are_used: str, hint: str = _EXPORT) -> ImageError:
    return ImageError(path, "too_large", f"{message} {limit:,} {are_used}", hint=hint)
