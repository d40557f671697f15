"""The official archive of cats and dogs, downloaded once, resumed where it broke off, and checked by its digest."""

import hashlib
import http.client
import ipaddress
import json
import os
import queue
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from dogvscat import caches
from dogvscat._version import __version__
from dogvscat.atomic import flush_folder, write_json, writing
from dogvscat.errors import FetchError
from dogvscat.stderr import track

OFFICIAL_URL = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip"
)
OFFICIAL_SHA256 = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
CONNECT_SECONDS = 10.0
MAX_ARCHIVE_BYTES = 16 * 1024**3

_STALL_SECONDS = 30.0
_MEBIBYTE = 1024 * 1024
_RESUME = "Run it again: it goes on where it stopped. Or download the archive yourself and give its path."
_CONNECT = "Check the network and the address. Or give photos of your own, a folder or a zip."


class _Part(NamedTuple):
    """An unfinished download and what the server said about it."""

    file: Path
    notes: Path

    def num_bytes(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    def read_notes(self) -> dict[str, Any]:
        """`num_bytes` of the whole and `etag`, each None if unknown; empty if there is nothing to go on from."""
        with suppress(OSError, ValueError, KeyError, AttributeError):
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            if isinstance(notes.get("num_bytes"), int | None) and isinstance(notes["etag"], str | None):
                return notes
        return {}

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


class _CutOff(Exception):
    """The connection broke; what came so far is kept."""


def fetch_archive(
    url: str = OFFICIAL_URL,
    sha256: str = OFFICIAL_SHA256,
    folder: Path | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Path:
    """Download an archive, or find it downloaded already, which needs no network.

    Args:
        url: An http or https address; it may redirect to https only.
        sha256: The digest of the archive, 64 hexadecimal digits.
        folder: Where to keep it, by default the `archives` cache.
        connect_seconds: Longest wait for the server's first answer, name look-up and redirects included.

    Returns:
        The path of the archive; its digest was checked when it came.

    Raises:
        FetchError: if there is no network, no such file, or another file; what came so far is kept and used next time.
        WriteError: if it cannot be stored, for example because the disk is full.
    """
    folder = folder or caches.area("archives")
    archive = folder / _file_name(url, sha256)
    if archive.is_file():
        return archive
    part = _Part(folder / f"{archive.name}.part", folder / f"{archive.name}.part.json")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _download(url, part, connect_seconds)
    _check_digest(url, sha256, part)
    with writing(archive):
        part.file.replace(archive)
        part.notes.unlink(missing_ok=True)
    flush_folder(folder)
    return archive


def fetched_archive() -> Path | None:
    """The archive that was fetched last, or None."""
    archives = [path for path in caches.area("archives").glob("*.zip") if path.is_file()]
    return max(archives, key=lambda path: path.stat().st_mtime_ns, default=None)


def _file_name(url: str, sha256: str) -> str:
    """Named after the address and the digest, so that two archives of one name are kept apart."""
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise FetchError(f"expected a sha256 of 64 hexadecimal digits, received {sha256!r}")
    try:
        address = urllib.parse.urlsplit(url)
        usable = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise FetchError(f"expected an address that begins with https:// or http://, received {url!r}")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(urllib.parse.unquote(address.path)).stem)[:80]
    return f"{stem or 'archive'}-{sha256[:8].lower()}.zip"


def _download(url: str, part: _Part, connect_seconds: float) -> None:
    """Connect as often as it brings more bytes."""
    while True:
        num_bytes = part.num_bytes()
        try:
            _continue(url, part, connect_seconds)
            return
        except _CutOff as error:
            if part.num_bytes() <= num_bytes:
                message = f"the download of {url} broke off after {part.num_bytes():,} bytes: {error}"
                raise FetchError(message, hint=_RESUME) from None


def _continue(url: str, part: _Part, connect_seconds: float) -> None:
    notes = part.read_notes()
    start = part.num_bytes() if notes else 0
    if start and start == notes["num_bytes"]:
        return
    request = urllib.request.Request(url, headers={"User-Agent": f"dogvscat/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if notes["etag"]:
            request.add_header("If-Range", notes["etag"])
    with _open(request, connect_seconds) as response:
        if start and response.status != 200 and not _is_rest(response, start, notes):
            part.remove()
            _continue(url, part, connect_seconds)
            return
        if response.status == 200:  # also where a server sends the whole though the rest was asked for
            start, notes = 0, _notes(response)
            part.remove()
            write_json(part.notes, notes)
        total = notes.get("num_bytes")
        remaining = None if total is None else -(-(total - start) // _MEBIBYTE)
        for _ in track(_receive(response, part.file), "fetching, MiB", remaining):
            pass
    if total is not None and part.num_bytes() < total:
        raise _CutOff(f"expected {total:,} bytes")


def _is_rest(response: http.client.HTTPResponse, start: int, notes: dict[str, Any]) -> bool:
    """Whether the answer goes on where the part ends, in the same file."""
    first, _, whole = response.headers.get("Content-Range", "").partition("/")
    same_size = whole in ("*", str(notes["num_bytes"] or whole))
    same_etag = notes["etag"] in (None, response.headers.get("ETag"))
    return response.status == 206 and first.startswith(f"bytes {start}-") and same_size and same_etag


def _notes(response: http.client.HTTPResponse) -> dict[str, Any]:
    length = response.headers.get("Content-Length", "")
    num_bytes = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    if num_bytes is not None and num_bytes > MAX_ARCHIVE_BYTES:
        raise FetchError(f"the file has {num_bytes:,} bytes, at most {MAX_ARCHIVE_BYTES:,} are fetched")
    etag = response.headers.get("ETag")
    return {"num_bytes": num_bytes, "etag": None if etag is None or etag.startswith("W/") else etag}


def _receive(response: http.client.HTTPResponse, file: Path) -> Iterator[None]:
    """Append what comes; yields once a mebibyte."""
    with writing(file):
        opened = file.open("ab", buffering=0)
    with opened:
        received = opened.tell()
        while True:
            try:
                data = response.read1(_MEBIBYTE)
            except (OSError, http.client.HTTPException) as error:
                raise _CutOff(str(error) or type(error).__name__) from None
            if not data:
                return
            if received + len(data) > MAX_ARCHIVE_BYTES:
                raise FetchError(f"more than {MAX_ARCHIVE_BYTES:,} bytes came, which is no archive of photos")
            unwritten = memoryview(data)
            while unwritten:  # a full disk takes a part and refuses the rest
                with writing(file):
                    unwritten = unwritten[opened.write(unwritten) :]
            yield from [None] * ((received + len(data)) // _MEBIBYTE - received // _MEBIBYTE)
            received += len(data)


def _check_digest(url: str, sha256: str, part: _Part) -> None:
    with writing(part.file), part.file.open("r+b") as file:
        os.fsync(file.fileno())
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != sha256.lower():
        part.remove()
        message = f"what came from {url} is another file: expected sha256 {sha256.lower()}, received {received}"
        raise FetchError(message, hint="It was removed. Check the address, or give the right digest.")


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request | None:
        address = urllib.parse.urlsplit(newurl)
        if address.scheme != "https" and not (address.scheme == "http" and _is_loopback(address.hostname or "")):
            fp.close()
            raise FetchError(f"{req.full_url} redirects to {newurl}, expected an https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open(request: urllib.request.Request, connect_seconds: float) -> http.client.HTTPResponse:
    """The server's answer, asked for in a thread: a name look-up heeds no time limit of its own."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    given_up = threading.Event()

    def ask() -> None:
        try:
            answer = urllib.request.build_opener(_CarefulRedirects).open(request, timeout=_STALL_SECONDS)
        except urllib.error.HTTPError as error:
            answer = error
        except Exception as error:
            answers.put(error)
            return
        if given_up.is_set():
            answer.close()
        answers.put(answer)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=connect_seconds)
    except queue.Empty:
        given_up.set()
        message = f"{request.full_url} did not answer within {connect_seconds:g} s"
        raise FetchError(message, hint=_CONNECT) from None
    return _judged(answer, request)


def _judged(answer: Any, request: urllib.request.Request) -> http.client.HTTPResponse:
    if isinstance(answer, FetchError):
        raise answer
    if isinstance(answer, Exception) and not isinstance(answer, urllib.error.HTTPError):
        reason = getattr(answer, "reason", None) or answer
        raise FetchError(f"cannot reach {request.full_url}: {reason}", hint=_CONNECT) from None
    if answer.status not in ((200, 206, 416) if request.has_header("Range") else (200,)):
        answer.close()
        reason = " ".join(f"{answer.status} {answer.reason}".split())
        message = f"{request.full_url} was refused by the server: {reason}"
        raise FetchError(message, hint=_CONNECT)
    return answer
