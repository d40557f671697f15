"""Batches: every image once per epoch, and the same batches from any first step."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from dogvscat.config import Config
from dogvscat.learning.data.batches import BatchLoader, balanced_class_weights
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.settings.resolve import build_config, with_settings

CONFIG: Config = build_config(
    {
        "data": {"image_size": 32},
        "augmentation": {"enabled": False},
        "training": {"batch_size": 5, "seed": 3},
    }
)


@pytest.fixture
def loader() -> BatchLoader:
    """23 images whose first pixel is their number, in batches of 5."""
    images = np.zeros((30, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(30)
    indices = np.arange(29, 6, -1)
    pictures = LabeledImages({32: images}, indices, (indices % 2).astype(np.int64))
    return BatchLoader(pictures, CONFIG)


def numbers(loader: BatchLoader, epoch: int, first_step: int = 0) -> list[int]:
    return [int(n) for batch in loader.batches(epoch, first_step) for n in batch.pixels[:, 0, 0, 0]]


def test_every_image_once_per_epoch_in_a_new_order(loader: BatchLoader) -> None:
    assert sorted(numbers(loader, 0)) == list(range(7, 30))
    assert numbers(loader, 0) != numbers(loader, 1)
    assert loader.steps_per_epoch == 5


def test_an_epoch_resumes_from_any_step(loader: BatchLoader) -> None:
    whole = numbers(loader, 2)
    for step in range(loader.steps_per_epoch):
        assert numbers(loader, 2, step) == whole[5 * step :]
        np.testing.assert_array_equal(loader.batch(2, step).pixels[:, 0, 0, 0], whole[5 * step : 5 * step + 5])


def test_labels_and_weights_belong_to_the_images(loader: BatchLoader) -> None:
    weighted = BatchLoader(loader.images, CONFIG, class_weights=(0.5, 2.0))
    for batch in weighted.batches(0):
        odd = batch.pixels[:, 0, 0, :1] % 2
        np.testing.assert_array_equal(batch.y_true, odd)
        np.testing.assert_array_equal(batch.weights, np.where(odd == 1, 2.0, 0.5))
        assert batch.y_true.dtype == batch.weights.dtype == np.float32


def test_an_error_while_preparing_reaches_the_loop(loader: BatchLoader) -> None:
    broken = LabeledImages(loader.images.cached_images, loader.images.indices + 1000, loader.images.y_true)
    with pytest.raises(IndexError):
        list(BatchLoader(broken, CONFIG).batches(0))


def test_balanced_weights_as_scikit_learn_computes_them() -> None:
    y_true = np.array([0] * 30 + [1] * 10)
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=y_true)
    assert balanced_class_weights(y_true) == pytest.approx(expected)
    assert np.mean(np.asarray(balanced_class_weights(y_true))[y_true]) == pytest.approx(1.0)


@pytest.fixture
def joined(loader: BatchLoader) -> BatchLoader:
    """The same with 7 images that show neither class, white but for the first pixel; two of them join every batch."""
    white = np.full((7, 32, 32, 3), 255, np.uint8)
    white[:, 0, 0, 0] = 100 + np.arange(7)
    neither = LabeledImages({32: white}, np.arange(7), np.zeros(7, np.int64))
    config = with_settings(CONFIG, ["training.neither_share=0.4", "network.neither_output=true"])
    return BatchLoader(loader.images, config, (0.5, 2.0), neither)


def test_images_that_show_neither_end_every_batch(joined: BatchLoader) -> None:
    for batch in joined.batches(0):
        is_neither = batch.pixels[:, 1, 1, 0] == 255
        assert is_neither.tolist() == [False] * (len(is_neither) - 2) + [True] * 2
        np.testing.assert_array_equal(batch.y_true[:, 1], is_neither)
        np.testing.assert_array_equal(batch.weights[is_neither], 1.0)
        odd = batch.pixels[~is_neither, 0, 0, 0] % 2
        np.testing.assert_array_equal(batch.y_true[~is_neither, 0], odd)
        assert batch.weights.shape == (len(is_neither), 1)


def test_images_that_show_neither_are_used_in_turn(joined: BatchLoader) -> None:
    seen = [int(n) for epoch in range(3) for batch in joined.batches(epoch) for n in batch.pixels[-2:, 0, 0, 0]]
    for turn in range(5):  # three whole pairs of seven, then the next pass
        assert len(set(seen[6 * turn : 6 * turn + 6])) == 6
    assert set(seen) == set(range(100, 107))


def test_a_batch_with_images_that_show_neither_depends_only_on_epoch_and_step(joined: BatchLoader) -> None:
    for step, batch in enumerate(joined.batches(1)):
        for received, expected in zip(joined.batch(1, step), batch, strict=True):
            np.testing.assert_array_equal(received, expected)
