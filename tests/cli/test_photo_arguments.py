"""Which files a command line means, and how many there are before the first is looked at."""

from pathlib import Path

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
