"""Images on their way into a model: order, random shifts, scaling, one-hot labels."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .arrays import Split
from .config import TrainConfig

SCALE = 1 / 255
"""What a raw pixel is multiplied by: [0, 255] becomes [0, 1]."""


class EpochPipeline:
    """Makes the batches of each epoch from (seed, epoch) alone, so that a resumed training sees what it would have.

    Args:
        split: The images to train with; they are held once, as uint8.
        classes: The depth of the one-hot labels.
        config: Batch size, shift and seed.
    """

    def __init__(self, split: Split, classes: int, config: TrainConfig) -> None:
        self._images = tf.constant(split.images)
        self._labels = tf.constant(split.labels)
        self._classes = classes
        self._config = config

    @property
    def steps(self) -> int:
        """The number of batches of an epoch; the last one may be smaller."""
        return -(-len(self._labels) // self._config.batch_size)

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch: float32 (N, H, W, C) in [0, 1] and one-hot float32 (N, classes).

        Args:
            epoch: From zero.
        """
        order = np.random.default_rng([self._config.seed, epoch]).permutation(len(self._labels))
        indices = tf.data.Dataset.from_tensor_slices(order).batch(self._config.batch_size).enumerate()
        epoch_seed = int(np.random.SeedSequence([self._config.seed, epoch]).generate_state(1)[0])

        def prepare(number: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.gather(self._images, chosen)
            if self._config.shift:
                images = shifted(images, self._config.shift, tf.stack([tf.cast(epoch_seed, tf.int64), number]))
            return scaled(images), tf.one_hot(tf.gather(self._labels, chosen), self._classes)

        return indices.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def scaled(images: tf.Tensor | NDArray[np.uint8]) -> tf.Tensor:
    """Turns raw pixels into model input: uint8 (N, H, W, C) to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) * SCALE


def shifted(images: tf.Tensor, most: int, seed: tf.Tensor) -> tf.Tensor:
    """Moves each image by its own random distance, from -most to most pixels in either direction, over zeros.

    Args:
        images: (N, H, W, C).
        most: Pixels.
        seed: Two integers; equal seeds give equal shifts.
    """
    shape = tf.shape(images)
    padded = tf.pad(images, [[0, 0], [most, most], [most, most], [0, 0]])
    offsets = tf.random.stateless_uniform([2, shape[0], 1], seed, 0, 2 * most + 1, tf.int32)
    rows = tf.gather(padded, offsets[0] + tf.range(shape[1]), axis=1, batch_dims=1)
    moved = tf.gather(rows, offsets[1] + tf.range(shape[2]), axis=2, batch_dims=1)
    return tf.ensure_shape(moved, images.shape)
