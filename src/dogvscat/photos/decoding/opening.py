"""From the bytes of a file to an open Pillow image of the picture that people see; its pixels are not decoded yet.

The content decides the format, never the name. Chosen here: the page of a TIFF, the frame of an animation, and the
library that reads the file. Refused here, with the kind of file in the error: camera raw files, and formats that none
of the libraries can read.
"""

import struct
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageFile, JpegImagePlugin, UnidentifiedImageError, features

from dogvscat.errors import ImageError
from dogvscat.photos.decoding import budget, png
from dogvscat.photos.decoding import tiff_tags as tags
from dogvscat.photos.decoding.color_profiles import h273_profile
from dogvscat.photos.decoding.gray import GraySamples, samples_of
from dogvscat.photos.decoding.jpeg import JpegFrame, is_jpeg, read_frame
from dogvscat.photos.decoding.orientation import xmp_orientation
from dogvscat.photos.decoding.tiff_gray import (
    declared_samples,
    has_misread_planes,
    is_misread,
    read_gray,
    read_planes,
)
from dogvscat.photos.decoding.unreadable import (
    UNREAD_COMPRESSIONS,
    Kind,
    camera_raw_kind,
    is_heic,
    is_reduced,
    kind_of,
    rare_jpeg,
)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else []))
"""Pillow's names of the formats that are always read; HEIC needs the extra `heif`."""
_MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""A larger ICC profile is ignored, like a broken one. Those of printers have up to 3 MB."""
_HEIC_HINT = (
    "Convert it to JPEG (iPhones save JPEG with Settings > Camera > Formats > Most Compatible), "
    "or install the reader: pip install 'dogvscat[heif]'"
)


@dataclass
class Picture:
    """An open image, and what its file declares that Pillow does not say."""

    image: Image.Image
    gray: GraySamples
    """How to read its samples, if it is gray of more than 8 bits."""
    profile: bytes | None
    """Its ICC profile, or one made from color information that the file has in another form."""
    orientation: int | None = None
    """1..8 if it is known before the pixels are read."""
    frame: JpegFrame | None = None
    """The frame header of a JPEG."""
    num_bytes: int = 0
    """Size of the file; 0 if it is not known."""


def picture_in_memory(image: Image.Image) -> Picture:
    """The picture of an image without its file, of which only Pillow's metadata is known."""
    # Pillow has turned a TIFF when it read the pixels.
    orientation = 1 if image.format == "TIFF" else None
    return Picture(image, samples_of(image), _icc_profile(image), orientation)


def open_picture(data: bytes, path: str) -> Picture:
    """Open a file.

    Args:
        data: The whole file, not empty.
        path: The name of the photo in errors.

    Raises:
        ImageError: with code `unsupported_format` or `too_large`. Pillow's own errors also pass through.
    """
    budget.check_structure(data, path)
    picture = _open_by_format(data, path)
    picture.num_bytes = len(data)
    return picture


def _open_by_format(data: bytes, path: str) -> Picture:
    if data[:2] in (b"II", b"MM"):
        return _open_tiff(data, path)
    if data.startswith(png.SIGNATURE):
        return _open_png(data, path)
    if is_jpeg(data):
        return _open_jpeg(data, path)
    image = _open(data, path)
    if image.format == "GIF":
        image = _on_its_canvas(image, path)
    picture = picture_in_memory(image)
    if picture.profile is None:
        picture.profile = _bmp_profile(data) if image.format == "BMP" else _nclx_profile(image, data)
    return picture


def load_pixels(picture: Picture, path: str) -> None:
    """Decode the pixels of an open picture.

    Raises:
        ImageError: if it is a JPEG of a rare kind that cannot be decoded. Pillow's own errors also pass through.
    """
    try:
        picture.image.load()
    except OSError:
        if picture.frame is None or picture.frame.is_usual:
            raise
        raise _refused_kind(rare_jpeg(picture.frame), path) from None


def is_readable_here(image: Image.Image) -> bool:
    """Whether `open_picture` reads files of this image's format."""
    return image.format in FORMATS or image.format in ("MPO", "HEIF")


def _open(data: bytes, path: str) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if is_heic(data):
            return _open_heic(data, path)
        raise refusal(data, path) from None


def refusal(data: bytes, path: str) -> ImageError:
    """The error about a file that is not a photo or cannot be read, with its kind if the content shows it."""
    kind = kind_of(data)
    if kind is not None and kind.is_picture:
        return _refused_kind(kind, path)
    message = "is not a picture of a known format"
    formats = f"Photos may be {', '.join(FORMATS)}."
    if kind is None:
        return ImageError(path, "unsupported_format", message, hint=formats)
    return ImageError(path, "unsupported_format", f"{message}: it is {kind.name}", hint=f"{kind.hint} {formats}")


def _refused_kind(kind: Kind, path: str) -> ImageError:
    return ImageError(path, "unsupported_format", f"is {kind.name}, which cannot be read", hint=kind.hint)


def _open_heic(data: bytes, path: str) -> Image.Image:
    try:
        from pillow_heif import HeifImagePlugin  # noqa: F401 - the import registers the format with Pillow
    except ImportError:
        message = "is a HEIC picture, which needs the extra `heif`"
        raise ImageError(path, "unsupported_format", message, hint=_HEIC_HINT) from None
    try:
        return Image.open(BytesIO(data), formats=["HEIF"])
    except UnidentifiedImageError:
        hint = "Convert it to JPEG, or copy it again: it may be damaged."
        raise ImageError(path, "unsupported_format", "is a HEIC picture that cannot be read", hint=hint) from None


