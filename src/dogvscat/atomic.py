"""Writes files and folders atomically: after a crash there is the old file or the new one, never half of a file.

A temporary file in the same folder is written, flushed to the disk and renamed over the target; then the folder is
flushed as well. Source: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014.
"""

import csv
import json
import os
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
        # In the same folder, because a rename is atomic only within a file system; shortened, so that the name stays
        # below the 255 bytes that file systems allow.
        temporary = path.with_name(f".{path.name[:40]}-{secrets.token_hex(8)}.partial")
        try:
            with open(temporary, "xb") as file:  # tempfile would set mode 0600, against the user's umask
                yield file
                file.flush()
                os.fsync(file.fileno())  # before the rename, or a crash could leave an empty file under the name
            os.replace(temporary, path)
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
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:40]}-"))
        try:
            temporary.chmod(0o755)  # mkdtemp creates folders that only their owner may open
            for name, data in files.items():
                write_bytes(temporary / name, data)
            _replace_folder(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. On file systems that cannot flush a folder this does nothing."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace_folder(new: Path, folder: Path) -> None:
    """Put a new folder in the place of an old one. No system can do that in one step, so the old one moves aside first
    and is deleted last."""
    old = new.with_name(f"{new.name}-older")
    if folder.exists():
        folder.replace(old)
    try:
        new.replace(folder)
    except BaseException:
        with suppress(OSError):
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _advice(error: OSError, path: Path) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space and run the same command again; everything finished so far is kept."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        if caches.is_inside(path):
            return "Set DOGVSCAT_HOME to a folder you may write to; caches are kept there."
        return "Choose a folder you may write to."
    return "Check the folder and try again."
