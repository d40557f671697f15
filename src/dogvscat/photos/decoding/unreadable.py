"""Names for files that are not photos this program reads: other kinds of pictures, and files in place of a photo.

The content decides, never the name. Sources: the specifications of each format, and libmagic's list of magic numbers.
"""

import re
from typing import NamedTuple

from dogvscat.photos.decoding import tiff_tags as tags
from dogvscat.photos.decoding.jpeg import JpegFrame, is_jpeg, read_frame

CONVERT = "Convert it to JPEG or PNG"
_JPEG_HINT = f"{CONVERT} with an image editor, or export it again as an ordinary JPEG."
_RAW_HINT = "Develop it to JPEG first: a raw file holds sensor data, and its preview is not the photo."
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
"""The brands that follow `ftyp` in HEIC files: ISO/IEC 23008-12, and MIAF."""
_COLOR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
_RAW_COMPRESSIONS = frozenset({262, 32767, 32769, 32770, 34713, 65000, 65535})
"""Of Kodak, Sony, Samsung, Nikon and Pentax."""

UNREAD_COMPRESSIONS = frozenset({50001})
"""WebP in TIFF: Pillow opens it, but its libtiff has no decoder."""


class Kind(NamedTuple):
    """What a file is instead of a photo."""

    name: str
    """For example `a QOI picture`; messages put it after `is`."""
    hint: str
    """What to do."""
    is_picture: bool = True


def _other(name: str, hint: str) -> Kind:
    return Kind(name, hint, is_picture=False)


