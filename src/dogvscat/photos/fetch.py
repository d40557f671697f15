"""The official archive of cats and dogs: downloaded once, resumed after an interruption, and checked by its digest.

A download is two files until it is complete: `NAME.part` with the bytes received so far, and `NAME.part.json` with what
the server reported about the whole file. With both, a later request asks for the missing bytes only, and the server is
asked to send everything again if the file has changed since then (RFC 9110, sections 13.1.5 and 14).
"""

import hashlib
import http.client
import json
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dogvscat import caches
from dogvscat._version import __version__
from dogvscat.atomic import flush_folder, wrap_write_errors, write_json
from dogvscat.errors import FetchError
from dogvscat.photos.http_request import open_response
from dogvscat.stderr import track

OFFICIAL_URL = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip"
)
OFFICIAL_SHA256 = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
CONNECT_SECONDS = 10.0
"""Longest wait for the server's first answer."""
MAX_ARCHIVE_BYTES = 16 * 1024**3

_MEBIBYTE = 1024 * 1024
_RESUME_HINT = "Run the command again: it resumes where it stopped. Or download the archive yourself and give its path."


class _ServerFacts(NamedTuple):
    """What the server reported about the whole file."""

    num_bytes: int | None
    """None if it did not report a length."""
    etag: str | None
    """The server's name for this version of the file; None if it has none, or only a weak one."""


