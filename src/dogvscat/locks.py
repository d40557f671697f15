"""Locks between processes of one machine, from the library filelock.

The operating system releases a lock when its process ends, however it ends. On file systems without locks, such as some
network file systems, no process is refused. filelock's soft locks are never used: a killed process leaves its soft lock
behind, and everyone after it would wait.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dogvscat import atomic
from dogvscat.errors import UsageError

LOCK_FILE = ".lock"
"""An empty file in a locked folder. It stays there: after a deletion, waiting processes could lock different files."""


@contextmanager
def exclusive(folder: Path, *, lock_outside: bool = False) -> Iterator[None]:
    """Refuse to run the block while another process on this machine writes to the same folder of results: both would
    do the same work and overwrite each other's files.

    Args:
        folder: It is created if it does not exist, unless the lock is outside.
        lock_outside: Whether the lock file lies next to the folder and is deleted at the end: for a folder that is
            replaced as a whole, or that should hold only results.

    Raises:
        UsageError: if another process writes to the folder.
        WriteError: if the folder cannot be written to.
    """
    path = folder.absolute()
    path = path.with_name(f".{path.name[:40]}{LOCK_FILE}") if lock_outside else path / LOCK_FILE
    with atomic.wrap_write_errors(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path)
    if file is None:
        hint = "Wait for it to end, stop it, or choose another folder."
        raise UsageError(f"another command is running in {folder}", hint=hint)
    with file:
        try:
            yield
        finally:
            if lock_outside:
                with suppress(OSError):  # Windows does not delete a file that is open
                    path.unlink()


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process on this machine is in its block for the same folder, so that expensive work on a
    cache is done only once. A folder that cannot be written to is not locked.

    Args:
        folder: It need not exist. The lock file is next to it until the end of the block.
    """
    path = folder.with_name(f".{folder.name}{LOCK_FILE}")
    with ExitStack() as stack:
        with suppress(OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _wait_for_lock(path, stack)
        yield  # outside of `suppress`: errors of the block pass


def _wait_for_lock(path: Path, stack: ExitStack) -> None:
    """Hold the lock until the stack is closed; the lock file is deleted then."""
    from filelock import lock_descriptor

    while True:
        file = stack.enter_context(path.open("ab"))
        lock_descriptor(file.fileno())
        if os.fstat(file.fileno()).st_nlink:  # else its owner has just deleted it
            stack.callback(path.unlink, missing_ok=True)  # before the file is closed
            return


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file until it is closed.

    The file itself is locked, so that no lock file has to lie next to a file that belongs to the user. On Windows other
    programs cannot read its first byte meanwhile.

    Returns:
        False if another process holds the lock; True otherwise, also where the file system has no locks.
    """
    from filelock import lock_descriptor  # here, because most commands need no lock: the import takes milliseconds

    try:
        return lock_descriptor(file.fileno(), blocking=False)
    except OSError:
        return True


def _open_locked(path: Path) -> BinaryIO | None:
    """The lock file, locked; None if another process holds the lock."""
    while True:
        file = path.open("ab")
        if not try_lock(file):
            file.close()
            return None
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # its owner has just deleted it
