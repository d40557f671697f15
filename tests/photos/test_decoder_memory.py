"""Images that a program has in memory give the same pixels as their files."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import MAX_PIXELS, decode, decode_array, decode_for_display, decode_image
from tests.helpers import encoded

pytestmark = pytest.mark.slow

SIZE = 64


def scene(width: int = 301, height: int = 187) -> Image.Image:
    """Smooth colors, so that JPEG keeps them."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [np.sin(5 * x + 2 * y), np.cos(3 * x * y), x - y]
    return Image.fromarray(np.stack([127 + 120 * channel for channel in channels], axis=-1).astype(np.uint8))


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(scene(), "JPEG", exif=exif, quality=95)


FILES = {
    "PNG": encoded(scene(), "PNG"),
    "JPEG": encoded(scene(), "JPEG"),
    "turned JPEG": with_orientation(6),
    "palette": encoded(scene().quantize(32), "PNG"),
    "CMYK": encoded(scene().convert("CMYK"), "JPEG"),
    "transparent": encoded(scene().convert("RGBA"), "WEBP", lossless=True),
    "gray of 16 bits": encoded(Image.fromarray(np.asarray(scene().convert("L"), np.uint16) * 257), "PNG"),
    "animation": encoded(scene().quantize(32), "GIF", save_all=True, append_images=[scene().rotate(180).quantize(32)]),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_an_opened_image_gives_the_pixels_of_its_file(data: bytes) -> None:
    expected = decode(data, "file", SIZE)
    image = Image.open(io.BytesIO(data))
    before = image.size
    np.testing.assert_array_equal(decode_image(image, "opened", SIZE), expected)
    assert image.size == before  # draft mode would have changed the user's own object
    again = decode_image(image, "again", SIZE)
    image.load()
    loaded = decode_image(image, "read in full", SIZE)
    np.testing.assert_array_equal(again, expected)
    assert np.abs(loaded.astype(int) - expected).mean() < 1.0  # a JPEG file is never decoded at full size
    if image.format != "JPEG":
        np.testing.assert_array_equal(loaded, expected)


def test_arrays_are_pixels() -> None:
    image = scene()
    pixels = np.asarray(image)
    expected = decode(FILES["PNG"], "file", SIZE)
    np.testing.assert_array_equal(decode_array(pixels, "array", SIZE), expected)
    np.testing.assert_array_equal(decode_array(pixels[::-1][::-1], "a view", SIZE), expected)
    np.testing.assert_array_equal(decode_image(image, "image", SIZE), expected)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["float", "gray", "four channels", "a batch", "empty"],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"x: is an array of .*, expected uint8 \(height, width, 3\)") as caught:
        decode_array(array, "x", SIZE)
    assert caught.value.code == "unsupported_format"


def test_images_in_memory_are_refused_as_files_are() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(ImageError, match="at most 50,000,000 are decoded"):
        decode_image(Image.new("L", (side, side)), "huge", SIZE)
    cut_short = Image.open(io.BytesIO(FILES["PNG"][:2000]))
    with pytest.raises(ImageError, match="broken: is damaged"):
        decode_image(cut_short, "broken", SIZE)


def test_threads_may_share_an_image() -> None:
    for name in ("PNG", "JPEG"):
        image = Image.open(io.BytesIO(FILES[name]))
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _, image=image: decode_image(image, "shared", SIZE), range(16)))
        for result in results:
            np.testing.assert_array_equal(result, decode(FILES[name], "file", SIZE))


def test_a_photo_for_display_keeps_its_aspect_ratio_and_is_turned_upright() -> None:
    displayed = decode_for_display(FILES["turned JPEG"], "photo", 100)
    assert displayed.shape == (100, 62, 3)  # 301 x 187, upright
    expected = np.asarray(scene().rotate(-90, expand=True).resize((62, 100), Image.Resampling.BILINEAR))
    assert np.abs(displayed.astype(int) - expected).mean() < 3.0
    assert decode_for_display(FILES["PNG"], "photo", 5000).shape == (187, 301, 3)  # never enlarged
    with pytest.raises(ImageError, match="photo: the file is empty"):
        decode_for_display(b"", "photo", 100)


def test_real_photos_agree_with_their_pillow_images(test_data: Path) -> None:
    photos = sorted((test_data / "photos").glob("*/*.jpg"))[::10]
    assert len(photos) == 20
    for photo in photos:
        with Image.open(photo) as image:
            np.testing.assert_array_equal(decode_image(image, "image", 160), decode(photo.read_bytes(), "file", 160))