class _PartialDownload(NamedTuple):
    """The two files of an unfinished download."""

    file: Path
    facts_file: Path

    def num_bytes(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    def read_facts(self) -> _ServerFacts | None:
        """What the server reported when the download started; None if that is unknown, and nothing can be resumed."""
        with suppress(OSError, ValueError, KeyError, AttributeError):  # missing, or not what write_facts writes
            facts = json.loads(self.facts_file.read_text(encoding="utf-8"))
            if isinstance(facts.get("num_bytes"), int | None) and isinstance(facts["etag"], str | None):
                return _ServerFacts(facts.get("num_bytes"), facts["etag"])
        return None

    def write_facts(self, facts: _ServerFacts) -> None:
        write_json(self.facts_file, facts._asdict())

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self.facts_file.unlink(missing_ok=True)


class _ConnectionLost(Exception):
    """The connection broke; the bytes received so far are kept."""


def fetch_archive(
    url: str = OFFICIAL_URL,
    sha256: str = OFFICIAL_SHA256,
    folder: Path | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Path:
    """Download an archive, or return the one downloaded earlier, which needs no network.

    Args:
        url: An http or https address; it may redirect to https only.
        sha256: The digest of the archive, 64 hexadecimal digits.
        folder: Where to keep the archive, by default the `archives` cache.
        connect_seconds: Longest wait for the server's first answer, including name look-up and redirects.

    Returns:
        The path of the archive; its digest was checked after the download.

    Raises:
        FetchError: if `url` or `sha256` is malformed, if there is no network or no such file, if the connection breaks
            (the next call resumes), if the file is too large, or if it has another digest (it is removed).
        WriteError: if it cannot be stored, for example because the disk is full.
    """
    folder = folder or caches.folder("archives")
    archive = folder / _file_name(url, sha256)
    if archive.is_file():
        return archive
    partial = _PartialDownload(folder / f"{archive.name}.part", folder / f"{archive.name}.part.json")
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _download(url, partial, connect_seconds)
    _check_digest(url, sha256, partial)
    with wrap_write_errors(archive):
        partial.file.replace(archive)  # atomic: under its own name, the archive is always complete
        partial.facts_file.unlink(missing_ok=True)
    flush_folder(folder)
    return archive


def fetched_archive() -> Path | None:
    """The archive in the cache that was fetched last, or None."""
    archives = [path for path in caches.folder("archives").glob("*.zip") if path.is_file()]
    return max(archives, key=lambda path: path.stat().st_mtime_ns, default=None)


def _file_name(url: str, sha256: str) -> str:
    """A file name made of the address and the digest, so that two archives of the same name are kept apart."""
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise FetchError(f"expected a sha256 of 64 hexadecimal digits, received {sha256!r}")
    try:
        address = urllib.parse.urlsplit(url)
        usable = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise FetchError(f"expected an address that starts with https:// or http://, received {url!r}")
    # Only letters, digits, "-" and "_" of the address survive: it cannot choose another folder.
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(urllib.parse.unquote(address.path)).stem)[:80]
    return f"{stem or 'archive'}-{sha256[:8].lower()}.zip"


def _download(url: str, partial: _PartialDownload, connect_seconds: float) -> None:
    """Receive the whole file; a broken connection is opened again as long as each connection brings more bytes."""
    while True:
        num_bytes = partial.num_bytes()
        try:
            _resume(url, partial, connect_seconds)
            return
        except _ConnectionLost as error:
            if partial.num_bytes() <= num_bytes:
                message = f"the download of {url} was interrupted after {partial.num_bytes():,} bytes: {error}"
                raise FetchError(message, hint=_RESUME_HINT) from None


def _resume(url: str, partial: _PartialDownload, connect_seconds: float) -> None:
    """Receive what is missing over one connection, or everything if there is nothing to resume.

    Raises:
        _ConnectionLost: if the connection breaks before the end.
    """
    facts = partial.read_facts()
    start = partial.num_bytes() if facts else 0
    if facts and start and start == facts.num_bytes:  # complete, but interrupted before its digest was checked
        return
    with open_response(_request(url, start, facts), connect_seconds) as response:
        if response.status == 200:  # everything: a first request, a changed file, or a server without ranges
            start, facts = 0, _facts(response)
            partial.remove()
            partial.write_facts(facts)
        elif not facts or not _is_missing_part(response, start, facts):
            # The bytes sent do not fit those received, or there are none after them (416): start again.
            partial.remove()
            _resume(url, partial, connect_seconds)
            return
        total = facts.num_bytes
        num_mebibytes = None if total is None else -(-(total - start) // _MEBIBYTE)  # rounded up
        for _ in track(_receive(response, partial.file), "fetching, MiB", num_mebibytes):
            pass
    # http.client ends a body that was cut short like a complete one.
    if total is not None and partial.num_bytes() < total:
        raise _ConnectionLost(f"expected {total:,} bytes")


def _request(url: str, start: int, facts: _ServerFacts | None) -> urllib.request.Request:
    request = urllib.request.Request(url, headers={"User-Agent": f"dogvscat/{__version__}"})
    if facts and start:
        request.add_header("Range", f"bytes={start}-")
        if facts.etag:  # "send the range only if the file still has this ETag, else everything"
            request.add_header("If-Range", facts.etag)
    return request


def _is_missing_part(response: http.client.HTTPResponse, start: int, facts: _ServerFacts) -> bool:
    """Whether the response continues where the partial download ends, in the same version of the file."""
    byte_range, _, total = response.headers.get("Content-Range", "").partition("/")  # "bytes 100-199/200"
    same_size = total in ("*", str(facts.num_bytes or total))
    same_etag = facts.etag in (None, response.headers.get("ETag"))
    return response.status == 206 and byte_range.startswith(f"bytes {start}-") and same_size and same_etag


def _facts(response: http.client.HTTPResponse) -> _ServerFacts:
    length = response.headers.get("Content-Length", "")
    num_bytes = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    if num_bytes is not None and num_bytes > MAX_ARCHIVE_BYTES:
        raise FetchError(f"the file has {num_bytes:,} bytes, at most {MAX_ARCHIVE_BYTES:,} are fetched")
    etag = response.headers.get("ETag")
    # A weak ETag ("W/...") promises the same meaning, not the same bytes.
    return _ServerFacts(num_bytes, None if etag is None or etag.startswith("W/") else etag)


def _receive(response: http.client.HTTPResponse, file: Path) -> Iterator[None]:
    """Append the body to a file; yields once per mebibyte."""
    with wrap_write_errors(file):
        opened = file.open("ab", buffering=0)  # unbuffered: what was received survives a crash of this process
    with opened:
        received = opened.tell()
        while True:
            try:
                data = response.read1(_MEBIBYTE)
            except (OSError, http.client.HTTPException) as error:
                raise _ConnectionLost(str(error) or type(error).__name__) from None
            if not data:
                return
            if received + len(data) > MAX_ARCHIVE_BYTES:
                raise FetchError(f"the file has more than {MAX_ARCHIVE_BYTES:,} bytes; larger files are not fetched")
            unwritten = memoryview(data)
            while unwritten:  # a disk that is almost full takes a part and refuses the rest
                with wrap_write_errors(file):
                    unwritten = unwritten[opened.write(unwritten) :]
            yield from [None] * ((received + len(data)) // _MEBIBYTE - received // _MEBIBYTE)
            received += len(data)


def _check_digest(url: str, sha256: str, partial: _PartialDownload) -> None:
    with wrap_write_errors(partial.file), partial.file.open("r+b") as file:
        os.fsync(file.fileno())  # on the disk before the file gets its final name
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != sha256.lower():
        partial.remove()
        message = f"{url} sent a different file: expected sha256 {sha256.lower()}, received {received}"
        raise FetchError(message, hint="The file was removed. Check the address, or give the right digest.")
