"""Muon: momentum whose step is made orthogonal, for the kernels of convolutions."""

from dogvscat.learning.engine import keras

ops = keras.ops

# Coefficients of Jordan's polynomial a s + b s^3 + c s^5, which is as steep as possible at zero: a small singular value
# s grows 3.4-fold in each iteration, and large ones end up around 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95


class Muon(keras.optimizers.Adam):
    """Muon for kernels of convolutions, Adam for every other weight.

    The momentum of a kernel, seen as a matrix (height * width * filters_in, filters_out), is replaced by the nearest
    matrix with orthogonal rows or columns: all its singular values become about 1. The length of the step is that of a
    typical step of Adam, so that one learning rate and one weight decay serve both.

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
        if len(variable.shape) != 4:  # not a kernel of a convolution
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, ops.add(_MOMENTUM * momentum, gradient))
        direction = ops.add(gradient, _MOMENTUM * momentum)  # Nesterov's
        matrix = ops.reshape(direction, (-1, variable.shape[-1]))  # (height * width * filters_in, filters_out)
        # The entries of an orthogonal matrix have a root mean square of 1 / sqrt(max(rows, columns)). Times this factor
        # it is 0.2, about that of a step of Adam, whatever the shape of the kernel.
        step = orthogonalize(matrix, self._precision) * (0.2 * max(matrix.shape) ** 0.5)
        self.assign_sub(variable, learning_rate * ops.reshape(step, variable.shape))


def orthogonalize(matrix: keras.KerasTensor, precision: str) -> keras.KerasTensor:
    """Roughly the nearest matrix with orthogonal rows or columns, by a Newton-Schulz iteration.

    Args:
        matrix: float32 (num_rows, num_columns).
        precision: Arithmetic of the iteration, `float32` or `bfloat16`.

    Returns:
        float32, of the same shape; its singular values lie between about 0.7 and 1.2, its singular vectors are those of
        `matrix`.
    """
    is_wide = matrix.shape[0] <= matrix.shape[1]
    wide = matrix if is_wide else ops.transpose(matrix)
    # The division leaves no singular value above 1: much larger ones would grow without limit.
    x = ops.cast(wide / (ops.norm(wide) + 1e-12), precision)
    a, b, c = _COEFFICIENTS
    # With x = U S V^T, a x + (b x x^T + c (x x^T)^2) x = U (a S + b S^3 + c S^5) V^T: these matrix products apply the
    # polynomial to the singular values and keep the singular vectors, without computing either.
    for _ in range(_ITERATIONS):
        gram = ops.matmul(x, ops.transpose(x))  # (rows, rows), the smaller side
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    x = ops.cast(x, "float32")
    return x if is_wide else ops.transpose(x)
