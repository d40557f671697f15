"""One drawn scene, saved in the ways that people's cameras and programs save it: files written byte by byte.

What Pillow writes would only be read back as it was written; these follow the specifications of TIFF, PNG and EXIF.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from dogvscat.photos.decoding.color_profiles import h273_profile
from dogvscat.photos.decoding.decoder import decode
from tests.helpers import encoded, png_chunk

SIDE = 64
"""Size at which pictures are compared, in pixels."""
LOSSLESS, LOSSY = 2.0, 3.0
"""Largest mean difference of two pictures that show the same, in gray levels."""

Order = Literal["<", ">"]
"""The order of the bytes of numbers, as in struct."""
Values = Sequence[int | float] | bytes | list[bytes]
Fields = Mapping[int, tuple[str, Values]]
"""The type of each tag's values, as in struct, and the values."""


def scene() -> Image.Image:
    """Sky and ground, a disc upper left and a box lower right: no turn and no mirror image of it is the same."""
    rows = np.linspace(0.0, 1.0, 96)[:, None, None]
    sky, ground = np.array([40.0, 90.0, 200.0]), np.array([120.0, 90.0, 60.0])
    image = Image.fromarray(np.broadcast_to(sky + rows * 60 - 20, (96, 128, 3)).astype(np.uint8).copy())
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 70, 127, 95), tuple(ground.astype(int)))
    draw.ellipse((10, 8, 50, 48), (230, 40, 30))
    draw.rectangle((84, 56, 120, 84), (240, 220, 60))
    return image


def gray_scene() -> np.ndarray:
    """The scene in gray: uint8 (96, 128)."""
    return np.asarray(scene().convert("L"))


def seen(image: Image.Image) -> np.ndarray:
    """What the decoder makes of a lossless file of an image: int64 (SIDE, SIDE, 3)."""
    return decode(encoded(image), "expected", SIDE).astype(int)


def difference(data: bytes, expected: np.ndarray) -> float:
    """The mean difference of a file from what should be seen, in gray levels."""
    return float(np.abs(decode(data, "file", SIDE).astype(int) - expected).mean())


def tiff(*pages: Fields, order: str = "<", big: bool = False, sub_pages: Sequence[Fields] = ()) -> bytes:
    """A TIFF file.

    Args:
        pages: The tags of each page. The values of tag 273 are the data of the one strip, or a list of several.
        order: `<` or `>`.
        big: Whether offsets have 64 bits.
        sub_pages: Pages that the first one points to.
    """
    pointer, head, inline = ("Q", "Q", 8) if big else ("I", "H", 4)
    mark = b"II" if order == "<" else b"MM"
    header = mark + (struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42))
    body = bytearray(header + bytes(inline))

    def append(fields: Fields, more: Fields) -> int:
        """Write a page and return where the offset of the next one belongs and where it starts."""
        encoded_fields = []
        for tag, (letter, values) in sorted({**fields, **more}.items()):
            if tag == 273:  # the strips themselves
                strips = (
                    [values] if isinstance(values, bytes) else [strip for strip in values if isinstance(strip, bytes)]
                )
                starts = [len(body) + sum(map(len, strips[:number])) for number in range(len(strips))]
                body.extend(b"".join(strips))
                sizes = struct.pack(f"{order}{len(strips)}{pointer}", *map(len, strips))
                if len(sizes) > inline:
                    position = len(body)
                    body.extend(sizes)
                    sizes = struct.pack(order + pointer, position)
                encoded_fields.append((279, pointer, len(strips), sizes))
                letter, values = pointer, starts
            content = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{letter}", *values)
            count = len(content) // struct.calcsize(f"={letter}")
            if len(content) > inline:
                position = len(body)
                body.extend(content)
                content = struct.pack(order + pointer, position)
            encoded_fields.append((tag, letter, count, content))
        start = len(body)
        body.extend(struct.pack(order + head, len(encoded_fields)))
        types = {"B": 1, "s": 2, "H": 3, "I": 4, "f": 11, "d": 12, "Q": 16}
        for tag, letter, count, content in sorted(encoded_fields):
            body.extend(struct.pack(f"{order}HH{pointer}", tag, types[letter], count) + content.ljust(inline, b"\0"))
        body.extend(bytes(inline))
        return start

    link = len(header)
    for number, page in enumerate(pages):
        starts = [append(fields, {}) for fields in sub_pages] if number == 0 else []
        start = append(page, {330: ("I", starts)} if starts else {})
        struct.pack_into(order + pointer, body, link, start)
        link = len(body) - inline
    return bytes(body)


