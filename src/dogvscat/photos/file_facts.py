"""Facts about a photo file that say nothing about its picture: format, compression, camera.

They are read from the first bytes, without decoding. What is missing or damaged is left out: such a photo may still
be good.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WEBP",
}
_START_OF_SCAN, _QUANTIZATION, _APP1 = 0xDA, 0xDB, 0xE1
_EXIF = b"Exif\0\0"
_MAKE_TAG = 0x010F
_STANDARD_TABLE_SUM = 3688
"""Sum of the 64 numbers of the standard's luminance table (ITU-T T.81, table K.1), which stands for quality 50."""


@dataclass(frozen=True)
class FileFacts:
    """Facts about a file; each is empty or 0 if the file does not say."""

    format: str
    """`JPEG`, `PNG`, `GIF`, `BMP`, `TIFF` or `WEBP`; `other` for anything else."""
    jpeg_quality: int
    """1 to 100, on the scale of the JPEG library; values below 15 come out too high. 0 if the file is not a JPEG."""
    camera: str
    """The maker's name in the EXIF data of a JPEG."""


def read_file_facts(data: bytes) -> FileFacts:
    """The facts about a file, given whole."""
    image_format = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), "other")
    quality, camera = 0, ""
    if image_format == "JPEG":
        for marker, segment in _jpeg_segments(data):
            if marker == _QUANTIZATION and not quality:
                quality = _quality(segment)
            elif marker == _APP1 and segment.startswith(_EXIF):
                camera = camera or _camera(segment)
    return FileFacts(image_format, quality, camera)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the pixels (ITU-T T.81, B.1.1.4)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN or length < 2:
            return
        yield marker, data[position + 4 : position + 2 + length]
        position += 2 + length


def _quality(segment: bytes) -> int:
    """The quality that the first quantization table of a segment stands for, by the formula of the JPEG library."""
    if not segment:
        return 0
    is_wide = segment[0] >> 4 > 0  # two bytes for each number of the table
    steps = 256 * sum(segment[1:129:2]) + sum(segment[2:129:2]) if is_wide else sum(segment[1:65])
    percent = 100 * steps / _STANDARD_TABLE_SUM
    quality = 5000 / percent if percent > 100 else 100 - percent / 2
    return max(1, min(100, round(quality)))


def _camera(segment: bytes) -> str:
    try:
        exif = Image.Exif()
        exif.load(segment)
        return str(exif.get(_MAKE_TAG, "")).strip("\0 ")
    except Exception:  # damaged EXIF data makes Pillow raise many kinds
        return ""
