"""Drawn images: the same for the same seed, and distinguishable only by the shape of the animal."""

from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dogvscat.errors import WriteError
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.drawing.animals import POSES, draw_animal
from dogvscat.photos.drawing.brush import Brush
from dogvscat.photos.drawing.sample import KINDS, draw, golden_pictures, write_sample
from dogvscat.photos.reading.sources import SYNTHETIC_MARKER, open_photos


def test_only_equal_seeds_give_equal_images() -> None:
    pictures = [draw(kind, seed, 48).tobytes() for kind in KINDS for seed in range(4)]
    assert pictures == [draw(kind, seed, 48).tobytes() for kind in KINDS for seed in range(4)]
    assert len(set(pictures)) == 8


@pytest.mark.parametrize("image_size", [16, 33, 180])
def test_images_are_square_and_rgb(image_size: int) -> None:
    picture = draw("cat", 5, image_size)
    assert (picture.size, picture.mode) == ((image_size, image_size), "RGB")


def test_colors_and_coarse_shapes_do_not_separate_the_kinds() -> None:
    pictures = [draw(KINDS[seed % 2], seed, 48) for seed in range(400)]
    labels = np.arange(400) % 2
    for side in (1, 8):  # the mean color, and a thumbnail
        thumbnails = np.stack([np.asarray(picture.resize((side, side), Image.Resampling.BOX)) for picture in pictures])
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=1000))
        scores = cross_val_score(classifier, thumbnails.reshape(400, -1), labels, cv=5)
        assert scores.mean() < 0.75


@pytest.mark.parametrize("pose", ["sitting", "standing", "lying"])  # a portrait continues below the image
def test_every_pose_stays_in_its_box(pose: str) -> None:
    left, top, right, bottom = POSES[pose]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        canvas = Image.new("RGB", (200, 200), "white")
        to_pixels = np.array([[15.0, 0, 100 - 7.5 * (left + right)], [0, 15.0, 100 - 7.5 * (top + bottom)]])
        draw_animal(Brush(canvas, Image.new("RGB", canvas.size, "brown"), to_pixels, rng), KINDS[seed % 2], pose)
        drawn = np.argwhere(np.asarray(canvas).min(axis=2) < 200)
        height, width = drawn.max(axis=0) - drawn.min(axis=0)
        assert width <= 15 * (right - left) * 1.25
        assert height <= 15 * (bottom - top) * 1.25


def test_a_sample_can_be_opened_and_is_marked_as_synthetic(tmp_path: Path) -> None:
    write_sample(tmp_path / "new/sample", 7, seed=3, image_size=40)
    source = open_photos(tmp_path / "new/sample")
    assert [photo.path for photo in source.photos] == [
        *(f"cat/{number:04}.jpg" for number in range(1, 5)),
        *(f"dog/{number:04}.jpg" for number in range(1, 4)),
    ]
    assert source.is_synthetic
    assert "not photographs" in (tmp_path / "new/sample" / SYNTHETIC_MARKER).read_text()
    assert sorted(path.name for path in (tmp_path / "new/sample").iterdir()) == [SYNTHETIC_MARKER, "cat", "dog"]
    assert {decode(source.read(photo.path), photo.path, 32).shape for photo in source.photos} == {(32, 32, 3)}


def test_equal_seeds_give_equal_samples(tmp_path: Path) -> None:
    samples = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_sample(tmp_path / name, 4, seed, image_size=24)
        samples.append([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.jpg"))])
    assert samples[0] == samples[1]
    assert not set(samples[0]) & set(samples[2])


def test_a_folder_that_is_not_empty_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(WriteError, match="is not empty"):
        write_sample(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(WriteError, match=r"mine\.txt"):
        write_sample(tmp_path / "mine.txt", 2)


def test_leftovers_of_an_interrupted_sample_are_replaced(tmp_path: Path) -> None:
    (tmp_path / ".unfinished/cat").mkdir(parents=True)
    (tmp_path / ".unfinished/cat/0001.jpg").write_bytes(b"half")
    write_sample(tmp_path, 2, image_size=24)
    assert len(open_photos(tmp_path).photos) == 2
    assert not (tmp_path / ".unfinished").exists()


def test_golden_pictures_are_six_of_different_shapes() -> None:
    pictures = golden_pictures(64)
    assert [picture.size for picture in pictures] == [(64, 64), (96, 64), (64, 96), (32, 32), (128, 102), (51, 64)]
    assert [picture.tobytes() for picture in pictures] == [picture.tobytes() for picture in golden_pictures(64)]
    for picture in pictures:
        data = BytesIO()
        picture.save(data, "PNG")
        assert decode(data.getvalue(), "golden", 64).std() > 10
    for first, second in combinations(pictures, 2):
        difference = np.asarray(first.resize((32, 32)), float) - np.asarray(second.resize((32, 32)), float)
        assert np.abs(difference).mean() > 10
