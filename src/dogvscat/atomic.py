"""Writes files and folders atomically: after a crash there is the old file or the new one, never half of a file.

A temporary file in the same folder is written, flushed to the disk and renamed over the target; then the folder is
flushed as well. Source: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014.

The writer holds a lock on its temporary file, which the operating system releases when the process ends, however it
ends. So the next process that writes into the folder knows what a killed one has left there, and deletes it.
"""

import csv
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dogvscat import caches
from dogvscat.errors import WriteError
from dogvscat.text import escape_cell

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PARTIAL = re.compile(r"\..{1,40}-[0-9a-f]{16}\.partial", re.DOTALL)
"""Names of the temporary files and folders of this module."""
_LOCK, _NEW, _OLD = ".lock", "newer", "older"
"""What a temporary folder holds: the file that its writer locks, the new folder and the one that it replaces."""

_cleared: set[str] = set()
"""The folders that this process has cleared of left-overs."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write to; it appears at `path` when the block ends without an error.

    Args:
        path: Missing folders above it are created.

    Raises:
        WriteError: if the file cannot be written, for example to a full disk or a read-only folder.
    """
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path.parent)
        file = _new_partial_file(path)
        temporary = Path(file.name)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # before the rename, or a crash could leave an empty file under the name
                if os.name == "nt":
                    file.close()  # Windows does not rename a file that is open
                os.replace(temporary, path)  # the lock ends after this, so nobody can take the file for a left-over
        except BaseException:  # also KeyboardInterrupt
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


@contextmanager
def wrap_write_errors(path: Path) -> Iterator[None]:
    """Turn operating-system errors inside the block into a WriteError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"could not write {path}: {reason}", hint=_advice(error, path)) from error


def refuse_unwritable(folder: Path) -> None:
    """Raise before any work is done if its results could not be written.

    Args:
        folder: It and the folders above it need not exist yet.

    Raises:
        WriteError: if nothing can be written there, tested by writing a byte.
    """
    with wrap_write_errors(folder):
        existing = folder.absolute()
        while not existing.exists():  # ends at the root
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b".")


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically. File names that are not UTF-8 keep their escaped bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, indented, atomically. NaN raises a ValueError: it is not JSON."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table with a header, atomically. Texts are written as `escape_cell` returns them."""

    class Encoder:
        """Receives one row at a time from csv."""

        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, text: str) -> None:
            self.file.write((text.removesuffix("\r\n") + "\n").encode("utf-8", "surrogateescape"))

    with atomic_file(path) as file:
        # csv quotes a cell that has a character of the line terminator. With "\r\n" it also quotes a bare \r.
        table = csv.writer(Encoder(file), lineterminator="\r\n")
        table.writerow(map(_safe_cell, header))
        table.writerows(map(_safe_cell, row) for row in rows)


def _safe_cell(cell: Any) -> Any:
    return escape_cell(cell) if isinstance(cell, str) else cell


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files, which appears complete or not at all. An older folder of that name is replaced; it stays
    if writing fails.

    Args:
        folder: The new folder.
        files: Contents by relative path, with forward slashes.

    Raises:
        WriteError: if it cannot be written.
    """
    with wrap_write_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder.parent)
        with _swap_folder(folder) as temporary:
            new = temporary / _NEW
            new.mkdir()
            for name, data in files.items():
                write_bytes(new / name, data)
            # No system that Python knows can exchange two folders in one step, so the old one moves aside first.
            if folder.exists():
                folder.replace(temporary / _OLD)
            new.replace(folder)
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. On file systems that cannot flush a folder this does nothing."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders that killed processes have left in a folder, once per process.

    A file or folder is deleted if this module gave it its name and nobody holds its lock, because its writer has then
    ended. On file systems without locks everything stays. If a killed process was replacing a folder, the earlier
    folder is put back.
    """
    # On Windows a file is closed, and its lock lost, before the rename: a free lock proves nothing there.
    if os.name == "nt" or (key := os.path.abspath(folder)) in _cleared:
        return
    _cleared.add(key)
    names = []
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_partial(entry.name)]
    for name in names:
        with suppress(OSError):  # if it belongs to another user, or has been deleted meanwhile
            _clear(folder / name)


def is_partial(name: str) -> bool:
    """Whether a file name is that of a temporary file or folder of this module."""
    return _PARTIAL.fullmatch(name) is not None


def _clear(leftover: Path) -> None:
    if leftover.is_symlink():
        return
    if leftover.is_file():
        with open(leftover, "r+b") as file:
            if _take_lock(file):
                leftover.unlink()
        return
    with suppress(FileNotFoundError), open(leftover / _LOCK, "r+b") as file:
        if _take_lock(file):
            name = os.fsdecode(file.read())
            # A name without folders: nothing outside of this folder can be replaced.
            target = leftover.with_name(name) if name and Path(name).name == name else None
            _end_swap(leftover, target)
        return
    leftover.rmdir()  # its writer was killed before the lock file existed; this fails if the folder is not empty


def _take_lock(file: BinaryIO) -> bool | None:
    """Lock an open file until it is closed.

    With `fcntl` and not with filelock: importing filelock takes longer than a small command takes to write its files.
    Windows has no `fcntl`, and needs no lock here, because nothing is cleared there.

    Returns:
        True if this process has the lock now, False if another one has it, None if there are no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # of file systems without locks
        return None
    return True


def _new_partial_file(path: Path) -> BinaryIO:
    """A new, locked file in the folder of `path`."""
    while True:
        file = open(_partial_name(path), "xb")  # noqa: SIM115 - tempfile would set mode 0600, against the user's umask
        if _is_mine(file):
            return file
        file.close()


@contextmanager
def _swap_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder next to `folder`, to replace it from; afterwards it is deleted."""
    while True:
        temporary = _partial_name(folder)
        temporary.mkdir()
        try:
            file = open(temporary / _LOCK, "xb")  # noqa: SIM115
        except FileNotFoundError:  # another process took the empty folder for a left-over
            continue
        if _is_mine(file):
            break
        file.close()
    try:
        with file:
            file.write(os.fsencode(folder.name))
            file.flush()
            yield temporary
    finally:
        with suppress(OSError):
            _end_swap(temporary, folder)


def _end_swap(temporary: Path, folder: Path | None) -> None:
    """Delete the temporary folder; if the swap was cut short, the earlier folder moves back first."""
    old = temporary / _OLD
    if old.exists() and folder is not None and not folder.exists():
        old.replace(folder)
    for part in (temporary / _NEW, old):
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(temporary)  # the lock file last: should this be killed too, the next process needs it to clear up


def _partial_name(path: Path) -> Path:
    # In the same folder, because a rename is atomic only within a file system; shortened, so that the name stays below
    # the 255 bytes that file systems allow.
    return path.with_name(f".{path.name[:40]}-{secrets.token_hex(8)}.partial")


def _is_mine(file: BinaryIO) -> bool:
    """Lock a new file. Between its creation and its lock, another process may have taken it for a left-over."""
    return _take_lock(file) is not False and os.fstat(file.fileno()).st_nlink > 0


def _advice(error: OSError, path: Path) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space and run the same command again; everything finished so far is kept."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        if caches.is_inside(path):
            return "Set DOGVSCAT_HOME to a folder you may write to; caches are kept there."
        return "Choose a folder you may write to."
    return "Check the folder and try again."
