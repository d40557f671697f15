"""Which picture of a file is seen, and files that are refused by name although their content looks like a photo."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import PHOTO_SUFFIXES, decode, decode_image, decode_with_facts
from tests.helpers import encoded, png_chunk
from tests.photo_files import LOSSLESS, difference, exif, jpeg_with, png, rgb_page, scene, seen, segment, tiff

SCENE = scene()
EXPECTED = seen(SCENE)
THUMBNAIL = Image.new("RGB", (16, 12), "green")
REDUCED = {"tag_254": ("I", [1])}
MAKE = {"tag_271": ("B", b"Camera\0")}
SENSOR = {256: ("I", [8]), 257: ("I", [8]), 258: ("H", [16]), 259: ("H", [1]), 262: ("H", [32803]), 277: ("H", [1])}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_pages_that_are_marked_as_reduced_are_passed_over(order: str, big: bool) -> None:
    if big and order == ">":
        pytest.skip("Pillow 13 does not open big-endian BigTIFF in color")
    data = tiff(rgb_page(THUMBNAIL, **REDUCED), rgb_page(SCENE), rgb_page(THUMBNAIL), order=order, big=big)
    assert difference(data, EXPECTED) <= LOSSLESS
    photo = decode_with_facts(data, "x", 32)
    assert (photo.width, photo.height) == SCENE.size


def test_other_marks() -> None:
    old_mark, mask, page_of_many = {"tag_255": ("H", [2])}, {"tag_254": ("I", [4])}, {"tag_254": ("I", [2])}
    assert difference(tiff(rgb_page(THUMBNAIL, **old_mark), rgb_page(SCENE)), EXPECTED) <= LOSSLESS
    assert difference(tiff(rgb_page(THUMBNAIL, **mask), rgb_page(SCENE)), EXPECTED) <= LOSSLESS
    assert difference(tiff(rgb_page(SCENE, **page_of_many), rgb_page(THUMBNAIL)), EXPECTED) <= LOSSLESS
    scanner = tiff(rgb_page(THUMBNAIL, **REDUCED, **MAKE), rgb_page(SCENE, **MAKE))
    assert difference(scanner, EXPECTED) <= LOSSLESS


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_channels_one_after_the_other(order: str, big: bool, bits: int) -> None:
    """Pillow 13 reads uncompressed planes of 16 bits as if they had 8."""
    if big and order == ">":
        pytest.skip("Pillow 13 does not open big-endian BigTIFF in color")
    stored = SCENE.transpose(Image.Transpose.ROTATE_90)
    clear = Image.new("L", stored.size, 255)
    clear.paste(0, (0, 0, 20, 128))
    stored.putalpha(clear)
    white = Image.new("RGBA", stored.size, "white")
    expected = Image.alpha_composite(white, stored).convert("RGB").transpose(Image.Transpose.ROTATE_270)
    samples = np.asarray(stored)
    if bits == 16:
        samples = (samples.astype(np.uint16) * 257).astype(f"{order}u2")
    half = stored.height // 2
    for num_channels, image in ((3, SCENE), (4, expected)):
        planes = [samples[..., channel] for channel in range(num_channels)]
        page = rgb_page(
            stored,
            tag_258=("H", [bits] * num_channels),
            tag_273=("B", [part.tobytes() for plane in planes for part in (plane[:half], plane[half:])]),
            tag_274=("H", [6]),
            tag_277=("H", [num_channels]),
            tag_278=("I", [half]),
            tag_284=("H", [2]),
            **({"tag_338": ("H", [2])} if num_channels == 4 else {}),
        )
        assert difference(tiff(page, order=order, big=big), seen(image)) <= LOSSLESS


def test_a_file_with_nothing_but_a_thumbnail_is_refused() -> None:
    with pytest.raises(ImageError, match=r"x: has only a thumbnail, not the photo itself"):
        decode(tiff(rgb_page(THUMBNAIL, **REDUCED)), "x", 32)


def test_a_chain_of_pages_that_leads_back_ends() -> None:
    data = bytearray(tiff(rgb_page(THUMBNAIL, **REDUCED)))
    data[-4:] = data[4:8]
    with pytest.raises(ImageError, match="has only a thumbnail"):
        decode(bytes(data), "x", 32)


RAW = {
    "dng": tiff(rgb_page(THUMBNAIL, **REDUCED, tag_50706=("B", bytes([1, 4, 0, 0])))),
    "dng of one page": tiff(rgb_page(SCENE, tag_50706=("B", bytes([1, 4, 0, 0])))),
    "nef": tiff(rgb_page(THUMBNAIL, **REDUCED, **MAKE), order=">", sub_pages=[SENSOR]),
    "arw": tiff(rgb_page(THUMBNAIL, **MAKE), sub_pages=[SENSOR]),
    "pef": tiff({**rgb_page(THUMBNAIL), 259: ("H", [65535])}),
    "srw": tiff(rgb_page(THUMBNAIL, **REDUCED, **MAKE), rgb_page(THUMBNAIL, **REDUCED)),
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + tiff(rgb_page(THUMBNAIL, **MAKE))[12:],
    "iiq": b"II*\0\x10\0\0\0IIII" + bytes(60),
    "crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(60),
    "cr3": b"\0\0\0\x18ftypcrx " + bytes(60),
    "raf": b"FUJIFILMCCD-RAW 0201" + bytes(60),
    "orf": b"IIRO" + tiff(rgb_page(THUMBNAIL, **MAKE))[4:],
    "rw2": b"IIU\0\x18\0\0\0" + bytes(60),
    "x3f": b"FOVb" + bytes(60),
    "mrw": b"\0MRM" + bytes(60),
}


@pytest.mark.parametrize("ending", [".jpg", ".tif", ".dng"])
@pytest.mark.parametrize("name", RAW)
def test_camera_raw_is_refused_whatever_its_ending(name: str, ending: str) -> None:
    with pytest.raises(ImageError, match="is a camera raw file") as caught:
        decode(RAW[name], f"photo{ending}", 32)
    assert caught.value.code == "unsupported_format"
    assert "Develop it to JPEG" in str(caught.value.hint)


def _jpeg(marker: int, bits: int = 8, channels: int = 3) -> bytes:
    frame = struct.pack(">BHHB", bits, 96, 128, channels) + bytes([1, 0x11, 0] * channels)
    scan = bytes([channels, *[1, 0] * channels, 0, 63, 0])
    return b"\xff\xd8" + segment(0xE0, b"JFIF\0" + bytes(9)) + segment(marker, frame) + segment(0xDA, scan) + bytes(500)


NAMED = {
    "a JPEG XL picture": [b"\xff\x0a" + bytes(40), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)],
    "a JPEG 2000 picture": [b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), b"\xff\x4f\xff\x51" + bytes(40)],
    "a JPEG-LS picture": [_jpeg(0xF7)],
    "a JPEG XR picture": [b"II\xbc\x01" + bytes(40)],
    "a 12-bit JPEG picture": [_jpeg(0xC1, bits=12)],
    "a 16-bit lossless JPEG picture": [_jpeg(0xC3, bits=16)],
    "a hierarchical JPEG picture": [_jpeg(0xC5)],
    "a 2-channel JPEG picture": [_jpeg(0xC0, channels=2)],
    "a Netpbm picture": [b"P5\n2 1\n4095\n" + bytes(4), b"Pf\n1 1\n-1.0\n" + bytes(4)],
    "a Photoshop file": [b"8BPS" + bytes(40)],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"],
    "a git-annex pointer": [b"/annex/objects/SHA256E-s12--ab.jpg\n"],
    "an HTML page": [
        b"\n<!DOCTYPE html><html>",
        b"\xef\xbb\xbf<HTML>",
        b"<!-- saved -->\n<html lang='en'>",
        b"<head><title>",
    ],
    "an AppleDouble file": [b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(60)],
    "an iCloud placeholder": [
        b"bplist00\xd1\1\2_\x10\x0eNSURLNameKey" + bytes(40),
        b"<?xml version='1.0'?><plist><dict><key>NSURLNameKey</key></dict></plist>",
    ],
    "a file of zero bytes only": [bytes(5000)],
    "XML or JSON text": [b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", b'{"error": "not found"}'],
    "a damaged PNG picture": [encoded(SCENE)[:29] + bytes(4) + encoded(SCENE)[33:]],  # a wrong checksum
    "a damaged GIF picture": [encoded(SCENE, "GIF")[:9]],
    "a damaged WebP picture": [encoded(SCENE, "WEBP")[:12] + bytes(40)],
    "a macOS icon": [b"icns\0\0\1\0" + bytes(60)],
    "a PNG in the format of iPhone apps": [b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(40)],
    "a video": [b"\0\0\0\x18ftypmp42" + bytes(40), b"\0\0\0\x14ftypqt  " + bytes(40)],
    "an SVG drawing": [b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"],
    "a PDF document": [b"%PDF-1.7\n"],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, files in NAMED.items() for data in files])
def test_what_cannot_be_read_is_named_with_what_to_do(name: str, data: bytes) -> None:
    with pytest.raises(ImageError, match=name) as caught:
        decode(data, "photo.jpg", 32)
    assert caught.value.code == "unsupported_format"
    assert str(caught.value.hint).endswith(".")


def test_pictures_that_cannot_be_read_are_not_skipped_for_their_ending() -> None:
    assert {".heic", ".hif", ".jxl", ".jp2", ".jxr"} <= PHOTO_SUFFIXES


def _control(number: int, area: tuple[int, int, int, int]) -> bytes:
    left, top, width, height = area
    return png_chunk(b"fcTL", struct.pack(">5IHHBB", number, width, height, left, top, 1, 10, 0, 1))


def _animation(area: tuple[int, int, int, int], default_is_first: bool) -> bytes:
    """An APNG whose default picture is green and whose first own frame shows an area of the scene."""
    left, top, width, height = area
    frame = np.asarray(SCENE)[top : top + height, left : left + width]
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in frame))
    half = len(pixels) // 2
    chunks = [
        png_chunk(b"acTL", struct.pack(">II", 2, 0)),
        *([_control(0, (0, 0, *SCENE.size))] if default_is_first else []),
    ]
    plain = png(np.asarray(Image.new("RGB", SCENE.size, "green")), *chunks)
    count = int(default_is_first)
    own = [_control(count, area)]
    own += [
        png_chunk(b"fdAT", struct.pack(">I", count + 1 + number) + part)
        for number, part in enumerate((pixels[:half], pixels[half:]))
    ]
    second = [
        _control(count + 3, (0, 0, 1, 1)),
        png_chunk(b"fdAT", struct.pack(">I", count + 4) + zlib.compress(bytes(4))),
    ]
    return plain[:-12] + b"".join([*own, *second]) + plain[-12:]


def test_the_default_picture_may_not_be_a_part_of_the_animation() -> None:
    assert difference(_animation((0, 0, *SCENE.size), default_is_first=False), EXPECTED) <= LOSSLESS
    green = seen(Image.new("RGB", SCENE.size, "green"))
    assert difference(_animation((0, 0, *SCENE.size), default_is_first=True), green) == 0


def test_a_first_frame_that_covers_a_part_lies_on_a_transparent_canvas() -> None:
    area = (16, 24, 80, 40)
    expected = Image.new("RGB", SCENE.size, "white")
    expected.paste(SCENE.crop((16, 24, 96, 64)), (16, 24))
    data = _animation(area, default_is_first=False)
    assert difference(data, seen(expected)) <= LOSSLESS
    assert decode_with_facts(data, "x", 32).width == SCENE.width


FRAME = SCENE.crop((16, 24, 96, 64)).quantize(64)


def _partial_gif() -> bytes:
    """A GIF of the scene's size whose first frame is `FRAME`, in its place."""
    data = bytearray(encoded(FRAME, "GIF"))
    data[6:10] = struct.pack("<HH", *SCENE.size)
    descriptor = data.index(b"\x2c" + struct.pack("<4H", 0, 0, *FRAME.size))
    data[descriptor + 1 : descriptor + 5] = struct.pack("<HH", 16, 24)
    return bytes(data)


