import pytest

from dogvscat.judging.display import num_pictures, shortened
from dogvscat.judging.figure_style import label_text
from dogvscat.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat/1.jpg", "cat/1.jpg"),
        ("a\nb\tc\x00", "a\\nb\\tc\\x00"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u732b.jpg", "\u732b.jpg"),
        ("\ud800", "\\ud800"),
    ],
)
def test_names_are_printable(text, shown):
    assert printable(text) == shown
    printable(text).encode("utf-8")


def test_long_names_keep_their_end():
    assert shortened("PetImages/Cat/12345.jpg", 10) == "…12345.jpg"
    assert shortened("short", 5) == "short"


def test_pictures_escape_what_their_font_lacks():
    assert label_text("\u732b \U0001f996 ü $x^2$") == "\\u732b \\U0001f996 ü $x^2$"
    assert len(label_text("x" * 500, 20)) == 20


def test_pictures_are_counted_in_words():
    assert num_pictures(2500, "validation") == "2,500 validation pictures"
    assert num_pictures(20_000, "train") == "20,000 training pictures"
    assert num_pictures(1, "all") == "1 picture"
