"""What Pillow does not read from a PNG: color code points, significant bits, and the first frame of some animations.

Source: the PNG Specification, third edition, sections 5.3 and 11.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from dogvscat.photos.decoding.color_profiles import h273_profile, png_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3
_UNSPECIFIED = 2  # a code point of H.273


class _Chunk(NamedTuple):
    name: bytes
    content: bytes


class PngFacts(NamedTuple):
    """Facts from the chunks before the pixels."""

    significant_bits: int | None
    """sBIT of gray, in bits."""
    transparent: int | tuple[int, ...] | None
    """The color that stands for transparency, as Pillow's decoded pixels have it; None if there is none."""
    profile: bytes | None
    """An ICC profile made of cICP, or of gAMA and cHRM; None if there are none or they are those of sRGB."""
    has_code_points: bool
    """Whether there is a cICP chunk that names its colors, which takes precedence over the ICC profile in the file."""


class FrameArea(NamedTuple):
    """Where the first frame lies on the canvas of an animation, in pixels."""

    left: int
    top: int
    width: int
    height: int


def read_facts(data: bytes) -> PngFacts:
    """The facts of a PNG; broken chunks count as missing."""
    chunks = {chunk.name: chunk.content for chunk in _chunks(data)}
    depth, color_type = chunks.get(b"IHDR", bytes(13))[8:10].ljust(2, b"\0")
    sbit = chunks.get(b"sBIT", b"")
    significant = sbit[0] if color_type == _GRAY and depth == 16 and sbit and 0 < sbit[0] < 16 else None
    transparent = _transparent(chunks.get(b"tRNS", b""), depth, color_type)
    return PngFacts(significant, transparent, _profile(chunks), _code_points(chunks) is not None)


def first_frame(data: bytes) -> tuple[bytes, FrameArea | None]:
    """A PNG with the first frame of an animation, if its default picture is not a part of the animation.

    Returns:
        The file unchanged and None; or the frame as a PNG, and its area on the canvas.
    """
    header, control, frame = b"", b"", []
    prologue: list[_Chunk] = []
    for chunk in _chunks(data, to_the_end=True):
        if chunk.name == b"IHDR":
            header = chunk.content
        elif chunk.name == b"fcTL":
            if not any(before.name == b"IDAT" for before in prologue) or control:
                break  # the default picture is the first frame, or the second frame starts
            control = chunk.content
        elif chunk.name == b"fdAT" and control:
            frame.append(chunk.content[4:])
        else:
            prologue.append(chunk)
    if not (frame and len(control) == 26 and len(header) == 13):
        return data, None
    width, height, left, top = struct.unpack_from(">4I", control, 4)
    if left + width > int.from_bytes(header[:4]) or top + height > int.from_bytes(header[4:8]):
        return data, None
    kept = [chunk for chunk in prologue if chunk.name not in (b"IDAT", b"acTL", b"IEND")]
    chunks = [
        _Chunk(b"IHDR", control[4:12] + header[8:]),
        *kept,
        _Chunk(b"IDAT", b"".join(frame)),
        _Chunk(b"IEND", b""),
    ]
    covers_all = control[4:12] == header[:8]
    png = SIGNATURE + b"".join(_encoded(chunk) for chunk in chunks)
    return png, None if covers_all else FrameArea(left, top, width, height)


def chunk_names(data: bytes) -> Iterator[bytes]:
    """The names of all chunks, in order."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name
        position += 12 + length


def is_animation(data: bytes) -> bool:
    """Whether a PNG declares an animation."""
    return any(chunk.name == b"acTL" for chunk in _chunks(data))


def canvas_size(data: bytes) -> tuple[int, int]:
    """Width and height in the header, in pixels."""
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _chunks(data: bytes, to_the_end: bool = False) -> Iterator[_Chunk]:
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IDAT" and not to_the_end:
            return
        yield _Chunk(name, data[position + 8 : position + 8 + length])
        position += 12 + length


def _encoded(chunk: _Chunk) -> bytes:
    body = chunk.name + chunk.content
    return struct.pack(">I", len(chunk.content)) + body + struct.pack(">I", zlib.crc32(body))


def _transparent(trns: bytes, depth: int, color_type: int) -> int | tuple[int, ...] | None:
    """The color in tRNS, converted like the pixels: Pillow widens gray of 1 to 4 bits and narrows RGB of 16 bits."""
    if color_type == _PALETTE or len(trns) not in (2, 6) or depth not in (1, 2, 4, 8, 16):
        return None
    values = [int(value) for value in struct.unpack(f">{len(trns) // 2}H", trns)]
    if len(values) == 3:
        return tuple(value >> 8 if depth == 16 else value for value in values)
    return values[0] if depth == 16 else values[0] * 255 // (2**depth - 1)


def _code_points(chunks: dict[bytes, bytes]) -> tuple[int, int] | None:
    """Primaries and transfer of cICP; None if it is missing or leaves one of them unspecified."""
    cicp = chunks.get(b"cICP", b"")
    return (cicp[0], cicp[1]) if len(cicp) == 4 and _UNSPECIFIED not in cicp[:2] else None


def _profile(chunks: dict[bytes, bytes]) -> bytes | None:
    if code_points := _code_points(chunks):
        return h273_profile(*code_points)
    gama, chrm = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    if b"sRGB" in chunks or (len(gama) != 4 and len(chrm) != 32):
        return None
    gamma = int.from_bytes(gama) / 100_000 if len(gama) == 4 else None
    chromaticities = [number / 100_000 for number in struct.unpack(">8I", chrm)] if len(chrm) == 32 else None
    return png_profile(gamma, chromaticities)
