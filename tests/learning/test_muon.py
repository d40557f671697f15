"""Muon's step against SciPy's polar decomposition, and against Adam where Muon does not apply."""

import keras
import numpy as np
import pytest
from scipy.linalg import polar

from dogvscat.learning.model.muon import Muon, orthogonalize


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(288, 64), (27, 32), (48, 48)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_direction_of_a_matrix_becomes_about_equally_long(shape: tuple[int, int], precision: str) -> None:
    matrix = random(*shape)
    orthogonal = np.asarray(orthogonalize(keras.ops.convert_to_tensor(matrix), precision))
    exact = polar(matrix)[0]  # all singular values 1, the same singular vectors
    assert np.sum(orthogonal * exact) / np.linalg.norm(orthogonal) / np.linalg.norm(exact) > 0.95
    lengths = np.linalg.svd(orthogonal, compute_uv=False)
    if shape != (48, 48):  # a square of noise has directions next to zero, which five iterations do not lift
        assert 0.6 < lengths.min() < lengths.max() < 1.3


def test_a_kernel_moves_against_its_gradient_by_a_step_of_the_length_of_adams() -> None:
    kernel, gradient = keras.Variable(random(3, 3, 16, 24)), 100.0 * random(3, 3, 16, 24)
    before = np.array(kernel)
    Muon(learning_rate=0.01).apply([keras.ops.convert_to_tensor(gradient)], [kernel])
    step = np.array(kernel) - before
    assert np.sum(step * gradient) < 0
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.01 * 0.2, rel=0.25)


def test_other_weights_take_the_steps_of_adam() -> None:
    for shape in ((7,), (5, 3)):
        ours, adams = (keras.Variable(random(*shape)) for _ in range(2))
        muon, adam = Muon(learning_rate=0.01), keras.optimizers.Adam(learning_rate=0.01)
        for number in range(3):
            gradient = keras.ops.convert_to_tensor(random(*shape) * (number + 1))
            muon.apply([gradient], [ours])
            adam.apply([gradient], [adams])
        np.testing.assert_array_equal(np.array(ours), np.array(adams))
