"""Shapes, parameter counts by hand, and an independent forward pass."""

import keras
import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from scipy.signal import correlate

from dogvscat.config import NetworkConfig, TrainingConfig
from dogvscat.learning.model.networks import build_network, layer_of
from dogvscat.learning.model.optimizers import compile_network
from dogvscat.settings.resolve import resolve_config
from tests.helpers import plain_layers, residual_layers

TINY = NetworkConfig(layers=plain_layers(2, 3, units=4))


def test_classic_has_the_parameters_counted_by_hand() -> None:
    config = resolve_config("classic")
    model = build_network(config.network, config.data.image_size)
    convolutions = (9 * 3 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128)
    side = 6  # 64 -> 62 -> 31 -> 29 -> 14 -> 12 -> 6
    assert model.count_params() == convolutions + (side * side * 128 * 128 + 128) + (128 + 1)
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    block = ["Conv2D", "ReLU", "MaxPooling2D"]
    assert kinds == ["Rescaling", *block, *block, *block, "Flatten", "Dense", "ReLU", "Dropout", "Dense"]


def test_the_forward_pass_agrees_with_scipy() -> None:
    model = build_network(TINY, 12, seed=5)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    weights = iter(model.get_weights())
    x = pixels / 255.0
    for _ in range(2):
        x = _pooled(np.maximum(_convolved(x, next(weights), next(weights)), 0.0))
    x = np.maximum(x.reshape(2, -1) @ next(weights) + next(weights), 0.0)
    expected = x @ next(weights) + next(weights)
    np.testing.assert_allclose(model.predict_on_batch(pixels), expected, rtol=1e-4, atol=1e-6)


def test_equal_seeds_give_equal_weights_and_layers_differ() -> None:
    first, again, different = (build_network(TINY, 32, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], different[0])


