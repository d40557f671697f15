"""ONNX Runtime Web through npm: only the pinned bytes are used, and errors say why they could not be fetched."""

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dogvscat.bundle.export import onnxruntime_web as ort_web
from dogvscat.errors import FetchError, UsageError

pytestmark = pytest.mark.slow

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is needed")


@pytest.fixture
def wrong_registry() -> Iterator[str]:
    """A registry on loopback whose onnxruntime-web is another one."""
    tarball = b"not the runtime"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            version = {
                "name": "onnxruntime-web",
                "version": ort_web.VERSION,
                "dist": {
                    "tarball": f"http://127.0.0.1:{server.server_port}/runtime.tgz",
                    "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode(),
                },
            }
            about = {"name": "onnxruntime-web", "dist-tags": {}, "versions": {ort_web.VERSION: version}}
            body = tarball if self.path.endswith(".tgz") else json.dumps(about).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_the_files_that_a_page_needs_come_out_of_the_archive(onnxruntime_web: Path) -> None:
    files = ort_web.runtime_files()
    assert sorted(files) == ["ort/ort-wasm-simd-threaded.wasm", "ort/ort.js"]
    assert files["ort/ort-wasm-simd-threaded.wasm"][:4] == b"\0asm"
    assert f"ONNX Runtime Web v{ort_web.VERSION}".encode() in files["ort/ort.js"][:200]


def test_without_npm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs npm, which is not installed") as caught:
        ort_web.runtime_files()
    assert "Install Node.js" in str(caught.value.hint)


@needs_npm
def test_without_a_network_the_error_says_which_file_to_bring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # where nobody listens
    monkeypatch.setenv("npm_config_cache", str(tmp_path))
    with pytest.raises(FetchError, match=r"npm could not fetch onnxruntime-web .* \(30 MB\): .*ECONNREFUSED") as caught:
        ort_web.runtime_files()
    assert f"`npm pack onnxruntime-web@{ort_web.VERSION}`" in str(caught.value.hint)
    assert str(ort_web.archive_path().parent) in str(caught.value.hint)


@needs_npm
def test_other_bytes_are_not_used_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong_registry: str
) -> None:
    monkeypatch.setenv("npm_config_registry", wrong_registry)
    monkeypatch.setenv("npm_config_cache", str(tmp_path))
    with pytest.raises(FetchError, match=r"that npm delivered is not the one .* \(its sha512 differs\)"):
        ort_web.runtime_files()
    assert not ort_web.archive_path().exists()
