"""The decoder, on files made here: pixel values computed by hand, and no exception other than ImageError."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import (
    FORMATS,
    MAX_FILE_BYTES,
    PHOTO_SUFFIXES,
    decode,
    decode_photo,
    decode_with_facts,
)
from tests.helpers import encoded, png_chunk

Transpose = Image.Transpose

STORED_AS = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
"""How a camera held in another way stores the same scene: EXIF 2.32, tag 0x0112."""

LOSSY = {"JPEG", "WEBP", "AVIF"}


def _scene(width: int = 60, height: int = 40) -> Image.Image:
    """A red, a green, a blue and a yellow quarter."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for column, row, color in ((0, 0, "red"), (1, 0, "lime"), (0, 1, "blue"), (1, 1, "yellow")):
        left, top = column * width // 2, row * height // 2
        draw.rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), color)
    return image


def _photo(side: int = 24, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_square(kind: str) -> None:
    photo = decode_with_facts(encoded(_scene(), kind), "scene", 32)
    assert (photo.pixels.shape, photo.pixels.dtype) == ((32, 32, 3), np.dtype(np.uint8))
    assert (photo.width, photo.height) == (60, 40)
    corners = photo.pixels[[4, 4, 27, 27], [4, 27, 4, 27]].astype(int)
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    assert np.abs(corners - expected).max() <= (12 if kind in LOSSY else 0)


@pytest.mark.parametrize("name", ["a.txt", "a.png", "a", "a.jpg"])
def test_the_content_decides_the_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(_scene(), "WEBP", lossless=True))
    assert decode_photo(tmp_path / name, 32)[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("GIF", "BMP")])
def test_all_orientations_show_the_same_scene(kind: str, orientation: int) -> None:
    stored = _scene()
    if (turned := STORED_AS[orientation]) is not None:
        stored = stored.transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode_with_facts(encoded(stored, kind, exif=exif, quality=95), "turned", 32)
    upright = decode(encoded(_scene(), kind, quality=95), "upright", 32)
    assert _difference(photo.pixels, upright) < 1.0
    assert (photo.width, photo.height) == (60, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + bytes(40)])
def test_broken_exif_data_is_ignored(kind: str, exif: bytes) -> None:
    pixels = decode(encoded(_scene(), kind, exif=exif), "odd", 32)
    assert np.array_equal(pixels, decode(encoded(_scene(), kind), "plain", 32))


def test_an_unknown_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    data = encoded(_scene(), "PNG", exif=exif)
    assert decode(data, "nine", 32)[4, 4].tolist() == [255, 0, 0]


def _only_color(image: Image.Image, kind: str, **options: object) -> list[int]:
    """The color of an image that has only one."""
    pixels = decode(encoded(image, kind, **options), "one color", 8)
    assert np.ptp(pixels.astype(int), axis=(0, 1)).max() == 0
    return pixels[0, 0].tolist()


def _gray(value: float, dtype: type) -> Image.Image:
    return Image.fromarray(np.full((8, 8), value, dtype))


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("1", (8, 8), 1), "PNG", [255] * 3),
        (Image.new("L", (8, 8), 77), "PNG", [77] * 3),
        (Image.new("LA", (8, 8), (0, 255)), "PNG", [0] * 3),
        (Image.new("LA", (8, 8), (0, 51)), "PNG", [204] * 3),  # 0.2 black on white
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", [255] * 3),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 102)), "PNG", [255, 153, 153]),  # 0.4 red on white
        (Image.new("RGBA", (8, 8), (0, 0, 200, 255)), "TIFF", [0, 0, 200]),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", [255, 0, 0]),
        (_gray(32768, np.uint16), "PNG", [128] * 3),
        (_gray(32768, np.uint16), "TIFF", [128] * 3),
        (_gray(1000, np.uint16), "PNG", [4] * 3),  # 1000 / 257: dark stays dark
        (_gray(65535, np.uint16), "PNG", [255] * 3),
        (_gray(25700, np.int32), "TIFF", [100] * 3),
        (_gray(-5, np.int32), "TIFF", [0] * 3),
        (_gray(0.4, np.float32), "TIFF", [102] * 3),
        (_gray(100.0, np.float32), "TIFF", [100] * 3),
        (_gray(1e9, np.float32), "TIFF", [255] * 3),
        (_gray(np.inf, np.float32), "TIFF", [0] * 3),
        (_gray(np.nan, np.float32), "TIFF", [0] * 3),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_any_mode_becomes_rgb(image: Image.Image, kind: str, expected: list[int]) -> None:
    assert _only_color(image, kind) == expected


