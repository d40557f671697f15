"""What every command shares: talk on stderr, data on stdout, file names that are not UTF-8 escaped in both."""

import json
import os
import sys
from typing import Any


def say(sentence: str) -> None:
    """Tell the person something; never mixed with data."""
    sys.stderr.buffer.write(f"{sentence}\n".encode("utf-8", "backslashreplace"))
    sys.stderr.flush()


def show(line: str) -> None:
    """One line of the command's result."""
    sys.stdout.write(line.encode("utf-8", "backslashreplace").decode() + "\n")


def show_json(document: Any) -> None:
    """One JSON document on one line, valid UTF-8 whatever the file names."""
    show(json.dumps(document, ensure_ascii=False, allow_nan=False))


def printable_path(path: str) -> str:
    """A path as text; bytes that are not UTF-8 appear as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
