"""The networks, built from allow-listed names and numbers only. Pixels in, logits out.

Scaling the pixels is the first layer, so that no caller can forget or repeat it.
"""

from dogvscat.config import NetworkConfig
from dogvscat.learning.data.random import stateless_words
from dogvscat.learning.engine import keras
from dogvscat.learning.model.batch_norm import BatchNormalization

layers = keras.layers

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness, by ITU-R BT.601."""


def build_network(
    config: NetworkConfig, image_size: int | None, *, l2: float = 0.0, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """A network with fresh weights.

    Args:
        config: Its architecture.
        image_size: Side of the input, in pixels; None for any size, which only `residual` can take.
        l2: Penalty on kernels.
        seed: Of the first weights: Glorot uniform (Glorot and Bengio 2010) for `plain`, He normal (He et al. 2015) for
            `residual`.
        precision: Arithmetic of the layers, `float32` or `bfloat16`; weights and logits are float32 in both.

    Returns:
        A model from `pixels`, uint8 (num_images, image_size, image_size, 3) in 0..255, to the logit of the positive
        class, float32 (num_images, 1); the sigmoid of the logit is the probability. With `neither_output` a second
        column is the logit that the image shows neither class, (num_images, 2).
    """
    # The mixed policy keeps weights in float32: an update is often too small for the 8 bits of precision of bfloat16.
    build = _Layers(config, l2, seed, "mixed_bfloat16" if precision == "bfloat16" else "float32")
    pixels = keras.Input((image_size, image_size, 3), dtype="uint8", name="pixels")
    x = build.rescaling()(pixels)  # (n, size, size, 3), 0..1
    x = _with_soft_colors(build, x) if config.soft_colors else x
    x = _plain_features(build, config, x) if config.name == "plain" else _residual_features(build, config, x)
    if config.dropout:
        x = build.layer(layers.Dropout, "dropout", rate=config.dropout)(x)  # (n, features)
    return keras.Model(pixels, build.logits(2 if config.neither_output else 1)(x), name=config.name)  # (n, 1 or 2)


def average_over_flips(model: keras.Model) -> keras.Model:
    """A model that gives the mean of a network's logits for an image and for its mirror image."""
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    logits, mirrored_logits = keras.ops.split(model(with_mirror_images(pixels)), 2)  # (n, 1 or 2) each
    average = layers.Average(name="both_ways")([logits, mirrored_logits])
    return keras.Model(pixels, average, name=f"{model.name}_averaged")


def with_class_activation(model: keras.Model) -> keras.Model | None:
    """The same network with its class activation map as a second output.

    Args:
        model: From `pixels` to logits, float32 (n, 1 or 2).

    Returns:
        A model from `pixels` to [logits, activation]; activation is float32 (n, height, width), the log-odds of the
        positive class at each position, whose mean over the positions is the first logit. None for a network that does
        not end in a mean over positions.

    Source: Zhou et al., Learning deep features for discriminative localization, 2016.
    """
    network = _inner_network(model)
    means = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not means:
        return None
    # The logit is w . mean(f) + b over the features f of all positions. That is linear, so it equals mean(w . f + b):
    # the last layer, applied to each position before the mean, gives what that position adds to the logit.
    features = means[-1].input  # (n, height, width, filters)
    position_logits = network.get_layer("logit")(features)  # (n, height, width, 1 or 2)
    with_activation = keras.Model(network.input, [network.output, position_logits[..., 0]])
    if network is model:
        return with_activation
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    columns, activation = with_activation(with_mirror_images(pixels))  # (2n, 1 or 2), (2n, height, width)
    logits, mirrored_logits = keras.ops.split(columns, 2)
    activation, mirrored_activation = keras.ops.split(activation, 2)
    average = keras.layers.Average
    mean_logits = average()([logits, mirrored_logits])
    mean_activation = average()([activation, keras.ops.flip(mirrored_activation, axis=2)])
    return keras.Model(pixels, [mean_logits, mean_activation])


def with_mirror_images(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """The images followed by their mirror images, for one call: (n, height, width, 3) to (2n, height, width, 3)."""
    return keras.ops.concatenate([pixels, keras.ops.flip(pixels, axis=2)])


def _inner_network(model: keras.Model) -> keras.Model:
    """The network without averaging over flips, which wraps it as a layer."""
    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), model)


def _with_soft_colors(build: "_Layers", x: keras.KerasTensor) -> keras.KerasTensor:
    """Brightness as it is; the remaining colour is averaged over three by three pixels."""
    brightness = build.layer(Brightness, "brightness")(x)  # (n, size, size, 1)
    color = build.layer(layers.Subtract, "color")([x, brightness])  # (n, size, size, 3)
    color = build.layer(layers.AveragePooling2D, "soft_color", pool_size=3, strides=1, padding="same")(color)
    return build.layer(layers.Add, "soft_colors")([color, brightness])


