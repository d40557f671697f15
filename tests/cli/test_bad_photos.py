"""Every kind of bad and odd photo through `predict`, `audit` and `train`, as files made here.

`predict` gives one row for every file tried, in order; `audit` lists what is wrong; `train` leaves out what it must and
says so. None of them stops, shows a traceback or changes a file.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogvscat.photos.drawing.sample import draw, write_sample
from dogvscat.text import unescape_cell
from tests.helpers import Dogvscat, PredictJson, black_png, encoded, json_lines, quick_flags, read_files, read_table
from tests.photo_files import rgb_page, tiff

pytestmark = pytest.mark.slow

Rows = list[dict[str, Any]]

RED, BLUE = (255, 0, 0), (0, 0, 255)


def red(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (60, 40), RED).convert(mode)


def palette_with_transparency() -> bytes:
    image = Image.new("P", (60, 40), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.paste(0, (0, 0, 30, 40))  # the left half is blue, but cannot be seen: white shows instead
    return encoded(image, "PNG", transparency=0)


def drawing(kind: str = "JPEG") -> bytes:
    return encoded(draw("cat", 5, 96), kind)


CAMERA_RAW = tiff(rgb_page(red(), tag_254=("I", [1]), tag_50706=("B", bytes([1, 4, 0, 0]))))

# A name for each; what is wrong with it, as the code and a part of the message.
BAD = {
    "truncated.jpg": (drawing()[:-800], "unreadable", "is damaged"),
    "truncated.png": (drawing("PNG")[:2000], "unreadable", "is damaged"),
    "header only.jpg": (drawing()[:20], "unsupported_format", "is not a picture of a known format"),
    "empty.jpg": (b"", "empty", "the file is empty"),
    "text.jpg": (b"This is a text.\n" * 50, "unsupported_format", "is not a picture of a known format"),
    "page.png": (b"<html><script>alert(1)</script></html>", "unsupported_format", "is not a picture"),
    "bomb.png": (black_png(20_000), "too_large", "declares far too many pixels"),
    "smaller bomb.jpg": (black_png(8_000), "too_large", "declares 8000 x 8000 pixels, at most 50,000,000 are decoded"),
    "raw.jpg": (CAMERA_RAW, "unsupported_format", "is a camera raw file (DNG), which cannot be read"),
    "new.jxl": (b"\xff\x0a" + bytes(99), "unsupported_format", "is a JPEG XL picture, which cannot be read"),
    "pointer.jpg": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
        "unsupported_format",
        "is not a picture of a known format: it is a Git LFS pointer",
    ),
    "photo.heic": (b"\x00\x00\x00\x18ftypheic" + bytes(99), "unsupported_format", "is a HEIC picture"),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_format", "is not a picture"),
}

# A name for each, and the logit that the linear network gives it: 8 * (red - blue).
ODD = {
    "cmyk.jpg": (encoded(red("CMYK"), "JPEG", quality=100), 8.0),
    "sixteen bits.png": (encoded(Image.fromarray(np.full((40, 60), 51_400, np.uint16)), "PNG"), 0.0),
    "one bit.png": (encoded(Image.new("1", (60, 40), 1), "PNG"), 0.0),
    "palette.gif": (encoded(red("P"), "GIF"), 8.0),
    "animated.gif": (encoded(red(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40), BLUE)]), 8.0),
    "animated.webp": (
        encoded(red(), "WEBP", save_all=True, lossless=True, append_images=[Image.new("RGB", (60, 40), BLUE)]),
        8.0,
    ),
    "transparent.png": (encoded(Image.new("RGBA", (60, 40), (*RED, 0)), "PNG"), 0.0),  # on white
    "a png.jpg": (encoded(red(), "PNG"), 8.0),
    "one pixel.png": (encoded(Image.new("RGB", (1, 1), RED), "PNG"), 8.0),
    "thin.png": (encoded(Image.new("RGB", (3000, 1), BLUE), "PNG"), -8.0),
    "progressive.jpg": (encoded(red(), "JPEG", quality=100, progressive=True), 8.0),
}


def written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def test_each_bad_photo_has_a_row_with_its_error_and_the_good_ones_go_on(predict: PredictJson, tmp_path: Path) -> None:
    good = encoded(red(), "PNG")
    photos = written(tmp_path, {"first.png": good, **{name: data for name, (data, _, _) in BAD.items()}})
    photos += [tmp_path / "missing.jpg", *written(tmp_path, {"last.png": good})]
    before = read_files(tmp_path)
    code, rows, errors = predict(*photos)
    assert code == 3
    assert [row["path"] for row in rows] == [str(photo) for photo in photos]
    assert rows[0]["label"] == rows[-1]["label"] == "dog"
    for row, (_, expected, message) in zip(rows[1:], BAD.values(), strict=False):
        assert row.keys() == {"path", "error"}
        assert row["error"]["code"] == expected
        assert message in row["error"]["message"]
    assert rows[-2]["error"] == {"code": "not_found", "message": "there is no such file"}
    assert f"{len(BAD) + 1} of {len(BAD) + 3} photos could not be used" in errors
    assert read_files(tmp_path) == before


def test_legal_but_odd_photos_are_answered_like_plain_ones(predict: PredictJson, tmp_path: Path) -> None:
    code, rows, errors = predict(*written(tmp_path, {name: data for name, (data, _) in ODD.items()}))
    assert (code, errors) == (0, "")
    for row, (_, logit) in zip(rows, ODD.values(), strict=True):
        assert row["probabilities"]["dog"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.01), row["path"]


def test_what_is_transparent_is_white(predict: PredictJson, tmp_path: Path) -> None:
    """A half that is hidden blue and a half that is red look like white and red, in a palette as elsewhere."""
    plain = Image.new("RGB", (60, 40), "white")
    plain.paste(RED, (30, 0, 60, 40))
    photos = written(tmp_path, {"palette.png": palette_with_transparency(), "plain.png": encoded(plain, "PNG")})
    _, rows, _ = predict(*photos)
    assert rows[0]["probabilities"] == rows[1]["probabilities"]
    assert rows[0]["probabilities"]["dog"] > 0.9


def test_folders_are_walked_in_order_and_other_files_counted(predict: PredictJson, tmp_path: Path) -> None:
    good, folder = encoded(red(), "PNG"), tmp_path / "mixed"
    written(folder / "b", {"2.png": good, "1.jpg": good, "notes.txt": b"text", "Thumbs.db": b"\x00"})
    written(folder / "a" / "deep", {"photo.JPEG": good, "film.mp4": b"\x00", "bad.jpg": b"bad"})
    written(folder / ".hidden", {"3.png": good})
    written(folder, {"z.webp": encoded(red(), "WEBP"), ".DS_Store": b"\x00"})
    (folder / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    code, rows, errors = predict(folder, tmp_path / "mixed" / "b" / "notes.txt")
    assert code == 3
    names = ["z.webp", "a/deep/bad.jpg", "a/deep/photo.JPEG", "b/1.jpg", "b/2.png", "b/gone.png", "b/notes.txt"]
    assert [row["path"] for row in rows] == [f"{folder}/{name}" for name in names]
    failed = [row["path"].rpartition("/")[2] for row in rows if "error" in row]
    assert failed == ["bad.jpg", "gone.png", "notes.txt"]  # a file that is named is tried, whatever its suffix
    assert "skipped 4 files: hidden, or without the suffix of a photo, such as .jpg\n" in errors


def test_a_photo_on_stdin_is_told_from_a_list(dogvscat: Callable, drawn_photos: Path) -> None:
    with next(path for path in drawn_photos.glob("cat/*")).open("rb") as photo:
        result = dogvscat("predict", "-", stdin=photo)
    assert result.returncode == 2
    assert result.stderr.startswith("error: stdin is not text, expected a list of paths, one per line\n")
    assert result.stdout == ""


def test_a_list_on_stdin_is_read_between_other_arguments(predict: PredictJson, tmp_path: Path) -> None:
    good = encoded(red(), "PNG")
    written(tmp_path, {"1.png": good, "2.png": good, "3.png": good})
    written(tmp_path / "more", {"4.png": good})
    code, rows, _ = predict("3.png", "-", "1.png", cwd=tmp_path, input="2.png\r\n\nmore\nmissing.png\n")
    assert code == 3
    assert [row["path"] for row in rows] == ["3.png", "2.png", "more/4.png", "missing.png", "1.png"]


def test_nothing_but_bad_photos(predict: PredictJson, tmp_path: Path) -> None:
    photos = written(tmp_path, {f"{number}.jpg": b"bad" for number in range(100)})
    code, rows, errors = predict(*photos)
    assert code == 3
    assert [row["path"] for row in rows] == [str(photo) for photo in photos]
    assert all(row["error"]["code"] == "unsupported_format" for row in rows)
    assert "100 of 100 photos could not be used" in errors


def test_no_photo_at_all(predict: PredictJson, tmp_path: Path) -> None:
    written(tmp_path, {"notes.txt": b"text"})
    code, rows, errors = predict(tmp_path)
    assert (code, rows) == (3, [])
    assert errors == (
        "skipped 1 file: hidden, or without the suffix of a photo, such as .jpg\n"
        f"error: there is no photo in {tmp_path}\n"
        "hint: Name photos or folders with photos.\n"
    )


def test_what_may_not_be_read_is_a_row_and_not_the_end(
    predict: PredictJson, tmp_path: Path, unprivileged: dict[str, Any]
) -> None:
    good = encoded(red(), "PNG")
    written(tmp_path / "photos", {"1.png": good, "2.png": good})
    written(tmp_path / "photos" / "closed", {"3.png": good})
    (tmp_path / "photos" / "1.png").chmod(0)
    (tmp_path / "photos" / "closed").chmod(0)
    try:
        code, rows, _ = predict(tmp_path / "photos", tmp_path / "photos/closed/3.png", **unprivileged)
    finally:
        (tmp_path / "photos" / "closed").chmod(0o755)
    assert code == 3
    assert [Path(row["path"]).name for row in rows] == ["1.png", "2.png", "closed", "3.png"]
    assert [row.get("error", {}).get("code") for row in rows] == ["permission", None, "unreadable", "permission"]


def test_a_pipe_is_not_waited_for(predict: PredictJson, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    code, rows, _ = predict(tmp_path, timeout=60)
    assert code == 3
    assert rows[0]["error"] == {"code": "unreadable", "message": "is a pipe or a device, expected a photo"}


def shown(folder: Path) -> list[dict[str, str]]:
    """The rows of an audit's table."""
    return read_table(folder / "issues.csv", errors="surrogateescape")


