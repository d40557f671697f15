"""How a photo must be turned to stand upright, from its EXIF data or, without that, from its XMP text.

Our own reader decodes only this tag of the EXIF data: Pillow gives up if another tag is broken, browsers do not.
Source: EXIF 2.32, tag 0x0112; XMP Specification Part 2, section 3.1, the property tiff:Orientation.
"""

import re

from PIL import Image

from dogvscat.photos.decoding.tiff_tags import ORIENTATION, first_directory

Transpose = Image.Transpose

_TRANSPOSE = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_TIFF_NAMESPACE = "http://ns.adobe.com/tiff/1.0/"
_MAX_XMP_BYTES = 4 * 1024 * 1024
_MAX_PARSED_XMP_BYTES = 100_000
"""Longer XMP is only searched: the parser repeats a long name of a namespace for every element."""
# For XMP that is not well-formed XML: the usual prefix, as an attribute or as an element.
_LOOSE_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as it is to be seen; `orientation` as from `orientation_of`."""
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def orientation_of(image: Image.Image) -> int:
    """The orientation, 1..8, that the metadata of an opened image declares; 1 is upright. Not for TIFF."""
    if image.format == "HEIF":  # its reader has turned the pixels already
        return 1
    declared = _exif_orientation(_exif_of(image))
    if declared is None and image.format != "AVIF":  # AVIF stores turns as properties of the file, not in XMP
        declared = xmp_orientation(_xmp_of(image))
    return declared if declared is not None and 1 <= declared <= 8 else 1


def xmp_orientation(xmp: bytes) -> int | None:
    """The orientation in XMP text, whatever its quotes, prefix and form; None if there is none."""
    if not xmp or len(xmp) > _MAX_XMP_BYTES:
        return None
    value = _parsed_xmp(xmp) if len(xmp) <= _MAX_PARSED_XMP_BYTES else _searched_xmp(xmp)
    return int(value) if value in set("12345678") else None


def _parsed_xmp(xmp: bytes) -> str | None:
    from xml.etree import ElementTree  # here: most photos have no XMP

    name = f"{{{_TIFF_NAMESPACE}}}Orientation"
    try:
        if b"<!DOCTYPE" in xmp.replace(b"\0", b""):  # XMP has none; entities could expand without end
            raise ElementTree.ParseError("a document type")
        if not xmp.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, in which the last byte may be NUL
            xmp = xmp.strip(b"\0 \t\r\n")
        for element in ElementTree.fromstring(xmp).iter():
            text = element.text if element.tag == name else element.get(name)
            if text is not None:
                return text.strip()
    except (ElementTree.ParseError, ValueError, LookupError):  # LookupError: an unknown encoding
        return _searched_xmp(xmp)
    return None


def _searched_xmp(xmp: bytes) -> str | None:
    match = _LOOSE_XMP.search(xmp)
    return match[1].decode() if match else None


def _exif_orientation(exif: bytes) -> int | None:
    directory = first_directory(exif)
    if directory is None or ORIENTATION not in directory:
        return None
    return directory.number(ORIENTATION)


def _exif_of(image: Image.Image) -> bytes:
    """EXIF data without its prefix `Exif`, or empty."""
    # JPEG: the segments as they are in the file. As in browsers, the byte after `Exif` and NUL may be any.
    for segment, content in getattr(image, "applist", ()):
        if segment == "APP1" and content.startswith(b"Exif\0"):
            return bytes(content[6:])
    exif = image.info.get("exif") or _raw_profile(image, "exif")
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def _xmp_of(image: Image.Image) -> bytes:
    # Pillow stores the same XMP under two names; PNG's older text chunk has it as text.
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or _raw_profile(image, "xmp")
    return xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp or b"")


def _raw_profile(image: Image.Image, kind: str) -> bytes:
    """Metadata that ImageMagick writes into PNG as hexadecimal digits, after two lines with its name and length."""
    text = image.info.get(f"Raw profile type {kind}")
    if not isinstance(text, str):
        return b""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""
