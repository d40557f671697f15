"""Hostile and damaged files: refused fast, before they are decoded, and always with an ImageError."""

import struct
import time
import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import FORMATS, MAX_JPEG_PIXELS, MAX_PIXELS, decode
from tests.helpers import black_png

SIDE = 20_000


def _tiff(side: int) -> bytes:
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: side * side}
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + fields + bytes(4)


def _bmp(side: int) -> bytes:
    return struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


def _gif(side: int) -> bytes:
    image = struct.pack("<BHHHHB", 0x2C, 0, 0, side, side, 0x80) + bytes(6) + b"\x02\x02\x44\x01\0;"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + image


def _patched(kind: str, old: bytes, new: bytes, **options: object) -> bytes:
    """A small real file whose header says another size."""
    data = BytesIO()
    Image.new("RGB", (16, 16)).save(data, kind, **options)
    content = data.getvalue()
    assert content.count(old) == 1
    return content.replace(old, new)


def _jpeg(side: int, **options: object) -> bytes:
    return _patched("JPEG", struct.pack(">BHH", 8, 16, 16), struct.pack(">BHH", 8, side, side), **options)


def _webp(side: int) -> bytes:
    side = min(side, 2**14)  # the format ends there
    size = (side - 1) | (side - 1) << 14
    return _patched("WEBP", struct.pack("<BI", 0x2F, 15 | 15 << 14), struct.pack("<BI", 0x2F, size), lossless=True)


def _avif(side: int) -> bytes:
    return _patched("AVIF", b"ispe" + struct.pack(">III", 0, 16, 16), b"ispe" + struct.pack(">III", 0, side, side))


BOMBS = {"PNG": black_png, "JPEG": _jpeg, "GIF": _gif, "BMP": _bmp, "TIFF": _tiff, "WEBP": _webp, "AVIF": _avif}


@pytest.mark.parametrize("kind", FORMATS)
def test_bombs_are_refused_before_they_are_decoded(kind: str) -> None:
    bomb = BOMBS[kind](SIDE)
    started = time.perf_counter()
    with pytest.raises(ImageError, match=r"^bomb: ") as caught:
        decode(bomb, "bomb", 64)
    assert time.perf_counter() - started < 1.0
    assert caught.value.code == "too_large" or kind == "AVIF"  # which its library itself refuses to open


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_the_cap_is_on_pixels_that_the_header_declares(kind: str) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(ImageError, match=f"declares {side} x {side} pixels, at most 50,000,000 are decoded"):
        decode(BOMBS[kind](side), "large", 64)


@pytest.mark.parametrize(("options", "limit"), [({}, MAX_JPEG_PIXELS), ({"progressive": True}, MAX_PIXELS)])
def test_a_jpeg_that_is_decoded_at_a_reduced_size_may_be_larger(options: dict[str, object], limit: int) -> None:
    side = int(limit**0.5) + 1
    with pytest.raises(ImageError, match=f"declares {side} x {side} pixels, at most {limit:,} are decoded"):
        decode(_jpeg(side, **options), "large", 64)


@pytest.mark.slow
def test_a_photo_of_a_large_phone_is_read_in_little_memory() -> None:
    """108 megapixels: the pixels at full size would be 324 MB."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    small = Image.fromarray(pixels).resize((800, 600), Image.Resampling.BICUBIC)
    data = BytesIO()
    small.resize((12_000, 9_000), Image.Resampling.NEAREST).save(data, "JPEG", quality=90)
    expected = np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(decode(data.getvalue(), "phone", 64) - expected).mean() < 2.0


def _samples() -> dict[str, bytes]:
    """A small picture in every format, the simple and the odd variants."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    color, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6
    variants: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        kind: (color, kind, {"exif": exif} if kind not in ("GIF", "BMP") else {}) for kind in FORMATS
    }
    variants["progressive"] = (color, "JPEG", {"progressive": True})
    variants["palette"] = (color.quantize(16), "PNG", {"transparency": 0})
    variants["deep"] = (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG", {})
    variants["float"] = (Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF", {"compression": "tiff_lzw"})
    variants["animated"] = (color, "GIF", {"save_all": True, "append_images": [color.rotate(90)]})
    files = {}
    for name, (image, kind, options) in variants.items():
        data = BytesIO()
        image.save(data, kind, **options)
        files[name] = data.getvalue()
    return files


SAMPLES = _samples()


def _try(data: bytes) -> bool:
    """Decode damaged bytes; whether a picture came out. Anything but a picture or an ImageError is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"PIL\..*")  # as the decoder itself sets at import
        try:
            pixels = decode(data, "some/path.jpg", 16)
        except ImageError as error:
            outcome = str(error)
        else:
            outcome, good = "", (pixels.shape, pixels.dtype) == ((16, 16, 3), np.dtype(np.uint8))
    assert outcome.startswith("some/path.jpg: ") if outcome else good
    return not outcome


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_short_anywhere(name: str) -> None:
    data = SAMPLES[name]
    assert _try(data)
    for end in sorted({*range(min(len(data), 64)), *np.linspace(64, len(data) - 1, 60, dtype=int).tolist()}):
        _try(data[:end])
    assert not _try(data[: len(data) // 2])


@pytest.mark.parametrize("name", SAMPLES)
def test_random_damage(name: str) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        damaged = np.frombuffer(SAMPLES[name], np.uint8).copy()
        reach = len(damaged) if seed % 2 else min(len(damaged), 80)  # every second time the header alone
        damaged[rng.integers(0, reach, 1 + seed % 8)] = rng.integers(0, 256, 1 + seed % 8, dtype=np.uint8)
        _try(damaged.tobytes())
