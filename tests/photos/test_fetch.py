"""Downloads from a real HTTP server on the loopback address, which can cut connections and change its file."""

import hashlib
import re
import resource
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dogvscat import caches
from dogvscat.errors import FetchError, WriteError
from dogvscat.photos import fetch
from dogvscat.photos.fetch import OFFICIAL_SHA256, OFFICIAL_URL, fetch_archive, fetched_archive

CONTENT = bytes(range(256)) * 12_000  # about 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does, and the requests it received."""

    content: bytes = CONTENT
    etag: str | None = '"first"'
    cut_after: list[int] = field(default_factory=list)
    """For each answer to come, the number of bytes of its body after which the connection is cut."""
    supports_ranges: bool = True
    respects_if_range: bool = True
    sends_length: bool = True
    status: int = 200
    redirect: str | None = None
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.ranges.append(self.headers["Range"])
            if site.redirect and self.path != "/target":
                self.send_response(302)
                self.send_header("Location", site.redirect)
                self.end_headers()
                return
            if site.status != 200:
                self.send_error(site.status)
                return
            self.answer()

        def answer(self) -> None:
            body = site.content
            byte_range = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "") if site.supports_ranges else None
            changed = site.respects_if_range and self.headers["If-Range"] not in (None, site.etag)
            if byte_range and not changed:
                start = int(byte_range[1])
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                body = body[start:]
            else:
                self.send_response(200)
            if site.sends_length:
                self.send_header("Content-Length", str(len(body)))
            if site.etag:
                self.send_header("ETag", site.etag)
            self.end_headers()
            self.wfile.write(body[: site.cut_after.pop(0)] if site.cut_after else body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(site)) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}/pets.zip"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def test_an_archive_is_fetched_once(site: Site, tmp_path: Path) -> None:
    archive = fetch_archive(site.url, SHA256, tmp_path / "new")
    assert archive.read_bytes() == CONTENT
    assert [path.name for path in archive.parent.iterdir()] == [f"pets-{SHA256[:8]}.zip"]
    site.status = 500
    assert fetch_archive(site.url, SHA256.upper(), tmp_path / "new") == archive
    assert site.ranges == [None]


def test_the_archive_is_kept_in_the_cache_and_found_there(site: Site) -> None:
    assert fetched_archive() is None
    archive = fetch_archive(site.url, SHA256)
    assert archive.parent == caches.folder("archives")
    assert fetched_archive() == archive


def test_a_broken_connection_is_resumed(site: Site, tmp_path: Path) -> None:
    site.cut_after = [1_000_000, 500_000]
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_later_call_resumes_where_an_earlier_one_stopped(site: Site, tmp_path: Path) -> None:
    site.cut_after = [1_000_000, 0]
    with pytest.raises(FetchError, match="was interrupted after 1,000,000 bytes: expected 3,072,000 bytes") as caught:
        fetch_archive(site.url, SHA256, tmp_path)
    assert "resumes where it stopped" in str(caught.value.hint)
    assert not list(tmp_path.glob("*.zip"))
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000000-", "bytes=1000000-"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_finished_part_needs_no_network(site: Site, tmp_path: Path) -> None:
    site.cut_after = [1_000_000, 0]
    with pytest.raises(FetchError, match="was interrupted"):
        fetch_archive(site.url, SHA256, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(CONTENT)  # as if stopped just before the digest was checked
    site.status = 500
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_length_is_compared(site: Site, tmp_path: Path, etag: str | None) -> None:
    site.etag, site.cut_after = etag, [1_000_000]
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000000-"]


def test_a_server_without_ranges_sends_the_whole_again(site: Site, tmp_path: Path) -> None:
    site.supports_ranges, site.cut_after = False, [1_000_000]
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000000-"]


@pytest.mark.parametrize("respects_if_range", [True, False])
@pytest.mark.parametrize("length", [len(CONTENT), 2_000_000, 900_000])
def test_a_changed_file_is_fetched_from_the_start(
    site: Site, tmp_path: Path, length: int, respects_if_range: bool
) -> None:
    site.respects_if_range, site.cut_after = respects_if_range, [1_000_000, 0]
    other = CONTENT[::-1][:length]
    with pytest.raises(FetchError, match="was interrupted"):
        fetch_archive(site.url, hashlib.sha256(other).hexdigest(), tmp_path)
    site.content, site.etag = other, '"second"'
    assert fetch_archive(site.url, hashlib.sha256(other).hexdigest(), tmp_path).read_bytes() == other


def test_an_unreadable_facts_file_means_a_new_start(site: Site, tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"num_bytes": "x", "etag": null}', '{"num_bytes": 5, "etag": 6}'):
        name = f"pets-{SHA256[:8]}.zip.part"
        (tmp_path / name).write_bytes(b"junk")
        (tmp_path / f"{name}.json").write_text(text)
        fetch_archive(site.url, SHA256, tmp_path).unlink()
    assert site.ranges == [None] * 5


def test_a_download_of_unknown_length_is_checked_by_its_digest(site: Site, tmp_path: Path) -> None:
    site.sends_length, site.cut_after = False, [1_000_000]
    with pytest.raises(FetchError, match="expected sha256"):
        fetch_archive(site.url, SHA256, tmp_path)
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_another_file_is_removed(site: Site, tmp_path: Path) -> None:
    wrong = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(FetchError, match=f"a different file: expected sha256 {wrong}, received {SHA256}"):
        fetch_archive(site.url, wrong, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (403, "403 Forbidden"), (503, "503 Service")])
