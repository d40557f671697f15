"""Names and numbers as they may be shown."""

import json
import shlex
from pathlib import Path

import pytest

from dogvscat.text import (
    escape_cell,
    json_line,
    markdown,
    markdown_code,
    pluralize,
    printable,
    printable_lines,
    shell_word,
    unescape_cell,
)


def test_numbers_are_said_as_people_say_them() -> None:
    assert [pluralize(n, "photo") for n in (0, 1, 2, 22_500)] == ["0 photos", "1 photo", "2 photos", "22,500 photos"]


def test_what_could_change_a_terminal_is_escaped() -> None:
    assert printable("a\x1b[31m\u202eb\udcffé") == "a\\x1b[31m\\u202eb\\xffé"


def test_a_path_is_one_word_of_a_command_and_never_an_option() -> None:
    for name in ("runs/fast-1", "my photos", "it's $HOME", "a;b", "-rf", "", "b\nc", "Kätzchen"):
        (word,) = shlex.split(shell_word(name))
        assert Path(word) == Path(name)
        assert not word.startswith("-")
    assert shell_word(Path("runs/fast-1")) == "runs/fast-1"
    assert shell_word("-rf") == "./-rf"


CELLS = {
    "=1+1": "'=1+1",
    "+49 30": "'+49 30",
    "-5x.jpg": "'-5x.jpg",
    "@SUM(A1)": "'@SUM(A1)",
    "\tx": "'\tx",
    "\r=1": "'\r=1",
    "'=1": "''=1",
    "-0.25e-3": "-0.25e-3",  # a number, not a formula
    "'tis.jpg": "'tis.jpg",
    "cat/=1.jpg": "cat/=1.jpg",
    "\x1b[31mred": r"\x1b[31mred",
    "\x9b31mred": r"\u009b31mred",
    "\u202egpj.exe": r"\u202egpj.exe",
    r"\x1b": r"\x5cx1b",
    r"C:\users\u00e4": r"C:\users\x5cu00e4",
    r"C:\photos\xyz.jpg": r"C:\photos\xyz.jpg",
    "two\nlines\r.jpg": "two\nlines\r.jpg",  # CSV quotes them
    "Ünïcödé 猫🐕\u202f.jpg": "Ünïcödé 猫🐕\u202f.jpg",
    "not utf-8 \udcff": "not utf-8 \udcff",
    "": "",
}


@pytest.mark.parametrize(("text", "cell"), CELLS.items(), ids=map(ascii, CELLS))
def test_a_cell_is_no_formula_and_no_control_code_and_can_be_read_back(text: str, cell: str) -> None:
    assert escape_cell(text) == cell
    assert unescape_cell(cell) == text


def test_every_text_can_be_read_back() -> None:
    for first in "'=+-@\t\r\n\\x1bu \x00\x1f\x7f\x85\u061c\u2028\u202e\u2069\ue000é":
        for second in ("", "'", "=", "x1b", "u202e", "\\x1b", "\x1b", "5cx1b"):
            for text in (first + second, second + first, f"'{first}{second}", f"\\{first}{second}"):
                cell = escape_cell(text)
                assert unescape_cell(cell) == text
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
                assert not set("\x00\x1b\x7f\x85\u202e\u2028\u2069") & set(cell)


def test_json_has_no_character_that_could_change_a_terminal_and_loses_none() -> None:
    document = {"\x9b31m": "\x1b\x7f\x85\u202e\u2028é猫\n"}
    line = json_line(document)
    assert line.isprintable()
    assert json.loads(line) == document
    assert "é猫" in line


def test_texts_of_several_lines_keep_them() -> None:
    assert printable_lines("a\n\tb\x1b\u202e\r") == "a\n\tb\\x1b\\u202e\\r"


def test_markdown_shows_a_name_and_does_nothing() -> None:
    name = "<img src=x onerror=alert(1)> [a](javascript:b) *c* _d_ `e` | f & g"
    assert markdown(name) == r"\<img src=x onerror=alert(1)\> \[a\](javascript:b) \*c\* \_d\_ \`e\` \| f \& g"
    assert markdown("back\\slash") == r"back\\slash"
    assert markdown("cat or dog, 5% (n = 3)") == "cat or dog, 5% (n = 3)"
    assert "\n" not in markdown("a\n# b\u202e")
    assert markdown_code("a`b\n") == "a'b\\n"