def test_dropout_keeps_the_mean_and_rests_in_inference() -> None:
    model = build_network(NetworkConfig(layers=plain_layers(4, units=64), dropout=0.5), 32, seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    calm = [float(model(pixels, training=False)[0, 0]) for _ in range(2)]
    assert calm[0] == calm[1]
    many = np.repeat(pixels, 4000, axis=0)
    dropped = np.asarray(model(many, training=True))[:, 0]
    assert dropped.std() > 0
    assert dropped.mean() == pytest.approx(calm[0], abs=5 * dropped.std() / np.sqrt(4000))


def test_batch_normalization_replaces_the_bias() -> None:
    plain = build_network(TINY, 32).count_params()
    normalized = build_network(NetworkConfig(layers=TINY.layers, changes=("norm after each conv",)), 32).count_params()
    assert normalized - plain == 4 * (2 + 3) - (2 + 3)


def test_l2_adds_the_penalty_on_kernels_only() -> None:
    model = build_network(TINY, 32, l2=0.01, seed=1)
    kernels = [np.asarray(w) for w in model.get_weights() if np.ndim(w) > 1]
    assert float(sum(model.losses)) == pytest.approx(
        0.01 * sum(np.sum(k.astype(np.float64) ** 2) for k in kernels), rel=1e-5
    )


def test_weight_decay_spares_biases() -> None:
    model = build_network(TINY, 32, seed=1)
    compile_network(model, TrainingConfig(optimizer="sgd", weight_decay=0.1, learning_rate=0.5))
    biases = [layer.bias for layer in model.layers if hasattr(layer, "bias")]
    for bias in biases:
        bias.assign(np.ones(bias.shape, np.float32))
    kernel = layer_of(model, "conv1").kernel
    before = np.asarray(kernel)
    black = np.zeros((4, 32, 32, 3), np.uint8)
    model.train_on_batch(black, np.array([[0.0], [1.0], [0.0], [1.0]], np.float32), sample_weight=np.zeros((4, 1)))
    np.testing.assert_allclose(np.asarray(kernel), before * (1 - 0.5 * 0.1), rtol=1e-5)
    assert all(np.array_equal(np.asarray(bias), np.ones(bias.shape)) for bias in biases)


def _convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    maps = [
        sum(correlate(image[..., c], kernel[..., c, f], mode="valid") for c in range(image.shape[-1])) + bias[f]
        for image in x
        for f in range(kernel.shape[-1])
    ]
    side = maps[0].shape[0]
    return np.asarray(maps).reshape(len(x), kernel.shape[-1], side, side).transpose(0, 2, 3, 1)


def _pooled(x: np.ndarray) -> np.ndarray:
    side = x.shape[1] // 2
    return x[:, : 2 * side, : 2 * side].reshape(len(x), side, 2, side, 2, -1).max(axis=(2, 4))


RESIDUAL = NetworkConfig(
    layers=(*residual_layers(5, 4)[:-1], "stage2: conv 6, max pool, norm, relu, 2 x residual", "global mean"),
    initializer="he",
)


def test_residual_has_the_parameters_counted_by_hand() -> None:
    convolutions = 9 * (3 * 5 + 5 * 4 + 2 * 4 * 4 + 4 * 6 + 4 * 6 * 6)
    normalizations = 4 * (5 + 4 + 2 * 4 + 6 + 4 * 6)
    assert build_network(RESIDUAL, None).count_params() == convolutions + normalizations + 6 + 1


def test_residual_takes_any_size_with_the_same_weights() -> None:
    network = build_network(RESIDUAL, None, seed=1)
    for size in (32, 47, 64):
        pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        fixed = build_network(RESIDUAL, size, seed=1)
        np.testing.assert_allclose(np.asarray(network(pixels)), np.asarray(fixed(pixels)), rtol=1e-5)


def test_a_fresh_residual_block_is_the_identity() -> None:
    network = build_network(RESIDUAL, 32, seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    before, after = layer_of(network, "stage2.relu1").output, layer_of(network, "stage2.block2.relu2").output
    features_before, features_after = keras.Model(network.input, [before, after])(pixels)
    np.testing.assert_array_equal(np.asarray(features_before), np.asarray(features_after))


def test_residual_does_not_depend_on_the_position() -> None:
    """The mean over all positions is the same wherever something is, away from the borders."""
    network = build_network(RESIDUAL, 64, seed=1)
    pixels = np.full((2, 64, 64, 3), 90, np.uint8)
    spot = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pixels[0, 24:32, 24:32] = pixels[1, 32:40, 24:32] = spot
    logits = np.asarray(network(pixels))
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4)


def test_soft_colors_keep_brightness_and_average_the_rest() -> None:
    config = resolve_config("best").network
    model = build_network(config, 32)
    softened = keras.Model(model.input, layer_of(model, "soft_colors.add").output)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    result = np.asarray(softened.predict_on_batch(pixels)) * 255
    luma = [0.299, 0.587, 0.114]
    np.testing.assert_allclose(result @ luma, pixels @ luma, atol=0.05)
    color = pixels - (pixels @ luma)[..., None]
    averaged = np.stack([uniform_filter(color[..., k], size=(0, 3, 3)) for k in range(3)], axis=-1)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose((result - (pixels @ luma)[..., None])[inside], averaged[inside], atol=0.05)


EVERYTHING = (
    "soft colors, conv 8 5x5 stride 2, norm, leaky relu, blur pool",
    "a: residual 5x5 silu squeeze-excite, average pool, elu, squeeze-excite 4, conv 6 valid, silu, dropout 0.25",
)
NETWORKS = {
    "plain": TINY,
    "residual": RESIDUAL,
    "everything, mean": NetworkConfig(layers=(*EVERYTHING, "global mean, dense 5, norm, relu"), neither_output=True),
    "everything, flat": NetworkConfig(layers=(*EVERYTHING, "max pool 2x2 stride 1, flatten, dense 5, relu")),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_description_is_what_keras_builds(name: str) -> None:
    """Names, shapes, weights and their order, which the description works out without Keras."""
    operations = NETWORKS[name].operations(45)  # an odd size, where padding is uneven
    network = build_network(NETWORKS[name], 45)
    layers = [layer_of(network, operation.name) for operation in operations]
    assert layers == network.layers[1:]
    assert [layer.output.shape[1:] for layer in layers] == [operation.output_shape for operation in operations]
    shapes = [shape for operation in operations for shape in operation.weights.values()]
    assert [tuple(weight.shape) for weight in network.weights if "seed" not in weight.path] == shapes
    owners = [layer_of(network, name.rpartition(".")[0]).name for op in operations for name in op.weights]
    assert [weight.path.partition("/")[0] for weight in network.weights if "seed" not in weight.path] == owners
    for operation, layer in zip(operations, layers, strict=True):
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        expected = [layer_of(network, name) for name in operation.inputs]
        assert [source._keras_history.operation for source in sources] == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_a_position_depends_on_its_receptive_field_only(name: str) -> None:
    """A change of one pixel reaches no further than the description says."""
    operations = [op for op in NETWORKS[name].operations(45) if len(op.output_shape) == 3 and op.output_shape[0] > 1]
    network = build_network(NETWORKS[name], 45, seed=1)
    outputs = keras.Model(network.input, [layer_of(network, operation.name).output for operation in operations])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 45, 45, 3), dtype=np.uint8)
    unchanged = np.repeat(pixels, 45, axis=0)  # batches of equal sizes, which are computed alike to the last bit
    changed = unchanged.copy()
    changed[np.arange(45), 22, np.arange(45)] = 255 - changed[np.arange(45), 22, np.arange(45)]  # each pixel of a row
    for operation, before, after in zip(operations, outputs(unchanged), outputs(changed), strict=True):
        difference = np.abs(np.asarray(after) - np.asarray(before)).max(axis=-1)  # (45, height, width)
        reached = (difference > 0).any(axis=1)  # (45, width): which columns each pixel reaches
        assert reached.sum(axis=0).max() <= operation.receptive_field, operation.name


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_any_layers_learn(name: str) -> None:
    network = build_network(NETWORKS[name], 45, seed=1)
    compile_network(network, TrainingConfig(optimizer="muon", learning_rate=0.01))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 45, 45, 3), dtype=np.uint8)
    y_true = np.zeros((8, network.output_shape[-1]), np.float32)
    y_true[:4, 0] = 1
    losses = [float(np.asarray(network.train_on_batch(pixels, y_true)[0])) for _ in range(8)]
    assert np.isfinite(losses).all()
    assert min(losses[4:]) < losses[0]


def test_images_that_show_neither_do_not_change_the_loss_of_the_class() -> None:
    config = resolve_config("fast", None, ["network.neither_output=true", "training.label_smoothing=0.0"])
    model = build_network(config.network, 32)
    compile_network(model, config.training)
    logits = np.array([[0.3, -1.0], [2.0, 0.5], [-5.0, 3.0]], dtype=np.float32)
    y_true = np.array([[1, 0], [0, 0], [0, 1]], dtype=np.float32)
    entropy = np.logaddexp(0, logits) - logits * y_true  # by hand, in nats
    expected = entropy[:, 0] * [1, 1, 0] + entropy[:, 1]
    np.testing.assert_allclose(np.asarray(model.loss.call(y_true, logits)), expected, rtol=1e-5)