def test_the_servers_refusal_is_reported(site: Site, tmp_path: Path, status: int, reason: str) -> None:
    site.status = status
    with pytest.raises(FetchError, match=rf"pets\.zip was refused by the server: {reason}") as caught:
        fetch_archive(site.url, SHA256, tmp_path)
    assert caught.value.exit_code == 3


def test_redirects_lead_to_https_or_this_machine_only(site: Site, tmp_path: Path) -> None:
    site.redirect = site.url.replace("pets.zip", "target")
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT
    for target in ("http://example.org/pets.zip", "ftp://example.org/pets.zip", "file:///etc/passwd"):
        site.redirect = target
        with pytest.raises(
            FetchError, match=rf"redirects to {target}, expected an https|to url '{target}' is not allowed"
        ):
            fetch_archive(site.url, SHA256, tmp_path / "other")


def test_a_redirect_in_circles_ends(site: Site, tmp_path: Path) -> None:
    site.redirect = site.url
    with pytest.raises(FetchError, match="302"):
        fetch_archive(site.url, SHA256, tmp_path)


def test_a_missing_server_is_reported_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(FetchError, match=r"cannot reach .*refused") as caught:
        fetch_archive(f"http://127.0.0.1:{port}/pets.zip", SHA256, tmp_path)
    assert "photos of your own" in str(caught.value.hint)


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/pets.zip"
        with pytest.raises(FetchError, match=r"did not answer within 0\.2 s"):
            fetch_archive(url, SHA256, tmp_path, connect_seconds=0.2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.zip", "pets.zip", "http://", "http://[1/"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="expected an address that starts with https"):
        fetch_archive(url, SHA256, tmp_path)


def test_a_malformed_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="expected a sha256 of 64 hexadecimal digits, received 'abc'"):
        fetch_archive(OFFICIAL_URL, "abc", tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "%2e%2e%2fx.zip", "a b\n.zip", "", "?q=1", "x" * 500])
def test_the_address_cannot_choose_the_folder(site: Site, tmp_path: Path, name: str) -> None:
    url = site.url.replace("pets.zip", name.replace("\n", "%0a").replace(" ", "%20"))
    archive = fetch_archive(url, SHA256, tmp_path)
    assert archive.parent == tmp_path
    assert re.fullmatch(rf"[A-Za-z0-9_-]+-{SHA256[:8]}\.zip", archive.name)


def test_too_much_is_refused(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_ARCHIVE_BYTES", 1_000_000)
    with pytest.raises(FetchError, match="has 3,072,000 bytes, at most 1,000,000"):
        fetch_archive(site.url, SHA256, tmp_path)
    site.sends_length = False
    with pytest.raises(FetchError, match="the file has more than 1,000,000 bytes"):
        fetch_archive(site.url, SHA256, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="could not write"):
        fetch_archive(site.url, SHA256, tmp_path / "file/folder")


def test_a_full_disk_is_reported_and_the_received_bytes_are_kept(site: Site, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))  # a quota: the write stops in the middle
    try:
        with pytest.raises(WriteError, match=r"could not write .*pets-.*: File too large"):
            fetch_archive(site.url, SHA256, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fetch_archive(site.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000000-"]


def test_the_official_address_is_the_documented_one() -> None:
    assert OFFICIAL_URL.startswith("https://download.microsoft.com/")
    assert OFFICIAL_URL.endswith("_5340.zip")
    assert re.fullmatch("[0-9a-f]{64}", OFFICIAL_SHA256)
