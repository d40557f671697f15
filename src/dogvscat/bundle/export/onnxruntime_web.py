"""ONNX Runtime Web, taken through npm when it is needed: one pinned version, one digest, three files of it."""

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
"""As the npm registry writes it, in base64."""
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"

_SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
_WEB_ASSEMBLY = "package/dist/ort-wasm-simd-threaded.wasm"
_LOADER = "package/dist/ort-wasm-simd-threaded.mjs"
_PATIENCE_SECONDS = 600


def runtime_files() -> dict[str, bytes]:
    """What a page needs, by relative path. The script ends in `.js`: not every web server knows `.mjs`.

    Raises: as `_archive`.
    """
    members = _members(_archive())
    return {"ort/ort.js": members[_SCRIPT], "ort/ort-wasm-simd-threaded.wasm": members[_WEB_ASSEMBLY]}


def node_files() -> dict[str, bytes]:
    """What Node needs beside, which takes the loader from a file of its own."""
    return {"ort/ort-wasm-simd-threaded.mjs": _members(_archive())[_LOADER]}


def kept_archive() -> Path:
    """Where the archive is kept, so that it is fetched once; it need not be there yet."""
    return caches.area("archives") / ARCHIVE


def find_program(name: str) -> str:
    """The path of `npm` or `node`.

    Raises:
        UsageError: if it is not installed.
    """
    if program := shutil.which(name):
        return program
    raise UsageError(
        f"the in-browser build needs {name}, which is not installed",
        hint="Install Node.js, which brings npm: nodejs.org, or `apt install nodejs npm`.",
    )


def _archive() -> bytes:
    """The archive's bytes, from the cache or through npm.

    Raises:
        UsageError: if npm is not installed.
        FetchError: if npm cannot reach its registry, or gives other bytes than those pinned here.
        WriteError: if the archive cannot be kept.
    """
    kept = kept_archive()
    if kept.is_file():
        data = kept.read_bytes()
        if _is_pinned(data):
            return data
    data = _packed_by_npm()
    if not _is_pinned(data):
        raise FetchError(
            f"npm gave another onnxruntime-web {VERSION} than the one this version of dogvscat knows (its sha512 "
            "differs); nothing of it was used",
            hint="Look at the registry that npm is set to: npm config get registry",
        )
    atomic.write_bytes(kept, data)
    return data


def _is_pinned(data: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == SHA512


def _packed_by_npm() -> bytes:
    npm = find_program("npm")
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--prefer-offline", "--silent"]
        try:
            done = subprocess.run(
                [
                    *command,
                    "--fetch-retries=1",
                    "--fetch-retry-mintimeout=1000",
                    "--loglevel=error",
                    "--pack-destination",
                    temporary,
                ],
                cwd=temporary,  # so that no package.json or .npmrc of a project takes part
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
            said = done.stderr
        except subprocess.TimeoutExpired:
            said = f"no answer in {_PATIENCE_SECONDS // 60} minutes"
        packed = Path(temporary, ARCHIVE)
        if packed.is_file():
            return packed.read_bytes()
    raise FetchError(
        f"npm could not fetch onnxruntime-web {VERSION} (30 MB): {_reason(said)}",
        hint=f"On a machine with a network run `npm pack onnxruntime-web@{VERSION}` and put {ARCHIVE} into "
        f"{kept_archive().parent}; then run the same command again.",
    )


def _reason(said: str) -> str:
    """The line of npm's output that says most."""
    lines = [line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in said.splitlines()]
    return next(
        (line for line in lines if line and not line.startswith(("code ", "errno ", "syscall "))), "no reason given"
    )


def _members(archive: bytes) -> dict[str, bytes]:
    members = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for name in (_SCRIPT, _WEB_ASSEMBLY, _LOADER):
            file = tar.extractfile(name)
            if file is None:
                raise FetchError(f"{ARCHIVE} holds no {name}")
            members[name] = file.read()
    return members
