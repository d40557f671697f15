"""Photos by URL: listed as in folders, and read with the same errors."""

import zipfile
from pathlib import Path

import pytest

from dogvscat.errors import ImageError, UsageError
from dogvscat.photos.reading import object_store
from dogvscat.photos.reading.object_store import is_url, list_photos, read_object

pytest.importorskip("fsspec", reason="needs the extra cluster")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos, of which one lies deeper, and three files that are not photos."""
    for name in ("b.jpg", "a.PNG", "deep/c.webp", "notes.txt", ".hidden.jpg", ".git/d.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("s3://bucket/a.jpg", True), ("zip://::file:///a.zip", True), ("photos/a.jpg", False), ("C:/a.jpg", False)],
)
def test_urls_are_recognized(path: str, expected: bool) -> None:
    assert is_url(path) is expected


def test_a_folder_by_url_is_walked_in_order(folder: Path) -> None:
    listing = list_photos(f"file://{folder}")
    assert listing.urls == [f"file://{folder}/{name}" for name in ("a.PNG", "b.jpg", "deep/c.webp")]
    assert listing.skipped == 3
    assert [read_object(url) for url in listing.urls] == [b"a.PNG", b"b.jpg", b"deep/c.webp"]


def test_an_archive_by_url_names_its_photos_so_that_they_can_be_read(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    listing = list_photos(f"zip://::file://{tmp_path}/photos.zip")
    assert [read_object(url) for url in listing.urls] == [b"a.PNG", b"b.jpg", b"deep/c.webp"]
    assert listing.skipped == 3


def test_objects_that_cannot_be_read_have_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = f"file://{folder}/missing.jpg"
    assert list_photos(missing).urls == [missing]
    with pytest.raises(ImageError, match="there is no such object") as caught:
        read_object(missing)
    assert (caught.value.code, caught.value.path) == ("not_found", missing)
    monkeypatch.setattr(object_store, "MAX_FILE_BYTES", 3)
    with pytest.raises(ImageError, match="has 5 bytes, at most 3 are read"):
        read_object(f"file://{folder}/b.jpg")


@pytest.mark.parametrize(
    ("url", "message"),
    [("nowhere://bucket/a", "Protocol not known: nowhere"), ("memory://a", "in the memory of one process")],
)
def test_an_unknown_store_is_named(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list_photos(url)
