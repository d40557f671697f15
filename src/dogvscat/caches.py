"""Caches and downloads. They are kept in `DOGVSCAT_HOME`, by default in the user's cache folder."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dogvscat.errors import UsageError, WriteError

PURPOSES = {
    "archives": "downloaded archives",
    "scans": "hashes and sizes of photos, so that unchanged photos are not read again",
    "pixels": "decoded photos, ready for training",
    "verified": "which models passed their first check, so that it is not repeated",
    "fonts": "list of the fonts for figures",
    "compiled": "compiled code of the augmentation, if the package folder is read-only",
}
"""What each cache is for, by name."""


@dataclass(frozen=True)
class Cache:
    """One cache: its name, its purpose, its folder and its size in bytes."""

    name: str
    purpose: str
    path: Path
    num_bytes: int


def home() -> Path:
    """The folder that holds all caches; it may not exist yet.

    Raises:
        UsageError: if DOGVSCAT_HOME is not set and this user has no home folder.
    """
    if configured := os.environ.get("DOGVSCAT_HOME"):  # an empty value counts as not set
        return Path(configured).expanduser()
    try:
        return _user_cache()
    except RuntimeError:  # of Path.home, for users without a home folder, such as those of containers
        hint = "Set DOGVSCAT_HOME to a folder."
        raise UsageError("there is no folder for caches: this user has no home folder", hint=hint) from None


def _user_cache() -> Path:
    """The folder that each system reserves for caches; on Linux that of the XDG Base Directory Specification."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dogvscat"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "dogvscat"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dogvscat"


def folder(name: str) -> Path:
    """The folder of one cache; it may not exist yet.

    Raises:
        KeyError: if the name is not in `PURPOSES`: a mistake in the code.
        UsageError: as `home` does.
    """
    if name not in PURPOSES:
        raise KeyError(f"expected one of {sorted(PURPOSES)}, received {name!r}")
    return home() / name


def is_inside(path: Path) -> bool:
    """Whether a path is that of a cache or of a file in one."""
    try:
        return path.is_relative_to(home())
    except UsageError:
        return False


def list_caches() -> list[Cache]:
    """Every cache with its current size."""
    return [Cache(name, purpose, folder(name), _num_bytes(folder(name))) for name, purpose in PURPOSES.items()]


def clear(name: str) -> int:
    """Delete one cache; returns the bytes freed.

    Raises:
        KeyError, UsageError: as `folder` does.
        WriteError: if it cannot be deleted.
    """
    import shutil  # here: it imports every kind of compression, and every start of the program imports this file

    path = folder(name)
    try:
        freed = _num_bytes(path)
        if path.exists():
            shutil.rmtree(path)
    except OSError as error:
        raise WriteError(
            f"could not clear {path}: {error.strerror}", hint="Delete the folder as the user who owns it."
        ) from None
    return freed


def _num_bytes(path: Path) -> int:
    # lstat: a link counts as the link, not as the file that it leads to, which is never deleted.
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file()) if path.exists() else 0