def collection(folder: Path) -> Path:
    """Huskies and wolves, drawn, with every bad and odd photo among the wolves and some odd names among the huskies."""
    write_sample(folder, 40, seed=3, image_size=64)
    (folder / "DRAWN_SAMPLE.txt").unlink()
    (folder / "cat").rename(folder / "husky")
    (folder / "dog").rename(folder / "wolf")
    written(folder / "wolf", {name: data for name, (data, _, _) in BAD.items()})
    written(folder / "wolf", {name: data for name, (data, _) in ODD.items()})
    for number, name in enumerate((b"\xff.jpg", b"two\nlines.jpg", "猫 \u202e.jpg".encode())):
        written(folder / "husky", {os.fsdecode(name): encoded(draw("cat", 1000 + number, 64), "PNG")})
    return folder


def test_audit_lists_every_bad_photo_and_changes_none(dogvscat: Dogvscat, tmp_path: Path) -> None:
    photos = collection(tmp_path / "photos")
    before = read_files(photos)
    result = dogvscat("audit", "--json", photos, "--out", tmp_path / "audit")
    assert (result.returncode, result.stderr) == (0, "")
    counts = json.loads(result.stdout)["issues"]
    assert counts["unreadable"] == len(BAD) - 1
    assert counts["empty"] == 1
    issues = shown(tmp_path / "audit")
    reasons = {row["path"]: row["detail"] for row in issues if row["kind"] in ("unreadable", "empty")}
    assert reasons.keys() == {f"wolf/{name}" for name in BAD}
    for name, (_, _, message) in BAD.items():
        assert message in reasons[f"wolf/{name}"]
    assert read_files(photos) == before


