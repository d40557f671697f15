"""The compiled resampling against SciPy and Pillow."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy.ndimage import gaussian_filter, map_coordinates

from dogvscat.learning.data.warp import saturate, sharpen, warp
from tests.helpers import SmallDisk

SIZE = 24
KEEP = np.arange(256, dtype=np.uint8)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)


def exact(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Bilinear interpolation in float64, mirrored about the outermost pixels' centers."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    a, b, c, d, e, f = affine
    positions = np.stack([d * columns + e * rows + f, a * columns + b * rows + c]) - 0.5
    return np.stack(
        [map_coordinates(image[..., k].astype(float), positions, order=1, mode="mirror") for k in range(3)], -1
    )


def test_shifts_by_64ths_of_a_pixel_agree_with_scipy_even_far_outside(noise: np.ndarray) -> None:
    shifts = np.random.default_rng(4).integers(-64 * 60, 64 * 60, (6, 2)) / 64
    maps = np.array([[1, 0, x, 0, 1, y] for x, y in shifts])
    for new, old, affine in zip(warp(noise, maps, np.tile(KEEP, (6, 3, 1)), SIZE), noise, maps, strict=True):
        assert np.abs(new - exact(old, affine)).max() <= 0.5 + 1e-9


def test_any_affine_map_of_smooth_images_agrees_with_scipy(noise: np.ndarray) -> None:
    smooth = np.rint(gaussian_filter(noise.astype(float), (0, 3, 3, 0))).astype(np.uint8)
    maps = np.random.default_rng(5).uniform(-1, 1, (6, 6)) * [1.2, 1.2, 9, 1.2, 1.2, 9]
    for new, old, affine in zip(warp(smooth, maps, np.tile(KEEP, (6, 3, 1)), SIZE), smooth, maps, strict=True):
        assert np.abs(new - exact(old, affine)).max() <= 1.0


def test_every_value_is_looked_up_in_the_picture_s_own_table(noise: np.ndarray) -> None:
    tables = np.random.default_rng(6).integers(0, 256, (6, 3, 256), dtype=np.uint8)
    maps = np.tile([1.0, 0, 0, 0, 1, 0], (6, 1))
    for new, old, table in zip(warp(noise, maps, tables, SIZE), noise, tables, strict=True):
        np.testing.assert_array_equal(new, np.stack([table[k][old[..., k]] for k in range(3)], axis=-1))


def test_saturation_agrees_with_pillow(noise: np.ndarray) -> None:
    factors = np.linspace(0.0, 2.0, len(noise))
    for new, old, factor in zip(saturate(noise, factors), noise, factors, strict=True):
        expected = np.asarray(ImageEnhance.Color(Image.fromarray(old)).enhance(factor)).astype(int)
        assert np.abs(new - expected).max() <= 2
    np.testing.assert_array_equal(saturate(noise, np.ones(len(noise))), noise)


def test_sharpening_moves_away_from_what_pillow_smooths(noise: np.ndarray) -> None:
    amounts = np.linspace(-1.0, 1.0, len(noise))
    binomial = ImageFilter.Kernel((3, 3), [1, 2, 1, 2, 4, 2, 1, 2, 1])
    inside = slice(1, -1)  # Pillow leaves the edge as it is
    for new, old, amount in zip(sharpen(noise, amounts), noise, amounts, strict=True):
        smooth = np.asarray(Image.fromarray(old).filter(binomial)).astype(float)
        expected = np.clip(old + np.rint(amount * 16) / 16 * (old - smooth), 0, 255)
        assert np.abs(new.astype(float) - expected)[inside, inside].max() <= 1.0


def test_an_amount_of_zero_and_a_single_color_change_nothing(noise: np.ndarray) -> None:
    np.testing.assert_array_equal(sharpen(noise, np.zeros(len(noise))), noise)
    plain = np.full((2, 8, 8, 3), 77, np.uint8)
    np.testing.assert_array_equal(sharpen(plain, np.array([-1.0, 2.0])), plain)


def test_a_full_disk_keeps_no_compiled_code_and_changes_no_image(small_disk: SmallDisk) -> None:
    """Numba keeps compiled loops in the folder that NUMBA_CACHE_DIR names; here nothing fits into it."""
    code = (
        "import numpy as np; from dogvscat.learning.data.warp import sharpen\n"
        "image = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)\n"
        "print([bool((sharpen(image, np.zeros(1)) == image).all()) for _ in range(2)])"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(small_disk(4096))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[True, True]\n", "")