def gray_page(samples: np.ndarray, bits: int, order: Order = "<", **changes: tuple[str, Values]) -> Fields:
    """The tags of a gray page; `samples` of the type that is stored, or of whole numbers of 12 bits."""
    data = packed(samples, bits) if bits % 8 else samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    height, width = samples.shape
    fields: dict[int, tuple[str, Values]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits]),
        259: ("H", [1]),
        262: ("H", [1]),
        273: ("B", data),
        277: ("H", [1]),
        278: ("I", [height]),
        339: ("H", [kind]),
    }
    return fields | {int(name.removeprefix("tag_")): value for name, value in changes.items()}


def rgb_page(image: Image.Image, **changes: tuple[str, Values]) -> Fields:
    """The tags of a page of 8 bits per channel."""
    fields: dict[int, tuple[str, Values]] = {
        256: ("I", [image.width]),
        257: ("I", [image.height]),
        258: ("H", [8, 8, 8]),
        259: ("H", [1]),
        262: ("H", [2]),
        273: ("B", image.tobytes()),
        277: ("H", [3]),
        278: ("I", [image.height]),
    }
    return fields | {int(name.removeprefix("tag_")): value for name, value in changes.items()}


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Rows of samples without gaps between them, the highest bit first; each row starts a new byte."""
    places = samples[..., None].astype(np.int64) >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(places.reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()


def png(samples: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of uint8 or uint16 (height, width) or (height, width, 3), with more chunks in front of the pixels."""
    depth, color_type = samples.dtype.itemsize * 8, 2 if samples.ndim == 3 else 0
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(samples.dtype.newbyteorder(">")))
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, color_type, 0, 0, 0)
    content = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(content)


def jpeg_with(segments: bytes, image: Image.Image) -> bytes:
    """A JPEG with more segments right after its start."""
    data = encoded(image, "JPEG", quality=95, subsampling=0)
    return data[:2] + segments + data[2:]


def segment(marker: int, content: bytes) -> bytes:
    """One segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def exif(*entries: tuple[int, int, int, bytes], order: str = ">") -> bytes:
    """EXIF data: a TIFF directory of entries (tag, type, count, four bytes of value or offset)."""
    mark = b"MM" if order == ">" else b"II"
    data = mark + struct.pack(f"{order}HIH", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        data += struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
    return data + bytes(4)


def from_light(light: np.ndarray) -> np.ndarray:
    """Light, 0..1, to sRGB samples, 0..1: IEC 61966-2-1."""
    light = np.clip(light, 0.0, 1.0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def to_light(samples: np.ndarray) -> np.ndarray:
    """The inverse of `from_light`."""
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def bytes_of(samples: np.ndarray, white: int = 255) -> np.ndarray:
    """Samples 0..1 as whole numbers: uint8, or uint16 for a white above 255."""
    return np.round(samples * white).astype(np.uint8 if white == 255 else np.uint16)


LIGHT = to_light(np.asarray(scene()) / 255.0)
"""The light of the scene in sRGB's primaries, 0..1: float64 (96, 128, 3)."""
# From linear sRGB to linear Display P3: the product of the matrices in SMPTE EG 432-1 and IEC 61966-2-1.
_TO_P3 = np.array([[0.8224621, 0.177538, 0.0], [0.0331941, 0.9668058, 0.0], [0.0170827, 0.0723974, 0.9105199]])
P3_SAMPLES = bytes_of(from_light(LIGHT @ _TO_P3.T))
"""The scene in Display P3, as phones save it: uint8 (96, 128, 3)."""
P3_PROFILE = h273_profile(12, 13) or b""
"""The ICC profile of Display P3."""
