"""Which files a command line means, and how many there are before the first is looked at."""

import io
import sys
from pathlib import Path

import pytest

from dogvscat.cli.photo_arguments import PhotoArguments


def test_counting_finds_what_walking_finds(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "a.webp", "b/notes.txt", ".hidden/x.jpg", "b/.x.jpg", "b/c/1.heic"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    arguments = PhotoArguments([str(tmp_path), "single.xyz", str(tmp_path / "a.webp")])
    assert arguments.count() == 6
    paths = list(arguments.paths())
    names = [path.removeprefix(f"{tmp_path}/") for path in paths]
    assert names == ["a.webp", "b/10.png", "b/2.JPG", "b/c/1.heic", "single.xyz", "a.webp"]
    assert arguments.skipped == 2  # notes.txt and .x.jpg; counting before has not doubled them


def test_a_list_on_stdin_cannot_be_counted_before_it_comes() -> None:
    assert PhotoArguments(["photos", "-"]).count() is None


def test_a_list_may_be_that_of_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(tmp_path / name) for name in ("Kätzchen 1.jpg", "\N{BOM}2.jpg")]
    text = "\N{BOM}" + "\r\n\r\n".join(names)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert list(PhotoArguments(["-"]).paths()) == names