def test_sixteen_bit_colors_keep_their_high_byte() -> None:
    import struct
    import zlib

    rows = (b"\0" + struct.pack(">3H", 0x8012, 0x4034, 0xFF56) * 4) * 4
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    data = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    assert decode(b"\x89PNG\r\n\x1a\n" + data, "deep", 4)[0, 0].tolist() == [0x80, 0x40, 0xFF]


def test_cmyk_jpeg_of_adobe() -> None:
    red = np.array(_only_color(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(red - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entries_are_white(kind: str) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.paste(1, (0, 4, 8, 8))
    pixels = decode(encoded(image, kind, transparency=0), "palette", 8)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[7, 7].tolist() == [200, 0, 0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_used(kind: str) -> None:
    first, second = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    options = {} if kind == "TIFF" else {"lossless": True, "duration": 50}
    pixels = decode(encoded(first, kind, save_all=True, append_images=[second], **options), "animated", 8)
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_a_progressive_jpeg_is_read() -> None:
    scene = _scene(400, 300)
    progressive = decode(encoded(scene, "JPEG", progressive=True, quality=90), "progressive", 64)
    assert _difference(progressive, decode(encoded(scene, "JPEG", quality=90), "baseline", 64)) < 1.0


def test_scaled_decoding_is_close_to_full_decoding() -> None:
    photo = _photo(15, seed=3).resize((893, 901), Image.Resampling.BICUBIC)  # not a multiple of 8: the edges count
    data = encoded(photo, "JPEG", quality=92)
    full = Image.open(BytesIO(data)).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
    assert _difference(decode(data, "scaled", 64), np.asarray(full)) < 1.5


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3)])
def test_any_shape_becomes_a_square(size: tuple[int, int]) -> None:
    photo = decode_with_facts(encoded(Image.new("RGB", size, "teal"), "PNG"), "odd", 48)
    assert photo.pixels.shape == (48, 48, 3)
    assert photo.pixels[20, 20].tolist() == [0, 128, 128]
    assert (photo.width, photo.height) == size


def test_decoding_is_deterministic(test_data: Path) -> None:
    for path in sorted((test_data / "photos" / "dog").iterdir())[:5]:
        assert np.array_equal(decode_photo(path, 64), decode(path.read_bytes(), "again", 64))


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"not a picture", "JPEG, PNG, WEBP"),
        (b"PK\x03\x04" + bytes(60), "Unpack it first"),
        (b"<html><body>404</body></html>", "JPEG, PNG, WEBP"),
    ],
)
def test_other_files_named_jpg(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "fake.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"fake\.jpg: is not a picture of a known format") as caught:
        decode_photo(path, 32)
    assert caught.value.code == "unsupported_format"
    assert caught.value.path == str(path)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_gets_advice(brand: bytes) -> None:
    with pytest.raises(ImageError, match="HEIC") as caught:
        decode(b"\0\0\0\x18ftyp" + brand + bytes(40), "IMG_1.HEIC", 32)
    assert caught.value.code == "unsupported_format"
    assert "Convert it to JPEG" in str(caught.value.hint)
    assert ".heic" in PHOTO_SUFFIXES


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # a hole: it takes no space
    codes = {
        "empty.jpg": "empty",
        "folder.jpg": "unreadable",
        "pipe.jpg": "unreadable",
        "huge.jpg": "too_large",
        "gone.jpg": "not_found",
        "n\0ul.jpg": "unreadable",
        "x" * 300: "unreadable",
    }
    for name, code in codes.items():
        with pytest.raises(ImageError) as caught:
            decode_photo(tmp_path / name, 32)
        assert (caught.value.path, caught.value.code) == (str(tmp_path / name), code)
