"""The manifest: equal digests for equal contents, a round trip, and the standard split of the real archive."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogvscat.config import DataConfig
from dogvscat.errors import DataError, LayoutError, ModelError
from dogvscat.photos.drawing.sample import draw
from dogvscat.photos.manifest import Manifest, load_manifest, make_manifest, make_neither_manifest, save_manifest
from dogvscat.photos.reading.sources import open_neither, open_photos
from dogvscat.photos.scan import ScannedPhoto
from dogvscat.photos.splits import choose_splits
from tests.helpers import draw_photos

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten cats and ten dogs."""
    return draw_photos(tmp_path / "photos", range(10), image_size=64)


def _manifest(location: Path, config: DataConfig | None = None) -> Manifest:
    return make_manifest(open_photos(location), config or DataConfig())


def test_a_folder_and_its_zip_have_the_same_manifest(photos: Path) -> None:
    manifest = _manifest(photos)
    assert _manifest(Path(shutil.make_archive(str(photos), "zip", photos))) == manifest
    assert len(manifest.digest) == 64


def test_the_digest_depends_only_on_contents_and_labels(photos: Path, tmp_path: Path) -> None:
    manifest = _manifest(photos)
    renamed = tmp_path / "renamed" / "PetImages"
    for kind in ("cat", "dog"):
        (renamed / f"{kind.capitalize()}s").mkdir(parents=True)
        for number, path in enumerate(sorted((photos / kind).iterdir())):
            shutil.copy(path, renamed / f"{kind.capitalize()}s" / f"x{9 - number}.jpg")
    again = _manifest(renamed.parent)
    assert again.digest == manifest.digest
    assert {row.sha256: row.split for row in again.rows} == {row.sha256: row.split for row in manifest.rows}
    assert replace(manifest, rows=manifest.rows[::-1]).digest == manifest.digest
    (photos / "cat" / "0.png").rename(photos / "dog" / "other.png")
    assert _manifest(photos).digest != manifest.digest


def test_splits_and_seed_do_not_change_the_digest(photos: Path) -> None:
    manifests = [_manifest(photos, DataConfig(split_seed=seed, test_share=0.2)) for seed in (0, 1)]
    assert manifests[0].digest == manifests[1].digest == _manifest(photos).digest
    assert [row.split for row in manifests[0].rows] != [row.split for row in manifests[1].rows]


def test_rows_labels_and_counts(photos: Path) -> None:
    shutil.copy(photos / "cat" / "0.png", photos / "dog" / "conflict.png")
    (photos / "dog" / "empty.jpg").touch()
    manifest = _manifest(photos, DataConfig(test_share=0.2))
    assert [row.path for row in manifest.rows] == sorted(row.path for row in manifest.rows)
    assert {name: manifest.count(name) for name in ("train", "validation", "test", "")} == {
        "train": {"cat": 6, "dog": 7},
        "validation": {"cat": 1, "dog": 1},
        "test": {"cat": 2, "dog": 2},
        "": {"cat": 1, "dog": 2},
    }
    left_out = {row.path: (row.size, row.issues) for row in manifest.of_split("")}
    assert left_out == {
        "cat/0.png": ("64x64", "exact_duplicate;label_conflict"),
        "dog/conflict.png": ("64x64", "exact_duplicate;label_conflict"),
        "dog/empty.jpg": ("0x0", "empty"),
    }
    rows = manifest.of_split("train")
    y_true = manifest.labels(rows)
    assert y_true.dtype == np.int64
    assert y_true.tolist() == [int(row.label == "dog") for row in rows]


def test_copies_share_a_split(photos: Path) -> None:
    draw("cat", 0, 64).save(photos / "cat" / "copy.webp", quality=80)
    shutil.copy(photos / "dog" / "3.png", photos / "dog" / "copy.png")
    for seed in range(10):
        rows = {row.path: row for row in _manifest(photos, DataConfig(split_seed=seed)).rows}
        for first, second in (("cat/0.png", "cat/copy.webp"), ("dog/3.png", "dog/copy.png")):
            assert rows[first].group == rows[second].group
            assert rows[first].split == rows[second].split != ""


