"""Folders and zips on the disk."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dogvscat.errors import ArchiveError, ImageError, LayoutError
from dogvscat.photos.reading.sources import SYNTHETIC_MARKER, PhotoSource, open_photos
from dogvscat.photos.scan import fingerprint


def _write(folder: Path, *paths: str) -> Path:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(path))
    return folder


def _zip(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def _summary(source: PhotoSource) -> tuple[object, ...]:
    contents = [source.read(photo.path) for photo in source.photos]
    return source.class_names, source.photos, source.skipped, source.is_synthetic, contents


@pytest.mark.parametrize(
    "paths",
    [
        ("Cat/0.jpg", "Cat/Thumbs.db", "Dog/a/0.JPG", "readme.txt", ".hidden/cat/0.jpg"),
        ("PetImages/Cat/0.jpg", "PetImages/Dog/0.jpg", "__MACOSX/PetImages/Cat/._0.jpg"),
        ("train/cat.0.jpg", "train/dog.0.jpg", "test1/0.jpg"),
        ("train/cat/0.jpg", "train/dog/0.jpg", "val/cat/0.jpg", "val/dog/0.jpg", SYNTHETIC_MARKER),
        ("cats/train/0.jpg", "cats/test/1.jpg", "dogs/train/0.jpg", "dogs/test/1.jpg", "cats/@eaDir/0.jpg/thumb.jpg"),
        ("a/Ka\u0308tzchen/0.jpg?w=500", "a/HÜNDCHEN /1.jpg", "b/cat/2.jpg", "b/dog/3.jpg", "$RECYCLE.BIN/4.jpg"),
        ("apples/-rf.jpg", "apples/猫 é.jpg", "pears/" + "x" * 240 + ".jpg", "pears/$(rm) 'a' \"b\" <c>.jpg"),
    ],
)
def test_a_folder_and_its_zip_are_the_same(tmp_path: Path, paths: tuple[str, ...]) -> None:
    folder = _write(tmp_path / "pets", *paths)
    from_folder, from_zip = open_photos(folder), open_photos(_zip(folder))
    assert _summary(from_folder) == _summary(from_zip)
    assert len(from_folder.photos) + from_folder.skipped + from_folder.is_synthetic == len(paths)
    assert [from_folder.read(photo.path) for photo in from_folder.photos] == [
        photo.path.encode() for photo in from_folder.photos
    ]


def test_a_folder_and_its_zip_differ_only_in_an_icon_that_is_counted_in_both(tmp_path: Path) -> None:
    folder = _write(tmp_path / "pets", "cat/0.jpg", "dog/0.jpg", "Icon\r", "cat/Icon\r")
    assert _summary(open_photos(folder)) == _summary(open_photos(_zip(folder)))
    assert open_photos(folder).skipped == 2


def test_odd_names_in_a_folder(tmp_path: Path) -> None:
    names = [
        "\udcff\udcfe.jpg",
        "a\nb.jpg",
        "-o.jpg",
        " .jpg",
        "a\tb\x1b[31m.jpg",
        "\u202egpj.jpg",
        "é.jpg",
        "e\u0301.jpg",
    ]
    _write(tmp_path, *(f"cat/{name}" for name in names), "dog/0.jpg")
    source = open_photos(tmp_path)
    assert [photo.path for photo in source.photos] == sorted([*(f"cat/{name}" for name in names), "dog/0.jpg"])
    assert [source.read(photo.path) for photo in source.photos] == [os.fsencode(photo.path) for photo in source.photos]
    assert len(fingerprint(source)) == 64


def test_class_folders_that_are_not_utf8_keep_their_bytes(tmp_path: Path) -> None:
    source = open_photos(_write(tmp_path, "\udcff/0.jpg", "cat/0.jpg"))
    assert source.class_names == ("cat", "\udcff")


def test_a_marker_file_makes_a_source_synthetic(tmp_path: Path) -> None:
    _write(tmp_path, "cat/0.jpg", "dog/0.jpg")
    assert not open_photos(tmp_path).is_synthetic
    _write(tmp_path, SYNTHETIC_MARKER)
    assert open_photos(tmp_path).is_synthetic


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    pets = _write(tmp_path / "pets", "cat/0.jpg", "dog/0.jpg")
    elsewhere = _write(tmp_path / "elsewhere", "1.jpg")
    (pets / "cat/again").symlink_to(pets)
    (pets / "dog/up").symlink_to(tmp_path)
    (pets / "cat/self.jpg").symlink_to("self.jpg")
    (pets / "cat/gone.jpg").symlink_to("gone.jpg.missing")
    (pets / "cat/linked.jpg").symlink_to(elsewhere / "1.jpg")
    (pets / "dog/more").symlink_to(elsewhere)
    source = open_photos(pets)
    assert [photo.path for photo in source.photos] == ["cat/0.jpg", "cat/linked.jpg", "dog/0.jpg", "dog/more/1.jpg"]
    assert source.read("dog/more/1.jpg") == b"1.jpg"
    assert source.skipped == 2


def test_class_folders_may_be_links(tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere", "c/0.jpg", "d/0.jpg")
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets/cat").symlink_to(tmp_path / "elsewhere/c")
    (tmp_path / "pets/dog").symlink_to(tmp_path / "elsewhere/d")
    assert [photo.path for photo in open_photos(tmp_path / "pets").photos] == ["cat/0.jpg", "dog/0.jpg"]


def test_pipes_are_skipped(tmp_path: Path) -> None:
    _write(tmp_path, "cat/0.jpg", "dog/0.jpg")
    os.mkfifo(tmp_path / "cat/pipe.jpg")
    source = open_photos(tmp_path)
    assert (len(source.photos), source.skipped) == (2, 1)


def test_the_fingerprint_changes_with_the_photos_only(tmp_path: Path) -> None:
    pets = _write(tmp_path / "pets", "cat/0.jpg", "dog/0.jpg")
    first = fingerprint(open_photos(pets))
    assert fingerprint(open_photos(pets)) == first
    assert fingerprint(open_photos(pets / ".." / "pets")) == first
    _write(pets, "notes.txt")
    assert fingerprint(open_photos(pets)) == first
    os.utime(pets / "cat/0.jpg", ns=(0, 0))
    second = fingerprint(open_photos(pets))
    (pets / "cat/0.jpg").rename(pets / "cat/1.jpg")
    third = fingerprint(open_photos(pets))
    copy = fingerprint(open_photos(Path(shutil.copytree(pets, tmp_path / "copy"))))
    assert len({first, second, third, copy}) == 4


def test_the_fingerprint_of_a_zip_changes_when_it_is_written_again(tmp_path: Path) -> None:
    pets = _write(tmp_path / "pets", "cat/0.jpg", "dog/0.jpg")
    first = fingerprint(open_photos(_zip(pets)))
    assert fingerprint(open_photos(tmp_path / "pets.zip")) == first
    os.utime(tmp_path / "pets.zip", ns=(0, 0))
    assert fingerprint(open_photos(tmp_path / "pets.zip")) != first


def test_the_content_decides_whether_a_file_is_a_zip(tmp_path: Path) -> None:
    archive = _zip(_write(tmp_path / "pets", "cat/0.jpg", "dog/0.jpg")).rename(tmp_path / "pets.jpg")
    assert len(open_photos(archive).photos) == 2
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(ArchiveError, match="not a complete zip"):
        open_photos(archive)
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ArchiveError, match="not a complete zip"):
        open_photos(tmp_path / "text.zip")


def test_other_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"cannot open .*missing: No such file"):
        open_photos(tmp_path / "missing")
    with pytest.raises(LayoutError, match="null byte"):
        open_photos(Path("a\0b"))
    _write(tmp_path, "0.jpg")
    with pytest.raises(LayoutError, match=r"0\.jpg is a single file, expected a folder or a zip"):
        open_photos(tmp_path / "0.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match="empty holds no photos"):
        open_photos(tmp_path / "empty")


def test_a_photo_that_was_removed_is_an_error_of_that_photo_only(tmp_path: Path) -> None:
    source = open_photos(_write(tmp_path, "cat/0.jpg", "dog/0.jpg"))
    (tmp_path / "cat/0.jpg").unlink()
    with pytest.raises(ImageError, match=r"cat/0\.jpg: there is no such file") as caught:
        source.read("cat/0.jpg")
    assert caught.value.code == "not_found"


@contextmanager
def _without_root() -> Iterator[None]:
    """Run the block as the user nobody: root may read every folder."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_folders_that_may_not_be_read_are_named() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies in a folder that is closed to others
        pets = _write(Path(folder), "cat/0.jpg", "dog/0.jpg", ".trash/0.jpg")
        pets.chmod(0o755)
        (pets / ".trash").chmod(0)  # hidden: skipped
        with _without_root():
            assert len(open_photos(pets).photos) == 2
        (pets / "dog").chmod(0)
        with _without_root(), pytest.raises(LayoutError, match=r"cannot list the folder .*dog: Permission denied"):
            open_photos(pets)
        (pets / "dog").chmod(0o755)
        (pets / ".trash").chmod(0o755)


def test_the_shared_archive_and_photos(test_data: Path) -> None:
    source = open_photos(test_data / "kagglecatsanddogs.zip")
    assert (len(source.photos), source.skipped, source.class_names) == (22_502, 2, ("cat", "dog"))
    assert sum(not source.read(photo.path) for photo in source.photos) == 2
    photos = open_photos(test_data / "photos")
    assert [sum(photo.label == label for photo in photos.photos) for label in (0, 1)] == [100, 100]
    with pytest.raises(LayoutError, match=r"one class folder, expected two \(neither: 975 photos\)"):
        open_photos(test_data / "neither.zip")
