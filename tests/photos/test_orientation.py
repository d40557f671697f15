"""Photos stand upright whatever surrounds the one tag or property that says how they were held."""

import struct

import pytest
from PIL import Image

from dogvscat.photos.decoding.orientation import xmp_orientation
from tests.helpers import encoded, png_chunk
from tests.photo_files import (
    LOSSLESS,
    LOSSY,
    difference,
    exif,
    gray_page,
    gray_scene,
    jpeg_with,
    rgb_page,
    scene,
    seen,
    segment,
    tiff,
)

UPRIGHT = seen(scene())
STORED = scene().transpose(Image.Transpose.ROTATE_90)
"""As a camera stores the scene that must be turned by orientation 6."""
ORIENTATION_6 = (0x0112, 3, 1, struct.pack(">HH", 6, 0))
BEYOND_THE_END = (0x010F, 2, 20, struct.pack(">I", 60_000))


@pytest.mark.parametrize(
    "entries",
    [
        [ORIENTATION_6],
        [BEYOND_THE_END, ORIENTATION_6, (0x0132, 2, 20, struct.pack(">I", 61_000))],
        [(0x010F, 99, 1, b"abcd"), ORIENTATION_6],  # a type that does not exist
        [(0x010F, 2, 2**32 - 1, b"abcd"), ORIENTATION_6],
        [(0x8769, 4, 1, struct.pack(">I", 8)), ORIENTATION_6],  # an EXIF directory that is its own parent
        [(0x0112, 4, 1, struct.pack(">I", 6))],
        [(0x0132, 2, 4, b"abc"), ORIENTATION_6],  # out of order
    ],
)
def test_broken_neighbors_do_not_hide_the_tag(entries: list[tuple[int, int, int, bytes]]) -> None:
    data = exif(*entries)
    assert difference(jpeg_with(segment(0xE1, b"Exif\0\0" + data), STORED), UPRIGHT) <= LOSSY
    assert difference(encoded(STORED, exif=b"Exif\0\0" + data), UPRIGHT) <= LOSSLESS
    assert difference(encoded(STORED, "WEBP", lossless=True, exif=data), UPRIGHT) <= LOSSLESS


def test_more_entries_are_declared_than_follow() -> None:
    data = bytearray(exif(ORIENTATION_6))
    data[8:10] = struct.pack(">H", 500)
    assert difference(jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(data)), STORED), UPRIGHT) <= LOSSY


def test_exif_may_be_little_endian_and_its_name_filled_up_with_anything() -> None:
    data = exif((0x0112, 3, 1, struct.pack("<HH", 6, 0)), order="<")
    assert difference(jpeg_with(segment(0xE1, b"Exif\0\xff" + data), STORED), UPRIGHT) <= LOSSY


XMP = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>{}</rdf:RDF></x:xmpmeta>"
NAMESPACE = "http://ns.adobe.com/tiff/1.0/"
FORMS = [
    f"<rdf:Description xmlns:tiff='{NAMESPACE}' tiff:Orientation='6'/>",
    f'<rdf:Description xmlns:tiff="{NAMESPACE}" tiff:Orientation="6"/>',
    f"<rdf:Description xmlns:tiff = '{NAMESPACE}'\n tiff:Orientation = ' 6 '/>",
    f"<rdf:Description xmlns:t='{NAMESPACE}' t:Orientation='6'/>",
    f"<rdf:Description xmlns:tiff='{NAMESPACE}'><tiff:Orientation>6</tiff:Orientation></rdf:Description>",
    f"<rdf:Description xmlns:ns1='{NAMESPACE}'><ns1:Orientation> 6\n</ns1:Orientation></rdf:Description>",
    f"<rdf:Description><Orientation xmlns='{NAMESPACE}'>6</Orientation></rdf:Description>",
    f"<rdf:Description xmlns:tiff='{NAMESPACE}' tiff:Orientation='&#54;'/>",
]


@pytest.mark.parametrize("form", FORMS)
def test_xmp_in_any_quotes_prefix_and_form(form: str) -> None:
    xmp = XMP.format(form).encode()
    in_jpeg = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    assert difference(jpeg_with(in_jpeg, STORED), UPRIGHT) <= LOSSY
    assert difference(encoded(STORED, "WEBP", lossless=True, xmp=xmp), UPRIGHT) <= LOSSLESS
    text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    data = encoded(STORED)
    assert difference(data[:33] + text + data[33:], UPRIGHT) <= LOSSLESS
    assert difference(tiff(rgb_page(STORED, tag_700=("B", xmp))), UPRIGHT) <= LOSSLESS


@pytest.mark.parametrize(
    ("xmp", "orientation"),
    [
        (XMP.format(FORMS[0]).encode() + b" " * 2000 + b"<?xpacket end='w'?>\0", 6),
        (b"\xef\xbb\xbf" + XMP.format(FORMS[0]).encode(), 6),
        (XMP.format(FORMS[0]).encode("utf-16"), 6),
        (b"<broken tiff:Orientation='6'", 6),
        (b"<broken <tiff:Orientation>8<", 8),
        (XMP.format(f"<!-- {FORMS[0]} -->").encode(), None),
        (XMP.format("<rdf:Description xmlns:tiff='http://other/' tiff:Orientation='6'/>").encode(), None),
        (XMP.format(f"<rdf:Description xmlns:tiff='{NAMESPACE}' tiff:Orientation='9'/>").encode(), None),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + XMP.format("").encode(), None),
        ("<!DOCTYPE x>".encode("utf-16") + XMP.format(FORMS[0]).encode("utf-16-le"), None),
        (b"", None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_odd_xmp(xmp: bytes, orientation: int | None) -> None:
    assert xmp_orientation(xmp) == orientation


def test_exif_stands_above_xmp() -> None:
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(FORMS[0]).encode())
    upright = exif((0x0112, 3, 1, struct.pack(">HH", 1, 0)))
    assert difference(jpeg_with(xmp + segment(0xE1, b"Exif\0\0" + upright), scene()), UPRIGHT) <= LOSSY


@pytest.mark.parametrize("order", "<>")
def test_tiff_is_turned_once(order: str) -> None:
    xmp = XMP.format(FORMS[0]).encode()
    for fields in ({"tag_274": ("H", [6])}, {"tag_274": ("H", [6]), "tag_700": ("B", xmp)}):
        assert difference(tiff(rgb_page(STORED, **fields), order=order), UPRIGHT) <= LOSSLESS


def test_tiff_of_our_own_reader_is_turned() -> None:
    gray = gray_scene()[:, ::-1].T.astype("u2") * 257  # turned by a quarter
    stored = gray_page(65535 - gray[::1], 16, ">", tag_262=("H", [0]), tag_274=("H", [8]))
    expected = seen(Image.fromarray(gray_scene()))
    turned = gray_page(65535 - gray, 16, ">", tag_262=("H", [0]), tag_274=("H", [6]))
    assert min(difference(tiff(page, order=">"), expected) for page in (stored, turned)) <= LOSSLESS
