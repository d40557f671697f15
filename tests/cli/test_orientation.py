"""The eight ways a camera can be held: `predict` and `audit` see the same picture."""

from pathlib import Path

import numpy as np
from PIL import Image

from dogvscat.photos.drawing.sample import draw
from tests.helpers import Dogvscat, PredictJson, encoded, read_table


def oriented(picture: Image.Image, orientation: int) -> bytes:
    """The picture stored as a camera held in that way stores it, so that it looks the same when shown properly."""
    stored = {
        1: lambda shown: shown,
        2: lambda shown: shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda shown: shown.transpose(Image.Transpose.ROTATE_180),
        4: lambda shown: shown.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda shown: shown.transpose(Image.Transpose.TRANSPOSE),
        6: lambda shown: shown.transpose(Image.Transpose.ROTATE_90),
        7: lambda shown: shown.transpose(Image.Transpose.TRANSVERSE),
        8: lambda shown: shown.transpose(Image.Transpose.ROTATE_270),
    }[orientation](picture)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored, "JPEG", quality=95, exif=exif)


def lopsided() -> Image.Image:
    """Red at the left and a little below the middle: every way of turning it changes the linear network's answer."""
    picture = Image.new("RGB", (320, 240), (100, 100, 120))
    picture.paste("red", (0, 80, 110, 200))
    return picture


def test_all_eight_orientations_give_the_same_answer(predict: PredictJson, tmp_path: Path) -> None:
    tagged, untagged = [], []
    for number in range(1, 9):
        tagged.append(tmp_path / f"{number}.jpg")
        tagged[-1].write_bytes(oriented(lopsided(), number))
        with Image.open(tagged[-1]) as image:
            untagged.append(tmp_path / f"untagged {number}.jpg")
            untagged[-1].write_bytes(encoded(image, "JPEG", quality=95, exif=b""))
    code, rows, _ = predict(*tagged, *untagged)
    probabilities = [row["probabilities"]["dog"] for row in rows]
    assert code == 0
    assert np.ptp(probabilities[:8]) < 0.01
    assert min(abs(probability - probabilities[0]) for probability in probabilities[9:]) > 0.05  # the tag does matter


def test_an_audit_finds_them_to_be_one_picture(dogvscat: Dogvscat, tmp_path: Path) -> None:
    for number in range(1, 9):
        for name in ("cat", "dog"):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(oriented(draw(name, 77, 240), number))
    result = dogvscat("audit", tmp_path / "photos", "--out", tmp_path / "audit")
    assert result.returncode == 0, result.stderr
    rows = [row for row in read_table(tmp_path / "audit" / "issues.csv") if row["kind"] == "near_duplicate"]
    groups = {name: {row["group"] for row in rows if row["path"].startswith(name)} for name in ("cat", "dog")}
    assert len(rows) == 16
    assert len(groups["cat"]) == len(groups["dog"]) == 1
    assert groups["cat"] != groups["dog"]
