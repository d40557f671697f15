"""Event files, which TensorBoard reads: figures of a training by tag and step.

A file is a sequence of records (TFRecord), each an `Event` in the encoding of protocol buffers. Curves need only a few
of the messages and fields, so these are encoded here, without a library.

Sources: TensorFlow's record_writer.h (records, masked checksums), event.proto and summary.proto (messages);
RFC 3720, appendix B.4 (CRC-32C).
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path

from dogvscat.atomic import wrap_write_errors


class EventFile:
    """A new event file that grows event by event, so that TensorBoard can follow it.

    It is not written atomically as other files are: a reader follows a file only as long as the file is not replaced.
    TensorBoard ignores a record that is not complete.

    Args:
        folder: Where the file is made; TensorBoard shows the files of a folder as one run.

    Raises:
        WriteError: if the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        created = time.time()
        # TensorBoard looks for `tfevents` in names, and reads the files of a folder in the order of their names.
        self._file = folder / f"events.out.tfevents.{created:.0f}.dogvscat"
        with wrap_write_errors(self._file):
            folder.mkdir(parents=True, exist_ok=True)
        self._append(_double(1, created) + _bytes(3, b"brain.Event:2"))  # the version of the format

    def add(self, step: int, wall_time: float, figures: Mapping[str, float]) -> None:
        """Append figures by their tag, all of one step.

        Args:
            step: The position on the curves, such as an epoch.
            wall_time: Seconds since 1970.
            figures: They become float32.

        Raises:
            WriteError: if the file cannot be written.
        """
        values = (_bytes(1, tag.encode()) + _float(2, value) for tag, value in figures.items())
        summary = b"".join(_bytes(1, value) for value in values)
        self._append(_double(1, wall_time) + _integer(2, step) + _bytes(5, summary))

    def _append(self, event: bytes) -> None:
        with wrap_write_errors(self._file), self._file.open("ab") as file:
            file.write(_record(event))


def _record(data: bytes) -> bytes:
    """Length and data, each followed by its checksum."""
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    # Rotated and shifted, because the checksum of data that contains checksums of itself would be weak.
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of some bytes; zlib has only the CRC-32 of another polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # the polynomial of CRC-32C with its bits reversed
    return byte


_CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]


# Fields of protocol buffers: a key of number and kind, then the value.


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _float(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)
