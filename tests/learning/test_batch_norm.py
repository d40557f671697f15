"""The fused batch normalization against Keras' own: outputs, gradients, moving statistics."""

import keras
import numpy as np
import pytest

from dogvscat.learning.model.batch_norm import BatchNormalization


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_one_step_and_inference_agree_with_keras(policy: str) -> None:
    """Outputs and gradients near 1: with large ones of one sign, rounding in float32 would look like a difference."""
    rng = np.random.default_rng(0)
    kernel = keras.initializers.RandomNormal(stddev=0.1, seed=0)
    x = rng.normal(3, 2, (6, 8, 8, 5)).astype(np.float32)
    outputs_of, weights = [], []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        inputs = keras.Input((8, 8, 5))
        layer = kind(momentum=0.8, dtype=policy, beta_initializer="ones")
        outputs = keras.layers.Conv2D(1, 8, kernel_initializer=kernel, dtype="float32")(layer(inputs))
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
        model.train_on_batch(x, np.linspace(-1, 1, 6, dtype=np.float32).reshape(6, 1, 1, 1))
        outputs_of.append(np.asarray(keras.Model(inputs, layer.output)(x), dtype=np.float32))
        weights.append([np.asarray(weight) for weight in model.weights])
    tolerance = 1e-5 if policy == "float32" else 3e-2
    np.testing.assert_allclose(outputs_of[0], outputs_of[1], atol=tolerance, rtol=tolerance)
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=tolerance)
