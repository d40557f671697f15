"""Zip archives read in place: nothing is ever unpacked to a path that the archive names.

A hostile or incomplete archive is refused as a whole when it is opened. A member that is merely damaged is one
unreadable photo, and the others are still read. Sizes are counted while data is unpacked, because declared sizes prove
nothing. Source: the pitfalls that Python's zipfile documentation lists; the ratio is that of Keras (CVE-2026-0897).
"""

import posixpath
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dogvscat.errors import ArchiveError, ImageError
from dogvscat.photos.decoding.decoder import MAX_FILE_BYTES
from dogvscat.photos.reading.folders import has_photo_suffix

MAX_ENTRIES = 100_000
MAX_DIRECTORY_BYTES = 160 * MAX_ENTRIES
"""Largest size of the list of members at the end of the file, because Python makes an object of each member before they
can be counted."""
MAX_TOTAL_BYTES = 256 * 1024**3
MAX_RATIO = 100
"""Largest number of bytes that one packed byte may become. Photos are compressed already, so their ratio is near 1."""
RATIO_FREE_BYTES = 1024 * 1024
"""Up to this unpacked size the ratio is not checked: a blank bitmap exceeds the ratio and is harmless."""
MAX_DEPTH = 64
"""Largest number of folders above a member."""

# Bits of a member's flags and the header in front of its data: PKWARE's APPNOTE.TXT, sections 4.4.4 and 4.3.7.
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # the usual kind, the strong kind, an encrypted directory
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz")
# The end of an archive, sections 4.3.14 to 4.3.16: how many members its directory has, and how many bytes. The long
# form lies in front of the short one, with a locator of 20 bytes between the two.
_END, _LONG_END = struct.Struct("<4s6xHL"), struct.Struct("<4s28xQQ")
_END_BYTES, _LONG_END_BYTES, _LOCATOR_BYTES, _LONGEST_COMMENT = 22, 56, 20, 65_535
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # ends with the lengths of the name and of the extra field
_UNPACK = "Unpack it, and give the folder."
_HINT = "Make the archive again from a plain folder, or give the unpacked folder."


class _Member(NamedTuple):
    header_offset: int
    compressed_bytes: int
    num_bytes: int
    crc: int
    method: int


class SafeZip:
    """The files inside a zip, by name.

    No file is kept open: every read opens the archive again, so that threads and forked or spawned processes can all
    read through the same object.

    Args:
        path: The archive.

    Raises:
        ArchiveError: if it is not a zip or is cut short, or if members have unsafe or equal names, are links or
            devices, are encrypted, overlap, are zip bombs, or are too many. The archive and the member are named.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        entries = _read_directory(path)
        _check_totals(path, entries)
        self._members: dict[str, _Member] = {}
        self.num_passed_over = 0
        """Number of files that are not photos and whose names have control characters, such as macOS's `Icon\\r`."""
        names = [_name_of(info) for info in entries]
        if all("/" not in name for name in names):  # .NET's old way of writing folders, as of PowerShell 5
            names = [name.replace("\\", "/") for name in names]
        seen = set()
        for info, raw_name in zip(entries, names, strict=True):
            if _has_control_characters(raw_name) and not has_photo_suffix(raw_name.strip()):
                self.num_passed_over += 1
                continue
            name = _checked_name(path, raw_name)
            if name in seen:
                raise _refusal(path, name, "is in the archive twice")
            seen.add(name)
            if not raw_name.endswith("/"):
                self._members[name] = _checked_member(path, name, info)
        self.names = sorted(self._members)
        """Names of all files, sorted; bytes that are not UTF-8 are represented as by `os.fsdecode`."""
        self.folders = sorted(seen - self._members.keys())
        """Names of the folders that have an entry of their own."""

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            ImageError: with code `not_found`, `too_large` or `unreadable`, if only this file cannot be used.
            ArchiveError: if the file turns out to be a zip bomb, or the archive no longer exists.
        """
        full_name = f"{self.path}/{name}"
        member = self._members.get(name)
        if member is None:
            raise ImageError(full_name, "not_found", "there is no such file in the archive")
        if (largest := max(member.num_bytes, member.compressed_bytes)) > MAX_FILE_BYTES:
            raise ImageError(full_name, "too_large", f"has {largest:,} bytes, at most {MAX_FILE_BYTES:,} are read")
        try:
            with self.path.open("rb") as file:
                packed = _read_packed(file, member)
        except FileNotFoundError:
            raise ArchiveError(f"{self.path} no longer exists") from None
        except (OSError, ValueError) as error:
            raise ImageError(full_name, "unreadable", f"cannot be read: {error}") from None
        data = self._unpack(packed, name, member)
        if len(data) != member.num_bytes or zlib.crc32(data) != member.crc:
            raise ImageError(full_name, "unreadable", "is damaged: its checksum does not match")
        return data

    def _unpack(self, packed: bytes, name: str, member: _Member) -> bytes:
        full_name = f"{self.path}/{name}"
        if member.method == zipfile.ZIP_STORED:
            return packed
        if member.method != zipfile.ZIP_DEFLATED:
            reason = f"is packed with method {member.method}; only the methods 0 (stored) and 8 (deflated) are read"
            raise ImageError(full_name, "unreadable", reason)
        bomb_bytes = max(RATIO_FREE_BYTES, MAX_RATIO * len(packed))
        # One byte more than allowed shows that there is more, without unpacking the rest of a bomb.
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, min(bomb_bytes, MAX_FILE_BYTES) + 1)
        except zlib.error as error:
            raise ImageError(full_name, "unreadable", f"is damaged: {error}") from None
        if len(data) > bomb_bytes:
            raise _refusal(self.path, name, f"unpacks to over {MAX_RATIO} times its {len(packed):,} bytes: a zip bomb")
        return data


def _read_directory(path: Path) -> list[zipfile.ZipInfo]:
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except FileNotFoundError:
        raise ArchiveError(f"there is no file {path}") from None
    except PermissionError:
        raise ArchiveError(f"{path} cannot be read: this user has no permission") from None
    except UnicodeDecodeError:
        raise ArchiveError(f"{path} has a member whose name is marked as UTF-8 but is not", hint=_HINT) from None
    # Hostile directories make zipfile raise all of these: bad offsets, unknown versions, lengths that do not fit.
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, OSError) as error:
        hint = "Fetch or copy it again: it is damaged or was cut short."
        raise ArchiveError(f"{path} is not a complete zip archive: {error}", hint=hint) from None


def _check_directory(path: Path) -> None:
    """Refuse too many members before Python makes an object of each. Files that are not archives are refused later."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        tail_start = max(0, size - _END_BYTES - _LONGEST_COMMENT - _LOCATOR_BYTES - _LONG_END_BYTES)
        file.seek(tail_start)
        tail = file.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) < end + _END_BYTES:
            return
        _, num_members, num_bytes = _END.unpack_from(tail, end)
        long_end = end - _LOCATOR_BYTES - _LONG_END_BYTES
        if long_end >= 0 and tail.startswith(b"PK\x06\x06", long_end):
            _, num_members, num_bytes = _LONG_END.unpack_from(tail, long_end)
            end = long_end
        _check_count(path, num_members)
        if num_bytes > MAX_DIRECTORY_BYTES:
            raise ArchiveError(
                f"{path} has a list of members of {num_bytes:,} bytes, at most {MAX_DIRECTORY_BYTES:,} are read",
                hint=_UNPACK,
            )
        # The declared number may be a lie, and zipfile goes by the bytes: each entry starts with this signature.
        file.seek(max(0, tail_start + end - num_bytes))
        _check_count(path, file.read(num_bytes).count(b"PK\x01\x02"))