def test_the_first_frame_of_a_gif_lies_on_a_transparent_canvas() -> None:
    expected = Image.new("RGB", SCENE.size, "white")
    expected.paste(FRAME.convert("RGB"), (16, 24))
    assert difference(_partial_gif(), seen(expected)) <= LOSSLESS
    photo = decode_with_facts(_partial_gif(), "x", 32)
    assert (photo.width, photo.height) == SCENE.size


def test_damaged_animations_are_image_errors_or_pictures() -> None:
    data = _animation((0, 0, *SCENE.size), default_is_first=False)
    for end in range(40, len(data), 97):
        with suppress(ImageError):
            decode(data[:end], "x", 16)


@pytest.mark.parametrize(
    "data",
    [
        encoded(SCENE, "MPO", save_all=True, append_images=[THUMBNAIL], quality=90),
        _animation((0, 0, *SCENE.size), default_is_first=False),
        tiff(rgb_page(THUMBNAIL, **REDUCED), rgb_page(SCENE)),
        _partial_gif(),
        png(np.asarray(SCENE.convert("L")).astype(np.uint16) * 16, png_chunk(b"sBIT", b"\x0c")),
        jpeg_with(segment(0xE1, b"Exif\0\0" + exif((0x0112, 3, 1, struct.pack(">HH", 6, 0)))), SCENE),
    ],
    ids=["mpo", "apng", "tiff", "gif", "sbit", "exif"],
)
def test_an_opened_image_gives_the_pixels_of_its_file(data: bytes) -> None:
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(decode_image(image, "image", 64), decode(data, "file", 64))


def test_palettes_of_two_bits_may_have_a_transparent_gray() -> None:
    rows = (np.indices((8, 2))[0] % 4 * 0b01010101).astype(np.uint8)  # rows of 0, 85, 170 and 255
    header = struct.pack(">IIBBBBB", 8, 8, 2, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"tRNS", struct.pack(">H", 1)), png_chunk(b"IDAT", pixels)]
    data = b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, png_chunk(b"IEND", b"")])
    assert decode(data, "x", 8)[:4, 0, 0].tolist() == [0, 255, 170, 255]


def test_a_transparent_color_of_sixteen_bits() -> None:
    samples = np.asarray(SCENE).astype(np.uint16) * 257
    samples[:20] = (2570, 51400, 7710)
    plain = np.asarray(SCENE).copy()
    plain[:20] = 255
    data = png(samples, png_chunk(b"tRNS", struct.pack(">3H", 2570, 51400, 7710)))
    assert difference(data, seen(Image.fromarray(plain))) <= LOSSLESS
