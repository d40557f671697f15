"""What a photo may cost: each limit on a harmless picture, with the limit lowered below it."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding import budget, gray, rgb
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.decoding.orientation import xmp_orientation
from tests.helpers import encoded, png_chunk

SIZE = 24
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 4), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE[..., :3])


def _jpeg(**options: object) -> bytes:
    return encoded(PICTURE, "JPEG", **options)


def _with_segments(*segments: bytes) -> bytes:
    """A JPEG with more bytes after its first marker."""
    data = _jpeg()
    return data[:2] + b"".join(segments) + data[2:]


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _with_start_of_frame(marker: int) -> bytes:
    return _jpeg().replace(b"\xff\xc0", bytes([0xFF, marker]))


def _png(num_data_chunks: int = 1, others: tuple[bytes, ...] = ()) -> bytes:
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in NOISE[..., :3]))
    step = -(-len(pixels) // num_data_chunks)
    parts = [png_chunk(b"IDAT", pixels[start : start + step]) for start in range(0, len(pixels), step)]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 50, 40, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join([*others, *parts]) + png_chunk(b"IEND", b"")


def _png_of_16_bits() -> bytes:
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() * 2 for row in NOISE[..., :3]))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 50, 40, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def _partial_gif() -> bytes:
    data = encoded(PICTURE.quantize(16), "GIF")
    return data[:6] + struct.pack("<HH", 60, 50) + data[10:]  # a canvas larger than the frame


def _rle_bmp() -> bytes:
    """8 x 2 pixels in two runs."""
    pixels = b"\x08\x01\0\0" + b"\x08\x02\0\1"
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, 8, 2, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return struct.pack("<2sIII", b"BM", 54 + 1024 + len(pixels), 0, 54 + 1024) + head + palette + pixels


def _tiff(**options: object) -> bytes:
    return encoded(PICTURE, "TIFF", **options)


LIMITS: dict[str, tuple[str, int | None, Callable[[], bytes], str]] = {
    "pixels": ("MAX_PIXELS", 1999, _png, "declares 50 x 40 pixels, at most 1,999 are decoded"),
    "side": ("MAX_SIDE", 49, _png, "declares 50 x 40 pixels, at most 49 along the longer side"),
    "channels": (
        "MAX_SAMPLE_BYTES",
        7999,
        lambda: encoded(Image.fromarray(NOISE, "RGBA")),
        "declares 50 x 40 pixels of 4 bytes, 8,000 in all; at most 7,999",
    ),
    "depth": ("MAX_SAMPLE_BYTES", 11_999, _png_of_16_bits, "of 6 bytes, 12,000 in all; at most 11,999"),
    "deep gray": (
        "MAX_SAMPLE_BYTES",
        3999,
        lambda: encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)),
        "of 2 bytes, 4,000 in all; at most 3,999",
    ),
    "large JPEG": ("MAX_JPEG_PIXELS", 1999, _jpeg, "declares 50 x 40 pixels, at most 1,999 are decoded"),
    "progressive JPEG": (
        "MAX_PIXELS",
        1999,
        lambda: _jpeg(progressive=True),
        "declares 50 x 40 pixels, at most 1,999 are decoded",
    ),
    "coefficients": (
        "MAX_COEFFICIENT_BYTES",
        13_439,
        lambda: _jpeg(progressive=True, subsampling=0),
        "is progressive and needs 13,440 bytes of memory, at most 13,439",  # 7 x 5 blocks of 64, 3 channels, 2 bytes
    ),
    "subsampled coefficients": (
        "MAX_COEFFICIENT_BYTES",
        7551,
        lambda: _jpeg(progressive=True, subsampling=2),
        r"needs 7,552 bytes of memory",  # 7 x 5 and twice 4 x 3 blocks
    ),
    "bytes of a progressive JPEG": (
        "MAX_PROGRESSIVE_BYTES",
        None,
        lambda: _jpeg(progressive=True),
        r"is progressive and has [\d,]+ bytes, at most [\d,]+ of this kind are decoded",
    ),
    "scans": ("MAX_SCANS", 9, lambda: _jpeg(progressive=True), "has more than 9 scans of 50 x 40 pixels, at most 9"),
    "scans times coefficients": (
        "MAX_SCAN_COEFFICIENTS",
        37_759,
        lambda: _jpeg(progressive=True, subsampling=2),  # 10 scans, 3,776 coefficients
        "has more than 9 scans of 50 x 40 pixels",
    ),
    "segments": (
        "MAX_JPEG_SEGMENTS",
        38,
        lambda: _with_segments(*[_segment(0xFE, b"")] * 30),  # and 9 that every JPEG has
        "has more than 38 segments before its first scan",
    ),
    "EXIF segments": (
        "MAX_EXIF_SEGMENTS",
        3,
        lambda: _with_segments(*[_segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0")] * 4),
        "has more than 3 segments with EXIF data",
    ),
    "junk": (
        "MAX_JUNK_BYTES",
        99,
        lambda: _with_segments(_segment(0xFE, b""), b"\xff\0" * 25, _segment(0xFE, b""), bytes(50)),
        "has more than 99 bytes between its segments",
    ),
    "PNG chunks": (
        "MAX_PNG_CHUNKS",
        7,
        lambda: _png(others=(png_chunk(b"tEXt", b"a\0b"),) * 6),
        "has more than 7 chunks other than pixels",
    ),
    "PNG data chunks": (
        "MAX_PNG_DATA_CHUNKS",
        4,
        lambda: _png(num_data_chunks=5),
        "has more than 4 chunks of pixels, at most 4 are read",
    ),
    "GIF blocks": (
        "MAX_GIF_BLOCKS",
        5,
        lambda: encoded(PICTURE.quantize(16), "GIF", comment=b"x" * 255 * 5),
        "has more than 5 blocks before its first frame",
    ),
    "picture and file": (
        "MAX_PICTURE_BYTES",
        7999 + len(_png()),
        _png,
        "needs [0-9,]+ bytes of memory, at most [0-9,]+ are used",
    ),
    "partial frame": ("MAX_PARTIAL_PIXELS", 2999, _partial_gif, "declares 60 x 50 pixels, at most 2,999"),
    "run-length coding": ("MAX_RLE_BYTES", None, _rle_bmp, "is a BMP with run-length coding of 1,086 bytes"),
    "TIFF pages": (
        "MAX_TIFF_PAGES",
        3,
        lambda: _tiff(save_all=True, append_images=[PICTURE] * 3),
        "has more than 3 pages in its chain",
    ),
    "TIFF tags": ("MAX_TIFF_ENTRIES", 9, _tiff, "has more than 9 tags, at most 9"),
    "numbers of a TIFF tag": (
        "MAX_TIFF_VALUES",
        2,
        _tiff,
        "has a tag with 3 numbers, at most 2",  # the bits of three channels
    ),
    "TIFF strip": (
        "MAX_PICTURE_BYTES",
        13_999 + len(_tiff(compression="tiff_lzw")),
        lambda: _tiff(compression="tiff_lzw"),
        "bytes of memory, at most",  # 4 per pixel, 3 in the only strip, and the file
    ),
}


@pytest.mark.parametrize(("limit", "value", "file", "message"), LIMITS.values(), ids=LIMITS.keys())
def test_what_costs_too_much_is_refused(
    limit: str, value: int | None, file: Callable[[], bytes], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file()
    value = len(data) - 1 if value is None else value  # None: one byte less than the file
    assert decode(data, "photo", SIZE).shape == (SIZE, SIZE, 3)
    monkeypatch.setattr(budget, limit, value)
    with pytest.raises(ImageError, match=f"^photo: .*{message}") as caught:
        decode(data, "photo", SIZE)
    assert caught.value.code == "too_large"
    assert caught.value.hint
    monkeypatch.setattr(budget, limit, value + 1)
    assert decode(data, "photo", SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(("marker", "limit"), [(0xC3, "MAX_LOSSLESS_JPEG_PIXELS"), (0xC9, "MAX_ARITHMETIC_BYTES")])
def test_rare_jpegs_have_limits_of_their_own(marker: int, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, limit, 700)
    with pytest.raises(ImageError, match="at most 700 ") as caught:
        decode(_with_start_of_frame(marker), "photo", SIZE)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_formats_that_need_more_memory_have_fewer_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(PICTURE, kind)
    monkeypatch.setitem(budget.MAX_FORMAT_PIXELS, kind, 1999)
    with pytest.raises(ImageError, match="declares 50 x 40 pixels, at most 1,999 are decoded"):
        decode(data, "photo", SIZE)


def test_a_baseline_jpeg_has_one_scan() -> None:
    """So its scans are not counted: after the first one, decoding ends."""
    data = _jpeg()
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="photo: is damaged"):
        decode(data[:-2] + scan * (budget.MAX_SCANS + 1) + data[-2:], "photo", SIZE)


def test_frames_after_the_first_are_not_decoded() -> None:
    """So there is no limit on their number: damage after the first frame goes unnoticed."""
    frames = [Image.fromarray(np.roll(NOISE[..., :3], shift, 0)).quantize(16) for shift in range(3)]
    data = bytearray(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    second_frame = data.index(b"\x21\xf9\x04", data.index(b"\x2c") + 1)
    expected = decode(bytes(data), "photo", SIZE)
    np.testing.assert_array_equal(decode(bytes(data[:second_frame]) + b"\x2c" + bytes(50), "photo", SIZE), expected)


DEEP = Image.fromarray((NOISE[..., 0].astype(np.uint16) << 8) + NOISE[..., 1])
UNUSED_ALPHA = np.dstack([NOISE[..., :3], np.zeros((40, 50), np.uint8)])
ALPHA_IN_THE_LAST_ROW = UNUSED_ALPHA.copy()
ALPHA_IN_THE_LAST_ROW[-1, :, 3] = 200
BANDED = {
    "RGB": encoded(PICTURE),
    "JPEG at half its size": encoded(PICTURE.resize((119, 101)), "JPEG"),
    "CMYK": encoded(PICTURE.convert("CMYK"), "TIFF"),
    "gray": encoded(PICTURE.convert("L")),
    "alpha": encoded(Image.fromarray(NOISE, "RGBA")),
    "unused alpha": encoded(Image.fromarray(UNUSED_ALPHA, "RGBA")),
    "alpha in the last row": encoded(Image.fromarray(ALPHA_IN_THE_LAST_ROW, "RGBA")),
    "gray and alpha": encoded(Image.fromarray(np.ascontiguousarray(NOISE[..., :2]), "LA")),
    "palette": encoded(PICTURE.quantize(16)),
    "transparent palette": encoded(PICTURE.quantize(16), transparency=3),
    "deep gray": encoded(DEEP),
    "transparent deep gray": encoded(DEEP, transparency=int(np.asarray(DEEP)[3, 3])),
    "floating point": encoded(Image.fromarray(NOISE[..., 0].astype(np.float32)), "TIFF"),
    "LAB": encoded(Image.fromarray(np.ascontiguousarray(NOISE[..., :3]), "LAB"), "TIFF"),
}


@pytest.mark.parametrize("data", BANDED.values(), ids=BANDED.keys())
@pytest.mark.parametrize("size", [7, 50, 64])
def test_bands_of_rows_give_the_pixels_of_the_whole(data: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decode(data, "photo", size)
    monkeypatch.setattr(rgb, "_BAND_PIXELS", 150)  # 3 rows
    monkeypatch.setattr(gray, "_BAND_PIXELS", 150)
    np.testing.assert_array_equal(decode(data, "photo", size), whole)


def test_long_xmp_is_searched_and_not_parsed() -> None:
    """A parser would repeat the long name of the namespace for each of the elements."""
    name = b"n" * 50_000
    xmp = b'<x xmlns="' + name + b'" xmlns:tiff="' + name + b'" tiff:Orientation="6">' + b"<a/>" * 20_000 + b"</x>"
    assert xmp_orientation(xmp) == 6
    with BytesIO() as buffer:
        PICTURE.save(buffer, "WEBP", xmp=xmp, lossless=True)
        np.testing.assert_array_equal(
            decode(buffer.getvalue(), "photo", SIZE), np.rot90(decode(encoded(PICTURE), "photo", SIZE), -1)
        )
