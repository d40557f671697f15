"""File names nobody expects, through `predict` and `audit`: what goes in comes out, and nothing else happens."""

import csv
import io
import os
from pathlib import Path
from typing import Any

from dogvscat.text import unescape_cell
from tests.helpers import Dogvscat, PredictJson, plain_png

Rows = list[dict[str, Any]]

ODD_NAMES = {
    b"\xff\xfe.jpg": r"\xff\xfe.jpg",  # not UTF-8: its bytes are escaped
    "latin \xe9.jpg".encode("latin-1"): r"latin \xe9.jpg",
    "Ünïcödé 猫🐕.jpg".encode(): "Ünïcödé 猫🐕.jpg",
    "\u202egpj.cat.jpg".encode(): "\u202egpj.cat.jpg",  # from right to left
    b"two\nlines.jpg": "two\nlines.jpg",
    b"tab\tand\x1b[31mred.jpg": "tab\tand\x1b[31mred.jpg",
    b"-rf.jpg": "-rf.jpg",
    b"--help.jpg": "--help.jpg",
    b"  spaces .jpg": "  spaces .jpg",
    b"quotes'\"\\&<b>;$(id).jpg": "quotes'\"\\&<b>;$(id).jpg",
    b"x" * 251 + b".jpg": "x" * 251 + ".jpg",
}


PHOTO = plain_png("red")


def put(folder: Path, name: bytes, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / os.fsdecode(name)).write_bytes(data)


def test_odd_names_go_in_and_come_out(dogvscat: Dogvscat, predict: PredictJson, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        put(tmp_path, name, PHOTO)
    code, rows, errors = predict(*map(os.fsdecode, ODD_NAMES), cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert [row["path"] for row in rows] == list(ODD_NAMES.values())
    code, rows, _ = predict(tmp_path)
    assert code == 0
    assert {row["path"] for row in rows} == {f"{tmp_path}/{name}" for name in ODD_NAMES.values()}
    listed = b"\n".join(name for name in ODD_NAMES if b"\n" not in name)
    code, rows, _ = predict(
        "-", cwd=tmp_path, input=listed.decode("utf-8", "surrogateescape"), errors="surrogateescape"
    )
    assert code == 0
    assert len(rows) == len(ODD_NAMES) - 1


def test_odd_names_cannot_upset_a_terminal(dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path) -> None:
    """As text it is one line a photo and no control character, whether the photo is good or bad."""
    for number, name in enumerate(ODD_NAMES):
        put(tmp_path, name, PHOTO if number % 2 else b"")
    result = dogvscat("predict", "--model", untouched_bundle, tmp_path, encoding="utf-8", errors="strict")
    assert result.returncode == 3
    assert len(result.stdout.splitlines()) == len(ODD_NAMES) // 2
    assert len(result.stderr.splitlines()) == len(ODD_NAMES) - len(ODD_NAMES) // 2 + 1
    assert all(char.isprintable() for char in (result.stdout + result.stderr).replace("\n", ""))


def test_names_no_file_can_have_are_failures_like_others(predict: PredictJson, tmp_path: Path) -> None:
    code, rows, _ = predict("n" * 5000, "", "no/such/folder/cat.jpg", "/dev/null")
    assert code == 3
    assert [row["error"]["code"] for row in rows] == ["unreadable", "unreadable", "not_found", "unreadable"]


def test_the_pages_of_an_audit_show_names_and_do_not_run_them(dogvscat: Dogvscat, tmp_path: Path) -> None:
    for name in (*ODD_NAMES, b"<script>alert(1)<.jpg"):
        put(tmp_path / "photos" / "cat", name, b"")  # empty, so that the page shows it
    put(tmp_path / "photos" / "dog", b"1.png", PHOTO)
    result = dogvscat("audit", tmp_path / "photos", "--out", tmp_path / "audit")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;.jpg" in page
    assert "<script>alert" not in page
    assert "<b>;$(id)" not in page
    table = (tmp_path / "audit" / "issues.csv").read_bytes()
    assert not any(char in table.decode("utf-8", "replace") for char in "\x1b\u202e")
    cells = csv.reader(io.StringIO(table.decode("utf-8", "surrogateescape"), newline=""))
    paths = {unescape_cell(path) for path, *_ in cells}
    assert {f"cat/{os.fsdecode(name)}" for name in ODD_NAMES} <= paths  # a reader gets the bytes
