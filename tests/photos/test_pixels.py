"""The pixel cache: the pixels of `decode`, computed once; never incomplete or wrong, whatever happens to the file."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dogvscat import caches
from dogvscat.config import DataConfig
from dogvscat.errors import DataError
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.drawing.sample import draw
from dogvscat.photos.manifest import Manifest, make_manifest
from dogvscat.photos.pixels import cache_file, cached_pixels, mapped_pixels
from dogvscat.photos.reading.sources import PhotoSource, open_photos

SIDE = 48

KILLED_WHILE_DECODING = """
import os, signal, sys
from pathlib import Path
from dogvscat.config import DataConfig
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.reading.sources import PhotoSource, open_photos

source = open_photos(Path(sys.argv[1]))
reads = 0

class Killing(PhotoSource):
    def read(self, path):
        global reads
        reads += 1
        if reads == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(path)

cached_pixels(Killing(**vars(source)), make_manifest(source, DataConfig()), 48)
"""


@pytest.fixture
def photos(tmp_path: Path, drawn_photos: Path) -> Path:
    """Drawn photos, a copy, an empty file and a text file."""
    folder = tmp_path / "photos"
    shutil.copytree(drawn_photos, folder)
    shutil.copy(folder / "cat" / "0001.jpg", folder / "cat" / "copy.jpg")
    (folder / "dog" / "empty.jpg").touch()
    (folder / "dog" / "text.jpg").write_text("no picture")
    return folder


def _opened(location: Path) -> tuple[PhotoSource, Manifest]:
    source = open_photos(location)
    return source, make_manifest(source, DataConfig())


def test_it_has_the_pixels_of_decode(photos: Path) -> None:
    source, manifest = _opened(photos)
    pixels = cached_pixels(source, manifest, SIDE)
    rows = [row for row in manifest.rows if row.perceptual_hash]
    assert (pixels.images.shape, pixels.images.dtype) == (
        (48, SIDE, SIDE, 3),
        np.dtype(np.uint8),
    )  # the copy is the same picture
    assert len(rows) == 49
    indices = pixels.indices(rows)
    assert indices.dtype == np.int64
    for row, index in zip(rows, indices, strict=True):
        assert np.array_equal(pixels.images[index], decode(source.read(row.path), row.path, SIDE))
    assert pixels.indices([]).shape == (0,)


def test_it_is_mapped_and_cannot_be_written_to(photos: Path) -> None:
    pixels = cached_pixels(*_opened(photos), SIDE)
    assert isinstance(pixels.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pixels.images[0] = 0


def test_a_second_call_reads_no_photo(photos: Path) -> None:
    source, manifest = _opened(photos)
    assert mapped_pixels(manifest, SIDE) is None
    first = cached_pixels(source, manifest, SIDE)
    shutil.rmtree(photos)
    second = cached_pixels(source, manifest, SIDE)
    assert np.array_equal(first.images, second.images)
    assert first.digests.tolist() == second.digests.tolist()


def test_a_folder_and_its_zip_share_one_file(photos: Path) -> None:
    archive = Path(shutil.make_archive(str(photos), "zip", photos))
    _, of_folder = _opened(photos)
    source, of_archive = _opened(archive)
    cached_pixels(source, of_archive, SIDE)
    assert mapped_pixels(of_folder, SIDE) is not None
    assert len(list(caches.folder("pixels").iterdir())) == 1


def test_other_sizes_and_other_photos_have_other_files(photos: Path) -> None:
    source, manifest = _opened(photos)
    cached_pixels(source, manifest, SIDE)
    assert mapped_pixels(manifest, SIDE + 1) is None
    draw("cat", 99, 50).save(photos / "cat" / "new.png")
    assert mapped_pixels(_opened(photos)[1], SIDE) is None


def test_splits_share_one_file(photos: Path) -> None:
    source, manifest = _opened(photos)
    cached_pixels(source, manifest, SIDE)
    assert mapped_pixels(make_manifest(source, DataConfig(split_seed=7, test_share=0.2)), SIDE) is not None


def _npy(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "an archive":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(3))
    elif how == "other shape":
        _npy(np.zeros((47, SIDE, SIDE, 3), np.uint8), path)
    elif how == "other type":
        _npy(np.zeros((48, SIDE, SIDE, 3), np.int8), path)
    elif how == "objects":
        _npy(np.array([{}, None]), path)
    else:
        damaged = {
            "empty": b"",
            "magic only": whole[:6],
            "half a header": whole[:40],
            "half the pixels": whole[: len(whole) // 2],
            "a byte short": whole[:-1],
            "a byte long": whole + b"x",
            "garbage": bytes(range(256)) * 100,
            "zip signature": b"PK\x03\x04" + whole[4:],
            "garbled header": whole.replace(b"'shape'", b"'\xff\0(('", 1),
            "no literal": whole.replace(b"False", b"exit(", 1),
        }
        path.write_bytes(damaged[how])


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "magic only",
        "half a header",
        "half the pixels",
        "a byte short",
        "a byte long",
        "garbage",
        "zip signature",
        "garbled header",
        "no literal",
        "an archive",
        "other shape",
        "other type",
        "objects",
    ],
)
def test_a_damaged_file_is_decoded_again(photos: Path, how: str) -> None:
    source, manifest = _opened(photos)
    expected = np.array(cached_pixels(source, manifest, SIDE).images)
    path = cache_file(manifest, SIDE)
    whole = path.read_bytes()
    _damage(path, how)
    assert mapped_pixels(manifest, SIDE) is None
    assert np.array_equal(cached_pixels(source, manifest, SIDE).images, expected)
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]


def test_a_photo_that_changed_since_the_scan_is_refused(photos: Path) -> None:
    source, manifest = _opened(photos)
    draw("dog", 99, 50).save(photos / "dog" / "0003.jpg")
    with pytest.raises(DataError, match=r"dog/0003\.jpg has changed since it was scanned") as caught:
        cached_pixels(source, manifest, SIDE)
    assert "cache --clear scans" in str(caught.value.hint)
    assert list(caches.folder("pixels").iterdir()) == []


def test_a_missing_photo_is_named(photos: Path) -> None:
    source, manifest = _opened(photos)
    (photos / "dog" / "0003.jpg").unlink()
    with pytest.raises(DataError, match=r"dog/0003\.jpg: there is no such file"):
        cached_pixels(source, manifest, SIDE)


@pytest.mark.parametrize("read", [1, 20, 48])
def test_a_process_killed_while_decoding_leaves_no_incomplete_cache(photos: Path, read: int) -> None:
    command = [sys.executable, "-c", KILLED_WHILE_DECODING, str(photos), str(read)]
    done = subprocess.run(command, env=os.environ, timeout=120, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    source, manifest = _opened(photos)
    assert not cache_file(manifest, SIDE).exists()
    assert mapped_pixels(manifest, SIDE) is None
    pixels = cached_pixels(source, manifest, SIDE)
    row = manifest.rows[0]
    assert np.array_equal(pixels.images[pixels.indices([row])[0]], decode(source.read(row.path), row.path, SIDE))


def test_the_file_is_plain_npy(photos: Path) -> None:
    source, manifest = _opened(photos)
    pixels = cached_pixels(source, manifest, SIDE)
    assert np.array_equal(np.load(cache_file(manifest, SIDE)), pixels.images)


def test_the_order_of_rows_does_not_matter(photos: Path) -> None:
    source, manifest = _opened(photos)
    pixels = cached_pixels(source, manifest, SIDE)
    turned = mapped_pixels(replace(manifest, rows=manifest.rows[::-1]), SIDE)
    assert turned is not None
    assert turned.digests.tolist() == pixels.digests.tolist()