def test_declared_splits_are_used(photos: Path, tmp_path: Path) -> None:
    for split, numbers in (("train", range(7)), ("val", range(7, 9)), ("test", range(9, 10))):
        for kind in ("cat", "dog"):
            (tmp_path / "split" / split / kind).mkdir(parents=True)
            for number in numbers:
                shutil.copy(photos / kind / f"{number}.png", tmp_path / "split" / split / kind)
    shutil.copy(photos / "cat" / "9.png", tmp_path / "split" / "train" / "cat" / "leak.png")
    manifest = _manifest(tmp_path / "split")
    assert [sum(manifest.count(name).values()) for name in ("train", "validation", "test")] == [14, 4, 2]
    assert [row.path for row in manifest.of_split("")] == ["train/cat/leak.png"]


def test_splits_inside_class_folders_keep_test_photos_out_of_training(photos: Path, tmp_path: Path) -> None:
    for split, numbers in (("train", range(8)), ("test", range(8, 10))):
        for kind in ("cats", "dogs"):
            (tmp_path / "inside" / kind / split).mkdir(parents=True)
            for number in numbers:
                shutil.copy(photos / kind[:3] / f"{number}.png", tmp_path / "inside" / kind / split)
    manifest = _manifest(tmp_path / "inside")
    assert {row.path.split("/")[1] for row in manifest.rows if row.split in ("train", "validation")} == {"train"}
    assert {row.path.split("/")[1] for row in manifest.of_split("test")} == {"test"}
    assert manifest.count("test") == {"cat": 2, "dog": 2}


def test_folders_without_training_photos_are_refused(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "split" / "val")
    shutil.copytree(photos, tmp_path / "split" / "test")
    with pytest.raises(DataError, match="all usable photos are in folders for test and validation"):
        _manifest(tmp_path / "split")


