"""The facts that a scan collects, and when a cached scan is used."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from dogvscat import caches
from dogvscat.photos.drawing.sample import draw
from dogvscat.photos.reading.sources import PhotoSource, open_photos
from dogvscat.photos.scan import scan
from tests.helpers import draw_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cats, two dogs."""
    return draw_photos(tmp_path / "photos", (1, 2), image_size=64)


def _cached_scans() -> list[Path]:
    return list(caches.folder("scans").glob("*.csv"))


def test_all_facts_of_a_scan(photos: Path) -> None:
    half = Image.new("RGB", (80, 40), "white")
    half.paste((0, 0, 0), (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    half.save(photos / "cat" / "half.png", exif=exif)
    Image.new("CMYK", (30, 30)).save(photos / "dog" / "blank.jpg")
    (photos / "dog" / "empty.jpg").touch()
    (photos / "dog" / "text.jpg").write_text("no picture")
    scanned = {photo.path: photo for photo in scan(open_photos(photos))}
    half_photo = scanned["cat/half.png"]
    assert (half_photo.width, half_photo.height, half_photo.mode, half_photo.label) == (40, 80, "RGB", 0)
    assert half_photo.sha256 == hashlib.sha256((photos / "cat" / "half.png").read_bytes()).hexdigest()
    assert half_photo.num_bytes == (photos / "cat" / "half.png").stat().st_size
    assert half_photo.contrast == pytest.approx(127.5, rel=0.02)  # half 0 and half 255 lie 127.5 from their mean
    assert len(half_photo.perceptual_hash) == 64
    assert (scanned["dog/blank.jpg"].mode, scanned["dog/blank.jpg"].contrast) == ("CMYK", 0.0)
    for path, code in (("dog/empty.jpg", "empty"), ("dog/text.jpg", "unsupported_format")):
        assert (scanned[path].error_code, scanned[path].perceptual_hash) == (code, "")
    assert list(scanned) == sorted(scanned)


def test_a_folder_and_its_zip_have_the_same_scan(photos: Path) -> None:
    archive = Path(shutil.make_archive(str(photos), "zip", photos))
    assert scan(open_photos(photos)) == scan(open_photos(archive))


def test_declared_splits_are_kept(photos: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / split)
    scanned = scan(open_photos(tmp_path / "split"))
    assert [photo.declared_split for photo in scanned] == ["test"] * 4 + ["train"] * 4


def test_odd_names_survive_the_cache(photos: Path) -> None:
    for name in (b"\xff\xfe.png", b"a,b\"c'.png", b"two\nlines\r.png", "ü😺.png".encode()):
        shutil.copy(photos / "cat" / "1.png", os.fsdecode(os.fsencode(photos / "cat") + b"/" + name))
    source = open_photos(photos)
    scanned = scan(source)
    shutil.rmtree(photos)
    assert scan(source) == scanned
    assert [photo.path for photo in scanned] == [photo.path for photo in source.photos]


def test_a_second_scan_reads_no_photo(photos: Path) -> None:
    source = open_photos(photos)
    scanned = scan(source)
    shutil.rmtree(photos)
    assert scan(source) == scanned


def test_a_changed_photo_is_scanned_again(photos: Path) -> None:
    before = scan(open_photos(photos))
    draw("cat", 9, 48).save(photos / "cat" / "1.png")
    after = scan(open_photos(photos))
    assert [photo.path for photo, old in zip(after, before, strict=True) if photo != old] == ["cat/1.png"]


def test_a_missing_photo_is_not_cached(photos: Path, tmp_path: Path) -> None:
    source = open_photos(photos)
    (photos / "cat" / "1.png").rename(tmp_path / "away.png")
    assert scan(source)[0].error_code == "not_found"
    assert _cached_scans() == []
    (tmp_path / "away.png").rename(photos / "cat" / "1.png")
    assert not scan(source)[0].error_code


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "other photos", "fewer", "other labels"])
def test_a_damaged_cache_is_replaced(photos: Path, damage: str) -> None:
    source = open_photos(photos)
    scanned = scan(source)
    (cache_file,) = _cached_scans()
    whole = cache_file.read_bytes()
    damaged = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "garbage": bytes(range(256)) * 9,
        "other photos": whole.replace(b"cat/1", b"cat/7"),
        "fewer": b"".join(whole.splitlines(keepends=True)[:-1]),
        "other labels": whole.replace(b".png,0", b".png,1"),
    }
    cache_file.write_bytes(damaged[damage])
    assert scan(source) == scanned
    assert cache_file.read_bytes() == whole


def test_an_interrupted_scan_is_not_cached(drawn_photos: Path) -> None:
    read_paths = []

    class Interrupting(PhotoSource):
        def read(self, photo_path: str) -> bytes:
            read_paths.append(photo_path)
            if len(read_paths) == 5:
                raise KeyboardInterrupt
            return super().read(photo_path)

    source = open_photos(drawn_photos)
    with pytest.raises(KeyboardInterrupt):
        scan(Interrupting(**vars(source)))
    assert _cached_scans() == []
    assert len(scan(source)) == 48