_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\x0a", Kind("a JPEG XL picture", f"{CONVERT}, for example with `djxl photo.jxl photo.png`.")),
    (
        b"\0\0\0\x0cJXL \r\n\x87\n",
        Kind("a JPEG XL picture", f"{CONVERT}, for example with `djxl photo.jxl photo.png`."),
    ),
    (
        b"\0\0\0\x0cjP  \r\n\x87\n",
        Kind("a JPEG 2000 picture", f"{CONVERT}, for example with `opj_decompress -i photo.jp2 -o photo.png`."),
    ),
    (
        b"\xff\x4f\xff\x51",
        Kind("a JPEG 2000 picture", f"{CONVERT}, for example with `opj_decompress -i photo.j2k -o photo.png`."),
    ),
    (b"II\xbc", Kind("a JPEG XR picture", f"{CONVERT}, for example with Windows Photos: Save as.")),
    (b"8BPS", Kind("a Photoshop file", f"{CONVERT} with File > Export.")),
    (b"\x76\x2f\x31\x01", Kind("an OpenEXR picture", f"{CONVERT} with an image editor.")),
    (b"#?RADIANCE", Kind("a Radiance HDR picture", f"{CONVERT} with an image editor.")),
    (b"#?RGBE", Kind("a Radiance HDR picture", f"{CONVERT} with an image editor.")),
    (b"\0\0\1\0", Kind("a Windows icon", f"{CONVERT} with an image editor.")),
    (b"icns", Kind("a macOS icon", f"{CONVERT} with an image editor.")),
    (b"qoif", Kind("a QOI picture", f"{CONVERT} with an image editor.")),
    (b"DDS ", Kind("a DDS texture", f"{CONVERT} with an image editor.")),
    (b"gimp xcf", Kind("a GIMP file", f"{CONVERT} with File > Export As.")),
    (b"BPG\xfb", Kind("a BPG picture", f"{CONVERT} with an image editor.")),
    (b"%PDF", _other("a PDF document", "Export its picture as JPEG or PNG.")),
    (b"%!PS", _other("a PostScript document", "Export its picture as JPEG or PNG.")),
    (b"FUJIFILMCCD-RAW", Kind("a camera raw file (RAF)", _RAW_HINT)),
    (b"IIRO", Kind("a camera raw file (ORF)", _RAW_HINT)),
    (b"IIRS", Kind("a camera raw file (ORF)", _RAW_HINT)),
    (b"MMOR", Kind("a camera raw file (ORF)", _RAW_HINT)),
    (b"IIU\0", Kind("a camera raw file (RW2)", _RAW_HINT)),
    (b"FOVb", Kind("a camera raw file (X3F)", _RAW_HINT)),
    (b"\0MRM", Kind("a camera raw file (MRW)", _RAW_HINT)),
    (
        b"version https://git-lfs.github.com/spec/",
        _other("a Git LFS pointer", "Fetch the real file with `git lfs pull`."),
    ),
    (
        b"version https://hawser.github.com/spec/",
        _other("a Git LFS pointer", "Fetch the real file with `git lfs pull`."),
    ),
    (b"\0\5\x16\7", _other("an AppleDouble file", "Remove it: the photo is the file without `._` before its name.")),
    (b"\0\5\x16\0", _other("an AppleSingle file", "Copy the photo again from the Mac, as an ordinary file.")),
    (b"PK\3\4", _other("an archive", "Unpack it first, and give the unpacked folder.")),
    (b"Rar!", _other("an archive", "Unpack it first, and give the unpacked folder.")),
    (b"7z\xbc\xaf\x27\x1c", _other("an archive", "Unpack it first, and give the unpacked folder.")),
    (b"\x1f\x8b", _other("an archive", "Unpack it first, and give the unpacked folder.")),
    (b"L\0\0\0\1\x14\2\0", _other("a Windows shortcut", "Give the photo that it points to.")),
    (b"book\0\0\0\0mark", _other("a macOS alias", "Give the photo that it points to.")),
    (b"[InternetShortcut]", _other("a link to a web page", "Download the photo itself.")),
    (b"\x1aE\xdf\xa3", _other("a video", "Save one of its frames as JPEG or PNG.")),
)
_BRANDS: dict[bytes, Kind] = {
    b"crx ": Kind("a camera raw file (CR3)", _RAW_HINT),
    **dict.fromkeys((b"avif", b"avis"), Kind("an AVIF picture", f"{CONVERT}: this Pillow has no reader for AVIF.")),
}
_COPY_AGAIN = "Copy or download it again."
_DAMAGED: dict[bytes, Kind] = {
    b"\x89PNG": Kind("a damaged PNG picture", _COPY_AGAIN),
    b"GIF8": Kind("a damaged GIF picture", _COPY_AGAIN),
    b"RIFF": Kind("a damaged WebP picture", _COPY_AGAIN),
}
"""By the start of a file whose format is always read."""
_IPHONE_PNG = Kind(
    "a PNG in the format of iPhone apps (CgBI)", f"{CONVERT}: open it on a Mac and export it, or use `pngdefry`."
)
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body|script|meta|title)\b", re.I | re.S
)
_SVG = re.compile(rb"<svg\b", re.I)
_NETPBM = re.compile(rb"P[1-7Ff]\s")