def test_a_group_that_is_divided_between_splits_is_an_error_wherever_it_comes_from(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The law that nothing leaks, checked on every finished manifest."""
    manifest = _manifest(photos)
    first, second, third = (
        replace(row, group="a", split=split) for row, split in zip(manifest.rows, ("train", "test", ""), strict=False)
    )
    replace(manifest, rows=(first, third, *manifest.rows[3:]))  # left out: in no split
    with pytest.raises(ValueError, match=r"group a is divided .*: cat/0\.png is in train, cat/1\.png in test"):
        replace(manifest, rows=(first, second, *manifest.rows[2:]))
    save_manifest(tmp_path / "manifest.csv", manifest)
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(
        text.replace(manifest.of_split("validation")[0].group, first_group(manifest))
    )
    with pytest.raises(ModelError, match=r"is not a manifest: the duplicate group .* is divided between splits"):
        load_manifest(tmp_path / "manifest.csv")
    # A fault in the code that splits: one photo of a group of copies goes to another split.
    for number in range(3):
        shutil.copy(photos / "cat" / "0.png", photos / "cat" / f"copy{number}.png")

    def leaking(scanned: list[ScannedPhoto], *arguments: Any) -> list[str]:
        splits = choose_splits(scanned, *arguments)
        index = next(i for i, photo in enumerate(scanned) if "copy" in photo.path)
        splits[index] = "train" if splits[index] == "validation" else "validation"
        return splits

    monkeypatch.setattr("dogvscat.photos.manifest.choose_splits", leaking)
    with pytest.raises(ValueError, match="is divided between splits"):
        _manifest(photos)


def first_group(manifest: Manifest) -> str:
    return manifest.of_split("train")[0].group


def test_a_manifest_survives_a_round_trip(photos: Path, tmp_path: Path) -> None:
    for name in (b"\xff\xfe.png", b"a,b\"c'.png", b"two\nlines\r.png", "ü😺.png".encode(), b" ;=x.png"):
        shutil.copy(photos / "cat" / "1.png", os.fsdecode(os.fsencode(photos / "cat") + b"/" + name))
    manifest = _manifest(photos)
    save_manifest(tmp_path / "manifest.csv", manifest)
    assert load_manifest(tmp_path / "manifest.csv") == manifest
    assert load_manifest(tmp_path / "manifest.csv").digest == manifest.digest


@pytest.mark.parametrize("damage", ["empty", "half", "other header", "extra column", "one class", "gone", "folder"])
def test_other_files_are_refused(photos: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "manifest.csv"
    save_manifest(path, _manifest(photos))
    text = path.read_text()
    header, first, *_ = text.splitlines(keepends=True)
    damaged = {
        "empty": "",
        "half": text[: text.rindex(",64x64,") + 3],
        "other header": text.replace("sha256", "md5", 1),
        "extra column": text[:-1] + ",more\n",
        "one class": header + first,
    }
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage in damaged:
        path.write_text(damaged[damage])
    with pytest.raises(ModelError, match=r"manifest\.csv is not a manifest: "):
        load_manifest(path)


def test_a_mostly_unreadable_folder_is_refused(photos: Path) -> None:
    for number in range(21):
        (photos / "dog" / f"broken{number:02}.jpg").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"21 of 41 photos cannot be read, for example dog/broken00\.jpg: is not"
    ) as caught:
        _manifest(photos)
    assert "dogvscat audit" in str(caught.value.hint)
    (photos / "dog" / "broken00.jpg").unlink()
    assert sum(_manifest(photos).count("train").values()) == 18  # half is still accepted


@pytest.mark.parametrize("num_dogs", [0, 1])
def test_a_class_with_fewer_than_two_photos_is_refused(photos: Path, num_dogs: int) -> None:
    for number in range(num_dogs, 10):
        (photos / "dog" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match=f"at least 2 usable photos of each class are needed, found 10 and {num_dogs}"):
        _manifest(photos)


def test_the_standard_split_of_the_real_archive(archive_manifest: Manifest) -> None:
    counts = {name: archive_manifest.count(name) for name in ("train", "validation", "test")}
    assert {name: sum(count.values()) for name, count in counts.items()} == {
        "train": 20_000,
        "validation": 2_494,
        "test": 0,
    }
    assert abs(counts["train"]["cat"] - counts["train"]["dog"]) <= 2
    left_out = {row.path.removeprefix("PetImages/"): row.issues.split(";")[-1] for row in archive_manifest.of_split("")}
    assert left_out == {
        "Cat/666.jpg": "empty",
        "Dog/11702.jpg": "empty",
        "Cat/8456.jpg": "label_conflict",
        "Dog/8736.jpg": "label_conflict",
        "Cat/11565.jpg": "label_conflict",
        "Dog/10401.jpg": "label_conflict",
        "Dog/10797.jpg": "label_conflict",
        "Dog/2877.jpg": "label_conflict",
    }
    group_splits = {(row.group, row.split) for row in archive_manifest.rows if row.split}
    assert len(group_splits) == len({group for group, _ in group_splits})


@pytest.fixture
def neither(tmp_path: Path) -> Path:
    """Twelve images of noise, one of them twice, in folders of any name; and a copy of one of the cats."""
    for number in range(12):
        folder = tmp_path / "neither" / ("things" if number % 2 else "places/far away")
        folder.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 64)).save(folder / f"{number}.png")
    shutil.copy(tmp_path / "neither" / "things" / "3.png", tmp_path / "neither" / "again.png")
    draw("cat", 0, 64).save(tmp_path / "neither" / "cat after all.png")
    return tmp_path / "neither"


def test_photos_that_show_neither_class_are_split_by_groups_without_copies_of_the_classes(
    photos: Path, neither: Path
) -> None:
    config = DataConfig()
    manifest = make_neither_manifest(open_neither(neither), config, _manifest(photos))
    splits = {row.path: row.split for row in manifest.rows}
    assert splits.pop("cat after all.png") == ""
    assert splits["again.png"] == splits["things/3.png"]
    assert {row.label for row in manifest.rows} == {"neither"}
    groups = {row.group for row in manifest.of_split("test")}
    assert len(groups) == 4  # a third of twelve
    assert not groups & {row.group for row in manifest.of_split("train")}
    assert make_neither_manifest(open_neither(neither), config, _manifest(photos)) == manifest


def test_a_manifest_of_photos_that_show_neither_class_survives_a_round_trip(
    photos: Path, neither: Path, tmp_path: Path
) -> None:
    manifest = make_neither_manifest(open_neither(neither), DataConfig(), _manifest(photos))
    save_manifest(tmp_path / "neither.csv", manifest)
    assert load_manifest(tmp_path / "neither.csv") == manifest


def test_too_few_photos_that_show_neither_class_are_an_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "one" / "1.png")
    with pytest.raises(DataError, match="at least 2 different photos that show neither class are needed, found 1"):
        make_neither_manifest(open_neither(tmp_path / "one"), DataConfig(), _manifest(photos))
    (tmp_path / "none").mkdir()
    with pytest.raises(LayoutError, match="holds no photos"):
        open_neither(tmp_path / "none")