def _check_count(path: Path, num_members: int) -> None:
    if num_members > MAX_ENTRIES:
        raise ArchiveError(f"{path} has {num_members:,} members, at most {MAX_ENTRIES:,} are read", hint=_UNPACK)


def _check_totals(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    _check_count(path, len(entries))
    if (total := sum(info.file_size for info in entries)) > MAX_TOTAL_BYTES:
        raise ArchiveError(f"{path} declares {total:,} bytes, at most {MAX_TOTAL_BYTES:,} are read", hint=_HINT)
    # Members that overlap let a few packed bytes be unpacked many times over (Fifield, A better zip bomb, 2019).
    end = 0
    for info in sorted(entries, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _refusal(path, info.filename, "shares its data with another member: a zip bomb")
        end = info.header_offset + _LOCAL_HEADER.size + info.compress_size


def _name_of(info: zipfile.ZipInfo) -> str:
    """The member's name as stored: ZipInfo.filename is cut at NUL, and has other separators on Windows."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_NAME:  # zipfile decoded the bytes as code page 437; most writers mean UTF-8
        name = name.encode("cp437").decode("utf-8", "surrogateescape")
    return name


def _has_control_characters(name: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in name)


def _checked_name(path: Path, name: str) -> str:
    """The member's name as a plain relative path."""
    if _has_control_characters(name):
        raise _refusal(path, name, "has control characters in its name")
    if not name or name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        raise _refusal(path, name, "has a name that is not a plain relative path")
    if name.count("/") > MAX_DEPTH:
        raise _refusal(path, name, f"lies more than {MAX_DEPTH} folders deep")
    return posixpath.normpath(name)


def _checked_member(path: Path, name: str, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # Unix writers put the file's mode here; others leave 0
    if kind not in (0, stat.S_IFREG):
        raise _refusal(path, name, "is a link or a device, expected a plain file")
    if info.flag_bits & _ENCRYPTED:
        raise _refusal(path, name, "is encrypted")
    if name.lower().endswith(_ARCHIVES):
        raise _refusal(path, name, "is an archive itself; unpack both first")
    # Only photos are ever unpacked, so the ratio of other files, such as logs, does not matter.
    bomb_bytes = max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size)
    if info.file_size > bomb_bytes and has_photo_suffix(posixpath.basename(name)):
        reason = f"declares an unpacked size of over {MAX_RATIO} times its {info.compress_size:,} bytes: a zip bomb"
        raise _refusal(path, name, reason)
    return _Member(info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type)


def _read_packed(file: BinaryIO, member: _Member) -> bytes:
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise ValueError("its header is missing")
    # The lengths are read here and not taken from the directory: the extra field may differ between the two.
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    file.seek(name_length + extra_length, 1)
    return file.read(member.compressed_bytes)


def _refusal(path: Path, name: str, reason: str) -> ArchiveError:
    return ArchiveError(f"{path} is refused: its member {name[:200]!r} {reason}", hint=_HINT)
