"""ONNX Runtime Web, fetched with npm when it is needed: one pinned version with its digest, and four of its files."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from dogvscat import atomic, caches
from dogvscat.errors import FetchError, UsageError

VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Digest of the archive in base64, as the npm registry writes it."""
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"

_SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
_CLASSIC_SCRIPT = "package/dist/ort.wasm.min.js"
_WEB_ASSEMBLY = "package/dist/ort-wasm-simd-threaded.wasm"
_LOADER = "package/dist/ort-wasm-simd-threaded.mjs"
_NPM_TIMEOUT_SECONDS = 600


def runtime_files() -> dict[str, bytes]:
    """The files that the page needs, by relative path.

    The script is renamed from `.mjs` to `.js`, since not every web server sends `.mjs` as JavaScript.

    Raises:
        UsageError: if npm is not installed.
        FetchError: if npm cannot reach its registry, or delivers bytes other than the pinned ones.
        WriteError: if the archive cannot be cached.
    """
    members = _archive_members(_load_archive())
    return {"ort/ort.js": members[_SCRIPT], "ort/ort-wasm-simd-threaded.wasm": members[_WEB_ASSEMBLY]}


def node_files() -> dict[str, bytes]:
    """The script that Node needs in addition, to load the WebAssembly; raises as `runtime_files`."""
    return {"ort/ort-wasm-simd-threaded.mjs": _archive_members(_load_archive())[_LOADER]}


def local_files() -> dict[str, bytes]:
    """The files for a page that is opened without a web server, by name; raises as `runtime_files`.

    Browsers load no modules there, so the script is a classic one. The page gives it the loader and the WebAssembly.
    """
    members = _archive_members(_load_archive())
    return {
        "ort.js": members[_CLASSIC_SCRIPT],
        "loader.mjs": members[_LOADER],
        "ort-wasm-simd-threaded.wasm": members[_WEB_ASSEMBLY],
    }


def archive_path() -> Path:
    """Where the archive is cached after it was fetched. The file may not exist yet."""
    return caches.folder("archives") / ARCHIVE


def find_program(name: str) -> str:
    """The path of `npm` or `node`.

    Raises:
        UsageError: if it is not installed.
    """
    if program := shutil.which(name):
        return program
    raise UsageError(
        f"the browser export needs {name}, which is not installed",
        hint="Install Node.js, which includes npm: nodejs.org, or `apt install nodejs npm`.",
    )


def _load_archive() -> bytes:
    """The archive, from the cache or from npm; raises as `runtime_files`."""
    cached = archive_path()
    if cached.is_file():
        data = cached.read_bytes()
        if _is_pinned(data):  # else the file was damaged: fetch it again
            return data
    data = _fetch_with_npm()
    if not _is_pinned(data):
        raise FetchError(
            f"the onnxruntime-web {VERSION} that npm delivered is not the one that dogvscat expects (its sha512 "
            "differs); it was not used",
            hint="Check which registry npm uses: npm config get registry",
        )
    atomic.write_bytes(cached, data)
    return data


def _is_pinned(data: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == SHA512


def _fetch_with_npm() -> bytes:
    """The archive from npm's cache or registry, not yet compared with the digest."""
    npm = find_program("npm")
    with tempfile.TemporaryDirectory() as temporary:
        # `pack` downloads the archive without installing it; no script of the package is run.
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--prefer-offline", "--silent"]
        try:
            process = subprocess.run(
                [
                    *command,
                    "--fetch-retries=1",
                    "--fetch-retry-mintimeout=1000",
                    "--loglevel=error",
                    "--pack-destination",
                    temporary,
                ],
                cwd=temporary,  # so that no package.json or .npmrc of a project is used
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_NPM_TIMEOUT_SECONDS,
                check=False,
            )
            messages = process.stderr
        except subprocess.TimeoutExpired:
            messages = f"no answer in {_NPM_TIMEOUT_SECONDS // 60} minutes"
        # The exit code does not count, only the file: npm may report a problem and still deliver.
        archive = Path(temporary, ARCHIVE)
        if archive.is_file():
            return archive.read_bytes()
    raise FetchError(
        f"npm could not fetch onnxruntime-web {VERSION} (30 MB): {_error_line(messages)}",
        hint=f"On a machine with network access run `npm pack onnxruntime-web@{VERSION}` and put {ARCHIVE} into "
        f"{archive_path().parent}; then run the same command again.",
    )


def _error_line(messages: str) -> str:
    """The most telling line of npm's messages: the first line that is not an error code, without npm's prefix."""
    lines = [line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in messages.splitlines()]
    return next(
        (line for line in lines if line and not line.startswith(("code ", "errno ", "syscall "))),
        "npm printed no reason",
    )


def _archive_members(archive: bytes) -> dict[str, bytes]:
    members = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for name in (_SCRIPT, _CLASSIC_SCRIPT, _WEB_ASSEMBLY, _LOADER):
            file = tar.extractfile(name)
            if file is None:  # a folder or a link
                raise FetchError(f"{ARCHIVE} has no file {name}")
            members[name] = file.read()
    return members
