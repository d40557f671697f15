"""Text for people: file names that cannot send control codes to a terminal, counts, durations.

Names of files and classes were chosen by strangers. What could do harm is written differently in each kind of output:
in a terminal and on pages by `printable` and `printable_lines`, in Markdown by `markdown`, in JSON by `json_line`, in
tables by `escape_cell`. From a table, `unescape_cell` gets the name back as it was. So does any JSON reader from a line
of JSON, unless the name is not UTF-8.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters of C0 and C1 without tab and line ends, line separators, and marks of the direction of text."""
_FORMULA = re.compile("'*[=+@\t\r-]")
"""How a formula begins in a spreadsheet. Apostrophes in front of it count too, so that `unescape_cell` takes away only
the one that `escape_cell` has added."""
_ESCAPE = re.compile(r"\\(x[0-7][0-9a-f]|u[0-9a-f]{4})")
_UNSAFE_CELL = re.compile(f"^{_FORMULA.pattern}|{_CONTROL.pattern}|{_ESCAPE.pattern}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MARKUP = re.compile(r"[\\`*_\[\]<>|~&]")
_UNDECODABLE = re.compile("[\udc80-\udcff]")
"""The surrogates by which Python represents bytes of a file name that are not UTF-8 (PEP 383)."""


def printable(text: str) -> str:
    """The text with everything unprintable written as an escape: control characters, direction overrides, and bytes of
    file names that are not UTF-8 (`\\xff`)."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def printable_lines(text: str) -> str:
    """Like `printable`, but line ends and tabs stay: for texts of several lines."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in text)


def markdown(text: str) -> str:
    """The text, printable, as Markdown that shows it and does nothing else: no HTML, links, code or table cells."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def markdown_code(text: str) -> str:
    """The text, printable, for the space between two backticks, where nothing can be escaped."""
    return printable(text).replace("`", "'")


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML, for notebooks; its texts are escaped and printable."""
    from html import escape  # here: a first prediction does not wait for it

    def html_row(tag: str, cells: Sequence[object]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(printable(str(cell)))}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{html_row('th', header)}{''.join(html_row('td', row) for row in rows)}</table>"


def escape_cell(text: str) -> str:
    """The text as the cell of a table that a spreadsheet or a terminal may show.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as OWASP advises against CSV
    injection. Control characters (apart from tabs and line ends, which CSV quotes) and characters that change the
    direction of text become `\\x1b` or `\\u202e`. Numbers stay as they are, also negative ones. `unescape_cell` gives
    every text back.
    """
    if not _UNSAFE_CELL.search(text) or _NUMBER.fullmatch(text):
        return text
    text = _ESCAPE.sub(r"\\x5c\g<1>", text)  # what looks like an escape already
    text = _CONTROL.sub(lambda match: _code(match[0]), text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(text: str) -> str:
    """The text from which `escape_cell` made this cell."""
    if text.startswith("'") and _FORMULA.match(text):
        text = text[1:]
    return _ESCAPE.sub(lambda match: chr(int(match[1][1:], 16)), text) if "\\" in text else text


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


def _code(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 0x80 else f"\\u{ord(char):04x}"


def escape_undecodable(text: str) -> str:
    """The text with bytes of file names that are not UTF-8 written as `\\xff`, so that the result is valid UTF-8."""
    return _UNDECODABLE.sub(lambda match: _escape(match[0]), text)


def json_line(document: Any, *, compact: bool = False) -> str:
    """A JSON document on one line, without a line end; `compact` also leaves out blanks. Its strings are as
    `escape_undecodable` returns them. Characters that could change a terminal are written as JSON's own escapes, which
    every JSON reader turns back into the characters.

    Raises:
        ValueError: if it holds NaN or an infinity, which JSON does not have.
    """
    separators = (",", ":") if compact else None
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=separators)
    # Within a JSON string the backslash of `\\xff` has to be escaped itself.
    text = _UNDECODABLE.sub(lambda match: f"\\{_escape(match[0])}", text)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def parse_json(text: str) -> Any:
    """A JSON document from its text.

    Raises:
        ValueError: if it is not JSON, which has no NaN and no infinity, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
