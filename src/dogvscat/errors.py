"""Every error that this project raises on purpose.

    DogvscatError              1  base of all others; caught once in `cli` and once in `service`
    +-- UsageError             2  a command or a setting was used wrongly
    |   +-- ConfigError        2  a setting is unknown or impossible
    +-- DataError              3  the photos are missing or cannot be used
    |   +-- ImageError         3  one photo cannot be used; has its path
    |   +-- LayoutError        3  a folder or archive is not arranged as two classes
    |   +-- ArchiveError       3  a zip file is damaged or hostile
    |   +-- FetchError         3  a download failed
    +-- ModelError             4  a run folder, checkpoint or bundle cannot be used
    |   +-- DivergedError      4  the loss of a training became infinite
    +-- WriteError             1  a file could not be written (disk full, read-only)
    +-- ClusterError           1  the machines of a cluster cannot be reached, differ, or keep failing
    +-- Interrupted          130  stopped by Ctrl-C or SIGTERM; nothing is lost

The number is the exit code. The message says what was wrong, what was expected and what was received; `hint` says what
to do about it.
"""

from typing import Any


class DogvscatError(Exception):
    """Base of all errors.

    Args:
        message: What was wrong, what was expected, what was received.
        hint: What to do about it, in one sentence, or None.
    """

    code = "error"  # a stable word for programs: in JSON rows and HTTP problem documents
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without calling `__init__`, whose arguments differ from class to class: for worker processes."""
        return _rebuild, (type(self), self.message), self.__dict__


class UsageError(DogvscatError):
    """A command was used wrongly."""

    code = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type, out of range, or impossible together with another."""

    code = "config"


class DataError(DogvscatError):
    """The photos are missing or cannot be used."""

    code = "data"
    exit_code = 3


class ImageError(DataError):
    """One photo cannot be used.

    Args:
        path: Path of the photo, as the user gave it.
        code: `not_found`, `permission`, `empty`, `unreadable`, `unsupported_format` or `too_large`.
        message: What was wrong, without the path.
        hint: What to do about it, or None.
    """

    def __init__(self, path: str, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {message}", hint=hint)
        self.path = path
        self.code = code
        self.reason = message  # without the path, for output that has the path in a column of its own

    @property
    def reason_and_hint(self) -> str:
        """What was wrong and what to do, without the path."""
        return self.reason if self.hint is None else f"{self.reason}. {self.hint}"


class LayoutError(DataError):
    """A folder or archive does not hold photos of exactly two classes."""

    code = "layout"


class ArchiveError(DataError):
    """A zip archive is damaged, hostile or too large."""

    code = "archive"


class FetchError(DataError):
    """A download failed or is not what was asked for."""

    code = "fetch"


class ModelError(DogvscatError):
    """A run folder, a checkpoint or a bundle is missing, damaged or does not fit."""

    code = "model"
    exit_code = 4


class DivergedError(ModelError):
    """The loss of a training became infinite or NaN, which is a result about its settings."""

    code = "diverged"


class WriteError(DogvscatError):
    """A file could not be written."""

    code = "write"


class ClusterError(DogvscatError):
    """The machines of a cluster cannot be reached, have different versions installed, or keep failing."""

    code = "cluster"


class Interrupted(DogvscatError):
    """The user stopped the command; everything finished so far is kept."""

    code = "interrupted"
    exit_code = 130


def _rebuild(kind: type[DogvscatError], message: str) -> DogvscatError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)  # sets `args`; pickle restores the attributes
    return error
