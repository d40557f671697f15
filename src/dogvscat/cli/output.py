"""Output of every command: messages on stderr, results on stdout, file names escaped where they could do harm."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dogvscat.errors import WriteError
from dogvscat.text import json_line, printable


def report(sentence: str) -> None:
    """Print a message for the person at the terminal on stderr, so that it never mixes with results."""
    # As bytes: a terminal with another encoding than UTF-8 must not make this raise.
    sys.stderr.buffer.write(f"{printable(sentence)}\n".encode())
    sys.stderr.flush()


def show(line: str) -> None:
    """Print one line of the command's result on stdout, as UTF-8; control characters are escaped.

    Raises:
        WriteError: if the disk that stdout goes to is full.
        BrokenPipeError: if the reader has closed the pipe.
    """
    with _checked_stdout():
        sys.stdout.buffer.write(f"{printable(line)}\n".encode())


def show_json(document: Any) -> None:
    """Print a JSON document on one line; bytes of file names that are not UTF-8 appear as \\xNN. Raises as `show`."""
    with _checked_stdout():
        sys.stdout.buffer.write(f"{json_line(document)}\n".encode())


def flush() -> None:
    """Write out everything that is still buffered; raises as `show`."""
    with _checked_stdout():
        sys.stdout.flush()


@contextmanager
def _checked_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python flushes again at exit and prints a traceback
        if isinstance(error, BrokenPipeError):
            raise
        hint = "Free some space and run the same command again."
        raise WriteError(f"could not write the results to stdout: {error.strerror}", hint=hint) from None
