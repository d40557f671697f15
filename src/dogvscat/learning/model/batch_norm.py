"""Knows TensorFlow: its fused batch normalisation, where TensorFlow is the backend, and Keras' own on any other.

Keras composes the layer of six passes over the activations. TensorFlow has one kernel forward and one backward, which
makes a training step of the residual network on two cores up to a third shorter (docs/experiments.md).
"""

import keras
from keras import layers


class BatchNormalization(layers.BatchNormalization):
    """Batch normalisation over the last axis (Ioffe and Szegedy 2015); as Keras' layer, but sooner done."""

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: keras.KerasTensor | None = None
    ) -> keras.KerasTensor:
        """Normalise (n, height, width, channels) by its own statistics in training, else by the moving ones."""
        if not training or not self.trainable or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
        variance *= (count - 1.0) / count  # the kernel divides by one less, Keras does not
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs
