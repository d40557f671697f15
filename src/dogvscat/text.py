"""Names and numbers as they may be shown: whoever named a file does not decide what a terminal says."""

import json
import re
from typing import Any

_UNDECODABLE = re.compile("[\udc80-\udcff]")
"""How Python carries a byte of a file name that is not UTF-8."""


def printable(text: str) -> str:
    """The text with everything that cannot be shown written as an escape: control characters, direction overrides,
    and bytes of file names that are not UTF-8 (`\\xff`)."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def counted(count: int, noun: str) -> str:
    """A number with what it counts: `1 photo`, `2,500 photos`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _escaped(char: str) -> str:
    if _UNDECODABLE.match(char):
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def as_utf8(text: str) -> str:
    """The text with bytes of file names that are not UTF-8 written as `\\xff`, so that every program can read it."""
    return _UNDECODABLE.sub(lambda match: _escaped(match[0]), text)


def json_line(document: Any) -> str:
    """A JSON document on one line, without the line end; its texts are as `as_utf8` has them. NaN is refused."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return _UNDECODABLE.sub(lambda match: f"\\{_escaped(match[0])}", text)
