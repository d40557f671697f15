"""Knows the backends: gradients are asked of TensorFlow, torch and JAX each in its own way."""

from typing import Any

import keras
import numpy as np

from dogvscat.errors import UsageError


def gradient_of_first_logit(upper: keras.Model, features: np.ndarray) -> np.ndarray:
    """How much the first logit changes with each of the numbers it is computed from.

    Args:
        upper: The upper part of a network, from features to logits (n, 1 or 2).
        features: float32 (n, height, width, filters).

    Returns:
        float32, as `features`.

    Raises:
        UsageError: with a backend that is none of the three.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            watched = tf.convert_to_tensor(features)
            with tf.GradientTape() as tape:
                tape.watch(watched)
                logits = upper(watched)[:, 0]
            gradient: Any = tape.gradient(logits, watched)
        case "torch":
            watched = keras.ops.convert_to_tensor(features).detach().requires_grad_(True)
            upper(watched)[:, 0].sum().backward()
            gradient = watched.grad
        case "jax":
            import jax

            gradient = jax.grad(lambda values: upper(values)[:, 0].sum())(keras.ops.convert_to_tensor(features))
        case other:
            raise UsageError(f"gradients need the Keras backend tensorflow, torch or jax, this is {other}")
    return np.asarray(keras.ops.convert_to_numpy(gradient))
