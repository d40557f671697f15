"""Text for people: file names that cannot send control codes to a terminal, counts, durations."""

import json
import os
import re
import shlex
from typing import Any

_UNDECODABLE = re.compile("[\udc80-\udcff]")
"""The surrogates by which Python represents bytes of a file name that are not UTF-8 (PEP 383)."""


def printable(text: str) -> str:
    """The text with everything unprintable written as an escape: control characters, direction overrides, and bytes of
    file names that are not UTF-8 (`\\xff`)."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def shell_word(path: str | os.PathLike[str]) -> str:
    """A path as one word of a command that a person may copy into a shell, however it is named."""
    name = os.fspath(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)  # a leading minus sign would make it an option


def pluralize(count: int, noun: str) -> str:
    """A number with its noun: `1 photo`, `2,500 photos`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_duration(seconds: float) -> str:
    """A duration in the unit that suits it: seconds below 90 s, minutes below 90 min, else hours."""
    if seconds < 90:  # never "0 s": something remains to be done
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _escape(char: str) -> str:
    if _UNDECODABLE.match(char):
        return f"\\x{ord(char) - 0xDC00:02x}"  # the byte b is stored as U+DC00 + b
    return char.encode("unicode_escape").decode("ascii")


def escape_undecodable(text: str) -> str:
    """The text with bytes of file names that are not UTF-8 written as `\\xff`, so that the result is valid UTF-8."""
    return _UNDECODABLE.sub(lambda match: _escape(match[0]), text)


def json_line(document: Any) -> str:
    """A JSON document on one line, without a line end. Its strings are as `escape_undecodable` returns them.

    Raises:
        ValueError: if it holds NaN or an infinity, which JSON does not have.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    # Within a JSON string the backslash of `\\xff` has to be escaped itself.
    return _UNDECODABLE.sub(lambda match: f"\\{_escape(match[0])}", text)
