"""Every file this project writes goes through here: whole or not at all.

A temporary file in the same folder is written, flushed to the disk and renamed over the target, and the folder is
flushed as well, so that a crash leaves the old file or the new one and never half of either.
Source: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014.
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

from dogvscat.errors import WriteError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write to; it appears at `path` when the block ends without an error.

    Raises:
        WriteError: if the disk is full, the folder is read-only, or anything else keeps the file from being written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:40]}-{secrets.token_hex(8)}.partial")
        try:
            with open(temporary, "xb") as file:  # not tempfile: its 0600 would hide results from colleagues
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn operating-system errors inside the block into a WriteError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"could not write {path}: {reason}", hint=_advice(error)) from error


def refuse_unwritable(folder: Path) -> None:
    """Raise before any work is done if the results would have no place to go.

    Args:
        folder: It need not exist yet, nor the folders above it.

    Raises:
        WriteError: if nothing can be written there, found out by writing a byte.
    """
    with writing(folder):
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b".")


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically. File names that are not UTF-8 keep their escaped bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document, indented, atomically. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table with a header, atomically."""

    class Sink:
        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, text: str) -> None:
            self.file.write((text.removesuffix("\r\n") + "\n").encode("utf-8", "surrogateescape"))

    with atomic_file(path) as file:
        table = csv.writer(Sink(file), lineterminator="\r\n")  # so that it quotes a bare \r in a file name as well
        table.writerow(header)
        table.writerows(rows)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files; it appears complete or not at all, and replaces an older one, which stays if that fails.

    Args:
        folder: Where.
        files: Contents by relative path, with forward slashes.

    Raises:
        WriteError: if it cannot be written.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:40]}-"))
        try:
            fresh.chmod(0o755)
            for name, data in files.items():
                write_bytes(fresh / name, data)
            _swap(fresh, folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` durable; some file systems cannot, and then nothing is done."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, which is deleted last: a full folder cannot be replaced in one step."""
    older = fresh.with_name(f"{fresh.name}-older")
    if folder.exists():
        folder.replace(older)
    try:
        fresh.replace(folder)
    except BaseException:
        with suppress(OSError):
            older.replace(folder)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _advice(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space and run the same command again; what was finished before is kept."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Choose a folder you may write to."
    return "Check the folder and try again."