def _plain_features(build: "_Layers", config: NetworkConfig, x: keras.KerasTensor) -> keras.KerasTensor:
    for block, filters in enumerate(config.filters, start=1):
        x = build.convolution(filters, f"conv{block}", padding="valid", use_bias=not config.batch_normalization)(x)
        if config.batch_normalization:
            x = build.normalization(f"norm{block}")(x)
        x = build.relu(f"relu{block}")(x)
        x = build.pooling(f"pool{block}")(x)  # (n, (size - kernel + 1) // 2, same, filters)
    x = build.layer(layers.Flatten, "flatten")(x)  # (n, side * side * filters)
    x = build.dense(config.dense_units, "dense")(x)
    return build.relu("relu_dense")(x)  # (n, dense_units)


def _residual_features(build: "_Layers", config: NetworkConfig, x: keras.KerasTensor) -> keras.KerasTensor:
    # Dense 3x3 convolutions, which oneDNN computes fastest. Pooling comes before the normalisation, which then has a
    # quarter of the work (Page, How to train your ResNet, 2018).
    x = build.convolution(config.stem_filters, "stem", strides=2)(x)  # (n, size / 2, size / 2, stem)
    x = build.pooling("stem_pool")(x)  # (n, size / 4, size / 4, stem)
    x = build.relu("stem_relu")(build.normalization("stem_norm")(x))
    for stage, (filters, blocks) in enumerate(zip(config.filters, config.residual_blocks, strict=True), start=1):
        name = f"stage{stage}"
        x = build.convolution(filters, f"{name}_conv")(x)
        if stage > 1:
            x = build.pooling(f"{name}_pool")(x)
        x = build.relu(f"{name}_relu")(build.normalization(f"{name}_norm")(x))
        for block in range(1, blocks + 1):
            x = _residual_block(build, filters, f"{name}_block{block}", x)
    return build.layer(layers.GlobalAveragePooling2D, "mean")(x)  # (n, filters)


def _residual_block(build: "_Layers", filters: int, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
    """x + two convolutions (He et al. 2016): (n, height, width, filters) to the same."""
    y = build.convolution(filters, f"{name}_conv1")(x)
    y = build.relu(f"{name}_relu1")(build.normalization(f"{name}_norm1")(y))
    y = build.convolution(filters, f"{name}_conv2")(y)
    # A factor of zero at first, so that the block starts as the identity (Goyal et al. 2017).
    y = build.normalization(f"{name}_norm2", gamma_initializer="zeros")(y)
    return build.relu(f"{name}_relu2")(build.layer(layers.Add, f"{name}_add")([x, y]))


class _Layers:
    """Makes the layers of one network, all of one precision; each kernel has its own seed."""

    def __init__(self, config: NetworkConfig, l2: float, seed: int, policy: str) -> None:
        self._config, self._l2, self._seed, self._policy = config, l2, seed, policy
        self._num_kernels = 0

    def layer(self, kind: type[keras.layers.Layer], name: str, **settings: object) -> keras.layers.Layer:
        return kind(name=name, dtype=self._policy, **settings)

    def rescaling(self) -> keras.layers.Layer:
        return self.layer(layers.Rescaling, "rescaling", scale=1 / 255)

    def convolution(
        self, filters: int, name: str, *, strides: int = 1, padding: str = "same", use_bias: bool = False
    ) -> keras.layers.Layer:
        size = self._config.kernel_size
        settings = {"strides": strides, "padding": padding, "use_bias": use_bias, **self._kernel()}
        return self.layer(layers.Conv2D, name, filters=filters, kernel_size=size, **settings)

    def normalization(self, name: str, **settings: object) -> keras.layers.Layer:
        return self.layer(BatchNormalization, name, momentum=0.9, epsilon=1e-3, **settings)

    def relu(self, name: str) -> keras.layers.Layer:
        return self.layer(layers.ReLU, name)

    def pooling(self, name: str) -> keras.layers.Layer:
        return self.layer(layers.MaxPooling2D, name, pool_size=2)

    def dense(self, units: int, name: str) -> keras.layers.Layer:
        return self.layer(layers.Dense, name, units=units, **self._kernel())

    def logits(self, units: int) -> keras.layers.Layer:
        return layers.Dense(units, name="logit", dtype="float32", **self._kernel())

    def _kernel(self) -> dict[str, object]:
        """Initializer and penalty of the next kernel."""
        self._num_kernels += 1
        seed = int(stateless_words(self._seed, self._num_kernels)[0] >> 1)  # 31 bits
        is_plain = self._config.name == "plain"
        initializer = keras.initializers.GlorotUniform if is_plain else keras.initializers.HeNormal
        return {
            "kernel_initializer": initializer(seed=seed),
            "kernel_regularizer": keras.regularizers.L2(self._l2) if self._l2 else None,
        }


class Brightness(keras.layers.Layer):
    """Luma of red, green and blue, as JPEG has it: (n, height, width, 3) to (n, height, width, 1)."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The weighted sum of the colours."""
        # As a convolution: single colours lie three values apart in memory, which makes slices slow.
        kernel = keras.ops.reshape(keras.ops.convert_to_tensor(LUMA, inputs.dtype), (1, 1, 3, 1))
        return keras.ops.conv(inputs, kernel, padding="same")
