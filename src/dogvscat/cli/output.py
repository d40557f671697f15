"""What every command shares: talk on stderr, data on stdout, and no file name that can upset a terminal or a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dogvscat.errors import WriteError
from dogvscat.text import json_line, printable


def report(sentence: str) -> None:
    """Tell the person something; never mixed with data."""
    sys.stderr.buffer.write(f"{printable(sentence)}\n".encode())
    sys.stderr.flush()


def show(line: str) -> None:
    """One line of the command's result, as UTF-8; control characters in it are escaped.

    Raises:
        WriteError: if the disk that stdout goes to is full.
        BrokenPipeError: if nobody reads on.
    """
    with _reaching_stdout():
        sys.stdout.buffer.write(f"{printable(line)}\n".encode())


def show_json(document: Any) -> None:
    """One JSON document on one line; bytes of file names that are not UTF-8 appear as \\xNN. Raises as `show`."""
    with _reaching_stdout():
        sys.stdout.buffer.write(f"{json_line(document)}\n".encode())


def flush() -> None:
    """Hand over everything shown so far; raises as `show`."""
    with _reaching_stdout():
        sys.stdout.flush()


@contextmanager
def _reaching_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries once more at its end, and fails aloud
        if isinstance(error, BrokenPipeError):
            raise
        hint = "Free some space and run the same command again."
        raise WriteError(f"could not write the results to stdout: {error.strerror}", hint=hint) from None