def _open_jpeg(data: bytes, path: str) -> Picture:
    frame = read_frame(data)
    budget.check_scans(data, frame, path)
    try:
        # Not `Image.open`: it imports the readers of five formats first, and its limit on pixels is below that of a
        # JPEG which is decoded at a reduced size.
        image = JpegImagePlugin.jpeg_factory(BytesIO(data))
    except (SyntaxError, IndexError, TypeError, struct.error):  # after these, `Image.open` tries another format
        raise refusal(data, path) from None
    picture = picture_in_memory(image)
    picture.frame = frame
    return picture


def _open_png(data: bytes, path: str) -> Picture:
    if data[12:16] == b"CgBI":  # Pillow opens it, but its pixels are stored in another way
        raise refusal(data, path)
    facts = png.read_facts(data)
    area = None
    if png.is_animation(data):
        canvas = png.canvas_size(data)
        data, area = png.first_frame(data)
    image = _open(data, path)
    if facts.transparent is not None and "transparency" in image.info:
        image.info["transparency"] = facts.transparent
    picture = picture_in_memory(image)
    if facts.significant_bits:
        picture.gray = GraySamples(transparent=picture.gray.transparent, significant_bits=facts.significant_bits)
    if picture.profile is None or facts.has_code_points:
        picture.profile = facts.profile
    if area is not None:
        budget.check_num_pixels(*canvas, budget.MAX_PARTIAL_PIXELS, path)
        # The canvas of an animation is transparent at first, and its first frame covers a part of it.
        picture.image = Image.new("RGBA", canvas)
        picture.image.paste(image.convert("RGBA"), (area.left, area.top))
        picture.image.info = image.info
    return picture


def _on_its_canvas(image: Image.Image, path: str) -> Image.Image:
    """A GIF whose first frame covers only a part of the canvas: the rest is transparent, as in browsers."""
    area = image.tile[0].extents if isinstance(image, ImageFile.ImageFile) and image.tile else None
    if area is None or area == (0, 0, *image.size):
        return image
    budget.check_num_pixels(*image.size, budget.MAX_PARTIAL_PIXELS, path)
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.crop(area).convert("RGBA"), area[:2])
    canvas.info = image.info
    return canvas


def _open_tiff(data: bytes, path: str) -> Picture:
    if raw := camera_raw_kind(data):
        raise _refused_kind(raw, path)
    pages = list(tags.pages(data))
    page = next((page for page in pages if not is_reduced(page)), None)
    if page is None:
        if not pages:
            raise refusal(data, path)
        hint = "Give the file with the photo at full size."
        raise ImageError(path, "unsupported_format", "has only a thumbnail, not the photo itself", hint=hint)
    if page is not pages[0]:
        data = tags.starting_at(page)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        return _open_gray_tiff(data, page, path)
    if is_misread(page, image):
        return _open_gray_tiff(data, page, path)
    if page.number(tags.COMPRESSION) in UNREAD_COMPRESSIONS:
        raise refusal(data, path)
    if image.tile and image.tile[0].codec_name == "libtiff":  # which decompresses a whole strip or tile at once
        budget.check_memory(budget.bytes_in_memory(image) + tags.bytes_of_largest_part(page) + len(data), path)
    if has_misread_planes(page):
        return _open_planes(data, page, image, path)
    # Pillow itself turns a TIFF when it reads the pixels: by this tag, or else by XMP, of which it knows one form only.
    orientation = 1 if tags.ORIENTATION in page else xmp_orientation(page.content(tags.XMP)) or 1
    image.info.pop("xmp", None)
    return Picture(image, declared_samples(page), _icc_profile(image), orientation)


def _open_gray_tiff(data: bytes, page: tags.Directory, path: str) -> Picture:
    samples = declared_samples(page)
    gray = read_gray(page, path)
    if gray is None:
        raise refusal(data, path)
    orientation = page.number(tags.ORIENTATION) or xmp_orientation(page.content(tags.XMP)) or 1
    return Picture(Image.fromarray(gray), samples, None, orientation)


def _open_planes(data: bytes, page: tags.Directory, image: Image.Image, path: str) -> Picture:
    budget.check_cost(image, None, len(data), path)
    merged = read_planes(page, image)
    if merged is None:
        raise refusal(data, path)
    orientation = page.number(tags.ORIENTATION) or xmp_orientation(page.content(tags.XMP)) or 1
    return Picture(merged, declared_samples(page), _icc_profile(image), orientation)


def _icc_profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and 128 < len(profile) <= _MAX_PROFILE_BYTES else None


def _nclx_profile(image: Image.Image, data: bytes) -> bytes | None:
    """The profile of the code points in an AVIF or HEIC file."""
    if image.format == "HEIF":
        nclx = image.info.get("nclx_profile")
        return h273_profile(nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx else None
    # Pillow does not pass on the code points of AVIF: they are in a box of the type `colr` in the header.
    start = data.find(b"colrnclx", 0, 65536) if image.format == "AVIF" else -1
    if start < 0:
        return None
    return h273_profile(int.from_bytes(data[start + 8 : start + 10]), int.from_bytes(data[start + 10 : start + 12]))


def _bmp_profile(data: bytes) -> bytes | None:
    """The profile inside a BMP with a header of version 5: Microsoft's BITMAPV5HEADER."""
    if len(data) < 138 or int.from_bytes(data[14:18], "little") != 124 or data[70:74] != b"DEBM":
        return None
    start, size = int.from_bytes(data[126:130], "little"), int.from_bytes(data[130:134], "little")
    profile = data[14 + start : 14 + start + size]
    return profile if len(profile) > 128 else None