def kind_of(data: bytes) -> Kind | None:
    """The kind of a file that cannot be opened as a photo; None if its content does not show the kind."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[12:16] == b"CgBI":
        return _IPHONE_PNG
    if data[4:8] == b"ftyp":
        video = _other("a video", "Save one of its frames as JPEG or PNG.")
        return _BRANDS.get(data[8:12], video)
    if is_jpeg(data):
        frame = read_frame(data)
        if frame is None:
            return None
        return Kind("a damaged JPEG picture", _COPY_AGAIN) if frame.is_usual else rare_jpeg(frame)
    if data[:4] in _DAMAGED and (data[:4] != b"RIFF" or data[8:12] == b"WEBP"):
        return _DAMAGED[data[:4]]
    if raw := camera_raw_kind(data):
        return raw
    return _tiff_kind(data) or _text_kind(data)


def rare_jpeg(frame: JpegFrame) -> Kind:
    """A JPEG of a kind that the JPEG library does not read."""
    words = frame.describe()
    return Kind(f"{'an' if words[0] in 'aeiou' else 'a'} {words} picture", _JPEG_HINT)


def is_heic(data: bytes) -> bool:
    """Whether the data starts like a HEIC picture."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def camera_raw_kind(data: bytes) -> Kind | None:
    """The kind of a raw file of a camera that looks like a TIFF, such as DNG, NEF, CR2 and ARW; None for others.

    Pillow would open the preview that many of them have as their first page.
    """
    if data[:2] not in (b"II", b"MM"):
        return None
    if data[:4] == b"II\x1a\0" and data[6:14] == b"HEAPCCDR":
        return Kind("a camera raw file (CRW)", _RAW_HINT)
    if data[8:10] == b"CR" or data[8:12] == b"IIII":
        return Kind("a camera raw file", _RAW_HINT)
    pages = list(tags.pages(data))
    sensor_pages = [directory for page in pages for directory in (page, *tags.sub_pages(page))]
    if any(tags.DNG_VERSION in page for page in pages):
        return Kind("a camera raw file (DNG)", _RAW_HINT)
    if any(_is_sensor_data(page) for page in sensor_pages) or _is_preview_of_camera(pages):
        return Kind("a camera raw file", _RAW_HINT)
    return None


def is_reduced(page: tags.Directory) -> bool:
    """Whether a TIFF page is marked as a smaller version of another one, or as a mask."""
    # Bit 0 is a reduced picture, bit 2 a mask; 2 is the reduced picture of the older tag.
    return bool(page.number(tags.NEW_SUBFILE_TYPE) & 0b101) or page.number(tags.SUBFILE_TYPE) == 2


def _is_sensor_data(page: tags.Directory) -> bool:
    return (
        page.number(tags.PHOTOMETRIC) in (_COLOR_FILTER_ARRAY, _LINEAR_RAW)
        or page.number(tags.COMPRESSION) in _RAW_COMPRESSIONS
    )


def _is_preview_of_camera(pages: list[tags.Directory]) -> bool:
    return bool(pages) and tags.MAKE in pages[0] and all(is_reduced(page) for page in pages)


def _tiff_kind(data: bytes) -> Kind | None:
    page = next((page for page in tags.pages(data) if not is_reduced(page)), None)
    if page is None or data[2:4] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
        return None
    samples, bits = page.number(tags.SAMPLES_PER_PIXEL, 1), page.number(tags.BITS_PER_SAMPLE, 1)
    number = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}
    words = number.get(page.number(tags.SAMPLE_FORMAT, 1), "numbers of an unknown kind")
    channels = "1 channel" if samples == 1 else f"{samples} channels"
    name = f"a TIFF picture with {channels} of {bits}-bit {words} (compression {page.number(tags.COMPRESSION, 1)})"
    return Kind(name, f"{CONVERT} of 8 bits with an image editor.")


def _text_kind(data: bytes) -> Kind | None:
    start = data[:4096]
    if _HTML.match(start):
        hint = "It is probably the error page of a web site: download the photo again."
        return _other("an HTML page", hint)
    if start.startswith(b"bplist00") or b"<plist" in start:
        if b"NSURL" in data[:65536]:
            hint = "Download the photo first: in Finder, Control-click it and choose Download Now."
            return _other("an iCloud placeholder", hint)
        return _other("a property list", "Give the photo itself.")
    if _SVG.search(start):
        return _other("an SVG drawing", f"{CONVERT} with a drawing program.")
    if b"/annex/objects/" in start:
        return _other("a git-annex pointer", "Fetch the real file with `git annex get`.")
    if _NETPBM.match(start):
        return Kind(
            "a Netpbm picture (PBM, PGM, PPM or PFM)", f"{CONVERT}, for example with `pnmtopng photo.pgm > photo.png`."
        )
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"{", b"[")):
        return _other(
            "XML or JSON text", "It is probably a server's answer and not the photo: download the photo again."
        )
    if not start.strip(b"\0"):
        return _other("a file of zero bytes only", "Its content was lost: copy or download the photo again.")
    return None
