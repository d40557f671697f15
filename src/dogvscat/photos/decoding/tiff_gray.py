"""TIFF files that Pillow cannot open or misreads: gray of 9 to 64 bits or of signed bytes, and planes of 16 bits.

Pillow decompresses the bytes, as if they were an 8-bit picture with more columns; NumPy combines them into samples.
Source: TIFF 6.0, sections 3, 8, 14 and 15.
"""

from io import BytesIO

import numpy as np
from PIL import Image

from dogvscat.photos.decoding import budget
from dogvscat.photos.decoding import tiff_tags as tags
from dogvscat.photos.decoding.gray import FLOAT, SIGNED, UNSIGNED, GraySamples
from dogvscat.photos.decoding.tiff_tags import Directory

_PLAIN, _HORIZONTAL = 1, 2  # kinds of predictor
_UNCOMPRESSED, _PLANAR = 1, 2
_WHOLE_BITS = (8, 16, 32, 64)
_BYTE_COMPRESSIONS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""None, LZW, deflate, PackBits, LZMA and Zstandard: these compress bytes, whatever the width of the samples."""
_BAND_BITS = 32_000_000


def declared_samples(page: Directory) -> GraySamples:
    """What a page says about its samples."""
    smallest, largest = page.values(tags.SMALLEST, 1), page.values(tags.LARGEST, 1)
    return GraySamples(
        page.number(tags.BITS_PER_SAMPLE, 1),
        page.number(tags.SAMPLE_FORMAT, UNSIGNED),
        page.number(tags.PHOTOMETRIC, 1) == 0,
        smallest=smallest[0] if smallest else None,
        largest=largest[0] if largest else None,
    )


def is_misread(page: Directory, image: Image.Image) -> bool:
    """Whether Pillow opens a gray page but misreads its samples.

    Pillow swaps the bytes of samples that libtiff has swapped already, and takes signed bytes for unsigned ones.
    """
    is_compressed = page.number(tags.COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED
    is_swapped_twice = page.order == ">" and image.mode in ("I", "F") and is_compressed
    return is_swapped_twice or (image.mode == "L" and page.number(tags.SAMPLE_FORMAT) == SIGNED)


def has_misread_planes(page: Directory) -> bool:
    """Whether a page stores its channels one after the other in a way that Pillow reads as if each had 8 bits."""
    return (
        page.number(tags.PLANAR_CONFIGURATION) == _PLANAR
        and page.number(tags.COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
        and page.number(tags.BITS_PER_SAMPLE, 1) == 16
        and page.number(tags.SAMPLES_PER_PIXEL, 1) > 1
    )


def read_planes(page: Directory, image: Image.Image) -> Image.Image | None:
    """A page as in `has_misread_planes`.

    Args:
        page: The page.
        image: As Pillow has opened it, not decoded.

    Returns:
        The image with 8 bits per channel, or None if this reader does not read the page. Pillow's errors pass through.
    """
    num_planes = page.number(tags.SAMPLES_PER_PIXEL)
    if len(image.getbands()) > num_planes or image.mode not in ("RGB", "RGBA", "CMYK"):
        return None
    planes = []
    for plane in range(len(image.getbands())):
        with Image.open(BytesIO(_as_bytes_picture(page, 16, plane, num_planes)), formats=["TIFF"]) as gray:
            rows: np.ndarray = np.asarray(gray)  # uint8 (height, 2 * width)
        planes.append(Image.fromarray(np.ascontiguousarray(rows[:, 0 if page.order == ">" else 1 :: 2])))
    return Image.merge(image.mode, planes)


def read_gray(page: Directory, path: str) -> np.ndarray | None:
    """The samples of a page with one channel of at least 8 bits.

    Args:
        page: The page.
        path: The name of the photo in errors.

    Returns:
        float32 (height, width), or None if this reader does not read the page. Pillow's errors pass through.

    Raises:
        ImageError: with code `too_large`.
    """
    width, height = page.number(tags.IMAGE_WIDTH), page.number(tags.IMAGE_LENGTH)
    samples = declared_samples(page)
    if not (width * height and 8 <= samples.bits <= 64 and _is_plain(page, samples)):
        return None
    budget.check_num_pixels(width, height, budget.MAX_PIXELS, path)
    # In memory at once: the samples as bytes three times (Pillow, NumPy, sums of the differences), as float32 twice.
    budget.check_memory(width * height * (3 * samples.bits // 8 + 8) + len(page.data), path)
    with Image.open(BytesIO(_as_bytes_picture(page, samples.bits)), formats=["TIFF"]) as image:
        rows: np.ndarray = np.asarray(image)  # uint8 (height, bytes of a row)
    if samples.bits not in _WHOLE_BITS:
        return _unpack(rows, width, samples, page.order)
    letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[samples.kind]
    values = np.ascontiguousarray(rows).view(f"{page.order}{letter}{samples.bits // 8}")
    if page.number(tags.PREDICTOR, _PLAIN) == _HORIZONTAL:  # each sample is stored as the difference to the one before
        values = np.cumsum(values, axis=1, dtype=values.dtype.newbyteorder("="))
    return values.astype(np.float32)


def _is_plain(page: Directory, samples: GraySamples) -> bool:
    is_whole = samples.bits in _WHOLE_BITS
    may_be_differences = is_whole and samples.kind != FLOAT and not _is_tiled(page)
    return (
        page.number(tags.SAMPLES_PER_PIXEL, 1) == 1
        and samples.kind in (UNSIGNED, SIGNED, *([FLOAT] if is_whole and samples.bits > 8 else []))
        and page.number(tags.PHOTOMETRIC, 1) in (0, 1)
        and page.number(tags.COMPRESSION, _UNCOMPRESSED) in _BYTE_COMPRESSIONS
        and page.number(tags.PREDICTOR, _PLAIN) in (_PLAIN, *([_HORIZONTAL] if may_be_differences else []))
        and page.number(tags.FILL_ORDER, 1) == 1
    )


def _is_tiled(page: Directory) -> bool:
    return tags.TILE_OFFSETS in page


def _as_bytes_picture(page: Directory, bits: int, plane: int = 0, num_planes: int = 1) -> bytes:
    """The file with a new first page, which declares the data of one plane of `page` as gray of 8 bits."""
    height = page.number(tags.IMAGE_LENGTH)
    fields: dict[int, tuple[float, ...]] = {
        tags.IMAGE_WIDTH: (-(-page.number(tags.IMAGE_WIDTH) * bits // 8),),
        tags.IMAGE_LENGTH: (height,),
        tags.BITS_PER_SAMPLE: (8,),
        tags.COMPRESSION: (page.number(tags.COMPRESSION, _UNCOMPRESSED),),
        tags.PHOTOMETRIC: (1,),
        tags.SAMPLES_PER_PIXEL: (1,),
    }
    if _is_tiled(page):
        fields[tags.TILE_WIDTH] = (-(-page.number(tags.TILE_WIDTH) * bits // 8),)
        fields[tags.TILE_LENGTH] = (page.number(tags.TILE_LENGTH),)
        places = (tags.TILE_OFFSETS, tags.TILE_BYTE_COUNTS)
    else:
        fields[tags.ROWS_PER_STRIP] = (min(page.number(tags.ROWS_PER_STRIP, height), height),)
        places = (tags.STRIP_OFFSETS, tags.STRIP_BYTE_COUNTS)
    for tag in places:
        values = page.values(tag)
        fields[tag] = values[plane * len(values) // num_planes : (plane + 1) * len(values) // num_planes]
    return page.with_first_page(fields)


def _unpack(rows: np.ndarray, width: int, samples: GraySamples, order: str) -> np.ndarray:
    """The samples if they have 9 to 63 bits other than 16 and 32: float32 (height, width)."""
    if samples.bits == 24 and order == "<":  # whole bytes follow the byte order of the file, packed bits do not
        rows = rows.reshape(len(rows), width, 3)[:, :, ::-1].reshape(len(rows), -1)
    unpacked = np.empty((len(rows), width), np.float32)
    weights = 2.0 ** np.arange(samples.bits - 1, -1, -1, dtype=np.float32)
    step = max(1, _BAND_BITS // (width * samples.bits))  # unpacked bits take a byte each
    for top in range(0, len(rows), step):
        bits = np.unpackbits(rows[top : top + step], axis=1, count=width * samples.bits)
        unpacked[top : top + step] = bits.reshape(-1, width, samples.bits) @ weights
    if samples.kind == SIGNED:
        unpacked[unpacked >= 2.0 ** (samples.bits - 1)] -= 2.0**samples.bits
    return unpacked