def test_audit_can_fail_for_scripts(dogvscat: Dogvscat, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        written(tmp_path / "photos" / name, {"1.jpg": encoded(draw(name, 1, 64), "JPEG"), "2.jpg": b""})
    assert dogvscat("audit", tmp_path / "photos").returncode == 0
    assert dogvscat("audit", tmp_path / "photos", "--fail-on", "empty").returncode == 3
    assert dogvscat("audit", tmp_path / "photos", "--fail-on", "tiny").returncode == 0


def test_two_classes_of_other_names_from_bad_photos_to_answers(dogvscat: Dogvscat, tmp_path: Path) -> None:
    """Trains on good photos among bad ones and odd names, leaves the bad out by name, and the result answers."""
    photos = collection(tmp_path / "photos")
    before = read_files(photos)
    run = tmp_path / os.fsdecode(b"run \xff'")
    result = dogvscat("train", photos, "--out", run, *quick_flags("training.epochs=1"))
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    table = read_table(run / "manifest.csv", errors="surrogateescape")
    rows = {unescape_cell(row["path"]): row for row in table}
    assert {path for path, row in rows.items() if not row["split"]} == {f"wolf/{name}" for name in BAD}
    assert rows.keys() == before.keys()
    assert f"left out: {len(BAD)} photos (manifest.csv says why)" in result.stderr
    assert "cannot be read: 1 photo, such as wolf/raw.jpg: is a camera raw file (DNG)" in result.stderr
    assert "Develop it to JPEG first" in result.stderr
    assert json.loads((run / "bundle" / "card.json").read_text())["positive_class"] == "wolf"
    answered = dogvscat("predict", "--json", "--model", run, photos)
    answers = json_lines(answered.stdout)
    assert answered.returncode == 3
    assert len(answers) == len(rows)
    assert sum("error" in answer for answer in answers) == len(BAD)
    for answer in answers:
        if "error" not in answer:
            assert list(answer["probabilities"]) == ["husky", "wolf"]
            assert answer["label"] in ("husky", "wolf", "unsure")
    assert read_files(photos) == before
