"""Gray of more than 8 bits looks like the scene, however the file stores it: never a negative, never black."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import decode
from tests.helpers import encoded, png_chunk
from tests.photo_files import LOSSLESS, Order, bytes_of, difference, gray_page, gray_scene, png, seen, tiff, to_light

GRAY = gray_scene()
EXPECTED = seen(Image.fromarray(GRAY))
SHARE = GRAY / 255.0

INTEGERS: dict[str, tuple[int, np.ndarray]] = {
    "16 bits": (16, np.round(SHARE * 65535).astype(np.uint16)),
    "12 of 16 bits": (16, np.round(SHARE * 4095).astype(np.uint16)),
    "10 of 16 bits": (16, np.round(SHARE * 1023).astype(np.uint16)),
    "10 bits": (10, np.round(SHARE * 1023).astype(np.uint16)),
    "12 bits": (12, np.round(SHARE * 4095).astype(np.uint16)),
    "14 bits": (14, np.round(SHARE * 16383).astype(np.uint16)),
    "32 bits": (32, np.round(SHARE * (2**32 - 1)).astype(np.uint32)),
    "16 of 32 bits": (32, np.round(SHARE * 65535).astype(np.uint32)),
    "signed bytes from 0": (8, np.round(SHARE * 127).astype(np.int8)),
    "signed bytes around 0": (8, (np.round(SHARE * 255) - 128).astype(np.int8)),
    "signed 12 bits around 0": (12, (np.round(SHARE * 4095) - 2048).astype(np.int16)),
    "signed from 0": (16, np.round(SHARE * 32767).astype(np.int16)),
    "signed around 0": (16, (np.round(SHARE * 65535) - 32768).astype(np.int16)),
    "signed 16 of 32 bits": (32, np.round(SHARE * 65535).astype(np.int32)),
    "signed 32 bits": (32, np.round(SHARE * (2**31 - 1)).astype(np.int32)),
}
FLOATS: dict[str, np.ndarray] = {
    "half": SHARE.astype(np.float16),
    "single": SHARE.astype(np.float32),
    "double": SHARE.astype(np.float64),
    "0..255": (SHARE * 255).astype(np.float32),
    "0..4095": (SHARE * 4095).astype(np.float32),
    "0..65535": (SHARE * 65535).astype(np.float64),
    "-1..1": (SHARE * 2 - 1).astype(np.float32),
}


def inverted(samples: np.ndarray, bits: int) -> np.ndarray:
    if samples.dtype.kind == "i":
        return (-1 - samples.astype(np.int64)).astype(samples.dtype)
    return (2**bits - 1 - samples.astype(np.int64)).astype(samples.dtype)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_in_tiff(name: str, order: Order) -> None:
    bits, samples = INTEGERS[name]
    assert difference(tiff(gray_page(samples, bits, order), order=order), EXPECTED) <= LOSSLESS


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["16 bits", "12 bits", "32 bits", "signed around 0", "signed bytes around 0"])
def test_white_may_be_zero(name: str, order: Order) -> None:
    bits, samples = INTEGERS[name]
    page = gray_page(inverted(samples, bits), bits, order, tag_262=("H", [0]))
    assert difference(tiff(page, order=order), EXPECTED) <= LOSSLESS


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", FLOATS)
def test_floating_point_tiff(name: str, order: Order) -> None:
    samples = FLOATS[name]
    page = gray_page(samples, samples.dtype.itemsize * 8, order)
    assert difference(tiff(page, order=order), EXPECTED) <= LOSSLESS


def test_floating_point_with_white_as_zero() -> None:
    page = gray_page((1 - SHARE).astype(np.float32), 32, tag_262=("H", [0]))
    assert difference(tiff(page), EXPECTED) <= LOSSLESS


@pytest.mark.parametrize("odd", [1.004, 30.0, np.nan, np.inf, -0.01])
def test_one_odd_value_does_not_darken_the_others(odd: float) -> None:
    samples = SHARE.astype(np.float32)
    samples[40, 60] = odd
    assert difference(tiff(gray_page(samples, 32)), EXPECTED) <= LOSSLESS


def test_a_range_of_its_own_is_declared() -> None:
    samples = (SHARE * 40 + 280).astype(np.float32)  # degrees of a thermal camera
    page = gray_page(samples, 32, tag_340=("f", [280.0]), tag_341=("f", [320.0]))
    assert difference(tiff(page), EXPECTED) <= LOSSLESS
    undeclared = decode(tiff(gray_page(samples, 32)), "thermal", 64)
    assert np.ptp(undeclared.astype(int)) > 150


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [8, 5, 32773])
@pytest.mark.parametrize("name", ["16 bits", "32 bits", "signed around 0", "signed bytes around 0", "single"])
def test_compressed_samples(name: str, compression: int, order: Order) -> None:
    """Pillow 13 swaps the bytes of big-endian ones that have 32 bits or signs, and shows noise."""
    samples = FLOATS[name] if name in FLOATS else INTEGERS[name][1]
    page = dict(gray_page(samples, samples.dtype.itemsize * 8, order, tag_259=("H", [compression])))
    content = page[273][1]
    assert isinstance(content, bytes)
    page[273] = ("B", COMPRESS[compression](content))
    assert difference(tiff(page, order=order), EXPECTED) <= LOSSLESS


def _pack_bits(content: bytes) -> bytes:
    """Literal runs of at most 128 bytes; rows need not be kept apart for a reader."""
    parts = (content[start : start + 128] for start in range(0, len(content), 128))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def _lzw(content: bytes) -> bytes:
    """LZW that never uses its table: a clear code before it would need codes of ten bits."""
    codes = []
    for start in range(0, len(content), 250):
        codes += [256, *content[start : start + 250]]
    codes.append(257)
    bits = np.array(codes)[:, None] >> np.arange(8, -1, -1) & 1
    return np.packbits(bits.ravel().astype(np.uint8)).tobytes()


COMPRESS: dict[int, Callable[[bytes], bytes]] = {8: zlib.compress, 5: _lzw, 32773: _pack_bits}


def test_tiles_strips_and_large_files() -> None:
    samples = INTEGERS["16 bits"][1]
    assert difference(tiff(gray_page(samples, 16, ">"), order=">", big=True), EXPECTED) <= LOSSLESS
    white_is_zero = gray_page(65535 - samples, 16, ">", tag_262=("H", [0]))
    assert difference(tiff(white_is_zero, order=">", big=True), EXPECTED) <= LOSSLESS


def test_a_file_that_would_be_black_is_refused() -> None:
    """A program that cut off the upper bits of 12: what is left is below 257 of 4095."""
    cut_off = (INTEGERS["12 bits"][1] % 257).astype(np.uint16)
    with pytest.raises(ImageError, match=r"x: would be black: its largest gray value is 256, and white is 4,095"):
        decode(tiff(gray_page(cut_off, 12)), "x", 64)


@pytest.mark.parametrize(("bits", "shift"), [(12, 0), (12, 4), (10, 0), (14, 2), (14, 0)])
def test_significant_bits_of_png(bits: int, shift: int) -> None:
    """The specification shifts the bits to the left; some cameras do not."""
    samples = np.round(SHARE * (2**bits - 1)).astype(np.uint16) << shift
    assert difference(png(samples.astype(np.uint16), png_chunk(b"sBIT", bytes([bits]))), EXPECTED) <= LOSSLESS


def test_a_dark_photo_stays_dark() -> None:
    samples = np.round(SHARE * 65535 / 4).astype(np.uint16)
    assert difference(png(samples), EXPECTED // 4) <= LOSSLESS


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_dark_signed_samples_stay_dark(bits: int) -> None:
    """All of them are negative, and the brightest lies at 4/10 of white."""
    samples = np.round(SHARE * 0.4 * (2**bits - 1)) - 2 ** (bits - 1)
    page = gray_page(samples.astype(np.int8 if bits == 8 else np.int16), bits)
    assert difference(tiff(page), EXPECTED * 0.4) <= LOSSLESS


def test_linear_light_in_sixteen_bits() -> None:
    samples = bytes_of(to_light(SHARE), 65535)
    assert difference(png(samples, png_chunk(b"gAMA", struct.pack(">I", 100_000))), EXPECTED) <= LOSSLESS


def test_a_transparent_gray_value_is_white() -> None:
    samples = INTEGERS["16 bits"][1].copy()
    samples[:20] = 12345
    plain = GRAY.copy()
    plain[:20] = 255
    data = png(samples, png_chunk(b"tRNS", struct.pack(">H", 12345)))
    assert difference(data, seen(Image.fromarray(plain))) <= LOSSLESS


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            {277: ("H", [3]), 258: ("H", [32] * 3), 339: ("H", [3] * 3), 262: ("H", [2])},
            "3 channels of 32-bit floating",
        ),
        ({258: ("H", [12]), 259: ("H", [34712])}, "1 channel of 12-bit unsigned integers"),
        ({258: ("H", [8]), 259: ("H", [50001])}, "1 channel of 8-bit unsigned integers"),
        ({258: ("H", [8]), 339: ("H", [3])}, "1 channel of 8-bit floating-point numbers"),
    ],
)
def test_other_samples_are_named(page: dict, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        decode(tiff({**gray_page(INTEGERS["16 bits"][1], 16), **page}), "x", 64)
    assert "Convert it" in str(caught.value.hint)


def test_a_damaged_one_is_an_image_error() -> None:
    data = tiff(gray_page(INTEGERS["12 bits"][1], 12, ">"), order=">")
    for end in (*range(8, 300, 7), len(data) // 2):
        with pytest.raises(ImageError):
            decode(data[:end], "x", 16)


def test_modes_of_images_in_memory_are_as_before() -> None:
    image = Image.fromarray(INTEGERS["16 bits"][1])
    assert difference(encoded(image, "PNG"), EXPECTED) <= LOSSLESS
