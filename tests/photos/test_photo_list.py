"""Lists of photos: only these, or all but these."""

import shutil
from pathlib import Path

import pytest

from dogvscat.errors import DataError
from dogvscat.photos.reading.photo_list import only_listed, read_photo_list, without_listed
from dogvscat.photos.reading.sources import PhotoSource, open_photos
from dogvscat.photos.scan import fingerprint

PATHS = [f"PetImages/{label}/{number}.jpg" for label in ("Cat", "Dog") for number in (1, 2, 10)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders of files that are named as photos, below `PetImages`; their content does not matter here."""
    for path in PATHS:
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_text(path)
    return tmp_path / "photos"


def _list(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "list.txt"
    file.write_bytes(text.encode())
    return file


def _paths(source: PhotoSource) -> list[str]:
    return [photo.path for photo in source.photos]


@pytest.mark.parametrize(
    "text",
    [
        "PetImages/Cat/10.jpg\nPetImages/Dog/1.jpg\n",
        "Cat/10.jpg\r\nDog/1.jpg",  # the list begins further down than the folder
        "\ufeff# two photos\n\n PetImages\\Cat\\10.jpg \nPetImages\\Dog\\1.jpg\nPetImages/Dog/1.jpg",
        "PetImages/Cat/10.jpg\narchive/PetImages/Dog/1.jpg",  # further up
    ],
)
def test_the_photos_of_a_list_and_the_others_are_all_photos(folder: Path, tmp_path: Path, text: str) -> None:
    source, photo_list = open_photos(folder), read_photo_list(_list(tmp_path, text))
    listed, others = only_listed(source, photo_list), without_listed(source, photo_list)
    assert _paths(listed) == ["PetImages/Cat/10.jpg", "PetImages/Dog/1.jpg"]
    assert sorted(_paths(listed) + _paths(others)) == _paths(source)
    assert others.notes[-1].endswith("list.txt: 2 photos")


def test_a_zip_without_some_photos_has_a_cache_of_its_own(folder: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", folder))
    source = open_photos(archive)
    fewer = without_listed(source, read_photo_list(_list(tmp_path, "Cat/1.jpg")))
    other = without_listed(source, read_photo_list(_list(tmp_path, "Cat/2.jpg")))
    assert len({fingerprint(photos) for photos in (source, fewer, other)}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.txt is empty"),
        ("# nothing\n\n", "list.txt is empty"),
        ("Cat/1.jpg\nCat/3.jpg\nCat/4.jpg", "2 of 3 paths in .* are not among the photos in .*, such as Cat/3.jpg"),
        ("1.jpg", "1.jpg in .* is the end of several paths: PetImages/Cat/1.jpg and PetImages/Dog/1.jpg"),
    ],
)
def test_lists_that_do_not_fit_are_refused(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        only_listed(open_photos(folder), read_photo_list(_list(tmp_path, text)))


def test_photos_that_are_not_there_need_not_be_left_out_but_one_must_be(folder: Path, tmp_path: Path) -> None:
    source = open_photos(folder)
    fewer = without_listed(source, read_photo_list(_list(tmp_path, "Cat/1.jpg\nCat/3.jpg")))
    assert len(fewer.photos) == len(PATHS) - 1
    assert fewer.notes[-1].endswith("1 photo; 1 of its paths are not among the photos, such as Cat/3.jpg")
    with pytest.raises(DataError, match=r"none of the paths in .* leaves out nothing") as refused:
        without_listed(source, read_photo_list(_list(tmp_path, "Cat/3.jpg")))
    assert refused.value.hint == "The photos there have paths such as PetImages/Cat/1.jpg."


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt cannot be read: No such file"):
        read_photo_list(tmp_path / "none.txt")
