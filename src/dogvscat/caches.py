"""Where caches and downloads live: `DOGVSCAT_HOME`, by default the user's cache folder. Never the checkout."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dogvscat.errors import UsageError, WriteError

AREAS = {
    "archives": "downloaded archives",
    "scans": "what was learned about each photo (hashes, sizes)",
    "pixels": "decoded pictures, ready for training",
    "verified": "digests of bundles whose golden pictures were checked",
}


@dataclass(frozen=True)
class Area:
    """One folder of the cache: its name, what it is for, where it is, and its size in bytes."""

    name: str
    purpose: str
    path: Path
    num_bytes: int


def home() -> Path:
    """The folder that holds every cache; it need not exist yet.

    Raises:
        UsageError: if DOGVSCAT_HOME is not set and this user has no home folder.
    """
    if configured := os.environ.get("DOGVSCAT_HOME"):
        return Path(configured).expanduser()
    try:
        return _user_cache()
    except RuntimeError:
        hint = "Set DOGVSCAT_HOME to a folder."
        raise UsageError("this user has no home folder to keep caches in", hint=hint) from None


def _user_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dogvscat"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "dogvscat"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dogvscat"


def area(name: str) -> Path:
    """The folder of one cache, one of `AREAS`; it need not exist yet."""
    if name not in AREAS:
        raise KeyError(f"expected one of {sorted(AREAS)}, received {name!r}")
    return home() / name


def areas() -> list[Area]:
    """Every cache with its present size."""
    return [Area(name, purpose, area(name), _num_bytes(area(name))) for name, purpose in AREAS.items()]


def clear(name: str) -> int:
    """Delete one cache; returns the bytes freed.

    Raises:
        WriteError: if it cannot be deleted.
    """
    folder = area(name)
    try:
        freed = _num_bytes(folder)
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise WriteError(f"could not clear {folder}: {error.strerror}", hint="Delete it as its owner.") from None
    return freed


@contextmanager
def filled_by_one(name: str) -> Iterator[None]:
    """Within the block no other process on this machine fills the same cache: what is costly is done once, and the
    others wait for it. A process that dies lets go; where locks do not exist, nobody waits."""
    with ExitStack() as held:
        with suppress(ImportError, OSError):
            import fcntl  # not on Windows

            area(name).mkdir(parents=True, exist_ok=True)
            lock = held.enter_context((area(name) / ".lock").open("wb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _num_bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
