"""Colors become sRGB as browsers show them, and what is sRGB already is not touched."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from dogvscat.photos.decoding.color import to_srgb
from dogvscat.photos.decoding.color_profiles import png_profile
from dogvscat.photos.decoding.decoder import decode
from tests.helpers import encoded, png_chunk
from tests.photo_files import (
    LIGHT,
    LOSSLESS,
    LOSSY,
    P3_PROFILE,
    P3_SAMPLES,
    bytes_of,
    difference,
    gray_scene,
    jpeg_with,
    png,
    scene,
    seen,
    segment,
    to_light,
)

SCENE = scene()
EXPECTED = seen(SCENE)
P3 = Image.fromarray(P3_SAMPLES)
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3_CHROMATICITIES = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_CHROMATICITIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def gama(share: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(share * 100_000)))


def iccp(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 97, "subsampling": 0}),
        ("JPEG", {"quality": 97, "subsampling": 0, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 97, "subsampling": "4:4:4"}),
    ],
)
def test_display_p3_of_phones(kind: str, options: dict) -> None:
    data = encoded(P3, kind, icc_profile=P3_PROFILE, **options)
    assert difference(data, EXPECTED) <= (LOSSY if options.get("quality") else LOSSLESS)
    assert difference(encoded(P3, kind, **options), EXPECTED) > 4  # without the profile it is another picture


def test_the_profile_of_a_jpeg_may_be_in_pieces() -> None:
    half = len(P3_PROFILE) // 2
    pieces = [P3_PROFILE[:half], P3_PROFILE[half:]]
    segments = [segment(0xE2, b"ICC_PROFILE\0" + bytes([number + 1, 2]) + piece) for number, piece in enumerate(pieces)]
    assert difference(jpeg_with(segments[1] + segments[0], P3), EXPECTED) <= LOSSY


def test_transparent_and_palette_pictures_have_profiles_too() -> None:
    clear, plain = P3.copy(), SCENE.copy()
    for image in (clear, plain):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    assert difference(encoded(clear, icc_profile=P3_PROFILE), seen(plain)) <= LOSSLESS
    assert difference(encoded(P3.quantize(256), icc_profile=P3_PROFILE), EXPECTED) <= LOSSY


@pytest.mark.parametrize(
    ("samples", "chunks"),
    [
        (bytes_of(LIGHT), [gama(1.0)]),
        (bytes_of(LIGHT, 65535), [gama(1.0)]),
        (bytes_of(LIGHT ** (1 / 1.8)), [gama(1 / 1.8)]),
        (bytes_of(LIGHT), [gama(1.0), png_chunk(b"cHRM", SRGB_CHROMATICITIES)]),
        (P3_SAMPLES, [gama(1 / 2.2), png_chunk(b"cHRM", P3_CHROMATICITIES)]),
        (P3_SAMPLES, [png_chunk(b"cHRM", P3_CHROMATICITIES)]),
        (P3_SAMPLES, [png_chunk(b"cICP", bytes([12, 13, 0, 1]))]),
        (P3_SAMPLES, [png_chunk(b"cICP", bytes([12, 13, 0, 1])), iccp(SRGB_PROFILE)]),
        (P3_SAMPLES, [png_chunk(b"cICP", bytes([2, 2, 0, 1])), iccp(P3_PROFILE)]),  # unspecified
        (bytes_of(LIGHT), [png_chunk(b"cICP", bytes([1, 8, 0, 1]))]),
    ],
)
def test_png_may_describe_its_colors(samples: np.ndarray, chunks: list[bytes]) -> None:
    assert difference(png(samples, *chunks), EXPECTED) <= LOSSLESS


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(1 / 2.2)],
        [gama(1 / 2.2), png_chunk(b"cHRM", SRGB_CHROMATICITIES)],
        [gama(1.0), png_chunk(b"sRGB", b"\0")],
        [gama(1.0), iccp(SRGB_PROFILE)],
        [gama(0.0)],
        [png_chunk(b"cHRM", bytes(32))],
        [png_chunk(b"cICP", bytes([1, 13, 0, 1])), iccp(P3_PROFILE)],
        [iccp(SRGB_PROFILE)],
        [iccp(P3_PROFILE[:200])],
        [iccp(b"not a profile" * 20)],
    ],
)
def test_srgb_under_any_name_is_not_touched(chunks: list[bytes]) -> None:
    plain = png(np.asarray(SCENE))
    np.testing.assert_array_equal(decode(png(np.asarray(SCENE), *chunks), "x", 64), decode(plain, "x", 64))


def test_gray_has_profiles_too() -> None:
    gray = Image.fromarray(bytes_of(to_light(gray_scene() / 255.0)))
    expected = seen(Image.fromarray(gray_scene()))
    assert difference(encoded(gray, icc_profile=png_profile(1.0, None)), expected) <= LOSSY  # one for RGB
    assert difference(png(np.asarray(gray), gama(1.0)), expected) <= LOSSY


def test_a_profile_for_another_kind_of_image_is_ignored() -> None:
    gray_profile = bytearray(SRGB_PROFILE)
    gray_profile[16:20] = b"CMYK"
    assert to_srgb(SCENE, bytes(gray_profile)) is SCENE
    assert to_srgb(SCENE.convert("CMYK"), P3_PROFILE).mode == "CMYK"


def test_the_colorants_of_display_p3_are_apples() -> None:
    profile = ImageCms.ImageCmsProfile(BytesIO(P3_PROFILE)).profile
    apple = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]
    colorants = (profile.red_colorant, profile.green_colorant, profile.blue_colorant)
    for ours, theirs in zip(colorants, apple, strict=True):
        assert ours is not None
        np.testing.assert_allclose(ours[0], theirs, atol=0.001)


def test_lab_is_read() -> None:
    lab = ImageCms.profileToProfile(
        SCENE, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert difference(encoded(lab, "TIFF"), EXPECTED) <= LOSSLESS


@pytest.mark.parametrize("kind", ["BMP", "PNG", "TIFF", "WEBP"])
def test_alpha_that_is_zero_everywhere_is_no_alpha(kind: str) -> None:
    clear = SCENE.copy()
    clear.putalpha(0)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = _bmp_v5(clear) if kind == "BMP" else encoded(clear, kind, **options)
    assert difference(data, EXPECTED) <= LOSSLESS


def _bmp_v5(image: Image.Image, profile: bytes = b"") -> bytes:
    """A BMP with a header of version 5 (BITMAPV5HEADER), masks for four channels, and a profile at its end."""
    pixels = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    space = b"DEBM" if profile else b"BGRs"
    header = struct.pack("<IiiHHIIiiII4I", 124, *image.size, 1, 32, 3, len(pixels), 2835, 2835, 0, 0, *masks)
    header += space + bytes(48) + struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    return struct.pack("<2sIII", b"BM", 138 + len(pixels) + len(profile), 0, 138) + header + pixels + profile


def test_a_profile_inside_a_bmp() -> None:
    opaque = P3.copy()
    opaque.putalpha(255)
    assert difference(_bmp_v5(opaque, P3_PROFILE), EXPECTED) <= LOSSLESS
