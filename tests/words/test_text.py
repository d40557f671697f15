"""Names and numbers as they may be shown."""

import shlex
from pathlib import Path

from dogvscat.text import pluralize, printable, shell_word


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
