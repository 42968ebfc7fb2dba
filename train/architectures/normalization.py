"""Batch normalization that takes a third of the time to train."""

import keras
import tensorflow as tf

_IMAGE_RANK = 4


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Computes what Keras's own layer does, with the same weights, by TensorFlow's fused operation where it trains.

    Keras puts it together from means, differences and products, and reads and writes the whole batch for each of them:
    on a CPU that takes as long as the convolution before it. It is for the copy of a model that is trained; what is
    saved has the plain layer.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Normalizes (N, H, W, C); what is not such, and all inference, is left to Keras."""
        fits = (
            len(inputs.shape) == _IMAGE_RANK
            and self.axis in (-1, _IMAGE_RANK - 1)
            and (self.center and self.scale)
            and self.compute_dtype == "float32"
            and not self.synchronized  # over several replicas, which the operation cannot
        )
        if not (training and self.trainable and fits) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        none = tf.zeros([0])  # the running averages, which the operation has no use for while training
        normal = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=none, variance=none, epsilon=self.epsilon
        )
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        biased = normal.batch_variance * (count - 1) / count  # Keras averages the variance of what it saw
        for average, value in ((self.moving_mean, normal.batch_mean), (self.moving_variance, biased)):
            average.assign(average * self.momentum + tf.cast(value, average.dtype) * (1 - self.momentum))
        return normal.y
