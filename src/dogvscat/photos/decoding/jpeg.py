"""What a JPEG says about its coding, before it is decoded.

Source: ITU-T T.81, annex B; T.87 for JPEG-LS, whose frames have a marker of their own.
"""

from typing import NamedTuple

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN, _JPEG_LS = 0xDA, 0xF7
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_HIERARCHICAL = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


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

    @property
    def is_lossless(self) -> bool:
        """Whether the samples are predicted and not transformed: such a JPEG cannot be decoded at a reduced size."""
        return self.marker in _LOSSLESS

    @property
    def needs_all_coefficients(self) -> bool:
        """Whether the decoder must hold the coefficients of the whole photo in memory, several bytes per pixel."""
        return self.marker in _PROGRESSIVE or self.num_in_first_scan < self.num_components

    @property
    def is_usual(self) -> bool:
        """Whether every JPEG library reads this kind: 8 bits, Huffman codes, grey, RGB or CMYK."""
        return self.marker in (0xC0, 0xC1, 0xC2) and self.bits == 8 and self.num_components in (1, 3, 4)

    def describe(self) -> str:
        """The kind of JPEG in words."""
        if self.marker == _JPEG_LS:
            return "JPEG-LS"
        words = [
            f"{self.bits}-bit" if self.bits != 8 else "",
            "hierarchical" if self.marker in _HIERARCHICAL else "",
            "lossless" if self.is_lossless else "",
            "arithmetic" if self.marker > 0xC8 else "",
            f"{self.num_components}-channel" if self.num_components not in (1, 3, 4) else "",
        ]
        return " ".join([*filter(None, words), "JPEG"])


def is_jpeg(data: bytes) -> bool:
    """Whether the data starts like a JPEG."""
    return data.startswith(b"\xff\xd8\xff")


def read_frame(data: bytes) -> JpegFrame | None:
    """The first frame header, or None if there is none."""
    frame = None
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:  # junk between segments
            position = data.find(b"\xff", position)
            if position < 0:
                break
            continue
        marker = data[position + 1]
        if marker in (0x00, 0xFF) or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4])
        if marker in _START_OF_FRAME and frame is None and length >= 8:
            head = data[position + 4 : position + 10]
            if len(head) == 6:
                height, width = int.from_bytes(head[1:3]), int.from_bytes(head[3:5])
                frame = JpegFrame(marker, head[0], width, height, head[5], 0)
        elif marker == _START_OF_SCAN:
            return frame and frame._replace(num_in_first_scan=int.from_bytes(data[position + 4 : position + 5]))
        position += 2 + max(2, length)
    return frame
