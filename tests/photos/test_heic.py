"""HEIC photos, written by the library that reads them, and what is said where it is not installed."""

import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import decode, decode_image, decode_with_facts
from tests.helpers import encoded
from tests.photo_files import LOSSY, P3_PROFILE, P3_SAMPLES, difference, gray_scene, scene, seen

EXPECTED = seen(scene())
P3 = Image.fromarray(P3_SAMPLES)
HEIC = b"\0\0\0\x18ftypheic" + bytes(99)


@pytest.fixture
def _heif() -> None:
    pytest.importorskip("pillow_heif", reason="needs the extra heif").register_heif_opener()


def heic(image: Image.Image, **options: object) -> bytes:
    return encoded(image, "HEIF", quality=95, chroma=444, **options)


@pytest.mark.usefixtures("_heif")
def test_heic_looks_like_the_scene() -> None:
    assert difference(heic(scene()), EXPECTED) <= LOSSY
    assert difference(heic(P3, icc_profile=P3_PROFILE), EXPECTED) <= LOSSY
    code_points = {"color_primaries": 12, "transfer_characteristics": 13, "save_nclx_profile": True}
    assert difference(heic(P3, **code_points), EXPECTED) <= LOSSY
    assert difference(heic(scene().convert("L")), seen(scene().convert("L"))) <= LOSSY
    deep = Image.fromarray(gray_scene().astype(np.uint16) * 257)
    assert difference(heic(deep), seen(scene().convert("L"))) <= LOSSY


@pytest.mark.usefixtures("_heif")
def test_heic_of_phones() -> None:
    """Turned by a property of the file, in tiles, with a thumbnail, and the photo among several pictures."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = heic(scene().transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())
    assert difference(turned, EXPECTED) <= LOSSY
    photo = decode_with_facts(turned, "x", 32)
    assert (photo.width, photo.height) == scene().size
    large = seen(scene().resize((640, 480)))
    assert difference(heic(scene().resize((640, 480)), tile_size=256, thumbnails=[64]), large) <= LOSSY
    several = heic(Image.new("RGB", (64, 64), "green"), save_all=True, append_images=[scene()], primary_index=1)
    assert difference(several, EXPECTED) <= LOSSY
    clear = scene()
    clear.putalpha(128)
    assert difference(heic(clear), seen(clear)) <= LOSSY


@pytest.mark.usefixtures("_heif")
def test_an_opened_heic_image_gives_the_pixels_of_its_file() -> None:
    data = heic(scene())
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(decode_image(image, "image", 64), decode(data, "file", 64))


@pytest.mark.usefixtures("_heif")
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.99])
def test_damaged_heic_is_an_image_error(share: float) -> None:
    data = heic(scene())
    with pytest.raises(ImageError, match=r"x: is (damaged|a HEIC picture that cannot be read)"):
        decode(data[: int(len(data) * share)], "x", 32)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(ImageError, match="is a HEIC picture, which needs the extra `heif`") as caught:
        decode(HEIC, "IMG_1.HEIC", 32)
    assert caught.value.code == "unsupported_format"
    assert "pip install 'dogvscat[heif]'" in str(caught.value.hint)
    assert "Convert it to JPEG" in str(caught.value.hint)
