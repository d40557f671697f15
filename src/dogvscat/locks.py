"""One command at a time in a folder of results: two would train the same and write over each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dogvscat import atomic
from dogvscat.errors import UsageError

LOCK_FILE = ".lock"


@contextmanager
def working_alone(folder: Path) -> Iterator[None]:
    """Hold a folder within the block. Who dies lets go; where locks do not exist, nobody is held back.

    Args:
        folder: Of results; it is made if it is not there.

    Raises:
        UsageError: if another process on this machine holds it.
        WriteError: if it cannot be made.
    """
    with atomic.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    with atomic.writing(folder / LOCK_FILE):
        held = (folder / LOCK_FILE).open("wb")
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait for it to end, stop it, or choose another --out."
            raise UsageError(f"another command is at work in {folder}", hint=hint) from None
        except OSError:  # a file system without locks
            pass
        yield
