"""Names and numbers as they may be shown."""

from dogvscat.text import pluralize, printable


def test_numbers_are_said_as_people_say_them() -> None:
    assert [pluralize(n, "photo") for n in (0, 1, 2, 22_500)] == ["0 photos", "1 photo", "2 photos", "22,500 photos"]


def test_what_could_change_a_terminal_is_escaped() -> None:
    assert printable("a\x1b[31m\u202eb\udcffé") == "a\\x1b[31m\\u202eb\\xffé"
