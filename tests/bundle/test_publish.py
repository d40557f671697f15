"""A bundle appears whole or not at all, in the place of an older one, with weights good enough to go on from."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.bundle.folder import DEFAULT_BUNDLE, GOLDEN_FOLDER, load_bundle, load_card
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.publish import unpack_weights
from dogvscat.errors import ModelError, WriteError
from dogvscat.photos.decoding.decoder import decode_photo
from dogvscat.photos.drawing.sample import golden_pictures
from tests.helpers import LinearBundle, SmallDisk, read_files


def test_a_published_bundle_verifies_and_answers_its_golden_pictures(untouched_bundle: Path) -> None:
    predictor = Predictor(load_bundle(untouched_bundle))
    predictor.check_golden()
    card = predictor.card
    assert len(card.golden) == 6
    for golden in card.golden:
        pixels = decode_photo(untouched_bundle / golden.file, card.image_size)
        assert predictor.probabilities(pixels[None])[0] == pytest.approx(golden.probabilities["dog"], abs=1e-6)
    probabilities = [golden.probabilities["dog"] for golden in card.golden]
    assert np.ptp(probabilities) > 0.05  # else a broken graph could pass


def test_the_golden_pictures_of_the_package_are_those_that_the_code_draws() -> None:
    files = sorted((DEFAULT_BUNDLE / GOLDEN_FOLDER).iterdir())
    for file, picture in zip(files, golden_pictures(160), strict=True):
        with Image.open(file) as image:
            np.testing.assert_array_equal(np.asarray(image), np.asarray(picture))


def test_others_may_read_a_bundle(untouched_bundle: Path) -> None:
    assert untouched_bundle.stat().st_mode & 0o555 == 0o555
    for path in untouched_bundle.rglob("*"):
        assert path.stat().st_mode & 0o444 == 0o444


def test_weights_come_back_to_the_last_bit(untouched_bundle: Path) -> None:
    weights = unpack_weights((untouched_bundle / "weights.npz").read_bytes())
    assert list(weights) == ["grid", "one"]
    assert {values.dtype for values in weights.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(weights["grid"], np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3))
    assert weights["one"] == 0.25


def packed(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, array)
    return buffer.getvalue()


DAMAGED_WEIGHTS = {
    "empty": b"",
    "garbage": b"garbage" * 20,
    "pickled objects": packed(np.array([{"run": print}], dtype=object)),
    "words": packed(np.array(["word"])),
    "cut short": packed(np.zeros(999, np.float16))[:-20],
    "half precision": packed(np.zeros(3, np.float16)),
    "not a number": packed(np.array([np.nan], np.float32)),
    "another format": b"\x93NUMPY\x01\x00" + packed(np.zeros(3)),
}


@pytest.mark.parametrize("data", DAMAGED_WEIGHTS.values(), ids=DAMAGED_WEIGHTS.keys())
def test_damaged_weights_are_refused_and_nothing_is_unpickled(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"weights\.npz is damaged"):
        unpack_weights(data)


def test_a_newer_bundle_takes_the_place_of_an_older_one(bundle: Path, linear_bundle: LinearBundle) -> None:
    (bundle / "notes.txt").write_text("left over")
    linear_bundle(bundle, unsure=(0.3, 0.7))
    assert load_card(bundle).unsure_high == 0.7
    assert load_bundle(bundle)
    assert not (bundle / "notes.txt").exists()
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]  # nothing else is left behind


def test_a_graph_that_cannot_run_is_never_published(bundle: Path, linear_bundle: LinearBundle) -> None:
    before = read_files(bundle)
    with pytest.raises(ModelError, match="the graph in the new bundle cannot be run"):
        linear_bundle(bundle, graph=b"garbage")
    assert read_files(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("room", [0.1, 0.5, 0.98])
def test_a_disk_that_fills_up_leaves_the_older_bundle(
    untouched_bundle: Path, linear_bundle: LinearBundle, small_disk: SmallDisk, room: float
) -> None:
    num_bytes = sum(-(-len(data) // 4096) * 4096 for data in read_files(untouched_bundle).values())
    disk = small_disk(round(num_bytes * (1 + room)))
    shutil.copytree(untouched_bundle, disk / "bundle")
    with pytest.raises(WriteError, match="No space left on device"):
        linear_bundle(disk / "bundle", unsure=(0.3, 0.7))
    assert read_files(disk / "bundle") == read_files(untouched_bundle)
    assert [path.name for path in disk.iterdir()] == ["bundle"]


def test_the_older_bundle_returns_if_the_newer_cannot_be_put_in_place(
    bundle: Path, linear_bundle: LinearBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_files(bundle)
    real = os.rename

    def failing(self: Path, target: Path) -> Path:
        if target == bundle and "older" not in self.name:
            raise OSError(5, "Input/output error")
        real(self, target)
        return target

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(WriteError, match=r"could not write .*bundle: Input/output error"):
        linear_bundle(bundle, unsure=(0.3, 0.7))
    assert read_files(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_a_file_in_the_way_is_replaced_whole_or_not_at_all(tmp_path: Path, linear_bundle: LinearBundle) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    with pytest.raises(WriteError, match="could not write"):
        linear_bundle(blocked / "bundle")
    assert blocked.read_text() == "mine"
    shutil.rmtree(linear_bundle(tmp_path / "bundle"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
