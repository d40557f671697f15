"""The images on which an export is compared with its bundle, and the comparison."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dogvscat.bundle.export.parity import ParityImages, check_parity, parity_images
from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.errors import DataError, LayoutError, ModelError
from dogvscat.judging.decision import Logits

pytestmark = pytest.mark.slow


def pictures(positive: list[float], neither: list[float] | None = None) -> ParityImages:
    pixels = np.zeros((len(positive), 4, 4, 3), dtype=np.uint8)
    logits = Logits(np.array(positive), None if neither is None else np.array(neither))
    return ParityImages(pixels, logits, len(positive), 0, 0)


def test_the_largest_difference_of_probabilities_counts() -> None:
    # sigmoid(0.002) = 0.5005, sigmoid(10) - sigmoid(9.9) = 5e-6: by hand, the derivative at 0 is a quarter
    parity = check_parity(pictures([0.0, 10.0]), Logits(np.array([0.002, 9.9])), "onnx")
    assert parity.difference == pytest.approx(0.0005, abs=1e-6)
    with pytest.raises(ModelError, match=r"the onnx export differs from its bundle by 0\.0012 .* at most 0\.001"):
        check_parity(pictures([0.0, 10.0]), Logits(np.array([0.005, 10.0])), "onnx")


def test_the_second_output_counts_as_well_and_must_be_there() -> None:
    both = pictures([1.0], [0.0])
    with pytest.raises(ModelError, match="differs from its bundle"):
        check_parity(both, Logits(np.array([1.0]), np.array([0.1])), "keras")
    with pytest.raises(ModelError, match="does not have the outputs of its bundle"):
        check_parity(both, Logits(np.array([1.0])), "keras")


def test_no_number_is_no_agreement() -> None:
    with pytest.raises(ModelError, match="differs from its bundle by nan"):
        check_parity(pictures([1.0]), Logits(np.array([np.nan])), "litert")


def test_without_photos_drawn_pictures_are_taken_and_counted(untouched_bundle: Path) -> None:
    images = parity_images(load_bundle(untouched_bundle), None)
    assert (images.num_golden, images.num_photos, images.num_drawings) == (6, 0, 58)
    assert images.pixels.shape == (64, 32, 32, 3)
    np.testing.assert_array_equal(
        images.logits.positive, Predictor.load(untouched_bundle).logits(images.pixels).positive
    )
    assert "on 6 golden pictures and 58 other drawings." in check_parity(images, images.logits, "onnx").summary()


def test_photos_that_cannot_be_read_are_passed_over(untouched_bundle: Path, drawn_photos: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn_photos / "cat", tmp_path / "any" / "folder")
    (tmp_path / "any" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    images = parity_images(load_bundle(untouched_bundle), tmp_path / "any")
    assert (images.num_photos, images.num_drawings) == (24, 0)
    marked = parity_images(load_bundle(untouched_bundle), drawn_photos)
    assert (marked.num_photos, marked.num_drawings) == (0, 48)  # a note next to them says that they are drawn


def test_two_hundred_real_photographs_are_taken(untouched_bundle: Path, test_data: Path) -> None:
    images = parity_images(load_bundle(untouched_bundle), test_data / "kagglecatsanddogs.zip")
    assert (images.num_golden, images.num_photos, images.num_drawings) == (6, 200, 0)


def test_what_is_wrong_with_photos_is_reported(untouched_bundle: Path, tmp_path: Path) -> None:
    bundle = load_bundle(untouched_bundle)
    with pytest.raises(LayoutError, match="cannot open"):
        parity_images(bundle, tmp_path / "nothing")
    (tmp_path / "broken").mkdir()
    with pytest.raises(LayoutError, match="holds no photos"):
        parity_images(bundle, tmp_path / "broken")
    (tmp_path / "broken" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of the photos in .*broken can be read"):
        parity_images(bundle, tmp_path / "broken")
