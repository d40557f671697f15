"""A forgiving reader of TIFF directories: the tags of TIFF files, camera raw files and EXIF data.

Only the tags that are asked for are decoded, so a broken neighbor does no harm. Source: TIFF 6.0, section 2, and the
BigTIFF design of libtiff, which has 64-bit offsets.
"""

import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
MAKE, STRIP_OFFSETS, ORIENTATION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS = 271, 273, 274, 277, 278, 279
FILL_ORDER, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS = 266, 317, 322, 323, 324, 325
NEW_SUBFILE_TYPE, SUBFILE_TYPE, SUB_IFDS, SAMPLE_FORMAT, SMALLEST, LARGEST = 254, 255, 330, 339, 340, 341
PLANAR_CONFIGURATION, XMP, DNG_VERSION = 284, 700, 50706

# struct's letter for each type of value; text and undefined bytes are read as single bytes.
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_BIG_TYPES = {**_TYPES, 16: "Q", 17: "q", 18: "Q"}
_MAX_PAGES = 1000
_MAX_ENTRIES = 10_000
"""As many tags of a directory are read; they are sorted by number, and those that are used come first."""


class _Entry(NamedTuple):
    letter: str
    length: int
    """Number of values."""
    position: int
    """Where the values start in the data."""


class Directory:
    """The tags of one page.

    Args:
        data: The whole file, or EXIF data without its prefix `Exif`.
        order: `<` or `>`, as in struct.
        big: Whether offsets have 64 bits.
        offset: Where the directory starts. Whatever lies outside the data is ignored.
    """

    def __init__(self, data: bytes, order: str, big: bool, offset: int) -> None:
        self.data, self.order, self.big, self.offset = data, order, big, offset
        self.next_offset = 0
        self._entries: dict[int, _Entry] = {}
        size = 20 if big else 12
        head, inline, pointer = ("Q", 8, "Q") if big else ("H", 4, "I")
        count = self._number(head, offset)
        first = offset + struct.calcsize(f"={head}")
        count = min(count or 0, max(0, len(data) - first) // size)
        self.num_entries = count
        for position in range(first, first + min(count, _MAX_ENTRIES) * size, size):
            tag, kind = struct.unpack_from(f"{order}HH", data, position)
            num_values = self._number(pointer, position + 4) or 0
            letter = _BIG_TYPES.get(kind)
            if letter is None or tag in self._entries:
                continue
            values = position + size - inline
            if struct.calcsize(f"={letter}") * num_values > inline:
                values = self._number(pointer, values) or 0
            self._entries[tag] = _Entry(letter, num_values, values)
        self.next_offset = self._number(pointer, first + count * size) or 0

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def most_values(self, letters: Container[str]) -> int:
        """The largest number of values that a tag has, among tags of these types (struct's letters) that lie inside the
        data."""
        lengths = (
            entry.length
            for entry in self._entries.values()
            if entry.letter in letters
            and entry.position + entry.length * struct.calcsize(f"={entry.letter}") <= len(self.data)
        )
        return max(lengths, default=0)

    def values(self, tag: int, limit: int | None = None) -> tuple[float, ...]:
        """The numbers of a tag, at most `limit` of them; empty if the tag is missing or lies outside the data."""
        if (entry := self._entries.get(tag)) is None:
            return ()
        count = entry.length if limit is None else min(entry.length, limit)
        size = struct.calcsize(f"={entry.letter}")
        if entry.position + count * size > len(self.data):
            return ()
        return struct.unpack_from(f"{self.order}{count}{entry.letter}", self.data, entry.position)

    def number(self, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        first = self.values(tag, 1)
        return int(first[0]) if first else default

    def content(self, tag: int) -> bytes:
        """The bytes of a tag that holds bytes; empty if it is missing."""
        entry = self._entries.get(tag)
        return b"" if entry is None else self.data[entry.position : entry.position + entry.length]

    def with_first_page(self, fields: dict[int, tuple[float, ...]]) -> bytes:
        """The file with a new first page, as a little-endian TIFF with 32-bit offsets; `fields` are its tags."""
        start = len(self.data) + len(self.data) % 2
        values_start = start + 2 + 12 * len(fields) + 4
        entries, outside = b"", b""
        for tag, numbers in sorted(fields.items()):
            content = struct.pack(f"<{len(numbers)}I", *map(int, numbers))
            if len(content) > 4:
                content, outside = struct.pack("<I", values_start + len(outside)), outside + content
            entries += struct.pack("<HHI", tag, 4, len(numbers)) + content
        page = struct.pack("<H", len(fields)) + entries + bytes(4) + outside
        return struct.pack("<2sHI", b"II", 42, start) + self.data[8:] + bytes(start - len(self.data)) + page

    def _number(self, letter: str, position: int) -> int | None:
        if position + struct.calcsize(f"={letter}") > len(self.data):
            return None
        (number,) = struct.unpack_from(self.order + letter, self.data, position)
        return int(number)


def first_directory(data: bytes) -> Directory | None:
    """The first directory of a TIFF file or of EXIF data; None if the data does not start like one."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        return None
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43 and len(data) >= 16
    (offset,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)
    return Directory(data, order, big, offset)


def pages(data: bytes, limit: int = _MAX_PAGES) -> Iterator[Directory]:
    """The first directories of a TIFF file in order; a chain that leads back to itself ends there."""
    page = first_directory(data)
    seen: set[int] = set()
    while page is not None and page.offset and page.offset not in seen and len(seen) < limit:
        yield page
        seen.add(page.offset)
        page = _sibling(page, page.next_offset)


def sub_pages(page: Directory) -> Iterator[Directory]:
    """The directories that a page points to, where raw files keep their sensor data."""
    for offset in page.values(SUB_IFDS, 16):
        yield _sibling(page, int(offset))


def bytes_of_largest_part(page: Directory) -> int:
    """The bytes of an unpacked strip or tile of a page."""
    height = page.number(IMAGE_LENGTH)
    num_pixels = (
        page.number(TILE_WIDTH) * page.number(TILE_LENGTH)
        if TILE_OFFSETS in page
        else (page.number(IMAGE_WIDTH) * min(page.number(ROWS_PER_STRIP, height), height))
    )
    return num_pixels * page.number(SAMPLES_PER_PIXEL, 1) * page.number(BITS_PER_SAMPLE, 1) // 8


def starting_at(page: Directory) -> bytes:
    """The file with this page as its first one."""
    position, letter = (8, "Q") if page.big else (4, "I")
    first = struct.pack(page.order + letter, page.offset)
    return page.data[:position] + first + page.data[position + len(first) :]


def _sibling(page: Directory, offset: int) -> Directory:
    return Directory(page.data, page.order, page.big, offset)
