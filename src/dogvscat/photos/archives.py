"""Zip archives read in place: nothing is ever unpacked to a path that the archive names.

A hostile or damaged archive is refused as a whole when it is opened; a member that is merely damaged is one photo that
cannot be read, and the others go on. Sizes are counted while data comes out, because declared sizes prove nothing.
Source: the pitfalls that Python's zipfile documentation lists; the ratio is Keras' (CVE-2026-0897).
"""

import posixpath
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from dogvscat.errors import ArchiveError, ImageError
from dogvscat.photos.decoder import MAX_FILE_BYTES, PHOTO_SUFFIXES

MAX_ENTRIES = 1_000_000
MAX_TOTAL_BYTES = 256 * 1024**3
MAX_RATIO = 100
"""Bytes out for each byte in; a photo is compressed already and stays near 1."""
RATIO_FREE_BYTES = 1024 * 1024
"""Below this size a photo may be packed as tightly as it likes: a blank bitmap is."""
MAX_DEPTH = 64

_UTF8_NAME = 0x800
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_HINT = "Make the archive again from a plain folder, or give the unpacked folder."


class _Member(NamedTuple):
    header_offset: int
    compressed_bytes: int
    num_bytes: int
    crc: int
    method: int


class SafeZip:
    """The files inside a zip, by name.

    Holds no open file: every read opens the archive afresh, so that threads and forked or spawned processes may all
    read through one object.

    Args:
        path: The archive.

    Raises:
        ArchiveError: naming the archive and the member, if it is no zip, is cut short, or has members with unsafe
            names, links or devices, encryption, equal names, overlapping data, bombs, or too many of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        entries = _read_directory(path)
        _check_totals(path, entries)
        self._members: dict[str, _Member] = {}
        seen = set()
        for info in entries:
            name = _checked_name(path, info)
            if name in seen:
                raise _refusal(path, name, "is in it twice")
            seen.add(name)
            if not info.is_dir():
                self._members[name] = _checked_member(path, name, info)
        self.names = sorted(self._members)
        """Names of all files, sorted; bytes that are not UTF-8 are kept as `os.fsdecode` keeps them."""
        self.folders = sorted(seen - self._members.keys())
        """Names of the folders that have an entry of their own."""

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            ImageError: with code `not_found`, `too_large` or `unreadable`: this file alone cannot be used.
            ArchiveError: if more comes out than was declared and than a photo could hold, or the archive is gone.
        """
        shown = f"{self.path}/{name}"
        member = self._members.get(name)
        if member is None:
            raise ImageError(shown, "not_found", "there is no such file in the archive")
        if (largest := max(member.num_bytes, member.compressed_bytes)) > MAX_FILE_BYTES:
            raise ImageError(shown, "too_large", f"has {largest:,} bytes, at most {MAX_FILE_BYTES:,} are read")
        try:
            with self.path.open("rb") as file:
                packed = _read_packed(file, member)
        except FileNotFoundError:
            raise ArchiveError(f"{self.path} is no longer there") from None
        except (OSError, ValueError) as error:
            raise ImageError(shown, "unreadable", f"cannot be read: {error}") from None
        data = self._unpack(packed, name, member)
        if len(data) != member.num_bytes or zlib.crc32(data) != member.crc:
            raise ImageError(shown, "unreadable", "is damaged: its checksum does not match")
        return data

    def _unpack(self, packed: bytes, name: str, member: _Member) -> bytes:
        shown = f"{self.path}/{name}"
        if member.method == zipfile.ZIP_STORED:
            return packed
        if member.method != zipfile.ZIP_DEFLATED:
            reason = f"is packed with method {member.method}, only stored (0) and deflated (8) are read"
            raise ImageError(shown, "unreadable", reason)
        bomb_bytes = max(RATIO_FREE_BYTES, MAX_RATIO * len(packed))
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, min(bomb_bytes, MAX_FILE_BYTES) + 1)
        except zlib.error as error:
            raise ImageError(shown, "unreadable", f"is damaged: {error}") from None
        if len(data) > bomb_bytes:
            raise _refusal(self.path, name, f"unpacks to over {MAX_RATIO} times its {len(packed):,} bytes: a zip bomb")
        return data


def _read_directory(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except FileNotFoundError:
        raise ArchiveError(f"there is no file {path}") from None
    except PermissionError:
        raise ArchiveError(f"{path} may not be read by this user") from None
    except UnicodeDecodeError:
        raise ArchiveError(
            f"{path} has a member whose name is not the UTF-8 that it claims to be", hint=_HINT
        ) from None
    # Hostile directories make zipfile raise all of these: bad offsets, unknown versions, lengths that do not fit.
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, OSError) as error:
        hint = "Fetch or copy it again: it is damaged or was cut short."
        raise ArchiveError(f"{path} is not a whole zip archive: {error}", hint=hint) from None


def _check_totals(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise ArchiveError(f"{path} has {len(entries):,} members, at most {MAX_ENTRIES:,} are read", hint=_HINT)
    if (total := sum(info.file_size for info in entries)) > MAX_TOTAL_BYTES:
        raise ArchiveError(f"{path} declares {total:,} bytes, at most {MAX_TOTAL_BYTES:,} are read", hint=_HINT)
    end = 0
    for info in sorted(entries, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _refusal(path, info.filename, "shares its data with another member: a zip bomb")
        end = info.header_offset + _LOCAL_HEADER.size + info.compress_size


def _checked_name(path: Path, info: zipfile.ZipInfo) -> str:
    """The member's name as a plain relative path; ZipInfo.filename is cut at NUL, so the original is looked at."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_NAME:  # zipfile took the bytes for code page 437; most writers mean UTF-8
        name = name.encode("cp437").decode("utf-8", "surrogateescape")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise _refusal(path, name, "has control characters in its name")
    if not name or name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        raise _refusal(path, name, "has a name that is not a plain relative path")
    if name.count("/") > MAX_DEPTH:
        raise _refusal(path, name, f"lies more than {MAX_DEPTH} folders deep")
    return posixpath.normpath(name)


def _checked_member(path: Path, name: str, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _refusal(path, name, "is a link or a device, expected a plain file")
    if info.flag_bits & _ENCRYPTED:
        raise _refusal(path, name, "is encrypted")
    bomb_bytes = max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size)
    if info.file_size > bomb_bytes and PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES:
        raise _refusal(path, name, f"declares over {MAX_RATIO} times its {info.compress_size:,} bytes: a zip bomb")
    return _Member(info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type)


def _read_packed(file: BinaryIO, member: _Member) -> bytes:
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise ValueError("its header is missing")
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    file.seek(name_length + extra_length, 1)
    return file.read(member.compressed_bytes)


def _refusal(path: Path, name: str, reason: str) -> ArchiveError:
    return ArchiveError(f"{path} is refused: its member {name[:200]!r} {reason}", hint=_HINT)
