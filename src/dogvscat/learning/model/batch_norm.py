"""Knows TensorFlow: batch normalization with TensorFlow's fused kernels. Other backends compute as Keras does.

In Keras the layer passes over the activations six times. TensorFlow has one kernel forward and one backward, with which
a training step of the residual network on two cores takes up to a third less time (docs/experiments.md).
"""

from dogvscat.learning.engine import keras


class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over the last axis (Ioffe and Szegedy 2015): the same as in Keras, but faster."""

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: keras.KerasTensor | None = None
    ) -> keras.KerasTensor:
        """Normalize (n, height, width, channels) by the batch's statistics in training, else by the moving ones."""
        has_kernel = keras.backend.backend() == "tensorflow" and len(inputs.shape) == 4
        if not training or not self.trainable or not has_kernel:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]),  # in training the kernel wants these two empty: it computes them
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the sample variance, which divides by count - 1; Keras averages the one divided by count.
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)  # values per channel
        variance *= (count - 1.0) / count
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs
