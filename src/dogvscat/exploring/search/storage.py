"""Where a search keeps its trials: a journal in the folder of the results, or a database by URL.

Errors name the storage, and no message shows a password of the URL.
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
from dogvscat.settings.errors import suggest

JOURNAL_FILE = "trials.journal"
_EXAMPLE_URL = "postgresql+pg8000://user:password@host/database"
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
"""The part of a URL before `://`, and the package that it needs."""


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The database of a URL, or the journal in a folder; either is created if it does not exist.

    Raises:
        UsageError: if `url` is not a database URL, its driver is not installed, or the database cannot be used.
        WriteError: if the journal cannot be written.
    """
    if url is not None:
        parsed = _parse_url(url)
        logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # it logs a traceback for each lost connection
        try:
            with explaining_storage_errors(url, folder, "cannot be used"):
                text = _with_absolute_path(parsed).render_as_string(hide_password=False)
                template = text.replace("{", "{{").replace("}", "}}")  # Optuna formats the URL with its version
                # pool_pre_ping: a training may take longer than the server keeps an idle connection.
                return RDBStorage(template, engine_kwargs={"pool_pre_ping": True})
        except ImportError as error:
            raise _driver_missing(parsed, error) from None
        except TypeError as error:  # the driver lacks a part of the address, or does not know an option in it
            message = f"the storage {printable_storage(url, folder)} cannot be used: its driver says {error}"
            raise UsageError(message, hint=f"For example --storage {_EXAMPLE_URL}") from None
    file = folder / JOURNAL_FILE
    with atomic.wrap_write_errors(file):
        folder.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(file)
        return JournalStorage(_Journal(file))


@contextmanager
def explaining_storage_errors(url: str | None, folder: Path, failure: str = "was lost") -> Iterator[None]:
    """Name the storage in the errors that it raises inside the block; other errors pass unchanged.

    Args:
        url: Of the database, or None for the journal.
        folder: Where the journal is.
        failure: For the message: `cannot be used` before the search, `was lost` in the middle of it.

    Raises:
        UsageError: if it cannot be used, or if another machine took over a trial that runs here.
        WriteError: if it was lost; what was reported to it before is kept.
    """
    try:
        yield
    except UpdateFinishedTrialError:  # the file system of --out has no locks, so both machines were let in
        message = f"another machine is working in {folder}, and took over a trial that was running here"
        hint = "Give each machine its own --out, and all of them the same --storage."
        raise UsageError(message, hint=hint) from None
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        if isinstance(error, OSError) and not _is_from_connection(error):
            raise
        message = f"the storage {printable_storage(url, folder)} {failure}: {_cause_in_words(error, url)}"
        if failure == "was lost":
            hint = "Finished trials are kept in it: run the same command again once it can be reached."
            raise WriteError(message, hint=hint) from None
        hint = "Check the address and the password, or leave out --storage to use a file in --out."
        raise UsageError(message, hint=hint) from None


def _is_from_connection(error: OSError) -> bool:
    """Whether an error of the system came through SQLAlchemy and not, for example, from reading a photo.

    pg8000 passes on the system's error if its connection is reset, so the class of the error does not tell.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).startswith("sqlalchemy.") for frame in frames)


def printable_storage(url: str | None, folder: Path) -> str:
    """A storage as it may be printed: without its password, and without options, which may hold one."""
    if url is None:
        return str(folder / JOURNAL_FILE)
    return _parse_url(url).set(query={}).render_as_string(hide_password=True)


def is_in_memory(url: str | None) -> bool:
    """Whether a storage is in the memory of one process, where no other can see it."""
    return url is not None and _parse_url(url).get_backend_name() == "sqlite" and _sqlite_file(_parse_url(url)) is None


class _Journal(JournalFileBackend):
    """Optuna's journal: a file to which every process appends one JSON line per change, under a lock.

    If it cannot be written, the error names it.
    """

    def __init__(self, file: Path) -> None:
        # Optuna's lock is a symbolic link to this path, and its age is that of the file behind it. A relative path
        # would lead nowhere: then others would wait for the lock of a killed process forever, not for half a minute.
        super().__init__(str(file.absolute()))
        self.file = file

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append the changes, as Optuna asks for it."""
        with atomic.wrap_write_errors(self.file):
            super().append_logs(logs)


def _parse_url(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        hint = f"For example --storage sqlite:///trials.db or --storage {_EXAMPLE_URL}"
        raise UsageError("--storage is not a database URL", hint=hint) from None


def _sqlite_file(url: URL) -> str | None:
    """The file of an SQLite database, None if it is in memory."""
    return None if url.database in (None, "", ":memory:") else url.database


def _with_absolute_path(url: URL) -> URL:
    """The same database for trials that run in processes with another working directory."""
    if url.get_backend_name() != "sqlite" or (file := _sqlite_file(url)) is None or file.startswith("file:"):
        return url
    return url.set(database=str(Path(file).absolute()))


def _driver_missing(url: URL, error: ImportError) -> UsageError:
    name = url.drivername
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = _DRIVERS.get(name, cause.name or "its driver")
    hint = f"Install it with: pip install '{package}'"
    if url.get_backend_name() == "postgresql" and name != "postgresql+pg8000":
        hint += "; or pip install pg8000 and start the URL with postgresql+pg8000://"
    return UsageError(f"a storage of {name}:// needs the package {package}, which is not installed", hint=hint)


def _cause_in_words(error: BaseException, url: str | None) -> str:
    """What the server or the driver reported, in one line, without the password."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, NoSuchModuleError):
        name = make_url(url or "").drivername
        return f"there is no database {name!r}.{suggest(name, _DRIVERS)}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    detail = cause.args[0] if cause.args else ""
    # pg8000 passes on the fields of PostgreSQL's error message as a dictionary; M is the text for people.
    text = detail.get("M", "") if isinstance(detail, dict) else str(detail)
    line = re.sub(r"\s+", " ", text).strip() or type(cause).__name__
    password = None if url is None else make_url(url).password
    return line.replace(str(password), "***") if password else line


def _drop_torn_line(file: Path) -> None:
    """Cut off half a last line, which a full disk or a power cut has left: Optuna cannot read a journal with one.

    Nothing is lost by that: the process that wrote the line got an error, or ended before it could know.
    """
    if not file.exists():
        return
    with file.open("r+b") as journal:
        content = journal.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            journal.truncate(end)
