"""Facts about files, compared with what Pillow was told when it wrote them."""

import random

import pytest
from PIL import Image

from dogvscat.photos.drawing.sample import draw
from dogvscat.photos.file_facts import FileFacts, read_file_facts
from tests.helpers import encoded

PICTURE = draw("cat", 3, 90)


@pytest.mark.parametrize("quality", [20, 40, 50, 60, 75, 90, 95, 100])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_quality_is_the_one_it_was_saved_with(quality: int, mode: str) -> None:
    facts = read_file_facts(encoded(PICTURE.convert(mode), "JPEG", quality=quality))
    assert facts.format == "JPEG"
    assert abs(facts.jpeg_quality - quality) <= 1


def test_the_camera_is_read_from_exif() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Kamera AG"
    assert read_file_facts(encoded(PICTURE, "JPEG", exif=exif)).camera == "Kamera AG"
    assert read_file_facts(encoded(PICTURE, "JPEG")).camera == ""


@pytest.mark.parametrize("name", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_have_a_name_and_no_quality(name: str) -> None:
    assert read_file_facts(encoded(PICTURE, name)) == FileFacts(name, 0, "")


def test_damaged_files_have_the_facts_that_remain() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Kamera AG"
    data = encoded(PICTURE, "JPEG", quality=75, exif=exif)
    rng = random.Random(0)
    for length in range(0, 400, 7):
        assert read_file_facts(data[:length]).jpeg_quality in range(101)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(5):
            damaged[rng.randrange(400)] = rng.randrange(256)
        assert read_file_facts(bytes(damaged)).jpeg_quality in range(101)
    assert read_file_facts(b"") == FileFacts("other", 0, "")
