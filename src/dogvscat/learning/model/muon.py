"""Muon: momentum whose step is made orthogonal, for the kernels of convolutions."""

import keras
from keras import ops

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's: steepest at zero, so that small directions grow soonest
_ITERATIONS = 5
_MOMENTUM = 0.95


class Muon(keras.optimizers.Adam):
    """Muon for kernels of convolutions, Adam for every other weight.

    A kernel's momentum, seen as a matrix (height * width * filters_in, filters_out), is replaced by the nearest matrix
    with orthogonal rows or columns: all its singular values become about 1. The step's length is that of a typical
    step of Adam, so that one learning rate and one weight decay do for both.

    Args:
        precision: Arithmetic of the iteration, `float32` or `bfloat16`; it is an approximation in any case.
        settings: As for `keras.optimizers.Adam`.

    Sources: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024; the length of the step: Liu
    et al., Muon is scalable for LLM training, 2025.
    """

    def __init__(self, precision: str = "float32", **settings: object) -> None:
        super().__init__(**settings)
        self._precision = precision

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """One step of one weight."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, ops.add(_MOMENTUM * momentum, gradient))
        ahead = ops.add(gradient, _MOMENTUM * momentum)  # Nesterov's
        step = ops.reshape(ahead, (-1, variable.shape[-1]))  # (height * width * filters_in, filters_out)
        step = orthogonal(step, self._precision) * (0.2 * max(step.shape) ** 0.5)  # root mean square 0.2, as Adam's
        self.assign_sub(variable, learning_rate * ops.reshape(step, variable.shape))


def orthogonal(matrix: keras.KerasTensor, precision: str) -> keras.KerasTensor:
    """Roughly the nearest matrix with orthogonal rows or columns, by a Newton-Schulz iteration.

    Args:
        matrix: float32 (num_rows, num_columns).
        precision: Of the arithmetic.

    Returns:
        float32, shaped alike; its singular values lie between about 0.7 and 1.2, its singular vectors are the same.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else ops.transpose(matrix)
    x = ops.cast(wide / (ops.norm(wide) + 1e-12), precision)  # no singular value is above 1 now
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        square = ops.matmul(x, ops.transpose(x))  # (rows, rows), the smaller side
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    x = ops.cast(x, "float32")
    return x if matrix.shape[0] <= matrix.shape[1] else ops.transpose(x)
