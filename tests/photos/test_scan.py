"""What one look at a photo finds, and when it is remembered."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat import caches
from dogvscat.photos.decoder import decode_photo
from dogvscat.photos.drawing import draw
from dogvscat.photos.scan import perceptual_hash, scan
from dogvscat.photos.sources import PhotoSource, open_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cats, two dogs."""
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for seed in (1, 2):
            draw(kind, seed, 64).save(tmp_path / "photos" / kind / f"{seed}.png")
    return tmp_path / "photos"


def _remembered() -> list[Path]:
    return list(caches.area("scans").glob("*.csv"))


def _hash_by_hand(pixels: np.ndarray) -> str:
    """Zauner 2010 with numpy alone: signs of the lowest 16 x 16 cosine frequencies about their median."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"), float)
    angles = np.pi * (np.arange(64)[None] + 0.5) * np.arange(64)[:, None] / 64
    frequencies = (np.cos(angles) @ grey @ np.cos(angles).T)[:16, :16]
    return np.packbits(frequencies > np.median(frequencies)).tobytes().hex()


def test_the_hash_is_the_one_of_the_book(drawn_photos: Path) -> None:
    for path in sorted(drawn_photos.rglob("*.jpg"))[:20]:
        pixels = decode_photo(path, 64)
        assert perceptual_hash(pixels) == _hash_by_hand(pixels)


def test_one_look_finds_everything(photos: Path) -> None:
    half = Image.new("RGB", (80, 40), "white")
    half.paste((0, 0, 0), (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    half.save(photos / "cat" / "half.png", exif=exif)
    Image.new("CMYK", (30, 30)).save(photos / "dog" / "blank.jpg")
    (photos / "dog" / "empty.jpg").touch()
    (photos / "dog" / "text.jpg").write_text("no picture")
    scanned = {photo.path: photo for photo in scan(open_photos(photos))}
    half_seen = scanned["cat/half.png"]
    assert (half_seen.width, half_seen.height, half_seen.mode, half_seen.label) == (40, 80, "RGB", 0)
    assert half_seen.sha256 == hashlib.sha256((photos / "cat" / "half.png").read_bytes()).hexdigest()
    assert half_seen.num_bytes == (photos / "cat" / "half.png").stat().st_size
    assert half_seen.contrast == pytest.approx(127.5, rel=0.02)  # half 0 and half 255 lie 127.5 from their mean
    assert len(half_seen.perceptual_hash) == 64
    assert (scanned["dog/blank.jpg"].mode, scanned["dog/blank.jpg"].contrast) == ("CMYK", 0.0)
    for path, code in (("dog/empty.jpg", "empty"), ("dog/text.jpg", "unsupported_format")):
        assert (scanned[path].usable, scanned[path].error_code, scanned[path].perceptual_hash) == (False, code, "")
    assert list(scanned) == sorted(scanned)


def test_a_folder_and_its_zip_are_seen_alike(photos: Path) -> None:
    archive = Path(shutil.make_archive(str(photos), "zip", photos))
    assert scan(open_photos(photos)) == scan(open_photos(archive))


def test_declared_splits_are_kept(photos: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / split)
    scanned = scan(open_photos(tmp_path / "split"))
    assert [photo.declared_split for photo in scanned] == ["test"] * 4 + ["train"] * 4


def test_odd_names_are_remembered_as_they_are(photos: Path) -> None:
    for name in (b"\xff\xfe.png", b"a,b\"c'.png", b"two\nlines\r.png", "ü😺.png".encode()):
        shutil.copy(photos / "cat" / "1.png", os.fsdecode(os.fsencode(photos / "cat") + b"/" + name))
    source = open_photos(photos)
    scanned = scan(source)
    shutil.rmtree(photos)
    assert scan(source) == scanned
    assert [photo.path for photo in scanned] == [photo.path for photo in source.photos]


def test_a_second_look_reads_no_photo(photos: Path) -> None:
    source = open_photos(photos)
    scanned = scan(source)
    shutil.rmtree(photos)
    assert scan(source) == scanned


def test_a_changed_photo_is_looked_at_again(photos: Path) -> None:
    before = scan(open_photos(photos))
    draw("cat", 9, 48).save(photos / "cat" / "1.png")
    after = scan(open_photos(photos))
    assert [photo.path for photo, old in zip(after, before, strict=True) if photo != old] == ["cat/1.png"]


def test_a_photo_that_comes_back_is_seen(photos: Path, tmp_path: Path) -> None:
    source = open_photos(photos)
    (photos / "cat" / "1.png").rename(tmp_path / "away.png")
    assert scan(source)[0].error_code == "not_found"
    assert _remembered() == []
    (tmp_path / "away.png").rename(photos / "cat" / "1.png")
    assert scan(source)[0].usable


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "other photos", "fewer", "other labels"])
def test_a_damaged_memory_is_replaced(photos: Path, damage: str) -> None:
    source = open_photos(photos)
    scanned = scan(source)
    (remembered,) = _remembered()
    whole = remembered.read_bytes()
    damaged = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "garbage": bytes(range(256)) * 9,
        "other photos": whole.replace(b"cat/1", b"cat/7"),
        "fewer": b"".join(whole.splitlines(keepends=True)[:-1]),
        "other labels": whole.replace(b".png,0", b".png,1"),
    }
    remembered.write_bytes(damaged[damage])
    assert scan(source) == scanned
    assert remembered.read_bytes() == whole


def test_an_interrupted_look_is_not_remembered(drawn_photos: Path) -> None:
    looked_at = []

    class Interrupting(PhotoSource):
        def read(self, photo_path: str) -> bytes:
            looked_at.append(photo_path)
            if len(looked_at) == 5:
                raise KeyboardInterrupt
            return super().read(photo_path)

    source = open_photos(drawn_photos)
    with pytest.raises(KeyboardInterrupt):
        scan(Interrupting(**vars(source)))
    assert _remembered() == []
    assert len(scan(source)) == 48
