"""The networks, built from allow-listed names and numbers only. Pixels in, one logit out.

The normalisation is the first layer, so no caller can forget or repeat it.
"""

import keras
from keras import layers

from dogvscat.config import NetworkConfig
from dogvscat.learning.randomness import stateless_words


def build_network(config: NetworkConfig, image_size: int, *, l2: float = 0.0, seed: int = 0) -> keras.Model:
    """A network with fresh weights.

    Args:
        config: Its shape.
        image_size: Side of the input, in pixels.
        l2: Penalty on kernels.
        seed: Of the first weights, which are Glorot uniform (Glorot and Bengio 2010).

    Returns:
        A model from `pixels`, uint8 (num_images, image_size, image_size, 3) in 0..255, to the logit of the positive
        class, float32 (num_images, 1); the sigmoid of the logit is the probability.
    """
    build = _LayerFactory(l2, seed)
    x = pixels = keras.Input((image_size, image_size, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255, name="rescaling")(x)  # (n, size, size, 3), 0..1
    for block, filters in enumerate(config.filters, start=1):
        x = build.convolution(filters, config.kernel_size, f"conv{block}", not config.batch_normalization)(x)
        if config.batch_normalization:
            x = layers.BatchNormalization(name=f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{block}")(x)  # (n, (size - kernel + 1) // 2, same, filters)
    x = layers.Flatten(name="flatten")(x)  # (n, side * side * filters)
    x = build.dense(config.dense_units, "dense")(x)
    x = layers.ReLU(name="relu_dense")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="dropout")(x)
    logit = build.dense(1, "logit")(x)  # (n, 1)
    return keras.Model(pixels, logit, name=config.name)


class _LayerFactory:
    """Makes layers with kernels, each with a seed of its own."""

    def __init__(self, l2: float, seed: int) -> None:
        self._l2 = l2
        self._seed = seed
        self._count = 0

    def convolution(self, filters: int, kernel_size: int, name: str, use_bias: bool) -> layers.Layer:
        kernel = self._kernel()
        return layers.Conv2D(filters, kernel_size, use_bias=use_bias, name=name, **kernel)

    def dense(self, units: int, name: str) -> layers.Layer:
        return layers.Dense(units, name=name, **self._kernel())

    def _kernel(self) -> dict[str, object]:
        self._count += 1
        initializer = keras.initializers.GlorotUniform(seed=int(stateless_words(self._seed, self._count)[0] >> 1))
        return {
            "kernel_initializer": initializer,
            "kernel_regularizer": keras.regularizers.L2(self._l2) if self._l2 else None,
        }
