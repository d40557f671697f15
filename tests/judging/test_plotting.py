import numpy as np
import pytest
from PIL import Image

from dogvscat.judging.plotting import image_grid, label_text
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


def test_long_labels_keep_their_end():
    assert label_text("PetImages/Cat/12345.jpg", 10) == "…12345.jpg"
    assert label_text("short", 5) == "short"


def test_labels_escape_what_the_font_lacks():
    assert label_text("\u732b \U0001f996 ü $x^2$") == "\\u732b \\U0001f996 ü $x^2$"
    assert len(label_text("x" * 500, 20)) == 20


def test_a_grid_shows_its_images_in_order(tmp_path):
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    images = np.stack([np.full((16, 16, 3), color, np.uint8) for color in colors])
    image_grid(tmp_path / "grid.png", images, ["one\ntwo"] * 5, columns=2)
    with Image.open(tmp_path / "grid.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    centers = [np.argwhere(np.all(pixels == color, axis=2)).mean(axis=0) for color in colors]
    rows, columns = zip(*centers, strict=True)
    assert rows[0] == pytest.approx(rows[1])
    assert rows[1] < rows[2] < rows[4]
    assert columns[0] == pytest.approx(columns[2])
    assert columns[0] < columns[1]


def test_a_grid_needs_one_caption_per_image(tmp_path):
    with pytest.raises(ValueError, match="expected 2 captions or none, received 1"):
        image_grid(tmp_path / "grid.png", np.zeros((2, 4, 4, 3), np.uint8), ["only one"], 2)
