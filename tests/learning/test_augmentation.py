"""Each change by itself against NumPy or Pillow, and independence of the batch."""

import numpy as np
import pytest
from PIL import Image

from dogvscat.config import AugmentationConfig
from dogvscat.learning.data.augmentation import augment, cutmix
from dogvscat.learning.data.dataset import LabeledImages
from dogvscat.learning.data.random import stateless_uniform

NOTHING = {"flip": False, "shift": 0, "rotation": 0, "zoom": 0, "brightness": 0, "contrast": 0, "cutout": 0}
SAMPLES = np.arange(16)
SEED, EPOCH, SIZE = 11, 2, 32
KEY = (SEED, EPOCH)


def only(**settings: object) -> AugmentationConfig:
    return AugmentationConfig.model_validate({**NOTHING, **settings})


@pytest.fixture
def images() -> np.ndarray:
    """Smooth images, so that resampling changes little: uint8 (16, 32, 32, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 5, 5, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(i).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for i in coarse])


def labeled_images(*sizes: np.ndarray) -> LabeledImages:
    """The same images at one or several sizes."""
    numbers = np.arange(len(sizes[0]))
    return LabeledImages({len(images[0]): images for images in sizes}, numbers, numbers % 2)


def changed(images: np.ndarray, config: AugmentationConfig) -> np.ndarray:
    return augment(labeled_images(images), SAMPLES, SIZE, config, KEY)


def test_nothing_switched_on_changes_nothing(images: np.ndarray) -> None:
    np.testing.assert_array_equal(changed(images, only()), images)
    np.testing.assert_array_equal(changed(images, AugmentationConfig(enabled=False)), images)


def test_flip_mirrors_about_half_exactly(images: np.ndarray) -> None:
    result = changed(images, only(flip=True))
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(result, images, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(result, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 3 <= sum(mirrored) <= 13


def test_rotation_agrees_with_pillow(images: np.ndarray) -> None:
    result = changed(images, only(rotation=40.0))
    angles = (2 * stateless_uniform(SEED, EPOCH, SAMPLES, 9)[:, 3] - 1) * 40.0
    middle = slice(8, 24)  # the corners are filled in other ways
    for new, old, angle in zip(result, images, angles, strict=True):
        rotated = np.asarray(Image.fromarray(old).rotate(angle, Image.Resampling.BILINEAR))
        assert np.abs(new[middle, middle].astype(int) - rotated[middle, middle]).max() <= 2


def test_zoom_enlarges_or_shrinks_about_the_center(images: np.ndarray) -> None:
    result = changed(images, only(zoom=0.5))
    scales = 1 + (2 * stateless_uniform(SEED, EPOCH, SAMPLES, 9)[:, 4] - 1) * 0.5
    for new, old, scale in zip(result, images, scales, strict=True):
        half = SIZE / 2 / scale
        box = (SIZE / 2 - half, SIZE / 2 - half, SIZE / 2 + half, SIZE / 2 + half)
        if scale < 1:
            continue  # Pillow's resize with a box cannot look outside of the picture
        zoomed = np.asarray(Image.fromarray(old).resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box))
        assert np.abs(new[2:-2, 2:-2].astype(int) - zoomed[2:-2, 2:-2]).max() <= 3


def test_shift_moves_and_reflects_at_the_border(images: np.ndarray) -> None:
    ramp = np.broadcast_to(np.arange(SIZE, dtype=np.uint8)[None, None, :, None] * 4, images.shape)
    result = changed(np.ascontiguousarray(ramp), only(shift=0.2))
    shifts = (2 * stateless_uniform(SEED, EPOCH, SAMPLES, 9)[:, 1] - 1) * 0.2 * SIZE
    for new, shift in zip(result, shifts, strict=True):
        positions = np.abs(np.arange(SIZE) + shift)  # reflected at the left border ...
        positions = np.minimum(positions, 2 * (SIZE - 1) - positions)  # ... and at the right one
        np.testing.assert_allclose(new[16, :, 0], positions * 4, atol=2.0)


def test_brightness_and_contrast_by_hand() -> None:
    gray = np.full((16, SIZE, SIZE, 3), 100, np.uint8)
    uniform = 2 * stateless_uniform(SEED, EPOCH, SAMPLES, 9) - 1
    brighter = changed(gray, only(brightness=0.2))[:, 0, 0, 0]
    np.testing.assert_array_equal(brighter, np.rint(100 + 255 * 0.2 * uniform[:, 5]))
    flatter = changed(gray, only(contrast=0.5))[:, 0, 0, 0]
    np.testing.assert_array_equal(flatter, np.rint(128 - 28 * (1 + 0.5 * uniform[:, 6])))


def test_a_color_cast_moves_each_color_by_itself() -> None:
    gray = np.full((16, SIZE, SIZE, 3), 100, np.uint8)
    cast = 2 * stateless_uniform(SEED, EPOCH, SAMPLES, 13)[:, 9:12] - 1
    np.testing.assert_array_equal(changed(gray, only(color_cast=0.1))[:, 0, 0], np.rint(100 + 25.5 * cast))


def test_aspect_stretches_about_the_center_at_equal_area(images: np.ndarray) -> None:
    result = changed(images, only(aspect=0.5))
    stretches = 1.5 ** ((2 * stateless_uniform(SEED, EPOCH, SAMPLES, 13)[:, 12] - 1) / 2)  # columns by it, rows against
    padded = np.pad(images, ((0, 0), (SIZE, SIZE), (SIZE, SIZE), (0, 0)), mode="reflect")
    for new, old, stretch in zip(result, padded, stretches, strict=True):
        across, down, center = SIZE / 2 * stretch, SIZE / 2 / stretch, 1.5 * SIZE
        box = (center - across, center - down, center + across, center + down)
        stretched = np.asarray(Image.fromarray(old).transform((SIZE, SIZE), Image.Transform.EXTENT, box, 2))
        assert np.abs(new.astype(int) - stretched).max() <= 3


def test_cutout_hides_one_square_inside(images: np.ndarray) -> None:
    black = np.zeros_like(images)
    result = changed(black, only(cutout=0.25))
    assert ((result == 128).sum(axis=(1, 2, 3)) == 8 * 8 * 3).all()
    corners = {tuple(np.argwhere(picture)[0][:2]) for picture in result}
    assert len(corners) > 8


def test_an_image_changes_equally_in_any_batch_and_differently_in_each_epoch(images: np.ndarray) -> None:
    config = AugmentationConfig(cutout=0.2)
    whole = changed(images, config)
    single = augment(labeled_images(images), SAMPLES[5:6], SIZE, config, KEY)
    np.testing.assert_array_equal(whole[5], single[0])
    assert not np.array_equal(whole, augment(labeled_images(images), SAMPLES, SIZE, config, (SEED, EPOCH + 1)))


def test_the_input_images_are_not_changed(images: np.ndarray) -> None:
    before = images.copy()
    changed(images, AugmentationConfig(cutout=0.2))
    np.testing.assert_array_equal(images, before)


def test_a_crop_is_what_pillow_cuts_out_and_enlarges(images: np.ndarray) -> None:
    result = changed(images, only(smallest_crop=0.25))
    uniform = stateless_uniform(SEED, EPOCH, SAMPLES, 16)
    sides = np.sqrt(0.25 + 0.75 * uniform[:, 13]) * SIZE
    assert sides.min() < 0.75 * SIZE < sides.max()
    for new, old, side, position in zip(result, images, sides, uniform[:, 14:16], strict=True):
        left, top = position * (SIZE - side)
        window = (left, top, left + side, top + side)
        enlarged = Image.fromarray(old).resize((SIZE, SIZE), Image.Resampling.BILINEAR, window)
        assert np.abs(new.astype(int) - np.asarray(enlarged)).mean() < 1.0


def test_crops_are_taken_from_the_smallest_size_that_has_a_pixel_for_each_of_theirs(images: np.ndarray) -> None:
    larger = [np.full((16, size, size, 3), size, np.uint8) for size in (48, 64)]
    pictures = labeled_images(np.full_like(images, SIZE), *larger)
    result = augment(pictures, SAMPLES, SIZE, only(smallest_crop=0.2), KEY)
    sides = SIZE * np.sqrt(0.2 + 0.8 * stateless_uniform(SEED, EPOCH, SAMPLES, 16)[:, 13])  # of the window, at SIZE
    expected = np.where(SIZE / sides < 1.5 * SIZE / (SIZE - 0.5), 48, 64)
    np.testing.assert_array_equal(result[:, 0, 0, 0], expected)
    assert set(expected) == {48, 64}


def test_a_crop_from_a_larger_size_shows_the_same_place(images: np.ndarray) -> None:
    config = only(flip=True, smallest_crop=0.2, rotation=20.0)
    twice = np.stack([np.asarray(Image.fromarray(i).resize((64, 64), Image.Resampling.BICUBIC)) for i in images])
    small = augment(labeled_images(images), SAMPLES, SIZE, config, KEY)
    sharp = augment(labeled_images(images, twice), SAMPLES, SIZE, config, KEY)
    assert np.abs(small.astype(int) - sharp).mean() < 2.0


def test_whole_pictures_are_not_taken_from_a_larger_size(images: np.ndarray) -> None:
    pictures = labeled_images(images, np.zeros((16, 64, 64, 3), np.uint8))
    turned = augment(pictures, SAMPLES, SIZE, only(flip=True, rotation=30.0, shift=0.1), KEY)
    assert turned.mean(axis=(1, 2, 3)).min() > 30


def test_cutmix_mixes_labels_by_the_area_of_what_is_pasted(images: np.ndarray) -> None:
    plain = np.stack([np.full((SIZE, SIZE, 3), number, np.uint8) for number in SAMPLES])
    y_true = SAMPLES % 2  # every image's neighbor is of the other class
    mixed, labels = cutmix(plain, y_true, SAMPLES, only(cutmix=1.0), KEY)
    for index, (picture, label) in enumerate(zip(mixed, labels, strict=True)):
        pasted = np.mean(picture == (index + 1) % 16)
        assert label == pytest.approx(pasted if y_true[index] == 0 else 1 - pasted)
        assert set(np.unique(picture)) <= {index, (index + 1) % 16}
    assert labels.min() < 0.3 < 0.7 < labels.max()
    np.testing.assert_array_equal(plain[:, 0, 0, 0], SAMPLES)  # the input is unchanged


def test_cutmix_changes_only_its_share_of_the_images(images: np.ndarray) -> None:
    y_true = SAMPLES % 2
    mixed, labels = cutmix(images, y_true, SAMPLES, only(cutmix=0.4), KEY)
    is_changed = [not np.array_equal(new, old) for new, old in zip(mixed, images, strict=True)]
    assert 2 <= sum(is_changed) <= 11
    np.testing.assert_array_equal(labels[~np.array(is_changed)], y_true[~np.array(is_changed)])
    same, untouched = cutmix(images, y_true, SAMPLES, only(), KEY)
    assert same is images
    np.testing.assert_array_equal(untouched, y_true)
