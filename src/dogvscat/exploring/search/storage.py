"""Where a search keeps its trials: a journal beside the results, or a database by URL, with errors that name it.

A password in the URL appears in no message.
"""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from dogvscat import atomic
from dogvscat.errors import UsageError, WriteError
from dogvscat.settings import nearest

JOURNAL_FILE = "trials.journal"
_EXAMPLE = "postgresql+pg8000://user:password@host/database"
_DRIVERS = {
    "sqlite": "sqlite3",  # part of Python
    "postgresql+pg8000": "pg8000",
    "postgresql+psycopg": "psycopg[binary]",
    "postgresql": "psycopg2-binary",
    "postgresql+psycopg2": "psycopg2-binary",
    "mysql+pymysql": "pymysql",
    "mysql": "mysqlclient",
    "mysql+mysqldb": "mysqlclient",
    "mariadb+pymysql": "pymysql",
}
"""What stands before `://`, and the package that it needs."""


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The database of a URL, or the journal in a folder; either is made if it is not there yet.

    Raises:
        UsageError: if the URL is none, its driver is not installed, or the database cannot be used.
        WriteError: if the journal cannot be written.
    """
    if url is not None:
        parsed = _parsed(url)
        logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # it would show tracebacks of lost connections
        try:
            with using_storage(url, folder, "cannot be used"):
                # Optuna fills in its version where braces stand; and a trial may outlast an idle connection.
                whole = _absolute(parsed).render_as_string(hide_password=False)
                escaped = whole.replace("{", "{{").replace("}", "}}")
                return RDBStorage(escaped, engine_kwargs={"pool_pre_ping": True})
        except ImportError as error:
            raise _driver_missing(parsed, error) from None
        except TypeError as error:  # a driver that misses a part of the address, or knows no such option
            message = f"the storage {shown(url, folder)} cannot be used: its driver says {error}"
            raise UsageError(message, hint=f"For example --storage {_EXAMPLE}") from None
    file = folder / JOURNAL_FILE
    with atomic.writing(file):
        folder.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(file)
        return JournalStorage(_Journal(file))


@contextmanager
def using_storage(url: str | None, folder: Path, what: str = "was lost") -> Iterator[None]:
    """Name the storage in errors that it raises inside the block; all others pass.

    Args:
        url: Of the database, or None for the journal.
        folder: Where the journal is.
        what: What the message says of it: `cannot be used` before the search, `was lost` in the middle of it.

    Raises:
        UsageError: if it cannot be used, or if another machine took over a trial that is under way here.
        WriteError: if it was lost; what was told to it before is kept.
    """
    try:
        yield
    except UpdateFinishedTrialError:  # both were let in: the file system of --out has no locks
        message = f"another machine is at work in {folder}, and took over a trial that was under way here"
        hint = "Give each machine an --out of its own, and all of them the same --storage."
        raise UsageError(message, hint=hint) from None
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        if isinstance(error, OSError) and not _of_a_connection(error):
            raise
        message = f"the storage {shown(url, folder)} {what}: {_reason(error, url)}"
        if what == "was lost":
            hint = "Finished trials are kept in it: give the same command again once it can be reached."
            raise WriteError(message, hint=hint) from None
        hint = "Check the address and the password, or leave --storage out for a file beside the results."
        raise UsageError(message, hint=hint) from None


def _of_a_connection(error: OSError) -> bool:
    """Whether it came through SQLAlchemy: pg8000 passes on a connection that was reset as the system reports it."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).startswith("sqlalchemy.") for frame in frames)


def shown(url: str | None, folder: Path) -> str:
    """A storage as it may be printed: without its password, and without options that may hold one."""
    if url is None:
        return str(folder / JOURNAL_FILE)
    return _parsed(url).set(query={}).render_as_string(hide_password=True)


def in_memory(url: str | None) -> bool:
    """Whether a storage lies in the memory of one process, where no other can see it."""
    return url is not None and _parsed(url).get_backend_name() == "sqlite" and _file(_parsed(url)) is None


class _Journal(JournalFileBackend):
    """Optuna's journal; if it cannot be written, the error names it."""

    def __init__(self, file: Path) -> None:
        # Optuna's lock is a link to this path: a relative one leads nowhere, and a lock that a killed process left
        # behind would be waited for without end instead of half a minute.
        super().__init__(str(file.absolute()))
        self.file = file

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with atomic.writing(self.file):
            super().append_logs(logs)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        hint = f"For example --storage sqlite:///trials.db or --storage {_EXAMPLE}"
        raise UsageError("--storage is no URL of a database", hint=hint) from None


def _file(url: URL) -> str | None:
    """The file of an SQLite database."""
    return None if url.database in (None, "", ":memory:") else url.database


def _absolute(url: URL) -> URL:
    """The same database for processes with another working directory, where trials may run."""
    if url.get_backend_name() != "sqlite" or (file := _file(url)) is None or file.startswith("file:"):
        return url
    return url.set(database=str(Path(file).absolute()))


def _driver_missing(url: URL, error: ImportError) -> UsageError:
    name = url.drivername
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = _DRIVERS.get(name, cause.name or "its driver")
    hint = f"Install it with: pip install '{package}'"
    if url.get_backend_name() == "postgresql" and name != "postgresql+pg8000":
        hint += "; or pip install pg8000 and begin the URL with postgresql+pg8000://"
    return UsageError(f"a storage of {name}:// needs the package {package}, which is not installed", hint=hint)


def _reason(error: BaseException, url: str | None) -> str:
    """What the server or the driver said, in one line."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, NoSuchModuleError):
        name = make_url(url or "").drivername
        return f"there is no database {name!r}.{nearest(name, _DRIVERS)}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    first = cause.args[0] if cause.args else ""
    said = first.get("M", "") if isinstance(first, dict) else str(first)  # pg8000 hands over the fields of PostgreSQL
    reason = re.sub(r"\s+", " ", said).strip() or type(cause).__name__
    password = None if url is None else make_url(url).password
    return reason.replace(str(password), "***") if password else reason


def _cut_torn_line(file: Path) -> None:
    """Take away what a full disk or a power cut left of a last line: Optuna reads no journal with half a line in it,
    and whoever wrote it was told that it failed, or never lived to hear."""
    if not file.exists():
        return
    with file.open("r+b") as journal:
        content = journal.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            journal.truncate(whole)
