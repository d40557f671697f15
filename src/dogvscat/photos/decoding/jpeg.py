"""What a JPEG says about its coding, before it is decoded.

Source: ITU-T T.81, annex B; T.87 for JPEG-LS, whose frames have a marker of their own.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN, _JPEG_LS = 0xDA, 0xF7
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_HIERARCHICAL = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_IMAGE = 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCANS = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # not the restart markers inside a scan
_MARKERS_PER_SCAN = 20
"""Tables and comments between scans. If there are more, counting stops."""


class Segment(NamedTuple):
    """A segment before the first scan, or the header of that scan."""

    marker: int
    """Its second byte; 0 for the end of the data."""
    position: int
    """Where its marker starts, in bytes."""
    length: int
    """Without the marker, in bytes."""
    num_junk_bytes: int
    """Bytes before it that belong to no segment."""


class JpegFrame(NamedTuple):
    """The first frame header of a JPEG."""

    marker: int
    bits: int
    """Bits per sample."""
    width: int
    height: int
    num_components: int
    num_in_first_scan: int
    """How many components the first scan has; 0 if no scan follows."""
    sampling: tuple[tuple[int, int], ...] = ()
    """Horizontal and vertical sampling factor of each component; empty if the header is too short for them."""

    @property
    def is_lossless(self) -> bool:
        """Whether the samples are predicted and not transformed: such a JPEG cannot be decoded at a reduced size."""
        return self.marker in _LOSSLESS

    @property
    def needs_all_coefficients(self) -> bool:
        """Whether the decoder must hold the coefficients of the whole photo in memory, several bytes per pixel."""
        return self.marker in _PROGRESSIVE or self.num_in_first_scan < self.num_components

    @property
    def is_arithmetic(self) -> bool:
        """Whether it has arithmetic codes and not Huffman codes."""
        return 0xC8 < self.marker < 0xD0

    @property
    def num_coefficients(self) -> int:
        """The number of coefficients, with the blocks at the edges in full."""
        sampling = self.sampling or ((1, 1),) * self.num_components
        widest = max([1, *(horizontal for horizontal, _ in sampling)])
        tallest = max([1, *(vertical for _, vertical in sampling)])
        blocks = (
            -(-self.width * horizontal // (8 * widest)) * -(-self.height * vertical // (8 * tallest))
            for horizontal, vertical in sampling
        )
        return 64 * sum(blocks)

    @property
    def is_usual(self) -> bool:
        """Whether every JPEG library reads this kind: 8 bits, Huffman codes, gray, RGB or CMYK."""
        return self.marker in (0xC0, 0xC1, 0xC2) and self.bits == 8 and self.num_components in (1, 3, 4)

    def describe(self) -> str:
        """The kind of JPEG in words."""
        if self.marker == _JPEG_LS:
            return "JPEG-LS"
        words = [
            f"{self.bits}-bit" if self.bits != 8 else "",
            "hierarchical" if self.marker in _HIERARCHICAL else "",
            "lossless" if self.is_lossless else "",
            "arithmetic" if self.is_arithmetic else "",
            f"{self.num_components}-channel" if self.num_components not in (1, 3, 4) else "",
        ]
        return " ".join([*filter(None, words), "JPEG"])


def is_jpeg(data: bytes) -> bool:
    """Whether the data starts like a JPEG."""
    return data.startswith(b"\xff\xd8\xff")


def segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the header of the first scan, in order; without a scan, the end of the data as well."""
    position = 2
    while (match := _MARKER.search(data, position)) and match.start() + 4 <= len(data):
        start, marker = match.start(), data[match.start() + 1]
        length = 0 if marker in _STANDALONE else max(2, int.from_bytes(data[start + 2 : start + 4]))
        yield Segment(marker, start, length, start - position)
        if marker == _START_OF_SCAN:
            return
        position = start + 2 + length
    yield Segment(0, len(data), 0, max(0, len(data) - position))


def read_frame(data: bytes) -> JpegFrame | None:
    """The first frame header, or None if there is none."""
    frame = None
    for segment in segments(data):
        content = segment.position + 4
        if segment.marker in _START_OF_FRAME and frame is None and segment.length >= 8:
            head = data[content : content + 6]
            if len(head) == 6:
                height, width = int.from_bytes(head[1:3]), int.from_bytes(head[3:5])
                frame = JpegFrame(
                    segment.marker, head[0], width, height, head[5], 0, _sampling(data, content + 6, head[5])
                )
        elif segment.marker == _START_OF_SCAN:
            return frame and frame._replace(num_in_first_scan=int.from_bytes(data[content : content + 1]))
    return frame


def count_scans(data: bytes, limit: int) -> int:
    """The number of scans; some number above the limit if there are more, or if there are too many other segments."""
    num_scans = num_markers = 0
    position = 2
    while num_scans <= limit and (match := _MARKER_IN_SCANS.search(data, position)):
        marker, position = data[match.start() + 1], match.end()
        if marker == _END_OF_IMAGE:
            break
        num_markers += 1
        if num_markers > (limit + 1) * _MARKERS_PER_SCAN + 1000:
            return limit + 1
        num_scans += marker == _START_OF_SCAN
        if marker not in _STANDALONE:
            position += max(2, int.from_bytes(data[position : position + 2]))
    return num_scans


def _sampling(data: bytes, position: int, num_components: int) -> tuple[tuple[int, int], ...]:
    factors = data[position + 1 : position + 3 * num_components : 3]  # between the number of a component and its table
    return tuple((byte >> 4, byte & 15) for byte in factors) if len(factors) == num_components else ()
